//! What is published comes, at once and in every case, and FORGE hears that it did.

use anyhow::Result;
use futures::StreamExt as _;
use live_agent::vars;
use nats_config::subject;
use publisher::FleetEvent;
use schemas::status::{AgentStatus, EnrolAnswer};
use tests::nats::TestBroker;
use tests::until::{millis, secs, until};

use tests::stage::{PATIENCE, active, builder, head, heard, hello, of_set, publish, serves, statuses};

#[tokio::test]
async fn what_is_published_is_active_and_the_status_says_so() -> Result<()> {
    let test = TestBroker::start().await?;
    let mut statuses = statuses(&test).await?;
    let agent = builder(&test, "checkout-1")?.memory_only().start().await?;
    agent.wait_current(PATIENCE).await?;
    assert!(agent.prompt("hello", &vars! {}).unwrap_err().to_string().contains("nothing is served yet"));
    let mut changes = agent.subscribe();
    let published = publish(&test, "1.0.0", "Hello, world!").await?;
    let change = tokio::time::timeout(PATIENCE, changes.recv()).await??;
    assert_eq!((change.serial, change.from, change.to.digest), (1, None, published.digest));
    assert_eq!(hello(&agent), "Hello, world!");
    // One that is told in between may have the floor from before.
    let told = |s: &AgentStatus| active(s, "chat").is_some() && s.floor == published.sent.sequence;
    let status = heard(&mut statuses, told).await?;
    let applied = active(&status, "chat").expect("it is active");
    assert_eq!(applied.publication, published.publication);
    assert_eq!(applied.digest, published.digest);
    assert_eq!(status.agent.as_str(), "checkout-1");
    agent.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_first_start_replays_the_newest_of_every_set() -> Result<()> {
    let test = TestBroker::start().await?;
    for minor in 0..3 {
        publish(&test, &format!("1.{minor}.0"), &format!("Hello {minor}")).await?;
    }
    test.publish(test.bundle("mail", "1.0.0", &[("reply", "Dear reader"), ("hello", "Good day")])).await?;
    let agent = builder(&test, "late")?.memory_only().start().await?;
    let report = agent.wait_current(PATIENCE).await?;
    assert_eq!(report.sets.len(), 2);
    assert_eq!(agent.status().floor, 4);
    assert_eq!(agent.prompt("reply", &vars! {})?, "Dear reader");
    assert_eq!(agent.prompt("@chat/hello", &vars! {})?, "Hello 2");
    assert_eq!(agent.prompt("@mail/hello", &vars! {})?, "Good day");
    let ambiguous = agent.prompt("hello", &vars! {}).unwrap_err().to_string();
    assert!(ambiguous.contains("chat, mail") && ambiguous.contains("@set/hello"), "{ambiguous}");
    let unknown = agent.prompt("repl", &vars! {}).unwrap_err().to_string();
    assert!(unknown.contains("did you mean reply"), "{unknown}");
    Ok(())
}

#[tokio::test]
async fn what_was_missed_while_away_is_fetched() -> Result<()> {
    let test = TestBroker::start().await?;
    let dir = test.directory().join("cache");
    let (minted, connection) = test.mint("away")?;
    let start = || {
        live_agent::LiveAgent::builder()
            .connection(connection.clone())
            .credentials(minted.creds.as_str())
            .name("away")
            .cache_dir(&dir)
            .start()
    };
    publish(&test, "1.0.0", "one").await?;
    let agent = start().await?;
    serves(&agent, 1).await;
    agent.wait_current(PATIENCE).await?;
    agent.stop().await;
    for version in ["1.1.0", "1.2.0", "1.3.0"] {
        publish(&test, version, version).await?;
    }
    test.publish(test.bundle("mail", "1.0.0", &[("reply", "Dear reader")])).await?;
    let agent = start().await?;
    assert_eq!(hello(&agent), "one", "the disk is served before the broker is met");
    serves(&agent, 4).await;
    agent.wait_current(PATIENCE).await?;
    assert_eq!((hello(&agent).as_str(), agent.status().floor), ("1.3.0", 5));
    Ok(())
}

#[tokio::test]
async fn a_lost_announcement_is_noticed_by_its_gap() -> Result<()> {
    let test = TestBroker::start().await?;
    let agent = builder(&test, "gap")?.memory_only().start().await?;
    publish(&test, "1.0.0", "one").await?;
    serves(&agent, 1).await;
    // Nobody republishes while the stream says not to: the agent does not hear of this one.
    let operator = test.operator().await?;
    let context = async_nats::jetstream::new(operator);
    let name = subject::stream(&test.scope("dev"));
    let mut config = context.get_stream(&name).await?.cached_info().config.clone();
    let republish = config.republish.take();
    context.update_stream(&config).await?;
    test.publish(test.bundle("mail", "1.0.0", &[("reply", "Dear reader")])).await?;
    config.republish = republish;
    context.update_stream(&config).await?;
    publish(&test, "1.1.0", "two").await?;
    serves(&agent, 2).await;
    until("the lost one is here", PATIENCE, async || active(&agent.status(), "mail")).await;
    until("the floor is past both", PATIENCE, async || (agent.status().floor == 3).then_some(())).await;
    Ok(())
}

#[tokio::test]
async fn a_head_that_was_never_announced_is_fetched_when_the_heartbeat_names_it() -> Result<()> {
    let mut test = TestBroker::start().await?;
    let agent = builder(&test, "behind")?.memory_only().start().await?;
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        publish(&test, version, version).await?;
    }
    serves(&agent, 3).await;
    // The first replay may still be under way.
    until("it has replayed", PATIENCE, async || (agent.status().floor == 3).then_some(())).await;
    // The stream begins anew, and fills again while the agent does not listen.
    test.server.wipe_store().await?;
    test.provision().await?;
    let outgoing = test.outgoing("dev", test.bundle("chat", "2.0.0", &[("hello", "after")]), 7)?;
    let mut quiet = outgoing.clone();
    quiet.publication = "quiet".into();
    let sent = test.broker.send(&quiet).await?;
    assert_eq!(sent.sequence, 1);
    let head = schemas::envelope::Head { set: outgoing.set.clone(), serial: 7, digest: outgoing.digest };
    until("the head is here", PATIENCE, async || {
        test.beat("dev", vec![head.clone()], secs(1)).await.ok()?;
        active(&agent.status(), "chat").filter(|a| a.serial == 7)
    })
    .await;
    until("the floor follows the new stream", PATIENCE, async || (agent.status().floor == 1).then_some(()))
        .await;
    // What it heard before it noticed the new stream is void: FORGE goes on naming the head.
    until("it knows the head of the new stream", PATIENCE, async || {
        test.beat("dev", vec![head.clone()], secs(1)).await.ok()?;
        of_set(&agent.status(), "chat").filter(|s| s.head_serial == Some(7)).map(drop)
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn silence_of_forge_makes_an_agent_stale_and_its_word_ends_it() -> Result<()> {
    let test = TestBroker::start().await?;
    let agent = builder(&test, "stale")?.memory_only().start().await?;
    let published = publish(&test, "1.0.0", "one").await?;
    serves(&agent, 1).await;
    until("it heard", PATIENCE, async || {
        test.beat("dev", vec![head(&published)], secs(60)).await.ok()?;
        of_set(&agent.status(), "chat")?.head_serial.filter(|_| !agent.status().stale)
    })
    .await;
    test.beat("dev", vec![head(&published)], millis(200)).await?;
    until("silence makes it stale", PATIENCE, async || agent.status().stale.then_some(())).await;
    assert_eq!(hello(&agent), "one", "a stale agent goes on serving");
    until("a word ends it", PATIENCE, async || {
        test.beat("dev", vec![head(&published)], secs(60)).await.ok()?;
        (!agent.status().stale).then_some(())
    })
    .await;
    // A head that cannot be had: FORGE says there is one, the stream does not have it.
    let mut missing = head(&published);
    missing.serial = 9;
    until("a head that cannot be had makes it stale", PATIENCE, async || {
        test.beat("dev", vec![missing.clone()], millis(200)).await.ok()?;
        agent.status().stale.then_some(())
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn the_ledger_shows_what_an_agent_has_consumed() -> Result<()> {
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
    publish(&test, "1.0.0", "one").await?;
    let agent = builder(&test, "ledger")?.memory_only().start().await?;
    serves(&agent, 1).await;
    let context = async_nats::jetstream::new(test.operator().await?);
    let stream = context.get_stream(subject::stream(&test.scope("dev"))).await?;
    let acknowledged = async |count: u64| {
        until("the consumer has it acknowledged", PATIENCE, async || {
            let info = stream.consumer_info("ledger").await.ok()?;
            (info.ack_floor.stream_sequence == count && info.num_ack_pending == 0).then_some(())
        })
        .await;
    };
    acknowledged(1).await;
    publish(&test, "1.1.0", "two").await?;
    acknowledged(2).await;
    forge.abort();
    Ok(())
}

#[tokio::test]
async fn who_cannot_be_enrolled_at_the_moment_asks_again_soon() -> Result<()> {
    let test = TestBroker::start().await?;
    let mut fleet = test.broker.fleet().await?;
    let agent = builder(&test, "early")?.memory_only().start().await?;
    let third = async {
        let mut asked = 0;
        while let Some(event) = fleet.next().await {
            let FleetEvent::Enrol(_, responder) = event else { continue };
            asked += 1;
            if asked == 3 {
                return Ok(());
            }
            let code = EnrolAnswer::UNAVAILABLE.into();
            let answer = EnrolAnswer::Refused { code, message: "the database is away".into() };
            responder.answer(&answer, None).await?;
        }
        anyhow::bail!("the fleet ended")
    };
    // Who was refused for good asks a minute later at the soonest.
    tokio::time::timeout(secs(45), third).await??;
    agent.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_first_start_takes_all_of_many_sets_with_forge_away() -> Result<()> {
    let test = TestBroker::start().await?;
    let dir = test.directory().join("cache");
    let sets = 400;
    let text = "x".repeat(2_000);
    for n in 0..sets {
        let outgoing =
            test.outgoing("dev", test.bundle(&format!("set-{n}"), "1.0.0", &[("hello", &text)]), 1)?;
        test.broker.send(&outgoing).await?;
    }
    let agent = tests::stage::on_disk(&test, "many", &dir)?.start().await?;
    let report = agent.wait_current(secs(180)).await?;
    assert_eq!(report.sets.iter().filter(|set| set.active.is_some()).count(), sets);
    Ok(())
}
