//! What can be changed of an organisation, a project and a set besides their drafts: how they are
//! called, and whether they are in use. Names in addresses never change.

use schemas::canonical::Digest;
use serde_json::json;

use super::model::check_tags;
use super::organisation::named;
use super::{ProjectAt, SetAt};
use crate::audit;
use crate::auth::{Action, Actor};
use crate::clock;
use crate::database::organisation::{self, Organisation};
use crate::database::project::{self, Project};
use crate::database::prompt_set::{self, PromptSet};
use crate::database::{Conn, DatabaseError};
use crate::error::{ApiError, Result, within};
use crate::events::Kind;
use crate::state::AppState;

/// Longest description, in characters.
const DESCRIPTION_MAX: usize = 2000;

/// What to change; what is none stays.
#[derive(Debug, Clone, Default)]
pub struct Change<'a> {
    /// Empty: the name in addresses.
    pub name: Option<&'a str>,
    pub description: Option<&'a str>,
    /// Of a set.
    pub tags: Option<&'a [String]>,
    pub archived: Option<bool>,
    /// The state that the caller saw, as [`tag_of_project`] or [`tag_of_set`] gives it.
    pub seen: Option<&'a str>,
}

fn tag(parts: &[&str]) -> String {
    let digest = Digest::of(parts.join("\0").as_bytes()).to_string();
    digest.rsplit(':').next().unwrap_or_default().chars().take(16).collect()
}

/// What `If-Match` names of an organisation's settings.
#[must_use]
pub fn tag_of_organisation(organisation: &Organisation) -> String {
    tag(&[&organisation.name])
}

/// What `If-Match` names of a project's settings.
#[must_use]
pub fn tag_of_project(project: &Project) -> String {
    let archived = project.archived_at.map(|at| at.to_string()).unwrap_or_default();
    tag(&[&project.name, &project.description, &archived])
}

/// What `If-Match` names of a set's settings.
#[must_use]
pub fn tag_of_set(set: &PromptSet) -> String {
    let archived = set.archived_at.map(|at| at.to_string()).unwrap_or_default();
    tag(&[&set.name, &set.description, &set.tags, &archived])
}

/// The tags of a set.
#[must_use]
pub fn tags(set: &PromptSet) -> Vec<String> {
    set.tags.split(',').filter(|tag| !tag.is_empty()).map(Into::into).collect()
}

fn unchanged(seen: Option<&str>, now: &str) -> Result<()> {
    match seen {
        Some(seen) if seen != now => Err(ApiError::Conflict {
            code: "settings_changed",
            detail: "somebody changed these settings after you opened them; look at them again".into(),
            more: json!({ "current": now }),
        }),
        _ => Ok(()),
    }
}

/// A description as it is kept.
pub(super) fn described(text: &str) -> Result<String> {
    within("description", "a description", text, DESCRIPTION_MAX)
}

/// Archiving keeps the time of the first; restoring ends it.
fn archived(now: Option<i64>, change: Option<bool>) -> Option<i64> {
    match change {
        None => now,
        Some(true) => now.or_else(|| Some(clock::now())),
        Some(false) => None,
    }
}

/// Calls an organisation something else. Its name in addresses stays.
///
/// # Errors
/// Not allowed, too long, or changed by somebody else in between.
pub async fn change_organisation(
    state: &AppState,
    actor: &Actor,
    at: &Organisation,
    change: Change<'_>,
) -> Result<Organisation> {
    actor.require(&at.id, Action::ManageProjects)?;
    let mut tx = state.database.write().await?;
    let mut row = organisation::by_id(&mut tx, &at.id).await?.ok_or(ApiError::NotFound("organisation"))?;
    unchanged(change.seen, &tag_of_organisation(&row))?;
    if let Some(name) = change.name {
        row.name = named(name, &row.slug)?;
    }
    organisation::set_name(&mut tx, &row.id, &row.name).await?;
    let detail = json!({ "name": row.name });
    audit::record(&mut tx, actor, &row.id, "organisation.changed", &row.slug, detail).await?;
    tx.commit().await?;
    Ok(row)
}

/// Changes a project's name and description, archives it or brings it back. An archived project takes no
/// drafts, publications or credentials; its agents go on.
///
/// # Errors
/// Not allowed, too long, or changed by somebody else in between.
pub async fn change_project(
    state: &AppState,
    actor: &Actor,
    at: &ProjectAt,
    change: Change<'_>,
) -> Result<ProjectAt> {
    at.require(actor, Action::ManageProjects)?;
    let mut tx = state.database.write().await?;
    project::lock(&mut tx, &at.project.id).await?;
    let (organisation, mut row) =
        project::by_id(&mut tx, &at.project.id).await?.ok_or(ApiError::NotFound("project"))?;
    unchanged(change.seen, &tag_of_project(&row))?;
    if let Some(name) = change.name {
        row.name = named(name, &row.slug)?;
    }
    if let Some(description) = change.description {
        row.description = described(description)?;
    }
    row.archived_at = archived(row.archived_at, change.archived);
    let facts =
        project::Facts { name: &row.name, description: &row.description, archived_at: row.archived_at };
    project::set_facts(&mut tx, &row.id, &facts).await?;
    let action = action("project", change.archived);
    let detail = json!({ "name": row.name, "description": row.description });
    audit::record(&mut tx, actor, &organisation.id, &action, &at.path(), detail).await?;
    tx.commit().await?;
    state.events.tell(&organisation.id, &row.id, Kind::Project);
    Ok(ProjectAt { organisation, project: row })
}

/// Changes a set's name, description and tags, archives it or brings it back. An archived set takes no
/// drafts and no publications; what is published stays with its agents.
///
/// # Errors
/// Not allowed; too long; tags that do not fit; changed by somebody else in between.
pub async fn change_set(state: &AppState, actor: &Actor, set: &SetAt, change: Change<'_>) -> Result<SetAt> {
    set.at.require(actor, Action::Edit)?;
    let mut tx = state.database.write().await?;
    let mut row = prompt_set::touch(&mut tx, &set.set.id, clock::now(), &actor.name)
        .await?
        .ok_or(ApiError::NotFound("prompt set"))?;
    unchanged(change.seen, &tag_of_set(&row))?;
    if let Some(name) = change.name {
        row.name = named(name, &row.slug)?;
    }
    if let Some(description) = change.description {
        row.description = described(description)?;
    }
    if let Some(tags) = change.tags {
        check_tags(tags)?;
        let tags: Vec<&str> = tags.iter().map(|t| t.trim()).collect();
        row.tags = tags.join(",");
    }
    row.archived_at = archived(row.archived_at, change.archived);
    let made = SetAt { at: set.at.clone(), set: row };
    store(&mut tx, &made).await?;
    let action = action("set", change.archived);
    let detail =
        json!({ "name": made.set.name, "description": made.set.description, "tags": tags(&made.set) });
    audit::record(&mut tx, actor, &set.at.organisation.id, &action, &made.path(), detail).await?;
    tx.commit().await?;
    made.changed(state);
    Ok(made)
}

/// Writes what can be changed of a set.
pub(super) async fn store(conn: &mut Conn, set: &SetAt) -> Result<(), DatabaseError> {
    let facts = prompt_set::Facts {
        name: &set.set.name,
        description: &set.set.description,
        tags: &set.set.tags,
        archived_at: set.set.archived_at,
    };
    prompt_set::set_facts(conn, &set.set.id, &facts).await
}

fn action(what: &str, archived: Option<bool>) -> String {
    let done = match archived {
        None => "changed",
        Some(true) => "archived",
        Some(false) => "restored",
    };
    format!("{what}.{done}")
}
