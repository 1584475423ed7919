//! Sending a publication: once, whatever happens on the way.
//!
//! The message carries the publication's id, and the sequence that the subject's last message must
//! have. Of two racing publishers one wins; a retry that meets its own message, even long after
//! the broker forgot its id, reads it back and counts it as done.

use std::time::Duration;

use async_nats::{HeaderMap, Message, Request};
use bytes::Bytes;
use nats_config::{header, subject, system};
use schemas::bundle::Encoding;
use schemas::canonical::Digest;
use schemas::{Scope, Slug, Version};
use serde::Deserialize;
use serde_json::json;

use crate::provision::{Broker, BrokerError};

/// How long a stored message's acknowledgement may take: it waits behind the fan-out.
pub const ACK_TIMEOUT: Duration = Duration::from_secs(40);
/// Times that a lost race is run again.
const ATTEMPTS: usize = 8;

const WRONG_LAST_SEQUENCE: [u64; 2] = [10_071, 10_164];
const MESSAGE_TOO_LARGE: u64 = 10_054;

/// A publication, ready to go.
#[derive(Debug, Clone)]
pub struct Outgoing {
    pub scope: Scope,
    pub set: Slug,
    /// The publication's id, which becomes the message id.
    pub publication: String,
    pub version: Version,
    pub serial: u64,
    pub digest: Digest,
    /// The body as it travels, in `encoding`.
    pub wire: Bytes,
    pub encoding: Encoding,
    /// The line of header `Forge-Key`.
    pub certificate: String,
    /// The line of header `Forge-Attestation`.
    pub attestation: String,
    /// The line of header `Forge-Trust`, if the project has one.
    pub trust: Option<String>,
    /// The sequence that the last message of the set must have (0: none). With none said, what is
    /// found there is expected, as long as its serial is lower.
    pub expected_last_subject_sequence: Option<u64>,
    /// The sequence of a message that stands at the end of the set and does not count, whatever serial it names: this
    /// publication goes over it.
    pub over: Option<u64>,
}

/// Where a publication stands in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    pub sequence: u64,
    /// It was there already.
    pub duplicate: bool,
}

/// The last message of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub sequence: u64,
    pub publication: String,
    pub serial: u64,
    /// What was signed of it, unverified: headers `Forge-Key` and `Forge-Attestation`.
    pub certificate: String,
    pub attestation: String,
}

/// Why a publication was not sent.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error("the broker cannot be reached; the publication waits")]
    Unreachable(#[source] BrokerError),
    #[error("the stream {stream} does not exist; it is made again")]
    NoStream { stream: String },
    #[error(
        "publication {} with serial {} was sent before; publish again to get a higher serial",
        _0.publication, _0.serial
    )]
    Superseded(Box<Head>),
    #[error("the last message of the set has sequence {found}, not {expected}: somebody else published")]
    Conflict { expected: u64, found: u64 },
    #[error(
        "the message has {found} bytes, the broker takes {limit}: split the prompt set or raise max_payload"
    )]
    TooLarge { found: usize, limit: usize },
    #[error("the broker refused the publication: {reason} (code {code})")]
    Refused { code: u64, reason: String },
    #[error("the publication does not fit into a message: {0}")]
    Header(String),
}

impl PublishError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::NoStream { .. })
    }
}

/// What the broker said of one attempt.
enum Outcome {
    Stored(Sent),
    /// Another message is the last one.
    Lost,
    /// Nobody knows: the acknowledgement did not come.
    Unknown(BrokerError),
}

