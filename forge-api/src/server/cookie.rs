//! The cookie of a session.

use axum::http::{HeaderMap, HeaderValue, header};

use crate::session::COOKIE;
use crate::state::AppState;

/// The header `Set-Cookie` of a new session.
#[must_use]
pub fn session_cookie(state: &AppState, token: &str) -> HeaderValue {
    set_cookie(state, token, state.config.session.as_secs())
}

/// The header `Set-Cookie` that ends a session in the browser.
#[must_use]
pub fn expired_cookie(state: &AppState) -> HeaderValue {
    set_cookie(state, "", 0)
}

fn set_cookie(state: &AppState, value: &str, seconds: u64) -> HeaderValue {
    let secure = if state.public_url.starts_with("https://") { "; Secure" } else { "" };
    let text = format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// The session's token that a browser sent.
pub(super) fn session_token(headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_found_among_other_cookies() {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_static("a=1; anvil_session=x-y_z; b=2"));
        assert_eq!(session_token(&headers).as_deref(), Some("x-y_z"));
        headers.insert(header::COOKIE, HeaderValue::from_static("not_anvil_session=1"));
        assert_eq!(session_token(&headers), None);
    }
}
