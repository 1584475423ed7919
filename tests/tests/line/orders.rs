//! Orders from FORGE to agents: freeze, and accept again.

use anyhow::{Context as _, Result};
use async_nats::{Client, ConnectOptions, Subscriber};
use futures::StreamExt as _;
use nats_config::{header, subject};
use schemas::envelope::{Heartbeat, OrderTarget, Trust};
use schemas::status::Mode;
use schemas::{Scope, Slug};
use serde_json::{Value, json};
use tests::forge::api::{Api, Credential};
use tests::forge::{Database, Forge, ORGANISATION};
use tests::until::{secs, until};

use crate::checkout;

tests::on_both!(
    an_order_goes_out_signed_and_at_once_and_the_next_one_has_a_higher_number,
    an_agent_that_forge_freezes_says_what_it_would_have_applied_and_takes_it_up_when_it_may,
    an_agent_that_was_away_obeys_when_it_is_back,
);

/// Somebody with a credential who hears FORGE's words and speaks for agents.
struct Listener {
    client: Client,
    words: Subscriber,
    trust: Trust,
    scope: Scope,
}

impl Listener {
    /// Connects as soon as the broker lets the credential in: FORGE may have to bring the project's account there yet.
    async fn connect(credential: &Credential) -> Result<Self> {
        let server = credential.connection["servers"][0].as_str().context("a server")?;
        let inbox = subject::inbox(&credential.public_key);
        let options = ConnectOptions::with_credentials(&credential.creds)?.custom_inbox_prefix(inbox);
        let client =
            until("it is let in", secs(60), async || options.clone().connect(server).await.ok()).await;
        let scope: Scope = serde_json::from_value(credential.connection["scope"].clone())?;
        let roots = serde_json::from_value(credential.connection["roots"].clone())?;
        let words = client.subscribe(subject::heartbeat(&scope)).await?;
        client.flush().await?;
        Ok(Self { client, words, trust: Trust::new(roots, scope.clone()), scope })
    }

    /// The next word that holds so many orders, verified as an agent does.
    async fn word(&mut self, orders: usize) -> Result<Heartbeat> {
        let next = async {
            loop {
                let word = self.words.next().await.context("the words ended")?;
                let key = word.headers.as_ref().and_then(|h| h.get(header::KEY)).context("its key")?;
                let line = std::str::from_utf8(&word.payload)?;
                let (word, _) = self.trust.verify_heartbeat(key.as_str(), line, tests::nats::now())?;
                if word.orders.len() == orders {
                    return anyhow::Ok(word);
                }
            }
        };
        tokio::time::timeout(secs(60), next).await.context("no such word was heard")?
    }

    /// Says in the name of an agent how it is.
    async fn says(&self, agent: &str, service: &str, mode: &str, order: Value) -> Result<()> {
        let status = json!({
            "schema_version": 1, "agent": agent, "identity": "U", "scope": self.scope, "host": "h",
            "service": service, "agent_version": "1", "mode": mode, "mode_by": "forge", "order": order,
            "at": tests::nats::now(), "started_at": 1, "floor": 0, "stale": false, "sets": [],
            "cache": "memory", "counters": { "renders": 0, "render_errors": 0 },
        });
        let to = subject::status(&self.scope, &Slug::new(agent)?);
        self.client.publish(to, status.to_string().into()).await?;
        Ok(self.client.flush().await?)
    }
}

fn orders(owner: &Api) -> String {
    format!("{}/environments/prod/mode-orders", owner.project())
}

/// The agent as FORGE lists it, once it is so.
async fn listed(owner: &Api, name: &str, what: &str, so: impl Fn(&Value) -> bool) -> Value {
    until(&format!("FORGE lists {name}: {what}"), secs(60), async || {
        let agents = owner.get(&format!("{}/agents", owner.project())).await.ok()?.ok().ok()?;
        agents["items"].as_array()?.iter().find(|a| a["name"] == name && so(a)).cloned()
    })
    .await
}

