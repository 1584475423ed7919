//! Publications.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::body::{PublicationBody, PublicationDetail, PublishRequest};
use super::page::{Listed, Page};
use super::{one_of, project_at};
use crate::auth::Actor;
use crate::author;
use crate::error::{ApiError, Result};
use crate::publish::{self, Request};
use crate::server::{ApiJson, ApiQuery};
use crate::state::AppState;

/// Which publications.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Only {
    environment: Option<String>,
    set: Option<String>,
    /// waiting, sent, superseded or failed.
    state: Option<String>,
}

pub(super) async fn list_publications(
    State(state): State<AppState>,
    actor: Actor,
    Path(project): Path<String>,
    ApiQuery(only): ApiQuery<Only>,
    page: Page,
) -> Result<Listed<PublicationBody>> {
    let at = project_at(&state, &actor, &project).await?;
    one_of("bad_state", "state", &only.state, &["waiting", "sent", "superseded", "failed"])?;
    let environment_id = match &only.environment {
        Some(slug) => Some(author::find_environment(&state, &actor, &at, slug).await?.id),
        None => None,
    };
    let set_id = match &only.set {
        Some(slug) => Some(author::find_set(&state, &actor, &at, slug).await?.set.id),
        None => None,
    };
    let only = publish::Only { environment_id, set_id, state: only.state };
    let found = publish::list(&state, &actor, &at, only, page.after()?, page.query_limit()).await?;
    Ok(page.found(found, |f| f.publication.number.to_string()).into_bodies())
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
