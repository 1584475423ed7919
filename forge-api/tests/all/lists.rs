//! Lists that go on from page to page with their filters: the prompts of a set, the audit log, what was sent to a
//! webhook.

use std::collections::BTreeSet;
use std::path::Path;

use forge_api::audit::ACTIONS;
use forge_api::audit::action::OF_INSTALLATION;
use forge_api::auth::Role;
use forge_api::clock;
use forge_api::database::webhook::{self, Delivery};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::app::{App, SET, json_of, on_both, problem, prompt};

on_both!(
    the_prompts_of_a_set_are_a_list_with_pages_and_filters,
    archived_prompts_are_a_list_too,
    a_list_of_prompts_goes_on_while_prompts_come_and_go,
    the_audit_log_has_filters_that_its_pages_keep,
    the_page_of_the_audit_log_keeps_what_was_chosen,
    what_was_sent_to_a_webhook_is_filtered_by_its_state,
);

const PROMPTS: &str = "/api/v1/projects/acme:support/sets/chat/prompts";
const AUDIT: &str = "/api/v1/organisations/acme/audit";
const PAGE: &str = "/acme/-/audit";

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

/// Asks for a page of FORGE; gives its status and its text as it is read.
async fn open(app: &App, path: &str) -> (u16, String) {
    let request = app.request(Role::Owner, Method::GET, path).header("accept", "text/html");
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.text().await.unwrap().replace("&#x2F;", "/").replace("&amp;", "&"))
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

async fn the_audit_log_has_filters_that_its_pages_keep(app: App) {
    for n in 0..5 {
        app.save(&format!("prompt-{n}"), "Hello", &[]).await;
    }
    let theirs = app.request(Role::ContextEngineer, Method::PUT, &format!("{SET}/prompts/theirs"));
    json_of(theirs.json(&prompt("theirs", "Hello", &[])).send().await.unwrap(), 201).await;
    for slug in ["other", "support-two"] {
        app.post("/api/v1/organisations/acme/projects", 201, json!({ "slug": slug })).await;
    }
    app.post("/api/v1/projects/acme:other/sets", 201, json!({ "slug": "faq" })).await;

    let all = app.get(&format!("{AUDIT}?limit=500")).await["items"].as_array().unwrap().clone();
    let sequences = |items: &[Value]| -> Vec<i64> {
        items.iter().map(|entry| entry["sequence"].as_i64().unwrap()).collect()
    };
    let at = |entry: &Value| clock::parse(entry["at"].as_str().unwrap()).unwrap();
    let middle = &all[all.len() / 2];
    let time = middle["at"].as_str().unwrap();
    let their = all.iter().find(|entry| entry["actor"] == "context_engineer").unwrap()["actor_id"].clone();
    let of = |place: &str| {
        let (place, inside) = (place.to_owned(), format!("{place}/"));
        move |e: &Value| e["subject"] == place || e["subject"].as_str().unwrap().starts_with(&inside)
    };
    let fit = |fits: &dyn Fn(&Value) -> bool| -> Vec<i64> {
        sequences(&all.iter().filter(|entry| fits(entry)).cloned().collect::<Vec<_>>())
    };
    let saved = fit(&|e| e["action"] == "prompt.saved");
    let own = fit(&|e| e["actor"] == "owner" && e["action"] == "prompt.saved");
    assert_eq!((saved.len(), own.len()), (6, 5));
    let (other, support) = (fit(&of("acme/other")), fit(&of("acme/support")));
    assert!(other.len() >= 2 && support.len() >= 7, "{all:?}");
    for (query, wanted) in [
        (String::new(), fit(&|_| true)),
        ("action=prompt.saved".into(), saved),
        ("actor=owner".into(), fit(&|e| e["actor"] == "owner")),
        (format!("actor={}", their.as_str().unwrap()), fit(&|e| e["actor_id"] == their)),
        ("actor=nobody-here".into(), Vec::new()),
        ("project=other".into(), other),
        ("project=support".into(), support),
        (format!("since={time}"), fit(&|e| at(e) >= at(middle))),
        (format!("until={time}"), fit(&|e| at(e) < at(middle))),
        ("until=1999-01-01T00:00:00Z".into(), Vec::new()),
        ("actor=owner&action=prompt.saved&project=support".into(), own),
    ] {
        assert_eq!(sequences(&walk(&app, AUDIT, &query).await), wanted, "{query}");
    }

    let unknown = ask(&app, &format!("{AUDIT}?action=prompt.sved")).await;
    let unknown = problem(unknown, 422, "bad_action").await;
    assert_eq!(unknown["field"], "action");
    assert!(
        unknown["detail"].as_str().unwrap().contains("prompt.saved"),
        "it names those that are: {unknown}"
    );
    for field in ["since", "until"] {
        let bad = problem(ask(&app, &format!("{AUDIT}?{field}=yesterday")).await, 422, "invalid").await;
        assert_eq!(bad["field"], field);
    }
    let turned = format!("{AUDIT}?since=2026-02-01T00:00:00Z&until=2026-01-01T00:00:00Z");
    problem(ask(&app, &turned).await, 422, "bad_span").await;
    problem(ask(&app, &format!("{AUDIT}?project=moon")).await, 404, "not_found").await;
    problem(ask(&app, &format!("{AUDIT}?project=globex")).await, 404, "not_found").await;
    problem(ask(&app, &format!("{AUDIT}?action=prompt.saved&cursor=x")).await, 422, "bad_cursor").await;
    problem(ask(&app, &format!("{AUDIT}?action=prompt.saved&limit=0")).await, 422, "bad_query").await;
    let engineer = app.request(Role::ContextEngineer, Method::GET, &format!("{AUDIT}?actor=owner"));
    problem(engineer.send().await.unwrap(), 403, "forbidden").await;
}

