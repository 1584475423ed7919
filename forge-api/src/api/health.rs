//! For whoever watches the process.

use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::clock;
use crate::database::{agent, outbox};
use crate::error::Result;
use crate::fleet::silence;
use crate::state::AppState;

pub(super) async fn live() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// Ready is who can serve people: the broker may be away.
pub(super) async fn ready(State(state): State<AppState>) -> Response {
    let database = state.database.ping().await.is_ok();
    let broker = state.broker.is_connected();
    let status = if database { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let word = |good: bool| if good { "ok" } else { "unreachable" };
    let body = json!({ "status": word(database), "database": word(database), "broker": word(broker) });
    (status, Json(body)).into_response()
}

pub(super) async fn metrics(State(state): State<AppState>) -> Result<Response> {
    let (waiting, agents, stale) = {
        let mut conn = state.database.read().await?;
        let since = clock::now() - silence(&state.config);
        let (agents, stale) = agent::heard_since(&mut conn, since).await?;
        (outbox::count(&mut conn).await?, agents, stale)
    };
    let up = (clock::now() - state.started_at) / 1_000_000;
    let dropped = state.statuses_dropped.load(Ordering::Relaxed);
    let broker = u8::from(state.broker.is_connected());
    let text = format!(
        "# TYPE forge_up_seconds gauge\nforge_up_seconds {up}\n\
         # TYPE forge_broker_connected gauge\nforge_broker_connected {broker}\n\
         # TYPE forge_outbox_waiting gauge\nforge_outbox_waiting {waiting}\n\
         # TYPE forge_agents_connected gauge\nforge_agents_connected {agents}\n\
         # TYPE forge_agents_stale gauge\nforge_agents_stale {stale}\n\
         # TYPE forge_statuses_dropped_total counter\nforge_statuses_dropped_total {dropped}\n"
    );
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}
