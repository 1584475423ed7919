//! Use and contracts, as they are stored.

use forge_api::auth::{Actor, Role};
use forge_api::author::{self, SetAt};
use forge_api::clock;
use forge_api::database::agent::{self, Agent};
use forge_api::database::contract::{self, AgentContract, StoredContract};
use forge_api::database::project::{self, Environment};
use forge_api::database::usage::{self, FULL, Life, Seen, UsageHour};
use forge_api::database::version::{self, Version};
use forge_api::usage::{Asked, By, HOUR, KEPT};
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{App, on_both};

on_both!(
    hours_add_up_without_overflowing_and_are_deleted_after_400_days,
    medians_of_an_hour_are_weighed_by_the_renders_that_were_added,
    what_an_agent_told_is_known_while_it_is_heard_and_for_thirty_days,
    an_agent_that_was_silent_for_a_day_or_is_listed_no_more_breaks_nothing,
    the_room_for_contracts_comes_back_and_who_finds_none_is_counted,
    whom_a_version_breaks_is_told_of_two_hundred_services_at_most,
);

const BREAKS: &str = "/api/v1/projects/acme:support/environments/prod/breaks?set=chat&version=1.0.0";

/// The set `chat` with the version 1.0.0, whose prompt is `welcome.message`.
async fn locked(app: &App) -> (SetAt, Environment, Version) {
    app.save("welcome.message", "Hello", &[]).await;
    app.lock("1.0.0").await;
    let set = author::find_set(&app.state, &Actor::console(), &app.at, "chat").await.unwrap();
    let mut conn = app.state.database.read().await.unwrap();
    let prod = project::environment(&mut conn, &app.at.project.id, "prod").await.unwrap().unwrap();
    let made = version::find(&mut conn, &set.set.id, "1.0.0").await.unwrap().unwrap();
    (set, prod, made)
}

/// An agent that was heard then.
fn agent(prod: &Environment, name: &str, service: &str, last_seen_at: i64) -> Agent {
    Agent {
        environment_id: prod.id.clone(),
        name: name.into(),
        identity: "U".into(),
        host: "host".into(),
        service: service.into(),
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
        disconnected_at: None,
    }
}

fn life(prod: &Environment, agent: &str, started_at: i64, heard_at: i64) -> Life {
    Life { environment_id: prod.id.clone(), agent: agent.into(), started_at, heard_at, prompts: 1 }
}

/// A contract of a prompt that no version has.
fn stored(prod: &Environment, digest: &str, size: i64) -> StoredContract {
    StoredContract {
        environment_id: prod.id.clone(),
        digest: digest.into(),
        set_slug: "chat".into(),
        version: "0.9.0".into(),
        size,
        body: json!({ "set": "chat", "version": "0.9.0", "prompts": [{ "id": "gone.message" }] }).to_string(),
    }
}

fn announced(prod: &Environment, agent: &str, digest: &str) -> AgentContract {
    AgentContract {
        environment_id: prod.id.clone(),
        agent: agent.into(),
        digest: digest.into(),
        set_slug: "chat".into(),
        announced_at: 1,
    }
}

