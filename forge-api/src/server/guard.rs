//! The guard before every handler.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRequestParts, MatchedPath, OptionalFromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Frame, SizeHint};

use super::client::client;
use super::cookie;
use crate::audit::Refusal;
use crate::auth::route::{self, Access};
use crate::auth::{Action, Actor, Entry};
use crate::author;
use crate::error::{ApiError, Refused, Result};
use crate::session::{self, Presented};
use crate::state::AppState;
use crate::ui;
use exchange::files::UPLOAD_MAX;

/// Largest form, in bytes.
const FORM_MAX: usize = 4 * 1024 * 1024;
/// Largest body of who is not signed in, in bytes: an address, a password, a link.
const PUBLIC_MAX: usize = 64 * 1024;
/// So much of a body that is refused is read over, for so long: no shorter than who says nothing is waited for, so that
/// a slow line brings it all.
const DRAIN_MAX: usize = 2 * 1024 * 1024;
const DRAIN: Duration = super::HEAD;
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

/// Routes whose handlers record a refusal themselves, with more than the answer tells.
const RECORDED: &[(&str, &str)] = &[
    ("POST", "/api/v1/sessions"),
    ("POST", "/-/sign-in"),
    ("POST", "/-/sign-in/{token}"),
    ("GET", "/-/set-up/{token}"),
    ("POST", "/-/set-up/{token}"),
    ("GET", "/-/invitations/{token}"),
    ("POST", "/-/invitations/{token}"),
    ("POST", "/api/v1/invitations/accept"),
    ("POST", "/-/sign-in-link"),
    ("GET", "/-/oidc/callback"),
    ("POST", "/api/v1/sign-in-links"),
];

/// What is known of a request, should it be refused.
#[derive(Debug)]
struct Attempt {
    address: IpAddr,
    route: String,
    subject: String,
    actor: Option<(String, String)>,
    organisation_id: Option<String>,
    /// Why a token was refused; the caller is not told.
    token: Option<&'static str>,
    recorded: bool,
}

impl Attempt {
    fn of(request: &Request, address: IpAddr) -> Self {
        let method = request.method().as_str();
        let matched = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        // What stands in place of a token is a secret.
        let path = matched.filter(|path| path.contains("{token}")).unwrap_or(request.uri().path());
        Self {
            address,
            route: format!("{method} {}", matched.unwrap_or("none")),
            subject: format!("{method} {path}"),
            actor: None,
            organisation_id: None,
            token: None,
            recorded: matched.is_some_and(|path| RECORDED.contains(&(method, path))),
        }
    }

    fn record(self, state: &AppState, refused: Refused) {
        // Who sends a token that is none any more is not known to be its owner.
        let signed_in = self.actor.is_some() && self.token.is_none();
        let (actor_id, actor_name) = self.actor.unwrap_or_else(|| ("nobody".into(), "nobody".into()));
        let action = match (refused.code, self.token) {
            (_, Some(_)) => "token.refused",
            ("rate_limited", _) => "rate.refused",
            _ => "request.refused",
        };
        let refusal = Refusal {
            organisation_id: refused.organisation_id.or(self.organisation_id),
            action,
            actor_id,
            actor_name,
            signed_in,
            address: self.address,
            route: self.route,
            subject: self.subject,
            why: self.token.map_or(refused.why, str::to_owned),
        };
        state.refusals.take(state, refusal);
    }
}

