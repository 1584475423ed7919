//! What pages do with what they cannot take: an address that cannot be read, a form with a mistake in it.

use forge_api::auth::Role;
use reqwest::Method;

use crate::app::{App, Browser, SET, on_both};

on_both!(
    an_address_that_cannot_be_read_is_told_on_a_page,
    bytes_that_are_no_text_are_refused_and_not_replaced
);

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

/// Sends a form as these bytes.
async fn send(app: &App, browser: &Browser, path: &str, kind: &str, body: Vec<u8>) -> (u16, String) {
    let request = app.by(browser, Method::POST, path).header("accept", "text/html");
    let answer = request.header("content-type", kind).body(body).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn bytes_that_are_no_text_are_refused_and_not_replaced(app: App) {
    app.save("ask", "Hello", &[]).await;
    let browser = app.browser().await;
    let kind = "application/x-www-form-urlencoded";
    let edit =
        |text: &str| format!("prompt=ask&revision=1&kind=text&engine=tera&role=text&text={text}&do=save");
    for bad in ["caf%e9+%ff", "%e2%82", "%c3%28"] {
        let (status, html) = send(&app, &browser, "/acme/support/chat/ask", kind, edit(bad).into()).await;
        assert!(status == 422 && html.contains("not in UTF-8"), "{bad}: {status} {html}");
    }
    assert_eq!(app.get(&format!("{SET}/prompts/ask")).await["prompt"]["content"]["template"], "Hello");
    let (status, html) = send(&app, &browser, "/acme/support/chat/ask", kind, edit("caf%c3%a9").into()).await;
    assert_eq!(status, 303, "{html}");
    assert_eq!(app.get(&format!("{SET}/prompts/ask")).await["prompt"]["content"]["template"], "café");

    // A form with a file: its fields, and the file's name.
    let part = |head: &[u8], value: &[u8]| {
        [&b"--x\r\nContent-Disposition: form-data; "[..], head, b"\r\n\r\n", value, b"\r\n"].concat()
    };
    let file = |name: &[u8]| part(&[&b"name=\"file\"; filename=\""[..], name, b"\""].concat(), b"Hello");
    for (format, file, at) in [
        (&b"fol\xffder"[..], file(b"hello.md"), "format-error"),
        (&b""[..], file(b"hell\xf6.md"), "file-error"),
    ] {
        let body = [part(b"name=\"format\"", format), file, b"--x--\r\n".to_vec()].concat();
        let kind = "multipart/form-data; boundary=x";
        let (status, html) = send(&app, &browser, "/acme/support/chat/-/import", kind, body).await;
        assert!(status == 422 && html.contains("not in UTF-8"), "{at}: {status} {html}");
        assert!(html.contains(&format!("id=\"{at}\"")), "{at}: {html}");
    }
}
