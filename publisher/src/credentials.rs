//! Credentials: `.creds` files of agents and of people who look, and their revocation.

use std::fmt;
use std::time::Duration;

use nats_config::{account, system};
use schemas::{Micros, Scope};
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::claims::{self, Project};
use crate::jwt::{self, JwtError};
use crate::keys::{Key, KeyRing, Kind, ProjectKeys};
use crate::provision::{Broker, BrokerError};

/// A revoked credential that is still connected is cut off within this time.
const KICK_DEADLINE: Duration = Duration::from_secs(2);

/// What a credential is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// An agent.
    Agent,
    /// A person of the project who looks with the `nats` CLI.
    Inspect,
}

/// A credential, to be shown once: only its public key is kept.
#[derive(Clone)]
pub struct MintedCredential {
    /// Public key of the user: what is revoked.
    pub public_key: String,
    /// The text of the `.creds` file. **Secret.**
    pub creds: Zeroizing<String>,
    pub issued: Micros,
    pub expires: Option<Micros>,
}

impl fmt::Debug for MintedCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MintedCredential")
            .field("public_key", &self.public_key)
            .field("creds", &"<secret>")
            .field("issued", &self.issued)
            .field("expires", &self.expires)
            .finish()
    }
}

/// Makes a credential of a scope. Nothing is sent: the account already trusts the scoped key.
///
/// # Errors
/// [`JwtError`] where a key cannot sign.
pub fn mint(
    keys: &ProjectKeys,
    role: Role,
    scope: &Scope,
    name: &str,
    expires: Option<Micros>,
) -> Result<MintedCredential, JwtError> {
    let user = Key::generate(Kind::User);
    let signer = match role {
        Role::Agent => &keys.credentials,
        Role::Inspect => &keys.inspection,
    };
    let issued = claims::now();
    let claims = claims::scoped_user(signer, &keys.account, user.public(), name, &scope.environment, expires);
    let token = jwt::mint(signer, claims)?;
    Ok(MintedCredential {
        public_key: user.public().to_owned(),
        creds: jwt::credentials_file(&token, &user),
        issued,
        expires,
    })
}

/// A context on the FORGE account for an operator with the `nats` CLI: it may do everything there.
///
/// # Errors
/// [`JwtError`] where the key cannot sign.
pub fn mint_operator(
    keys: &KeyRing,
    name: &str,
    expires: Option<Micros>,
) -> Result<MintedCredential, JwtError> {
    let user = Key::generate(Kind::User);
    let permissions = account::operator_permissions();
    let issued = claims::now();
    let claims = claims::own_user(&keys.forge_account, user.public(), name, &permissions, expires)?;
    let token = jwt::mint(&keys.forge_account, claims)?;
    Ok(MintedCredential {
        public_key: user.public().to_owned(),
        creds: jwt::credentials_file(&token, &user),
        issued,
        expires,
    })
}

/// One connection, as the system account tells of it.
#[derive(Debug, Deserialize)]
struct Connection {
    cid: u64,
    #[serde(default)]
    authorized_user: String,
    #[serde(default)]
    nkey: String,
}

#[derive(Debug, Deserialize)]
struct Connections {
    server: Server,
    data: Option<ConnectionList>,
}

#[derive(Debug, Deserialize)]
struct Server {
    id: String,
}

#[derive(Debug, Deserialize)]
struct ConnectionList {
    #[serde(default)]
    connections: Vec<Connection>,
}

impl Broker {
    /// Makes the broker refuse a credential, which `project` already counts among its revoked
    /// ones, and sees its connections go.
    ///
    /// # Errors
    /// [`BrokerError`]: then it may still be good; call again.
    pub async fn revoke(&self, project: &Project, keys: &ProjectKeys, user: &str) -> Result<(), BrokerError> {
        self.ensure_project(project, keys).await?;
        self.disconnect(keys, user).await
    }

    /// Cuts off the connections of a user. The broker does so by itself when it learns of a
    /// revocation; this sees to it.
    async fn disconnect(&self, keys: &ProjectKeys, user: &str) -> Result<(), BrokerError> {
        let deadline = Instant::now() + KICK_DEADLINE;
        loop {
            let (server, connections) = self.connections_of(keys.account.public(), user).await?;
            if connections.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let reason = format!("{} connections of a revoked credential stay", connections.len());
                return Err(BrokerError::Refused { doing: "cutting off a credential", code: 0, reason });
            }
            for cid in connections {
                let request = json!({ "cid": cid }).to_string();
                // It may have gone in the meantime; the next look tells.
                let _ = self.inner.system.request(system::kick(&server), request.into()).await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// How many connections of a project's account a user has now.
    ///
    /// # Errors
    /// [`BrokerError`].
    pub async fn connection_count(&self, keys: &ProjectKeys, user: &str) -> Result<usize, BrokerError> {
        Ok(self.connections_of(keys.account.public(), user).await?.1.len())
    }

    async fn connections_of(&self, account: &str, user: &str) -> Result<(String, Vec<u64>), BrokerError> {
        let request = json!({ "auth": true, "acc": account, "limit": 100_000 }).to_string();
        let answer =
            self.inner.system.request(system::connections(account), request.into()).await.map_err(|e| {
                BrokerError::Unreachable { doing: "listing connections", source: Some(e.into()) }
            })?;
        let answer: Connections = serde_json::from_slice(&answer.payload)
            .map_err(|source| BrokerError::Answer { doing: "listing connections", source })?;
        let connections = answer.data.map_or_else(Vec::new, |list| list.connections);
        let of_user = connections.into_iter().filter(|c| c.authorized_user == user || c.nkey == user);
        Ok((answer.server.id, of_user.map(|c| c.cid).collect()))
    }
}
