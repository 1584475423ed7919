//! Whether a bundle may be served: the chain of trust, the headers, the content, the templates, and
//! the serial. Nothing gets past here unverified, wherever it came from.

use bytes::Bytes;
use schemas::bundle::{self, Bundle, BundleError, Encoding};
use schemas::canonical::Digest;
use schemas::envelope::{Attestation, Trust, TrustError};
use schemas::prompt::Partial;
use schemas::status::{Refusal, RefusalCode};
use schemas::template::CompiledSet;
use schemas::{Micros, Scope, Slug, Version};

use nats_config::{header, subject};

/// Longest text of a refusal, in characters.
const MESSAGE_MAX: usize = 500;
/// Longest id of a publication that is repeated, in characters.
const PUBLICATION_MAX: usize = 100;

/// A bundle's message as it came: the exact signed bytes and the headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) set: Slug,
    pub(crate) version: Version,
    pub(crate) serial: u64,
    pub(crate) digest: Digest,
    /// The publication's id as the message names it, unverified: only to say what was refused.
    pub(crate) publication: Option<String>,
    pub(crate) certificate: String,
    pub(crate) attestation: String,
    /// The chain of trust lists, if the project has one.
    pub(crate) trust: Option<String>,
    pub(crate) encoding: Option<String>,
    /// Where it stands in the stream.
    pub(crate) sequence: u64,
    pub(crate) wire: Bytes,
}

/// A message that could be read at all, or which set it was for and why it could not.
pub(crate) type Read = Result<Message, Unreadable>;

/// A message that is no bundle.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) set: Option<Slug>,
    pub(crate) publication: Option<String>,
    pub(crate) serial: Option<u64>,
    pub(crate) refusal: Refusal,
}

/// A bundle whose every part was verified and whose templates are compiled.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) attestation: Attestation,
    pub(crate) digest: Digest,
    pub(crate) key: String,
    pub(crate) root: String,
    pub(crate) compiled: CompiledSet,
    /// What local overrides of the set may include.
    pub(crate) partials: Vec<Partial>,
}

/// Where a message comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// From the broker, now.
    Wire,
    /// From a file in an image.
    Baked,
    /// From our own disk: it was verified when it was taken up, and keys that were good then count.
    Kept,
}

/// How a message stands to what the agent has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Newer,
    /// It is what the agent has.
    Same,
    Older,
    /// The same serial with other content.
    Conflict,
    /// Nothing that holds is served, and FORGE signed this serial before.
    BelowFloor(u64),
}

/// A refusal with its reason in words.
pub(crate) fn refusal(code: RefusalCode, message: impl std::fmt::Display) -> Refusal {
    Refusal { code, message: message.to_string().chars().take(MESSAGE_MAX).collect() }
}

/// Reads subject and headers of a message from the stream, or of one that the server republished.
pub(crate) fn read(scope: &Scope, message: &async_nats::Message) -> Read {
    let text = |name: &str| message.headers.as_ref().and_then(|h| h.get(name)).map(|v| v.as_str().to_owned());
    let sequence = text(header::SEQUENCE).and_then(|s| s.parse().ok());
    let publication = text(header::MESSAGE_ID).map(|id| id.chars().take(PUBLICATION_MAX).collect::<String>());
    let serial = text(header::SERIAL).and_then(|s| s.parse().ok());
    // A direct get answers on our inbox and names the subject in a header.
    let stored = text(header::SUBJECT);
    let name = stored.as_deref().unwrap_or(message.subject.as_str());
    let set = subject::set_of_bundle(scope, name);
    let malformed = |what: String| Unreadable {
        set: set.clone(),
        publication: publication.clone(),
        serial,
        refusal: refusal(RefusalCode::Malformed, what),
    };
    let need = |name: &str| text(name).ok_or_else(|| malformed(format!("the header {name} is missing")));
    let wrong = |name: &str| malformed(format!("the header {name} is not what the format says"));
    let set = set.clone().ok_or_else(|| malformed("the subject is none of a bundle".into()))?;
    if need(header::SET)? != set.as_str() {
        return Err(wrong(header::SET));
    }
    Ok(Message {
        version: need(header::VERSION)?.parse().map_err(|_| wrong(header::VERSION))?,
        serial: need(header::SERIAL)?.parse().map_err(|_| wrong(header::SERIAL))?,
        digest: need(header::DIGEST)?.parse().map_err(|_| wrong(header::DIGEST))?,
        publication: publication.clone(),
        certificate: need(header::KEY)?,
        attestation: need(header::ATTESTATION)?,
        trust: text(header::TRUST),
        encoding: text(header::CONTENT_ENCODING),
        sequence: sequence.ok_or_else(|| malformed("the message bears no stream sequence".into()))?,
        wire: message.payload.clone(),
        set,
    })
}

