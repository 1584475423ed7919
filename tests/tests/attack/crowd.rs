//! A stolen credential that speaks as agents that there are not.

use anyhow::{Context as _, Result};
use async_nats::{Client, ConnectOptions};
use nats_config::subject;
use schemas::{Scope, Slug};
use serde_json::{Value, json};
use tests::forge::api::{Api, Credential};
use tests::forge::live::Live;
use tests::forge::{Database, Forge, ORGANISATION};
use tests::until::{secs, until};

tests::on_both!(
    a_thief_who_names_agents_without_end_takes_the_place_of_nobody,
    nobody_answers_for_a_publication_to_another_environment,
    control_characters_in_a_status_stop_nobody,
);

async fn connect(credential: &Credential) -> Result<Client> {
    let server = credential.connection["servers"][0].as_str().context("a server")?;
    let options = ConnectOptions::with_credentials(&credential.creds)?;
    let options = options.custom_inbox_prefix(subject::inbox(&credential.public_key));
    Ok(options.connection_timeout(secs(60)).connect(server).await?)
}

async fn agents(owner: &Api) -> Result<Vec<Value>> {
    let all = owner.get(&format!("{}/agents", owner.project())).await?.ok()?;
    Ok(all["items"].as_array().cloned().unwrap_or_default())
}

/// What a real agent says, once it serves something.
async fn word(owner: &Api, agent: &str) -> Value {
    until("the agent says what it serves", secs(60), async || {
        let all = agents(owner).await.ok()?;
        let status = all.iter().find(|a| a["name"] == agent)?["status"].clone();
        status["sets"][0]["active"].is_object().then_some(status)
    })
    .await
}

/// Says something in the name of an agent.
async fn say(thief: &Client, scope: &Scope, agent: &str, word: &Value) -> Result<()> {
    let mut word = word.clone();
    word["agent"] = json!(agent);
    word["scope"] = json!(scope);
    let subject = subject::status(scope, &Slug::new(agent)?);
    thief.publish(subject, serde_json::to_vec(&word)?.into()).await?;
    Ok(())
}

async fn dropped(forge: &Forge) -> Result<u64> {
    let text = reqwest::get(format!("{}/metrics", forge.url())).await?.text().await?;
    let line =
        text.lines().find_map(|l| l.strip_prefix("forge_statuses_dropped_total ")).context("a counter")?;
    Ok(line.parse()?)
}

async fn a_thief_who_names_agents_without_end_takes_the_place_of_nobody(database: Database) -> Result<()> {
    let mut forge = Forge::start(database).await?;
    forge.process.stop().await?;
    forge.place.set("FORGE_MAX_AGENTS", "8");
    forge.start_again().await?;
    let owner = forge.owner().await?;
    owner.create_project(ORGANISATION).await?;
    owner.release("1.0.0", "Hello {{ name }}").await?;
    let credential = owner.credential("prod", "checkout").await?;
    let honest = Live::start(forge.directory(), &credential, "honest", "welcome.message")?;
    honest.prints("Hello Ada", secs(60)).await;
    let (status, thief) = (word(&owner, "honest").await, connect(&credential).await?);
    let scope: Scope = serde_json::from_value(status["scope"].clone())?;

    for n in 0..200 {
        say(&thief, &scope, &format!("ghost-{n}"), &status).await?;
    }
    thief.flush().await?;
    until("some are dropped", secs(60), async || dropped(&forge).await.ok().filter(|n| *n > 100)).await;
    let listed = agents(&owner).await?;
    assert!(listed.len() <= 8, "{} agents are listed", listed.len());
    // Who was there goes on being heard.
    owner.release("1.1.0", "Second {{ name }}").await?;
    honest.prints("Second Ada", secs(60)).await;
    until("its answer counts", secs(60), async || {
        // More than may speak in a while makes all of them wait, and no longer than that.
        let status = word(&owner, "honest").await;
        (status["sets"][0]["active"]["version"] == "1.1.0").then_some(())
    })
    .await;

    // A new one is served all the same, and is told to nobody.
    let before = dropped(&forge).await?;
    let late = Live::start(forge.directory(), &credential, "late", "welcome.message")?;
    late.prints("Second Ada", secs(60)).await;
    until("what it says is heard", secs(60), async || dropped(&forge).await.ok().filter(|n| *n > before))
        .await;
    assert!(agents(&owner).await?.iter().all(|a| a["name"] != "late"));
    Ok(())
}

