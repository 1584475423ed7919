//! Projects and environments.

use schemars::JsonSchema;
use schemas::envelope::MaxAge;
use serde::{Deserialize, Serialize};

use super::SetBody;
use crate::author::{self, ProjectAt};
use crate::clock::rfc3339;
use crate::database::project::Environment;
use crate::database::signing::SigningKey;
use crate::overview::ProjectOverview;
use crate::overview::SetOverview;

#[derive(Debug, Deserialize, JsonSchema)]
pub struct NewProjectBody {
    /// Its name in addresses. Left out, that of the example.
    #[serde(default)]
    pub slug: String,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub description: String,
    /// An example to begin with, `support` or `writing`: its prompt sets come with it, locked as 1.0.0.
    #[serde(default)]
    pub example: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct ProjectBody {
    pub id: String,
    pub organisation: String,
    pub slug: String,
    pub name: String,
    pub description: String,
    pub created_at: String,
    /// What agents do with content that FORGE did not confirm for long, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<MaxAge>,
    /// Since when it takes no changes any more; absent while it is in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archived_at: Option<String>,
    /// What If-Match names when its settings are changed.
    pub settings_tag: String,
}

/// A publishing key of the project.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SigningKeyBody {
    pub public_key: String,
    /// active (signs), retired (what it signed counts) or revoked.
    pub state: String,
    pub created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retired_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl From<SigningKey> for SigningKeyBody {
    fn from(key: SigningKey) -> Self {
        Self {
            public_key: key.public_key,
            state: key.state,
            created_at: rfc3339(key.created_at),
            retired_at: key.retired_at.map(rfc3339),
            revoked_at: key.revoked_at.map(rfc3339),
            reason: key.reason,
        }
    }
}

impl From<&ProjectAt> for ProjectBody {
    fn from(at: &ProjectAt) -> Self {
        Self {
            id: at.project.id.clone(),
            organisation: at.organisation.slug.clone(),
            slug: at.project.slug.clone(),
            name: at.project.name.clone(),
            description: at.project.description.clone(),
            created_at: rfc3339(at.project.created_at),
            max_age: author::max_age(&at.project),
            archived_at: at.project.archived_at.map(rfc3339),
            settings_tag: author::settings::tag_of_project(&at.project),
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct EnvironmentBody {
    pub id: String,
    pub slug: String,
    pub name: String,
    pub takes_drafts: bool,
}

impl From<Environment> for EnvironmentBody {
    fn from(e: Environment) -> Self {
        Self { id: e.id, slug: e.slug, name: e.name, takes_drafts: e.takes_drafts }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct NewEnvironmentBody {
    pub slug: String,
    #[serde(default)]
    pub name: String,
    /// Whether snapshots of drafts may be published there.
    #[serde(default)]
    pub takes_drafts: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct OverviewBody {
    #[serde(flatten)]
    pub project: ProjectBody,
    pub environments: Vec<EnvironmentBody>,
    pub sets: Vec<SetOverviewBody>,
    pub agents: usize,
    pub unreachable: usize,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct SetOverviewBody {
    #[serde(flatten)]
    pub set: SetBody,
    pub prompts: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest: Option<String>,
    pub live: Vec<LiveBody>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct LiveBody {
    pub environment: String,
    pub version: String,
    pub serial: i64,
    pub digest: String,
    pub active: usize,
    pub agents: usize,
}

impl From<ProjectOverview> for OverviewBody {
    fn from(o: ProjectOverview) -> Self {
        Self {
            project: ProjectBody::from(&o.at),
            environments: o.environments.into_iter().map(Into::into).collect(),
            sets: o.sets.into_iter().map(Into::into).collect(),
            agents: o.agents,
            unreachable: o.unreachable,
        }
    }
}

impl From<SetOverview> for SetOverviewBody {
    fn from(o: SetOverview) -> Self {
        let live = o
            .live
            .into_iter()
            .map(|l| LiveBody {
                environment: l.full.environment.slug,
                version: l.full.version.version,
                serial: l.full.publication.serial,
                digest: l.full.version.digest,
                active: l.active,
                agents: l.agents,
            })
            .collect();
        Self { set: o.set.into(), prompts: o.prompts, latest: o.latest.map(|v| v.version), live }
    }
}
