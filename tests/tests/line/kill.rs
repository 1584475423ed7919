//! `kill -9` of anything at any moment: nothing is lost, nothing is sent twice, nothing is half applied.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use live_agent::{LiveAgent, vars};
use serde_json::Value;
use tests::forge::api::Api;
use tests::forge::live::Live;
use tests::forge::stream::Reader;
use tests::forge::{Database, Forge, ORGANISATION, OWNER, PASSWORD, Place};
use tests::until::{millis, secs, until};

tests::on_both!(
    forge_killed_between_commit_and_relay_sends_each_publication_exactly_once,
    nothing_is_lost_or_half_applied_when_anything_is_killed_under_load,
);

/// Moments that differ from run to run of the loop, but not from run to run of the test.
struct Moments(u64);

impl Moments {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    /// Lets a moment of less than this pass: when the blow falls is the point of the test.
    async fn pass(&mut self, below: Duration) {
        let moment = Duration::from_micros(self.next(below.as_micros() as u64 + 1));
        let _ = tokio::time::timeout(moment, std::future::pending::<()>()).await;
    }
}

/// Every publication that FORGE knows of, oldest first.
async fn publications(owner: &Api) -> Result<Vec<Value>> {
    let listed = owner.get(&format!("{}/publications?limit=200", owner.project())).await?.ok()?;
    let mut items = listed["items"].as_array().context("a list")?.clone();
    items.sort_by_key(|publication| publication["number"].as_i64());
    Ok(items)
}

/// Waits until FORGE calls all publications sent, and holds the stream against them.
async fn each_is_in_the_stream_once(owner: &Api, reader: &Reader) -> Result<Vec<Value>> {
    let known = until("everything is sent", secs(120), async || {
        let known = publications(owner).await.ok()?;
        known.iter().all(|p| p["state"] == "sent").then_some(known)
    })
    .await;
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    // It may be on its way back to a broker that was killed.
    let stored = until("the stream is read", secs(120), async || reader.all().await.ok()).await;
    for message in &stored {
        *seen.entry(message.publication.clone()).or_default() += 1;
    }
    for publication in &known {
        let id = publication["id"].as_str().context("an id")?;
        assert_eq!(seen.remove(id), Some(1), "publication {publication} is in the stream once");
    }
    assert!(seen.is_empty(), "the stream holds what FORGE does not know: {seen:?}");
    let serials: Vec<u64> = stored.iter().map(|m| m.serial).collect();
    assert!(serials.is_sorted_by(|a, b| a < b), "serials only grow: {serials:?}");
    Ok(known)
}

async fn forge_killed_between_commit_and_relay_sends_each_publication_exactly_once(
    database: Database,
) -> Result<()> {
    let mut forge = Forge::with_broker(database).await?;
    let owner = forge.owner().await?;
    owner.create_project(ORGANISATION).await?;
    owner.release("1.0.0", "Hello {{ name }}").await?;
    let reader = Reader::connect(&owner.credential("prod", "reader").await?).await?;
    let mut moments = Moments(database as u64 + 1);
    // What a publication takes here tells when a blow can fall on each part of it.
    let begin = Instant::now();
    owner.publish("1.0.0", "prod").await?;
    let span = begin.elapsed() * 2 + millis(10);
    let (before, mut acknowledged) = (2, 2);
    for round in 0..15 {
        // Some blows fall before the commit, some between commit and relay, some within the relay.
        let mut publish = tokio::spawn({
            let owner = owner.clone();
            async move { owner.publish("1.0.0", "prod").await }
        });
        // However slow it is by now: some fall after the answer, which comes after the commit.
        let answered = if round % 3 == 0 { Some((&mut publish).await?) } else { None };
        moments.pass(if answered.is_some() { millis(20) } else { span }).await;
        forge.process.kill9().await;
        let answer = match answered {
            Some(answer) => answer,
            None => publish.await?,
        };
        if answer.is_ok() {
            acknowledged += 1;
        }
        forge.start_again().await?;
    }
    let known = each_is_in_the_stream_once(&owner, &reader).await?;
    assert!(known.len() >= acknowledged, "{} are known, {acknowledged} were acknowledged", known.len());
    assert!(acknowledged > before, "every blow fell before the commit: the test tests nothing");
    Ok(())
}

