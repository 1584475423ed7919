//! Agents and credentials.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use publisher::credentials::Role;

use super::account::time;
use super::body::{AgentBody, CreatedCredential, CredentialBody, NewCredential, Revoked};
use super::page::{Listed, Page};
use super::{is, one_of, project_at};
use crate::auth::Actor;
use crate::author;
use crate::credential::{self, Ends, New, Standing};
use crate::error::{ApiError, Result};
use crate::fleet;
use crate::server::{ApiJson, ApiQuery};
use crate::state::AppState;

#[derive(Debug, serde::Deserialize)]
pub(super) struct Only {
    environment: Option<String>,
    service: Option<String>,
    /// connected or unreachable.
    presence: Option<String>,
}

#[derive(Debug, serde::Deserialize)]
pub(super) struct OnlyCredentials {
    environment: Option<String>,
    /// active, expires_soon, expired or revoked.
    state: Option<String>,
}

pub(super) async fn list_agents(
    State(state): State<AppState>,
    actor: Actor,
    Path(project): Path<String>,
    ApiQuery(only): ApiQuery<Only>,
    page: Page,
) -> Result<Listed<AgentBody>> {
    let at = project_at(&state, &actor, &project).await?;
    one_of("bad_state", "presence", &only.presence, &["connected", "unreachable"])?;
    let environment = match &only.environment {
        Some(slug) => Some(author::find_environment(&state, &actor, &at, slug).await?),
        None => None,
    };
    let mut found = fleet::agents(&state, &actor, &at, environment.as_ref()).await?;
    found.retain(|view| is(&only.service, &view.agent.service) && is(&only.presence, view.presence.as_str()));
    Ok(page.cut(found, |view| format!("{}/{}", view.environment.slug, view.agent.name)).into_bodies())
}

pub(super) async fn list_credentials(
    State(state): State<AppState>,
    actor: Actor,
    Path(project): Path<String>,
    ApiQuery(only): ApiQuery<OnlyCredentials>,
    page: Page,
) -> Result<Listed<CredentialBody>> {
    let at = project_at(&state, &actor, &project).await?;
    one_of("bad_state", "state", &only.state, &["active", "expires_soon", "expired", "revoked"])?;
    let mut found = credential::list(&state, &actor, &at).await?;
    found.retain(|(c, e)| is(&only.environment, &e.slug) && is(&only.state, Standing::of(c).as_str()));
    Ok(page.cut(found, |(c, _)| c.id.clone()).map(|(c, e)| CredentialBody::new(c, &e)))
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