async fn the_page_of_the_audit_log_keeps_what_was_chosen(app: App) {
    app.save("often", "Hello", &[]).await;
    for revision in 1..=101 {
        app.save_from("often", &format!("Hello {revision}"), &[], Some(revision), 200).await;
    }
    let chosen = "actor=owner&action=prompt.saved&project=support&since=2026-01-01T00:00";
    let (status, html) = open(&app, &format!("{PAGE}?{chosen}")).await;
    assert_eq!(status, 200, "{html}");
    let kept = |html: &str| {
        for kept in [
            "name=\"actor\" value=\"owner\"",
            "<option value=\"prompt.saved\" selected>",
            "name=\"project\" value=\"support\"",
            "name=\"since\" value=\"2026-01-01T00:00:00\"",
        ] {
            assert!(html.contains(kept), "{kept} is not there: {html}");
        }
    };
    kept(&html);
    assert!(html.contains("100 of the last 100 entries that fit"), "{html}");
    assert!(html.contains(">saved prompt<") && !html.contains(">created set<"), "{html}");
    // The next page, as its link has it.
    let at = html.find("?before=").unwrap_or_else(|| panic!("there is no older page: {html}"));
    let begin = html[..at].rfind('"').unwrap() + 1;
    let end = at + html[at..].find('"').unwrap();
    let (status, older) = open(&app, &html[begin..end]).await;
    assert_eq!(status, 200, "{older}");
    kept(&older);
    assert!(older.contains("2 of the last 2 entries that fit"), "{older}");
    // Only what was refused, of what was chosen.
    assert!(html.contains(&format!("{PAGE}?q=refused&actor=owner&action=prompt.saved")), "{html}");

    for (query, field, typed) in [
        ("since=yesterday", "since", "yesterday"),
        ("until=never", "until", "never"),
        ("project=moon", "project", "moon"),
        ("since=2026-02-01&until=2026-01-01", "since", "2026-02-01T00:00:00"),
    ] {
        let (status, html) = open(&app, &format!("{PAGE}?{query}")).await;
        assert_eq!(status, 422, "{query}: {html}");
        for there in [format!("id=\"{field}-error\""), format!("name=\"{field}\" value=\"{typed}\"")] {
            assert!(html.contains(&there), "{query}: {there} is not there: {html}");
        }
    }
    let (status, html) = open(&app, &format!("{PAGE}?action=prompt.sved")).await;
    assert!(status == 422 && html.contains("id=\"action-error\""), "{status} {html}");
    let (status, html) = open(&app, &format!("{PAGE}?actor=nobody-here&q=")).await;
    assert!(status == 200 && html.contains("No entry fits these filters."), "{status} {html}");
}

