//! Copies: of a prompt or a partial, within its set or into another of the project, and of a whole set.

use std::collections::HashSet;

use schemas::PromptId;
use schemas::prompt::{Engine, Prompt};
use serde_json::json;

use super::item::{Held, Item, found, free, put};
use super::partial::taken_in;
use super::prompt::{load, small_enough};
use super::rename::{Along, Moved};
use super::set::{NewSet, begin_edit, create_in};
use super::{SetAt, find_set};
use crate::audit;
use crate::auth::{Action, Actor};
use crate::clock;
use crate::database::Conn;
use crate::database::dependency::{self, SetRequirement};
use crate::error::{ApiError, Result};
use crate::state::AppState;

/// What is to be copied.
#[derive(Debug, Clone, Copy)]
pub struct Duplicate<'a> {
    pub item: Item,
    pub from: &'a str,
    /// Another set of the project; none is the same one.
    pub into: Option<&'a str>,
    pub to: &'a str,
    /// Whether the partials that it takes in, and the other set has not, are copied with it.
    pub partials: bool,
}

/// Copies a prompt or a partial as it stands in the draft.
///
/// # Errors
/// Not allowed; the set that takes it is not in EDITING or not there; a bad or taken name; archived.
pub async fn duplicate(state: &AppState, actor: &Actor, set: &SetAt, copy: Duplicate<'_>) -> Result<Moved> {
    let Duplicate { item, from, into, to, partials } = copy;
    set.at.require(actor, Action::Edit)?;
    let to = PromptId::new(to.trim()).map_err(|e| ApiError::Invalid {
        code: "bad_name",
        field: Some("to"),
        detail: e.to_string(),
    })?;
    let target = match into.filter(|slug| *slug != set.set.slug) {
        None => set.clone(),
        Some(slug) => find_set(state, actor, &set.at, slug).await.map_err(|error| match error {
            ApiError::NotFound(_) => {
                let detail = format!("there is no prompt set {slug} in this project");
                ApiError::invalid("invalid", "set", detail)
            }
            other => other,
        })?,
    };
    let mut tx = state.database.write().await?;
    begin_edit(&mut tx, actor, &target).await?;
    let old = found(&mut tx, &set.set.id, item, from).await?;
    free(&mut tx, &target, item, &to).await?;
    let copy = Held {
        id: clock::new_id(),
        name: to.to_string(),
        revision: 0,
        created_at: clock::now(),
        ..old.clone()
    };
    let why = format!("copied from {}/{}", set.set.slug, old.name);
    let revision = put(&mut tx, &target, item, &copy, &actor.name, &why).await?;
    let along = if target.set.id == set.set.id {
        Along::default()
    } else {
        take_along(&mut tx, actor, (set, &target), taken_in_by(item, &old.body), partials).await?
    };
    small_enough(&mut tx, &target).await?;
    let subject = format!("{}/{to}", target.path());
    let detail = json!({ "from": format!("{}/{}", set.path(), old.name), "partials": along.brought });
    let action = format!("{}.duplicated", item.as_str());
    audit::record(&mut tx, actor, &set.at.organisation.id, &action, &subject, detail).await?;
    tx.commit().await?;
    target.changed(state);
    Ok(Moved { item, set: target.set.slug, name: to.to_string(), revision, changed: Vec::new(), along })
}

/// The partials that a row takes in.
fn taken_in_by(item: Item, body: &str) -> Vec<String> {
    match item {
        Item::Partial => taken_in(std::iter::once(body)),
        Item::Prompt => match serde_json::from_str::<Prompt>(body) {
            // Braces of plain text are only braces.
            Ok(prompt) if prompt.engine == Engine::Tera => taken_in(prompt.templates()),
            _ => Vec::new(),
        },
    }
}

/// Copies what a copy takes in and the set that takes it has not, with what that takes in; says what became of each.
async fn take_along(
    conn: &mut Conn,
    actor: &Actor,
    (set, target): (&SetAt, &SetAt),
    names: Vec<String>,
    bring: bool,
) -> Result<Along> {
    let own = load(conn, set).await?;
    let there = load(conn, target).await?.partials();
    let why = format!("copied from {}", set.set.slug);
    let (mut open, mut seen, mut along) = (names, HashSet::new(), Along::default());
    while let Some(name) = open.pop() {
        if !seen.insert(name.clone()) {
            continue;
        }
        let mine = own.partials.iter().map(|p| &p.partial).find(|p| p.name.as_str() == name);
        let known = there.iter().find(|p| p.name.as_str() == name);
        match (known, mine) {
            (Some(known), Some(mine)) if known.source != mine.source => along.differs.push(name),
            (Some(_), _) => {}
            (None, Some(mine)) if bring => {
                let row = Held {
                    id: clock::new_id(),
                    name: name.clone(),
                    body: mine.source.clone(),
                    revision: 0,
                    created_at: clock::now(),
                    updated_by: actor.name.clone(),
                };
                put(conn, target, Item::Partial, &row, &actor.name, &why).await?;
                open.extend(taken_in(std::iter::once(mine.source.as_str())));
                along.brought.push(name);
            }
            (None, _) => along.missing.push(name),
        }
    }
    along.brought.sort();
    along.differs.sort();
    along.missing.sort();
    Ok(along)
}

/// Copies a set's draft into a new set of its project. Its versions and what is published stay with it.
///
/// # Errors
/// Not allowed; the project is archived; a bad or taken name.
pub async fn duplicate_set(state: &AppState, actor: &Actor, set: &SetAt, new: NewSet<'_>) -> Result<SetAt> {
    set.at.require(actor, Action::Edit)?;
    let mut tx = state.database.write().await?;
    let new = NewSet {
        description: if new.description.is_empty() { &set.set.description } else { new.description },
        ..new
    };
    let mut made = create_in(&mut tx, actor, &set.at, new).await?;
    made.set.tags.clone_from(&set.set.tags);
    super::settings::store(&mut tx, &made).await?;
    let draft = load(&mut tx, set).await?;
    let why = format!("copied from {}", set.set.slug);
    let held = |name: &PromptId, body: String| Held {
        id: clock::new_id(),
        name: name.to_string(),
        body,
        revision: 0,
        created_at: clock::now(),
        updated_by: actor.name.clone(),
    };
    for one in &draft.partials {
        let row = held(&one.partial.name, one.partial.source.clone());
        put(&mut tx, &made, Item::Partial, &row, &actor.name, &why).await?;
    }
    for one in &draft.prompts {
        let body = serde_json::to_string(&one.prompt).map_err(ApiError::internal)?;
        put(&mut tx, &made, Item::Prompt, &held(&one.prompt.id, body), &actor.name, &why).await?;
    }
    for one in dependency::requirements(&mut tx, &set.set.id).await? {
        dependency::put_requirement(&mut tx, &SetRequirement { set_id: made.set.id.clone(), ..one }).await?;
    }
    let detail =
        json!({ "from": set.path(), "prompts": draft.prompts.len(), "partials": draft.partials.len() });
    audit::record(&mut tx, actor, &set.at.organisation.id, "set.duplicated", &made.path(), detail).await?;
    tx.commit().await?;
    made.changed(state);
    Ok(made)
}
