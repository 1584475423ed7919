//! What a thief's keys leave behind when they are revoked, and what they must not: neither is an old bundle let in
//! again, nor does a far head that the thief announced lock the agent.

use anyhow::Result;
use publisher::keys::{Key, Kind};
use publisher::{Outgoing, ProjectKeys, sign};
use schemas::canonical::Digest;
use schemas::envelope::{Envelope, Head, Heartbeat};
use schemas::status::{Mode, RefusalCode};
use tests::nats::{TestBroker, now};
use tests::stage::{PATIENCE, builder, headers, hello, of_set, on_disk, publish, refusal, serves, smuggle};
use tests::until::{secs, until};

fn chain(links: &[&Envelope]) -> Result<String> {
    Ok(serde_json::to_string(links)?)
}

fn next(test: &TestBroker) -> ProjectKeys {
    ProjectKeys { publishing: Key::generate(Kind::Account), ..test.project_keys.clone() }
}

fn word(test: &TestBroker, trust: u64, heads: Vec<Head>) -> Heartbeat {
    Heartbeat {
        scope: test.scope("dev"),
        issued: now(),
        period_ms: 400,
        heads,
        trust,
        max_age: None,
        orders: Vec::new(),
    }
}

async fn send(test: &TestBroker, outgoing: &Outgoing) -> Result<u64> {
    smuggle(test, outgoing, headers(outgoing), &outgoing.wire).await
}

#[tokio::test]
async fn an_old_bundle_of_a_retired_key_is_not_let_in_by_the_revocation_of_the_next_one() -> Result<()> {
    let test = TestBroker::start().await?;
    let cache = test.directory().join("cache");
    let agent = on_disk(&test, "careful", &cache)?.start().await?;
    let old = publish(&test, "1.0.0", "long over").await?;
    publish(&test, "1.1.0", "good").await?;
    serves(&agent, 2).await;
    // The key is rotated; the next one is stolen, and revoked.
    let (stolen, after) = (next(&test), next(&test));
    let evil = test.bundle("chat", "6.6.6", &[("hello", "evil")]);
    let evil = test.outgoing_by(&stolen, &test.certify(&stolen)?, "dev", evil, 3)?;
    send(&test, &evil).await?;
    serves(&agent, 3).await;
    let list =
        test.trust_list(1, &[&test.keys.root], &[test.keys.root.public()], &[stolen.publishing.public()])?;
    let list = chain(&[&list])?;
    let certificate = test.certify(&after)?;
    test.beat_by(&after, &certificate, Some(&list), word(&test, 1, Vec::new())).await?;
    until("the agent follows", PATIENCE, async || (agent.status().trust == 1).then_some(())).await;

    // The replacement is withheld, and what is long over comes instead. (The broker itself would drop a message with
    // an id that it has seen.)
    let replay = |id: &str| Outgoing { publication: id.into(), ..old.outgoing.clone() };
    send(&test, &replay("again")).await?;
    until("it is refused", PATIENCE, async || {
        (refusal(&agent.status(), "chat") == Some(RefusalCode::OldSerial)).then_some(())
    })
    .await;
    assert_eq!(hello(&agent), "evil", "what is served stays, until something comes that is newer");

    // With the head announced nothing below it is let in either, and not after a restart.
    let good = test.bundle("chat", "1.1.1", &[("hello", "good again")]);
    let mut good = test.outgoing_by(&after, &certificate, "dev", good, 5)?;
    good.trust = Some(list.clone());
    let head = Head { set: good.set.clone(), serial: 5, digest: good.digest };
    test.beat_by(&after, &certificate, Some(&list), word(&test, 1, vec![head])).await?;
    until("it heard of serial 5", PATIENCE, async || {
        of_set(&agent.status(), "chat")?.head_serial.filter(|serial| *serial == 5)
    })
    .await;
    agent.stop().await;
    let agent = on_disk(&test, "careful", &cache)?.start().await?;
    assert_eq!(hello(&agent), "good", "the newest that still counts");
    send(&test, &replay("once more")).await?;
    until("it is behind, and says so", PATIENCE, async || {
        test.beat_by(&after, &certificate, Some(&list), word(&test, 1, Vec::new())).await.ok()?;
        agent.status().stale_reason.filter(|why| why.contains("serial 5 of chat"))
    })
    .await;
    assert_eq!(hello(&agent), "good");
    send(&test, &good).await?;
    serves(&agent, 5).await;
    assert_eq!(hello(&agent), "good again");
    Ok(())
}

