//! What can be changed of an organisation, a project and a set. What is left out stays.

use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OrganisationChange {
    /// For people; the name in addresses never changes.
    pub name: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectChange {
    /// For people; the name in addresses never changes.
    pub name: Option<String>,
    pub description: Option<String>,
    /// An archived project takes no drafts, publications or credentials; its agents go on.
    pub archived: Option<bool>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetChange {
    /// For people; the name in addresses never changes.
    pub name: Option<String>,
    pub description: Option<String>,
    pub tags: Option<Vec<String>>,
    /// An archived set takes no drafts and no publications; what is published stays with its agents.
    pub archived: Option<bool>,
}