async fn hours_add_up_without_overflowing_and_are_deleted_after_400_days(app: App) {
    let console = Actor::console();
    let (set, prod, made) = locked(&app).await;
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
    usage::put_lives(&mut tx, &[life(&prod, "till", 1, old), life(&prod, "till", 2, now)]).await.unwrap();
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

async fn medians_of_an_hour_are_weighed_by_the_renders_that_were_added(app: App) {
    let (set, prod, made) = locked(&app).await;
    let now = clock::now();
    let row = |renders: i64, p50: i64| UsageHour {
        environment_id: prod.id.clone(),
        set_id: set.set.id.clone(),
        hour: now - now.rem_euclid(HOUR),
        version_id: made.id.clone(),
        prompt: "welcome.message".into(),
        renders,
        errors: 0,
        render_p50_ns: p50,
        render_p99_ns: 0,
        calls: 1,
        call_errors: 0,
        input_tokens: 0,
        output_tokens: 0,
        latency_us: 0,
        cost_micros: 0,
    };
    let median = async |renders: i64, p50: i64| {
        let mut tx = app.state.database.write().await.unwrap();
        usage::add(&mut tx, &[row(renders, p50)]).await.unwrap();
        tx.commit().await.unwrap();
        let asked = Asked { environment: Some("prod"), ..Asked::default() };
        let found = forge_api::usage::usage(&app.state, &Actor::console(), &set, asked).await.unwrap();
        found.rows[0].render_p50_ns
    };
    assert_eq!(median(30, 100).await, 100);
    // One render by a slow agent moves it by little, whoever speaks last.
    assert_eq!(median(10, 400).await, 175);
    assert_eq!(
        (median(0, 9_000).await, median(7, 0).await),
        (175, 175),
        "calls alone, and renders without times"
    );
    assert!(median(1, i64::MAX).await > 175, "and nothing overflows");
}

async fn what_an_agent_told_is_known_while_it_is_heard_and_for_thirty_days(app: App) {
    let (_, prod, made) = locked(&app).await;
    let now = clock::now();
    let days = |n: i64| now - n * 24 * HOUR;
    let mut tx = app.state.database.write().await.unwrap();
    let rows = [agent(&prod, "idle", "", now), agent(&prod, "gone", "", days(31))];
    agent::put_all(&mut tx, &rows).await.unwrap();
    let lives = [
        // It serves, and nobody rendered anything for long.
        life(&prod, "idle", 1, days(40)),
        life(&prod, "gone", 1, days(31)),
        // They lost their places to others.
        life(&prod, "displaced", 1, days(29)),
        life(&prod, "displaced-long-ago", 1, days(31)),
    ];
    usage::put_lives(&mut tx, &lives).await.unwrap();
    // More than one transaction deletes.
    let many: Vec<_> = (0..50).map(|n| life(&prod, &format!("ghost-{n}"), 1, days(31))).collect();
    usage::put_lives(&mut tx, &many).await.unwrap();
    let seen: Vec<Seen> = lives
        .iter()
        .map(|life| Seen {
            environment_id: prod.id.clone(),
            agent: life.agent.clone(),
            started_at: 1,
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
        })
        .collect();
    usage::put_seen(&mut tx, &seen).await.unwrap();
    tx.commit().await.unwrap();
    forge_api::usage::prune(&app.state, now).await.unwrap();
    let mut conn = app.state.database.read().await.unwrap();
    let names: Vec<String> = lives.iter().chain(&many).map(|life| life.agent.clone()).collect();
    let mut left: Vec<String> =
        usage::lives(&mut conn, &prod.id, &names).await.unwrap().into_iter().map(|life| life.agent).collect();
    left.sort_unstable();
    assert_eq!(left, ["displaced", "idle"]);
    for life in &lives {
        let rows = usage::seen(&mut conn, (&prod.id, &life.agent, 1), &["welcome.message"]).await.unwrap();
        assert_eq!(rows.len(), usize::from(left.contains(&life.agent)), "{}", life.agent);
    }
    drop(conn);

    // Who gives its place to another is still known: it may come back, and tell it all again.
    let mut tx = app.state.database.write().await.unwrap();
    let room = agent::make_room(&mut tx, &prod.id, "new", 1, now + 1).await.unwrap();
    assert_eq!(room, agent::Room::Of("gone".into()));
    let room = agent::make_room(&mut tx, &prod.id, "new", 1, now + 1).await.unwrap();
    assert_eq!(room, agent::Room::Of("idle".into()));
    assert_eq!(usage::lives(&mut tx, &prod.id, &["idle".into()]).await.unwrap().len(), 1);
}

async fn an_agent_that_was_silent_for_a_day_or_is_listed_no_more_breaks_nothing(app: App) {
    let (_, prod, _) = locked(&app).await;
    let now = clock::now();
    let hours = |n: i64| now - n * HOUR;
    let away = |name: &str, last_seen_at: i64| Agent {
        disconnected_at: Some(now),
        ..agent(&prod, name, "checkout", last_seen_at)
    };
    let mut tx = app.state.database.write().await.unwrap();
    agent::put_all(&mut tx, &[away("lately", hours(23)), away("long-ago", hours(25))]).await.unwrap();
    contract::put(&mut tx, &[stored(&prod, "sha256:1", 1)]).await.unwrap();
    let who = ["lately", "long-ago", "never-listed"].map(|name| announced(&prod, name, "sha256:1"));
    contract::announce(&mut tx, &who).await.unwrap();
    tx.commit().await.unwrap();

    let found = app.get(BREAKS).await["broken"].clone();
    assert_eq!(found[0]["contracts"][0]["away"], json!(["lately"]), "{found}");
    assert_eq!((&found[0]["connected"], &found[0]["away"]), (&json!(0), &json!(1)), "{found}");
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

async fn the_room_for_contracts_comes_back_and_who_finds_none_is_counted(app: App) {
    let (_, prod, _) = locked(&app).await;
    let now = clock::now();
    let hours = |n: i64| now - n * HOUR;
    let built = |prompt: &str| {
        let one = json!({ "set": "chat", "version": "1.0.0", "prompts": [{ "id": prompt }] });
        forge_api::contract::read(&[serde_json::from_value(one).unwrap()]).unwrap()
    };
    let keep = async |name: &str, prompt: &str| {
        let mut tx = app.state.database.write().await.unwrap();
        let read = built(prompt);
        let kept =
            forge_api::contract::keep(&mut tx, &app.at.project.id, &prod.id, name, &read).await.unwrap();
        tx.commit().await.unwrap();
        kept
    };
    let announces = async |name: &str| {
        let mut conn = app.state.database.read().await.unwrap();
        contract::of_agent(&mut conn, &prod.id, name).await.unwrap()
    };
    let heard = async |name: &str, at: i64| {
        let mut tx = app.state.database.write().await.unwrap();
        agent::put_all(&mut tx, &[agent(&prod, name, "checkout", at)]).await.unwrap();
        tx.commit().await.unwrap();
    };
    // For as long as this may take they are there.
    heard("shop", now + HOUR).await;
    heard("large", now + HOUR).await;
    assert!(keep("shop", "gone.message").await);
    let old = announces("shop").await;
    // Somebody takes all the room that is left.
    let left = forge_api::contract::ENVIRONMENT_BYTES - 200;
    let mut tx = app.state.database.write().await.unwrap();
    contract::put(&mut tx, &[stored(&prod, "sha256:1", left)]).await.unwrap();
    contract::announce(&mut tx, &[announced(&prod, "large", "sha256:1")]).await.unwrap();
    tx.commit().await.unwrap();
    assert!(!keep("shop", &"x".repeat(500)).await);
    assert_eq!(announces("shop").await, old, "what it announced before is kept");
    let found = app.get(BREAKS).await;
    assert_eq!(found["not_kept"], 1, "{found}");
    let one = &found["broken"][0];
    assert_eq!((&one["connected"], one["contracts"].as_array().unwrap().len()), (&json!(2), 2), "{found}");
    for path in ["publish?version=1.0.0&environment=prod", "usage"] {
        let request = app.request(Role::Owner, Method::GET, &format!("/acme/support/chat/-/{path}"));
        let html = request.header("accept", "text/html").send().await.unwrap().text().await.unwrap();
        assert!(html.contains("The contracts of 1 agent of prod are not kept"), "{path}: {html}");
    }
    // What it alone announced gives its room to what it announces now.
    assert!(keep("shop", "gone.messages").await);
    assert_eq!(app.get(BREAKS).await["not_kept"], 0);
    assert!(!keep("shop", &"x".repeat(500)).await);

    // Nobody is asked about an agent that is away for a day: it gives its room, and what it was built for is known to
    // be missing when it is back.
    heard("large", hours(25)).await;
    assert!(keep("shop", &"x".repeat(500)).await);
    assert!(announces("large").await.is_empty());
    assert_eq!(app.get(BREAKS).await["not_kept"], 0);
    heard("large", now).await;
    assert_eq!(app.get(BREAKS).await["not_kept"], 1);
    assert!(keep("large", "gone.message").await);
    assert_eq!(app.get(BREAKS).await["not_kept"], 0);
}

async fn whom_a_version_breaks_is_told_of_two_hundred_services_at_most(app: App) {
    let (_, prod, _) = locked(&app).await;
    // For as long as this may take they are there.
    let now = clock::now() + HOUR;
    let names: Vec<String> = (0..230).map(|n| format!("service-{n:03}")).collect();
    let agents: Vec<Agent> = names.iter().map(|name| agent(&prod, &format!("a-{name}"), name, now)).collect();
    let mut tx = app.state.database.write().await.unwrap();
    agent::put_all(&mut tx, &agents).await.unwrap();
    agent::put_all(&mut tx, &[agent(&prod, "fine", "another", now)]).await.unwrap();
    contract::put(&mut tx, &[stored(&prod, "sha256:1", 1)]).await.unwrap();
    let who: Vec<_> = agents.iter().map(|agent| announced(&prod, &agent.name, "sha256:1")).collect();
    contract::announce(&mut tx, &who).await.unwrap();
    tx.commit().await.unwrap();

    let told = |value: &Value| (value["broken"].as_array().unwrap().len(), value["more"].as_u64().unwrap());
    assert_eq!(told(&app.get(BREAKS).await), (200, 30));
    let request = |accept: &[String]| json!({ "set": "chat", "environment": "prod", "version": "1.0.0", "accept_broken": accept });
    let refused = app.refused(crate::app::PUBLICATIONS, request(&names[..199]), 409, "breaks_contract").await;
    assert_eq!((told(&refused), &refused["broken"][0]["name"]), ((200, 30), &json!("service-199")));
    let page = "/acme/support/chat/-/publish?version=1.0.0&environment=prod";
    let html =
        app.request(Role::Owner, Method::GET, page).header("accept", "text/html").send().await.unwrap();
    let html = html.text().await.unwrap();
    for part in [
        "230 services would refuse 1.0.0",
        "30 more would refuse it",
        "<b>230</b> built for something else: refuse it",
        "<b>1</b> will check and apply it",
    ] {
        assert!(html.contains(part), "{part}: {html}");
    }
    assert_eq!(html.matches("type=\"checkbox\" name=\"accept_broken\"").count(), 200);
    // What was ticked before stays so, though the next ones are shown.
    let browser = app.browser().await;
    let mut form = vec![("version", "1.0.0"), ("environment", "prod"), ("expected_serial", "0")];
    form.extend(names[..200].iter().map(|name| ("accept_broken", name.as_str())));
    let page = "/acme/support/chat/-/publish";
    let answer = app.by(&browser, Method::POST, page).header("accept", "text/html").form(&form);
    let html = answer.send().await.unwrap().text().await.unwrap();
    assert!(html.contains("value=\"service-229\""), "{html}");
    assert_eq!(html.matches("type=\"hidden\" name=\"accept_broken\"").count(), 30);
    app.post(crate::app::PUBLICATIONS, 201, request(&names)).await;
    let entry = app.audited(&app.organisation.id, |e| e.action == "contract.overridden").await;
    let detail: Value = serde_json::from_str(&entry.detail).unwrap();
    assert_eq!((detail["services"].as_array().unwrap().len(), &detail["count"]), (100, &json!(230)));
}
