//! Histories over renames, every state of a set compared, and what is said, seen and checked in a review.

use forge_api::auth::Role;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::app::{App, SET, json_of, on_both, problem, prompt};
use crate::database::sql;

on_both!(
    a_history_goes_on_under_the_names_before,
    a_name_that_something_else_had_is_not_mixed_in,
    renames_of_before_they_were_kept_are_found_out,
    a_renamed_prompt_is_compared_with_what_it_was,
    every_save_is_a_state_that_can_be_compared,
    the_compare_page_offers_every_state_and_says_at_the_field_what_is_wrong,
    a_comment_is_settled_by_who_may_and_opened_again,
    a_tick_holds_for_exactly_what_was_seen,
    a_review_is_checked_without_reading,
    a_closed_review_stays_in_the_list_of_who_was_asked,
);

const REVIEWS: &str = "/api/v1/organisations/acme/reviews";

async fn send(app: &App, role: Role, method: Method, path: &str, body: Value) -> Response {
    app.request(role, method, path).json(&body).send().await.unwrap()
}

async fn get(app: &App, role: Role, path: &str) -> Value {
    json_of(app.request(role, Method::GET, path).send().await.unwrap(), 200).await
}

async fn html(app: &App, role: Role, path: &str, status: u16) -> String {
    let answer = app.request(role, Method::GET, path).header("accept", "text/html").send().await.unwrap();
    let found = answer.status();
    let html = answer.text().await.unwrap();
    assert_eq!(found, status, "{path}: {html}");
    html
}

async fn refused(app: &App, path: &str, status: u16, code: &str) {
    problem(app.request(Role::Owner, Method::GET, path).send().await.unwrap(), status, code).await;
}

async fn rename(app: &App, kind: &str, from: &str, to: &str) {
    let body = json!({ "kind": kind, "id": from, "to": to });
    app.post(&format!("{SET}/actions/rename"), 200, body).await;
}

/// Puts the draft up for review; gives the review's address.
async fn asked(app: &App, by: Role, body: Value) -> (String, Value) {
    let made = json_of(send(app, by, Method::POST, &format!("{SET}/reviews"), body).await, 201).await;
    (format!("{SET}/reviews/{}", made["number"]), made)
}

/// Name, text, and the name before, of each revision.
fn told(history: &Value) -> Vec<(String, String, Option<String>)> {
    let one = |r: &Value| {
        let text = r["prompt"]["content"]["template"].as_str().or(r["source"].as_str()).unwrap_or("gone");
        (
            r["name"].as_str().unwrap().to_owned(),
            text.to_owned(),
            r["renamed_from"].as_str().map(str::to_owned),
        )
    };
    history["items"].as_array().unwrap().iter().map(one).collect()
}

fn row(name: &str, text: &str, from: Option<&str>) -> (String, String, Option<String>) {
    (name.into(), text.into(), from.map(str::to_owned))
}

