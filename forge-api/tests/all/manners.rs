//! What holds for every route of the API: pages of lists, names that are not known, ETags, doing a thing once, and
//! that the description says what is so.

use std::collections::BTreeSet;
use std::path::Path;

use forge_api::api;
use forge_api::auth::Role;
use forge_api::auth::route::{API, Access, Route};
use forge_api::error::code::CODES;
use forge_api::webhook::EVENTS;
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{App, PUBLICATIONS, SET, json_of, on_both, problem};
use crate::authorization::{address, body, furnish};

on_both!(
    every_list_has_pages_that_leave_nothing_out,
    a_name_that_is_not_known_is_refused_by_every_route,
    what_is_read_has_a_tag_and_is_not_sent_twice,
    what_is_asked_twice_with_one_key_is_done_once,
    filters_leave_only_what_is_wanted,
    every_answer_is_one_that_the_description_names,
);

const PROJECTS: &str = "/api/v1/organisations/acme/projects";

fn operation(route: &Route) -> &'static Value {
    &api::document()["paths"][route.path.replace("{*", "{")][route.method.to_lowercase()]
}

/// Lists, as the description has them.
fn lists() -> impl Iterator<Item = &'static Route> {
    API.iter().filter(|route| route.method == "GET").filter(|route| {
        let schema = &operation(route)["responses"]["200"]["content"]["application/json"]["schema"]["$ref"];
        schema.as_str().is_some_and(|name| name.contains("/List_of_"))
    })
}

fn with(path: &str, query: &str) -> String {
    format!("{path}{}{query}", if path.contains('?') { '&' } else { '?' })
}

async fn every_list_has_pages_that_leave_nothing_out(app: App) {
    let credential = furnish(&app).await;
    let browser = app.browser().await;
    for name in ["b", "c", "d"] {
        app.post(PROJECTS, 201, json!({ "slug": name })).await;
        app.post("/api/v1/projects/acme:support/sets", 201, json!({ "slug": name })).await;
        app.publish("1.0.0", "prod").await;
    }
    let mut long = 0;
    for route in lists() {
        let path = address(route, &credential);
        let get = async |path: &str| app.by(&browser, Method::GET, path).send().await.unwrap();
        let whole = json_of(get(&path).await, 200).await;
        let whole = whole["items"].as_array().unwrap();
        if let Some((_, why)) = api::BOUNDED.iter().find(|(path, _)| *path == route.path) {
            assert_eq!(operation(route)["x-bounded"], *why);
            continue;
        }
        let what = format!(
            "GET {}: take the pages of api/page.rs, or say in BOUNDED why it stays short",
            route.path
        );
        problem(get(&with(&path, "cursor=nonsense")).await, 422, "bad_cursor").await;
        problem(get(&with(&path, "limit=0")).await, 422, "bad_query").await;
        let mut next = Some(with(&path, "limit=1"));
        let mut found = Vec::new();
        while let Some(path) = next.take() {
            let answer = get(&path).await;
            let link = answer.headers().get("link").map(|link| link.to_str().unwrap().to_owned());
            let page = json_of(answer, 200).await;
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= 1, "{what}");
            found.extend(items.clone());
            assert_eq!(page["next"].is_string(), link.is_some(), "{what}");
            next = link.map(|link| {
                let (target, rel) = link.trim_start_matches('<').split_once('>').unwrap();
                assert_eq!(rel, "; rel=\"next\"");
                assert!(target.contains(page["next"].as_str().unwrap()));
                target.to_owned()
            });
            assert!(found.len() <= whole.len() + 3, "{what}: it does not end");
        }
        // The audit log grows meanwhile, and a session is seen again.
        let ids = |all: &[Value]| -> Vec<Value> { all.iter().map(|item| item["id"].clone()).collect() };
        assert_eq!(ids(&found), ids(whole), "{what}");
        assert_eq!(found.len(), whole.len(), "{what}");
        long += usize::from(found.len() > 2);
    }
    assert!(long >= 5, "only {long} lists had more than two pages");
}

