//! Archives of whole sets and projects, moved to another place: what comes along, what is refused, and what is nobody's
//! word there.

use std::collections::BTreeMap;

use exchange::archive::{Archive, place};
use exchange::files::{Files, pack, unpack};
use forge_api::auth::{Actor, Role};
use forge_api::author;
use reqwest::Method;
use schemas::canonical::{Digest, to_canonical};
use serde_json::{Value, json};

use crate::app::{App, SET, json_of, on_both, problem, prompt};

on_both!(
    a_project_moves_with_all_that_is_in_it,
    a_version_from_elsewhere_is_nobody_s_approval,
    an_archive_that_was_tampered_with_is_refused_whole,
    what_does_not_go_together_is_shown_before_anything_is_written,
    a_set_alone_brings_what_it_took_in_or_says_what_is_missing,
    a_protected_alias_is_moved_by_who_may_move_it,
    the_pages_import_a_whole_project,
);

const TONE: &str = "/api/v1/projects/acme:support/sets/tone";
const PROJECT: &str = "/api/v1/projects/acme:support";
const THERE: &str = "/api/v1/projects/globex:moved";

async fn put(app: &App, path: &str, body: Value) -> Value {
    let answer = app.request(Role::Owner, Method::PUT, path).json(&body).send().await.unwrap();
    let status = answer.status().as_u16();
    assert!(matches!(status, 200 | 201), "{path}: {}", answer.text().await.unwrap());
    json_of(answer, status).await
}

/// Two sets of which one takes partials from the other, three locked versions, names for them, values, and a past.
async fn furnish(app: &App) {
    app.post("/api/v1/projects/acme:support/sets", 201, json!({ "slug": "tone" })).await;
    put(app, &format!("{TONE}/prompts/about"), prompt("about", "About us", &[])).await;
    put(app, &format!("{TONE}/partials/footer"), json!({ "source": "Yours, Fernway" })).await;
    app.post(&format!("{TONE}/lock"), 201, json!({ "version": "1.0.0" })).await;
    put(app, &format!("{SET}/dependencies/tone"), json!({ "requirement": "^1" })).await;
    let text = "Hello {{ name }}\n{% include \"tone/footer\" %}";
    let path = format!("{SET}/prompts/welcome.message?message=the%20first");
    put(app, &path, prompt("welcome.message", text, &["name"])).await;
    app.save("old", "Soon gone", &[]).await;
    app.lock("1.0.0").await;
    app.reopen().await;
    app.save_from("welcome.message", &format!("Good day\n{text}"), &["name"], Some(1), 200).await;
    let gone = app.request(Role::Owner, Method::DELETE, &format!("{SET}/prompts/old"));
    assert_eq!(gone.header("if-match", "\"1\"").send().await.unwrap().status(), 204);
    app.lock("1.1.0").await;
    app.reopen().await;
    put(app, &format!("{SET}/aliases/stable"), json!({ "version": "1.0.0", "protected": true })).await;
    put(app, &format!("{SET}/aliases/canary"), json!({ "version": "1.1.0" })).await;
    let usual = format!("{SET}/variable-sets/usual?prompt=welcome.message");
    put(app, &usual, json!({ "values": { "name": "Ada" } })).await;
}

/// An empty project of another organisation.
async fn elsewhere(app: &App) {
    let path = "/api/v1/organisations/globex/projects";
    let made = app.strange(Method::POST, path).json(&json!({ "slug": "moved" })).send().await.unwrap();
    assert_eq!(made.status(), 201);
}

async fn exported(app: &App, path: &str) -> Vec<u8> {
    let request = if path.starts_with(THERE) {
        app.strange(Method::GET, &format!("{path}/export"))
    } else {
        app.request(Role::Viewer, Method::GET, &format!("{path}/export"))
    };
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.bytes().await.unwrap().to_vec()
}

async fn planned(app: &App, path: &str, bytes: Vec<u8>) -> reqwest::Response {
    let path = format!("{path}/imports?name=support.forge.zip");
    let request = if path.starts_with(THERE) {
        app.strange(Method::POST, &path)
    } else {
        app.request(Role::Owner, Method::POST, &path)
    };
    request.body(bytes).send().await.unwrap()
}