async fn a_history_goes_on_under_the_names_before(app: App) {
    app.save("first.name", "One", &[]).await;
    app.save_from("first.name", "Two", &[], Some(1), 200).await;
    rename(&app, "prompt", "first.name", "second.name").await;
    rename(&app, "prompt", "second.name", "third.name").await;
    let now = app.get(&format!("{SET}/prompts/third.name")).await["revision"].as_i64().unwrap();
    app.save_from("third.name", "Three", &[], Some(now), 200).await;

    let path = format!("{SET}/history/third.name");
    let history = app.get(&path).await;
    let all = [
        row("third.name", "Three", None),
        row("third.name", "Two", Some("second.name")),
        row("second.name", "Two", Some("first.name")),
        row("first.name", "Two", None),
        row("first.name", "One", None),
    ];
    assert_eq!(told(&history), all);
    // One by one, the same.
    let mut paged = Vec::new();
    let mut next = Some(format!("{path}?limit=1"));
    while let Some(address) = next.take() {
        let one = app.get(&address).await;
        paged.extend(told(&one));
        next = one["next"].as_str().map(|cursor| format!("{path}?limit=1&cursor={cursor}"));
    }
    assert_eq!(paged, all);

    // By number and by id, under the name of now; restored under it too.
    let first = app.get(&format!("{SET}/revisions/1/third.name")).await;
    assert_eq!((&first["name"], &first["id"]), (&json!("first.name"), &history["items"][4]["id"]));
    let by_id = format!("{SET}/revisions/{}/third.name", first["id"].as_str().unwrap());
    let made = app.post(&by_id, 201, Value::Null).await;
    assert_eq!((&made["name"], &made["prompt"]["id"]), (&json!("third.name"), &json!("third.name")));
    let stored = app.get(&format!("{SET}/prompts/third.name")).await;
    assert_eq!(stored["prompt"]["content"]["template"], "One");

    // On the page: each former name, who renamed it, and the way on from a former name.
    let page = html(&app, Role::Viewer, "/acme/support/chat/-/history/third.name", 200).await;
    for part in ["renamed from second.name by owner", "renamed from first.name by owner", "first.name"] {
        assert!(page.contains(part), "{part} in {page}");
    }
    let address = "/acme/support/chat/-/history/third.name?revision=1";
    assert!(html(&app, Role::Owner, address, 200).await.contains("Restore revision 1"));
    let page = html(&app, Role::Viewer, "/acme/support/chat/-/history/first.name", 200).await;
    assert!(page.contains("It is called third.name now."), "{page}");

    // A partial has the same.
    let partial = |name: &str| format!("{SET}/partials/{name}");
    let put = send(&app, Role::Owner, Method::PUT, &partial("greeting"), json!({ "source": "Hi" })).await;
    assert_eq!(put.status(), 201);
    rename(&app, "partial", "greeting", "opening").await;
    let history = app.get(&format!("{SET}/partial-history/opening")).await;
    assert_eq!(told(&history), [row("opening", "Hi", Some("greeting")), row("greeting", "Hi", None)]);
    let old = history["items"][1]["id"].as_str().unwrap();
    app.post(&format!("{SET}/partial-revisions/{old}/opening"), 201, Value::Null).await;
    assert_eq!(app.get(&partial("opening")).await["partial"]["source"], "Hi");

    // What took in the partial under its former name takes in the one that there is, when it is restored.
    app.save("with.partial", "{% include \"opening\" %}", &[]).await;
    rename(&app, "partial", "opening", "salute").await;
    app.post(&format!("{SET}/revisions/1/with.partial"), 201, Value::Null).await;
    let stored = app.get(&format!("{SET}/prompts/with.partial")).await;
    assert_eq!(stored["prompt"]["content"]["template"], "{% include \"salute\" %}");
}

async fn a_name_that_something_else_had_is_not_mixed_in(app: App) {
    app.save("taken", "Somebody else", &[]).await;
    let gone = app.request(Role::Owner, Method::DELETE, &format!("{SET}/prompts/taken"));
    assert_eq!(gone.header("if-match", "\"1\"").send().await.unwrap().status(), 204);
    app.save("mine", "Mine", &[]).await;
    rename(&app, "prompt", "mine", "taken").await;
    let history = app.get(&format!("{SET}/history/taken")).await;
    assert_eq!(told(&history), [row("taken", "Mine", Some("mine")), row("mine", "Mine", None)]);
    // What comes after under the former name is another one's.
    app.save("mine", "New", &[]).await;
    assert_eq!(told(&app.get(&format!("{SET}/history/taken")).await).len(), 2);
    let history = told(&app.get(&format!("{SET}/history/mine")).await);
    assert_eq!(history[0], row("mine", "New", None));
}

