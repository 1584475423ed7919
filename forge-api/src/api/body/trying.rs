//! Trying a prompt: rendered text and its length, variable sets, runs with a model.

use std::collections::BTreeMap;

use models::Model;
use schemars::JsonSchema;
use schemas::prompt::{Prompt, Role};
use schemas::template::RenderedMessage;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::super::runs::invalid_source;
use crate::author::{Given, Measure, Of, Rendered, Tried, VariableSet};
use crate::clock::rfc3339;
use crate::error::Result;

/// A prompt that is being written, and what a caller would give.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Preview {
    pub prompt: Prompt,
    #[serde(default)]
    pub values: Map<String, Value>,
    /// Messages of the caller, by the placeholder that they fill.
    #[serde(default)]
    pub history: BTreeMap<String, Vec<MessageBody>>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct MessageBody {
    pub role: Role,
    pub text: String,
}

/// What a caller would give.
pub(crate) fn given(values: Map<String, Value>, history: BTreeMap<String, Vec<MessageBody>>) -> Given {
    let messages = |found: Vec<MessageBody>| {
        found.into_iter().map(|m| RenderedMessage::new(m.role, m.text)).collect::<Vec<_>>()
    };
    Given { values, history: history.into_iter().map(|(name, found)| (name, messages(found))).collect() }
}

/// The rendered text, exactly, and how long it is.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PreviewBody {
    #[serde(flatten)]
    pub rendered: RenderedText,
    pub characters: u64,
    /// Of the text alone, without what a provider puts around a message.
    pub tokens: u64,
    /// The vocabulary that they were counted by.
    pub tokenizer: &'static str,
    /// Whether that is the one of the prompt's model; if not, the number is an approximation.
    pub tokens_exact: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RenderedText {
    Text { text: String },
    Messages { messages: Vec<MessageBody> },
}

impl PreviewBody {
    pub(crate) fn new(rendered: Rendered, measure: Measure) -> Self {
        let rendered = match rendered {
            Rendered::Text(text) => RenderedText::Text { text },
            Rendered::Messages(messages) => RenderedText::Messages {
                messages: messages.into_iter().map(|(role, text)| MessageBody { role, text }).collect(),
            },
        };
        Self {
            rendered,
            characters: measure.characters,
            tokens: measure.tokens,
            tokenizer: measure.family.as_str(),
            tokens_exact: measure.exact,
        }
    }
}

/// A stored prompt, and what a caller would give.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct RenderRequest {
    pub prompt: String,
    /// `draft`, or a version by its number, a range or an alias; the draft where neither this nor an environment is named.
    #[serde(default)]
    pub version: Option<String>,
    /// As the agents of this environment have it now.
    #[serde(default)]
    pub environment: Option<String>,
    #[serde(default)]
    pub values: Map<String, Value>,
    #[serde(default)]
    pub history: BTreeMap<String, Vec<MessageBody>>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct RenderedBody {
    /// `draft`, or the version.
    pub version: String,
    #[serde(flatten)]
    pub preview: PreviewBody,
}

impl From<Tried> for RenderedBody {
    fn from(tried: Tried) -> Self {
        Self { version: tried.version, preview: PreviewBody::new(tried.rendered, tried.measure) }
    }
}

/// A stored prompt, what a caller would give, and the model that it is sent to.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct RunRequest {
    // Not flattened: serde would then pass over fields that are not known.
    pub prompt: String,
    /// `draft`, or a version; the draft where neither this nor an environment is named.
    #[serde(default)]
    pub version: Option<String>,
    /// As the agents of this environment have it now.
    #[serde(default)]
    pub environment: Option<String>,
    #[serde(default)]
    pub values: Map<String, Value>,
    #[serde(default)]
    pub history: BTreeMap<String, Vec<MessageBody>>,
    /// `endpoint/model`, as the list of models names it.
    pub model: String,
}

impl RunRequest {
    /// What is rendered, and the model that it is sent to.
    pub(crate) fn parts(self) -> (RenderRequest, String) {
        let Self { prompt, version, environment, values, history, model } = self;
        (RenderRequest { prompt, version, environment, values, history }, model)
    }
}

impl RenderRequest {
    pub(crate) fn of(&self) -> Result<Of> {
        match (&self.version, &self.environment) {
            (Some(_), Some(_)) => Err(invalid_source()),
            (_, Some(environment)) => Ok(Of::Environment(environment.clone())),
            (Some(version), _) if !version.starts_with('@') => Ok(Of::parse(version)),
            (Some(version), _) => Ok(Of::Version(version.clone())),
            (None, None) => Ok(Of::Draft),
        }
    }
}

/// A model that prompts can be run with.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ModelBody {
    /// `endpoint/model`.
    pub name: String,
    /// Per million tokens.
    pub input_price: Option<f64>,
    pub output_price: Option<f64>,
    pub currency: String,
}

impl ModelBody {
    pub(crate) fn new(name: String, model: &Model, currency: &str) -> Self {
        Self {
            name,
            input_price: model.input_price,
            output_price: model.output_price,
            currency: currency.to_owned(),
        }
    }
}

/// Values to try a prompt with.
#[derive(Debug, Serialize, JsonSchema)]
pub struct VariableSetBody {
    pub prompt: String,
    pub name: String,
    pub values: Map<String, Value>,
    pub history: BTreeMap<String, Vec<MessageBody>>,
    pub revision: i64,
    pub updated_at: String,
    pub updated_by: String,
}

impl From<VariableSet> for VariableSetBody {
    fn from(found: VariableSet) -> Self {
        let body = |m: RenderedMessage| MessageBody { role: m.role, text: m.content };
        let history = found.given.history.into_iter();
        Self {
            prompt: found.prompt,
            name: found.name,
            values: found.given.values,
            history: history.map(|(name, m)| (name, m.into_iter().map(body).collect())).collect(),
            revision: found.revision,
            updated_at: rfc3339(found.updated_at),
            updated_by: found.updated_by,
        }
    }
}

/// A variable set as it is to be.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct PutVariableSet {
    /// Its name from now on; absent: it keeps the one in the address.
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub values: Map<String, Value>,
    #[serde(default)]
    pub history: BTreeMap<String, Vec<MessageBody>>,
}

/// The first event of a run.
#[derive(Debug, Serialize)]
pub struct Begun {
    pub version: String,
    pub model: String,
    /// Of the prompt, as FORGE counts them.
    pub tokens: u64,
    pub tokenizer: &'static str,
}

/// More of the answer.
#[derive(Debug, Serialize)]
pub struct More {
    pub text: String,
}

/// The last event of a run that ended well.
#[derive(Debug, Serialize)]
pub struct Done {
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// The endpoint did not count; FORGE did.
    pub estimated: bool,
    pub cost: Option<f64>,
    pub currency: String,
    pub first_ms: Option<u64>,
    pub total_ms: u64,
    pub stop: Option<String>,
}

/// The last event of a run that did not.
#[derive(Debug, Serialize)]
pub struct Failed {
    pub code: &'static str,
    pub detail: String,
}
