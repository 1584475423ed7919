//! Headers of a bundle's message.

pub const SET: &str = "Forge-Set";
pub const VERSION: &str = "Forge-Version";
pub const SERIAL: &str = "Forge-Serial";
/// `sha256:…` of the canonical body.
pub const DIGEST: &str = "Forge-Digest";
/// DSSE envelope: the root's certificate of the publishing key.
pub const KEY: &str = "Forge-Key";
/// DSSE envelope: who published these bytes where; on the answer to an enrolment, FORGE's signature
/// under it.
pub const ATTESTATION: &str = "Forge-Attestation";
/// JSON array of DSSE envelopes: the trust lists that lead from a connect file to what holds now.
/// Absent while there is none.
pub const TRUST: &str = "Forge-Trust";
/// `identity` (or absent) or `zstd`.
pub const CONTENT_ENCODING: &str = "Content-Encoding";
/// The publication's id; the broker refuses a second message with the same one.
pub const MESSAGE_ID: &str = "Nats-Msg-Id";
/// On a republished message: the sequence that it has in the stream.
pub const SEQUENCE: &str = "Nats-Sequence";
/// The last message of this subject must have that sequence (0: there must be none).
pub const EXPECTED_LAST_SUBJECT_SEQUENCE: &str = "Nats-Expected-Last-Subject-Sequence";
/// The message must arrive in this stream.
pub const EXPECTED_STREAM: &str = "Nats-Expected-Stream";
/// On an answer without content: what became of the request.
pub const STATUS: &str = "Status";
/// On a republished message or a direct get's answer: the subject that it has in the stream.
pub const SUBJECT: &str = "Nats-Subject";
/// At the end of a batch: how many more there are.
pub const PENDING: &str = "Nats-Num-Pending";
/// At the end of a batch of last messages: the sequence that they were the last at.
pub const UP_TO_SEQUENCE: &str = "Nats-UpTo-Sequence";
