//! What every request and every task shares.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use schemas::Micros;

use crate::audit::{Checks, Refusals};
use crate::broker::{ADDRESSES, BrokerLink};
use crate::clock;
use crate::config::{Config, Tls};
use crate::database::{Database, key};
use crate::error::{ApiError, Result};
use crate::events::Events;
use crate::heartbeat::Early;
use crate::keys::Keys;
use crate::limit::Limits;
use crate::mail::Post;
use crate::relay::Bell;
use crate::seal::MacKey;
use crate::tls::TlsFiles;
use crate::visit::LastSeen;

/// The shared state. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AppState(Arc<Shared>);

/// What [`AppState`] leads to.
#[derive(Debug)]
pub struct Shared {
    pub config: Config,
    pub database: Database,
    pub keys: Keys,
    pub events: Events,
    pub broker: BrokerLink,
    pub relay: Bell,
    pub post: Post,
    pub early: Early,
    /// Rung when something is to be sent to a webhook at once.
    pub webhooks: tokio::sync::Notify,
    pub limits: Limits,
    pub refusals: Refusals,
    pub checks: Checks,
    pub last_seen: LastSeen,
    /// Seals the audit log.
    pub chain_key: Arc<MacKey>,
    /// Signs what a browser remembers of who signed in with it.
    pub browser_key: MacKey,
    pub started_at: Micros,
    /// Words of agents that were not taken up.
    pub statuses_dropped: AtomicU64,
    /// Certificates, and what others hold them against.
    pub tls: TlsFiles,
    /// Address under which people reach us.
    pub public_url: String,
}

impl Deref for AppState {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl AppState {
    /// Opens the database (and brings it up to date) and the keys. Starts nothing.
    ///
    /// # Errors
    /// The data directory, the database or the master key cannot be used.
    pub async fn open(config: Config, public_url: String) -> Result<Self> {
        make_private(&config.data_dir).map_err(ApiError::internal)?;
        let sealer = config.master_key.open().map_err(ApiError::internal)?;
        let chain_key = Arc::new(sealer.derive("audit").map_err(ApiError::internal)?);
        let browser_key = sealer.derive("browser").map_err(ApiError::internal)?;
        let database = Database::open(&config.database).await.map_err(ApiError::internal)?;
        let database = database.sealing(Arc::clone(&chain_key));
        let tls = TlsFiles::open(&config, &database, &sealer).await?;
        let keys = Keys::open(&database, sealer).await?;
        let broker = BrokerLink::default();
        broker.set_addresses(addresses(&config, &database).await?);
        Ok(Self(Arc::new(Shared {
            limits: Limits::new(&config),
            refusals: Refusals::default(),
            checks: Checks::default(),
            last_seen: LastSeen::default(),
            chain_key,
            browser_key,
            config,
            database,
            keys,
            events: Events::default(),
            broker,
            relay: Bell::default(),
            post: Post::default(),
            early: Early::default(),
            webhooks: tokio::sync::Notify::new(),
            started_at: clock::now(),
            statuses_dropped: AtomicU64::new(0),
            tls,
            public_url,
        })))
    }
}

impl Shared {
    /// Whether people reach us over TLS, ours or a proxy's.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.config.tls != Tls::Off || self.public_url.starts_with("https://")
    }
}

/// Where agents find the broker, as far as it is known before the broker started.
async fn addresses(config: &Config, database: &Database) -> Result<Vec<String>> {
    for known in [&config.agent_nats_url, &config.nats_url] {
        if !known.is_empty() {
            return Ok(known.clone());
        }
    }
    let mut conn = database.read().await?;
    let kept = key::setting(&mut conn, ADDRESSES).await?.unwrap_or_default();
    Ok(kept.split(',').filter(|a| !a.is_empty()).map(str::to_owned).collect())
}

/// Makes the data directory, for its owner only, unless it is there.
fn make_private(path: &std::path::Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(path)
}
