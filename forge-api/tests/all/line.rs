//! Author, review, lock, publish: while the broker is away.

use forge_api::auth::Role;
use forge_api::database::{credential, outbox, publication};
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{App, PUBLICATIONS, SET, json_of, on_both, problem};

on_both!(
    a_publication_waits_while_the_broker_is_away,
    what_waits_does_not_hide_what_agents_have,
    a_rollback_is_an_older_version_with_a_higher_serial,
    the_same_content_has_the_same_digest_in_every_environment,
    a_review_binds_an_approval_to_what_was_read,
    an_approval_ends_with_the_next_edit,
    who_wrote_a_draft_stands_in_the_version_and_cannot_approve_it,
    a_revocation_counts_although_the_broker_is_away,
    a_project_has_a_thousand_good_credentials_and_no_more,
    the_audit_log_tells_the_whole_story_and_its_chain_holds,
    a_locked_set_is_not_edited_until_it_is_reopened,
);

async fn a_publication_waits_while_the_broker_is_away(app: App) {
    let ready: Value = json_of(app.anonymous(Method::GET, "/health/ready").send().await.unwrap(), 200).await;
    assert_eq!((&ready["database"], &ready["broker"]), (&json!("ok"), &json!("unreachable")));
    app.save("welcome.message", "Hello", &[]).await;
    app.lock("1.0.0").await;
    let made = app.publish("1.0.0", "prod").await;
    let detail = app.get(&format!("{PUBLICATIONS}/1")).await;
    assert_eq!(
        (&detail["state"], &detail["serial"], &detail["id"]),
        (&json!("waiting"), &json!(1), &made["id"])
    );
    assert_eq!(detail["attempts"], 0);
    let mut conn = app.state.database.read().await.unwrap();
    assert_eq!(outbox::count(&mut conn).await.unwrap(), 1);
    let metrics = app.anonymous(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("forge_outbox_waiting 1\n"), "{metrics}");
}

async fn what_waits_does_not_hide_what_agents_have(app: App) {
    app.save("welcome.message", "Hello", &[]).await;
    app.lock("1.0.0").await;
    let first = app.publish("1.0.0", "prod").await;
    let console = forge_api::auth::Actor::console();
    let prod = forge_api::author::find_environment(&app.state, &console, &app.at, "prod").await.unwrap();
    let announced = async || {
        let mut conn = app.state.database.read().await.unwrap();
        let found = publication::announced(&mut conn, &prod.id).await.unwrap();
        found.iter().map(|head| head.publication.serial).collect::<Vec<_>>()
    };
    assert!(announced().await.is_empty(), "nobody has it yet");
    let sent = async |id: &str| {
        let mut tx = app.state.database.write().await.unwrap();
        publication::mark_sent(&mut tx, id, 1, 1).await.unwrap();
        tx.commit().await.unwrap();
    };
    sent(first["id"].as_str().unwrap()).await;
    assert_eq!(announced().await, [1]);
    let second = app.publish("1.0.0", "prod").await;
    assert_eq!(announced().await, [1], "the second waits");
    for state in ["failed", "superseded"] {
        let mut tx = app.state.database.write().await.unwrap();
        publication::mark(&mut tx, second["id"].as_str().unwrap(), state, Some("it is so")).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(announced().await, [1], "the second {state}");
    }
    sent(second["id"].as_str().unwrap()).await;
    assert_eq!(announced().await, [2]);
}

