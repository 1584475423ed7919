//! What must never be served: each refusal has its reason, and the last good goes on being served.

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use live_agent::LiveAgent;
use nats_config::{header, subject};
use publisher::Outgoing;
use schemas::status::RefusalCode;
use tests::nats::TestBroker;
use tests::until::until;

use crate::stage::{PATIENCE, builder, headers, hello, publish, refusal, serves, smuggle};

struct Stage {
    test: TestBroker,
    agent: LiveAgent,
}

impl Stage {
    async fn with_one_good() -> Result<Self> {
        let test = TestBroker::start().await?;
        let agent = builder(&test, "strict")?.memory_only().start().await?;
        publish(&test, "1.0.0", "good").await?;
        serves(&agent, 1).await;
        Ok(Self { test, agent })
    }

    fn next(&self, serial: u64) -> Result<Outgoing> {
        let version = format!("1.{serial}.0");
        self.test.outgoing("dev", self.test.bundle("chat", &version, &[("hello", "evil")]), serial)
    }

    /// Waits for the refusal, and sees that the good one is served.
    async fn refused(&self, code: RefusalCode) {
        let what = format!("it is refused as {code:?}");
        until(&what, PATIENCE, async || (refusal(&self.agent.status(), "chat") == Some(code)).then_some(()))
            .await;
        assert_eq!(hello(&self.agent), "good");
    }

    /// A good one afterwards is taken up, and the refusal is over.
    async fn recovers(&self, serial: u64) -> Result<()> {
        let outgoing = self.test.outgoing(
            "dev",
            self.test.bundle("chat", "9.0.0", &[("hello", "good again")]),
            serial,
        )?;
        smuggle(&self.test, &outgoing, headers(&outgoing), &outgoing.wire).await?;
        serves(&self.agent, serial).await;
        assert_eq!(hello(&self.agent), "good again");
        assert_eq!(refusal(&self.agent.status(), "chat"), None);
        self.agent.wait_current(PATIENCE).await?;
        Ok(())
    }
}

#[tokio::test]
async fn a_flipped_bit_anywhere_in_the_body_is_refused() -> Result<()> {
    let stage = Stage::with_one_good().await?;
    let mut serial = 1;
    for position in [0, 7, 41, 100, usize::MAX] {
        serial += 1;
        let outgoing = stage.next(serial)?;
        let mut body = outgoing.wire.to_vec();
        let at = position.min(body.len() - 1);
        body[at] ^= 1 << (serial % 8);
        smuggle(&stage.test, &outgoing, headers(&outgoing), &body).await?;
        stage.refused(RefusalCode::DigestMismatch).await;
    }
    stage.recovers(serial + 1).await
}

#[tokio::test]
async fn a_flipped_bit_anywhere_in_the_attestation_is_refused() -> Result<()> {
    let stage = Stage::with_one_good().await?;
    let length = stage.next(2)?.attestation.len();
    for (serial, position) in (2..).zip((0..length).step_by(length / 24)) {
        let mut outgoing = stage.next(serial)?;
        let mut attestation = std::mem::take(&mut outgoing.attestation).into_bytes();
        // A letter becomes another one, a brace no brace.
        attestation[position] ^= 1;
        outgoing.attestation = String::from_utf8(attestation)?;
        smuggle(&stage.test, &outgoing, headers(&outgoing), &outgoing.wire).await?;
        until("it is refused", PATIENCE, async || {
            let status = stage.agent.status();
            let pending = status.sets.first()?.pending.clone()?;
            (pending.serial == Some(serial)).then_some(())
        })
        .await;
        assert_eq!(refusal(&stage.agent.status(), "chat"), Some(RefusalCode::Untrusted), "{position}");
        assert_eq!(hello(&stage.agent), "good");
    }
    stage.recovers(90).await
}

#[tokio::test]
async fn headers_that_differ_from_what_is_signed_are_refused() -> Result<()> {
    let stage = Stage::with_one_good().await?;
    let changes = [
        (header::SERIAL, "77"),
        (header::SERIAL, "minus one"),
        (header::VERSION, "7.7.7"),
        (header::DIGEST, "sha256:0000000000000000000000000000000000000000000000000000000000000000"),
        (header::SET, "mail"),
        (header::CONTENT_ENCODING, "rot13"),
    ];
    let mut serial = 1;
    for (name, value) in changes {
        serial += 1;
        let outgoing = stage.next(serial)?;
        let mut headers = headers(&outgoing);
        headers.insert(name, value);
        smuggle(&stage.test, &outgoing, headers, &outgoing.wire).await?;
        stage.refused(RefusalCode::Malformed).await;
    }
    let outgoing = stage.next(serial + 1)?;
    let mut without = async_nats::HeaderMap::new();
    for name in [header::SET, header::VERSION, header::SERIAL, header::DIGEST, header::ATTESTATION] {
        if let Some(value) = headers(&outgoing).get(name) {
            without.insert(name, value.clone());
        }
    }
    smuggle(&stage.test, &outgoing, without, &outgoing.wire).await?;
    stage.refused(RefusalCode::Malformed).await;
    stage.recovers(80).await
}

