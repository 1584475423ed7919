//! Every route, asked by everybody.

use forge_api::api;
use forge_api::auth::route::{API, Access, PAGES, Route};
use forge_api::auth::scope::Scopes;
use forge_api::auth::{Action, Actor, Role};
use forge_api::author::{self, NewProject};
use forge_api::database::import::{self, ImportRow, ProjectImportRow};
use forge_api::database::invitation::{self, Invitation};
use forge_api::database::order::{self, Order};
use forge_api::database::review::{self, ReviewComment};
use forge_api::database::webhook::{self, Delivery, Webhook};
use forge_api::session::{self, NewToken};
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{App, SET, json_of, on_both, prompt};

on_both!(
    a_guest_reaches_the_granted_project_and_nothing_else,
    the_api_lets_each_role_do_what_the_table_says,
    pages_let_each_role_see_what_the_table_says,
    names_and_ids_of_another_organisation_open_nothing,
    a_token_may_no_more_than_its_role_and_a_session_as_much_as_its_user,
);

const WEBHOOK: &str = "hook";
const DELIVERY: &str = "sent";

/// A webhook of the project with one delivery, unless it is there.
async fn furnish_webhook(app: &App) {
    let mut tx = app.state.database.write().await.unwrap();
    if webhook::by_id(&mut tx, WEBHOOK).await.unwrap().is_some() {
        return;
    }
    let row = Webhook {
        id: WEBHOOK.into(),
        organisation_id: app.organisation.id.clone(),
        project_id: Some(app.at.project.id.clone()),
        name: "hook".into(),
        url: "https://hook.example/".into(),
        kind: "json".into(),
        events: "agent.stale".into(),
        secret: Vec::new(),
        enabled: true,
        created_by: "ada".into(),
        created_at: 1,
        updated_at: 1,
    };
    webhook::insert(&mut tx, &row).await.unwrap();
    let sent = Delivery {
        id: DELIVERY.into(),
        webhook_id: WEBHOOK.into(),
        event: "agent.stale".into(),
        subject: "acme/support in prod".into(),
        payload: "{}".into(),
        state: "delivered".into(),
        attempts: 1,
        not_before: 1,
        lease_until: 0,
        created_at: 1,
        sent_at: Some(1),
        status: Some(200),
        duration_us: Some(1),
        answer: Some("ok".into()),
        error: None,
    };
    webhook::enqueue(&mut tx, &[sent]).await.unwrap();
    tx.commit().await.unwrap();
}

/// The address of a route with something real in every place.
pub(crate) fn address(route: &Route, credential: &str) -> String {
    let path = route
        .path
        .replace("{project}", if route.path.starts_with("/api/") { "acme:support" } else { "support" })
        .replace("{organisation}", "acme")
        .replace("{set}", "chat")
        .replace("{environment}", "prod")
        .replace("{*prompt}", "welcome.message")
        .replace("{*partial}", "greeting")
        .replace("{version}", "1.0.0")
        .replace("{revision}", "1")
        .replace("{alias}", "latest")
        .replace("{dependency}", "chat")
        .replace("{number}", "1")
        .replace("{comment}", credential)
        .replace("{credential}", credential)
        .replace("{id}", credential)
        .replace("{pair}", "1.0.0...1.0.0")
        .replace("{guide}", "keys")
        .replace("{token}", "nothing")
        .replace("{user}", "guest@example.org")
        .replace("{person}", "granted@example.org")
        .replace("{invitation}", "invited")
        .replace("{session}", "nothing")
        .replace("{key}", "nothing")
        .replace("{import}", credential)
        .replace("{name}", "forge.css")
        .replace("{variable_set}", "usual");
    let path = path.replace("{webhook}", WEBHOOK).replace("{delivery}", DELIVERY);
    match path.rsplit('/').next() {
        Some("current_bundle") => format!("{path}?environment=prod&set=chat"),
        Some("breaks" | "approvals") => format!("{path}?set=chat&version=1.0.0"),
        Some("resolve") => format!("{path}?address=@acme/chat"),
        Some("compare") if path.starts_with("/api/") => format!("{path}?old=1.0.0&new=draft"),
        Some("recent") => format!("{path}?organisation=acme"),
        Some("search") => format!("{path}?q=wel"),
        Some("usage") => format!("{path}?set=chat"),
        Some("variable-sets" | "usual" | "playground") => format!("{path}?prompt=welcome.message"),
        Some("delete") => format!("{path}?prompt=welcome.message"),
        Some("archive" | "rename" | "duplicate") if !route.path.starts_with("/api/") => {
            format!("{path}?prompt=welcome.message")
        }
        Some("publish") => format!("{path}?version=1.0.0&environment=prod"),
        Some("restore") if !route.path.starts_with("/api/") => format!("{path}?version=1.0.0"),
        Some("compare") => format!("{path}?from=1.0.0&to=draft"),
        Some("order") => format!("{path}?environment=prod&mode=FROZEN"),
        Some("withdraw") => format!("{path}?environment=prod"),
        _ => path,
    }
}

