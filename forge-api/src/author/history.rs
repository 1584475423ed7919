//! What prompts and partials were after each save, and taking one back.
//!
//! Every save is a revision that stays: restoring one writes a new one with its content. A history goes on
//! under the names that something had before. A set as it was at any revision can be read whole (`state`).

mod state;

pub use state::{Past, PastState, Renames, past, renamed_between, states};

use std::collections::HashMap;

use schemas::prompt::{Partial, Prompt};
use schemas::{Micros, PromptId};

use super::SetAt;
use super::partial::{prompt_with, renamed_in};
use super::prompt::{save_partial_because, save_prompt_because};
use crate::auth::{Action, Actor};
use crate::database::prompt::{self, PromptRevision};
use crate::database::revision::{self, NEWEST, PartialRevision, Renamed};
use crate::database::{Conn, DatabaseError, origin};
use crate::error::{ApiError, Result};
use crate::state::AppState;

/// Most revisions of one list.
pub const LIST_MAX: i64 = 1000;
/// Most names of one prompt that its history goes back through.
const NAMES_MAX: usize = 100;

/// A prompt or a partial of a set, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    Prompt(&'a str),
    Partial(&'a str),
}

impl<'a> Part<'a> {
    #[must_use]
    pub fn name(self) -> &'a str {
        match self {
            Self::Prompt(name) | Self::Partial(name) => name,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Prompt(_) => "prompt",
            Self::Partial(_) => "partial",
        }
    }
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
    /// The name that it had then.
    pub name: String,
    /// Grows by one with each save of what has this name.
    pub number: i64,
    pub author: String,
    /// Why, in the words of the author; often nothing.
    pub message: String,
    pub created_at: Micros,
    pub kept: Kept,
    /// The name before, where this change gave it another one.
    pub renamed_from: Option<String>,
    /// Who brought it from elsewhere; its author is somebody there.
    pub imported_by: Option<String>,
}

fn of_prompt(row: PromptRevision) -> Result<Revision> {
    let kept = match &row.body {
        None => Kept::Gone,
        Some(body) => Kept::Prompt(Box::new(
            serde_json::from_str(body)
                .map_err(|e| DatabaseError::Damaged(format!("revision {}: {e}", row.id)))?,
        )),
    };
    let PromptRevision { id, prompt_id: name, revision: number, author, message, created_at, .. } = row;
    let (renamed_from, imported_by) = (row.renamed_from, None);
    Ok(Revision { id, name, number, author, message, created_at, kept, renamed_from, imported_by })
}

fn of_partial(row: PartialRevision) -> Revision {
    let PartialRevision { id, name, revision: number, author, message, created_at, source, .. } = row;
    let kept = source.map_or(Kept::Gone, Kept::Partial);
    let (renamed_from, imported_by) = (row.renamed_from, None);
    Revision { id, name, number, author, message, created_at, kept, renamed_from, imported_by }
}

/// Says of each revision who brought it, where it was saved elsewhere.
async fn marked(conn: &mut Conn, mut found: Vec<Revision>) -> Result<Vec<Revision>> {
    let ids: Vec<&str> = found.iter().map(|one| one.id.as_str()).collect();
    let mut brought: HashMap<String, String> = origin::of_revisions(conn, &ids)
        .await?
        .into_iter()
        .map(|row| (row.revision_id, row.imported_by))
        .collect();
    for one in &mut found {
        one.imported_by = brought.remove(&one.id);
    }
    Ok(found)
}

/// The time in which something had one name: ids of its revisions from `from` to `before` (exclusive).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    name: String,
    from: String,
    before: String,
}

/// The names that a prompt or a partial had, the last first. A name that something else had in between is followed
/// no further than to the change that gave it.
async fn names(conn: &mut Conn, set: &SetAt, part: Part<'_>) -> Result<Vec<Named>> {
    let mut found = Vec::new();
    let (mut name, mut before) = (part.name().to_owned(), NEWEST.to_owned());
    while found.len() < NAMES_MAX {
        let renamed = match part {
            Part::Prompt(_) => revision::prompt_renamed(conn, &set.set.id, &name, &before).await?,
            Part::Partial(_) => revision::partial_renamed(conn, &set.set.id, &name, &before).await?,
        };
        let Some(Renamed { id, from }) = renamed else {
            found.push(Named { name, from: String::new(), before });
            break;
        };
        found.push(Named { name, from: id.clone(), before });
        (name, before) = (from, id);
    }
    Ok(found)
}

