//! What people write and move: settings at their field, other names, copies, the archive, notes.

use forge_api::auth::Role;
use reqwest::header::{ETAG, IF_MATCH, LOCATION};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::app::{App, SET, json_of, on_both, problem, prompt};

on_both!(
    model_settings_are_validated_and_kept,
    a_renamed_prompt_is_found_under_its_old_name,
    a_renamed_partial_goes_with_what_takes_it_in,
    what_is_archived_comes_back_whole_and_takes_no_name,
    a_partial_in_use_stays_and_its_users_are_named,
    copies_go_into_the_set_that_is_named,
    nothing_moves_in_review_or_when_locked,
    an_archived_set_takes_nothing_and_keeps_everything,
    an_archived_project_takes_no_sets_and_no_credentials,
    settings_change_only_from_what_was_seen,
    notes_are_for_people_and_lose_no_words,
    the_editor_says_what_is_wrong_at_the_field,
    pages_move_prompts_and_say_at_the_field_why_not,
);

const PROJECT: &str = "/api/v1/projects/acme:support";

async fn act(app: &App, action: &str, body: Value) -> Response {
    let path = format!("{SET}/actions/{action}");
    app.request(Role::ContextEngineer, Method::POST, &path).json(&body).send().await.unwrap()
}

async fn patch(app: &App, path: &str, body: Value) -> Response {
    app.request(Role::Owner, Method::PATCH, path).json(&body).send().await.unwrap()
}

async fn partial(app: &App, name: &str, source: &str) {
    let path = format!("{SET}/partials/{name}");
    let answer = app.request(Role::Owner, Method::PUT, &path).json(&json!({ "source": source }));
    assert_eq!(answer.send().await.unwrap().status(), 201);
}

/// Somebody's page, as a form posts it.
async fn post(app: &App, path: &str, fields: &[(&str, &str)]) -> (u16, String, String) {
    let request = app.request(Role::ContextEngineer, Method::POST, path).header("accept", "text/html");
    let answer = request.form(fields).send().await.unwrap();
    let to = answer.headers().get(LOCATION).map(|l| l.to_str().unwrap().to_owned()).unwrap_or_default();
    (answer.status().as_u16(), to, answer.text().await.unwrap())
}

async fn page(app: &App, path: &str) -> String {
    let request = app.request(Role::ContextEngineer, Method::GET, path).header("accept", "text/html");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    answer.text().await.unwrap()
}

async fn model_settings_are_validated_and_kept(app: App) {
    let put = async |model: Value, tags: Value| {
        let mut body = prompt("a", "Hello", &[]);
        (body["model"], body["tags"]) = (model, tags);
        let path = format!("{SET}/prompts/a");
        app.request(Role::Owner, Method::PUT, &path).json(&body).send().await.unwrap()
    };
    for (model, word) in [
        (json!({ "temperature": 2.5 }), "temperature"),
        (json!({ "max_tokens": "many" }), "max_tokens"),
        (json!({ "tools": {} }), "tools"),
        (json!({ "response_format": 1 }), "response_format"),
    ] {
        let said = problem(put(model, json!([])).await, 422, "model_invalid").await;
        assert_eq!(said["field"], "model");
        assert!(said["detail"].as_str().unwrap().contains(word), "{said}");
    }
    let said = problem(put(json!({}), json!(["one,two"])).await, 422, "invalid").await;
    assert_eq!(said["field"], "tags");
    let model = json!({ "model": "gpt-4.1", "temperature": 0.2, "own": { "deep": [1] } });
    let saved = json_of(put(model.clone(), json!(["a", "b c"])).await, 201).await;
    assert_eq!((&saved["prompt"]["model"], &saved["prompt"]["tags"]), (&model, &json!(["a", "b c"])));
}

