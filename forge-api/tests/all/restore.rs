//! A whole draft made again what a version was: all of it or nothing, and nothing is destroyed.

use forge_api::auth::Role;
use reqwest::header::LOCATION;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::app::{App, SET, on_both, problem, prompt};

on_both!(
    a_draft_becomes_what_a_version_was,
    what_was_renamed_gets_its_name_back,
    what_other_sets_have_is_asked_for_as_it_was,
    a_draft_is_restored_whole_or_not_at_all,
    the_page_asks_first_and_says_what_it_writes,
);

const BRAND: &str = "/api/v1/projects/acme:support/sets/brand";
const PAGE: &str = "/acme/support/chat/-/restore";

async fn send(app: &App, role: Role, method: Method, path: &str, body: Value) -> Response {
    app.request(role, method, path).json(&body).send().await.unwrap()
}

/// Saves a partial of a set; `revision` 0 makes it.
async fn partial(app: &App, set: &str, name: &str, source: &str, revision: i64) {
    let put = app.request(Role::Owner, Method::PUT, &format!("{set}/partials/{name}"));
    let put = put.header("if-match", format!("\"{revision}\"")).json(&json!({ "source": source }));
    let status = put.send().await.unwrap().status();
    assert_eq!(status, if revision == 0 { 201 } else { 200 }, "{name}");
}

async fn restore(app: &App, body: Value) -> Value {
    app.post(&format!("{SET}/actions/restore-version"), 200, body).await
}

async fn refused(app: &App, role: Role, body: Value, status: u16, code: &str) -> Value {
    let path = format!("{SET}/actions/restore-version");
    problem(send(app, role, Method::POST, &path, body).await, status, code).await
}

async fn digest(app: &App) -> String {
    app.get(SET).await["draft_digest"].as_str().unwrap().to_owned()
}

/// What the audit log holds, without what was refused.
async fn log(app: &App) -> Vec<String> {
    let all = app.audit(&app.organisation.id).await.into_iter().map(|entry| entry.action);
    all.filter(|action| !action.ends_with(".refused")).collect()
}

/// Kind and id of each.
fn names(list: &Value) -> Vec<(&str, &str)> {
    let all = list.as_array().unwrap().iter();
    all.map(|one| (one["kind"].as_str().unwrap(), one["id"].as_str().unwrap())).collect()
}

/// Number, message and whether it went, of each revision, the newest first.
async fn history(app: &App, path: &str) -> Vec<(i64, String, bool)> {
    let found = app.get(&format!("{SET}/{path}")).await;
    let one = |r: &Value| {
        let message = r["message"].as_str().unwrap().to_owned();
        (r["revision"].as_i64().unwrap(), message, r["deleted"].as_bool().unwrap())
    };
    found["items"].as_array().unwrap().iter().map(one).collect()
}

/// A draft that is locked as 1.2.0 and opened again; gives its digest.
async fn locked(app: &App) -> String {
    app.save("welcome.message", "Hello {{ name }}\n{% include \"tone\" %}", &["name"]).await;
    app.save("bye", "Bye\n", &[]).await;
    app.save("same", "Same\n", &[]).await;
    partial(app, SET, "tone", "Be kind.", 0).await;
    app.lock("1.2.0").await;
    app.reopen().await;
    digest(app).await
}

/// Changes, adds and archives.
async fn edited(app: &App) {
    app.save_from("welcome.message", "Good day {{ name }}\n", &["name"], Some(1), 200).await;
    partial(app, SET, "tone", "Be brief.", 1).await;
    app.save("news", "News\n", &[]).await;
    partial(app, SET, "loud", "Shout.", 0).await;
    app.post(&format!("{SET}/actions/archive"), 200, json!({ "id": "bye" })).await;
}

