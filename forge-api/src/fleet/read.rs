//! What a status says, as rows.

use schemas::Micros;
use schemas::status::{AgentStatus, ModeSource, OVERRIDES_MAX, OrderResult, PendingState, RefusalCode};

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

/// A status as it is stored: what is longer than [`STATUS_KEPT`] loses its use of prompts, its proofs and its long
/// texts first, and then as many overrides and sets as it takes.
fn kept(status: &AgentStatus) -> String {
    let written = |status: &AgentStatus| serde_json::to_string(status).unwrap_or_else(|_| "null".into());
    let mut less = status.clone();
    // Counted elsewhere.
    less.usage.clear();
    less.overrides.truncate(OVERRIDES_MAX);
    let mut text = written(&less);
    if text.len() <= STATUS_KEPT {
        return text;
    }
    for prompt in &mut less.overrides {
        *prompt = clip(prompt);
    }
    for field in
        [&mut less.identity, &mut less.host, &mut less.service, &mut less.agent_version, &mut less.cache]
    {
        *field = clip(field);
    }
    less.stale_reason = less.stale_reason.as_deref().map(clip);
    for set in &mut less.sets {
        (set.proof, set.fitting) = (None, None);
        set.pin = set.pin.as_deref().map(clip);
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
        mode_by: match status.mode_by {
            ModeSource::Configuration => "configuration",
            ModeSource::Local => "local",
            ModeSource::Forge => "forge",
            _ => "unknown",
        }
        .into(),
        order_number: status.order.map(|order| i64::try_from(order.number).unwrap_or(i64::MAX)),
        order_result: status.order.map(|order| {
            match order.result {
                OrderResult::Done => "done",
                OrderResult::Forbidden => "forbidden",
                _ => "unknown",
            }
            .into()
        }),
    }
}

pub(super) fn state_word(state: &str) -> &'static str {
    match state {
        "active" => "active",
        "verified" => "verified",
        "pinned" => "pinned",
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
            _ => "delivered",
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

#[cfg(test)]
mod tests {
    use schemas::status::USAGE_MAX;

    use super::*;

    fn status(overrides: usize, usage: usize, sets: usize) -> AgentStatus {
        let usage: Vec<_> = (0..usage)
            .map(|n| serde_json::json!({ "set": "chat", "version": "1.0.0", "prompt": format!("p{n}-{}", "x".repeat(400)), "renders": 1 }))
            .collect();
        let sets: Vec<_> = (0..sets)
            .map(|n| serde_json::json!({ "set": format!("set-{n}"), "pin": format!("={}", "1".repeat(900)) }))
            .collect();
        serde_json::from_value(serde_json::json!({
            "schema_version": 1, "agent": "till-1", "identity": "U",
            "scope": { "organisation": "acme", "project": "support", "environment": "prod" },
            "host": "h", "service": "till", "agent_version": "1", "mode": "FROZEN", "mode_by": "by a ghost",
            "order": { "number": u64::MAX, "result": "eaten" }, "at": 1, "started_at": 1, "floor": 1,
            "stale": false, "cache": "disk", "counters": { "renders": 0, "render_errors": 0 },
            "overrides": (0..overrides).map(|n| format!("@chat/p{n}")).collect::<Vec<_>>(),
            "usage": usage, "sets": sets,
        }))
        .unwrap()
    }

    fn stored(status: AgentStatus) -> (Agent, AgentStatus) {
        let row = row_of("e", &Heard { status: Box::new(status), at: 1 });
        assert!(row.status.len() <= STATUS_KEPT, "{}", row.status.len());
        let kept = serde_json::from_str(&row.status).unwrap();
        (row, kept)
    }

    #[test]
    fn what_is_told_of_overrides_pins_and_use_is_bounded() {
        let (_, kept) = stored(status(3, 3, 3));
        assert_eq!(
            (kept.overrides.len(), kept.usage.len(), kept.sets.len()),
            (3, 0, 3),
            "use is counted elsewhere"
        );
        let (_, kept) = stored(status(OVERRIDES_MAX + 50, 3, 3));
        assert_eq!((kept.overrides.len(), kept.usage.len()), (OVERRIDES_MAX, 0));
        let (_, kept) = stored(status(3, USAGE_MAX, 80));
        assert_eq!((kept.overrides.len(), kept.usage.len(), kept.sets.len()), (3, 0, 80));
        assert!(kept.sets.iter().all(|set| set.pin.as_ref().is_some_and(|pin| pin.len() == 200)));
        let (_, kept) = stored(status(3, 0, 2000));
        assert!((100..2000).contains(&kept.sets.len()), "{}", kept.sets.len());
    }

    #[test]
    fn an_answer_that_nobody_knows_is_kept_as_unknown() {
        let (row, _) = stored(status(0, 0, 0));
        assert_eq!(
            (row.mode_by.as_str(), row.order_number, row.order_result.as_deref()),
            ("unknown", Some(i64::MAX), Some("unknown"))
        );
    }
}
