//! Signed statements: what an agent believes of an attestation, a key certificate, a heartbeat, a chain of trust
//! lists and the answer to an enrolment.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nkeys::{KeyPair, KeyPairType};
use schemas::canonical::Digest;
use schemas::envelope::{
    self, Attestation, Enrolment, Envelope, Head, Heartbeat, KeyCertificate, PAYLOAD_TYPE, Signature, Trust,
    TrustList,
};
use schemas::{Micros, Scope};

use super::{key, mode, seed};

const NOW: Micros = 1_790_000_000_000_000;
const BODY: &[u8] = b"{}";
/// FORGE's answer to an enrolment.
const ANSWER: &[u8] = b"{\"enrolled\":{}}";
/// What the agent had signed to get it.
const REQUEST: &[u8] = b"agent";

/// What an honest FORGE signed.
struct Honest {
    root: KeyPair,
    publishing: KeyPair,
    scope: Scope,
    attestation: Attestation,
    heartbeat: Heartbeat,
    list: TrustList,
    enrolment: Enrolment,
    /// Lines: certificate, attestation, heartbeat, trust list, enrolment.
    lines: [String; 5],
}

static HONEST: LazyLock<Honest> = LazyLock::new(|| {
    let (root, publishing) = (key(KeyPairType::Operator, 1), key(KeyPairType::Account, 2));
    let scope = Scope::new("acme", "support", "dev").expect("slugs");
    let set: schemas::Slug = "chat".parse().expect("a slug");
    let certificate = KeyCertificate {
        key: publishing.public_key(),
        organisation: scope.organisation.clone(),
        project: scope.project.clone(),
        issued: NOW,
        expires: None,
    };
    let text = serde_json::json!({
        "publication": "p", "scope": &scope, "set": &set, "version": "1.0.0", "serial": 3, "size": BODY.len(),
        "issued": NOW, "author": "ada", "approver": "bob", "publisher": "cleo",
    });
    let attestation: Attestation = serde_json::from_value(text).expect("an attestation");
    let heads = vec![Head { set, serial: 3, digest: Digest::of(BODY) }];
    let heartbeat: Heartbeat = serde_json::from_value(
        serde_json::json!({ "scope": &scope, "issued": NOW, "period_ms": 15_000, "heads": heads }),
    )
    .expect("a heartbeat");
    let list = TrustList {
        organisation: scope.organisation.clone(),
        project: scope.project.clone(),
        version: 1,
        issued: NOW,
        roots: vec![key(KeyPairType::Operator, 3).public_key(), root.public_key()],
        revoked: vec![key(KeyPairType::Account, 4).public_key()],
    };
    let enrolment = Enrolment {
        agent: "agent".parse().expect("a name"),
        request: Digest::of(REQUEST),
        status_ms: 1_000,
        heartbeat: heartbeat.clone(),
    };
    let lines = [
        envelope::certify(&root, certificate).expect("signed").to_line(),
        envelope::attest(&publishing, Digest::of(BODY), attestation.clone()).expect("signed").to_line(),
        envelope::beat(&publishing, heartbeat.clone()).expect("signed").to_line(),
        chain(&envelope::list(&[&root], list.clone()).expect("signed").to_line()),
        envelope::enrol(&publishing, Digest::of(ANSWER), enrolment.clone()).expect("signed").to_line(),
    ];
    Honest { root, publishing, scope, attestation, heartbeat, list, enrolment, lines }
});

/// A header `Forge-Trust` with one list.
fn chain(line: &str) -> String {
    format!("[{line}]")
}

/// A statement of any content, signed as it has to be: what a FORGE that lies could send.
fn signed(key: &KeyPair, payload: &[u8]) -> String {
    // DSSE, written here a second time: this is not the code that is tried.
    let mut encoded = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len()).into_bytes();
    encoded.extend_from_slice(payload);
    let signature = key.sign(&encoded).expect("a signature");
    let envelope = Envelope {
        payload_type: PAYLOAD_TYPE.into(),
        payload: STANDARD.encode(payload),
        signatures: vec![Signature { keyid: key.public_key(), sig: STANDARD.encode(signature) }],
    };
    envelope.to_line()
}

