//! Bundles that must never be served: each refusal has its reason, and the last good goes on being
//! served.

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use live_agent::LiveAgent;
use nats_config::header;
use publisher::Outgoing;
use schemas::envelope::{Attestation, Envelope, Statement};
use schemas::status::RefusalCode;
use tests::nats::TestBroker;
use tests::stage::{PATIENCE, builder, headers, hello, publish, refusal, serves, smuggle};
use tests::until::until;

pub(crate) struct Stage {
    pub(crate) test: TestBroker,
    pub(crate) agent: LiveAgent,
}

impl Stage {
    pub(crate) async fn with_one_good() -> Result<Self> {
        let test = TestBroker::start().await?;
        let agent = builder(&test, "strict")?.memory_only().start().await?;
        publish(&test, "1.0.0", "good").await?;
        serves(&agent, 1).await;
        Ok(Self { test, agent })
    }

    pub(crate) fn next(&self, serial: u64) -> Result<Outgoing> {
        let version = format!("1.{serial}.0");
        self.test.outgoing("dev", self.test.bundle("chat", &version, &[("hello", "evil")]), serial)
    }

    /// Waits for the refusal, and sees that the good one is served.
    pub(crate) async fn refused(&self, code: RefusalCode) {
        let what = format!("it is refused as {code:?}");
        until(&what, PATIENCE, async || (refusal(&self.agent.status(), "chat") == Some(code)).then_some(()))
            .await;
        assert_eq!(hello(&self.agent), "good");
    }

    /// A good one afterwards is taken up, and the refusal is over.
    pub(crate) async fn recovers(&self, serial: u64) -> Result<()> {
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
async fn a_bundle_of_another_set_or_project_is_refused() -> Result<()> {
    let stage = Stage::with_one_good().await?;
    let test = &stage.test;
    // Truly signed for set mail, sent as chat.
    let mut mixed = test.outgoing("dev", test.bundle("mail", "1.1.0", &[("hello", "evil")]), 2)?;
    mixed.set = "chat".parse()?;
    smuggle(test, &mixed, headers(&mixed), &mixed.wire).await?;
    stage.refused(RefusalCode::Malformed).await;
    // The project's key signs a bundle that speaks for another project.
    let mut bundle = test.bundle("chat", "1.2.0", &[("hello", "evil")]);
    bundle.project = "billing".parse()?;
    let mixed = test.outgoing("dev", bundle, 3)?;
    smuggle(test, &mixed, headers(&mixed), &mixed.wire).await?;
    stage.refused(RefusalCode::Malformed).await;
    // One body under the attestation of another.
    let (one, two) = (stage.next(4)?, stage.next(5)?);
    smuggle(test, &one, headers(&one), &two.wire).await?;
    stage.refused(RefusalCode::DigestMismatch).await;
    stage.recovers(9).await
}

#[tokio::test]
async fn a_truncated_or_oversized_bundle_is_refused() -> Result<()> {
    let stage = Stage::with_one_good().await?;
    let outgoing = stage.next(2)?;
    for length in [1, outgoing.wire.len() / 2, outgoing.wire.len() - 1] {
        smuggle(&stage.test, &outgoing, headers(&outgoing), &outgoing.wire[..length]).await?;
        stage.refused(RefusalCode::DigestMismatch).await;
    }
    let mut longer = outgoing.wire.to_vec();
    longer.resize(longer.len() + 4 * 1024 * 1024, b' ');
    smuggle(&stage.test, &outgoing, headers(&outgoing), &longer).await?;
    stage.refused(RefusalCode::DigestMismatch).await;
    stage.recovers(3).await
}

#[tokio::test]
async fn a_decompression_bomb_is_refused_before_it_unfolds() -> Result<()> {
    if !crate::alone("bundle::a_decompression_bomb_is_refused_before_it_unfolds").await? {
        return Ok(());
    }
    let stage = Stage::with_one_good().await?;
    // A gigabyte of nothing in a few dozen kilobytes; the publisher's own key vouches for it.
    let bomb = {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1)?;
        let nothing = vec![b' '; 1 << 20];
        for _ in 0..1024 {
            std::io::Write::write_all(&mut encoder, &nothing)?;
        }
        encoder.finish()?
    };
    let outgoing = stage.next(2)?;
    let mut headers = headers(&outgoing);
    headers.insert(header::CONTENT_ENCODING, "zstd");
    let before = resident()?;
    smuggle(&stage.test, &outgoing, headers, &bomb).await?;
    stage.refused(RefusalCode::TooLarge).await;
    let grown = resident()?.saturating_sub(before);
    assert!(grown < 300 << 20, "it took {} MiB", grown >> 20);
    stage.recovers(3).await
}

/// Most memory that this process ever had, in bytes.
fn resident() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    Ok(line.split_whitespace().next().unwrap_or("0").parse::<u64>()? * 1024)
}

