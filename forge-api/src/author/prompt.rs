//! The draft of a set: prompts and partials.
//!
//! A save names the revision it started from (0 for a new one). Where somebody saved in between,
//! nothing is written and the answer carries what is there now, so that both texts can be shown.

use schemas::bundle::{BODY_MAX, Bundle, Dependency, PROMPTS_MAX, SCHEMA_VERSION};
use schemas::canonical::{self, Digest};
use schemas::prompt::{Partial, Prompt};
use schemas::template::SOURCE_MAX;
use schemas::{Micros, PromptId};
use serde_json::json;

use super::SetAt;
use super::archive::archive;
use super::dependency::{self, Requirement};
use super::item::{Item, name_now};
use super::model::check_settings;
use super::set::begin_edit;
use crate::audit;
use crate::auth::{Action, Actor};
use crate::clock;
use crate::database::prompt::{self, PartialRow, PromptRevision, PromptRow};
use crate::database::revision::{self, PartialRevision};
use crate::database::{Conn, DatabaseError};
use crate::error::{ApiError, Result, within};
use crate::state::AppState;

/// Longest message of a save, in characters.
const MESSAGE_MAX: usize = 500;

/// A prompt as its author left it.
#[derive(Debug, Clone)]
pub struct PromptDraft {
    pub prompt: Prompt,
    /// Grows by one with each save.
    pub revision: i64,
    pub updated_at: Micros,
    pub updated_by: String,
}

/// A partial as its author left it.
#[derive(Debug, Clone)]
pub struct PartialDraft {
    pub partial: Partial,
    pub revision: i64,
    pub updated_at: Micros,
    pub updated_by: String,
}

/// A whole draft.
#[derive(Debug, Clone)]
pub struct Draft {
    pub prompts: Vec<PromptDraft>,
    pub partials: Vec<PartialDraft>,
    /// Sets that it takes partials from, and what that comes to now.
    pub requirements: Vec<Requirement>,
    /// Of the draft's content, with what it takes from other sets: what an approval is bound to.
    pub digest: Digest,
}

impl Draft {
    /// The draft's content as a bundle of `version`.
    ///
    /// # Errors
    /// As [`super::ProjectAt::scope`].
    pub fn bundle(&self, set: &SetAt, version: semver::Version) -> Result<Bundle> {
        Ok(Bundle {
            schema_version: SCHEMA_VERSION,
            organisation: schemas::Slug::new(&set.at.organisation.slug)?,
            project: schemas::Slug::new(&set.at.project.slug)?,
            set: set.slug()?,
            version,
            prompts: self.prompts.iter().map(|p| p.prompt.clone()).collect(),
            partials: self.partials(),
            dependencies: self.dependencies(),
        })
    }

    /// Its partials, and those that it takes from other sets.
    #[must_use]
    pub fn partials(&self) -> Vec<Partial> {
        let own = self.partials.iter().map(|p| p.partial.clone());
        let taken = self.requirements.iter().filter_map(|r| r.resolved.as_ref());
        own.chain(taken.flat_map(|r| r.partials.iter().cloned())).collect()
    }

    /// What it takes from other sets, as a version keeps it.
    #[must_use]
    pub fn dependencies(&self) -> Vec<Dependency> {
        let taken = self.requirements.iter().filter_map(|r| r.resolved.as_ref());
        taken.map(|r| r.dependency.clone()).collect()
    }
}

/// The digest of content without its version: the same for a draft and for what was locked of it.
pub(crate) fn content_digest(mut content: Bundle) -> Result<Digest> {
    content.version = semver::Version::new(0, 0, 0);
    content.prompts.sort_by(|a, b| a.id.cmp(&b.id));
    content.partials.sort_by(|a, b| a.name.cmp(&b.name));
    content.dependencies.sort_by(|a, b| a.set.cmp(&b.set));
    Ok(Digest::of(&canonical::to_canonical(&content).map_err(ApiError::internal)?))
}