async fn applied(app: &App, path: &str, plan: &Value) -> reqwest::Response {
    let path = format!("{path}/imports/{}/apply", plan["id"].as_str().unwrap());
    let body = json!({ "digest": plan["digest"] });
    let request = if path.starts_with(THERE) {
        app.strange(Method::POST, &path)
    } else {
        app.request(Role::Owner, Method::POST, &path)
    };
    request.json(&body).send().await.unwrap()
}

async fn seen(app: &App, path: &str) -> Value {
    json_of(app.strange(Method::GET, &format!("{THERE}{path}")).send().await.unwrap(), 200).await
}

/// What becomes of one thing, and why.
fn item<'p>(plan: &'p Value, name: &str) -> (&'p str, &'p str) {
    let items = plan["items"].as_array().unwrap();
    let found = items.iter().find(|item| item["name"] == name);
    let found = found.unwrap_or_else(|| panic!("{name} is not in {plan}"));
    (found["change"].as_str().unwrap(), found["why"].as_str().unwrap_or_default())
}

/// A lock file without what has to differ in another place.
fn anywhere(lock: &[u8]) -> Value {
    let mut lock: Value = serde_json::from_slice(lock).unwrap();
    for version in lock["versions"].as_array_mut().unwrap() {
        let version = version.as_object_mut().unwrap();
        version.remove("digest");
        version.remove("imported");
        for taken in version["dependencies"].as_array_mut().unwrap() {
            taken.as_object_mut().unwrap().remove("digest");
        }
    }
    lock
}

async fn a_project_moves_with_all_that_is_in_it(app: App) {
    furnish(&app).await;
    elsewhere(&app).await;
    let bytes = exported(&app, PROJECT).await;
    assert_eq!(exported(&app, PROJECT).await, bytes, "the same state is the same bytes");
    let plan = json_of(planned(&app, THERE, bytes.clone()).await, 201).await;
    assert_eq!((&plan["counts"]["conflict"], &plan["counts"]["changed"]), (&json!(0), &json!(0)), "{plan}");
    for name in [
        "chat/set",
        "tone/set",
        "chat/versions/1.0.0",
        "chat/versions/1.1.0",
        "tone/versions/1.0.0",
        "chat/aliases/stable",
        "chat/dependencies/tone",
        "chat/variables/welcome.message/usual",
        "chat/history/prompts/old",
        "tone/history/partials/footer",
    ] {
        assert_eq!(item(&plan, name).0, "new");
    }
    assert_eq!(seen(&app, "/sets").await["items"], json!([]), "a plan writes nothing");
    json_of(applied(&app, THERE, &plan).await, 200).await;

    let (here, there) =
        (unpack("a.zip", &bytes).unwrap(), unpack("b.zip", &exported(&app, THERE).await).unwrap());
    assert_eq!(here.keys().collect::<Vec<_>>(), there.keys().collect::<Vec<_>>());
    for (path, bytes) in here.iter().filter(|(path, _)| *path != "forge.json") {
        if path.ends_with("/lock.json") {
            assert_eq!(anywhere(bytes), anywhere(&there[path]), "{path}");
        } else if path.contains("/versions/") {
            assert_ne!(bytes, &there[path]);
            assert_eq!(place::content(bytes).unwrap(), place::content(&there[path]).unwrap(), "{path}");
        } else {
            assert_eq!(String::from_utf8_lossy(bytes), String::from_utf8_lossy(&there[path]), "{path}");
        }
    }
    // A version stands there as if it had been locked there: under its own digest, taking in what is there.
    let version = seen(&app, "/sets/chat/versions/1.1.0").await;
    let body =
        app.strange(Method::GET, &format!("{THERE}/sets/chat/versions/1.1.0/bundle")).send().await.unwrap();
    let body = body.bytes().await.unwrap();
    assert_eq!(version["digest"], Digest::of(&body).to_string());
    let bundle: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&bundle["organisation"], &bundle["project"]), (&json!("globex"), &json!("moved")));
    assert_eq!(version["imported"]["set"], "acme/support/chat");
    assert_eq!(
        (&version["author"], &version["imported"]["imported_by"]),
        (&json!("owner"), &json!("stranger"))
    );
    let taken = seen(&app, "/sets/chat/versions/1.1.0/dependencies").await;
    assert_eq!(taken["items"][0]["digest"], seen(&app, "/sets/tone/versions/1.0.0").await["digest"]);
    assert_eq!(seen(&app, "/sets/chat/aliases/latest").await["version"], "1.1.0");
    assert_eq!(seen(&app, "/sets/chat/aliases/stable").await["protected"], true);

    // Again, nothing is left to do, here and there.
    for (path, bytes) in [(THERE, bytes.clone()), (THERE, exported(&app, THERE).await), (PROJECT, bytes)] {
        let plan = json_of(planned(&app, path, bytes).await, 201).await;
        let counts = &plan["counts"];
        assert_eq!(
            (&counts["new"], &counts["changed"], &counts["conflict"]),
            (&json!(0), &json!(0), &json!(0))
        );
    }
}