#[tokio::test]
async fn a_far_head_that_a_stolen_root_announced_is_over_when_the_root_is_revoked() -> Result<()> {
    let test = TestBroker::start().await?;
    let cache = test.directory().join("cache");
    let agent = on_disk(&test, "careful", &cache)?.start().await?;
    publish(&test, "1.0.0", "good").await?;
    serves(&agent, 1).await;
    // A key that nobody knows of, certified by the stolen root.
    let thief = ProjectKeys::generate();
    let far = Head { set: "chat".parse()?, serial: (1 << 53) - 2, digest: Digest::of(b"x") };
    let stolen = test.certify(&thief)?;
    until("it is stale for that", PATIENCE, async || {
        test.beat_by(&thief, &stolen, None, word(&test, 0, vec![far.clone()])).await.ok()?;
        agent.status().stale_reason.filter(|why| why.contains("of chat is announced and cannot be had"))
    })
    .await;

    // The root is replaced and revoked. The list does not know the thief's key, and need not.
    let (root, fresh) = (&test.keys.root, Key::generate(Kind::Operator));
    let (organisation, project) = (&test.project.organisation, &test.project.project);
    let list = chain(&[&test.trust_list(1, &[root, &fresh], &[fresh.public()], &[root.public()])?])?;
    let keys = next(&test);
    let certificate = sign::certify(&fresh, &keys, organisation, project, now(), None)?.to_line();
    let current = async |agent: &live_agent::LiveAgent| {
        until("it is current", PATIENCE, async || {
            test.beat_by(&keys, &certificate, Some(&list), word(&test, 1, Vec::new())).await.ok()?;
            (!agent.status().stale).then_some(())
        })
        .await;
    };
    current(&agent).await;
    agent.stop().await;
    let agent = on_disk(&test, "careful", &cache)?.start().await?;
    assert_eq!((agent.status().trust, hello(&agent).as_str()), (1, "good"));
    current(&agent).await;
    let good = test.bundle("chat", "1.1.0", &[("hello", "good again")]);
    let mut good = test.outgoing_by(&keys, &certificate, "dev", good, 2)?;
    good.trust = Some(list.clone());
    send(&test, &good).await?;
    serves(&agent, 2).await;
    assert_eq!(hello(&agent), "good again");
    Ok(())
}

#[tokio::test]
async fn a_trust_list_that_came_in_part_holds_after_a_restart() -> Result<()> {
    let test = TestBroker::start().await?;
    let cache = test.directory().join("cache");
    let agent = on_disk(&test, "careful", &cache)?.start().await?;
    publish(&test, "1.0.0", "good").await?;
    serves(&agent, 1).await;
    let (root, fresh) = (&test.keys.root, Key::generate(Kind::Operator));
    let first = test.trust_list(1, &[root, &fresh], &[fresh.public(), root.public()], &[])?;
    let second = test.trust_list(2, &[&fresh], &[fresh.public()], &[root.public()])?;
    // The broker leaves out of each message the link that is known already.
    for (version, part) in [(1, &first), (2, &second)] {
        let keys = next(&test);
        let (organisation, project) = (&test.project.organisation, &test.project.project);
        let certificate = sign::certify(&fresh, &keys, organisation, project, now(), None)?.to_line();
        test.beat_by(&keys, &certificate, Some(&chain(&[part])?), word(&test, version, Vec::new())).await?;
        until("the agent follows", PATIENCE, async || (agent.status().trust == version).then_some(())).await;
    }
    agent.stop().await;
    let agent = on_disk(&test, "careful", &cache)?.start().await?;
    assert_eq!(agent.status().trust, 2, "it goes by what it knew");
    assert_eq!(hello(&agent), "good");
    // Who has the old root is a thief from now on.
    let thief = ProjectKeys::generate();
    let evil = test.bundle("chat", "6.6.6", &[("hello", "evil")]);
    send(&test, &test.outgoing_by(&thief, &test.certify(&thief)?, "dev", evil, 2)?).await?;
    until("it is refused", PATIENCE, async || {
        (refusal(&agent.status(), "chat") == Some(RefusalCode::Revoked)).then_some(())
    })
    .await;
    assert_eq!(hello(&agent), "good");
    Ok(())
}

