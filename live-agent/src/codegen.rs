//! Typed access to a locked version: its prompts as functions for Rust, and as types for TypeScript,
//! Python and whatever reads JSON Schema.
//!
//! What is written depends on nothing but the version, so that it can be written again and compared. Names
//! are made legal and unique; a description or an enum's value can be anything, and stays within its
//! comment or literal.
//!
//! ```
//! use live_agent::codegen::{self, Language};
//! # use schemas::{canonical::Digest, prompt::Prompt};
//! let prompt: Prompt = serde_json::from_str(
//!     r#"{ "id": "welcome.message", "content": { "type": "text", "template": "Hello {{ name }}" },
//!          "parameters": [{ "name": "name", "type": "string", "required": true }] }"#,
//! )?;
//! let (set, version) = ("welcome".parse()?, "1.0.0".parse()?);
//! let written = codegen::write(Language::Rust, &set, &version, &Digest::of(b"the set as bytes"), &[prompt]);
//! assert!(written.contains("pub fn welcome_message(agent: &::live_agent::LiveAgent, name: &str)"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | what it does |
//! |---|---|
//! | `rust`, `typescript`, `python`, `json_schema` | one language each |
//! | `names` | names that are legal and unique |
//! | `text` | comments and literals that nothing breaks out of |

use std::str::FromStr;

use schemas::canonical::Digest;
use schemas::contract::Contract;
use schemas::parameter::{Kind, Parameter};
use schemas::prompt::{Content, Message, Prompt};
use schemas::{Slug, Version};

mod json_schema;
mod names;
mod python;
mod rust;
mod text;
mod typescript;

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Language {
    /// A module: one function a prompt, and the contract.
    Rust,
    /// A schema of the object that has the values of each prompt under its id (2020-12).
    JsonSchema,
    /// A module of types.
    TypeScript,
    /// A module of `TypedDict`s; Python 3.11 or newer.
    Python,
}

impl Language {
    /// All of them, in the order of [`Language::name`]s in messages.
    pub const ALL: [Self; 4] = [Self::Rust, Self::JsonSchema, Self::TypeScript, Self::Python];

    /// As the command line has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::JsonSchema => "json-schema",
            Self::TypeScript => "typescript",
            Self::Python => "python",
        }
    }
}

/// A word that is no [`Language`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of rust, json-schema, typescript, python")]
pub struct UnknownLanguage(String);

impl FromStr for Language {
    type Err = UnknownLanguage;
    fn from_str(word: &str) -> Result<Self, UnknownLanguage> {
        let known = Self::ALL.into_iter().find(|language| language.name().eq_ignore_ascii_case(word));
        known.ok_or_else(|| UnknownLanguage(word.chars().take(40).collect()))
    }
}

/// Writes the prompts of a version. The same version gives the same text.
#[must_use]
pub fn write(
    language: Language,
    set: &Slug,
    version: &Version,
    digest: &Digest,
    prompts: &[Prompt],
) -> String {
    let mut sorted: Vec<&Prompt> = prompts.iter().collect();
    sorted.sort_by(|a, b| a.id.cmp(&b.id));
    let source = Source {
        set: set.as_str(),
        version: version.to_string(),
        digest: digest.to_string(),
        command: format!("live codegen --language {} --set {set}", language.name()),
        contract: Contract::of(set.clone(), version.clone(), sorted.iter().copied()),
        prompts: sorted,
    };
    match language {
        Language::Rust => rust::write(&source),
        Language::JsonSchema => json_schema::write(&source),
        Language::TypeScript => typescript::write(&source),
        Language::Python => python::write(&source),
    }
}

/// What every language is written from.
struct Source<'p> {
    set: &'p str,
    version: String,
    digest: String,
    command: String,
    contract: Contract,
    /// Sorted by id.
    prompts: Vec<&'p Prompt>,
}

impl Source<'_> {
    /// The first lines, for people: what this is, and how it is made anew.
    fn header(&self) -> [String; 3] {
        [
            format!("The prompts of the set {}, version {}.", self.set, self.version),
            format!("Written by \"{}\"; write it again instead of changing it.", self.command),
            format!("Content: {}", self.digest),
        ]
    }
}

/// The placeholders of a chat, each once; none where it is a text.
fn placeholders(prompt: &Prompt) -> Option<Vec<&str>> {
    let Content::Chat { messages } = &prompt.content else { return None };
    let mut names: Vec<&str> = Vec::new();
    for message in messages {
        if let Message::Placeholder { name } = message
            && !names.contains(&name.as_str())
        {
            names.push(name);
        }
    }
    Some(names)
}

/// What a type cannot say of a parameter, for people: `integer, at least 1; default 3`.
fn remark(parameter: &Parameter) -> String {
    let mut said = bounds(&parameter.kind);
    if let Some(default) = &parameter.default {
        said.push(format!("default {default}"));
    }
    said.join(", ")
}

fn bounds(kind: &Kind) -> Vec<String> {
    fn between<T: std::fmt::Display>(low: Option<&T>, high: Option<&T>, unit: &str) -> Vec<String> {
        let low = low.map(|n| format!("at least {n}{unit}"));
        low.into_iter().chain(high.map(|n| format!("at most {n}{unit}"))).collect()
    }
    match kind {
        Kind::String { min_length, max_length } => {
            between(min_length.as_ref(), max_length.as_ref(), " characters")
        }
        Kind::Integer { minimum, maximum } => {
            let said = between(minimum.as_ref(), maximum.as_ref(), "");
            ["an integer".to_owned()].into_iter().chain(said).collect()
        }
        Kind::Number { minimum, maximum } => between(minimum.as_ref(), maximum.as_ref(), ""),
        Kind::List { min_items, max_items, .. } => between(min_items.as_ref(), max_items.as_ref(), " items"),
        Kind::Boolean | Kind::Enum { .. } | Kind::Object { .. } => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_is_known_by_its_name() {
        for language in Language::ALL {
            assert_eq!(language.name().parse(), Ok(language));
        }
        assert!("cobol".parse::<Language>().unwrap_err().to_string().contains("typescript"));
    }
}
