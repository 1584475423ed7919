//! Everything that FORGE and an agent must agree on, and nothing that touches the world.
//!
//! This crate is pure: no I/O, no async, no clock, no randomness. FORGE writes with it what an
//! agent reads with it, so that both sides cannot drift apart.
//!
//! | module | what it holds |
//! |---|---|
//! | [`names`] | slugs, prompt ids, scopes, addresses |
//! | [`canonical`] | canonical JSON (RFC 8785) and the SHA-256 digest over it |
//! | [`prompt`] | a prompt: text or chat messages, model settings, tags |
//! | [`parameter`] | typed parameters and the check of the values given for them |
//! | [`contract`] | what a program that calls prompts was built for, and whether a version breaks it |
//! | [`template`] | the bounded template engine that FORGE previews and agents render with |
//! | [`bundle`] | the wire form of one version: bytes, compression, limits |
//! | [`envelope`] | DSSE envelopes: attestation, key certificate, trust list, heartbeat, and their verification |
//! | [`signed`] | a bundle with its signatures as one file |
//! | [`status`] | what an agent says: enrolment, status, acknowledgement, refusal |
//! | [`connect`] | what an agent needs to connect: addresses, scope, trusted root keys |

pub mod bundle;
pub mod canonical;
pub mod connect;
pub mod contract;
pub mod envelope;
pub mod names;
pub mod parameter;
pub mod prompt;
pub mod signed;
pub mod status;
pub mod template;

pub use names::{PromptId, Scope, Slug};
pub use semver::Version;

/// Microseconds since 1970-01-01T00:00:00Z.
pub type Micros = i64;
