//! Prompt sets.

use schemas::Slug;
use serde_json::json;

use super::organisation::{taken, title};
use super::{ProjectAt, SetAt};
use crate::audit;
use crate::auth::{Action, Actor};
use crate::clock;
use crate::database::Conn;
use crate::database::prompt_set::{self, PromptSet};
use crate::error::{ApiError, Result};
use crate::state::AppState;

/// What a new set is made of.
#[derive(Debug, Clone, Copy, Default)]
pub struct NewSet<'a> {
    pub slug: &'a str,
    /// Empty: the slug.
    pub name: &'a str,
    pub description: &'a str,
}

/// Creates an empty set in EDITING.
///
/// # Errors
/// Not allowed, or a bad or taken name.
pub async fn create_set(state: &AppState, actor: &Actor, at: &ProjectAt, new: NewSet<'_>) -> Result<SetAt> {
    at.require(actor, Action::Edit)?;
    let slug = Slug::new(new.slug)?;
    let now = clock::now();
    let set = PromptSet {
        id: clock::new_id(),
        project_id: at.project.id.clone(),
        name: title(new.name, slug.as_str()),
        slug: slug.to_string(),
        description: new.description.trim().chars().take(2000).collect(),
        state: "editing".into(),
        revision: 0,
        reviews: 0,
        snapshots: 0,
        created_at: now,
        updated_at: now,
        updated_by: actor.name.clone(),
    };
    let made = SetAt { at: at.clone(), set };
    let mut tx = state.database.write().await?;
    prompt_set::insert(&mut tx, &made.set).await.map_err(|e| taken(e, "prompt set", &made.set.slug))?;
    audit::record(&mut tx, actor, &at.organisation.id, "set.created", &made.path(), json!({})).await?;
    tx.commit().await?;
    made.changed(state);
    Ok(made)
}

/// The sets of a project.
///
/// # Errors
/// The database refuses.
pub async fn sets(state: &AppState, actor: &Actor, at: &ProjectAt) -> Result<Vec<PromptSet>> {
    at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    Ok(prompt_set::of_project(&mut conn, &at.project.id).await?)
}

/// A set by its slug.
///
/// # Errors
/// [`ApiError::NotFound`].
pub async fn find_set(state: &AppState, actor: &Actor, at: &ProjectAt, slug: &str) -> Result<SetAt> {
    at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    let set = prompt_set::by_slug(&mut conn, &at.project.id, slug)
        .await?
        .ok_or(ApiError::NotFound("prompt set"))?;
    Ok(SetAt { at: at.clone(), set })
}

/// Counts a change to a set's draft and refuses it unless the set is in EDITING. Other writers of
/// the set wait from here until the transaction ends.
pub(crate) async fn begin_edit(conn: &mut Conn, actor: &Actor, set: &SetAt) -> Result<PromptSet> {
    let now = prompt_set::touch(conn, &set.set.id, clock::now(), &actor.name)
        .await?
        .ok_or(ApiError::NotFound("prompt set"))?;
    match now.state.as_str() {
        "editing" => Ok(now),
        "review" => Err(ApiError::conflict(
            "in_review",
            "the set is in REVIEW: return it to EDITING before changing it",
        )),
        _ => Err(ApiError::conflict("locked", "the set is LOCKED: reopen it before changing it")),
    }
}
