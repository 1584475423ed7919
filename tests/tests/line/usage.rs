//! Use of prompts: told by agents, counted once, whatever becomes of their statuses.

use anyhow::{Context as _, Result};
use live_agent::{LiveAgent, vars};
use schemas::connect::Connection;
use schemas::status::PromptUsage;
use serde_json::{Value, json};
use tests::forge::api::Api;
use tests::forge::raw::Raw;
use tests::forge::{Database, Forge, ORGANISATION};
use tests::until::{secs, until};

use crate::let_in;

tests::on_both!(
    use_is_counted_once_over_repeated_late_and_lost_statuses_and_restarts,
    two_forges_on_one_database_count_a_status_once,
    use_that_was_told_while_forge_was_away_and_before_a_rollback_is_counted,
    what_forge_does_not_know_and_numbers_without_end_count_for_nothing,
);

/// Renders and calls of a prompt since the start of an agent.
fn used(version: &str, prompt: &str, renders: u64, calls: u64) -> Result<PromptUsage> {
    Ok(serde_json::from_value(json!({
        "set": "chat", "version": version, "prompt": prompt,
        "renders": renders, "errors": renders / 10, "render_p50_ns": 1000, "render_p99_ns": 2000 + renders,
        "calls": calls, "call_errors": calls / 5, "input_tokens": calls * 100, "output_tokens": calls * 10,
        "latency_us": calls * 250_000, "cost_micros": calls * 7,
    }))?)
}

async fn rows(owner: &Api, more: &str) -> Result<Vec<Value>> {
    let path = format!("{}/usage?set=chat{more}", owner.project());
    Ok(owner.get(&path).await?.ok()?["items"].as_array().cloned().unwrap_or_default())
}

/// The row of version 1.0.0 in prod, as soon as it has so many renders.
async fn renders(owner: &Api, expected: u64) -> Value {
    until(&format!("{expected} renders are counted"), secs(60), async || {
        let rows = rows(owner, "&environment=prod").await.ok()?;
        let row = rows.into_iter().find(|row| row["version"] == "1.0.0")?;
        (row["renders"] == expected).then_some(row)
    })
    .await
}

/// FORGE has heard everything that was told before: an agent that nobody knows yet is listed.
async fn heard(owner: &Api, agent: &str) {
    until("FORGE has heard it", secs(60), async || {
        let all = owner.get(&format!("{}/agents", owner.project())).await.ok()?.ok().ok()?;
        all["items"].as_array()?.iter().any(|a| a["name"] == agent).then_some(())
    })
    .await;
}