async fn a_renamed_prompt_is_found_under_its_old_name(app: App) {
    app.save("ask", "Hello", &[]).await;
    app.save("other", "Hello", &[]).await;
    problem(act(&app, "rename", json!({ "id": "ask", "to": "other" })).await, 409, "name_taken").await;
    let said = problem(act(&app, "rename", json!({ "id": "ask", "to": "a b" })).await, 422, "bad_name").await;
    assert_eq!(said["field"], "to");
    let stale = json!({ "id": "ask", "to": "new", "revision": 7 });
    problem(act(&app, "rename", stale).await, 409, "revision_conflict").await;
    problem(act(&app, "rename", json!({ "id": "none", "to": "new" })).await, 404, "not_found").await;

    let done =
        json_of(act(&app, "rename", json!({ "id": "ask", "to": "refunds/ask", "revision": 1 })).await, 200);
    let done = done.await;
    assert_eq!((&done["id"], &done["revision"]), (&json!("refunds/ask"), &json!(2)));
    let now = app.get(&format!("{SET}/prompts/refunds/ask")).await;
    assert_eq!((&now["prompt"]["id"], &now["revision"]), (&json!("refunds/ask"), &json!(2)));

    // Twice renamed: every name that it had leads to the one that it has.
    json_of(act(&app, "rename", json!({ "id": "refunds/ask", "to": "refunds/decide" })).await, 200).await;
    for old in ["ask", "refunds/ask"] {
        let path = format!("{SET}/prompts/{old}");
        let answer = app.request(Role::Viewer, Method::GET, &path).send().await.unwrap();
        assert_eq!(answer.status(), 308, "{old}");
        assert_eq!(answer.headers()[LOCATION], format!("{SET}/prompts/refunds/decide"));
        let path = format!("/acme/support/chat/{old}");
        let answer = app.request(Role::Viewer, Method::GET, &path).header("accept", "text/html");
        let answer = answer.send().await.unwrap();
        assert_eq!(answer.status(), 308, "{old}");
        assert_eq!(answer.headers()[LOCATION], "/acme/support/chat/refunds/decide");
        // To a stranger it is as if there were nothing.
        let answer = app.strange(Method::GET, &format!("{SET}/prompts/{old}")).send().await.unwrap();
        assert_eq!(answer.status(), 404);
    }
    // What has the name now is what is found under it.
    app.save("ask", "Somebody new", &[]).await;
    let found = app.get(&format!("{SET}/prompts/ask")).await;
    assert_eq!(found["prompt"]["content"]["template"], "Somebody new");
    app.audited(&app.organisation.id, |e| e.action == "prompt.renamed" && e.detail.contains("ask")).await;
}

async fn a_renamed_partial_goes_with_what_takes_it_in(app: App) {
    partial(&app, "tone", "Be brief.").await;
    partial(&app, "frame", "{% include \"tone\" %} And kind.").await;
    app.save("ask", "{% include 'tone' %} {% include \"frame\" %}", &[]).await;
    let done = act(&app, "rename", json!({ "kind": "partial", "id": "tone", "to": "style/tone" })).await;
    let done = json_of(done, 200).await;
    assert_eq!(done["changed"], json!(["ask", "partial frame"]));
    let ask = app.get(&format!("{SET}/prompts/ask")).await;
    assert_eq!(ask["prompt"]["content"]["template"], "{% include 'style/tone' %} {% include \"frame\" %}");
    assert_eq!(ask["revision"], 2);
    app.lock("1.0.0").await;
}

async fn what_is_archived_comes_back_whole_and_takes_no_name(app: App) {
    app.save("ask", "First", &[]).await;
    let note = app.request(Role::Owner, Method::PUT, &format!("{SET}/notes/ask"));
    assert_eq!(note.json(&json!({ "body": "Ask Mara." })).send().await.unwrap().status(), 200);
    problem(act(&app, "restore", json!({ "id": "ask" })).await, 409, "not_archived").await;
    problem(act(&app, "archive", json!({ "id": "ask", "revision": 9 })).await, 409, "revision_conflict")
        .await;
    let gone = json_of(act(&app, "archive", json!({ "id": "ask", "revision": 1 })).await, 200).await;
    problem(act(&app, "archive", json!({ "id": "ask" })).await, 409, "archived").await;
    problem(act(&app, "rename", json!({ "id": "ask", "to": "b" })).await, 409, "archived").await;
    assert_eq!(app.get(SET).await["prompts"], json!([]));

    // The name is free: something else may have it, and then the first comes back under another one.
    app.save("ask", "Second", &[]).await;
    let said = problem(act(&app, "restore", json!({ "id": "ask" })).await, 409, "name_taken").await;
    assert!(said["detail"].as_str().unwrap().contains("choose another name"), "{said}");
    // What the old way of deleting takes out stands in the same archive.
    let path = format!("{SET}/prompts/ask");
    let answer = app.request(Role::Owner, Method::DELETE, &path).header(IF_MATCH, "\"1\"").send().await;
    assert_eq!(answer.unwrap().status(), 204);
    let listed = app.get(&format!("{SET}/archived")).await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 2, "{listed}");
    assert_eq!(listed["items"][1]["archived"], gone["archived"]);

    let first = json!({ "id": "ask", "archived": gone["archived"], "to": "ask.first" });
    let back = json_of(act(&app, "restore", first).await, 200).await;
    let found = app.get(&format!("{SET}/prompts/ask.first")).await;
    assert_eq!(found["prompt"]["content"]["template"], "First");
    assert_eq!(found["revision"], back["revision"]);
    assert_eq!(app.get(&format!("{SET}/notes/ask.first")).await["body"], "Ask Mara.");
    json_of(act(&app, "restore", json!({ "id": "ask" })).await, 200).await;
    assert_eq!(app.get(&format!("{SET}/prompts/ask")).await["prompt"]["content"]["template"], "Second");
    assert_eq!(app.get(&format!("{SET}/archived")).await["items"], json!([]));
    problem(act(&app, "restore", json!({ "id": "never" })).await, 404, "not_found").await;
}