impl Broker {
    /// Sends a publication, once: a message that is there already is not sent again.
    ///
    /// # Errors
    /// [`PublishError`]; after [`PublishError::Unreachable`] the message may or may not have been
    /// stored, and the same call finds out.
    pub async fn send(&self, outgoing: &Outgoing) -> Result<Sent, PublishError> {
        let (scope, set) = (&outgoing.scope, &outgoing.set);
        let subject = subject::bundle(scope, set);
        // Only a guess, which the broker checks; never a reason not to ask it.
        let mut known = self
            .remembered(&subject)
            .filter(|h| h.serial < outgoing.serial && outgoing.expected_last_subject_sequence.is_none());
        for _ in 0..ATTEMPTS {
            self.must_be_connected("publishing").map_err(PublishError::Unreachable)?;
            let head = match known.take() {
                Some(head) => Some(head),
                None => self.last(scope, set).await?,
            };
            if let Some(sent) = self.already_there(outgoing, head.as_ref()).await? {
                return Ok(sent);
            }
            let sequence = head.as_ref().map_or(0, |h| h.sequence);
            match self.attempt(outgoing, &subject, sequence).await? {
                Outcome::Stored(sent) => {
                    self.remember(
                        subject,
                        Head {
                            sequence: sent.sequence,
                            publication: outgoing.publication.clone(),
                            serial: outgoing.serial,
                            certificate: outgoing.certificate.clone(),
                            attestation: outgoing.attestation.clone(),
                        },
                    );
                    return Ok(sent);
                }
                Outcome::Lost => self.forget(&subject),
                Outcome::Unknown(error) => {
                    self.forget(&subject);
                    // Asked once more: the message may be there although its word got lost.
                    let head = self.last(scope, set).await.map_err(|_| PublishError::Unreachable(error))?;
                    if let Some(sent) = self.already_there(outgoing, head.as_ref()).await? {
                        return Ok(sent);
                    }
                }
            }
        }
        let reason = format!("lost {ATTEMPTS} races in a row");
        Err(PublishError::Refused { code: WRONG_LAST_SEQUENCE[0], reason })
    }

    /// The last message of a set: its sequence, publication and serial. None means none was sent.
    ///
    /// # Errors
    /// [`PublishError::Unreachable`], [`PublishError::NoStream`].
    pub async fn last(&self, scope: &Scope, set: &Slug) -> Result<Option<Head>, PublishError> {
        let query = json!({ "last_by_subj": subject::bundle(scope, set) });
        Ok(self.direct_get(scope, &query).await?.as_ref().and_then(head_of))
    }

    /// Whether a publication is in the stream, given the set's last message.
    async fn already_there(
        &self,
        outgoing: &Outgoing,
        head: Option<&Head>,
    ) -> Result<Option<Sent>, PublishError> {
        let Some(head) = head else { return self.expected(outgoing, 0).map(|()| None) };
        if head.publication == outgoing.publication {
            return Ok(Some(Sent { sequence: head.sequence, duplicate: true }));
        }
        if head.serial < outgoing.serial || outgoing.over == Some(head.sequence) {
            return self.expected(outgoing, head.sequence).map(|()| None);
        }
        // Something newer is there; ours may stand before it.
        let subject = subject::bundle(&outgoing.scope, &outgoing.set);
        let mut next = 1;
        while next < head.sequence {
            let query = json!({ "seq": next, "next_by_subj": subject });
            let Some(message) = self.direct_get(&outgoing.scope, &query).await? else { break };
            let Some(found) = head_of(&message) else { break };
            if found.publication == outgoing.publication {
                return Ok(Some(Sent { sequence: found.sequence, duplicate: true }));
            }
            next = found.sequence + 1;
        }
        Err(PublishError::Superseded(Box::new(head.clone())))
    }

    fn expected(&self, outgoing: &Outgoing, found: u64) -> Result<(), PublishError> {
        match outgoing.expected_last_subject_sequence {
            Some(expected) if expected != found => {
                self.forget(&subject::bundle(&outgoing.scope, &outgoing.set));
                Err(PublishError::Conflict { expected, found })
            }
            _ => Ok(()),
        }
    }

    async fn attempt(&self, outgoing: &Outgoing, subject: &str, last: u64) -> Result<Outcome, PublishError> {
        let request = Request::new()
            .headers(headers(outgoing, last)?)
            .payload(outgoing.wire.clone())
            .timeout(Some(ACK_TIMEOUT));
        let limit = self.inner.forge.max_payload();
        let answer = match self.ask(subject.to_owned(), request).await {
            Ok(answer) => answer,
            Err(error) if error.is_nobody() => {
                return Err(PublishError::NoStream { stream: subject::stream(&outgoing.scope) });
            }
            Err(error) if error.is_too_large() => {
                return Err(PublishError::TooLarge { found: outgoing.wire.len(), limit });
            }
            Err(error) => return Ok(Outcome::Unknown(error.into_error("publishing"))),
        };
        let ack: Ack = serde_json::from_slice(&answer.payload).map_err(|source| {
            PublishError::Unreachable(BrokerError::Answer { doing: "publishing", source })
        })?;
        match ack.error {
            None => Ok(Outcome::Stored(Sent { sequence: ack.seq, duplicate: ack.duplicate })),
            Some(e) if WRONG_LAST_SEQUENCE.contains(&e.err_code) => Ok(Outcome::Lost),
            Some(e) if e.err_code == MESSAGE_TOO_LARGE => Err(PublishError::TooLarge {
                found: outgoing.wire.len(),
                limit: nats_config::stream::MESSAGE_MAX.unsigned_abs() as usize,
            }),
            // 503: no leader yet, or the store is not ready.
            Some(e) if e.code == 503 => Err(PublishError::Unreachable(BrokerError::Refused {
                doing: "publishing",
                code: e.err_code,
                reason: e.description,
            })),
            Some(e) => Err(PublishError::Refused { code: e.err_code, reason: e.description }),
        }
    }