/// A body that could be taken.
pub(crate) fn body(route: &Route) -> Value {
    match (route.method, route.path.rsplit('/').next().unwrap_or_default()) {
        ("POST", "organisations" | "projects" | "sets" | "environments") => json!({ "slug": "another" }),
        ("PUT", "me") => json!({ "name": "Somebody" }),
        ("POST", "sign-in-links") => json!({ "email": "asked@example.org" }),
        ("POST", "accept") => json!({ "token": "nothing", "name": "Somebody", "password": "wrong" }),
        ("POST", "invitations") => json!({ "email": "new@example.org", "role": "viewer" }),
        ("PUT", "grants") => json!({ "email": "viewer@example.org", "role": "reviewer" }),
        ("PUT", "members") => json!({ "email": "viewer@example.org", "role": "viewer" }),
        ("POST", "tokens") => json!({ "organisation": "acme", "role": "viewer" }),
        ("POST", "rename") => json!({ "id": "spare.one", "to": "spare.renamed" }),
        ("POST", "duplicate") if route.path.ends_with("/actions/duplicate") => {
            json!({ "id": "spare.one", "to": "spare.copied" })
        }
        ("POST", "duplicate") => json!({ "slug": "copied" }),
        ("POST", "archive" | "restore") => json!({ "id": "spare.two" }),
        // Of a draft that nobody saw: what other routes need stays.
        ("POST", "restore-version") => json!({ "version": "1.0.0", "draft_digest": "sha256:0" }),
        ("PATCH", _) => json!({ "name": "Another name" }),
        ("PUT", "{*prompt}") if route.path.contains("/notes/") => json!({ "body": "Ask Mara first." }),
        ("PUT" | "DELETE", "favourites") => json!({ "kind": "project", "project": "acme:support" }),
        ("PUT", "{*prompt}") => prompt("welcome.message", "Hello", &[]),
        ("PUT", "{*partial}") => json!({ "source": "Hello" }),
        ("POST", "check" | "preview") => json!({ "prompt": prompt("x", "Hello", &[]) }),
        ("POST", "render") => json!({ "prompt": "welcome.message" }),
        ("POST", "runs") => json!({ "prompt": "welcome.message", "model": "main/none" }),
        ("PUT", "{variable_set}") => json!({ "values": {} }),
        ("POST", "import") => json!({ "prompts": [] }),
        ("PUT", "{alias}") => json!({ "version": "1.0.0" }),
        ("PUT", "{dependency}") => json!({ "requirement": "^1" }),
        ("PUT", "rule") => json!({ "approvals": 0 }),
        ("POST", "verdicts") => json!({ "verdict": "changes", "comment": "shorter" }),
        ("PUT", "{comment}") => json!({ "settled": true }),
        ("PUT", "seen") => json!({ "id": "spare.one", "seen": true }),
        ("POST", "comments") => json!({ "body": "why?", "prompt": "welcome.message", "line": 1 }),
        ("POST", "apply") => json!({ "digest": "sha256:0" }),
        ("POST", "lock") => json!({ "version": "9.9.9" }),
        ("POST", "reviews") => json!({}),
        ("POST", "approve") => json!({ "digest": "sha256:0" }),
        ("POST", "publications") => json!({ "set": "chat", "environment": "prod", "version": "1.0.0" }),
        ("POST", "mode-orders") => json!({ "mode": "FROZEN", "reason": "it is so" }),
        ("PUT", "max-age") => json!({ "seconds": 3600, "action": "warn" }),
        ("POST", "webhooks") | ("PUT", "{webhook}") => json!({ "url": "https://hook.example/a" }),
        ("POST", "credentials") => json!({ "environment": "prod", "name": "service" }),
        ("POST", "sessions") => json!({ "email": "owner@example.org", "password": "wrong" }),
        _ => json!({}),
    }
}