async fn a_partial_in_use_stays_and_its_users_are_named(app: App) {
    partial(&app, "tone", "Be brief.").await;
    app.save("ask", "{% include \"tone\" %}", &[]).await;
    let said = act(&app, "archive", json!({ "kind": "partial", "id": "tone" })).await;
    let said = problem(said, 409, "in_use").await;
    assert_eq!(said["used_by"], json!(["ask"]));
    let path = format!("{SET}/partials/tone");
    let answer = app.request(Role::Owner, Method::DELETE, &path).header(IF_MATCH, "\"1\"").send().await;
    problem(answer.unwrap(), 409, "in_use").await;
    app.save_from("ask", "Hello", &[], Some(1), 200).await;
    json_of(act(&app, "archive", json!({ "kind": "partial", "id": "tone" })).await, 200).await;
    json_of(act(&app, "restore", json!({ "kind": "partial", "id": "tone" })).await, 200).await;
    assert_eq!(app.get(&path).await["partial"]["source"], "Be brief.");
}

async fn copies_go_into_the_set_that_is_named(app: App) {
    app.save("ask", "Hello", &[]).await;
    app.post(&format!("{PROJECT}/sets"), 201, json!({ "slug": "mail" })).await;
    json_of(act(&app, "duplicate", json!({ "id": "ask", "to": "ask.too" })).await, 201).await;
    problem(act(&app, "duplicate", json!({ "id": "ask", "to": "ask.too" })).await, 409, "name_taken").await;
    let there = act(&app, "duplicate", json!({ "id": "ask", "to": "ask", "set": "mail" })).await;
    assert_eq!(json_of(there, 201).await["set"], "mail");
    assert_eq!(app.get(&format!("{PROJECT}/sets/mail/prompts/ask")).await["prompt"]["id"], "ask");
    let said = act(&app, "duplicate", json!({ "id": "ask", "to": "b", "set": "none" })).await;
    assert_eq!(problem(said, 422, "invalid").await["field"], "set");
    let wrong = act(&app, "duplicate", json!({ "id": "ask", "to": "b", "sett": "mail" })).await;
    assert_eq!(wrong.status(), 422, "a word that nobody knows");

    partial(&app, "tone", "Be brief.").await;
    let made = app.post(&format!("{SET}/duplicate"), 201, json!({ "slug": "chat-2" })).await;
    assert_eq!(made["state"], "editing");
    let copy = app.get(&format!("{PROJECT}/sets/chat-2")).await;
    assert_eq!(copy["prompts"].as_array().unwrap().len(), 2);
    assert_eq!(copy["partials"][0]["partial"]["source"], "Be brief.");
    app.refused(&format!("{SET}/duplicate"), json!({ "slug": "chat-2" }), 409, "name_taken").await;
}

async fn nothing_moves_in_review_or_when_locked(app: App) {
    app.save("ask", "Hello", &[]).await;
    let bodies = [
        ("rename", json!({ "id": "ask", "to": "b" })),
        ("duplicate", json!({ "id": "ask", "to": "b" })),
        ("archive", json!({ "id": "ask" })),
        ("restore", json!({ "id": "ask" })),
    ];
    app.post(&format!("{SET}/reviews"), 201, json!({})).await;
    for (action, body) in &bodies {
        problem(act(&app, action, body.clone()).await, 409, "in_review").await;
    }
    let back = format!("{SET}/reviews/current/return");
    assert_eq!(app.request(Role::Owner, Method::POST, &back).send().await.unwrap().status(), 204);
    app.lock("1.0.0").await;
    for (action, body) in &bodies {
        problem(act(&app, action, body.clone()).await, 409, "locked").await;
    }
}