async fn a_version_from_elsewhere_is_nobody_s_approval(app: App) {
    furnish(&app).await;
    elsewhere(&app).await;
    let plan = json_of(planned(&app, THERE, exported(&app, PROJECT).await).await, 201).await;
    json_of(applied(&app, THERE, &plan).await, 200).await;
    // The past keeps its authors as names, and says who brought it.
    let past = seen(&app, "/sets/chat/history/welcome.message").await;
    let past = past["items"].as_array().unwrap();
    assert_eq!(past.len(), 2, "{past:?}");
    assert_eq!((&past[1]["author"], &past[1]["imported_by"]), (&json!("owner"), &json!("stranger")));
    assert_eq!(past[1]["message"], "the first");
    // Who brought it wrote what the next version says.
    let locked =
        app.strange(Method::POST, &format!("{THERE}/sets/chat/lock")).json(&json!({ "version": "1.2.0" }));
    let locked = json_of(locked.send().await.unwrap(), 201).await;
    assert_eq!(locked["author"], "stranger");
    // A rule asks for approvals of this place.
    let rule = format!("{THERE}/environments/prod/rule");
    let rule = app.strange(Method::PUT, &rule).json(&json!({ "approvals": 1 })).send().await.unwrap();
    assert_eq!(rule.status(), 200);
    let body = json!({ "set": "chat", "environment": "prod", "version": "1.1.0" });
    let publish =
        |body: Value| app.strange(Method::POST, &format!("{THERE}/publications")).json(&body).send();
    let refused = json_of(publish(body.clone()).await.unwrap(), 409).await;
    assert_eq!(refused["code"], "approvals_missing", "{refused}");
    let body = json!({ "set": "chat", "environment": "dev", "version": "1.1.0" });
    assert_eq!(publish(body).await.unwrap().status(), 201);

    let globex = author::find_organisation(&app.state, &Actor::console(), "globex").await.unwrap();
    let audit = app.audit(&globex.id).await;
    let of = |action: &str| audit.iter().filter(|e| e.action == action).collect::<Vec<_>>();
    assert_eq!((of("project.imported").len(), of("set.created").len()), (1, 2));
    let versions = of("version.imported");
    assert_eq!(versions.len(), 3);
    assert!(versions.iter().all(|e| e.detail.contains("acme/support") && e.detail.contains("content")));
}

/// An archive in which a file was changed, and every digest that stands in `forge.json` with it.
fn forged(bytes: &[u8], path: &str, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut files: Files = unpack("a.zip", bytes).unwrap();
    let mut value: Value = serde_json::from_slice(&files[path]).unwrap();
    change(&mut value);
    files.insert(path.into(), to_canonical(&value).unwrap());
    let mut head: Value = serde_json::from_slice(&files["forge.json"]).unwrap();
    let digests: BTreeMap<&String, String> = files
        .iter()
        .filter(|(path, _)| *path != "forge.json")
        .map(|(path, bytes)| (path, Digest::of(bytes).to_string()))
        .collect();
    head["files"] = json!(digests);
    let head = to_canonical(&head).unwrap();
    files.insert("forge.json".into(), head);
    pack(&files).unwrap()
}

