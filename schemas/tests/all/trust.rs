//! Trust lists: rotation and revocation of roots and publishing keys, as agents follow them.

use nkeys::KeyPair;
use schemas::Scope;
use schemas::canonical::Digest;
use schemas::envelope::{
    self, Attestation, Enrolment, Envelope, Heartbeat, KeyCertificate, Signature, Trust, TrustError,
    TrustList,
};

const NOW: i64 = 1_790_000_000_000_000;
const BODY: &[u8] = br#"{"some":"body"}"#;

fn scope() -> Scope {
    Scope::new("acme", "support", "prod").unwrap()
}

fn root() -> KeyPair {
    KeyPair::new_operator()
}

fn chain(links: &[Envelope]) -> String {
    serde_json::to_string(links).unwrap()
}

fn list(version: u64, roots: &[&KeyPair], revoked: &[&KeyPair]) -> TrustList {
    TrustList {
        organisation: scope().organisation,
        project: scope().project,
        version,
        issued: NOW,
        roots: roots.iter().map(|k| k.public_key()).collect(),
        revoked: revoked.iter().map(|k| k.public_key()).collect(),
    }
}

fn certify(root: &KeyPair, key: &KeyPair) -> String {
    let certificate = KeyCertificate {
        key: key.public_key(),
        organisation: scope().organisation,
        project: scope().project,
        issued: NOW,
        expires: None,
    };
    envelope::certify(root, certificate).unwrap().to_line()
}

fn attest(key: &KeyPair) -> String {
    let attestation = Attestation {
        publication: "p".into(),
        scope: scope(),
        set: "chat".parse().unwrap(),
        version: "1.0.0".parse().unwrap(),
        serial: 3,
        size: BODY.len() as u64,
        issued: NOW,
        expires: None,
        previous: None,
        author: "ada".into(),
        approver: None,
        publisher: "cleo".into(),
    };
    envelope::attest(key, Digest::of(BODY), attestation).unwrap().to_line()
}

fn believes(trust: &Trust, root: &KeyPair, key: &KeyPair) -> Result<(), TrustError> {
    trust.verify(&certify(root, key), &attest(key), BODY, NOW).map(|_| ())
}

#[test]
fn an_agent_that_slept_through_two_rotations_of_the_root_follows_them() {
    let (a, b, c, key) = (root(), root(), root(), KeyPair::new_account());
    let trust = Trust::new(vec![a.public_key()], scope());
    let first = envelope::list(&[&a, &b], list(1, &[&b, &a], &[])).unwrap();
    let second = envelope::list(&[&b, &c], list(2, &[&c], &[&a, &b])).unwrap();
    assert!(matches!(believes(&trust, &c, &key), Err(TrustError::UnknownKey { .. })));

    assert!(trust.advance(&chain(&[first.clone(), second.clone()])).unwrap());
    assert_eq!((trust.version(), trust.roots()), (2, vec![c.public_key()]));
    believes(&trust, &c, &key).unwrap();
    assert!(matches!(believes(&trust, &a, &key), Err(TrustError::Revoked { .. })));
    // The same again, and what is older, change nothing.
    assert!(!trust.advance(&chain(&[first.clone(), second])).unwrap());
    assert!(trust.advance(&chain(&[first])).is_err(), "a root that is gone leads nowhere");
    assert_eq!(trust.version(), 2);
}

#[test]
fn a_root_that_is_only_retired_still_counts() {
    let (a, b, key) = (root(), root(), KeyPair::new_account());
    let trust = Trust::new(vec![a.public_key()], scope());
    trust.advance(&chain(&[envelope::list(&[&a, &b], list(1, &[&b, &a], &[])).unwrap()])).unwrap();
    believes(&trust, &a, &key).unwrap();
    believes(&trust, &b, &key).unwrap();
    // An agent made after the rotation begins with both roots and knows no list.
    let young = Trust::new(vec![b.public_key(), a.public_key()], scope());
    believes(&young, &a, &key).unwrap();
}

#[test]
fn a_revoked_publishing_key_is_refused_from_then_on_and_what_it_signed_before_stays_readable() {
    let (a, key, next) = (root(), KeyPair::new_account(), KeyPair::new_account());
    let trust = Trust::new(vec![a.public_key()], scope());
    believes(&trust, &a, &key).unwrap();
    trust.advance(&chain(&[envelope::list(&[&a], list(1, &[&a], &[&key])).unwrap()])).unwrap();
    let refused = believes(&trust, &a, &key).unwrap_err();
    assert!(matches!(&refused, TrustError::Revoked { what: "publishing key", .. }), "{refused}");
    believes(&trust, &a, &next).unwrap();
    trust.verify_kept(&certify(&a, &key), &attest(&key), BODY, NOW).unwrap();
    // Nobody can take a revocation back with a later list.
    trust.advance(&chain(&[envelope::list(&[&a], list(2, &[&a], &[])).unwrap()])).unwrap();
    assert!(trust.is_revoked(&key.public_key()));
}

