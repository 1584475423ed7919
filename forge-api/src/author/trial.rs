//! A prompt as it is stored, tried: as the draft has it, as a version has it, or as the agents of an
//! environment have it now. It is rendered by the code that agents render with.

use models::{Estimate, Family};
use schemas::bundle::Bundle;
use schemas::prompt::{Partial, Prompt};

use super::SetAt;
use super::item::Item;
use super::preview::{Given, Rendered, rendered};
use super::rename::renamed;
use crate::alias;
use crate::aside::{PREVIEWS, aside};
use crate::auth::{Action, Actor};
use crate::author;
use crate::error::{ApiError, Result};
use crate::lock;
use crate::publish;
use crate::state::AppState;

/// Whose text of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Of {
    /// As it is being written.
    Draft,
    /// Of a version, by its number, a range or an alias.
    Version(String),
    /// What is live in an environment.
    Environment(String),
}

impl Of {
    /// Reads it as addresses have it: `draft`, `2.1.0`, `@prod`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match (text.trim(), text.trim().strip_prefix('@')) {
            (_, Some(environment)) => Self::Environment(environment.to_owned()),
            ("" | publish::DRAFT, None) => Self::Draft,
            (version, None) => Self::Version(version.to_owned()),
        }
    }
}

/// How long a rendered text is.
#[derive(Debug, Clone, Copy)]
pub struct Measure {
    pub characters: u64,
    /// Of the text alone, without what a provider puts around a message.
    pub tokens: u64,
    pub family: Family,
    /// Whether the family is that of the prompt's model.
    pub exact: bool,
}

impl Measure {
    /// Measures what was rendered from a prompt. Takes time in proportion to the text.
    pub(crate) fn of(prompt: &Prompt, rendered: &Rendered) -> Self {
        let model = prompt.model.get("model").and_then(|m| m.as_str()).unwrap_or_default();
        let (family, exact) = Family::of_model(model);
        let texts: Vec<&str> = match rendered {
            Rendered::Text(text) => vec![text],
            Rendered::Messages(messages) => messages.iter().map(|(_, text)| text.as_str()).collect(),
        };
        Self {
            characters: texts.iter().map(|t| t.chars().count() as u64).sum(),
            tokens: texts.iter().map(|t| family.count(t)).sum(),
            family,
            exact,
        }
    }
}

impl From<Measure> for Estimate {
    fn from(measure: Measure) -> Self {
        Self { tokens: measure.tokens, family: measure.family, exact: measure.exact }
    }
}

/// A prompt with what it needs to be rendered.
#[derive(Debug, Clone)]
pub struct Stored {
    /// `draft`, or the version.
    pub version: String,
    pub prompt: Prompt,
    pub partials: Vec<Partial>,
}

/// A prompt that was rendered.
#[derive(Debug, Clone)]
pub struct Tried {
    /// `draft`, or the version.
    pub version: String,
    pub prompt: Prompt,
    pub rendered: Rendered,
    pub measure: Measure,
}

/// Reads a prompt, by its name or one that it had.
///
/// # Errors
/// [`ApiError::NotFound`]: no such version or environment, nothing live there, or no such prompt in it.
pub async fn stored(state: &AppState, actor: &Actor, set: &SetAt, of: &Of, prompt: &str) -> Result<Stored> {
    match called(state, actor, set, of, prompt).await {
        Err(ApiError::NotFound("prompt")) => {
            let now = renamed(state, actor, set, Item::Prompt, prompt).await?;
            called(state, actor, set, of, &now).await
        }
        found => found,
    }
}

/// Reads a prompt by the name that it has there.
async fn called(state: &AppState, actor: &Actor, set: &SetAt, of: &Of, prompt: &str) -> Result<Stored> {
    set.at.require(actor, Action::View)?;
    let (version, body) = match of {
        Of::Draft => {
            let draft = author::draft(state, actor, set).await?;
            let partials = draft.partials();
            let found = draft.prompts.into_iter().find(|p| p.prompt.id.as_str() == prompt);
            let prompt = found.ok_or(ApiError::NotFound("prompt"))?.prompt;
            return Ok(Stored { version: publish::DRAFT.to_owned(), prompt, partials });
        }
        Of::Version(version) => {
            let row = alias::resolve(state, actor, set, version).await?;
            let body = lock::version_body(state, actor, set, &row).await?;
            (row.version, body)
        }
        Of::Environment(environment) => {
            let environment = author::find_environment(state, actor, &set.at, environment).await?;
            let (full, body) = publish::current_bundle(state, actor, set, &environment).await?;
            (full.version.version, body)
        }
    };
    let id = prompt.to_owned();
    aside(&PREVIEWS, move || {
        let bundle = Bundle::from_body(&body)?;
        let found = bundle.prompts.into_iter().find(|p| p.id.as_str() == id);
        let prompt = found.ok_or(ApiError::NotFound("prompt"))?;
        Ok(Stored { version, prompt, partials: bundle.partials })
    })
    .await
}

/// Renders and measures a prompt.
///
/// # Errors
/// As [`stored`] and [`author::render`].
pub async fn try_prompt(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    of: &Of,
    prompt: &str,
    given: Given,
) -> Result<Tried> {
    let stored = stored(state, actor, set, of, prompt).await?;
    stored.tried(given).await
}

impl Stored {
    /// Renders and measures it.
    ///
    /// # Errors
    /// As [`author::render`].
    pub async fn tried(self, given: Given) -> Result<Tried> {
        aside(&PREVIEWS, move || {
            let Self { version, prompt, partials } = self;
            let rendered = rendered(&prompt, &partials, given)?;
            let measure = Measure::of(&prompt, &rendered);
            Ok(Tried { version, prompt, rendered, measure })
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_text_it_is_stands_in_one_word() {
        assert_eq!(Of::parse("draft"), Of::Draft);
        assert_eq!(Of::parse(""), Of::Draft);
        assert_eq!(Of::parse(" 2.1.0-a+b "), Of::Version("2.1.0-a+b".into()));
        assert_eq!(Of::parse("@prod"), Of::Environment("prod".into()));
    }
}
