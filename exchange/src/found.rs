//! What was found in a file.

use std::collections::BTreeMap;

use schemas::canonical::{Digest, to_canonical};
use schemas::prompt::{Partial, Prompt};

use crate::archive::Archive;
use crate::format::Format;

/// Prompts and partials that belong together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Content {
    /// Sorted by id.
    pub prompts: Vec<Prompt>,
    /// Sorted by name.
    pub partials: Vec<Partial>,
}

impl Content {
    /// Brings both into the order of their names.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.prompts.sort_by(|a, b| a.id.cmp(&b.id));
        self.partials.sort_by(|a, b| a.name.cmp(&b.name));
        self
    }
}

/// The digest of each prompt (`prompts/<id>`) and partial (`partials/<name>`).
pub type Digests = BTreeMap<String, Digest>;

impl Content {
    /// What each part is, in short.
    #[must_use]
    pub fn digests(&self) -> Digests {
        let of = |bytes: Vec<u8>| Digest::of(&bytes);
        let prompts = self
            .prompts
            .iter()
            .map(|p| (format!("prompts/{}", p.id), of(to_canonical(p).unwrap_or_default())));
        let partials =
            self.partials.iter().map(|p| (format!("partials/{}", p.name), Digest::of(p.source.as_bytes())));
        prompts.chain(partials).collect()
    }
}

/// Something that the reader of a report has to know: it was kept otherwise, or not at all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// The file or prompt, and the line where there is one.
    pub place: String,
    /// What stands there.
    pub what: String,
    /// What became of it, and why.
    pub why: String,
}

impl Note {
    pub(crate) fn new(place: impl Into<String>, what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { place: place.into(), what: shown(&what.into()), why: why.into() }
    }
}

/// The beginning of a text, for a message.
pub(crate) fn shown(text: &str) -> String {
    let mut out: String = text.chars().take(120).collect();
    if out.len() < text.len() {
        out.push('…');
    }
    out
}

/// What a file holds, in our terms.
#[derive(Debug, Clone)]
pub struct Found {
    pub format: Format,
    pub content: Content,
    /// What was not taken over as it stands.
    pub notes: Vec<Note>,
    /// The whole archive, where it is one of ours.
    pub archive: Option<Archive>,
    /// What the set held when the files were taken from it, where they say so.
    pub base: Option<Digests>,
}

/// Why a file is refused, whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    /// For programs, such as `too_large`.
    pub code: &'static str,
    /// For people: what is wrong, and where.
    pub detail: String,
}

impl Refusal {
    pub(crate) fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }

    pub(crate) fn unreadable(place: &str, why: impl std::fmt::Display) -> Self {
        Self::new("unreadable", format!("{place}: {why}"))
    }
}

pub(crate) type Result<T> = std::result::Result<T, Refusal>;
