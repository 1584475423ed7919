//! Sessions, tokens, and who one is.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse as _, Response};

use super::body::{AskLink, Me, MembershipBody, NewToken, PutMe, SessionBody, SignIn, SignedIn, TokenBody};
use super::page::{Listed, Page};
use crate::auth::{Actor, Entry, Role, Scope, Scopes};
use crate::author;
use crate::clock;
use crate::error::{ApiError, Result};
use crate::server::{ApiJson, ApiQuery, expired_cookie, session_cookies};
use crate::session::{self, Client};
use crate::state::AppState;

pub(super) async fn create_session(
    State(state): State<AppState>,
    client: Client,
    ApiJson(body): ApiJson<SignIn>,
) -> Result<Response> {
    let new = match &body.link {
        Some(link) => session::sign_in_by_link(&state, &client, link).await?,
        None => session::sign_in(&state, &client, &body.email, &body.password).await?,
    };
    signed_in(&state, new).await
}

/// The answer that carries a new session.
pub(super) async fn signed_in(state: &AppState, new: session::NewSession) -> Result<Response> {
    let actor = session::by_cookie(state, &new.token).await?.ok_or(ApiError::SignInRequired)?;
    let answer = SignedIn { csrf_token: actor.csrf().to_owned(), name: actor.name };
    let cookies = session_cookies(state, &new).map(|cookie| (header::SET_COOKIE, cookie));
    Ok((StatusCode::CREATED, AppendHeaders(cookies), Json(answer)).into_response())
}

pub(super) async fn list_sessions(
    State(state): State<AppState>,
    actor: Actor,
    page: Page,
) -> Result<Listed<SessionBody>> {
    let found = session::sessions(&state, &actor).await?;
    let current = match &actor.entry {
        Entry::Session { id, .. } => id.as_str(),
        _ => "",
    };
    Ok(page.cut(found, |row| row.id.clone()).map(|row| SessionBody::new(row, current)))
}

pub(super) async fn end_session(
    State(state): State<AppState>,
    actor: Actor,
    Path(session): Path<String>,
) -> Result<StatusCode> {
    session::end_session(&state, &actor, &session).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What ends besides sessions.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Ends {
    revoke_tokens: Option<bool>,
}

pub(super) async fn end_sessions(
    State(state): State<AppState>,
    actor: Actor,
    ApiQuery(ends): ApiQuery<Ends>,
) -> Result<Response> {
    session::end_sessions(&state, &actor, ends.revoke_tokens.unwrap_or(true)).await?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, expired_cookie(&state))]).into_response())
}

pub(super) async fn delete_session(State(state): State<AppState>, actor: Actor) -> Result<Response> {
    session::sign_out(&state, &actor).await?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, expired_cookie(&state))]).into_response())
}

pub(super) async fn get_me(actor: Actor) -> Json<Me> {
    let organisations = actor
        .memberships
        .iter()
        .map(|m| MembershipBody { organisation: m.organisation.clone(), role: m.role.as_str().into() })
        .collect();
    let grants = actor.grants.iter().map(Into::into).collect();
    let csrf_token = actor.csrf().to_owned();
    Json(Me { name: actor.name, email: actor.email, csrf_token, organisations, grants })
}

pub(super) async fn put_me(
    State(state): State<AppState>,
    actor: Actor,
    ApiJson(body): ApiJson<PutMe>,
) -> Result<StatusCode> {
    session::rename(&state, &actor, &body.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whoever asks, and whoever is known: the answer is the same.
pub(super) async fn ask_link(
    State(state): State<AppState>,
    client: Client,
    ApiJson(body): ApiJson<AskLink>,
) -> Result<StatusCode> {
    session::link::ask_link(&state, &client, &body.email)?;
    Ok(StatusCode::ACCEPTED)
}

pub(super) async fn list_tokens(
    State(state): State<AppState>,
    actor: Actor,
    page: Page,
) -> Result<Listed<TokenBody>> {
    let found = session::tokens(&state, &actor).await?;
    Ok(page.cut(found, |row| row.id.clone()).into_bodies())
}

pub(super) async fn create_token(
    State(state): State<AppState>,
    actor: Actor,
    ApiJson(body): ApiJson<NewToken>,
) -> Result<(StatusCode, Json<TokenBody>)> {
    let organisation = author::visit_organisation(&state, &actor, &body.organisation).await?;
    let role = role(&body.role)?;
    let scopes = match &body.scopes {
        Some(names) => Scopes::of(&names.iter().map(|n| scope(n)).collect::<Result<Vec<_>>>()?),
        None => Scopes::ALL,
    };
    let expires_at = match body.expires_at.as_deref() {
        Some("never") => None,
        given => time("expires_at", given)?.or_else(|| Some(session::end_after(session::TOKEN_DAYS))),
    };
    let new =
        session::NewToken { name: &body.name, role, scopes, expires_at, projects: body.projects.as_deref() };
    let (token, row) = session::create_token(&state, &actor, &organisation.id, new).await?;
    Ok((StatusCode::CREATED, Json(TokenBody { token: Some(token), ..row.into() })))
}

pub(super) async fn revoke_token(
    State(state): State<AppState>,
    actor: Actor,
    Path(token): Path<String>,
) -> Result<StatusCode> {
    session::revoke_token(&state, &actor, &token).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn scope(text: &str) -> Result<Scope> {
    Scope::parse(text).ok_or_else(|| {
        let known = Scope::ALL.map(Scope::as_str).join(", ");
        ApiError::invalid("invalid", "scopes", format!("{text:?} is no scope; choose of {known}"))
    })
}

pub(super) fn role(text: &str) -> Result<Role> {
    Role::parse(text).ok_or_else(|| {
        let known = Role::ALL.map(Role::as_str).join(", ");
        ApiError::invalid("invalid", "role", format!("{text:?} is no role; choose one of {known}"))
    })
}

/// Reads a time that may be absent.
pub(super) fn time(field: &'static str, text: Option<&str>) -> Result<Option<schemas::Micros>> {
    let Some(text) = text.filter(|t| !t.is_empty()) else { return Ok(None) };
    clock::parse(text).map(Some).ok_or_else(|| {
        ApiError::invalid("invalid", field, format!("{text:?} is no time; write 2027-01-31T12:00:00Z"))
    })
}
