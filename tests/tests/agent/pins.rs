//! A pin is a promise about what is taken up.

use anyhow::Result;
use live_agent::{AgentError, LiveAgent, Mode, VersionReq};
use schemas::status::{PendingState, RefusalCode};
use schemas::{Slug, Version};
use tests::nats::TestBroker;
use tests::stage::{PATIENCE, active, builder, head, hello, of_set, on_disk, publish, refusal, serves};
use tests::until::{millis, secs, until, within};

use crate::outages::is_back;

fn chat() -> Slug {
    Slug::new("chat").expect("a slug")
}

fn versions(pin: &str) -> VersionReq {
    pin.parse().expect("a version requirement")
}

/// Serial of what waits, and why.
fn waits(agent: &LiveAgent) -> Option<(u64, PendingState)> {
    let pending = of_set(&agent.status(), "chat")?.pending.clone()?;
    Some((pending.serial?, pending.state))
}

async fn waits_for(agent: &LiveAgent, serial: u64) {
    until(&format!("serial {serial} waits behind the pin"), PATIENCE, async || {
        (waits(agent)? == (serial, PendingState::Pinned)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_does_not_fit_waits_over_restarts_and_is_taken_up_at_unpin() -> Result<()> {
    let mut test = TestBroker::start().await?;
    let dir = test.directory().join("cache");
    let agent = on_disk(&test, "pinned", &dir)?.start().await?;
    publish(&test, "1.0.0", "one").await?;
    serves(&agent, 1).await;
    agent.pin(chat(), versions("^1")).await?;
    let second = publish(&test, "2.0.0", "two").await?;
    waits_for(&agent, 2).await;
    let status = agent.status();
    let set = of_set(&status, "chat").expect("the set");
    let pending = set.pending.clone().expect("what waits");
    assert_eq!((set.pin.as_deref(), hello(&agent).as_str()), (Some("^1"), "one"));
    assert_eq!((pending.version, pending.digest), (Some(Version::new(2, 0, 0)), Some(second.digest)));
    assert_eq!(agent.waiting()[0].why, PendingState::Pinned);
    publish(&test, "1.1.0", "one and more").await?;
    serves(&agent, 3).await;
    assert_eq!(waits(&agent), None, "what fits and is newer ends the waiting");
    publish(&test, "2.1.0", "two and more").await?;
    waits_for(&agent, 4).await;
    test.beat("dev", vec![], millis(500)).await?;
    agent.stop().await;
    test.server.stop().await;

    let agent = on_disk(&test, "pinned", &dir)?.start().await?;
    assert_eq!(agent.pins().get(&chat()), Some(&versions("^1")), "the pin outlives the process");
    assert_eq!((hello(&agent).as_str(), waits(&agent)), ("one and more", Some((4, PendingState::Pinned))));
    agent.unpin(&chat()).await?;
    assert_eq!((hello(&agent).as_str(), waits(&agent)), ("two and more", None), "with the broker down too");
    agent.stop().await;
    let agent = on_disk(&test, "pinned", &dir)?.start().await?;
    assert_eq!((hello(&agent).as_str(), agent.pins().len()), ("two and more", 0));
    Ok(())
}

#[tokio::test]
async fn a_pin_to_what_was_served_before_brings_that_back_from_disk_and_unpinning_the_newest() -> Result<()> {
    let mut test = TestBroker::start().await?;
    let dir = test.directory().join("cache");
    let agent = on_disk(&test, "back", &dir)?.start().await?;
    publish(&test, "1.0.0", "one").await?;
    serves(&agent, 1).await;
    let second = publish(&test, "2.0.0-gpt5", "two").await?;
    serves(&agent, 2).await;
    agent.wait_current(PATIENCE).await?;
    agent.stop().await;
    test.server.stop().await;
    let agent = on_disk(&test, "back", &dir)?.start().await?;
    let mut changes = agent.subscribe();
    agent.pin(chat(), versions("=1.0.0")).await?;
    assert_eq!((hello(&agent).as_str(), waits(&agent)), ("one", Some((2, PendingState::Pinned))));
    let change = changes.try_recv()?;
    assert_eq!((change.serial, change.from.map(|from| from.serial)), (1, Some(2)));
    agent.stop().await;
    let agent = on_disk(&test, "back", &dir)?.start().await?;
    assert_eq!((hello(&agent).as_str(), waits(&agent)), ("one", Some((2, PendingState::Pinned))));

    // A pre-release is pinned to by its name.
    agent.pin(chat(), versions("=2.0.0-gpt5")).await?;
    assert_eq!((hello(&agent).as_str(), waits(&agent)), ("two", None));
    agent.pin(chat(), versions("^1")).await?;
    assert_eq!(hello(&agent), "one");
    // With the broker back the agent is current: what is newest is here, and nothing is lacking.
    test.server.restart().await?;
    test.provision().await?;
    agent.wait_current(PATIENCE).await?;
    test.beat("dev", vec![head(&second)], secs(60)).await?;
    until("FORGE was heard", PATIENCE, async || of_set(&agent.status(), "chat")?.head_serial).await;
    assert_eq!((hello(&agent).as_str(), agent.status().stale), ("one", false));
    agent.unpin(&chat()).await?;
    assert_eq!((hello(&agent).as_str(), waits(&agent)), ("two", None));
    Ok(())
}

#[tokio::test]
async fn a_pin_brings_back_the_newest_that_fits_of_what_the_stream_keeps() -> Result<()> {
    let test = TestBroker::start().await?;
    for (version, text) in
        [("1.0.0", "1"), ("1.2.0", "2"), ("1.1.0", "3"), ("2.0.0", "4"), ("2.1.0", "5"), ("2.2.0", "6")]
    {
        publish(&test, version, text).await?;
    }
    let dir = test.directory().join("cache");
    for agent in [builder(&test, "memory")?.memory_only(), on_disk(&test, "disk", &dir)?] {
        let agent = agent.start().await?;
        serves(&agent, 6).await;
        agent.pin(chat(), versions("^1")).await?;
        // The serial counts, not the version: 1.2.0 was rolled back.
        assert_eq!(
            (hello(&agent).as_str(), active(&agent.status(), "chat").map(|a| a.serial)),
            ("3", Some(3))
        );
        agent.pin(chat(), versions(">=2, <2.2")).await?;
        assert_eq!(hello(&agent), "5");
        agent.pin(chat(), versions("^7")).await?;
        assert_eq!(hello(&agent), "5", "where nothing fits, what is served goes on");
        agent.unpin(&chat()).await?;
        until("the newest is back", PATIENCE, async || (hello(&agent) == "6").then_some(())).await;
        agent.stop().await;
    }
    Ok(())
}

#[tokio::test]
async fn while_pinned_back_nothing_between_comes_up_after_the_pin() -> Result<()> {
    let mut test = TestBroker::start().await?;
    let first = publish(&test, "1.0.0", "one").await?;
    let second = publish(&test, "2.0.0", "two").await?;
    let third = publish(&test, "3.0.0", "three").await?;
    let agent = builder(&test, "floor")?.memory_only().start().await?;
    serves(&agent, 3).await;
    agent.pin(chat(), versions("^1")).await?;
    assert_eq!(hello(&agent), "one");
    // A broker that was wiped offers what is long over.
    test.server.wipe_store().await?;
    test.provision().await?;
    test.broker.send(&first.outgoing).await?;
    test.broker.send(&second.outgoing).await?;
    is_back(&agent).await?;
    agent.unpin(&chat()).await?;
    let rolled_back = within(secs(2), async || (hello(&agent) == "two").then_some(())).await;
    assert!(rolled_back.is_none(), "the third was taken up once: nothing below it is");
    test.broker.send(&third.outgoing).await?;
    until("the newest is back", PATIENCE, async || (hello(&agent) == "three").then_some(())).await;
    Ok(())
}

#[tokio::test]
async fn a_first_start_with_a_configured_pin_fetches_what_fits_or_serves_nothing_and_says_so() -> Result<()> {
    let test = TestBroker::start().await?;
    publish(&test, "1.0.0", "one").await?;
    publish(&test, "2.0.0", "two").await?;
    let agent = builder(&test, "fits")?.memory_only().pin(chat(), versions("^1")).start().await?;
    until("what fits is served", PATIENCE, async || (hello(&agent) == "one").then_some(())).await;
    waits_for(&agent, 2).await;
    let refused = agent.unpin(&chat()).await.unwrap_err();
    assert!(matches!(refused, AgentError::Configured { .. }), "{refused}");
    assert!(refused.to_string().contains("the configuration pins chat to ^1"), "{refused}");
    // What is set at the agent counts before the configuration.
    agent.pin(chat(), versions("*")).await?;
    assert_eq!(hello(&agent), "two");
    agent.unpin(&chat()).await?;
    assert_eq!(hello(&agent), "one");

    let agent = builder(&test, "none")?.memory_only().pin(chat(), versions("=9.0.0")).start().await?;
    waits_for(&agent, 2).await;
    let said = hello(&agent);
    assert!(said.contains("nothing is served yet") && said.contains("pin"), "{said}");
    publish(&test, "9.0.0", "nine").await?;
    serves(&agent, 3).await;
    Ok(())
}

#[tokio::test]
async fn a_pin_of_the_configuration_moves_what_is_on_disk_at_the_next_start_and_back_without_it() -> Result<()>
{
    let mut test = TestBroker::start().await?;
    let dir = test.directory().join("cache");
    let agent = on_disk(&test, "moved", &dir)?.start().await?;
    publish(&test, "1.0.0", "one").await?;
    serves(&agent, 1).await;
    publish(&test, "2.0.0", "two").await?;
    serves(&agent, 2).await;
    agent.stop().await;
    test.server.stop().await;
    for _ in 0..2 {
        let agent = on_disk(&test, "moved", &dir)?.pin(chat(), versions("^1")).start().await?;
        assert_eq!((hello(&agent).as_str(), waits(&agent)), ("one", Some((2, PendingState::Pinned))));
        agent.stop().await;
    }
    for _ in 0..2 {
        let agent = on_disk(&test, "moved", &dir)?.start().await?;
        assert_eq!((hello(&agent).as_str(), waits(&agent)), ("two", None));
        agent.stop().await;
    }
    // Nothing fits: what was served goes on, and the status shows both.
    let agent = on_disk(&test, "moved", &dir)?.pin(chat(), versions("^3")).start().await?;
    let status = agent.status();
    assert_eq!(
        (hello(&agent).as_str(), of_set(&status, "chat").and_then(|s| s.pin.as_deref())),
        ("two", Some("^3"))
    );
    Ok(())
}

#[tokio::test]
async fn a_pin_thaws_nothing_and_what_fits_comes_with_the_sync_or_the_thaw() -> Result<()> {
    let test = TestBroker::start().await?;
    let dir = test.directory().join("cache");
    publish(&test, "1.0.0", "one").await?;
    let agent = on_disk(&test, "icy", &dir)?.start().await?;
    serves(&agent, 1).await;
    agent.set_mode(Mode::Frozen).await?;
    publish(&test, "1.1.0", "more").await?;
    publish(&test, "2.0.0", "two").await?;
    until("the newest waits", PATIENCE, async || waits(&agent).filter(|w| w.0 == 3)).await;
    agent.pin(chat(), versions("^1")).await?;
    assert_eq!((agent.mode(), hello(&agent).as_str()), (Mode::Frozen, "one"));
    assert_eq!(waits(&agent), Some((3, PendingState::Pinned)));
    agent.check().await?;
    assert_eq!(hello(&agent), "one");
    agent.sync().await?;
    assert_eq!((agent.mode(), hello(&agent).as_str()), (Mode::Frozen, "more"), "once, and what fits");
    publish(&test, "1.2.0", "most").await?;
    publish(&test, "2.1.0", "two").await?;
    until("the newest waits", PATIENCE, async || waits(&agent).filter(|w| w.0 == 5)).await;
    agent.set_mode(Mode::Accepting).await?;
    until("the newest that fits", PATIENCE, async || (hello(&agent) == "most").then_some(())).await;
    assert_eq!(waits(&agent), Some((5, PendingState::Pinned)));
    Ok(())
}

#[tokio::test]
async fn frozen_and_pinned_what_fits_waits_beside_what_is_newest_and_is_taken_up_at_the_thaw() -> Result<()> {
    let mut test = TestBroker::start().await?;
    let dir = test.directory().join("cache");
    publish(&test, "2.0.0", "two").await?;
    let agent = on_disk(&test, "both", &dir)?.start().await?;
    serves(&agent, 1).await;
    agent.pin(chat(), versions("^2")).await?;
    agent.set_mode(Mode::Frozen).await?;
    publish(&test, "2.1.0", "more").await?;
    until("what fits waits", PATIENCE, async || waits(&agent).filter(|w| *w == (2, PendingState::Verified)))
        .await;
    publish(&test, "3.0.0", "three").await?;
    waits_for(&agent, 3).await;
    let both = |agent: &LiveAgent| {
        let status = agent.status();
        let fitting = of_set(&status, "chat").and_then(|set| set.fitting.clone());
        let all: Vec<(u64, PendingState)> =
            agent.waiting().iter().map(|one| (one.waits.serial, one.why)).collect();
        (fitting.and_then(|one| one.serial), all)
    };
    let expected = (Some(2), vec![(2, PendingState::Verified), (3, PendingState::Pinned)]);
    assert_eq!(both(&agent), expected);
    let checked = agent.check().await?;
    assert_eq!(checked.sets[0].fitting.as_ref().and_then(|one| one.serial), Some(2));
    for (waiting, text) in agent.waiting().iter().zip(["more", "three"]) {
        let prompts = serde_json::to_value(agent.prompts_of(waiting).expect("its prompts"))?;
        assert_eq!(prompts[0]["content"]["template"], text);
    }
    agent.stop().await;
    test.server.stop().await;

    let agent = on_disk(&test, "both", &dir)?.start().await?;
    assert_eq!((hello(&agent).as_str(), both(&agent)), ("two", expected));
    agent.set_mode(Mode::Accepting).await?;
    assert_eq!((hello(&agent).as_str(), waits(&agent)), ("more", Some((3, PendingState::Pinned))));
    assert_eq!(both(&agent).0, None);
    agent.stop().await;
    let agent = on_disk(&test, "both", &dir)?.start().await?;
    assert_eq!((hello(&agent).as_str(), waits(&agent)), ("more", Some((3, PendingState::Pinned))));
    agent.unpin(&chat()).await?;
    assert_eq!((hello(&agent).as_str(), both(&agent)), ("three", (None, Vec::new())));
    Ok(())
}

#[tokio::test]
async fn a_pin_outlives_the_loss_of_the_database() -> Result<()> {
    let test = TestBroker::start().await?;
    let dir = test.directory().join("cache");
    publish(&test, "1.0.0", "one").await?;
    publish(&test, "2.0.0", "two").await?;
    let agent = on_disk(&test, "kept", &dir)?.start().await?;
    serves(&agent, 2).await;
    agent.pin(chat(), versions("^1")).await?;
    assert_eq!(hello(&agent), "one");
    agent.stop().await;
    std::fs::write(dir.join("store/data.mdb"), vec![0xA5; 40_000])?;
    let agent = on_disk(&test, "kept", &dir)?.start().await?;
    assert_eq!(agent.pins().get(&chat()), Some(&versions("^1")));
    until("what fits is fetched again", PATIENCE, async || {
        assert_ne!(hello(&agent), "two", "what does not fit is never taken up");
        (hello(&agent) == "one").then_some(())
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn the_command_line_asks_a_running_agent_and_without_one_writes_its_cache() -> Result<()> {
    use live_agent::control::{Question, ask};
    let test = TestBroker::start().await?;
    let dir = test.directory().join("cache");
    publish(&test, "1.0.0", "one").await?;
    publish(&test, "2.0.0", "two").await?;
    let stored = on_disk(&test, "asked", &dir)?.store_pin(&chat(), Some(versions("^1")))?;
    stored?;
    let agent = on_disk(&test, "asked", &dir)?.start().await?;
    until("what fits is served", PATIENCE, async || (hello(&agent) == "one").then_some(())).await;
    waits_for(&agent, 2).await;
    let waiting = until("it answers", PATIENCE, async || ask(&dir, &Question::Waiting).await.ok()).await;
    assert_eq!((&waiting[0]["why"], &waiting[0]["waits"]["serial"]), (&"pinned".into(), &2.into()));
    assert_eq!(waiting[0]["prompts"][0]["content"]["template"], "two");
    let history = ask(&dir, &Question::History { set: Some(chat()) }).await?;
    assert_eq!((&history[0]["active"], &history[1]["serial"]), (&true.into(), &2.into()));
    let pins = ask(&dir, &Question::Pin { set: chat(), versions: Some(versions("^2")) }).await?;
    assert_eq!((&pins["pins"]["chat"], hello(&agent).as_str()), (&"^2".into(), "two"));
    let pins = ask(&dir, &Question::Pin { set: chat(), versions: None }).await?;
    assert_eq!(pins["pins"], serde_json::json!({}));
    agent.set_mode(Mode::Frozen).await?;
    publish(&test, "3.0.0", "three").await?;
    let checked = ask(&dir, &Question::Sync { check: true }).await?;
    assert_eq!(
        (&checked["sets"][0]["pending"]["state"], hello(&agent).as_str()),
        (&"verified".into(), "two")
    );
    let synced = ask(&dir, &Question::Sync { check: false }).await?;
    assert_eq!((&synced["mode"], hello(&agent).as_str()), (&"FROZEN".into(), "three"));
    Ok(())
}

#[tokio::test]
async fn a_pin_to_what_a_revoked_key_signed_brings_nothing_back_and_says_why() -> Result<()> {
    let test = TestBroker::start().await?;
    let dir = test.directory().join("cache");
    let thief = publisher::ProjectKeys::generate();
    let bundle = test.bundle("chat", "1.0.0", &[("hello", "evil")]);
    test.broker.send(&test.outgoing_by(&thief, &test.certify(&thief)?, "dev", bundle, 1)?).await?;
    let agents = [
        builder(&test, "memory")?.memory_only().start().await?,
        on_disk(&test, "disk", &dir)?.start().await?,
    ];
    for agent in &agents {
        serves(agent, 1).await;
    }
    publish(&test, "2.0.0", "good").await?;
    let (root, stolen) = (test.keys.root.public(), thief.publishing.public());
    let list = serde_json::to_string(&[test.trust_list(1, &[&test.keys.root], &[root], &[stolen])?])?;
    for agent in &agents {
        serves(agent, 2).await;
        until("the agent knows of the theft", PATIENCE, async || {
            let word = test.word(Vec::new());
            test.beat_by(&test.project_keys, &test.certificate, Some(&list), word).await.ok()?;
            (agent.status().trust == 1).then_some(())
        })
        .await;
        agent.pin(chat(), versions("^1")).await?;
        assert_eq!(
            (hello(agent).as_str(), refusal(&agent.status(), "chat")),
            ("good", Some(RefusalCode::Revoked))
        );
    }
    Ok(())
}