/// Kinds of statement; as many ways to take the input as lines, and as many as payloads.
const STATEMENTS: u8 = 5;

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (index, line) in (0..).zip(&HONEST.lines) {
        seeds.push(seed(index, line.as_bytes()));
        let line = line.trim_start_matches('[').trim_end_matches(']');
        let envelope: Envelope = serde_json::from_str(line).expect("an envelope");
        let payload = STANDARD.decode(&envelope.payload).expect("base64");
        seeds.push(seed(index + STATEMENTS, &payload));
    }
    seeds
}

pub(super) fn body(data: &[u8]) {
    let honest = &*HONEST;
    let trust = Trust::new(vec![honest.root.public_key()], honest.scope.clone());
    let [certificate, attestation, ..] = &honest.lines;
    let (mode, rest) = mode(data, 2 * STATEMENTS);
    let text = String::from_utf8_lossy(rest);
    match mode {
        // Lines of a stranger: what is believed is what was signed, and nothing else.
        0 => {
            if let Ok(found) = trust.verify(&text, attestation, BODY, NOW) {
                assert_eq!(found.key, honest.publishing.public_key(), "another key was believed");
            }
        }
        1 => {
            if let Ok(found) = trust.verify(certificate, &text, BODY, NOW) {
                assert_eq!((found.attestation, found.digest), (honest.attestation.clone(), Digest::of(BODY)));
            }
        }
        2 => {
            if let Ok((found, _)) = trust.verify_heartbeat(certificate, &text, NOW) {
                assert_eq!(found, honest.heartbeat);
            }
        }
        3 => {
            if trust.advance(&text) == Ok(true) {
                assert_eq!((trust.version(), trust.roots()), (1, honest.list.roots.clone()));
                assert!(trust.is_revoked(&honest.list.revoked[0]), "a revocation got lost");
            }
        }
        4 => {
            let digest = Digest::of(REQUEST);
            if let Ok((found, _)) = trust.verify_enrolment(certificate, &text, ANSWER, digest, NOW) {
                assert_eq!(found, honest.enrolment);
            }
        }
        // Statements of whoever has the keys: what is believed speaks of this scope, key and body.
        5 => {
            if let Ok(found) = trust.publishing_key(&signed(&honest.root, rest), NOW) {
                let found = found.certificate;
                assert_eq!(
                    (&found.organisation, &found.project),
                    (&honest.scope.organisation, &honest.scope.project)
                );
                assert!(found.expires.is_none_or(|at| at > NOW), "an expired key was believed");
            }
        }
        6 => {
            if let Ok(found) = trust.verify(certificate, &signed(&honest.publishing, rest), BODY, NOW) {
                assert_eq!((found.attestation.scope, found.digest), (honest.scope.clone(), Digest::of(BODY)));
                assert_eq!(found.attestation.size, BODY.len() as u64);
                assert!(found.attestation.expires.is_none_or(|at| at > NOW), "an expired one was believed");
            }
        }
        7 => {
            let line = signed(&honest.publishing, rest);
            if let Ok((found, _)) = trust.verify_heartbeat(certificate, &line, NOW) {
                assert_eq!(found.scope, honest.scope);
            }
        }
        8 => {
            let before = (trust.version(), trust.roots());
            if trust.advance(&chain(&signed(&honest.root, rest))) == Ok(true) {
                assert!(trust.version() > before.0, "trust went back");
                assert!(!trust.roots().is_empty(), "nothing could ever be believed again");
                assert!(trust.roots().iter().all(|root| !trust.is_revoked(root)), "a revoked root counts");
            } else {
                assert_eq!((trust.version(), trust.roots()), before, "half of a list was followed");
            }
        }
        _ => {
            let (line, digest) = (signed(&honest.publishing, rest), Digest::of(REQUEST));
            if let Ok((found, _)) = trust.verify_enrolment(certificate, &line, ANSWER, digest, NOW) {
                assert_eq!((found.request, &found.heartbeat.scope), (digest, &honest.scope));
            }
        }
    }
}
