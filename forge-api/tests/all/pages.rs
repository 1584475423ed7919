//! What pages do with what they cannot take: an address that cannot be read, a form with a mistake in it.

use forge_api::auth::Role;
use reqwest::Method;
use serde_json::json;

use crate::app::{App, Browser, PASSWORD, SET, on_both};

on_both!(
    an_address_that_cannot_be_read_is_told_on_a_page,
    bytes_that_are_no_text_are_refused_and_not_replaced,
    the_form_that_gives_access_keeps_what_was_typed,
    a_rule_that_is_refused_stands_as_it_was_typed,
    the_account_says_at_the_field_what_is_wrong,
    an_alias_that_is_not_removed_says_so_at_its_row,
    who_locks_too_late_is_told_and_loses_no_notes,
);

/// The page of an address, with its status.
async fn open(app: &App, path: &str) -> (u16, String) {
    let asked = app.request(Role::Owner, Method::GET, path).header("accept", "text/html");
    let answer = asked.send().await.unwrap();
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(kind.starts_with("text/html"), "{path}: {kind}");
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// Posts a form of a page.
async fn post(app: &App, browser: &Browser, path: &str, fields: &[(&str, &str)]) -> (u16, String) {
    let mut form = vec![("csrf", browser.csrf.as_str())];
    form.extend(fields);
    let request = app.by(browser, Method::POST, path).header("accept", "text/html").form(&form);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// The tag of the field with this id.
fn tag(html: &str, id: &str) -> String {
    let at = html.find(&format!(" id=\"{id}\"")).unwrap_or_else(|| panic!("there is no {id}: {html}"));
    let begin = html[..at].rfind('<').unwrap();
    let end = html[at..].find('>').unwrap();
    html[begin..at + end].to_owned()
}

/// A choice of the field with this id, as it stands there.
fn chosen(html: &str, id: &str, value: &str) -> bool {
    let at = html.find(&format!(" id=\"{id}\"")).unwrap_or_else(|| panic!("there is no {id}: {html}"));
    let end = html[at..].find("</select>").unwrap();
    html[at..at + end].contains(&format!("value=\"{value}\" selected"))
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

async fn the_form_that_gives_access_keeps_what_was_typed(app: App) {
    let owner = app.browser().await;
    app.post("/api/v1/organisations/acme/projects", 201, json!({ "slug": "sales" })).await;
    let path = "/acme/-/settings/grants";
    let typed =
        [("email", "nobody@example.org"), ("project", "support"), ("role", "reviewer"), ("do", "give")];
    let (status, html) = post(&app, &owner, path, &typed).await;
    assert_eq!(status, 422, "{html}");
    let email = tag(&html, "access-email");
    assert!(email.contains("value=\"nobody@example.org\"") && email.contains("aria-invalid"), "{email}");
    assert!(html.contains("id=\"access-email-error\"") && html.contains("invite them instead"), "{html}");
    assert!(chosen(&html, "access-project", "support") && chosen(&html, "access-role", "reviewer"), "{html}");
    assert!(
        !tag(&html, "email").contains("nobody@example.org"),
        "the form that invites is another one: {html}"
    );
    let (status, html) = post(&app, &owner, path, &[("role", "owner"), typed[0], typed[1], typed[3]]).await;
    assert!(status == 422 && tag(&html, "access-role").contains("aria-invalid"), "{status} {html}");
    let typed =
        [("email", "viewer@example.org"), ("project", "support"), ("role", "reviewer"), ("do", "give")];
    assert_eq!(post(&app, &owner, path, &typed).await.0, 303);

    // And the other way round.
    let typed = [("email", "owner@example.org"), ("role", "reviewer")];
    let (status, html) = post(&app, &owner, "/acme/-/settings/invitations", &typed).await;
    assert!(status >= 400 && tag(&html, "email").contains("aria-invalid"), "{status} {html}");
    assert!(!tag(&html, "access-email").contains("owner@example.org"), "{html}");
}

async fn a_rule_that_is_refused_stands_as_it_was_typed(app: App) {
    let owner = app.browser().await;
    let path = "/acme/support/-/environments";
    let rule = [("do", "rule"), ("environment", "prod"), ("approvals", "3")];
    let (status, html) = post(&app, &owner, path, &rule).await;
    assert!(status == 422 && html.contains("choose at least one role"), "{status} {html}");
    assert!(chosen(&html, "approvals-prod", "3") && chosen(&html, "approvals-dev", "0"), "{html}");
    assert!(html.contains("id=\"roles-prod-error\"") && !html.contains("id=\"roles-dev-error\""), "{html}");
    assert!(!html.contains("Not changed."), "it is said where it is wrong, and nowhere else: {html}");
    let form = html.split("id=\"rule-prod\"").nth(1).unwrap().split("</form>").next().unwrap();
    assert!(!form.contains(" checked"), "nothing was ticked: {form}");

    let rule = [("do", "rule"), ("environment", "prod"), ("approvals", "9"), ("role", "owner")];
    let (status, html) = post(&app, &owner, path, &rule).await;
    assert!(status == 422 && tag(&html, "approvals-prod").contains("aria-invalid"), "{status} {html}");
    let form = html.split("id=\"rule-prod\"").nth(1).unwrap().split("</form>").next().unwrap();
    assert!(form.contains("value=\"owner\" checked") && !form.contains("value=\"admin\" checked"), "{form}");

    let new = [("do", "create"), ("slug", "Q A"), ("name", "Quality"), ("takes_drafts", "yes")];
    let (status, html) = post(&app, &owner, path, &new).await;
    assert!(status == 422 && tag(&html, "slug").contains("aria-invalid"), "{status} {html}");
    assert!(tag(&html, "name").contains("value=\"Quality\""), "{html}");
    assert!(html.contains("name=\"takes_drafts\" value=\"yes\" checked"), "{html}");
}

async fn the_account_says_at_the_field_what_is_wrong(app: App) {
    let owner = app.browser().await;
    let typed = [("old", "wrong"), ("new", "another horse battery")];
    let (status, html) = post(&app, &owner, "/-/account/password", &typed).await;
    assert!(status == 422 && tag(&html, "old").contains("aria-invalid"), "{status} {html}");
    assert!(html.contains("id=\"old-error\">This is not your password."), "{html}");
    assert!(!tag(&html, "new").contains("aria-invalid") && !html.contains("another horse"), "{html}");
    let ticked = "name=\"revoke_tokens\" value=\"on\" checked";
    assert_eq!(html.matches(ticked).count(), 1, "what was not ticked stays so: {html}");
    let typed = [("old", PASSWORD), ("new", "short"), ("revoke_tokens", "on")];
    let (status, html) = post(&app, &owner, "/-/account/password", &typed).await;
    assert!(status == 422 && tag(&html, "new").contains("aria-invalid"), "{status} {html}");
    assert!(html.contains("id=\"new-error\"") && html.matches(ticked).count() == 2, "{html}");

    let long = "x".repeat(201);
    let (status, html) = post(&app, &owner, "/-/account/name", &[("name", long.as_str())]).await;
    let name = tag(&html, "name-of-me");
    assert!(status == 422 && name.contains("aria-invalid") && name.contains(&long), "{status} {html}");
    assert!(html.contains("id=\"name-of-me-error\"") && html.contains("<h1>owner</h1>"), "{html}");
    assert!(!tag(&html, "name").contains(&long), "an API key has another name: {html}");
}

async fn an_alias_that_is_not_removed_says_so_at_its_row(app: App) {
    app.save("ask", "Hello", &[]).await;
    app.lock("1.0.0").await;
    let (owner, engineer) = (app.browser().await, app.browser_of(Role::ContextEngineer).await);
    let path = "/acme/support/chat/-/versions";
    let protect = [("do", "name"), ("alias", "stable"), ("version", "1.0.0"), ("protected", "yes")];
    assert_eq!(post(&app, &owner, path, &protect).await.0, 303);
    let free = [("do", "name"), ("alias", "canary"), ("version", "1.0.0")];
    assert_eq!(post(&app, &engineer, path, &free).await.0, 303);
    let seen = async |browser: &Browser| {
        let asked = app.by(browser, Method::GET, path).header("accept", "text/html");
        asked.send().await.unwrap().text().await.unwrap()
    };
    let html = seen(&engineer).await;
    assert!(html.contains("Remove canary") && !html.contains("Remove stable"), "{html}");
    let html = seen(&owner).await;
    assert!(html.contains("Remove stable") && !html.contains("Remove latest"), "{html}");

    let (status, html) = post(&app, &engineer, path, &[("do", "unname"), ("alias", "stable")]).await;
    assert!(status == 409 && html.contains("id=\"alias-stable-error\""), "{status} {html}");
    let new = tag(&html, "alias");
    assert!(!new.contains("aria-invalid") && new.contains("value=\"\""), "nothing was typed there: {new}");
    // A name that is refused is still told where it was typed, and stays there with all the rest.
    let bad = [("do", "name"), ("alias", "Not So"), ("version", "1.0.0"), ("protected", "yes")];
    let (status, html) = post(&app, &owner, path, &bad).await;
    let new = tag(&html, "alias");
    assert!(status == 422 && new.contains("aria-invalid") && new.contains("value=\"Not So\""), "{html}");
    assert!(html.contains("name=\"protected\" value=\"yes\" checked"), "{html}");
    let gone = [("do", "name"), ("alias", "fine"), ("version", "9.9.9")];
    let (status, html) = post(&app, &owner, path, &gone).await;
    assert!(status == 422 && tag(&html, "alias-version").contains("aria-invalid"), "{status} {html}");
}

async fn who_locks_too_late_is_told_and_loses_no_notes(app: App) {
    app.save("ask", "Hello", &[]).await;
    let engineer = app.browser_of(Role::ContextEngineer).await;
    app.lock("1.0.0").await;
    for version in ["", "1", "0.1.0", "1.0.0", "1.0.1", "2.0.0"] {
        let typed = [("version", version), ("revision", "sha256:0"), ("notes", "Greets by <name>")];
        let (status, html) = post(&app, &engineer, "/acme/support/chat/-/lock", &typed).await;
        assert_eq!(status, 409, "{version}: {html}");
        assert!(
            html.contains("Not locked.") && html.contains("after you opened this page"),
            "{version}: {html}"
        );
        assert!(tag(&html, "notes").contains("readonly"), "{version}: {html}");
        assert!(html.contains("Greets by &lt;name"), "{version}: {html}");
    }
    let (_, html) = post(&app, &engineer, "/acme/support/chat/-/lock", &[("version", "2.0.0")]).await;
    assert!(html.contains("Not locked.") && !html.contains(" id=\"notes\""), "nothing to keep: {html}");
}