async fn renames_of_before_they_were_kept_are_found_out(app: App) {
    app.save("first.name", "One", &[]).await;
    rename(&app, "prompt", "first.name", "second.name").await;
    let put = format!("{SET}/partials/greeting");
    assert_eq!(send(&app, Role::Owner, Method::PUT, &put, json!({ "source": "Hi" })).await.status(), 201);
    rename(&app, "partial", "greeting", "opening").await;
    // Somebody's own words are no rename.
    let path = format!("{SET}/prompts/other?message=renamed%20from%20first.name");
    let put = send(&app, Role::Owner, Method::PUT, &path, prompt("other", "Two", &[])).await;
    assert_eq!(put.status(), 201);
    let before = (
        told(&app.get(&format!("{SET}/history/second.name")).await),
        told(&app.get(&format!("{SET}/partial-history/opening")).await),
    );
    for table in ["prompt_revisions", "partial_revisions"] {
        sql(&app.state.database, &format!("UPDATE {table} SET renamed_from = NULL")).await.unwrap();
    }
    assert_eq!(told(&app.get(&format!("{SET}/history/second.name")).await).len(), 1);
    let migration = include_str!("../../migrations/sqlite/0018_history.sql");
    assert_eq!(migration, include_str!("../../migrations/postgres/0018_history.sql"));
    for statement in migration.split(';').map(str::trim).filter(|s| s.starts_with("UPDATE")) {
        sql(&app.state.database, statement).await.unwrap();
    }
    let after = (
        told(&app.get(&format!("{SET}/history/second.name")).await),
        told(&app.get(&format!("{SET}/partial-history/opening")).await),
    );
    assert_eq!(after, before);
    assert_eq!(told(&app.get(&format!("{SET}/history/other")).await), [row("other", "Two", None)]);
}

async fn a_renamed_prompt_is_compared_with_what_it_was(app: App) {
    app.save("old.name", "Hello Ada\n", &[]).await;
    let put = format!("{SET}/partials/greeting");
    assert_eq!(send(&app, Role::Owner, Method::PUT, &put, json!({ "source": "Hi" })).await.status(), 201);
    app.lock("1.0.0").await;
    app.reopen().await;
    let then = app.get(&format!("{SET}/history/old.name")).await["items"][0]["created_at"].clone();
    rename(&app, "prompt", "old.name", "new.name").await;
    let now = app.get(&format!("{SET}/prompts/new.name")).await["revision"].as_i64().unwrap();
    app.save_from("new.name", "Hello Bea\n", &[], Some(now), 200).await;
    let proposed = app.get(&format!("{SET}/next-version")).await;
    assert_eq!(proposed["reasons"][0]["what"], "old.name is now called new.name");
    rename(&app, "partial", "greeting", "opening").await;
    let partial = app.get(&format!("{SET}/compare?old=1.0.0&new=draft")).await["differences"][1].clone();
    assert_eq!((&partial["name"], &partial["note"]), (&json!("opening"), &json!("partial renamed")));
    for old in ["1.0.0".to_owned(), format!("at:{}", then.as_str().unwrap()), "new.name%231".to_owned()] {
        let changes = app.get(&format!("{SET}/compare?old={old}&new=draft")).await;
        assert_eq!(
            (&changes["changed"], &changes["new"], &changes["removed"]),
            (&json!(1), &json!(0), &json!(0))
        );
        let one = &changes["differences"][0];
        assert_eq!((&one["name"], &one["note"]), (&json!("new.name"), &json!("renamed")), "{old}");
        assert_eq!(one["facts"][0], "renamed from old.name");
        assert!(one["lines"].to_string().contains("Bea"), "{one}");
        assert_eq!(changes["reasons"][0]["what"], "old.name is now called new.name", "callers ask by name");
        let back = app.get(&format!("{SET}/compare?old=draft&new={old}")).await;
        assert_eq!(back["differences"][0]["facts"][0], "renamed from new.name");
    }
}

