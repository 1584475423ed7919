//! FROZEN holds until somebody ends it.

use anyhow::Result;
use futures::StreamExt as _;
use live_agent::{Mode, vars};
use nats_config::subject;
use publisher::FleetEvent;
use schemas::status::PendingState;
use tests::nats::TestBroker;
use tests::until::{secs, until};

use tests::stage::{PATIENCE, builder, hello, of_set, on_disk, publish, refusal, serves};

#[tokio::test]
async fn frozen_holds_over_restarts_and_thawing_takes_up_what_waited() -> Result<()> {
    let test = TestBroker::start().await?;
    let dir = test.directory().join("cache");
    let agent = on_disk(&test, "icy", &dir)?.start().await?;
    publish(&test, "1.0.0", "one").await?;
    serves(&agent, 1).await;
    agent.set_mode(Mode::Frozen).await?;
    publish(&test, "1.1.0", "two").await?;
    let waits = |agent: &live_agent::LiveAgent, serial| {
        let status = agent.status();
        let pending = of_set(&status, "chat")?.pending.clone()?;
        (pending.state == PendingState::Verified && pending.serial == Some(serial)).then_some(())
    };
    until("the second waits", PATIENCE, async || waits(&agent, 2)).await;
    assert_eq!(hello(&agent), "one");
    agent.stop().await;
    publish(&test, "1.2.0", "three").await?;

    // Even an agent that is told to accept by default stays frozen.
    let agent = on_disk(&test, "icy", &dir)?.mode_default(Mode::Accepting).start().await?;
    assert_eq!((agent.mode(), hello(&agent).as_str()), (Mode::Frozen, "one"));
    until("the third waits", PATIENCE, async || waits(&agent, 3)).await;
    let report = agent.check().await?;
    assert_eq!(report.mode, Mode::Frozen);
    let pending = report.sets.first().and_then(|s| s.pending.clone()).expect("what would be applied");
    assert_eq!((pending.serial, pending.version), (Some(3), Some("1.2.0".parse()?)));
    assert_eq!(hello(&agent), "one");

    agent.set_mode(Mode::Accepting).await?;
    assert_eq!(hello(&agent), "three", "what waited is active when the call returns");
    assert!(of_set(&agent.status(), "chat").is_some_and(|s| s.pending.is_none()));
    agent.stop().await;
    let agent = on_disk(&test, "icy", &dir)?.start().await?;
    assert_eq!((agent.mode(), hello(&agent).as_str()), (Mode::Accepting, "three"));
    Ok(())
}

#[tokio::test]
async fn what_waits_is_here_after_a_restart_with_the_broker_down() -> Result<()> {
    let mut test = TestBroker::start().await?;
    let dir = test.directory().join("cache");
    let agent = on_disk(&test, "icy", &dir)?.start().await?;
    publish(&test, "1.0.0", "one").await?;
    serves(&agent, 1).await;
    agent.set_mode(Mode::Frozen).await?;
    publish(&test, "1.1.0", "two").await?;
    until("it waits", PATIENCE, async || of_set(&agent.status(), "chat")?.pending.clone()).await;
    agent.stop().await;
    test.server.stop().await;
    let agent = on_disk(&test, "icy", &dir)?.start().await?;
    assert_eq!(hello(&agent), "one");
    agent.set_mode(Mode::Accepting).await?;
    assert_eq!(hello(&agent), "two");
    Ok(())
}

#[tokio::test]
async fn frozen_with_an_empty_cache_serves_nothing_and_says_so() -> Result<()> {
    let test = TestBroker::start().await?;
    let dir = test.directory().join("cache");
    publish(&test, "1.0.0", "one").await?;
    let agent = on_disk(&test, "empty", &dir)?.mode_default(Mode::Frozen).start().await?;
    agent.wait_current(PATIENCE).await?;
    let error = agent.prompt("hello", &vars! {}).unwrap_err().to_string();
    assert!(error.contains("FROZEN") && error.contains("empty"), "{error}");
    assert!(of_set(&agent.status(), "chat").is_some_and(|s| s.active.is_none() && s.pending.is_some()));
    Ok(())
}

#[tokio::test]
async fn frozen_outlives_the_loss_of_the_database() -> Result<()> {
    let test = TestBroker::start().await?;
    let dir = test.directory().join("cache");
    let agent = on_disk(&test, "icy", &dir)?.start().await?;
    publish(&test, "1.0.0", "one").await?;
    serves(&agent, 1).await;
    agent.set_mode(Mode::Frozen).await?;
    agent.stop().await;
    std::fs::write(dir.join("store/data.mdb"), vec![0xA5; 40_000])?;
    let agent = on_disk(&test, "icy", &dir)?.start().await?;
    assert_eq!(agent.mode(), Mode::Frozen);
    agent.wait_current(PATIENCE).await?;
    assert!(agent.prompt("hello", &vars! {}).is_err(), "it never thaws by itself");
    agent.set_mode(Mode::Accepting).await?;
    until("it is served again", PATIENCE, async || (hello(&agent) == "one").then_some(())).await;
    assert_eq!(refusal(&agent.status(), "chat"), None);
    Ok(())
}

