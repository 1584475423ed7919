//! Who may ask.

use std::fmt;
use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderMap, Method, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::hosts;
use super::token::Tokens;

/// What is asked, as the hook sees it.
#[derive(Debug, Clone, Copy)]
pub struct Asks<'r> {
    pub method: &'r Method,
    /// Below the place where the router is mounted.
    pub path: &'r str,
    pub headers: &'r HeaderMap,
    /// What layers of the host have put to the request.
    pub extensions: &'r Extensions,
    /// Whether it changes something: the mode, or what is served.
    pub changes: bool,
}

/// Why somebody is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// 401 or 403; another status is sent as it is.
    pub status: StatusCode,
    /// For people.
    pub why: String,
}

impl Denied {
    /// Nobody said who they are.
    pub fn sign_in(why: impl Into<String>) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, why: why.into() }
    }

    /// Not for them.
    pub fn forbidden(why: impl Into<String>) -> Self {
        Self { status: StatusCode::FORBIDDEN, why: why.into() }
    }
}

/// Decides who may ask what. It is asked before anything else is done, on the thread that serves: let it
/// be quick.
pub trait Authorize: Send + Sync + 'static {
    /// # Errors
    /// They may not; the status and the text are the answer.
    fn authorize(&self, asks: &Asks<'_>) -> Result<(), Denied>;
}

impl<F> Authorize for F
where
    F: Fn(&Asks<'_>) -> Result<(), Denied> + Send + Sync + 'static,
{
    fn authorize(&self, asks: &Asks<'_>) -> Result<(), Denied> {
        self(asks)
    }
}

impl fmt::Debug for dyn Authorize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorize")
    }
}

/// Lets in who sends a token of [`Tokens`], as `Authorization: Bearer …` or as the password of a browser.
#[derive(Debug, Clone)]
pub struct Token(Tokens);

impl Token {
    #[must_use]
    pub fn new(tokens: Tokens) -> Self {
        Self(tokens)
    }
}

impl Authorize for Token {
    fn authorize(&self, asks: &Asks<'_>) -> Result<(), Denied> {
        let Some(sent) = asks.headers.get(header::AUTHORIZATION) else {
            return Err(Denied::sign_in("send the token of this sidecar as \"authorization: bearer …\""));
        };
        let sent = sent.as_bytes();
        let good = match sent.split_at_checked(7) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => self.0.has(token),
            _ => password(sent).is_some_and(|password| self.0.has(&password)),
        };
        if good { Ok(()) } else { Err(Denied::sign_in("this is not the token of this sidecar")) }
    }
}

/// The password of `Basic …`.
fn password(sent: &[u8]) -> Option<Vec<u8>> {
    let (scheme, rest) = sent.split_at_checked(6)?;
    let pair = STANDARD.decode(rest.trim_ascii()).ok().filter(|_| scheme.eq_ignore_ascii_case(b"basic "))?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    pair.get(colon + 1..).map(<[u8]>::to_vec)
}

/// Heads by which a proxy tells whom it speaks for.
const FORWARDED: [&str; 3] = ["forwarded", "x-forwarded-for", "x-real-ip"];

/// Lets in who is on this machine, and calls it by a name of this machine. The host must serve with
/// `into_make_service_with_connect_info::<SocketAddr>()`: whose address is not known is not let in.
///
/// Behind a proxy on the same machine everybody comes from this machine. A request that a proxy says it
/// forwards (`forwarded`, `x-forwarded-for`, `x-real-ip`) is not let in; but a proxy may say nothing, so give
/// such a host a rule of its own instead.
#[derive(Debug, Clone, Copy, Default)]
pub struct Loopback;

