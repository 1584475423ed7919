//! Bad input: a clear problem, and nothing changed.

use forge_api::auth::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{App, Kind, PUBLICATIONS, SET, on_both, problem, prompt};

on_both!(
    a_template_error_stops_a_lock_and_names_its_place,
    values_that_do_not_fit_are_named_with_prompt_parameter_expected_and_got,
    what_is_not_locked_is_not_published_to_prod,
    a_bad_slug_is_refused_everywhere,
    a_version_that_exists_is_not_made_again,
    an_old_serial_is_refused,
    a_bundle_over_the_limit_is_refused_when_it_is_locked,
    of_two_who_save_at_once_one_learns_what_the_other_wrote,
    what_is_no_json_or_no_query_is_a_problem_too,
);

async fn state_of(app: &App) -> (Value, Value, Value) {
    (app.get(SET).await, app.get(&format!("{SET}/versions")).await, app.get(PUBLICATIONS).await)
}

async fn a_template_error_stops_a_lock_and_names_its_place(app: App) {
    app.save("welcome.message", "Hello\nDear {{ name | mony }}, welcome", &["name"]).await;
    let before = state_of(&app).await;
    let body =
        app.refused(&format!("{SET}/lock"), json!({ "version": "1.0.0" }), 422, "template_invalid").await;
    assert_eq!((&body["line"], &body["source_line"]), (&json!(2), &json!("Dear {{ name | mony }}, welcome")));
    assert!(body["column"].as_u64().is_some_and(|c| (6..=22).contains(&c)), "{body}");
    assert_eq!(body["errors"][0]["prompt"], "welcome.message");
    assert_eq!(state_of(&app).await, before);

    let check = json!({ "prompt": prompt("x", "{{ name | mony }}", &["name"]) });
    let found = app.post(&format!("{SET}/check"), 200, check).await;
    assert_eq!(found["errors"][0]["code"], "unknown_filter", "{found}");
    let good = json!({ "prompt": prompt("x", "{{ name }} {% for item in items %}{{ item }}{% endfor %}", &["name"]) });
    let found = app.post(&format!("{SET}/check"), 200, good).await;
    assert_eq!(found["variables"], json!(["name", "items"]));
    assert_eq!(found["errors"][0]["code"], "undeclared_parameter", "{found}");
}

async fn values_that_do_not_fit_are_named_with_prompt_parameter_expected_and_got(app: App) {
    let wanted = json!({
        "id": "order", "content": { "type": "text", "template": "{{ name }} {{ count }}" },
        "parameters": [
            { "name": "name", "type": "string", "required": true },
            { "name": "count", "type": "integer", "required": true },
        ],
    });
    let path = format!("{SET}/preview");
    let values = json!({ "count": "thirteen", "colour": "crimson" });
    let body =
        app.refused(&path, json!({ "prompt": wanted, "values": values }), 422, "parameters_invalid").await;
    let errors = body["errors"].as_array().unwrap();
    for (parameter, code) in [("name", "missing"), ("count", "wrong_type"), ("colour", "unexpected")] {
        let found = errors.iter().find(|e| e["parameter"] == parameter).unwrap_or_else(|| panic!("{body}"));
        assert_eq!((&found["code"], &found["prompt"]), (&json!(code), &json!("order")));
        for member in ["expected", "got"] {
            assert!(found[member].as_str().is_some_and(|t| !t.is_empty()), "{found}");
        }
    }
    assert!(
        !body.to_string().contains("thirteen") && !body.to_string().contains("crimson"),
        "no value is repeated"
    );
    let good = json!({ "prompt": wanted, "values": { "name": "Ada", "count": 3 } });
    assert_eq!(app.post(&path, 200, good).await["text"], "Ada 3");
}

