//! What every request and every task shares.

use std::ops::Deref;
use std::sync::Arc;

use schemas::Micros;

use crate::broker::BrokerLink;
use crate::clock;
use crate::config::Config;
use crate::database::Database;
use crate::error::{ApiError, Result};
use crate::events::Events;
use crate::keys::Keys;
use crate::limit::Limits;
use crate::relay::Bell;

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
    pub limits: Limits,
    pub started_at: Micros,
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
        std::fs::create_dir_all(&config.data_dir).map_err(ApiError::internal)?;
        let sealer = config.master_key.open().map_err(ApiError::internal)?;
        let database = Database::open(&config.database).await.map_err(ApiError::internal)?;
        let keys = Keys::open(&database, sealer).await?;
        Ok(Self(Arc::new(Shared {
            limits: Limits::new(&config),
            config,
            database,
            keys,
            events: Events::default(),
            broker: BrokerLink::default(),
            relay: Bell::default(),
            started_at: clock::now(),
            public_url,
        })))
    }
}
