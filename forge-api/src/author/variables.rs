//! Variable sets: values to try a prompt with, saved by name and shared by everybody in the project.
//!
//! They are no part of a draft: nothing of them is locked or published, and they are saved in every state of
//! the set. A save names the revision it started from (0 for a new one). The audit log knows the name of a
//! set, never a value.

use schemas::Micros;
use schemas::prompt::Role;
use schemas::template::RenderedMessage;
use serde_json::{Map, Value, json};

use super::SetAt;
use super::item::{Item, prompt_now};
use super::preview::{Given, History};
use crate::audit;
use crate::auth::{Action, Actor};
use crate::clock;
use crate::database::prompt;
use crate::database::variable_set::{self, VariableSetRow};
use crate::database::{Conn, DatabaseError, archive};
use crate::error::{ApiError, Result};
use crate::state::AppState;

/// Most sets of one prompt.
pub(super) const SETS_MAX: usize = 100;
/// Most values and messages of one set, in bytes.
const BODY_MAX: usize = 256 * 1024;
/// Longest name, in characters.
const NAME_MAX: usize = 60;

/// A variable set.
#[derive(Debug, Clone)]
pub struct VariableSet {
    pub prompt: String,
    pub name: String,
    pub given: Given,
    /// Grows by one with each save.
    pub revision: i64,
    pub updated_at: Micros,
    pub updated_by: String,
}

/// The variable sets of a prompt, by name.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn variable_sets(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    prompt: &str,
) -> Result<Vec<VariableSet>> {
    set.at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    variable_set::of_prompt(&mut conn, &set.set.id, prompt).await?.into_iter().map(parse).collect()
}

/// The name under which the variable sets of a prompt stand, by its name or one that it had. Those of a prompt that is
/// archived stay under the last one.
///
/// # Errors
/// [`ApiError::NotFound`]: nothing was ever called so.
pub async fn variables_of(state: &AppState, actor: &Actor, set: &SetAt, prompt: &str) -> Result<String> {
    set.at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    let id = &set.set.id;
    match prompt_now(&mut conn, id, prompt).await {
        Ok(row) => return Ok(row.prompt_id),
        Err(ApiError::NotFound(_)) => {}
        Err(error) => return Err(error),
    }
    let archived = archive::last(&mut conn, id, Item::Prompt.as_str(), prompt).await?.is_some();
    match archived || !variable_set::of_prompt(&mut conn, id, prompt).await?.is_empty() {
        true => Ok(prompt.to_owned()),
        false => Err(ApiError::NotFound("prompt")),
    }
}

/// The variable sets of all prompts of a set, by prompt and name, no more than `limit`.
///
/// # Errors
/// The database refuses.
pub(crate) async fn all(conn: &mut Conn, set_id: &str, limit: i64) -> Result<Vec<VariableSet>> {
    variable_set::first_of_set(conn, set_id, limit).await?.into_iter().map(parse).collect()
}

/// One variable set of a prompt.
///
/// # Errors
/// [`ApiError::NotFound`].
pub async fn variable_set(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    prompt: &str,
    name: &str,
) -> Result<VariableSet> {
    set.at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    parse(find(&mut conn, set, prompt, name).await?.ok_or(ApiError::NotFound("variable set"))?)
}

/// What is to be saved.
#[derive(Debug, Clone)]
pub struct SaveVariables<'a> {
    pub prompt: &'a str,
    pub name: &'a str,
    /// The name from now on.
    pub rename: Option<&'a str>,
    pub given: Given,
    /// The revision that one started from; 0: it must be new.
    pub expected: i64,
}

/// Saves a variable set.
///
/// # Errors
/// Not allowed; no such prompt; a bad or taken name; saved by somebody else in between; too many or too large.
pub async fn save_variable_set(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    save: SaveVariables<'_>,
) -> Result<VariableSet> {
    set.at.require(actor, Action::Edit)?;
    let name = checked(save.rename.unwrap_or(save.name))?;
    let body = written(&save.given);
    if body.len() > BODY_MAX {
        return Err(ApiError::TooLarge(format!(
            "a variable set has at most {BODY_MAX} bytes of values and messages; make it smaller"
        )));
    }
    let mut tx = state.database.write().await?;
    let current = find(&mut tx, set, save.prompt, save.name).await?;
    let revision = current.as_ref().map_or(0, |row| row.revision);
    if revision != save.expected {
        return Err(moved_on(current, save.name, save.expected));
    }
    let row = VariableSetRow {
        id: current.as_ref().map_or_else(clock::new_id, |row| row.id.clone()),
        set_id: set.set.id.clone(),
        prompt_id: save.prompt.to_owned(),
        name,
        body,
        updated_at: clock::now(),
        updated_by: actor.name.clone(),
        revision: revision + 1,
    };
    let taken = |e| super::organisation::taken(e, "variable set of this prompt", "name", &row.name);
    if current.is_some() {
        if !variable_set::update(&mut tx, &row).await.map_err(taken)? {
            return Err(moved_on(None, save.name, save.expected));
        }
    } else {
        room(&mut tx, set, save.prompt).await?;
        variable_set::insert(&mut tx, &row).await.map_err(taken)?;
    }
    let detail = json!({ "variable_set": row.name, "revision": row.revision });
    let subject = format!("{}/{}", set.path(), save.prompt);
    audit::record(&mut tx, actor, &set.at.organisation.id, "variables.saved", &subject, detail).await?;
    tx.commit().await?;
    parse(row)
}

