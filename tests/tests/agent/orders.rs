//! FORGE orders a mode: obeyed once, by those that are meant, unless their owner forbids it.

use std::time::Instant;

use anyhow::Result;
use futures::StreamExt as _;
use live_agent::{LiveAgent, Mode};
use publisher::{FleetEvent, ProjectKeys};
use schemas::envelope::{ModeOrder, OrderTarget};
use schemas::status::{ModeSource, OrderAnswer, OrderResult, PendingState};
use tests::nats::TestBroker;
use tests::stage::{
    PATIENCE, builder, heard, hello, of_set, on_disk, order, order_to, publish, serves, statuses,
};
use tests::until::{millis, secs, until, within};
use tokio_util::task::AbortOnDropHandle;

/// A number far beyond all that FORGE would give.
const FAR: u64 = (1 << 53) - 2;

/// Sends the orders until the agent has dealt with `number`.
async fn dealt(test: &TestBroker, agent: &LiveAgent, orders: &[ModeOrder], number: u64) -> OrderAnswer {
    until(&format!("order {number} is dealt with"), PATIENCE, async || {
        test.order(orders.to_vec()).await.ok()?;
        agent.status().order.filter(|answer| answer.number == number)
    })
    .await
}

#[tokio::test]
async fn an_order_is_obeyed_by_those_whom_it_names_and_the_highest_number_counts() -> Result<()> {
    let test = TestBroker::start().await?;
    let start = async |name: &str, service: &str| {
        builder(&test, name)?.service(service).memory_only().start().await.map_err(anyhow::Error::from)
    };
    let (one, two, three) =
        (start("one", "checkout").await?, start("two", "checkout").await?, start("three", "mail").await?);
    let modes = || [one.mode(), two.mode(), three.mode()];
    let (on, off) = (Mode::Accepting, Mode::Frozen);
    let mut orders = vec![order_to(10, OrderTarget::Agent { agent: "one".parse()? }, off)];
    let answer = dealt(&test, &one, &orders, 10).await;
    assert_eq!(answer.result, OrderResult::Done);
    assert_eq!(one.status().mode_by, ModeSource::Forge);
    assert_eq!((modes(), two.status().mode_by), ([off, on, on], ModeSource::Configuration));
    orders.push(order_to(20, OrderTarget::Service { service: "checkout".into() }, off));
    dealt(&test, &two, &orders, 20).await;
    assert_eq!(modes(), [off, off, on]);
    orders.push(order(30, off));
    dealt(&test, &three, &orders, 30).await;
    assert_eq!(modes(), [off, off, off]);
    // One of the service's, newer than that to all: two orders are meant for it, and the newer one counts.
    orders.insert(0, order_to(40, OrderTarget::Service { service: "checkout".into() }, on));
    for agent in [&one, &two] {
        dealt(&test, agent, &orders, 40).await;
    }
    assert_eq!(modes(), [on, on, off]);
    assert_eq!(three.status().order.map(|answer| answer.number), Some(30));
    Ok(())
}

#[tokio::test]
async fn an_order_thaws_and_freezes_and_forge_hears_of_it() -> Result<()> {
    let test = TestBroker::start().await?;
    let mut statuses = statuses(&test).await?;
    let agent = builder(&test, "obedient")?.memory_only().start().await?;
    publish(&test, "1.0.0", "one").await?;
    serves(&agent, 1).await;
    dealt(&test, &agent, &[order(1, Mode::Frozen)], 1).await;
    let status = heard(&mut statuses, |s| s.order.is_some()).await?;
    assert_eq!((status.mode, status.mode_by), (Mode::Frozen, ModeSource::Forge));
    assert_eq!(status.order, Some(OrderAnswer { number: 1, result: OrderResult::Done }));
    publish(&test, "1.1.0", "two").await?;
    until("the second waits", PATIENCE, async || agent.waiting().pop()).await;
    assert_eq!(hello(&agent), "one");
    dealt(&test, &agent, &[order(2, Mode::Accepting)], 2).await;
    serves(&agent, 2).await;
    assert_eq!(hello(&agent), "two");
    Ok(())
}

