//! Sessions, tokens, and who one is.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::body::{List, Me, MembershipBody, NewToken, SignIn, SignedIn, TokenBody};
use crate::auth::{Actor, Role};
use crate::author;
use crate::clock;
use crate::error::{ApiError, Result};
use crate::server::{ApiJson, ClientIp, expired_cookie, session_cookie};
use crate::session;
use crate::state::AppState;

pub(super) async fn create_session(
    State(state): State<AppState>,
    ClientIp(address): ClientIp,
    headers: HeaderMap,
    ApiJson(body): ApiJson<SignIn>,
) -> Result<Response> {
    state.limits.sign_in(address)?;
    let agent = headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let new = match &body.link {
        Some(link) => session::sign_in_by_link(&state, link, agent).await?,
        None => session::sign_in(&state, &body.email, &body.password, agent).await?,
    };
    let actor = session::by_cookie(&state, &new.token).await?.ok_or(ApiError::SignInRequired)?;
    let answer = SignedIn { csrf_token: actor.csrf().to_owned(), name: actor.name };
    let cookie = [(header::SET_COOKIE, session_cookie(&state, &new.token))];
    Ok((StatusCode::CREATED, cookie, Json(answer)).into_response())
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
    let csrf_token = actor.csrf().to_owned();
    Json(Me { name: actor.name, email: actor.email, csrf_token, organisations })
}

pub(super) async fn list_tokens(
    State(state): State<AppState>,
    actor: Actor,
) -> Result<Json<List<TokenBody>>> {
    let found = session::tokens(&state, &actor).await?;
    Ok(Json(List::whole(found.into_iter().map(Into::into).collect())))
}

pub(super) async fn create_token(
    State(state): State<AppState>,
    actor: Actor,
    ApiJson(body): ApiJson<NewToken>,
) -> Result<(StatusCode, Json<TokenBody>)> {
    let organisation = author::find_organisation(&state, &actor, &body.organisation).await?;
    let role = role(&body.role)?;
    let end = time("expires_at", body.expires_at.as_deref())?;
    let (token, row) = session::create_token(&state, &actor, &organisation.id, &body.name, role, end).await?;
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
