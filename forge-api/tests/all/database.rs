//! The database by itself, both kinds.

use diesel_async::RunQueryDsl as _;
use forge_api::auth::Actor;
use forge_api::author::{self, SetAt};
use forge_api::database::agent::{self, Acknowledgement, Agent};
use forge_api::database::{Conn, Database, DatabaseError, outbox, project, publication};
use forge_api::publish::{self, Request};
use forge_api::state::AppState;
use forge_api::{clock, lock};

use crate::app::{App, on_both};

on_both!(
    processes_that_start_at_once_agree_on_layout_and_keys,
    a_database_of_a_newer_program_is_refused,
    what_was_written_in_stone_cannot_be_changed,
    a_transaction_that_is_dropped_leaves_nothing,
    racing_publishers_get_serials_without_gaps,
    of_racing_publishers_who_expect_the_same_serial_one_wins,
    a_row_of_the_outbox_is_claimed_by_one,
    a_thousand_statuses_are_written_at_once,
);

/// Runs a statement as it is.
pub(crate) async fn sql(database: &Database, statement: &str) -> Result<usize, diesel::result::Error> {
    let mut tx = database.write().await.unwrap();
    let done = match &mut *tx {
        Conn::Postgres(c) => diesel::sql_query(statement).execute(&mut **c).await,
        Conn::Sqlite(c) => diesel::sql_query(statement).execute(&mut **c).await,
    };
    if done.is_ok() {
        tx.commit().await.unwrap();
    }
    done
}

/// Everything that is stored, as text.
pub(crate) async fn dump(app: &App) -> String {
    if app.is_postgres() {
        return app.dump_postgres();
    }
    let mut out = String::new();
    for entry in std::fs::read_dir(app.directory.path().join("data")).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("forge.db") {
            out.push_str(&String::from_utf8_lossy(&std::fs::read(path).unwrap()));
        }
    }
    out
}

async fn set_with_version(app: &App) -> (Actor, SetAt) {
    app.save("welcome.message", "Hello", &[]).await;
    app.lock("1.0.0").await;
    let console = Actor::console();
    let set = author::find_set(&app.state, &console, &app.at, "chat").await.unwrap();
    (console, set)
}

async fn processes_that_start_at_once_agree_on_layout_and_keys(app: App) {
    let fresh = app.fresh_config();
    let open = || AppState::open(fresh.clone(), "http://localhost".into());
    let (a, b, c) = tokio::join!(open(), open(), open());
    let (a, b, c) = (a.unwrap(), b.unwrap(), c.unwrap());
    let root = |s: &AppState| s.keys.ring().root.public().to_owned();
    assert_eq!(root(&a), root(&b));
    assert_eq!(root(&b), root(&c));
    let made = author::create_organisation(&a, &Actor::console(), "acme", "").await.unwrap();
    assert_eq!(author::find_organisation(&c, &Actor::console(), "acme").await.unwrap().id, made.id);
}

async fn a_database_of_a_newer_program_is_refused(app: App) {
    sql(&app.state.database, "INSERT INTO schema_migrations (name, applied_at) VALUES ('9999_later', 1)")
        .await
        .unwrap();
    let error = Database::open(&app.config().database).await.unwrap_err();
    assert!(matches!(&error, DatabaseError::Newer(name) if name == "9999_later"), "{error}");
}

