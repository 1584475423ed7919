//! The audit log: whole, or seen to be broken; and who was refused.

use std::process::Command;

use forge_api::audit::{self, Chain, INSTALLATION};
use forge_api::auth::{Actor, Role};
use forge_api::author;
use forge_api::database::Address;
use forge_api::database::audit::AuditEntry;
use forge_api::database::organisation::Organisation;
use forge_api::state::AppState;
use reqwest::Method;
use schemas::canonical::{Digest, to_canonical};
use serde_json::{Value, json};

use crate::app::{App, SET, on_both, problem, prompt};
use crate::database::sql;

on_both!(
    a_row_that_was_changed_dropped_reordered_or_put_in_is_found,
    an_export_is_checked_without_forge,
    entries_from_before_they_were_sealed_stay_readable,
    what_concerns_no_organisation_is_in_the_chain_of_the_installation,
    a_refused_attempt_is_recorded_where_it_belongs,
    a_flood_of_refusals_is_a_few_entries,
    a_stranger_hides_nobodys_attempts_behind_their_own,
    a_chain_is_checked_once_however_many_ask,
);

/// An organisation whose chain has six entries.
async fn chain(app: &App, slug: &str) -> Organisation {
    let console = Actor::console();
    let organisation = author::create_organisation(&app.state, &console, slug, "").await.unwrap();
    for role in Role::ALL {
        let email = format!("{}@example.org", role.as_str());
        author::add_member(&app.state, &console, &organisation, &email, role).await.unwrap();
    }
    assert_eq!(verify(app, &organisation).await, Chain::Whole { entries: 6, unsealed: 0 });
    organisation
}

async fn verify(app: &App, organisation: &Organisation) -> Chain {
    audit::verify(&app.state, &Actor::console(), organisation).await.unwrap()
}

/// The hash of an entry, as an outsider computes it.
fn hash(entry: &AuditEntry) -> String {
    let hashed = json!({
        "organisation_id": entry.organisation_id, "sequence": entry.sequence, "at": entry.at,
        "actor_id": entry.actor_id, "actor_name": entry.actor_name, "action": entry.action,
        "subject": entry.subject, "detail": entry.detail, "previous_hash": entry.previous_hash,
    });
    Digest::of(&to_canonical(&hashed).unwrap()).to_string()
}

/// `forge audit …` on the database of the application: exit code and what it printed.
fn forge(app: &App, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_forge"));
    command.arg("audit").args(arguments).env("FORGE_DATA_DIR", &app.state.config.data_dir);
    if let Address::Postgres(url) = &app.state.config.database {
        command.env("FORGE_DATABASE_URL", url);
    }
    let done = command.output().unwrap();
    let text = [done.stdout, done.stderr].map(|b| String::from_utf8(b).unwrap()).concat();
    (done.status.code().unwrap(), text)
}

