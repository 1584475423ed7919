//! Prompts and partials of a draft, and what an editor asks.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use schemas::PromptId;
use schemas::prompt::{Partial, Prompt};
use serde::{Deserialize, Serialize};

use super::body::{
    CheckBody, Import, ImportBody, PartialBody, PartialSource, Preview, PreviewBody, PromptBody,
    PromptSummaryBody, SaveQuery, given,
};
use super::page::{Listed, Page};
use super::{if_match, one_of, set_at};
use crate::auth::Actor;
use crate::author::{self, Item, OnlyPrompts, SetAt};
use crate::error::{ApiError, Result};
use crate::server::{ApiJson, ApiQuery, PromptJson};
use crate::state::AppState;

type SetPart = Path<(String, String, String)>;

/// A draft with its revision as its tag.
pub(super) fn tagged<T: Serialize>(status: StatusCode, revision: i64, body: T) -> Response {
    (status, [(header::ETAG, format!("\"{revision}\""))], Json(body)).into_response()
}

fn saved(revision: i64) -> StatusCode {
    if revision == 1 { StatusCode::CREATED } else { StatusCode::OK }
}

/// The way to what had this name before.
async fn elsewhere(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    project: &str,
    item: Item,
    name: &str,
) -> Result<Response> {
    let now = author::renamed(state, actor, set, item, name).await?;
    let to = format!("/api/v1/projects/{project}/sets/{}/{}s/{now}", set.set.slug, item.as_str());
    Ok(Redirect::permanent(&to).into_response())
}

/// Which prompts of a set.
#[derive(Debug, Deserialize)]
pub(super) struct Only {
    /// Words that stand in the name.
    q: Option<String>,
    tag: Option<String>,
    /// active, which is what nothing means, or archived.
    state: Option<String>,
}

pub(super) async fn list_prompts(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set)): Path<(String, String)>,
    ApiQuery(only): ApiQuery<Only>,
    page: Page,
) -> Result<Listed<PromptSummaryBody>> {
    let set = set_at(&state, &actor, &project, &set).await?;
    one_of("bad_state", "state", &only.state, &["active", "archived"])?;
    let archived = only.state.as_deref() == Some("archived");
    let only = OnlyPrompts { q: only.q, tag: only.tag, archived };
    let after: Option<String> = page.after()?;
    let found =
        author::list_prompts(&state, &actor, &set, &only, after.as_deref(), page.query_limit()).await?;
    Ok(page.found(found, author::PromptSummary::key).into_bodies())
}

pub(super) async fn get_prompt(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set, prompt)): SetPart,
) -> Result<Response> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let found = match author::prompt_draft(&state, &actor, &set, &prompt).await {
        Err(ApiError::NotFound(_)) => {
            return elsewhere(&state, &actor, &set, &project, Item::Prompt, &prompt).await;
        }
        found => found?,
    };
    Ok(tagged(StatusCode::OK, found.revision, PromptBody::from(found)))
}

pub(super) async fn put_prompt(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set, id)): SetPart,
    headers: HeaderMap,
    ApiQuery(because): ApiQuery<SaveQuery>,
    PromptJson(prompt): PromptJson<Prompt>,
) -> Result<Response> {
    let id = PromptId::new(&id)?;
    if prompt.id != id {
        let detail = format!("the address says {id}, the body {}; they must be the same", prompt.id);
        return Err(ApiError::invalid("invalid", "id", detail));
    }
    let set = set_at(&state, &actor, &project, &set).await?;
    let expected = if_match(&headers)?;
    let done = author::save_prompt_because(&state, &actor, &set, &prompt, expected, &because.message).await?;
    Ok(tagged(saved(done.revision), done.revision, PromptBody::from(done)))
}

pub(super) async fn delete_prompt(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set, id)): SetPart,
    headers: HeaderMap,
) -> Result<StatusCode> {
    let set = set_at(&state, &actor, &project, &set).await?;
    author::delete_prompt(&state, &actor, &set, &id, if_match(&headers)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn get_partial(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set, name)): SetPart,
) -> Result<Response> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let found = match author::partial_draft(&state, &actor, &set, &name).await {
        Err(ApiError::NotFound(_)) => {
            return elsewhere(&state, &actor, &set, &project, Item::Partial, &name).await;
        }
        found => found?,
    };
    Ok(tagged(StatusCode::OK, found.revision, PartialBody::from(found)))
}

pub(super) async fn put_partial(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set, name)): SetPart,
    headers: HeaderMap,
    ApiQuery(because): ApiQuery<SaveQuery>,
    ApiJson(body): ApiJson<PartialSource>,
) -> Result<Response> {
    let partial = Partial { name: PromptId::new(&name)?, source: body.source };
    let set = set_at(&state, &actor, &project, &set).await?;
    let done =
        author::save_partial_because(&state, &actor, &set, &partial, if_match(&headers)?, &because.message)
            .await?;
    Ok(tagged(saved(done.revision), done.revision, PartialBody::from(done)))
}

pub(super) async fn delete_partial(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set, name)): SetPart,
    headers: HeaderMap,
) -> Result<StatusCode> {
    let set = set_at(&state, &actor, &project, &set).await?;
    author::delete_partial(&state, &actor, &set, &name, if_match(&headers)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn check_prompt(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set)): Path<(String, String)>,
    PromptJson(body): PromptJson<Preview>,
) -> Result<Json<CheckBody>> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let found = author::check(&state, &actor, &set, &body.prompt).await?;
    Ok(Json(CheckBody { errors: found.errors, variables: found.variables }))
}

pub(super) async fn preview_prompt(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set)): Path<(String, String)>,
    PromptJson(body): PromptJson<Preview>,
) -> Result<Json<PreviewBody>> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let given = given(body.values, body.history);
    let (rendered, measure) = author::render_measured(&state, &actor, &set, &body.prompt, given).await?;
    Ok(Json(PreviewBody::new(rendered, measure)))
}

pub(super) async fn import_prompts(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set)): Path<(String, String)>,
    PromptJson(body): PromptJson<Import>,
) -> Result<Json<ImportBody>> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let done = author::import::import(&state, &actor, &set, &body.prompts).await?;
    Ok(Json(ImportBody { written: done.written, unchanged: done.unchanged }))
}
