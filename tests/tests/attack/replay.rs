//! A broker that repeats, withholds, delays and reorders what was truly signed.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use nats_config::{header, subject};
use schemas::canonical::Digest;
use schemas::envelope::{Head, Heartbeat};
use schemas::status::RefusalCode;
use tests::nats::{TestBroker, now};
use tests::stage::{
    Answering, PATIENCE, active, builder, head, headers, hello, of_set, publish, refusal, serves, smuggle,
};
use tests::until::{millis, secs, until};

use crate::bundle::Stage;

const PERIOD: Duration = millis(400);

fn heartbeat(test: &TestBroker, issued: i64, heads: Vec<Head>) -> Heartbeat {
    Heartbeat {
        scope: test.scope("dev"),
        issued,
        period_ms: u64::try_from(PERIOD.as_millis()).expect("a period"),
        heads,
        trust: 0,
        max_age: None,
        orders: Vec::new(),
    }
}

#[tokio::test]
async fn a_broker_that_withholds_a_bundle_makes_agents_stale() -> Result<()> {
    let stage = Stage::with_one_good().await?;
    let withheld = stage.next(2)?;
    let head = Head { set: withheld.set.clone(), serial: 2, digest: withheld.digest };
    stage.test.beat("dev", vec![head.clone()], PERIOD).await?;
    until("it heard of serial 2", PATIENCE, async || {
        of_set(&stage.agent.status(), "chat")?.head_serial.filter(|serial| *serial == 2)
    })
    .await;
    // FORGE goes on announcing it; the bundle does not come.
    let reason = until("it is stale for that", PATIENCE, async || {
        stage.test.beat("dev", vec![head.clone()], PERIOD).await.ok()?;
        let status = stage.agent.status();
        status.stale_reason.filter(|why| status.stale && why.contains("cannot be had"))
    })
    .await;
    assert!(reason.contains("serial 2 of chat"), "{reason}");
    assert_eq!(hello(&stage.agent), "good", "it goes on serving");
    smuggle(&stage.test, &withheld, headers(&withheld), &withheld.wire).await?;
    serves(&stage.agent, 2).await;
    until("it is current again", PATIENCE, async || {
        stage.test.beat("dev", vec![head.clone()], PERIOD).await.ok()?;
        (!stage.agent.status().stale).then_some(())
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn a_cache_that_was_lost_lets_no_old_bundle_in_because_the_enrolment_carries_the_floor() -> Result<()> {
    let test = TestBroker::start().await?;
    // What the broker still has is truly signed, and long over.
    let old = test.outgoing("dev", test.bundle("chat", "1.0.0", &[("hello", "long over")]), 5)?;
    test.broker.send(&old).await?;
    let floor = Head { set: old.set.clone(), serial: 9, digest: Digest::of(b"the ninth") };
    let forge = Answering::start(&test, Some(vec![floor])).await?;
    let agent = loop {
        let (began, asked) = (Instant::now(), forge.enrolled());
        let agent = builder(&test, "lost")?.memory_only().start().await?;
        until("the old one is refused, or served", PATIENCE, async || {
            let status = agent.status();
            let refused = refusal(&status, "chat") == Some(RefusalCode::OldSerial);
            (refused || active(&status, "chat").is_some()).then_some(())
        })
        .await;
        if hello(&agent).contains("nothing is served yet") {
            break agent;
        }
        // So long an agent waits for FORGE's word, and not at all where the broker knows of no FORGE yet: on a slow
        // machine nothing was shown by that.
        assert!(began.elapsed() > secs(2) || forge.enrolled() == asked, "{}", hello(&agent));
        agent.stop().await;
    };
    let said = agent.status().sets[0].pending.clone().and_then(|p| p.reason).map(|r| r.message);
    assert!(said.as_deref().unwrap_or_default().contains("serial 9, which FORGE signed before"), "{said:?}");
    let ninth = test.outgoing("dev", test.bundle("chat", "2.0.0", &[("hello", "the ninth")]), 9)?;
    test.broker.send(&ninth).await?;
    serves(&agent, 9).await;
    assert_eq!(refusal(&agent.status(), "chat"), None);
    Ok(())
}

#[tokio::test]
async fn a_floor_that_was_heard_outlives_a_restart_of_the_agent() -> Result<()> {
    let test = TestBroker::start().await?;
    let cache = test.directory().join("cache");
    let agent = tests::stage::on_disk(&test, "floor", &cache)?.start().await?;
    let floor = Head { set: "chat".parse()?, serial: 9, digest: Digest::of(b"the ninth") };
    until("it heard of serial 9", PATIENCE, async || {
        test.beat("dev", vec![floor.clone()], PERIOD).await.ok()?;
        of_set(&agent.status(), "chat")?.head_serial.filter(|serial| *serial == 9)
    })
    .await;
    agent.stop().await;
    let old = test.outgoing("dev", test.bundle("chat", "1.0.0", &[("hello", "long over")]), 5)?;
    test.broker.send(&old).await?;
    let agent = tests::stage::on_disk(&test, "floor", &cache)?.start().await?;
    until("the old one is refused", PATIENCE, async || {
        (refusal(&agent.status(), "chat") == Some(RefusalCode::OldSerial)).then_some(())
    })
    .await;
    assert!(hello(&agent).contains("nothing is served yet"), "{}", hello(&agent));
    Ok(())
}

#[tokio::test]
async fn a_broker_that_repeats_the_last_heartbeat_for_ever_makes_agents_stale() -> Result<()> {
    let stage = Stage::with_one_good().await?;
    let client = stage.test.operator().await?;
    let topic = subject::heartbeat(&stage.test.scope("dev"));
    let mut heard = TestBroker::overhear(&client, topic.to_string()).await?;
    stage.test.beat("dev", Vec::new(), PERIOD).await?;
    let word = tokio::time::timeout(PATIENCE, heard.next()).await?.context("the heartbeat")?;
    until("it heard", PATIENCE, async || stage.agent.status().age_ms).await;
    let stale = until("it is stale", PATIENCE, async || {
        let headers = word.headers.clone().unwrap_or_default();
        client.publish_with_headers(topic.clone(), headers, word.payload.clone()).await.ok()?;
        Some(stage.agent.status()).filter(|status| status.stale)
    })
    .await;
    assert!(stale.stale_reason.is_some_and(|why| why.contains("not heard")));
    assert_eq!(hello(&stage.agent), "good");
    Ok(())
}

#[tokio::test]
async fn heartbeats_that_are_held_back_on_their_way_make_agents_stale() -> Result<()> {
    let stage = Stage::with_one_good().await?;
    let (test, agent) = (&stage.test, &stage.agent);
    let beat = async |lag: Duration| {
        let issued = now() - i64::try_from(lag.as_micros()).expect("a lag");
        let word = heartbeat(test, issued, Vec::new());
        test.beat_by(&test.project_keys, &test.certificate, None, word).await
    };
    beat(Duration::ZERO).await?;
    until("it heard", PATIENCE, async || agent.status().age_ms).await;
    tokio::time::sleep(PERIOD).await;
    // Each is newer than the one before, and each comes three periods late.
    let stale = until("it is stale", PATIENCE, async || {
        beat(PERIOD * 3).await.ok()?;
        agent.status().stale_reason.filter(|why| why.contains("held back"))
    })
    .await;
    assert_eq!(hello(agent), "good", "{stale}");
    until("a word in time ends it", PATIENCE, async || {
        beat(Duration::ZERO).await.ok()?;
        (!agent.status().stale).then_some(())
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn an_agent_that_starts_believes_no_old_heartbeat_and_none_from_the_future() -> Result<()> {
    let test = TestBroker::start().await?;
    for (off, why) in [(-3_600_000_000_i64, "old"), (3_600_000_000, "from the future")] {
        let agent = builder(&test, "clock")?.memory_only().start().await?;
        agent.wait_current(PATIENCE).await?;
        let head = Head { set: "chat".parse()?, serial: 1, digest: Digest::of(b"x") };
        until("it heard something", PATIENCE, async || {
            let word = heartbeat(&test, now() + off, vec![head.clone()]);
            test.beat_by(&test.project_keys, &test.certificate, None, word).await.ok()?;
            of_set(&agent.status(), "chat")?.head_serial
        })
        .await;
        assert_eq!(agent.status().age_ms, None, "a word that is {why} confirms nothing");
        agent.stop().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_broker_that_repeats_and_reorders_bundles_never_takes_an_agent_back() -> Result<()> {
    let stage = Stage::with_one_good().await?;
    let test = &stage.test;
    let mut changes = stage.agent.subscribe();
    let mut all = Vec::new();
    for serial in 2..=8 {
        let text = format!("serial {serial}");
        let bundle = test.bundle("chat", &format!("1.{serial}.0"), &[("hello", &text)]);
        all.push(test.outgoing("dev", bundle, serial)?);
    }
    let client = test.operator().await?;
    let topic = subject::announced_bundle(&test.scope("dev"), &all[0].set);
    // The announcements come in no order and several times, under sequences of the broker's choice.
    for round in 0..40_usize {
        let outgoing = &all[(round * 5 + round / 7) % all.len()];
        let mut headers = headers(outgoing);
        headers.insert(header::SEQUENCE, (2 + (round * 3) % 11).to_string().as_str());
        client.publish_with_headers(topic.clone(), headers, outgoing.wire.clone()).await?;
    }
    client.flush().await?;
    serves(&stage.agent, 8).await;
    assert_eq!(hello(&stage.agent), "serial 8");
    let mut last = 1;
    while let Ok(change) = changes.try_recv() {
        assert!(change.serial > last, "{} after {last}", change.serial);
        last = change.serial;
    }
    assert_eq!(last, 8);
    Ok(())
}

#[tokio::test]
async fn endless_data_neither_stops_an_agent_nor_grows_it() -> Result<()> {
    if !crate::alone("replay::endless_data_neither_stops_an_agent_nor_grows_it").await? {
        return Ok(());
    }
    let stage = Stage::with_one_good().await?;
    let client = stage.test.operator().await?;
    let topic = subject::announced_bundle(&stage.test.scope("dev"), &"chat".parse()?);
    let noise: bytes::Bytes = vec![b'x'; 64 * 1024].into();
    let before = resident()?;
    let template = stage.next(2)?;
    for round in 0..10_000_u64 {
        let mut headers = headers(&template);
        headers.insert(header::SEQUENCE, (10 + round).to_string().as_str());
        client.publish_with_headers(topic.clone(), headers, noise.clone()).await?;
        if round % 100 == 0 {
            client.flush().await?;
            assert_eq!(hello(&stage.agent), "good");
        }
    }
    client.flush().await?;
    let grown = resident()?.saturating_sub(before);
    assert!(grown < 250 << 20, "650 MB of noise grew it by {} MiB", grown >> 20);
    let next = publish(&stage.test, "3.0.0", "good again").await?;
    serves(&stage.agent, next.serial).await;
    let _ = head(&next);
    Ok(())
}

/// Memory that this process holds, in bytes.
fn resident() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    Ok(line.split_whitespace().next().unwrap_or("0").parse::<u64>()? * 1024)
}