async fn an_archive_that_was_tampered_with_is_refused_whole(app: App) {
    furnish(&app).await;
    elsewhere(&app).await;
    let bytes = exported(&app, PROJECT).await;
    let version = "sets/chat/versions/1.1.0.json";
    let rude = |v: &mut Value| v["prompts"][0]["content"]["template"] = json!("Go away");
    let tampered = forged(&bytes, version, rude);
    problem(planned(&app, THERE, tampered).await, 422, "file_changed").await;
    let approved = forged(&bytes, "sets/chat/lock.json", |v| {
        v["versions"][0]["content"] = json!(Digest::of(b"other").to_string());
    });
    problem(planned(&app, THERE, approved).await, 422, "file_changed").await;
    // A past that cannot be, and a version that no agent could render.
    let past =
        forged(&bytes, "sets/chat/history.json", |v| v["changes"][0]["created_at"] = json!("yesterday"));
    problem(planned(&app, THERE, past).await, 422, "unreadable").await;
    assert_eq!(seen(&app, "/sets").await["items"], json!([]));
    // Into a project goes nothing else.
    problem(planned(&app, THERE, b"Hello".to_vec()).await, 422, "unknown_format").await;
}

async fn what_does_not_go_together_is_shown_before_anything_is_written(app: App) {
    furnish(&app).await;
    elsewhere(&app).await;
    let bytes = exported(&app, PROJECT).await;
    let plan = json_of(planned(&app, THERE, bytes.clone()).await, 201).await;
    // Somebody was quicker: the same number says something else there.
    let sets = format!("{THERE}/sets");
    let made = app.strange(Method::POST, &sets).json(&json!({ "slug": "tone" })).send().await.unwrap();
    assert_eq!(made.status(), 201);
    let one =
        app.strange(Method::PUT, &format!("{sets}/tone/prompts/about")).json(&prompt("about", "Us", &[]));
    assert_eq!(one.send().await.unwrap().status(), 201);
    let locked = app.strange(Method::POST, &format!("{sets}/tone/lock")).json(&json!({ "version": "1.0.0" }));
    assert_eq!(locked.send().await.unwrap().status(), 201);
    problem(applied(&app, THERE, &plan).await, 409, "plan_changed").await;
    let plan = json_of(planned(&app, THERE, bytes).await, 201).await;
    let (change, why) = item(&plan, "tone/versions/1.0.0");
    assert_eq!(change, "conflict");
    assert!(why.contains("another content"), "{why}");
    assert!(item(&plan, "tone/set").1.contains("LOCKED"));
    let refused = problem(applied(&app, THERE, &plan).await, 409, "import_conflicts").await;
    assert!(refused["conflicts"].to_string().contains("tone/versions/1.0.0"), "{refused}");
    let slugs = seen(&app, "/sets").await;
    assert_eq!(slugs["items"].as_array().unwrap().len(), 1, "the other set was not made either");
}

async fn a_set_alone_brings_what_it_took_in_or_says_what_is_missing(app: App) {
    furnish(&app).await;
    elsewhere(&app).await;
    let sets = format!("{THERE}/sets");
    for slug in ["tone", "talk"] {
        let made = app.strange(Method::POST, &sets).json(&json!({ "slug": slug })).send().await.unwrap();
        assert_eq!(made.status(), 201);
    }
    let chat = exported(&app, SET).await;
    let talk = format!("{THERE}/sets/talk");
    let plan = json_of(planned(&app, &talk, chat.clone()).await, 201).await;
    let (change, why) = item(&plan, "versions/1.0.0");
    assert_eq!(change, "conflict");
    assert!(why.contains("tone 1.0.0"), "{why}");
    // What it took in comes first; then the set goes under another name too.
    let tone =
        json_of(planned(&app, &format!("{THERE}/sets/tone"), exported(&app, TONE).await).await, 201).await;
    json_of(applied(&app, &format!("{THERE}/sets/tone"), &tone).await, 200).await;
    let plan = json_of(planned(&app, &talk, chat).await, 201).await;
    assert_eq!(plan["counts"]["conflict"], 0, "{plan}");
    json_of(applied(&app, &talk, &plan).await, 200).await;
    let bundle = seen(&app, "/sets/talk/versions/1.1.0/bundle").await;
    assert_eq!((&bundle["set"], &bundle["version"]), (&json!("talk"), &json!("1.1.0")));
    let archive = Archive::read(&unpack("a.zip", &exported(&app, &talk).await).unwrap()).unwrap();
    let origin = archive.sets[0].versions[0].locked.imported.as_ref().unwrap();
    assert_eq!((origin.organisation.as_str(), origin.set.as_str()), ("acme", "chat"));
    // A version that is not above the last one here does not come in behind it.
    let old = forged(&exported(&app, SET).await, "sets/chat/aliases.json", |v| v["aliases"] = json!([]));
    let fresh = app.strange(Method::POST, &sets).json(&json!({ "slug": "fresh" })).send().await.unwrap();
    assert_eq!(fresh.status(), 201);
    let fresh = format!("{THERE}/sets/fresh");
    let one = app.strange(Method::PUT, &format!("{fresh}/prompts/a")).json(&prompt("a", "x", &[]));
    assert_eq!(one.send().await.unwrap().status(), 201);
    for (action, body, status) in [("lock", json!({ "version": "3.0.0" }), 201), ("reopen", json!({}), 204)] {
        let done = app.strange(Method::POST, &format!("{fresh}/{action}")).json(&body).send().await.unwrap();
        assert_eq!(done.status(), status);
    }
    let plan = json_of(planned(&app, &fresh, old).await, 201).await;
    assert!(item(&plan, "versions/1.1.0").1.contains("not above 3.0.0"), "{plan}");
}

