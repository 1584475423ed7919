//! What agents say reaches FORGE: status, enrolment, presence; and what FORGE does with a consumer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt as _;
use nats_config::{header, subject};
use nkeys::KeyPair;
use publisher::{FleetEvent, Limits};
use schemas::canonical::Digest;
use schemas::envelope::{Head, Trust};
use schemas::status::{AgentStatus, EnrolAnswer, EnrolRequest, Mode, SCHEMA_VERSION};
use schemas::{Scope, Slug};
use tests::nats::{TestBroker, now};
use tests::until::{secs, until};
use tokio_util::task::AbortOnDropHandle;

fn status(scope: &Scope, agent: &str) -> AgentStatus {
    let identity = KeyPair::new_user().public_key();
    let mut status = AgentStatus::new(Slug::new(agent).expect("a slug"), identity, scope.clone());
    status.host = "host".into();
    status.agent_version = "0.1.0".into();
    (status.at, status.started_at) = (now(), now());
    status.floor = 7;
    status.cache = "disk".into();
    status
}

fn enrolment(scope: &Scope, agent: &Slug, identity: &KeyPair) -> Result<EnrolRequest> {
    let mut request = EnrolRequest {
        contracts: Vec::new(),
        schema_version: SCHEMA_VERSION,
        agent: agent.clone(),
        scope: scope.clone(),
        identity: identity.public_key(),
        host: "host".into(),
        service: "checkout".into(),
        agent_version: "0.1.0".into(),
        mode: Mode::Accepting,
        at: now(),
        signature: String::new(),
    };
    request.signature = STANDARD.encode(identity.sign(&request.signed_bytes())?);
    Ok(request)
}

#[tokio::test]
async fn a_status_arrives_and_an_impostors_does_not() -> Result<()> {
    let test = TestBroker::start().await?;
    let mut fleet = test.listening().await?;
    let (credential, _) = test.mint("one")?;
    let client = test.client(&credential).await?;
    let scope = test.scope("dev");
    let send = async |subject: String, body: Vec<u8>| client.publish(subject, body.into()).await;
    let agent = |name: &str| Slug::new(name).expect("a slug");
    // One that speaks for another agent, one for another environment, and one that is no status.
    send(subject::status(&scope, &agent("agent-2")), serde_json::to_vec(&status(&scope, "agent-1"))?).await?;
    let other = status(&test.scope("prod"), "agent-1");
    send(subject::status(&scope, &agent("agent-1")), serde_json::to_vec(&other)?).await?;
    send(subject::status(&scope, &agent("agent-1")), b"{".to_vec()).await?;
    let good = status(&scope, "agent-1");
    send(subject::status(&scope, &agent("agent-1")), serde_json::to_vec(&good)?).await?;
    loop {
        match tokio::time::timeout(secs(30), fleet.next()).await?.context("an event")? {
            FleetEvent::Status(found, _) => {
                assert_eq!(*found, good, "the first that is believed");
                return Ok(());
            }
            FleetEvent::Connected(_) | FleetEvent::Disconnected(_) => {}
            event @ FleetEvent::Enrol(..) => panic!("{event:?}"),
        }
    }
}