#[test]
fn a_list_that_is_forged_replayed_or_of_another_project_changes_nothing() {
    let (a, evil, key) = (root(), root(), KeyPair::new_account());
    let trust = Trust::new(vec![a.public_key()], scope());
    let forged = envelope::list(&[&evil], list(9, &[&evil], &[])).unwrap();
    assert!(matches!(trust.advance(&chain(&[forged])), Err(TrustError::UnknownKey { .. })));
    // A publishing key is no root.
    let by_key = envelope::list(&[&key], list(9, &[&evil], &[])).unwrap();
    assert!(trust.advance(&chain(&[by_key])).is_err());
    let mut elsewhere = list(9, &[&a], &[]);
    elsewhere.project = "other".parse().unwrap();
    let elsewhere = envelope::list(&[&a], elsewhere).unwrap();
    assert!(matches!(trust.advance(&chain(&[elsewhere])), Err(TrustError::WrongSubject { .. })));
    let nobody = envelope::list(&[&a], list(9, &[], &[])).unwrap();
    assert!(matches!(trust.advance(&chain(&[nobody])), Err(TrustError::Malformed { .. })));
    // A certificate is no trust list, though a root signed it.
    let other_kind: Envelope = serde_json::from_str(&certify(&a, &key)).unwrap();
    assert!(matches!(trust.advance(&chain(&[other_kind])), Err(TrustError::WrongSubject { .. })));
    let good = envelope::list(&[&a], list(1, &[&a], &[])).unwrap();
    let mut flipped = good.clone();
    let sig = &mut flipped.signatures[0].sig;
    let other = if sig.starts_with('A') { "B" } else { "A" };
    sig.replace_range(0..1, other);
    assert!(matches!(trust.advance(&chain(&[flipped])), Err(TrustError::BadSignature(_))));
    for line in ["", "[]", "{}", "[1]", "null", &chain(&vec![good.clone(); 65]), &" ".repeat(70_000)] {
        assert!(trust.advance(line).is_err(), "{line:.40}");
    }
    assert_eq!((trust.version(), trust.roots()), (0, vec![a.public_key()]));
    // One bad link spoils the chain as a whole.
    let bad = envelope::list(&[&a], list(2, &[], &[])).unwrap();
    assert!(trust.advance(&chain(&[good, bad])).is_err());
    assert_eq!(trust.version(), 0);
}

#[test]
fn an_answer_to_an_enrolment_fits_one_request_and_one_answer() {
    let (a, key) = (root(), KeyPair::new_account());
    let trust = Trust::new(vec![a.public_key()], scope());
    let heartbeat = |scope| Heartbeat {
        scope,
        issued: NOW,
        period_ms: 10_000,
        heads: Vec::new(),
        trust: 0,
        max_age: None,
        orders: Vec::new(),
    };
    let enrolment = |scope| Enrolment {
        agent: "a".parse().unwrap(),
        request: Digest::of(b"request"),
        status_ms: 12_000,
        heartbeat: heartbeat(scope),
    };
    let line = envelope::enrol(&key, Digest::of(b"answer"), enrolment(scope())).unwrap().to_line();
    let check = |line: &str, answer: &[u8], request: &[u8]| {
        trust.verify_enrolment(&certify(&a, &key), line, answer, Digest::of(request), NOW).map(|_| ())
    };
    check(&line, b"answer", b"request").unwrap();
    assert!(matches!(check(&line, b"other", b"request"), Err(TrustError::DigestMismatch { .. })));
    assert!(matches!(check(&line, b"answer", b"other"), Err(TrustError::WrongSubject { .. })));
    let dev = Scope::new("acme", "support", "dev").unwrap();
    let elsewhere = envelope::enrol(&key, Digest::of(b"answer"), enrolment(dev)).unwrap().to_line();
    assert!(matches!(check(&elsewhere, b"answer", b"request"), Err(TrustError::WrongSubject { .. })));
    let beat = envelope::beat(&key, heartbeat(scope())).unwrap().to_line();
    assert!(check(&beat, b"answer", b"request").is_err());
}

