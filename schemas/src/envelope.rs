//! Signed statements: DSSE envelopes (the standard of in-toto and sigstore) around in-toto v1
//! statements, and the chain that an agent checks.
//!
//! ```text
//! root key ──certifies──▶ publishing key of a project ──signs──▶ attestation of a publication
//!   (in the agent's connect file)  (header Forge-Key)              (header Forge-Attestation)
//!                                                     └─signs──▶ heartbeat: the head of every set
//! ```
//!
//! Keys are nkeys (Ed25519). A signature is over the pre-authentication encoding of DSSE v1, so the
//! payload type is signed too and one kind of statement can never pass for another.

use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nkeys::KeyPair;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Micros;
use crate::canonical::{self, Digest};
use crate::names::{Scope, Slug};

/// DSSE payload type of every statement (in-toto).
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// `_type` of every statement.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// Largest envelope that is read, in bytes.
pub const ENVELOPE_MAX: usize = 64 * 1024;

/// Why a signed statement was not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    #[error("the {0} is missing")]
    Missing(&'static str),
    #[error("the {what} is not a DSSE envelope of an in-toto statement: {why}")]
    Malformed { what: &'static str, why: String },
    #[error("the {what} is signed by key {key}, which is not trusted here")]
    UnknownKey { what: &'static str, key: String },
    #[error("the signature of the {0} does not fit its content")]
    BadSignature(&'static str),
    #[error("the {what} speaks of {found}, not of {expected}")]
    WrongSubject { what: &'static str, expected: String, found: String },
    #[error("the body has digest {found}, the attestation says {expected}")]
    DigestMismatch { expected: Digest, found: Digest },
    #[error("the body has {found} bytes, the attestation says {expected}")]
    SizeMismatch { expected: u64, found: u64 },
    #[error("the {what} expired")]
    Expired { what: &'static str },
}

/// A DSSE envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Envelope {
    #[serde(rename = "payloadType")]
    pub payload_type: String,
    /// Standard base64 of the statement.
    pub payload: String,
    pub signatures: Vec<Signature>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Signature {
    /// The public nkey that signed.
    pub keyid: String,
    /// Standard base64 of the Ed25519 signature.
    pub sig: String,
}

/// An in-toto v1 statement with one of our predicates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Statement<P> {
    #[serde(rename = "_type")]
    pub statement_type: String,
    pub subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    pub predicate: P,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Subject {
    pub name: String,
    pub digest: SubjectDigest,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SubjectDigest {
    /// 64 lower-case hexadecimal digits.
    pub sha256: String,
}

/// A kind of statement of ours.
pub trait Predicate: Serialize + DeserializeOwned {
    /// `predicateType`.
    const TYPE: &'static str;
    /// What error texts call it.
    const WHAT: &'static str;
}

/// Who published which bytes where, as which serial (header `Forge-Attestation`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attestation {
    /// The publication's id, which is also the message id on the stream.
    pub publication: String,
    pub scope: Scope,
    pub set: Slug,
    #[schemars(with = "String")]
    pub version: semver::Version,
    /// Only grows, per scope and set.
    pub serial: u64,
    /// Size of the body in bytes.
    pub size: u64,
    pub issued: Micros,
    /// After it the content is too old to be taken up newly; none means never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Micros>,
    /// Digest of the body published under the serial before, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    pub author: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver: Option<String>,
    pub publisher: String,
}
impl Predicate for Attestation {
    const TYPE: &'static str = "https://anvil.dev/attestation/publication/v1";
    const WHAT: &'static str = "attestation";
}

/// The root's word that a key may publish for a project (header `Forge-Key`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyCertificate {
    /// The public nkey that may sign attestations and heartbeats.
    pub key: String,
    pub organisation: Slug,
    pub project: Slug,
    pub issued: Micros,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Micros>,
}
impl Predicate for KeyCertificate {
    const TYPE: &'static str = "https://anvil.dev/attestation/publishing-key/v1";
    const WHAT: &'static str = "key certificate";
}

/// FORGE's word on what the newest serial of each set is (subject `…ctl.heartbeat`). An agent that
/// does not hear it for two periods, or hears of a serial that it cannot get, is stale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Heartbeat {
    pub scope: Scope,
    pub issued: Micros,
    /// Time until the next one, in milliseconds.
    pub period_ms: u64,
    pub heads: Vec<Head>,
}
impl Predicate for Heartbeat {
    const TYPE: &'static str = "https://anvil.dev/attestation/heartbeat/v1";
    const WHAT: &'static str = "heartbeat";
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Head {
    pub set: Slug,
    pub serial: u64,
    pub digest: Digest,
}

/// The DSSE v1 pre-authentication encoding of a payload.
fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + payload_type.len() + 32);
    out.extend_from_slice(
        format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).as_bytes(),
    );
    out.extend_from_slice(payload);
    out
}

/// Signs a statement about `name` with `digest`.
///
/// # Errors
/// [`TrustError::Malformed`] where the predicate has no JSON form or the key cannot sign.
pub fn sign<P: Predicate>(
    key: &KeyPair,
    name: String,
    digest: Digest,
    predicate: P,
) -> Result<Envelope, TrustError> {
    let malformed = |why: String| TrustError::Malformed { what: P::WHAT, why };
    let statement = Statement {
        statement_type: STATEMENT_TYPE.into(),
        subject: vec![Subject { name, digest: SubjectDigest { sha256: digest.hex() } }],
        predicate_type: P::TYPE.into(),
        predicate,
    };
    let payload = canonical::to_canonical(&statement).map_err(|e| malformed(e.to_string()))?;
    let signature = key
        .sign(&pre_authentication_encoding(PAYLOAD_TYPE, &payload))
        .map_err(|e| malformed(e.to_string()))?;
    Ok(Envelope {
        payload_type: PAYLOAD_TYPE.into(),
        payload: STANDARD.encode(payload),
        signatures: vec![Signature { keyid: key.public_key(), sig: STANDARD.encode(signature) }],
    })
}

impl Envelope {
    /// One line of JSON, fit for a header.
    #[must_use]
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Checks that one of `trusted` signed this, that it is a `P`, and gives its statement.
    ///
    /// # Errors
    /// Malformed, signed by a stranger, or not fitting its signature.
    pub fn open<P: Predicate>(line: &str, trusted: &[&str]) -> Result<Statement<P>, TrustError> {
        let malformed = |why: String| TrustError::Malformed { what: P::WHAT, why };
        if line.len() > ENVELOPE_MAX {
            return Err(malformed(format!("{} bytes, at most {ENVELOPE_MAX} are read", line.len())));
        }
        let envelope: Self = serde_json::from_str(line).map_err(|e| malformed(e.to_string()))?;
        if envelope.payload_type != PAYLOAD_TYPE {
            return Err(malformed("unknown payload type".into()));
        }
        let payload = STANDARD.decode(&envelope.payload).map_err(|e| malformed(e.to_string()))?;
        let (signature, key) = envelope
            .signatures
            .iter()
            .find_map(|s| trusted.iter().find(|t| **t == s.keyid).map(|t| (s, *t)))
            .ok_or_else(|| TrustError::UnknownKey {
                what: P::WHAT,
                key: envelope
                    .signatures
                    .first()
                    .map_or("none", |s| s.keyid.as_str())
                    .chars()
                    .take(64)
                    .collect(),
            })?;
        let bytes = STANDARD.decode(&signature.sig).map_err(|e| malformed(e.to_string()))?;
        KeyPair::from_public_key(key)
            .and_then(|k| k.verify(&pre_authentication_encoding(PAYLOAD_TYPE, &payload), &bytes))
            .map_err(|_| TrustError::BadSignature(P::WHAT))?;
        // The kind first, without its content: a statement of another kind is named as such.
        #[derive(Deserialize)]
        struct Kind {
            #[serde(rename = "_type")]
            statement_type: String,
            #[serde(rename = "predicateType")]
            predicate_type: String,
        }
        let kind: Kind = serde_json::from_slice(&payload).map_err(|e| malformed(e.to_string()))?;
        if kind.statement_type != STATEMENT_TYPE || kind.predicate_type != P::TYPE {
            return Err(TrustError::WrongSubject {
                what: P::WHAT,
                expected: P::TYPE.into(),
                found: kind.predicate_type.chars().take(120).collect(),
            });
        }
        serde_json::from_slice(&payload).map_err(|e| malformed(e.to_string()))
    }
}

/// The subject name of a publication's statement: `org/project/environment/set@version`.
#[must_use]
pub fn publication_name(attestation: &Attestation) -> String {
    format!("{}/{}@{}", attestation.scope, attestation.set, attestation.version)
}

/// Signs the attestation of a publication of `body_digest`.
///
/// # Errors
/// As [`sign`].
pub fn attest(key: &KeyPair, body_digest: Digest, attestation: Attestation) -> Result<Envelope, TrustError> {
    let name = publication_name(&attestation);
    sign(key, name, body_digest, attestation)
}

/// Signs the root's certificate of a publishing key.
///
/// # Errors
/// As [`sign`].
pub fn certify(root: &KeyPair, certificate: KeyCertificate) -> Result<Envelope, TrustError> {
    let digest = Digest::of(certificate.key.as_bytes());
    sign(root, certificate.key.clone(), digest, certificate)
}

/// Signs a heartbeat.
///
/// # Errors
/// As [`sign`].
pub fn beat(key: &KeyPair, heartbeat: Heartbeat) -> Result<Envelope, TrustError> {
    let digest = Digest::of(heartbeat.scope.to_string().as_bytes());
    sign(key, heartbeat.scope.to_string(), digest, heartbeat)
}

/// What an agent trusts: root keys, and the scope it was made for.
#[derive(Debug)]
pub struct Trust {
    /// Public nkeys of the FORGE root; more than one while it is being rotated.
    roots: Vec<String>,
    scope: Scope,
    /// The certificate that was opened last, as its line and content: nearly every message bears
    /// the same one, and a signature costs more than the rest of the check.
    opened: Mutex<Option<(String, KeyCertificate)>>,
}

/// A publication whose whole chain was verified against its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    pub attestation: Attestation,
    pub digest: Digest,
    /// The publishing key that signed.
    pub key: String,
}

