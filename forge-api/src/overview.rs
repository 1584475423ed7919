//! What the first pages show: who is live where.

use std::collections::HashMap;

use crate::auth::{Action, Actor};
use crate::author::{self, ProjectAt};
use crate::clock;
use crate::database::organisation::Organisation;
use crate::database::project::{self, Environment};
use crate::database::prompt_set::{self, PromptSet};
use crate::database::publication::{self, PublicationFull};
use crate::database::version::{self, Version};
use crate::database::{Conn, agent, prompt};
use crate::error::Result;
use crate::fleet::{Presence, presence};
use crate::state::AppState;

/// What is live of a set in one environment.
#[derive(Debug, Clone)]
pub struct Live {
    pub full: PublicationFull,
    /// Agents that serve it.
    pub active: usize,
    /// Agents of the environment.
    pub agents: usize,
}

/// A set with what became of it.
#[derive(Debug, Clone)]
pub struct SetOverview {
    pub set: PromptSet,
    pub prompts: i64,
    pub latest: Option<Version>,
    /// One for each environment where something is live, in their order.
    pub live: Vec<Live>,
}

/// A project at a glance.
#[derive(Debug, Clone)]
pub struct ProjectOverview {
    pub at: ProjectAt,
    pub environments: Vec<Environment>,
    pub sets: Vec<SetOverview>,
    pub agents: usize,
    pub unreachable: usize,
}

/// Every project of an organisation at a glance.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn dashboard(
    state: &AppState,
    actor: &Actor,
    organisation: &Organisation,
) -> Result<Vec<ProjectOverview>> {
    let projects = author::projects(state, actor, organisation).await?;
    let mut conn = state.database.read().await?;
    let mut out = Vec::new();
    for project in projects {
        let at = ProjectAt { organisation: organisation.clone(), project };
        out.push(overview(state, &mut conn, at).await?);
    }
    Ok(out)
}

/// One project at a glance.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn project(state: &AppState, actor: &Actor, at: &ProjectAt) -> Result<ProjectOverview> {
    at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    overview(state, &mut conn, at.clone()).await
}

async fn overview(state: &AppState, conn: &mut Conn, at: ProjectAt) -> Result<ProjectOverview> {
    let environments = project::environments(conn, &at.project.id).await?;
    let now = clock::now();
    let (mut counts, mut agents, mut unreachable) = (HashMap::new(), 0, 0);
    for environment in &environments {
        let found = agent::of_environment(conn, &environment.id).await?;
        agents += found.len();
        unreachable +=
            found.iter().filter(|a| presence(&state.config, a, now) == Presence::Unreachable).count();
        counts.insert(environment.id.clone(), found.len());
    }
    let mut live: HashMap<String, Vec<Live>> = HashMap::new();
    for full in publication::heads_of_project(conn, &at.project.id).await? {
        let answers = agent::acknowledgements(conn, &full.publication.id).await?;
        let active = answers.iter().filter(|a| a.state == "active").count();
        let agents = counts.get(&full.environment.id).copied().unwrap_or(0);
        live.entry(full.set.id.clone()).or_default().push(Live { full, active, agents });
    }
    let mut sets = Vec::new();
    for set in prompt_set::of_project(conn, &at.project.id).await? {
        sets.push(SetOverview {
            prompts: prompt::count(conn, &set.id).await?,
            latest: version::of_set(conn, &set.id).await?.into_iter().find(|v| v.kind == "locked"),
            live: live.remove(&set.id).unwrap_or_default(),
            set,
        });
    }
    Ok(ProjectOverview { at, environments, sets, agents, unreachable })
}
