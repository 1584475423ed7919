//! Webhooks.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::body::{DeliveryBody, NewWebhook, WebhookBody};
use super::page::{Listed, Page};
use super::{one_of, project_at};
use crate::auth::Actor;
use crate::database::webhook::Webhook;
use crate::error::Result;
use crate::server::{ApiJson, ApiQuery};
use crate::state::AppState;
use crate::webhook::{self, OnlySent};

type WebhookPath = Path<(String, String)>;

fn shown_once((row, secret): (Webhook, Zeroizing<String>)) -> Json<WebhookBody> {
    Json(WebhookBody { secret: Some(secret.to_string()), ..row.into() })
}

pub(super) async fn list_webhooks(
    State(state): State<AppState>,
    actor: Actor,
    Path(project): Path<String>,
    page: Page,
) -> Result<Listed<WebhookBody>> {
    let at = project_at(&state, &actor, &project).await?;
    let found = webhook::list(&state, &actor, &at).await?;
    Ok(page.cut(found, |row| row.id.clone()).into_bodies())
}

pub(super) async fn create_webhook(
    State(state): State<AppState>,
    actor: Actor,
    Path(project): Path<String>,
    ApiJson(body): ApiJson<NewWebhook>,
) -> Result<(StatusCode, Json<WebhookBody>)> {
    let at = project_at(&state, &actor, &project).await?;
    let made = webhook::create(&state, &actor, &at, &body.into()).await?;
    Ok((StatusCode::CREATED, shown_once(made)))
}

pub(super) async fn get_webhook(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, id)): WebhookPath,
) -> Result<Json<WebhookBody>> {
    let at = project_at(&state, &actor, &project).await?;
    Ok(Json(webhook::find(&state, &actor, &at, &id).await?.into()))
}

pub(super) async fn put_webhook(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, id)): WebhookPath,
    ApiJson(body): ApiJson<NewWebhook>,
) -> Result<Json<WebhookBody>> {
    let at = project_at(&state, &actor, &project).await?;
    Ok(Json(webhook::change(&state, &actor, &at, &id, &body.into()).await?.into()))
}

pub(super) async fn delete_webhook(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, id)): WebhookPath,
) -> Result<StatusCode> {
    let at = project_at(&state, &actor, &project).await?;
    webhook::remove(&state, &actor, &at, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn rotate_secret(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, id)): WebhookPath,
) -> Result<(StatusCode, Json<WebhookBody>)> {
    let at = project_at(&state, &actor, &project).await?;
    Ok((StatusCode::CREATED, shown_once(webhook::rotate(&state, &actor, &at, &id).await?)))
}

pub(super) async fn test_webhook(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, id)): WebhookPath,
) -> Result<(StatusCode, Json<DeliveryBody>)> {
    let at = project_at(&state, &actor, &project).await?;
    Ok((StatusCode::CREATED, Json(webhook::test(&state, &actor, &at, &id).await?.into())))
}

/// Which deliveries.
#[derive(Debug, Deserialize)]
pub(super) struct Only {
    /// waiting, delivered or failed.
    state: Option<String>,
}

pub(super) async fn list_deliveries(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, id)): WebhookPath,
    ApiQuery(only): ApiQuery<Only>,
    page: Page,
) -> Result<Listed<DeliveryBody>> {
    let at = project_at(&state, &actor, &project).await?;
    one_of("bad_state", "state", &only.state, webhook::STATES)?;
    let after: Option<String> = page.after()?;
    let only = OnlySent { state: only.state.as_deref(), below: after.as_deref() };
    let found = webhook::log(&state, &actor, &at, &id, only, page.query_limit()).await?;
    Ok(page.found(found, |row| row.id.clone()).into_bodies())
}

pub(super) async fn redeliver(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, id, delivery)): Path<(String, String, String)>,
) -> Result<(StatusCode, Json<DeliveryBody>)> {
    let at = project_at(&state, &actor, &project).await?;
    Ok((StatusCode::CREATED, Json(webhook::redeliver(&state, &actor, &at, &id, &delivery).await?.into())))
}
