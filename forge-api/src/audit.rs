//! The audit log: who did what, when, to what, and who was refused. Append-only, and each entry
//! carries the hash of the one before, so that a change behind our back shows.
//!
//! Every organisation has a chain of its own, and so has the installation: signing in, users, what
//! nobody knows whose it is. Anybody can check the hashes of an export. Each hash is sealed besides
//! under a key from the master key: who can write the database but has no master key cannot write
//! another history, only break this one.
//!
//! | module | what it holds |
//! |---|---|
//! | [`action`] | the words for what was done |
//! | [`mod@verify`] | the check of a chain |
//! | [`mod@export`] | a chain as JSON Lines |
//! | [`refusal`] | refused attempts, bounded so that nobody fills the disk with them |

pub mod action;
pub mod export;
pub mod refusal;
pub mod verify;

pub use action::ACTIONS;
pub use export::{export, export_installation};
pub use refusal::{Refusal, Refusals};
pub use verify::{Chain, Checked, Checks, checked, verify, verify_installation};

use schemas::Micros;
use schemas::canonical::{self, Digest};
use serde::Serialize;
use serde_json::Value;

use crate::auth::{Action, Actor, Entry};
use crate::clock;
use crate::database::audit::{self, AuditEntry, Only};
use crate::database::organisation::Organisation;
use crate::database::{Tx, project};
use crate::error::{ApiError, Result};
use crate::state::AppState;
use crate::webhook::emit;

/// The chain of what belongs to no organisation.
pub const INSTALLATION: &str = "installation";

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

impl<'a> Hashed<'a> {
    fn of(entry: &'a AuditEntry) -> Self {
        Self {
            organisation_id: &entry.organisation_id,
            sequence: entry.sequence,
            at: entry.at,
            actor_id: &entry.actor_id,
            actor_name: &entry.actor_name,
            action: &entry.action,
            subject: &entry.subject,
            detail: &entry.detail,
            previous_hash: &entry.previous_hash,
        }
    }
}

fn hash(entry: &AuditEntry) -> Result<String> {
    let bytes = canonical::to_canonical(&Hashed::of(entry)).map_err(ApiError::internal)?;
    Ok(Digest::of(&bytes).to_string())
}

/// Writes an entry within the transaction that does the thing, into the chain of an organisation or
/// [`INSTALLATION`]. `action` reads `set.locked` and stands in [`mod@action`]; `detail` never holds a
/// prompt's text, a value or a secret.
///
/// # Errors
/// The database refuses.
pub(crate) async fn record(
    tx: &mut Tx,
    actor: &Actor,
    chain: &str,
    action: &str,
    subject: &str,
    detail: Value,
) -> Result<()> {
    emit::recorded(tx, chain, &actor.name, action, subject, &detail).await?;
    append(tx, chain, (&actor.user_id, &actor.name), action, subject, detail).await
}

async fn append(
    tx: &mut Tx,
    chain: &str,
    (actor_id, actor_name): (&str, &str),
    action: &str,
    subject: &str,
    detail: Value,
) -> Result<()> {
    let (sequence, previous_hash) = audit::next(tx, chain).await?;
    let mut entry = AuditEntry {
        organisation_id: chain.into(),
        sequence,
        at: clock::now(),
        actor_id: actor_id.into(),
        actor_name: actor_name.into(),
        action: action.into(),
        subject: subject.into(),
        detail: if detail.is_null() { "{}".into() } else { detail.to_string() },
        previous_hash,
        hash: String::new(),
        seal: String::new(),
    };
    entry.hash = hash(&entry)?;
    entry.seal = tx.chain_key().map(|key| key.sign(entry.hash.as_bytes())).unwrap_or_default();
    Ok(audit::append(tx, &entry).await?)
}

/// Which entries are asked for, as it was written; nothing: all of them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked<'a> {
    /// Who did it: the name or the id that an entry has of them.
    pub actor: Option<&'a str>,
    /// One of [`ACTIONS`].
    pub action: Option<&'a str>,
    /// Slug: what was done to this project, or to something in it.
    pub project: Option<&'a str>,
    /// From then on,
    pub since: Option<Micros>,
    /// and before then.
    pub until: Option<Micros>,
}

impl Asked<'_> {
    /// What the database is asked, without the project.
    fn only(&self) -> Result<Only> {
        if let Some(action) = self.action.filter(|action| !ACTIONS.contains(action)) {
            let detail = format!("{action:?} is no action here; write one of {}", ACTIONS.join(", "));
            return Err(ApiError::invalid("bad_action", "action", detail));
        }
        if self.since.zip(self.until).is_some_and(|(since, until)| since >= until) {
            return Err(ApiError::invalid("bad_span", "since", "it must lie before the end (until)"));
        }
        Ok(Only {
            actor: self.actor.map(str::to_owned),
            action: self.action.map(str::to_owned),
            place: None,
            since: self.since,
            until: self.until,
        })
    }
}

/// The entries of an organisation that fit, below `before` (exclusive; none means from the newest), newest first.
///
/// # Errors
/// Not allowed; an action, a project or a span of time that is none; or the database refuses.
pub async fn list(
    state: &AppState,
    actor: &Actor,
    organisation: &Organisation,
    asked: &Asked<'_>,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<AuditEntry>> {
    actor.require(&organisation.id, Action::ReadAudit)?;
    let mut only = asked.only()?;
    let mut conn = state.database.read().await?;
    if let Some(slug) = asked.project {
        let found = project::by_slugs(&mut conn, &organisation.slug, slug).await?;
        let (_, found) = found.ok_or(ApiError::NotFound("project"))?;
        only.place = Some(format!("{}/{}", organisation.slug, found.slug));
    }
    let (before, limit) = (before.unwrap_or(i64::MAX), limit.clamp(1, 1000));
    Ok(audit::below(&mut conn, &organisation.id, &only, before, limit).await?)
}

/// The installation's chain holds what every organisation's people do: only the console reads it.
fn console_only(actor: &Actor) -> Result<()> {
    match actor.entry {
        Entry::Console => Ok(()),
        _ => Err(ApiError::Forbidden("the installation's audit log is read by `forge audit`".into())),
    }
}
