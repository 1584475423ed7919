//! What a status says, as rows.

use schemas::Micros;
use schemas::status::{AgentStatus, PendingState, RefusalCode};

use crate::database::agent::{Acknowledgement, Agent};

/// A status and when it was heard.
pub(super) struct Heard {
    pub(super) status: Box<AgentStatus>,
    pub(super) at: Micros,
}

pub(super) fn clip(text: &str) -> String {
    text.chars().take(200).collect()
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
        status: serde_json::to_string(status).unwrap_or_else(|_| "null".into()),
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
        if let Some(active) = &set.active {
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
        let Some(publication) = &pending.publication else { continue };
        let state = match pending.state {
            PendingState::Verified => "verified",
            PendingState::Refused => "refused",
            PendingState::Delivered | PendingState::Unknown => "delivered",
        };
        out.push(Acknowledgement {
            publication_id: publication.clone(),
            agent: status.agent.to_string(),
            state: state.into(),
            reason_code: pending.reason.as_ref().map(|r| code_word(r.code)),
            reason: pending.reason.as_ref().map(|r| r.message.chars().take(1000).collect()),
            activated_at: None,
            answered_at: heard.at,
        });
    }
    out
}

fn code_word(code: RefusalCode) -> String {
    serde_json::to_value(code).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}
