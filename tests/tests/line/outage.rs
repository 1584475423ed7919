//! What is down comes back, and nothing is lost meanwhile.

use anyhow::Result;
use tests::forge::live::Live;
use tests::forge::stream::Reader;
use tests::forge::{Database, Forge, ORGANISATION};
use tests::until::{secs, until};

use crate::checkout;

tests::on_both!(
    a_publication_waits_while_the_broker_is_down_and_goes_out_when_it_is_back,
    a_wiped_broker_is_rebuilt_from_the_database_with_the_same_digests,
    forge_starts_and_publishes_while_the_broker_is_down,
);

async fn a_publication_waits_while_the_broker_is_down_and_goes_out_when_it_is_back(
    database: Database,
) -> Result<()> {
    let mut forge = Forge::with_broker(database).await?;
    let (owner, _, live) = checkout(&mut forge).await?;
    owner.release("1.0.0", "Hello {{ name }}").await?;
    live.prints("Hello Ada", secs(60)).await;

    forge.place.broker().kill9().await;
    let waiting = owner.release("1.1.0", "Good day, {{ name }}").await?;
    assert_eq!(waiting["state"], "waiting", "{waiting}");
    let number = waiting["number"].as_i64().expect("a number");
    until("FORGE says that its broker is down", secs(60), async || {
        (owner.get("/health/ready").await.ok()?.body["broker"] == "unreachable").then_some(())
    })
    .await;
    let found = owner.publication(number).await?;
    assert_eq!(found["state"], "waiting", "{found}");
    assert_eq!(
        live.texts().last().map(String::as_str),
        Some("Hello Ada"),
        "the agent goes on with what it has"
    );

    forge.place.broker().restart().await?;
    until("the publication is sent", secs(60), async || {
        (owner.publication(number).await.ok()?["state"] == "sent").then_some(())
    })
    .await;
    live.prints("Good day, Ada", secs(60)).await;
    Ok(())
}

async fn a_wiped_broker_is_rebuilt_from_the_database_with_the_same_digests(database: Database) -> Result<()> {
    let mut forge = Forge::with_broker(database).await?;
    let (owner, credential, live) = checkout(&mut forge).await?;
    owner.release("1.0.0", "one {{ name }}").await?;
    owner.release("2.0.0", "two {{ name }}").await?;
    live.prints("two Ada", secs(60)).await;
    let reader = Reader::connect(&credential).await?;
    let before = until("the stream is read", secs(60), async || reader.last().await.ok()).await;
    assert_eq!(before.serial, 2);

    forge.process.stop().await?;
    forge.place.broker().wipe().await?;
    forge.place.broker().restart().await?;
    forge.place.run(&["republish"]).await?;
    let after = until("the stream is there again", secs(60), async || reader.last().await.ok()).await;
    assert_eq!(
        (&after.publication, after.serial, &after.digest, &after.wire, &after.attestation),
        (&before.publication, before.serial, &before.digest, &before.wire, &before.attestation),
        "the same publication, byte for byte"
    );

    forge.start_again().await?;
    owner.release("3.0.0", "three {{ name }}").await?;
    // The empty broker may have refused the agent some times, and each time it waits longer.
    live.prints("three Ada", secs(120)).await;
    assert!(!live.texts().ends_with(&["one Ada".into()]), "a wiped stream rolls no agent back");
    Ok(())
}

async fn forge_starts_and_publishes_while_the_broker_is_down(database: Database) -> Result<()> {
    let mut forge = Forge::with_broker(database).await?;
    let owner = forge.owner().await?;
    owner.create_project(ORGANISATION).await?;
    forge.process.kill9().await;
    forge.place.broker().kill9().await;
    forge.start_again().await?;
    let waiting = owner.release("1.0.0", "Hello {{ name }}").await?;
    assert_eq!(waiting["state"], "waiting", "{waiting}");
    forge.place.broker().restart().await?;
    let credential = owner.credential("prod", "checkout").await?;
    let live = Live::start(forge.directory(), &credential, "checkout-1", "welcome.message")?;
    live.prints("Hello Ada", secs(60)).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_its_database_down_forge_says_so_and_agents_do_not_notice() -> Result<()> {
    let mut forge = Forge::with_broker(Database::Postgres).await?;
    let (owner, _, mut live) = checkout(&mut forge).await?;
    owner.release("1.0.0", "Hello {{ name }}").await?;
    live.prints("Hello Ada", secs(60)).await;

    forge.place.postgres().kill();
    // The servers of single connections notice a moment later that their master is gone.
    until("FORGE says so", secs(60), async || {
        owner.get(&owner.project()).await.ok()?.problem(503, "unavailable").ok()
    })
    .await;
    live.kill9().await;
    let before = live.texts().len();
    live.start_again()?;
    until("the agent serves", secs(60), async || (live.texts().len() > before).then_some(())).await;

    forge.place.postgres().restart();
    until("FORGE answers again", secs(60), async || owner.get(&owner.project()).await.ok()?.ok().ok()).await;
    owner.release("1.1.0", "Good day, {{ name }}").await?;
    live.prints("Good day, Ada", secs(60)).await;
    Ok(())
}
