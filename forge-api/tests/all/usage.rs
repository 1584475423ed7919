//! Use and contracts, as they are stored.

use forge_api::auth::Actor;
use forge_api::author;
use forge_api::clock;
use forge_api::database::agent::{self, Agent};
use forge_api::database::contract::{self, AgentContract, StoredContract};
use forge_api::database::usage::{self, FULL, Life, Seen, UsageHour};
use forge_api::database::{project, version};
use forge_api::usage::{Asked, By, HOUR, KEPT};
use serde_json::json;

use crate::app::{App, on_both};

on_both!(
    hours_add_up_without_overflowing_and_are_deleted_after_400_days,
    an_agent_that_was_silent_for_a_day_or_is_listed_no_more_breaks_nothing,
);

async fn hours_add_up_without_overflowing_and_are_deleted_after_400_days(app: App) {
    app.save("welcome.message", "Hello", &[]).await;
    app.lock("1.0.0").await;
    let console = Actor::console();
    let set = author::find_set(&app.state, &console, &app.at, "chat").await.unwrap();
    let mut conn = app.state.database.read().await.unwrap();
    let prod = project::environment(&mut conn, &app.at.project.id, "prod").await.unwrap().unwrap();
    let made = version::find(&mut conn, &set.set.id, "1.0.0").await.unwrap().unwrap();
    drop(conn);
    let now = clock::now();
    let this_hour = now - now.rem_euclid(HOUR);
    let row = |hour: i64, renders: i64, p50: i64, p99: i64| UsageHour {
        environment_id: prod.id.clone(),
        set_id: set.set.id.clone(),
        hour,
        version_id: made.id.clone(),
        prompt: "welcome.message".into(),
        renders,
        errors: 1,
        render_p50_ns: p50,
        render_p99_ns: p99,
        calls: 2,
        call_errors: 0,
        input_tokens: 30,
        output_tokens: 4,
        latency_us: 5_000,
        cost_micros: 6,
    };
    let life = |started_at: i64, heard_at: i64| Life {
        environment_id: prod.id.clone(),
        agent: "till".into(),
        started_at,
        heard_at,
        prompts: 1,
    };
    let seen = |started_at: i64| Seen {
        environment_id: prod.id.clone(),
        agent: "till".into(),
        started_at,
        version_id: made.id.clone(),
        prompt: "welcome.message".into(),
        renders: 1,
        errors: 0,
        calls: 0,
        call_errors: 0,
        input_tokens: 0,
        output_tokens: 0,
        latency_us: 0,
        cost_micros: 0,
    };
    let old = this_hour - KEPT - HOUR;
    let mut tx = app.state.database.write().await.unwrap();
    usage::add(&mut tx, &[row(this_hour, 10, 100, 900), row(old, 7, 1, 1)]).await.unwrap();
    usage::add(&mut tx, &[row(this_hour, 30, 0, 300)]).await.unwrap();
    usage::add(&mut tx, &[row(this_hour - HOUR, 20, 400, 500)]).await.unwrap();
    usage::put_lives(&mut tx, &[life(1, old), life(2, now)]).await.unwrap();
    usage::put_seen(&mut tx, &[seen(1), seen(2)]).await.unwrap();
    tx.commit().await.unwrap();

    let asked = Asked { environment: Some("prod"), ..Asked::default() };
    let found = forge_api::usage::usage(&app.state, &console, &set, asked).await.unwrap();
    let [one] = found.rows.as_slice() else { panic!("{found:?}") };
    assert_eq!(one.version.as_deref(), Some("1.0.0"));
    assert_eq!((one.renders, one.errors, one.calls, one.input_tokens), (60, 3, 6, 90));
    // 100 of 40 renders and 400 of 20; the worst of all.
    assert_eq!((one.render_p50_ns, one.render_p99_ns), (200, 900));
    let by_hour = Asked { by: By::Hour, ..asked };
    let hours = forge_api::usage::usage(&app.state, &console, &set, by_hour).await.unwrap().rows;
    let renders: Vec<_> = hours.iter().map(|row| (row.hour.unwrap(), row.renders)).collect();
    assert_eq!(renders, [(this_hour - HOUR, 20), (this_hour, 40)]);

    // Full is full: no sum overflows, neither in a row nor over rows.
    for hour in [this_hour, this_hour - HOUR] {
        for _ in 0..4 {
            let mut tx = app.state.database.write().await.unwrap();
            usage::add(&mut tx, &[row(hour, FULL, i64::MAX, i64::MAX)]).await.unwrap();
            tx.commit().await.unwrap();
        }
    }
    let found = forge_api::usage::usage(&app.state, &console, &set, asked).await.unwrap();
    assert!(found.rows[0].renders > FULL.unsigned_abs() * 2, "{found:?}");
    let old_too = Asked { from: Some(old), to: Some(old + HOUR), ..asked };
    assert_eq!(
        forge_api::usage::usage(&app.state, &console, &set, old_too).await.unwrap().rows[0].renders,
        7
    );

    assert_eq!(forge_api::usage::prune(&app.state, now).await.unwrap(), 1);
    assert_eq!(forge_api::usage::prune(&app.state, now).await.unwrap(), 0);
    assert!(forge_api::usage::usage(&app.state, &console, &set, old_too).await.unwrap().rows.is_empty());
    let mut conn = app.state.database.read().await.unwrap();
    let lives = usage::lives(&mut conn, &prod.id, &["till".into()]).await.unwrap();
    assert_eq!(lives.iter().map(|l| l.started_at).collect::<Vec<_>>(), [2]);
    assert!(usage::seen(&mut conn, (&prod.id, "till", 1), &["welcome.message"]).await.unwrap().is_empty());
    assert_eq!(usage::seen(&mut conn, (&prod.id, "till", 2), &["welcome.message"]).await.unwrap().len(), 1);
}