async fn a_draft_becomes_what_a_version_was(app: App) {
    let was = locked(&app).await;
    edited(&app).await;
    let (now, before) = (digest(&app).await, log(&app).await.len());
    assert_ne!(now, was);

    let done = restore(&app, json!({ "version": "1.2.0", "draft_digest": now })).await;
    assert_eq!(names(&done["added"]), [("prompt", "bye")]);
    assert_eq!(names(&done["changed"]), [("prompt", "welcome.message"), ("partial", "tone")]);
    assert_eq!(names(&done["archived"]), [("prompt", "news"), ("partial", "loud")]);
    assert_eq!((&done["unchanged"], &done["dependencies"]), (&json!(1), &json!([])), "{done}");
    assert_eq!(done["draft_digest"], was);
    assert_eq!(digest(&app).await, was);
    let changes = app.get(&format!("{SET}/compare?old=1.2.0&new=draft")).await;
    assert_eq!(changes["differences"], json!([]), "{changes}");

    // Every revision stays, and what is the same has none more.
    let why = "Restored from 1.2.0".to_owned();
    let none = String::new;
    let path = "history/welcome.message";
    let all = [(3, why.clone(), false), (2, none(), false), (1, none(), false)];
    assert_eq!(history(&app, path).await, all);
    let all = [(3, why.clone(), false), (2, "archived".to_owned(), true), (1, none(), false)];
    assert_eq!(history(&app, "history/bye").await, all);
    assert_eq!(history(&app, "history/news").await, [(2, why.clone(), true), (1, none(), false)]);
    assert_eq!(history(&app, "partial-history/tone").await.len(), 3);
    assert_eq!(history(&app, "history/same").await, [(1, none(), false)]);
    let state = app.get(&format!("{SET}/states?limit=1")).await["items"][0].clone();
    assert_eq!((&state["message"], &state["count"]), (&json!(why), &json!(5)), "it is one state: {state}");
    let archived = app.get(&format!("{SET}/archived")).await;
    let mut archived = names(&archived["items"]);
    archived.sort_unstable();
    assert_eq!(archived, [("partial", "loud"), ("prompt", "news")]);
    assert_eq!(log(&app).await[before..], ["draft.restored"]);

    // It is that already: nothing is written.
    let done = restore(&app, json!({ "version": "1.2.0" })).await;
    assert_eq!((&done["changed"], &done["unchanged"]), (&json!([]), &json!(4)));
    assert_eq!(log(&app).await.len(), before + 1);
    // It is locked and published as any draft is.
    app.lock("1.2.1").await;
}

