//! What travels: canonical JSON, bundles, signed statements, connect strings, status.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nkeys::KeyPair;
use schemas::bundle::{self, Bundle, BundleError, Dependency, Encoding};
use schemas::canonical::{Digest, to_canonical};
use schemas::connect::{ConnectError, ConnectString, Connection};
use schemas::envelope::{self, Attestation, Envelope, Head, Heartbeat, KeyCertificate, Trust, TrustError};
use schemas::prompt::Prompt;
use schemas::status::{AgentStatus, EnrolAnswer, PendingState, RefusalCode};
use schemas::{Micros, Scope};
use serde_json::{Value, json};

use crate::render::{id, partial};

const NOW: Micros = 1_790_000_000_000_000;
const HOUR: Micros = 3_600_000_000;

#[test]
fn the_vectors_of_rfc_8785_are_met() {
    for name in ["arrays", "french", "structures", "unicode", "values", "weird"] {
        let read = |folder: &str| {
            let path = format!("{}/tests/jcs/{folder}/{name}.json", env!("CARGO_MANIFEST_DIR"));
            std::fs::read_to_string(path).unwrap()
        };
        let value: Value = serde_json::from_str(&read("input")).unwrap();
        let ours = String::from_utf8(to_canonical(&value).unwrap()).unwrap();
        assert_eq!(ours, read("output").trim_end(), "{name}");
    }
}

