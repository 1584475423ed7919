//! A prompt or a partial under another name. The old name leads to it from then on, until something
//! else has it.

use schemas::{Micros, PromptId};
use serde_json::json;

use super::SetAt;
use super::item::{Because, Item, found, free, held, name_now, put_because, take};
use super::partial::{prompt_with, renamed_in};
use super::prompt::{load, small_enough};
use super::set::begin_edit;
use crate::audit;
use crate::auth::{Action, Actor};
use crate::clock;
use crate::database::Conn;
use crate::database::redirect::{self, Redirect};
use crate::error::{ApiError, Result};
use crate::state::AppState;

/// What was moved, and where it stands now.
#[derive(Debug, Clone)]
pub struct Moved {
    pub item: Item,
    pub set: String,
    pub name: String,
    pub revision: i64,
    /// What was changed with it, because it takes in the partial of the old name.
    pub changed: Vec<String>,
    /// What became of the partials that a copy takes in.
    pub along: Along,
}

/// The partials that a copy in another set takes in, by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Along {
    /// They were copied with it.
    pub brought: Vec<String>,
    /// The other set has its own, with another text.
    pub differs: Vec<String>,
    /// Neither is there: the copy does not render until each is.
    pub missing: Vec<String>,
}

/// Refuses what somebody saved after it was opened.
pub(super) fn unchanged(item: Item, name: &str, found: i64, by: &str, expected: Option<i64>) -> Result<()> {
    match expected {
        Some(expected) if expected != found => Err(ApiError::Conflict {
            code: "revision_conflict",
            detail: format!(
                "{by} saved {} {name} after you opened it (you started from revision {expected}): look at it again, and name revision {found}",
                item.as_str()
            ),
            more: json!({ "expected_revision": expected, "current": { "revision": found } }),
        }),
        _ => Ok(()),
    }
}

/// Gives a prompt or a partial another name. Whatever takes in a partial takes it in under the new one.
///
/// `expected` is the revision that the caller saw, if the caller cares.
///
/// # Errors
/// Not allowed; not in EDITING; a bad or taken name; archived; saved by somebody else in between.
pub async fn rename(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    item: Item,
    from: &str,
    to: &str,
    expected: Option<i64>,
) -> Result<Moved> {
    set.at.require(actor, Action::Edit)?;
    let to = PromptId::new(to.trim()).map_err(|e| ApiError::Invalid {
        code: "bad_name",
        field: Some("to"),
        detail: e.to_string(),
    })?;
    let mut tx = state.database.write().await?;
    begin_edit(&mut tx, actor, set).await?;
    let mut old = found(&mut tx, &set.set.id, item, from).await?;
    unchanged(item, &old.name, old.revision, &old.updated_by, expected)?;
    if old.name == to.as_str() {
        return Err(ApiError::invalid("same_name", "to", format!("{to} is its name already")));
    }
    free(&mut tx, set, item, &to).await?;
    // All of it at one time: nobody finds a state in between.
    let now = clock::now();
    let changed = match item {
        Item::Prompt => Vec::new(),
        Item::Partial => take_in(&mut tx, actor, set, &old.name, to.as_str(), now).await?,
    };
    // A partial may have been changed with the others: it may take in itself by mistake.
    if let Some(now) = held(&mut tx, &set.set.id, item, &old.name).await? {
        old = now;
    }
    let gone = format!("renamed to {to}");
    take(&mut tx, set, item, &old, Because { by: &actor.name, why: &gone, from: None, at: now }).await?;
    let before = std::mem::replace(&mut old.name, to.to_string());
    let why = format!("renamed from {before}");
    let because = Because { by: &actor.name, why: &why, from: Some(&before), at: now };
    let revision = put_because(&mut tx, set, item, &old, because).await?;
    small_enough(&mut tx, set).await?;
    let row = Redirect {
        set_id: set.set.id.clone(),
        kind: item.as_str().into(),
        old_id: before.clone(),
        prompt_row: old.id,
        created_at: now,
        created_by: actor.name.clone(),
    };
    redirect::put(&mut tx, &row).await?;
    redirect::delete(&mut tx, &set.set.id, item.as_str(), to.as_str()).await?;
    if item == Item::Prompt {
        redirect::move_variable_sets(&mut tx, &set.set.id, &before, to.as_str()).await?;
    }
    let subject = format!("{}/{to}", set.path());
    let detail = json!({ "from": before, "changed": changed });
    let action = format!("{}.renamed", item.as_str());
    audit::record(&mut tx, actor, &set.at.organisation.id, &action, &subject, detail).await?;
    tx.commit().await?;
    set.changed(state);
    Ok(Moved {
        item,
        set: set.set.slug.clone(),
        name: to.to_string(),
        revision,
        changed,
        along: Along::default(),
    })
}

/// Writes the new name of a partial wherever the draft takes it in.
async fn take_in(
    conn: &mut Conn,
    actor: &Actor,
    set: &SetAt,
    old: &str,
    new: &str,
    now: Micros,
) -> Result<Vec<String>> {
    let draft = load(conn, set).await?;
    let why = format!("partial {old} is now {new}");
    let because = Because { by: &actor.name, why: &why, from: None, at: now };
    let mut changed = Vec::new();
    for one in &draft.prompts {
        let id = one.prompt.id.as_str();
        let (Some(prompt), Some(mut row)) =
            (prompt_with(&one.prompt, old, new), held(conn, &set.set.id, Item::Prompt, id).await?)
        else {
            continue;
        };
        row.body = serde_json::to_string(&prompt).map_err(ApiError::internal)?;
        put_because(conn, set, Item::Prompt, &row, because).await?;
        changed.push(id.to_owned());
    }
    for one in &draft.partials {
        let name = one.partial.name.as_str();
        let (Some(source), Some(mut row)) =
            (renamed_in(&one.partial.source, old, new), held(conn, &set.set.id, Item::Partial, name).await?)
        else {
            continue;
        };
        row.body = source;
        put_because(conn, set, Item::Partial, &row, because).await?;
        changed.push(format!("partial {name}"));
    }
    Ok(changed)
}

/// The name that whoever had this one before has now.
///
/// # Errors
/// Not allowed, or [`ApiError::NotFound`]: nobody had it, or what had it is archived.
pub async fn renamed(state: &AppState, actor: &Actor, set: &SetAt, item: Item, name: &str) -> Result<String> {
    set.at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    name_now(&mut conn, &set.set.id, item, name).await?.ok_or(ApiError::NotFound(item.as_str()))
}
