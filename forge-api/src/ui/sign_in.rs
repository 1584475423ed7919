//! Signing in, by password or by a link that works once, and signing out.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::{Deserialize, Serialize};

use super::address::{Path, Query};
use super::engine;
use super::fault::{PageResult, beside_form};
use super::form::Form;
use super::frame::Frame;
use super::view::encoded;
use super::visitor::{Look, Visitor};
use crate::error::ApiError;
use crate::mail;
use crate::server;
use crate::session::{self, Client, NewSession, oidc};
use crate::state::AppState;

#[derive(Debug, Default, Serialize)]
struct Page {
    email: String,
    next: String,
    token: Option<String>,
    error: Option<String>,
    /// What went wrong beside the form.
    problem: Option<String>,
    /// The name of the provider that one may sign in with, and where that begins.
    provider: Option<Provider>,
}

/// The button that leads to a provider of OpenID Connect.
#[derive(Debug, Serialize)]
struct Provider {
    name: String,
    href: String,
}

/// Where one wanted to go.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Next {
    #[serde(default)]
    next: String,
}

fn page(state: &AppState, headers: &HeaderMap, status: StatusCode, mut page: Page) -> Response {
    let href = format!("/-/oidc?next={}", encoded(&page.next));
    page.provider = state.config.oidc.as_ref().map(|oidc| Provider { name: oidc.name.clone(), href });
    let frame = Frame { theme: Look::of(headers).theme, ..Frame::default() }.titled("Sign in", "");
    engine::page(status, "sign-in.html", &frame, &page)
}

/// `GET /-/sign-in`.
pub(super) async fn get_sign_in(
    State(state): State<AppState>,
    headers: HeaderMap,
    Query(Next { next }): Query<Next>,
) -> Response {
    page(&state, &headers, StatusCode::OK, Page { next, ..Page::default() })
}

/// `GET /-/oidc?next=…`.
pub(super) async fn get_oidc(
    State(state): State<AppState>,
    client: Client,
    headers: HeaderMap,
    Query(Next { next }): Query<Next>,
) -> PageResult {
    match oidc::start(&state, &client, &next).await {
        Ok(start) => {
            let answer = Redirect::to(&start.location).into_response();
            Ok(with_cookie(server::cookie::oidc_cookie(&state, &start.carried), answer))
        }
        Err(error) => beside(&state, &headers, error, next),
    }
}

/// `GET /-/oidc/callback?code=…&state=…`.
pub(super) async fn get_oidc_callback(
    State(state): State<AppState>,
    client: Client,
    headers: HeaderMap,
    Query(returned): Query<oidc::Returned>,
) -> PageResult {
    let carried = server::cookie::carried(&state, &headers);
    let answer = match oidc::finish(&state, &client, carried.as_deref(), &returned).await {
        Ok((made, next)) => enter(&state, &made, &next),
        Err(error) => beside(&state, &headers, error, String::new())?,
    };
    // What was carried is used up, whatever came of it.
    Ok(with_cookie(server::cookie::expired_oidc_cookie(&state), answer))
}

/// The sign-in page with what went wrong at the provider.
fn beside(state: &AppState, headers: &HeaderMap, error: ApiError, next: String) -> PageResult {
    let wait = error.retry_after_s();
    let (status, why) = beside_form(error)?;
    let shown = Page { next, problem: Some(why), ..Page::default() };
    Ok(waiting(wait, page(state, headers, status, shown)))
}

/// `GET /-/sign-in/{token}`: asks for one press, so that a mail scanner does not use the link up.
pub(super) async fn get_link(
    State(state): State<AppState>,
    headers: HeaderMap,
    Path(token): Path<String>,
    Query(Next { next }): Query<Next>,
) -> Response {
    page(&state, &headers, StatusCode::OK, Page { next, token: Some(token), ..Page::default() })
}

/// `POST /-/sign-in`.
pub(super) async fn post_sign_in(
    State(state): State<AppState>,
    client: Client,
    headers: HeaderMap,
    form: Form,
) -> PageResult {
    let (email, next) = (form.get("email").to_owned(), form.get("next").to_owned());
    match session::sign_in(&state, &client, &email, form.get("password")).await {
        Ok(made) => Ok(enter(&state, &made, &next)),
        Err(error) => again(&state, &headers, error, Page { email, next, ..Page::default() }),
    }
}

