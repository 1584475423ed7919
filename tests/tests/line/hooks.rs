//! Webhooks of agents: what real ones refuse, and that they do not hear FORGE, is told once; signed, and in the log.

use std::collections::HashSet;

use anyhow::{Context as _, Result};
use live_agent::LiveAgent;
use schemas::connect::Connection;
use schemas::contract::Contract;
use schemas::status::PendingState;
use serde_json::{Value, json};
use tests::forge::api::{Api, Credential};
use tests::forge::{Database, Forge, ORGANISATION, OWNER, PASSWORD, Place};
use tests::proxy::{Kind, Proxy, Trick};
use tests::receiver::{Heard, Receiver};
use tests::until::{secs, until};

use crate::{is_sent, let_in};

tests::on_both!(
    what_agents_refuse_is_told_once_for_each_publication_whatever_restarts,
    an_agent_that_does_not_hear_forge_is_told_of_and_does_not_flood_where_it_comes_and_goes,
    two_forges_that_hear_the_same_agents_tell_of_them_once,
);

const OPTIONS: [(&str, &str); 2] =
    [("FORGE_WEBHOOK_PRIVATE_ADDRESSES", "true"), ("FORGE_WEBHOOK_RETRY_MS", "200")];

/// A webhook as it was made.
struct Hook {
    id: String,
    secret: String,
}

async fn hook(owner: &Api, body: &Value) -> Result<Hook> {
    let made = owner.post(&format!("{}/webhooks", owner.project()), body).await?.ok()?;
    let text = |key: &str| made[key].as_str().map(str::to_owned).with_context(|| format!("{key} in {made}"));
    Ok(Hook { id: text("id")?, secret: text("secret")? })
}

async fn prepared(database: Database, heartbeat_ms: &str) -> Result<(Forge, Api)> {
    let mut place = Place::new(database)?;
    place.set("FORGE_HEARTBEAT_MS", heartbeat_ms);
    for (variable, value) in OPTIONS {
        place.set(variable, value);
    }
    let mut forge = Forge::begin(place).await?;
    let owner = forge.owner().await?;
    owner.create_project(ORGANISATION).await?;
    Ok((forge, owner))
}

async fn agent(
    connection: Value,
    credential: &Credential,
    name: &str,
    built_for: Option<&str>,
) -> Result<LiveAgent> {
    let builder = LiveAgent::builder()
        .connection(serde_json::from_value::<Connection>(connection)?)
        .credentials(credential.creds.as_str())
        .name(name)
        .service("checkout")
        .memory_only();
    let Some(prompt) = built_for else { return Ok(builder.start().await?) };
    let contract: Contract = serde_json::from_value(json!({
        "set": "chat", "version": "0.9.0", "prompts": [{ "id": prompt, "parameters": [] }],
    }))?;
    Ok(builder.contract(contract).start().await?)
}

/// Tries a publication again, once it was sent: FORGE refuses that while it waits.
async fn retry(owner: &Api, number: i64) -> Result<()> {
    is_sent(owner, number).await;
    owner.post(&format!("{}/publications/{number}/retry", owner.project()), &json!({})).await?.ok()?;
    Ok(())
}

/// What was heard of an event: each delivery once, since one whose answer comes late is sent again.
fn heard_once(receiver: &Receiver, event: &str) -> Vec<Value> {
    let mut seen = HashSet::new();
    let heard = receiver.heard().into_iter().filter(|heard| heard.header("forge-event") == event);
    heard
        .filter(|heard| seen.insert(heard.header("forge-delivery").to_owned()))
        .map(|heard| heard.json())
        .collect()
}

/// What the log of a webhook has of an event, newest first.
async fn logged(owner: &Api, hook: &Hook, event: &str) -> Result<Vec<Value>> {
    let log =
        owner.get(&format!("{}/webhooks/{}/deliveries?limit=100", owner.project(), hook.id)).await?.ok()?;
    let items = log["items"].as_array().cloned().unwrap_or_default();
    Ok(items.into_iter().filter(|delivery| delivery["event"] == event).collect())
}

/// One delivery, as soon as the log says that it was taken.
async fn taken(owner: &Api, hook: &Hook, heard: &Heard) -> Value {
    let id = heard.header("forge-delivery");
    until("the log says that it was taken", secs(60), async || {
        let log = logged(owner, hook, heard.header("forge-event")).await.ok()?;
        log.into_iter().find(|delivery| delivery["id"] == id && delivery["state"] == "delivered")
    })
    .await
}

/// The page of a webhook, as its owner reads it.
async fn page(forge: &Forge, hook: &Hook) -> Result<String> {
    let browser = reqwest::Client::builder().cookie_store(true).build()?;
    let person = json!({ "email": OWNER, "password": PASSWORD });
    let door = format!("{}/api/v1/sessions", forge.url());
    browser.post(door).json(&person).send().await?.error_for_status()?;
    let page = format!("{}/acme/support/-/webhooks/{}", forge.url(), hook.id);
    Ok(browser.get(page).header("accept", "text/html").send().await?.error_for_status()?.text().await?)
}

