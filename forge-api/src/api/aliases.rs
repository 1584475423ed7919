//! Aliases, dependencies, and addresses.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use schemas::bundle::Bundle;

use super::body::{
    AliasBody, List, LockedDependencyBody, PutAlias, PutRequirement, RequirementBody, ResolveQuery,
    ResolvedBody,
};
use super::set_at;
use crate::alias;
use crate::auth::Actor;
use crate::author::dependency;
use crate::error::Result;
use crate::lock;
use crate::server::{ApiJson, ApiQuery};
use crate::state::AppState;

type SetPath = Path<(String, String)>;
type NamePath = Path<(String, String, String)>;

pub(super) async fn list_aliases(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set)): SetPath,
) -> Result<Json<List<AliasBody>>> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let found = alias::list(&state, &actor, &set).await?;
    Ok(Json(List::whole(found.into_iter().map(Into::into).collect())))
}

pub(super) async fn get_alias(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set, name)): NamePath,
) -> Result<Json<AliasBody>> {
    let set = set_at(&state, &actor, &project, &set).await?;
    Ok(Json(alias::find(&state, &actor, &set, &name).await?.into()))
}

pub(super) async fn put_alias(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set, name)): NamePath,
    ApiJson(body): ApiJson<PutAlias>,
) -> Result<Json<AliasBody>> {
    let set = set_at(&state, &actor, &project, &set).await?;
    Ok(Json(alias::put(&state, &actor, &set, &name, &body.version, body.protected).await?.into()))
}

pub(super) async fn delete_alias(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set, name)): NamePath,
) -> Result<StatusCode> {
    let set = set_at(&state, &actor, &project, &set).await?;
    alias::delete(&state, &actor, &set, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn list_dependencies(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set)): SetPath,
) -> Result<Json<List<RequirementBody>>> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let found = dependency::requirements(&state, &actor, &set).await?;
    Ok(Json(List::whole(found.into_iter().map(Into::into).collect())))
}

pub(super) async fn put_dependency(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set, name)): NamePath,
    ApiJson(body): ApiJson<PutRequirement>,
) -> Result<Json<RequirementBody>> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let made = dependency::put_requirement(&state, &actor, &set, &name, &body.requirement).await?;
    Ok(Json(made.into()))
}

pub(super) async fn delete_dependency(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set, name)): NamePath,
) -> Result<StatusCode> {
    let set = set_at(&state, &actor, &project, &set).await?;
    dependency::delete_requirement(&state, &actor, &set, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The lock file of a version: what it was resolved to when it was locked.
pub(super) async fn list_locked_dependencies(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set, version)): NamePath,
) -> Result<Json<List<LockedDependencyBody>>> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let found = lock::find_version(&state, &actor, &set, &version).await?;
    let bundle = Bundle::from_body(&lock::version_body(&state, &actor, &set, &found).await?)?;
    Ok(Json(List::whole(bundle.dependencies.into_iter().map(Into::into).collect())))
}

pub(super) async fn resolve_address(
    State(state): State<AppState>,
    actor: Actor,
    ApiQuery(query): ApiQuery<ResolveQuery>,
) -> Result<Json<ResolvedBody>> {
    let found = alias::resolve_address(&state, &actor, &query.address, query.project.as_deref()).await?;
    Ok(Json(found.into()))
}
