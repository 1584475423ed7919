//! Signed statements: DSSE envelopes (the standard of in-toto and sigstore) around in-toto v1
//! statements, and the chain that an agent checks.
//!
//! ```text
//! root key ──certifies──▶ publishing key of a project ──signs──▶ attestation of a publication
//!   (in the agent's connect file)  (header Forge-Key)              (header Forge-Attestation)
//!                                                     ├─signs──▶ heartbeat: the head of every set
//!                                                     └─signs──▶ answer to an enrolment
//! root key ──signs──▶ trust list: the next roots, and the keys that are revoked (header Forge-Trust)
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | `statement` | each kind of statement, and how one is signed |
//! | `trust` | what an agent trusts, how that changes, and the check of every chain |
//!
//! Keys are nkeys (Ed25519). A signature is over the pre-authentication encoding of DSSE v1, so the
//! payload type is signed too and one kind of statement can never pass for another.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nkeys::KeyPair;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::canonical::{self, Digest};

mod statement;
mod trust;

pub use statement::{
    AgeAction, Attestation, Enrolment, Head, Heartbeat, KeyCertificate, MaxAge, ModeOrder, ORDERS_MAX,
    OrderTarget, TrustList, attest, beat, certify, enrol, list, publication_name,
};
pub use trust::{Certified, Trust, Verified};

/// DSSE payload type of every statement (in-toto).
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// `_type` of every statement.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// Largest envelope that is read, in bytes.
pub const ENVELOPE_MAX: usize = 64 * 1024;
/// Longest envelope that names every set of an environment, in bytes: some thousand sets.
pub const HEADS_MAX: usize = 1024 * 1024;
/// Signatures of an envelope that are looked at: each costs a verification.
const SIGNATURES_MAX: usize = 8;

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
    #[error("the {what} is of key {key}, which was revoked")]
    Revoked { what: &'static str, key: String },
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
    /// Longest envelope of this kind, as a line, in bytes.
    const MAX: usize = ENVELOPE_MAX;
}

/// Whether `signature`, in base64, is that of `key` under what is encoded.
fn is_signed(key: &str, encoded: &[u8], signature: &str) -> bool {
    let Ok(bytes) = STANDARD.decode(signature) else { return false };
    KeyPair::from_public_key(key).is_ok_and(|key| key.verify(encoded, &bytes).is_ok())
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
/// [`TrustError::Malformed`] where the predicate has no JSON form, is longer than what is read, or
/// the key cannot sign.
pub fn sign<P: Predicate>(
    key: &KeyPair,
    name: String,
    digest: Digest,
    predicate: P,
) -> Result<Envelope, TrustError> {
    sign_by_all(&[key], name, digest, predicate)
}

/// As [`sign`], by several keys: who trusts one of them believes it.
///
/// # Errors
/// As [`sign`].
pub fn sign_by_all<P: Predicate>(
    keys: &[&KeyPair],
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
    let encoding = pre_authentication_encoding(PAYLOAD_TYPE, &payload);
    let signatures = keys
        .iter()
        .map(|key| {
            let signature = key.sign(&encoding).map_err(|e| malformed(e.to_string()))?;
            Ok(Signature { keyid: key.public_key(), sig: STANDARD.encode(signature) })
        })
        .collect::<Result<_, TrustError>>()?;
    let envelope =
        Envelope { payload_type: PAYLOAD_TYPE.into(), payload: STANDARD.encode(payload), signatures };
    let length = envelope.to_line().len();
    if length > P::MAX {
        return Err(malformed(format!("it would have {length} bytes, at most {} are read", P::MAX)));
    }
    Ok(envelope)
}

impl Subject {
    /// The digest, if it is that of `bytes`.
    fn is_of(&self, what: &'static str, bytes: &[u8]) -> Result<Digest, TrustError> {
        let expected = Digest::from_hex(&self.digest.sha256)
            .map_err(|e| TrustError::Malformed { what, why: e.to_string() })?;
        let found = Digest::of(bytes);
        if expected == found { Ok(found) } else { Err(TrustError::DigestMismatch { expected, found }) }
    }
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
        Ok(Self::from_line::<P>(line)?.statement::<P>(trusted)?.0)
    }

    /// Reads an envelope, checking nothing; `P` is for the error.
    fn from_line<P: Predicate>(line: &str) -> Result<Self, TrustError> {
        let malformed = |why: String| TrustError::Malformed { what: P::WHAT, why };
        if line.len() > P::MAX {
            return Err(malformed(format!("{} bytes, at most {} are read", line.len(), P::MAX)));
        }
        serde_json::from_str(line).map_err(|e| malformed(e.to_string()))
    }

    /// The statement, and which of `trusted` signed it.
    fn statement<P: Predicate>(&self, trusted: &[&str]) -> Result<(Statement<P>, String), TrustError> {
        let malformed = |why: String| TrustError::Malformed { what: P::WHAT, why };
        if self.payload_type != PAYLOAD_TYPE {
            return Err(malformed("unknown payload type".into()));
        }
        let payload = STANDARD.decode(&self.payload).map_err(|e| malformed(e.to_string()))?;
        let encoded = pre_authentication_encoding(PAYLOAD_TYPE, &payload);
        let (mut signed_by, mut broken) = (None, false);
        for signature in self.signatures.iter().take(SIGNATURES_MAX) {
            let Some(key) = trusted.iter().find(|key| **key == signature.keyid) else { continue };
            if is_signed(key, &encoded, &signature.sig) {
                signed_by = Some(*key);
                break;
            }
            broken = true;
        }
        let key = signed_by.ok_or_else(|| {
            if broken {
                return TrustError::BadSignature(P::WHAT);
            }
            let first = self.signatures.first().map_or("none", |s| s.keyid.as_str());
            TrustError::UnknownKey { what: P::WHAT, key: first.chars().take(64).collect() }
        })?;
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
        let statement = serde_json::from_slice(&payload).map_err(|e| malformed(e.to_string()))?;
        Ok((statement, key.to_owned()))
    }
}