#[tokio::test]
async fn an_owner_may_forbid_orders_and_that_is_said_once_and_nothing_changes() -> Result<()> {
    let test = TestBroker::start().await?;
    let dir = test.directory().join("cache");
    let agent = on_disk(&test, "own", &dir)?.remote_mode(false).start().await?;
    let answer = dealt(&test, &agent, &[order(5, Mode::Frozen)], 5).await;
    assert_eq!(answer.result, OrderResult::Forbidden);
    assert_eq!((agent.mode(), agent.status().mode_by), (Mode::Accepting, ModeSource::Configuration));
    agent.stop().await;
    // What was dealt with is dealt with, also where its owner allows orders since.
    let agent = on_disk(&test, "own", &dir)?.start().await?;
    assert_eq!(agent.status().order, Some(answer));
    test.order(vec![order(5, Mode::Frozen)]).await?;
    dealt(
        &test,
        &agent,
        &[order(5, Mode::Frozen), order_to(6, OrderTarget::Agent { agent: "own".parse()? }, Mode::Accepting)],
        6,
    )
    .await;
    assert_eq!(agent.mode(), Mode::Accepting);
    agent.stop().await;
    let prod = on_disk(&test, "prod", &test.directory().join("prod"))?;
    let prod = prod.preset(live_agent::config::Preset::Prod).start().await?;
    assert_eq!(dealt(&test, &prod, &[order(7, Mode::Frozen)], 7).await.result, OrderResult::Forbidden);
    assert_eq!(prod.mode(), Mode::Accepting);
    Ok(())
}

#[tokio::test]
async fn what_is_set_at_the_agent_wins_until_a_newer_order_comes_over_restarts_too() -> Result<()> {
    let test = TestBroker::start().await?;
    let dir = test.directory().join("cache");
    let agent = on_disk(&test, "mine", &dir)?.start().await?;
    let freeze = [order(10, Mode::Frozen)];
    dealt(&test, &agent, &freeze, 10).await;
    agent.set_mode(Mode::Accepting).await?;
    assert_eq!(agent.status().mode_by, ModeSource::Local);
    agent.stop().await;

    let agent = on_disk(&test, "mine", &dir)?.start().await?;
    assert_eq!((agent.mode(), agent.status().mode_by), (Mode::Accepting, ModeSource::Local));
    assert_eq!(agent.status().order, Some(OrderAnswer { number: 10, result: OrderResult::Done }));
    let obeyed_again = within(secs(1), async || {
        test.order(freeze.to_vec()).await.ok()?;
        (agent.mode() == Mode::Frozen).then_some(())
    })
    .await;
    assert!(obeyed_again.is_none(), "an order is obeyed once");
    dealt(&test, &agent, &[order(11, Mode::Frozen)], 11).await;
    assert_eq!((agent.mode(), agent.status().mode_by), (Mode::Frozen, ModeSource::Forge));
    agent.stop().await;
    let agent = on_disk(&test, "mine", &dir)?.start().await?;
    assert_eq!((agent.mode(), agent.status().mode_by), (Mode::Frozen, ModeSource::Forge));
    Ok(())
}

#[tokio::test]
async fn an_agent_that_was_frozen_by_hand_is_not_thawed_by_an_old_order_when_its_database_is_lost()
-> Result<()> {
    let test = TestBroker::start().await?;
    let dir = test.directory().join("cache");
    let agent = on_disk(&test, "icy", &dir)?.start().await?;
    let thaw = [order(10, Mode::Accepting)];
    dealt(&test, &agent, &thaw, 10).await;
    agent.set_mode(Mode::Frozen).await?;
    agent.stop().await;
    std::fs::write(dir.join("store/data.mdb"), vec![0xA5; 40_000])?;
    let agent = on_disk(&test, "icy", &dir)?.start().await?;
    assert_eq!((agent.mode(), agent.status().mode_by), (Mode::Frozen, ModeSource::Local));
    let thawed = within(secs(1), async || {
        test.order(thaw.to_vec()).await.ok()?;
        (agent.mode() == Mode::Accepting).then_some(())
    })
    .await;
    assert!(thawed.is_none(), "it never thaws by itself");
    dealt(&test, &agent, &[order(11, Mode::Accepting)], 11).await;
    assert_eq!(agent.mode(), Mode::Accepting);
    Ok(())
}

#[tokio::test]
async fn an_order_that_stands_reaches_a_new_agent_with_the_answer_to_its_enrolment() -> Result<()> {
    let test = TestBroker::start().await?;
    publish(&test, "1.0.0", "one").await?;
    let forge = answering(&test, vec![order(3, Mode::Frozen)]).await?;
    let agent = builder(&test, "new")?.memory_only().start().await?;
    until("it is frozen", PATIENCE, async || (agent.mode() == Mode::Frozen).then_some(())).await;
    assert_eq!(agent.status().order, Some(OrderAnswer { number: 3, result: OrderResult::Done }));
    publish(&test, "1.1.0", "two").await?;
    let waits = until("the newest waits", PATIENCE, async || {
        of_set(&agent.status(), "chat")?.pending.clone().filter(|p| p.serial == Some(2))
    })
    .await;
    assert_eq!(waits.state, PendingState::Verified);
    drop(forge);
    Ok(())
}

