//! Publications and answers.

use schemars::JsonSchema;
use schemas::Micros;
use serde::{Deserialize, Serialize};

use crate::clock::rfc3339;
use crate::contract::Overridden;
use crate::database::publication::PublicationFull;
use crate::publish::Answer;
use crate::publish::{PublicationView, overridden_by};

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
    /// Services that the version may break, each by its name; `agents without a service` for those without one. All
    /// that it would break have to be named, or nothing is published (409 `breaks_contract`).
    #[serde(default)]
    pub accept_broken: Vec<String>,
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
    /// Services that it breaks and that who published it named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub overridden: Vec<Overridden>,
}

impl From<PublicationFull> for PublicationBody {
    fn from(f: PublicationFull) -> Self {
        let overridden = overridden_by(&f.publication);
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
            overridden,
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
    /// refused, unreachable, waiting, delivered, frozen, pinned or active.
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
