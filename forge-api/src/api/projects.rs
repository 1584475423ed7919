//! Projects and environments.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use schemas::envelope::MaxAge;

use super::body::{
    BoardBody, EnvironmentBody, NewEnvironmentBody, NewProjectBody, OverviewBody, ProjectBody, SigningKeyBody,
};
use super::page::{Listed, Page};
use super::{Which, holds, project_at};
use crate::auth::Actor;
use crate::author::{self, NewEnvironment, NewProject, ProjectAt};
use crate::error::Result;
use crate::keys::change;
use crate::overview;
use crate::server::{ApiJson, ApiQuery};
use crate::state::AppState;

pub(super) async fn list_projects(
    State(state): State<AppState>,
    actor: Actor,
    Path(organisation): Path<String>,
    ApiQuery(which): ApiQuery<Which>,
    page: Page,
) -> Result<Listed<ProjectBody>> {
    let organisation = author::visit_organisation(&state, &actor, &organisation).await?;
    let mut found = match which.archived {
        true => author::archived_projects(&state, &actor, &organisation).await?,
        false => author::projects(&state, &actor, &organisation).await?,
    };
    found.retain(|project| holds(&which.q, &[&project.slug, &project.name]));
    let body = |project| ProjectBody::from(&ProjectAt { organisation: organisation.clone(), project });
    Ok(page.cut(found, |project| project.id.clone()).map(body))
}

/// What waits for whoever asks, and what needs somebody.
pub(super) async fn get_overview(
    State(state): State<AppState>,
    actor: Actor,
    Path(organisation): Path<String>,
) -> Result<Json<BoardBody>> {
    let organisation = author::visit_organisation(&state, &actor, &organisation).await?;
    Ok(Json(overview::needs(&state, &actor, &organisation).await?.into()))
}

pub(super) async fn create_project(
    State(state): State<AppState>,
    actor: Actor,
    Path(organisation): Path<String>,
    ApiJson(body): ApiJson<NewProjectBody>,
) -> Result<(StatusCode, Json<ProjectBody>)> {
    let organisation = author::find_organisation(&state, &actor, &organisation).await?;
    let new = NewProject { slug: &body.slug, name: &body.name, description: &body.description };
    let made = match &body.example {
        Some(example) => author::create_from_example(&state, &actor, &organisation, new, example).await?,
        None => author::create_project(&state, &actor, &organisation, new).await?,
    };
    Ok((StatusCode::CREATED, Json(ProjectBody::from(&made))))
}

pub(super) async fn get_project(
    State(state): State<AppState>,
    actor: Actor,
    Path(project): Path<String>,
) -> Result<Json<OverviewBody>> {
    let at = project_at(&state, &actor, &project).await?;
    Ok(Json(overview::project(&state, &actor, &at).await?.into()))
}

pub(super) async fn put_max_age(
    State(state): State<AppState>,
    actor: Actor,
    Path(project): Path<String>,
    ApiJson(body): ApiJson<MaxAge>,
) -> Result<StatusCode> {
    let at = project_at(&state, &actor, &project).await?;
    author::set_max_age(&state, &actor, &at, Some(body)).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn delete_max_age(
    State(state): State<AppState>,
    actor: Actor,
    Path(project): Path<String>,
) -> Result<StatusCode> {
    let at = project_at(&state, &actor, &project).await?;
    author::set_max_age(&state, &actor, &at, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn list_signing_keys(
    State(state): State<AppState>,
    actor: Actor,
    Path(project): Path<String>,
    page: Page,
) -> Result<Listed<SigningKeyBody>> {
    let at = project_at(&state, &actor, &project).await?;
    let keys = change::list(&state, &actor, Some(&at)).await?;
    Ok(page.cut(keys, |key| key.public_key.clone()).into_bodies())
}

pub(super) async fn list_environments(
    State(state): State<AppState>,
    actor: Actor,
    Path(project): Path<String>,
    page: Page,
) -> Result<Listed<EnvironmentBody>> {
    let at = project_at(&state, &actor, &project).await?;
    let found = author::environments(&state, &actor, &at).await?;
    Ok(page.cut(found, |environment| environment.id.clone()).into_bodies())
}

pub(super) async fn create_environment(
    State(state): State<AppState>,
    actor: Actor,
    Path(project): Path<String>,
    ApiJson(body): ApiJson<NewEnvironmentBody>,
) -> Result<(StatusCode, Json<EnvironmentBody>)> {
    let at = project_at(&state, &actor, &project).await?;
    let new = NewEnvironment { slug: &body.slug, name: &body.name, takes_drafts: body.takes_drafts };
    let made = author::create_environment(&state, &actor, &at, new).await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}
