//! The connection in use, and how another one takes its place while everything runs.
//!
//! A credential's key names its inbox, so another credential needs another client. The new one is
//! connected first; then follower, report and ledger move over to it; then the old one is let go.
//! What is published in between is found by the reconciliation with which following begins.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::client::{self, NotMade, Session, around};
use crate::config::{ConfigError, Credential, Entry};

/// Before a client that broke is replaced: what broke it may come again.
const REVIVE: Duration = Duration::from_secs(1);

/// Why the connection in use stays.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SwitchError {
    #[error("{0}")]
    Refused(String),
    #[error("the broker cannot be reached with it: {0}")]
    Unreachable(String),
    #[error("{0}")]
    Unusable(String),
}

/// Holds the session that is in use.
#[derive(Debug)]
pub(crate) struct Switch {
    name: String,
    sessions: watch::Sender<Session>,
    entry: Mutex<Entry>,
    /// One at a time.
    turn: tokio::sync::Mutex<()>,
}

impl Switch {
    /// Starts to connect and returns at once.
    pub(crate) async fn start(entry: Entry, name: &str) -> Result<Self, ConfigError> {
        let session = client::connect(&entry, name).await?;
        Ok(Self {
            name: name.to_owned(),
            sessions: watch::Sender::new(session),
            entry: Mutex::new(entry),
            turn: tokio::sync::Mutex::default(),
        })
    }

    /// The session in use.
    pub(crate) fn session(&self) -> Session {
        self.sessions.borrow().clone()
    }

    /// The session in use, now and later.
    pub(crate) fn sessions(&self) -> watch::Receiver<Session> {
        self.sessions.subscribe()
    }

    /// How the session in use got in.
    pub(crate) fn entry(&self) -> Entry {
        self.entry.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Moves to another credential on the same servers.
    ///
    /// # Errors
    /// As [`Switch::change`].
    pub(crate) async fn change_credential(&self, credential: Credential) -> Result<(), SwitchError> {
        self.change(Entry { credential, ..self.entry() }).await
    }

    /// Moves to another entry, once it was seen to work. With the broker out of reach for the old one
    /// too there is nothing to see, and nothing to lose: then it is taken as it is.
    ///
    /// # Errors
    /// The new one does not get in; the old one stays.
    pub(crate) async fn change(&self, entry: Entry) -> Result<(), SwitchError> {
        let _turn = self.turn.lock().await;
        if entry == self.entry() {
            return Ok(());
        }
        let session = match client::try_once(&entry, &self.name).await {
            Ok(session) => session,
            Err(NotMade::Refused(why)) => return Err(SwitchError::Refused(why)),
            Err(NotMade::Unusable(why)) => return Err(SwitchError::Unusable(why)),
            Err(NotMade::Unreachable(why)) => {
                if self.session().link.borrow().connected {
                    return Err(SwitchError::Unreachable(why));
                }
                let made = client::connect(&entry, &self.name).await;
                made.map_err(|error| SwitchError::Unusable(error.to_string()))?
            }
        };
        let user = entry.credential.user.clone();
        *self.entry.lock().unwrap_or_else(PoisonError::into_inner) = entry;
        let old = self.sessions.send_replace(session);
        old.retire().await;
        tracing::info!(credential.key = %user, "another connection to the broker is in use");
        Ok(())
    }

    /// Connects anew where the client in use broke: a session whose task has ended never comes back.
    ///
    /// # Errors
    /// The entry gives no client.
    pub(crate) async fn revive(&self) -> Result<(), ConfigError> {
        let _turn = self.turn.lock().await;
        if !self.session().is_over() {
            return Ok(());
        }
        tokio::time::sleep(around(REVIVE)).await;
        let session = client::connect(&self.entry(), &self.name).await?;
        tracing::error!("the broker broke the connection's client; another one takes its place");
        self.sessions.send_replace(session);
        Ok(())
    }
}