async fn an_agent_that_was_silent_for_a_day_or_is_listed_no_more_breaks_nothing(app: App) {
    app.save("welcome.message", "Hello", &[]).await;
    app.lock("1.0.0").await;
    let mut conn = app.state.database.read().await.unwrap();
    let prod = project::environment(&mut conn, &app.at.project.id, "prod").await.unwrap().unwrap();
    drop(conn);
    let now = clock::now();
    let hours = |n: i64| now - n * HOUR;
    let agent = |name: &str, last_seen_at: i64| Agent {
        environment_id: prod.id.clone(),
        name: name.into(),
        identity: "U".into(),
        host: "host".into(),
        service: "checkout".into(),
        agent_version: "1".into(),
        mode: "ACCEPTING".into(),
        mode_by: "configuration".into(),
        order_number: None,
        order_result: None,
        stale: false,
        stream_floor: 1,
        cache: "disk".into(),
        status: "null".into(),
        consumer: None,
        started_at: 1,
        first_seen_at: 1,
        last_seen_at,
        disconnected_at: Some(now),
    };
    let body =
        json!({ "set": "chat", "version": "0.9.0", "prompts": [{ "id": "gone.message" }] }).to_string();
    let announced = |name: &str| AgentContract {
        environment_id: prod.id.clone(),
        agent: name.into(),
        digest: "sha256:1".into(),
        set_slug: "chat".into(),
        announced_at: 1,
    };
    let stored = StoredContract {
        environment_id: prod.id.clone(),
        digest: "sha256:1".into(),
        set_slug: "chat".into(),
        version: "0.9.0".into(),
        size: 1,
        body,
    };
    let mut tx = app.state.database.write().await.unwrap();
    agent::put_all(&mut tx, &[agent("lately", hours(23)), agent("long-ago", hours(25))]).await.unwrap();
    contract::put(&mut tx, &[stored]).await.unwrap();
    contract::announce(&mut tx, &["lately", "long-ago", "never-listed"].map(announced)).await.unwrap();
    tx.commit().await.unwrap();

    let path = "/api/v1/projects/acme:support/environments/prod/breaks?set=chat&version=1.0.0";
    let found = app.get(path).await["broken"].clone();
    assert_eq!(found[0]["contracts"][0]["agents"], json!(["lately"]), "{found}");
    let request = json!({ "set": "chat", "environment": "prod", "version": "1.0.0" });
    let refused = app.refused(crate::app::PUBLICATIONS, request.clone(), 409, "breaks_contract").await;
    assert_eq!(refused["broken"], found);

    // Who gives its place to another is forgotten with all that it announced.
    let mut tx = app.state.database.write().await.unwrap();
    let room = agent::make_room(&mut tx, &prod.id, "new", 2, hours(1)).await.unwrap();
    assert_eq!(room, agent::Room::Of("long-ago".into()));
    let room = agent::make_room(&mut tx, &prod.id, "new", 1, hours(1)).await.unwrap();
    assert_eq!(room, agent::Room::Of("lately".into()));
    assert!(contract::of_agent(&mut tx, &prod.id, "lately").await.unwrap().is_empty());
    tx.commit().await.unwrap();
    app.post(crate::app::PUBLICATIONS, 201, request).await;
}