/// Set and serial that a message bears in its subject and headers, unverified.
pub(crate) fn head(scope: &Scope, message: &async_nats::Message) -> Option<(Slug, u64)> {
    let set = subject::set_of_bundle(scope, message.subject.as_str());
    let headers = message.headers.as_ref()?;
    let set = set.or_else(|| headers.get(header::SET)?.as_str().parse().ok())?;
    Some((set, headers.get(header::SERIAL)?.as_str().parse().ok()?))
}

/// Verifies all of a message and compiles its templates. `now` is the time to hold expiries against.
/// A panic on the way is a refusal too: the host must not notice.
pub(crate) fn check(trust: &Trust, message: &Message, taken: Taken, now: Micros) -> Result<Checked, Refusal> {
    let checked = std::panic::AssertUnwindSafe(|| check_all(trust, message, taken, now));
    std::panic::catch_unwind(checked).unwrap_or_else(|_| {
        Err(refusal(RefusalCode::Malformed, "this program failed on the bundle; please report it"))
    })
}

fn check_all(trust: &Trust, message: &Message, taken: Taken, now: Micros) -> Result<Checked, Refusal> {
    let encoding = Encoding::from_header(message.encoding.as_deref()).map_err(unreadable)?;
    let body = bundle::decode(&message.wire, encoding).map_err(unreadable)?;
    let (certificate, attestation) = (&message.certificate, &message.attestation);
    let verified = match taken {
        Taken::Wire | Taken::Baked => trust.verify(certificate, attestation, &body, now),
        Taken::Kept => trust.verify_kept(certificate, attestation, &body, now),
    }
    .map_err(untrusted)?;
    let attestation = verified.attestation;
    agree("the header's set", &message.set, &attestation.set)?;
    agree("the header's version", &message.version, &attestation.version)?;
    agree("the header's serial", &message.serial, &attestation.serial)?;
    agree("the header's digest", &message.digest, &verified.digest)?;
    let bundle = Bundle::from_body(&body).map_err(unreadable)?;
    agree("the bundle's organisation", &bundle.organisation, &attestation.scope.organisation)?;
    agree("the bundle's project", &bundle.project, &attestation.scope.project)?;
    agree("the bundle's set", &bundle.set, &attestation.set)?;
    agree("the bundle's version", &bundle.version, &attestation.version)?;
    let compiled = CompiledSet::compile(&bundle).map_err(|errors| {
        let first = errors.first().map(ToString::to_string).unwrap_or_default();
        refusal(RefusalCode::Template, first)
    })?;
    Ok(Checked {
        attestation,
        digest: verified.digest,
        key: verified.key,
        root: verified.root,
        compiled,
        partials: bundle.partials,
    })
}

/// How `serial` and `digest` stand to what was seen of the set.
pub(crate) fn standing(seen: Option<(u64, Digest)>, serial: u64, digest: Digest) -> Standing {
    match seen {
        None => Standing::Newer,
        Some((had, _)) if serial > had => Standing::Newer,
        Some((had, _)) if serial < had => Standing::Older,
        Some((_, same)) if same == digest => Standing::Same,
        Some(_) => Standing::Conflict,
    }
}

fn agree<T: PartialEq + std::fmt::Display>(what: &str, found: &T, expected: &T) -> Result<(), Refusal> {
    if found == expected {
        return Ok(());
    }
    Err(refusal(RefusalCode::Malformed, format!("{what} is {found}, the attestation says {expected}")))
}

fn unreadable(error: BundleError) -> Refusal {
    let code = match &error {
        BundleError::SchemaVersion { .. } => RefusalCode::SchemaVersion,
        BundleError::TooLarge { .. } | BundleError::TooManyPrompts { .. } => RefusalCode::TooLarge,
        _ => RefusalCode::Malformed,
    };
    refusal(code, error)
}

fn untrusted(error: TrustError) -> Refusal {
    let code = match &error {
        TrustError::DigestMismatch { .. } | TrustError::SizeMismatch { .. } => RefusalCode::DigestMismatch,
        TrustError::Revoked { .. } => RefusalCode::Revoked,
        TrustError::Expired { .. } => RefusalCode::Expired,
        _ => RefusalCode::Untrusted,
    };
    refusal(code, error)
}
