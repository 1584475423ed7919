//! The export of parameters as JSON Schema 2020-12, for tools and language bindings.

use serde_json::{Map, Value, json};

use super::{Kind, Parameter};

/// The schema of the object that holds all values of a prompt.
#[must_use]
pub fn to_json_schema(parameters: &[Parameter]) -> Value {
    let mut schema = object(parameters);
    schema.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    Value::Object(schema)
}

fn object(parameters: &[Parameter]) -> Map<String, Value> {
    let mut schema = Map::new();
    schema.insert("type".into(), json!("object"));
    let properties: Map<String, Value> =
        parameters.iter().map(|parameter| (parameter.name.clone(), Value::Object(one(parameter)))).collect();
    schema.insert("properties".into(), Value::Object(properties));
    let required: Vec<&str> = parameters.iter().filter(|p| p.required).map(|p| p.name.as_str()).collect();
    if !required.is_empty() {
        schema.insert("required".into(), json!(required));
    }
    schema.insert("additionalProperties".into(), json!(false));
    schema
}

fn one(parameter: &Parameter) -> Map<String, Value> {
    let mut schema = kind(&parameter.kind);
    if !parameter.description.is_empty() {
        schema.insert("description".into(), json!(parameter.description));
    }
    if let Some(default) = &parameter.default {
        schema.insert("default".into(), default.clone());
    }
    if let Some(example) = &parameter.example {
        schema.insert("examples".into(), json!([example]));
    }
    schema
}

fn kind(kind: &Kind) -> Map<String, Value> {
    let mut schema = Map::new();
    let mut set = |key: &str, value: Value| {
        if !value.is_null() {
            schema.insert(key.to_owned(), value);
        }
    };
    match kind {
        Kind::String { min_length, max_length } => {
            set("type", json!("string"));
            set("minLength", json!(min_length));
            set("maxLength", json!(max_length));
        }
        Kind::Integer { minimum, maximum } => {
            set("type", json!("integer"));
            set("minimum", json!(minimum));
            set("maximum", json!(maximum));
        }
        Kind::Number { minimum, maximum } => {
            set("type", json!("number"));
            set("minimum", json!(minimum));
            set("maximum", json!(maximum));
        }
        Kind::Boolean => set("type", json!("boolean")),
        Kind::Enum { values } => {
            set("type", json!("string"));
            set("enum", json!(values));
        }
        Kind::List { items, min_items, max_items } => {
            set("type", json!("array"));
            set("items", Value::Object(self::kind(items)));
            set("minItems", json!(min_items));
            set("maxItems", json!(max_items));
        }
        Kind::Object { properties } if properties.is_empty() => set("type", json!("object")),
        Kind::Object { properties } => return object(properties),
    }
    schema
}
