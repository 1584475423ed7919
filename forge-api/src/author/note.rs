//! What people note on a prompt: for themselves, in no bundle, and in every state of the set.

use serde_json::json;

use super::SetAt;
use super::item::prompt_now;
use super::set::refuse_archived;
use crate::audit;
use crate::auth::{Action, Actor};
use crate::clock;
use crate::database::note::{self, NoteRow};
use crate::error::{ApiError, Result};
use crate::state::AppState;

/// Longest note, in characters.
const NOTE_MAX: usize = 20_000;

/// The notes on a prompt of the draft, by its name or one that it had; of revision 0 where nobody wrote any yet.
///
/// # Errors
/// Not allowed, or [`ApiError::NotFound`].
pub async fn note(state: &AppState, actor: &Actor, set: &SetAt, id: &str) -> Result<NoteRow> {
    set.at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    let row = prompt_now(&mut conn, &set.set.id, id).await?;
    Ok(note::find(&mut conn, &row.id).await?.unwrap_or(NoteRow {
        prompt_row: row.id,
        set_id: row.set_id,
        body: String::new(),
        revision: 0,
        updated_at: row.created_at,
        updated_by: String::new(),
    }))
}

/// Writes the notes on a prompt, starting from revision `expected` (0: there were none).
///
/// # Errors
/// Not allowed; archived; too long; saved by somebody else in between.
pub async fn put_note(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    id: &str,
    body: &str,
    expected: i64,
) -> Result<NoteRow> {
    set.at.require(actor, Action::Edit)?;
    if body.chars().count() > NOTE_MAX {
        return Err(ApiError::TooLarge(format!("notes have at most {NOTE_MAX} characters; shorten them")));
    }
    let mut tx = state.database.write().await?;
    let id = prompt_now(&mut tx, &set.set.id, id).await?.prompt_id;
    // The entry holds the end of the chain until we commit: of two at once, one comes after.
    let subject = format!("{}/{id}", set.path());
    let detail = json!({ "revision": expected + 1 });
    audit::record(&mut tx, actor, &set.at.organisation.id, "prompt.noted", &subject, detail).await?;
    refuse_archived(&mut tx, set).await?;
    let row = prompt_now(&mut tx, &set.set.id, &id).await?;
    let there = note::find(&mut tx, &row.id).await?;
    if let Some(there) = there.filter(|there| there.revision != expected) {
        return Err(ApiError::Conflict {
            code: "revision_conflict",
            detail: format!(
                "{} saved the notes on {id} after you opened them; take over what is new and save again",
                there.updated_by
            ),
            more: json!({
                "expected_revision": expected,
                "current": { "revision": there.revision, "body": there.body, "updated_by": there.updated_by },
            }),
        });
    }
    let made = NoteRow {
        prompt_row: row.id,
        set_id: row.set_id,
        body: body.to_owned(),
        revision: expected + 1,
        updated_at: clock::now(),
        updated_by: actor.name.clone(),
    };
    note::put(&mut tx, &made).await?;
    tx.commit().await?;
    Ok(made)
}
