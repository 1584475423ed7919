//! Headers of a bundle's message.

pub const SET: &str = "Forge-Set";
pub const VERSION: &str = "Forge-Version";
pub const SERIAL: &str = "Forge-Serial";
/// `sha256:…` of the canonical body.
pub const DIGEST: &str = "Forge-Digest";
/// DSSE envelope: the root's certificate of the publishing key.
pub const KEY: &str = "Forge-Key";
/// DSSE envelope: who published these bytes where.
pub const ATTESTATION: &str = "Forge-Attestation";
/// `identity` (or absent) or `zstd`.
pub const CONTENT_ENCODING: &str = "Content-Encoding";
/// The publication's id; the broker refuses a second message with the same one.
pub const MESSAGE_ID: &str = "Nats-Msg-Id";
/// On a republished message: the sequence that it has in the stream.
pub const SEQUENCE: &str = "Nats-Sequence";
