//! A prompt or a partial by its name: what both have in common when they are moved.

use schemas::prompt::Prompt;
use schemas::{Micros, PromptId};

use super::SetAt;
use super::prompt::{partial_revision_of, revision_of};
use crate::clock;
use crate::database::prompt::{self, PartialRow, PromptRevision, PromptRow};
use crate::database::revision::PartialRevision;
use crate::database::{Conn, DatabaseError, archive, redirect, revision};
use crate::error::{ApiError, Result};

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    Prompt,
    Partial,
}

impl Item {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::Partial => "partial",
        }
    }

    /// Reads `prompt` or `partial`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Prompt, Self::Partial].into_iter().find(|item| item.as_str() == text)
    }
}

/// A row of a draft, whichever it is of.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub id: String,
    pub name: String,
    /// A prompt's JSON, or a partial's source.
    pub body: String,
    pub revision: i64,
    pub created_at: Micros,
    pub updated_by: String,
}

/// What stands under a name.
pub(super) async fn held(conn: &mut Conn, set_id: &str, item: Item, name: &str) -> Result<Option<Held>> {
    Ok(match item {
        Item::Prompt => prompt::find(conn, set_id, name).await?.map(|row| Held {
            id: row.id,
            name: row.prompt_id,
            body: row.body,
            revision: row.revision,
            created_at: row.created_at,
            updated_by: row.updated_by,
        }),
        Item::Partial => prompt::find_partial(conn, set_id, name).await?.map(|row| Held {
            id: row.id,
            name: row.name,
            body: row.source,
            revision: row.revision,
            created_at: row.updated_at,
            updated_by: row.updated_by,
        }),
    })
}

/// What stands under a name, or under the one that it has now.
///
/// # Errors
/// It is archived, and may be restored; or there is none.
pub(super) async fn found(conn: &mut Conn, set_id: &str, item: Item, name: &str) -> Result<Held> {
    if let Some(held) = held(conn, set_id, item, name).await? {
        return Ok(held);
    }
    if let Some(now) = name_now(conn, set_id, item, name).await?
        && let Some(held) = held(conn, set_id, item, &now).await?
    {
        return Ok(held);
    }
    let what = item.as_str();
    match archive::last(conn, set_id, what, name).await? {
        Some(_) => {
            Err(ApiError::conflict("archived", format!("{what} {name} is archived; restore it first")))
        }
        None => Err(ApiError::NotFound(what)),
    }
}

/// The name that whoever had this one before has now.
pub(super) async fn name_now(
    conn: &mut Conn,
    set_id: &str,
    item: Item,
    name: &str,
) -> Result<Option<String>> {
    let Some(row) = redirect::row_of(conn, set_id, item.as_str(), name).await? else { return Ok(None) };
    Ok(match item {
        Item::Prompt => redirect::prompt_name(conn, &row).await?,
        Item::Partial => redirect::partial_name(conn, &row).await?,
    })
}

/// The row of a prompt under its name, or under the one that it has now.
///
/// # Errors
/// [`ApiError::NotFound`].
pub(super) async fn prompt_now(conn: &mut Conn, set_id: &str, name: &str) -> Result<PromptRow> {
    if let Some(row) = prompt::find(conn, set_id, name).await? {
        return Ok(row);
    }
    let now = name_now(conn, set_id, Item::Prompt, name).await?.ok_or(ApiError::NotFound("prompt"))?;
    prompt::find(conn, set_id, &now).await?.ok_or(ApiError::NotFound("prompt"))
}

/// Refuses a name that something in the draft has.
pub(super) async fn free(conn: &mut Conn, set: &SetAt, item: Item, name: &PromptId) -> Result<()> {
    let what = item.as_str();
    match held(conn, &set.set.id, item, name.as_str()).await? {
        None => Ok(()),
        Some(_) => Err(ApiError::conflict(
            "name_taken",
            format!(
                "there is a {what} {name} in {} already; choose another name, or rename or archive that one first",
                set.set.slug
            ),
        )),
    }
}