async fn a_row_that_was_changed_dropped_reordered_or_put_in_is_found(app: App) {
    let mut places = Vec::new();
    for n in 0..10 {
        places.push(chain(&app, &format!("place-{n}")).await);
    }
    assert_eq!(forge(&app, &["verify"]).0, 0);

    // Somebody with the database in their hands takes the guards away first.
    let off: Vec<&str> = if app.is_postgres() {
        vec!["ALTER TABLE audit_log DISABLE TRIGGER ALL", "ALTER TABLE audit_tips DISABLE TRIGGER ALL"]
    } else {
        vec![
            "DROP TRIGGER audit_log_no_update",
            "DROP TRIGGER audit_log_no_delete",
            "DROP TRIGGER audit_log_at_the_tip",
            "DROP TRIGGER audit_tips_only_grow",
            "DROP TRIGGER audit_tips_no_delete",
        ]
    };
    for statement in off {
        sql(&app.state.database, statement).await.unwrap();
    }
    let run = async |place: usize, statement: &str| {
        let id = &places[place].id;
        let statement = statement.replace("@place", &format!("organisation_id = '{id}'"));
        assert!(sql(&app.state.database, &statement).await.unwrap() > 0, "{statement}");
    };
    let broken_at = async |place: usize, sequence: i64, what: &str| {
        assert_eq!(verify(&app, &places[place]).await, Chain::BrokenAt { sequence }, "{what}");
    };

    run(0, "UPDATE audit_log SET actor_name = 'x' WHERE @place AND sequence = 3").await;
    broken_at(0, 3, "changed").await;
    run(1, "DELETE FROM audit_log WHERE @place AND sequence = 3").await;
    broken_at(1, 3, "dropped from the middle").await;
    run(2, "DELETE FROM audit_log WHERE @place AND sequence = 6").await;
    broken_at(2, 6, "the last one dropped").await;
    run(3, "UPDATE audit_log SET sequence = 100 WHERE @place AND sequence = 4").await;
    run(3, "UPDATE audit_log SET sequence = 4 WHERE @place AND sequence = 5").await;
    run(3, "UPDATE audit_log SET sequence = 5 WHERE @place AND sequence = 100").await;
    broken_at(3, 4, "reordered").await;
    run(4, "DELETE FROM audit_tips WHERE @place").await;
    broken_at(4, 1, "the tip dropped").await;
    run(5, "DELETE FROM audit_log WHERE @place").await;
    run(5, "DELETE FROM audit_tips WHERE @place").await;
    broken_at(5, 1, "everything dropped").await;

    // One put in behind the last one, with hashes that fit: without the key its seal cannot.
    let put_in = async |place: usize| {
        let mut entry = app.audit(&places[place].id).await.pop().unwrap();
        (entry.sequence, entry.previous_hash) = (7, entry.hash.clone());
        entry.subject = "nobody@example.org".into();
        let hash = hash(&entry);
        let columns =
            "organisation_id, 7, at, actor_id, actor_name, action, 'nobody@example.org', detail, hash";
        let insert = format!(
            "INSERT INTO audit_log SELECT {columns}, '{hash}', seal FROM audit_log WHERE @place AND sequence = 6"
        );
        run(place, &insert).await;
        hash
    };
    put_in(6).await;
    broken_at(6, 7, "put in behind the tip").await;
    let new = put_in(7).await;
    run(7, &format!("UPDATE audit_tips SET sequence = 7, hash = '{new}' WHERE @place")).await;
    broken_at(7, 7, "put in, and the tip moved").await;

    // A whole history written anew from the third entry on, every hash right.
    let rewrite = async |place: usize, also: &str| {
        let mut previous = String::new();
        for mut entry in app.audit(&places[place].id).await {
            if entry.sequence >= 3 {
                entry.actor_name = "somebody else".into();
                entry.previous_hash = previous;
                let hash = hash(&entry);
                let change = format!(
                    "UPDATE audit_log SET actor_name = 'somebody else', previous_hash = '{}', hash = '{hash}'{also} \
                     WHERE @place AND sequence = {}",
                    entry.previous_hash, entry.sequence
                );
                run(place, &change).await;
                entry.hash = hash;
            }
            previous = entry.hash;
        }
        run(place, &format!("UPDATE audit_tips SET hash = '{previous}' WHERE @place")).await;
    };
    rewrite(8, "").await;
    broken_at(8, 3, "written anew").await;
    rewrite(9, ", seal = ''").await;
    broken_at(9, 3, "written anew without seals").await;
    run(9, "UPDATE audit_log SET seal = '' WHERE @place").await;
    let found = verify(&app, &places[9]).await;
    assert_eq!(found, Chain::Whole { entries: 6, unsealed: 6 }, "it is told apart from a sealed one");

    for (place, (code, says)) in [
        ("acme", (0, "acme: whole")),
        ("place-0", (1, "broken at entry 3")),
        ("place-2", (1, "broken at entry 6")),
        ("place-9", (1, "the first 6 entries")),
    ] {
        let (ended, text) = forge(&app, &["verify", "--organisation", place]);
        assert!(ended == code && text.contains(says), "{place}: {ended}: {text}");
    }
    assert_eq!(forge(&app, &["verify", "--organisation", "place-9", "--unsealed", "6"]).0, 0);
    let (code, text) = forge(&app, &["verify"]);
    assert!(code == 1 && text.contains("installation: whole") && text.contains("place-8"), "{text}");

    // And the page of the place says so.
    let page = app.request(Role::Owner, Method::GET, "/acme/-/audit").send().await.unwrap();
    assert!(page.text().await.unwrap().contains("The chain holds."));
}