fn parse(row: PromptRow) -> Result<PromptDraft> {
    let prompt = serde_json::from_str(&row.body)
        .map_err(|e| DatabaseError::Damaged(format!("prompt {}: {e}", row.prompt_id)))?;
    Ok(PromptDraft { prompt, revision: row.revision, updated_at: row.updated_at, updated_by: row.updated_by })
}

fn parse_partial(row: PartialRow) -> Result<PartialDraft> {
    Ok(PartialDraft {
        partial: Partial { name: PromptId::new(&row.name)?, source: row.source },
        revision: row.revision,
        updated_at: row.updated_at,
        updated_by: row.updated_by,
    })
}

/// A draft without its prompts: what their templates may take in.
async fn around(conn: &mut Conn, set: &SetAt) -> Result<Draft> {
    let partials: Vec<_> = prompt::partials_of_set(conn, &set.set.id)
        .await?
        .into_iter()
        .map(parse_partial)
        .collect::<Result<_>>()?;
    let requirements = dependency::resolve(conn, &set.set.id).await?;
    Ok(Draft { prompts: Vec::new(), partials, requirements, digest: Digest::of(b"") })
}

/// The partials that a prompt of a draft can take in: its own, and those of other sets.
pub(super) async fn partials(conn: &mut Conn, set: &SetAt) -> Result<Vec<Partial>> {
    Ok(around(conn, set).await?.partials())
}

/// Reads a draft.
pub(crate) async fn load(conn: &mut Conn, set: &SetAt) -> Result<Draft> {
    let prompts: Vec<_> =
        prompt::of_set(conn, &set.set.id).await?.into_iter().map(parse).collect::<Result<_>>()?;
    let mut draft = Draft { prompts, ..around(conn, set).await? };
    draft.digest = content_digest(draft.bundle(set, semver::Version::new(0, 0, 0))?)?;
    Ok(draft)
}

/// The draft of a set.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn draft(state: &AppState, actor: &Actor, set: &SetAt) -> Result<Draft> {
    set.at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    load(&mut conn, set).await
}

/// The id of the first prompt of a draft.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn first_prompt(state: &AppState, actor: &Actor, set: &SetAt) -> Result<Option<String>> {
    set.at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    Ok(prompt::first_of_set(&mut conn, &set.set.id).await?)
}

/// One prompt of a draft.
///
/// # Errors
/// [`ApiError::NotFound`].
pub async fn prompt_draft(state: &AppState, actor: &Actor, set: &SetAt, id: &str) -> Result<PromptDraft> {
    set.at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    parse(prompt::find(&mut conn, &set.set.id, id).await?.ok_or(ApiError::NotFound("prompt"))?)
}

/// One partial of a draft.
///
/// # Errors
/// [`ApiError::NotFound`].
pub async fn partial_draft(state: &AppState, actor: &Actor, set: &SetAt, name: &str) -> Result<PartialDraft> {
    set.at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    parse_partial(
        prompt::find_partial(&mut conn, &set.set.id, name).await?.ok_or(ApiError::NotFound("partial"))?,
    )
}

/// Somebody saved in between: what is there now stands in `current`, with its revision.
fn conflict(what: &str, expected: i64, current: serde_json::Value, by: &str) -> ApiError {
    let now = &current["revision"];
    let detail = match expected {
        0 => format!(
            "there is a {what} already, saved by {by}: choose another name, or load it, merge, and save with revision {now}"
        ),
        _ => format!(
            "{by} saved {what} after you opened it (you started from revision {expected}): load it again, merge, and save with revision {now}"
        ),
    };
    ApiError::Conflict {
        code: "revision_conflict",
        detail,
        more: json!({ "expected_revision": expected, "current": current }),
    }
}

/// What was opened does not stand under its name any more: where it is now, in `renamed_to`, or that it is archived.
async fn moved_away(conn: &mut Conn, set: &SetAt, item: Item, name: &str, expected: i64) -> Result<ApiError> {
    let what = item.as_str();
    let (detail, more) = match name_now(conn, &set.set.id, item, name).await? {
        Some(now) => (
            format!(
                "{what} {name} was renamed to {now} after you opened it: load {now}, merge, and save that"
            ),
            json!({ "expected_revision": expected, "renamed_to": now }),
        ),
        None => (
            format!("{what} {name} is not there any more: look for it in the archive of its set"),
            json!({ "expected_revision": expected }),
        ),
    };
    Ok(ApiError::Conflict { code: "revision_conflict", detail, more })
}

