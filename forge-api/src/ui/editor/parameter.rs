//! A parameter as a row of the form, and back.
//!
//! Strings stand as they are; every other value stands as JSON. An empty field is no value, and two
//! quotes are the empty string.

use schemas::parameter::{Kind, Parameter};
use serde_json::{Value, json};

/// The types that the form offers, in its order.
pub(crate) const TYPES: [&str; 7] = ["string", "integer", "number", "boolean", "enum", "list", "object"];

/// One row as it was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Row {
    pub name: String,
    pub kind: String,
    pub required: bool,
    pub description: String,
    pub default: String,
    pub example: String,
    pub min: String,
    pub max: String,
    pub values: String,
    pub shape: String,
}

impl Row {
    /// A new parameter: the caller must give a text.
    pub(crate) fn named(name: &str) -> Self {
        Self { name: name.into(), kind: "string".into(), required: true, ..Self::default() }
    }

    pub(crate) fn of(parameter: &Parameter) -> Self {
        let mut row = Self {
            name: parameter.name.clone(),
            kind: kind_name(&parameter.kind).into(),
            required: parameter.required,
            description: parameter.description.clone(),
            default: shown(&parameter.kind, parameter.default.as_ref()),
            example: shown(&parameter.kind, parameter.example.as_ref()),
            ..Self::default()
        };
        let text = |n: Option<String>| n.unwrap_or_default();
        match &parameter.kind {
            Kind::String { min_length: min, max_length: max } => {
                (row.min, row.max) = (text(min.map(|n| n.to_string())), text(max.map(|n| n.to_string())));
            }
            Kind::Integer { minimum: min, maximum: max } => {
                (row.min, row.max) = (text(min.map(|n| n.to_string())), text(max.map(|n| n.to_string())));
            }
            Kind::Number { minimum: min, maximum: max } => {
                (row.min, row.max) = (text(min.map(|n| n.to_string())), text(max.map(|n| n.to_string())));
            }
            Kind::List { items, min_items: min, max_items: max } => {
                (row.min, row.max) = (text(min.map(|n| n.to_string())), text(max.map(|n| n.to_string())));
                row.shape = serde_json::to_string(items).unwrap_or_default();
            }
            Kind::Enum { values } => row.values = values.join("\n"),
            Kind::Object { properties } if !properties.is_empty() => {
                row.shape = serde_json::to_string(properties).unwrap_or_default();
            }
            Kind::Boolean | Kind::Object { .. } => {}
        }
        row
    }

    /// The parameter that the row describes.
    ///
    /// # Errors
    /// What is wrong and a value that works.
    pub(crate) fn parameter(&self) -> Result<Parameter, String> {
        let kind = self.parsed_kind()?;
        let default = value(&kind, &self.default).map_err(|e| format!("the default {e}"))?;
        let example = value(&kind, &self.example).map_err(|e| format!("the example {e}"))?;
        Ok(Parameter {
            name: self.name.trim().to_owned(),
            kind,
            required: self.required,
            default,
            description: self.description.clone(),
            example,
        })
    }

    fn parsed_kind(&self) -> Result<Kind, String> {
        let whole = |text: &str| bound::<u64>(text, "a whole number such as 200");
        Ok(match self.kind.as_str() {
            "integer" => Kind::Integer {
                minimum: bound(&self.min, "a whole number such as 0")?,
                maximum: bound(&self.max, "a whole number such as 100")?,
            },
            "number" => Kind::Number {
                minimum: bound(&self.min, "a number such as 0.5")?,
                maximum: bound(&self.max, "a number such as 99.5")?,
            },
            "boolean" => Kind::Boolean,
            "enum" => Kind::Enum {
                values: self
                    .values
                    .lines()
                    .map(str::trim)
                    .filter(|v| !v.is_empty())
                    .map(Into::into)
                    .collect(),
            },
            "list" => Kind::List {
                items: Box::new(shape(&self.shape, json!({ "type": "string" }), "{\"type\":\"string\"}")?),
                min_items: whole(&self.min)?,
                max_items: whole(&self.max)?,
            },
            "object" => Kind::Object {
                properties: shape(&self.shape, json!([]), "[{\"name\":\"id\",\"type\":\"string\"}]")?,
            },
            _ => Kind::String { min_length: whole(&self.min)?, max_length: whole(&self.max)? },
        })
    }

    /// What stands beside the name: `string · required`.
    pub(crate) fn summary(&self) -> String {
        match (self.required, self.default.as_str()) {
            (true, _) => format!("{} · required", self.kind),
            (false, "") => format!("{} · optional", self.kind),
            (false, default) => format!("{} · default {}", self.kind, super::clipped(default, 24)),
        }
    }

    /// A value to try the prompt with: the example, the default, or one that fits.
    pub(crate) fn trial(&self) -> String {
        if !self.example.is_empty() {
            return self.example.clone();
        }
        if !self.default.is_empty() {
            return self.default.clone();
        }
        match self.parameter() {
            Ok(parameter) => shown(&parameter.kind, Some(&fitting(&parameter.name, &parameter.kind))),
            Err(_) => String::new(),
        }
    }
}

pub(crate) fn kind_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::String { .. } => "string",
        Kind::Integer { .. } => "integer",
        Kind::Number { .. } => "number",
        Kind::Boolean => "boolean",
        Kind::Enum { .. } => "enum",
        Kind::List { .. } => "list",
        Kind::Object { .. } => "object",
    }
}

fn bound<T: std::str::FromStr>(text: &str, such: &str) -> Result<Option<T>, String> {
    match text.trim() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| format!("the bound {text:?} is not {such}")),
    }
}