async fn what_was_written_in_stone_cannot_be_changed(app: App) {
    set_with_version(&app).await;
    let orders = "/api/v1/projects/acme:support/mode-orders";
    app.post(orders, 201, serde_json::json!({ "mode": "FROZEN" })).await;
    for statement in [
        "UPDATE audit_log SET actor_name = 'somebody else'",
        "DELETE FROM audit_log",
        "UPDATE versions SET digest = 'another'",
        "DELETE FROM versions",
        "INSERT INTO audit_log SELECT organisation_id, sequence + 1000, at, actor_id, actor_name, action, subject, \
         detail, previous_hash, hash, seal FROM audit_log WHERE sequence = 1",
        "UPDATE audit_tips SET sequence = sequence - 1",
        "UPDATE audit_tips SET sequence = sequence + 2",
        "UPDATE audit_tips SET hash = 'another'",
        "UPDATE audit_tips SET organisation_id = 'another'",
        "DELETE FROM audit_tips",
        "UPDATE mode_orders SET mode = 'ACCEPTING'",
        "DELETE FROM mode_orders",
    ]
    .into_iter()
    .chain(if app.is_postgres() {
        &["TRUNCATE audit_log", "TRUNCATE audit_tips", "TRUNCATE versions CASCADE", "TRUNCATE mode_orders"][..]
    } else {
        &[
            "INSERT OR REPLACE INTO audit_log SELECT organisation_id, sequence, at, actor_id, 'x', action, subject, \
             detail, previous_hash, hash, seal FROM audit_log",
            "INSERT OR REPLACE INTO audit_tips SELECT organisation_id, 0, '' FROM audit_tips",
            "INSERT OR REPLACE INTO versions SELECT * FROM versions",
            "INSERT OR REPLACE INTO mode_orders SELECT * FROM mode_orders",
        ][..]
    }
    .iter()
    .copied())
    {
        let error = sql(&app.state.database, statement).await.expect_err(statement);
        let text = error.to_string();
        assert!(text.contains("append-only") || text.contains("immutable"), "{statement}: {text}");
    }
    assert_eq!(lock_count(&app).await, 1);
}

async fn lock_count(app: &App) -> usize {
    let console = Actor::console();
    let set = author::find_set(&app.state, &console, &app.at, "chat").await.unwrap();
    lock::versions(&app.state, &console, &set).await.unwrap().len()
}

async fn a_transaction_that_is_dropped_leaves_nothing(app: App) {
    for _ in 0..3 {
        let mut tx = app.state.database.write().await.unwrap();
        let row = forge_api::database::organisation::Organisation {
            id: clock::new_id(),
            slug: "ghost".into(),
            name: "Ghost".into(),
            created_at: 1,
        };
        forge_api::database::organisation::insert(&mut tx, &row).await.unwrap();
        drop(tx);
    }
    let mut conn = app.state.database.read().await.unwrap();
    assert!(forge_api::database::organisation::by_slug(&mut conn, "ghost").await.unwrap().is_none());
    drop(conn);
    author::create_organisation(&app.state, &Actor::console(), "ghost", "").await.unwrap();
}

