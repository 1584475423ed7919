//! Revisions of prompts and partials, and two states of a set held against each other.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};

use super::body::{ChangesBody, CompareQuery, ProposalBody, RevisionBody, StateBody};
use super::page::{Listed, Page};
use super::{if_match, set_at};
use crate::auth::Actor;
use crate::author::history::{self, Part};
use crate::compare;
use crate::error::Result;
use crate::server::ApiQuery;
use crate::state::AppState;

type PartPath = Path<(String, String, String)>;
type RevisionPath = Path<(String, String, String, String)>;

async fn listed(
    state: &AppState,
    actor: &Actor,
    (project, set): (&str, &str),
    part: Part<'_>,
    page: Page,
) -> Result<Listed<RevisionBody>> {
    let set = set_at(state, actor, project, set).await?;
    let after: Option<String> = page.after()?;
    let found = history::history(state, actor, &set, part, after.as_deref(), page.query_limit()).await?;
    Ok(page.found(found, |one| one.id.clone()).into_bodies())
}

async fn one(
    state: &AppState,
    actor: &Actor,
    (project, set): (&str, &str),
    part: Part<'_>,
    key: &str,
) -> Result<Json<RevisionBody>> {
    let set = set_at(state, actor, project, set).await?;
    Ok(Json(history::find_revision(state, actor, &set, part, key).await?.into()))
}

async fn restored(
    state: &AppState,
    actor: &Actor,
    (project, set): (&str, &str),
    part: Part<'_>,
    key: &str,
    headers: &HeaderMap,
) -> Result<(StatusCode, Json<RevisionBody>)> {
    let set = set_at(state, actor, project, set).await?;
    let expected = if headers.contains_key(header::IF_MATCH) { Some(if_match(headers)?) } else { None };
    let made = history::restore(state, actor, &set, part, key, expected).await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

pub(super) async fn list_revisions(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set, prompt)): PartPath,
    page: Page,
) -> Result<Listed<RevisionBody>> {
    listed(&state, &actor, (&project, &set), Part::Prompt(&prompt), page).await
}

pub(super) async fn get_revision(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set, revision, prompt)): RevisionPath,
) -> Result<Json<RevisionBody>> {
    one(&state, &actor, (&project, &set), Part::Prompt(&prompt), &revision).await
}

pub(super) async fn restore_revision(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set, revision, prompt)): RevisionPath,
    headers: HeaderMap,
) -> Result<(StatusCode, Json<RevisionBody>)> {
    restored(&state, &actor, (&project, &set), Part::Prompt(&prompt), &revision, &headers).await
}

pub(super) async fn list_partial_revisions(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set, partial)): PartPath,
    page: Page,
) -> Result<Listed<RevisionBody>> {
    listed(&state, &actor, (&project, &set), Part::Partial(&partial), page).await
}

pub(super) async fn get_partial_revision(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set, revision, partial)): RevisionPath,
) -> Result<Json<RevisionBody>> {
    one(&state, &actor, (&project, &set), Part::Partial(&partial), &revision).await
}

pub(super) async fn restore_partial_revision(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set, revision, partial)): RevisionPath,
    headers: HeaderMap,
) -> Result<(StatusCode, Json<RevisionBody>)> {
    restored(&state, &actor, (&project, &set), Part::Partial(&partial), &revision, &headers).await
}

pub(super) async fn list_states(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set)): Path<(String, String)>,
    page: Page,
) -> Result<Listed<StateBody>> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let found = history::states(&state, &actor, &set, page.after()?, page.query_limit()).await?;
    Ok(page.found(found, |one| one.at.to_string()).into_bodies())
}

pub(super) async fn compare_states(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set)): Path<(String, String)>,
    ApiQuery(query): ApiQuery<CompareQuery>,
) -> Result<Json<ChangesBody>> {
    let set = set_at(&state, &actor, &project, &set).await?;
    Ok(Json(compare::between(&state, &actor, &set, &query.old, &query.new).await?.into()))
}

pub(super) async fn get_next_version(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set)): Path<(String, String)>,
) -> Result<Json<ProposalBody>> {
    let set = set_at(&state, &actor, &project, &set).await?;
    Ok(Json(compare::proposal(&state, &actor, &set).await?.into()))
}
