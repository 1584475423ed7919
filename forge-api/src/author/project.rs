//! Projects and environments.

use schemas::envelope::{AgeAction, MaxAge};
use serde_json::json;

use super::ProjectAt;
use super::organisation::{addressed, named, taken, visit};
use super::settings::described;
use crate::audit;
use crate::auth::{Action, Actor};
use crate::clock;
use crate::database::organisation::Organisation;
use crate::database::project::{self, Environment, Project};
use crate::error::{ApiError, Result};
use crate::events::Kind;
use crate::state::AppState;

/// The environments of a new project, and whether each takes drafts.
const ENVIRONMENTS: [(&str, &str, bool); 3] =
    [("dev", "Development", true), ("staging", "Staging", false), ("prod", "Production", false)];
/// Ages that a rule may name, in seconds.
const MAX_AGE: std::ops::RangeInclusive<u64> = 60..=315_360_000;
/// Most projects of one organisation.
pub const PROJECTS_MAX: usize = 2000;
/// Most environments of one project.
const ENVIRONMENTS_MAX: usize = 32;

/// What a new project is made of.
#[derive(Debug, Clone, Copy, Default)]
pub struct NewProject<'a> {
    pub slug: &'a str,
    /// Empty: the slug.
    pub name: &'a str,
    pub description: &'a str,
}

/// What a new environment is made of.
#[derive(Debug, Clone, Copy, Default)]
pub struct NewEnvironment<'a> {
    pub slug: &'a str,
    /// Empty: the slug.
    pub name: &'a str,
    pub takes_drafts: bool,
}

/// Creates a project with `dev`, `staging` and `prod`, and its keys.
///
/// # Errors
/// Not allowed, a bad or taken name, or too many.
pub async fn create_project(
    state: &AppState,
    actor: &Actor,
    organisation: &Organisation,
    new: NewProject<'_>,
) -> Result<ProjectAt> {
    actor.require(&organisation.id, Action::ManageProjects)?;
    let slug = addressed(new.slug)?;
    let now = clock::now();
    let project = Project {
        id: clock::new_id(),
        organisation_id: organisation.id.clone(),
        slug: slug.to_string(),
        name: named(new.name, slug.as_str())?,
        description: described(new.description)?,
        publications: 0,
        created_at: now,
        max_age_seconds: None,
        max_age_action: None,
        archived_at: None,
    };
    let at = ProjectAt { organisation: organisation.clone(), project };
    let mut tx = state.database.write().await?;
    // The entry holds the end of the chain until we commit: of two at once, one comes after.
    audit::record(&mut tx, actor, &organisation.id, "project.created", &at.path(), json!({})).await?;
    if project::of_organisation(&mut tx, &organisation.id).await?.len() >= PROJECTS_MAX {
        let detail = format!("an organisation has at most {PROJECTS_MAX} projects");
        return Err(ApiError::conflict("too_many", detail));
    }
    project::insert(&mut tx, &at.project).await.map_err(|e| taken(e, "project", "slug", &at.project.slug))?;
    for (position, (slug, name, takes_drafts)) in (0..).zip(ENVIRONMENTS) {
        let row = Environment {
            id: clock::new_id(),
            project_id: at.project.id.clone(),
            slug: slug.into(),
            name: name.into(),
            position,
            takes_drafts,
            created_at: now,
        };
        project::insert_environment(&mut tx, &row).await?;
    }
    state.keys.make_project(&mut tx, &at.project.id).await?;
    tx.commit().await?;
    state.broker.provision();
    state.events.tell(&organisation.id, &at.project.id, Kind::Project);
    Ok(at)
}

/// Adds an environment to a project.
///
/// # Errors
/// Not allowed, a bad or taken name, or too many.
pub async fn create_environment(
    state: &AppState,
    actor: &Actor,
    at: &ProjectAt,
    new: NewEnvironment<'_>,
) -> Result<Environment> {
    at.require(actor, Action::ManageProjects)?;
    let slug = addressed(new.slug)?;
    let mut tx = state.database.write().await?;
    let known = project::environments(&mut tx, &at.project.id).await?;
    if known.len() >= ENVIRONMENTS_MAX {
        let detail = format!("a project has at most {ENVIRONMENTS_MAX} environments");
        return Err(ApiError::conflict("too_many", detail));
    }
    if new.takes_drafts && slug.as_str() == "prod" {
        return Err(ApiError::invalid("invalid", "takes_drafts", "prod takes only locked versions"));
    }
    let row = Environment {
        id: clock::new_id(),
        project_id: at.project.id.clone(),
        name: named(new.name, slug.as_str())?,
        slug: slug.to_string(),
        position: known.iter().map(|e| e.position + 1).max().unwrap_or(0),
        takes_drafts: new.takes_drafts,
        created_at: clock::now(),
    };
    project::insert_environment(&mut tx, &row)
        .await
        .map_err(|e| taken(e, "environment", "slug", &row.slug))?;
    let subject = format!("{}/{}", at.path(), row.slug);
    audit::record(&mut tx, actor, &at.organisation.id, "environment.created", &subject, json!({})).await?;
    tx.commit().await?;
    state.broker.provision();
    state.events.tell(&at.organisation.id, &at.project.id, Kind::Project);
    Ok(row)
}