/// Deletes a variable set that has this revision.
///
/// # Errors
/// Not allowed; not there; saved by somebody else in between.
pub async fn delete_variable_set(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    prompt: &str,
    name: &str,
    expected: i64,
) -> Result<()> {
    set.at.require(actor, Action::Edit)?;
    let mut tx = state.database.write().await?;
    let row = find(&mut tx, set, prompt, name).await?.ok_or(ApiError::NotFound("variable set"))?;
    if row.revision != expected || !variable_set::delete(&mut tx, &row.id, expected).await? {
        return Err(moved_on(Some(row), name, expected));
    }
    let subject = format!("{}/{prompt}", set.path());
    let detail = json!({ "variable_set": name });
    audit::record(&mut tx, actor, &set.at.organisation.id, "variables.deleted", &subject, detail).await?;
    tx.commit().await?;
    Ok(())
}

async fn find(conn: &mut Conn, set: &SetAt, prompt: &str, name: &str) -> Result<Option<VariableSetRow>> {
    Ok(variable_set::find(conn, &set.set.id, prompt, name).await?)
}

/// Whether the prompt is there and may have one more.
async fn room(conn: &mut Conn, set: &SetAt, prompt: &str) -> Result<()> {
    prompt::find(conn, &set.set.id, prompt).await?.ok_or(ApiError::NotFound("prompt"))?;
    if variable_set::of_prompt(conn, &set.set.id, prompt).await?.len() >= SETS_MAX {
        let detail = format!("a prompt has at most {SETS_MAX} variable sets; delete one");
        return Err(ApiError::conflict("too_many_variable_sets", detail));
    }
    Ok(())
}

/// A name that can stand on a page and in an address.
fn checked(name: &str) -> Result<String> {
    let name = name.trim();
    let fits = !name.is_empty()
        && name.chars().count() <= NAME_MAX
        && !name.chars().any(|c| c.is_control() || c == '/')
        && !matches!(name, "." | "..");
    if fits {
        return Ok(name.to_owned());
    }
    let detail = format!("a variable set has a name of 1 to {NAME_MAX} characters, without a slash");
    Err(ApiError::invalid("bad_name", "name", detail))
}

fn moved_on(current: Option<VariableSetRow>, name: &str, expected: i64) -> ApiError {
    let detail = match &current {
        Some(row) if expected == 0 => {
            format!(
                "there is already a variable set {name}, saved by {}: choose another name",
                row.updated_by
            )
        }
        Some(row) => format!("{} saved {name} after you opened it: open it again", row.updated_by),
        None => format!("{name} is not there any more: save it as a new one"),
    };
    let revision = current.map_or(0, |row| row.revision);
    ApiError::Conflict {
        code: "revision_conflict",
        detail,
        more: json!({ "expected_revision": expected, "current_revision": revision }),
    }
}

fn written(given: &Given) -> String {
    let history: Map<String, Value> =
        given.history.iter().map(|(name, messages)| (name.clone(), json!(messages))).collect();
    json!({ "values": given.values, "history": history }).to_string()
}

/// What stands in the database for values and messages from elsewhere.
///
/// # Errors
/// A name that a variable set cannot have; messages that are none; too large.
pub(super) fn body_of(
    name: &str,
    values: &Map<String, Value>,
    history: &Map<String, Value>,
) -> Result<Value> {
    if checked(name)? != name {
        return Err(ApiError::invalid(
            "bad_name",
            "file",
            format!("{name:?} begins or ends with white space"),
        ));
    }
    for (placeholder, messages) in history {
        let said =
            |m: &Value| m["content"].is_string() && serde_json::from_value::<Role>(m["role"].clone()).is_ok();
        if !messages.as_array().is_some_and(|messages| messages.iter().all(said)) {
            let detail = format!("the variable set {name} holds no messages for {placeholder}");
            return Err(ApiError::invalid("unreadable", "file", detail));
        }
    }
    let body = json!({ "values": values, "history": history });
    if body.to_string().len() > BODY_MAX {
        return Err(ApiError::TooLarge(format!(
            "the variable set {name} has more than {BODY_MAX} bytes of values and messages"
        )));
    }
    Ok(body)
}

fn parse(row: VariableSetRow) -> Result<VariableSet> {
    let damaged = || DatabaseError::Damaged(format!("variable set {}", row.id));
    let mut body: Value = serde_json::from_str(&row.body).map_err(|_| damaged())?;
    let values = match body["values"].take() {
        Value::Object(values) => values,
        Value::Null => Map::new(),
        _ => return Err(damaged().into()),
    };
    let mut history = History::new();
    for (name, messages) in body["history"].as_object().into_iter().flatten() {
        let messages = messages.as_array().into_iter().flatten().map(message).collect();
        history.push((name.clone(), messages));
    }
    Ok(VariableSet {
        prompt: row.prompt_id,
        name: row.name,
        given: Given { values, history },
        revision: row.revision,
        updated_at: row.updated_at,
        updated_by: row.updated_by,
    })
}

fn message(value: &Value) -> RenderedMessage {
    let role = serde_json::from_value(value["role"].clone()).unwrap_or(Role::User);
    RenderedMessage::new(role, value["content"].as_str().unwrap_or_default())
}
