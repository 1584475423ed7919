//! Typed parameters of other formats: JSON Schema, picoschema, and the inputs of Prompty.

use schemas::parameter::{Kind, Parameter, validate};
use serde_json::{Map, Value, json};

use crate::dialect::tree::{list_of, string};
use crate::found::Note;

/// A required parameter of a kind.
pub(crate) fn required(name: &str, kind: Kind) -> Parameter {
    Parameter {
        name: name.to_owned(),
        kind,
        required: true,
        default: None,
        description: String::new(),
        example: None,
    }
}

/// The properties of a JSON Schema.
pub(crate) fn of_schema(schema: &Value, place: &str, notes: &mut Vec<Note>) -> Vec<Parameter> {
    let needed: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let properties = schema.get("properties").and_then(Value::as_object);
    properties
        .into_iter()
        .flatten()
        .map(|(name, schema)| {
            let kind = kind_of_schema(schema, place, name, notes);
            let default = schema.get("default").filter(|v| !v.is_null()).cloned();
            Parameter {
                name: name.clone(),
                kind,
                required: needed.contains(&name.as_str()) && default.is_none(),
                default,
                description: text(schema.get("description")),
                example: schema.pointer("/examples/0").filter(|v| !v.is_null()).cloned(),
            }
        })
        .collect()
}

fn text(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn kind_of_schema(schema: &Value, place: &str, name: &str, notes: &mut Vec<Note>) -> Kind {
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        let texts: Vec<String> = values.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        if texts.len() == values.len() && !texts.is_empty() {
            return Kind::Enum { values: texts };
        }
        notes.push(Note::new(
            place,
            format!("{name}: enum"),
            "an enum holds texts only here; taken as a text",
        ));
        return string();
    }
    let bound = |key: &str| schema.get(key).and_then(Value::as_u64);
    let known = [
        "type",
        "description",
        "default",
        "examples",
        "properties",
        "required",
        "items",
        "enum",
        "title",
        "minLength",
        "maxLength",
        "minimum",
        "maximum",
        "minItems",
        "maxItems",
        "additionalProperties",
        "$schema",
    ];
    for key in schema.as_object().into_iter().flat_map(Map::keys).filter(|k| !known.contains(&k.as_str())) {
        notes.push(Note::new(
            place,
            format!("{name}: {key}"),
            "this rule of the schema is not known here; left out",
        ));
    }
    match schema.get("type").and_then(Value::as_str).unwrap_or_default() {
        "string" => Kind::String { min_length: bound("minLength"), max_length: bound("maxLength") },
        "integer" => Kind::Integer {
            minimum: schema.get("minimum").and_then(Value::as_i64),
            maximum: schema.get("maximum").and_then(Value::as_i64),
        },
        "number" => Kind::Number {
            minimum: schema.get("minimum").and_then(Value::as_f64),
            maximum: schema.get("maximum").and_then(Value::as_f64),
        },
        "boolean" => Kind::Boolean,
        "array" => Kind::List {
            items: Box::new(
                schema.get("items").map_or_else(string, |i| kind_of_schema(i, place, name, notes)),
            ),
            min_items: bound("minItems"),
            max_items: bound("maxItems"),
        },
        "object" => Kind::Object { properties: of_schema(schema, place, notes) },
        other => {
            let other = if other.is_empty() { "no type" } else { other };
            notes.push(Note::new(place, format!("{name}: {other}"), "is no type here; taken as a text"));
            string()
        }
    }
}

/// The fields of a picoschema, as dotprompt has it, or the properties of a JSON Schema.
pub(crate) fn of_picoschema(schema: &Value, place: &str, notes: &mut Vec<Note>) -> Vec<Parameter> {
    let Some(fields) = schema.as_object() else {
        notes.push(Note::new(place, "input.schema", "names a schema that is not in the file; left out"));
        return Vec::new();
    };
    if fields.contains_key("properties") || schema.get("type") == Some(&json!("object")) {
        return of_schema(schema, place, notes);
    }
    let mut out = Vec::new();
    for (key, value) in fields {
        if key.starts_with("(*)") {
            notes.push(Note::new(place, key, "further fields of any name are not known here; left out"));
            continue;
        }
        out.push(field(key, value, place, notes));
    }
    out
}

/// `name?(type, description): …`
fn field(key: &str, value: &Value, place: &str, notes: &mut Vec<Note>) -> Parameter {
    let (name, detail) = match key.split_once('(') {
        Some((name, rest)) => (name, Some(rest.trim_end_matches(')'))),
        None => (key, None),
    };
    let (name, is_optional) = name.strip_suffix('?').map_or((name, false), |name| (name, true));
    let (kind, description) = match detail {
        Some(detail) => {
            let (word, description) = detail.split_once(',').unwrap_or((detail, ""));
            let kind = match word.trim() {
                "array" => list_of(one(value, place, name, notes).0),
                "enum" => Kind::Enum {
                    values: value
                        .as_array()
                        .into_iter()
                        .flatten()
                        .filter_map(Value::as_str)
                        .map(str::to_owned)
                        .collect(),
                },
                "object" => Kind::Object { properties: of_picoschema(value, place, notes) },
                other => {
                    notes.push(Note::new(
                        place,
                        format!("{name}: {other}"),
                        "is no type here; taken as a text",
                    ));
                    string()
                }
            };
            (kind, description.trim().to_owned())
        }
        None => one(value, place, name, notes),
    };
    Parameter { required: !is_optional, description, ..required(name, kind) }
}

