//! Invitations, roles in single projects, sign-in links.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::auth::{Grant, Role};
use crate::clock::rfc3339;
use crate::database::invitation::Invitation;
use crate::database::project::Project;
use crate::database::user::User;

/// Somebody who is invited.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewInvitationBody {
    pub email: String,
    /// owner, admin, context_engineer, reviewer or viewer. Without one they are a guest of the projects.
    #[serde(default)]
    pub role: Option<String>,
    /// Roles in single projects.
    #[serde(default)]
    pub projects: Vec<ProjectRole>,
    /// Whether the link is mailed, where mail can be sent. Where it is not, the answer holds it.
    #[serde(default = "yes")]
    pub mail: bool,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectRole {
    /// The project's name in addresses.
    pub project: String,
    /// admin, context_engineer, reviewer or viewer.
    pub role: String,
}

/// An invitation that waits.
#[derive(Debug, Serialize, JsonSchema)]
pub struct InvitationBody {
    pub id: String,
    pub email: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    pub projects: Vec<ProjectRole>,
    pub invited_by: String,
    /// none, waiting, sent or failed.
    pub mail: String,
    /// Why the mail was not sent when it was tried last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mail_error: Option<String>,
    pub created_at: String,
    pub expires_at: String,
    /// Shown once, to who invites, where it is not mailed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

impl InvitationBody {
    pub(crate) fn new(row: &Invitation, projects: Vec<ProjectRole>, link: Option<String>) -> Self {
        Self {
            id: row.id.clone(),
            email: row.email.clone(),
            role: row.role.clone(),
            projects,
            invited_by: row.invited_by.clone(),
            mail: row.mail.clone(),
            mail_error: row.mail_error.clone(),
            created_at: rfc3339(row.created_at),
            expires_at: rfc3339(row.expires_at),
            link,
        }
    }
}

impl From<&(Project, Role)> for ProjectRole {
    fn from((project, role): &(Project, Role)) -> Self {
        Self { project: project.slug.clone(), role: role.as_str().into() }
    }
}

/// Coming in. Who is signed in sends the token alone.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptInvitation {
    /// The end of the link.
    pub token: String,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub password: String,
}

impl std::fmt::Debug for AcceptInvitation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AcceptInvitation").finish_non_exhaustive()
    }
}

/// Whose link.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AskLink {
    pub email: String,
}

/// A member who asked for a link and waits.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AskedLink {
    pub name: String,
    pub email: String,
    pub asked_at: String,
    /// From where they asked.
    pub address: String,
}

impl AskedLink {
    pub(crate) fn new((user, asked_at, address): (User, i64, String)) -> Self {
        Self { name: user.name, email: user.email, asked_at: rfc3339(asked_at), address }
    }
}

/// A link that is shown once.
#[derive(Serialize, JsonSchema)]
pub struct MadeLink {
    pub link: String,
}

impl std::fmt::Debug for MadeLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MadeLink").finish_non_exhaustive()
    }
}

/// What one changes of oneself.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PutMe {
    pub name: String,
}

/// A role in a single project.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OwnGrant {
    pub organisation: String,
    pub project: String,
    pub role: String,
}

impl From<&Grant> for OwnGrant {
    fn from(grant: &Grant) -> Self {
        Self {
            organisation: grant.organisation.clone(),
            project: grant.project.clone(),
            role: grant.role.as_str().into(),
        }
    }
}
