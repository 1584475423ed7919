//! What is wrong with a template, and why a render stopped. Neither ever holds a value.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::PromptId;
use crate::parameter::ParameterErrors;

/// Something that an author has to know about a prompt, with its place in the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
pub struct TemplateError {
    /// The prompt that was compiled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<PromptId>,
    /// The partial that the place is in, where it is not the prompt itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<PromptId>,
    /// Which entry of a chat the place is in, counted from 0, placeholders included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_index: Option<usize>,
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// The line that the place is in.
    pub source_line: String,
    /// What is wrong and what the way out is.
    pub message: String,
    pub code: TemplateErrorCode,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(prompt) = &self.prompt {
            write!(f, "prompt {prompt}, ")?;
        }
        if let Some(index) = self.message_index {
            write!(f, "message {}, ", index + 1)?;
        }
        if let Some(partial) = &self.partial {
            write!(f, "partial {partial}, ")?;
        }
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}

impl TemplateError {
    /// Whether the prompt works in spite of it.
    #[must_use]
    pub fn is_warning(&self) -> bool {
        self.code == TemplateErrorCode::UnusedParameter
    }
}

/// The kind of a [`TemplateError`], for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TemplateErrorCode {
    /// The template does not read as Tera.
    Syntax,
    UnknownFilter,
    UnknownFunction,
    UnknownTest,
    UnknownPartial,
    IncludeCycle,
    /// It would cost too much to compile or render.
    TooComplex,
    /// The source is too long.
    TooLong,
    /// A variable is used that the prompt does not declare.
    UndeclaredParameter,
    /// A warning: a parameter is declared and not used.
    UnusedParameter,
    /// A declaration is wrong: its name, its bounds, its default.
    InvalidParameter,
    /// Tera could do it; here it is not allowed.
    Forbidden,
    /// FORGE's editor merged two texts here, and nobody decided between them.
    Unmerged,
    /// A code that this program does not know.
    #[serde(other)]
    Unknown,
}

/// A place in a template at render time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderPlace {
    pub prompt: PromptId,
    /// The partial that the place is in, where it is not the prompt itself.
    pub partial: Option<PromptId>,
    /// Which entry of a chat, counted from 0.
    pub message_index: Option<usize>,
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
}

impl fmt::Display for RenderPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "prompt {}, ", self.prompt)?;
        if let Some(index) = self.message_index {
            write!(f, "message {}, ", index + 1)?;
        }
        if let Some(partial) = &self.partial {
            write!(f, "partial {partial}, ")?;
        }
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// What a render may use at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Limit {
    /// Work: [`super::FUEL`] units.
    Work,
    /// One text built on the way: [`super::TEXT_MAX`] bytes.
    Text,
    /// The rendered text: [`super::OUTPUT_MAX`] bytes.
    Output,
    /// Lists and objects in one another: [`super::DEPTH_MAX`].
    Depth,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Work => f.write_str("it needs more work than a render may take"),
            Self::Text => write!(f, "it builds a text of more than {} bytes", super::TEXT_MAX),
            Self::Output => write!(f, "it writes more than {} bytes", super::OUTPUT_MAX),
            Self::Depth => write!(f, "it nests values more than {} deep", super::DEPTH_MAX),
        }
    }
}

/// Why a prompt was not rendered. The text names the prompt, and never a value.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    #[error("{0}")]
    Parameters(Box<ParameterErrors>),
    #[error("{place}: {message}")]
    Template { place: Box<RenderPlace>, message: String },
    #[error("{place}: {limit}; use smaller values or a simpler template")]
    Limit { place: Box<RenderPlace>, limit: Limit },
    #[error("prompt {prompt} is a chat: ask for its messages")]
    IsChat { prompt: PromptId },
    #[error("prompt {prompt} is one text: ask for its text")]
    IsText { prompt: PromptId },
    #[error("prompt {prompt} has no placeholder {name:?} to put a history into")]
    UnknownPlaceholder { prompt: PromptId, name: String },
    #[error("prompt {prompt}: the values cannot be used: {message}")]
    Values { prompt: PromptId, message: String },
    #[error("prompt {prompt}: the template engine failed; this is a fault of the program")]
    Internal { prompt: PromptId },
}
