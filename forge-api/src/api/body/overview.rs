//! What waits for whoever asks, and what needs somebody.

use schemars::JsonSchema;
use serde::Serialize;

use crate::clock::rfc3339;
use crate::overview::{Failing, Fault, Needs, Wait, Waiting};

#[derive(Debug, Serialize, JsonSchema)]
pub struct BoardBody {
    /// Projects that one may see.
    pub projects: usize,
    /// Sets that wait for whoever asks: at most 12 of them, what others wait for first.
    pub waiting: Vec<WaitingBody>,
    pub waiting_count: usize,
    /// What needs somebody: at most 12, the worst first.
    pub failing: Vec<FailingBody>,
    pub failing_count: usize,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct WaitingBody {
    pub project: String,
    pub set: String,
    /// review (asked of oneself), returned (one's own draft), approved (to be locked), publish, or asked (one's own
    /// request).
    pub waits_for: String,
    pub since: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct FailingBody {
    pub project: String,
    pub environment: String,
    /// not_sent, refused, waits_for_broker, stale, unreachable or expires_soon.
    pub fault: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publication: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How many, where it is about agents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agents: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

impl From<Needs> for BoardBody {
    fn from(b: Needs) -> Self {
        Self {
            projects: b.projects,
            waiting: b.waiting.into_iter().map(Into::into).collect(),
            waiting_count: b.waiting_count,
            failing: b.failing.into_iter().map(Into::into).collect(),
            failing_count: b.failing_count,
        }
    }
}

impl From<Waiting> for WaitingBody {
    fn from(w: Waiting) -> Self {
        let mut body = Self {
            project: w.at.project.slug,
            set: w.set.slug,
            waits_for: w.wait.as_str().into(),
            since: rfc3339(w.since),
            review: None,
            requested_by: None,
            version: None,
            environment: None,
            replaces: None,
        };
        match w.wait {
            Wait::Review { number, by, .. } => (body.review, body.requested_by) = (Some(number), Some(by)),
            Wait::Approved { number } | Wait::Returned { number } | Wait::Asked { number } => {
                body.review = Some(number);
            }
            Wait::Publish { version, environment, replaces } => {
                (body.version, body.environment, body.replaces) =
                    (Some(version), Some(environment), replaces);
            }
        }
        body
    }
}

impl From<Failing> for FailingBody {
    fn from(f: Failing) -> Self {
        let (publication, set, version) =
            f.place.map_or((None, None, None), |p| (Some(p.number), Some(p.set), Some(p.version)));
        let mut body = Self {
            project: f.at.project.slug,
            environment: f.environment,
            fault: f.fault.as_str().into(),
            publication,
            set,
            version,
            agents: None,
            error: None,
            credential: None,
            expires_at: None,
        };
        match f.fault {
            Fault::NotSent { error } => body.error = error,
            Fault::Refused { agents } | Fault::Stale { agents } | Fault::Unreachable { agents } => {
                body.agents = Some(agents);
            }
            Fault::HeldUp => {}
            Fault::Expiring { credential, at } => {
                (body.credential, body.expires_at) = (Some(credential), Some(rfc3339(at)));
            }
        }
        body
    }
}
