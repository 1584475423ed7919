//! The files of an archive, each with what it holds.

use std::collections::BTreeMap;

use schemas::Slug;
use schemas::canonical::Digest;
use schemas::prompt::{Partial, Prompt};
use serde::{Deserialize, Serialize};

use super::{Alias, Change, Locked, PartialChange, Requirement, VariableSet};

/// `forge.json`.
#[derive(Serialize, Deserialize)]
pub(super) struct Head {
    pub format: String,
    pub version: u32,
    pub organisation: String,
    pub project: String,
    pub sets: Vec<HeadSet>,
    pub files: BTreeMap<String, Digest>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct HeadSet {
    pub slug: Slug,
    pub name: String,
    pub description: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub archived: bool,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Draft {
    pub prompts: Vec<Prompt>,
    pub partials: Vec<Partial>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<Requirement>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Lock {
    pub versions: Vec<Locked>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Aliases {
    pub aliases: Vec<Alias>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Variables {
    pub variable_sets: Vec<VariableSet>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct History {
    pub changes: Vec<Change>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partials: Vec<PartialChange>,
}
