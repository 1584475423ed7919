//! Orders to agents: which stand, who obeyed, and who may give them.

use diesel_async::RunQueryDsl as _;
use forge_api::auth::{Actor, Role};
use forge_api::database::Conn;
use forge_api::database::agent::{self, Agent};
use forge_api::database::order::{self, Order};
use forge_api::database::project::Environment;
use forge_api::order::{Listener, New, Target};
use forge_api::{author, clock};
use reqwest::Method;
use schemas::envelope::{ORDERS_MAX, OrderTarget};
use schemas::status::Mode;
use serde_json::{Value, json};

use crate::app::{App, on_both, problem};

on_both!(
    an_order_stands_until_a_newer_or_a_wider_one_takes_its_place,
    numbers_only_grow_though_many_order_at_once_and_the_clock_was_set_back,
    so_many_orders_stand_and_the_next_one_is_told_to_be_wider,
    an_order_to_the_fleet_is_one_to_every_environment,
    an_order_tells_who_did_it_who_forbids_it_and_who_did_not_answer,
    an_order_to_nobody_or_with_a_misspelt_name_is_refused_and_changes_nothing,
    who_ordered_what_and_why_stands_in_the_audit_log,
    the_page_shows_orders_pins_overrides_and_what_would_have_been_applied,
    an_order_is_given_by_a_form_that_says_what_it_does,
    an_order_that_is_withdrawn_is_told_to_nobody_and_brings_nothing_back,
    orders_to_agents_that_are_gone_take_no_place_and_are_told_to_who_comes_back,
    what_stands_is_found_without_reading_every_order_that_was_ever_given,
    an_agent_that_obeyed_a_newer_order_does_not_wait_for_an_older_one,
    a_name_that_cannot_be_one_is_refused_and_reaches_no_database,
);

const PROD: &str = "/api/v1/projects/acme:support/environments/prod/mode-orders";
const FLEET: &str = "/api/v1/projects/acme:support/mode-orders";
const PAGE: &str = "/acme/support/-/agents";

async fn environment(app: &App, slug: &str) -> Environment {
    author::find_environment(&app.state, &Actor::console(), &app.at, slug).await.unwrap()
}

fn row(environment: &Environment, name: &str, service: &str) -> Agent {
    Agent {
        environment_id: environment.id.clone(),
        name: name.into(),
        identity: "U".into(),
        host: "host".into(),
        service: service.into(),
        agent_version: "1".into(),
        mode: "ACCEPTING".into(),
        stale: false,
        stream_floor: 1,
        cache: "disk".into(),
        status: "null".into(),
        consumer: None,
        started_at: 1,
        first_seen_at: 1,
        last_seen_at: clock::now(),
        disconnected_at: None,
        mode_by: "configuration".into(),
        order_number: None,
        order_result: None,
    }
}

async fn put(app: &App, rows: &[Agent]) {
    let mut tx = app.state.database.write().await.unwrap();
    agent::put_all(&mut tx, rows).await.unwrap();
    tx.commit().await.unwrap();
}

