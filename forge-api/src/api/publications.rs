//! Publications.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::body::{List, PublicationBody, PublicationDetail, PublishRequest};
use super::{Page, project_at};
use crate::auth::Actor;
use crate::author;
use crate::error::{ApiError, Result};
use crate::publish::{self, Request};
use crate::server::{ApiJson, ApiQuery};
use crate::state::AppState;

pub(super) async fn list_publications(
    State(state): State<AppState>,
    actor: Actor,
    Path(project): Path<String>,
    ApiQuery(page): ApiQuery<Page>,
) -> Result<Json<List<PublicationBody>>> {
    let at = project_at(&state, &actor, &project).await?;
    let found = publish::list(&state, &actor, &at, page.before, page.limit()).await?;
    let next = found.last().map(|f| f.publication.number).filter(|n| *n > 1);
    Ok(Json(List { items: found.into_iter().map(Into::into).collect(), next }))
}

pub(super) async fn publish(
    State(state): State<AppState>,
    actor: Actor,
    Path(project): Path<String>,
    ApiJson(body): ApiJson<PublishRequest>,
) -> Result<(StatusCode, Json<PublicationBody>)> {
    let at = project_at(&state, &actor, &project).await?;
    let set = author::find_set(&state, &actor, &at, &body.set).await?;
    let request = Request {
        environment: &body.environment,
        version: &body.version,
        expected_serial: body.expected_serial,
        comment: &body.comment,
        accept_broken: &body.accept_broken,
    };
    let made = publish::publish(&state, &actor, &set, request).await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

/// The same version once more, for the agents that refused it or did not answer.
pub(super) async fn retry_publication(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, number)): Path<(String, String)>,
) -> Result<(StatusCode, Json<PublicationBody>)> {
    let at = project_at(&state, &actor, &project).await?;
    let number = number.parse().map_err(|_| ApiError::NotFound("publication"))?;
    let made = publish::retry(&state, &actor, &at, number).await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

/// By its number within the project, or by its id.
pub(super) async fn get_publication(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, number)): Path<(String, String)>,
) -> Result<Json<PublicationDetail>> {
    let at = project_at(&state, &actor, &project).await?;
    let found = match number.parse::<i64>() {
        Ok(number) => publish::find(&state, &actor, &at, number).await?,
        Err(_) if number.len() == 36 => publish::find_by_id(&state, &actor, &at, &number).await?,
        Err(_) => return Err(ApiError::NotFound("publication")),
    };
    Ok(Json(found.into()))
}
