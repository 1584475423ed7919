//! Typed parameters of a prompt: the contract between who writes it and who calls it.
//!
//! | module | what it does |
//! |---|---|
//! | [`declaration`] | is a list of parameters sound: names, bounds, defaults |
//! | [`check`] | do given values fit it; every problem at once, and never a value in an error |
//! | [`default`] | fills in what was not given |
//! | [`json_schema`] | exports it as JSON Schema 2020-12 |
//!
//! A number without a fraction is a number, not an integer, when it is written as one (`3.0`); an
//! integer is always also a number. A null is the same as a value that is not given.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub mod check;
pub mod declaration;
pub mod default;
pub mod json_schema;

pub use check::{ParameterError, ParameterErrorCode, ParameterErrors};
pub use declaration::{DeclarationError, PARAMETERS_MAX, validate};
pub use json_schema::to_json_schema;

/// One parameter of a prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Parameter {
    /// `[A-Za-z_][A-Za-z0-9_]*`, not starting with `__`, not `loop`.
    pub name: String,
    #[serde(flatten)]
    pub kind: Kind,
    /// A required parameter must be given; one that is not takes its default, or is undefined.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub example: Option<Value>,
}

/// The type of a value, with its bounds (all inclusive).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Kind {
    String {
        /// In characters.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min_length: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_length: Option<u64>,
    },
    Integer {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        minimum: Option<i64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        maximum: Option<i64>,
    },
    Number {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        minimum: Option<f64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        maximum: Option<f64>,
    },
    Boolean,
    Enum {
        values: Vec<String>,
    },
    List {
        items: Box<Kind>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min_items: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_items: Option<u64>,
    },
    /// With no properties named, any object is taken.
    Object {
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        properties: Vec<Parameter>,
    },
}

impl Kind {
    /// The word for it in messages, as it is written in `type`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::String { .. } => "string",
            Self::Integer { .. } => "integer",
            Self::Number { .. } => "number",
            Self::Boolean => "boolean",
            Self::Enum { .. } => "enum",
            Self::List { .. } => "list",
            Self::Object { .. } => "object",
        }
    }
}
