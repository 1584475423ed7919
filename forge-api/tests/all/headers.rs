//! What every answer carries.

use forge_api::auth::Role;
use forge_api::auth::route::{API, PAGES};
use reqwest::{Method, Response};

use crate::app::{App, Kind, on_both};
use crate::authorization::{address, furnish};

on_both!(every_answer_carries_the_headers_that_keep_a_browser_safe);

/// Scripts and styles from us alone, and nobody may put us into a frame.
const POLICY: [&str; 7] = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "connect-src 'self'",
];

fn check(answer: &Response, what: &str) {
    let header = |name: &str| {
        answer
            .headers()
            .get(name)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_else(|| panic!("{what}: no {name}"))
    };
    let policy: Vec<_> = header("content-security-policy").split("; ").map(str::trim).collect();
    for part in POLICY {
        let nonce = format!("{part} 'nonce-");
        let found = policy.iter().any(|p| *p == part || (part.starts_with("style") && p.starts_with(&nonce)));
        assert!(found, "{what}: {part} in {policy:?}");
    }
    assert!(policy.iter().all(|p| !p.contains("unsafe") && !p.contains('*')), "{what}: {policy:?}");
    assert_eq!(answer.headers().get_all("content-security-policy").iter().count(), 1, "{what}");
    assert_eq!(header("x-content-type-options"), "nosniff", "{what}");
    assert_eq!(header("referrer-policy"), "same-origin", "{what}");
    assert_eq!(header("x-frame-options"), "DENY", "{what}");
    assert_eq!(header("cross-origin-opener-policy"), "same-origin", "{what}");
    assert_eq!(header("cross-origin-embedder-policy"), "require-corp", "{what}");
    assert_eq!(header("cross-origin-resource-policy"), "same-origin", "{what}");
    assert!(answer.headers().contains_key("permissions-policy"), "{what}");
    assert!(answer.headers().contains_key("cache-control"), "{what}");
}

async fn every_answer_carries_the_headers_that_keep_a_browser_safe(app: App) {
    let credential = furnish(&app).await;
    let browser = app.browser().await;
    let mut seen = 0;
    for route in API.iter().chain(PAGES).filter(|r| r.method == "GET") {
        let mut path = address(route, &credential);
        if path == "/-/events" {
            path.push_str("?topic=organisation/acme");
        }
        let page = !route.path.starts_with("/api/");
        let ask = |request: reqwest::RequestBuilder| {
            let request = if page { request.header("accept", "text/html") } else { request };
            async { request.send().await.unwrap() }
        };
        let by = [
            ("nobody", app.anonymous(Method::GET, &path)),
            ("a viewer", app.request(Role::Viewer, Method::GET, &path)),
            ("a browser", app.by(&browser, Method::GET, &path)),
            ("a stranger", app.strange(Method::GET, &path)),
            ("a bad token", app.anonymous(Method::GET, &path).bearer_auth("anvil_x")),
        ];
        for (who, request) in by {
            let answer = ask(request).await;
            check(&answer, &format!("{who}: GET {path}: {}", answer.status()));
            assert!(!answer.headers().contains_key("strict-transport-security"), "only over TLS");
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen}");
    for (method, path) in [
        (Method::GET, "/no/such/page/anywhere/at/all"),
        (Method::GET, "/api/v1/nothing"),
        (Method::GET, "/assets/nothing.css"),
        (Method::PATCH, "/api/v1/me"),
        (Method::POST, "/-/sign-in"),
        (Method::POST, "/api/v1/sessions"),
        (Method::OPTIONS, "/api/v1/me"),
        (Method::HEAD, "/-/sign-in"),
    ] {
        let answer = app.anonymous(method.clone(), path).send().await.unwrap();
        check(&answer, &format!("{method} {path}: {}", answer.status()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_browsers_are_told_to_come_back_by_tls_only() {
    let app = App::start_with(Kind::Sqlite, &[("public-url", "https://forge.example")]).await;
    for path in ["/-/sign-in", "/api/v1/me", "/nothing/here", "/assets/forge.css"] {
        let answer = app.anonymous(Method::GET, path).send().await.unwrap();
        assert_eq!(answer.headers()["strict-transport-security"], "max-age=31536000", "{path}");
    }
}