/// The agents `till-1` and `till-2` of service `till`, and `kiosk`, of no service, in prod.
async fn people_the_shop(app: &App) -> Environment {
    let prod = environment(app, "prod").await;
    put(app, &[row(&prod, "till-1", "till"), row(&prod, "till-2", "till"), row(&prod, "kiosk", "")]).await;
    prod
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

/// What stands, newest first, as `agent till-1 FROZEN`.
async fn standing(app: &App, path: &str) -> Vec<String> {
    let (mut stands, mut from) = (Vec::new(), path.to_owned());
    loop {
        let list = app.get(&from).await;
        let items = list["items"].as_array().unwrap().iter();
        stands
            .extend(items.map(|o| format!("{} {} {}", text(o, "target"), text(o, "name"), text(o, "mode"))));
        match list["next"].as_str() {
            Some(next) => from = format!("{path}?cursor={next}"),
            None => return stands,
        }
    }
}

async fn an_order_stands_until_a_newer_or_a_wider_one_takes_its_place(app: App) {
    people_the_shop(&app).await;
    let freeze = async |more: Value| {
        let mut body = json!({ "mode": "FROZEN" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        app.post(PROD, 201, body).await
    };
    freeze(json!({ "agent": "till-1" })).await;
    freeze(json!({ "agent": "kiosk" })).await;
    freeze(json!({ "agent": "till-1", "mode": "ACCEPTING" })).await;
    assert_eq!(standing(&app, PROD).await, ["agent till-1 ACCEPTING", "agent kiosk FROZEN"]);
    // Of the service are the tills and not the kiosk.
    freeze(json!({ "service": "till" })).await;
    assert_eq!(standing(&app, PROD).await, ["service till FROZEN", "agent kiosk FROZEN"]);
    freeze(json!({ "agent": "till-2" })).await;
    assert_eq!(
        standing(&app, PROD).await,
        ["agent till-2 FROZEN", "service till FROZEN", "agent kiosk FROZEN"]
    );
    freeze(json!({})).await;
    assert_eq!(standing(&app, PROD).await, ["environment  FROZEN"]);
    let made = freeze(json!({ "agent": "kiosk", "mode": "ACCEPTING", "reason": "  it is\nneeded " })).await;
    assert_eq!(standing(&app, PROD).await, ["agent kiosk ACCEPTING", "environment  FROZEN"]);
    assert_eq!((text(&made, "reason"), text(&made, "by")), ("it is needed", "owner"));
    // Another environment is another one.
    assert!(standing(&app, &PROD.replace("prod", "dev")).await.is_empty());
}

async fn numbers_only_grow_though_many_order_at_once_and_the_clock_was_set_back(app: App) {
    let prod = people_the_shop(&app).await;
    // As of a FORGE whose clock went an hour ahead.
    let ahead = clock::now() + 3_600_000_000;
    let mut tx = app.state.database.write().await.unwrap();
    let first = Order {
        environment_id: prod.id.clone(),
        number: ahead,
        target_kind: "environment".into(),
        target_name: String::new(),
        mode: "FROZEN".into(),
        given_by: "ada".into(),
        reason: String::new(),
        given_at: ahead,
    };
    order::insert(&mut tx, &first).await.unwrap();
    tx.commit().await.unwrap();
    let console = Actor::console();
    let new = New { target: Target::Service("till"), mode: Mode::Frozen, reason: "" };
    let many = (0..12).map(|_| forge_api::order::give(&app.state, &console, &app.at, &prod, new));
    let mut numbers: Vec<i64> =
        futures::future::join_all(many).await.into_iter().map(|o| o.unwrap().order.number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=12).map(|n| ahead + n).collect::<Vec<_>>());
    let mut conn = app.state.database.read().await.unwrap();
    assert_eq!(order::last_number(&mut conn, &prod.id).await.unwrap(), ahead + 12);
    assert_eq!(order::above(&mut conn, ahead).await.unwrap(), [(prod.id.clone(), ahead + 12)]);
    assert!(order::above(&mut conn, ahead + 12).await.unwrap().is_empty());
    // With the clock as it is, the number is the time.
    let dev = environment(&app, "dev").await;
    let before = clock::now();
    let new = New { target: Target::Environment, ..new };
    let given = forge_api::order::give(&app.state, &console, &app.at, &dev, new).await.unwrap();
    assert!((before..=clock::now()).contains(&given.order.number), "{given:?}");
}

async fn so_many_orders_stand_and_the_next_one_is_told_to_be_wider(app: App) {
    let prod = people_the_shop(&app).await;
    let agents: Vec<Agent> = (0..=ORDERS_MAX).map(|n| row(&prod, &format!("agent-{n}"), "crowd")).collect();
    put(&app, &agents).await;
    let console = Actor::console();
    for agent in &agents[..ORDERS_MAX] {
        let new = New { target: Target::Agent(&agent.name), mode: Mode::Frozen, reason: "" };
        forge_api::order::give(&app.state, &console, &app.at, &prod, new).await.unwrap();
    }
    let last = json!({ "mode": "FROZEN", "agent": agents[ORDERS_MAX].name });
    let refused = app.refused(PROD, last.clone(), 409, "too_many_orders").await;
    let detail = text(&refused, "detail");
    assert!(
        detail.contains("256") && detail.contains("give one to the service or the environment"),
        "{detail}"
    );
    let other =
        app.refused(PROD, json!({ "mode": "FROZEN", "service": "till" }), 409, "too_many_orders").await;
    assert!(text(&other, "detail").contains("give one to the environment"), "{other}");
    assert_eq!(standing(&app, PROD).await.len(), ORDERS_MAX, "nothing changed");
    // Another one to somebody who has one takes its place, and a wider one that of many.
    app.post(PROD, 201, json!({ "mode": "ACCEPTING", "agent": "agent-0" })).await;
    app.post(PROD, 201, json!({ "mode": "FROZEN", "service": "crowd" })).await;
    assert_eq!(standing(&app, PROD).await, ["service crowd FROZEN"]);
    app.post(PROD, 201, last).await;
}

async fn an_order_to_the_fleet_is_one_to_every_environment(app: App) {
    people_the_shop(&app).await;
    app.post(PROD, 201, json!({ "mode": "FROZEN", "agent": "kiosk" })).await;
    let made = app.post(FLEET, 201, json!({ "mode": "FROZEN", "reason": "release freeze" })).await;
    let places: Vec<_> = made["items"].as_array().unwrap().iter().map(|o| text(o, "environment")).collect();
    assert_eq!(places, ["dev", "staging", "prod"]);
    assert_eq!(standing(&app, PROD).await, ["environment  FROZEN"]);
    assert_eq!(standing(&app, FLEET).await.len(), 3);
    // A target of one environment is none of the fleet's, and does not become an order to everybody.
    let one = json!({ "mode": "ACCEPTING", "agent": "kiosk" });
    let answer = app.request(Role::Owner, Method::POST, FLEET).json(&one).send().await.unwrap();
    assert!(answer.status().is_client_error(), "{}", answer.status());
    assert!(standing(&app, FLEET).await.iter().all(|o| o == "environment  FROZEN"));
}

async fn an_order_tells_who_did_it_who_forbids_it_and_who_did_not_answer(app: App) {
    let prod = people_the_shop(&app).await;
    app.post(PROD, 201, json!({ "mode": "FROZEN", "agent": "kiosk" })).await;
    let made = app.post(PROD, 201, json!({ "mode": "FROZEN", "service": "till" })).await;
    let nobody = json!({ "agents": 2, "done": 0, "changed": 0, "forbidden": 0, "not_yet": 2 });
    assert_eq!(made["answers"], nobody, "the kiosk goes by its own order");
    let number = made["number"].as_i64().unwrap();
    let answered = |name: &str, mode: &str, number: i64, result: &str| Agent {
        mode: mode.into(),
        mode_by: "forge".into(),
        order_number: Some(number),
        order_result: Some(result.into()),
        ..row(&prod, name, "till")
    };
    let told = async |rows: &[Agent]| {
        put(&app, rows).await;
        let list = app.get(PROD).await;
        let found = list["items"].as_array().unwrap().iter().find(|o| o["number"] == number).cloned();
        found.unwrap()["answers"].clone()
    };
    let both =
        [answered("till-1", "FROZEN", number, "done"), answered("till-2", "ACCEPTING", number, "forbidden")];
    let expected = json!({ "agents": 2, "done": 1, "changed": 0, "forbidden": 1, "not_yet": 0 });
    assert_eq!(told(&both).await, expected);
    let both =
        [answered("till-1", "ACCEPTING", number, "done"), answered("till-2", "FROZEN", number - 1, "done")];
    let expected = json!({ "agents": 2, "done": 0, "changed": 1, "forbidden": 0, "not_yet": 1 });
    assert_eq!(told(&both).await, expected);
}

async fn an_order_to_nobody_or_with_a_misspelt_name_is_refused_and_changes_nothing(app: App) {
    people_the_shop(&app).await;
    app.refused(PROD, json!({ "mode": "FROZEN", "agent": "nobody" }), 404, "not_found").await;
    app.refused(PROD, json!({ "mode": "FROZEN", "service": "nobody" }), 404, "not_found").await;
    app.refused(PROD, json!({ "mode": "FROZEN", "service": "" }), 404, "not_found").await;
    app.refused(PROD, json!({ "mode": "FROZEN", "agent": "kiosk", "service": "till" }), 422, "invalid").await;
    app.refused(&PROD.replace("prod", "nowhere"), json!({ "mode": "FROZEN" }), 404, "not_found").await;
    for wrong in [json!({ "mode": "FROZEN", "agnet": "kiosk" }), json!({ "mode": "frozen" }), json!({})] {
        let answer = app.request(Role::Owner, Method::POST, PROD).json(&wrong).send().await.unwrap();
        assert!(answer.status().is_client_error(), "{wrong}: {}", answer.status());
        assert_eq!(answer.headers()["content-type"], "application/problem+json", "{wrong}");
    }
    assert!(standing(&app, FLEET).await.is_empty());
}

async fn who_ordered_what_and_why_stands_in_the_audit_log(app: App) {
    people_the_shop(&app).await;
    app.post(PROD, 201, json!({ "mode": "FROZEN", "service": "till", "reason": "audit week" })).await;
    app.post(FLEET, 201, json!({ "mode": "ACCEPTING" })).await;
    let log = app.audit(&app.organisation.id).await;
    let orders: Vec<_> = log.iter().filter(|e| e.action == "mode.ordered").collect();
    assert_eq!(orders.len(), 2);
    assert_eq!(
        (orders[0].actor_name.as_str(), orders[0].subject.as_str()),
        ("owner", "service till of acme/support/prod")
    );
    assert!(
        orders[0].detail.contains("audit week") && orders[0].detail.contains("FROZEN"),
        "{}",
        orders[0].detail
    );
    assert_eq!(orders[1].subject, "acme/support");
    assert!(orders[1].detail.contains("staging"), "{}", orders[1].detail);

    // A page of somebody else cannot give one by a browser that is signed in here.
    let browser = app.browser().await;
    let forged = app.anonymous(Method::POST, FLEET).header("cookie", &browser.cookies);
    problem(forged.json(&json!({ "mode": "FROZEN" })).send().await.unwrap(), 403, "forbidden").await;
    // Who may not publish may not order.
    let reviewer = app.request(Role::Reviewer, Method::POST, PROD).json(&json!({ "mode": "FROZEN" }));
    problem(reviewer.send().await.unwrap(), 403, "forbidden").await;
    assert_eq!(standing(&app, PROD).await, ["environment  ACCEPTING"]);
}

/// What an agent says of the set `chat` with this pending.
fn status(pending: &Value, pin: Option<&str>, overrides: &[&str]) -> String {
    json!({
        "schema_version": 1, "agent": "till-1", "identity": "U",
        "scope": { "organisation": "acme", "project": "support", "environment": "prod" },
        "host": "h", "service": "till", "agent_version": "1", "mode": "FROZEN", "at": 1, "started_at": 1,
        "floor": 1, "stale": false, "cache": "disk", "counters": { "renders": 0, "render_errors": 0 },
        "overrides": overrides,
        "sets": [{
            "set": "chat", "pin": pin, "pending": pending,
            "active": {
                "publication": "p", "serial": 6, "version": "2.0.0", "activated_at": 1,
                "digest": format!("sha256:{}", "0".repeat(64)),
            },
        }],
    })
    .to_string()
}

async fn page(app: &App, path: &str) -> String {
    let answer =
        app.request(Role::Owner, Method::GET, path).header("accept", "text/html").send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    answer.text().await.unwrap()
}

async fn the_page_shows_orders_pins_overrides_and_what_would_have_been_applied(app: App) {
    let prod = people_the_shop(&app).await;
    let waits = |state: &str| json!({ "serial": 7, "version": "2.1.0", "state": state, "at": 1 });
    let frozen = Agent {
        mode: "FROZEN".into(),
        mode_by: "local".into(),
        status: status(&waits("verified"), None, &["@chat/welcome", "@chat/bye"]),
        ..row(&prod, "till-1", "till")
    };
    let pinned =
        Agent { status: status(&waits("pinned"), Some("^2.0, <2.1"), &[]), ..row(&prod, "till-2", "till") };
    put(&app, &[frozen, pinned]).await;
    app.post(PROD, 201, json!({ "mode": "FROZEN", "service": "till", "reason": "<b>audit</b> week" })).await;
    let html = page(&app, &format!("{PAGE}?environment=prod")).await;
    for part in [
        "would have applied chat 2.1.0 (serial 7)",
        "pinned; would have applied chat 2.1.0 (serial 7)",
        "pinned ^2.0, &lt;2.1",
        "serves 2 prompts from a folder of its machine: @chat&#x2F;welcome, @chat&#x2F;bye",
        "set at the agent",
        "by its configuration",
        "told to be FROZEN by owner; has not answered yet",
        "0 of 2 done · 2 not yet",
        "&lt;b&gt;audit&lt;&#x2F;b&gt; week",
        "-/agents/order?environment=prod&amp;service=till&amp;mode=FROZEN",
        "-/agents/order?environment=prod&amp;agent=till-1&amp;mode=ACCEPTING",
    ] {
        let plain = |text: &str| text.replace("&#x2F;", "/").replace("&amp;", "&");
        assert!(plain(&html).contains(&plain(part)), "{part}: {html}");
    }
    // Who may not order is shown everything, and no button.
    let looks =
        app.request(Role::Viewer, Method::GET, PAGE).header("accept", "text/html").send().await.unwrap();
    let html = looks.text().await.unwrap();
    assert!(html.contains("would have applied") && !html.contains("agents/order"), "{html}");
}

async fn an_order_is_given_by_a_form_that_says_what_it_does(app: App) {
    people_the_shop(&app).await;
    let browser = app.browser().await;
    let asks = async |query: &str| {
        let request = app.by(&browser, Method::GET, &format!("{PAGE}/order?{query}"));
        let answer = request.header("accept", "text/html").send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (code, html) = asks("environment=prod&service=till&mode=FROZEN").await;
    assert_eq!(code, 200, "{html}");
    for part in [
        "Freeze service till of prod",
        "Freeze 2 agents",
        "goes on serving what it has",
        "name=\"reason\"",
        "An agent that comes new, with no cache, obeys too: it then serves nothing",
    ] {
        assert!(html.contains(part), "{part}: {html}");
    }
    let (code, html) = asks("mode=ACCEPTING").await;
    assert!(
        code == 200 && html.contains("Let 3 agents accept") && html.contains("the whole fleet"),
        "{html}"
    );
    assert_eq!(asks("environment=prod&agent=nobody&mode=FROZEN").await.0, 404);
    assert_eq!(asks("agent=till-1&mode=FROZEN").await.0, 404, "one agent is not the whole fleet");
    assert_eq!(asks("environment=prod").await.0, 422);

    let form = |fields: &[(&str, &str)]| {
        let request = app.by(&browser, Method::POST, &format!("{PAGE}/order")).header("accept", "text/html");
        request.form(fields).send()
    };
    let fields =
        [("environment", "prod"), ("agent", ""), ("service", "till"), ("mode", "FROZEN"), ("reason", "calm")];
    let done = form(&fields).await.unwrap();
    assert_eq!(
        (done.status().as_u16(), done.headers()["location"].to_str().unwrap()),
        (303, "/acme/support/-/agents?environment=prod")
    );
    assert_eq!(standing(&app, PROD).await, ["service till FROZEN"]);
    let done = form(&[("environment", ""), ("mode", "ACCEPTING")]).await.unwrap();
    assert_eq!(done.status(), 303);
    assert_eq!(standing(&app, FLEET).await.len(), 3);
    let bad = form(&[("environment", ""), ("agent", "till-1"), ("mode", "FROZEN")]).await.unwrap();
    assert_eq!(bad.status(), 404);
    assert_eq!(standing(&app, PROD).await, ["environment  ACCEPTING"], "nothing changed");
}

/// The agents, or the service, of the orders that FORGE's word tells.
async fn told(app: &App, environment: &Environment, listener: Listener<'_>) -> Vec<String> {
    let mut conn = app.state.database.read().await.unwrap();
    let told = forge_api::order::told(&mut conn, &environment.id, listener).await.unwrap();
    told.into_iter()
        .map(|order| match order.target {
            OrderTarget::Agent { agent } => agent.to_string(),
            OrderTarget::Service { service } => service,
            _ => String::new(),
        })
        .collect()
}

async fn an_order_that_is_withdrawn_is_told_to_nobody_and_brings_nothing_back(app: App) {
    let prod = people_the_shop(&app).await;
    let freeze = async |more: Value| {
        let mut body = json!({ "mode": "FROZEN" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        app.post(PROD, 201, body).await["number"].as_i64().unwrap()
    };
    let withdraw = async |role: Role, number: i64| {
        let path = format!("{PROD}/{number}");
        app.request(role, Method::DELETE, &path).send().await.unwrap().status().as_u16()
    };
    let single = freeze(json!({ "agent": "till-1" })).await;
    let kiosk = freeze(json!({ "agent": "kiosk", "mode": "ACCEPTING" })).await;
    let service = freeze(json!({ "service": "till" })).await;
    assert_eq!(standing(&app, PROD).await, ["service till FROZEN", "agent kiosk ACCEPTING"]);
    assert_eq!(withdraw(Role::Viewer, service).await, 403);
    assert_eq!(withdraw(Role::Owner, service + 1).await, 404);
    assert_eq!(withdraw(Role::Owner, service).await, 204);
    // The one to a till that it took the place of is gone as well, and not said a second time.
    assert_eq!(standing(&app, PROD).await, ["agent kiosk ACCEPTING"]);
    assert_eq!(told(&app, &prod, Listener::Everybody).await, ["kiosk"]);
    assert!(told(&app, &prod, Listener::One { agent: "till-1", service: "till" }).await.is_empty());
    assert_eq!((withdraw(Role::Owner, service).await, withdraw(Role::Owner, single).await), (204, 204));
    let all = freeze(json!({})).await;
    assert_eq!(withdraw(Role::Owner, kiosk).await, 204, "overtaken already");
    assert_eq!(withdraw(Role::Owner, all).await, 204);
    assert!(standing(&app, PROD).await.is_empty());
    let log = app.audit(&app.organisation.id).await;
    let withdrawn: Vec<_> =
        log.iter().filter(|e| e.action == "mode.withdrawn").map(|e| e.subject.as_str()).collect();
    assert_eq!(withdrawn, ["service till of acme/support/prod", "acme/support/prod"]);
    // No agent's mode changed, and the next order counts as ever.
    let agents = app.get("/api/v1/projects/acme:support/agents").await;
    assert!(agents["items"].as_array().unwrap().iter().all(|a| a["mode"] == "ACCEPTING"));
    assert!(freeze(json!({ "agent": "till-1" })).await > all);

    // By the page.
    let browser = app.browser().await;
    let html = page(&app, &format!("{PAGE}?environment=prod")).await.replace("&#x2F;", "/");
    let number = freeze(json!({ "agent": "till-1" })).await;
    assert!(html.contains("/withdraw?environment=prod"), "{html}");
    let address = format!("{PAGE}/orders/{number}/withdraw?environment=prod");
    let asks = app.by(&browser, Method::GET, &address).header("accept", "text/html").send().await.unwrap();
    let html = asks.text().await.unwrap();
    assert!(
        html.contains("Withdraw FROZEN for agent till-1 of prod") && html.contains("mode changes"),
        "{html}"
    );
    let done = app.by(&browser, Method::POST, &address).form(&[("nothing", "")]).send().await.unwrap();
    assert_eq!(done.status(), 303);
    assert!(standing(&app, PROD).await.is_empty());
}

async fn orders_to_agents_that_are_gone_take_no_place_and_are_told_to_who_comes_back(app: App) {
    let prod = people_the_shop(&app).await;
    let day = 24 * 3600 * 1_000_000;
    let names: Vec<String> = (0..ORDERS_MAX).map(|n| format!("agent-{n}")).collect();
    let rows: Vec<Agent> = names.iter().map(|name| row(&prod, name, "")).collect();
    put(&app, &rows).await;
    let console = Actor::console();
    for name in &names {
        let new = New { target: Target::Agent(name), mode: Mode::Frozen, reason: "" };
        forge_api::order::give(&app.state, &console, &app.at, &prod, new).await.unwrap();
    }
    app.refused(PROD, json!({ "mode": "FROZEN", "agent": "kiosk" }), 409, "too_many_orders").await;
    // One is away for more than a day.
    let away = Agent { last_seen_at: clock::now() - day - 1_000_000, ..row(&prod, "agent-0", "") };
    put(&app, &[away]).await;
    app.post(PROD, 201, json!({ "mode": "FROZEN", "agent": "kiosk" })).await;
    app.refused(PROD, json!({ "mode": "FROZEN", "agent": "till-1" }), 409, "too_many_orders").await;
    // Another one gives its place.
    let mut tx = app.state.database.write().await.unwrap();
    let oldest = Agent { last_seen_at: 1, ..row(&prod, "agent-1", "") };
    agent::put_all(&mut tx, &[oldest]).await.unwrap();
    let room = agent::make_room(&mut tx, &prod.id, "new", 1, 2).await.unwrap();
    assert_eq!(room, agent::Room::Of("agent-1".into()));
    tx.commit().await.unwrap();
    app.post(PROD, 201, json!({ "mode": "FROZEN", "agent": "till-1" })).await;
    // Both still stand, for when their agents are back, and can be withdrawn.
    let stands = standing(&app, PROD).await;
    assert_eq!(stands.len(), ORDERS_MAX + 2);
    let everybody = told(&app, &prod, Listener::Everybody).await;
    assert_eq!(everybody.len(), ORDERS_MAX);
    for name in ["agent-0", "agent-1"] {
        assert!(stands.contains(&format!("agent {name} FROZEN")), "{name}");
        assert!(!everybody.contains(&name.to_owned()), "{name}");
        assert_eq!(told(&app, &prod, Listener::One { agent: name, service: "" }).await, [name]);
    }
    assert!(told(&app, &prod, Listener::One { agent: "till-2", service: "till" }).await.is_empty());
}

async fn what_stands_is_found_without_reading_every_order_that_was_ever_given(app: App) {
    let prod = people_the_shop(&app).await;
    let mut tx = app.state.database.write().await.unwrap();
    let given = |number: i64, kind: &str, name: &str| Order {
        environment_id: prod.id.clone(),
        number,
        target_kind: kind.into(),
        target_name: name.into(),
        mode: "FROZEN".into(),
        given_by: "ada".into(),
        reason: String::new(),
        given_at: number,
    };
    for number in 1..=2_000 {
        order::insert(&mut tx, &given(number, "agent", if number % 2 == 0 { "kiosk" } else { "till-1" }))
            .await
            .unwrap();
    }
    let newest = order::newest_of_each(&mut tx, &prod.id).await.unwrap();
    assert_eq!(newest.iter().map(|o| o.number).collect::<Vec<_>>(), [2_000, 1_999]);
    let rows = "SELECT COUNT(*) FROM standing_orders";
    assert_eq!(count(&mut tx, rows).await, 2);
    order::insert(&mut tx, &given(2_001, "environment", "")).await.unwrap();
    assert_eq!(count(&mut tx, rows).await, 1);
    order::insert(&mut tx, &given(2_002, "service", "till")).await.unwrap();
    let newest = order::newest_of_each(&mut tx, &prod.id).await.unwrap();
    assert_eq!(newest.iter().map(|o| o.number).collect::<Vec<_>>(), [2_002, 2_001]);
}

#[derive(diesel::QueryableByName)]
struct Counted {
    #[diesel(sql_type = diesel::sql_types::BigInt, column_name = "n")]
    n: i64,
}

async fn count(conn: &mut Conn, query: &str) -> i64 {
    let query = format!("SELECT n FROM ({}) AS counted", query.replace("COUNT(*)", "COUNT(*) AS n"));
    let found: Counted = match conn {
        Conn::Postgres(c) => diesel::sql_query(query).get_result(&mut **c).await.unwrap(),
        Conn::Sqlite(c) => diesel::sql_query(query).get_result(&mut **c).await.unwrap(),
    };
    found.n
}

async fn an_agent_that_obeyed_a_newer_order_does_not_wait_for_an_older_one(app: App) {
    let prod = people_the_shop(&app).await;
    app.post(PROD, 201, json!({ "mode": "FROZEN" })).await;
    let newer = app.post(PROD, 201, json!({ "mode": "ACCEPTING", "agent": "kiosk" })).await;
    let number = newer["number"].as_i64().unwrap();
    let obeyed = Agent {
        mode_by: "forge".into(),
        order_number: Some(number),
        order_result: Some("done".into()),
        ..row(&prod, "kiosk", "")
    };
    put(&app, &[obeyed]).await;
    let path = format!("{PROD}/{number}");
    let done = app.request(Role::Owner, Method::DELETE, &path).send().await.unwrap();
    assert_eq!(done.status(), 204);
    let list = app.get(PROD).await;
    let expected = json!({ "agents": 2, "done": 0, "changed": 0, "forbidden": 0, "not_yet": 2 });
    assert_eq!(list["items"][0]["answers"], expected, "the kiosk does not go back to it");
    let html = page(&app, &format!("{PAGE}?environment=prod&q=kiosk")).await;
    assert!(html.contains("ordered by FORGE") && !html.contains("has not answered yet"), "{html}");
}

async fn a_name_that_cannot_be_one_is_refused_and_reaches_no_database(app: App) {
    people_the_shop(&app).await;
    for (key, value) in [("agent", "a\u{0}"), ("agent", "Till 1"), ("agent", ""), ("service", "a\u{0}b")] {
        app.refused(PROD, json!({ "mode": "FROZEN", (key): value }), 422, "invalid").await;
    }
    assert!(standing(&app, PROD).await.is_empty());
}