async fn a_rollback_is_an_older_version_with_a_higher_serial(app: App) {
    app.save("welcome.message", "one", &[]).await;
    let first = app.lock("1.0.0").await;
    app.publish("1.0.0", "prod").await;
    app.reopen().await;
    app.save_from("welcome.message", "two", &[], Some(1), 200).await;
    app.lock("1.1.0").await;
    let second = app.publish("1.1.0", "prod").await;
    assert_eq!((&second["rollback"], &second["serial"]), (&json!(false), &json!(2)));
    let back = app.publish("1.0.0", "prod").await;
    assert_eq!(
        (&back["rollback"], &back["serial"], &back["digest"]),
        (&json!(true), &json!(3), &first["digest"])
    );
    let overview = app.get("/api/v1/projects/acme:support").await;
    assert_eq!(overview["sets"][0]["live"][0]["version"], "1.0.0");
    assert_eq!(overview["sets"][0]["latest"], "1.1.0");
    let detail = app.get(&format!("{PUBLICATIONS}/3")).await;
    assert_eq!(detail["replaced"], "1.1.0");
    let shown = app.request(Role::Owner, Method::GET, "/acme/support/-/publications/3");
    let html = shown.header("accept", "text/html").send().await.unwrap().text().await.unwrap();
    assert!(html.contains("<title>Publication 3 · FORGE</title>"), "{html}");
    assert!(html.contains("Publish 1.1.0 again") && !html.contains("Roll back to"), "{html}");
    let page = app.get(&format!("{PUBLICATIONS}?limit=2")).await;
    let numbers = |list: &Value| -> Vec<i64> {
        list["items"].as_array().unwrap().iter().map(|p| p["number"].as_i64().unwrap()).collect()
    };
    assert_eq!(numbers(&page), [3, 2]);
    let next = page["next"].as_str().unwrap();
    assert_eq!(numbers(&app.get(&format!("{PUBLICATIONS}?limit=2&cursor={next}")).await), [1]);
}

async fn the_same_content_has_the_same_digest_in_every_environment(app: App) {
    app.save("welcome.message", "Hello", &[]).await;
    let locked = app.lock("1.0.0").await;
    for environment in ["dev", "staging", "prod"] {
        let made = app.publish("1.0.0", environment).await;
        assert_eq!((&made["digest"], &made["serial"]), (&locked["digest"], &json!(1)), "{environment}");
    }
}

async fn a_review_binds_an_approval_to_what_was_read(app: App) {
    app.save("welcome.message", "Hello", &[]).await;
    let post = |role: Role, path: &str, body: Value| {
        app.request(role, Method::POST, &format!("{SET}{path}")).json(&body).send()
    };
    let asked = post(Role::ContextEngineer, "/reviews", json!({ "title": "Friendlier" })).await.unwrap();
    let digest = json_of(asked, 201).await["digest"].clone();
    assert_eq!(app.get(SET).await["state"], "review");

    let edit = app.request(Role::ContextEngineer, Method::PUT, &format!("{SET}/prompts/other"));
    let edit = edit.json(&crate::app::prompt("other", "x", &[])).send().await.unwrap();
    problem(edit, 409, "in_review").await;
    let lock = post(Role::ContextEngineer, "/lock", json!({ "version": "1.0.0" })).await.unwrap();
    problem(lock, 409, "not_approved").await;
    let wrong = json!({ "digest": format!("sha256:{}", "0".repeat(64)) });
    let wrong = post(Role::Reviewer, "/reviews/current/approve", wrong).await.unwrap();
    problem(wrong, 409, "digest_mismatch").await;
    let good = json!({ "digest": digest });
    assert_eq!(post(Role::Reviewer, "/reviews/current/approve", good).await.unwrap().status(), 204);
    let locked = post(Role::ContextEngineer, "/lock", json!({ "version": "1.0.0" })).await.unwrap();
    assert_eq!(json_of(locked, 201).await["approver"], "reviewer");

    // Who asked cannot approve.
    app.reopen().await;
    let asked = post(Role::Owner, "/reviews", json!({})).await.unwrap();
    let digest = json_of(asked, 201).await["digest"].clone();
    let own = post(Role::Owner, "/reviews/current/approve", json!({ "digest": digest })).await.unwrap();
    problem(own, 403, "forbidden").await;
    assert_eq!(post(Role::Reviewer, "/reviews/current/return", json!({})).await.unwrap().status(), 204);
    assert_eq!(app.get(SET).await["state"], "editing");
}

