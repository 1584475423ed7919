//! The routes of `/v1`, and `/metrics`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderValue, Response, header};
use axum::response::IntoResponse;
use schemas::canonical::Digest;
use schemas::prompt::Prompt;
use schemas::status::ModeSource;
use schemas::{Slug, Version};
use serde::{Deserialize, Serialize};

use super::access::Peer;
use super::problem::{Code, Problem};
use super::{Sidecar, render};
use crate::config::parse_mode;
use crate::{Call, Listed, LiveAgent, LocalStatus, Mode, SyncReport};

type Shared = State<Arc<Sidecar>>;
type Result<T> = std::result::Result<T, Problem>;

/// Prompts in a list.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct Prompts {
    prompts: Vec<Listed>,
}

/// A prompt as its author wrote it.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct Template {
    #[serde(flatten)]
    of: Option<Served>,
    prompt: Prompt,
}

/// What it is served from.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub(super) struct Served {
    pub(super) set: Slug,
    #[schemars(with = "String")]
    pub(super) version: Version,
    pub(super) serial: u64,
    pub(super) digest: Digest,
    /// It is served from a folder of this machine, in the place of that version's.
    pub(super) local: bool,
}

/// The mode.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct Moded {
    mode: Mode,
    by: ModeSource,
}

/// The mode that is wanted.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SetMode {
    /// `ACCEPTING` or `FROZEN`.
    mode: String,
}

/// How to reconcile. Nothing needs to be said.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Sync {
    /// Takes up nothing; says what would be. Without it a FROZEN agent takes up once what waits.
    check: bool,
}

/// One call of a model with what a prompt gave.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Called {
    /// The prompt's id, or its address.
    id: String,
    #[serde(default)]
    input_tokens: u64,
    #[serde(default)]
    output_tokens: u64,
    /// In microseconds.
    #[serde(default)]
    latency_us: u64,
    /// In millionths of a US dollar.
    #[serde(default)]
    cost_micros: u64,
    #[serde(default)]
    failed: bool,
}

/// The prompt that a call was counted for.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct Counted {
    id: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Search {
    q: String,
}

pub(super) async fn render(State(sidecar): Shared, request: Request) -> Result<Response<Body>> {
    let (parts, body) = request.into_parts();
    let body = render::read_body(body, &sidecar.bounds).await?;
    render::render(&sidecar.agent.handle().core, &parts.headers, &body)
}

pub(super) async fn list(State(sidecar): Shared) -> Json<Prompts> {
    Json(Prompts { prompts: sidecar.agent.list() })
}

pub(super) async fn search(
    State(sidecar): Shared,
    query: std::result::Result<Query<Search>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Prompts>> {
    let Query(Search { q }) =
        query.map_err(|_| Problem::new(Code::BadQuery, "give words to look for: ?q=…"))?;
    Ok(Json(Prompts { prompts: sidecar.agent.search(&q) }))
}

pub(super) async fn template(State(sidecar): Shared, Path(id): Path<String>) -> Result<Json<Template>> {
    let (of, prompt) = source(&sidecar.agent, &id)?;
    Ok(Json(Template { of, prompt }))
}

/// A prompt, and what it is served from.
pub(super) fn source(agent: &LiveAgent, id: &str) -> Result<(Option<Served>, Prompt)> {
    let core = &agent.handle().core;
    loop {
        let table = core.cache.load();
        let owner = render::owner(core, &table, id)?;
        let prompt = (*core.template(id)?).clone();
        if Arc::ptr_eq(&table, &core.cache.load()) {
            let served = owner.map(|render::Owner { set, local }| Served {
                set: set.set.clone(),
                version: set.applied.version.clone(),
                serial: set.applied.serial,
                digest: set.applied.digest,
                local,
            });
            return Ok((served, prompt));
        }
    }
}

pub(super) async fn status(State(sidecar): Shared) -> Json<LocalStatus> {
    Json(sidecar.agent.local_status())
}

fn moded(agent: &LiveAgent) -> Json<Moded> {
    let status = agent.status();
    Json(Moded { mode: status.mode, by: status.mode_by })
}

pub(super) async fn mode(State(sidecar): Shared) -> Json<Moded> {
    moded(&sidecar.agent)
}

pub(super) async fn set_mode(State(sidecar): Shared, request: Request) -> Result<Json<Moded>> {
    let peer = request.extensions().get::<Peer>().copied();
    let body = render::read_body(request.into_body(), &sidecar.bounds).await?;
    let SetMode { mode } = serde_json::from_slice(&body).map_err(|error| render::bad_json(&error))?;
    let mode =
        parse_mode(&mode).map_err(|_| Problem::new(Code::BadJson, "mode: write ACCEPTING or FROZEN"))?;
    tell(peer, "the mode is asked for");
    sidecar.agent.set_mode(mode).await?;
    Ok(moded(&sidecar.agent))
}

pub(super) async fn sync(State(sidecar): Shared, request: Request) -> Result<Json<SyncReport>> {
    let peer = request.extensions().get::<Peer>().copied();
    let body = render::read_body(request.into_body(), &sidecar.bounds).await?;
    let Sync { check } = match body.is_empty() {
        true => Sync::default(),
        false => serde_json::from_slice(&body).map_err(|error| render::bad_json(&error))?,
    };
    tell(peer, "a sync is asked for");
    Ok(Json(if check { sidecar.agent.check().await? } else { sidecar.agent.sync().await? }))
}

pub(super) async fn report(State(sidecar): Shared, request: Request) -> Result<Json<Counted>> {
    let body = render::read_body(request.into_body(), &sidecar.bounds).await?;
    let called: Called = serde_json::from_slice(&body).map_err(|error| render::bad_json(&error))?;
    let call = Call {
        input_tokens: called.input_tokens,
        output_tokens: called.output_tokens,
        latency: Duration::from_micros(called.latency_us),
        cost_micros: called.cost_micros,
        failed: called.failed,
    };
    sidecar.agent.report(&called.id, &call)?;
    Ok(Json(Counted { id: called.id }))
}

/// Who asked for a change, for the log.
pub(super) fn tell(peer: Option<Peer>, what: &str) {
    match peer {
        Some(peer) => tracing::info!(peer = %peer, "{what}"),
        None => tracing::info!("{what} through the host's router"),
    }
}

pub(super) async fn metrics(State(sidecar): Shared) -> impl IntoResponse {
    let mut text = sidecar.agent.local_status().metrics();
    sidecar.meter.write(&mut text, sidecar.feed.readers());
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], text)
}