async fn use_is_counted_once_over_repeated_late_and_lost_statuses_and_restarts(
    database: Database,
) -> Result<()> {
    let mut forge = Forge::start(database).await?;
    let owner = forge.owner().await?;
    owner.create_project(ORGANISATION).await?;
    owner.release("1.0.0", "Hello {{ name }}").await?;
    let credential = owner.credential("prod", "checkout").await?;
    let agent = let_in(&credential, "till-1", "checkout").await;
    let tell = async |started: i64, count: u64| -> Result<()> {
        agent.tell(started, &[used("1.0.0", "welcome.message", count, count / 2)?]).await
    };
    // Its first word tells what it did while FORGE did not hear it.
    tell(1_000_000, 40).await?;
    renders(&owner, 40).await;
    // The same again, one that is late, one that skips what got lost.
    for count in [40, 20, 100, 60, 100] {
        tell(1_000_000, count).await?;
    }
    renders(&owner, 100).await;
    // It starts again: less than before is more. Then a late word of its former life comes.
    tell(2_000_000, 30).await?;
    tell(1_000_000, 100).await?;
    renders(&owner, 130).await;
    tell(2_000_000, 30).await?;
    tell(1_000_000, 110).await?;
    renders(&owner, 140).await;
    // FORGE starts again as well, and remembers nothing but what it wrote.
    forge.process.kill9().await;
    forge.start_again().await?;
    forge.process.has_its_broker().await?;
    let agent = until("the broker is back", secs(60), async || {
        Raw::connect(&owner.credential("prod", "again").await.ok()?, "till-1", "checkout").await.ok()
    })
    .await;
    until("FORGE hears it again", secs(60), async || {
        agent.tell(2_000_000, &[used("1.0.0", "welcome.message", 50, 15).ok()?]).await.ok()?;
        let rows = rows(&owner, "").await.ok()?;
        (rows[0]["renders"] == 160).then_some(())
    })
    .await;
    agent.tell(3_000_000, &[used("1.0.0", "welcome.message", 5, 5)?]).await?;
    let row = renders(&owner, 165).await;

    // 110 and 50 renders with 55 and 15 calls, and 5 with 5.
    assert_eq!((row["errors"].as_u64(), row["calls"].as_u64()), (Some(11 + 5), Some(55 + 15 + 5)), "{row}");
    assert_eq!(
        (row["input_tokens"].as_u64(), row["output_tokens"].as_u64()),
        (Some(7500), Some(750)),
        "{row}"
    );
    assert_eq!((row["latency_us"].as_u64(), row["cost_micros"].as_u64()), (Some(18_750_000), Some(525)));
    assert_eq!(row["call_errors"], 11 + 3 + 1, "{row}");
    assert_eq!((&row["render_p50_ns"], &row["render_p99_ns"]), (&json!(1000), &json!(2110)), "{row}");
    let by_prompt = rows(&owner, "&by=prompt&version=1.0.0").await?;
    assert_eq!(by_prompt.len(), 1);
    assert_eq!((&by_prompt[0]["prompt"], &by_prompt[0]["renders"]), (&json!("welcome.message"), &json!(165)));
    let hours = rows(&owner, "&by=hour").await?;
    let sum: u64 = hours.iter().filter_map(|hour| hour["renders"].as_u64()).sum();
    assert!(hours.len() <= 2 && sum == 165, "{hours:?}");
    assert_eq!(rows(&owner, "&environment=dev").await?, Vec::<Value>::new());
    Ok(())
}

async fn two_forges_on_one_database_count_a_status_once(database: Database) -> Result<()> {
    let mut forge = Forge::with_broker(database).await?;
    let owner = forge.owner().await?;
    owner.create_project(ORGANISATION).await?;
    owner.release("1.0.0", "Hello {{ name }}").await?;
    let mut second = (database == Database::Postgres).then(|| forge.place.spawn(1)).transpose()?;
    if let Some(second) = &mut second {
        second.ready(&forge.place).await?;
        second.has_its_broker().await?;
    }
    let credential = owner.credential("prod", "checkout").await?;
    let agents = until("the credential is let in", secs(60), async || {
        let mut agents = Vec::new();
        for n in 0..10 {
            agents.push(Raw::connect(&credential, &format!("till-{n}"), "checkout").await.ok()?);
        }
        Some(agents)
    })
    .await;
    for round in 1..=20 {
        for agent in &agents {
            agent.tell(1_000_000, &[used("1.0.0", "welcome.message", round * 10, round)?]).await?;
        }
    }
    let row = renders(&owner, 2000).await;
    assert_eq!((&row["calls"], &row["errors"]), (&json!(200), &json!(200)), "{row}");
    // The slower of the two has nothing to add either.
    let last = let_in(&credential, "last", "checkout").await;
    last.tell(1_000_000, &[]).await?;
    heard(&owner, "last").await;
    if let Some(second) = &second {
        let at = owner.at(&second.url());
        heard(&at, "last").await;
        last.tell(1_000_000, &[used("1.0.0", "welcome.message", 1, 0)?]).await?;
        renders(&at, 2001).await;
    }
    Ok(())
}

