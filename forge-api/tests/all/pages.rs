//! What pages do with what they cannot take: an address that cannot be read, a form with a mistake in it.

use forge_api::auth::Role;
use reqwest::Method;

use crate::app::{App, on_both};

on_both!(an_address_that_cannot_be_read_is_told_on_a_page);

/// The page of an address, with its status.
async fn open(app: &App, path: &str) -> (u16, String) {
    let asked = app.request(Role::Owner, Method::GET, path).header("accept", "text/html");
    let answer = asked.send().await.unwrap();
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(kind.starts_with("text/html"), "{path}: {kind}");
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn an_address_that_cannot_be_read_is_told_on_a_page(app: App) {
    app.save("ask", "Hello", &[]).await;
    for (path, says) in [
        ("/acme/-/audit?before=zz", "before: invalid digit"),
        ("/acme/support/-/publications?before=zz", "before: invalid digit"),
        ("/acme/support/-/agents?environment=a&environment=b", "duplicate field “environment”"),
        ("/-/palette?q=a&q=b", "duplicate field “q”"),
        ("/-/sign-in?next=a&next=b", "duplicate field “next”"),
        ("/-/events", "missing field “topic”"),
    ] {
        let (status, html) = open(&app, path).await;
        assert_eq!(status, 422, "{path}: {html}");
        assert!(html.contains(says) && html.contains("follow a link"), "{path}: {html}");
        assert!(!html.contains("deserialize"), "{path}: {html}");
    }
    for path in ["/acme/support/%ff", "/acme/support/chat/%c3%28", "/-/help/%ff"] {
        let (status, html) = open(&app, path).await;
        assert!(status == 422 && html.contains("This address is no UTF-8"), "{path}: {status} {html}");
    }
    // A word where a number belongs: there is no such page.
    let (status, html) = open(&app, "/acme/support/-/publications/seven").await;
    assert!(status == 404 && html.contains("This page does not exist"), "{status} {html}");
    // What a page does not know is passed over, as it was.
    assert_eq!(open(&app, "/acme/support/chat/ask?from=elsewhere").await.0, 200);
}