async fn an_export_is_checked_without_forge(app: App) {
    for n in 0..3 {
        app.save(&format!("prompt-{n}"), "Hello", &[]).await;
    }
    let path = "/api/v1/organisations/acme/audit/export";
    let answer = app.request(Role::Owner, Method::GET, path).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/jsonl");
    assert_eq!(answer.headers()["content-disposition"], "attachment; filename=\"audit-acme.jsonl\"");
    let text = answer.text().await.unwrap();
    let (mut previous, mut count) = (String::new(), 0);
    for line in text.lines() {
        let mut entry: Value = serde_json::from_str(line).unwrap();
        let fields = entry.as_object_mut().unwrap();
        let (hash, seal) = (fields.remove("hash").unwrap(), fields.remove("seal").unwrap());
        assert_eq!(fields["previous_hash"], previous);
        count += 1;
        assert_eq!(fields["sequence"], count);
        assert_eq!(hash, Digest::of(&to_canonical(&entry).unwrap()).to_string());
        assert!(seal.as_str().unwrap().starts_with("hmac-sha256:"));
        previous = hash.as_str().unwrap().to_owned();
    }
    assert_eq!(count, app.audit(&app.organisation.id).await.len() as i64);
    let page = app.request(Role::Admin, Method::GET, "/acme/-/audit/export").send().await.unwrap();
    assert_eq!(page.text().await.unwrap(), text);
    let (code, printed) = forge(&app, &["export", "--organisation", "acme"]);
    assert_eq!((code, printed), (0, text));
    let out = app.directory.path().join("installation.jsonl");
    assert_eq!(forge(&app, &["export", "--out", out.to_str().unwrap()]).0, 0);
    let kept = std::fs::read_to_string(out).unwrap();
    assert!(kept.lines().next().unwrap().contains("\"action\":\"user.created\""), "{kept}");
    for (role, path) in [(Role::ContextEngineer, path), (Role::Viewer, "/acme/-/audit/export")] {
        assert_eq!(app.request(role, Method::GET, path).send().await.unwrap().status(), 403);
    }
}

async fn entries_from_before_they_were_sealed_stay_readable(app: App) {
    let config = app.fresh_config();
    let first = if app.is_postgres() {
        include_str!("../../migrations/postgres/0001_first.sql")
    } else {
        include_str!("../../migrations/sqlite/0001_first.sql")
    };
    let layout = "CREATE TABLE schema_migrations (name TEXT NOT NULL PRIMARY KEY, applied_at BIGINT NOT NULL); \
                  INSERT INTO schema_migrations VALUES ('0001_first', 1); \
                  INSERT INTO organisations VALUES ('o', 'old', 'Old', 1);";
    let mut sql = format!("{first}\n{layout}");
    let mut entry = AuditEntry {
        organisation_id: "o".into(),
        sequence: 0,
        at: 1,
        actor_id: "console".into(),
        actor_name: "forge (console)".into(),
        action: "organisation.created".into(),
        subject: "old".into(),
        detail: "{}".into(),
        previous_hash: String::new(),
        hash: String::new(),
        seal: String::new(),
    };
    for sequence in 1..=3 {
        (entry.sequence, entry.previous_hash) = (sequence, entry.hash.clone());
        entry.hash = hash(&entry);
        sql.push_str(&format!(
            "INSERT INTO audit_log VALUES ('o', {sequence}, 1, 'console', 'forge (console)', 'organisation.created', \
             'old', '{{}}', '{}', '{}');",
            entry.previous_hash, entry.hash
        ));
    }
    sql.push_str(&format!("INSERT INTO audit_tips VALUES ('o', 3, '{}');", entry.hash));
    app.raw(&config.database, &sql);

    let state = AppState::open(config, "http://localhost".into()).await.unwrap();
    let console = Actor::console();
    let old = author::find_organisation(&state, &console, "old").await.unwrap();
    let found = audit::verify(&state, &console, &old).await.unwrap();
    assert_eq!(found, Chain::Whole { entries: 3, unsealed: 3 });
    let new = author::NewProject { slug: "new", ..author::NewProject::default() };
    author::create_project(&state, &console, &old, new).await.unwrap();
    let found = audit::verify(&state, &console, &old).await.unwrap();
    assert_eq!(found, Chain::Whole { entries: 4, unsealed: 3 });
}

