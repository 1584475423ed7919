//! Versions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::rfc3339;
use crate::database::version::Version;

#[derive(Debug, Deserialize, JsonSchema)]
pub struct LockRequest {
    pub version: String,
    /// Digest of the draft that was looked at.
    #[serde(default)]
    pub draft_digest: Option<String>,
    #[serde(default)]
    pub notes: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct VersionBody {
    pub id: String,
    pub version: String,
    /// locked or snapshot.
    pub kind: String,
    pub digest: String,
    pub size: i64,
    pub prompts: i64,
    pub notes: String,
    pub author: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approver: Option<String>,
    pub created_at: String,
}

impl From<Version> for VersionBody {
    fn from(v: Version) -> Self {
        Self {
            id: v.id,
            version: v.version,
            kind: v.kind,
            digest: v.digest,
            size: v.size,
            prompts: v.prompts,
            notes: v.notes,
            author: v.author,
            approver: v.approver,
            created_at: rfc3339(v.created_at),
        }
    }
}
