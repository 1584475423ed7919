//! The check of a chain, from its first entry to its end.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use schemas::Micros;
use tokio::sync::watch;

use super::{INSTALLATION, console_only, hash};
use crate::auth::{Action, Actor};
use crate::clock;
use crate::database::audit::{self, AuditEntry};
use crate::database::organisation::Organisation;
use crate::error::Result;
use crate::seal::MacKey;
use crate::state::AppState;

/// Entries that one step of a check reads.
const STEP: i64 = 1000;
/// What a check found is good enough for so long.
pub const KEPT: Duration = Duration::from_secs(60);

/// What a check of the chain found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chain {
    /// Every entry is there and unchanged.
    Whole {
        entries: i64,
        /// So many of the first ones are from before entries were sealed: their hashes fit, and who can
        /// write the database could have written them all anew.
        unsealed: i64,
    },
    /// The first entry that is missing, was changed, or was put in.
    BrokenAt { sequence: i64 },
}

/// Checks an organisation's chain.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn verify(state: &AppState, actor: &Actor, organisation: &Organisation) -> Result<Chain> {
    actor.require(&organisation.id, Action::ReadAudit)?;
    of_organisation(state, &organisation.id).await
}

async fn of_organisation(state: &AppState, id: &str) -> Result<Chain> {
    let _one = state.checks.one.lock().await;
    match check(state, id).await? {
        // Its creation is its first entry.
        Chain::Whole { entries: 0, .. } => Ok(Chain::BrokenAt { sequence: 1 }),
        found => Ok(found),
    }
}

/// The last check of an organisation's chain. Where that was not within [`KEPT`], another one begins, and
/// goes on when this has waited for it as long as it may: then it gives the one before, if there was one.
///
/// # Errors
/// Not allowed.
pub async fn checked(
    state: &AppState,
    actor: &Actor,
    organisation: &Organisation,
    wait: Duration,
) -> Result<Option<Checked>> {
    actor.require(&organisation.id, Action::ReadAudit)?;
    let mut running = {
        let mut known = state.checks.known();
        let known = known.entry(organisation.id.clone()).or_default();
        if let Some(last) = known.last.as_ref().filter(|last| last.is_fresh()) {
            return Ok(Some(last.clone()));
        }
        match known.running.as_ref().filter(|running| running.has_changed().is_ok()) {
            Some(running) => running.clone(),
            None => {
                let (done, running) = watch::channel(());
                known.running = Some(running.clone());
                tokio::spawn(run(state.clone(), organisation.id.clone(), done));
                running
            }
        }
    };
    // It ends when the check lets go of its end, whatever came of it.
    let _ = tokio::time::timeout(wait, running.changed()).await;
    Ok(state.checks.known().get(&organisation.id).and_then(|known| known.last.clone()))
}

async fn run(state: AppState, id: String, _done: watch::Sender<()>) {
    match of_organisation(&state, &id).await {
        Ok(chain) => {
            let last = Checked { chain, at: clock::now(), ended: Instant::now() };
            state.checks.known().entry(id).or_default().last = Some(last);
        }
        Err(error) => tracing::warn!(error = %error, "a chain of the audit log could not be checked"),
    }
}

/// What a check found, and when.
#[derive(Debug, Clone)]
pub struct Checked {
    pub chain: Chain,
    pub at: Micros,
    ended: Instant,
}

impl Checked {
    /// Whether it is from within [`KEPT`].
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.ended.elapsed() < KEPT
    }
}

/// The checks of this process. One runs at a time: a chain may be long, and readers of the database are few.
#[derive(Debug, Default)]
pub struct Checks {
    one: tokio::sync::Mutex<()>,
    known: Mutex<HashMap<String, Known>>,
}

/// The checks of one chain.
#[derive(Debug, Default)]
struct Known {
    last: Option<Checked>,
    /// Its other end is gone when no check runs.
    running: Option<watch::Receiver<()>>,
}

impl Checks {
    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Checks the installation's chain.
///
/// # Errors
/// Not the console, or the database refuses.
pub async fn verify_installation(state: &AppState, actor: &Actor) -> Result<Chain> {
    console_only(actor)?;
    let _one = state.checks.one.lock().await;
    check(state, INSTALLATION).await
}

/// As far as the check has come.
#[derive(Default)]
struct Walk {
    at: i64,
    previous: String,
    unsealed: i64,
}

impl Walk {
    /// Takes the next entry; says whether it is sound.
    fn take(&mut self, entry: &AuditEntry, key: &MacKey) -> Result<bool> {
        // Seals begin at some entry, and never end.
        let sealed = match entry.seal.as_str() {
            "" => self.unsealed == self.at,
            seal => key.verify(entry.hash.as_bytes(), seal),
        };
        if entry.sequence != self.at + 1
            || entry.previous_hash != self.previous
            || entry.hash != hash(entry)?
            || !sealed
        {
            return Ok(false);
        }
        self.at = entry.sequence;
        self.previous.clone_from(&entry.hash);
        self.unsealed += i64::from(entry.seal.is_empty());
        Ok(true)
    }
}

async fn check(state: &AppState, chain: &str) -> Result<Chain> {
    let key = state.chain_key.as_ref();
    let mut conn = state.database.read().await?;
    let mut walk = Walk::default();
    loop {
        let entries = audit::above(&mut conn, chain, walk.at, STEP).await?;
        // Read after the entries: an entry and the tip that it moves are committed together.
        let tip = audit::tip(&mut conn, chain).await?;
        let (end, hash) = tip.unwrap_or_default();
        for entry in &entries {
            if entry.sequence > end || !walk.take(entry, key)? {
                return Ok(Chain::BrokenAt { sequence: walk.at + 1 });
            }
        }
        if walk.at == end && walk.previous == hash {
            return Ok(Chain::Whole { entries: end, unsealed: walk.unsealed });
        }
        if entries.is_empty() {
            // The last ones are gone, or the tip says something else than the last one.
            let sequence = if walk.at < end { walk.at + 1 } else { walk.at };
            return Ok(Chain::BrokenAt { sequence });
        }
    }
}
