//! What FORGE signs: each kind of statement, and how one is made.

use nkeys::KeyPair;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Envelope, HEADS_MAX, Predicate, TrustError, sign, sign_by_all};
use crate::Micros;
use crate::canonical::Digest;
use crate::names::{Scope, Slug};
use crate::status::Mode;

/// Who published which bytes where, as which serial (header `Forge-Attestation`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attestation {
    /// The publication's id, which is also the message id on the stream.
    pub publication: String,
    pub scope: Scope,
    pub set: Slug,
    #[schemars(with = "String")]
    pub version: semver::Version,
    /// Only grows, per scope and set.
    pub serial: u64,
    /// Size of the body in bytes.
    pub size: u64,
    pub issued: Micros,
    /// After it the content is too old to be taken up newly; none means never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Micros>,
    /// Digest of the body published under the serial before, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    pub author: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver: Option<String>,
    pub publisher: String,
}
impl Predicate for Attestation {
    const TYPE: &'static str = "https://anvil.dev/attestation/publication/v1";
    const WHAT: &'static str = "attestation";
}

/// The root's word that a key may publish for a project (header `Forge-Key`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyCertificate {
    /// The public nkey that may sign attestations and heartbeats.
    pub key: String,
    pub organisation: Slug,
    pub project: Slug,
    pub issued: Micros,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Micros>,
}
impl Predicate for KeyCertificate {
    const TYPE: &'static str = "https://anvil.dev/attestation/publishing-key/v1";
    const WHAT: &'static str = "key certificate";
}

/// What the agents of a project go by from now on (a link of header `Forge-Trust`): the roots that
/// may certify keys, and the keys that are believed no longer. Signed by a root that was trusted
/// before it, so that an agent that slept through any number of changes can follow them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrustList {
    pub organisation: Slug,
    pub project: Slug,
    /// Only grows, per project.
    pub version: u64,
    pub issued: Micros,
    /// Public nkeys of the roots.
    pub roots: Vec<String>,
    /// Public nkeys, of roots and publishing keys.
    pub revoked: Vec<String>,
}
impl Predicate for TrustList {
    const TYPE: &'static str = "https://anvil.dev/attestation/trust-list/v1";
    const WHAT: &'static str = "trust list";
}

/// FORGE's word on what the newest serial of each set is (subject `…ctl.heartbeat`). An agent that
/// does not hear it for two periods, or hears of a serial that it cannot get, is stale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Heartbeat {
    pub scope: Scope,
    pub issued: Micros,
    /// Time until the next one, in milliseconds.
    pub period_ms: u64,
    pub heads: Vec<Head>,
    /// Version of the newest trust list; 0 means that there is none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub trust: u64,
    /// What an agent does that was not confirmed for long; none means that it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<MaxAge>,
    /// FORGE's newest order to each target, at most [`ORDERS_MAX`]. An agent obeys the one with the
    /// highest number of those that are meant for it, once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<ModeOrder>,
}
impl Predicate for Heartbeat {
    const TYPE: &'static str = "https://anvil.dev/attestation/heartbeat/v1";
    const WHAT: &'static str = "heartbeat";
    const MAX: usize = HEADS_MAX;
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Most orders that stand at one time.
pub const ORDERS_MAX: usize = 256;

/// FORGE's order to take up what is published, or not to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModeOrder {
    /// Grows with every order of an environment, also over a database from a backup: the time at which
    /// it was given, in microseconds, or one more than the last.
    pub number: u64,
    pub target: OrderTarget,
    pub mode: Mode,
    /// Who gave it, for people.
    pub by: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// For whom an order is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "to", rename_all = "snake_case")]
pub enum OrderTarget {
    Agent {
        agent: Slug,
    },
    /// All agents of a service.
    Service {
        service: String,
    },
    /// All agents of the environment.
    Environment,
    /// Somebody that this version does not know.
    #[serde(other)]
    Unknown,
}

impl OrderTarget {
    /// Whether an agent is meant.
    #[must_use]
    pub fn is_for(&self, agent: &Slug, service: &str) -> bool {
        match self {
            Self::Agent { agent: one } => one == agent,
            Self::Service { service: one } => !service.is_empty() && one == service,
            Self::Environment => true,
            Self::Unknown => false,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Head {
    pub set: Slug,
    pub serial: u64,
    pub digest: Digest,
}

/// A project's rule for content that FORGE has not confirmed for long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MaxAge {
    /// Age from which the rule holds, in seconds.
    pub seconds: u64,
    pub action: AgeAction,
}

/// What an agent does with content that is too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgeAction {
    /// Serves it.
    Serve,
    /// Serves it, and says so in log and status.
    Warn,
    /// Answers every call with an error.
    Refuse,
    /// A rule that this program does not know: it warns.
    #[serde(other)]
    Unknown,
}

impl AgeAction {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::Warn | Self::Unknown => "warn",
            Self::Refuse => "refuse",
        }
    }
}

/// FORGE's signature under its answer to an enrolment: the statement's digest is that of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Enrolment {
    pub agent: Slug,
    /// Digest of what the agent signed in its request: no answer fits two.
    pub request: Digest,
    /// How often FORGE wants the status, in milliseconds.
    pub status_ms: u64,
    /// The floor of an agent that comes with nothing.
    pub heartbeat: Heartbeat,
}
impl Predicate for Enrolment {
    const TYPE: &'static str = "https://anvil.dev/attestation/enrolment/v1";
    const WHAT: &'static str = "answer to the enrolment";
    const MAX: usize = HEADS_MAX;
}

/// The subject name of a publication's statement: `org/project/environment/set@version`.
#[must_use]
pub fn publication_name(attestation: &Attestation) -> String {
    format!("{}/{}@{}", attestation.scope, attestation.set, attestation.version)
}

/// Signs the attestation of a publication of `body_digest`.
///
/// # Errors
/// As [`sign`].
pub fn attest(key: &KeyPair, body_digest: Digest, attestation: Attestation) -> Result<Envelope, TrustError> {
    let name = publication_name(&attestation);
    sign(key, name, body_digest, attestation)
}

/// Signs the root's certificate of a publishing key.
///
/// # Errors
/// As [`sign`].
pub fn certify(root: &KeyPair, certificate: KeyCertificate) -> Result<Envelope, TrustError> {
    let digest = Digest::of(certificate.key.as_bytes());
    sign(root, certificate.key.clone(), digest, certificate)
}

/// Signs a trust list by each of `roots`: the one that agents know, and the one that they shall.
///
/// # Errors
/// As [`sign`].
pub fn list(roots: &[&KeyPair], list: TrustList) -> Result<Envelope, TrustError> {
    let name = format!("{}/{}", list.organisation, list.project);
    let digest = Digest::of(name.as_bytes());
    sign_by_all(roots, name, digest, list)
}

/// Signs a heartbeat.
///
/// # Errors
/// As [`sign`].
pub fn beat(key: &KeyPair, heartbeat: Heartbeat) -> Result<Envelope, TrustError> {
    let digest = Digest::of(heartbeat.scope.to_string().as_bytes());
    sign(key, heartbeat.scope.to_string(), digest, heartbeat)
}

/// Signs the answer with `answer_digest` to an enrolment.
///
/// # Errors
/// As [`sign`].
pub fn enrol(key: &KeyPair, answer_digest: Digest, enrolment: Enrolment) -> Result<Envelope, TrustError> {
    let name = format!("{}/{}", enrolment.heartbeat.scope, enrolment.agent);
    sign(key, name, answer_digest, enrolment)
}
