//! A database that was restored from a backup does not know what was published since. No serial is
//! given out twice all the same.

use anyhow::Result;
use serde_json::json;
use tests::forge::live::Live;
use tests::forge::{Database, Forge};
use tests::until::{secs, until};

tests::on_both!(
    a_restored_forge_learns_the_serials_from_the_stream,
    a_restored_forge_with_a_wiped_broker_learns_them_from_an_agent,
    a_restored_forge_that_nobody_can_tell_is_told_by_its_operator,
);

struct Restored {
    forge: Forge,
    owner: tests::forge::api::Api,
    live: Live,
}

/// Three publications, of which the restored database knows the first.
async fn restored(database: Database, wipe: bool) -> Result<Restored> {
    let mut forge = Forge::with_broker(database).await?;
    let owner = forge.owner().await?;
    owner.create_project(tests::forge::ORGANISATION).await?;
    let credential = owner.credential("prod", "checkout").await?;
    let live = Live::start(forge.directory(), &credential, "checkout-1", "welcome.message")?;
    owner.release("1.0.0", "Hello {{ name }}").await?;
    live.prints("Hello Ada", secs(60)).await;
    forge.process.stop().await?;
    forge.place.back_up()?;
    forge.start_again().await?;
    forge.process.has_its_broker().await?;
    owner.release("1.1.0", "Second {{ name }}").await?;
    owner.release("1.2.0", "Third {{ name }}").await?;
    live.prints("Third Ada", secs(60)).await;
    forge.process.stop().await?;
    forge.place.restore()?;
    if wipe {
        forge.place.broker().wipe().await?;
        forge.place.broker().restart().await?;
    }
    Ok(Restored { forge, owner, live })
}

async fn a_restored_forge_learns_the_serials_from_the_stream(database: Database) -> Result<()> {
    let Restored { mut forge, owner, mut live } = restored(database, false).await?;
    // Nobody can tell but the stream.
    live.kill9().await;
    forge.start_again().await?;
    forge.process.has_its_broker().await?;
    // It may be published before FORGE has looked into the stream: then it goes out twice, the second time above.
    owner.release("1.1.1", "Restored {{ name }}").await?;
    live.start_again()?;
    live.prints("Restored Ada", secs(60)).await;
    let newest = until("FORGE knows that it was sent", secs(60), async || {
        let all = owner.get(&format!("{}/publications", owner.project())).await.ok()?.ok().ok()?;
        (all["items"][0]["state"] == "sent").then_some(all)
    })
    .await;
    assert_eq!(newest["items"][0]["serial"], 4, "{newest}");
    let before = &newest["items"][1];
    let first_try = before["state"] == "superseded" && before["serial"] == 2;
    assert!(first_try || (before["state"] == "sent" && before["serial"] == 1), "{newest}");
    let log = owner.get("/api/v1/organisations/acme/audit").await?.ok()?.to_string();
    assert!(log.contains("serial.raised"), "{log}");
    Ok(())
}

async fn a_restored_forge_with_a_wiped_broker_learns_them_from_an_agent(database: Database) -> Result<()> {
    let Restored { mut forge, owner, live } = restored(database, true).await?;
    forge.start_again().await?;
    forge.process.has_its_broker().await?;
    let audit = "/api/v1/organisations/acme/audit";
    until("FORGE saw what the agent showed", secs(60), async || {
        let log = owner.get(audit).await.ok()?.ok().ok()?;
        log.to_string().contains("serial.raised").then_some(())
    })
    .await;
    assert_eq!(live.texts().last().map(String::as_str), Some("Third Ada"), "the agent was not taken back");
    let made = owner.release("1.1.1", "Restored {{ name }}").await?;
    assert_eq!(made["serial"], 4, "{made}");
    live.prints("Restored Ada", secs(60)).await;
    Ok(())
}

async fn a_restored_forge_that_nobody_can_tell_is_told_by_its_operator(database: Database) -> Result<()> {
    let Restored { mut forge, owner, mut live } = restored(database, true).await?;
    live.kill9().await;
    let said = forge.place.run(&["restored", "--skip", "100"]).await?;
    assert!(said.contains("raised by 100"), "{said}");
    forge.start_again().await?;
    forge.process.has_its_broker().await?;
    // What the caller saw live is serial 1, whatever was skipped.
    owner.reopen().await?;
    owner.write("welcome.message", "Restored {{ name }}").await?;
    owner.lock("1.1.1").await?;
    let request = json!({"set": "chat", "environment": "prod", "version": "1.1.1", "expected_serial": 1});
    let made = owner.post(&format!("{}/publications", owner.project()), &request).await?.ok()?;
    assert_eq!(made["serial"], 102, "{made}");
    live.start_again()?;
    live.prints("Restored Ada", secs(60)).await;
    Ok(())
}
