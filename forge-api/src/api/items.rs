//! Prompts and partials that are moved: other names, copies, the archive. Their ids stand in the body: an
//! address of these can never be that of a prompt.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::body::{
    ArchiveRequest, ArchivedBody, DuplicateRequest, MovedBody, Named, RenameRequest, RestoreRequest, SetBody,
};
use super::page::{Listed, Page};
use super::set_at;
use crate::auth::Actor;
use crate::author::{self, NewSet, Restore};
use crate::error::Result;
use crate::server::ApiJson;
use crate::state::AppState;

type SetPath = Path<(String, String)>;

pub(super) async fn rename(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set)): SetPath,
    ApiJson(body): ApiJson<RenameRequest>,
) -> Result<Json<MovedBody>> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let (kind, id, to) = (body.kind.into(), &body.id, &body.to);
    Ok(Json(author::rename(&state, &actor, &set, kind, id, to, body.revision).await?.into()))
}

pub(super) async fn duplicate(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set)): SetPath,
    ApiJson(body): ApiJson<DuplicateRequest>,
) -> Result<(StatusCode, Json<MovedBody>)> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let copy = author::Duplicate {
        item: body.kind.into(),
        from: &body.id,
        into: body.set.as_deref(),
        to: &body.to,
        partials: body.partials,
    };
    let made = author::duplicate(&state, &actor, &set, copy).await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

pub(super) async fn archive(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set)): SetPath,
    ApiJson(body): ApiJson<ArchiveRequest>,
) -> Result<Json<ArchivedBody>> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let done = author::archive(&state, &actor, &set, body.kind.into(), &body.id, body.revision).await?;
    Ok(Json(done.into()))
}

pub(super) async fn restore(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set)): SetPath,
    ApiJson(body): ApiJson<RestoreRequest>,
) -> Result<Json<MovedBody>> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let which = Restore {
        item: body.kind.into(),
        name: &body.id,
        id: body.archived.as_deref(),
        to: body.to.as_deref(),
    };
    Ok(Json(author::restore(&state, &actor, &set, which).await?.into()))
}

pub(super) async fn list_archived(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set)): SetPath,
    page: Page,
) -> Result<Listed<ArchivedBody>> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let found = author::archived(&state, &actor, &set).await?;
    Ok(page.cut(found, |row| row.id.clone()).into_bodies())
}

pub(super) async fn duplicate_set(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set)): SetPath,
    ApiJson(body): ApiJson<Named>,
) -> Result<(StatusCode, Json<SetBody>)> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let new = NewSet { slug: &body.slug, name: &body.name, description: &body.description };
    let made = author::duplicate_set(&state, &actor, &set, new).await?;
    Ok((StatusCode::CREATED, Json(made.set.into())))
}