#[test]
fn the_numbers_of_rfc_8785_are_met() {
    // Its appendix B: the bits of a double, and what is written.
    const NUMBERS: [(u64, &str); 24] = [
        (0x0000_0000_0000_0000, "0"),
        (0x8000_0000_0000_0000, "0"),
        (0x0000_0000_0000_0001, "5e-324"),
        (0x8000_0000_0000_0001, "-5e-324"),
        (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
        (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
        (0x4340_0000_0000_0000, "9007199254740992"),
        (0xc340_0000_0000_0000, "-9007199254740992"),
        (0x4430_0000_0000_0000, "295147905179352830000"),
        (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
        (0x44b5_2d02_c7e1_4af6, "1e+23"),
        (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
        (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
        (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
        (0x444b_1ae4_d6e2_ef50, "1e+21"),
        (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
        (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
        (0x41b3_de43_5555_5553, "333333333.3333332"),
        (0x41b3_de43_5555_5554, "333333333.33333325"),
        (0x41b3_de43_5555_5555, "333333333.3333333"),
        (0x41b3_de43_5555_5556, "333333333.3333334"),
        (0x41b3_de43_5555_5557, "333333333.33333343"),
        (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
        (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
    ];
    for (bits, expected) in NUMBERS {
        let ours = String::from_utf8(to_canonical(&f64::from_bits(bits)).unwrap()).unwrap();
        assert_eq!(ours, expected, "{bits:016x}");
    }
    // Where there is no JSON form, nothing is written that could be signed.
    for bits in [0x7fff_ffff_ffff_ffff, 0x7ff0_0000_0000_0000, 0xfff0_0000_0000_0000] {
        let written = to_canonical(&f64::from_bits(bits)).map(|bytes| String::from_utf8(bytes).unwrap());
        assert!(written.is_err(), "{bits:016x} is written as {written:?}");
    }
    // Whole numbers beyond 2^53 are what ECMAScript makes of them.
    for (number, expected) in
        [(9_007_199_254_740_993_u64, "9007199254740992"), (u64::MAX, "18446744073709552000")]
    {
        assert_eq!(String::from_utf8(to_canonical(&number).unwrap()).unwrap(), expected);
    }
}

fn sample() -> Bundle {
    Bundle {
        schema_version: bundle::SCHEMA_VERSION,
        organisation: "acme".parse().unwrap(),
        project: "support".parse().unwrap(),
        set: "chat".parse().unwrap(),
        version: "2.1.0-gpt4+tokens.1500".parse().unwrap(),
        prompts: vec![Prompt::text(id("b"), "B"), Prompt::text(id("a"), "Ä {{ x }}")],
        partials: vec![partial("z", "Z"), partial("y", "Y")],
        dependencies: vec![Dependency {
            set: "common".parse().unwrap(),
            requirement: "^1".into(),
            version: "1.2.0".parse().unwrap(),
            digest: Digest::of(b"common"),
        }],
    }
}

#[test]
fn the_same_content_gives_the_same_bytes_and_reads_back() {
    let body = sample().into_body().unwrap();
    let mut turned = sample();
    turned.prompts.reverse();
    turned.partials.reverse();
    assert_eq!(turned.into_body().unwrap(), body);
    let read = Bundle::from_body(&body).unwrap();
    assert_eq!(read.prompts[0].id, id("a"));
    assert_eq!(read.clone().into_body().unwrap(), body);
    assert_eq!(to_canonical(&read).unwrap(), body, "the body is canonical");
}

#[test]
fn what_a_newer_forge_adds_is_ignored_and_a_newer_format_is_refused() {
    let mut value: Value = serde_json::from_slice(&sample().into_body().unwrap()).unwrap();
    value["new_field"] = json!({"a": 1});
    value["prompts"][0]["new_field"] = json!(1);
    assert!(Bundle::from_body(value.to_string().as_bytes()).is_ok());
    for version in [0, 2, 77] {
        value["schema_version"] = json!(version);
        let error = Bundle::from_body(value.to_string().as_bytes()).unwrap_err();
        assert!(matches!(error, BundleError::SchemaVersion { found } if found == version));
    }
    for bad in [&b""[..], b"{}", b"[]", b"\xff", b"{\"schema_version\":1}"] {
        assert!(matches!(Bundle::from_body(bad), Err(BundleError::Json(_))), "{bad:?}");
    }
}

#[test]
fn duplicates_are_refused_on_both_ends() {
    let mut twice = sample();
    twice.prompts.push(Prompt::text(id("a"), "again"));
    let bytes = to_canonical(&twice).unwrap();
    assert!(matches!(Bundle::from_body(&bytes), Err(BundleError::DuplicatePrompt(_))));
    assert!(matches!(twice.into_body(), Err(BundleError::DuplicatePrompt(_))));
    let mut twice = sample();
    twice.partials.push(partial("y", "again"));
    assert!(matches!(twice.into_body(), Err(BundleError::DuplicatePartial(_))));
    let mut many = sample();
    many.prompts = (0..=bundle::PROMPTS_MAX).map(|n| Prompt::text(id(&format!("p{n}")), "")).collect();
    assert!(matches!(many.into_body(), Err(BundleError::TooManyPrompts { .. })));
}

#[test]
fn a_small_body_travels_as_it_is_and_a_large_one_compressed() {
    let small = sample().into_body().unwrap();
    assert_eq!(bundle::encode(&small).unwrap(), (small.clone(), Encoding::Identity));
    let large: Vec<u8> = (0..200_000_u32).flat_map(|n| n.to_string().into_bytes()).collect();
    let (wire, encoding) = bundle::encode(&large).unwrap();
    assert_eq!(encoding, Encoding::Zstd);
    assert!(wire.len() < large.len());
    assert_eq!(bundle::decode(&wire, encoding).unwrap(), large);
    assert_eq!(Encoding::from_header(Some(encoding.as_str())).unwrap(), encoding);
    assert!(matches!(Encoding::from_header(Some("br")), Err(BundleError::Encoding(_))));
}

#[test]
fn a_compression_bomb_and_damaged_bytes_are_refused() {
    // 65 MiB of zeros are a few KiB on the wire.
    let bomb = zstd::bulk::compress(&vec![0; bundle::BODY_MAX + 1], 9).unwrap();
    assert!(bomb.len() < 64 * 1024);
    assert!(matches!(bundle::decode(&bomb, Encoding::Zstd), Err(BundleError::TooLarge { .. })));
    let whole = zstd::bulk::compress(&vec![7; 100_000], 9).unwrap();
    for damaged in [&whole[..whole.len() / 2], b"no zstd at all", &whole[1..]] {
        assert!(matches!(bundle::decode(damaged, Encoding::Zstd), Err(BundleError::Compression(_))));
    }
}

struct Chain {
    trust: Trust,
    certificate: String,
    attestation: String,
    body: Vec<u8>,
    key: KeyPair,
    root: KeyPair,
}

fn scope() -> Scope {
    Scope::new("acme", "support", "prod").unwrap()
}

fn certificate(key: &KeyPair) -> KeyCertificate {
    KeyCertificate {
        key: key.public_key(),
        organisation: "acme".parse().unwrap(),
        project: "support".parse().unwrap(),
        issued: NOW - HOUR,
        expires: Some(NOW + HOUR),
    }
}

fn attestation(body: &[u8]) -> Attestation {
    Attestation {
        publication: "0192".into(),
        scope: scope(),
        set: "chat".parse().unwrap(),
        version: "2.1.0-gpt4+tokens.1500".parse().unwrap(),
        serial: 7,
        size: body.len() as u64,
        issued: NOW - HOUR,
        expires: Some(NOW + HOUR),
        previous: Some(Digest::of(b"before")),
        author: "ada".into(),
        approver: Some("bob".into()),
        publisher: "cleo".into(),
    }
}

fn chain() -> Chain {
    let (root, key) = (KeyPair::new_operator(), KeyPair::new_account());
    let body = sample().into_body().unwrap();
    Chain {
        trust: Trust::new(vec![root.public_key()], scope()),
        certificate: envelope::certify(&root, certificate(&key)).unwrap().to_line(),
        attestation: envelope::attest(&key, Digest::of(&body), attestation(&body)).unwrap().to_line(),
        body,
        key,
        root,
    }
}

impl Chain {
    fn verify(&self) -> Result<envelope::Verified, TrustError> {
        self.trust.verify(&self.certificate, &self.attestation, &self.body, NOW)
    }
}

#[test]
fn a_whole_chain_is_believed() {
    let chain = chain();
    let verified = chain.verify().unwrap();
    assert_eq!(verified.digest, Digest::of(&chain.body));
    assert_eq!(verified.attestation, attestation(&chain.body));
    assert_eq!(verified.key, chain.key.public_key());
}

#[test]
fn every_broken_link_is_named() {
    let stranger = KeyPair::new_operator();

    let mut broken = chain();
    broken.trust = Trust::new(vec![stranger.public_key()], scope());
    assert!(matches!(broken.verify(), Err(TrustError::UnknownKey { what: "key certificate", .. })));

    let mut broken = chain();
    broken.attestation =
        envelope::attest(&stranger, Digest::of(&broken.body), attestation(&broken.body)).unwrap().to_line();
    assert!(matches!(broken.verify(), Err(TrustError::UnknownKey { what: "attestation", .. })));

    let mut broken = chain();
    broken.trust = Trust::new(vec![broken.root.public_key()], Scope::new("acme", "support", "dev").unwrap());
    assert!(matches!(broken.verify(), Err(TrustError::WrongSubject { what: "attestation", .. })));

    let mut broken = chain();
    broken.trust = Trust::new(vec![broken.root.public_key()], Scope::new("acme", "other", "prod").unwrap());
    assert!(matches!(broken.verify(), Err(TrustError::WrongSubject { what: "key certificate", .. })));

    // A statement of another kind, truly signed.
    let mut broken = chain();
    std::mem::swap(&mut broken.certificate, &mut broken.attestation);
    broken.trust = Trust::new(vec![broken.key.public_key(), broken.root.public_key()], scope());
    assert!(matches!(broken.verify(), Err(TrustError::WrongSubject { what: "key certificate", .. })));

    let mut broken = chain();
    let beat = Heartbeat {
        scope: scope(),
        issued: NOW,
        period_ms: 5_000,
        heads: Vec::new(),
        trust: 0,
        max_age: None,
        orders: Vec::new(),
    };
    broken.attestation = envelope::beat(&broken.key, beat).unwrap().to_line();
    assert!(matches!(broken.verify(), Err(TrustError::WrongSubject { what: "attestation", .. })));

    let broken = chain();
    let late = broken.trust.verify(&broken.certificate, &broken.attestation, &broken.body, NOW + HOUR);
    assert!(matches!(late, Err(TrustError::Expired { what: "key certificate" })));
    let mut old = attestation(&broken.body);
    old.expires = Some(NOW);
    let old = envelope::attest(&broken.key, Digest::of(&broken.body), old).unwrap().to_line();
    let late = broken.trust.verify(&broken.certificate, &old, &broken.body, NOW);
    assert!(matches!(late, Err(TrustError::Expired { what: "attestation" })));

    // Signed as it is, and wrong in itself.
    let lying =
        envelope::attest(&broken.key, Digest::of(b"else"), attestation(&broken.body)).unwrap().to_line();
    let found = broken.trust.verify(&broken.certificate, &lying, &broken.body, NOW);
    assert!(matches!(found, Err(TrustError::DigestMismatch { .. })));
    let named = envelope::sign(
        &broken.key,
        "acme/support/prod/else@1.0.0".into(),
        Digest::of(&broken.body),
        attestation(&broken.body),
    );
    let found = broken.trust.verify(&broken.certificate, &named.unwrap().to_line(), &broken.body, NOW);
    assert!(matches!(found, Err(TrustError::WrongSubject { .. })));
    let mut longer = broken.body.clone();
    longer.push(b' ');
    let found = broken.trust.verify(&broken.certificate, &broken.attestation, &longer, NOW);
    assert!(matches!(found, Err(TrustError::SizeMismatch { .. })));
}

#[test]
fn a_flipped_bit_anywhere_is_noticed() {
    let whole = chain();
    for at in (0..whole.body.len()).step_by(7) {
        let mut broken = chain_like(&whole);
        broken.body[at] ^= 1 << (at % 8);
        assert!(matches!(broken.verify(), Err(TrustError::DigestMismatch { .. })), "body byte {at}");
    }
    for certificate in [false, true] {
        let line = if certificate { &whole.certificate } else { &whole.attestation };
        let envelope: Envelope = serde_json::from_str(line).unwrap();
        let flip = |text: &str, at: usize| {
            let mut bytes = STANDARD.decode(text).unwrap();
            bytes[at] ^= 1 << (at % 8);
            STANDARD.encode(bytes)
        };
        let statement = STANDARD.decode(&envelope.payload).unwrap().len();
        let mut altered: Vec<Envelope> = (0..statement)
            .step_by(5)
            .map(|at| Envelope { payload: flip(&envelope.payload, at), ..envelope.clone() })
            .collect();
        altered.extend((0..64).map(|at| {
            let mut envelope = envelope.clone();
            envelope.signatures[0].sig = flip(&envelope.signatures[0].sig, at);
            envelope
        }));
        for envelope in altered {
            let mut broken = chain_like(&whole);
            let line = envelope.to_line();
            if certificate {
                broken.certificate = line
            } else {
                broken.attestation = line
            }
            assert!(matches!(broken.verify(), Err(TrustError::BadSignature(_))), "{envelope:?}");
        }
    }
}

fn chain_like(chain: &Chain) -> Chain {
    Chain {
        trust: Trust::new(vec![chain.root.public_key()], scope()),
        certificate: chain.certificate.clone(),
        attestation: chain.attestation.clone(),
        body: chain.body.clone(),
        key: KeyPair::from_public_key(&chain.key.public_key()).unwrap(),
        root: KeyPair::from_public_key(&chain.root.public_key()).unwrap(),
    }
}

#[test]
fn what_is_no_envelope_is_malformed_and_nothing_panics() {
    let chain = chain();
    let envelope: Envelope = serde_json::from_str(&chain.attestation).unwrap();
    let other_type = Envelope { payload_type: "text/plain".into(), ..envelope.clone() }.to_line();
    let not_base64 = Envelope { payload: "§".into(), ..envelope.clone() }.to_line();
    let huge = " ".repeat(envelope::ENVELOPE_MAX + 1);
    for line in ["", "{}", "null", "{\"payload\":1}", &other_type, &not_base64, &huge] {
        let found = chain.trust.verify(&chain.certificate, line, &chain.body, NOW);
        assert!(matches!(found, Err(TrustError::Malformed { .. })), "{found:?}");
    }
    let unsigned = Envelope { signatures: Vec::new(), ..envelope }.to_line();
    let found = chain.trust.verify(&chain.certificate, &unsigned, &chain.body, NOW);
    assert!(matches!(found, Err(TrustError::UnknownKey { .. })));
}

#[test]
fn a_heartbeat_is_believed_for_its_own_scope_only() {
    let chain = chain();
    let head = Head { set: "chat".parse().unwrap(), serial: 7, digest: Digest::of(b"x") };
    let beat = Heartbeat {
        scope: scope(),
        issued: NOW,
        period_ms: 5_000,
        heads: vec![head],
        trust: 0,
        max_age: None,
        orders: Vec::new(),
    };
    let line = envelope::beat(&chain.key, beat.clone()).unwrap().to_line();
    assert_eq!(chain.trust.verify_heartbeat(&chain.certificate, &line, NOW).unwrap().0, beat);
    let elsewhere = Heartbeat { scope: Scope::new("acme", "support", "dev").unwrap(), ..beat };
    let line = envelope::beat(&chain.key, elsewhere).unwrap().to_line();
    let found = chain.trust.verify_heartbeat(&chain.certificate, &line, NOW);
    assert!(matches!(found, Err(TrustError::WrongSubject { what: "heartbeat", .. })));
    let found = chain.trust.verify_heartbeat(&chain.certificate, &chain.attestation, NOW);
    assert!(matches!(found, Err(TrustError::WrongSubject { what: "heartbeat", .. })));
}

fn connect_string() -> ConnectString {
    ConnectString {
        connection: Connection {
            schema_version: 1,
            servers: vec!["nats://127.0.0.1:4222".into()],
            scope: scope(),
            roots: vec!["OABC".into()],
            forge_url: None,
            tls: None,
        },
        creds: "-----BEGIN NATS USER JWT-----\nhidden\n".into(),
    }
}

#[test]
fn a_connect_string_is_one_line_that_reads_back() {
    let line = connect_string().to_line();
    assert!(!line.contains(char::is_whitespace));
    let read = ConnectString::from_line(&format!("  {line}\n")).unwrap();
    assert_eq!(read.connection, connect_string().connection);
    assert_eq!(read.creds, connect_string().creds);
    assert!(!format!("{read:?}").contains("hidden"), "its secret is not shown");
}

#[test]
fn a_connect_string_cut_off_or_altered_is_noticed() {
    let line = connect_string().to_line();
    for cut in 1..line.len() {
        assert!(ConnectString::from_line(&line[..cut]).is_err(), "cut at {cut}");
    }
    let mut altered = line.clone().into_bytes();
    let middle = line.len() / 2;
    altered[middle] = if altered[middle] == b'A' { b'B' } else { b'A' };
    let altered = String::from_utf8(altered).unwrap();
    assert_eq!(ConnectString::from_line(&altered).unwrap_err(), ConnectError::Damaged);
    assert_eq!(ConnectString::from_line("hello").unwrap_err(), ConnectError::NotOne);
    let mut newer = connect_string();
    newer.connection.schema_version = 9;
    let found = ConnectString::from_line(&newer.to_line()).unwrap_err();
    assert_eq!(found, ConnectError::SchemaVersion { found: 9 });
}

#[test]
fn a_status_of_a_newer_agent_is_still_read() {
    let mut status = json!({
        "schema_version": 1, "agent": "web-1", "identity": "UABC", "host": "h", "agent_version": "9.0.0",
        "scope": {"organisation": "acme", "project": "support", "environment": "prod"},
        "mode": "ACCEPTING", "at": 1, "started_at": 1, "floor": 3, "stale": false, "cache": "disk",
        "sets": [{
            "set": "chat",
            "active": {"publication": "p", "serial": 2, "version": "1.0.0", "activated_at": 1,
                "digest": Digest::of(b"x").to_string()},
            "pending": {"state": "refused", "at": 2, "reason": {"code": "untrusted", "message": "m"}},
            "head_serial": 3
        }],
        "counters": {"renders": 1, "render_errors": 0, "render_p50_ns": 5, "render_p99_ns": 9}
    });
    let read: AgentStatus = serde_json::from_value(status.clone()).unwrap();
    let again: AgentStatus = serde_json::from_value(serde_json::to_value(&read).unwrap()).unwrap();
    assert_eq!(again, read);

    status["colour"] = json!("blue");
    status["counters"]["renders_of_today"] = json!(4);
    status["sets"][0]["pending"]["state"] = json!("teleported");
    status["sets"][0]["pending"]["reason"]["code"] = json!("solar_flare");
    let read: AgentStatus = serde_json::from_value(status).unwrap();
    let pending = read.sets[0].pending.clone().unwrap();
    assert_eq!(pending.state, PendingState::Unknown);
    assert_eq!(pending.reason.unwrap().code, RefusalCode::Unknown);
}

#[test]
fn an_enrolment_answer_reads_back() {
    for answer in [
        EnrolAnswer::Enrolled { stream: "S".into(), consumer: None, heartbeat_ms: 1, status_ms: 2 },
        EnrolAnswer::Refused { code: "taken".into(), message: "m".into() },
    ] {
        let line = serde_json::to_string(&answer).unwrap();
        assert_eq!(serde_json::from_str::<EnrolAnswer>(&line).unwrap(), answer);
    }
}