#[tokio::test]
async fn an_enrolment_is_answered_once_and_only_with_its_identitys_signature() -> Result<()> {
    let test = TestBroker::start().await?;
    // Two FORGE processes; one of them answers.
    let (one, two) = (test.listening().await?, test.listening().await?);
    let mut fleet = futures::stream::select(one, two);
    let answered = Arc::new(AtomicUsize::new(0));
    let count = answered.clone();
    let _answering = AbortOnDropHandle::new(tokio::spawn(async move {
        while let Some(event) = fleet.next().await {
            if let FleetEvent::Enrol(request, responder) = event {
                count.fetch_add(1, Ordering::SeqCst);
                let message = format!("hello {}", request.agent);
                let _ = responder.answer(&EnrolAnswer::Refused { code: "test".into(), message }, None).await;
            }
        }
    }));
    let (credential, _) = test.mint("one")?;
    let client = test.client(&credential).await?;
    let (scope, agent, identity) = (test.scope("dev"), Slug::new("agent-1")?, KeyPair::new_user());
    let ask = async |request: &EnrolRequest| -> Result<EnrolAnswer> {
        let answer =
            client.request(subject::enrol(&scope, &agent), serde_json::to_vec(request)?.into()).await?;
        Ok(serde_json::from_slice(&answer.payload)?)
    };
    let good = enrolment(&scope, &agent, &identity)?;
    let answer = ask(&good).await?;
    assert!(matches!(answer, EnrolAnswer::Refused { message, .. } if message == "hello agent-1"));
    let forged = EnrolRequest { identity: KeyPair::new_user().public_key(), ..good };
    // What is not answered is waited for in vain.
    let answer = tokio::time::timeout(secs(2), ask(&forged)).await;
    assert!(!matches!(answer, Ok(Ok(_))), "an enrolment that its identity did not sign was answered");
    assert_eq!(answered.load(Ordering::SeqCst), 1);
    Ok(())
}

