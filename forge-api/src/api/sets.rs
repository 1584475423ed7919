//! Prompt sets.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::body::{DraftBody, NewSetBody, SetBody};
use super::page::{Listed, Page};
use super::{Which, holds, is, one_of, project_at, set_at};
use crate::auth::Actor;
use crate::author::{self, NewSet};
use crate::error::Result;
use crate::server::{ApiJson, ApiQuery};
use crate::state::AppState;

pub(super) async fn list_sets(
    State(state): State<AppState>,
    actor: Actor,
    Path(project): Path<String>,
    ApiQuery(which): ApiQuery<Which>,
    page: Page,
) -> Result<Listed<SetBody>> {
    let at = project_at(&state, &actor, &project).await?;
    one_of("bad_state", "state", &which.state, &["editing", "review", "locked"])?;
    let mut found = match which.archived {
        true => author::archived_sets(&state, &actor, &at).await?,
        false => author::sets(&state, &actor, &at).await?,
    };
    found.retain(|set| is(&which.state, &set.state) && holds(&which.q, &[&set.slug, &set.name]));
    Ok(page.cut(found, |set| set.id.clone()).into_bodies())
}

pub(super) async fn create_set(
    State(state): State<AppState>,
    actor: Actor,
    Path(project): Path<String>,
    ApiJson(body): ApiJson<NewSetBody>,
) -> Result<(StatusCode, Json<SetBody>)> {
    let at = project_at(&state, &actor, &project).await?;
    let new = NewSet { slug: &body.slug, name: &body.name, description: &body.description };
    let made = match &body.example {
        Some(example) => author::add_example(&state, &actor, &at, example).await?,
        None => author::create_set(&state, &actor, &at, new).await?,
    };
    Ok((StatusCode::CREATED, Json(made.set.into())))
}

pub(super) async fn get_set(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set)): Path<(String, String)>,
) -> Result<Json<DraftBody>> {
    let set = set_at(&state, &actor, &project, &set).await?;
    let draft = author::draft(&state, &actor, &set).await?;
    Ok(Json(DraftBody::new(set.set, draft)))
}
