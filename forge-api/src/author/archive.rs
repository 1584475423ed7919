//! Taking prompts and partials out of a draft, and bringing them back. Nothing is destroyed.

use schemas::PromptId;
use serde_json::json;

use super::SetAt;
use super::item::{Because, Held, Item, found, free, held, put_because, take};
use super::partial::users;
use super::prompt::{load, small_enough};
use super::rename::{Along, Moved, unchanged};
use super::set::begin_edit;
use crate::audit;
use crate::auth::{Action, Actor};
use crate::database::Conn;
use crate::database::archive::{self, ArchivedRow};
use crate::error::{ApiError, Result};
use crate::state::AppState;

/// Most archived prompts that are shown.
const SHOWN_MAX: i64 = 500;

/// Takes a prompt or a partial out of the draft, into the archive of its set.
///
/// `expected` is the revision that the caller saw, if the caller cares.
///
/// # Errors
/// Not allowed; not in EDITING; archived already; saved by somebody else in between; a partial that
/// something takes in.
pub async fn archive(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    item: Item,
    name: &str,
    expected: Option<i64>,
) -> Result<ArchivedRow> {
    set.at.require(actor, Action::Edit)?;
    let mut tx = state.database.write().await?;
    begin_edit(&mut tx, actor, set).await?;
    let old = found(&mut tx, &set.set.id, item, name).await?;
    unchanged(item, &old.name, old.revision, &old.updated_by, expected)?;
    if item == Item::Partial {
        let users = users(&load(&mut tx, set).await?, &old.name);
        if !users.is_empty() {
            return Err(ApiError::Conflict {
                code: "in_use",
                detail: format!(
                    "partial {} is taken in by {}; take the include out there first",
                    old.name,
                    listed(&users)
                ),
                more: json!({ "used_by": users }),
            });
        }
    }
    let row = keep(&mut tx, actor, set, item, old).await?;
    let subject = format!("{}/{}", set.path(), row.name);
    let action = format!("{}.archived", item.as_str());
    audit::record(&mut tx, actor, &set.at.organisation.id, &action, &subject, json!({})).await?;
    tx.commit().await?;
    set.changed(state);
    Ok(row)
}

/// Moves what stands in the draft into the archive.
pub(super) async fn keep(
    conn: &mut Conn,
    actor: &Actor,
    set: &SetAt,
    item: Item,
    old: Held,
) -> Result<ArchivedRow> {
    keep_because(conn, set, item, old, Because::now(&actor.name, "archived")).await
}

/// As [`keep`], with all that its history says.
pub(super) async fn keep_because(
    conn: &mut Conn,
    set: &SetAt,
    item: Item,
    old: Held,
    because: Because<'_>,
) -> Result<ArchivedRow> {
    take(conn, set, item, &old, because).await?;
    let row = ArchivedRow {
        id: old.id,
        set_id: set.set.id.clone(),
        kind: item.as_str().into(),
        name: old.name,
        body: old.body,
        revision: old.revision + 1,
        created_at: old.created_at,
        archived_at: because.at,
        archived_by: because.by.to_owned(),
    };
    archive::insert(conn, &row).await?;
    Ok(row)
}

/// `a, b and 3 more`.
fn listed(names: &[String]) -> String {
    const NAMED: usize = 5;
    let named = names.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// Which of the archive, and the name that it shall have.
#[derive(Debug, Clone, Copy)]
pub struct Restore<'a> {
    pub item: Item,
    pub name: &'a str,
    /// The one that was archived under this id; none is the last one of the name.
    pub id: Option<&'a str>,
    /// None is the name that it had.
    pub to: Option<&'a str>,
}

/// Brings a prompt or a partial back into the draft.
///
/// # Errors
/// Not allowed; not in EDITING; not archived; the name is taken by now.
pub async fn restore(state: &AppState, actor: &Actor, set: &SetAt, which: Restore<'_>) -> Result<Moved> {
    set.at.require(actor, Action::Edit)?;
    let item = which.item;
    let mut tx = state.database.write().await?;
    begin_edit(&mut tx, actor, set).await?;
    let row = match which.id {
        Some(id) => archive::by_id(&mut tx, &set.set.id, id).await?,
        None => archive::last(&mut tx, &set.set.id, item.as_str(), which.name).await?,
    };
    let Some(row) = row.filter(|row| row.kind == item.as_str()) else {
        let there = held(&mut tx, &set.set.id, item, which.name).await?;
        return Err(match there {
            Some(_) => ApiError::conflict(
                "not_archived",
                format!("{} {} is not archived; it stands in the draft", item.as_str(), which.name),
            ),
            None => ApiError::NotFound(item.as_str()),
        });
    };
    let to = PromptId::new(which.to.map_or(row.name.as_str(), str::trim)).map_err(|e| ApiError::Invalid {
        code: "bad_name",
        field: Some("to"),
        detail: e.to_string(),
    })?;
    free(&mut tx, set, item, &to).await?;
    let back = Held {
        id: row.id.clone(),
        name: to.to_string(),
        body: row.body,
        revision: row.revision,
        created_at: row.created_at,
        updated_by: actor.name.clone(),
    };
    archive::delete(&mut tx, &row.id).await?;
    let from = Some(row.name.as_str()).filter(|from| *from != to.as_str());
    let why = "restored from the archive";
    let because = Because { from, ..Because::now(&actor.name, why) };
    let revision = put_because(&mut tx, set, item, &back, because).await?;
    small_enough(&mut tx, set).await?;
    let subject = format!("{}/{to}", set.path());
    let action = format!("{}.restored", item.as_str());
    let detail = json!({ "from": row.name });
    audit::record(&mut tx, actor, &set.at.organisation.id, &action, &subject, detail).await?;
    tx.commit().await?;
    set.changed(state);
    Ok(Moved {
        item,
        set: set.set.slug.clone(),
        name: to.to_string(),
        revision,
        changed: Vec::new(),
        along: Along::default(),
    })
}

/// What of a set is archived, the last first.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn archived(state: &AppState, actor: &Actor, set: &SetAt) -> Result<Vec<ArchivedRow>> {
    set.at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    Ok(archive::of_set(&mut conn, &set.set.id, SHOWN_MAX).await?)
}

/// How many prompts and partials of a set are archived.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn archived_count(state: &AppState, actor: &Actor, set: &SetAt) -> Result<i64> {
    set.at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    Ok(archive::count(&mut conn, &set.set.id).await?)
}