impl Trust {
    #[must_use]
    pub fn new(roots: Vec<String>, scope: Scope) -> Self {
        Self { roots, scope, opened: Mutex::new(None) }
    }

    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// What a root signed in `certificate`; asked for the same line again, the answer is remembered.
    fn certified(&self, certificate: &str) -> Result<KeyCertificate, TrustError> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((line, found)) = opened.as_ref()
            && line == certificate
        {
            return Ok(found.clone());
        }
        let roots: Vec<&str> = self.roots.iter().map(String::as_str).collect();
        let found = Envelope::open::<KeyCertificate>(certificate, &roots)?.predicate;
        *opened = Some((certificate.to_owned(), found.clone()));
        Ok(found)
    }

    /// Opens a key certificate: signed by a root, for this project, not expired at `now`.
    ///
    /// # Errors
    /// Every link that does not hold.
    pub fn publishing_key(&self, certificate: &str, now: Micros) -> Result<KeyCertificate, TrustError> {
        let found = self.certified(certificate)?;
        if found.organisation != self.scope.organisation || found.project != self.scope.project {
            return Err(TrustError::WrongSubject {
                what: KeyCertificate::WHAT,
                expected: format!("{}/{}", self.scope.organisation, self.scope.project),
                found: format!("{}/{}", found.organisation, found.project),
            });
        }
        if found.expires.is_some_and(|at| at <= now) {
            return Err(TrustError::Expired { what: KeyCertificate::WHAT });
        }
        Ok(found)
    }

    /// Verifies a publication: the chain from the root, the scope, size and digest of `body`.
    ///
    /// `body` is the canonical body, after decompression. Whether the serial is new enough is the
    /// caller's to decide: only the agent knows what it had.
    ///
    /// # Errors
    /// Every link that does not hold.
    pub fn verify(
        &self,
        certificate: &str,
        attestation: &str,
        body: &[u8],
        now: Micros,
    ) -> Result<Verified, TrustError> {
        let key = self.publishing_key(certificate, now)?.key;
        let statement = Envelope::open::<Attestation>(attestation, &[&key])?;
        let found = statement.predicate;
        if found.scope != self.scope {
            return Err(TrustError::WrongSubject {
                what: Attestation::WHAT,
                expected: self.scope.to_string(),
                found: found.scope.to_string(),
            });
        }
        let size = body.len() as u64;
        if found.size != size {
            return Err(TrustError::SizeMismatch { expected: found.size, found: size });
        }
        let subject = statement.subject.first().ok_or(TrustError::Missing("subject of the attestation"))?;
        let expected = Digest::from_hex(&subject.digest.sha256)
            .map_err(|e| TrustError::Malformed { what: Attestation::WHAT, why: e.to_string() })?;
        let digest = Digest::of(body);
        if expected != digest {
            return Err(TrustError::DigestMismatch { expected, found: digest });
        }
        if subject.name != publication_name(&found) {
            return Err(TrustError::WrongSubject {
                what: Attestation::WHAT,
                expected: publication_name(&found),
                found: subject.name.chars().take(200).collect(),
            });
        }
        if found.expires.is_some_and(|at| at <= now) {
            return Err(TrustError::Expired { what: Attestation::WHAT });
        }
        Ok(Verified { attestation: found, digest, key })
    }

    /// Verifies a heartbeat for this scope. `certificate` is its header `Forge-Key`.
    ///
    /// # Errors
    /// Every link that does not hold.
    pub fn verify_heartbeat(
        &self,
        certificate: &str,
        heartbeat: &str,
        now: Micros,
    ) -> Result<Heartbeat, TrustError> {
        let key = self.publishing_key(certificate, now)?.key;
        let found = Envelope::open::<Heartbeat>(heartbeat, &[&key])?.predicate;
        if found.scope != self.scope {
            return Err(TrustError::WrongSubject {
                what: Heartbeat::WHAT,
                expected: self.scope.to_string(),
                found: found.scope.to_string(),
            });
        }
        Ok(found)
    }
}
