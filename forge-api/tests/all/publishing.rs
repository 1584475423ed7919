//! The page that publishes, with agents of every kind: who will not take a version, and why.

use forge_api::auth::{Actor, Role};
use forge_api::database::agent::{self, Agent};
use forge_api::database::contract::{self, AgentContract, StoredContract};
use forge_api::database::credential;
use forge_api::database::project::Environment;
use forge_api::{author, clock};
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{App, on_both};

on_both!(
    the_page_that_publishes_says_who_will_not_take_a_version_and_why,
    what_agents_will_do_is_counted_once_and_an_agent_that_is_back_takes_it,
);

const PAGE: &str = "/acme/support/chat/-/publish?version=1.0.0&environment=prod";
const BREAKS: &str = "/api/v1/projects/acme:support/environments/prod/breaks?set=chat&version=1.0.0";
const CREDENTIALS: &str = "/api/v1/projects/acme:support/credentials";
const HOUR: i64 = 3_600_000_000;

async fn prod(app: &App) -> Environment {
    app.save("welcome.message", "Hello", &[]).await;
    app.lock("1.0.0").await;
    author::find_environment(&app.state, &Actor::console(), &app.at, "prod").await.unwrap()
}

/// An agent that is there, for as long as a test may take, and takes everything.
fn willing(prod: &Environment, name: &str) -> Agent {
    Agent {
        environment_id: prod.id.clone(),
        name: name.into(),
        identity: "U".into(),
        host: "host".into(),
        service: "till".into(),
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
        last_seen_at: clock::now() + HOUR,
        disconnected_at: None,
    }
}

/// One that was not heard for an hour.
fn away(prod: &Environment, name: &str) -> Agent {
    let heard = clock::now() - HOUR;
    Agent { last_seen_at: heard, disconnected_at: Some(heard + 1), ..willing(prod, name) }
}

/// One whose owner pinned the set `chat`.
fn pinned(prod: &Environment, name: &str, to: &str) -> Agent {
    let status = json!({
        "schema_version": 1, "agent": name, "identity": "U",
        "scope": { "organisation": "acme", "project": "support", "environment": "prod" },
        "host": "h", "service": "till", "agent_version": "1", "mode": "ACCEPTING", "at": 1, "started_at": 1,
        "floor": 1, "stale": false, "cache": "disk", "counters": { "renders": 0, "render_errors": 0 },
        "sets": [{ "set": "chat", "pin": to }],
    });
    Agent { status: status.to_string(), ..willing(prod, name) }
}

async fn put(app: &App, rows: &[Agent]) {
    let mut tx = app.state.database.write().await.unwrap();
    agent::put_all(&mut tx, rows).await.unwrap();
    tx.commit().await.unwrap();
}

/// What `agent` was built for is a prompt that no version has.
async fn built_for_another(app: &App, prod: &Environment, agent: &str) {
    let mut tx = app.state.database.write().await.unwrap();
    let body = json!({ "set": "chat", "version": "0.9.0", "prompts": [{ "id": "gone.message" }] });
    let stored = StoredContract {
        environment_id: prod.id.clone(),
        digest: "sha256:1".into(),
        set_slug: "chat".into(),
        version: "0.9.0".into(),
        size: 1,
        body: body.to_string(),
    };
    contract::put(&mut tx, &[stored]).await.unwrap();
    let announced = AgentContract {
        environment_id: prod.id.clone(),
        agent: agent.into(),
        digest: "sha256:1".into(),
        set_slug: "chat".into(),
        announced_at: 1,
    };
    contract::announce(&mut tx, &[announced]).await.unwrap();
    tx.commit().await.unwrap();
}

/// A credential that this agent came with; gives its id.
async fn credential_of(app: &App, agent: &str) -> String {
    let made = app.post(CREDENTIALS, 201, json!({ "environment": "prod", "name": agent })).await;
    let mut tx = app.state.database.write().await.unwrap();
    let (key, client) = (made["public_key"].as_str().unwrap(), format!("live {agent}"));
    assert!(credential::seen(&mut tx, key, clock::now() - HOUR, &client, "10.0.0.1").await.unwrap());
    tx.commit().await.unwrap();
    made["id"].as_str().unwrap().to_owned()
}

async fn revoke(app: &App, id: &str) {
    let gone = app.request(Role::Owner, Method::DELETE, &format!("{CREDENTIALS}/{id}"));
    assert!(gone.send().await.unwrap().status().is_success());
}

/// A copy of the credential with this id, which ended a moment ago, that another agent came with.
async fn expired(app: &App, like: &str, agent: &str) {
    let mut tx = app.state.database.write().await.unwrap();
    let mut row = credential::by_id(&mut tx, &app.at.project.id, like).await.unwrap().unwrap();
    (row.id, row.public_key) = (clock::new_id(), format!("U-{agent}"));
    (row.revoked_at, row.expires_at) = (None, Some(clock::now() - 1));
    row.last_seen_agent = Some(format!("live {agent}"));
    row.last_seen_at = Some(clock::now() - HOUR);
    credential::insert(&mut tx, &row).await.unwrap();
    tx.commit().await.unwrap();
}

async fn page(app: &App) -> String {
    let asked = app.request(Role::Owner, Method::GET, PAGE).header("accept", "text/html");
    let answer = asked.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.text().await.unwrap()
}

