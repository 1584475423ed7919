//! How sessions end.

use std::time::{Duration, Instant};

use forge_api::{clock, session};
use reqwest::Method;
use serde_json::json;
use tests::until::{secs, within};

use crate::app::{App, Browser, Kind, PASSWORD, json_of, on_both};
use crate::database::sql;

on_both!(
    a_session_can_be_ended_from_another_and_all_of_them_at_once,
    a_session_ends_some_day_however_much_it_is_used,
    a_changed_password_ends_every_session,
    a_disabled_user_is_out_at_once_and_comes_back_with_nothing,
    a_live_page_ends_with_its_session,
    a_live_page_ends_with_its_token,
    what_a_thief_made_with_a_session_ends_with_it,
    a_first_password_is_set_from_a_fresh_session_only,
);

const SESSIONS: &str = "/api/v1/sessions";

async fn is_in(app: &App, browser: &Browser) -> bool {
    app.by(browser, Method::GET, "/api/v1/me").send().await.unwrap().status() == 200
}

async fn a_session_can_be_ended_from_another_and_all_of_them_at_once(app: App) {
    let (one, two, three) = (app.browser().await, app.browser().await, app.browser().await);
    let listed = json_of(app.by(&one, Method::GET, SESSIONS).send().await.unwrap(), 200).await;
    let rows = listed["items"].as_array().unwrap();
    assert_eq!(rows.len(), 3, "{listed}");
    assert_eq!(rows.iter().filter(|r| r["current"] == true).count(), 1);
    assert!(rows.iter().all(|r| r["address"] == "127.0.0.1"), "{listed}");

    let listed = json_of(app.by(&two, Method::GET, SESSIONS).send().await.unwrap(), 200).await;
    let rows = listed["items"].as_array().unwrap();
    let second = rows.iter().find(|r| r["current"] == true).unwrap()["id"].as_str().unwrap();
    let end = app.by(&one, Method::DELETE, &format!("{SESSIONS}/{second}")).send().await.unwrap();
    assert_eq!(end.status(), 204);
    assert!(is_in(&app, &one).await && !is_in(&app, &two).await && is_in(&app, &three).await);
    // Nobody ends what is not theirs.
    let link = session::sign_in_link(&app.state, "viewer@example.org").await.unwrap();
    let body = json!({ "link": link.rsplit('/').next().unwrap() });
    let answer = app.anonymous(Method::POST, SESSIONS).json(&body).send().await.unwrap();
    let cookies = crate::app::cookies(&answer);
    let csrf = json_of(answer, 201).await["csrf_token"].as_str().unwrap().to_owned();
    let viewer = Browser { cookies, csrf };
    let listed = json_of(app.by(&one, Method::GET, SESSIONS).send().await.unwrap(), 200).await;
    let theirs = listed["items"][0]["id"].as_str().unwrap();
    let end = app.by(&viewer, Method::DELETE, &format!("{SESSIONS}/{theirs}")).send().await.unwrap();
    assert_eq!(end.status(), 404);
    assert_eq!(app.by(&one, Method::DELETE, SESSIONS).send().await.unwrap().status(), 204);
    assert!(!is_in(&app, &one).await && !is_in(&app, &three).await && is_in(&app, &viewer).await);

    // The same by the buttons of the account page.
    let (one, two) = (app.browser().await, app.browser().await);
    let page = app.by(&one, Method::GET, "/-/account").send().await.unwrap().text().await.unwrap();
    let other = page.split("/-/account/sessions/").nth(1).unwrap().split('/').next().unwrap();
    let form = [("csrf", one.csrf.as_str())];
    let path = format!("/-/account/sessions/{other}/end");
    assert_eq!(app.by(&one, Method::POST, &path).form(&form).send().await.unwrap().status(), 303);
    assert!(is_in(&app, &one).await && !is_in(&app, &two).await);
    let out = app.by(&one, Method::POST, "/-/account/sessions/end").form(&form).send().await.unwrap();
    assert_eq!(out.headers()["location"], "/-/sign-in");
    assert!(!is_in(&app, &one).await);
}

async fn a_session_ends_some_day_however_much_it_is_used(app: App) {
    let day = 86_400_000_000_i64;
    let browser = app.browser().await;
    // Used all the time, begun 29 days ago: the next use moves its end to the thirtieth day and no further.
    let (began, seen) = (clock::now() - 29 * day, clock::now() - 3_600_000_000);
    let change = format!("UPDATE sessions SET created_at = {began}, last_seen_at = {seen}");
    sql(&app.state.database, &change).await.unwrap();
    assert!(is_in(&app, &browser).await);
    let listed = json_of(app.by(&browser, Method::GET, SESSIONS).send().await.unwrap(), 200).await;
    assert_eq!(listed["items"][0]["expires_at"], clock::rfc3339(began + 30 * day));
    sql(&app.state.database, &format!("UPDATE sessions SET created_at = {}", clock::now() - 31 * day))
        .await
        .unwrap();
    assert!(!is_in(&app, &browser).await);
}

