//! A whole chain as JSON Lines, oldest first: each line an entry with everything that its hash is
//! over, so that anybody can check it without FORGE.

use bytes::Bytes;
use futures::{Stream, stream};
use schemas::canonical;
use serde::Serialize;

use super::{Hashed, INSTALLATION, console_only};
use crate::auth::{Action, Actor};
use crate::database::audit::{self, AuditEntry};
use crate::database::organisation::Organisation;
use crate::error::{ApiError, Result};
use crate::state::AppState;

/// Entries that are read at once.
const STEP: i64 = 500;

/// One line. The fields are a format: add, never change.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    hashed: Hashed<'a>,
    hash: &'a str,
    seal: &'a str,
}

/// The chain of an organisation, some hundred lines at a time.
///
/// # Errors
/// Not allowed; in the stream: the database refuses.
pub fn export(
    state: &AppState,
    actor: &Actor,
    organisation: &Organisation,
) -> Result<impl Stream<Item = Result<Bytes>> + Send + use<>> {
    actor.require(&organisation.id, Action::ReadAudit)?;
    Ok(lines(state, &organisation.id))
}

/// The chain of the installation.
///
/// # Errors
/// Not the console; in the stream: the database refuses.
pub fn export_installation(
    state: &AppState,
    actor: &Actor,
) -> Result<impl Stream<Item = Result<Bytes>> + Send + use<>> {
    console_only(actor)?;
    Ok(lines(state, INSTALLATION))
}

fn lines(state: &AppState, chain: &str) -> impl Stream<Item = Result<Bytes>> + Send + use<> {
    stream::try_unfold((state.clone(), chain.to_owned(), 0), |(state, chain, at)| async move {
        // A connection for each step: a slow reader holds none.
        let mut conn = state.database.read().await?;
        let entries = audit::above(&mut conn, &chain, at, STEP).await?;
        drop(conn);
        let Some(last) = entries.last().map(|e| e.sequence) else { return Ok(None) };
        let mut text = Vec::new();
        for entry in &entries {
            text.extend(line(entry)?);
        }
        Ok(Some((Bytes::from(text), (state, chain, last))))
    })
}

fn line(entry: &AuditEntry) -> Result<Vec<u8>> {
    let line = Line { hashed: Hashed::of(entry), hash: &entry.hash, seal: &entry.seal };
    let mut bytes = canonical::to_canonical(&line).map_err(ApiError::internal)?;
    bytes.push(b'\n');
    Ok(bytes)
}
