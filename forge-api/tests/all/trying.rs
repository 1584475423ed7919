//! Trying a prompt: rendered as stored, by variable sets, and run with a model.

use forge_api::auth::Role;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tests::model::{KEY, Stub};
use tests::until::{secs, until};

use crate::app::{App, Kind, SET, json_of, on_both, problem};

on_both!(
    a_preview_says_how_long_the_text_is,
    a_stored_prompt_is_rendered_as_the_draft_a_version_and_an_environment_have_it,
    a_history_fills_its_placeholder,
    variable_sets_are_saved_renamed_and_deleted_against_their_revision,
    without_an_endpoint_a_run_says_what_is_missing,
    the_preview_takes_saved_values_and_messages_and_shows_what_is_live_beside_it,
    the_playground_shows_versions_on_the_same_values_and_keeps_what_was_typed,
);

const SETS: &str = "/api/v1/projects/acme:support/sets/chat/variable-sets";

async fn ask(app: &App, role: Role, method: Method, path: &str, body: Value) -> Response {
    app.request(role, method, path).json(&body).send().await.unwrap()
}

async fn a_preview_says_how_long_the_text_is(app: App) {
    let mut prompt = crate::app::prompt("x", "Hello {{ name }}", &["name"]);
    prompt["model"] = json!({ "model": "gpt-4-turbo" });
    let body = json!({ "prompt": prompt, "values": { "name": "Jürgen" } });
    let found = app.post(&format!("{SET}/preview"), 200, body).await;
    assert_eq!((&found["type"], &found["text"]), (&json!("text"), &json!("Hello Jürgen")));
    assert_eq!(found["characters"], 12);
    assert_eq!((&found["tokenizer"], &found["tokens_exact"]), (&json!("cl100k"), &json!(true)));
    assert!(found["tokens"].as_u64().is_some_and(|n| (2..=6).contains(&n)), "{found}");
}

async fn a_stored_prompt_is_rendered_as_the_draft_a_version_and_an_environment_have_it(app: App) {
    app.save("welcome", "One {{ name }}", &["name"]).await;
    app.lock("1.0.0").await;
    app.publish("1.0.0", "prod").await;
    app.reopen().await;
    app.save_from("welcome", "Two {{ name }}", &["name"], Some(1), 200).await;
    app.lock("1.1.0").await;
    app.reopen().await;
    app.save_from("welcome", "Three {{ name }}", &["name"], Some(2), 200).await;
    let path = format!("{SET}/render");
    for (of, version, text) in [
        (json!({}), "draft", "Three Mara"),
        (json!({ "version": "draft" }), "draft", "Three Mara"),
        (json!({ "version": "1.1.0" }), "1.1.0", "Two Mara"),
        (json!({ "version": "latest" }), "1.1.0", "Two Mara"),
        (json!({ "version": "~1.0" }), "1.0.0", "One Mara"),
        (json!({ "environment": "prod" }), "1.0.0", "One Mara"),
    ] {
        let mut body = json!({ "prompt": "welcome", "values": { "name": "Mara" } });
        body.as_object_mut().unwrap().extend(of.as_object().unwrap().clone());
        let found = app.post(&path, 200, body).await;
        assert_eq!((&found["version"], &found["text"]), (&json!(version), &json!(text)));
    }
    for (body, status, code) in [
        (json!({ "prompt": "nothing" }), 404, "not_found"),
        (json!({ "prompt": "welcome", "version": "9.0.0" }), 404, "not_found"),
        (json!({ "prompt": "welcome", "environment": "staging" }), 404, "not_found"),
        (json!({ "prompt": "welcome", "version": "1.0.0", "environment": "prod" }), 422, "bad_source"),
        (json!({ "prompt": "welcome", "version": "1.0.0" }), 422, "parameters_invalid"),
    ] {
        app.refused(&path, body, status, code).await;
    }
}