#[test]
fn of_several_signatures_one_good_one_of_a_trusted_key_counts_and_no_other() {
    let (root, key, stranger) = (root(), KeyPair::new_account(), KeyPair::new_operator());
    let trust = Trust::new(vec![root.public_key()], scope());
    let good: Envelope = serde_json::from_str(&certify(&root, &key)).unwrap();
    let foreign: Envelope = serde_json::from_str(&certify(&stranger, &key)).unwrap();
    let with = |signatures: Vec<Signature>| {
        let envelope = Envelope { signatures, ..good.clone() };
        trust.publishing_key(&envelope.to_line(), NOW).map(|found| found.root)
    };
    let (good_one, foreign_one) = (good.signatures[0].clone(), foreign.signatures[0].clone());
    let broken = Signature { sig: foreign_one.sig.clone(), ..good_one.clone() };
    let no_base64 = Signature { sig: "%".into(), ..good_one.clone() };
    // Beside others, broken ones under its own name too, in every order, the good one counts.
    for beside in [vec![], vec![foreign_one.clone()], vec![broken.clone(), no_base64.clone()]] {
        let before: Vec<_> = [beside.clone(), vec![good_one.clone()]].concat();
        let after: Vec<_> = [vec![good_one.clone()], beside].concat();
        assert_eq!(with(before), Ok(root.public_key()));
        assert_eq!(with(after), Ok(root.public_key()));
    }
    assert!(matches!(with(vec![broken.clone()]), Err(TrustError::BadSignature(_))));
    assert!(matches!(with(vec![broken.clone(), foreign_one.clone()]), Err(TrustError::BadSignature(_))));
    assert!(matches!(with(vec![foreign_one]), Err(TrustError::UnknownKey { .. })));
    assert!(matches!(with(vec![]), Err(TrustError::UnknownKey { .. })));
    // A key whose name is a trusted one's, and endless signatures.
    assert!(matches!(with(vec![broken; 200]), Err(TrustError::BadSignature(_))));
}

#[test]
fn a_list_that_leaves_no_root_is_not_followed() {
    let root = root();
    let trust = Trust::new(vec![root.public_key()], scope());
    let none = chain(&[envelope::list(&[&root], list(1, &[&root], &[&root])).unwrap()]);
    assert!(matches!(trust.advance(&none), Err(TrustError::Malformed { .. })));
    assert_eq!((trust.version(), trust.roots()), (0, vec![root.public_key()]));
}

#[test]
fn what_is_kept_of_the_lists_leads_back_to_the_same_trust() {
    let (first, second, third) = (root(), KeyPair::new_operator(), KeyPair::new_operator());
    let (stolen, other) = (KeyPair::new_account(), KeyPair::new_account());
    let link = |version, by: &[&KeyPair], roots: &[&KeyPair], revoked: &[&KeyPair]| {
        envelope::list(by, list(version, roots, revoked)).unwrap()
    };
    let to_second = link(1, &[&first, &second], &[&second, &first], &[]);
    let revoked = link(2, &[&second], &[&second, &first], &[&stolen]);
    let more = link(3, &[&second], &[&second], &[&stolen, &other, &first]);
    // A link that names no revocation does not end those that were heard.
    let to_third = link(4, &[&second, &third], &[&third, &second], &[]);
    let trust = Trust::new(vec![first.public_key()], scope());
    for part in [&to_second, &revoked, &more, &to_third] {
        // Each comes alone: the broker leaves out what is known.
        assert_eq!(trust.advance(&chain(std::slice::from_ref(part))), Ok(true));
    }
    let again = Trust::new(vec![first.public_key()], scope());
    assert_eq!(again.advance(&trust.chain().unwrap()), Ok(true));
    assert_eq!((again.version(), again.roots()), (trust.version(), trust.roots()));
    for key in [&stolen, &other, &first] {
        assert!(again.is_revoked(&key.public_key()));
    }
    // And nothing is kept that is not needed for it.
    assert!(!trust.chain().unwrap().contains(&revoked.payload));
    assert_eq!(again.chain(), trust.chain());
}

#[test]
fn a_word_about_thousands_of_sets_is_read_and_one_too_long_is_not_signed() {
    let (root, key) = (root(), KeyPair::new_account());
    let trust = Trust::new(vec![root.public_key()], scope());
    let heartbeat = |sets: u64| Heartbeat {
        scope: scope(),
        issued: NOW,
        period_ms: 10_000,
        heads: (0..sets)
            .map(|n| envelope::Head {
                set: format!("a-set-with-a-name-{n}").parse().unwrap(),
                serial: n,
                digest: Digest::of(BODY),
            })
            .collect(),
        trust: 0,
        orders: Vec::new(),
        max_age: None,
    };
    let line = envelope::beat(&key, heartbeat(4_000)).unwrap().to_line();
    let (found, _) = trust.verify_heartbeat(&certify(&root, &key), &line, NOW).unwrap();
    assert_eq!(found.heads.len(), 4_000);
    assert!(matches!(envelope::beat(&key, heartbeat(20_000)), Err(TrustError::Malformed { .. })));
}