/// What the table of agents says of one: the word and why; none where it is not listed.
fn said_of(html: &str, agent: &str) -> Option<String> {
    let table = html.split("id=\"not-at-once\"").nth(1)?.split("</table>").next()?;
    let row =
        table.split("<tr>").find(|row| row.contains(&format!("<span class=\"strong\">{agent}</span>")))?;
    let (mut text, mut inside) = (String::new(), true);
    for c in row.chars() {
        match c {
            '<' => inside = false,
            '>' => (inside, text) = (true, text + " "),
            c if inside => text.push(c),
            _ => {}
        }
    }
    Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

async fn the_page_that_publishes_says_who_will_not_take_a_version_and_why(app: App) {
    let prod = prod(&app).await;
    let rows = [
        willing(&prod, "fine"),
        pinned(&prod, "pinned-and-fits", "^1"),
        pinned(&prod, "pinned-away", "^0.9"),
        Agent { mode: "FROZEN".into(), ..willing(&prod, "ice") },
        Agent { stale: true, ..willing(&prod, "behind") },
        away(&prod, "asleep"),
        away(&prod, "revoked"),
        away(&prod, "ended"),
        willing(&prod, "revoked-now"),
        away(&prod, "given-another"),
        willing(&prod, "old-program"),
    ];
    put(&app, &rows).await;
    built_for_another(&app, &prod, "old-program").await;
    let first = credential_of(&app, "revoked").await;
    expired(&app, &first, "ended").await;
    revoke(&app, &first).await;
    let second = credential_of(&app, "revoked-now").await;
    revoke(&app, &second).await;
    let third = credential_of(&app, "given-another").await;
    credential_of(&app, "given-another").await;
    revoke(&app, &third).await;

    let html = page(&app).await;
    for (agent, word, why) in [
        ("old-program", "refuses", "its program was built for something else; it keeps what it has"),
        ("revoked", "cut off", "its credential was revoked; it hears of nothing until it is given another"),
        (
            "revoked-now",
            "cut off",
            "its credential was revoked; it hears of nothing until it is given another",
        ),
        ("ended", "cut off", "its credential has expired; it hears of nothing until it is given another"),
        ("asleep", "unreachable", "applies it when it is back"),
        ("given-another", "unreachable", "applies it when it is back"),
        ("pinned-away", "pinned", "its owner pinned the set to ^0.9; it keeps what it has"),
        ("ice", "frozen", "checks it, and holds it back until it accepts again"),
        ("behind", "stale", "has not heard from FORGE for a while; it may take it late"),
    ] {
        let said = said_of(&html, agent).unwrap_or_else(|| panic!("{agent} is not listed: {html}"));
        assert!(said.contains(word) && said.contains(why), "{agent}: {said}");
        assert!(said.contains("till"), "{agent} is of a service: {said}");
    }
    for agent in ["fine", "pinned-and-fits"] {
        assert_eq!(said_of(&html, agent), None, "{agent} takes it");
    }
    for part in [
        "What 11 agents of prod will do",
        "<b>1</b> built for something else: refuse it",
        "<b>3</b> cut off: cannot hear of it",
        "<b>2</b> unreachable: apply it when back",
        "<b>1</b> pinned: keep what they have",
        "<b>1</b> frozen: hold it back",
        "<b>1</b> stale: may take it late",
        "<b>2</b> will check and apply it",
    ] {
        assert!(html.contains(part), "{part}: {html}");
    }
    // The worst first, and the same over the API.
    let at = |agent: &str| html.find(&format!("<span class=\"strong\">{agent}</span>")).unwrap();
    assert!(at("old-program") < at("revoked") && at("revoked") < at("asleep") && at("asleep") < at("ice"));
    let told = app.get(BREAKS).await;
    let wills: Vec<(&Value, &Value)> =
        told["foreseen"].as_array().unwrap().iter().map(|one| (&one["agent"], &one["will"])).collect();
    let expected = [
        ("old-program", "refuse"),
        ("ended", "cut_off"),
        ("revoked", "cut_off"),
        ("revoked-now", "cut_off"),
        ("asleep", "away"),
        ("given-another", "away"),
        ("pinned-away", "pinned"),
        ("ice", "frozen"),
        ("behind", "late"),
    ]
    .map(|(agent, will)| (json!(agent), json!(will)));
    assert_eq!(wills, expected.iter().map(|(agent, will)| (agent, will)).collect::<Vec<_>>());
    assert_eq!(told["more_foreseen"], 0);
}

async fn what_agents_will_do_is_counted_once_and_an_agent_that_is_back_takes_it(app: App) {
    let prod = prod(&app).await;
    let html = page(&app).await;
    assert!(html.contains("No agent has connected to prod yet"), "{html}");

    // Frozen and pinned away is pinned: thawing it would change nothing.
    let both = Agent { mode: "FROZEN".into(), ..pinned(&prod, "both", "=0.1.0") };
    put(&app, &[both, away(&prod, "back")]).await;
    let html = page(&app).await;
    assert!(said_of(&html, "both").unwrap().contains("pinned"), "{html}");
    assert!(said_of(&html, "back").unwrap().contains("unreachable"), "{html}");
    assert!(html.contains("What 2 agents of prod will do"), "{html}");

    put(&app, &[willing(&prod, "both"), willing(&prod, "back")]).await;
    let html = page(&app).await;
    assert!(html.contains("<b>2</b> will check and apply it") && !html.contains("not-at-once"), "{html}");
    assert!(app.get(BREAKS).await["foreseen"].as_array().unwrap().is_empty());
}
