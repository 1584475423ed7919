//! Who belongs to an organisation, and who may say so.

use forge_api::auth::{Actor, Role};
use forge_api::author;
use reqwest::Method;
use serde_json::json;

use crate::app::{App, Browser, SET, json_of, on_both, problem};

on_both!(
    an_owner_takes_a_member_out_and_every_way_in_closes,
    a_member_may_leave_and_take_nobody_along,
    an_organisation_keeps_its_last_owner,
    of_two_owners_who_go_at_once_one_stays,
    a_member_leaves_from_the_account_page,
);

const MEMBERS: &str = "/api/v1/organisations/acme/members";

async fn take_out(app: &App, browser: &Browser, who: &str) -> reqwest::Response {
    app.by(browser, Method::DELETE, &format!("{MEMBERS}/{who}")).send().await.unwrap()
}

async fn sees(app: &App, browser: &Browser) -> u16 {
    app.by(browser, Method::GET, SET).send().await.unwrap().status().as_u16()
}

async fn an_owner_takes_a_member_out_and_every_way_in_closes(app: App) {
    let (owner, admin) = (app.browser().await, app.browser_of(Role::Admin).await);
    assert_eq!(sees(&app, &admin).await, 200);
    let listed = json_of(app.by(&owner, Method::GET, MEMBERS).send().await.unwrap(), 200).await;
    let rows = listed["items"].as_array().unwrap();
    let id = rows.iter().find(|r| r["role"] == "admin").unwrap()["id"].as_str().unwrap();
    assert_eq!(take_out(&app, &owner, id).await.status(), 204);
    assert_eq!(sees(&app, &admin).await, 404);
    let by_token = || app.request(Role::Admin, Method::GET, SET).send();
    assert_eq!(by_token().await.unwrap().status(), 401);
    let entry = app.audited(&app.organisation.id, |e| e.action == "member.removed").await;
    assert_eq!((entry.actor_name.as_str(), entry.subject.as_str()), ("owner", "admin@example.org"));
    assert!(entry.detail.contains("\"tokens_revoked\":1"), "{entry:?}");
    problem(take_out(&app, &owner, id).await, 404, "not_found").await;
    // Who is taken in again comes back without the old tokens.
    let again = json!({ "email": "admin@example.org", "role": "admin" });
    let put = app.by(&owner, Method::PUT, MEMBERS).json(&again).send().await.unwrap();
    assert_eq!(put.status(), 204);
    assert_eq!(sees(&app, &admin).await, 200);
    assert_eq!(by_token().await.unwrap().status(), 401);
}

async fn a_member_may_leave_and_take_nobody_along(app: App) {
    let viewer = app.browser_of(Role::Viewer).await;
    problem(take_out(&app, &viewer, "reviewer@example.org").await, 403, "forbidden").await;
    // Not by their token: who stole it ends no membership.
    let path = format!("{MEMBERS}/viewer@example.org");
    let by_token = app.request(Role::Viewer, Method::DELETE, &path).send().await.unwrap();
    problem(by_token, 403, "forbidden").await;
    assert_eq!(take_out(&app, &viewer, "Viewer@example.org").await.status(), 204);
    assert_eq!(sees(&app, &viewer).await, 404);
}

async fn an_organisation_keeps_its_last_owner(app: App) {
    let owner = app.browser().await;
    problem(take_out(&app, &owner, "owner@example.org").await, 409, "last_owner").await;
    let lower = json!({ "email": "owner@example.org", "role": "viewer" });
    let put = app.by(&owner, Method::PUT, MEMBERS).json(&lower).send().await.unwrap();
    problem(put, 409, "last_owner").await;
    let log = app.audit(&app.organisation.id).await;
    assert!(log.iter().all(|e| e.action != "member.removed"), "nothing of it is written");
    let console = Actor::console();
    author::add_member(&app.state, &console, &app.organisation, "admin@example.org", Role::Owner)
        .await
        .unwrap();
    assert_eq!(take_out(&app, &owner, "owner@example.org").await.status(), 204);
}

async fn of_two_owners_who_go_at_once_one_stays(app: App) {
    let console = Actor::console();
    let (state, organisation) = (&app.state, &app.organisation);
    for _ in 0..8 {
        for email in ["owner@example.org", "admin@example.org"] {
            author::add_member(state, &console, organisation, email, Role::Owner).await.unwrap();
        }
        let go = |email| author::remove_member(state, &console, organisation, email);
        let lower = |email| author::add_member(state, &console, organisation, email, Role::Viewer);
        let (one, two) = tokio::join!(go("owner@example.org"), lower("admin@example.org"));
        assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
        for email in ["owner@example.org", "admin@example.org"] {
            author::add_member(state, &console, organisation, email, Role::Owner).await.unwrap();
        }
        let (one, two) = tokio::join!(go("owner@example.org"), go("admin@example.org"));
        assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    }
}

async fn a_member_leaves_from_the_account_page(app: App) {
    let (owner, viewer) = (app.browser().await, app.browser_of(Role::Viewer).await);
    let leave = "/acme/-/leave";
    let see = async |browser: &Browser, method: Method, path: &str| {
        let request = app.by(browser, method.clone(), path).header("accept", "text/html");
        let request = if method == Method::POST { request.form(&[("csrf", &browser.csrf)]) } else { request };
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    // The last owner is told why not, before and after.
    let (_, html) = see(&owner, Method::GET, "/-/account").await;
    assert!(html.contains("href=\"/acme/-/leave\""), "{html}");
    let (status, html) = see(&owner, Method::GET, leave).await;
    assert!(status == 200 && html.contains("You are its last owner"), "{status} {html}");
    assert!(html.contains("href=\"/acme/-/settings\"") && !html.contains(">Leave Acme</button>"), "{html}");
    let (status, html) = see(&owner, Method::POST, leave).await;
    assert!(status == 409 && html.contains("You are its last owner"), "{status} {html}");

    let (status, html) = see(&viewer, Method::GET, leave).await;
    assert!(status == 200 && html.contains(">Leave Acme</button>"), "{status} {html}");
    assert!(html.contains("<dd>viewer</dd>") && sees(&app, &viewer).await == 200, "it only asked: {html}");
    // Not by their token, as in the API.
    let by_token = app.request(Role::Viewer, Method::POST, leave).header("accept", "text/html");
    assert_eq!(by_token.form(&[("x", "")]).send().await.unwrap().status(), 403);
    let left = app.by(&viewer, Method::POST, leave).form(&[("csrf", &viewer.csrf)]).send().await.unwrap();
    assert_eq!((left.status().as_u16(), left.headers()["location"].to_str().unwrap()), (303, "/-/account"));
    assert_eq!(sees(&app, &viewer).await, 404);
    let entry = app.audited(&app.organisation.id, |e| e.action == "member.removed").await;
    assert_eq!((entry.actor_name.as_str(), entry.subject.as_str()), ("viewer", "viewer@example.org"));
    let (status, html) = see(&viewer, Method::GET, "/-/account").await;
    assert!(status == 200 && !html.contains("/acme/-/leave"), "{status} {html}");
    assert_eq!(see(&viewer, Method::GET, leave).await.0, 404);

    // With another owner the first may go too.
    let console = Actor::console();
    author::add_member(&app.state, &console, &app.organisation, "admin@example.org", Role::Owner)
        .await
        .unwrap();
    assert_eq!(see(&owner, Method::POST, leave).await.0, 303);
}
