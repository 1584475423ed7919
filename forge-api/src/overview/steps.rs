//! The first steps of an organisation: a project, something live, an agent, and that agent serving it. Whether each is
//! done is seen from what is there; only that somebody does not want to see them is kept.

use super::{Live, ProjectOverview, glance};
use crate::auth::{Action, Actor};
use crate::author::example::FIRST_SET;
use crate::author::{self, ProjectAt};
use crate::clock;
use crate::database::organisation::Organisation;
use crate::database::overview as rows;
use crate::error::Result;
use crate::state::AppState;

/// What is dismissed.
const STEPS: &str = "first_steps";

/// How far an organisation came with its first project.
#[derive(Debug, Clone, Default)]
pub struct Steps {
    pub project: Option<ProjectAt>,
    /// The set and version that can be published.
    pub version: Option<(String, String)>,
    /// What is live, in the first environment that has something.
    pub live: Option<Live>,
    /// The environment that the agent is for: the one where something is live, or the first.
    pub environment: String,
    pub has_credential: bool,
    /// Agents that were ever heard.
    pub agents: usize,
}

impl Steps {
    /// How many of the four are done.
    #[must_use]
    pub fn done(&self) -> usize {
        let done = [self.project.is_some(), self.live.is_some(), self.agents > 0, self.is_active()];
        done.into_iter().filter(|done| *done).count()
    }

    /// Whether an agent serves what is live.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.live.as_ref().is_some_and(|live| live.active > 0)
    }

    fn of(project: ProjectOverview, has_credential: bool) -> Self {
        let first = project.sets.iter().find(|s| s.set.slug == FIRST_SET && s.latest.is_some());
        let first = first.or_else(|| project.sets.iter().find(|s| s.latest.is_some()));
        let version = first.and_then(|s| Some((s.set.slug.clone(), s.latest.as_ref()?.version.clone())));
        let mut all: Vec<&Live> = project.sets.iter().flat_map(|s| &s.live).collect();
        // The one that an agent serves already; else the first environment, and there the set to begin with.
        all.sort_by_key(|l| (l.active == 0, l.full.environment.position, l.full.set.slug != FIRST_SET));
        let live = all.first().map(|l| (*l).clone());
        let environment = match &live {
            Some(live) => live.full.environment.slug.clone(),
            None => project.environments.first().map(|e| e.slug.clone()).unwrap_or_default(),
        };
        Self { version, live, environment, has_credential, agents: project.agents, project: Some(project.at) }
    }
}

/// How far an organisation came with the project that it made first.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn steps(state: &AppState, actor: &Actor, organisation: &Organisation) -> Result<Steps> {
    actor.require(&organisation.id, Action::ManageProjects)?;
    let projects = author::projects(state, actor, organisation).await?;
    let Some(project) = projects.into_iter().min_by_key(|p| p.created_at) else {
        return Ok(Steps::default());
    };
    let at = ProjectAt { organisation: organisation.clone(), project };
    let mut conn = state.database.read().await?;
    let has_credential = rows::has_credential(&mut conn, &at.project.id).await?;
    let found = glance(state, &mut conn, vec![at]).await?.pop();
    Ok(found.map(|project| Steps::of(project, has_credential)).unwrap_or_default())
}

/// Whether the actor does not want to see the first steps.
///
/// # Errors
/// The database refuses.
pub async fn steps_dismissed(state: &AppState, actor: &Actor, organisation: &Organisation) -> Result<bool> {
    let mut conn = state.database.read().await?;
    Ok(rows::dismissed(&mut conn, &organisation.id, &actor.user_id, STEPS).await?)
}

/// Hides the first steps from the actor's dashboard of this organisation.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn dismiss_steps(state: &AppState, actor: &Actor, organisation: &Organisation) -> Result<()> {
    actor.require(&organisation.id, Action::ManageProjects)?;
    let mut tx = state.database.write().await?;
    rows::dismiss(&mut tx, &organisation.id, &actor.user_id, STEPS, clock::now()).await?;
    tx.commit().await?;
    Ok(())
}
