//! What cannot be taken as it is said is refused, with the field and the way out: nothing is cut, passed over or left to
//! be guessed.

use forge_api::auth::Role;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::app::{App, PUBLICATIONS, SET, json_of, on_both, problem, prompt};

const PROJECT: &str = "/api/v1/projects/acme:support";

on_both!(
    nothing_that_people_type_is_cut,
    a_page_keeps_what_is_too_long_and_says_so_at_its_field,
    a_field_that_no_prompt_has_is_refused_wherever_it_stands,
    who_asks_for_changes_says_which,
    a_lock_says_which_version_was_asked_for_and_a_strict_one_takes_no_less,
    a_rule_lets_somebody_publish,
    a_comment_stands_at_a_place_that_is_there,
    who_saves_under_a_former_name_learns_the_new_one,
    who_may_not_protect_an_alias_is_told_that,
    a_filter_takes_only_words_that_something_can_have,
    the_first_version_needs_no_other_reason,
    a_name_that_cannot_be_taken_is_refused_at_its_field,
    what_cannot_be_locked_says_what_to_do,
);

async fn send(app: &App, role: Role, method: Method, path: &str, body: Value) -> Response {
    app.request(role, method, path).json(&body).send().await.unwrap()
}

/// A form of a page, sent by the owner.
async fn form(app: &App, path: &str, fields: &[(&str, &str)]) -> (u16, String) {
    let request = app.request(Role::Owner, Method::POST, path).header("accept", "text/html");
    let answer = request.form(fields).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn nothing_that_people_type_is_cut(app: App) {
    app.save("welcome.message", "Hello", &[]).await;
    let long = |n: usize| "é".repeat(n);
    let too_long = |found: &Value, field: &str, most: usize| {
        assert_eq!(found["field"], field, "{found}");
        let detail = found["detail"].as_str().unwrap();
        let says = format!("at most {most} characters, and it has {}", most + 1);
        assert!(detail.contains(&says), "{detail}");
    };
    for (path, field, most) in [
        (format!("{SET}/reviews"), "title", 200),
        (format!("{SET}/reviews"), "message", 10_000),
        (format!("{PROJECT}/sets"), "name", 200),
        (format!("{PROJECT}/sets"), "description", 2000),
        (format!("{PROJECT}/environments"), "name", 200),
        ("/api/v1/organisations/acme/projects".to_owned(), "name", 200),
        ("/api/v1/organisations/acme/projects".to_owned(), "description", 2000),
        (format!("{PROJECT}/credentials"), "name", 100),
        (format!("{PROJECT}/credentials"), "purpose", 500),
        (format!("{SET}/lock"), "notes", 10_000),
    ] {
        let mut body = match path.rsplit('/').next().unwrap() {
            "reviews" => json!({}),
            "lock" => json!({ "version": "1.0.0" }),
            "credentials" => json!({ "environment": "prod", "name": "service" }),
            _ => json!({ "slug": "another" }),
        };
        body[field] = json!(long(most + 1));
        too_long(&app.refused(&path, body, 422, "invalid").await, field, most);
    }
    let path = format!("{SET}/prompts/welcome.message?message={}", "x".repeat(501));
    let save = app.request(Role::Owner, Method::PUT, &path).header("if-match", "\"1\"");
    let save = save.json(&prompt("welcome.message", "Changed", &[])).send().await.unwrap();
    too_long(&problem(save, 422, "invalid").await, "message", 500);
    let path = format!("{SET}/partials/foot?message={}", "x".repeat(501));
    let save = send(&app, Role::Owner, Method::PUT, &path, json!({ "source": "x" })).await;
    too_long(&problem(save, 422, "invalid").await, "message", 500);
    assert_eq!(app.get(SET).await["prompts"][0]["revision"], 1, "nothing was saved");

    // As much as may be is kept, to the last letter.
    let asked = app.post(&format!("{SET}/reviews"), 201, json!({ "title": long(200) })).await;
    assert_eq!(asked["title"], json!(long(200)));
    let review = format!("{SET}/reviews/{}", asked["number"]);
    let said =
        app.refused(&format!("{review}/comments"), json!({ "body": long(10_001) }), 422, "invalid").await;
    too_long(&said, "body", 10_000);
    let kept = app.post(&format!("{review}/comments"), 201, json!({ "body": long(10_000) })).await;
    assert_eq!(kept["body"], json!(long(10_000)));
    let verdicts = format!("{review}/verdicts");
    for verdict in [
        json!({ "verdict": "approve", "digest": asked["digest"], "comment": long(10_001) }),
        json!({ "verdict": "changes", "comment": long(10_001) }),
    ] {
        let said = send(&app, Role::Reviewer, Method::POST, &verdicts, verdict).await;
        too_long(&problem(said, 422, "invalid").await, "comment", 10_000);
    }
    assert_eq!(app.get(&review).await["state"], "open", "nothing was answered");
    app.post(&format!("{SET}/reviews/current/return"), 204, json!({})).await;
    app.lock("1.0.0").await;
    let publish = json!({ "set": "chat", "environment": "prod", "version": "1.0.0", "comment": long(2001) });
    too_long(&app.refused(PUBLICATIONS, publish, 422, "invalid").await, "comment", 2000);
    assert_eq!(app.get(PUBLICATIONS).await["items"], json!([]));
    let hook = json!({ "name": long(101), "url": "https://example.org/hook", "kind": "json" });
    too_long(&app.refused(&format!("{PROJECT}/webhooks"), hook, 422, "invalid").await, "name", 100);
}

async fn a_page_keeps_what_is_too_long_and_says_so_at_its_field(app: App) {
    let long = format!("begin{}end", "x".repeat(2000));
    let fields = [("name", "More"), ("slug", "more"), ("description", long.as_str())];
    let (status, page) = form(&app, "/acme/support/-/new", &fields).await;
    assert_eq!(status, 422, "{page}");
    assert!(page.contains(&long) && page.contains("id=\"description-error\""), "{page}");
    app.save("welcome.message", "Hello", &[]).await;
    let notes = format!("begin{}end", "x".repeat(10_000));
    let fields = [("version", "1.0.0"), ("notes", notes.as_str())];
    let (status, page) = form(&app, "/acme/support/chat/-/lock", &fields).await;
    assert_eq!(status, 422, "{page}");
    assert!(page.contains(&notes) && page.contains("at most 10000 characters"), "{page}");
}

async fn a_field_that_no_prompt_has_is_refused_wherever_it_stands(app: App) {
    let with = |parameters: Value, content: Value| json!({ "id": "x", "parameters": parameters, "content": content });
    let text = || json!({ "type": "text", "template": "{{ n }}" });
    let good = json!([{ "name": "n", "type": "integer", "minimum": 1, "maximum": 5 }]);
    for (field, wrong) in [
        ("parameters[0].min", with(json!([{ "name": "n", "type": "integer", "min": 5 }]), text())),
        ("parameters[0].requird", with(json!([{ "name": "n", "type": "integer", "requird": 1 }]), text())),
        (
            "parameters[0].items.minimun",
            with(
                json!([{ "name": "n", "type": "list", "items": { "type": "integer", "minimun": 1 } }]),
                text(),
            ),
        ),
        ("content.foo", with(good.clone(), json!({ "type": "text", "template": "{{ n }}", "foo": 1 }))),
        (
            "content.messages[0].txt",
            with(
                good.clone(),
                json!({ "type": "chat", "messages": [
                    { "type": "message", "role": "user", "template": "{{ n }}", "txt": "x" },
                ] }),
            ),
        ),
    ] {
        let put = send(&app, Role::Owner, Method::PUT, &format!("{SET}/prompts/x"), wrong.clone()).await;
        assert_eq!(problem(put, 422, "unknown_field").await["field"], field);
        let many = json!({ "prompts": [prompt("a", "x", &[]), wrong] });
        let found = app.refused(&format!("{SET}/import"), many, 422, "unknown_field").await;
        assert_eq!(found["field"], format!("prompts[1].{field}"));
        let found =
            app.refused(&format!("{SET}/check"), json!({ "prompt": wrong }), 422, "unknown_field").await;
        assert_eq!(found["field"], format!("prompt.{field}"));
    }
    assert_eq!(app.get(SET).await["prompts"], json!([]), "nothing of it was saved");
    let put = send(&app, Role::Owner, Method::PUT, &format!("{SET}/prompts/x"), with(good, text())).await;
    assert_eq!(put.status(), 201);
}

async fn who_asks_for_changes_says_which(app: App) {
    app.save("welcome.message", "Hello", &[]).await;
    let asked = app.post(&format!("{SET}/reviews"), 201, json!({})).await;
    let verdicts = format!("{SET}/reviews/{}/verdicts", asked["number"]);
    for comment in ["", " \n"] {
        let body = json!({ "verdict": "changes", "comment": comment });
        let said = send(&app, Role::Reviewer, Method::POST, &verdicts, body).await;
        assert_eq!(problem(said, 422, "empty").await["field"], "comment");
    }
    assert_eq!(app.get(SET).await["state"], "review");
    // Who takes it back owes nobody a reason.
    app.post(&format!("{SET}/reviews/current/return"), 204, json!({})).await;
    assert_eq!(app.get(SET).await["state"], "editing");
}

async fn a_lock_says_which_version_was_asked_for_and_a_strict_one_takes_no_less(app: App) {
    app.save("welcome.message", "Hello", &[]).await;
    let lock = format!("{SET}/lock");
    let first = app.post(&lock, 201, json!({ "version": "0.1.0", "strict": true })).await;
    assert_eq!(first["asked_for"], Value::Null, "the first is what its author says");
    app.reopen().await;
    app.save_from("welcome.message", "Hello {{ who }}", &["who"], Some(1), 200).await;
    let next = app.get(&format!("{SET}/next-version")).await["version"].clone();
    let low = json!({ "version": "0.1.1", "strict": true });
    let refused = app.refused(&lock, low, 409, "version_too_low").await;
    assert_eq!(refused["asked_for"], next);
    assert!(refused["why"].as_str().is_some_and(|why| why.contains("who")), "{refused}");
    assert_eq!(app.get(SET).await["state"], "editing");
    // Without it the answer says so, and what was meant is done.
    let made = app.post(&lock, 201, json!({ "version": "0.1.1" })).await;
    assert_eq!((&made["version"], &made["asked_for"]), (&json!("0.1.1"), &next));
    assert_eq!(app.get(&format!("{SET}/versions/0.1.1")).await["asked_for"], Value::Null);
    app.reopen().await;
    app.save_from("welcome.message", "Hi {{ who }}", &["who"], Some(2), 200).await;
    let made = app.post(&lock, 201, json!({ "version": "0.1.2", "strict": true })).await;
    assert_eq!(made["asked_for"], Value::Null, "it is what was asked for");
}

async fn a_rule_lets_somebody_publish(app: App) {
    let path = format!("{PROJECT}/environments/prod/rule");
    let put =
        |roles: Value| send(&app, Role::Admin, Method::PUT, &path, json!({ "approvals": 0, "roles": roles }));
    let nobody = problem(put(json!([])).await, 422, "bad_role").await;
    assert_eq!(nobody["field"], "roles");
    let some = json_of(put(json!(["owner"])).await, 200).await;
    assert_eq!(some["roles"], json!(["owner"]));
    let all = json_of(put(Value::Null).await, 200).await;
    assert_eq!(all["roles"], json!(["context_engineer", "admin", "owner"]));
}

async fn a_comment_stands_at_a_place_that_is_there(app: App) {
    app.save("welcome.message", "One\nTwo\n", &[]).await;
    app.save("old.message", "Old\n", &[]).await;
    let (path, foot) = (format!("{SET}/partials/foot"), json!({ "source": "a\nb" }));
    assert_eq!(send(&app, Role::Owner, Method::PUT, &path, foot).await.status(), 201);
    app.lock("1.0.0").await;
    app.reopen().await;
    let chat = json!({ "id": "talk", "content": { "type": "chat", "messages": [
        { "type": "message", "role": "system", "template": "Be\nbrief." },
        { "type": "placeholder", "name": "history" },
        { "type": "message", "role": "user", "template": "And now?" },
    ] } });
    let put = send(&app, Role::Owner, Method::PUT, &format!("{SET}/prompts/talk"), chat).await;
    assert_eq!(put.status(), 201);
    let gone = json!({ "id": "old.message" });
    app.post(&format!("{SET}/actions/archive"), 200, gone).await;
    let asked = app.post(&format!("{SET}/reviews"), 201, json!({})).await;
    let comments = format!("{SET}/reviews/{}/comments", asked["number"]);
    for (prompt, line, field) in [
        (json!("none"), Value::Null, "prompt"),
        (json!("none"), json!(1), "prompt"),
        (json!("x".repeat(301)), Value::Null, "prompt"),
        (Value::Null, json!(1), "line"),
        (json!("welcome.message"), json!(0), "line"),
        (json!("welcome.message"), json!(-1), "line"),
        (json!("welcome.message"), json!(3), "line"),
        (json!("talk"), json!(5), "line"),
        (json!("foot"), json!(3), "line"),
        (json!("old.message"), json!(1), "line"),
    ] {
        let body = json!({ "body": "Why?", "prompt": prompt, "line": line });
        let found = app.refused(&comments, body, 422, "invalid").await;
        assert_eq!(found["field"], field, "{prompt} {line}: {found}");
    }
    let found =
        app.refused(&comments, json!({ "body": "Why?", "prompt": "talk", "line": 999 }), 422, "invalid");
    let detail = found.await["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("between 1 and 4"), "{detail}");
    // What changed and what did not, a partial, and what was removed.
    for (prompt, line) in
        [("talk", Some(4)), ("welcome.message", Some(2)), ("foot", Some(2)), ("old.message", None)]
    {
        let body = json!({ "body": "Why?", "prompt": prompt, "line": line });
        let made = app.post(&comments, 201, body).await;
        assert_eq!((&made["prompt"], &made["line"]), (&json!(prompt), &json!(line)));
    }
    // An answer stands where what it answers does.
    let first = app.post(&comments, 201, json!({ "body": "Why?", "prompt": "talk", "line": 1 })).await;
    let answer = json!({ "body": "So.", "answers": first["id"], "prompt": "none", "line": 99 });
    assert_eq!(app.post(&comments, 201, answer).await["line"], 1);
}

async fn who_saves_under_a_former_name_learns_the_new_one(app: App) {
    let rename = format!("{SET}/actions/rename");
    app.save("op", "Hello", &[]).await;
    let put = |path: String, body: Value| {
        app.request(Role::Owner, Method::PUT, &path).header("if-match", "\"1\"").json(&body).send()
    };
    let note = format!("{SET}/notes/op");
    let noted = send(&app, Role::Owner, Method::PUT, &note, json!({ "body": "Ask Mara." })).await;
    assert_eq!(noted.status(), 200);
    let usual = format!("{SET}/variable-sets/usual?prompt=op");
    assert_eq!(send(&app, Role::Owner, Method::PUT, &usual, json!({})).await.status(), 201);
    let partial = format!("{SET}/partials/foot");
    assert_eq!(send(&app, Role::Owner, Method::PUT, &partial, json!({ "source": "x" })).await.status(), 201);
    app.lock("1.0.0").await;
    app.reopen().await;
    app.post(&rename, 200, json!({ "id": "op", "to": "np" })).await;
    app.post(&rename, 200, json!({ "kind": "partial", "id": "foot", "to": "end" })).await;

    for (path, body, now) in [
        (format!("{SET}/prompts/op"), prompt("op", "Mine", &[]), "np"),
        (partial, json!({ "source": "Mine" }), "end"),
    ] {
        let found = problem(put(path, body).await.unwrap(), 409, "revision_conflict").await;
        assert_eq!((&found["renamed_to"], &found["expected_revision"]), (&json!(now), &json!(1)));
        assert!(found["detail"].as_str().unwrap().contains(&format!("renamed to {now}")), "{found}");
    }
    let lost = put(format!("{SET}/prompts/none"), prompt("none", "Mine", &[])).await.unwrap();
    let lost = problem(lost, 409, "revision_conflict").await;
    assert_eq!(lost["renamed_to"], Value::Null);
    // Where it still has its name, the way out is said.
    let late = put(format!("{SET}/prompts/np"), prompt("np", "Mine", &[])).await.unwrap();
    let late = problem(late, 409, "revision_conflict").await;
    let way = format!("save with revision {}", late["current"]["revision"]);
    assert!(late["detail"].as_str().unwrap().contains(&way), "{late}");

    // What belongs to it is found under both names.
    assert_eq!(app.get(&note).await["body"], "Ask Mara.");
    let again = put(note, json!({ "body": "Ask Bea." })).await.unwrap();
    assert_eq!(json_of(again, 200).await["revision"], 2);
    assert_eq!(app.get(&format!("{SET}/notes/np")).await["body"], "Ask Bea.");
    for (name, version) in [("op", "draft"), ("np", "draft"), ("op", "1.0.0")] {
        let body = json!({ "prompt": name, "version": version });
        assert_eq!(app.post(&format!("{SET}/render"), 200, body).await["text"], "Hello", "{name} {version}");
    }
    app.refused(&format!("{SET}/render"), json!({ "prompt": "none" }), 404, "not_found").await;
    for name in ["op", "np"] {
        let sets = app.get(&format!("{SET}/variable-sets?prompt={name}")).await;
        assert_eq!(sets["items"][0]["name"], "usual", "{name}");
    }
    let none = app.request(Role::Owner, Method::GET, &format!("{SET}/variable-sets?prompt=none"));
    problem(none.send().await.unwrap(), 404, "not_found").await;
}

async fn who_may_not_protect_an_alias_is_told_that(app: App) {
    app.save("welcome.message", "Hello", &[]).await;
    app.lock("1.0.0").await;
    let put = |name: &str, protected: bool| {
        let path = format!("{SET}/aliases/{name}");
        let request = app.request(Role::ContextEngineer, Method::PUT, &path);
        request.json(&json!({ "version": "1.0.0", "protected": protected })).send()
    };
    let may_not = async |name: &str| {
        let found = problem(put(name, true).await.unwrap(), 409, "alias_protected").await;
        assert_eq!(found["alias"], name);
        let detail = found["detail"].as_str().unwrap();
        assert!(detail.contains("may protect an alias") && !detail.contains("is protected"), "{detail}");
    };
    may_not("fresh").await;
    assert_eq!(put("mine", false).await.unwrap().status(), 200);
    may_not("mine").await;
    let path = format!("{SET}/aliases/mine");
    let guarded = json!({ "version": "1.0.0", "protected": true });
    assert_eq!(send(&app, Role::Admin, Method::PUT, &path, guarded).await.status(), 200);
    let found = problem(put("mine", true).await.unwrap(), 409, "alias_protected").await;
    assert!(found["detail"].as_str().unwrap().starts_with("mine is protected"), "{found}");
}

async fn a_filter_takes_only_words_that_something_can_have(app: App) {
    for (path, field, code, word) in [
        (format!("{PROJECT}/sets"), "state", "bad_state", "editing"),
        (PUBLICATIONS.to_owned(), "state", "bad_state", "waiting"),
        (format!("{SET}/reviews"), "state", "bad_state", "approved"),
        ("/api/v1/organisations/acme/reviews".to_owned(), "state", "bad_state", "closed"),
        (format!("{SET}/versions"), "kind", "bad_kind", "snapshot"),
        (format!("{PROJECT}/credentials"), "state", "bad_state", "expires_soon"),
        (format!("{PROJECT}/agents"), "presence", "bad_state", "unreachable"),
    ] {
        let ask =
            |word: &str| app.request(Role::Owner, Method::GET, &format!("{path}?{field}={word}")).send();
        let found = problem(ask("foo").await.unwrap(), 422, code).await;
        assert_eq!(found["field"], field, "{path}");
        assert!(found["detail"].as_str().unwrap().contains(word), "{found}");
        assert_eq!(ask(word).await.unwrap().status(), 200, "{path}");
    }
}

async fn the_first_version_needs_no_other_reason(app: App) {
    let reasons = async || app.get(&format!("{SET}/next-version")).await["reasons"].clone();
    let path = format!("{SET}/partials/foot");
    assert_eq!(send(&app, Role::Owner, Method::PUT, &path, json!({ "source": "x" })).await.status(), 201);
    assert_eq!(reasons().await, json!([{ "weight": "patch", "what": "first version" }]));
    app.save("welcome.message", "Hello", &[]).await;
    assert_eq!(reasons().await, json!([{ "weight": "minor", "what": "first version" }]));
    app.lock("1.0.0").await;
    app.reopen().await;
    app.save_from("welcome.message", "Hello {{ who }}", &["who"], Some(1), 200).await;
    let found = reasons().await;
    assert_eq!(
        (&found[0]["weight"], &found[1]["what"]),
        (&json!("major"), &json!("texts changed")),
        "{found}"
    );
}

async fn a_name_that_cannot_be_taken_is_refused_at_its_field(app: App) {
    for (path, what, taken) in [
        ("/api/v1/organisations/acme/projects".to_owned(), "a project", "support"),
        (format!("{PROJECT}/sets"), "a prompt set", "chat"),
        (format!("{PROJECT}/environments"), "an environment", "prod"),
    ] {
        let found = app.refused(&path, json!({ "slug": "Not so" }), 422, "bad_name").await;
        assert_eq!(found["field"], "slug", "{path}");
        let found = app.refused(&path, json!({ "slug": taken }), 409, "name_taken").await;
        assert_eq!(found["field"], "slug", "{path}");
        let detail = found["detail"].as_str().unwrap();
        assert!(detail.starts_with(&format!("there is already {what} named {taken}")), "{detail}");
    }
    for kind in ["partial", "text"] {
        let fields = [("id", "foot"), ("kind", kind)];
        assert_eq!(form(&app, "/acme/support/chat/-/new", &fields).await.0, 303);
        let (status, page) = form(&app, "/acme/support/chat/-/new", &fields).await;
        let what = if kind == "partial" { "partial" } else { "prompt" };
        assert!(
            status == 409 && page.contains(&format!("There is a {what} foot already")),
            "{status} {page}"
        );
    }
}

async fn what_cannot_be_locked_says_what_to_do(app: App) {
    let lock = format!("{SET}/lock");
    let version = json!({ "version": "1.0.0" });
    let none = app.refused(&lock, version.clone(), 422, "empty").await;
    assert_eq!(none["detail"], "the set has no prompts yet; write one first");
    let path = format!("{SET}/partials/foot");
    assert_eq!(send(&app, Role::Owner, Method::PUT, &path, json!({ "source": "x" })).await.status(), 201);
    for path in [&lock, &format!("{SET}/reviews")] {
        let body = if *path == lock { version.clone() } else { json!({}) };
        let found = app.refused(path, body, 422, "empty").await;
        assert!(found["detail"].as_str().unwrap().contains("add one prompt"), "{found}");
    }
    let many: Vec<Value> = (0..300).map(|n| json!({ "name": format!("p{n}"), "type": "boolean" })).collect();
    let put = json!({ "id": "many", "content": { "type": "text", "template": "x" }, "parameters": many });
    assert_eq!(send(&app, Role::Owner, Method::PUT, &format!("{SET}/prompts/many"), put).await.status(), 201);
    let found = app.refused(&lock, version, 422, "template_invalid").await;
    let mut told = found["errors"].as_array().unwrap().iter().filter_map(|error| error["message"].as_str());
    let says = "the list of parameters: has 300 entries";
    assert!(told.any(|message| message.starts_with(says)), "{found}");
}