async fn use_that_was_told_while_forge_was_away_and_before_a_rollback_is_counted(
    database: Database,
) -> Result<()> {
    let mut forge = Forge::with_broker(database).await?;
    let owner = forge.owner().await?;
    owner.create_project(ORGANISATION).await?;
    owner.release("1.0.0", "Hello {{ name }}").await?;
    let credential = owner.credential("prod", "checkout").await?;
    let agent = LiveAgent::builder()
        .connection(serde_json::from_value::<Connection>(credential.connection.clone())?)
        .credentials(credential.creds.as_str())
        .name("till")
        .memory_only()
        .start()
        .await?;
    until("it is confirmed", secs(60), async || agent.health().fresh.then_some(())).await;
    let render = |many: usize| {
        (0..many).try_for_each(|_| agent.prompt("welcome.message", vars! { name: "Ada" }).map(drop))
    };
    render(40)?;
    renders(&owner, 40).await;
    // Told more often than is enough, to nobody: a status goes out each second.
    forge.process.kill9().await;
    until("FORGE is silent", secs(60), async || agent.status().stale.then_some(())).await;
    render(60)?;
    until("six statuses later", secs(60), async || agent.status().age_ms.filter(|age| *age > 9_000)).await;
    forge.start_again().await?;
    forge.process.has_its_broker().await?;
    renders(&owner, 100).await;
    // Another version, and the first again.
    owner.release("2.0.0", "Dear {{ name }}").await?;
    let serves = async |version: &str| {
        until(&format!("{version} is served"), secs(60), async || {
            let sets = agent.status().sets;
            (sets.first()?.active.as_ref()?.version.to_string() == version).then_some(())
        })
        .await;
    };
    serves("2.0.0").await;
    render(7)?;
    owner.publish("1.0.0", "prod").await?;
    serves("1.0.0").await;
    render(5)?;
    renders(&owner, 105).await;
    agent.stop().await;
    Ok(())
}

async fn what_forge_does_not_know_and_numbers_without_end_count_for_nothing(
    database: Database,
) -> Result<()> {
    let mut forge = Forge::start(database).await?;
    let owner = forge.owner().await?;
    owner.create_project(ORGANISATION).await?;
    owner.release("1.0.0", "Hello {{ name }}").await?;
    let credential = owner.credential("prod", "thief").await?;
    let thief = let_in(&credential, "thief", "").await;
    let mut unknown = vec![used("9.9.9", "welcome.message", 5, 5)?];
    for n in 0..150 {
        unknown.push(used("1.0.0", &format!("made-up-{n}"), 5, 5)?);
    }
    let mut other = used("1.0.0", "welcome.message", 5, 5)?;
    other.set = schemas::Slug::new("another")?;
    unknown.push(other);
    thief.tell(1, &unknown).await?;
    heard(&owner, "thief").await;
    assert_eq!(rows(&owner, "&by=prompt").await?, Vec::<Value>::new());

    // Numbers without end are cut, and nobody else's are lost for them.
    let mut endless = used("1.0.0", "welcome.message", 0, 0)?;
    for field in
        [&mut endless.renders, &mut endless.calls, &mut endless.cost_micros, &mut endless.render_p99_ns]
    {
        *field = u64::MAX;
    }
    for life in 1..=30 {
        thief.tell(life, std::slice::from_ref(&endless)).await?;
    }
    let honest = let_in(&credential, "honest", "").await;
    honest.tell(1, &[]).await?;
    heard(&owner, "honest").await;
    let row = rows(&owner, "").await?.first().cloned().context("a row")?;
    let most = 31 * 1_000_000_000_000_u64;
    let renders = row["renders"].as_u64().context("renders")?;
    assert!((1_000_000_000_000..=most).contains(&renders), "{row}");
    honest.tell(1, &[used("1.0.0", "welcome.message", 7, 0)?]).await?;
    until("the honest one is counted", secs(60), async || {
        let rows = rows(&owner, "").await.ok()?;
        (rows.first()?["renders"].as_u64()? % 1_000_000_000_000 == 7).then_some(())
    })
    .await;
    Ok(())
}