async fn what_is_not_locked_is_not_published_to_prod(app: App) {
    app.save("welcome.message", "Hello", &[]).await;
    let before = state_of(&app).await;
    for version in ["draft", "1.0.0"] {
        let body = json!({ "set": "chat", "environment": "prod", "version": version });
        app.refused(PUBLICATIONS, body, 409, "not_locked").await;
    }
    assert_eq!(state_of(&app).await, before);
    // dev takes a snapshot of the draft, and prod still does not.
    let made = app.publish("draft", "dev").await;
    assert_eq!(made["version"], "1.0.0-dev.1");
    let body = json!({ "set": "chat", "environment": "prod", "version": "1.0.0-dev.1" });
    app.refused(PUBLICATIONS, body, 409, "not_locked").await;
}

async fn a_bad_slug_is_refused_everywhere(app: App) {
    let browser = app.browser().await;
    let organisation = async |slug: &str| {
        let request = app.by(&browser, Method::POST, "/api/v1/organisations");
        problem(request.json(&json!({ "slug": slug })).send().await.unwrap(), 422, "bad_name").await;
    };
    for slug in ["", "-", "Chat", "a b", "ä", "../x", "{{tag(env)}}", "*", &"x".repeat(64)] {
        let body = json!({ "slug": slug });
        for path in [
            "/api/v1/organisations/acme/projects",
            "/api/v1/projects/acme:support/sets",
            "/api/v1/projects/acme:support/environments",
        ] {
            app.refused(path, body.clone(), 422, "bad_name").await;
        }
        organisation(slug).await;
    }
    organisation("api").await;
    app.refused("/api/v1/projects/acme:support/sets", json!({ "slug": "chat" }), 409, "name_taken").await;
    let id = app.request(Role::Owner, Method::PUT, &format!("{SET}/prompts/a..b"));
    problem(id.json(&prompt("fine", "x", &[])).send().await.unwrap(), 422, "bad_name").await;
}

async fn a_version_that_exists_is_not_made_again(app: App) {
    app.save("welcome.message", "Hello", &[]).await;
    let first = app.lock("1.0.0").await;
    app.refused(&format!("{SET}/lock"), json!({ "version": "1.0.1" }), 409, "locked").await;
    app.reopen().await;
    app.save_from("welcome.message", "Changed", &[], Some(1), 200).await;
    let before = state_of(&app).await;
    let body =
        app.refused(&format!("{SET}/lock"), json!({ "version": "1.0.0" }), 409, "version_exists").await;
    assert_eq!(body["digest"], first["digest"]);
    for bad in ["1", "1.0", "v1.0.0", "latest", ""] {
        let body = app.refused(&format!("{SET}/lock"), json!({ "version": bad }), 422, "bad_version").await;
        let said = format!("{bad:?} is no version: write three numbers, such as 1.2.0");
        assert_eq!(body["detail"], said.as_str());
    }
    let stale = json!({ "version": "1.0.1", "draft_digest": first["digest"] });
    app.refused(&format!("{SET}/lock"), stale, 409, "draft_changed").await;
    assert_eq!(state_of(&app).await, before);
    app.lock("1.1.0-gpt4+tokens.1500").await;
}

async fn an_old_serial_is_refused(app: App) {
    app.save("welcome.message", "Hello", &[]).await;
    app.lock("1.0.0").await;
    let body = |serial: i64| json!({ "set": "chat", "environment": "prod", "version": "1.0.0", "expected_serial": serial });
    app.post(PUBLICATIONS, 201, body(0)).await;
    let before = state_of(&app).await;
    let found = app.refused(PUBLICATIONS, body(0), 409, "serial_mismatch").await;
    assert_eq!((&found["expected_serial"], &found["serial"]), (&json!(0), &json!(1)));
    assert_eq!(state_of(&app).await, before);
    assert_eq!(app.post(PUBLICATIONS, 201, body(1)).await["serial"], 2, "no serial was used up");
}

