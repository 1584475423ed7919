//! Prompt sets.

use serde_json::json;

use super::organisation::{addressed, named, taken};
use super::settings::described;
use super::{ProjectAt, SetAt};
use crate::audit;
use crate::auth::{Action, Actor};
use crate::clock;
use crate::database::prompt_set::{self, PromptSet};
use crate::database::{Conn, project};
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
    let mut tx = state.database.write().await?;
    let made = create_in(&mut tx, actor, at, new).await?;
    audit::record(&mut tx, actor, &at.organisation.id, "set.created", &made.path(), json!({})).await?;
    tx.commit().await?;
    made.changed(state);
    Ok(made)
}

/// Writes a new, empty set.
pub(super) async fn create_in(
    conn: &mut Conn,
    actor: &Actor,
    at: &ProjectAt,
    new: NewSet<'_>,
) -> Result<SetAt> {
    let slug = addressed(new.slug)?;
    project_in_use(conn, at).await?;
    let now = clock::now();
    let set = PromptSet {
        id: clock::new_id(),
        project_id: at.project.id.clone(),
        name: named(new.name, slug.as_str())?,
        slug: slug.to_string(),
        description: described(new.description)?,
        state: "editing".into(),
        revision: 0,
        reviews: 0,
        snapshots: 0,
        created_at: now,
        updated_at: now,
        updated_by: actor.name.clone(),
        tags: String::new(),
        archived_at: None,
    };
    let made = SetAt { at: at.clone(), set };
    prompt_set::insert(conn, &made.set).await.map_err(|e| taken(e, "prompt set", "slug", &made.set.slug))?;
    Ok(made)
}

/// The sets of a project that are in use.
///
/// # Errors
/// The database refuses.
pub async fn sets(state: &AppState, actor: &Actor, at: &ProjectAt) -> Result<Vec<PromptSet>> {
    at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    let all = prompt_set::of_project(&mut conn, &at.project.id).await?;
    Ok(all.into_iter().filter(|set| set.archived_at.is_none()).collect())
}

/// The sets of a project that are archived.
///
/// # Errors
/// The database refuses.
pub async fn archived_sets(state: &AppState, actor: &Actor, at: &ProjectAt) -> Result<Vec<PromptSet>> {
    at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    let all = prompt_set::of_project(&mut conn, &at.project.id).await?;
    Ok(all.into_iter().filter(|set| set.archived_at.is_some()).collect())
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

/// Refuses what an archived project does not take.
pub(crate) async fn project_in_use(conn: &mut Conn, at: &ProjectAt) -> Result<()> {
    match project::archived_at(conn, &at.project.id).await? {
        None => Ok(()),
        Some(_) => Err(ApiError::conflict(
            "archived",
            format!("project {} is archived: restore it in its settings first", at.project.slug),
        )),
    }
}

/// Refuses what an archived set, or one of an archived project, does not take.
pub(crate) async fn refuse_archived(conn: &mut Conn, set: &SetAt) -> Result<()> {
    project_in_use(conn, &set.at).await?;
    let now = prompt_set::by_id(conn, &set.set.id).await?.ok_or(ApiError::NotFound("prompt set"))?;
    match now.archived_at {
        None => Ok(()),
        Some(_) => Err(ApiError::conflict(
            "archived",
            format!("prompt set {} is archived: restore it in its settings first", now.slug),
        )),
    }
}

/// Counts a change to a set's draft and refuses it unless the set is in EDITING and in use. Other writers of
/// the set wait from here until the transaction ends.
pub(crate) async fn begin_edit(conn: &mut Conn, actor: &Actor, set: &SetAt) -> Result<PromptSet> {
    let now = prompt_set::touch(conn, &set.set.id, clock::now(), &actor.name)
        .await?
        .ok_or(ApiError::NotFound("prompt set"))?;
    refuse_archived(conn, set).await?;
    match now.state.as_str() {
        "editing" => Ok(now),
        "review" => Err(ApiError::conflict(
            "in_review",
            "the set is in REVIEW: return it to EDITING before changing it",
        )),
        _ => Err(ApiError::conflict("locked", "the set is LOCKED: reopen it before changing it")),
    }
}