async fn what_concerns_no_organisation_is_in_the_chain_of_the_installation(app: App) {
    let browser = app.browser().await;
    let out = app.by(&browser, Method::DELETE, "/api/v1/sessions/current").send().await.unwrap();
    assert_eq!(out.status(), 204);
    let link = forge_api::session::sign_in_link(&app.state, "viewer@example.org").await.unwrap();
    let log = app.audit(INSTALLATION).await;
    let actions: Vec<_> = log.iter().map(|e| e.action.as_str()).collect();
    assert!(actions.ends_with(&["session.started", "session.ended", "sign_in_link.created"]), "{actions:?}");
    assert_eq!(actions.iter().filter(|a| **a == "user.created").count(), 6);
    let token = link.rsplit('/').next().unwrap();
    assert!(log.iter().all(|e| !e.detail.contains(token)));
    let found = audit::verify_installation(&app.state, &Actor::console()).await.unwrap();
    assert_eq!(found, Chain::Whole { entries: log.len() as i64, unsealed: 0 });
    let owner = Actor {
        entry: forge_api::auth::Entry::Session { id: "x".into(), csrf: "x".into() },
        ..Actor::console()
    };
    assert!(audit::verify_installation(&app.state, &owner).await.is_err(), "only the console reads it");
}

async fn a_refused_attempt_is_recorded_where_it_belongs(app: App) {
    let acme = app.organisation.id.clone();
    let write = |request: reqwest::RequestBuilder| request.json(&prompt("x", "x", &[])).send();
    let path = format!("{SET}/prompts/x");
    let by_role = write(app.request(Role::Viewer, Method::PUT, &path)).await.unwrap();
    problem(by_role, 403, "forbidden").await;
    let entry = app.audited(&acme, |e| e.action == "request.refused" && e.actor_name == "viewer").await;
    assert_eq!(entry.subject, format!("PUT {path}"));
    assert!(entry.detail.contains("the role viewer may not edit prompts"), "{entry:?}");

    // A stranger learns nothing; the organisation does.
    for path in [SET, "/api/v1/organisations/acme/members"] {
        problem(app.strange(Method::GET, path).send().await.unwrap(), 404, "not_found").await;
    }
    assert_eq!(app.strange(Method::GET, "/acme/support").send().await.unwrap().status(), 404);
    let entry = app.audited(&acme, |e| e.actor_name == "stranger").await;
    assert!(entry.detail.contains("no member of the organisation"), "{entry:?}");

    let browser = app.browser().await;
    let bare = app.anonymous(Method::PUT, &path).header("cookie", &browser.cookies);
    assert_eq!(write(bare).await.unwrap().status(), 403);
    let says =
        |why: &'static str| move |e: &AuditEntry| e.action == "request.refused" && e.detail.contains(why);
    let entry = app.audited(INSTALLATION, says("this form is too old or came from elsewhere")).await;
    assert_eq!(entry.actor_name, "owner");
    let foreign = app.anonymous(Method::POST, "/api/v1/sessions").header("origin", "https://evil.example");
    assert_eq!(foreign.json(&json!({})).send().await.unwrap().status(), 403);
    app.audited(INSTALLATION, says("this request came from another site")).await;
    // Approving one's own draft is refused beside the form, and recorded all the same.
    app.save("welcome.message", "Hello", &[]).await;
    app.post(&format!("{SET}/reviews"), 201, json!({})).await;
    let form = [("csrf", browser.csrf.as_str()), ("verdict", "approve"), ("digest", "sha256:0")];
    let own =
        app.by(&browser, Method::POST, "/acme/support/chat/-/verdict").form(&form).send().await.unwrap();
    assert_eq!(own.status(), 403);
    app.audited(&acme, |e| e.action == "request.refused" && e.actor_name == "owner").await;
    assert_eq!(verify(&app, &app.organisation).await, {
        let entries = app.audit(&acme).await.len() as i64;
        Chain::Whole { entries, unsealed: 0 }
    });
}