async fn an_archived_set_takes_nothing_and_keeps_everything(app: App) {
    app.save("ask", "Hello", &[]).await;
    app.lock("1.0.0").await;
    app.publish("1.0.0", "prod").await;
    let set = json_of(patch(&app, SET, json!({ "archived": true })).await, 200).await;
    assert!(set["archived_at"].is_string(), "{set}");
    let listed = app.get(&format!("{PROJECT}/sets")).await;
    assert_eq!(listed["items"], json!([]));
    let listed = app.get(&format!("{PROJECT}/sets?archived=true")).await;
    assert_eq!(listed["items"][0]["slug"], "chat");

    let answer = app.request(Role::Owner, Method::POST, &format!("{SET}/reopen")).send().await.unwrap();
    problem(answer, 409, "archived").await;
    let again = json!({ "set": "chat", "environment": "dev", "version": "1.0.0" });
    app.refused(crate::app::PUBLICATIONS, again.clone(), 409, "archived").await;
    problem(act(&app, "rename", json!({ "id": "ask", "to": "b" })).await, 409, "archived").await;
    // What is live stays so.
    let bundle = format!("{PROJECT}/current_bundle?environment=prod&set=chat");
    assert_eq!(app.get(&bundle).await["version"], "1.0.0");
    assert!(page(&app, "/acme/support/chat/ask").await.contains("This is archived"));

    json_of(patch(&app, SET, json!({ "archived": false })).await, 200).await;
    app.post(crate::app::PUBLICATIONS, 201, again).await;
    app.reopen().await;
}

async fn an_archived_project_takes_no_sets_and_no_credentials(app: App) {
    app.save("ask", "Hello", &[]).await;
    let denied =
        app.request(Role::ContextEngineer, Method::PATCH, PROJECT).json(&json!({ "archived": true }));
    assert_eq!(denied.send().await.unwrap().status(), 403);
    json_of(patch(&app, PROJECT, json!({ "archived": true })).await, 200).await;
    assert_eq!(app.get("/api/v1/organisations/acme/projects").await["items"], json!([]));
    let listed = app.get("/api/v1/organisations/acme/projects?archived=true").await;
    assert_eq!(listed["items"][0]["slug"], "support");
    app.refused(&format!("{PROJECT}/sets"), json!({ "slug": "new" }), 409, "archived").await;
    app.refused(&format!("{SET}/lock"), json!({ "version": "1.0.0" }), 409, "archived").await;
    let path = format!("{SET}/prompts/new");
    let answer = app.request(Role::Owner, Method::PUT, &path).json(&prompt("new", "Hello", &[]));
    problem(answer.send().await.unwrap(), 409, "archived").await;
    json_of(patch(&app, PROJECT, json!({ "archived": false })).await, 200).await;
    app.lock("1.0.0").await;
}

async fn settings_change_only_from_what_was_seen(app: App) {
    let before = app.get(SET).await["settings_tag"].as_str().unwrap().to_owned();
    let change = async |tag: &str, body: Value| {
        let request = app.request(Role::Owner, Method::PATCH, SET).header(IF_MATCH, format!("\"{tag}\""));
        request.json(&body).send().await.unwrap()
    };
    let first =
        json!({ "name": "Chat of the shop", "description": "What customers read.", "tags": ["shop"] });
    let made = json_of(change(&before, first).await, 200).await;
    assert_eq!((&made["name"], &made["tags"]), (&json!("Chat of the shop"), &json!(["shop"])));
    problem(change(&before, json!({ "name": "Mine" })).await, 409, "settings_changed").await;
    assert_eq!(app.get(SET).await["description"], "What customers read.");
    let long = json!({ "description": "x".repeat(2001) });
    assert_eq!(problem(patch(&app, SET, long).await, 422, "invalid").await["field"], "description");
    assert_eq!(
        problem(patch(&app, PROJECT, json!({ "name": "x".repeat(201) })).await, 422, "invalid").await["field"],
        "name"
    );
    let made = json_of(patch(&app, PROJECT, json!({ "name": "Support desk" })).await, 200).await;
    assert_eq!((&made["name"], &made["slug"]), (&json!("Support desk"), &json!("support")));
    let path = "/api/v1/organisations/acme";
    let made = json_of(patch(&app, path, json!({ "name": "Acme Outdoor" })).await, 200).await;
    assert_eq!((&made["name"], &made["slug"]), (&json!("Acme Outdoor"), &json!("acme")));
    assert!(page(&app, "/acme").await.contains("Acme Outdoor"));
}

