//! Lists that go on from page to page with their filters: the prompts of a set.

use std::collections::BTreeSet;

use forge_api::auth::Role;
use forge_api::clock;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::app::{App, SET, json_of, on_both, problem, prompt};

on_both!(
    the_prompts_of_a_set_are_a_list_with_pages_and_filters,
    archived_prompts_are_a_list_too,
    a_list_of_prompts_goes_on_while_prompts_come_and_go,
);

const PROMPTS: &str = "/api/v1/projects/acme:support/sets/chat/prompts";

/// Everything that a list has for this query, by pages of two.
async fn walk(app: &App, path: &str, query: &str) -> Vec<Value> {
    let query = if query.is_empty() { String::new() } else { format!("&{query}") };
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = app.get(&format!("{path}?limit=2{query}{cursor}")).await;
        let items = page["items"].as_array().unwrap();
        found.extend(items.clone());
        let Some(next) = page["next"].as_str() else {
            assert!(items.len() <= 2, "{page}");
            return found;
        };
        assert_eq!(items.len(), 2, "a page with another one after it is full: {page}");
        cursor = format!("&cursor={next}");
        assert!(found.len() < 500, "{path} with {query} does not end");
    }
}

fn texts(items: &[Value], key: &str) -> Vec<String> {
    items.iter().map(|item| item[key].as_str().unwrap().to_owned()).collect()
}

async fn ids(app: &App, query: &str) -> Vec<String> {
    texts(&walk(app, PROMPTS, query).await, "id")
}

async fn ask(app: &App, path: &str) -> Response {
    app.request(Role::Owner, Method::GET, path).send().await.unwrap()
}

async fn put(app: &App, id: &str, description: &str, tags: &[&str]) {
    let mut body = prompt(id, "Hello", &[]);
    (body["description"], body["tags"]) = (json!(description), json!(tags));
    let put = app.request(Role::Owner, Method::PUT, &format!("{PROMPTS}/{id}")).json(&body);
    json_of(put.send().await.unwrap(), 201).await;
}

async fn archive(app: &App, kind: &str, id: &str) {
    let body = json!({ "kind": kind, "id": id });
    app.post(&format!("{SET}/actions/archive"), 200, body).await;
}

