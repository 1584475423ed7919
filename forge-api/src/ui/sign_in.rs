//! Signing in, by password or by a link that works once, and signing out.

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::{Deserialize, Serialize};

use super::engine;
use super::fault::{PageResult, beside_form};
use super::form::Form;
use super::frame::Frame;
use super::visitor::{Look, Visitor};
use crate::server::{self, ClientIp};
use crate::session::{self, NewSession};
use crate::state::AppState;

#[derive(Debug, Default, Serialize)]
struct Page {
    email: String,
    next: String,
    token: Option<String>,
    error: Option<String>,
}

/// Where one wanted to go.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Next {
    #[serde(default)]
    next: String,
}

fn page(headers: &HeaderMap, status: StatusCode, page: &Page) -> Response {
    let frame = Frame { theme: Look::of(headers).theme, ..Frame::default() }.titled("Sign in", "");
    engine::page(status, "sign-in.html", &frame, page)
}

/// `GET /-/sign-in`.
pub(super) async fn get_sign_in(headers: HeaderMap, Query(Next { next }): Query<Next>) -> Response {
    page(&headers, StatusCode::OK, &Page { next, ..Page::default() })
}

/// `GET /-/sign-in/{token}`: asks for one press, so that a mail scanner does not use the link up.
pub(super) async fn get_link(
    headers: HeaderMap,
    Path(token): Path<String>,
    Query(Next { next }): Query<Next>,
) -> Response {
    page(&headers, StatusCode::OK, &Page { next, token: Some(token), ..Page::default() })
}

/// `POST /-/sign-in`.
pub(super) async fn post_sign_in(
    State(state): State<AppState>,
    ClientIp(ip): ClientIp,
    headers: HeaderMap,
    form: Form,
) -> PageResult {
    let (email, next) = (form.get("email").to_owned(), form.get("next").to_owned());
    let tried = match state.limits.sign_in(ip) {
        Ok(()) => session::sign_in(&state, &email, form.get("password"), agent(&headers)).await,
        Err(limited) => Err(limited),
    };
    match tried {
        Ok(made) => Ok(enter(&state, &made, &next)),
        Err(error) => {
            let (status, error) = beside_form(error)?;
            Ok(page(&headers, status, &Page { email, next, error: Some(error), ..Page::default() }))
        }
    }
}

/// `POST /-/sign-in/{token}`.
pub(super) async fn post_link(
    State(state): State<AppState>,
    ClientIp(ip): ClientIp,
    Path(token): Path<String>,
    headers: HeaderMap,
    form: Form,
) -> PageResult {
    let next = form.get("next").to_owned();
    let tried = match state.limits.sign_in(ip) {
        Ok(()) => session::sign_in_by_link(&state, &token, agent(&headers)).await,
        Err(limited) => Err(limited),
    };
    match tried {
        Ok(made) => Ok(enter(&state, &made, &next)),
        Err(error) => {
            let (status, error) = beside_form(error)?;
            Ok(page(
                &headers,
                status,
                &Page { next, token: Some(token), error: Some(error), ..Page::default() },
            ))
        }
    }
}

/// `POST /-/sign-out`.
pub(super) async fn post_sign_out(visitor: Visitor, State(state): State<AppState>) -> PageResult {
    session::sign_out(&state, &visitor.actor).await?;
    Ok(with_cookie(server::expired_cookie(&state), Redirect::to("/-/sign-in").into_response()))
}

fn enter(state: &AppState, made: &NewSession, next: &str) -> Response {
    with_cookie(server::session_cookie(state, &made.token), Redirect::to(inside(next)).into_response())
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

fn agent(headers: &HeaderMap) -> &str {
    headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default()
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