async fn every_save_is_a_state_that_can_be_compared(app: App) {
    app.save("a", "One\n", &[]).await;
    app.save("b", "Two\n", &[]).await;
    app.save_from("a", "Three\n", &[], Some(1), 200).await;
    let put = format!("{SET}/partials/greeting");
    assert_eq!(send(&app, Role::Owner, Method::PUT, &put, json!({ "source": "Hi" })).await.status(), 201);
    let path = format!("{SET}/states");
    let states = get(&app, Role::Viewer, &path).await;
    let told = |states: &Value| -> Vec<(String, String, i64)> {
        let one = |s: &Value| {
            let (kind, name) = (s["kind"].as_str().unwrap(), s["name"].as_str().unwrap());
            (kind.to_owned(), name.to_owned(), s["revision"].as_i64().unwrap())
        };
        states["items"].as_array().unwrap().iter().map(one).collect()
    };
    let all: Vec<(String, String, i64)> =
        [("partial", "greeting", 1), ("prompt", "a", 2), ("prompt", "b", 1), ("prompt", "a", 1)]
            .map(|(kind, name, revision)| (kind.to_owned(), name.to_owned(), revision))
            .to_vec();
    assert_eq!(told(&states), all);
    let first = get(&app, Role::Viewer, &format!("{path}?limit=3")).await;
    let cursor = first["next"].as_str().unwrap();
    let rest = get(&app, Role::Viewer, &format!("{path}?limit=3&cursor={cursor}")).await;
    assert_eq!([told(&first), told(&rest)].concat(), all);

    // A rename is one state, whatever it changes.
    app.save_from("b", "{% include \"greeting\" %}\n", &[], Some(1), 200).await;
    rename(&app, "partial", "greeting", "opening").await;
    let newest = get(&app, Role::Viewer, &format!("{path}?limit=1")).await["items"][0].clone();
    assert_eq!((&newest["renamed_from"], &newest["count"]), (&json!("greeting"), &json!(3)), "{newest}");
    let past = app.get(&format!("{SET}/compare?old={}&new=draft", newest["state"].as_str().unwrap())).await;
    assert_eq!(past["differences"], json!([]));

    // Any of them beside any other, and what is live.
    let state = |nth: usize| states["items"][nth]["state"].as_str().unwrap().to_owned();
    let changes = app.get(&format!("{SET}/compare?old={}&new={}", state(3), state(1))).await;
    assert_eq!((&changes["new"], &changes["changed"]), (&json!(1), &json!(1)), "{changes}");
    refused(&app, &format!("{SET}/compare?old=@prod&new=draft"), 404, "not_found").await;
    app.lock("1.0.0").await;
    app.publish("1.0.0", "prod").await;
    app.reopen().await;
    app.save_from("b", "Four\n", &[], Some(3), 200).await;
    let changes = app.get(&format!("{SET}/compare?old=@prod&new=draft")).await;
    assert_eq!(changes["differences"][0]["name"], "b");
    refused(&app, &format!("{SET}/compare?old=@nowhere&new=draft"), 404, "not_found").await;
    refused(&app, &format!("{SET}/compare?old=a%2399&new=draft"), 404, "not_found").await;
}

async fn the_compare_page_offers_every_state_and_says_at_the_field_what_is_wrong(app: App) {
    app.save("welcome.message", "Hello Ada\n", &[]).await;
    app.lock("1.0.0").await;
    app.publish("1.0.0", "prod").await;
    app.reopen().await;
    app.save_from("welcome.message", "Hello Bea\n", &[], Some(1), 200).await;
    let base = "/acme/support/chat/-/compare";
    let page = html(&app, Role::Viewer, base, 200).await;
    let state = app.get(&format!("{SET}/states")).await["items"][0]["state"].as_str().unwrap().to_owned();
    for value in ["draft", "@prod", "latest", "1.0.0", &state] {
        let option = format!("<option value=\"{value}\"");
        assert_eq!(page.matches(&option).count(), 2, "{option} on both sides of {page}");
    }
    assert!(
        page.contains("from=draft&amp;to=1.0.0") || page.contains("from=draft&to=1.0.0"),
        "swapped: {page}"
    );
    // What is typed goes before what is chosen.
    let typed = format!("{base}?from=1.0.0&from_address=welcome.message%232&to=draft");
    assert!(html(&app, Role::Viewer, &typed, 200).await.contains("Nothing differs"));
    for (bad, why) in
        [("9.9.9", "There is no such"), ("at:noon", "Write a time as"), ("@dev", "Nothing is live in dev.")]
    {
        let page = html(&app, Role::Viewer, &format!("{base}?from=1.0.0&to_address={bad}"), 422).await;
        assert!(page.contains(why) && page.contains(&format!("value=\"{bad}\"")), "{bad}: {page}");
    }
}

