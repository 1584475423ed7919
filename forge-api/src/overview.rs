//! What the first pages show: what is live where, what waits for whom, what needs somebody.
//!
//! [`mod@board`] looks at a whole organisation, [`mod@steps`] at how far a new one came; here stands what is told of each project. Both ask the database for many
//! projects at once.

pub mod board;
pub mod steps;

pub use board::{Board, Failing, Fault, Needs, PAGE, Place, Wait, Waiting, board, needs};
pub use steps::{Steps, dismiss_steps, steps, steps_dismissed};

use std::collections::HashMap;

use crate::auth::{Action, Actor};
use crate::author::ProjectAt;
use crate::clock;
use crate::database::overview::{self as rows, AgentTally, Since};
use crate::database::project::Environment;
use crate::database::prompt_set::PromptSet;
use crate::database::publication::{self, PublicationFull};
use crate::database::version::Version;
use crate::database::{Conn, DatabaseError};
use crate::error::Result;
use crate::fleet::{self, AWAY};
use crate::state::AppState;

/// What is live of a set in one environment.
#[derive(Debug, Clone)]
pub struct Live {
    pub full: PublicationFull,
    /// Agents that serve it.
    pub active: usize,
    /// Agents that refused it.
    pub refused: usize,
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

impl SetOverview {
    /// Whether something of it did not reach everybody.
    #[must_use]
    pub fn is_troubled(&self) -> bool {
        self.live.iter().any(|l| l.full.publication.state == "failed" || l.refused > 0)
    }
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

/// One project at a glance.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn project(state: &AppState, actor: &Actor, at: &ProjectAt) -> Result<ProjectOverview> {
    at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    let mut found = glance(state, &mut conn, vec![at.clone()]).await?;
    Ok(found.pop().ok_or_else(|| DatabaseError::Damaged("a project that is not told of".into()))?)
}

/// From when on an agent counts as heard lately, and as not away for good.
fn since(state: &AppState) -> Since {
    let now = clock::now();
    Since { silent: now - fleet::silence(&state.config), away: now - AWAY }
}

/// Several projects at a glance, in their order.
pub(crate) async fn glance(
    state: &AppState,
    conn: &mut Conn,
    projects: Vec<ProjectAt>,
) -> Result<Vec<ProjectOverview>> {
    let ids: Vec<&str> = projects.iter().map(|at| at.project.id.as_str()).collect();
    let environments = rows::environments_of(conn, &ids).await?;
    let sets = rows::sets_of(conn, &ids).await?;
    let heads = publication::heads_of_projects(conn, &ids).await?;
    let environment_ids: Vec<&str> = environments.iter().map(|e| e.id.as_str()).collect();
    let agents = rows::agents_of(conn, &environment_ids, since(state)).await?;
    let mut live = live_of(conn, heads, &agents).await?;
    let set_ids: Vec<&str> = sets.iter().map(|s| s.id.as_str()).collect();
    let mut prompts = rows::prompts_of(conn, &set_ids).await?;
    let newest = rows::newest_locked(conn, &set_ids).await?;
    let version_ids: Vec<&str> = newest.values().map(|(id, _)| id.as_str()).collect();
    let mut latest = rows::versions_by_ids(conn, &version_ids).await?;

    let mut by_project: HashMap<String, Vec<SetOverview>> = HashMap::new();
    for set in sets {
        // What is archived and still live stays in sight.
        if set.archived_at.is_some() && !live.contains_key(&set.id) {
            continue;
        }
        let of_project = by_project.entry(set.project_id.clone()).or_default();
        of_project.push(SetOverview {
            prompts: prompts.remove(&set.id).unwrap_or(0),
            latest: newest.get(&set.id).and_then(|(id, _)| latest.remove(id)),
            live: live.remove(&set.id).unwrap_or_default(),
            set,
        });
    }
    let mut places: HashMap<String, Vec<Environment>> = HashMap::new();
    for environment in environments {
        places.entry(environment.project_id.clone()).or_default().push(environment);
    }
    let told = projects.into_iter().map(|at| {
        let environments = places.remove(&at.project.id).unwrap_or_default();
        let sum = |of: fn(&AgentTally) -> i64| -> usize {
            let all = environments.iter().filter_map(|e| agents.get(&e.id)).map(of).sum::<i64>();
            usize::try_from(all).unwrap_or(0)
        };
        ProjectOverview {
            agents: sum(|t| t.agents),
            unreachable: sum(|t| t.unreachable),
            sets: by_project.remove(&at.project.id).unwrap_or_default(),
            environments,
            at,
        }
    });
    Ok(told.collect())
}

/// What is live by set, with how many agents have it.
async fn live_of(
    conn: &mut Conn,
    mut heads: Vec<PublicationFull>,
    agents: &HashMap<String, AgentTally>,
) -> Result<HashMap<String, Vec<Live>>> {
    heads.sort_by_key(|head| head.environment.position);
    let ids: Vec<&str> = heads.iter().map(|h| h.publication.id.as_str()).collect();
    let mut answers: HashMap<(String, String), i64> = HashMap::new();
    for (publication, state, n) in rows::answers_to(conn, &ids).await? {
        answers.insert((publication, state), n);
    }
    let mut live: HashMap<String, Vec<Live>> = HashMap::new();
    for full in heads {
        let mut answered = |state: &str| {
            let n = answers.remove(&(full.publication.id.clone(), state.to_owned())).unwrap_or(0);
            usize::try_from(n).unwrap_or(0)
        };
        let (active, refused) = (answered("active"), answered("refused"));
        let agents = agents.get(&full.environment.id).map_or(0, |t| usize::try_from(t.agents).unwrap_or(0));
        // Answers of agents that gave their place to others count no more.
        let active = active.min(agents);
        live.entry(full.set.id.clone()).or_default().push(Live { full, active, refused, agents });
    }
    Ok(live)
}