async fn who_wrote_a_draft_stands_in_the_version_and_cannot_approve_it(app: App) {
    let write = |role: Role, id: &str| {
        let put = app.request(role, Method::PUT, &format!("{SET}/prompts/{id}"));
        put.json(&crate::app::prompt(id, "Hello", &[])).send()
    };
    for role in [Role::ContextEngineer, Role::Admin] {
        assert_eq!(write(role, role.as_str().replace('_', "-").as_str()).await.unwrap().status(), 201);
    }
    let post = |role: Role, path: &str, body: Value| {
        app.request(role, Method::POST, &format!("{SET}{path}")).json(&body).send()
    };
    let asked = post(Role::Owner, "/reviews", json!({})).await.unwrap();
    let approval = json!({ "digest": json_of(asked, 201).await["digest"] });
    let approve = |role| post(role, "/reviews/current/approve", approval.clone());
    problem(approve(Role::Admin).await.unwrap(), 403, "forbidden").await;
    assert_eq!(approve(Role::Reviewer).await.unwrap().status(), 204);
    let locked = post(Role::Owner, "/lock", json!({ "version": "1.0.0" })).await.unwrap();
    let locked = json_of(locked, 201).await;
    assert_eq!(
        (&locked["author"], &locked["approver"]),
        (&json!("admin, context_engineer"), &json!("reviewer"))
    );
    // Of the next version it is who changed something since.
    app.reopen().await;
    assert_eq!(write(Role::Admin, "more").await.unwrap().status(), 201);
    let locked = post(Role::Owner, "/lock", json!({ "version": "1.1.0" })).await.unwrap();
    assert_eq!(json_of(locked, 201).await["author"], "admin");
}

async fn an_approval_ends_with_the_next_edit(app: App) {
    app.save("welcome.message", "Hello", &[]).await;
    let post = |role: Role, path: &str, body: Value| {
        app.request(role, Method::POST, &format!("{SET}{path}")).json(&body).send()
    };
    let asked = post(Role::ContextEngineer, "/reviews", json!({})).await.unwrap();
    let read = json_of(asked, 201).await["digest"].clone();
    let approve =
        |digest: Value| post(Role::Reviewer, "/reviews/current/approve", json!({ "digest": digest }));
    assert_eq!(approve(read.clone()).await.unwrap().status(), 204);

    // Approved, and then somebody edits: first nobody can, and whoever takes it out of review takes the approval too.
    let edit = || {
        let edit = app.request(Role::ContextEngineer, Method::PUT, &format!("{SET}/prompts/other"));
        edit.json(&crate::app::prompt("other", "something else", &[])).send()
    };
    problem(edit().await.unwrap(), 409, "in_review").await;
    let back = post(Role::ContextEngineer, "/reviews/current/return", json!({})).await.unwrap();
    assert_eq!(back.status(), 204);
    assert_eq!(edit().await.unwrap().status(), 201);
    problem(approve(read.clone()).await.unwrap(), 409, "not_in_review").await;

    let asked = post(Role::ContextEngineer, "/reviews", json!({})).await.unwrap();
    assert_ne!(json_of(asked, 201).await["digest"], read);
    problem(approve(read).await.unwrap(), 409, "digest_mismatch").await;
    let lock = post(Role::ContextEngineer, "/lock", json!({ "version": "1.0.0" })).await.unwrap();
    problem(lock, 409, "not_approved").await;
}

async fn a_revocation_counts_although_the_broker_is_away(app: App) {
    let path = "/api/v1/projects/acme:support/credentials";
    let made = app.post(path, 201, json!({ "environment": "prod", "name": "service" })).await;
    let line = schemas::connect::ConnectString::from_line(made["connect"].as_str().unwrap()).unwrap();
    assert_eq!(line.connection.scope.to_string(), "acme/support/prod");
    assert_eq!(line.connection.roots, [app.state.keys.ring().root.public()]);
    let one = format!("{path}/{}", made["id"].as_str().unwrap());
    let gone = app.request(Role::Admin, Method::DELETE, &one).send().await.unwrap();
    assert_eq!(json_of(gone, 200).await["broker_knows"], false);
    assert!(app.get(path).await["items"][0]["revoked_at"].is_string());
    app.refused(path, json!({ "environment": "nowhere", "name": "x" }), 404, "not_found").await;
    app.refused(path, json!({ "environment": "prod", "name": " " }), 422, "invalid").await;
    let past = json!({ "environment": "prod", "name": "x", "expires_at": "2020-01-01T00:00:00Z" });
    app.refused(path, past, 422, "invalid").await;
}