fn shape<T: serde::de::DeserializeOwned>(text: &str, none: Value, such: &str) -> Result<T, String> {
    let value = match text.trim() {
        "" => none,
        text => {
            serde_json::from_str(text).map_err(|e| format!("the shape is not JSON ({e}); write {such}"))?
        }
    };
    serde_json::from_value(value).map_err(|e| format!("the shape does not fit ({e}); write {such}"))
}

/// A value as the form shows it.
pub(crate) fn shown(kind: &Kind, value: Option<&Value>) -> String {
    match (kind, value) {
        (_, None) => String::new(),
        (Kind::String { .. } | Kind::Enum { .. }, Some(Value::String(text)))
            if !text.is_empty() && text != "\"\"" =>
        {
            text.clone()
        }
        (_, Some(value)) => value.to_string(),
    }
}

/// Reads a value of a kind from a field; an empty field is none.
///
/// # Errors
/// What is wrong and a value that works.
pub(crate) fn value(kind: &Kind, text: &str) -> Result<Option<Value>, String> {
    if text.is_empty() || (text.trim().is_empty() && !matches!(kind, Kind::String { .. })) {
        return Ok(None);
    }
    if matches!(kind, Kind::String { .. } | Kind::Enum { .. }) {
        let empty = text.trim() == "\"\"";
        return Ok(Some(if empty { json!("") } else { json!(text) }));
    }
    serde_json::from_str(text.trim()).map(Some).map_err(|_| {
        let such = fitting("value", kind);
        match kind {
            Kind::Boolean => "is not a boolean; write true or false".to_owned(),
            Kind::List { .. } => format!("is not a list in JSON; write one such as {such}"),
            Kind::Object { .. } => format!("is not an object in JSON; write one such as {such}"),
            Kind::Integer { .. } => format!("is not an integer; write one such as {such}"),
            _ => format!("is not a number; write one such as {such}"),
        }
    })
}

/// A value that fits a kind, for trying and for saying how one looks.
fn fitting(name: &str, kind: &Kind) -> Value {
    match kind {
        Kind::String { max_length, .. } => {
            let most = max_length.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
            json!(name.replace('_', " ").chars().take(most).collect::<String>())
        }
        Kind::Integer { minimum, maximum } => json!(minimum.or(*maximum).unwrap_or(1)),
        Kind::Number { minimum, maximum } => json!(minimum.or(*maximum).unwrap_or(1.5)),
        Kind::Boolean => json!(true),
        Kind::Enum { values } => json!(values.first().map_or("", String::as_str)),
        Kind::List { items, .. } => json!([fitting("item", items)]),
        Kind::Object { properties } => {
            Value::Object(properties.iter().map(|p| (p.name.clone(), fitting(&p.name, &p.kind))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(parameter: &Value) {
        let parameter: Parameter = serde_json::from_value(parameter.clone()).unwrap();
        let row = Row::of(&parameter);
        assert_eq!(row.parameter(), Ok(parameter), "{row:?}");
    }

    #[test]
    fn every_parameter_survives_the_form() {
        for parameter in [
            json!({"name": "a", "type": "string", "required": true}),
            json!({"name": "a", "type": "string", "min_length": 1, "max_length": 9, "default": "", "example": "x y"}),
            json!({"name": "a", "type": "string", "default": "two\nlines", "description": "what it is"}),
            json!({"name": "a", "type": "integer", "minimum": -3, "maximum": 7, "default": 4}),
            json!({"name": "a", "type": "number", "minimum": 0.5, "default": 40.25, "example": 1.5}),
            json!({"name": "a", "type": "boolean", "default": false}),
            json!({"name": "a", "type": "enum", "values": ["trail", "ridge"], "default": "trail"}),
            json!({"name": "a", "type": "list", "items": {"type": "integer", "minimum": 1}, "max_items": 3,
                   "default": [1, 2]}),
            json!({"name": "a", "type": "object", "properties": [
                {"name": "id", "type": "string", "required": true},
                {"name": "tags", "type": "list", "items": {"type": "string"}}], "example": {"id": "FW-1"}}),
            json!({"name": "a", "type": "object"}),
        ] {
            round_trip(&parameter);
        }
    }

    #[test]
    fn a_wrong_value_is_answered_with_one_that_works() {
        let row = Row { kind: "integer".into(), default: "forty".into(), ..Row::named("limit") };
        assert_eq!(row.parameter(), Err("the default is not an integer; write one such as 1".into()));
        for (kind, says) in [
            ("number", "the default is not a number; write one such as 1.5"),
            ("boolean", "the default is not a boolean; write true or false"),
            ("list", "the default is not a list in JSON; write one such as [\"item\"]"),
            ("object", "the default is not an object in JSON; write one such as {}"),
        ] {
            let row = Row { kind: kind.into(), default: "forty".into(), ..Row::named("limit") };
            assert_eq!(row.parameter(), Err(says.into()));
        }
        let row = Row { kind: "list".into(), shape: "[".into(), ..Row::named("limit") };
        assert!(row.parameter().is_err_and(|e| e.contains("{\"type\":\"string\"}")));
        let row = Row { min: "few".into(), ..Row::named("limit") };
        assert!(row.parameter().is_err_and(|e| e.contains("\"few\"")));
    }

    #[test]
    fn a_parameter_without_example_gets_a_value_that_fits() {
        assert_eq!(Row::named("customer_name").trial(), "customer name");
        let row = Row { kind: "enum".into(), values: "trail\nridge".into(), ..Row::named("tier") };
        assert_eq!(row.trial(), "trail");
        let row = Row {
            kind: "object".into(),
            shape: "[{\"name\":\"id\",\"type\":\"integer\"}]".into(),
            ..Row::named("o")
        };
        assert_eq!(row.trial(), "{\"id\":1}");
    }
}
