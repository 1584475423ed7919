//! Locking, versions, and the draft made again what one of them was.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::body::{LockRequest, RestoreVersionRequest, RestoredBody, VersionBody};
use super::current_bundle::Served;
use super::page::{Listed, Page};
use super::{is, one_of, set_at};
use crate::auth::Actor;
use crate::author;
use crate::error::Result;
use crate::lock;
use crate::server::{ApiJson, ApiQuery};
use crate::state::AppState;

type SetPath = Path<(String, String)>;
type VersionPath = Path<(String, String, String)>;

pub(super) async fn lock_set(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set)): SetPath,
    ApiJson(body): ApiJson<LockRequest>,
) -> Result<(StatusCode, Json<VersionBody>)> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let lower = lock::lower(&state, &actor, &set, &body.version).await?;
    if let Some(lower) = lower.as_ref().filter(|_| body.strict) {
        return Err(lower.refuse(&body.version));
    }
    let digest = body.draft_digest.as_deref();
    let made = lock::lock(&state, &actor, &set, &body.version, digest, &body.notes).await?;
    let asked_for = lower.map(|lower| lower.asked_for.to_string());
    Ok((StatusCode::CREATED, Json(VersionBody { asked_for, ..made.into() })))
}

pub(super) async fn reopen_set(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set)): SetPath,
) -> Result<StatusCode> {
    let set = set_at(&state, &actor, &project, &set).await?;
    lock::reopen(&state, &actor, &set).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn restore_version(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set)): SetPath,
    ApiJson(body): ApiJson<RestoreVersionRequest>,
) -> Result<Json<RestoredBody>> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let digest = body.draft_digest.as_deref();
    Ok(Json(author::restore_version(&state, &actor, &set, &body.version, digest).await?.into()))
}

/// Which versions.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Only {
    /// locked or snapshot.
    kind: Option<String>,
}

pub(super) async fn list_versions(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set)): SetPath,
    ApiQuery(only): ApiQuery<Only>,
    page: Page,
) -> Result<Listed<VersionBody>> {
    let set = set_at(&state, &actor, &project, &set).await?;
    one_of("bad_kind", "kind", &only.kind, &["locked", "snapshot"])?;
    let mut found = lock::versions(&state, &actor, &set).await?;
    found.retain(|version| is(&only.kind, &version.kind));
    Ok(page.cut(found, |version| version.id.clone()).into_bodies())
}

pub(super) async fn get_version(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set, version)): VersionPath,
) -> Result<Json<VersionBody>> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let found = lock::find_version(&state, &actor, &set, &version).await?;
    let imported = lock::origin(&state, &actor, &set, &found).await?.map(Into::into);
    Ok(Json(VersionBody { imported, ..found.into() }))
}

pub(super) async fn get_version_bundle(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set, version)): VersionPath,
    headers: HeaderMap,
) -> Result<Response> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let found = lock::find_version(&state, &actor, &set, &version).await?;
    let served = Served { version: &found, at: found.created_at, publication: None };
    served.answer(&state, &actor, &set, &headers).await
}