async fn a_project_has_a_thousand_good_credentials_and_no_more(app: App) {
    let path = "/api/v1/projects/acme:support/credentials";
    let new = json!({ "environment": "prod", "name": "service" });
    let made = app.post(path, 201, new.clone()).await;
    let mut tx = app.state.database.write().await.unwrap();
    let key = made["public_key"].as_str().unwrap();
    let first = credential::by_key(&mut tx, key).await.unwrap().unwrap();
    let now = forge_api::clock::now();
    for n in 0..1100 {
        let mut row = first.clone();
        row.id = forge_api::clock::new_id();
        row.public_key = format!("U{n}");
        // Those that are good no longer do not count, and a revocation is kept for a day after the end.
        match n {
            0..50 => row.expires_at = Some(now - 1),
            50..100 => row.revoked_at = Some(now),
            100 => (row.revoked_at, row.expires_at) = (Some(now), Some(now - 3_600_000_000)),
            101 => (row.revoked_at, row.expires_at) = (Some(now), Some(now - 2 * forge_api::credential::DAY)),
            _ => {}
        }
        credential::insert(&mut tx, &row).await.unwrap();
    }
    let revoked =
        credential::revoked(&mut tx, &first.project_id, now - forge_api::credential::DAY).await.unwrap();
    assert_eq!(revoked.len(), 51);
    assert!(revoked.iter().any(|(key, _)| key == "U100") && revoked.iter().all(|(key, _)| key != "U101"));
    assert_eq!(credential::count_good(&mut tx, &first.project_id, now).await.unwrap(), 999);
    tx.commit().await.unwrap();
    app.post(path, 201, new.clone()).await;
    app.refused(path, new, 409, "too_many").await;
}

async fn the_audit_log_tells_the_whole_story_and_its_chain_holds(app: App) {
    app.save("welcome.message", "a secret text", &[]).await;
    app.lock("1.0.0").await;
    app.publish("1.0.0", "prod").await;
    let log = app.get("/api/v1/organisations/acme/audit").await;
    let actions: Vec<_> =
        log["items"].as_array().unwrap().iter().map(|e| e["action"].as_str().unwrap()).collect();
    assert_eq!(actions[..3], ["version.published", "set.locked", "prompt.saved"]);
    assert!(!log.to_string().contains("a secret text"), "the log never holds a prompt's text");
    let chain = app.get("/api/v1/organisations/acme/audit/verify").await;
    assert_eq!((&chain["whole"], &chain["entries"]), (&json!(true), &log["items"][0]["sequence"]));
}

async fn a_locked_set_is_not_edited_until_it_is_reopened(app: App) {
    app.save("welcome.message", "Hello", &[]).await;
    app.lock("1.0.0").await;
    let edit = app.request(Role::Owner, Method::PUT, &format!("{SET}/prompts/other"));
    let edit = edit.json(&crate::app::prompt("other", "x", &[])).send().await.unwrap();
    problem(edit, 409, "locked").await;
    app.reopen().await;
    app.save("other", "x", &[]).await;
    let gone = app.request(Role::Owner, Method::DELETE, &format!("{SET}/prompts/other"));
    problem(gone.header("if-match", "\"7\"").send().await.unwrap(), 409, "revision_conflict").await;
    let gone = app.request(Role::Owner, Method::DELETE, &format!("{SET}/prompts/other"));
    assert_eq!(gone.header("if-match", "\"1\"").send().await.unwrap().status(), 204);
    assert_eq!(app.get(SET).await["prompts"].as_array().unwrap().len(), 1);
}
