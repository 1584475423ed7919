//! Live, ready, fresh: three questions, three answers, as [`crate::health`] judges them.
//!
//! A supervisor restarts what is not live, a balancer passes by what is not ready, and people are told of
//! what is not fresh: a broker that is down makes no agent stop serving.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;

use super::Sidecar;

/// The answer of a health route.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct Said {
    ok: bool,
    /// Why not, or what else is to be known.
    reasons: Vec<String>,
}

pub(super) fn said(ok: bool, reasons: Vec<String>) -> (StatusCode, Json<Said>) {
    let status = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Said { ok, reasons }))
}

pub(super) async fn livez(State(sidecar): State<Arc<Sidecar>>) -> (StatusCode, Json<Said>) {
    let health = sidecar.agent.health();
    said(health.live, if health.live { Vec::new() } else { health.reasons })
}

pub(super) async fn readyz(State(sidecar): State<Arc<Sidecar>>) -> (StatusCode, Json<Said>) {
    if sidecar.is_draining() {
        return said(false, vec!["it is ending".into()]);
    }
    let health = sidecar.agent.health();
    said(health.ready, health.reasons)
}

pub(super) async fn freshz(State(sidecar): State<Arc<Sidecar>>) -> (StatusCode, Json<Said>) {
    let health = sidecar.agent.health();
    said(health.fresh, health.reasons)
}
