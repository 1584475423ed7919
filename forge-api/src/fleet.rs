//! What agents say, taken up: statuses, answers to publications, enrolments, presence.
//!
//! Statuses are gathered for a quarter of a second at most and written in a few statements, so that
//! a thousand of them cost little. What an agent said before is not written again.

mod census;
mod enrol;
mod ingest;
mod read;
mod shown;
mod silence;
mod usage;

pub(crate) use census::AWAY;
pub use ingest::run;

use schemas::Micros;
use schemas::status::AgentStatus;

use crate::auth::{Action, Actor};
use crate::author::ProjectAt;
use crate::clock;
use crate::config::Config;
use crate::database::agent::{self, Agent};
use crate::database::project::{self, Environment};
use crate::error::{ApiError, Result};
use crate::state::AppState;

/// Whether an agent was heard lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    Connected,
    /// Silent for three periods, or its connection ended.
    Unreachable,
}

impl Presence {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Unreachable => "unreachable",
        }
    }
}

/// An agent as people see it.
#[derive(Debug, Clone)]
pub struct AgentView {
    pub agent: Agent,
    pub environment: Environment,
    pub presence: Presence,
    /// The last that it said.
    pub status: Option<AgentStatus>,
}

/// Whether an agent was heard lately, at `now`.
#[must_use]
pub fn presence(config: &Config, agent: &Agent, now: Micros) -> Presence {
    present(config, agent.last_seen_at, agent.disconnected_at, now)
}

/// The same, of when it was heard last and when its connection ended.
pub(crate) fn present(
    config: &Config,
    last_seen_at: Micros,
    disconnected_at: Option<Micros>,
    now: Micros,
) -> Presence {
    let silent = now - last_seen_at > silence(config);
    if ended(last_seen_at, disconnected_at) || silent { Presence::Unreachable } else { Presence::Connected }
}

/// Whether an agent's connection ended, and nothing was heard of it since.
pub(crate) fn ended(last_seen_at: Micros, disconnected_at: Option<Micros>) -> bool {
    disconnected_at.is_some_and(|at| at >= last_seen_at)
}

/// How long an agent may be silent and still counts as connected.
#[must_use]
pub fn silence(config: &Config) -> Micros {
    Micros::try_from(config.status.as_micros()).unwrap_or(Micros::MAX / 4) * 3
}

fn view(config: &Config, agent: Agent, environment: Environment, now: Micros) -> AgentView {
    let status = serde_json::from_str(&agent.status).ok();
    AgentView { presence: presence(config, &agent, now), status, agent, environment }
}

/// The agents of a project, or of one environment of it.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn agents(
    state: &AppState,
    actor: &Actor,
    at: &ProjectAt,
    only: Option<&Environment>,
) -> Result<Vec<AgentView>> {
    at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    let environments = match only {
        Some(one) => vec![one.clone()],
        None => project::environments(&mut conn, &at.project.id).await?,
    };
    let now = clock::now();
    let mut out = Vec::new();
    for environment in environments {
        let found = agent::of_environment(&mut conn, &environment.id).await?;
        out.extend(found.into_iter().map(|a| view(&state.config, a, environment.clone(), now)));
    }
    Ok(out)
}

/// One agent.
///
/// # Errors
/// [`ApiError::NotFound`].
pub async fn find_agent(
    state: &AppState,
    actor: &Actor,
    at: &ProjectAt,
    environment: &Environment,
    name: &str,
) -> Result<AgentView> {
    at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    let found = agent::find(&mut conn, &environment.id, name).await?.ok_or(ApiError::NotFound("agent"))?;
    Ok(view(&state.config, found, environment.clone(), clock::now()))
}