async fn a_comment_is_settled_by_who_may_and_opened_again(app: App) {
    app.save("welcome.message", "One\nTwo\n", &[]).await;
    let (review, _) = asked(&app, Role::Owner, json!({})).await;
    let comments = format!("{review}/comments");
    let say =
        async |role, body: Value| json_of(send(&app, role, Method::POST, &comments, body).await, 201).await;
    let first =
        say(Role::Reviewer, json!({ "body": "Why two?", "prompt": "welcome.message", "line": 2 })).await;
    let id = first["id"].as_str().unwrap();
    let answer = say(Role::ContextEngineer, json!({ "body": "They asked.", "answers": id })).await;
    assert_eq!(
        (&answer["answers"], &answer["line"]),
        (&json!(id), &json!(2)),
        "it stands where that one does"
    );
    let own = say(Role::ContextEngineer, json!({ "body": "And I like it." })).await;
    let unknown = json!({ "body": "x", "answers": "nothing" });
    problem(send(&app, Role::Reviewer, Method::POST, &comments, unknown).await, 404, "not_found").await;

    let settle = async |role, id: &str, settled: bool| {
        send(&app, role, Method::PUT, &format!("{comments}/{id}"), json!({ "settled": settled })).await
    };
    let open = async || get(&app, Role::Viewer, &review).await["unsettled"].clone();
    assert_eq!(open().await, 2, "an answer is no comment of its own");
    assert_eq!(get(&app, Role::Viewer, REVIEWS).await["items"][0]["unsettled"], 2);
    let page = html(&app, Role::Owner, "/acme/support/chat/-/lock", 200).await;
    assert!(page.contains("2 comments are not settled."), "{page}");
    assert_eq!(settle(Role::Viewer, id, true).await.status(), 403);
    assert_eq!(settle(Role::ContextEngineer, id, true).await.status(), 403, "it is somebody else's");
    assert_eq!(settle(Role::Reviewer, "nothing", true).await.status(), 404);
    let own = own["id"].as_str().unwrap();
    let settled = json_of(settle(Role::ContextEngineer, own, true).await, 200).await;
    assert_eq!(settled["settled_by"], "context_engineer");
    // By an answer, the talk is meant.
    let settled = json_of(settle(Role::Owner, answer["id"].as_str().unwrap(), true).await, 200).await;
    assert_eq!(settled["id"], id);
    assert_eq!(open().await, 0);
    let view = get(&app, Role::Viewer, &review).await;
    let order: Vec<&str> =
        view["comments"].as_array().unwrap().iter().map(|c| c["body"].as_str().unwrap()).collect();
    assert_eq!(order, ["Why two?", "They asked.", "And I like it."], "answers stand behind what they answer");
    let page = html(&app, Role::Viewer, "/acme/support/chat/-/reviews/1", 200).await;
    assert!(page.contains("by owner") && !page.contains("Mark as settled"), "{page}");
    assert_eq!(settle(Role::Reviewer, id, false).await.status(), 200);
    assert_eq!(open().await, 1);
    assert_eq!(get(&app, Role::Viewer, REVIEWS).await["items"][0]["unsettled"], 1);
    app.audited(&app.organisation.id, |entry| entry.action == "review.unsettled").await;
    app.post(&format!("{SET}/reviews/current/return"), 204, json!({})).await;
    let page = html(&app, Role::Owner, "/acme/support/chat/-/lock", 200).await;
    assert!(page.contains("1 comment is not settled.") && page.contains("Open review 1"), "{page}");
}