async fn what_was_sent_to_a_webhook_is_filtered_by_its_state(app: App) {
    let webhooks = "/api/v1/projects/acme:support/webhooks";
    let made = app.post(webhooks, 201, json!({ "url": "https://hook.example/" })).await;
    let id = made["id"].as_str().unwrap();
    let states = ["delivered", "failed", "delivered", "waiting", "delivered", "failed", "delivered"];
    let rows: Vec<Delivery> = states
        .iter()
        .enumerate()
        .map(|(n, state)| Delivery {
            id: format!("{n}"),
            webhook_id: id.into(),
            event: "set.locked".into(),
            subject: "acme/support/chat".into(),
            payload: "{}".into(),
            state: (*state).into(),
            attempts: 1,
            not_before: i64::MAX,
            lease_until: 0,
            created_at: clock::now(),
            sent_at: None,
            status: None,
            duration_us: None,
            answer: None,
            error: None,
        })
        .collect();
    let mut tx = app.state.database.write().await.unwrap();
    webhook::enqueue(&mut tx, &rows).await.unwrap();
    tx.commit().await.unwrap();

    let log = format!("{webhooks}/{id}/deliveries");
    for (query, wanted) in [
        ("", &["6", "5", "4", "3", "2", "1", "0"][..]),
        ("state=delivered", &["6", "4", "2", "0"][..]),
        ("state=failed", &["5", "1"][..]),
        ("state=waiting", &["3"][..]),
    ] {
        assert_eq!(texts(&walk(&app, &log, query).await, "id"), wanted, "{query}");
    }
    let unknown = problem(ask(&app, &format!("{log}?state=sent")).await, 422, "bad_state").await;
    assert!(unknown["detail"].as_str().unwrap().contains("waiting or delivered or failed"), "{unknown}");
    problem(ask(&app, &format!("{log}?state=failed&cursor=x")).await, 422, "bad_cursor").await;
    problem(ask(&app, &format!("{log}?state=failed&limit=x")).await, 422, "bad_query").await;
}

/// Whether a text reads `set.locked`.
fn is_action(text: &str) -> bool {
    let word = |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    text.split_once('.').is_some_and(|(what, done)| word(what) && word(done))
}

/// Words for what was done, wherever the sources write an entry of the audit log.
fn actions_of_the_source(dir: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            actions_of_the_source(&path, found);
            continue;
        }
        if path.extension().is_none_or(|kind| kind != "rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        for before in ["record(", "refusal(", "let action = ", "Line {"] {
            for statement in text.split(before).skip(1).filter_map(|rest| rest.split(';').next()) {
                for literal in statement.split('"').skip(1).step_by(2) {
                    match literal.strip_prefix("{}.") {
                        Some(done) => {
                            found.extend(["prompt", "partial"].map(|what| format!("{what}.{done}")))
                        }
                        None if is_action(literal) => found.extend([literal.to_owned()]),
                        None => {}
                    }
                }
            }
        }
    }
}

#[test]
fn the_list_of_actions_holds_every_word_that_is_written() {
    let mut found = BTreeSet::new();
    actions_of_the_source(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(
        found.len() > 60 && found.contains("partial.renamed") && found.contains("request.refused"),
        "{found:?}"
    );
    let known: BTreeSet<&str> = ACTIONS.iter().chain(OF_INSTALLATION).copied().collect();
    assert_eq!(known.len(), ACTIONS.len() + OF_INSTALLATION.len(), "an action stands there twice");
    assert!(known.iter().all(|action| is_action(action)), "{known:?}");
    let missing: Vec<_> = found.iter().filter(|action| !known.contains(action.as_str())).collect();
    assert!(missing.is_empty(), "give {missing:?} a line in forge-api/src/audit/action.rs");
    assert!(ACTIONS.is_sorted() && OF_INSTALLATION.is_sorted());
}