async fn a_changed_password_ends_every_session(app: App) {
    let (one, two) = (app.browser().await, app.browser().await);
    let change = |old: &'static str| {
        let form = [("csrf", one.csrf.as_str()), ("old", old), ("new", "another horse battery")];
        app.by(&one, Method::POST, "/-/account/password").form(&form).send()
    };
    assert_eq!(change("wrong").await.unwrap().status(), 422);
    assert!(is_in(&app, &two).await);
    app.audited("installation", |e| e.action == "password.refused").await;
    assert_eq!(change(PASSWORD).await.unwrap().status(), 303);
    assert!(!is_in(&app, &one).await && !is_in(&app, &two).await);
    app.audited("installation", |e| e.action == "password.changed").await;
}

async fn a_disabled_user_is_out_at_once_and_comes_back_with_nothing(app: App) {
    use forge_api::auth::Role;
    let browser = app.browser().await;
    let link = session::sign_in_link(&app.state, "owner@example.org").await.unwrap();
    session::set_disabled(&app.state, "owner@example.org", true).await.unwrap();
    assert!(!is_in(&app, &browser).await);
    let by_token = || app.request(Role::Owner, Method::GET, "/api/v1/me").send();
    assert_eq!(by_token().await.unwrap().status(), 401);
    session::set_disabled(&app.state, "owner@example.org", false).await.unwrap();
    assert!(!is_in(&app, &browser).await);
    assert_eq!(by_token().await.unwrap().status(), 401);
    let body = json!({ "link": link.rsplit('/').next().unwrap() });
    let answer = app.anonymous(Method::POST, SESSIONS).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 422);
    assert!(is_in(&app, &app.browser().await).await, "the password is what it was");
}

async fn a_live_page_ends_with_its_session(app: App) {
    let browser = app.browser().await;
    let opened = Instant::now();
    let live = app.by(&browser, Method::GET, "/-/events?topic=organisation/acme").send().await.unwrap();
    assert_eq!(live.status(), 200);
    let end = format!("{SESSIONS}?revoke_tokens=false");
    assert_eq!(app.by(&browser, Method::DELETE, &end).send().await.unwrap().status(), 204);
    let good_for = opened.elapsed();
    app.post("/api/v1/organisations/acme/projects", 201, json!({ "slug": "another" })).await;
    silent(live, good_for).await;
}

/// Waits until a live page ends that is told nothing any more. What it was good for so long is told every ten seconds.
async fn silent(mut live: reqwest::Response, good_for: Duration) {
    let mut heard = String::new();
    let ended = within(secs(60), async || match live.chunk().await {
        Ok(Some(bytes)) => {
            heard.push_str(&String::from_utf8_lossy(&bytes));
            None
        }
        _ => Some(()),
    })
    .await;
    let told = heard.matches("event: reload").count();
    assert!(ended.is_some() && told as u64 <= good_for.as_secs() / 10, "after {good_for:?}: {heard}");
}

async fn a_live_page_ends_with_its_token(app: App) {
    use forge_api::auth::Role;
    let live = async |role| {
        let request = app.request(role, Method::GET, "/-/events?topic=organisation/acme");
        let answer = request.header("accept", "text/event-stream").send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer
    };
    let opened = Instant::now();
    let (revoked, expired, disabled) =
        (live(Role::Admin).await, live(Role::Viewer).await, live(Role::Reviewer).await);
    let stays = live(Role::Owner).await;
    let id = async |role: Role| {
        let email = format!("{}@example.org", role.as_str());
        session::user_by_email(&app.state, &email).await.unwrap().id
    };
    let (admin, viewer) = (id(Role::Admin).await, id(Role::Viewer).await);
    for (column, user) in [("revoked_at", admin), ("expires_at", viewer)] {
        let change = format!("UPDATE api_tokens SET {column} = 1 WHERE user_id = '{user}'");
        sql(&app.state.database, &change).await.unwrap();
    }
    session::set_disabled(&app.state, "reviewer@example.org", true).await.unwrap();
    let good_for = opened.elapsed();
    app.post("/api/v1/organisations/acme/projects", 201, json!({ "slug": "another" })).await;
    tokio::join!(silent(revoked, good_for), silent(expired, good_for), silent(disabled, good_for));
    let mut stays = stays;
    let heard = within(secs(60), async || {
        let bytes = stays.chunk().await.unwrap().unwrap();
        String::from_utf8_lossy(&bytes).contains("reload").then_some(())
    });
    assert!(heard.await.is_some(), "a good token hears it");
}

