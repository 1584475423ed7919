//! Trying again: real agents that refused look at it anew, and nothing changes for those that serve it.

use anyhow::{Context as _, Result};
use live_agent::LiveAgent;
use schemas::contract::Contract;
use serde_json::{Value, json};
use tests::forge::api::{Api, Credential};
use tests::forge::{Database, Forge, ORGANISATION};
use tests::until::{secs, until};

tests::on_both!(a_retry_asks_those_again_that_refused_and_changes_nothing_for_the_others);

async fn started(credential: &Credential, name: &str, contract: Option<Contract>) -> Result<LiveAgent> {
    let builder = LiveAgent::builder()
        .connection(serde_json::from_value::<schemas::connect::Connection>(credential.connection.clone())?)
        .credentials(credential.creds.as_str())
        .name(name)
        .service("checkout")
        .memory_only();
    Ok(match contract {
        Some(contract) => builder.contract(contract).start().await?,
        None => builder.start().await?,
    })
}

/// What agents answered to a publication, as soon as it is this.
async fn answered(owner: &Api, number: i64, expected: &[(&str, &str)]) -> Value {
    until(&format!("publication {number} is answered"), secs(60), async || {
        let found = owner.publication(number).await.ok()?;
        let answers = found["answers"].as_array()?;
        let is = |(agent, answer): &(&str, &str)| {
            answers.iter().any(|a| a["agent"] == *agent && a["answer"] == *answer)
        };
        // An agent may be quicker than FORGE notes that the broker took it.
        (found["state"] == "sent" && expected.iter().all(is)).then_some(found)
    })
    .await
}

async fn a_retry_asks_those_again_that_refused_and_changes_nothing_for_the_others(
    database: Database,
) -> Result<()> {
    let mut forge = Forge::start(database).await?;
    let owner = forge.owner().await?;
    owner.create_project(ORGANISATION).await?;
    owner.release("1.0.0", "Hello {{ name }}").await?;
    let credential = owner.credential("prod", "everybody").await?;
    // One was built for a prompt that no version has; it announces that only to itself until it enrols.
    let contract = serde_json::from_value(json!({
        "set": "chat", "version": "0.9.0",
        "prompts": [{ "id": "farewell.message", "parameters": [] }],
    }))?;
    let stubborn = started(&credential, "till-1", Some(contract)).await?;
    let willing = started(&credential, "till-2", None).await?;
    answered(&owner, 1, &[("till-1", "refused"), ("till-2", "active")]).await;

    let path = format!("{}/publications/1/retry", owner.project());
    let again = owner.post(&path, &json!({})).await?.ok()?;
    assert_eq!((&again["number"], &again["serial"]), (&json!(2), &json!(2)), "{again}");
    let told = answered(&owner, 2, &[("till-1", "refused"), ("till-2", "active")]).await;
    assert_eq!(told["digest"], owner.publication(1).await?["digest"], "the same bytes");
    let reason = told["answers"][0]["reason"].as_str().context("a reason")?;
    assert!(reason.contains("farewell.message"), "it says why again: {reason}");
    owner.post(&path, &json!({})).await?.problem(409, "superseded")?;

    // Its program is replaced by one that calls what is there: it takes up what is live, and nothing is left to retry.
    stubborn.stop().await;
    let mended = started(&credential, "till-1", None).await?;
    answered(&owner, 2, &[("till-1", "active"), ("till-2", "active")]).await;
    let path = format!("{}/publications/2/retry", owner.project());
    owner.post(&path, &json!({})).await?.problem(409, "nothing_to_retry")?;
    willing.stop().await;
    mended.stop().await;
    Ok(())
}
