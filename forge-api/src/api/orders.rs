//! Orders to agents: take up what is published, or do not.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::body::{List, NewFleetOrder, NewOrder, OrderBody};
use super::page::{Listed, Page};
use super::project_at;
use crate::auth::Actor;
use crate::author;
use crate::error::{ApiError, Result};
use crate::order::{self, New, OrderView, Target};
use crate::server::ApiJson;
use crate::state::AppState;

fn cut(page: Page, found: Vec<OrderView>) -> Listed<OrderBody> {
    page.cut(found, |view| format!("{}/{}", view.environment.slug, view.order.number)).into_bodies()
}

pub(super) async fn list_fleet_orders(
    State(state): State<AppState>,
    actor: Actor,
    Path(project): Path<String>,
    page: Page,
) -> Result<Listed<OrderBody>> {
    let at = project_at(&state, &actor, &project).await?;
    Ok(cut(page, order::list(&state, &actor, &at, None).await?))
}

pub(super) async fn order_fleet(
    State(state): State<AppState>,
    actor: Actor,
    Path(project): Path<String>,
    ApiJson(body): ApiJson<NewFleetOrder>,
) -> Result<(StatusCode, Json<List<OrderBody>>)> {
    let at = project_at(&state, &actor, &project).await?;
    let given = order::give_fleet(&state, &actor, &at, body.mode, &body.reason).await?;
    Ok((StatusCode::CREATED, Json(List::whole(given.into_iter().map(Into::into).collect()))))
}

pub(super) async fn list_mode_orders(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, environment)): Path<(String, String)>,
    page: Page,
) -> Result<Listed<OrderBody>> {
    let at = project_at(&state, &actor, &project).await?;
    let environment = author::find_environment(&state, &actor, &at, &environment).await?;
    Ok(cut(page, order::list(&state, &actor, &at, Some(&environment)).await?))
}

pub(super) async fn order_mode(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, environment)): Path<(String, String)>,
    ApiJson(body): ApiJson<NewOrder>,
) -> Result<(StatusCode, Json<OrderBody>)> {
    let at = project_at(&state, &actor, &project).await?;
    let environment = author::find_environment(&state, &actor, &at, &environment).await?;
    let target = Target::of(body.agent.as_deref(), body.service.as_deref())?;
    let new = New { target, mode: body.mode, reason: &body.reason };
    let given = order::give(&state, &actor, &at, &environment, new).await?;
    Ok((StatusCode::CREATED, Json(given.into())))
}

pub(super) async fn withdraw_order(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, environment, number)): Path<(String, String, String)>,
) -> Result<StatusCode> {
    let at = project_at(&state, &actor, &project).await?;
    let environment = author::find_environment(&state, &actor, &at, &environment).await?;
    let number = number.parse().map_err(|_| ApiError::NotFound("order"))?;
    order::withdraw(&state, &actor, &at, &environment, number).await?;
    Ok(StatusCode::NO_CONTENT)
}