async fn the_prompts_of_a_set_are_a_list_with_pages_and_filters(app: App) {
    assert_eq!(ids(&app, "").await, Vec::<String>::new());
    for (id, tags) in [
        ("refund.decide", &[][..]),
        ("refund.ask", &["to-customers"][..]),
        ("mail/welcome", &["To Customers", "greeting"][..]),
        ("mail/farewell", &["farewell"][..]),
        ("Mail2", &[][..]),
    ] {
        put(&app, id, "What it is for", tags).await;
    }
    let messages = json!([{ "type": "message", "role": "user", "template": "Hello" }]);
    let chat = json!({ "id": "talk", "content": { "type": "chat", "messages": messages } });
    let saved = app.request(Role::Owner, Method::PUT, &format!("{PROMPTS}/talk")).json(&chat);
    json_of(saved.send().await.unwrap(), 201).await;
    put(&app, "gone", "", &["greeting"]).await;
    archive(&app, "prompt", "gone").await;

    let all = ["Mail2", "mail/farewell", "mail/welcome", "refund.ask", "refund.decide", "talk"];
    assert_eq!(ids(&app, "").await, all, "by name, whatever order the database has");
    for (query, wanted) in [
        ("state=active", &all[..]),
        ("q=", &all[..]),
        ("q=MAIL", &["Mail2", "mail/farewell", "mail/welcome"][..]),
        ("q=mail/", &["mail/farewell", "mail/welcome"][..]),
        ("q=ask%20refund", &["refund.ask"][..]),
        ("q=nothing", &[][..]),
        ("tag=greeting", &["mail/welcome"][..]),
        ("tag=to%20customers", &["mail/welcome", "refund.ask"][..]),
        ("tag=to", &[][..]),
        ("tag=%2E", &[][..]),
        ("tag=to-customers&q=mail", &["mail/welcome"][..]),
    ] {
        assert_eq!(ids(&app, query).await, wanted, "{query}");
    }

    let found = app.get(PROMPTS).await["items"].clone();
    let welcome = &found[2];
    assert_eq!(
        (&welcome["kind"], &welcome["description"], &welcome["tags"], &welcome["revision"]),
        (&json!("text"), &json!("What it is for"), &json!(["To Customers", "greeting"]), &json!(1))
    );
    assert!(clock::parse(welcome["updated_at"].as_str().unwrap()).is_some(), "{welcome}");
    assert_eq!((&welcome["updated_by"], &found[5]["kind"]), (&json!("owner"), &json!("chat")));
    assert!(!found.to_string().contains("Hello"), "their texts stay where they are: {found}");
    assert!(welcome.get("archived").is_none(), "{welcome}");

    problem(ask(&app, &format!("{PROMPTS}?state=gone")).await, 422, "bad_state").await;
    for bad in ["cursor=x", "cursor="] {
        problem(ask(&app, &format!("{PROMPTS}?{bad}")).await, 422, "bad_cursor").await;
    }
    for bad in ["limit=0", "limit=501", "limit=two"] {
        problem(ask(&app, &format!("{PROMPTS}?{bad}")).await, 422, "bad_query").await;
    }
    // Of another list.
    let theirs = app.get("/api/v1/organisations/acme/members?limit=1").await["next"].clone();
    let theirs = format!("{PROMPTS}?cursor={}", theirs.as_str().unwrap());
    problem(ask(&app, &theirs).await, 422, "bad_cursor").await;
    problem(app.strange(Method::GET, PROMPTS).send().await.unwrap(), 404, "not_found").await;
    let none = "/api/v1/projects/acme:support/sets/none/prompts";
    problem(ask(&app, none).await, 404, "not_found").await;
}

async fn archived_prompts_are_a_list_too(app: App) {
    for id in ["old.one", "old.one", "old.two", "b", "a"] {
        put(&app, id, "", &["once"]).await;
        archive(&app, "prompt", id).await;
    }
    let partial = app.request(Role::Owner, Method::PUT, &format!("{SET}/partials/old.part"));
    json_of(partial.json(&json!({ "source": "Hi" })).send().await.unwrap(), 201).await;
    archive(&app, "partial", "old.part").await;
    put(&app, "old.now", "", &["once"]).await;

    let found = walk(&app, PROMPTS, "state=archived").await;
    assert_eq!(texts(&found, "id"), ["a", "b", "old.one", "old.one", "old.two"]);
    let archived: BTreeSet<String> = texts(&found, "archived").into_iter().collect();
    assert_eq!(archived.len(), 5, "each has a name of its own there: {found:?}");
    assert_eq!(ids(&app, "state=archived&q=old&tag=once").await, ["old.one", "old.one", "old.two"]);
    assert_eq!(ids(&app, "state=archived&tag=never").await, Vec::<String>::new());
    assert_eq!(ids(&app, "").await, ["old.now"]);
    // What names it there brings it back.
    let body = json!({ "id": "old.two", "archived": found[4]["archived"] });
    app.post(&format!("{SET}/actions/restore"), 200, body).await;
    assert_eq!(ids(&app, "").await, ["old.now", "old.two"]);
}

async fn a_list_of_prompts_goes_on_while_prompts_come_and_go(app: App) {
    for id in ["b", "d", "f", "h"] {
        app.save(id, "Hello", &[]).await;
    }
    let first = app.get(&format!("{PROMPTS}?limit=2")).await;
    assert_eq!(texts(first["items"].as_array().unwrap(), "id"), ["b", "d"]);
    archive(&app, "prompt", "d").await;
    for id in ["a", "e"] {
        app.save(id, "Hello", &[]).await;
    }
    let next = first["next"].as_str().unwrap();
    let next = app.get(&format!("{PROMPTS}?limit=10&cursor={next}")).await;
    assert_eq!(texts(next["items"].as_array().unwrap(), "id"), ["e", "f", "h"]);
}