async fn a_name_that_is_not_known_is_refused_by_every_route(app: App) {
    let credential = furnish(&app).await;
    let browser = app.browser().await;
    for route in API.iter().filter(|route| route.path.starts_with("/api/")) {
        let what = format!("{} {}", route.method, route.path);
        let method: Method = route.method.parse().unwrap();
        let path = address(route, &credential);
        let asked = app.by(&browser, method.clone(), &with(&path, "colour=red")).json(&body(route));
        let found = problem(asked.send().await.unwrap(), 422, "unknown_parameter").await;
        assert!(found["detail"].as_str().unwrap().contains("colour"), "{what}: {found}");
        if operation(route)["requestBody"]["content"]["application/json"].is_null() {
            continue;
        }
        let mut more = body(route);
        more["colour"] = json!("red");
        let asked = app.by(&browser, method.clone(), &path).json(&more).send().await.unwrap();
        let found = problem(asked, 422, "unknown_field").await;
        assert!(found["detail"].as_str().unwrap().contains("colour"), "{what}: {found}");
        let plain = app.by(&browser, method.clone(), &path).header("content-type", "text/plain").body("x");
        problem(plain.send().await.unwrap(), 415, "bad_content_type").await;
        let broken = app.by(&browser, method, &path).header("content-type", "application/json").body("{");
        problem(broken.send().await.unwrap(), 422, "bad_json").await;
    }
    let answer = app.request(Role::Owner, Method::PATCH, PUBLICATIONS).send().await.unwrap();
    assert_eq!(answer.headers()["allow"], "GET, POST");
    problem(answer, 405, "method_not_allowed").await;
    let odd = app.request(Role::Owner, Method::GET, "/api/v1/projects/%ff").send().await.unwrap();
    problem(odd, 422, "bad_address").await;
    let much =
        app.request(Role::Owner, Method::POST, PUBLICATIONS).header("content-type", "application/json");
    // No byte more than it takes to refuse it: of a longer one the end may be on its way when the connection is closed.
    problem(much.body(vec![b' '; 32 * 1024 * 1024 + 1]).send().await.unwrap(), 413, "too_large").await;
}

async fn what_is_read_has_a_tag_and_is_not_sent_twice(app: App) {
    let credential = furnish(&app).await;
    let browser = app.browser().await;
    let mut tagged = 0;
    for route in API.iter().filter(|route| route.method == "GET" && route.path.starts_with("/api/")) {
        let path = address(route, &credential);
        let answer = app.by(&browser, Method::GET, &path).send().await.unwrap();
        // Files are made anew each time.
        let is_file = path.split('?').next().is_some_and(|path| path.ends_with("/export"));
        if answer.status() != 200 || is_file {
            continue;
        }
        let tag = answer.headers()["etag"].to_str().unwrap().to_owned();
        // What tells a time of now is another text each time.
        if ["/audit/verify", "/me", "/sessions", "/usage"].iter().any(|end| path.contains(end)) {
            continue;
        }
        let again = app.by(&browser, Method::GET, &path).header("if-none-match", &tag).send().await.unwrap();
        assert_eq!(again.status(), 304, "{path}");
        assert_eq!(again.headers()["etag"], tag.as_str());
        assert!(again.bytes().await.unwrap().is_empty());
        tagged += 1;
    }
    assert!(tagged > 15, "{tagged}");
    let tag = app.request(Role::Owner, Method::GET, SET).send().await.unwrap().headers()["etag"].clone();
    app.save("another", "Hello", &[]).await;
    let again = app.request(Role::Owner, Method::GET, SET).header("if-none-match", tag).send().await.unwrap();
    assert_eq!(again.status(), 200, "it changed");
}

