//! Versions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::rfc3339;
use crate::database::origin::VersionOrigin;
use crate::database::version::Version;

#[derive(Debug, Deserialize, JsonSchema)]
pub struct LockRequest {
    pub version: String,
    /// Digest of the draft that was looked at.
    #[serde(default)]
    pub draft_digest: Option<String>,
    #[serde(default)]
    pub notes: String,
    /// Refuses a version that says less than what changed asks for; without it the answer says so in `asked_for`.
    #[serde(default)]
    pub strict: bool,
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
    /// Where it was locked, if that was elsewhere; told of one version, and not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imported: Option<OriginBody>,
    /// The version that what changed asks for, where it is above this one; told by the lock, and nowhere else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked_for: Option<String>,
}

/// Where a version was locked, and who brought it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OriginBody {
    /// organisation/project/set
    pub set: String,
    /// Of its bytes there.
    pub digest: String,
    /// Who approved it there; that is nobody's approval here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approver: Option<String>,
    pub imported_by: String,
    pub imported_at: String,
}

impl From<VersionOrigin> for OriginBody {
    fn from(origin: VersionOrigin) -> Self {
        Self {
            set: format!("{}/{}/{}", origin.organisation, origin.project, origin.prompt_set),
            digest: origin.digest,
            approver: origin.approver,
            imported_by: origin.imported_by,
            imported_at: rfc3339(origin.imported_at),
        }
    }
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
            imported: None,
            asked_for: None,
        }
    }
}
