//! Personal API tokens.

use forge_api::auth::{Actor, Entry, Role};
use forge_api::database::user::{self, ApiToken};
use forge_api::{clock, session};
use reqwest::Method;
use schemas::canonical::Digest;
use serde_json::{Value, json};

use crate::app::{App, Browser, PUBLICATIONS, SET, json_of, on_both, problem, prompt};
use crate::database::sql;

on_both!(
    a_token_does_no_more_than_it_was_made_for,
    a_token_that_is_spent_is_refused_and_the_refusal_is_recorded,
    a_token_ends_after_ninety_days_unless_somebody_says_otherwise,
    a_token_cannot_act_for_the_person_behind_it,
    the_account_page_makes_and_revokes_api_keys,
    a_token_for_some_projects_reaches_those_and_no_more_than_its_owner_does,
);

const TOKENS: &str = "/api/v1/tokens";

async fn make(app: &App, browser: &Browser, body: Value) -> Value {
    json_of(app.by(browser, Method::POST, TOKENS).json(&body).send().await.unwrap(), 201).await
}

async fn status(app: &App, token: &Value, method: Method, path: &str, body: Value) -> u16 {
    let token = token["token"].as_str().unwrap();
    app.anonymous(method, path).bearer_auth(token).json(&body).send().await.unwrap().status().as_u16()
}

async fn a_token_does_no_more_than_it_was_made_for(app: App) {
    app.save("welcome.message", "Hello", &[]).await;
    app.lock("1.0.0").await;
    app.reopen().await;
    let browser = app.browser().await;
    let new = |role: &str, scopes: Value| json!({ "organisation": "acme", "role": role, "scopes": scopes });
    let wrong = new("owner", json!(["everything"]));
    let answer = app.by(&browser, Method::POST, TOKENS).json(&wrong).send().await.unwrap();
    problem(answer, 422, "invalid").await;

    let reader = make(&app, &browser, new("owner", json!([]))).await;
    assert_eq!(reader["scopes"], json!(["read"]));
    let writer = make(&app, &browser, new("owner", json!(["edit"]))).await;
    let publisher = make(&app, &browser, new("context_engineer", json!(["publish", "manage"]))).await;
    let members = "/api/v1/organisations/acme/members";
    let (edit, publish) =
        (prompt("x", "x", &[]), json!({ "set": "chat", "environment": "prod", "version": "1.0.0" }));
    let member = json!({ "email": "viewer@example.org", "role": "viewer" });
    let mut found = Vec::new();
    let all = make(&app, &browser, json!({ "organisation": "acme", "role": "owner" })).await;
    for token in [&reader, &writer, &publisher, &all] {
        found.push([
            status(&app, token, Method::GET, SET, Value::Null).await,
            status(&app, token, Method::PUT, &format!("{SET}/prompts/x"), edit.clone()).await,
            status(&app, token, Method::POST, PUBLICATIONS, publish.clone()).await,
            status(&app, token, Method::PUT, members, member.clone()).await,
        ]);
    }
    // Who belongs to the organisation, no token says.
    assert_eq!(
        found,
        [[200, 403, 403, 403], [200, 201, 403, 403], [200, 403, 201, 403], [200, 409, 201, 403]]
    );
    for why in ["scopes", "no token may manage members"] {
        let says = |e: &forge_api::database::audit::AuditEntry| {
            e.action == "request.refused" && e.detail.contains(why)
        };
        let entry = app.audited(&app.organisation.id, says).await;
        assert!(entry.actor_name == "owner" && entry.detail.contains("127.0.0.1"), "{entry:?}");
    }
}

