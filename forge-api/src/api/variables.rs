//! Variable sets of a prompt.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;

use super::body::{PutVariableSet, VariableSetBody, given};
use super::page::{Listed, Page};
use super::prompts::tagged;
use super::{if_match, set_at};
use crate::auth::Actor;
use crate::author::{self, SaveVariables};
use crate::error::Result;
use crate::server::{ApiJson, ApiQuery};
use crate::state::AppState;

/// Whose variable sets. An id may hold slashes and dots: it stands in the query.
#[derive(Debug, Deserialize)]
pub(super) struct OfPrompt {
    prompt: String,
}

type SetPath = Path<(String, String)>;
type NamePath = Path<(String, String, String)>;

pub(super) async fn list_variable_sets(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set)): SetPath,
    ApiQuery(of): ApiQuery<OfPrompt>,
    page: Page,
) -> Result<Listed<VariableSetBody>> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let prompt = author::variables_of(&state, &actor, &set, &of.prompt).await?;
    let found = author::variable_sets(&state, &actor, &set, &prompt).await?;
    Ok(page.cut(found, |found| found.name.clone()).into_bodies())
}

pub(super) async fn get_variable_set(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set, name)): NamePath,
    ApiQuery(of): ApiQuery<OfPrompt>,
) -> Result<Response> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let prompt = author::variables_of(&state, &actor, &set, &of.prompt).await?;
    let found = author::variable_set(&state, &actor, &set, &prompt, &name).await?;
    Ok(tagged(StatusCode::OK, found.revision, VariableSetBody::from(found)))
}

pub(super) async fn put_variable_set(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set, name)): NamePath,
    ApiQuery(of): ApiQuery<OfPrompt>,
    headers: HeaderMap,
    ApiJson(body): ApiJson<PutVariableSet>,
) -> Result<Response> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let prompt = author::variables_of(&state, &actor, &set, &of.prompt).await?;
    let save = SaveVariables {
        prompt: &prompt,
        name: &name,
        rename: body.name.as_deref(),
        given: given(body.values, body.history),
        expected: if_match(&headers)?,
    };
    let done = author::save_variable_set(&state, &actor, &set, save).await?;
    let status = if done.revision == 1 { StatusCode::CREATED } else { StatusCode::OK };
    Ok(tagged(status, done.revision, VariableSetBody::from(done)))
}

pub(super) async fn delete_variable_set(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set, name)): NamePath,
    ApiQuery(of): ApiQuery<OfPrompt>,
    headers: HeaderMap,
) -> Result<StatusCode> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let prompt = author::variables_of(&state, &actor, &set, &of.prompt).await?;
    author::delete_variable_set(&state, &actor, &set, &prompt, &name, if_match(&headers)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
