//! What a status says, as rows.

use schemas::Micros;
use schemas::status::{AgentStatus, PendingState, RefusalCode};

use crate::database::agent::{Acknowledgement, Agent};

/// Bytes of one status that are stored: some hundred sets.
const STATUS_KEPT: usize = 64 * 1024;

/// A status and when it was heard.
pub(super) struct Heard {
    pub(super) status: Box<AgentStatus>,
    pub(super) at: Micros,
}

/// The first characters of a text that somebody else wrote, without control characters: PostgreSQL takes no NUL, and
/// nobody reads the others.
pub(super) fn plain(text: &str, most: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(most).collect()
}

pub(super) fn clip(text: &str) -> String {
    plain(text, 200)
}

/// Whether a text has the shape of a publication's id: a UUID with hyphens.
fn is_id(text: &str) -> bool {
    text.len() == 36 && uuid::Uuid::try_parse(text).is_ok()
}

/// A status as it is stored: what is longer than [`STATUS_KEPT`] loses its proofs and its long texts first, and then
/// as many sets as it takes.
fn kept(status: &AgentStatus) -> String {
    let written = |status: &AgentStatus| serde_json::to_string(status).unwrap_or_else(|_| "null".into());
    let mut less = status.clone();
    // Counted elsewhere.
    less.usage.clear();
    let mut text = written(&less);
    if text.len() <= STATUS_KEPT {
        return text;
    }
    for field in
        [&mut less.identity, &mut less.host, &mut less.service, &mut less.agent_version, &mut less.cache]
    {
        *field = clip(field);
    }
    less.stale_reason = less.stale_reason.as_deref().map(clip);
    for set in &mut less.sets {
        set.proof = None;
        if let Some(active) = &mut set.active {
            active.publication = clip(&active.publication);
        }
        if let Some(pending) = &mut set.pending {
            pending.publication = pending.publication.as_deref().map(clip);
            if let Some(reason) = &mut pending.reason {
                reason.message = clip(&reason.message);
            }
        }
    }
    text = written(&less);
    while text.len() > STATUS_KEPT && !less.sets.is_empty() {
        // At least a tenth goes each time.
        let fit = less.sets.len() * STATUS_KEPT / text.len();
        less.sets.truncate(fit.min(less.sets.len() * 9 / 10));
        text = written(&less);
    }
    text
}

pub(super) fn row_of(environment_id: &str, heard: &Heard) -> Agent {
    let status = heard.status.as_ref();
    Agent {
        environment_id: environment_id.into(),
        name: status.agent.to_string(),
        identity: clip(&status.identity),
        host: clip(&status.host),
        service: clip(&status.service),
        agent_version: clip(&status.agent_version),
        mode: status.mode.as_str().into(),
        stale: status.stale,
        stream_floor: i64::try_from(status.floor).unwrap_or(i64::MAX),
        cache: clip(&status.cache),
        status: kept(status),
        consumer: None,
        started_at: status.started_at,
        first_seen_at: heard.at,
        last_seen_at: heard.at,
        disconnected_at: None,
    }
}

pub(super) fn state_word(state: &str) -> &'static str {
    match state {
        "active" => "active",
        "verified" => "verified",
        "refused" => "refused",
        _ => "delivered",
    }
}

/// The answers to publications that a status holds.
pub(super) fn answers_of(heard: &Heard) -> Vec<Acknowledgement> {
    let status = heard.status.as_ref();
    let mut out = Vec::new();
    for set in &status.sets {
        if let Some(active) = set.active.as_ref().filter(|active| is_id(&active.publication)) {
            out.push(Acknowledgement {
                publication_id: active.publication.clone(),
                agent: status.agent.to_string(),
                state: "active".into(),
                reason_code: None,
                reason: None,
                activated_at: Some(active.activated_at),
                answered_at: heard.at,
            });
        }
        let Some(pending) = &set.pending else { continue };
        let Some(publication) = pending.publication.as_ref().filter(|id| is_id(id)) else { continue };
        let state = match pending.state {
            PendingState::Verified => "verified",
            PendingState::Pinned => "pinned",
            PendingState::Refused => "refused",
            PendingState::Delivered | PendingState::Unknown => "delivered",
        };
        out.push(Acknowledgement {
            publication_id: publication.clone(),
            agent: status.agent.to_string(),
            state: state.into(),
            reason_code: pending.reason.as_ref().map(|r| code_word(r.code)),
            reason: pending.reason.as_ref().map(|r| plain(&r.message, 1000)),
            activated_at: None,
            answered_at: heard.at,
        });
    }
    out
}

fn code_word(code: RefusalCode) -> String {
    serde_json::to_value(code).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}