async fn what_is_asked_twice_with_one_key_is_done_once(app: App) {
    let ask = |role: Role, path: &str, key: &str, body: Value| {
        app.request(role, Method::POST, path).header("idempotency-key", key).json(&body).send()
    };
    furnish(&app).await;
    let publish = json!({ "set": "chat", "environment": "prod", "version": "1.0.0" });
    // Two at once: one does it, and the other one waits or hears that it runs.
    let (one, two) = tokio::join!(
        ask(Role::Owner, PUBLICATIONS, "at once", publish.clone()),
        ask(Role::Owner, PUBLICATIONS, "at once", publish.clone())
    );
    let mut statuses = [one.unwrap().status().as_u16(), two.unwrap().status().as_u16()];
    statuses.sort_unstable();
    assert!([[201, 201], [201, 409]].contains(&statuses), "{statuses:?}");
    let before = app.get(PUBLICATIONS).await;

    let first = ask(Role::Owner, PUBLICATIONS, "k1", publish.clone()).await.unwrap();
    assert!(!first.headers().contains_key("idempotent-replayed"));
    let first = json_of(first, 201).await;
    let again = ask(Role::Owner, PUBLICATIONS, "k1", publish.clone()).await.unwrap();
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    assert_eq!(json_of(again, 201).await, first);
    let items = app.get(PUBLICATIONS).await["items"].as_array().unwrap().len();
    assert_eq!(items, before["items"].as_array().unwrap().len() + 1, "it was published once");

    let mut other = publish.clone();
    other["comment"] = json!("another");
    let reused = ask(Role::Owner, PUBLICATIONS, "k1", other).await.unwrap();
    problem(reused, 422, "idempotency_key_reused").await;
    let elsewhere = ask(Role::Owner, PROJECTS, "k1", json!({ "slug": "k1" })).await.unwrap();
    problem(elsewhere, 422, "idempotency_key_reused").await;
    // A key is its user's own.
    let theirs = ask(Role::Admin, PUBLICATIONS, "k1", publish.clone()).await.unwrap();
    assert_eq!(json_of(theirs, 201).await["serial"], first["serial"].as_i64().unwrap() + 1);
    for bad in ["", &"x".repeat(201)] {
        let bad = ask(Role::Owner, PUBLICATIONS, bad, publish.clone()).await.unwrap();
        problem(bad, 422, "bad_idempotency_key").await;
    }
    // After a refusal nothing was changed, so that the same key may ask anew.
    let refused = ask(Role::Owner, PROJECTS, "k2", json!({ "slug": "support" })).await.unwrap();
    problem(refused, 409, "name_taken").await;
    let made = ask(Role::Owner, PROJECTS, "k2", json!({ "slug": "another" })).await.unwrap();
    json_of(made, 201).await;
    // A secret that is shown once is shown again to who did not hear it, and lies sealed meanwhile.
    let path = "/api/v1/projects/acme:support/credentials";
    let new = json!({ "environment": "prod", "name": "once" });
    let made = json_of(ask(Role::Owner, path, "k3", new.clone()).await.unwrap(), 201).await;
    assert_eq!(json_of(ask(Role::Owner, path, "k3", new).await.unwrap(), 201).await, made);
    let secret = made["creds"].as_str().unwrap().lines().nth(1).unwrap().to_owned();
    assert!(!app.dump_postgres().contains(&secret));
}

async fn filters_leave_only_what_is_wanted(app: App) {
    furnish(&app).await;
    app.publish("draft", "dev").await;
    let sets = "/api/v1/projects/acme:support/sets";
    app.post(sets, 201, json!({ "slug": "other", "name": "Refunds" })).await;
    let count = async |path: &str| app.get(path).await["items"].as_array().unwrap().len();
    for (path, wanted) in [
        (format!("{sets}?q=refu"), 1),
        (format!("{sets}?q=nothing"), 0),
        (format!("{sets}?state=editing"), 2),
        (format!("{sets}?state=locked"), 0),
        (format!("{PUBLICATIONS}?environment=dev"), 1),
        (format!("{PUBLICATIONS}?environment=staging"), 0),
        (format!("{PUBLICATIONS}?set=chat&state=waiting"), 2),
        (format!("{PUBLICATIONS}?state=failed"), 0),
        (format!("{SET}/versions?kind=snapshot"), 1),
        (format!("{PROJECTS}?q=SUPP"), 1),
        ("/api/v1/projects/acme:support/credentials?environment=prod&state=active".into(), 1),
        ("/api/v1/projects/acme:support/credentials?environment=dev".into(), 0),
    ] {
        assert_eq!(count(&path).await, wanted, "{path}");
    }
    let none = app.request(Role::Owner, Method::GET, &format!("{PUBLICATIONS}?environment=moon"));
    problem(none.send().await.unwrap(), 404, "not_found").await;
}