async fn a_flood_of_refusals_is_a_few_entries(app: App) {
    let before = app.audit(INSTALLATION).await.len();
    // Not so many that they fill more than a window of a minute: each password that is tried costs time on purpose.
    for n in 0..100 {
        // Five tokens, one address; and ever new e-mail addresses, more than one network has kinds.
        let bad = app.anonymous(Method::GET, "/api/v1/me").bearer_auth(format!("anvil_{}", n % 5));
        assert_eq!(bad.send().await.unwrap().status(), 401);
        if n % 8 == 0 {
            let body = json!({ "email": format!("{n}{}@x.example", "e".repeat(1000)), "password": "" });
            let answer = app.anonymous(Method::POST, "/api/v1/sessions").json(&body).send().await.unwrap();
            assert_eq!(answer.status(), 422);
        }
    }
    app.state.refusals.close(&app.state).await;
    let log = app.audit(INSTALLATION).await.split_off(before);
    let refused = |action: &str| log.iter().filter(|e| e.action == action).count();
    assert_eq!(refused("token.refused"), 2, "the first one, and how many more");
    let more = log.iter().find(|e| e.detail.contains("\"more\":99")).unwrap();
    assert!(more.detail.contains("\"within_s\":60"), "{more:?}");
    assert_eq!(refused("sign_in.refused"), 2, "however many names are typed");
    assert!(log.iter().any(|e| e.detail.contains("\"more\":12")));
    assert_eq!(log.len(), 4);
    assert!(log.iter().all(|e| e.subject.len() <= 200 && e.actor_name.len() <= 200));
}

async fn a_stranger_hides_nobodys_attempts_behind_their_own(app: App) {
    let (acme, browser) = (app.organisation.id.clone(), app.browser().await);
    // One stranger at every door there is, with names and tokens that are none; and one who is signed in.
    for route in forge_api::auth::route::API {
        let (method, path): (Method, _) =
            (route.method.parse().unwrap(), route.path.replace(['{', '}', '*'], ""));
        let bad = app.anonymous(method.clone(), &path).bearer_auth("anvil_none").send().await.unwrap();
        assert!(bad.status() == 401 || route.path.starts_with("/health/"), "{method} {path}");
    }
    let path = format!("{SET}/prompts/x");
    for (method, path) in [(Method::GET, SET), (Method::PUT, path.as_str()), (Method::DELETE, path.as_str())]
    {
        let request = app.strange(method, path).json(&prompt("x", "x", &[]));
        assert_eq!(request.send().await.unwrap().status(), 404);
    }
    // What is refused to those who are signed in is recorded all the same, and a read hides no write.
    let bare = app.anonymous(Method::PUT, &path).header("cookie", &browser.cookies);
    assert_eq!(bare.json(&json!({})).send().await.unwrap().status(), 403);
    app.audited(INSTALLATION, |e| e.action == "request.refused" && e.actor_name == "owner").await;
    for method in ["GET", "PUT", "DELETE"] {
        app.audited(&acme, |e| e.actor_name == "stranger" && e.subject.starts_with(method)).await;
    }
    app.state.refusals.close(&app.state).await;
    let log = app.audit(INSTALLATION).await;
    assert_eq!(log.iter().filter(|e| e.action == "token.refused").count(), 10);
    assert!(log.iter().any(|e| e.action == "attempts.refused" && e.actor_id == "several"));
}

async fn a_chain_is_checked_once_however_many_ask(app: App) {
    let path = "/api/v1/organisations/acme/audit/verify";
    let all = futures::future::join_all((0..20).map(|_| app.get(path))).await;
    assert_eq!(all[0]["whole"], true);
    assert!(all.windows(2).all(|two| two[0] == two[1]), "one check for all of them: {all:?}");
    // What comes afterwards is in the next check, a minute later.
    app.save("welcome.message", "Hello", &[]).await;
    assert_eq!(app.get(path).await, all[0]);
    let page = app.request(Role::Owner, Method::GET, "/acme/-/audit").header("accept", "text/html");
    let html = page.send().await.unwrap().text().await.unwrap();
    assert!(html.contains("checked at "), "{html}");
    // The console asks the database each time.
    let entries = app.audit(&app.organisation.id).await.len() as i64;
    assert_eq!(verify(&app, &app.organisation).await, Chain::Whole { entries, unsealed: 0 });
    assert!(all[0]["entries"].as_i64().unwrap() < entries);
}