#[tokio::test]
async fn a_frozen_agent_serves_the_same_after_a_revocation_and_a_restart() -> Result<()> {
    let test = TestBroker::start().await?;
    let cache = test.directory().join("cache");
    let agent = on_disk(&test, "frozen", &cache)?.start().await?;
    publish(&test, "1.0.0", "one").await?;
    serves(&agent, 1).await;
    let later = next(&test);
    let two = test.bundle("chat", "1.1.0", &[("hello", "two")]);
    send(&test, &test.outgoing_by(&later, &test.certify(&later)?, "dev", two, 2)?).await?;
    serves(&agent, 2).await;
    agent.set_mode(Mode::Frozen).await?;
    let list =
        test.trust_list(1, &[&test.keys.root], &[test.keys.root.public()], &[later.publishing.public()])?;
    let (keys, list) = (&test.project_keys, chain(&[&list])?);
    test.beat_by(keys, &test.certificate, Some(&list), word(&test, 1, Vec::new())).await?;
    until("the agent follows", PATIENCE, async || (agent.status().trust == 1).then_some(())).await;
    agent.stop().await;
    let agent = on_disk(&test, "frozen", &cache)?.start().await?;
    let status = agent.status();
    assert_eq!((hello(&agent).as_str(), status.mode), ("two", Mode::Frozen));
    assert!(of_set(&status, "chat").is_some_and(|s| s.revoked), "and it says what is wrong with it");
    Ok(())
}

#[tokio::test]
async fn a_clock_of_forge_that_was_set_back_or_ahead_is_understood_by_asking_forge() -> Result<()> {
    let test = TestBroker::start().await?;
    let agent = builder(&test, "patient")?.memory_only().start().await?;
    publish(&test, "1.0.0", "good").await?;
    serves(&agent, 1).await;
    let beat = async |off: i64| {
        let heartbeat = Heartbeat { issued: now() + off, ..word(&test, 0, Vec::new()) };
        test.beat_by(&test.project_keys, &test.certificate, None, heartbeat).await.ok()
    };
    until("it hears", PATIENCE, async || {
        beat(0).await?;
        agent.status().age_ms.filter(|_| !agent.status().stale)
    })
    .await;
    for off in [-3_600_000_000_i64, 7_200_000_000] {
        // The broker alone cannot do that: without an answer of FORGE itself the agent is stale.
        until("it is stale", PATIENCE, async || {
            beat(off).await?;
            agent.status().stale_reason
        })
        .await;
        let (registrar, mut fleet) = (test.registrar(), test.broker.fleet().await?);
        let answering = async {
            loop {
                let event = crate::impostor::next_enrolment(&mut fleet).await;
                let publisher::FleetEvent::Enrol(request, responder) = event else { continue };
                let heartbeat = Heartbeat { issued: now() + off, ..word(&test, 0, Vec::new()) };
                let _ = registrar.answer_with(&request, responder, secs(1), heartbeat).await;
            }
        };
        let heals = until("it is current again", PATIENCE * 2, async || {
            beat(off).await?;
            (!agent.status().stale).then_some(())
        });
        tokio::select! {
            () = answering => {}
            () = heals => {}
        }
    }
    Ok(())
}