#[derive(Debug, Default, Serialize)]
struct AskPage {
    email: String,
    /// Whether mail is sent from here.
    mails: bool,
    asked: bool,
    error: Option<String>,
}

fn ask_page(headers: &HeaderMap, status: StatusCode, page: &AskPage) -> Response {
    let frame = Frame { theme: Look::of(headers).theme, ..Frame::default() }.titled("Sign in by a link", "");
    engine::page(status, "sign-in-link.html", &frame, page)
}

/// `GET /-/sign-in-link`.
pub(super) async fn get_ask_link(State(state): State<AppState>, headers: HeaderMap) -> Response {
    let page = AskPage { mails: mail::is_on(&state), ..AskPage::default() };
    ask_page(&headers, StatusCode::OK, &page)
}

/// `POST /-/sign-in-link`: says the same whoever asks.
pub(super) async fn post_ask_link(
    State(state): State<AppState>,
    client: Client,
    headers: HeaderMap,
    form: Form,
) -> PageResult {
    let email = form.get("email").trim().to_owned();
    let page = AskPage { mails: mail::is_on(&state), email, ..AskPage::default() };
    match session::link::ask_link(&state, &client, &page.email) {
        Ok(()) => Ok(ask_page(&headers, StatusCode::OK, &AskPage { asked: true, ..page })),
        Err(error) => {
            let wait = error.retry_after_s();
            let (status, error) = beside_form(error)?;
            Ok(waiting(wait, ask_page(&headers, status, &AskPage { error: Some(error), ..page })))
        }
    }
}

/// `POST /-/sign-in/{token}`.
pub(super) async fn post_link(
    State(state): State<AppState>,
    client: Client,
    Path(token): Path<String>,
    headers: HeaderMap,
    form: Form,
) -> PageResult {
    let next = form.get("next").to_owned();
    match session::sign_in_by_link(&state, &client, &token).await {
        Ok(made) => Ok(enter(&state, &made, &next)),
        Err(error) => again(&state, &headers, error, Page { next, token: Some(token), ..Page::default() }),
    }
}

/// The page once more, with what is wrong.
fn again(state: &AppState, headers: &HeaderMap, error: ApiError, shown: Page) -> PageResult {
    let wait = error.retry_after_s();
    let (status, error) = beside_form(error)?;
    Ok(waiting(wait, page(state, headers, status, Page { error: Some(error), ..shown })))
}

/// An answer that says when to try again.
pub(super) fn waiting(seconds: Option<u64>, mut response: Response) -> Response {
    if let Some(seconds) = seconds {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// `POST /-/sign-out`.
pub(super) async fn post_sign_out(visitor: Visitor, State(state): State<AppState>) -> PageResult {
    session::sign_out(&state, &visitor.actor).await?;
    Ok(with_cookie(server::expired_cookie(&state), Redirect::to("/-/sign-in").into_response()))
}

/// Goes on to where one wanted to go, signed in.
pub(super) fn enter(state: &AppState, made: &NewSession, next: &str) -> Response {
    let cookies = server::session_cookies(state, made);
    cookies.into_iter().fold(Redirect::to(inside(next)).into_response(), |r, c| with_cookie(c, r))
}

/// An answer that sets a cookie.
pub(super) fn with_cookie(cookie: HeaderValue, mut response: Response) -> Response {
    response.headers_mut().append(header::SET_COOKIE, cookie);
    response
}

/// An address of this FORGE, whatever was asked for: nobody is sent elsewhere.
fn inside(next: &str) -> &str {
    let plain = next.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    if next.starts_with('/') && !next.starts_with("//") && plain { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_elsewhere_after_signing_in() {
        assert_eq!(inside("/acme/shop?q=1"), "/acme/shop?q=1");
        for elsewhere in
            ["", "//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nb", "javascript:x"]
        {
            assert_eq!(inside(elsewhere), "/", "{elsewhere:?}");
        }
    }
}
