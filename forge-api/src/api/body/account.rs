//! Sessions, tokens, oneself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::rfc3339;
use crate::database::session::Session;
use crate::database::user::ApiToken;

#[derive(Debug, Deserialize, JsonSchema)]
pub struct SignIn {
    #[serde(default)]
    pub email: String,
    #[serde(default)]
    pub password: String,
    /// The token of a one-time link, instead of the other two.
    #[serde(default)]
    pub link: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct SignedIn {
    /// To be sent as `x-csrf-token` with every change.
    pub csrf_token: String,
    pub name: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Me {
    pub name: String,
    pub email: String,
    pub csrf_token: String,
    pub organisations: Vec<MembershipBody>,
    /// Roles in single projects, besides.
    pub grants: Vec<super::OwnGrant>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct MembershipBody {
    pub organisation: String,
    pub role: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct NewToken {
    pub organisation: String,
    #[serde(default)]
    pub name: String,
    /// owner, admin, context_engineer, reviewer or viewer; at most one's own.
    pub role: String,
    /// What it may be used for, besides reading: edit, review, publish, manage. All of it where nothing is said.
    #[serde(default)]
    pub scopes: Option<Vec<String>>,
    /// The only projects that it reaches, as a guest of them, by their names in addresses. All that one reaches oneself
    /// where nothing is said.
    #[serde(default)]
    pub projects: Option<Vec<String>>,
    /// RFC 3339, or `never`. In 90 days where nothing is said.
    #[serde(default)]
    pub expires_at: Option<String>,
}

/// A browser that is signed in.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SessionBody {
    pub id: String,
    pub address: String,
    pub user_agent: String,
    pub created_at: String,
    pub last_seen_at: String,
    pub expires_at: String,
    /// Whether it is the one that asks.
    pub current: bool,
}

impl SessionBody {
    pub(crate) fn new(row: Session, current: &str) -> Self {
        Self {
            current: row.id == current,
            id: row.id,
            address: row.address,
            user_agent: row.user_agent,
            created_at: rfc3339(row.created_at),
            last_seen_at: rfc3339(row.last_seen_at),
            expires_at: rfc3339(row.expires_at),
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct TokenBody {
    pub id: String,
    pub name: String,
    pub role: String,
    pub scopes: Vec<String>,
    /// The only projects that it reaches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub projects: Option<Vec<String>>,
    pub created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<String>,
    /// Shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl From<ApiToken> for TokenBody {
    fn from(t: ApiToken) -> Self {
        Self {
            id: t.id,
            name: t.name,
            role: t.role,
            scopes: t.scopes.split_whitespace().map(str::to_owned).collect(),
            projects: t.projects.map(|names| names.split_whitespace().map(str::to_owned).collect()),
            created_at: rfc3339(t.created_at),
            expires_at: t.expires_at.map(rfc3339),
            last_used_at: t.last_used_at.map(rfc3339),
            revoked_at: t.revoked_at.map(rfc3339),
            token: None,
        }
    }
}