/// A project with something of everything; gives the id of a credential.
pub(crate) async fn furnish(app: &App) -> String {
    session::create_user(&app.state, "guest@example.org", "", None).await.unwrap();
    author::add_member(&app.state, &Actor::console(), &app.organisation, "guest@example.org", Role::Viewer)
        .await
        .unwrap();
    furnish_people(app).await;
    app.save("welcome.message", "Hello", &[]).await;
    let usual = format!("{SET}/variable-sets/usual?prompt=welcome.message");
    let usual = app.request(Role::Owner, Method::PUT, &usual).json(&json!({ "values": {} }));
    assert_eq!(usual.send().await.unwrap().status(), 201);
    app.lock("1.0.0").await;
    app.publish("1.0.0", "prod").await;
    app.reopen().await;
    app.save("spare.one", "To be renamed", &[]).await;
    app.save("spare.two", "To be archived", &[]).await;
    let partial = app.request(Role::Owner, Method::PUT, &format!("{SET}/partials/greeting"));
    assert_eq!(partial.json(&json!({ "source": "Hi" })).send().await.unwrap().status(), 201);
    // Who asks for a review settles comments in it, and so does whoever may review.
    let asked = app.request(Role::ContextEngineer, Method::POST, &format!("{SET}/reviews"));
    assert_eq!(asked.json(&json!({ "title": "Friendlier" })).send().await.unwrap().status(), 201);
    app.post(&format!("{SET}/reviews/current/return"), 204, json!({})).await;
    let prod = author::find_environment(&app.state, &Actor::console(), &app.at, "prod").await.unwrap();
    let first = Order {
        environment_id: prod.id,
        number: 1,
        target_kind: "environment".into(),
        target_name: String::new(),
        mode: "FROZEN".into(),
        given_by: "ada".into(),
        reason: String::new(),
        given_at: 1,
    };
    let mut tx = app.state.database.write().await.unwrap();
    order::insert(&mut tx, &first).await.unwrap();
    tx.commit().await.unwrap();
    furnish_webhook(app).await;
    let path = "/api/v1/projects/acme:support/credentials";
    let made = app.post(path, 201, json!({ "environment": "prod", "name": "a" })).await;
    let id = made["id"].as_str().unwrap().to_owned();
    // A file that waits to be imported has an id of its own; here it is the same, so that one will do.
    let row = ImportRow {
        id: id.clone(),
        set_id: author::find_set(&app.state, &Actor::console(), &app.at, "chat").await.unwrap().set.id,
        name: "hello.md".into(),
        format: "folder".into(),
        body: b"Hello".to_vec(),
        created_by: "ada".into(),
        created_at: forge_api::clock::now(),
    };
    let whole = app.request(Role::Owner, Method::GET, "/api/v1/projects/acme:support/export").send().await;
    let whole = whole.unwrap().bytes().await.unwrap().to_vec();
    let mut tx = app.state.database.write().await.unwrap();
    let first = review::find(&mut tx, &row.set_id, 1).await.unwrap().unwrap();
    import::insert(&mut tx, &row).await.unwrap();
    let row = ProjectImportRow {
        id: id.clone(),
        project_id: app.at.project.id.clone(),
        name: "support.forge.zip".into(),
        body: whole,
        created_by: "ada".into(),
        created_at: forge_api::clock::now(),
    };
    import::insert_of_project(&mut tx, &row).await.unwrap();
    // So has a comment.
    let comment = ReviewComment {
        id: id.clone(),
        review_id: first.id,
        prompt_id: None,
        line: None,
        body: "Why?".into(),
        author: "ada".into(),
        created_at: 1,
        author_id: String::new(),
        answers: None,
        settled_at: None,
        settled_by: None,
    };
    review::add_comment(&mut tx, &comment).await.unwrap();
    tx.commit().await.unwrap();
    id
}

