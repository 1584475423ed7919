//! What is asked of a model.

use serde_json::{Map, Value};

/// Who says a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    System,
    User,
    Assistant,
}

/// One message.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    pub role: Role,
    pub text: String,
}

impl std::fmt::Debug for Message {
    /// The text is nobody's business.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} of {} bytes", self.role, self.text.len())
    }
}

/// A request to a model.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    pub messages: Vec<Message>,
    pub settings: Settings,
}

/// Settings that both protocols know, and the form of the answer for who knows that too.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    /// Most tokens of the answer.
    pub max_tokens: Option<u64>,
    /// The name that the author gave that bound, where it is the newer one.
    pub max_completion_tokens: Option<u64>,
    pub stop: Vec<String>,
    /// Chat completions only.
    pub response_format: Option<Value>,
}

impl Settings {
    /// Takes from a prompt's model settings what a run uses. Everything else, tools among it, is left out.
    #[must_use]
    pub fn of(model: &Map<String, Value>) -> Self {
        let number = |name: &str| model.get(name).and_then(Value::as_f64);
        let count = |name: &str| model.get(name).and_then(Value::as_u64);
        let stop = match model.get("stop").or_else(|| model.get("stop_sequences")) {
            Some(Value::String(one)) => vec![one.clone()],
            Some(Value::Array(many)) => {
                many.iter().filter_map(Value::as_str).take(4).map(str::to_owned).collect()
            }
            _ => Vec::new(),
        };
        Self {
            temperature: number("temperature"),
            top_p: number("top_p"),
            max_tokens: count("max_tokens").or_else(|| count("max_output_tokens")),
            max_completion_tokens: count("max_completion_tokens"),
            stop,
            response_format: model.get("response_format").filter(|f| f.is_object()).cloned(),
        }
    }
}