async fn a_history_fills_its_placeholder(app: App) {
    let chat = json!({ "id": "talk", "content": { "type": "chat", "messages": [
        { "type": "message", "role": "system", "template": "Be brief." },
        { "type": "placeholder", "name": "history" },
        { "type": "message", "role": "user", "template": "And now?" }] } });
    let put =
        ask(&app, Role::ContextEngineer, Method::PUT, &format!("{SET}/prompts/talk"), chat.clone()).await;
    assert_eq!(put.status(), 201);
    let history =
        json!({ "history": [{ "role": "user", "text": "Hi" }, { "role": "assistant", "text": "Yes?" }] });
    let of_draft =
        app.post(&format!("{SET}/render"), 200, json!({ "prompt": "talk", "history": history })).await;
    let written =
        app.post(&format!("{SET}/preview"), 200, json!({ "prompt": chat, "history": history })).await;
    for found in [&of_draft, &written] {
        let texts: Vec<_> =
            found["messages"].as_array().unwrap().iter().map(|m| m["text"].as_str().unwrap()).collect();
        assert_eq!(texts, ["Be brief.", "Hi", "Yes?", "And now?"], "{found}");
    }
    let other = json!({ "prompt": "talk", "history": { "nowhere": [] } });
    app.refused(&format!("{SET}/render"), other, 422, "render_failed").await;
}