async fn a_tick_holds_for_exactly_what_was_seen(app: App) {
    app.save("a", "One\n", &[]).await;
    app.save("b", "Two\n", &[]).await;
    let (review, _) = asked(&app, Role::Owner, json!({})).await;
    let tick = async |role, review: &str, id: &str, seen: bool| {
        send(&app, role, Method::PUT, &format!("{review}/seen"), json!({ "id": id, "seen": seen }))
            .await
            .status()
    };
    let seen = async |role, review: &str| -> Vec<bool> {
        let view = get(&app, role, review).await;
        view["parts"].as_array().unwrap().iter().map(|p| p["seen"].as_bool().unwrap()).collect()
    };
    assert_eq!(tick(Role::Viewer, &review, "a", true).await, 403);
    assert_eq!(tick(Role::Reviewer, &review, "nothing", true).await, 404);
    for id in ["a", "b"] {
        assert_eq!(tick(Role::Reviewer, &review, id, true).await, 204);
    }
    assert_eq!(seen(Role::Reviewer, &review).await, [true, true]);
    assert_eq!(seen(Role::Admin, &review).await, [false, false], "each ticks for oneself");
    let page = html(&app, Role::Reviewer, "/acme/support/chat/-/reviews/1", 200).await;
    assert!(page.contains("2 of 2 seen"), "{page}");

    // Asked for again: what did not change is seen, what did is not.
    app.post(&format!("{SET}/reviews/current/return"), 204, json!({})).await;
    app.save_from("b", "Three\n", &[], Some(1), 200).await;
    let (review, _) = asked(&app, Role::Owner, json!({})).await;
    assert_eq!(seen(Role::Reviewer, &review).await, [true, false]);
    assert_eq!(tick(Role::Reviewer, &review, "a", false).await, 204);
    assert_eq!(seen(Role::Reviewer, &review).await, [false, false]);
}

async fn a_review_is_checked_without_reading(app: App) {
    let rule = json!({ "approvals": 1 });
    let path = "/api/v1/projects/acme:support/environments/prod/rule";
    assert_eq!(send(&app, Role::Admin, Method::PUT, path, rule).await.status(), 200);
    app.save("good", "Hello {{ name }}\n", &["name"]).await;
    for (name, values) in [("usual", json!({ "name": "Ada" })), ("none", json!({}))] {
        let path = format!("{SET}/variable-sets/{name}?prompt=good");
        assert_eq!(
            send(&app, Role::Owner, Method::PUT, &path, json!({ "values": values })).await.status(),
            201
        );
    }
    let (review, made) = asked(&app, Role::ContextEngineer, json!({})).await;
    let outcome = async |review: &str| -> Vec<(String, String, String)> {
        let found = get(&app, Role::Viewer, &format!("{review}/checks")).await;
        let word = |c: &Value, key: &str| c[key].as_str().unwrap().to_owned();
        let all = found["checks"].as_array().unwrap().iter();
        all.map(|c| (word(c, "name"), word(c, "outcome"), c["details"].to_string())).collect()
    };
    let found = outcome(&review).await;
    let of = |found: &[(String, String, String)], name: &str| -> (String, String) {
        let one = found.iter().find(|(n, ..)| n == name).unwrap_or_else(|| panic!("{name} of {found:?}"));
        (one.1.clone(), one.2.clone())
    };
    assert_eq!(of(&found, "templates").0, "ok");
    assert_eq!(of(&found, "parameters").0, "ok");
    let samples = of(&found, "samples");
    assert!(samples.0 == "warn" && samples.1.contains("good, none"), "{samples:?}");
    assert_eq!(of(&found, "rules"), ("warn".into(), "[\"prod: 0 of 1 approvals\"]".into()));
    assert_eq!(of(&found, "comments").0, "ok");
    let approve = json!({ "verdict": "approve", "digest": made["digest"] });
    let verdicts = format!("{review}/verdicts");
    assert_eq!(send(&app, Role::Reviewer, Method::POST, &verdicts, approve).await.status(), 204);
    let comment = json!({ "body": "And now?" });
    assert_eq!(
        send(&app, Role::Reviewer, Method::POST, &format!("{review}/comments"), comment).await.status(),
        201
    );
    let found = outcome(&review).await;
    assert_eq!((of(&found, "rules").0, of(&found, "comments").0), ("ok".into(), "warn".into()));

    // What cannot be locked is told before anybody tries.
    app.post(&format!("{SET}/reviews/current/return"), 204, json!({})).await;
    app.save("bad", "Dear {{ nobody }}\n{{ name | shout }}\n", &["name", "spare"]).await;
    let (review, _) = asked(&app, Role::ContextEngineer, json!({})).await;
    let found = outcome(&review).await;
    let templates = of(&found, "templates");
    assert!(templates.0 == "bad" && templates.1.contains("shout"), "{templates:?}");
    let page = html(&app, Role::Viewer, "/acme/support/chat/-/reviews/2", 200).await;
    assert!(page.contains("id=\"checks\"") && page.contains("not compile"), "{page}");
    app.post(&format!("{SET}/reviews/current/return"), 204, json!({})).await;
    let body = prompt("bad", "Dear {{ nobody }}\n", &["spare"]);
    let put =
        app.request(Role::Owner, Method::PUT, &format!("{SET}/prompts/bad")).header("if-match", "\"1\"");
    assert_eq!(put.json(&body).send().await.unwrap().status(), 200);
    let (review, _) = asked(&app, Role::ContextEngineer, json!({})).await;
    let parameters = of(&outcome(&review).await, "parameters");
    assert!(parameters.0 == "bad" && parameters.1.contains("nobody"), "{parameters:?}");
}

