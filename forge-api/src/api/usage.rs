//! What agents were built for, and what they use.

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;

use super::account::time;
use super::body::{BreaksBody, List, UsageBody};
use super::{project_at, set_at};
use crate::auth::Actor;
use crate::author;
use crate::contract::{self, Known};
use crate::error::Result;
use crate::publish;
use crate::server::ApiQuery;
use crate::state::AppState;
use crate::usage::{self, Asked, By};

/// What is to be published.
#[derive(Debug, Deserialize)]
pub(super) struct Candidate {
    set: String,
    version: String,
}

/// Which use.
#[derive(Debug, Deserialize)]
pub(super) struct Which {
    set: String,
    environment: Option<String>,
    version: Option<String>,
    from: Option<String>,
    to: Option<String>,
    #[serde(default)]
    by: By,
}

pub(super) async fn list_breaks(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, environment)): Path<(String, String)>,
    ApiQuery(candidate): ApiQuery<Candidate>,
) -> Result<Json<BreaksBody>> {
    let at = project_at(&state, &actor, &project).await?;
    let environment = author::find_environment(&state, &actor, &at, &environment).await?;
    let set = author::find_set(&state, &actor, &at, &candidate.set).await?;
    let breaks = contract::breaks(&state, &actor, &set, &environment, &candidate.version).await?;
    let foreseen = publish::foresee(&state, &actor, &set, &environment, &candidate.version, &breaks).await?;
    Ok(Json(BreaksBody::new(environment.slug, candidate.set, candidate.version, breaks, foreseen)))
}

pub(super) async fn list_contracts(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, set)): Path<(String, String)>,
) -> Result<Json<List<Known>>> {
    let set = set_at(&state, &actor, &project, &set).await?;
    Ok(Json(List::whole(contract::known(&state, &actor, &set).await?)))
}

pub(super) async fn get_usage(
    State(state): State<AppState>,
    actor: Actor,
    Path(project): Path<String>,
    ApiQuery(which): ApiQuery<Which>,
) -> Result<Json<UsageBody>> {
    let set = set_at(&state, &actor, &project, &which.set).await?;
    let asked = Asked {
        environment: which.environment.as_deref(),
        version: which.version.as_deref(),
        from: time("from", which.from.as_deref())?,
        to: time("to", which.to.as_deref())?,
        by: which.by,
    };
    Ok(Json(usage::usage(&state, &actor, &set, asked).await?.into()))
}
