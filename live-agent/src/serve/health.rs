//! Live, ready, fresh: three questions, three answers.
//!
//! A supervisor restarts what is not live, a balancer passes by what is not ready, and people are told of
//! what is not fresh: a broker that is down makes no agent stop serving.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use schemas::envelope::AgeAction;
use serde::Serialize;

use super::Sidecar;
use crate::LiveAgent;

/// How an agent stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// It runs.
    pub live: bool,
    /// It gives prompts.
    pub ready: bool,
    /// What it gives is what FORGE last published, as far as anybody can know.
    pub fresh: bool,
    /// Why not, for people.
    pub reasons: Vec<String>,
}

/// How the agent stands now.
pub(super) fn of(agent: &LiveAgent) -> Health {
    let local = agent.local_status();
    let status = &local.status;
    let mut reasons = Vec::new();
    let served = status.sets.iter().any(|set| set.active.is_some());
    if !served {
        reasons.push("nothing is served yet".to_owned());
    }
    let refuses = status.too_old && status.max_age.is_some_and(|rule| rule.action == AgeAction::Refuse);
    if status.too_old {
        reasons.push("what is here was not confirmed for longer than is allowed".to_owned());
    }
    if let Some(why) = &status.stale_reason {
        reasons.push(format!("stale: {why}"));
    }
    match &local.refused {
        Some(why) => reasons.push(format!("the broker does not let this agent in: {why}")),
        None if !local.connected => reasons.push("the broker is not connected".to_owned()),
        None => {}
    }
    let ready = served && !refuses;
    Health { live: true, ready, fresh: ready && local.connected && !status.stale && !status.too_old, reasons }
}

/// The answer of a health route.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct Said {
    ok: bool,
    /// Why not, or what else is to be known.
    reasons: Vec<String>,
}

fn said(ok: bool, reasons: Vec<String>) -> (StatusCode, Json<Said>) {
    let status = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Said { ok, reasons }))
}

pub(super) async fn livez(State(sidecar): State<Arc<Sidecar>>) -> (StatusCode, Json<Said>) {
    let health = of(&sidecar.agent);
    said(health.live, if health.live { Vec::new() } else { health.reasons })
}

pub(super) async fn readyz(State(sidecar): State<Arc<Sidecar>>) -> (StatusCode, Json<Said>) {
    if sidecar.is_draining() {
        return said(false, vec!["it is ending".into()]);
    }
    let health = of(&sidecar.agent);
    said(health.ready, health.reasons)
}

pub(super) async fn freshz(State(sidecar): State<Arc<Sidecar>>) -> (StatusCode, Json<Said>) {
    let health = of(&sidecar.agent);
    said(health.fresh, health.reasons)
}
