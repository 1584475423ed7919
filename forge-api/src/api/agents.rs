//! Agents and credentials.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use publisher::credentials::Role;

use super::account::time;
use super::body::{AgentBody, CreatedCredential, CredentialBody, List, NewCredential, Revoked};
use super::project_at;
use crate::auth::Actor;
use crate::author;
use crate::credential::{self, Ends, New};
use crate::error::{ApiError, Result};
use crate::fleet;
use crate::server::{ApiJson, ApiQuery};
use crate::state::AppState;

#[derive(Debug, serde::Deserialize)]
pub(super) struct Only {
    environment: Option<String>,
}

pub(super) async fn list_agents(
    State(state): State<AppState>,
    actor: Actor,
    Path(project): Path<String>,
    ApiQuery(only): ApiQuery<Only>,
) -> Result<Json<List<AgentBody>>> {
    let at = project_at(&state, &actor, &project).await?;
    let environment = match &only.environment {
        Some(slug) => Some(author::find_environment(&state, &actor, &at, slug).await?),
        None => None,
    };
    let found = fleet::agents(&state, &actor, &at, environment.as_ref()).await?;
    Ok(Json(List::whole(found.into_iter().map(Into::into).collect())))
}

pub(super) async fn list_credentials(
    State(state): State<AppState>,
    actor: Actor,
    Path(project): Path<String>,
) -> Result<Json<List<CredentialBody>>> {
    let at = project_at(&state, &actor, &project).await?;
    let found = credential::list(&state, &actor, &at).await?;
    Ok(Json(List::whole(found.into_iter().map(|(c, e)| CredentialBody::new(c, &e)).collect())))
}

pub(super) async fn create_credential(
    State(state): State<AppState>,
    actor: Actor,
    Path(project): Path<String>,
    ApiJson(body): ApiJson<NewCredential>,
) -> Result<(StatusCode, Json<CreatedCredential>)> {
    let at = project_at(&state, &actor, &project).await?;
    let kind = match body.kind.as_deref() {
        None | Some("agent") => Role::Agent,
        Some("inspect") => Role::Inspect,
        Some(_) => return Err(ApiError::invalid("invalid", "kind", "it is agent or inspect")),
    };
    let ends = match body.expires_at.as_deref() {
        Some("never") => Ends::Never,
        text => time("expires_at", text)?.map_or(Ends::Default, Ends::At),
    };
    let NewCredential { environment, name, purpose, .. } = &body;
    let new = New { environment, name, purpose, kind, ends };
    let made = credential::create(&state, &actor, &at, new).await?;
    let answer = CreatedCredential {
        credential: CredentialBody::new(made.credential, &made.environment),
        creds: made.creds.to_string(),
        connect: made.connect_line.to_string(),
        connection: made.connection,
    };
    Ok((StatusCode::CREATED, Json(answer)))
}

pub(super) async fn revoke_credential(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, id)): Path<(String, String)>,
) -> Result<Json<Revoked>> {
    let at = project_at(&state, &actor, &project).await?;
    Ok(Json(Revoked { broker_knows: credential::revoke(&state, &actor, &at, &id).await? }))
}