#[tokio::test]
async fn connects_and_disconnects_are_told_with_the_credential() -> Result<()> {
    let test = TestBroker::start().await?;
    let mut fleet = test.listening().await?;
    let (credential, _) = test.mint("one")?;
    let client = test.client(&credential).await?;
    let mut connected = None;
    let mut client = Some(client);
    loop {
        match tokio::time::timeout(secs(30), fleet.next()).await?.context("an event")? {
            FleetEvent::Connected(presence) if presence.user == credential.public_key => {
                assert_eq!(presence.account, test.project_keys.account.public());
                assert_eq!(presence.address, "127.0.0.1");
                connected = Some(presence);
                drop(client.take().context("one connect")?);
            }
            FleetEvent::Disconnected(presence) if presence.user == credential.public_key => {
                let connected = connected.context("no connect before the disconnect")?;
                assert_eq!((presence.client, presence.server), (connected.client, connected.server));
                return Ok(());
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_thousand_statuses_at_once_are_all_taken() -> Result<()> {
    let test = TestBroker::start().await?;
    let mut fleet = test.listening().await?;
    let (credential, _) = test.mint("one")?;
    let client = test.client(&credential).await?;
    let scope = test.scope("dev");
    let mut messages = Vec::new();
    for n in 0..1_000 {
        let status = status(&scope, &format!("agent-{n}"));
        messages.push((subject::status(&scope, &status.agent), serde_json::to_vec(&status)?));
    }
    let begin = Instant::now();
    for (subject, body) in messages {
        client.publish(subject, body.into()).await?;
    }
    let mut agents = std::collections::HashSet::new();
    while agents.len() < 1_000 {
        let event = tokio::time::timeout(secs(30), fleet.next()).await?.context("an event")?;
        if let FleetEvent::Status(status, _) = event {
            agents.insert(status.agent);
        }
    }
    eprintln!("1,000 statuses in {:?}", begin.elapsed());
    Ok(())
}

#[tokio::test]
async fn the_last_status_of_each_agent_stands_in_a_stream_for_the_cli() -> Result<()> {
    let test = TestBroker::start().await?;
    let (credential, _) = test.mint("one")?;
    let client = test.client(&credential).await?;
    let scope = test.scope("dev");
    let mut last = None;
    for floor in [1, 2, 3] {
        for agent in ["agent-1", "agent-2"] {
            let mut status = status(&scope, agent);
            status.floor = floor;
            let body = serde_json::to_vec(&status)?;
            client.publish(subject::status(&scope, &status.agent), body.into()).await?;
            last = Some(status);
        }
    }
    let last = last.context("a status")?;
    let stream = test.broker.jetstream().get_stream(subject::STATUS_STREAM).await?;
    until("the last of each is there", secs(30), async || {
        let state = stream.get_info().await.ok()?.state;
        (state.messages == 2 && state.last_sequence == 6).then_some(())
    })
    .await;
    let found = stream.direct_get_last_for_subject(subject::status(&scope, &last.agent)).await?;
    assert_eq!(serde_json::from_slice::<AgentStatus>(&found.payload)?, last);
    Ok(())
}

#[tokio::test]
async fn agents_above_the_bound_go_without_a_durable() -> Result<()> {
    let test = TestBroker::with_limits(Limits { durables: 2, ..Limits::default() }).await?;
    let scope = test.scope("dev");
    let agent = |n: u32| Slug::new(&format!("agent-{n}")).expect("a slug");
    assert_eq!(test.broker.ensure_consumer(&scope, &agent(1)).await?.as_deref(), Some("agent-1"));
    assert_eq!(test.broker.ensure_consumer(&scope, &agent(2)).await?.as_deref(), Some("agent-2"));
    assert_eq!(test.broker.ensure_consumer(&scope, &agent(3)).await?, None);
    assert_eq!(test.broker.ensure_consumer(&scope, &agent(1)).await?.as_deref(), Some("agent-1"));
    Ok(())
}

#[tokio::test]
async fn a_paused_consumer_gives_nothing_and_wakes_at_once_when_resumed() -> Result<()> {
    let test = TestBroker::start().await?;
    let (scope, agent) = (test.scope("dev"), Slug::new("agent-1")?);
    let name = test.broker.ensure_consumer(&scope, &agent).await?.context("a consumer")?;
    let stream = test.broker.jetstream().get_stream(subject::stream(&scope)).await?;
    let paused = async || stream.consumer_info(&name).await.map(|info| info.paused);
    test.broker.pause(&scope, &agent).await?;
    test.broker.pause(&scope, &agent).await?;
    assert!(paused().await?);
    test.publish(test.bundle("chat", "1.0.0", &[("a", "one")])).await?;

    // An agent with a pull that waits.
    let (credential, _) = test.mint("one")?;
    let client = test.client(&credential).await?;
    let inbox = client.new_inbox();
    let mut pulled = client.subscribe(inbox.clone()).await?;
    let next = format!("{}.CONSUMER.MSG.NEXT.{}.{name}", subject::JETSTREAM_PREFIX, subject::stream(&scope));
    let pull = r#"{"batch":1,"expires":120000000000}"#;
    client.publish_with_reply(next, inbox, pull.into()).await?;
    test.settle(&client, "dev").await?;
    let early = tokio::time::timeout(Duration::from_millis(300), pulled.next()).await;
    assert!(early.is_err(), "a paused consumer gave {early:?}");
    let begin = Instant::now();
    test.broker.resume(&scope, &agent).await?;
    // Long before the pull ends by itself.
    let message = tokio::time::timeout(secs(30), pulled.next()).await?.context("a message")?;
    assert!(message.headers.is_some_and(|h| h.get(header::SERIAL).is_some()));
    eprintln!("resumed in {:?}", begin.elapsed());
    assert!(!paused().await?);
    // An agent that has none needs none.
    test.broker.pause(&scope, &Slug::new("agent-without")?).await?;
    Ok(())
}

#[tokio::test]
async fn a_heartbeat_reaches_the_agents_and_verifies() -> Result<()> {
    let test = TestBroker::start().await?;
    let (credential, connection) = test.mint("one")?;
    let client = test.client(&credential).await?;
    let mut heard = client.subscribe(subject::heartbeat(&test.scope("dev"))).await?;
    test.settle(&client, "dev").await?;
    let head = Head { set: Slug::new("chat")?, serial: 3, digest: Digest::of(b"x") };
    test.beat("dev", vec![head.clone()], secs(10)).await?;
    let message = tokio::time::timeout(secs(30), heard.next()).await?.context("a message")?;
    let certificate = message.headers.as_ref().and_then(|h| h.get(header::KEY)).context("a certificate")?;
    let line = std::str::from_utf8(&message.payload)?;
    let trust = Trust::new(connection.roots, test.scope("dev"));
    let (heartbeat, _) = trust.verify_heartbeat(certificate.as_str(), line, now())?;
    assert_eq!((heartbeat.heads, heartbeat.period_ms), (vec![head], 10_000));
    Ok(())
}