/// An invitation that waits, a role in the project alone, and a member who asked for a link.
async fn furnish_people(app: &App) {
    let (state, console) = (&app.state, Actor::console());
    for email in ["granted@example.org", "asked@example.org"] {
        session::create_user(state, email, "", None).await.unwrap();
    }
    author::put_grant(state, &console, &app.at, "granted@example.org", Role::Viewer).await.unwrap();
    author::add_member(state, &console, &app.organisation, "asked@example.org", Role::Viewer).await.unwrap();
    let asked = session::user_by_email(state, "asked@example.org").await.unwrap();
    let waits = Invitation {
        id: "invited".into(),
        organisation_id: app.organisation.id.clone(),
        email: "invited@example.org".into(),
        role: Some("viewer".into()),
        token_hash: "none".into(),
        invited_by: "Ada".into(),
        invited_by_id: "ada".into(),
        mail: "none".into(),
        created_at: 1,
        expires_at: i64::MAX,
        ended_at: None,
        outcome: None,
        mail_error: None,
    };
    let mut tx = state.database.write().await.unwrap();
    invitation::insert(&mut tx, &waits, &[]).await.unwrap();
    invitation::ask_link(&mut tx, &asked.id, "192.0.2.1", forge_api::clock::now()).await.unwrap();
    tx.commit().await.unwrap();
}

/// How many changes the audit log of `acme` holds.
async fn changes(app: &App) -> usize {
    app.audit(&app.organisation.id).await.iter().filter(|e| !e.action.ends_with(".refused")).count()
}