async fn nothing_is_lost_or_half_applied_when_anything_is_killed_under_load(
    database: Database,
) -> Result<()> {
    let mut forge = Forge::with_broker(database).await?;
    let owner = forge.owner().await?;
    owner.create_project(ORGANISATION).await?;
    let credential = owner.credential("prod", "checkout").await?;
    let mut live = Live::start(forge.directory(), &credential, "checkout-1", "left")?;
    // A second agent inside this process shows whether two prompts of one set ever disagree.
    let agent = LiveAgent::builder()
        .connection(serde_json::from_value(credential.connection.clone())?)
        .credentials(credential.creds.clone())
        .cache_dir(forge.directory().join("inside"))
        .name("inside")
        .start()
        .await?;
    let reader = Reader::connect(&credential).await?;

    let mut moments = Moments(database as u64 + 77);
    let rounds = 12;
    for round in 1..=rounds {
        let load = tokio::spawn({
            let owner = owner.clone();
            async move { write_and_publish(&owner, round).await }
        });
        moments.pass(millis(150)).await;
        match moments.next(3) {
            0 => {
                forge.process.kill9().await;
                let _ = load.await?;
                forge.start_again().await?;
            }
            1 => {
                forge.place.broker().kill9().await;
                let _ = load.await?;
                forge.place.broker().restart().await?;
            }
            _ => {
                live.kill9().await;
                let _ = load.await?;
                live.start_again()?;
            }
        }
        agrees(&agent);
    }
    // After the last blow the line works, and everybody has the end of it.
    until("the last version is published", secs(120), async || {
        write_and_publish(&owner, rounds + 1).await.ok()
    })
    .await;
    let text = format!("{} Ada", rounds + 1);
    live.prints(&text, secs(120)).await;
    until("the agent inside has it too", secs(120), async || {
        agrees(&agent);
        (agent.prompt("right", &vars! { name: "Ada" }).ok()? == text).then_some(())
    })
    .await;
    let known = each_is_in_the_stream_once(&owner, &reader).await?;
    assert!(known.len() > 3, "only {} publications came through", known.len());
    agent.stop().await;
    Ok(())
}

/// Both prompts say the number of the round; a set is one version of both.
async fn write_and_publish(owner: &Api, round: u64) -> Result<()> {
    let set = owner.get(&owner.set()).await?.ok()?;
    if set["state"] == "locked" {
        owner.reopen().await?;
    }
    for id in ["left", "right"] {
        owner.write(id, &format!("{round} {{{{ name }}}}")).await?;
    }
    // A blow may have fallen between lock and answer: then the version is there.
    let version = format!("{round}.0.0");
    if let Err(error) = owner.lock(&version).await
        && !error.to_string().contains("version_exists")
        && !error.to_string().contains("locked")
    {
        return Err(error);
    }
    owner.publish(&version, "prod").await?;
    Ok(())
}

/// Two prompts of one set never come from two versions: unless a new one was taken up between the two calls.
fn agrees(agent: &LiveAgent) {
    let values = vars! { name: "Ada" };
    for _ in 0..100 {
        let (left, right) = (agent.prompt("left", &values), agent.prompt("right", &values));
        match (left, right, agent.prompt("left", &values)) {
            (Ok(before), Ok(right), Ok(after)) => {
                assert!(right == before || right == after, "{before} beside {right} beside {after}");
            }
            // The first version came between the two calls.
            (Err(_), Ok(_), Ok(_)) => {}
            (left, right, _) => {
                assert_eq!(left.is_ok(), right.is_ok(), "one prompt of the set without the other")
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_forge_processes_start_at_once_on_one_empty_database_and_share_the_work() -> Result<()> {
    let mut place = Place::new(Database::Postgres)?;
    place.use_external_broker()?;
    // Tables, keys and the master key's file are missing: both want to make them at the same moment.
    let (mut first, mut second) = (place.spawn(1)?, place.spawn(2)?);
    first.ready(&place).await?;
    second.ready(&place).await?;
    place.start_broker().await?;
    place.add_owner().await?;

    let owner = Api::sign_in(&first.url(), OWNER, PASSWORD).await?;
    let other = owner.at(&second.url());
    owner.create_project(ORGANISATION).await?;
    let credential = other.credential("prod", "checkout").await?;
    let live = Live::start(place.directory(), &credential, "checkout-1", "welcome.message")?;
    owner.release("1.0.0", "one {{ name }}").await?;
    live.prints("one Ada", secs(60)).await;
    other.release("2.0.0", "two {{ name }}").await?;
    live.prints("two Ada", secs(60)).await;

    // Both publish at once, and one of them is killed: the other sends what it left.
    let publish = |api: Api| tokio::spawn(async move { api.publish("1.0.0", "prod").await });
    let all: Vec<_> =
        (0..10).map(|n| publish(if n % 2 == 0 { owner.clone() } else { other.clone() })).collect();
    first.kill9().await;
    for one in all {
        let _ = one.await?;
    }
    let reader = Reader::connect(&credential).await?;
    let known = each_is_in_the_stream_once(&other, &reader).await?;
    assert!(known.len() >= 2 + 5, "what the second process took is there: {}", known.len());
    second.stop().await?;
    Ok(())
}