impl Authorize for Loopback {
    fn authorize(&self, asks: &Asks<'_>) -> Result<(), Denied> {
        let peer = asks.extensions.get::<ConnectInfo<SocketAddr>>();
        if !peer.is_some_and(|peer| peer.0.ip().to_canonical().is_loopback()) {
            return Err(Denied::forbidden("only for callers on this machine"));
        }
        if FORWARDED.iter().any(|name| asks.headers.contains_key(*name)) {
            return Err(Denied::forbidden("only for callers on this machine, and not through a proxy"));
        }
        let named = asks.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        if named.is_none_or(hosts::is_loopback) {
            return Ok(());
        }
        Err(Denied::forbidden("call it by localhost"))
    }
}

/// Where a request of [`super::Server`] comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    Tcp(SocketAddr),
    /// The user id of the other side, as the system tells it.
    Unix {
        uid: Option<u32>,
    },
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix { uid: Some(uid) } => write!(f, "uid {uid}"),
            Self::Unix { uid: None } => f.write_str("unix"),
        }
    }
}

/// The rule of [`super::Server`]: a token over TCP, the permissions of the file over a Unix socket.
#[derive(Debug)]
pub(super) struct Doors {
    pub(super) tcp: Option<Token>,
}

impl Authorize for Doors {
    fn authorize(&self, asks: &Asks<'_>) -> Result<(), Denied> {
        match (asks.extensions.get::<Peer>(), &self.tcp) {
            (Some(Peer::Unix { .. }), _) | (Some(Peer::Tcp(_)), None) => Ok(()),
            (_, Some(token)) => token.authorize(asks),
            (None, None) => Err(Denied::forbidden("nobody knows where this comes from")),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn ask(rule: &impl Authorize, headers: &[(&'static str, &str)], peer: Option<&str>) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_str(value).unwrap());
        }
        let mut extensions = Extensions::new();
        if let Some(peer) = peer {
            extensions.insert(ConnectInfo(peer.parse::<SocketAddr>().unwrap()));
        }
        let method = Method::GET;
        let asks =
            Asks { method: &method, path: "/", headers: &map, extensions: &extensions, changes: false };
        rule.authorize(&asks).map_or_else(|denied| denied.status.as_u16(), |()| 200)
    }

    #[test]
    fn a_token_opens_as_bearer_and_as_password_and_nothing_else_does() {
        let token = "a-token-that-is-long-enough";
        let rule = Token::new(Tokens::of(&[token]));
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        for good in [format!("Bearer {token}"), format!("bearer {token}"), basic(&format!("me:{token}"))] {
            assert_eq!(ask(&rule, &[("authorization", &good)], None), 200, "{good}");
        }
        let bad = [
            "Bearer".into(),
            "Bearer ".into(),
            format!("Bearer {token}x"),
            format!("Bearer {}", &token[1..]),
            format!("Token {token}"),
            token.into(),
            basic(token),
            basic(&format!("{token}:")),
            "Basic %%%".into(),
            String::new(),
        ];
        for bad in bad {
            assert_eq!(ask(&rule, &[("authorization", &bad)], None), 401, "{bad}");
        }
        assert_eq!(ask(&rule, &[], None), 401);
    }

    #[test]
    fn loopback_lets_in_this_machine_by_its_own_name_only() {
        let rule = Loopback;
        assert_eq!(ask(&rule, &[("host", "localhost:80")], Some("127.0.0.1:5")), 200);
        assert_eq!(ask(&rule, &[("host", "[::1]")], Some("[::1]:5")), 200);
        assert_eq!(ask(&rule, &[("host", "evil.example")], Some("127.0.0.1:5")), 403, "rebound");
        assert_eq!(ask(&rule, &[("host", "localhost")], Some("192.0.2.1:5")), 403);
        assert_eq!(ask(&rule, &[("host", "localhost")], None), 403);
        for head in FORWARDED {
            let through = [("host", "localhost"), (head, "192.0.2.1")];
            assert_eq!(ask(&rule, &through, Some("127.0.0.1:5")), 403, "{head}: a proxy of this machine");
        }
    }
}
