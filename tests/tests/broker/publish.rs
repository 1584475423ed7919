//! A publication is in the stream once, whatever happens on the way.

use std::time::Duration;

use anyhow::Result;
use futures::StreamExt as _;
use nats_config::{header, subject};
use publisher::PublishError;
use schemas::Slug;
use tests::nats::TestBroker;
use tests::until::{secs, until};

fn set() -> Slug {
    Slug::new("chat").expect("a slug")
}

#[tokio::test]
async fn a_stored_bundle_is_republished_to_the_agents_of_its_environment_alone() -> Result<()> {
    let test = TestBroker::start().await?;
    let (dev, prod) = (test.mint("one")?.0, test.mint_in("prod", "two")?.0);
    let (dev, prod) = (test.client(&dev).await?, test.client(&prod).await?);
    let mut heard = dev.subscribe(subject::announcements(&test.scope("dev"))).await?;
    let mut unheard = prod.subscribe(subject::announcements(&test.scope("prod"))).await?;
    test.settle(&dev, "dev").await?;
    test.settle(&prod, "prod").await?;

    let published = test.publish(test.bundle("chat", "1.0.0", &[("hello", "Hello {{ name }}!")])).await?;

    let message = tokio::time::timeout(secs(30), heard.next()).await?.expect("a message");
    assert_eq!(message.subject.as_str(), "forge.acme.support.dev.ctl.bundle.chat");
    let headers = message.headers.expect("headers");
    let text = |name: &'static str| headers.get(name).map(|v| v.as_str().to_owned()).unwrap_or_default();
    assert_eq!(text(header::SEQUENCE), published.sent.sequence.to_string());
    assert_eq!(text(header::SERIAL), "1");
    assert_eq!(text(header::DIGEST), published.digest.to_string());
    assert_eq!(text(header::MESSAGE_ID), published.publication);
    let trust = schemas::envelope::Trust::new(test.connection("dev").roots, test.scope("dev"));
    let verified =
        trust.verify(&text(header::KEY), &text(header::ATTESTATION), &message.payload, tests::nats::now())?;
    assert_eq!(verified.attestation.publication, published.publication);
    // The message to dev has arrived, so one to prod would have.
    let other = tokio::time::timeout(Duration::from_millis(200), unheard.next()).await;
    assert!(other.is_err(), "prod heard of a publication to dev");
    Ok(())
}

#[tokio::test]
async fn of_two_racing_publishers_one_wins_each_serial() -> Result<()> {
    let test = TestBroker::start().await?;
    for round in 0..20 {
        let serial = round + 1;
        let one = test.outgoing("dev", test.bundle("chat", "1.0.0", &[("a", "one")]), serial)?;
        let two = test.outgoing("dev", test.bundle("chat", "1.0.1", &[("a", "two")]), serial)?;
        let (a, b) = tokio::join!(test.broker.send(&one), test.broker.send(&two));
        let won = [&a, &b].into_iter().filter(|r| r.is_ok()).count();
        assert_eq!(won, 1, "round {round}: {a:?} {b:?}");
        let lost = if a.is_err() { a } else { b };
        assert!(matches!(lost, Err(PublishError::Superseded { .. })), "{lost:?}");
    }
    let stream = test.broker.jetstream().get_stream(subject::stream(&test.scope("dev"))).await?;
    assert_eq!(stream.get_info().await?.state.messages, 20);
    Ok(())
}

#[tokio::test]
async fn a_retry_finds_its_own_message_even_when_the_broker_forgot_its_id() -> Result<()> {
    let test = TestBroker::start().await?;
    let first = test.publish(test.bundle("chat", "1.0.0", &[("a", "one")])).await?;
    // A new process, which knows nothing, sends the same again.
    let again = test.broker.send(&first.outgoing).await?;
    assert_eq!((again.sequence, again.duplicate), (first.sent.sequence, true));

    // The server forgets message ids after two minutes. Shorten that to nothing, so that only the
    // read-back can tell.
    let mut config = nats_config::stream::config(&test.scope("dev"), &publisher::Limits::default());
    config.duplicate_window = Duration::from_millis(100);
    test.broker.jetstream().update_stream(config).await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let again = test.broker.send(&first.outgoing).await?;
    assert_eq!((again.sequence, again.duplicate), (first.sent.sequence, true));

    // Also behind newer messages.
    let second = test.publish(test.bundle("chat", "1.1.0", &[("a", "two")])).await?;
    let again = test.broker.send(&first.outgoing).await?;
    assert_eq!((again.sequence, again.duplicate), (first.sent.sequence, true));
    let stream = test.broker.jetstream().get_stream(subject::stream(&test.scope("dev"))).await?;
    assert_eq!(stream.get_info().await?.state.messages, 2);
    assert_eq!(test.broker.last(&test.scope("dev"), &set()).await?.map(|h| h.serial), Some(second.serial));
    Ok(())
}