async fn a_protected_alias_is_moved_by_who_may_move_it(app: App) {
    furnish(&app).await;
    let bytes = exported(&app, SET).await;
    app.post("/api/v1/projects/acme:support/sets", 201, json!({ "slug": "copy" })).await;
    let path = "/api/v1/projects/acme:support/sets/copy";
    let by =
        |role: Role| app.request(role, Method::POST, &format!("{path}/imports")).body(bytes.clone()).send();
    let plan = json_of(by(Role::ContextEngineer).await.unwrap(), 201).await;
    assert_eq!(item(&plan, "aliases/stable").0, "conflict");
    assert!(item(&plan, "aliases/stable").1.contains("admin"));
    assert_eq!(item(&plan, "aliases/canary").0, "new");
    problem(by(Role::Viewer).await.unwrap(), 403, "forbidden").await;
    let plan = json_of(by(Role::Admin).await.unwrap(), 201).await;
    assert_eq!(plan["counts"]["conflict"], 0, "{plan}");
    json_of(applied(&app, path, &plan).await, 200).await;
    assert_eq!(app.get(&format!("{path}/aliases/stable")).await["version"], "1.0.0");
}

async fn the_pages_import_a_whole_project(app: App) {
    furnish(&app).await;
    elsewhere(&app).await;
    let bytes = exported(&app, PROJECT).await;
    let browser = app.browser_by_link("stranger@example.org").await;
    let page = |path: String| {
        let request = app.by(&browser, Method::GET, &path).header("accept", "text/html");
        async move { request.send().await.unwrap().text().await.unwrap() }
    };
    let form = page("/globex/moved/-/import".into()).await;
    assert!(form.contains("Import into moved") && !form.contains("id=\"format\""), "{form}");
    let csrf = form.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let mut body = format!(
        "--x\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\n{csrf}\r\n--x\r\nContent-Disposition: form-data; \
         name=\"file\"; filename=\"support.forge.zip\"\r\n\r\n"
    )
    .into_bytes();
    body.extend(&bytes);
    body.extend(b"\r\n--x--\r\n");
    let sent = app
        .anonymous(Method::POST, "/globex/moved/-/import")
        .header("cookie", &browser.cookies)
        .header("accept", "text/html")
        .header("content-type", "multipart/form-data; boundary=x")
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(sent.status(), 303);
    let at = sent.headers()["location"].to_str().unwrap().to_owned();
    let shown = page(at.clone()).await;
    for part in ["3 locked versions", "2 aliases", "1 variable set", "chat/versions/1.1.0", "tone/set"] {
        assert!(shown.contains(part), "{part} is not on the page: {shown}");
    }
    let digest =
        shown.split("name=\"digest\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let fields =
        [("csrf", csrf.as_str()), ("digest", digest.as_str()), ("existing", "replace"), ("others", "keep")];
    let done = app.anonymous(Method::POST, &at).header("cookie", &browser.cookies).form(&fields);
    let done = done.send().await.unwrap();
    assert_eq!(done.status(), 303, "{}", done.text().await.unwrap());
    let project = page("/globex/moved".into()).await;
    assert!(project.contains("/globex/moved/chat") && project.contains("/globex/moved/tone"), "{project}");
    let version = page("/globex/moved/chat/-/versions/1.0.0".into()).await;
    assert!(version.contains("Locked in acme/support/chat; brought here by stranger"), "{version}");
    let history = page("/globex/moved/chat/-/history/welcome.message".into()).await;
    assert!(history.contains("brought by stranger"), "{history}");
}