async fn notes_are_for_people_and_lose_no_words(app: App) {
    app.save("ask", "Hello", &[]).await;
    let path = format!("{SET}/notes/ask");
    assert_eq!(app.get(&path).await["revision"], 0);
    let put = async |revision: i64, body: &str| {
        let request = app.request(Role::Owner, Method::PUT, &path).json(&json!({ "body": body }));
        request.header(IF_MATCH, format!("\"{revision}\"")).send().await.unwrap()
    };
    let answer = put(0, "Ask Mara.").await;
    assert_eq!(answer.headers()[ETAG], "\"1\"");
    let said = problem(put(0, "Mine.").await, 409, "revision_conflict").await;
    assert_eq!(said["current"]["body"], "Ask Mara.");
    // In no version, and in every state of the set.
    let locked = app.lock("1.0.0").await;
    assert_eq!(put(1, "Ask Ada.").await.status(), 200);
    let bundle = app.get(&format!("{SET}/versions/1.0.0/bundle")).await.to_string();
    assert!(locked["digest"].is_string() && !bundle.contains("Ask "), "{bundle}");
    problem(put(2, &"x".repeat(20_001)).await, 413, "too_large").await;
    let (status, _, html) =
        post(&app, "/acme/support/chat/-/notes/ask", &[("notes", "Mine again."), ("revision", "1")]).await;
    assert!(status == 409 && html.contains("Mine again."), "{status} {html}");
    let (status, to, _) =
        post(&app, "/acme/support/chat/-/notes/ask", &[("notes", "Ask Tom."), ("revision", "2")]).await;
    assert_eq!((status, to.as_str()), (303, "/acme/support/chat/ask#notes"));
    problem(
        app.request(Role::Owner, Method::GET, &format!("{SET}/notes/none")).send().await.unwrap(),
        404,
        "not_found",
    )
    .await;
}

async fn the_editor_says_what_is_wrong_at_the_field(app: App) {
    app.save("ask", "Hello", &[]).await;
    let path = "/acme/support/chat/ask";
    let form = |more: &[(&'static str, &'static str)]| {
        let mut all = vec![("kind", "text"), ("revision", "1"), ("role", "text"), ("text", "Hello you")];
        all.extend(more);
        all
    };
    let wrong = form(&[
        ("do", "save"),
        ("m-temperature", "3"),
        ("model", "{\n  \"top_p\": ,\n}"),
        ("metadata", "[1]"),
        ("tags", "a"),
    ]);
    let (status, _, html) = post(&app, path, &wrong).await;
    assert_eq!(status, 422);
    for part in [
        "id=\"m-temperature-error\"",
        "number from 0 to 2",
        "line 2, column 12",
        "id=\"metadata-error\"",
        "Hello you",
    ] {
        assert!(html.contains(part), "{part}: {html}");
    }
    assert_eq!(app.get(&format!("{SET}/prompts/ask")).await["revision"], 1, "nothing was changed");

    let looked = form(&[("do", "review"), ("m-model", "gpt-4.1")]);
    let (status, _, html) = post(&app, path, &looked).await;
    assert!(
        status == 200 && html.contains("<ins>Hello you</ins>") || html.contains("<ins> you</ins>"),
        "{html}"
    );
    assert_eq!(app.get(&format!("{SET}/prompts/ask")).await["revision"], 1, "looking saves nothing");

    let good = form(&[
        ("do", "save"),
        ("m-model", "gpt-4.1"),
        ("m-temperature", "0.5"),
        ("m-max-tokens", "800"),
        ("m-response", "json_object"),
        ("model", "{\"own\": true}"),
        ("metadata", "{\"owner\": \"mara\"}"),
        ("tags", "a, b c"),
        ("description", "says hello"),
        ("engine", "tera"),
    ]);
    let (status, to, _) = post(&app, path, &good).await;
    assert_eq!((status, to.as_str()), (303, path));
    let saved = app.get(&format!("{SET}/prompts/ask")).await["prompt"].clone();
    let model = json!({ "model": "gpt-4.1", "temperature": 0.5, "max_tokens": 800, "own": true, "response_format": "json_object" });
    assert_eq!(saved["model"], model);
    assert_eq!((&saved["metadata"]["owner"], &saved["tags"]), (&json!("mara"), &json!(["a", "b c"])));

    // A chat is made of it, message by message.
    let chat = [
        ("kind", "text"),
        ("revision", "2"),
        ("role", "text"),
        ("text", "You are kind."),
        ("do", "kind:chat"),
    ];
    let (_, _, html) = post(&app, path, &chat).await;
    assert!(html.contains("value=\"add-message:placeholder\""), "{html}");
    let chat = [
        ("kind", "chat"),
        ("revision", "2"),
        ("role", "system"),
        ("text", "You are kind."),
        ("role", "placeholder"),
        ("text", "history"),
        ("do", "save"),
    ];
    assert_eq!(post(&app, path, &chat).await.0, 303);
    let saved = app.get(&format!("{SET}/prompts/ask")).await["prompt"]["content"].clone();
    assert_eq!(saved["messages"][1], json!({ "type": "placeholder", "name": "history" }));
}

