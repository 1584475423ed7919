//! Author, lock, publish, follow, render.

use anyhow::Result;
use tests::forge::{Database, Forge};
use tests::until::{secs, until};

use crate::checkout;

tests::on_both!(
    a_prompt_goes_from_its_author_to_an_agent_and_a_rollback_goes_the_same_way,
    an_agent_starts_from_its_disk_with_forge_database_and_broker_down,
    an_agent_that_was_away_gets_what_it_missed,
);

async fn a_prompt_goes_from_its_author_to_an_agent_and_a_rollback_goes_the_same_way(
    database: Database,
) -> Result<()> {
    let mut forge = Forge::start(database).await?;
    let (owner, _, live) = checkout(&mut forge).await?;

    let first = owner.release("1.0.0", "Hello {{ name }}").await?;
    live.prints("Hello Ada", secs(60)).await;
    let number = first["number"].as_i64().expect("a number");
    let answered = until("FORGE has the agent's answer", secs(60), async || {
        let found = owner.publication(number).await.ok()?;
        // An agent may be quicker than FORGE notes that the broker took it.
        (found["active"] == 1 && found["state"] == "sent").then_some(found)
    })
    .await;
    assert_eq!(answered["answers"][0]["agent"], "checkout-1", "{answered}");
    assert_eq!(answered["answers"][0]["answer"], "active", "{answered}");

    owner.release("1.1.0", "Good day, {{ name }}.").await?;
    live.prints("Good day, Ada.", secs(60)).await;

    let back = owner.publish("1.0.0", "prod").await?;
    live.prints("Hello Ada", secs(60)).await;
    assert_eq!(back["serial"], 3, "a rollback is a publication with a higher serial: {back}");
    assert_eq!(back["digest"], first["digest"], "of the same bytes: {back}");
    assert_eq!(back["rollback"], true, "{back}");
    Ok(())
}

async fn an_agent_starts_from_its_disk_with_forge_database_and_broker_down(database: Database) -> Result<()> {
    let mut forge = Forge::start(database).await?;
    let (owner, _, mut live) = checkout(&mut forge).await?;
    owner.release("1.0.0", "Hello {{ name }}").await?;
    live.prints("Hello Ada", secs(60)).await;

    live.kill9().await;
    forge.process.stop().await?;
    if database == Database::Postgres {
        forge.place.postgres().kill();
    }
    let before = live.texts().len();
    live.start_again()?;
    until("the agent renders from its disk", secs(60), async || (live.texts().len() > before).then_some(()))
        .await;
    assert_eq!(live.texts().last().map(String::as_str), Some("Hello Ada"));

    // The command line tells how old that is.
    let status = live.command(&["status"]).output().await?;
    let said = String::from_utf8_lossy(&status.stdout).to_lowercase();
    assert!(said.contains("ago"), "`live status` says how old its prompts are: {said}");
    Ok(())
}

async fn an_agent_that_was_away_gets_what_it_missed(database: Database) -> Result<()> {
    let mut forge = Forge::start(database).await?;
    let (owner, _, mut live) = checkout(&mut forge).await?;
    owner.release("1.0.0", "one {{ name }}").await?;
    live.prints("one Ada", secs(60)).await;
    live.kill9().await;
    owner.release("2.0.0", "two {{ name }}").await?;
    owner.release("3.0.0", "three {{ name }}").await?;
    live.start_again()?;
    live.prints("three Ada", secs(60)).await;
    Ok(())
}
