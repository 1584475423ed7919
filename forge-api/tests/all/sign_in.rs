//! Coming in and going out.

use std::time::{Duration, Instant};

use forge_api::audit::INSTALLATION;
use forge_api::auth::Role;
use forge_api::session;
use reqwest::Method;
use reqwest::header::COOKIE;
use serde_json::{Value, json};

use crate::app::{App, Browser, PASSWORD, SET, json_of, on_both, problem, prompt};

on_both!(
    a_password_opens_a_session_and_signing_out_ends_it,
    a_link_is_good_once,
    nobody_learns_whether_an_address_is_known,
    what_is_typed_as_an_address_is_not_written_down,
    a_browser_needs_the_token_of_its_own_pages,
    no_secret_stands_in_the_database,
);

const SESSIONS: &str = "/api/v1/sessions";

async fn a_password_opens_a_session_and_signing_out_ends_it(app: App) {
    let Browser { cookies: cookie, csrf } = app.browser().await;
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
    // A link that never was is refused like one that was used.
    let none = json!({ "link": "none" });
    let (used, none) =
        (use_it().await.unwrap(), app.anonymous(Method::POST, SESSIONS).json(&none).send().await.unwrap());
    assert_eq!(used.text().await.unwrap(), none.text().await.unwrap());
    app.audited(INSTALLATION, |e| e.action == "sign_in_link.refused").await;
}

async fn nobody_learns_whether_an_address_is_known(app: App) {
    session::create_user(&app.state, "gone@example.org", "Gone", Some(PASSWORD)).await.unwrap();
    session::set_disabled(&app.state, "gone@example.org", true).await.unwrap();
    // Unknown, without a password, disabled with the right password, with a wrong one.
    let people = [
        ("nobody@example.org", PASSWORD),
        ("viewer@example.org", PASSWORD),
        ("gone@example.org", PASSWORD),
        ("owner@example.org", "not the password"),
    ];
    let mut seen: Vec<(Value, Vec<String>, String)> = Vec::new();
    let mut least = [Duration::MAX; 4];
    let tells = |least: &[Duration; 4]| least.iter().any(|one| *one >= *least.iter().min().unwrap() * 3);
    // Other work makes an answer later, and none makes it earlier: where it tells nothing, the quickest answers come
    // close to each other, sooner or later.
    for round in 0..70 {
        if round >= 7 && !tells(&least) {
            break;
        }
        for ((email, password), least) in people.iter().zip(&mut least) {
            let body = json!({ "email": email, "password": password });
            let began = Instant::now();
            let answer = app.anonymous(Method::POST, SESSIONS).json(&body).send().await.unwrap();
            *least = (*least).min(began.elapsed());
            let mut headers: Vec<String> = answer.headers().keys().map(|k| k.as_str().to_owned()).collect();
            headers.sort_unstable();
            let body = problem(answer, 422, "bad_credentials").await;
            let form = [("email", *email), ("password", *password)];
            let page = app.anonymous(Method::POST, "/-/sign-in").form(&form).send().await.unwrap();
            assert_eq!(page.status(), 422);
            seen.push((body, headers, page.text().await.unwrap().replace(email, "")));
        }
    }
    assert!(seen.windows(2).all(|two| two[0] == two[1]), "{seen:#?}");
    assert!(!tells(&least), "the time of the answer tells: {least:?}");
    // The operator is told what strangers are not.
    for (email, why) in [
        ("viewer@example.org", "the user has no password"),
        ("gone@example.org", "the user is disabled"),
        ("owner@example.org", "wrong password"),
    ] {
        let entry = app.audited(INSTALLATION, |e| e.action == "sign_in.refused" && e.subject == email).await;
        assert!(entry.detail.contains(why), "{entry:?}");
    }
    app.audited(INSTALLATION, |e| e.action == "sign_in.refused" && e.detail.contains("no such user")).await;
}

async fn what_is_typed_as_an_address_is_not_written_down(app: App) {
    let secret = "my tr0ub4dor horse";
    let attempt = |email: &str| {
        let body = json!({ "email": email, "password": "" });
        app.anonymous(Method::POST, SESSIONS).json(&body).send()
    };
    let mut names = Vec::new();
    for email in [secret, "somebody@example.org", secret] {
        problem(attempt(email).await.unwrap(), 422, "bad_credentials").await;
        // Each in a minute of its own.
        app.state.refusals.close(&app.state).await;
        let log = app.audit(INSTALLATION).await;
        let entry = log.iter().rev().find(|e| e.action == "sign_in.refused").unwrap();
        assert!(entry.detail.contains("no such user") && entry.actor_id == "nobody", "{entry:?}");
        names.push(entry.subject.clone());
    }
    assert!(names[0].starts_with("unknown account ") && names[0].len() == 28, "{names:?}");
    assert!(names[0] == names[2] && names[0] != names[1], "repeats can be told: {names:?}");
    let dump = crate::database::dump(&app).await;
    assert!(!dump.contains(secret) && !dump.contains("somebody@example.org"));
}

async fn a_browser_needs_the_token_of_its_own_pages(app: App) {
    let Browser { cookies: cookie, csrf } = app.browser().await;
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

async fn no_secret_stands_in_the_database(app: App) {
    let Browser { cookies: cookie, .. } = app.browser().await;
    let credentials = "/api/v1/projects/acme:support/credentials";
    let made = app.post(credentials, 201, json!({ "environment": "prod", "name": "service" })).await;
    let seed = made["creds"].as_str().unwrap().lines().find(|l| l.starts_with("SU")).unwrap().to_owned();
    let link = session::sign_in_link(&app.state, "viewer@example.org").await.unwrap();
    let mut secrets = vec![
        seed,
        made["connect"].as_str().unwrap().to_owned(),
        app.token(Role::Owner).to_owned(),
        cookie.split([';', '=']).nth(1).unwrap().to_owned(),
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