/// Refuses a prompt with a template that is longer than any may be.
pub(super) fn short_enough(prompt: &Prompt) -> Result<()> {
    if prompt.templates().any(|t| t.len() > SOURCE_MAX) {
        return Err(ApiError::TooLarge(format!(
            "a template of {} is too long: it has at most {SOURCE_MAX} bytes; split it by partials",
            prompt.id
        )));
    }
    Ok(())
}

/// Refuses a draft that a transaction made larger than a bundle can be.
pub(super) async fn small_enough(conn: &mut Conn, set: &SetAt) -> Result<()> {
    let (prompts, partials, bytes) = prompt::size(conn, &set.set.id).await?;
    for (what, found) in [("prompts", prompts), ("partials", partials)] {
        if found > PROMPTS_MAX as i64 {
            return Err(ApiError::TooLarge(format!("a set has at most {PROMPTS_MAX} {what}; split it")));
        }
    }
    if bytes > BODY_MAX as i64 {
        return Err(ApiError::TooLarge(format!(
            "a set has at most {BODY_MAX} bytes of prompts and partials; split it"
        )));
    }
    Ok(())
}

/// As [`save_prompt_because`], with nothing to say.
///
/// # Errors
/// As [`save_prompt_because`].
pub async fn save_prompt(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    prompt: &Prompt,
    expected: i64,
) -> Result<PromptDraft> {
    save_prompt_because(state, actor, set, prompt, expected, "").await
}

/// Saves a prompt that started from `expected` (0: it must be new), with a message for its history.
/// The text may still be wrong: that is refused only when a version is locked.
///
/// # Errors
/// Not allowed; not in EDITING; saved by somebody else in between; too long; too many prompts; model
/// settings or tags that do not fit.
pub async fn save_prompt_because(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    prompt: &Prompt,
    expected: i64,
    message: &str,
) -> Result<PromptDraft> {
    set.at.require(actor, Action::Edit)?;
    let message = within("message", "a message", message, MESSAGE_MAX)?;
    let body = serde_json::to_string(prompt).map_err(ApiError::internal)?;
    short_enough(prompt)?;
    check_settings(prompt)?;
    let mut tx = state.database.write().await?;
    begin_edit(&mut tx, actor, set).await?;
    let there = prompt::find(&mut tx, &set.set.id, prompt.id.as_str()).await?;
    if let Some(row) = &there
        && row.revision != expected
    {
        let current = json!({
            "revision": row.revision, "updated_at": clock::rfc3339(row.updated_at),
            "updated_by": row.updated_by,
            "prompt": serde_json::from_str::<serde_json::Value>(&row.body).unwrap_or_default(),
        });
        return Err(conflict(&format!("prompt {}", prompt.id), expected, current, &row.updated_by));
    }
    if there.is_none() && expected != 0 {
        let name = prompt.id.as_str();
        return Err(moved_away(&mut tx, set, Item::Prompt, name, expected).await?);
    }
    let now = clock::now();
    let row = PromptRow {
        id: there.as_ref().map_or_else(clock::new_id, |r| r.id.clone()),
        set_id: set.set.id.clone(),
        prompt_id: prompt.id.to_string(),
        body,
        revision: expected + 1,
        created_at: there.as_ref().map_or(now, |r| r.created_at),
        updated_at: now,
        updated_by: actor.name.clone(),
    };
    prompt::put_all(&mut tx, std::slice::from_ref(&row)).await?;
    small_enough(&mut tx, set).await?;
    prompt::add_revisions(&mut tx, &[PromptRevision { message, ..revision_of(&row) }]).await?;
    let detail = json!({ "revision": row.revision });
    let subject = format!("{}/{}", set.path(), prompt.id);
    audit::record(&mut tx, actor, &set.at.organisation.id, "prompt.saved", &subject, detail).await?;
    tx.commit().await?;
    set.changed(state);
    parse(row)
}