#[tokio::test]
async fn an_expired_attestation_and_an_expired_certificate_are_refused() -> Result<()> {
    let stage = Stage::with_one_good().await?;
    let test = &stage.test;
    let past = tests::nats::now() - 1;
    let mut outgoing = stage.next(2)?;
    let certificate = publisher::sign::certify(
        &test.keys.root,
        &test.project_keys,
        &test.project.organisation,
        &test.project.project,
        past,
        Some(past),
    )?;
    outgoing.certificate = certificate.to_line();
    smuggle(test, &outgoing, headers(&outgoing), &outgoing.wire).await?;
    stage.refused(RefusalCode::Expired).await;
    let mut outgoing = stage.next(3)?;
    outgoing.attestation = altered(&stage, &outgoing, |attestation| attestation.expires = Some(past))?;
    smuggle(test, &outgoing, headers(&outgoing), &outgoing.wire).await?;
    stage.refused(RefusalCode::Expired).await;
    stage.recovers(4).await
}

/// The attestation of `outgoing` with a change, signed by the project's own key.
pub(crate) fn altered(
    stage: &Stage,
    outgoing: &Outgoing,
    change: impl FnOnce(&mut Attestation),
) -> Result<String> {
    let envelope: Envelope = serde_json::from_str(&outgoing.attestation)?;
    let statement: Statement<Attestation> = serde_json::from_slice(&STANDARD.decode(&envelope.payload)?)?;
    let mut attestation = statement.predicate;
    change(&mut attestation);
    Ok(publisher::sign::attest(&stage.test.project_keys, outgoing.digest, attestation)?.to_line())
}

#[tokio::test]
async fn an_attestation_with_a_wrong_digest_size_or_name_is_refused() -> Result<()> {
    let stage = Stage::with_one_good().await?;
    type Lie = fn(&mut Attestation);
    let lies: [(Lie, RefusalCode); 4] = [
        (|a| a.size += 1, RefusalCode::DigestMismatch),
        (|a| a.serial += 1, RefusalCode::Malformed),
        (|a| a.version = "7.7.7".parse().expect("a version"), RefusalCode::Malformed),
        (|a| a.scope.environment = "prod".parse().expect("a slug"), RefusalCode::Untrusted),
    ];
    let mut serial = 1;
    for (lie, code) in lies {
        serial += 1;
        let mut outgoing = stage.next(serial)?;
        outgoing.attestation = altered(&stage, &outgoing, lie)?;
        smuggle(&stage.test, &outgoing, headers(&outgoing), &outgoing.wire).await?;
        stage.refused(code).await;
    }
    let mut outgoing = stage.next(8)?;
    let other = schemas::canonical::Digest::of(b"something else");
    let envelope: Envelope = serde_json::from_str(&outgoing.attestation)?;
    let statement: Statement<Attestation> = serde_json::from_slice(&STANDARD.decode(&envelope.payload)?)?;
    outgoing.attestation =
        publisher::sign::attest(&stage.test.project_keys, other, statement.predicate)?.to_line();
    smuggle(&stage.test, &outgoing, headers(&outgoing), &outgoing.wire).await?;
    stage.refused(RefusalCode::DigestMismatch).await;
    stage.recovers(20).await
}

#[tokio::test]
async fn duplicate_keys_and_wrong_types_in_the_json_are_refused_though_they_are_signed() -> Result<()> {
    let stage = Stage::with_one_good().await?;
    let template = String::from_utf8(stage.next(2)?.wire.to_vec())?;
    let bodies = [
        // Which of the two counts would be a matter of taste.
        template.replacen("\"set\":", "\"set\":\"mail\",\"set\":", 1),
        template.replacen("\"template\":", "\"template\":\"good\",\"template\":", 1),
        template.replacen("\"prompts\":[", "\"prompts\":[7,", 1),
        template.replacen("\"schema_version\":1", "\"schema_version\":\"1\"", 1),
        format!("[{template}]"),
        "null".to_owned(),
        "[".repeat(100_000),
        template.replacen("evil", "\\ud800", 1),
    ];
    for (serial, body) in (2..).zip(bodies) {
        assert_ne!(body, template, "the change took place");
        let mut outgoing = stage.next(serial)?;
        outgoing.digest = schemas::canonical::Digest::of(body.as_bytes());
        outgoing.attestation =
            altered(&stage, &outgoing, |attestation| attestation.size = body.len() as u64)?;
        smuggle(&stage.test, &outgoing, headers(&outgoing), body.as_bytes()).await?;
        until("it is refused", PATIENCE, async || {
            let status = stage.agent.status();
            let pending = status.sets.first()?.pending.clone()?;
            (pending.serial == Some(serial)).then_some(())
        })
        .await;
        assert_eq!(refusal(&stage.agent.status(), "chat"), Some(RefusalCode::Malformed), "{body:.60}");
        assert_eq!(hello(&stage.agent), "good");
    }
    stage.recovers(50).await
}

#[tokio::test]
async fn a_bundle_of_a_newer_schema_is_refused_by_name() -> Result<()> {
    let stage = Stage::with_one_good().await?;
    let mut bundle = stage.test.bundle("chat", "1.1.0", &[("hello", "evil")]);
    bundle.schema_version = 99;
    let outgoing = stage.test.outgoing("dev", bundle, 2)?;
    smuggle(&stage.test, &outgoing, headers(&outgoing), &outgoing.wire).await?;
    stage.refused(RefusalCode::SchemaVersion).await;
    stage.recovers(3).await
}