async fn what_was_renamed_gets_its_name_back(app: App) {
    app.save("hello", "Hello {{ name }} {% include \"tone\" %}", &["name"]).await;
    partial(&app, SET, "tone", "Be kind.", 0).await;
    let usual = |prompt: &str| format!("{SET}/variable-sets/usual?prompt={prompt}");
    let values = json!({ "values": { "name": "Ada" } });
    assert_eq!(send(&app, Role::Owner, Method::PUT, &usual("hello"), values).await.status(), 201);
    app.lock("1.0.0").await;
    app.reopen().await;
    let was = digest(&app).await;
    for (kind, id, to) in [("prompt", "hello", "greet"), ("partial", "tone", "voice")] {
        let body = json!({ "kind": kind, "id": id, "to": to });
        app.post(&format!("{SET}/actions/rename"), 200, body).await;
    }
    let done = restore(&app, json!({ "version": "1.0.0" })).await;
    let changed = json!([
        { "kind": "prompt", "id": "hello", "from": "greet" },
        { "kind": "partial", "id": "tone", "from": "voice" },
    ]);
    assert_eq!(
        (&done["changed"], &done["added"], &done["archived"]),
        (&changed, &json!([]), &json!([])),
        "{done}"
    );
    assert_eq!(digest(&app).await, was);
    // What belongs to it goes along, and its history goes on.
    assert_eq!(app.get(&usual("hello")).await["values"]["name"], "Ada");
    let names: Vec<Value> = app.get(&format!("{SET}/history/hello")).await["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| json!([r["name"], r["renamed_from"]]))
        .collect();
    assert_eq!(names.first(), Some(&json!(["hello", "greet"])), "{names:?}");
    assert_eq!(names.last(), Some(&json!(["hello", null])), "{names:?}");
    let changes = app.get(&format!("{SET}/compare?old=1.0.0&new=draft")).await;
    assert_eq!(changes["differences"], json!([]), "{changes}");
}

/// A set `brand` with a partial `footer`, locked as 1.0.0, which `chat` takes in and is locked with as 1.0.0.
async fn branded(app: &App) {
    app.post("/api/v1/projects/acme:support/sets", 201, json!({ "slug": "brand" })).await;
    let about = format!("{BRAND}/prompts/about");
    let put = send(app, Role::Owner, Method::PUT, &about, prompt("about", "x", &[])).await;
    assert_eq!(put.status(), 201);
    partial(app, BRAND, "footer", "Fernway", 0).await;
    app.post(&format!("{BRAND}/lock"), 201, json!({ "version": "1.0.0" })).await;
    app.post(&format!("{BRAND}/reopen"), 204, json!({})).await;
    let taken = format!("{SET}/dependencies/brand");
    let put = send(app, Role::Owner, Method::PUT, &taken, json!({ "requirement": "^1" })).await;
    assert_eq!(put.status(), 200);
    app.save("welcome.message", "Hi {% include \"brand/footer\" %}", &[]).await;
    app.lock("1.0.0").await;
    app.reopen().await;
    app.save_from("welcome.message", "Hi", &[], Some(1), 200).await;
    let gone = app.request(Role::Owner, Method::DELETE, &taken).send().await.unwrap();
    assert_eq!(gone.status(), 204);
}

async fn what_other_sets_have_is_asked_for_as_it_was(app: App) {
    branded(&app).await;
    partial(&app, BRAND, "footer", "Fernway Ltd", 1).await;
    app.post(&format!("{BRAND}/lock"), 201, json!({ "version": "1.1.0" })).await;
    let done = restore(&app, json!({ "version": "1.0.0" })).await;
    assert_eq!(names(&done["changed"]), [("prompt", "welcome.message")]);
    assert_eq!(done["added"], json!([]), "what was taken in is no partial of its own: {done}");
    let taken = json!([
        { "set": "brand", "change": "new", "requirement": "^1", "was": "1.0.0", "now": "1.1.0" },
    ]);
    assert_eq!(done["dependencies"], taken);
    let now = app.get(&format!("{SET}/dependencies")).await["items"][0].clone();
    assert_eq!((&now["set"], &now["requirement"]), (&json!("brand"), &json!("^1")));
    // What a version did not take is not taken any more.
    app.save_from("welcome.message", "Bye", &[], Some(3), 200).await;
    let gone = app.request(Role::Owner, Method::DELETE, &format!("{SET}/dependencies/brand"));
    assert_eq!(gone.send().await.unwrap().status(), 204);
    app.lock("2.0.0").await;
    app.reopen().await;
    restore(&app, json!({ "version": "1.0.0" })).await;
    let done = restore(&app, json!({ "version": "2.0.0" })).await;
    assert_eq!(done["dependencies"], json!([{ "set": "brand", "change": "removed", "requirement": "^1" }]));
    assert_eq!(app.get(&format!("{SET}/dependencies")).await["items"], json!([]));
}

async fn a_draft_is_restored_whole_or_not_at_all(app: App) {
    branded(&app).await;
    let circle = format!("{BRAND}/dependencies/chat");
    let put = send(&app, Role::Owner, Method::PUT, &circle, json!({ "requirement": "^1" })).await;
    assert_eq!(put.status(), 200);
    let (now, before) = (digest(&app).await, log(&app).await.len());
    let version = json!({ "version": "1.0.0" });
    let stale = json!({ "version": "1.0.0", "draft_digest": "sha256:0" });
    let told = refused(&app, Role::Owner, stale, 409, "draft_changed").await;
    assert_eq!(told["draft_digest"], now);
    // It fails at the last thing that is written.
    refused(&app, Role::Owner, version.clone(), 409, "dependency_cycle").await;
    refused(&app, Role::Owner, json!({ "version": "9.9.9" }), 422, "no_such_version").await;
    for role in [Role::Viewer, Role::Reviewer] {
        refused(&app, role, version.clone(), 403, "forbidden").await;
    }
    assert_eq!(digest(&app).await, now);
    assert_eq!(history(&app, "history/welcome.message").await.len(), 2);

    app.post(&format!("{SET}/reviews"), 201, json!({ "title": "Please" })).await;
    refused(&app, Role::Owner, version.clone(), 409, "in_review").await;
    app.post(&format!("{SET}/reviews/current/return"), 204, json!({})).await;
    app.lock("1.0.1").await;
    refused(&app, Role::Owner, version.clone(), 409, "locked").await;
    assert_eq!(digest(&app).await, now);
    assert!(!log(&app).await[before..].iter().any(|action| action == "draft.restored"));
}

async fn html(app: &App, role: Role, path: &str, status: u16) -> String {
    let answer = app.request(role, Method::GET, path).header("accept", "text/html").send().await.unwrap();
    let found = answer.status();
    let html = answer.text().await.unwrap();
    assert_eq!(found, status, "{path}: {html}");
    html
}

async fn the_page_asks_first_and_says_what_it_writes(app: App) {
    locked(&app).await;
    edited(&app).await;
    let page = format!("{PAGE}?version=1.2.0");
    for path in ["/-/versions/1.2.0", "/-/compare?from=1.2.0&to=draft", "/-/compare?from=draft&to=1.2.0"] {
        let path = format!("/acme/support/chat{path}");
        let link = |html: String| html.contains(&format!("href=\"{page}\""));
        assert!(link(html(&app, Role::ContextEngineer, &path, 200).await), "{path} leads there");
        assert!(!link(html(&app, Role::Viewer, &path, 200).await), "{path}: who may not is not led there");
    }
    html(&app, Role::Viewer, &page, 403).await;
    html(&app, Role::Owner, &format!("{PAGE}?version=9.9.9"), 422).await;

    let asked = html(&app, Role::ContextEngineer, &page, 200).await;
    for part in [
        "1: bye",
        "2: welcome.message, partial tone",
        "2: news, partial loud",
        "1 prompt or partial",
        "Restore 1.2.0",
    ] {
        assert!(asked.contains(part), "{part} in {asked}");
    }
    let digest = digest(&app).await;
    assert!(asked.contains(&format!("name=\"draft_digest\" value=\"{digest}\"")), "{asked}");
    let post = async |digest: &str| {
        let form = [("version", "1.2.0"), ("draft_digest", digest)];
        let request = app.request(Role::ContextEngineer, Method::POST, PAGE).header("accept", "text/html");
        request.form(&form).send().await.unwrap()
    };
    // Somebody saves after the page was opened: it is shown anew, and nothing is written.
    app.save("late", "Late\n", &[]).await;
    let answer = post(&digest).await;
    assert_eq!(answer.status(), 409);
    let anew = answer.text().await.unwrap();
    for part in ["Not restored.", "The draft changed after you opened it", "3: late, news, partial loud"] {
        assert!(anew.contains(part), "{part} in {anew}");
    }
    let answer = post(&self::digest(&app).await).await;
    assert_eq!(answer.status(), 303);
    let to = answer.headers()[LOCATION].to_str().unwrap().to_owned();
    assert_eq!(to, "/acme/support/chat/bye?restored=1.2.0");
    assert!(html(&app, Role::ContextEngineer, &to, 200).await.contains("The draft is what 1.2.0 was."));

    let asked = html(&app, Role::Owner, &page, 200).await;
    assert!(
        asked.contains("There is nothing to restore.") && !asked.contains("Restore 1.2.0</button>"),
        "{asked}"
    );
    app.save("more", "More\n", &[]).await;
    app.lock("1.3.0").await;
    let asked = html(&app, Role::Owner, &page, 200).await;
    assert!(asked.contains("The set is LOCKED.") && asked.contains("1: more"), "{asked}");
    assert!(!asked.contains("Restore 1.2.0</button>"), "{asked}");
    let answer = post(&self::digest(&app).await).await;
    assert_eq!(answer.status(), 409);
    assert!(answer.text().await.unwrap().contains("The set is LOCKED: reopen it before changing it"));
    assert_eq!(app.get(SET).await["state"], "locked");
}
