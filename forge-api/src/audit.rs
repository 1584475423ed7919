//! The audit log: who did what, when, to what. Append-only, and each entry carries the hash of the
//! one before, so that a change behind our back shows.

use schemas::Micros;
use schemas::canonical::{self, Digest};
use serde::Serialize;
use serde_json::Value;

use crate::auth::{Action, Actor};
use crate::clock;
use crate::database::audit::{self, AuditEntry};
use crate::database::organisation::Organisation;
use crate::database::{self, Conn};
use crate::error::{ApiError, Result};
use crate::state::AppState;

/// Entries that one step of a check reads.
const CHECK_STEP: i64 = 1000;

/// What the hash of an entry is over, as canonical JSON. The fields are a format: add, never change.
#[derive(Serialize)]
struct Hashed<'a> {
    organisation_id: &'a str,
    sequence: i64,
    at: Micros,
    actor_id: &'a str,
    actor_name: &'a str,
    action: &'a str,
    subject: &'a str,
    detail: &'a str,
    previous_hash: &'a str,
}

fn hash(entry: &AuditEntry) -> Result<String> {
    let bytes = canonical::to_canonical(&Hashed {
        organisation_id: &entry.organisation_id,
        sequence: entry.sequence,
        at: entry.at,
        actor_id: &entry.actor_id,
        actor_name: &entry.actor_name,
        action: &entry.action,
        subject: &entry.subject,
        detail: &entry.detail,
        previous_hash: &entry.previous_hash,
    })
    .map_err(ApiError::internal)?;
    Ok(Digest::of(&bytes).to_string())
}

/// Writes an entry within the transaction that does the thing. `action` reads `set.locked`;
/// `detail` never holds a prompt's text, a value or a secret.
///
/// # Errors
/// The database refuses.
pub(crate) async fn record(
    conn: &mut Conn,
    actor: &Actor,
    organisation_id: &str,
    action: &str,
    subject: &str,
    detail: Value,
) -> Result<()> {
    let (sequence, previous_hash) = audit::next(conn, organisation_id).await?;
    let mut entry = AuditEntry {
        organisation_id: organisation_id.into(),
        sequence,
        at: clock::now(),
        actor_id: actor.user_id.clone(),
        actor_name: actor.name.clone(),
        action: action.into(),
        subject: subject.into(),
        detail: if detail.is_null() { "{}".into() } else { detail.to_string() },
        previous_hash,
        hash: String::new(),
    };
    entry.hash = hash(&entry)?;
    Ok(audit::append(conn, &entry).await?)
}

/// Entries of an organisation below `before` (exclusive; none means from the newest), newest first.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn list(
    state: &AppState,
    actor: &Actor,
    organisation: &Organisation,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<AuditEntry>> {
    actor.require(&organisation.id, Action::ReadAudit)?;
    let mut conn = state.database.read().await?;
    Ok(audit::below(&mut conn, &organisation.id, before.unwrap_or(i64::MAX), limit.clamp(1, 500)).await?)
}

/// What a check of the chain found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chain {
    /// Every entry is there and unchanged.
    Whole { entries: i64 },
    /// The first entry that is missing or was changed.
    BrokenAt { sequence: i64 },
}

/// Checks an organisation's chain from its first entry to its end.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn verify(state: &AppState, actor: &Actor, organisation: &Organisation) -> Result<Chain> {
    actor.require(&organisation.id, Action::ReadAudit)?;
    let mut conn = state.database.read().await?;
    // The tip first: what is appended meanwhile is of no interest.
    let Some((end, tip)) = audit::tip(&mut conn, &organisation.id).await? else {
        return Ok(Chain::Whole { entries: 0 });
    };
    let (mut at, mut previous) = (0, String::new());
    while at < end {
        let entries = database::audit::above(&mut conn, &organisation.id, at, CHECK_STEP).await?;
        if entries.is_empty() {
            return Ok(Chain::BrokenAt { sequence: at + 1 });
        }
        for entry in entries.iter().take_while(|e| e.sequence <= end) {
            let sound =
                entry.sequence == at + 1 && entry.previous_hash == previous && entry.hash == hash(entry)?;
            if !sound {
                return Ok(Chain::BrokenAt { sequence: at + 1 });
            }
            at = entry.sequence;
            previous.clone_from(&entry.hash);
        }
    }
    Ok(if previous == tip { Chain::Whole { entries: end } } else { Chain::BrokenAt { sequence: end } })
}
