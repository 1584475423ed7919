//! The stream of a scope, and the durable consumers of its agents.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::stream::{Compression, Config, DiscardPolicy, Republish, StorageType};
use schemas::{Scope, Slug};

use crate::subject;

/// Messages kept per prompt set: the history that `nats stream view` shows.
pub const MESSAGES_PER_SET: i64 = 50;
/// Largest message, headers included, in bytes.
pub const MESSAGE_MAX: i32 = 8 * 1024 * 1024;
/// Largest status of an agent, in bytes: some thousand sets.
pub const STATUS_MAX: i32 = 1024 * 1024;
/// All statuses together, in bytes of the broker's memory; the oldest make way.
pub const STATUSES_MAX: i64 = 64 * 1024 * 1024;
/// Within this time the broker itself refuses a second message with the same id.
pub const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);
/// A durable consumer that nobody uses for this long goes.
pub const CONSUMER_INACTIVE: Duration = Duration::from_secs(7 * 24 * 3600);
/// An agent that says nothing for this long is no longer listed.
const STATUS_AGE: Duration = Duration::from_secs(24 * 3600);
/// Consumers that the server takes above the bound of agents: for people who look.
const CONSUMER_RESERVE: usize = 64;

/// What an installation decides about its streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Copies of each stream: 1, or 3 in a cluster.
    pub replicas: usize,
    /// Agents of one stream that get a durable consumer.
    pub durables: usize,
    /// Bytes of one stream, or -1 for as many as the disk holds.
    pub max_bytes: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { replicas: 1, durables: 1_000, max_bytes: -1 }
    }
}

/// The configuration of a scope's stream.
#[must_use]
pub fn config(scope: &Scope, limits: &Limits) -> Config {
    Config {
        name: subject::stream(scope),
        description: Some(format!("Anvil: prompt bundles of {scope}")),
        subjects: vec![subject::bundles(scope)],
        storage: StorageType::File,
        discard: DiscardPolicy::Old,
        max_messages: -1,
        max_messages_per_subject: MESSAGES_PER_SET,
        max_bytes: limits.max_bytes,
        max_message_size: MESSAGE_MAX,
        // 2.15 caps at 1,000 where nothing is said, and -1 does not lift it.
        max_consumers: i32::try_from(limits.durables + CONSUMER_RESERVE).unwrap_or(i32::MAX),
        duplicate_window: DUPLICATE_WINDOW,
        num_replicas: limits.replicas,
        deny_delete: true,
        deny_purge: true,
        allow_direct: true,
        compression: Some(Compression::S2),
        republish: Some(Republish {
            source: subject::bundles(scope),
            destination: subject::republish_destination(scope),
            headers_only: false,
        }),
        metadata: HashMap::from([
            ("anvil.organisation".to_owned(), scope.organisation.to_string()),
            ("anvil.project".to_owned(), scope.project.to_string()),
            ("anvil.environment".to_owned(), scope.environment.to_string()),
        ]),
        ..Config::default()
    }
}

/// The last status of every agent, for people with the `nats` CLI; the database is the truth. It
/// answers nobody: an agent does not wait for it.
#[must_use]
pub fn statuses(limits: &Limits) -> Config {
    Config {
        name: subject::STATUS_STREAM.to_owned(),
        description: Some("Anvil: the last status of every agent".to_owned()),
        subjects: vec![subject::ALL_STATUS.to_owned()],
        storage: StorageType::Memory,
        discard: DiscardPolicy::Old,
        max_messages: -1,
        max_messages_per_subject: 1,
        max_message_size: STATUS_MAX,
        // Whoever has a credential may name agents without end.
        max_bytes: STATUSES_MAX,
        max_age: STATUS_AGE,
        no_ack: true,
        num_replicas: limits.replicas,
        allow_direct: true,
        ..Config::default()
    }
}

/// The durable consumer of an agent: the ledger of what it has consumed.
#[must_use]
pub fn durable(scope: &Scope, agent: &Slug) -> pull::Config {
    pull::Config {
        durable_name: Some(agent.to_string()),
        description: Some(format!("Anvil: what agent {agent} has applied")),
        deliver_policy: DeliverPolicy::LastPerSubject,
        ack_policy: AckPolicy::Explicit,
        ack_wait: Duration::from_secs(30),
        filter_subject: subject::bundles_below(scope),
        inactive_threshold: CONSUMER_INACTIVE,
        // The agent has the content already; the ledger only says what was applied.
        headers_only: true,
        ..pull::Config::default()
    }
}