async fn a_token_that_is_spent_is_refused_and_the_refusal_is_recorded(app: App) {
    let browser = app.browser().await;
    let made = make(&app, &browser, json!({ "organisation": "acme", "role": "viewer", "name": "ci" })).await;
    assert_eq!(status(&app, &made, Method::GET, SET, Value::Null).await, 200);
    let path = format!("{TOKENS}/{}", made["id"].as_str().unwrap());
    assert_eq!(app.by(&browser, Method::DELETE, &path).send().await.unwrap().status(), 204);
    assert_eq!(status(&app, &made, Method::GET, SET, Value::Null).await, 401);
    let chain = app.organisation.id.clone();
    let says = |why: &'static str| {
        move |e: &forge_api::database::audit::AuditEntry| {
            e.action == "token.refused" && e.detail.contains(why)
        }
    };
    let entry = app.audited(&chain, says("the token is revoked")).await;
    assert!(entry.subject.ends_with(" with ci") && entry.actor_name == "owner", "{entry:?}");
    app.audited(&chain, |e| e.action == "token.revoked" && e.subject == "ci").await;

    // One that ended a moment ago, as the database holds it.
    let reviewer = session::user_by_email(&app.state, "reviewer@example.org").await.unwrap();
    let text = "anvil_ended";
    let row = ApiToken {
        id: clock::new_id(),
        user_id: reviewer.id,
        organisation_id: chain.clone(),
        name: "old".into(),
        role: "viewer".into(),
        token_hash: Digest::of(text.as_bytes()).hex(),
        created_at: 1,
        expires_at: Some(clock::now() - 1),
        last_used_at: None,
        revoked_at: None,
        scopes: "read".into(),
        projects: None,
    };
    let mut tx = app.state.database.write().await.unwrap();
    user::insert_token(&mut tx, &row).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(status(&app, &json!({ "token": text }), Method::GET, SET, Value::Null).await, 401);
    app.audited(&chain, says("the token has expired")).await;
    assert_eq!(status(&app, &json!({ "token": "anvil_guess" }), Method::GET, SET, Value::Null).await, 401);
    let guess = app.audited("installation", says("no token of ours")).await;
    assert_eq!(guess.actor_id, "nobody");
}

async fn a_token_ends_after_ninety_days_unless_somebody_says_otherwise(app: App) {
    let browser = app.browser().await;
    let new = |end: Value| json!({ "organisation": "acme", "role": "viewer", "expires_at": end });
    let made = make(&app, &browser, new(Value::Null)).await;
    let end = clock::parse(made["expires_at"].as_str().unwrap()).unwrap();
    let days = (end - clock::now()) as f64 / 86_400e6;
    assert!((89.9..=90.0).contains(&days), "{days}");
    let made = make(&app, &browser, new(json!("never"))).await;
    assert!(made.get("expires_at").is_none(), "{made}");
    let past = app.by(&browser, Method::POST, TOKENS).json(&new(json!("2020-01-01T00:00:00Z")));
    problem(past.send().await.unwrap(), 422, "invalid").await;
}

async fn a_token_cannot_act_for_the_person_behind_it(app: App) {
    let other = json!({ "slug": "another" });
    let member = json!({ "email": "viewer@example.org", "role": "owner" });
    for (method, path, body) in [
        (Method::POST, TOKENS, json!({ "organisation": "acme", "role": "viewer" })),
        (Method::GET, TOKENS, Value::Null),
        (Method::DELETE, "/api/v1/tokens/x", Value::Null),
        (Method::GET, "/api/v1/sessions", Value::Null),
        (Method::DELETE, "/api/v1/sessions", Value::Null),
        (Method::DELETE, "/api/v1/sessions/x", Value::Null),
        (Method::POST, "/api/v1/organisations", other),
        (Method::PUT, "/api/v1/organisations/acme/members", member),
    ] {
        let answer = app.request(Role::Owner, method.clone(), path).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 403, "{method} {path}");
        problem(answer, 403, "forbidden").await;
    }
    // But it may end itself.
    let actor = Actor { entry: Entry::Console, ..Actor::console() };
    let owner = session::user_by_email(&app.state, "owner@example.org").await.unwrap();
    let actor = Actor { user_id: owner.id, ..actor };
    let id = session::tokens(&app.state, &actor).await.unwrap()[0].id.clone();
    let end = app.request(Role::Owner, Method::DELETE, &format!("{TOKENS}/{id}")).send().await.unwrap();
    assert_eq!(end.status(), 204);
    assert_eq!(app.request(Role::Owner, Method::GET, SET).send().await.unwrap().status(), 401);
}

async fn the_account_page_makes_and_revokes_api_keys(app: App) {
    let browser = app.browser().await;
    let page = app.by(&browser, Method::GET, "/-/account").send().await.unwrap().text().await.unwrap();
    assert!(page.contains("<option value=\"90\" selected>"), "90 days are offered first");
    let form = [
        ("csrf", browser.csrf.as_str()),
        ("name", "release"),
        ("organisation", "acme"),
        ("role", "context_engineer"),
        ("scope", "publish"),
        ("days", "30"),
    ];
    let made = app.by(&browser, Method::POST, "/-/account/keys").form(&form).send().await.unwrap();
    assert_eq!(made.status(), 200);
    let html = made.text().await.unwrap();
    let token = html.split("<code id=\"api-key\">").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let listed = json_of(app.by(&browser, Method::GET, TOKENS).send().await.unwrap(), 200).await;
    let row = &listed["items"][0];
    assert_eq!((&row["name"], &row["scopes"]), (&json!("release"), &json!(["read", "publish"])));
    let ask = || app.anonymous(Method::GET, SET).bearer_auth(&token).send();
    assert_eq!(ask().await.unwrap().status(), 200);
    let page = app.by(&browser, Method::GET, "/-/account").send().await.unwrap().text().await.unwrap();
    assert!(page.contains("release") && !page.contains(&token), "it is shown once");
    let path = format!("/-/account/keys/{}/revoke", row["id"].as_str().unwrap());
    let done = app.by(&browser, Method::POST, &path).form(&form[..1]).send().await.unwrap();
    assert_eq!(done.status(), 303);
    assert_eq!(ask().await.unwrap().status(), 401);
}

