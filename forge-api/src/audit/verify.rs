//! The check of a chain, from its first entry to its end.

use super::{INSTALLATION, console_only, hash};
use crate::auth::{Action, Actor};
use crate::database::audit::{self, AuditEntry};
use crate::database::organisation::Organisation;
use crate::error::Result;
use crate::seal::MacKey;
use crate::state::AppState;

/// Entries that one step of a check reads.
const STEP: i64 = 1000;

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
    match check(state, &organisation.id).await? {
        // Its creation is its first entry.
        Chain::Whole { entries: 0, .. } => Ok(Chain::BrokenAt { sequence: 1 }),
        found => Ok(found),
    }
}

/// Checks the installation's chain.
///
/// # Errors
/// Not the console, or the database refuses.
pub async fn verify_installation(state: &AppState, actor: &Actor) -> Result<Chain> {
    console_only(actor)?;
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
