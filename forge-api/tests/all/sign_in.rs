//! Coming in and going out.

use forge_api::auth::Role;
use forge_api::session;
use reqwest::header::{COOKIE, SET_COOKIE};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::app::{App, PASSWORD, SET, json_of, on_both, problem, prompt};

on_both!(
    a_password_opens_a_session_and_signing_out_ends_it,
    a_link_is_good_once,
    nobody_learns_whether_an_address_is_known,
    a_browser_needs_the_token_of_its_own_pages,
    a_token_does_no_more_than_it_was_made_for,
    no_secret_stands_in_the_database,
);

const SESSIONS: &str = "/api/v1/sessions";

/// The cookie that an answer sets, as a browser sends it back.
fn cookie(answer: &Response) -> String {
    let set = answer.headers()[SET_COOKIE].to_str().unwrap();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax"), "{set}");
    set.split(';').next().unwrap().to_owned()
}

async fn sign_in(app: &App) -> (String, String) {
    let body = json!({ "email": "Owner@example.org", "password": PASSWORD });
    let answer = app.anonymous(Method::POST, SESSIONS).json(&body).send().await.unwrap();
    let cookie = cookie(&answer);
    let csrf = json_of(answer, 201).await["csrf_token"].as_str().unwrap().to_owned();
    (cookie, csrf)
}

async fn a_password_opens_a_session_and_signing_out_ends_it(app: App) {
    let (cookie, csrf) = sign_in(&app).await;
    let me = || app.anonymous(Method::GET, "/api/v1/me").header(COOKIE, &cookie).send();
    let body = json_of(me().await.unwrap(), 200).await;
    assert_eq!(body["organisations"], json!([{ "organisation": "acme", "role": "owner" }]));
    let out = app.anonymous(Method::DELETE, "/api/v1/sessions/current").header(COOKIE, &cookie);
    assert_eq!(out.header("x-csrf-token", csrf).send().await.unwrap().status(), 204);
    problem(me().await.unwrap(), 401, "sign_in_required").await;
}

async fn a_link_is_good_once(app: App) {
    let link = session::sign_in_link(&app.state, "viewer@example.org").await.unwrap();
    let body = json!({ "link": link.rsplit('/').next().unwrap() });
    let use_it = || app.anonymous(Method::POST, SESSIONS).json(&body).send();
    let (one, two) = tokio::join!(use_it(), use_it());
    let mut statuses = [one.unwrap().status().as_u16(), two.unwrap().status().as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 422], "of two who use a link at once, one comes in");
    problem(use_it().await.unwrap(), 422, "bad_link").await;
}

async fn nobody_learns_whether_an_address_is_known(app: App) {
    let mut answers: Vec<Value> = Vec::new();
    for email in ["owner@example.org", "nobody@example.org", "viewer@example.org"] {
        let body = json!({ "email": email, "password": "not the password" });
        let answer = app.anonymous(Method::POST, SESSIONS).json(&body).send().await.unwrap();
        answers.push(problem(answer, 422, "bad_credentials").await);
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[1], answers[2], "somebody without a password is like nobody");
}

async fn a_browser_needs_the_token_of_its_own_pages(app: App) {
    let (cookie, csrf) = sign_in(&app).await;
    let path = format!("{SET}/prompts/welcome.message");
    let save = || {
        let request = app.anonymous(Method::PUT, &path).header(COOKIE, &cookie);
        request.json(&prompt("welcome.message", "Hello", &[]))
    };
    problem(save().send().await.unwrap(), 403, "forbidden").await;
    problem(save().header("x-csrf-token", "wrong").send().await.unwrap(), 403, "forbidden").await;
    let foreign = save().header("x-csrf-token", &csrf).header("origin", "https://evil.example");
    problem(foreign.send().await.unwrap(), 403, "forbidden").await;
    let foreign = save().header("x-csrf-token", &csrf).header("sec-fetch-site", "cross-site");
    problem(foreign.send().await.unwrap(), 403, "forbidden").await;
    assert_eq!(save().header("x-csrf-token", &csrf).send().await.unwrap().status(), 201);

    // A form carries it as a field.
    let reopen = || app.anonymous(Method::POST, &format!("{SET}/reopen")).header(COOKIE, &cookie);
    problem(reopen().form(&[("csrf", "wrong")]).send().await.unwrap(), 403, "forbidden").await;
    let form = reopen().form(&[("other", "x"), ("csrf", &csrf)]).send().await.unwrap();
    problem(form, 409, "not_locked").await;
    // Signing somebody in from another site is refused as well.
    let foreign = app.anonymous(Method::POST, SESSIONS).header("origin", "https://evil.example");
    let body = json!({ "email": "owner@example.org", "password": PASSWORD });
    problem(foreign.json(&body).send().await.unwrap(), 403, "forbidden").await;
}

