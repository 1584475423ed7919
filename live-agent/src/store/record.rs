//! What a record of the store looks like: a tag, the digest of key and content, the content.
//!
//! ```text
//! "AVR1"  64 hexadecimal digits of SHA-256(key ‖ 0 ‖ content)  content
//! ```
//!
//! A bundle's content is the length of its head (4 bytes, little endian), the head as JSON, and the
//! exact bytes that came over the wire. Any flipped bit is found here; signatures are checked again
//! by whoever takes a bundle up.

use std::collections::BTreeMap;

use bytes::Bytes;
use schemas::canonical::Digest;
use schemas::envelope::MaxAge;
use schemas::status::{Mode, ModeSource, OrderAnswer};
use schemas::{Micros, Scope, Slug, Version};
use serde::{Deserialize, Serialize};

use crate::agent::Floors;
use crate::config::Pins;
use crate::verify::Message;

const TAG: &[u8] = b"AVR1";
const HEX: usize = 64;
/// Version of [`State`] and of a bundle's head.
pub(crate) const FORMAT: u32 = 1;

/// A record that is not what was written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    #[error("the record is damaged")]
    Damaged,
    #[error("the record has format {0}, which this program does not read: update it")]
    Format(u32),
}

/// What the agent must remember beside the bundles.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) format: u32,
    pub(crate) scope: Scope,
    pub(crate) mode: Mode,
    /// Stream sequence up to which everything was seen.
    pub(crate) floor: u64,
    /// When FORGE or the broker was last known to agree with what is here.
    #[serde(default)]
    pub(crate) contact: Option<Micros>,
    /// The chain of trust lists that leads from the connect file to what holds.
    #[serde(default)]
    pub(crate) trust: Option<String>,
    #[serde(default)]
    pub(crate) word: Word,
    /// How far each set came.
    #[serde(default)]
    pub(crate) floors: BTreeMap<Slug, SavedFloors>,
    #[serde(default)]
    pub(crate) orders: Orders,
    /// The pins that were set while an agent ran, or by command.
    #[serde(default)]
    pub(crate) pins: Pins,
}

/// Who set the mode, and how far FORGE's orders were dealt with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Orders {
    #[serde(default)]
    pub(crate) by: ModeSource,
    /// The highest number that was dealt with, of each signer: what a revoked key ordered must not keep
    /// FORGE from ordering.
    #[serde(default)]
    pub(crate) dealt: Floors,
    #[serde(default)]
    pub(crate) answer: Option<OrderAnswer>,
}

/// What is remembered of FORGE's word.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Word {
    /// When the newest one was written, by FORGE's clock, and by whose keys.
    pub(crate) issued: Micros,
    pub(crate) key: String,
    pub(crate) root: String,
    pub(crate) confirmed: Option<Micros>,
    pub(crate) max_age: Option<MaxAge>,
}

/// What was announced of a set, and taken up, by whose keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedFloors {
    #[serde(default)]
    pub(crate) heads: Floors,
    #[serde(default)]
    pub(crate) taken: Floors,
}

impl State {
    pub(crate) fn new(scope: Scope, mode: Mode, floor: u64, contact: Option<Micros>) -> Self {
        Self {
            format: FORMAT,
            scope,
            mode,
            floor,
            contact,
            trust: None,
            word: Word::default(),
            floors: BTreeMap::new(),
            orders: Orders::default(),
            pins: Pins::new(),
        }
    }

    /// The same, with everything to be fetched again.
    pub(crate) fn without_floor(&self) -> Self {
        Self { floor: 0, ..self.clone() }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let state: Self = serde_json::from_slice(bytes).map_err(|_| RecordError::Damaged)?;
        if state.format == FORMAT { Ok(state) } else { Err(RecordError::Format(state.format)) }
    }
}

/// A bundle as it is kept: what came, when it was taken up, and where it stood in the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) message: Message,
    pub(crate) activated_at: Micros,
}

#[derive(Serialize, Deserialize)]
struct Head {
    format: u32,
    set: Slug,
    version: Version,
    serial: u64,
    digest: Digest,
    #[serde(default)]
    publication: Option<String>,
    certificate: String,
    attestation: String,
    #[serde(default)]
    trust: Option<String>,
    #[serde(default)]
    encoding: Option<String>,
    sequence: u64,
    activated_at: Micros,
}

impl Kept {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let m = &self.message;
        let head = Head {
            format: FORMAT,
            set: m.set.clone(),
            version: m.version.clone(),
            serial: m.serial,
            digest: m.digest,
            publication: m.publication.clone(),
            certificate: m.certificate.clone(),
            attestation: m.attestation.clone(),
            trust: m.trust.clone(),
            encoding: m.encoding.clone(),
            sequence: m.sequence,
            activated_at: self.activated_at,
        };
        let head = serde_json::to_vec(&head).unwrap_or_default();
        let mut out = Vec::with_capacity(4 + head.len() + m.wire.len());
        out.extend_from_slice(&u32::try_from(head.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(&head);
        out.extend_from_slice(&m.wire);
        out
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let (length, rest) = bytes.split_at_checked(4).ok_or(RecordError::Damaged)?;
        let length = u32::from_le_bytes(length.try_into().map_err(|_| RecordError::Damaged)?);
        let length = usize::try_from(length).map_err(|_| RecordError::Damaged)?;
        let (head, wire) = rest.split_at_checked(length).ok_or(RecordError::Damaged)?;
        let head: Head = serde_json::from_slice(head).map_err(|_| RecordError::Damaged)?;
        if head.format != FORMAT {
            return Err(RecordError::Format(head.format));
        }
        let message = Message {
            set: head.set,
            version: head.version,
            serial: head.serial,
            digest: head.digest,
            publication: head.publication,
            certificate: head.certificate,
            attestation: head.attestation,
            trust: head.trust,
            encoding: head.encoding,
            sequence: head.sequence,
            wire: Bytes::copy_from_slice(wire),
        };
        Ok(Self { message, activated_at: head.activated_at })
    }
}

fn digest(key: &str, content: &[u8]) -> String {
    let mut all = Vec::with_capacity(key.len() + 1 + content.len());
    all.extend_from_slice(key.as_bytes());
    all.push(0);
    all.extend_from_slice(content);
    Digest::of(&all).hex()
}

/// Puts content into the form it is stored in under `key`.
pub(crate) fn seal(key: &str, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(TAG.len() + HEX + content.len());
    out.extend_from_slice(TAG);
    out.extend_from_slice(digest(key, content).as_bytes());
    out.extend_from_slice(content);
    out
}

/// Takes the content out of a stored record, if not one bit of it changed.
pub(crate) fn unseal<'a>(key: &str, record: &'a [u8]) -> Result<&'a [u8], RecordError> {
    let rest = record.strip_prefix(TAG).ok_or(RecordError::Damaged)?;
    let (sum, content) = rest.split_at_checked(HEX).ok_or(RecordError::Damaged)?;
    if digest(key, content).as_bytes() == sum { Ok(content) } else { Err(RecordError::Damaged) }
}