#[tokio::test]
async fn a_stranger_s_key_is_refused_even_with_a_certificate_of_its_own() -> Result<()> {
    let stage = Stage::with_one_good().await?;
    let stranger = TestBroker::start().await?;
    let outgoing = stranger.outgoing("dev", stranger.bundle("chat", "1.1.0", &[("hello", "evil")]), 2)?;
    smuggle(&stage.test, &outgoing, headers(&outgoing), &outgoing.wire).await?;
    stage.refused(RefusalCode::Untrusted).await;
    // The right certificate with the stranger's signature.
    let mut outgoing = outgoing;
    outgoing.certificate = stage.test.certificate.clone();
    smuggle(&stage.test, &outgoing, headers(&outgoing), &outgoing.wire).await?;
    stage.refused(RefusalCode::Untrusted).await;
    stage.recovers(3).await
}

#[tokio::test]
async fn a_publication_for_another_environment_is_refused() -> Result<()> {
    let stage = Stage::with_one_good().await?;
    let bundle = stage.test.bundle("chat", "1.1.0", &[("hello", "evil")]);
    let mut outgoing = stage.test.outgoing("prod", bundle, 2)?;
    outgoing.scope = stage.test.scope("dev");
    smuggle(&stage.test, &outgoing, headers(&outgoing), &outgoing.wire).await?;
    stage.refused(RefusalCode::Untrusted).await;
    stage.recovers(3).await
}

#[tokio::test]
async fn an_old_serial_and_a_serial_with_other_content_are_refused() -> Result<()> {
    let stage = Stage::with_one_good().await?;
    let old = stage.next(4)?;
    let good = stage.test.outgoing("dev", stage.test.bundle("chat", "5.0.0", &[("hello", "good")]), 5)?;
    smuggle(&stage.test, &good, headers(&good), &good.wire).await?;
    serves(&stage.agent, 5).await;
    smuggle(&stage.test, &old, headers(&old), &old.wire).await?;
    stage.refused(RefusalCode::OldSerial).await;
    let twin = stage.next(5)?;
    smuggle(&stage.test, &twin, headers(&twin), &twin.wire).await?;
    stage.refused(RefusalCode::SerialConflict).await;
    stage.recovers(6).await
}

#[tokio::test]
async fn a_template_that_does_not_compile_here_is_refused_whole() -> Result<()> {
    let stage = Stage::with_one_good().await?;
    let bundle = stage.test.bundle("chat", "1.1.0", &[("hello", "evil"), ("broken", "{% if %}")]);
    let outgoing = stage.test.outgoing("dev", bundle, 2)?;
    smuggle(&stage.test, &outgoing, headers(&outgoing), &outgoing.wire).await?;
    stage.refused(RefusalCode::Template).await;
    let status = stage.agent.status();
    let pending = status.sets.first().and_then(|s| s.pending.clone()).expect("a refusal");
    assert_eq!((pending.publication, pending.serial), (Some(outgoing.publication.clone()), Some(2)));
    assert!(pending.reason.is_some_and(|r| r.message.contains("broken")), "it names the prompt");
    stage.recovers(3).await
}

#[tokio::test]
async fn what_is_too_large_or_no_bundle_at_all_is_refused() -> Result<()> {
    let stage = Stage::with_one_good().await?;
    // Claims to be compressed and is not; then a bomb of zeros; both signed as they are.
    let mut outgoing = stage.next(2)?;
    let mut headers_of = headers(&outgoing);
    headers_of.insert(header::CONTENT_ENCODING, "zstd");
    smuggle(&stage.test, &outgoing, headers_of, &outgoing.wire).await?;
    stage.refused(RefusalCode::Malformed).await;
    outgoing.publication.push_str("-again");
    smuggle(&stage.test, &outgoing, headers(&outgoing), b"").await?;
    stage.refused(RefusalCode::DigestMismatch).await;
    stage.recovers(3).await
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