#[tokio::test]
async fn an_older_serial_and_a_wrong_expectation_are_refused_and_change_nothing() -> Result<()> {
    let test = TestBroker::start().await?;
    let first = test.publish(test.bundle("chat", "1.0.0", &[("a", "one")])).await?;
    test.publish(test.bundle("chat", "1.1.0", &[("a", "two")])).await?;
    let old = test.outgoing("dev", test.bundle("chat", "1.2.0", &[("a", "three")]), 1)?;
    assert!(matches!(test.broker.send(&old).await, Err(PublishError::Superseded(head)) if head.serial == 2));
    let mut racing = test.outgoing("dev", test.bundle("chat", "1.3.0", &[("a", "four")]), 3)?;
    racing.expected_last_subject_sequence = Some(first.sent.sequence);
    let refused = test.broker.send(&racing).await;
    assert!(matches!(refused, Err(PublishError::Conflict { expected: 1, found: 2 })), "{refused:?}");
    racing.expected_last_subject_sequence = Some(2);
    assert_eq!(test.broker.send(&racing).await?.sequence, 3);
    Ok(())
}

#[tokio::test]
async fn a_publication_without_a_stream_or_too_large_says_so() -> Result<()> {
    let test = TestBroker::start().await?;
    let nowhere = test.outgoing("staging", test.bundle("chat", "1.0.0", &[("a", "one")]), 1)?;
    let refused = test.broker.send(&nowhere).await;
    assert!(matches!(&refused, Err(e @ PublishError::NoStream { .. }) if e.is_temporary()), "{refused:?}");
    let mut large = test.outgoing("dev", test.bundle("chat", "1.0.0", &[("a", "one")]), 1)?;
    large.wire = vec![b'x'; 8 * 1024 * 1024 + 1].into();
    assert!(matches!(test.broker.send(&large).await, Err(PublishError::TooLarge { .. })));
    large.wire = vec![b'x'; 9 * 1024 * 1024].into();
    assert!(matches!(test.broker.send(&large).await, Err(PublishError::TooLarge { .. })));
    assert_eq!(test.broker.last(&test.scope("dev"), &set()).await?, None);
    Ok(())
}

#[tokio::test]
async fn a_publication_in_an_outage_waits_and_goes_out_once() -> Result<()> {
    let mut test = TestBroker::start().await?;
    test.publish(test.bundle("chat", "1.0.0", &[("a", "one")])).await?;
    let next = test.outgoing("dev", test.bundle("chat", "1.1.0", &[("a", "two")]), 2)?;
    test.server.stop().await;
    let broker = test.broker.clone();
    until("the loss is noticed", secs(30), async || (!broker.is_connected()).then_some(())).await;
    let refused = test.broker.send(&next).await;
    assert!(matches!(&refused, Err(e) if e.is_temporary()), "{refused:?}");
    test.server.restart().await?;
    let sent = until("the publication goes out", secs(60), async || broker.send(&next).await.ok()).await;
    assert_eq!(sent.sequence, 2);
    Ok(())
}

#[tokio::test]
async fn kills_of_the_server_at_any_moment_leave_each_publication_once() -> Result<()> {
    let test = TestBroker::start().await?;
    let mut sequences = Vec::new();
    for serial in 1..=12_u64 {
        let next = test.outgoing("dev", test.bundle("chat", "1.0.0", &[("a", "text")]), serial)?;
        let broker = test.broker.clone();
        let (outgoing, sender) = (next.clone(), broker.clone());
        let sending = tokio::spawn(async move { sender.send(&outgoing).await });
        // At a different moment of the sending each time.
        tokio::time::sleep(Duration::from_micros(300 * (serial - 1))).await;
        let _ = test.server.kill9();
        let _ = tokio::time::timeout(secs(5), sending).await;
        let sent = until("it is sent", secs(120), async || broker.send(&next).await.ok()).await;
        sequences.push(sent.sequence);
    }
    let stream = test.broker.jetstream().get_stream(subject::stream(&test.scope("dev"))).await?;
    let mut serials = Vec::new();
    for sequence in 1..=stream.get_info().await?.state.last_sequence {
        let message = stream.direct_get(sequence).await?;
        serials.push(message.headers.get(header::SERIAL).map(|v| v.as_str().to_owned()));
    }
    let expected: Vec<_> = (1..=12).map(|s: u64| Some(s.to_string())).collect();
    assert_eq!(serials, expected, "sent as {sequences:?}");
    Ok(())
}
