//! What can be changed of an organisation, a project and a set.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;

use super::body::{OrganisationBody, OrganisationChange, ProjectBody, ProjectChange, SetBody, SetChange};
use super::{project_at, seen, set_at};
use crate::auth::{Actor, Role};
use crate::author::{self, Change};
use crate::error::Result;
use crate::server::ApiJson;
use crate::state::AppState;

pub(super) async fn patch_organisation(
    State(state): State<AppState>,
    actor: Actor,
    Path(organisation): Path<String>,
    headers: HeaderMap,
    ApiJson(body): ApiJson<OrganisationChange>,
) -> Result<Json<OrganisationBody>> {
    let at = author::find_organisation(&state, &actor, &organisation).await?;
    let change = Change { name: body.name.as_deref(), seen: seen(&headers), ..Change::default() };
    let made = author::change_organisation(&state, &actor, &at, change).await?;
    let role = actor.role_in(&made.id).unwrap_or(Role::Viewer);
    Ok(Json(OrganisationBody::new(made, role)))
}

pub(super) async fn patch_project(
    State(state): State<AppState>,
    actor: Actor,
    Path(project): Path<String>,
    headers: HeaderMap,
    ApiJson(body): ApiJson<ProjectChange>,
) -> Result<Json<ProjectBody>> {
    let at = project_at(&state, &actor, &project).await?;
    let change = Change {
        name: body.name.as_deref(),
        description: body.description.as_deref(),
        archived: body.archived,
        seen: seen(&headers),
        ..Change::default()
    };
    Ok(Json(ProjectBody::from(&author::change_project(&state, &actor, &at, change).await?)))
}

pub(super) async fn patch_set(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set)): Path<(String, String)>,
    headers: HeaderMap,
    ApiJson(body): ApiJson<SetChange>,
) -> Result<Json<SetBody>> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let change = Change {
        name: body.name.as_deref(),
        description: body.description.as_deref(),
        tags: body.tags.as_deref(),
        archived: body.archived,
        seen: seen(&headers),
    };
    Ok(Json(author::change_set(&state, &actor, &set, change).await?.set.into()))
}
