//! Agents and credentials.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::rfc3339;
use crate::credential::Standing;
use crate::database::credential::Credential;
use crate::database::project::Environment;
use crate::fleet::AgentView;

#[derive(Debug, Serialize, JsonSchema)]
pub struct AgentBody {
    pub name: String,
    pub environment: String,
    pub host: String,
    pub service: String,
    pub agent_version: String,
    pub mode: String,
    pub stale: bool,
    /// connected or unreachable.
    pub presence: String,
    pub cache: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
    pub first_seen_at: String,
    pub last_seen_at: String,
    /// What it last said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<schemas::status::AgentStatus>,
}

impl From<AgentView> for AgentBody {
    fn from(v: AgentView) -> Self {
        Self {
            name: v.agent.name,
            environment: v.environment.slug,
            host: v.agent.host,
            service: v.agent.service,
            agent_version: v.agent.agent_version,
            mode: v.agent.mode,
            stale: v.agent.stale,
            presence: v.presence.as_str().into(),
            cache: v.agent.cache,
            consumer: v.agent.consumer,
            first_seen_at: rfc3339(v.agent.first_seen_at),
            last_seen_at: rfc3339(v.agent.last_seen_at),
            status: v.status,
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct NewCredential {
    pub environment: String,
    pub name: String,
    /// agent or inspect.
    #[serde(default)]
    pub kind: Option<String>,
    /// What it is for, for people.
    #[serde(default)]
    pub purpose: String,
    /// RFC 3339, or never; 90 days from now where it is not said.
    #[serde(default)]
    pub expires_at: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct CredentialBody {
    pub id: String,
    pub environment: String,
    pub name: String,
    pub purpose: String,
    pub kind: String,
    /// active, expires_soon (within 14 days), expired or revoked.
    pub state: String,
    pub public_key: String,
    pub created_by: String,
    pub created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen_at: Option<String>,
    /// The name of the agent that used it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen_agent: Option<String>,
    /// And its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen_address: Option<String>,
}

impl CredentialBody {
    pub(crate) fn new(c: Credential, environment: &Environment) -> Self {
        Self {
            state: Standing::of(&c).as_str().into(),
            id: c.id,
            environment: environment.slug.clone(),
            name: c.name,
            purpose: c.purpose,
            kind: c.kind,
            public_key: c.public_key,
            created_by: c.created_by,
            created_at: rfc3339(c.created_at),
            expires_at: c.expires_at.map(rfc3339),
            revoked_at: c.revoked_at.map(rfc3339),
            last_seen_at: c.last_seen_at.map(rfc3339),
            last_seen_agent: c.last_seen_agent,
            last_seen_address: c.last_seen_address,
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct CreatedCredential {
    #[serde(flatten)]
    pub credential: CredentialBody,
    /// The text of the `.creds` file. Shown once.
    pub creds: String,
    /// One line to paste into `live connect`. Shown once.
    pub connect: String,
    pub connection: schemas::connect::Connection,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Revoked {
    /// Whether the broker refuses it already; otherwise it will as soon as it is back.
    pub broker_knows: bool,
}
