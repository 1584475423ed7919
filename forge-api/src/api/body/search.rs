//! What was found, starred and opened last.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::rfc3339;
use crate::search::mark::Part;
use crate::search::thing::Thing;
use crate::search::{Found, Hit};

/// A page of results, best first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FoundBody {
    pub items: Vec<HitBody>,
    /// Give it as `cursor` to go on; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Something that was found.
#[derive(Debug, Serialize, JsonSchema)]
pub struct HitBody {
    #[serde(flatten)]
    pub thing: ThingBody,
    /// Its id in parts, with what was looked for marked.
    pub title: Vec<PartBody>,
    /// What stands around the words in its description or text.
    pub excerpt: Vec<PartBody>,
}

/// A part of a text, as it is: nothing in it is escaped.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PartBody {
    pub text: String,
    /// Whether it was looked for.
    pub hit: bool,
}

/// A project, set, prompt or partial, with its place.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ThingBody {
    /// project, set, prompt or partial.
    pub kind: String,
    pub organisation: String,
    pub project: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
    /// What it is called in its place: a prompt's id, a partial's name, a slug.
    pub id: String,
    /// What people call it, where that is another name.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(default)]
    pub name: String,
    /// Of the set: editing, review or locked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub tags: Vec<String>,
    /// Whether it, or what it stands in, is archived.
    pub archived: bool,
    pub updated_at: String,
    /// The address of its page.
    pub page: String,
}

/// What is starred, by its names.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StarBody {
    /// project, set, prompt or partial.
    pub kind: String,
    /// Its id, or organisation:project.
    pub project: String,
    #[serde(default)]
    pub set: String,
    /// Of a prompt or a partial.
    #[serde(default)]
    pub id: String,
}

impl From<Thing> for ThingBody {
    fn from(thing: Thing) -> Self {
        Self {
            page: thing.href(),
            kind: thing.kind.as_str().into(),
            organisation: thing.organisation,
            project: thing.project,
            set: thing.set,
            id: thing.id,
            name: thing.name,
            state: thing.state,
            tags: thing.tags,
            archived: thing.archived,
            updated_at: rfc3339(thing.changed_at),
        }
    }
}

impl From<Part> for PartBody {
    fn from(part: Part) -> Self {
        Self { text: part.text, hit: part.hit }
    }
}

impl From<Hit> for HitBody {
    fn from(hit: Hit) -> Self {
        Self {
            thing: hit.thing.into(),
            title: hit.title.into_iter().map(Into::into).collect(),
            excerpt: hit.excerpt.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Found> for FoundBody {
    fn from(found: Found) -> Self {
        Self { items: found.hits.into_iter().map(Into::into).collect(), next: found.next }
    }
}