async fn a_closed_review_stays_in_the_list_of_who_was_asked(app: App) {
    app.save("welcome.message", "Hello", &[]).await;
    let named = json!({ "title": "Kinder", "reviewers": ["reviewer@example.org"] });
    let (review, made) = asked(&app, Role::ContextEngineer, named).await;
    let approve = json!({ "verdict": "approve", "digest": made["digest"] });
    let path = format!("{review}/verdicts");
    assert_eq!(send(&app, Role::Admin, Method::POST, &path, approve).await.status(), 204);
    let closed = format!("{REVIEWS}?state=closed");
    assert_eq!(get(&app, Role::Reviewer, &closed).await["items"], json!([]));
    app.lock("1.0.0").await;
    assert_eq!(get(&app, Role::Reviewer, REVIEWS).await["items"], json!([]));
    let found = get(&app, Role::Reviewer, &closed).await["items"][0].clone();
    assert_eq!((&found["state"], &found["closed"]), (&json!("locked"), &json!(true)));
    assert_eq!((&found["approved_by"], &found["for_me"]), (&json!(["admin"]), &json!(false)));
    let bad = format!("{REVIEWS}?state=lost");
    problem(app.request(Role::Reviewer, Method::GET, &bad).send().await.unwrap(), 422, "bad_state").await;

    let list = "/acme/-/reviews";
    assert!(!html(&app, Role::Reviewer, list, 200).await.contains("Kinder"));
    let page = html(&app, Role::Reviewer, &format!("{list}?state=closed"), 200).await;
    assert!(page.contains("Kinder") && page.contains("by admin") && page.contains("locked"), "{page}");
    let mine = format!("{list}?state=closed&show=asked");
    assert!(!html(&app, Role::Reviewer, &mine, 200).await.contains("Kinder"));
    assert!(html(&app, Role::ContextEngineer, &mine, 200).await.contains("Kinder"));
    let own = format!("{list}?state=closed&show=mine");
    assert!(html(&app, Role::Admin, &own, 200).await.contains("Kinder"), "who answered finds it too");
    assert!(!html(&app, Role::Owner, &own, 200).await.contains("Kinder"), "nobody asked the owner");
    assert!(html(&app, Role::Owner, &format!("{list}?state=closed&show=all"), 200).await.contains("Kinder"));

    // Returned, and edited since: closed too.
    app.reopen().await;
    let (_, made) = asked(&app, Role::ContextEngineer, json!({ "title": "Shorter" })).await;
    app.post(&format!("{SET}/reviews/current/return"), 204, json!({})).await;
    let all = get(&app, Role::Viewer, &closed).await;
    assert_eq!(all["items"][0]["number"], made["number"], "newest first");
    let first = get(&app, Role::Viewer, &format!("{closed}&limit=1")).await;
    let next = format!("{closed}&limit=1&cursor={}", first["next"].as_str().unwrap());
    assert_eq!(get(&app, Role::Viewer, &next).await["items"][0]["title"], "Kinder");
}