async fn pages_move_prompts_and_say_at_the_field_why_not(app: App) {
    app.save("mail/ask", "Hello", &[]).await;
    app.save("other", "Hello", &[]).await;
    let base = "/acme/support/chat/-";
    assert!(page(&app, "/acme/support/chat/other").await.contains("<span class=\"truncate\">mail</span>"));
    assert!(page(&app, &format!("{base}/rename?prompt=mail/ask")).await.contains("value=\"mail/ask\""));
    let named = |to: &'static str| [("kind", "prompt"), ("id", "mail/ask"), ("revision", "1"), ("to", to)];
    let (status, _, html) = post(&app, &format!("{base}/rename"), &named("other")).await;
    assert!(status == 409 && html.contains("id=\"to-error\"") && html.contains("value=\"other\""), "{html}");
    let (status, to, _) = post(&app, &format!("{base}/rename"), &named("mail/new")).await;
    assert_eq!((status, to.as_str()), (303, "/acme/support/chat/mail/new"));

    let copy = [("kind", "prompt"), ("id", "other"), ("to", "other"), ("set", "chat")];
    let (status, _, html) = post(&app, &format!("{base}/duplicate"), &copy).await;
    assert!(status == 409 && html.contains("id=\"to-error\""), "{html}");
    let gone = [("kind", "prompt"), ("id", "other"), ("revision", "1")];
    let (status, to, _) = post(&app, &format!("{base}/archive"), &gone).await;
    assert_eq!((status, to.as_str()), (303, "/acme/support/chat/-/archived"));
    let html = page(&app, &format!("{base}/archived")).await;
    assert!(html.contains("Restore other"), "{html}");
    let id = app.get(&format!("{SET}/archived")).await["items"][0]["archived"].as_str().unwrap().to_owned();
    let back = |to: &'static str| {
        let id = id.clone();
        let (path, app) = (format!("{base}/archived"), &app);
        async move {
            post(app, &path, &[("kind", "prompt"), ("id", "other"), ("archived", &id), ("to", to)]).await
        }
    };
    let (status, _, html) = back("mail/new").await;
    assert!(status == 409 && html.contains("choose another name"), "{html}");
    let (status, to, _) = back("again").await;
    assert_eq!((status, to.as_str()), (303, "/acme/support/chat/again"));
    for (path, word) in [
        ("/acme/support/chat/-/settings", "Archive prompt set"),
        ("/acme/support/chat/-/copy", "Duplicate prompt set"),
        ("/acme/support/-/archived", "Nothing is archived"),
        ("/acme/-/archived", "Nothing is archived"),
    ] {
        assert!(page(&app, path).await.contains(word), "{path}");
    }
    let fields = [("do", "save"), ("name", "Chat"), ("tags", "one,two"), ("seen", "something older")];
    let (status, _, html) = post(&app, "/acme/support/chat/-/settings", &fields).await;
    assert!(status == 409 && html.contains("value=\"one,two\""), "{html}");
}