/// `type, description`, or an object of fields.
fn one(value: &Value, place: &str, name: &str, notes: &mut Vec<Note>) -> (Kind, String) {
    let Some(text) = value.as_str() else {
        return (Kind::Object { properties: of_picoschema(value, place, notes) }, String::new());
    };
    let (word, description) = text.split_once(',').unwrap_or((text, ""));
    (scalar(word.trim(), place, name, notes), description.trim().to_owned())
}

fn scalar(word: &str, place: &str, name: &str, notes: &mut Vec<Note>) -> Kind {
    match word {
        "string" => string(),
        "integer" => Kind::Integer { minimum: None, maximum: None },
        "number" | "float" => Kind::Number { minimum: None, maximum: None },
        "boolean" | "bool" => Kind::Boolean,
        "array" | "list" => list_of(string()),
        "object" => Kind::Object { properties: Vec::new() },
        other => {
            notes.push(Note::new(place, format!("{name}: {other}"), "is no type here; taken as a text"));
            string()
        }
    }
}

/// Inputs of Prompty: a mapping of names to a type with a default or a sample, or to a sample alone.
pub(crate) fn of_inputs(inputs: &Map<String, Value>, place: &str, notes: &mut Vec<Note>) -> Vec<Parameter> {
    inputs
        .iter()
        .map(|(name, value)| {
            let Some(given) = value.as_object().filter(|m| m.contains_key("type")) else {
                return of_sample(name, value);
            };
            let default = given.get("default").filter(|v| !v.is_null()).cloned();
            let is_optional = given.get("required") == Some(&json!(false))
                || given.get("is_required") == Some(&json!(false));
            Parameter {
                required: default.is_none() && !is_optional,
                default,
                description: text(given.get("description")),
                example: given.get("sample").filter(|v| !v.is_null()).cloned(),
                ..required(name, scalar(&text(given.get("type")), place, name, notes))
            }
        })
        .collect()
}

/// What a sample says of a parameter.
pub(crate) fn of_sample(name: &str, sample: &Value) -> Parameter {
    let kind = match sample {
        Value::Bool(_) => Kind::Boolean,
        Value::Number(n) if n.is_f64() => Kind::Number { minimum: None, maximum: None },
        Value::Number(_) => Kind::Integer { minimum: None, maximum: None },
        Value::Array(items) => match items.first() {
            Some(first) => list_of(of_sample(name, first).kind),
            None => list_of(string()),
        },
        Value::Object(_) => Kind::Object { properties: Vec::new() },
        Value::String(_) | Value::Null => string(),
    };
    Parameter { example: Some(sample.clone()).filter(|v| !v.is_null()), ..required(name, kind) }
}

/// Leaves out what no prompt here could declare, and says so.
pub(crate) fn sound(parameters: Vec<Parameter>, place: &str, notes: &mut Vec<Note>) -> Vec<Parameter> {
    let mut out: Vec<Parameter> = Vec::new();
    for mut parameter in parameters {
        if let Err(errors) = validate(std::slice::from_ref(&parameter)) {
            let why = errors.first().map(|e| e.message.clone()).unwrap_or_default();
            let bare = Parameter { default: None, example: None, ..parameter.clone() };
            if validate(std::slice::from_ref(&bare)).is_err() {
                notes.push(Note::new(
                    place,
                    &parameter.name,
                    format!("is left out of the parameters: it {why}"),
                ));
                continue;
            }
            notes.push(Note::new(
                place,
                &parameter.name,
                format!("its default and example are left out: {why}"),
            ));
            parameter = bare;
        }
        out.push(parameter);
    }
    out
}

/// A parameter as picoschema: its key and value.
pub(crate) fn to_picoschema(parameters: &[Parameter]) -> Value {
    let fields = parameters.iter().map(|p| {
        let mark = if p.required { "" } else { "?" };
        let more = |word: &str| match p.description.is_empty() {
            true => format!("{}{mark}({word})", p.name),
            false => format!("{}{mark}({word}, {})", p.name, flat(&p.description)),
        };
        match &p.kind {
            Kind::Enum { values } => (more("enum"), json!(values)),
            Kind::List { items, .. } => (more("array"), pico(items)),
            Kind::Object { properties } if !properties.is_empty() => {
                (more("object"), to_picoschema(properties))
            }
            kind => {
                let word = pico(kind).as_str().unwrap_or("any").to_owned();
                let value =
                    if p.description.is_empty() { word } else { format!("{word}, {}", flat(&p.description)) };
                (format!("{}{mark}", p.name), json!(value))
            }
        }
    });
    Value::Object(fields.collect())
}

fn flat(text: &str) -> String {
    text.replace(['(', ')'], " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn pico(kind: &Kind) -> Value {
    match kind {
        Kind::String { .. } | Kind::Enum { .. } => json!("string"),
        Kind::Integer { .. } => json!("integer"),
        Kind::Number { .. } => json!("number"),
        Kind::Boolean => json!("boolean"),
        Kind::List { .. } => json!("any"),
        Kind::Object { properties } if properties.is_empty() => json!("any"),
        Kind::Object { properties } => to_picoschema(properties),
    }
}