/// Waits until an agent has refused what is live.
async fn refuses(agent: &LiveAgent, serial: u64) {
    until(&format!("it refuses serial {serial}"), secs(60), async || {
        let status = agent.status();
        let pending = status.sets.first()?.pending.clone()?;
        (pending.state == PendingState::Refused && pending.serial == Some(serial)).then_some(())
    })
    .await;
}

async fn what_agents_refuse_is_told_once_for_each_publication_whatever_restarts(
    database: Database,
) -> Result<()> {
    // Long enough that who comes back to a FORGE that restarts is not silent for two of them, on a busy machine too.
    let (mut forge, owner) = prepared(database, "10000").await?;
    let (receiver, channel) = (Receiver::start().await?, Receiver::start().await?);
    let events = ["publication.sent", "agent.refused", "agent.stale"];
    let json = hook(&owner, &json!({ "url": receiver.url(), "name": "pipeline", "events": events })).await?;
    let slack =
        hook(&owner, &json!({ "url": channel.url(), "kind": "slack", "events": ["agent.refused"] })).await?;
    owner.release("1.0.0", "Hello {{ name }}").await?;
    let sent = receiver.hears("publication.sent", |_| true).await;
    assert!(sent.is_signed_by(&json.secret) && !sent.is_signed_by(&slack.secret));
    let body = sent.json();
    assert_eq!(
        (&body["subject"], &body["data"]["publication"]),
        (&json!("acme/support/chat@1.0.0 to prod"), &json!(1))
    );
    assert_eq!(body["url"], format!("{}/acme/support/-/publications/1", forge.url()));

    // One was built for a prompt that no version has.
    let credential = owner.credential("prod", "everybody").await?;
    let connection = || credential.connection.clone();
    let stubborn = agent(connection(), &credential, "till-1", Some("farewell.message")).await?;
    let willing = agent(connection(), &credential, "till-2", None).await?;
    let refused = receiver.hears("agent.refused", |_| true).await;
    assert!(refused.is_signed_by(&json.secret));
    let mut forged = refused.clone();
    forged.body = forged.body.replace("till-1", "till-2");
    assert!(!forged.is_signed_by(&json.secret), "a signature is over every byte");
    let body = refused.json();
    assert_eq!(body["subject"], "acme/support in prod");
    assert_eq!((&body["data"]["publication"], &body["data"]["agents"]), (&json!(1), &json!(["till-1"])));
    let reason = body["data"]["reason"].as_str().context("a reason")?;
    assert!(reason.contains("farewell.message"), "{reason}");
    let said = channel.hears("agent.refused", |_| true).await;
    assert!(said.is_signed_by(&slack.secret));
    let text = said.json()["text"].as_str().context("a text")?.to_owned();
    assert!(
        text.contains("till-1") && text.contains("farewell.message") && text.contains("|open in FORGE>"),
        "{text}"
    );

    // What the log says of it, over the API and on the page.
    let log = taken(&owner, &json, &refused).await;
    assert_eq!(
        (&log["status"], &log["answer"], &log["attempts"]),
        (&json!(200), &json!("taken"), &json!(1)),
        "{log}"
    );
    let shown = page(&forge, &json).await?;
    for part in ["agent.refused", "publication.sent", "delivered", "in prod"] {
        assert!(shown.contains(part), "the page says {part}: {shown}");
    }

    // The agent restarts and refuses again, then FORGE does; what is new is only what another publication brings.
    refuses(&stubborn, 1).await;
    stubborn.stop().await;
    let stubborn = agent(connection(), &credential, "till-1", Some("farewell.message")).await?;
    refuses(&stubborn, 1).await;
    retry(&owner, 1).await?;
    receiver.hears("agent.refused", |body| body["data"]["publication"] == 2).await;
    is_sent(&owner, 2).await;
    forge.process.stop().await?;
    forge.start_again().await?;
    forge.process.has_its_broker().await?;
    retry(&owner, 2).await?;
    let third = receiver.hears("agent.refused", |body| body["data"]["publication"] == 3).await;
    taken(&owner, &json, &third).await;
    is_sent(&owner, 3).await;
    let told = logged(&owner, &json, "agent.refused").await?;
    assert_eq!(told.len(), 3, "one for each publication: {told:#?}");
    let heard = heard_once(&receiver, "agent.refused");
    let numbers: Vec<Value> = heard.iter().map(|body| body["data"]["publication"].clone()).collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert_eq!(logged(&owner, &json, "publication.sent").await?.len(), 3);
    assert_eq!(logged(&owner, &json, "agent.stale").await?.len(), 0, "who just came has not heard FORGE yet");
    stubborn.stop().await;
    willing.stop().await;
    Ok(())
}

/// Waits until FORGE lists an agent as stale, or as not.
async fn listed(owner: &Api, name: &str, stale: bool) {
    until(&format!("{name} is listed, stale: {stale}"), secs(60), async || {
        let all = owner.get(&format!("{}/agents", owner.project())).await.ok()?.ok().ok()?;
        all["items"].as_array()?.iter().any(|a| a["name"] == name && a["stale"] == stale).then_some(())
    })
    .await;
}

