//! Against browsers: by which names this may be called, and requests that pages of others send.
//!
//! A page of another site can make a browser send requests to this machine, and by a name of its own
//! that leads here (DNS rebinding) even read the answers. The name it must use gives it away.

use std::net::{IpAddr, Ipv6Addr};

use axum::http::{HeaderMap, Method, header};

/// Names that the port may be called by, besides those of loopback.
#[derive(Debug, Clone, Default)]
pub(super) struct Hosts(Vec<String>);

impl Hosts {
    pub(super) fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().map(|name| name.to_ascii_lowercase()).collect())
    }

    /// Whether `authority` (with or without a port) may be what a caller calls this.
    pub(super) fn allow(&self, authority: &str) -> bool {
        if is_loopback(authority) {
            return true;
        }
        let name = without_port(authority);
        self.0.iter().any(|own| own.eq_ignore_ascii_case(name) || own.eq_ignore_ascii_case(authority))
    }
}

/// Whether a name, with or without a port, is one of this machine itself.
pub(super) fn is_loopback(authority: &str) -> bool {
    let name = without_port(authority);
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    match bare {
        Some(v6) => v6.parse::<Ipv6Addr>().is_ok_and(|address| address.to_canonical().is_loopback()),
        None => name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()),
    }
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => {
            // The last group of a bare IPv6 address is no port.
            if name.contains(':') && !name.starts_with('[') { authority } else { name }
        }
        _ => authority,
    }
}

/// Whether a request could do something, and a page of another site sent it.
pub(super) fn is_cross_site(method: &Method, headers: &HeaderMap, authority: Option<&str>) -> bool {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return false;
    }
    if let Some(site) = headers.get("sec-fetch-site") {
        return !matches!(site.as_bytes(), b"same-origin" | b"none");
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return false };
    let host = authority.or_else(|| headers.get(header::HOST).and_then(|host| host.to_str().ok()));
    let from = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, from)| from);
    match (from, host) {
        (Some(from), Some(host)) => !from.eq_ignore_ascii_case(host),
        // `null`, and what cannot be read.
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn names_of_this_machine_and_configured_ones_are_taken_and_no_others() {
        let hosts = Hosts::new(["Prompts.internal".into(), "10.0.0.7".into()]);
        let good = [
            "localhost",
            "LOCALHOST:7460",
            "127.0.0.1",
            "127.8.8.8:1",
            "[::1]:7460",
            "[::1]",
            "prompts.INTERNAL:7460",
            "10.0.0.7:80",
        ];
        for good in good {
            assert!(hosts.allow(good), "{good}");
        }
        let bad = [
            "",
            "evil.example",
            "localhost.evil.example",
            "evil.example:7460",
            "127.0.0.1.evil.example",
            "10.0.0.8",
            "[::2]",
            "::1:7460:x",
            "localhost:x",
            "@localhost",
            "evil@localhost",
        ];
        for bad in bad {
            assert!(!hosts.allow(bad), "{bad}");
        }
    }

    fn crosses(method: &Method, headers: &[(&'static str, &'static str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_static(value));
        }
        is_cross_site(method, &map, None)
    }

    #[test]
    fn what_another_site_sends_is_known_by_either_header() {
        let post = Method::POST;
        assert!(!crosses(&post, &[("host", "a:1")]), "a program sends neither");
        assert!(!crosses(&post, &[("host", "a:1"), ("origin", "http://a:1")]));
        assert!(!crosses(&post, &[("host", "a:1"), ("sec-fetch-site", "same-origin")]));
        assert!(!crosses(&post, &[("host", "a:1"), ("sec-fetch-site", "none")]));
        for site in ["cross-site", "same-site", ""] {
            assert!(crosses(&post, &[("host", "a:1"), ("sec-fetch-site", site), ("origin", "http://a:1")]));
        }
        for origin in ["http://a:2", "http://evil", "null", "", "a:1"] {
            assert!(crosses(&post, &[("host", "a:1"), ("origin", origin)]), "{origin}");
        }
        assert!(crosses(&post, &[("origin", "http://a:1")]), "no host to compare with");
        assert!(!crosses(&Method::GET, &[("host", "a"), ("sec-fetch-site", "cross-site")]));
    }
}