async fn a_token_for_some_projects_reaches_those_and_no_more_than_its_owner_does(app: App) {
    const OTHER: &str = "/api/v1/projects/acme:other/sets";
    app.post("/api/v1/organisations/acme/projects", 201, json!({ "slug": "other" })).await;
    let browser = app.browser().await;
    let new =
        |role: &str, projects: Value| json!({ "organisation": "acme", "role": role, "projects": projects });
    for wrong in [json!(["support", "nothing"]), json!([]), json!([""]), json!(["support other"])] {
        let answer = app.by(&browser, Method::POST, TOKENS).json(&new("owner", wrong)).send().await.unwrap();
        assert_eq!(problem(answer, 422, "invalid").await["field"], "projects");
    }
    let made = make(&app, &browser, new("owner", json!(["support", "support"]))).await;
    assert_eq!(made["projects"], json!(["support"]), "{made}");
    let all = make(&app, &browser, new("owner", Value::Null)).await;
    assert!(all.get("projects").is_none(), "{all}");
    let both = make(&app, &browser, new("viewer", json!(["other", "support"]))).await;
    let edit = prompt("x", "x", &[]);
    let mut found = Vec::new();
    for token in [&made, &all, &both] {
        found.push([
            status(&app, token, Method::GET, SET, Value::Null).await,
            status(&app, token, Method::PUT, &format!("{SET}/prompts/x"), edit.clone()).await,
            status(&app, token, Method::GET, OTHER, Value::Null).await,
            status(&app, token, Method::POST, OTHER, json!({ "slug": "more" })).await,
            status(
                &app,
                token,
                Method::POST,
                "/api/v1/organisations/acme/projects",
                json!({ "slug": "third" }),
            )
            .await,
        ]);
    }
    assert_eq!(found, [[200, 201, 404, 404, 404], [200, 409, 200, 201, 201], [200, 403, 200, 403, 404]]);
    let token = made["token"].as_str().unwrap();
    let me = app.anonymous(Method::GET, "/api/v1/me").bearer_auth(token).send().await.unwrap();
    let me = json_of(me, 200).await;
    assert_eq!((&me["organisations"], me["grants"].as_array().map(Vec::len)), (&json!([]), Some(1)), "{me}");
    let listed = app.anonymous(Method::GET, "/api/v1/organisations/acme/projects").bearer_auth(token);
    let listed = json_of(listed.send().await.unwrap(), 200).await;
    let names: Vec<&str> =
        listed["items"].as_array().unwrap().iter().filter_map(|p| p["slug"].as_str()).collect();
    assert_eq!(names, ["support"]);

    // On the page: what was typed stays, and the key says where it reaches.
    let send = async |fields: &[(&str, &str)]| {
        let mut fields = fields.to_vec();
        fields.extend([
            ("csrf", browser.csrf.as_str()),
            ("organisation", "acme"),
            ("role", "viewer"),
            ("days", "30"),
        ]);
        let request = app.anonymous(Method::POST, "/-/account/keys").header("cookie", &browser.cookies);
        let answer = request.header("accept", "text/html").form(&fields).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status_of, page) = send(&[("name", "typed"), ("projects", "support, nothing")]).await;
    assert!(
        status_of == 422 && page.contains("projects-error") && page.contains("support, nothing"),
        "{page}"
    );
    let (status_of, page) = send(&[("name", "typed"), ("projects", "support, other")]).await;
    assert!(status_of == 200 && page.contains("only in other, support"), "{page}");

    // Its owner is nobody here any more, and neither is it.
    let owner = session::user_by_email(&app.state, "owner@example.org").await.unwrap();
    sql(&app.state.database, &format!("DELETE FROM memberships WHERE user_id = '{}'", owner.id))
        .await
        .unwrap();
    assert_eq!(status(&app, &made, Method::GET, SET, Value::Null).await, 404);
}
