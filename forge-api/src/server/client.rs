//! From where a request comes: its peer, or, where the peer is a reverse proxy of ours, whom that names.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use ipnet::IpNet;

use super::cookie;
use crate::session::Client;
use crate::state::AppState;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The address of the client, as the guard found out.
#[derive(Debug, Clone, Copy)]
pub struct ClientIp(pub IpAddr);

impl<S: Send + Sync> FromRequestParts<S> for ClientIp {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().copied().unwrap_or(Self(IpAddr::V4(Ipv4Addr::UNSPECIFIED))))
    }
}

impl FromRequestParts<AppState> for Client {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Infallible> {
        let ClientIp(address) = ClientIp::from_request_parts(parts, state).await?;
        let agent = parts.headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let browser = cookie::browser(state, &parts.headers);
        Ok(Self { address, user_agent: agent.to_owned(), browser })
    }
}

/// The client of a request.
pub(super) fn client(state: &AppState, request: &Request) -> ClientIp {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |a| a.0.ip().to_canonical());
    ClientIp(behind(peer, request.headers(), &state.config.trusted_proxies))
}

/// The first address, from our side, that is no proxy of ours. What is written further left was sent
/// by that client, and may say anything.
fn behind(peer: IpAddr, headers: &HeaderMap, proxies: &[IpNet]) -> IpAddr {
    let trusted = |address: IpAddr| proxies.iter().any(|net| net.contains(&address));
    let named: Vec<_> = headers
        .get_all(FORWARDED_FOR)
        .iter()
        .flat_map(|line| line.to_str().unwrap_or_default().split(',').map(str::trim))
        .collect();
    let mut at = peer;
    for text in named.into_iter().rev() {
        if !trusted(at) {
            break;
        }
        // What cannot be read was not written by a proxy of ours.
        let Some(next) = address(text) else { break };
        at = next;
    }
    at
}

/// `192.0.2.1`, `192.0.2.1:443`, `2001:db8::1` or `[2001:db8::1]:443`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let found = bare.parse::<IpAddr>().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|a| a.ip()));
    found.map(|a| a.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn found(peer: &str, lines: &[&str]) -> String {
        let proxies = ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, HeaderValue::from_str(line).unwrap());
        }
        behind(peer.parse().unwrap(), &headers, &proxies).to_string()
    }

    #[test]
    fn a_stranger_who_claims_to_be_a_proxy_is_not_believed() {
        assert_eq!(found("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(found("192.0.2.1", &["10.0.0.1, 10.0.0.2"]), "192.0.2.1");
    }

    #[test]
    fn behind_our_proxies_the_rightmost_stranger_counts() {
        assert_eq!(found("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(found("10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(found("10.0.0.1", &["1.1.1.1, 198.51.100.7, 10.0.0.2"]), "198.51.100.7");
        assert_eq!(found("10.0.0.1", &["1.1.1.1", "198.51.100.7"]), "198.51.100.7");
        assert_eq!(found("::1", &["[2001:db8::1]:443"]), "2001:db8::1");
        assert_eq!(found("10.0.0.1", &["192.0.2.9:5555"]), "192.0.2.9");
    }

    #[test]
    fn what_cannot_be_read_ends_the_list() {
        assert_eq!(found("10.0.0.1", &["198.51.100.7, nonsense"]), "10.0.0.1");
        assert_eq!(found("10.0.0.1", &["198.51.100.7, , 10.0.0.3"]), "10.0.0.3");
        assert_eq!(found("10.0.0.1", &["::ffff:198.51.100.7"]), "198.51.100.7");
    }
}