async fn a_token_does_no_more_than_it_was_made_for(app: App) {
    let path = "/api/v1/tokens";
    let body = json!({ "organisation": "acme", "role": "viewer", "name": "reader" });
    let by_token = app.request(Role::Owner, Method::POST, path).json(&body).send().await.unwrap();
    problem(by_token, 403, "forbidden").await;

    let (cookie, csrf) = sign_in(&app).await;
    let make = |body: Value| {
        app.anonymous(Method::POST, path)
            .header(COOKIE, &cookie)
            .header("x-csrf-token", &csrf)
            .json(&body)
            .send()
    };
    let made = json_of(make(body).await.unwrap(), 201).await;
    let ask =
        |method: Method, path: &str| app.anonymous(method, path).bearer_auth(made["token"].as_str().unwrap());
    assert_eq!(ask(Method::GET, SET).send().await.unwrap().status(), 200);
    let write = ask(Method::PUT, &format!("{SET}/prompts/x")).json(&prompt("x", "x", &[]));
    problem(write.send().await.unwrap(), 403, "forbidden").await;

    let expired = json!({ "organisation": "acme", "role": "viewer", "expires_at": "2020-01-01T00:00:00Z" });
    let old = json_of(make(expired).await.unwrap(), 201).await;
    let answer =
        app.anonymous(Method::GET, SET).bearer_auth(old["token"].as_str().unwrap()).send().await.unwrap();
    problem(answer, 401, "sign_in_required").await;

    let revoke = app.anonymous(Method::DELETE, &format!("{path}/{}", made["id"].as_str().unwrap()));
    let revoke = revoke.header(COOKIE, &cookie).header("x-csrf-token", &csrf);
    assert_eq!(revoke.send().await.unwrap().status(), 204);
    problem(ask(Method::GET, SET).send().await.unwrap(), 401, "sign_in_required").await;
}

async fn no_secret_stands_in_the_database(app: App) {
    let (cookie, _) = sign_in(&app).await;
    let credentials = "/api/v1/projects/acme:support/credentials";
    let made = app.post(credentials, 201, json!({ "environment": "prod", "name": "service" })).await;
    let seed = made["creds"].as_str().unwrap().lines().find(|l| l.starts_with("SU")).unwrap().to_owned();
    let link = session::sign_in_link(&app.state, "viewer@example.org").await.unwrap();
    let mut secrets = vec![
        seed,
        made["connect"].as_str().unwrap().to_owned(),
        app.token(Role::Owner).to_owned(),
        cookie.split_once('=').unwrap().1.to_owned(),
        link.rsplit('/').next().unwrap().to_owned(),
        PASSWORD.to_owned(),
    ];
    secrets.extend(app.state.keys.ring().seeds().iter().map(|(_, seed)| seed.to_string()));
    let dump = crate::database::dump(&app).await;
    assert!(dump.contains("owner@example.org"), "the dump holds what is stored");
    for (n, secret) in secrets.iter().enumerate() {
        assert!(!dump.contains(secret.as_str()), "secret {n} stands in the database");
    }
    let shown = app.get(credentials).await.to_string();
    assert!(!shown.contains("creds") && !shown.contains("connect"), "{shown}");
}
