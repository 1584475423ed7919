//! Aliases, dependencies, and what an address leads to.

use schemars::JsonSchema;
use schemas::bundle::Dependency;
use schemas::prompt::Prompt;
use serde::{Deserialize, Serialize};

use crate::alias::{Named as NamedVersion, Resolved};
use crate::author::dependency::Requirement;
use crate::clock::rfc3339;

#[derive(Debug, Serialize, JsonSchema)]
pub struct AliasBody {
    pub name: String,
    pub version: String,
    pub digest: String,
    /// Only an admin or an owner moves it; `latest` moves by itself.
    pub protected: bool,
    pub updated_at: String,
    pub updated_by: String,
}

impl From<NamedVersion> for AliasBody {
    fn from(a: NamedVersion) -> Self {
        Self {
            name: a.name,
            version: a.version.version,
            digest: a.version.digest,
            protected: a.protected,
            updated_at: rfc3339(a.updated_at),
            updated_by: a.updated_by,
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PutAlias {
    /// A locked version.
    pub version: String,
    /// Absent: as it is.
    #[serde(default)]
    pub protected: Option<bool>,
}

/// A set that a draft takes partials from.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RequirementBody {
    pub set: String,
    /// The range that is asked for.
    pub requirement: String,
    /// The version that it comes to now; absent where none fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Names under which its partials are included.
    pub partials: Vec<String>,
}

impl From<Requirement> for RequirementBody {
    fn from(r: Requirement) -> Self {
        let names = |r: &Requirement| {
            let taken = r.resolved.iter().flat_map(|one| one.partials.iter());
            taken.map(|partial| partial.name.to_string()).collect()
        };
        Self {
            partials: names(&r),
            version: r.resolved.as_ref().map(|one| one.dependency.version.to_string()),
            digest: r.resolved.as_ref().map(|one| one.dependency.digest.to_string()),
            set: r.set,
            requirement: r.requirement,
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PutRequirement {
    /// A range of versions, such as `^1.2`.
    pub requirement: String,
}

/// What a version was resolved to when it was locked.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LockedDependencyBody {
    pub set: String,
    pub requirement: String,
    pub version: String,
    pub digest: String,
}

impl From<Dependency> for LockedDependencyBody {
    fn from(d: Dependency) -> Self {
        Self {
            set: d.set.to_string(),
            requirement: d.requirement,
            version: d.version.to_string(),
            digest: d.digest.to_string(),
        }
    }
}

/// What is to be resolved.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResolveQuery {
    /// `@organisation/set@version/prompt`; the version may be exact, a range or an alias, none is
    /// `latest`, and the prompt may be left out.
    pub address: String,
    /// Needed where several projects of the organisation have a set of this name.
    #[serde(default)]
    pub project: Option<String>,
}

/// What an address leads to.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ResolvedBody {
    pub organisation: String,
    pub project: String,
    pub set: String,
    pub version: String,
    pub digest: String,
    /// With every part resolved: what to write where it must not move.
    pub address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<Prompt>,
}

impl From<Resolved> for ResolvedBody {
    fn from(r: Resolved) -> Self {
        let (at, set) = (r.set.at, r.set.set);
        let mut address = format!("@{}/{}@{}", at.organisation.slug, set.slug, r.version.version);
        if let Some(prompt) = &r.prompt {
            address.push('/');
            address.push_str(prompt.id.as_str());
        }
        Self {
            organisation: at.organisation.slug,
            project: at.project.slug,
            set: set.slug,
            version: r.version.version,
            digest: r.version.digest,
            address,
            prompt: r.prompt,
        }
    }
}