    async fn direct_get(
        &self,
        scope: &Scope,
        query: &serde_json::Value,
    ) -> Result<Option<Message>, PublishError> {
        let stream = subject::stream(scope);
        self.must_be_connected("reading a stream").map_err(PublishError::Unreachable)?;
        let request = Request::new().payload(query.to_string().into());
        let answer = match self.ask(system::direct_get(&stream), request).await {
            Ok(answer) => answer,
            Err(error) if error.is_nobody() => return Err(PublishError::NoStream { stream }),
            Err(error) => return Err(PublishError::Unreachable(error.into_error("reading a stream"))),
        };
        match answer.status.map(u16::from) {
            None => Ok(Some(answer)),
            Some(404) => Ok(None),
            Some(code) => Err(PublishError::Refused {
                code: code.into(),
                reason: answer.description.unwrap_or_else(|| "reading a stream".into()),
            }),
        }
    }

    fn remembered(&self, subject: &str) -> Option<Head> {
        self.heads().get(subject).cloned()
    }

    fn remember(&self, subject: String, head: Head) {
        self.heads().insert(subject, head);
    }

    fn forget(&self, subject: &str) {
        self.heads().remove(subject);
    }

    fn heads(&self) -> std::sync::MutexGuard<'_, std::collections::HashMap<String, Head>> {
        self.inner.heads.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[derive(Debug, Deserialize)]
struct Ack {
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    duplicate: bool,
    error: Option<ApiFailure>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ApiFailure {
    pub(crate) code: u64,
    #[serde(default)]
    pub(crate) err_code: u64,
    #[serde(default)]
    pub(crate) description: String,
}

fn headers(outgoing: &Outgoing, last: u64) -> Result<HeaderMap, PublishError> {
    let mut headers = HeaderMap::new();
    let mut put = |name: &'static str, value: &str| -> Result<(), PublishError> {
        let value: async_nats::HeaderValue = value.parse().map_err(|_| PublishError::Header(name.into()))?;
        headers.insert(name, value);
        Ok(())
    };
    put(header::SET, outgoing.set.as_str())?;
    put(header::VERSION, &outgoing.version.to_string())?;
    put(header::SERIAL, &outgoing.serial.to_string())?;
    put(header::DIGEST, &outgoing.digest.to_string())?;
    put(header::KEY, &outgoing.certificate)?;
    put(header::ATTESTATION, &outgoing.attestation)?;
    if let Some(trust) = &outgoing.trust {
        put(header::TRUST, trust)?;
    }
    put(header::CONTENT_ENCODING, outgoing.encoding.as_str())?;
    put(header::MESSAGE_ID, &outgoing.publication)?;
    put(header::EXPECTED_STREAM, &subject::stream(&outgoing.scope))?;
    put(header::EXPECTED_LAST_SUBJECT_SEQUENCE, &last.to_string())?;
    Ok(headers)
}

fn head_of(message: &Message) -> Option<Head> {
    let headers = message.headers.as_ref()?;
    let text = |name: &'static str| headers.get_last(name).map(async_nats::HeaderValue::as_str);
    Some(Head {
        sequence: text(header::SEQUENCE)?.parse().ok()?,
        publication: text(header::MESSAGE_ID).unwrap_or_default().to_owned(),
        serial: text(header::SERIAL).and_then(|s| s.parse().ok()).unwrap_or_default(),
        certificate: text(header::KEY).unwrap_or_default().to_owned(),
        attestation: text(header::ATTESTATION).unwrap_or_default().to_owned(),
    })
}