/// Puts a row into a set's draft; its history says why. A prompt takes its name into its body; its
/// revision follows on whatever stood under that name before.
///
/// # Errors
/// The database refuses, or holds what is no prompt.
pub(super) async fn put(
    conn: &mut Conn,
    set: &SetAt,
    item: Item,
    held: &Held,
    by: &str,
    why: &str,
) -> Result<i64> {
    put_because(conn, set, item, held, Because::now(by, why)).await
}

/// What a history says of a change.
#[derive(Debug, Clone, Copy)]
pub(super) struct Because<'a> {
    pub by: &'a str,
    pub why: &'a str,
    /// The name that it had before: its history goes on from the one under that.
    pub from: Option<&'a str>,
    /// What changes at one time is one state of the set.
    pub at: Micros,
}

impl<'a> Because<'a> {
    pub(super) fn now(by: &'a str, why: &'a str) -> Self {
        Self { by, why, from: None, at: clock::now() }
    }
}

/// As [`put`], with all that its history says.
///
/// # Errors
/// As [`put`].
pub(super) async fn put_because(
    conn: &mut Conn,
    set: &SetAt,
    item: Item,
    held: &Held,
    because: Because<'_>,
) -> Result<i64> {
    let Because { by, why, from, at: now } = because;
    let id = PromptId::new(&held.name)?;
    match item {
        Item::Prompt => {
            let mut body: Prompt = serde_json::from_str(&held.body)
                .map_err(|e| DatabaseError::Damaged(format!("prompt {}: {e}", held.name)))?;
            body.id = id;
            let before =
                revision::of_prompt(conn, &set.set.id, &held.name, ("", revision::NEWEST), 1).await?;
            let last = before.first().map_or(0, |r| r.revision);
            let row = PromptRow {
                id: held.id.clone(),
                set_id: set.set.id.clone(),
                prompt_id: held.name.clone(),
                body: serde_json::to_string(&body).map_err(ApiError::internal)?,
                revision: held.revision.max(last) + 1,
                created_at: held.created_at,
                updated_at: now,
                updated_by: by.to_owned(),
            };
            prompt::put_all(conn, std::slice::from_ref(&row)).await?;
            let kept = PromptRevision {
                message: why.to_owned(),
                renamed_from: from.map(str::to_owned),
                ..revision_of(&row)
            };
            prompt::add_revisions(conn, &[kept]).await?;
            Ok(row.revision)
        }
        Item::Partial => {
            let row = PartialRow {
                id: held.id.clone(),
                set_id: set.set.id.clone(),
                name: held.name.clone(),
                source: held.body.clone(),
                revision: held.revision + 1,
                updated_at: now,
                updated_by: by.to_owned(),
            };
            prompt::put_partial(conn, &row).await?;
            let kept = PartialRevision {
                renamed_from: from.map(str::to_owned),
                ..partial_revision_of(&row, Some(row.source.clone()), why)
            };
            revision::add_partials(conn, &[kept]).await?;
            Ok(row.revision)
        }
    }
}

/// Takes a row out of a set's draft; its history says that it went.
///
/// # Errors
/// The database refuses.
pub(super) async fn take(
    conn: &mut Conn,
    set: &SetAt,
    item: Item,
    held: &Held,
    because: Because<'_>,
) -> Result<()> {
    let Because { by, why, at: now, .. } = because;
    match item {
        Item::Prompt => {
            prompt::delete(conn, &set.set.id, &held.name).await?;
            let row = PromptRow {
                id: held.id.clone(),
                set_id: set.set.id.clone(),
                prompt_id: held.name.clone(),
                body: String::new(),
                revision: held.revision + 1,
                created_at: held.created_at,
                updated_at: now,
                updated_by: by.to_owned(),
            };
            let gone = PromptRevision { body: None, message: why.to_owned(), ..revision_of(&row) };
            prompt::add_revisions(conn, &[gone]).await?;
        }
        Item::Partial => {
            prompt::delete_partial(conn, &set.set.id, &held.name).await?;
            let row = PartialRow {
                id: held.id.clone(),
                set_id: set.set.id.clone(),
                name: held.name.clone(),
                source: String::new(),
                revision: held.revision + 1,
                updated_at: now,
                updated_by: by.to_owned(),
            };
            revision::add_partials(conn, &[partial_revision_of(&row, None, why)]).await?;
        }
    }
    Ok(())
}