async fn the_api_lets_each_role_do_what_the_table_says(app: App) {
    let credential = furnish(&app).await;
    for route in API {
        let method: Method = route.method.parse().unwrap();
        let path = address(route, &credential);
        let what = format!("{} {}", route.method, route.path);
        let (body, before) = (body(route), changes(&app).await);

        let answer = app.anonymous(method.clone(), &path).json(&body).send().await.unwrap();
        if route.access == Access::Public {
            assert_ne!(answer.status(), 401, "{what}");
            continue;
        }
        assert_eq!(answer.status(), 401, "nobody: {what}");
        if route.access == Access::SignedIn {
            continue;
        }
        let answer = app.strange(method.clone(), &path).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 404, "a stranger: {what}");
        assert!(!answer.text().await.unwrap().contains("no member"), "only the audit log says why: {what}");
        let Some(action) = route.access.action() else { continue };
        let by_token = route.access.refuses_tokens();
        for role in Role::ALL.into_iter().filter(|r| by_token || !r.may(action)) {
            let answer = app.request(role, method.clone(), &path).json(&body).send().await.unwrap();
            assert_eq!(answer.status(), 403, "{} by a token: {what}", role.as_str());
        }
        let mut browsers = Vec::new();
        for role in Role::ALL.into_iter().filter(|_| by_token) {
            browsers.push((role, app.browser_of(role).await));
        }
        for (role, browser) in browsers.iter().filter(|(r, _)| !r.may(action)) {
            let answer = app.by(browser, method.clone(), &path).json(&body).send().await.unwrap();
            assert_eq!(answer.status(), 403, "{} in person: {what}", role.as_str());
        }
        assert_eq!(changes(&app).await, before, "who may not must not change anything: {what}");
        for (nth, role) in Role::ALL.into_iter().filter(|r| r.may(action)).enumerate() {
            if route.path.contains("{webhook}") {
                // Who was before may have removed it.
                furnish_webhook(&app).await;
            }
            let before = changes(&app).await;
            let request = match browsers.iter().find(|(r, _)| *r == role) {
                Some((_, browser)) => app.by(browser, method.clone(), &path),
                None => app.request(role, method.clone(), &path),
            };
            let answer = request.json(&body).send().await.unwrap();
            let status = answer.status().as_u16();
            let looks = route.method == "GET"
                || ["/check", "/preview", "/render"].iter().any(|end| path.ends_with(end));
            // What is revoked is revoked: the second one changes nothing.
            let looks = looks || (route.method == "DELETE" && nth > 0);
            assert!(
                looks || status >= 300 || changes(&app).await > before,
                "a change that the audit log does not know: {what}"
            );
            // The state of things may forbid it by now; the role does not.
            assert!(
                ![401, 403, 404, 405, 500].contains(&status),
                "{} {status}: {what}: {}",
                role.as_str(),
                answer.text().await.unwrap()
            );
        }
        // What the last one did must not stand in the way of the next route.
        if route.path.ends_with("/lock") {
            app.reopen().await;
        }
        if route.path.ends_with("/reviews") && route.method == "POST" {
            let path = format!("{SET}/reviews/current/return");
            assert_eq!(app.request(Role::Owner, Method::POST, &path).send().await.unwrap().status(), 204);
            let path = format!("{SET}/reviews");
            // Who asks may not approve: somebody asks who has no say in it.
            let answer = app.request(Role::ContextEngineer, Method::POST, &path).json(&json!({}));
            assert_eq!(answer.send().await.unwrap().status(), 201);
        }
    }
}

async fn pages_let_each_role_see_what_the_table_says(app: App) {
    let credential = furnish(&app).await;
    for route in PAGES {
        let method: Method = route.method.parse().unwrap();
        let path = address(route, &credential);
        let what = format!("{} {path}", route.method);
        let Some(action) = route.access.action() else { continue };
        let ask = |request: reqwest::RequestBuilder| {
            let request = request.header("accept", "text/html");
            if method == Method::POST { request.form(&[("nothing", "")]) } else { request }
        };
        let before = changes(&app).await;
        let answer = ask(app.anonymous(method.clone(), &path)).send().await.unwrap();
        let to = answer.headers().get("location").map(|l| l.to_str().unwrap().to_owned());
        assert!(to.is_some_and(|to| to.starts_with("/-/sign-in")), "nobody is sent to sign in: {what}");
        let answer = ask(app.strange(method.clone(), &path)).send().await.unwrap();
        assert_eq!(answer.status(), 404, "a stranger: {what}");
        for role in Role::ALL.into_iter().filter(|r| !r.may(action)) {
            let answer = ask(app.request(role, method.clone(), &path)).send().await.unwrap();
            let status = answer.status().as_u16();
            assert!([403, 404, 422].contains(&status), "{} {status}: {what}", role.as_str());
        }
        assert_eq!(changes(&app).await, before, "who may not must not change anything: {what}");
        if method == Method::GET {
            for role in Role::ALL.into_iter().filter(|r| r.may(action)) {
                let request = match route.access.refuses_tokens() {
                    true => app.by(&app.browser_of(role).await, method.clone(), &path),
                    false => app.request(role, method.clone(), &path),
                };
                let answer = ask(request).send().await.unwrap();
                let status = answer.status().as_u16();
                assert!(status < 400, "{} {status}: {what}", role.as_str());
            }
        }
    }
}

