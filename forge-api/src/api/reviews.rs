//! Reviews.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::body::{Approve, List, ReviewBody, ReviewRequest};
use super::set_at;
use crate::auth::Actor;
use crate::error::Result;
use crate::review;
use crate::server::ApiJson;
use crate::state::AppState;

type SetPath = Path<(String, String)>;

pub(super) async fn list_reviews(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set)): SetPath,
) -> Result<Json<List<ReviewBody>>> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let found = review::list(&state, &actor, &set).await?;
    Ok(Json(List::whole(found.into_iter().map(Into::into).collect())))
}

pub(super) async fn request_review(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set)): SetPath,
    ApiJson(body): ApiJson<ReviewRequest>,
) -> Result<(StatusCode, Json<ReviewBody>)> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let made = review::request(&state, &actor, &set, &body.title).await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

pub(super) async fn approve_review(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set)): SetPath,
    ApiJson(body): ApiJson<Approve>,
) -> Result<StatusCode> {
    let set = set_at(&state, &actor, &project, &set).await?;
    review::approve(&state, &actor, &set, &body.digest).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn return_review(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set)): SetPath,
) -> Result<StatusCode> {
    let set = set_at(&state, &actor, &project, &set).await?;
    review::give_back(&state, &actor, &set).await?;
    Ok(StatusCode::NO_CONTENT)
}
