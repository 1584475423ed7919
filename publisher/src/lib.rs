//! The way from FORGE to the agents: bundles built, signed and sent, accounts and credentials
//! made, and what the agents say.
//!
//! It knows no database: `forge-api` drives it and tells it everything. Every call can be repeated;
//! none does a thing twice.
//!
//! | module | what it holds |
//! |---|---|
//! | [`bundle`] | bytes, digest and wire form of a version |
//! | [`sign`] | certificate of a publishing key, attestation of a publication |
//! | [`provision`] | [`Broker`]: connections, accounts, streams |
//! | [`accounts`] | who else pushes accounts, overheard |
//! | [`publish`] | a publication sent once, whatever happens on the way |
//! | [`credentials`] | `.creds` files and their revocation |
//! | [`fleet`] | status, enrolment and presence of the agents as one stream |
//! | [`ledger`] | the durable consumer of each agent, its pause |
//! | [`heartbeat`] | FORGE's signed word on the head of each set |
//! | [`keys`] | nkeys of the installation and of each project |
//! | [`jwt`], [`claims`] | tokens of the broker's operator mode, and what they say |
//! | [`server`] | a nats-server found or fetched, and run as a private child |

pub mod accounts;
pub mod bundle;
pub mod claims;
mod client;
pub mod credentials;
pub mod fleet;
pub mod heartbeat;
pub mod jwt;
pub mod keys;
pub mod ledger;
pub mod provision;
pub mod publish;
pub mod server;
pub mod sign;

pub use claims::{Project, Revocation, operator_files};
pub use client::Trust;
pub use credentials::{MintedCredential, Role};
pub use fleet::FleetEvent;
pub use keys::{KeyRing, ProjectKeys};
pub use nats_config::stream::Limits;
pub use provision::{Broker, BrokerConfig, BrokerError};
pub use publish::{Outgoing, PublishError, Sent};
pub use server::EmbeddedServer;