async fn every_answer_is_one_that_the_description_names(app: App) {
    let credential = furnish(&app).await;
    for route in API {
        let (what, known) =
            (format!("{} {}", route.method, route.path), operation(route)["responses"].clone());
        let mut path = address(route, &credential);
        if (route.method, route.path) == ("DELETE", "/api/v1/sessions") {
            path.push_str("?revoke_tokens=false");
        }
        let method: Method = route.method.parse().unwrap();
        let browser = app.browser().await;
        for request in [
            app.anonymous(method.clone(), &path),
            app.strange(method.clone(), &path),
            app.request(Role::Viewer, method.clone(), &path),
            app.request(Role::Owner, method.clone(), &path),
            app.by(&browser, method.clone(), &path),
        ] {
            let answer = request.json(&body(route)).send().await.unwrap();
            let status = answer.status().as_u16().to_string();
            let kind = answer.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
            let found = &known[&status];
            assert!(found.is_object(), "{what} answers {status}, which the description does not name");
            let Some(kind) = kind else {
                assert!(found["content"].is_null(), "{what} {status}: the description promises a body");
                continue;
            };
            let kind = kind.split(';').next().unwrap().to_owned();
            let named = found["content"]
                .as_object()
                .is_some_and(|all| all.contains_key(&kind) || all.contains_key("*/*"));
            assert!(named, "{what} answers {status} as {kind}: add it to bodies of api/openapi.rs");
        }
        if route.path.ends_with("/lock") {
            app.reopen().await;
        }
    }
}

#[test]
fn every_operation_has_a_name_of_its_own_and_a_body_that_is_described() {
    let mut seen = BTreeSet::new();
    for route in API {
        let found = operation(route);
        let name = found["operationId"].as_str().unwrap_or_else(|| panic!("{route:?} is not described"));
        assert!(seen.insert(name), "{name} stands for two operations");
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit()), "{name}");
        let takes = !found["requestBody"].is_null();
        let sends = !matches!(body(route), Value::Object(all) if all.is_empty());
        assert!(
            takes || !sends,
            "{} {} takes a body: add it to bodies of api/openapi.rs",
            route.method,
            route.path
        );
        assert!(found["security"] == json!([]) || route.access != Access::Public);
    }
    assert!(seen.contains("list_project_sets") && seen.contains("get_project_set"), "{seen:?}");
    assert!(seen.contains("create_project_publication") && seen.contains("lock_project_set"), "{seen:?}");
}

/// Every text of the source that stands where a code stands.
fn codes_of_the_source(dir: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            codes_of_the_source(&path, found);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        for before in ["ApiError::invalid(", "ApiError::conflict(", "code: "] {
            for rest in text.split(before).skip(1) {
                let Some(rest) = rest.trim_start().strip_prefix('"') else { continue };
                let code = rest.split('"').next().unwrap_or_default();
                let is_code = !code.is_empty() && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
                if is_code {
                    found.insert(code.to_owned());
                }
            }
        }
    }
}

#[test]
fn every_code_of_a_problem_has_its_sentence() {
    let mut found = BTreeSet::new();
    codes_of_the_source(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 25, "{found:?}");
    let known: BTreeSet<&str> = CODES.iter().map(|code| code.name).collect();
    assert_eq!(known.len(), CODES.len(), "a code stands there twice");
    let missing: Vec<_> = found.iter().filter(|code| !known.contains(code.as_str())).collect();
    assert!(missing.is_empty(), "give {missing:?} a line in CODES of forge-api/src/error/code.rs");
    let order: Vec<_> = CODES.iter().map(|code| (code.status, code.name)).collect();
    assert!(order.is_sorted(), "codes stand by status and name");
}

#[test]
fn the_guide_lists_every_code_and_every_event() {
    let guide =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/API.md")).unwrap();
    let rows: Vec<&str> = guide.lines().filter(|line| line.starts_with("| `")).collect();
    let codes = CODES.iter().map(|c| format!("| `{}` | {} | {} |", c.name, c.status, c.text));
    let events = EVENTS.iter().map(|(name, text)| format!("| `{name}` | {text} |"));
    for row in codes.chain(events) {
        assert!(rows.contains(&row.as_str()), "docs/API.md lacks the line\n{row}");
    }
    assert_eq!(rows.len(), CODES.len() + EVENTS.len() + 1, "docs/API.md has a line for what is not there");
}
