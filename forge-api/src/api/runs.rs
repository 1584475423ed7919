//! A stored prompt rendered, and run with a model.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use serde::Serialize;

use super::body::{
    Begun, Done, Failed, List, ModelBody, More, RenderRequest, RenderedBody, RunRequest, given,
};
use super::set_at;
use crate::auth::Actor;
use crate::author::{self, RunEvent, Running};
use crate::error::{ApiError, Result};
use crate::server::ApiJson;
use crate::state::AppState;

/// A stream over which nothing comes says so often that it is still there.
const BEAT: Duration = Duration::from_secs(5);

/// Both a version and an environment were named.
pub(super) fn invalid_source() -> ApiError {
    ApiError::invalid("bad_source", "version", "name either a version or an environment, not both")
}

pub(super) async fn list_models(State(state): State<AppState>) -> Json<List<ModelBody>> {
    let endpoints = &state.config.models;
    let items = endpoints.models().map(|(name, model)| ModelBody::new(name, model, endpoints.currency()));
    Json(List::whole(items.collect()))
}

pub(super) async fn render_prompt(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set)): Path<(String, String)>,
    ApiJson(body): ApiJson<RenderRequest>,
) -> Result<Json<RenderedBody>> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let of = body.of()?;
    let given = given(body.values, body.history);
    Ok(Json(author::try_prompt(&state, &actor, &set, &of, &body.prompt, given).await?.into()))
}

pub(super) async fn run_prompt(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set)): Path<(String, String)>,
    ApiJson(body): ApiJson<RunRequest>,
) -> Result<Response> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let (render, model) = body.parts();
    let of = render.of()?;
    let given = given(render.values, render.history);
    let running = author::run(&state, &actor, &set, &of, &render.prompt, given, &model).await?;
    let begun = Begun {
        version: running.tried.version.clone(),
        model,
        tokens: running.tried.measure.tokens,
        tokenizer: running.tried.measure.family.as_str(),
    };
    let currency = state.config.models.currency().to_owned();
    let first = event("begun", &begun);
    let rest = stream::unfold((running, currency), next);
    let stream = futures::StreamExt::chain(stream::iter([Ok(first)]), rest);
    let mut response = Sse::new(stream).keep_alive(KeepAlive::new().interval(BEAT)).into_response();
    let headers = response.headers_mut();
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

async fn next(
    (mut running, currency): (Running, String),
) -> Option<(Result<Event, Infallible>, (Running, String))> {
    let event = match running.next().await? {
        RunEvent::Text(text) => event("text", &More { text }),
        RunEvent::Failed(error) => event("failed", &Failed { code: error.code(), detail: error.to_string() }),
        RunEvent::Done(outcome) => event(
            "done",
            &Done {
                input_tokens: outcome.input_tokens,
                output_tokens: outcome.output_tokens,
                estimated: outcome.estimated,
                cost: outcome.cost,
                currency: currency.clone(),
                first_ms: outcome.first_ms,
                total_ms: outcome.total_ms,
                stop: outcome.stop,
            },
        ),
    };
    Some((Ok(event), (running, currency)))
}

fn event<T: Serialize>(name: &'static str, body: &T) -> Event {
    let data = serde_json::to_string(body).unwrap_or_default();
    Event::default().event(name).data(data)
}