#[tokio::test]
async fn a_newer_image_moves_no_frozen_agent_and_an_older_one_takes_no_other_back() -> Result<()> {
    let mut test = TestBroker::start().await?;
    let (icy, free, image) =
        (test.directory().join("icy"), test.directory().join("free"), test.directory().join("image.baked"));
    publish(&test, "1.0.0", "one").await?;
    for (name, dir) in [("icy", &icy), ("free", &free)] {
        let agent = on_disk(&test, name, dir)?.start().await?;
        serves(&agent, 1).await;
        if name == "icy" {
            agent.set_mode(Mode::Frozen).await?;
        }
        agent.stop().await;
    }
    publish(&test, "1.1.0", "two").await?;
    let source = test.directory().join("source");
    let agent = on_disk(&test, "source", &source)?.start().await?;
    serves(&agent, 2).await;
    agent.stop().await;
    assert_eq!(live_agent::LiveAgent::bake(&source, &image).await?, 1);
    test.server.stop().await;

    let agent = on_disk(&test, "icy", &icy)?.baked_bundle(&image)?.start().await?;
    assert_eq!((agent.mode(), hello(&agent).as_str()), (Mode::Frozen, "one"));
    agent.stop().await;
    let agent = on_disk(&test, "free", &free)?.baked_bundle(&image)?.start().await?;
    assert_eq!(hello(&agent), "two", "the image is newer than the disk");
    agent.stop().await;
    let agent = on_disk(&test, "free", &free)?.start().await?;
    assert_eq!(hello(&agent), "two", "and without it nothing goes back");
    Ok(())
}

#[tokio::test]
async fn a_sync_in_frozen_takes_up_once_what_waits_and_a_check_nothing() -> Result<()> {
    let test = TestBroker::start().await?;
    let dir = test.directory().join("cache");
    publish(&test, "1.0.0", "one").await?;
    let agent = on_disk(&test, "icy", &dir)?.start().await?;
    serves(&agent, 1).await;
    agent.set_mode(Mode::Frozen).await?;
    let second = publish(&test, "1.1.0", "two").await?;
    let report = agent.check().await?;
    let pending = report.sets[0].pending.clone().expect("it would be applied");
    assert_eq!((pending.state, pending.serial), (PendingState::Verified, Some(2)));
    assert_eq!((pending.version, pending.digest), (Some("1.1.0".parse()?), Some(second.digest)));
    let waiting = agent.waiting();
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].applied.as_ref().map(|a| a.serial), Some(1));
    assert_eq!((waiting[0].waits.serial, waiting[0].why), (2, PendingState::Verified));
    let prompts = agent.waiting_prompts(&"chat".parse()?).expect("its prompts");
    assert_eq!(prompts[0].id.as_str(), "hello");
    assert_eq!(hello(&agent), "one", "a check takes up nothing");

    let report = agent.sync().await?;
    assert_eq!((report.mode, hello(&agent).as_str()), (Mode::Frozen, "two"));
    assert_eq!((&report.sets[0].pending, agent.waiting().len()), (&None, 0));
    publish(&test, "1.2.0", "three").await?;
    until("the third waits", PATIENCE, async || agent.waiting().first().map(|w| w.waits.serial)).await;
    assert_eq!(hello(&agent), "two", "once is once");
    agent.stop().await;
    let agent = on_disk(&test, "icy", &dir)?.start().await?;
    assert_eq!((agent.mode(), hello(&agent).as_str()), (Mode::Frozen, "two"));
    assert_eq!(agent.waiting().first().map(|w| w.waits.serial), Some(3), "on disk too");
    Ok(())
}

#[tokio::test]
async fn what_a_frozen_agent_takes_up_once_is_in_the_ledger() -> Result<()> {
    let test = TestBroker::start().await?;
    let mut fleet = test.broker.fleet().await?;
    let registrar = test.registrar();
    let forge = tokio::spawn(async move {
        while let Some(event) = fleet.next().await {
            if let FleetEvent::Enrol(request, responder) = event {
                let _ = registrar.answer(&request, responder, secs(1), Vec::new()).await;
            }
        }
    });
    let agent = builder(&test, "ledger")?.memory_only().mode_default(Mode::Frozen).start().await?;
    publish(&test, "1.0.0", "one").await?;
    let context = async_nats::jetstream::new(test.operator().await?);
    let stream = context.get_stream(subject::stream(&test.scope("dev"))).await?;
    until("it is enrolled", PATIENCE, async || stream.consumer_info("ledger").await.ok()).await;
    agent.sync().await?;
    assert_eq!((agent.mode(), hello(&agent).as_str()), (Mode::Frozen, "one"));
    until("the consumer has it acknowledged", PATIENCE, async || {
        let info = stream.consumer_info("ledger").await.ok()?;
        (info.ack_floor.stream_sequence == 1 && info.num_ack_pending == 0).then_some(())
    })
    .await;
    forge.abort();
    Ok(())
}
