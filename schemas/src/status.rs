//! What an agent says about itself, and what FORGE answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Micros;
use crate::canonical::Digest;
use crate::envelope::MaxAge;
use crate::names::{Scope, Slug};

/// Version of the messages in this module.
pub const SCHEMA_VERSION: u32 = 1;

/// Whether an agent takes up what is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Mode {
    #[default]
    Accepting,
    Frozen,
}

impl Mode {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepting => "ACCEPTING",
            Self::Frozen => "FROZEN",
        }
    }
}

/// An agent's status (subject `…status.<agent>`): sent on every change and as a heartbeat.
///
/// It is also the acknowledgement: a set in state `active` is what is being served.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct AgentStatus {
    pub schema_version: u32,
    pub agent: Slug,
    /// Public nkey of the agent's own identity.
    pub identity: String,
    pub scope: Scope,
    pub host: String,
    /// The service that the agent lives in, as its owner named it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub service: String,
    /// Version of the `live-agent` crate.
    pub agent_version: String,
    pub mode: Mode,
    /// Who set the mode.
    #[serde(default)]
    pub mode_by: ModeSource,
    /// What became of FORGE's newest order to this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderAnswer>,
    /// When this was written.
    pub at: Micros,
    pub started_at: Micros,
    /// Stream sequence below which everything was seen.
    pub floor: u64,
    /// Nothing was heard from FORGE for two periods, or a head is known that cannot be had.
    pub stale: bool,
    /// Why it is stale, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_reason: Option<String>,
    /// Time since FORGE's signed word last confirmed all that is served, in milliseconds; none: it
    /// never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<u64>,
    /// The rule for content that was not confirmed for long that holds, or would next: the project's or the agent's
    /// own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<MaxAge>,
    /// The rule holds now.
    #[serde(default)]
    pub too_old: bool,
    /// Version of the trust list that the agent goes by; 0: its connect file alone.
    #[serde(default)]
    pub trust: u64,
    pub sets: Vec<SetStatus>,
    /// Where the disk cache stands: `disk`, `memory` or the reason why there is none.
    pub cache: String,
    pub counters: Counters,
    /// Ids of prompts that are served from a folder of this machine instead of what FORGE published, as
    /// `@set/id`; at most [`OVERRIDES_MAX`] of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<String>,
    /// Use of prompts since the start, of those that were used most lately; at most [`USAGE_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub usage: Vec<PromptUsage>,
}

impl AgentStatus {
    /// The status of an agent that has nothing and was told nothing; what is otherwise is to be set.
    #[must_use]
    pub fn new(agent: Slug, identity: String, scope: Scope) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            agent,
            identity,
            scope,
            host: String::new(),
            service: String::new(),
            agent_version: String::new(),
            mode: Mode::default(),
            mode_by: ModeSource::default(),
            order: None,
            at: 0,
            started_at: 0,
            floor: 0,
            stale: false,
            stale_reason: None,
            age_ms: None,
            max_age: None,
            too_old: false,
            trust: 0,
            sets: Vec::new(),
            cache: "memory".into(),
            counters: Counters::default(),
            overrides: Vec::new(),
            usage: Vec::new(),
        }
    }
}

/// Most overrides that a status names.
pub const OVERRIDES_MAX: usize = 100;
/// Most prompts whose use a status tells; the next one tells of others.
pub const USAGE_MAX: usize = 200;

/// Who set an agent's mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ModeSource {
    /// The configuration of its first start.
    #[default]
    Configuration,
    /// Somebody at the agent: command line, sidecar, or the host's own code.
    Local,
    /// An order of FORGE.
    Forge,
    /// Somebody that this program does not know.
    #[serde(other)]
    Unknown,
}

/// What an agent did with FORGE's newest order to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderAnswer {
    pub number: u64,
    pub result: OrderResult,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OrderResult {
    /// The mode was set. It may have been changed at the agent since: its mode says.
    Done,
    /// This agent's owner does not let FORGE set its mode.
    Forbidden,
    #[serde(other)]
    Unknown,
}

/// Use of one prompt of one version by one agent. All counts are since the agent's start, so that a
/// status that gets lost loses nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct PromptUsage {
    pub set: Slug,
    #[schemars(with = "String")]
    pub version: semver::Version,
    pub prompt: String,
    pub renders: u64,
    /// Renders that failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub errors: u64,
    /// What a render took, in nanoseconds, of those that were timed (one in 64).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub render_p50_ns: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub render_p99_ns: u64,
    /// Calls of a model that the host reported for this prompt; the rest is theirs.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub calls: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub call_errors: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub input_tokens: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub output_tokens: u64,
    /// Sum over the calls, in microseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub latency_us: u64,
    /// In millionths of a US dollar.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cost_micros: u64,
}

