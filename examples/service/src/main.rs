//! A service with an agent inside: it greets people with the prompt that FORGE published last.
//!
//! | request | answer |
//! |---|---|
//! | `GET /greet?name=Ada` | the prompt `welcome.message`, by the function that `live codegen` wrote |
//! | `GET /prompts/{id}?…` | any other prompt by its id or address, with the values of the query |
//! | `GET /search?q=…` | the prompts that have those words, the nearest first |
//! | `GET /status` | which version of each set is served, as FORGE sees it |
//! | `GET /health` | 200 once there is something to serve, 503 before |
//!
//! The agent takes its configuration from `LIVE_CONNECTION`, `LIVE_CREDENTIALS` and `LIVE_CACHE_DIR`; the service
//! listens on `LISTEN` (by default `127.0.0.1:8090`). `example-service health` asks a running one, for containers.

use std::collections::HashMap;
use std::process::ExitCode;

use anyhow::Context as _;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use live_agent::{LiveAgent, PromptError, Values};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

// Written by `live codegen`: its form is its own.
#[rustfmt::skip]
mod prompts;

const LISTEN: &str = "127.0.0.1:8090";

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let listen = std::env::var("LISTEN").unwrap_or_else(|_| LISTEN.into());
    if std::env::args().nth(1).as_deref() == Some("health") {
        return health_of(&listen).await;
    }
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();

    // The first line of the service: from here on prompts are served, from disk if need be. With the contract
    // FORGE says who would break before it publishes, and a bundle that breaks this service is not taken up.
    let builder = LiveAgent::builder().service("example").contract(prompts::contract()?);
    let agent = builder.or_from_env()?.start().await?;
    agent.on_change(|change| {
        tracing::info!(set = %change.set, version = %change.to.version, serial = change.serial, "prompts changed");
    })?;

    let routes = axum::Router::new()
        .route("/greet", get(greet))
        .route("/prompts/{*id}", get(prompt))
        .route("/search", get(search))
        .route("/status", get(status))
        .route("/health", get(health))
        .with_state(agent.clone());
    let listener =
        tokio::net::TcpListener::bind(&listen).await.with_context(|| format!("LISTEN={listen}"))?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, routes).with_graceful_shutdown(end()).await?;
    agent.stop().await;
    Ok(ExitCode::SUCCESS)
}

async fn greet(State(agent): State<LiveAgent>, Query(query): Query<HashMap<String, String>>) -> Response {
    match query.get("name") {
        Some(name) => rendered(prompts::welcome_message(&agent, name)),
        None => {
            (StatusCode::UNPROCESSABLE_ENTITY, "name is missing: ask for /greet?name=Ada").into_response()
        }
    }
}

async fn prompt(
    State(agent): State<LiveAgent>,
    Path(id): Path<String>,
    Query(values): Query<Map<String, Value>>,
) -> Response {
    rendered(agent.prompt(&id, Values::from_json(values)))
}

async fn search(State(agent): State<LiveAgent>, Query(query): Query<HashMap<String, String>>) -> Response {
    Json(agent.search(query.get("q").map_or("", String::as_str))).into_response()
}

async fn status(State(agent): State<LiveAgent>) -> Response {
    Json(agent.status()).into_response()
}

async fn health(State(agent): State<LiveAgent>) -> Response {
    let serves = !agent.list().is_empty();
    let code = if serves { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(json!({ "serves": serves }))).into_response()
}

/// An error of a prompt names the prompt and the parameter, and holds no value: it may be shown.
fn rendered(text: Result<String, PromptError>) -> Response {
    match text {
        Ok(text) => text.into_response(),
        Err(error) => {
            let code = match &error {
                PromptError::Unknown { .. } | PromptError::OtherVersion { .. } => StatusCode::NOT_FOUND,
                PromptError::Empty { .. } | PromptError::TooOld { .. } => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::UNPROCESSABLE_ENTITY,
            };
            (code, error.to_string()).into_response()
        }
    }
}

/// Asks a running service how it is: exit 0 where it serves.
async fn health_of(address: &str) -> anyhow::Result<ExitCode> {
    let port = address.rsplit(':').next().context("LISTEN names no port")?;
    let mut stream = tokio::net::TcpStream::connect(format!("127.0.0.1:{port}")).await?;
    stream.write_all(b"GET /health HTTP/1.0\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let healthy = answer.split_whitespace().nth(1) == Some("200");
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Until the service is told to end.
async fn end() {
    let mut terminated = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(signal) => signal,
        Err(_) => return std::future::pending().await,
    };
    tokio::select! {
        _ = terminated.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
