//! Hostile input at FORGE's own door: templates that no version may hold, and bodies of no sense.

use std::time::{Duration, Instant};

use forge_api::auth::Role;
use hostile::template::cases;
use hostile::template::{Case, Expected, parameters};
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{App, Kind, SET, json_of};

/// What one request of these may take, without optimisation and beside other work.
const PATIENCE: Duration = Duration::from_secs(10);

/// Beyond that a draft takes too long to write, not to refuse.
const PARTIALS_MAX: usize = 200;

async fn app() -> App {
    let app = App::start(Kind::Sqlite).await;
    app.save("welcome.message", "Hello", &[]).await;
    app.lock("1.0.0").await;
    app.reopen().await;
    app
}

fn hostile(case: &Case) -> Value {
    json!({ "id": "hostile", "content": { "type": "text", "template": case.template }, "parameters": parameters() })
}

async fn put_partials(app: &App, case: &Case) {
    for partial in &case.partials {
        let path = format!("{SET}/partials/{}", partial.name);
        let answer = app.request(Role::Owner, Method::PUT, &path).json(&json!({ "source": partial.source }));
        assert_eq!(answer.send().await.unwrap().status(), 201, "{}", case.name);
    }
}

async fn delete(app: &App, path: &str) {
    let answer =
        app.request(Role::Owner, Method::DELETE, path).header("if-match", "\"1\"").send().await.unwrap();
    assert_eq!(answer.status(), 204, "{path}");
}

/// Tries to get a case into a version. Says whether it could be saved at least.
async fn try_to_lock(app: &App, case: &Case) -> bool {
    let Expected::Refused { codes, says, line } = &case.expected else {
        panic!("{} is not refused", case.name)
    };
    let started = Instant::now();
    let path = format!("{SET}/prompts/hostile");
    let saved = app.request(Role::Owner, Method::PUT, &path).json(&hostile(case)).send().await.unwrap();
    if saved.status() == 413 {
        let body = json_of(saved, 413).await;
        assert!(body["detail"].as_str().is_some_and(|d| d.contains("bytes")), "{body}");
        return false;
    }
    assert_eq!(saved.status(), 201, "{}", case.name);
    put_partials(app, case).await;

    let before = app.get(SET).await;
    let started_lock = Instant::now();
    let refused =
        app.request(Role::Owner, Method::POST, &format!("{SET}/lock")).json(&json!({ "version": "1.1.0" }));
    let body = json_of(refused.send().await.unwrap(), 422).await;
    assert!(started_lock.elapsed() < PATIENCE, "{}: {:?}", case.name, started.elapsed());
    assert_eq!((&body["code"], &body["line"]), (&json!("template_invalid"), &json!(line)), "{}", case.name);
    let first = &body["errors"][0];
    let found = serde_json::from_value(first["code"].clone()).unwrap();
    assert!(codes.contains(&found), "{}: {first}", case.name);
    assert!(first["message"].as_str().is_some_and(|m| m.contains(says)), "{}: {first}", case.name);
    assert!(first["prompt"] == "hostile" || !first["partial"].is_null(), "{first}");
    assert_eq!(app.get(SET).await, before, "{}: the draft is as it was", case.name);

    delete(app, &path).await;
    for partial in &case.partials {
        delete(app, &format!("{SET}/partials/{}", partial.name)).await;
    }
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_hostile_template_gets_into_a_version() {
    let app = app().await;
    let versions = app.get(&format!("{SET}/versions")).await;
    let (mut locked, mut saved) = (0, 0);
    for (_, case) in cases::all() {
        if matches!(case.expected, Expected::Refused { .. }) && case.partials.len() <= PARTIALS_MAX {
            locked += 1;
            saved += usize::from(try_to_lock(&app, &case).await);
        }
    }
    assert!(locked > 100 && saved > 50, "{locked} cases were tried and {saved} saved");
    assert_eq!(app.get(&format!("{SET}/versions")).await, versions, "nothing hostile became a version");
    app.lock("1.1.0").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_template_that_compiles_is_stopped_in_the_preview() {
    let app = app().await;
    let values =
        json!({ "x": "x", "big": (0..10_000).collect::<Vec<i64>>(), "text": "lorem ipsum ".repeat(20_000) });
    let mut tried = 0;
    for (_, case) in cases::all().filter(|(_, case)| matches!(case.expected, Expected::Stopped(_))) {
        put_partials(&app, &case).await;
        let asked = json!({ "prompt": hostile(&case), "values": values });
        let started = Instant::now();
        let answer = app.request(Role::Owner, Method::POST, &format!("{SET}/preview")).json(&asked);
        let body = json_of(answer.send().await.unwrap(), 422).await;
        assert!(started.elapsed() < PATIENCE, "{}: {:?}", case.name, started.elapsed());
        let detail = body["detail"].as_str().unwrap();
        assert!(
            detail.contains("line ") && detail.contains("smaller values or a simpler template"),
            "{body}"
        );
        assert!(!detail.contains("lorem"), "no value is repeated: {body}");
        for partial in &case.partials {
            delete(&app, &format!("{SET}/partials/{}", partial.name)).await;
        }
        tried += 1;
    }
    assert!(tried > 25, "{tried} cases were tried");
}