pub(super) async fn guard(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let page = ui::wants_page(&request);
    let version = request.version();
    let client = client(&state, &request);
    request.extensions_mut().insert(client);
    let mut attempt = Attempt::of(&request, client.0);
    let (request, left) = lend(request);
    let checked = check(&state, request, &mut attempt).await;
    let handled = checked.is_ok();
    let mut response = match checked {
        Ok(request) => next.run(request).await,
        Err(error) if page => ui::error_page(&error),
        Err(error) => error.into_response(),
    };
    if let Some(left) = left.take() {
        drain(left).await;
    }
    if response.status() == StatusCode::PAYLOAD_TOO_LARGE && version < Version::HTTP_2 {
        // The rest of the body may still be on its way: nothing more is read from here.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let refused = response.extensions_mut().remove::<Refused>();
    // A form that is shown again with what is wrong beside it tells by its status only.
    let refused = refused.or_else(|| {
        let code = "forbidden";
        (response.status() == StatusCode::FORBIDDEN).then(|| Refused {
            organisation_id: None,
            code,
            why: code.into(),
        })
    });
    if let Some(refused) = refused {
        // Who sends nothing that says who they are is asked to sign in: nothing was tried yet.
        let asked = refused.code == "sign_in_required" && attempt.token.is_none();
        let handler_did = handled && attempt.recorded;
        if !(asked || handler_did) {
            attempt.record(&state, refused);
        }
    }
    response
}

async fn check(state: &AppState, mut request: Request, attempt: &mut Attempt) -> Result<Request> {
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
        let allow = route::methods(path.as_str());
        return Err(if allow.is_empty() { ApiError::NotFound("page") } else { ApiError::Method { allow } });
    };
    if path.as_str().starts_with("/assets/") || path.as_str().starts_with("/health/") {
        return Ok(request);
    }
    // Before anything is looked up: guessing at tokens is counted too.
    state.limits.address(attempt.address)?;
    let actor = authenticate(state, request.headers(), attempt).await?;
    match &actor {
        Some(actor) => {
            attempt.actor = Some((actor.user_id.clone(), actor.name.clone()));
            state.limits.request(&format!("user {}", actor.user_id))?;
            if let Entry::Token { id, .. } = &actor.entry {
                state.limits.request(&format!("token {id}"))?;
            }
        }
        None => state.limits.request(&format!("address {}", attempt.address))?,
    }
    if actor.is_none() && route.access != Access::Public && path.as_str().starts_with("/api/") {
        return Err(ApiError::SignInRequired);
    }
    if let (Some(action), Some(actor)) = (route.access.action(), &actor)
        && route.path.starts_with("/{organisation}")
    {
        check_page(state, route, request.uri().path(), (actor, action), attempt).await?;
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        if route.access == Access::Public {
            request = small(request).await?;
        }
        request = from_us(actor.as_ref(), request).await?;
    }
    if let Some(actor) = actor {
        request.extensions_mut().insert(Found(Arc::new(actor)));
    }
    Ok(request)
}

/// The organisation stands in the address of every page, and the project of most.
async fn check_page(
    state: &AppState,
    route: &route::Route,
    path: &str,
    (actor, action): (&Actor, Action),
    attempt: &mut Attempt,
) -> Result<()> {
    let mut parts = path.split('/').skip(1);
    let slug = parts.next().unwrap_or_default();
    let project = parts.next().filter(|_| route.path.starts_with("/{organisation}/{project}"));
    let granted = actor.grants.iter().filter(|g| g.organisation == slug);
    let here = granted.clone().find(|g| Some(g.project.as_str()) == project);
    let member = actor.memberships.iter().find(|m| m.organisation == slug);
    let known = member.map(|m| &m.organisation_id).or(granted.map(|g| &g.organisation_id).next()).cloned();
    let Some(organisation_id) = known else {
        // It is not theirs, if it is there at all: this says which, to the audit log only.
        return author::find_organisation(state, actor, slug).await.map(drop);
    };
    attempt.organisation_id = Some(organisation_id.clone());
    match here {
        Some(grant) => actor.require_at(&organisation_id, &grant.project_id, action),
        None if route.access == Access::Visit => Ok(()),
        None => actor.require(&organisation_id, action),
    }
}

/// Holds the body of a request that anybody may send to what such a request needs.
async fn small(request: Request) -> Result<Request> {
    let said =
        request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if said.is_some_and(|bytes| bytes > PUBLIC_MAX) {
        return Err(ApiError::TooLarge(format!("at most {PUBLIC_MAX} bytes are taken here")));
    }
    Ok(request.map(|body| Body::new(Limited::new(body, PUBLIC_MAX))))
}

