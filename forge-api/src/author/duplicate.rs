//! Copies: of a prompt or a partial, within its set or into another of the project, and of a whole set.

use schemas::PromptId;
use serde_json::json;

use super::item::{Held, Item, found, free, put};
use super::prompt::{load, small_enough};
use super::rename::Moved;
use super::set::{NewSet, begin_edit, create_in};
use super::{SetAt, find_set};
use crate::audit;
use crate::auth::{Action, Actor};
use crate::clock;
use crate::database::dependency::{self, SetRequirement};
use crate::error::{ApiError, Result};
use crate::state::AppState;

/// Copies a prompt or a partial as it stands in the draft.
///
/// # Errors
/// Not allowed; the set that takes it is not in EDITING or not there; a bad or taken name; archived.
pub async fn duplicate(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    item: Item,
    from: &str,
    into: Option<&str>,
    to: &str,
) -> Result<Moved> {
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
    small_enough(&mut tx, &target).await?;
    let subject = format!("{}/{to}", target.path());
    let detail = json!({ "from": format!("{}/{}", set.path(), old.name) });
    let action = format!("{}.duplicated", item.as_str());
    audit::record(&mut tx, actor, &set.at.organisation.id, &action, &subject, detail).await?;
    tx.commit().await?;
    target.changed(state);
    Ok(Moved { item, set: target.set.slug, name: to.to_string(), revision, changed: Vec::new() })
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
