//! What prompts and partials were after each save, and taking one back.
//!
//! Every save is a revision that stays: restoring one writes a new one with its content. A set as it
//! was at any revision can be read whole.

use schemas::prompt::{Partial, Prompt};
use schemas::{Micros, PromptId};

use super::SetAt;
use super::prompt::{save_partial_because, save_prompt_because};
use crate::auth::{Action, Actor};
use crate::database::prompt::{self, PromptRevision};
use crate::database::revision::{self, NEWEST, PartialRevision};
use crate::database::{Conn, DatabaseError};
use crate::error::{ApiError, Result};
use crate::state::AppState;

/// Most revisions of one list.
pub const LIST_MAX: i64 = 1000;

/// A prompt or a partial of a set, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    Prompt(&'a str),
    Partial(&'a str),
}

/// What was saved.
#[derive(Debug, Clone, PartialEq)]
pub enum Kept {
    Prompt(Box<Prompt>),
    Partial(String),
    /// It was deleted.
    Gone,
}

/// A prompt or a partial after one change.
#[derive(Debug, Clone)]
pub struct Revision {
    pub id: String,
    /// Grows by one with each save of what has this name.
    pub number: i64,
    pub author: String,
    /// Why, in the words of the author; often nothing.
    pub message: String,
    pub created_at: Micros,
    pub kept: Kept,
}

/// A set's prompts and partials at one time.
#[derive(Debug, Clone, Default)]
pub struct Past {
    pub prompts: Vec<Prompt>,
    pub partials: Vec<Partial>,
}

fn of_prompt(row: PromptRevision) -> Result<Revision> {
    let kept = match &row.body {
        None => Kept::Gone,
        Some(body) => Kept::Prompt(Box::new(
            serde_json::from_str(body)
                .map_err(|e| DatabaseError::Damaged(format!("revision {}: {e}", row.id)))?,
        )),
    };
    let PromptRevision { id, revision: number, author, message, created_at, .. } = row;
    Ok(Revision { id, number, author, message, created_at, kept })
}

fn of_partial(row: PartialRevision) -> Revision {
    let PartialRevision { id, revision: number, author, message, created_at, source, .. } = row;
    Revision { id, number, author, message, created_at, kept: source.map_or(Kept::Gone, Kept::Partial) }
}

/// Revisions of a prompt or a partial with an id below `before` (exclusive; none means from the
/// newest), newest first.
///
/// # Errors
/// Not allowed; nothing ever had this name.
pub async fn history(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    part: Part<'_>,
    before: Option<&str>,
    limit: i64,
) -> Result<Vec<Revision>> {
    set.at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    let found = below(&mut conn, set, part, before.unwrap_or(NEWEST), limit.clamp(1, LIST_MAX)).await?;
    if found.is_empty() && before.is_none() {
        return Err(ApiError::NotFound(match part {
            Part::Prompt(_) => "prompt",
            Part::Partial(_) => "partial",
        }));
    }
    Ok(found)
}

async fn below(
    conn: &mut Conn,
    set: &SetAt,
    part: Part<'_>,
    before: &str,
    limit: i64,
) -> Result<Vec<Revision>> {
    let set_id = &set.set.id;
    match part {
        Part::Prompt(id) => {
            let rows = revision::of_prompt(conn, set_id, id, before, limit).await?;
            rows.into_iter().map(of_prompt).collect()
        }
        Part::Partial(name) => {
            let rows = revision::of_partial(conn, set_id, name, before, limit).await?;
            Ok(rows.into_iter().map(of_partial).collect())
        }
    }
}

/// One revision, by its id or its number (the newest with that number).
///
/// # Errors
/// [`ApiError::NotFound`].
pub async fn find_revision(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    part: Part<'_>,
    key: &str,
) -> Result<Revision> {
    set.at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    find(&mut conn, set, part, key).await
}

async fn find(conn: &mut Conn, set: &SetAt, part: Part<'_>, key: &str) -> Result<Revision> {
    let (set_id, number) = (&set.set.id, key.parse().unwrap_or(-1));
    let found = match part {
        Part::Prompt(id) => {
            revision::find_prompt(conn, set_id, id, key, number).await?.map(of_prompt).transpose()?
        }
        Part::Partial(name) => revision::find_partial(conn, set_id, name, key, number).await?.map(of_partial),
    };
    found.ok_or(ApiError::NotFound("revision"))
}

/// The revision before one.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn before(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    part: Part<'_>,
    revision: &Revision,
) -> Result<Option<Revision>> {
    set.at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    Ok(below(&mut conn, set, part, &revision.id, 1).await?.into_iter().next())
}

/// Makes a prompt or a partial again what it was: a new revision with the content of this one.
/// `expected` is the revision that stands now, if the caller cares (0: it is deleted).
///
/// # Errors
/// Not allowed; not in EDITING; the revision is that it was deleted; saved by somebody else in
/// between.
pub async fn restore(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    part: Part<'_>,
    key: &str,
    expected: Option<i64>,
) -> Result<Revision> {
    set.at.require(actor, Action::Edit)?;
    let (old, now) = {
        let mut conn = state.database.read().await?;
        (find(&mut conn, set, part, key).await?, standing(&mut conn, set, part).await?)
    };
    let expected = expected.unwrap_or(now);
    let message = format!("restored revision {}", old.number);
    match (part, old.kept) {
        (Part::Prompt(_), Kept::Prompt(prompt)) => {
            save_prompt_because(state, actor, set, &prompt, expected, &message).await?;
        }
        (Part::Partial(name), Kept::Partial(source)) => {
            let partial = Partial { name: PromptId::new(name)?, source };
            save_partial_because(state, actor, set, &partial, expected, &message).await?;
        }
        _ => {
            let detail = "this revision is that it was deleted: restore the one before it";
            return Err(ApiError::invalid("deleted", "revision", detail));
        }
    }
    let mut conn = state.database.read().await?;
    below(&mut conn, set, part, NEWEST, 1).await?.into_iter().next().ok_or(ApiError::NotFound("revision"))
}

/// The revision that stands now; 0 where there is none.
async fn standing(conn: &mut Conn, set: &SetAt, part: Part<'_>) -> Result<i64> {
    Ok(match part {
        Part::Prompt(id) => prompt::find(conn, &set.set.id, id).await?.map_or(0, |row| row.revision),
        Part::Partial(name) => {
            prompt::find_partial(conn, &set.set.id, name).await?.map_or(0, |row| row.revision)
        }
    })
}

/// The set as it was right after a revision of one of its prompts or partials.
///
/// # Errors
/// [`ApiError::NotFound`].
pub async fn past(state: &AppState, actor: &Actor, set: &SetAt, at: Micros) -> Result<Past> {
    set.at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    let mut past = Past::default();
    for row in revision::prompts_at(&mut conn, &set.set.id, at).await? {
        if let Kept::Prompt(prompt) = of_prompt(row)?.kept {
            past.prompts.push(*prompt);
        }
    }
    for row in revision::partials_at(&mut conn, &set.set.id, at).await? {
        let name = PromptId::new(&row.name)?;
        if let Kept::Partial(source) = of_partial(row).kept {
            past.partials.push(Partial { name, source });
        }
    }
    past.prompts.sort_by(|a, b| a.id.cmp(&b.id));
    past.partials.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(past)
}