/// Everything that can be named, as another organisation has it too.
async fn furnish_stranger(app: &App) -> (String, String) {
    let ask = |method, path: &str, body: Value| {
        let request = app.strange(method, path).json(&body);
        async move { request.send().await.unwrap() }
    };
    let made = ask(Method::POST, "/api/v1/organisations/globex/projects", json!({ "slug": "support" })).await;
    let project = json_of(made, 201).await["id"].as_str().unwrap().to_owned();
    let made = ask(Method::POST, "/api/v1/projects/globex:support/sets", json!({ "slug": "chat" })).await;
    assert_eq!(made.status(), 201);
    let path = "/api/v1/projects/globex:support/credentials";
    let made = ask(Method::POST, path, json!({ "environment": "prod", "name": "theirs" })).await;
    (project, json_of(made, 201).await["id"].as_str().unwrap().to_owned())
}

async fn names_and_ids_of_another_organisation_open_nothing(app: App) {
    let credential = furnish(&app).await;
    let (_, theirs) = furnish_stranger(&app).await;
    let project = app.get("/api/v1/projects/acme:support").await["id"].as_str().unwrap().to_owned();
    let organisation = app.organisation.id.clone();
    let before = changes(&app).await;
    let mut asked = 0;
    for route in API.iter().chain(PAGES).filter(|route| route.access.action().is_some()) {
        let is_page = !route.path.starts_with("/api/");
        // Their organisation by its name and its id; their project under a name of one's own, by its id, and under
        // an organisation that is not its own.
        let ours = address(route, &credential);
        let mut paths = vec![ours.clone()];
        if is_page {
            paths.push(ours.replacen("/acme", &format!("/{organisation}"), 1));
        } else {
            paths.push(ours.replace("acme:support", &project));
            paths.push(ours.replace("acme:support", &format!("acme:{project}")));
            paths.push(ours.replace("acme:support", &format!("globex:{project}")));
            paths.push(ours.replace("acme:support", &format!("{organisation}:support")));
            paths.push(ours.replace("/organisations/acme", &format!("/organisations/{organisation}")));
        }
        for path in paths {
            let method: Method = route.method.parse().unwrap();
            let request = app.strange(method.clone(), &path);
            let request = match (is_page, &method) {
                (true, &Method::POST) => request.header("accept", "text/html").form(&[("nothing", "")]),
                (true, _) => request.header("accept", "text/html"),
                (false, _) => request.json(&body(route)),
            };
            assert_eq!(request.send().await.unwrap().status(), 404, "{method} {path}");
            asked += 1;
        }
    }
    assert!(asked > 150, "{asked}");

    // An id of theirs in an address of one's own.
    for (path, id) in [
        ("/api/v1/projects/globex:support/credentials/", &credential),
        ("/api/v1/projects/globex:support/publications/", &"1".to_owned()),
        ("/api/v1/projects/globex:support/sets/chat/versions/", &"1.0.0".to_owned()),
        ("/api/v1/projects/globex:support/sets/chat/prompts/", &"welcome.message".to_owned()),
        ("/api/v1/projects/globex:support/sets/chat/partials/", &"greeting".to_owned()),
    ] {
        for method in [Method::GET, Method::DELETE] {
            let answer = app.strange(method.clone(), &format!("{path}{id}")).send().await.unwrap();
            let status = answer.status().as_u16();
            assert!([404, 405].contains(&status), "{method} {path}{id}: {status}");
        }
    }
    assert_eq!(changes(&app).await, before, "nothing changed");
    let all = app.get("/api/v1/projects/acme:support/credentials").await.to_string();
    assert!(all.contains(&credential) && !all.contains(&theirs), "{all}");
    assert!(!all.contains("\"status\":\"revoked\"") && !all.contains("\"state\":\"revoked\""), "{all}");
}

