//! A prompt: what a context engineer writes and an agent renders.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::names::PromptId;
use crate::parameter::Parameter;

/// One prompt of a set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Prompt {
    pub id: PromptId,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default)]
    pub engine: Engine,
    pub content: Content,
    /// In the order of the author; names are unique.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Parameter>,
    /// Model settings as the author wrote them: provider, model, temperature, tools.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub model: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// How the text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// A Tera template, bounded by the guard.
    #[default]
    Tera,
    /// Plain text: braces are only braces.
    Plain,
}

/// A text, or the messages of a chat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Content {
    Text { template: String },
    Chat { messages: Vec<Message> },
}

/// One entry of a chat: a message to render, or the place where the caller's history goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Message {
    Message {
        role: Role,
        template: String,
    },
    /// The caller fills in the messages of `name` here.
    Placeholder {
        name: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    System,
    User,
    Assistant,
    Tool,
    /// A role that this version does not know.
    #[serde(other)]
    Other,
}

/// A text that prompts of the same set include by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Partial {
    pub name: PromptId,
    pub source: String,
}

impl Prompt {
    /// A text prompt with no parameters, for tests and imports.
    #[must_use]
    pub fn text(id: PromptId, template: impl Into<String>) -> Self {
        Self {
            id,
            description: String::new(),
            engine: Engine::Tera,
            content: Content::Text { template: template.into() },
            parameters: Vec::new(),
            model: Map::new(),
            metadata: Map::new(),
            tags: Vec::new(),
        }
    }

    /// Every template of the prompt in order: the text, or one of each chat message.
    pub fn templates(&self) -> impl Iterator<Item = &str> {
        let (text, messages) = match &self.content {
            Content::Text { template } => (Some(template.as_str()), &[][..]),
            Content::Chat { messages } => (None, messages.as_slice()),
        };
        text.into_iter().chain(messages.iter().filter_map(|m| match m {
            Message::Message { template, .. } => Some(template.as_str()),
            Message::Placeholder { .. } => None,
        }))
    }
}
