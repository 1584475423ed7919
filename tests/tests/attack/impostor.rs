//! Somebody who answers in FORGE's place: on `enroll`, and on `ctl`.

use std::convert::Infallible;

use anyhow::{Context as _, Result};
use async_nats::{Client, Subscriber};
use futures::StreamExt as _;
use nats_config::{header, subject};
use publisher::{FleetEvent, ProjectKeys};
use schemas::canonical::Digest;
use schemas::envelope::{Head, Heartbeat};
use schemas::status::EnrolRequest;
use tests::nats::{TestBroker, now};
use tests::stage::{PATIENCE, builder, headers, hello, of_set, publish, refusal, serves};
use tests::until::{millis, secs, until};

use crate::bundle::Stage;

#[tokio::test]
async fn an_impostor_on_enroll_is_not_believed_signed_or_not() -> Result<()> {
    for signed in [false, true] {
        let test = TestBroker::start().await?;
        let stranger = TestBroker::start().await?;
        let floor = Head { set: "chat".parse()?, serial: 99, digest: Digest::of(b"x") };
        // The stranger's registrar signs with keys of its own, for a project of the same name.
        let (registrar, mut fleet) = (stranger.registrar(), test.broker.fleet().await?);
        let asked = std::sync::Arc::new(tokio::sync::Notify::new());
        let told = asked.clone();
        let impostor = tokio::spawn(async move {
            while let Some(event) = fleet.next().await {
                let FleetEvent::Enrol(request, responder) = event else { continue };
                if signed {
                    let _ = registrar.answer(&request, responder, millis(100), vec![floor.clone()]).await;
                } else {
                    let answer = schemas::status::EnrolAnswer::Enrolled {
                        stream: "evil".into(),
                        consumer: Some("evil".into()),
                        heartbeat_ms: 3_600_000,
                        status_ms: 100,
                    };
                    let _ = responder.answer(&answer, None).await;
                }
                told.notify_one();
            }
        });
        let agent = builder(&test, "careful")?.memory_only().start().await?;
        tokio::time::timeout(PATIENCE, asked.notified()).await?;
        publish(&test, "1.0.0", "good").await?;
        serves(&agent, 1).await;
        assert_eq!(
            of_set(&agent.status(), "chat").and_then(|s| s.head_serial),
            None,
            "no floor of a stranger"
        );
        assert_eq!(agent.status().age_ms, None, "nothing was confirmed");
        impostor.abort();
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_to_another_enrolment_is_not_believed() -> Result<()> {
    let test = TestBroker::start().await?;
    let client = test.operator().await?;
    // FORGE's own answer to the first agent is recorded, and given to the second.
    let mut fleet = test.broker.fleet().await?;
    let floor = Head { set: "chat".parse()?, serial: 99, digest: Digest::of(b"x") };
    let mut all = TestBroker::overhear(&client, subject::ALL_ENROL.to_owned()).await?;
    let first = builder(&test, "first")?.memory_only().start().await?;
    let mut answers = None;
    let believes = until("the first believes it", PATIENCE, async || {
        of_set(&first.status(), "chat")?.head_serial.filter(|serial| *serial == 99)
    });
    tokio::select! {
        _ = believes => {}
        ended = answer_all(&test, &client, &mut fleet, &mut all, &floor, &mut answers) => return ended.map(drop),
    }
    let mut answers = answers.context("the first asked")?;
    let answer = tokio::time::timeout(PATIENCE, answers.next()).await?.context("the answer")?;
    let second = builder(&test, "second")?.memory_only().start().await?;
    let reply = loop {
        let question = tokio::time::timeout(PATIENCE, all.next()).await?.context("a question")?;
        let request: EnrolRequest = serde_json::from_slice(&question.payload)?;
        if request.agent.as_str() == "second" {
            break question.reply.context("a reply subject")?;
        }
    };
    let headers = answer.headers.clone().unwrap_or_default();
    assert!(headers.get(header::ATTESTATION).is_some(), "it is signed by FORGE itself");
    client.publish_with_headers(reply, headers, answer.payload.clone()).await?;
    client.flush().await?;
    publish(&test, "1.0.0", "good").await?;
    serves(&second, 1).await;
    assert_eq!(of_set(&second.status(), "chat").and_then(|s| s.head_serial), None);
    Ok(())
}

/// Answers each enrolment as FORGE does; whoever was not answered in time asks again. `answers` overhears the last one.
async fn answer_all(
    test: &TestBroker,
    client: &Client,
    fleet: &mut (impl futures::Stream<Item = FleetEvent> + Unpin),
    all: &mut Subscriber,
    floor: &Head,
    answers: &mut Option<Subscriber>,
) -> Result<Infallible> {
    let registrar = test.registrar();
    loop {
        let FleetEvent::Enrol(request, responder) = next_enrolment(fleet).await else { continue };
        // What was asked before the broker knew of this one was heard by `all` alone.
        let reply = loop {
            let question = all.next().await.context("the question")?;
            if serde_json::from_slice::<EnrolRequest>(&question.payload).is_ok_and(|asked| asked == request) {
                break question.reply.context("a reply subject")?;
            }
        };
        *answers = Some(TestBroker::overhear(client, reply.into_string()).await?);
        registrar.answer(&request, responder, secs(1), vec![floor.clone()]).await?;
    }
}

pub(crate) async fn next_enrolment(
    fleet: &mut (impl futures::Stream<Item = FleetEvent> + Unpin),
) -> FleetEvent {
    while let Some(event) = fleet.next().await {
        if matches!(event, FleetEvent::Enrol(..)) {
            return event;
        }
    }
    panic!("the fleet's events ended")
}

#[tokio::test]
async fn an_impostor_on_ctl_is_not_believed() -> Result<()> {
    let stage = Stage::with_one_good().await?;
    let test = &stage.test;
    let keys = ProjectKeys::generate();
    let stranger = TestBroker::start().await?;
    let word = |heads| Heartbeat {
        scope: test.scope("dev"),
        issued: now(),
        period_ms: 3_600_000,
        heads,
        trust: 0,
        max_age: Some(schemas::envelope::MaxAge { seconds: 0, action: schemas::envelope::AgeAction::Refuse }),
        orders: Vec::new(),
    };
    let head = Head { set: "chat".parse()?, serial: 99, digest: Digest::of(b"x") };
    // The stranger's certificate and key; the project's certificate with another key; no signature.
    test.beat_by(&stranger.project_keys, &stranger.certificate, None, word(vec![head.clone()])).await?;
    test.beat_by(&keys, &test.certificate, None, word(vec![head.clone()])).await?;
    let client = test.operator().await?;
    let topic = subject::heartbeat(&test.scope("dev"));
    client.publish(topic, serde_json::to_vec(&word(vec![head]))?.into()).await?;
    let evil = stranger.outgoing("dev", stranger.bundle("chat", "6.6.6", &[("hello", "evil")]), 2)?;
    let topic = subject::announced_bundle(&test.scope("dev"), &"chat".parse()?);
    let mut headers = headers(&evil);
    headers.insert(header::SEQUENCE, "2");
    client.publish_with_headers(topic, headers, evil.wire.clone()).await?;
    stage.refused(schemas::status::RefusalCode::Untrusted).await;
    let status = stage.agent.status();
    assert_eq!(of_set(&status, "chat").and_then(|s| s.head_serial), None);
    assert_eq!((status.age_ms, status.max_age), (None, None));
    assert_eq!(hello(&stage.agent), "good");
    Ok(())
}

#[tokio::test]
async fn an_agent_is_not_moved_by_what_another_environment_sends_it() -> Result<()> {
    // The server does not check the subject that an answer goes to: with a credential of prod one can make it hand
    // what is published there to the agents of dev, who share an account with those of prod.
    let stage = Stage::with_one_good().await?;
    let test = &stage.test;
    let published = test.publish_to("prod", test.bundle("chat", "7.0.0", &[("hello", "evil")])).await?;
    let (credential, _) = test.mint_in("prod", "thief")?;
    let thief = test.client(&credential).await?;
    let (prod, dev) = (test.scope("prod"), test.scope("dev"));
    // An agent's place of listening, to see that it does come out there.
    let (beside, _) = test.mint("beside")?;
    let beside = test.client(&beside).await?;
    let mut heard = beside.subscribe(subject::control(&dev)).await?;
    test.settle(&beside, "dev").await?;
    let answer = subject::direct_get_last(&prod, &published.outgoing.set);
    let announced = subject::announcements(&dev).replace('>', "chat");
    for target in [&announced, &subject::heartbeat(&dev)] {
        thief.publish_with_reply(answer.clone(), target.clone(), "".into()).await?;
        let smuggled = tokio::time::timeout(PATIENCE, heard.next()).await?.context("what was smuggled")?;
        assert_eq!(
            (smuggled.subject.as_str(), &smuggled.payload),
            (target.as_str(), &published.outgoing.wire)
        );
    }
    // The stream of its own environment says what is so.
    stage.agent.wait_current(PATIENCE).await?;
    assert_eq!(hello(&stage.agent), "good");
    publish(test, "1.1.0", "good again").await?;
    serves(&stage.agent, 2).await;
    assert_eq!(hello(&stage.agent), "good again");
    until("nothing is left of it", PATIENCE, async || {
        refusal(&stage.agent.status(), "chat").is_none().then_some(())
    })
    .await;
    Ok(())
}