async fn racing_publishers_get_serials_without_gaps(app: App) {
    let (console, set) = set_with_version(&app).await;
    let request = Request {
        environment: "prod",
        version: "1.0.0",
        expected_serial: None,
        comment: "",
        accept_broken: &[],
    };
    let racing = (0..20).map(|_| publish::publish(&app.state, &console, &set, request));
    let made = futures::future::join_all(racing).await;
    let mut serials: Vec<_> = made.iter().map(|m| m.as_ref().unwrap().publication.serial).collect();
    serials.sort_unstable();
    assert_eq!(serials, (1..=20).collect::<Vec<_>>());
    let mut numbers: Vec<_> = made.iter().map(|m| m.as_ref().unwrap().publication.number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
    let mut conn = app.state.database.read().await.unwrap();
    assert_eq!(outbox::count(&mut conn).await.unwrap(), 20);
}

async fn of_racing_publishers_who_expect_the_same_serial_one_wins(app: App) {
    let (console, set) = set_with_version(&app).await;
    let request = Request {
        environment: "prod",
        version: "1.0.0",
        expected_serial: Some(0),
        comment: "",
        accept_broken: &[],
    };
    let racing = (0..8).map(|_| publish::publish(&app.state, &console, &set, request));
    let made = futures::future::join_all(racing).await;
    assert_eq!(made.iter().filter(|m| m.is_ok()).count(), 1);
    assert!(made.iter().filter_map(|m| m.as_ref().err()).all(|e| e.code() == "serial_mismatch"));
}

async fn a_row_of_the_outbox_is_claimed_by_one(app: App) {
    let (console, set) = set_with_version(&app).await;
    let request = Request {
        environment: "prod",
        version: "1.0.0",
        expected_serial: None,
        comment: "",
        accept_broken: &[],
    };
    let made = publish::publish(&app.state, &console, &set, request).await.unwrap();
    let (id, now) = (made.publication.id, clock::now());
    let claim = |owner: &'static str, now: i64| {
        let (database, id) = (app.state.database.clone(), id.clone());
        async move {
            let mut tx = database.write().await.unwrap();
            let won = outbox::claim(&mut tx, &id, owner, now, now + 1_000_000).await.unwrap();
            tx.commit().await.unwrap();
            won
        }
    };
    let (a, b, c) = tokio::join!(claim("a", now), claim("b", now), claim("c", now));
    assert_eq!([a, b, c].iter().filter(|won| **won).count(), 1);
    assert!(claim("d", now + 2_000_000).await, "a lease that ran out is free again");
    assert!(!claim("e", now + 2_000_000).await);
    let mut tx = app.state.database.write().await.unwrap();
    outbox::release_all(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    assert!(claim("e", now + 2_000_000).await, "the claims of a process that died are taken over");
}

async fn a_thousand_statuses_are_written_at_once(app: App) {
    let (console, set) = set_with_version(&app).await;
    let request = Request {
        environment: "prod",
        version: "1.0.0",
        expected_serial: None,
        comment: "",
        accept_broken: &[],
    };
    let made = publish::publish(&app.state, &console, &set, request).await.unwrap();
    let mut conn = app.state.database.read().await.unwrap();
    let prod = project::environment(&mut conn, &app.at.project.id, "prod").await.unwrap().unwrap();
    let row = |n: usize| Agent {
        environment_id: prod.id.clone(),
        name: format!("agent-{n}"),
        identity: "U".into(),
        host: "host".into(),
        service: "checkout".into(),
        agent_version: "1".into(),
        mode: "ACCEPTING".into(),
        stale: false,
        stream_floor: 1,
        cache: "disk".into(),
        status: "{}".into(),
        consumer: None,
        started_at: 1,
        first_seen_at: 1,
        last_seen_at: clock::now(),
        disconnected_at: None,
        mode_by: "configuration".into(),
        order_number: None,
        order_result: None,
    };
    let answer = |n: usize, state: &str, at: i64| Acknowledgement {
        publication_id: made.publication.id.clone(),
        agent: format!("agent-{n}"),
        state: state.into(),
        reason_code: None,
        reason: None,
        activated_at: None,
        answered_at: at,
    };
    let rows: Vec<_> = (0..1000).map(row).collect();
    let delivered: Vec<_> = (0..1000).map(|n| answer(n, "delivered", 1)).collect();
    let active: Vec<_> = (0..1000).map(|n| answer(n, "active", 2)).collect();
    let late: Vec<_> = (0..1000).map(|n| answer(n, "active", 3)).collect();
    for answers in [&delivered, &active, &late] {
        let mut tx = app.state.database.write().await.unwrap();
        agent::put_all(&mut tx, &rows).await.unwrap();
        agent::put_acknowledgements(&mut tx, answers).await.unwrap();
        tx.commit().await.unwrap();
    }
    let stored = agent::acknowledgements(&mut conn, &made.publication.id).await.unwrap();
    assert_eq!(stored.len(), 1000);
    assert!(
        stored.iter().all(|a| a.state == "active" && a.answered_at == 2),
        "the first time it was active counts"
    );
    assert_eq!(agent::of_environment(&mut conn, &prod.id).await.unwrap().len(), 1000);
    let view = publish::find(&app.state, &console, &app.at, 1).await.unwrap();
    assert_eq!(view.count(publish::Answer::Active), 1000);
    assert!(publication::newest_sent(&mut conn).await.unwrap().is_empty(), "nothing was sent");
}