async fn an_order_goes_out_signed_and_at_once_and_the_next_one_has_a_higher_number(
    database: Database,
) -> Result<()> {
    let mut forge = Forge::start(database).await?;
    let owner = forge.owner().await?;
    owner.create_project(ORGANISATION).await?;
    let credential = owner.credential("prod", "checkout").await?;
    // From here on no heartbeat comes by itself.
    forge.process.stop().await?;
    forge.place.set("FORGE_HEARTBEAT_MS", "3600000");
    forge.start_again().await?;
    forge.process.has_its_broker().await?;
    let mut heard = Listener::connect(&credential).await?;
    for (agent, service) in [("till-1", "till"), ("till-2", "till"), ("kiosk-1", "kiosk")] {
        until(&format!("FORGE lists {agent}"), secs(60), async || {
            // It may listen to agents a moment after it has its broker: they say the same again.
            heard.says(agent, service, "ACCEPTING", Value::Null).await.ok()?;
            let all = owner.get(&format!("{}/agents", owner.project())).await.ok()?.ok().ok()?;
            all["items"].as_array()?.iter().any(|a| a["name"] == agent).then_some(())
        })
        .await;
    }

    let freeze = json!({"mode": "FROZEN", "agent": "till-1", "reason": "calm"});
    let made = owner.post(&orders(&owner), &freeze).await?.ok()?;
    let word = heard.word(1).await?;
    let order = &word.orders[0];
    assert_eq!(order.target, OrderTarget::Agent { agent: Slug::new("till-1")? });
    assert_eq!((order.mode, order.by.as_str(), order.reason.as_str()), (Mode::Frozen, "Owner", "calm"));
    assert_eq!(Some(order.number), made["number"].as_u64());
    let first = order.number;

    // By another process: a serving FORGE finds it in the database.
    let path = owner.path();
    let freeze = ["agents", "freeze", "--project", &path, "--environment", "prod", "--service", "kiosk"];
    let said = forge.place.run(&freeze).await?;
    assert!(said.contains("FROZEN for service kiosk of prod: 1 agent (order"), "{said}");
    let word = heard.word(2).await?;
    let second = word.orders[0].number;
    assert!(second > first, "{word:?}");
    assert_eq!(word.orders[0].target, OrderTarget::Service { service: "kiosk".into() });
    assert_eq!(word.orders[1].number, first);

    // What agents say to it is counted, each for the newest order that is meant for it.
    heard.says("till-1", "till", "FROZEN", json!({"number": first, "result": "done"})).await?;
    heard.says("kiosk-1", "kiosk", "ACCEPTING", json!({"number": second, "result": "forbidden"})).await?;
    until("both answers are counted", secs(60), async || {
        let list = owner.get(&orders(&owner)).await.ok()?.ok().ok()?;
        let of = |n: usize, what: &str| list["items"][n]["answers"][what].as_u64();
        (of(0, "forbidden") == Some(1) && of(1, "done") == Some(1)).then_some(())
    })
    .await;
    let listing = forge.place.run(&["agents", "list", "--project", &owner.path()]).await?;
    assert!(
        listing.contains("1 done") && listing.contains("1 forbidden") && listing.contains("till-2"),
        "{listing}"
    );

    // The whole fleet: one order takes the place of both, and its number is higher again.
    let fleet = format!("{}/mode-orders", owner.project());
    owner.post(&fleet, &json!({"mode": "ACCEPTING"})).await?.ok()?;
    let word = heard.word(1).await?;
    assert_eq!(word.orders[0].target, OrderTarget::Environment);
    assert!(word.orders[0].mode == Mode::Accepting && word.orders[0].number > second, "{word:?}");
    Ok(())
}

async fn an_agent_that_forge_freezes_says_what_it_would_have_applied_and_takes_it_up_when_it_may(
    database: Database,
) -> Result<()> {
    let mut forge = Forge::start(database).await?;
    let (owner, _, live) = checkout(&mut forge).await?;
    owner.release("1.0.0", "one {{ name }}").await?;
    live.prints("one Ada", secs(60)).await;
    listed(&owner, "checkout-1", "it spoke", |_| true).await;

    let frozen = json!({"mode": "FROZEN", "agent": "checkout-1", "reason": "calm"});
    let number = owner.post(&orders(&owner), &frozen).await?.ok()?["number"].clone();
    let agent = listed(&owner, "checkout-1", "it is FROZEN", |a| a["mode"] == "FROZEN").await;
    assert_eq!(agent["status"]["order"], json!({"number": number, "result": "done"}), "{agent}");
    assert_eq!(agent["status"]["mode_by"], "forge", "{agent}");

    owner.release("1.1.0", "two {{ name }}").await?;
    let agent = listed(&owner, "checkout-1", "it holds 1.1.0 back", |a| {
        a["status"]["sets"][0]["pending"]["state"] == "verified"
    })
    .await;
    let set = &agent["status"]["sets"][0];
    assert_eq!(
        (&set["pending"]["version"], &set["pending"]["serial"]),
        (&json!("1.1.0"), &json!(2)),
        "{set}"
    );
    assert_eq!(set["active"]["version"], "1.0.0", "{set}");
    assert_eq!(live.texts().last().map(String::as_str), Some("one Ada"));

    owner.post(&orders(&owner), &json!({"mode": "ACCEPTING"})).await?.ok()?;
    live.prints("two Ada", secs(60)).await;
    until("it is counted as done", secs(60), async || {
        let list = owner.get(&orders(&owner)).await.ok()?.ok().ok()?;
        (list["items"][0]["answers"]["done"] == 1 && list["items"][0]["answers"]["agents"] == 1).then_some(())
    })
    .await;
    Ok(())
}

async fn an_agent_that_was_away_obeys_when_it_is_back(database: Database) -> Result<()> {
    let mut forge = Forge::start(database).await?;
    let (owner, _, mut live) = checkout(&mut forge).await?;
    owner.release("1.0.0", "one {{ name }}").await?;
    live.prints("one Ada", secs(60)).await;
    listed(&owner, "checkout-1", "it spoke", |_| true).await;
    live.kill9().await;
    owner.post(&orders(&owner), &json!({"mode": "FROZEN"})).await?.ok()?;
    live.start_again()?;
    listed(&owner, "checkout-1", "it is FROZEN", |a| a["mode"] == "FROZEN").await;
    owner.release("1.1.0", "two {{ name }}").await?;
    listed(&owner, "checkout-1", "it holds 1.1.0 back", |a| {
        a["status"]["sets"][0]["pending"]["state"] == "verified"
    })
    .await;
    assert_eq!(live.texts().last().map(String::as_str), Some("one Ada"));
    Ok(())
}
