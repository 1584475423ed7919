//! What an agent needs to connect, beside its `.creds` file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::Scope;

/// Version of [`Connection`].
pub const SCHEMA_VERSION: u32 = 1;
/// How a connect string begins.
pub const PREFIX: &str = "anvil1.";

/// The companion of a `.creds` file (`<name>.connect.json`): nothing in it is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Connection {
    pub schema_version: u32,
    /// Addresses of the broker, `nats://host:port` or `tls://host:port`.
    pub servers: Vec<String>,
    pub scope: Scope,
    /// Public nkeys of the FORGE root that the agent trusts.
    pub roots: Vec<String>,
    /// Where people find this project, for messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forge_url: Option<String>,
    /// What the broker's certificate is held against; without it, what the system trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

/// What the certificate of a broker at `tls://…` is held against.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tls {
    /// Certificates (PEM) of the authority that must have signed it, and then no other; without
    /// one, those that the system trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// Pins, `sha256/<base64>` of its public key (SubjectPublicKeyInfo). If there are any, the
    /// certificate must bear one of these keys beside being signed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pins: Vec<String>,
}

/// A [`Connection`] with its credential, as one line that a person can paste. **Secret.**
#[derive(Clone, Serialize, Deserialize)]
pub struct ConnectString {
    pub connection: Connection,
    /// The whole `.creds` file.
    pub creds: String,
}

/// Text that is no connect string.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    #[error(
        "this is no connect string: it starts with \"{PREFIX}\" and is one line; copy it again from FORGE"
    )]
    NotOne,
    #[error("the connect string is cut off or damaged; copy it again from FORGE")]
    Damaged,
    #[error("the connect string has format {found}; this program reads {SCHEMA_VERSION}: update it")]
    SchemaVersion { found: u32 },
}

impl std::fmt::Debug for ConnectString {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectString")
            .field("connection", &self.connection)
            .field("creds", &"<secret>")
            .finish()
    }
}

impl ConnectString {
    /// The line to paste: prefix, base64url of the JSON, and the first 8 digits of its SHA-256, so
    /// that a cut-off paste is noticed.
    #[must_use]
    pub fn to_line(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        let sum = &crate::canonical::Digest::of(&json).hex()[..8];
        format!("{PREFIX}{}.{sum}", data_encoding::BASE64URL_NOPAD.encode(&json))
    }

    /// Reads a line written by [`ConnectString::to_line`]; white space around it is ignored.
    ///
    /// # Errors
    /// [`ConnectError`], never with any of the text in it.
    pub fn from_line(line: &str) -> Result<Self, ConnectError> {
        let rest = line.trim().strip_prefix(PREFIX).ok_or(ConnectError::NotOne)?;
        let (body, sum) = rest.rsplit_once('.').ok_or(ConnectError::Damaged)?;
        let json =
            data_encoding::BASE64URL_NOPAD.decode(body.as_bytes()).map_err(|_| ConnectError::Damaged)?;
        if crate::canonical::Digest::of(&json).hex().get(..8) != Some(sum) {
            return Err(ConnectError::Damaged);
        }
        let found: Self = serde_json::from_slice(&json).map_err(|_| ConnectError::Damaged)?;
        match found.connection.schema_version {
            SCHEMA_VERSION => Ok(found),
            other => Err(ConnectError::SchemaVersion { found: other }),
        }
    }
}