/// Lends the body of a request to who handles it, and gets back what was not read of it.
fn lend(request: Request) -> (Request, Left) {
    let left = Left::default();
    let back = left.clone();
    (request.map(|body| Body::new(Lent { body, back })), left)
}

/// A body whose reader has gone before its end.
#[derive(Debug, Clone, Default)]
struct Left(Arc<Mutex<Option<Body>>>);

impl Left {
    fn take(&self) -> Option<Body> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

struct Lent {
    body: Body,
    back: Left,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if !self.body.is_end_stream() {
            let left = std::mem::take(&mut self.body);
            *self.back.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(left);
        }
    }
}

/// Reads over a body that nobody wanted, as far as that is little: a connection that is closed
/// on who still sends takes the answer with it.
async fn drain(body: Body) {
    let mut frames = body.into_data_stream();
    let reading = async {
        let mut left = DRAIN_MAX;
        while let Some(Ok(frame)) = frames.next().await {
            match left.checked_sub(frame.len()) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    let _ = tokio::time::timeout(DRAIN, reading).await;
}

async fn authenticate(state: &AppState, headers: &HeaderMap, attempt: &mut Attempt) -> Result<Option<Actor>> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let token = value.to_str().ok().and_then(|v| v.strip_prefix("Bearer "));
        let presented = match token {
            Some(token) => session::by_token(state, token.trim()).await?,
            None => Presented::Unknown,
        };
        // A token that is not good is refused: it must not fall back to a cookie.
        match presented {
            Presented::Good(actor) => return Ok(Some(actor)),
            Presented::Spent { owner, organisation_id, name, why } => {
                attempt.actor = Some(owner);
                attempt.organisation_id = Some(organisation_id);
                attempt.subject = format!("{} with {name}", attempt.subject);
                attempt.token = Some(why);
            }
            Presented::Unknown => attempt.token = Some("no token of ours"),
        }
        return Err(ApiError::SignInRequired);
    }
    match cookie::session_token(state, headers) {
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
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let is_upload = kind.starts_with("multipart/form-data");
    if !is_upload && !kind.starts_with("application/x-www-form-urlencoded") {
        session::check_csrf(actor, "")?;
        return Ok(request);
    }
    let most = if is_upload { UPLOAD_MAX + FORM_MAX } else { FORM_MAX };
    let (parts, body) = request.into_parts();
    let bytes = Limited::new(body, most)
        .collect()
        .await
        .map_err(|_| ApiError::TooLarge(format!("a form has at most {most} bytes")))?
        .to_bytes();
    session::check_csrf(actor, &if is_upload { csrf_part(&bytes) } else { csrf_field(&bytes) })?;
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

fn csrf_field(form: &Bytes) -> String {
    #[derive(serde::Deserialize)]
    struct Field {
        csrf: String,
    }
    axum::extract::Query::<Field>::try_from_uri(&uri_of(form)).map(|f| f.0.csrf).unwrap_or_default()
}

/// The field `csrf` of a form with files, which comes first of its fields.
fn csrf_part(form: &Bytes) -> String {
    const HEAD: &[u8] = b"name=\"csrf\"\r\n\r\n";
    let head = form.get(..1024).unwrap_or(form);
    let Some(at) = head.windows(HEAD.len()).position(|w| w == HEAD) else { return String::new() };
    let value = head.get(at + HEAD.len()..).unwrap_or_default();
    let end = value.windows(2).position(|w| w == b"\r\n").unwrap_or(value.len());
    String::from_utf8_lossy(value.get(..end).unwrap_or_default()).into_owned()
}

/// Only the field `csrf` of a form, as the query of an address.
fn uri_of(form: &Bytes) -> axum::http::Uri {
    let text = std::str::from_utf8(form).unwrap_or_default();
    let field = text.split('&').find(|f| f.starts_with("csrf=")).unwrap_or_default();
    axum::http::Uri::builder().path_and_query(format!("/?{field}")).build().unwrap_or_default()
}
