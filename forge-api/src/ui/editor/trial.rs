//! Trying beside the text: saved values, messages of the caller, and the text as the agents have it now.

use schemas::template::RenderedMessage;
use serde::Serialize;

use super::base;
use super::typed::{PLACEHOLDER, Typed, What};
use crate::author::{self, Given, SetAt};
use crate::state::AppState;
use crate::ui::fault::Fault;
use crate::ui::playground::{Column, Texts, messages, now_in};
use crate::ui::view::Choice;
use crate::ui::visitor::Visitor;

/// What the editor offers besides the values themselves.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Trial {
    /// Saved values, after the examples and defaults.
    pub sets: Vec<Choice>,
    /// Whether any are saved.
    pub has_sets: bool,
    /// The variable set that the values came from; empty: none.
    pub name: String,
    pub revision: i64,
    pub name_as: String,
    /// Whose text can stand beside the preview.
    pub environments: Vec<Choice>,
    pub placeholders: Vec<Spoken>,
    pub playground: String,
}

/// The messages for a placeholder, as text.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Spoken {
    pub name: String,
    pub text: String,
    pub rows: usize,
}

pub(super) async fn trial(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    typed: &Typed,
) -> Result<Trial, Fault> {
    if typed.what == What::Partial {
        return Ok(Trial::default());
    }
    let saved = author::variable_sets(state, &visitor.actor, set, &typed.name).await?;
    let environments = author::environments(state, &visitor.actor, &set.at).await?;
    let choice = |value: &str, text: String, chosen: &str| Choice {
        value: value.to_owned(),
        text,
        chosen: value == chosen,
    };
    Ok(Trial {
        has_sets: !saved.is_empty(),
        sets: std::iter::once(choice("", "Examples and defaults".into(), &typed.variables))
            .chain(saved.iter().map(|s| choice(&s.name, s.name.clone(), &typed.variables)))
            .collect(),
        name: typed.loaded.name.clone(),
        revision: typed.loaded.revision,
        name_as: typed.loaded.name_as.clone(),
        environments: environments
            .iter()
            .map(|e| choice(&e.slug, format!("as the agents in {} have it now", e.slug), &typed.beside))
            .collect(),
        placeholders: typed
            .placeholders()
            .map(|name| {
                let text = typed.spoken_of(name);
                Spoken {
                    name: name.to_owned(),
                    rows: text.lines().count().clamp(2, 8),
                    text: text.to_owned(),
                }
            })
            .collect(),
        playground: format!("{}/-/playground", base(set)),
    })
}

/// The text as the agents of the chosen environment have it now, on the same values.
pub(super) async fn beside(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    typed: &Typed,
) -> Result<Option<Column>, Fault> {
    if typed.beside.is_empty() || typed.what == What::Partial {
        return Ok(None);
    }
    let values = typed.parameters.iter().map(|row| (row.name.clone(), typed.trial(row))).collect();
    let texts = Texts { prompt: typed.name.clone(), values, history: typed.history.clone() };
    Ok(Some(now_in(state, visitor, set, &typed.beside, texts).await?))
}

impl Typed {
    /// The placeholders of the text, each name once.
    pub(super) fn placeholders(&self) -> impl Iterator<Item = &str> {
        let names = || self.parts.iter().filter(|p| p.role == PLACEHOLDER).map(|p| p.text.trim());
        names().enumerate().filter(move |(i, name)| !names().take(*i).any(|n| n == *name)).map(|(_, n)| n)
    }

    pub(super) fn spoken_of(&self, placeholder: &str) -> &str {
        self.history.iter().find(|(name, _)| name == placeholder).map_or("", |(_, text)| text)
    }

    /// The messages that fill a placeholder; none where they do not read.
    pub(super) fn said_at(&self, placeholder: &str) -> Vec<RenderedMessage> {
        messages(self.spoken_of(placeholder)).unwrap_or_default()
    }

    /// What the preview is given, and what of it does not read.
    pub(super) fn given(&self) -> (Given, Vec<String>) {
        let (values, mut refusals) = self.trials();
        let mut given = Given { values, history: Vec::new() };
        for name in self.placeholders() {
            match messages(self.spoken_of(name)) {
                Ok(found) if found.is_empty() => {}
                Ok(found) => given.history.push((name.to_owned(), found)),
                Err(what) => refusals.push(format!("The messages of {name} {what}")),
            }
        }
        (given, refusals)
    }
}