async fn a_token_may_no_more_than_its_role_and_a_session_as_much_as_its_user(app: App) {
    let credential = furnish(&app).await;
    // The owner, by tokens of every role.
    let user = session::user_by_email(&app.state, "owner@example.org").await.unwrap();
    let owner = Actor { user_id: user.id, name: user.name, email: user.email, ..Actor::console() };
    let mut tokens = Vec::new();
    for role in Role::ALL {
        let less = NewToken { name: "less", role, scopes: Scopes::ALL, expires_at: None, projects: None };
        let made = session::create_token(&app.state, &owner, &app.organisation.id, less).await;
        tokens.push((role, made.unwrap().0));
    }
    // A viewer, by a session.
    let viewer = app.browser_of(Role::Viewer).await;
    let before = changes(&app).await;
    for route in API {
        let Some(action) = route.access.action() else { continue };
        let (method, path): (Method, _) = (route.method.parse().unwrap(), address(route, &credential));
        let asked = || app.by(&viewer, method.clone(), &path);
        let status = asked().json(&body(route)).send().await.unwrap().status();
        if !Role::Viewer.may(action) {
            assert_eq!(status, 403, "a viewer's session: {method} {path}");
        } else if method == Method::GET {
            assert!(status.is_success(), "a viewer's session: {status}: {method} {path}");
        }
        for (role, token) in
            tokens.iter().filter(|(role, _)| route.access.refuses_tokens() || !role.may(action))
        {
            let answer = app.anonymous(method.clone(), &path).bearer_auth(token).json(&body(route));
            let status = answer.send().await.unwrap().status();
            assert_eq!(status, 403, "the owner's token for {}: {method} {path}", role.as_str());
        }
    }
    assert_eq!(changes(&app).await, before, "who may not must not change anything");
}

/// A token of the owner, of this role, for the project `support` only.
async fn narrowed(app: &App, role: Role) -> String {
    let user = session::user_by_email(&app.state, "owner@example.org").await.unwrap();
    let owner = Actor { user_id: user.id, name: user.name, email: user.email, ..Actor::console() };
    let projects = ["support".to_owned()];
    let new =
        NewToken { name: "narrow", role, scopes: Scopes::ALL, expires_at: None, projects: Some(&projects) };
    session::create_token(&app.state, &owner, &app.organisation.id, new).await.unwrap().0
}

