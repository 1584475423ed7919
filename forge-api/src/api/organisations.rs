//! Organisations, members, audit log.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::account::{role, time};
use super::body::{AuditBody, ChainBody, MemberBody, Named, OrganisationBody, PutMember};
use super::page::{Listed, Page};
use crate::audit::{self, Asked, Chain};
use crate::auth::{Actor, Role};
use crate::author;
use crate::clock;
use crate::error::{ApiError, Result};
use crate::server::{ApiJson, ApiQuery};
use crate::state::AppState;
use crate::ui;

/// Who asks for a check of the audit log waits so long for it.
const CHECK: Duration = Duration::from_secs(20);

pub(super) async fn list_organisations(
    State(state): State<AppState>,
    actor: Actor,
    page: Page,
) -> Result<Listed<OrganisationBody>> {
    let found = author::organisations(&state, &actor).await?;
    let mut items: Vec<_> = found.into_iter().map(|(o, role)| OrganisationBody::new(o, role)).collect();
    items.extend(author::visited(&state, &actor).await?.into_iter().map(OrganisationBody::guest));
    Ok(page.cut(items, |one| one.id.clone()))
}

pub(super) async fn create_organisation(
    State(state): State<AppState>,
    actor: Actor,
    ApiJson(body): ApiJson<Named>,
) -> Result<(StatusCode, Json<OrganisationBody>)> {
    let made = author::create_organisation(&state, &actor, &body.slug, &body.name).await?;
    Ok((StatusCode::CREATED, Json(OrganisationBody::new(made, Role::Owner))))
}

pub(super) async fn list_members(
    State(state): State<AppState>,
    actor: Actor,
    Path(organisation): Path<String>,
    page: Page,
) -> Result<Listed<MemberBody>> {
    let organisation = author::find_organisation(&state, &actor, &organisation).await?;
    let found = author::members(&state, &actor, &organisation).await?;
    Ok(page.cut(found, |(u, _)| u.id.clone()).map(|(u, role)| MemberBody::new(u, role)))
}

pub(super) async fn put_member(
    State(state): State<AppState>,
    actor: Actor,
    Path(organisation): Path<String>,
    ApiJson(body): ApiJson<PutMember>,
) -> Result<StatusCode> {
    let organisation = author::find_organisation(&state, &actor, &organisation).await?;
    author::add_member(&state, &actor, &organisation, &body.email, role(&body.role)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn remove_member(
    State(state): State<AppState>,
    actor: Actor,
    Path((organisation, user)): Path<(String, String)>,
) -> Result<StatusCode> {
    let organisation = author::find_organisation(&state, &actor, &organisation).await?;
    author::remove_member(&state, &actor, &organisation, &user).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which entries.
#[derive(Debug, Deserialize)]
pub(super) struct Only {
    /// Name or id.
    actor: Option<String>,
    action: Option<String>,
    project: Option<String>,
    since: Option<String>,
    until: Option<String>,
}

pub(super) async fn list_audit(
    State(state): State<AppState>,
    actor: Actor,
    Path(organisation): Path<String>,
    ApiQuery(only): ApiQuery<Only>,
    page: Page,
) -> Result<Listed<AuditBody>> {
    let organisation = author::find_organisation(&state, &actor, &organisation).await?;
    let asked = Asked {
        actor: only.actor.as_deref(),
        action: only.action.as_deref(),
        project: only.project.as_deref(),
        since: time("since", only.since.as_deref())?,
        until: time("until", only.until.as_deref())?,
    };
    let (after, limit) = (page.after()?, page.query_limit());
    let found = audit::list(&state, &actor, &organisation, &asked, after, limit).await?;
    Ok(page.found(found, |e| e.sequence.to_string()).into_bodies())
}

pub(super) async fn export_audit(
    State(state): State<AppState>,
    actor: Actor,
    Path(organisation): Path<String>,
) -> Result<Response> {
    let organisation = author::find_organisation(&state, &actor, &organisation).await?;
    Ok(ui::exported(&organisation.slug, audit::export(&state, &actor, &organisation)?))
}

pub(super) async fn verify_audit(
    State(state): State<AppState>,
    actor: Actor,
    Path(organisation): Path<String>,
) -> Result<Json<ChainBody>> {
    let organisation = author::find_organisation(&state, &actor, &organisation).await?;
    let found = audit::checked(&state, &actor, &organisation, CHECK).await?;
    let Some(found) = found.filter(audit::Checked::is_fresh) else {
        return Err(ApiError::Unavailable(
            "the chain is being checked, which takes a while; ask again".into(),
        ));
    };
    let checked_at = clock::rfc3339(found.at);
    Ok(Json(match found.chain {
        Chain::Whole { entries, unsealed } => ChainBody {
            whole: true,
            entries: Some(entries),
            unsealed: Some(unsealed),
            broken_at: None,
            checked_at,
        },
        Chain::BrokenAt { sequence } => {
            ChainBody { whole: false, entries: None, unsealed: None, broken_at: Some(sequence), checked_at }
        }
    }))
}