impl PromptUsage {
    /// A prompt that nobody used.
    #[must_use]
    pub fn new(set: Slug, version: semver::Version, prompt: String) -> Self {
        Self {
            set,
            version,
            prompt,
            renders: 0,
            errors: 0,
            render_p50_ns: 0,
            render_p99_ns: 0,
            calls: 0,
            call_errors: 0,
            input_tokens: 0,
            output_tokens: 0,
            latency_us: 0,
            cost_micros: 0,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// One prompt set on one agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct SetStatus {
    pub set: Slug,
    /// What is served, if anything is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<Applied>,
    /// The newest that was seen and is not served: on its way, held back by FROZEN, or refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Pending>,
    /// Older than what is pending: FROZEN alone keeps it back, and that its pin too. The thaw takes it up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fitting: Option<Pending>,
    /// The versions that this agent takes up, as a semantic version requirement, where its owner pinned
    /// the set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<String>,
    /// The head that FORGE announced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_serial: Option<u64>,
    /// What is served was signed by a key that has been revoked since. It is served until something
    /// newer comes.
    #[serde(default)]
    pub revoked: bool,
    /// Where FORGE announces less than what is served: what FORGE itself signed of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
}

impl SetStatus {
    /// A set of which nothing is served.
    #[must_use]
    pub fn new(set: Slug) -> Self {
        Self {
            set,
            active: None,
            pending: None,
            fitting: None,
            pin: None,
            head_serial: None,
            revoked: false,
            proof: None,
        }
    }
}

/// The signed lines of a publication: enough to believe that there was one of its serial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Proof {
    /// As in header `Forge-Key`.
    pub certificate: String,
    /// As in header `Forge-Attestation`.
    pub attestation: String,
}

/// A version that is being served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Applied {
    pub publication: String,
    pub serial: u64,
    #[schemars(with = "String")]
    pub version: semver::Version,
    pub digest: Digest,
    pub activated_at: Micros,
}

/// A version that was seen and is not served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pending {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publication: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<u64>,
    /// Known once it is verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub version: Option<semver::Version>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    pub state: PendingState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Refusal>,
    pub at: Micros,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PendingState {
    /// Received, not yet checked.
    Delivered,
    /// Checked, and would have been applied: held back because the agent is FROZEN.
    Verified,
    /// Checked, and held back because the agent's owner pinned the set to other versions.
    Pinned,
    /// Not taken up; the reason says why.
    Refused,
    /// A state that this program does not know.
    #[serde(other)]
    Unknown,
}

/// Why an agent refused a bundle. It goes on serving what it had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refusal {
    pub code: RefusalCode,
    /// For people.
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RefusalCode {
    /// Headers or body are not what the format says.
    Malformed,
    /// The chain from the root key does not hold.
    Untrusted,
    /// It is signed by a key that was revoked.
    Revoked,
    /// It, or the certificate of its key, has expired.
    Expired,
    /// The body is not the one that was signed.
    DigestMismatch,
    /// The serial is lower than one that was seen.
    OldSerial,
    /// The same serial was seen with other content.
    SerialConflict,
    /// The schema version is newer than this agent.
    SchemaVersion,
    /// A template does not compile here.
    Template,
    /// Larger than an agent takes.
    TooLarge,
    /// The disk did not take it.
    Storage,
    /// The code of this agent was built for prompts that this version changes: see
    /// [`crate::contract::Contract`].
    Contract,
    #[serde(other)]
    Unknown,
}

/// Since the start of the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Counters {
    pub renders: u64,
    pub render_errors: u64,
    /// Of the errors, those that were answered with a text of the caller's own: the prompt was missing.
    #[serde(default)]
    pub defaults: u64,
    #[serde(default)]
    pub render_p50_ns: u64,
    #[serde(default)]
    pub render_p99_ns: u64,
}

/// What an agent asks when it meets FORGE (subject `…enroll.<agent>`, a request).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EnrolRequest {
    pub schema_version: u32,
    pub agent: Slug,
    pub scope: Scope,
    /// Public nkey of the agent's identity; FORGE keeps the first that it sees for a name.
    pub identity: String,
    pub host: String,
    #[serde(default)]
    pub service: String,
    pub agent_version: String,
    pub mode: Mode,
    pub at: Micros,
    /// What the agent's code was built for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contracts: Vec<crate::contract::Contract>,
    /// Standard base64 of the identity's signature over [`EnrolRequest::signed_bytes`].
    pub signature: String,
}

impl EnrolRequest {
    /// What the identity signs: every field but the signature, as canonical JSON.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        let unsigned = Self { signature: String::new(), ..self.clone() };
        crate::canonical::to_canonical(&unsigned).unwrap_or_default()
    }
}

impl EnrolAnswer {
    /// The `code` of a refusal that passes: FORGE cannot enrol anybody at the moment, for its database or its broker is
    /// away or does not know the project yet.
    pub const UNAVAILABLE: &str = "unavailable";
}

/// FORGE's answer to an enrolment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum EnrolAnswer {
    Enrolled {
        stream: String,
        /// Name of the durable consumer, or none where the stream has as many as it takes; the
        /// agent then reconciles alone.
        consumer: Option<String>,
        /// How often FORGE's heartbeat comes, in milliseconds.
        heartbeat_ms: u64,
        /// How often FORGE wants the status, in milliseconds.
        status_ms: u64,
    },
    Refused {
        code: String,
        message: String,
    },
}