/// A guest of every role that one project has, by a session and by a token, and the owner's token of that role for this
/// project only, at every address: in the project what the role may, beside it nothing.
async fn a_guest_reaches_the_granted_project_and_nothing_else(app: App) {
    let credential = furnish(&app).await;
    let (state, console) = (&app.state, Actor::console());
    let new = NewProject { slug: "secret", name: "Secret", description: "" };
    author::create_project(state, &console, &app.organisation, new).await.unwrap();
    let mut asked = 0;
    for role in [Role::Viewer, Role::Reviewer, Role::ContextEngineer, Role::Admin] {
        let email = format!("guest-{}@example.org", role.as_str());
        let user = session::create_user(state, &email, "", None).await.unwrap();
        author::put_grant(state, &console, &app.at, &email, role).await.unwrap();
        let browser = app.browser_by_link(&email).await;
        let (token, _) = {
            let entry = forge_api::auth::Entry::Session { id: String::new(), csrf: String::new() };
            let grants = vec![forge_api::auth::Grant {
                organisation_id: app.organisation.id.clone(),
                organisation: "acme".into(),
                project_id: app.at.project.id.clone(),
                project: "support".into(),
                role,
            }];
            let guest =
                Actor { user_id: user.id, name: user.name, email, entry, grants, memberships: vec![] };
            let new = NewToken { name: "guest", role, scopes: Scopes::ALL, expires_at: None, projects: None };
            session::create_token(state, &guest, &app.organisation.id, new).await.unwrap()
        };
        let narrow = narrowed(&app, role).await;
        for route in API.iter().chain(PAGES) {
            let Some(action) = route.access.action() else { continue };
            let method: Method = route.method.parse().unwrap();
            let is_page = !route.path.starts_with("/api/");
            let send = |path: &str, by: Option<&String>| {
                let request = match by {
                    Some(token) => app.anonymous(method.clone(), path).bearer_auth(token),
                    None => app.by(&browser, method.clone(), path),
                };
                let request = match (is_page, method == Method::POST) {
                    (true, true) => request.header("accept", "text/html").form(&[("nothing", "")]),
                    (true, false) => request.header("accept", "text/html"),
                    (false, _) => request.json(&body(route)),
                };
                async move { request.send().await.unwrap().status().as_u16() }
            };
            let path = address(route, &credential);
            // What may be done is done by the walk over roles; here only what must not be, and what is read.
            let (reads, may) = (method == Method::GET, role.may(action));
            for (who, by) in
                [("a session", None), ("a token", Some(&token)), ("the owner's token", Some(&narrow))]
            {
                let what = format!("{} {method} {path}, by {who}", role.as_str());
                asked += 1;
                if route.path.contains("{project}") {
                    if !may || (by.is_some() && route.access.refuses_tokens()) {
                        let status = send(&path, by).await;
                        // To give one's own role back is everybody's right: nobody is named granted@example.org here.
                        assert!([403, 404, 422].contains(&status), "{status}: {what}");
                        assert!(
                            is_page || status == 403 || action == Action::ManageMembers,
                            "{status}: {what}"
                        );
                    } else if reads {
                        assert!(send(&path, by).await < 400, "{what}");
                    }
                    let secret =
                        path.replace("acme:support", "acme:secret").replace("/acme/support", "/acme/secret");
                    assert_ne!(path, secret);
                    assert_eq!(send(&secret, by).await, 404, "beside it: {what}");
                } else if route.access == Access::Visit {
                    assert!(send(&path, by).await < 400, "{what}");
                } else {
                    assert_eq!(send(&path, by).await, 404, "the organisation is not theirs: {what}");
                }
            }
        }
        let read = async |path: &str| {
            app.by(&browser, Method::GET, path).send().await.unwrap().text().await.unwrap()
        };
        let listed = read("/api/v1/organisations/acme/projects").await;
        assert!(listed.contains("support") && !listed.contains("secret"), "{listed}");
        for page in ["/acme", "/-/palette?organisation=acme&q=s", "/-/account"] {
            let html = read(page).await;
            assert!(!html.to_lowercase().contains("secret/") && !html.contains(">Secret<"), "{page}: {html}");
        }
    }
    assert!(asked > 800, "{asked}");
}

#[test]
fn the_description_of_the_api_has_every_route_and_no_other() {
    let document = api::document();
    let mut described = 0;
    for route in API {
        let path = route.path.replace("{*", "{");
        let operation = &document["paths"][&path][route.method.to_lowercase()];
        assert_eq!(operation["summary"], route.summary, "{} {path}", route.method);
        let places = path.matches('{').count();
        let parameters = operation["parameters"].as_array().unwrap();
        assert_eq!(parameters.iter().filter(|p| p["in"] == "path").count(), places, "{path}");
        described += 1;
    }
    let all: usize =
        document["paths"].as_object().unwrap().values().map(|m| m.as_object().unwrap().len()).sum();
    assert_eq!(all, described);
    let text = document.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"].get(name).is_some(), "{name} is not described");
    }
}

#[test]
fn no_route_stands_twice_in_the_table() {
    let mut seen = std::collections::HashSet::new();
    for route in API.iter().chain(PAGES) {
        assert!(seen.insert((route.method, route.path)), "{} {}", route.method, route.path);
    }
}