/// Sets what the project's agents do with content that FORGE did not confirm for long; none ends
/// the rule.
///
/// # Errors
/// Not allowed, or an age below a minute or above ten years.
pub async fn set_max_age(
    state: &AppState,
    actor: &Actor,
    at: &ProjectAt,
    rule: Option<MaxAge>,
) -> Result<()> {
    at.require(actor, Action::ManageProjects)?;
    if rule.is_some_and(|rule| !MAX_AGE.contains(&rule.seconds)) {
        let detail = format!("from {} to {} seconds", MAX_AGE.start(), MAX_AGE.end());
        return Err(ApiError::invalid("invalid", "seconds", detail));
    }
    let stored = match rule {
        Some(rule) => Some((i64::try_from(rule.seconds).map_err(ApiError::internal)?, rule.action.as_str())),
        None => None,
    };
    let mut tx = state.database.write().await?;
    project::set_max_age(&mut tx, &at.project.id, stored).await?;
    let detail = json!({ "seconds": stored.map(|s| s.0), "action": stored.map(|s| s.1) });
    audit::record(&mut tx, actor, &at.organisation.id, "project.max_age", &at.path(), detail).await?;
    tx.commit().await?;
    state.events.tell(&at.organisation.id, &at.project.id, Kind::Project);
    Ok(())
}

/// The rule of [`set_max_age`], as agents are told it.
#[must_use]
pub fn max_age(project: &Project) -> Option<MaxAge> {
    let action = match project.max_age_action.as_deref()? {
        "refuse" => AgeAction::Refuse,
        "warn" => AgeAction::Warn,
        _ => AgeAction::Serve,
    };
    Some(MaxAge { seconds: u64::try_from(project.max_age_seconds?).ok()?, action })
}

/// The projects in use of an organisation that the actor may see: all of them, or those that were granted to a guest.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn projects(state: &AppState, actor: &Actor, organisation: &Organisation) -> Result<Vec<Project>> {
    visit(actor, &organisation.id)?;
    let mut conn = state.database.read().await?;
    let mut found = project::of_organisation(&mut conn, &organisation.id).await?;
    found.retain(|p| p.archived_at.is_none() && actor.may_at(&organisation.id, &p.id, Action::View));
    Ok(found)
}

/// The archived projects of an organisation that the actor may see.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn archived_projects(
    state: &AppState,
    actor: &Actor,
    organisation: &Organisation,
) -> Result<Vec<Project>> {
    visit(actor, &organisation.id)?;
    let mut conn = state.database.read().await?;
    let mut found = project::of_organisation(&mut conn, &organisation.id).await?;
    found.retain(|p| p.archived_at.is_some() && actor.may_at(&organisation.id, &p.id, Action::View));
    Ok(found)
}

/// A project by the slugs of its address.
///
/// # Errors
/// [`ApiError::NotFound`] where it is not there or not the actor's to see.
pub async fn find_project(
    state: &AppState,
    actor: &Actor,
    organisation: &str,
    project: &str,
) -> Result<ProjectAt> {
    let mut conn = state.database.read().await?;
    visible(actor, project::by_slugs(&mut conn, organisation, project).await?)
}

/// A project by its id, or by `organisation:project`.
///
/// # Errors
/// As [`find_project`].
pub async fn find_project_by_id(state: &AppState, actor: &Actor, id: &str) -> Result<ProjectAt> {
    if let Some((organisation, project)) = id.split_once(':') {
        return find_project(state, actor, organisation, project).await;
    }
    let mut conn = state.database.read().await?;
    visible(actor, project::by_id(&mut conn, id).await?)
}

fn visible(actor: &Actor, found: Option<(Organisation, Project)>) -> Result<ProjectAt> {
    let (organisation, project) = found.ok_or(ApiError::NotFound("project"))?;
    let hidden = |_| ApiError::Hidden { what: "project", organisation_id: organisation.id.clone() };
    actor.require_at(&organisation.id, &project.id, Action::View).map_err(hidden)?;
    Ok(ProjectAt { organisation, project })
}

/// The environments of a project, in their order.
///
/// # Errors
/// The database refuses.
pub async fn environments(state: &AppState, actor: &Actor, at: &ProjectAt) -> Result<Vec<Environment>> {
    at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    Ok(project::environments(&mut conn, &at.project.id).await?)
}

/// An environment by its slug.
///
/// # Errors
/// [`ApiError::NotFound`].
pub async fn find_environment(
    state: &AppState,
    actor: &Actor,
    at: &ProjectAt,
    slug: &str,
) -> Result<Environment> {
    at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    project::environment(&mut conn, &at.project.id, slug).await?.ok_or(ApiError::NotFound("environment"))
}