pub(crate) fn revision_of(row: &PromptRow) -> PromptRevision {
    PromptRevision {
        id: clock::new_id(),
        set_id: row.set_id.clone(),
        prompt_id: row.prompt_id.clone(),
        revision: row.revision,
        body: Some(row.body.clone()),
        author: row.updated_by.clone(),
        created_at: row.updated_at,
        message: String::new(),
        renamed_from: None,
    }
}

/// A partial as its history keeps it; no source means that it was deleted. A message that FORGE made itself may
/// be cut.
pub(super) fn partial_revision_of(
    row: &PartialRow,
    source: Option<String>,
    message: &str,
) -> PartialRevision {
    PartialRevision {
        id: clock::new_id(),
        set_id: row.set_id.clone(),
        name: row.name.clone(),
        revision: row.revision,
        source,
        author: row.updated_by.clone(),
        created_at: row.updated_at,
        message: message.chars().take(MESSAGE_MAX).collect(),
        renamed_from: None,
    }
}

/// Takes a prompt that stands at revision `expected` out of the draft, into the archive.
///
/// # Errors
/// As [`archive`].
pub async fn delete_prompt(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    id: &str,
    expected: i64,
) -> Result<()> {
    archive(state, actor, set, Item::Prompt, id, Some(expected)).await.map(|_| ())
}

/// As [`save_partial_because`], with nothing to say.
///
/// # Errors
/// As [`save_prompt_because`].
pub async fn save_partial(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    partial: &Partial,
    expected: i64,
) -> Result<PartialDraft> {
    save_partial_because(state, actor, set, partial, expected, "").await
}

/// Saves a partial that started from `expected` (0: it must be new), with a message for its history.
///
/// # Errors
/// As [`save_prompt_because`].
pub async fn save_partial_because(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    partial: &Partial,
    expected: i64,
    message: &str,
) -> Result<PartialDraft> {
    set.at.require(actor, Action::Edit)?;
    let message = within("message", "a message", message, MESSAGE_MAX)?;
    if partial.source.len() > SOURCE_MAX {
        return Err(ApiError::TooLarge(format!("a partial has at most {SOURCE_MAX} bytes; split it")));
    }
    let name = partial.name.as_str();
    let mut tx = state.database.write().await?;
    begin_edit(&mut tx, actor, set).await?;
    let there = prompt::find_partial(&mut tx, &set.set.id, name).await?;
    if let Some(r) = &there
        && r.revision != expected
    {
        let current = json!({ "revision": r.revision, "source": r.source, "updated_by": r.updated_by });
        return Err(conflict(&format!("partial {name}"), expected, current, &r.updated_by));
    }
    if there.is_none() && expected != 0 {
        return Err(moved_away(&mut tx, set, Item::Partial, name, expected).await?);
    }
    let row = PartialRow {
        id: there.map_or_else(clock::new_id, |r| r.id),
        set_id: set.set.id.clone(),
        name: name.into(),
        source: partial.source.clone(),
        revision: expected + 1,
        updated_at: clock::now(),
        updated_by: actor.name.clone(),
    };
    prompt::put_partial(&mut tx, &row).await?;
    small_enough(&mut tx, set).await?;
    let kept = partial_revision_of(&row, Some(row.source.clone()), &message);
    revision::add_partials(&mut tx, &[kept]).await?;
    let subject = format!("{}/{name}", set.path());
    let detail = json!({ "revision": row.revision });
    audit::record(&mut tx, actor, &set.at.organisation.id, "partial.saved", &subject, detail).await?;
    tx.commit().await?;
    set.changed(state);
    parse_partial(row)
}

/// Takes a partial that stands at revision `expected` out of the draft, into the archive.
///
/// # Errors
/// As [`archive`].
pub async fn delete_partial(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    name: &str,
    expected: i64,
) -> Result<()> {
    archive(state, actor, set, Item::Partial, name, Some(expected)).await.map(|_| ())
}
