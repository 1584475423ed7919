//! The cookies of a session, and of a browser that was signed in with before.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};

use crate::session::{NewSession, oidc};
use crate::state::AppState;

/// Carries a session's token.
pub const SESSION: &str = "anvil_session";
/// Carries what the browser remembers of who signed in with it.
const BROWSER: &str = "anvil_browser";
/// Carries what has to come back from a provider of OpenID Connect.
const OIDC: &str = "anvil_oidc";
/// How long a browser remembers.
const REMEMBERED: Duration = Duration::from_secs(365 * 24 * 3600);

/// The headers `Set-Cookie` of a new session.
#[must_use]
pub fn session_cookies(state: &AppState, new: &NewSession) -> [HeaderValue; 2] {
    let life = state.config.session.min(state.config.session_max);
    [set(state, SESSION, &new.token, life), set(state, BROWSER, &new.browser, REMEMBERED)]
}

/// The header `Set-Cookie` that ends a session in the browser.
#[must_use]
pub fn expired_cookie(state: &AppState) -> HeaderValue {
    set(state, SESSION, "", Duration::ZERO)
}

/// The header `Set-Cookie` of who goes to a provider of OpenID Connect.
#[must_use]
pub fn oidc_cookie(state: &AppState, carried: &str) -> HeaderValue {
    set(state, OIDC, carried, Duration::from_micros(oidc::ROUND.unsigned_abs()))
}

/// The header `Set-Cookie` of who is back.
#[must_use]
pub fn expired_oidc_cookie(state: &AppState) -> HeaderValue {
    set(state, OIDC, "", Duration::ZERO)
}

/// What a browser carried to the provider and back.
pub(crate) fn carried(state: &AppState, headers: &HeaderMap) -> Option<String> {
    value(headers, &name(state, OIDC))
}

/// Over TLS a cookie is bound to this very host by its name: no neighbour can set it.
fn name(state: &AppState, name: &str) -> String {
    if state.is_https() { format!("__Host-{name}") } else { name.to_owned() }
}

fn set(state: &AppState, cookie: &str, value: &str, life: Duration) -> HeaderValue {
    let secure = if state.is_https() { "; Secure" } else { "" };
    let (cookie, seconds) = (name(state, cookie), life.as_secs());
    let text = format!("{cookie}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// The session's token that a browser sent.
pub(super) fn session_token(state: &AppState, headers: &HeaderMap) -> Option<String> {
    value(headers, &name(state, SESSION))
}

/// What the browser remembers.
pub(super) fn browser(state: &AppState, headers: &HeaderMap) -> Option<String> {
    value(headers, &name(state, BROWSER))
}

fn value(headers: &HeaderMap, cookie: &str) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == cookie)
        .map(|(_, value)| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_found_among_other_cookies() {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_static("a=1; anvil_session=x-y_z; b=2"));
        assert_eq!(value(&headers, SESSION).as_deref(), Some("x-y_z"));
        headers.insert(header::COOKIE, HeaderValue::from_static("not_anvil_session=1"));
        assert_eq!(value(&headers, SESSION), None);
        assert_eq!(value(&headers, "__Host-anvil_session"), None);
    }
}
