//! The guard before every handler.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath, OptionalFromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http_body_util::{BodyExt as _, Limited};

use super::cookie;
use crate::auth::route::{self, Access};
use crate::auth::{Actor, Entry};
use crate::error::{ApiError, Result};
use crate::session;
use crate::state::AppState;
use crate::ui;

/// Largest form, in bytes.
const FORM_MAX: usize = 4 * 1024 * 1024;
/// Header that carries the CSRF token of a script's request.
const CSRF_HEADER: &str = "x-csrf-token";

/// Who asks, as the guard found out.
#[derive(Debug, Clone)]
struct Found(Arc<Actor>);

impl<S: Send + Sync> FromRequestParts<S> for Actor {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let found = parts.extensions.get::<Found>().ok_or(ApiError::SignInRequired)?;
        Ok(found.0.as_ref().clone())
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Actor {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get::<Found>().map(|found| found.0.as_ref().clone()))
    }
}

/// The address of the client.
#[derive(Debug, Clone, Copy)]
pub struct ClientIp(pub IpAddr);

impl<S: Send + Sync> FromRequestParts<S> for ClientIp {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let address = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Ok(Self(address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |a| a.0.ip())))
    }
}

pub(super) async fn guard(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let page = ui::wants_page(&request);
    match check(&state, request).await {
        Ok(request) => next.run(request).await,
        Err(error) if page => ui::error_page(&error),
        Err(error) => error.into_response(),
    }
}

async fn check(state: &AppState, mut request: Request) -> Result<Request> {
    let Some(path) = request.extensions().get::<MatchedPath>().cloned() else {
        // Nothing is there: the fallback says so.
        return Ok(request);
    };
    if request.uri().path().starts_with("/api/") && !path.as_str().starts_with("/api/") {
        // A page whose first word happens to be a variable is no answer to a program.
        return Err(ApiError::NotFound("page"));
    }
    let Some(route) = route::find(request.method().as_str(), path.as_str()) else {
        // Either the method is wrong, or somebody forgot the table: nobody gets in.
        return Err(ApiError::NotFound("page"));
    };
    if path.as_str().starts_with("/assets/") || path.as_str().starts_with("/health/") {
        return Ok(request);
    }
    let actor = authenticate(state, request.headers()).await?;
    let who = match &actor {
        Some(actor) => actor.user_id.clone(),
        None => address(&request).to_string(),
    };
    state.limits.request(&who)?;
    if actor.is_none() && route.access != Access::Public && path.as_str().starts_with("/api/") {
        return Err(ApiError::SignInRequired);
    }
    if let (Access::May(action), Some(actor)) = (route.access, &actor)
        && route.path.starts_with("/{organisation}")
    {
        // The organisation stands in the address of every page.
        let slug = request.uri().path().split('/').nth(1).unwrap_or_default();
        let found = actor.memberships.iter().find(|m| m.organisation == slug);
        actor.require(found.map_or("", |m| m.organisation_id.as_str()), action)?;
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        request = from_us(actor.as_ref(), request).await?;
    }
    if let Some(actor) = actor {
        request.extensions_mut().insert(Found(Arc::new(actor)));
    }
    Ok(request)
}

fn address(request: &Request) -> IpAddr {
    request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |a| a.0.ip())
}

async fn authenticate(state: &AppState, headers: &HeaderMap) -> Result<Option<Actor>> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let token = value.to_str().ok().and_then(|v| v.strip_prefix("Bearer "));
        // A token that is not good is refused: it must not fall back to a cookie.
        let actor = match token {
            Some(token) => session::by_token(state, token.trim()).await?,
            None => None,
        };
        return actor.map(Some).ok_or(ApiError::SignInRequired);
    }
    match cookie::session_token(headers) {
        Some(token) => session::by_cookie(state, &token).await,
        None => Ok(None),
    }
}

/// Refuses what another site made a browser send.
async fn from_us(actor: Option<&Actor>, request: Request) -> Result<Request> {
    let foreign = || ApiError::Forbidden("this request came from another site".into());
    match actor.map(|a| &a.entry) {
        // A token is not sent by a browser on its own.
        Some(Entry::Token { .. } | Entry::Console) => return Ok(request),
        Some(Entry::Session { .. }) | None => {}
    }
    let headers = request.headers();
    let site = headers.get("sec-fetch-site").and_then(|v| v.to_str().ok());
    if site.is_some_and(|s| s != "same-origin" && s != "none") {
        return Err(foreign());
    }
    let host = headers.get(header::HOST).and_then(|v| v.to_str().ok());
    let origin = headers.get(header::ORIGIN).and_then(|v| v.to_str().ok());
    if let Some(origin) = origin
        && origin.split_once("://").map(|(_, h)| h) != host
    {
        return Err(foreign());
    }
    let Some(actor) = actor else { return Ok(request) };
    if let Some(given) = headers.get(CSRF_HEADER) {
        session::check_csrf(actor, given.to_str().unwrap_or_default())?;
        return Ok(request);
    }
    let is_form = headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|v| v.starts_with("application/x-www-form-urlencoded"));
    if !is_form {
        session::check_csrf(actor, "")?;
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    let bytes = Limited::new(body, FORM_MAX)
        .collect()
        .await
        .map_err(|_| ApiError::TooLarge(format!("a form has at most {FORM_MAX} bytes")))?
        .to_bytes();
    session::check_csrf(actor, &csrf_field(&bytes))?;
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

fn csrf_field(form: &Bytes) -> String {
    #[derive(serde::Deserialize)]
    struct Field {
        csrf: String,
    }
    axum::extract::Query::<Field>::try_from_uri(&uri_of(form)).map(|f| f.0.csrf).unwrap_or_default()
}

/// Only the field `csrf` of a form, as the query of an address.
fn uri_of(form: &Bytes) -> axum::http::Uri {
    let text = std::str::from_utf8(form).unwrap_or_default();
    let field = text.split('&').find(|f| f.starts_with("csrf=")).unwrap_or_default();
    axum::http::Uri::builder().path_and_query(format!("/?{field}")).build().unwrap_or_default()
}
