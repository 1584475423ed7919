//! Organisations, members, audit log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::auth::Role;
use crate::clock::rfc3339;
use crate::database::audit::AuditEntry;
use crate::database::organisation::Organisation;
use crate::database::user::User;

/// A name in addresses, and one for people.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Named {
    pub slug: String,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub description: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct OrganisationBody {
    pub id: String,
    pub slug: String,
    pub name: String,
    /// What one is there; `guest` where one sees single projects only.
    pub role: String,
    /// What If-Match names when its name is changed.
    pub settings_tag: String,
}

impl OrganisationBody {
    pub(crate) fn guest(o: Organisation) -> Self {
        let settings_tag = crate::author::settings::tag_of_organisation(&o);
        Self { id: o.id, slug: o.slug, name: o.name, role: "guest".into(), settings_tag }
    }

    pub(crate) fn new(o: Organisation, role: Role) -> Self {
        let settings_tag = crate::author::settings::tag_of_organisation(&o);
        Self { id: o.id, slug: o.slug, name: o.name, role: role.as_str().into(), settings_tag }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct PutMember {
    pub email: String,
    pub role: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct MemberBody {
    pub id: String,
    pub name: String,
    pub email: String,
    pub role: String,
}

impl MemberBody {
    pub(crate) fn new(u: User, role: Role) -> Self {
        Self { id: u.id, name: u.name, email: u.email, role: role.as_str().into() }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct AuditBody {
    pub sequence: i64,
    pub at: String,
    pub actor: String,
    pub actor_id: String,
    pub action: String,
    pub subject: String,
    pub detail: Value,
    pub previous_hash: String,
    pub hash: String,
    pub seal: String,
}

impl From<AuditEntry> for AuditBody {
    fn from(e: AuditEntry) -> Self {
        Self {
            sequence: e.sequence,
            at: rfc3339(e.at),
            actor: e.actor_name,
            actor_id: e.actor_id,
            action: e.action,
            subject: e.subject,
            detail: serde_json::from_str(&e.detail).unwrap_or_default(),
            previous_hash: e.previous_hash,
            hash: e.hash,
            seal: e.seal,
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct ChainBody {
    pub whole: bool,
    /// Entries checked, where the chain is whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entries: Option<i64>,
    /// How many of the first entries are from before entries were sealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsealed: Option<i64>,
    /// First entry that is missing, was changed or was put in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken_at: Option<i64>,
    /// When: a check counts for a minute.
    pub checked_at: String,
}