async fn an_agent_that_does_not_hear_forge_is_told_of_and_does_not_flood_where_it_comes_and_goes(
    database: Database,
) -> Result<()> {
    let (_forge, owner) = prepared(database, "1000").await?;
    let receiver = Receiver::start().await?;
    let json = hook(&owner, &json!({ "url": receiver.url(), "events": ["agent.stale"] })).await?;
    owner.release("1.0.0", "Hello {{ name }}").await?;
    let credential = owner.credential("prod", "everybody").await?;
    let mut connection = credential.connection.clone();
    let proxy = Proxy::start(connection["servers"][0].as_str().context("a server")?).await?;
    connection["servers"] = json!([proxy.url()]);
    let till = agent(connection, &credential, "till-1", None).await?;
    let other = agent(credential.connection.clone(), &credential, "till-2", None).await?;
    listed(&owner, "till-1", false).await;
    listed(&owner, "till-2", false).await;

    // Everything but FORGE's heartbeats reaches it.
    let deaf = || Trick { subject: ".ctl.heartbeat".into(), kind: Kind::Drop, each: 1 };
    proxy.play(deaf());
    let told = receiver.hears("agent.stale", |_| true).await;
    assert!(told.is_signed_by(&json.secret));
    let body = told.json();
    assert_eq!(body["data"]["agents"], json!(["till-1"]), "{body}");
    assert!(body["data"]["reason"].as_str().is_some_and(|why| why.contains("FORGE is not heard")), "{body}");
    assert!(body["url"].as_str().is_some_and(|url| url.ends_with("/acme/support/-/agents")), "{body}");
    let log = taken(&owner, &json, &told).await;
    assert_eq!((&log["status"], &log["subject"]), (&json!(200), &json!("acme/support in prod")), "{log}");

    // It comes and goes: each time it says so over and over.
    for _ in 0..2 {
        proxy.pass();
        listed(&owner, "till-1", false).await;
        proxy.play(deaf());
        listed(&owner, "till-1", true).await;
        until("it said so some times", secs(60), async || till.status().age_ms.filter(|age| *age > 7_000))
            .await;
    }
    // Somebody else is told of at once.
    let raw = let_in(&credential, "till-3", "checkout").await;
    until("another one is told of", secs(60), async || {
        raw.tell_stale("a test says so").await.ok()?;
        receiver.heard().iter().any(|heard| heard.json()["data"]["agents"] == json!(["till-3"])).then_some(())
    })
    .await;
    let log = logged(&owner, &json, "agent.stale").await?;
    assert_eq!(log.len(), 2, "one for each agent: {log:#?}");
    till.stop().await;
    other.stop().await;
    Ok(())
}

async fn two_forges_that_hear_the_same_agents_tell_of_them_once(database: Database) -> Result<()> {
    let mut place = Place::new(database)?;
    for (variable, value) in OPTIONS {
        place.set(variable, value);
    }
    place.use_external_broker()?;
    place.start_broker().await?;
    let mut forge = Forge::begin(place).await?;
    let owner = forge.owner().await?;
    owner.create_project(ORGANISATION).await?;
    // Several processes share one PostgreSQL; an SQLite file has one.
    let mut second = None;
    if database == Database::Postgres {
        let mut process = forge.place.spawn(1)?;
        process.ready(&forge.place).await?;
        process.has_its_broker().await?;
        second = Some(process);
    }
    let receiver = Receiver::start().await?;
    let events = ["publication.sent", "agent.refused"];
    let json = hook(&owner, &json!({ "url": receiver.url(), "events": events })).await?;
    // Their contract is known only once they enrol: after that nobody publishes what breaks it.
    owner.release("1.0.0", "Hello {{ name }}").await?;
    let credential = owner.credential("prod", "everybody").await?;
    let mut agents = Vec::new();
    for n in 1..=5 {
        let name = format!("till-{n}");
        agents
            .push(agent(credential.connection.clone(), &credential, &name, Some("farewell.message")).await?);
    }
    for serial in 1..=4 {
        for agent in &agents {
            refuses(agent, serial).await;
        }
        let names = until("all five are told of", secs(60), async || {
            let told = heard_once(&receiver, "agent.refused").into_iter();
            let mut names: Vec<String> = told
                .filter(|body| body["data"]["publication"] == serial)
                .flat_map(|body| body["data"]["agents"].as_array().cloned().unwrap_or_default())
                .filter_map(|name| name.as_str().map(str::to_owned))
                .collect();
            names.sort();
            (names.len() >= 5).then_some(names)
        })
        .await;
        assert_eq!(
            names,
            ["till-1", "till-2", "till-3", "till-4", "till-5"],
            "each once, of publication {serial}"
        );
        if serial < 4 {
            retry(&owner, i64::try_from(serial)?).await?;
        }
    }
    is_sent(&owner, 4).await;
    assert_eq!(logged(&owner, &json, "publication.sent").await?.len(), 4);
    drop(second);
    for agent in agents {
        agent.stop().await;
    }
    Ok(())
}