/// Revisions of a prompt or a partial with an id below `before` (exclusive; none means from the
/// newest), newest first. They go on under the names that it had before.
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
        return Err(ApiError::NotFound(part.as_str()));
    }
    marked(&mut conn, found).await
}

async fn below(
    conn: &mut Conn,
    set: &SetAt,
    part: Part<'_>,
    before: &str,
    limit: i64,
) -> Result<Vec<Revision>> {
    let wanted = usize::try_from(limit).unwrap_or_default();
    let mut found: Vec<Revision> = Vec::new();
    for (nth, named) in names(conn, set, part).await?.into_iter().enumerate() {
        let until = before.min(named.before.as_str());
        if until <= named.from.as_str() {
            continue;
        }
        let missing = wanted.saturating_sub(found.len());
        if missing == 0 {
            break;
        }
        // One more than is asked for: what says that it went under this name is left out.
        let more = i64::try_from(missing + 1).unwrap_or(i64::MAX);
        let mut rows = of_name(conn, set, part, &named, until, more).await?;
        let left = nth > 0 && until == named.before && rows.first().is_some_and(|r| r.kept == Kept::Gone);
        if left {
            rows.remove(0);
        }
        rows.truncate(missing);
        found.extend(rows);
    }
    Ok(found)
}

/// Revisions of something while it had one name.
async fn of_name(
    conn: &mut Conn,
    set: &SetAt,
    part: Part<'_>,
    named: &Named,
    until: &str,
    limit: i64,
) -> Result<Vec<Revision>> {
    let (set_id, ids) = (&set.set.id, (named.from.as_str(), until));
    match part {
        Part::Prompt(_) => {
            let rows = revision::of_prompt(conn, set_id, &named.name, ids, limit).await?;
            rows.into_iter().map(of_prompt).collect()
        }
        Part::Partial(_) => {
            let rows = revision::of_partial(conn, set_id, &named.name, ids, limit).await?;
            Ok(rows.into_iter().map(of_partial).collect())
        }
    }
}

/// One revision, by its id or its number (the newest with that number), under whichever name it was saved.
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
    let found = find(&mut conn, set, part, key).await?;
    marked(&mut conn, vec![found]).await?.pop().ok_or(ApiError::NotFound("revision"))
}

async fn find(conn: &mut Conn, set: &SetAt, part: Part<'_>, key: &str) -> Result<Revision> {
    let (set_id, key) = (&set.set.id, (key, key.parse().unwrap_or(-1)));
    for named in names(conn, set, part).await? {
        let ids = (named.from.as_str(), named.before.as_str());
        let found = match part {
            Part::Prompt(_) => {
                let row = revision::find_prompt(conn, set_id, &named.name, ids, key).await?;
                row.map(of_prompt).transpose()?
            }
            Part::Partial(_) => {
                revision::find_partial(conn, set_id, &named.name, ids, key).await?.map(of_partial)
            }
        };
        if let Some(found) = found {
            return Ok(found);
        }
    }
    Err(ApiError::NotFound("revision"))
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
    let renamed = renamed_between(state, actor, set, old.created_at, Micros::MAX).await?.partials;
    match (part, old.kept) {
        (Part::Prompt(name), Kept::Prompt(mut prompt)) => {
            // It may have had another name then, and so may what it takes in.
            prompt.id = PromptId::new(name)?;
            for (from, to) in &renamed {
                if let Some(changed) = prompt_with(&prompt, from, to) {
                    *prompt = changed;
                }
            }
            save_prompt_because(state, actor, set, &prompt, expected, &message).await?;
        }
        (Part::Partial(name), Kept::Partial(mut source)) => {
            for (from, to) in &renamed {
                source = renamed_in(&source, from, to).unwrap_or(source);
            }
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
