//! A whole draft made again what a version was.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ItemKind;
use crate::author::Restored;
use crate::author::restore::{Taken, Touched};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreVersionRequest {
    pub version: String,
    /// Digest of the draft that was looked at; another one is refused.
    #[serde(default)]
    pub draft_digest: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct RestoredBody {
    pub version: String,
    /// They are in the version only.
    pub added: Vec<TouchedBody>,
    /// They are in both, with another content or under another name.
    pub changed: Vec<TouchedBody>,
    /// They were in the draft only.
    pub archived: Vec<TouchedBody>,
    /// Prompts and partials that stayed as they were.
    pub unchanged: usize,
    /// Sets that partials are taken from, where that changed or comes to another version than it did.
    pub dependencies: Vec<TakenBody>,
    /// Of the draft as it is now.
    pub draft_digest: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct TouchedBody {
    pub kind: ItemKind,
    pub id: String,
    /// What it was called in the draft, where that was something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct TakenBody {
    pub set: String,
    /// new, changed, removed or unchanged.
    pub change: String,
    /// The range that is asked for; where it is removed, the one that was.
    pub requirement: String,
    /// What that came to in the version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub was: Option<String>,
    /// What it comes to now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<String>,
}

impl From<Touched> for TouchedBody {
    fn from(one: Touched) -> Self {
        Self { kind: one.item.into(), id: one.name, from: one.from }
    }
}

impl From<Taken> for TakenBody {
    fn from(one: Taken) -> Self {
        Self {
            set: one.set,
            change: one.change.as_str().to_owned(),
            requirement: one.requirement,
            was: one.was,
            now: one.now,
        }
    }
}

impl From<Restored> for RestoredBody {
    fn from(done: Restored) -> Self {
        let bodies = |all: Vec<Touched>| -> Vec<TouchedBody> { all.into_iter().map(Into::into).collect() };
        Self {
            version: done.version,
            added: bodies(done.added),
            changed: bodies(done.changed),
            archived: bodies(done.archived),
            unchanged: done.unchanged,
            dependencies: done.dependencies.into_iter().map(Into::into).collect(),
            draft_digest: done.draft_digest.to_string(),
        }
    }
}