async fn nobody_answers_for_a_publication_to_another_environment(database: Database) -> Result<()> {
    let mut forge = Forge::start(database).await?;
    let owner = forge.owner().await?;
    owner.create_project(ORGANISATION).await?;
    owner.release("1.0.0", "Hello {{ name }}").await?;
    let (dev, prod) = (owner.credential("dev", "thief").await?, owner.credential("prod", "checkout").await?);
    let mut honest = Live::start(forge.directory(), &prod, "honest", "welcome.message")?;
    honest.prints("Hello Ada", secs(60)).await;
    let mut claim = word(&owner, "honest").await;
    honest.kill9().await;
    let published = owner.release("1.1.0", "Second {{ name }}").await?;

    // An agent of dev with the name of one of prod says that it serves what prod's own has not got yet.
    let thief = connect(&dev).await?;
    let mut scope: Scope = serde_json::from_value(claim["scope"].clone())?;
    scope.environment = Slug::new("dev")?;
    claim["sets"][0]["active"]["publication"] = published["id"].clone();
    say(&thief, &scope, "honest", &claim).await?;
    thief.flush().await?;
    until("it is listed in its own environment", secs(60), async || {
        let all = agents(&owner).await.ok()?;
        all.iter().any(|a| a["name"] == "honest" && a["environment"] == "dev").then_some(())
    })
    .await;
    let state = async || -> Option<String> {
        let shown = owner.publication(2).await.ok()?;
        let agents = shown["answers"].as_array().expect("who answers");
        let one = agents.iter().find(|a| a["agent"] == "honest")?;
        Some(one["answer"].as_str()?.to_owned())
    };
    assert_ne!(state().await.as_deref(), Some("active"), "a stranger answered");
    honest.start_again()?;
    until("prod's own agent answers", secs(60), async || state().await.filter(|s| s == "active")).await;
    Ok(())
}

async fn control_characters_in_a_status_stop_nobody(database: Database) -> Result<()> {
    let mut forge = Forge::start(database).await?;
    let owner = forge.owner().await?;
    owner.create_project(ORGANISATION).await?;
    owner.release("1.0.0", "Hello {{ name }}").await?;
    let credential = owner.credential("prod", "checkout").await?;
    let honest = Live::start(forge.directory(), &credential, "honest", "welcome.message")?;
    honest.prints("Hello Ada", secs(60)).await;
    let (mut claim, thief) = (word(&owner, "honest").await, connect(&credential).await?);
    let scope: Scope = serde_json::from_value(claim["scope"].clone())?;
    let reason = json!({"code": "template", "message": "a\u{0}b\u{1b}[2J"});
    claim["sets"][0]["pending"] = json!({
        "publication": claim["sets"][0]["active"]["publication"], "state": "refused", "reason": reason, "at": 1,
    });
    for field in ["host", "service", "agent_version", "cache", "identity"] {
        claim[field] = json!("a\u{0}b");
    }
    say(&thief, &scope, "strange", &claim).await?;
    for id in ["\u{0}", "x", "' OR 1=1", "00000000-0000-0000-0000-00000000000\u{0}"] {
        claim["sets"][0]["active"]["publication"] = json!(id);
        say(&thief, &scope, "stranger", &claim).await?;
    }
    thief.flush().await?;
    until("both are taken up, and what they say is plain", secs(60), async || {
        let all = agents(&owner).await.ok()?;
        let host = |name: &str| Some(all.iter().find(|a| a["name"] == name)?["host"].as_str()?.to_owned());
        (host("strange")? == "ab" && host("stranger")? == "ab").then_some(())
    })
    .await;
    let answers = owner.publication(1).await?["answers"].clone();
    let one = answers
        .as_array()
        .and_then(|all| all.iter().find(|a| a["agent"] == "strange"))
        .context("an answer")?;
    assert!(!one.to_string().contains("\\u00"), "{one}");
    owner.release("1.1.0", "Second {{ name }}").await?;
    honest.prints("Second Ada", secs(60)).await;
    Ok(())
}

#[tokio::test]
async fn a_status_that_the_database_refuses_costs_its_own_environment_only() -> Result<()> {
    let mut forge = Forge::start(Database::Postgres).await?;
    let owner = forge.owner().await?;
    owner.create_project(ORGANISATION).await?;
    owner.release("1.0.0", "Hello {{ name }}").await?;
    let (dev, prod) = (owner.credential("dev", "thief").await?, owner.credential("prod", "checkout").await?);
    let mut honest = Live::start(forge.directory(), &prod, "honest", "welcome.message")?;
    honest.prints("Hello Ada", secs(60)).await;
    let claim = word(&owner, "honest").await;
    honest.kill9().await;
    forge.place.sql("ALTER TABLE agents ADD CHECK (name <> 'poison')");
    let (thief, witness) = (connect(&dev).await?, connect(&prod).await?);
    let own: Scope = serde_json::from_value(claim["scope"].clone())?;
    let mut other = own.clone();
    other.environment = Slug::new("dev")?;
    // Many at once, so that both stand in one batch.
    for n in 0..50 {
        say(&thief, &other, "poison", &claim).await?;
        thief.flush().await?;
        say(&witness, &own, &format!("good-{n}"), &claim).await?;
        witness.flush().await?;
    }
    until("every word of the other environment is heard", secs(60), async || {
        let all = agents(&owner).await.ok()?;
        let good = all.iter().filter(|a| a["name"].as_str().is_some_and(|n| n.starts_with("good-"))).count();
        assert!(all.iter().all(|a| a["name"] != "poison"));
        (good == 50).then_some(())
    })
    .await;
    Ok(())
}
