//! The connect file: where the broker is, and whom to trust.

use std::path::Path;
use std::sync::Arc;

use async_nats::ConnectOptions;
use nats_config::tls;
use nkeys::KeyPair;
use schemas::connect::{self, Connection};

use super::ConfigError;

/// Reads and checks a `.connect.json` file.
///
/// # Errors
/// It cannot be read, or is no connection.
pub fn read_connection(path: &Path) -> Result<Connection, ConfigError> {
    let text = super::read_text("connection", path)?;
    let connection = serde_json::from_str(&text).map_err(|e| ConfigError::Invalid {
        key: "connection",
        why: format!("{} is not a connection: {e}", path.display()),
    })?;
    check(connection)
}

pub(super) fn check(connection: Connection) -> Result<Connection, ConfigError> {
    let invalid = |why: String| Err(ConfigError::Invalid { key: "connection", why });
    if connection.schema_version != connect::SCHEMA_VERSION {
        return invalid(format!(
            "it has format {}, this program reads {}: update it",
            connection.schema_version,
            connect::SCHEMA_VERSION
        ));
    }
    if connection.servers.is_empty() {
        return invalid("it names no server".into());
    }
    for server in &connection.servers {
        if let Err(error) = server.parse::<async_nats::ServerAddr>() {
            return invalid(format!("server {server}: {error}"));
        }
    }
    if connection.roots.is_empty() {
        return invalid("it names no root key to trust".into());
    }
    for root in &connection.roots {
        if KeyPair::from_public_key(root).is_err() {
            return invalid(format!("{root} is no public key"));
        }
    }
    Ok(connection)
}

/// Whether agent and broker could talk at all, and not in the open.
pub(crate) fn check_encryption(connection: &Connection, allow_plain: bool) -> Result<(), ConfigError> {
    let trust = connection.tls.clone().unwrap_or_default();
    let checked =
        tls::secure(ConnectOptions::new(), &connection.servers, &trust, allow_plain, Arc::new(|_| {}));
    checked.map(drop).map_err(|error| {
        let by_name = match &error {
            tls::TlsError::Plain { .. } => " (LIVE_ALLOW_PLAIN=1 or --allow-plain)",
            _ => "",
        };
        ConfigError::Invalid { key: "connection", why: format!("{error}{by_name}") }
    })
}
