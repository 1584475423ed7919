//! What the API takes and gives.

use schemas::Micros;
use schemas::prompt::{Partial, Prompt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::auth::Role;
use crate::author::{Draft, PartialDraft, ProjectAt, PromptDraft};
use crate::clock::rfc3339;
use crate::database::audit::AuditEntry;
use crate::database::credential::Credential;
use crate::database::organisation::Organisation;
use crate::database::project::Environment;
use crate::database::prompt_set::PromptSet;
use crate::database::publication::PublicationFull;
use crate::database::review::Review;
use crate::database::user::{ApiToken, User};
use crate::database::version::Version;
use crate::fleet::AgentView;
use crate::overview::{ProjectOverview, SetOverview};
use crate::publish::{Answer, PublicationView};

/// A list, and where it goes on.
#[derive(Debug, Serialize, JsonSchema)]
pub struct List<T> {
    pub items: Vec<T>,
    /// Give it as `before` to go on; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
}

impl<T> List<T> {
    pub(super) fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}

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
    /// RFC 3339.
    #[serde(default)]
    pub expires_at: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct TokenBody {
    pub id: String,
    pub name: String,
    pub role: String,
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
            created_at: rfc3339(t.created_at),
            expires_at: t.expires_at.map(rfc3339),
            last_used_at: t.last_used_at.map(rfc3339),
            revoked_at: t.revoked_at.map(rfc3339),
            token: None,
        }
    }
}

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
    pub role: String,
}