async fn a_bundle_over_the_limit_is_refused_when_it_is_locked(app: App) {
    // Noise does not compress: 200 texts of 60 KB are more than a message may hold.
    let mut noise = 0x9e37_79b9_u32;
    let mut text = || -> String {
        let mut next = || {
            noise ^= noise << 13;
            noise ^= noise >> 17;
            noise ^= noise << 5;
            char::from(
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
                    [(noise >> 9) as usize % 64],
            )
        };
        (0..60_000).map(|_| next()).collect()
    };
    let prompts: Vec<_> = (0..200).map(|n| prompt(&format!("noise-{n}"), &text(), &[])).collect();
    app.post(&format!("{SET}/import"), 200, json!({ "prompts": prompts })).await;
    let body = app.refused(&format!("{SET}/lock"), json!({ "version": "1.0.0" }), 413, "too_large").await;
    assert!(body["detail"].as_str().unwrap().contains("split"), "it says the way out: {body}");
    assert_eq!(app.get(&format!("{SET}/versions")).await["items"], json!([]));
    assert_eq!(app.get(SET).await["state"], "editing");
    // One template that is too long is refused when it is saved.
    let long = app.request(Role::Owner, Method::PUT, &format!("{SET}/prompts/long"));
    let answer =
        long.json(&prompt("long", &"x".repeat(schemas::template::SOURCE_MAX + 1), &[])).send().await.unwrap();
    problem(answer, 413, "too_large").await;
}

async fn of_two_who_save_at_once_one_learns_what_the_other_wrote(app: App) {
    app.save("welcome.message", "first", &[]).await;
    let path = format!("{SET}/prompts/welcome.message");
    let save = |text: &'static str| {
        let request = app.request(Role::Owner, Method::PUT, &path).header("if-match", "\"1\"");
        request.json(&prompt("welcome.message", text, &[])).send()
    };
    let (one, two) = tokio::join!(save("mine"), save("yours"));
    let (one, two) = (one.unwrap(), two.unwrap());
    let (won, lost) = if one.status() == 200 { ("mine", two) } else { ("yours", one) };
    let body = problem(lost, 409, "revision_conflict").await;
    assert_eq!(body["current"]["revision"], 2);
    assert_eq!(body["current"]["prompt"]["content"]["template"], won);
    assert_eq!(app.get(&path).await["prompt"]["content"]["template"], won);
}

async fn what_is_no_json_or_no_query_is_a_problem_too(app: App) {
    let send = |body: &'static str| {
        let request = app.request(Role::Owner, Method::POST, PUBLICATIONS);
        request.header("content-type", "application/json").body(body).send()
    };
    for body in ["", "{", "[]", "{\"set\": 3}"] {
        problem(send(body).await.unwrap(), 422, "bad_json").await;
    }
    let plain = app.request(Role::Owner, Method::POST, PUBLICATIONS).body("x").send().await.unwrap();
    problem(plain, 415, "bad_content_type").await;
    let query = app.request(Role::Owner, Method::GET, &format!("{PUBLICATIONS}?limit=x"));
    problem(query.send().await.unwrap(), 422, "bad_query").await;
    problem(app.anonymous(Method::GET, "/api/v1/nowhere").send().await.unwrap(), 404, "not_found").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_too_often_is_told_when_to_come_back() {
    let app =
        App::start_with(Kind::Sqlite, &[("requests-per-second", "2"), ("sign-in-per-minute", "3")]).await;
    // At once, since two more are let in with each second: where these take eight of them, others follow. All of one
    // address have bursts of 32, which leaves enough for what comes below.
    let mut refused = None;
    for _ in 0..10 {
        let asked = (0..24).map(|_| app.request(Role::Viewer, Method::GET, "/api/v1/me").send());
        let answers = futures::future::join_all(asked).await;
        refused = answers.into_iter().map(Result::unwrap).find(|answer| answer.status() == 429);
        if refused.is_some() {
            break;
        }
    }
    let refused = refused.expect("24 requests at once are more than two a second in bursts of eight");
    assert!(refused.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
    problem(refused, 429, "rate_limited").await;
    let other = app.request(Role::Reviewer, Method::GET, "/api/v1/me").send().await.unwrap();
    assert_eq!(other.status(), 200, "one who asks too often does not stop another");
    let mut last = 0;
    for _ in 0..6 {
        let body = json!({ "email": "owner@example.org", "password": "wrong" });
        let answer = app.anonymous(Method::POST, "/api/v1/sessions").json(&body).send().await.unwrap();
        last = answer.status().as_u16();
    }
    assert_eq!(last, 429);
}