async fn variable_sets_are_saved_renamed_and_deleted_against_their_revision(app: App) {
    app.save("folder/welcome.message", "Hi {{ name }}", &["name"]).await;
    let of = |name: &str| format!("{SETS}/{name}?prompt=folder/welcome.message");
    let put = async |name: &str, revision: i64, body: Value| {
        let request = app.request(Role::ContextEngineer, Method::PUT, &of(name)).json(&body);
        request.header("if-match", format!("\"{revision}\"")).send().await.unwrap()
    };
    let angry =
        json!({ "values": { "name": "Mara" }, "history": { "h": [{ "role": "user", "text": "Hm" }] } });
    let saved = put("angry%20customer", 0, angry.clone()).await;
    assert_eq!(saved.headers()["etag"], "\"1\"");
    let saved = json_of(saved, 201).await;
    assert_eq!((&saved["name"], &saved["revision"]), (&json!("angry customer"), &json!(1)));
    assert_eq!((&saved["values"], &saved["history"]), (&angry["values"], &angry["history"]));

    problem(put("angry%20customer", 0, json!({})).await, 409, "revision_conflict").await;
    problem(put("angry%20customer", 7, json!({})).await, 409, "revision_conflict").await;
    let renamed = put("angry%20customer", 1, json!({ "name": "calm", "values": {} })).await;
    assert_eq!(json_of(renamed, 200).await["revision"], 2);
    assert_eq!(put("other", 0, json!({})).await.status(), 201);
    problem(put("other", 1, json!({ "name": "calm" })).await, 409, "name_taken").await;
    problem(put("other", 1, json!({ "name": "a/b" })).await, 422, "bad_name").await;
    problem(put("big", 0, json!({ "values": { "x": "x".repeat(300_000) } })).await, 413, "too_large").await;
    let lost = app.request(Role::Owner, Method::PUT, &format!("{SETS}/x?prompt=nothing")).json(&json!({}));
    problem(lost.send().await.unwrap(), 404, "not_found").await;

    let names = async || {
        let list = app.get(&format!("{SETS}?prompt=folder/welcome.message")).await;
        list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|i| i["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["calm", "other"]);
    let stale = app.request(Role::Owner, Method::DELETE, &of("calm")).header("if-match", "\"1\"");
    problem(stale.send().await.unwrap(), 409, "revision_conflict").await;
    let delete = app.request(Role::Owner, Method::DELETE, &of("calm")).header("if-match", "\"2\"");
    assert_eq!(delete.send().await.unwrap().status(), 204);
    assert_eq!(names().await, ["other"]);
    let log = format!("{:?}", app.audit(&app.organisation.id).await);
    assert!(log.contains("variables.saved") && log.contains("variables.deleted"), "{log}");
    assert!(!log.contains("Mara"), "the audit log knows no value");
}

async fn without_an_endpoint_a_run_says_what_is_missing(app: App) {
    app.save("welcome", "Hello", &[]).await;
    assert_eq!(app.get("/api/v1/models").await["items"], json!([]));
    let body = json!({ "prompt": "welcome", "model": "open/echo" });
    app.refused(&format!("{SET}/runs"), body, 409, "no_model_endpoint").await;
}

/// The events of a run, each as its name and data.
fn events(text: &str) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for block in text.split("\n\n") {
        let line = |field: &str| block.lines().find_map(|l| l.strip_prefix(field)).map(str::trim);
        if let (Some(event), Some(data)) = (line("event:"), line("data:")) {
            found.push((event.to_owned(), serde_json::from_str(data).unwrap()));
        }
    }
    found
}

async fn with_models(models: &[&str]) -> (App, Stub) {
    let stub = Stub::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = stub.write(folder.path(), models).unwrap();
    let app = App::start_with(Kind::Sqlite, &[("models-file", file.to_str().unwrap())]).await;
    app.save("welcome", "Hello {{ name }}", &["name"]).await;
    (app, stub)
}

fn run_of(model: &str) -> Value {
    json!({ "prompt": "welcome", "values": { "name": "Zebulon" }, "model": model })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_streams_the_answer_with_tokens_cost_and_time_and_leaves_no_trace_of_its_text() {
    let (app, stub) = with_models(&["echo", "refuse-429"]).await;
    let models = app.get("/api/v1/models").await;
    assert_eq!(models["items"][0]["name"], "open/echo");
    assert!(!models.to_string().contains(KEY));
    for model in ["open/echo", "anthropic/echo"] {
        let answer =
            ask(&app, Role::ContextEngineer, Method::POST, &format!("{SET}/runs"), run_of(model)).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        let events = events(&answer.text().await.unwrap());
        let (first, last) = (events.first().unwrap(), events.last().unwrap());
        assert_eq!((first.0.as_str(), &first.1["version"]), ("begun", &json!("draft")));
        let text: String =
            events.iter().filter(|(n, _)| n == "text").map(|(_, d)| d["text"].as_str().unwrap()).collect();
        assert_eq!(text, "You said: Hello Zebulon");
        assert_eq!((last.0.as_str(), &last.1["input_tokens"]), ("done", &json!(11)));
        assert_eq!((&last.1["currency"], &last.1["estimated"]), (&json!("USD"), &json!(false)));
        assert!(last.1["cost"].as_f64().unwrap() > 0.0, "{last:?}");
    }
    assert_eq!(stub.heard().len(), 2);
    let answer =
        ask(&app, Role::Owner, Method::POST, &format!("{SET}/runs"), run_of("open/refuse-429")).await;
    let events = events(&answer.text().await.unwrap());
    let (name, failed) = events.last().unwrap();
    assert_eq!((name.as_str(), &failed["code"]), ("failed", &json!("model_rate_limited")));
    let log = format!("{:?}", app.audit(&app.organisation.id).await);
    assert!(log.contains("prompt.run") && !log.contains("Zebulon"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_a_run_stops_it_and_nobody_runs_too_many() {
    let (app, stub) = with_models(&["pause", "echo"]).await;
    let path = format!("{SET}/runs");
    problem(ask(&app, Role::Viewer, Method::POST, &path, run_of("open/echo")).await, 403, "forbidden").await;
    let unknown = ask(&app, Role::Owner, Method::POST, &path, run_of("open/none")).await;
    let unknown = problem(unknown, 422, "model_not_configured").await;
    assert!(unknown["detail"].as_str().unwrap().contains("anthropic/echo"), "{unknown}");

    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(ask(&app, Role::Owner, Method::POST, &path, run_of("open/pause")).await);
    }
    until("all four are at the endpoint", secs(60), async || (stub.open() == 4).then_some(())).await;
    let fifth = ask(&app, Role::Owner, Method::POST, &path, run_of("open/echo")).await;
    problem(fifth, 429, "rate_limited").await;
    drop(held);
    until("the endpoint hears that they left", secs(60), async || (stub.open() == 0).then_some(())).await;
    let statuses = async || {
        let answer = ask(&app, Role::Owner, Method::POST, &path, run_of("open/echo")).await;
        (answer.status() == 200).then_some(())
    };
    until("there is room again", secs(60), statuses).await;
}

/// A form of the playground, sent by the owner.
async fn play(app: &App, fields: &[(&str, &str)]) -> (u16, String) {
    let path = "/acme/support/chat/-/playground";
    let request = app.request(Role::Owner, Method::POST, path).header("accept", "text/html");
    let fields = [&[("prompt", "welcome"), ("column", "draft"), ("column", "@prod")], fields].concat();
    let answer = request.form(&fields).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn the_playground_shows_versions_on_the_same_values_and_keeps_what_was_typed(app: App) {
    let open = async |query: &str| {
        let path = format!("/acme/support/chat/-/playground{query}");
        let answer = app.request(Role::Viewer, Method::GET, &path).header("accept", "text/html");
        let answer = answer.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{query}");
        answer.text().await.unwrap()
    };
    assert!(open("").await.contains("No prompt to try"));
    app.save("welcome", "One {{ name }}", &["name"]).await;
    app.lock("1.0.0").await;
    app.publish("1.0.0", "prod").await;
    app.reopen().await;
    app.save_from("welcome", "Two {{ name }} and {{ nmae }}", &["name"], Some(1), 200).await;
    let html = open("?prompt=welcome&columns=draft,1.0.0,@prod,@staging").await;
    assert_eq!(html.matches("One name").count(), 2, "as a version, and as it is live: {html}");
    assert!(html.contains("Line 1, column ") && html.contains("nmae"), "{html}");
    assert!(html.contains("Nothing of this set is live in staging."), "{html}");
    assert!(html.contains("No model endpoint is configured"), "{html}");
    assert!(open("?prompt=nothing&columns=9.9.9").await.contains("There is no version 9.9.9."));

    let (status, html) = play(&app, &[("v-name", "<Zoë>"), ("do", "render")]).await;
    assert_eq!(status, 200);
    assert!(html.contains("One &lt;Zoë&gt;") && html.contains("characters"), "{html}");
    let (status, html) = play(&app, &[("v-name", "Zoë"), ("do", "save-new"), ("name-as", "a/b")]).await;
    assert_eq!(status, 422);
    assert!(html.contains("without a slash") && html.contains("One Zoë"), "{html}");
    let (status, html) = play(&app, &[("v-name", "Zoë"), ("do", "save-new"), ("name-as", "guest")]).await;
    assert_eq!(status, 200);
    assert!(html.contains("the variable set guest"), "{html}");
    assert!(open("?prompt=welcome&columns=1.0.0&variables=guest").await.contains("One Zoë"));
    // Somebody else saved it meanwhile: what was typed stays.
    let stale = [("v-name", "Ada"), ("do", "save"), ("name", "guest"), ("revision", "7")];
    let (status, html) = play(&app, &stale).await;
    assert_eq!(status, 409);
    assert!(html.contains("after you opened it") && html.contains("One Ada"), "{html}");
    let (_, html) = play(&app, &[("do", "delete"), ("name", "guest"), ("revision", "1")]).await;
    assert!(html.contains("Deleted."), "{html}");
    assert!(open("?prompt=welcome&variables=guest").await.contains("There is no variable set guest"));
}

async fn the_preview_takes_saved_values_and_messages_and_shows_what_is_live_beside_it(app: App) {
    let chat = |text: &str| {
        json!({ "id": "talk", "parameters": [{ "name": "name", "type": "string", "required": true }],
            "content": { "type": "chat", "messages": [
                { "type": "message", "role": "system", "template": text },
                { "type": "placeholder", "name": "history" }] } })
    };
    let put =
        ask(&app, Role::Owner, Method::PUT, &format!("{SET}/prompts/talk"), chat("Old {{ name }}")).await;
    assert_eq!(put.status(), 201);
    app.lock("1.0.0").await;
    app.publish("1.0.0", "prod").await;
    app.reopen().await;
    let saved =
        json!({ "values": { "name": "Mara" }, "history": { "history": [{ "role": "user", "text": "Hm" }] } });
    let saved = ask(&app, Role::Owner, Method::PUT, &format!("{SETS}/usual?prompt=talk"), saved).await;
    assert_eq!(saved.status(), 201);
    let send = async |path: &str, more: &[(&str, &str)]| {
        let fields = [
            &[
                ("prompt", "talk"),
                ("kind", "chat"),
                ("role", "system"),
                ("text", "New {{ name }}"),
                ("role", "placeholder"),
                ("text", "history"),
                ("p-name", "name"),
                ("p-type", "string"),
                ("p-required", "yes"),
            ],
            more,
        ]
        .concat();
        let request = app.request(Role::Owner, Method::POST, &format!("/acme/support/chat/{path}"));
        let answer = request.header("accept", "text/html").form(&fields).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.text().await.unwrap()
    };
    let typed = [("v-name", "Ada"), ("h-history", "user: Hello?\nassistant: Yes"), ("beside", "prod")];
    let html = send("-/preview", &typed).await;
    for part in ["New Ada", "Hello?", "Old Ada", "Now in prod", "version 1.0.0", "tokens (o200k)"] {
        assert!(html.contains(part), "{part}: {html}");
    }
    let html = send("-/preview", &[("v-name", "Ada"), ("h-history", "Hello?")]).await;
    assert!(html.contains("write user: Hello"), "{html}");
    let html = send("talk", &[("do", "load-variables"), ("variables", "usual")]).await;
    assert!(html.contains("New Mara") && html.contains("user: Hm"), "{html}");
}