#[tokio::test]
async fn a_new_agent_obeys_an_order_that_stands_before_it_takes_anything_up_and_says_what_to_do() -> Result<()>
{
    let test = TestBroker::start().await?;
    publish(&test, "1.0.0", "one").await?;
    let forge = answering(&test, vec![order(3, Mode::Frozen)]).await?;
    let mut agents = Vec::new();
    for number in 0.. {
        let agent = builder(&test, &format!("new-{number}"))?.memory_only();
        let begun = Instant::now();
        let agent = agent.start().await?;
        until("it is frozen", PATIENCE, async || (agent.mode() == Mode::Frozen).then_some(())).await;
        // For so long an agent waits for FORGE's word. Of one that heard it later nothing is promised.
        if begun.elapsed() < secs(2) {
            agents.push(agent);
        }
        if agents.len() == 12 {
            break;
        }
        assert!(number < 100, "an agent hears FORGE's word too late each time");
    }
    for agent in &agents {
        let waits = until("what came waits", PATIENCE, async || agent.waiting().pop()).await;
        assert_eq!((waits.waits.serial, waits.applied), (1, None), "nothing was taken up first");
        assert_eq!(agent.mode(), Mode::Frozen);
        let health = agent.health();
        let why = health.reasons.join("; ");
        assert!(!health.ready && why.contains("FROZEN, and @chat waits"), "{health:?}");
        for said in [why, hello(agent)] {
            assert!(said.contains("sync") && said.contains("baked"), "the ways out: {said}");
        }
    }
    agents[0].sync().await?;
    assert_eq!((agents[0].mode(), hello(&agents[0]).as_str()), (Mode::Frozen, "one"));
    drop(forge);
    Ok(())
}

/// FORGE answers every enrolment with the orders that stand.
async fn answering(test: &TestBroker, orders: Vec<ModeOrder>) -> Result<AbortOnDropHandle<()>> {
    let mut fleet = test.broker.fleet().await?;
    // Answered on the same connection, and so after the broker knows who listens.
    test.broker.last(&test.scope("dev"), &"chat".parse()?).await?;
    let (registrar, word) = (test.registrar(), test.word(orders));
    Ok(AbortOnDropHandle::new(tokio::spawn(async move {
        while let Some(event) = fleet.next().await {
            if let FleetEvent::Enrol(request, responder) = event {
                let word = schemas::envelope::Heartbeat { issued: tests::nats::now(), ..word.clone() };
                let _ = registrar.answer_with(&request, responder, secs(1), word).await;
            }
        }
    })))
}

#[tokio::test]
async fn an_order_in_a_word_that_is_late_is_none_and_one_of_a_stolen_key_locks_forge_out_of_nothing()
-> Result<()> {
    let test = TestBroker::start().await?;
    let agent = builder(&test, "watchful")?.memory_only().start().await?;
    agent.wait_current(PATIENCE).await?;
    // Recorded an hour ago, and let loose now.
    let old = schemas::envelope::Heartbeat {
        issued: tests::nats::now() - 3_600_000_000,
        period_ms: 10_000,
        ..test.word(vec![order(1, Mode::Frozen)])
    };
    let obeyed = within(millis(700), async || {
        test.beat_by(&test.project_keys, &test.certificate, None, old.clone()).await.ok()?;
        agent.status().order
    })
    .await;
    assert_eq!(obeyed, None);

    let thief = ProjectKeys::generate();
    let certificate = test.certify(&thief)?;
    until("the thief is obeyed", PATIENCE, async || {
        let word = test.word(vec![order(FAR, Mode::Frozen)]);
        test.beat_by(&thief, &certificate, None, word).await.ok()?;
        agent.status().order.filter(|answer| answer.number == FAR)
    })
    .await;
    let root = test.keys.root.public();
    let list = test.trust_list(1, &[&test.keys.root], &[root], &[thief.publishing.public()])?;
    let list = serde_json::to_string(&[list])?;
    let thaw = order(2, Mode::Accepting);
    until("FORGE is heard again", PATIENCE, async || {
        let word = test.word(vec![thaw.clone()]);
        test.beat_by(&test.project_keys, &test.certificate, Some(&list), word).await.ok()?;
        (agent.mode() == Mode::Accepting).then_some(())
    })
    .await;
    assert_eq!(agent.status().order.map(|answer| answer.number), Some(2));
    Ok(())
}
