//! Finding things; one's favourites, and what one opened last.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::body::{FoundBody, List, StarBody, ThingBody};
use super::page::{Listed, Page};
use super::project_at;
use crate::auth::Actor;
use crate::author;
use crate::error::{ApiError, Result};
use crate::search::thing::Kind;
use crate::search::{self, Asked};
use crate::server::{ApiJson, ApiQuery};
use crate::state::AppState;
use crate::visit;

/// Results of one page where nobody says how many.
const LIMIT: usize = 20;
/// Things one opened last that are told.
const RECENT: usize = 20;

/// What is looked for, and where.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Query {
    q: String,
    organisation: String,
    project: String,
    set: String,
    tag: String,
    state: String,
    kind: String,
    archived: bool,
    cursor: String,
    limit: Option<usize>,
}

pub(super) async fn search(
    State(state): State<AppState>,
    actor: Actor,
    ApiQuery(query): ApiQuery<Query>,
) -> Result<Json<FoundBody>> {
    let asked = Asked {
        q: &query.q,
        organisation: &query.organisation,
        project: &query.project,
        set: &query.set,
        tag: &query.tag,
        state: &query.state,
        kind: &query.kind,
        archived: query.archived,
        cursor: &query.cursor,
        limit: query.limit.unwrap_or(LIMIT),
    };
    Ok(Json(search::search(&state, &actor, &asked).await?.into()))
}

/// Of which organisation.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Within {
    organisation: String,
}

pub(super) async fn list_recent(
    State(state): State<AppState>,
    actor: Actor,
    ApiQuery(within): ApiQuery<Within>,
) -> Result<Json<List<ThingBody>>> {
    if within.organisation.is_empty() {
        return Err(ApiError::invalid("organisation_missing", "organisation", "name the organisation"));
    }
    let organisation = author::visit_organisation(&state, &actor, &within.organisation).await?;
    let found = visit::recent(&state, &actor, &organisation, RECENT).await?;
    Ok(Json(List::whole(found.into_iter().map(Into::into).collect())))
}

pub(super) async fn list_favourites(
    State(state): State<AppState>,
    actor: Actor,
    ApiQuery(within): ApiQuery<Within>,
    page: Page,
) -> Result<Listed<ThingBody>> {
    let found = visit::favourites(&state, &actor).await?.into_iter();
    let fits = |organisation: &str| within.organisation.is_empty() || within.organisation == organisation;
    let found: Vec<ThingBody> = found.filter(|t| fits(&t.organisation)).map(Into::into).collect();
    let key = |t: &ThingBody| {
        let set = t.set.as_deref().unwrap_or_default();
        format!("{} {}/{}/{set}/{}", t.kind, t.organisation, t.project, t.id)
    };
    Ok(page.cut(found, key))
}

pub(super) async fn put_favourite(
    State(state): State<AppState>,
    actor: Actor,
    ApiJson(body): ApiJson<StarBody>,
) -> Result<Json<ThingBody>> {
    change(&state, &actor, &body, true).await
}

pub(super) async fn delete_favourite(
    State(state): State<AppState>,
    actor: Actor,
    ApiJson(body): ApiJson<StarBody>,
) -> Result<Json<ThingBody>> {
    change(&state, &actor, &body, false).await
}

async fn change(state: &AppState, actor: &Actor, body: &StarBody, starred: bool) -> Result<Json<ThingBody>> {
    let kind = Kind::parse(&body.kind)
        .ok_or_else(|| ApiError::invalid("bad_kind", "kind", "write project, set, prompt or partial"))?;
    let at = project_at(state, actor, &body.project).await?;
    let row = visit::row_of(state, actor, kind, &at, &body.set, &body.id).await?;
    Ok(Json(visit::star(state, actor, kind, &row, starred).await?.into()))
}