impl OrganisationBody {
    pub(super) fn new(o: Organisation, role: Role) -> Self {
        Self { id: o.id, slug: o.slug, name: o.name, role: role.as_str().into() }
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
    pub(super) fn new(u: User, role: Role) -> Self {
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
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct ChainBody {
    pub whole: bool,
    /// Entries checked, where the chain is whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entries: Option<i64>,
    /// First entry that is missing or was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken_at: Option<i64>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct ProjectBody {
    pub id: String,
    pub organisation: String,
    pub slug: String,
    pub name: String,
    pub description: String,
    pub created_at: String,
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

#[derive(Debug, Serialize, JsonSchema)]
pub struct SetBody {
    pub id: String,
    pub slug: String,
    pub name: String,
    pub description: String,
    /// editing, review or locked.
    pub state: String,
    pub revision: i64,
    pub updated_at: String,
    pub updated_by: String,
}

impl From<PromptSet> for SetBody {
    fn from(s: PromptSet) -> Self {
        Self {
            id: s.id,
            slug: s.slug,
            name: s.name,
            description: s.description,
            state: s.state,
            revision: s.revision,
            updated_at: rfc3339(s.updated_at),
            updated_by: s.updated_by,
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct DraftBody {
    #[serde(flatten)]
    pub set: SetBody,
    /// Of the draft's content.
    pub draft_digest: String,
    pub prompts: Vec<PromptBody>,
    pub partials: Vec<PartialBody>,
}

impl DraftBody {
    pub(super) fn new(set: PromptSet, draft: Draft) -> Self {
        Self {
            set: set.into(),
            draft_digest: draft.digest.to_string(),
            prompts: draft.prompts.into_iter().map(Into::into).collect(),
            partials: draft.partials.into_iter().map(Into::into).collect(),
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct PromptBody {
    pub revision: i64,
    pub updated_at: String,
    pub updated_by: String,
    pub prompt: Prompt,
}

impl From<PromptDraft> for PromptBody {
    fn from(p: PromptDraft) -> Self {
        Self {
            revision: p.revision,
            updated_at: rfc3339(p.updated_at),
            updated_by: p.updated_by,
            prompt: p.prompt,
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct PartialBody {
    pub revision: i64,
    pub updated_at: String,
    pub updated_by: String,
    pub partial: Partial,
}

impl From<PartialDraft> for PartialBody {
    fn from(p: PartialDraft) -> Self {
        Self {
            revision: p.revision,
            updated_at: rfc3339(p.updated_at),
            updated_by: p.updated_by,
            partial: p.partial,
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct PartialSource {
    pub source: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct Preview {
    pub prompt: Prompt,
    #[serde(default)]
    pub values: Map<String, Value>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum PreviewBody {
    Text { text: String },
    Messages { messages: Vec<MessageBody> },
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct MessageBody {
    pub role: schemas::prompt::Role,
    pub text: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct CheckBody {
    pub errors: Vec<schemas::template::TemplateError>,
    pub variables: Vec<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct Import {
    pub prompts: Vec<Prompt>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct ImportBody {
    pub written: usize,
    pub unchanged: usize,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct LockRequest {
    pub version: String,
    /// Digest of the draft that was looked at.
    #[serde(default)]
    pub draft_digest: Option<String>,
    #[serde(default)]
    pub notes: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct ReviewRequest {
    #[serde(default)]
    pub title: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct Approve {
    /// Digest of the draft that was read.
    pub digest: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct ReviewBody {
    pub number: i64,
    pub digest: String,
    pub title: String,
    pub state: String,
    pub requested_by: String,
    pub requested_at: String,
}

impl From<Review> for ReviewBody {
    fn from(r: Review) -> Self {
        Self {
            number: r.number,
            digest: r.digest,
            title: r.title,
            state: r.state,
            requested_by: r.requested_by,
            requested_at: rfc3339(r.requested_at),
        }
    }
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

#[derive(Debug, Deserialize, JsonSchema)]
pub struct PublishRequest {
    pub set: String,
    pub environment: String,
    /// A version, or `draft` where the environment takes drafts.
    pub version: String,
    /// The serial that is live as one saw it (0: none yet).
    #[serde(default)]
    pub expected_serial: Option<i64>,
    #[serde(default)]
    pub comment: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct PublicationBody {
    pub id: String,
    pub number: i64,
    pub environment: String,
    pub set: String,
    pub version: String,
    pub digest: String,
    pub serial: i64,
    pub rollback: bool,
    /// waiting, sent, superseded or failed.
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_sequence: Option<i64>,
    pub comment: String,
    pub published_by: String,
    pub created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<String>,
}

impl From<PublicationFull> for PublicationBody {
    fn from(f: PublicationFull) -> Self {
        let p = f.publication;
        Self {
            id: p.id,
            number: p.number,
            environment: f.environment.slug,
            set: f.set.slug,
            version: f.version.version,
            digest: f.version.digest,
            serial: p.serial,
            rollback: p.rollback,
            state: p.state,
            error: p.error,
            stream_sequence: p.stream_sequence,
            comment: p.comment,
            published_by: p.published_by,
            created_at: rfc3339(p.created_at),
            sent_at: p.sent_at.map(rfc3339),
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct PublicationDetail {
    #[serde(flatten)]
    pub publication: PublicationBody,
    /// What it replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaced: Option<String>,
    /// Attempts to send it so far, while it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<i64>,
    pub active: usize,
    pub refused: usize,
    pub agents: usize,
    /// From publication until the last active agent answered, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub converged_after_us: Option<Micros>,
    pub answers: Vec<AnswerBody>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct AnswerBody {
    pub agent: String,
    pub host: String,
    pub service: String,
    /// refused, unreachable, waiting, delivered, frozen or active.
    pub answer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// From publication to the answer as FORGE heard it, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_us: Option<Micros>,
}

impl From<PublicationView> for PublicationDetail {
    fn from(v: PublicationView) -> Self {
        Self {
            active: v.count(Answer::Active),
            refused: v.count(Answer::Refused),
            agents: v.answers.len(),
            converged_after_us: v.converged_after(),
            replaced: v.replaced.map(|r| r.version.version),
            attempts: v.outbox.map(|o| o.attempts),
            answers: v
                .answers
                .into_iter()
                .map(|a| AnswerBody {
                    agent: a.agent.name,
                    host: a.agent.host,
                    service: a.agent.service,
                    answer: a.answer.as_str().into(),
                    reason_code: a.acknowledgement.as_ref().and_then(|k| k.reason_code.clone()),
                    reason: a.acknowledgement.as_ref().and_then(|k| k.reason.clone()),
                    after_us: a.after,
                })
                .collect(),
            publication: v.full.into(),
        }
    }
}

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
    /// RFC 3339.
    #[serde(default)]
    pub expires_at: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct CredentialBody {
    pub id: String,
    pub environment: String,
    pub name: String,
    pub kind: String,
    pub public_key: String,
    pub created_by: String,
    pub created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen_at: Option<String>,
}

impl CredentialBody {
    pub(super) fn new(c: Credential, environment: &Environment) -> Self {
        Self {
            id: c.id,
            environment: environment.slug.clone(),
            name: c.name,
            kind: c.kind,
            public_key: c.public_key,
            created_by: c.created_by,
            created_at: rfc3339(c.created_at),
            expires_at: c.expires_at.map(rfc3339),
            revoked_at: c.revoked_at.map(rfc3339),
            last_seen_at: c.last_seen_at.map(rfc3339),
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