async fn what_a_thief_made_with_a_session_ends_with_it(app: App) {
    let make = async |browser: &Browser| {
        let new = json!({ "organisation": "acme", "role": "owner" });
        let made = app.by(browser, Method::POST, "/api/v1/tokens").json(&new).send().await.unwrap();
        json_of(made, 201).await["token"].as_str().unwrap().to_owned()
    };
    let works = async |token: &str| {
        app.anonymous(Method::GET, "/api/v1/me").bearer_auth(token).send().await.unwrap().status() == 200
    };
    let end = async |path: &str| {
        let browser = app.browser().await;
        let token = make(&browser).await;
        assert_eq!(app.by(&browser, Method::DELETE, path).send().await.unwrap().status(), 204);
        works(&token).await
    };
    assert!(end(&format!("{SESSIONS}?revoke_tokens=false")).await, "who wants to keep them keeps them");
    assert!(!end(SESSIONS).await);
    let entry = app.audited("installation", |e| e.action == "sessions.ended").await;
    assert!(!entry.detail.contains("\"tokens_revoked\":0"), "{entry:?}");

    // The same by the pages, whose tick box is ticked.
    let browser = app.browser().await;
    let page = app.by(&browser, Method::GET, "/-/account").send().await.unwrap().text().await.unwrap();
    let ticked = "<input type=\"checkbox\" name=\"revoke_tokens\" value=\"on\" checked>";
    assert_eq!(page.matches(ticked).count(), 2, "{page}");
    for (ticked, kept) in [(None, true), (Some("on"), false)] {
        let browser = app.browser().await;
        let token = make(&browser).await;
        let mut form = vec![("csrf", browser.csrf.as_str()), ("old", PASSWORD), ("new", PASSWORD)];
        form.extend(ticked.map(|on| ("revoke_tokens", on)));
        let done = app.by(&browser, Method::POST, "/-/account/password").form(&form).send().await.unwrap();
        assert_eq!(done.status(), 303);
        assert_eq!(works(&token).await, kept, "by a changed password");
        let browser = app.browser().await;
        let token = make(&browser).await;
        let mut form = vec![("csrf", browser.csrf.as_str())];
        form.extend(ticked.map(|on| ("revoke_tokens", on)));
        let path = "/-/account/sessions/end";
        assert_eq!(app.by(&browser, Method::POST, path).form(&form).send().await.unwrap().status(), 303);
        assert_eq!(works(&token).await, kept, "by signing out everywhere");
    }
}

async fn a_first_password_is_set_from_a_fresh_session_only(app: App) {
    use forge_api::auth::Role;
    let browser = app.browser_of(Role::Viewer).await;
    let set = || {
        let form = [("csrf", browser.csrf.as_str()), ("old", ""), ("new", "another horse battery")];
        app.by(&browser, Method::POST, "/-/account/password").form(&form).send()
    };
    let old = clock::now() - 11 * 60_000_000;
    sql(&app.state.database, &format!("UPDATE sessions SET created_at = {old}")).await.unwrap();
    let refused = set().await.unwrap();
    assert_eq!(refused.status(), 422);
    assert!(refused.text().await.unwrap().contains("by a new link"));
    let fresh = clock::now() - 9 * 60_000_000;
    sql(&app.state.database, &format!("UPDATE sessions SET created_at = {fresh}")).await.unwrap();
    assert_eq!(set().await.unwrap().status(), 303);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_the_cookies_are_bound_to_the_host() {
    let app = App::start_with(Kind::Sqlite, &[("public-url", "https://forge.example")]).await;
    let body = json!({ "email": "owner@example.org", "password": PASSWORD });
    let answer = app.anonymous(Method::POST, SESSIONS).json(&body).send().await.unwrap();
    let set: Vec<_> = answer.headers().get_all("set-cookie").iter().map(|c| c.to_str().unwrap()).collect();
    assert_eq!(set.len(), 2);
    for cookie in set {
        assert!(cookie.starts_with("__Host-anvil_"), "{cookie}");
        for part in ["; Path=/", "; HttpOnly", "; SameSite=Lax", "; Secure"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        assert!(!cookie.contains("Domain"), "{cookie}");
    }
    let browser = app.browser().await;
    assert!(is_in(&app, &browser).await);
    // A neighbour of the host can set a cookie without the prefix: it counts for nothing.
    let cookies = browser.cookies.replace("__Host-", "");
    assert!(!is_in(&app, &Browser { cookies, csrf: browser.csrf }).await);
}
