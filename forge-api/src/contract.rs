//! Contracts: what the programs of agents were built for, and whom a version would break.
//!
//! An agent announces its contracts when it enrols, under its identity's signature. Before a publication
//! FORGE holds the version against those of the agents that count: all that were heard within a day, but for those whose
//! connection ended while others of their service go on without a break. A version that breaks some of them is published
//! only by who names every one of their services.
//!
//! | module | what it holds |
//! |---|---|
//! | `keep` | what agents announced, bounded |
//! | `broken` | whom a version would break, and what an override names |

mod broken;
mod keep;

pub use broken::{Breaks, Broken, BrokenContract, Overridden, breaks};
pub(crate) use broken::{Content, SERVICES_MAX, allow, broken_by, told};
pub use keep::{ENVIRONMENT_BYTES, Read, keep, read};

use std::collections::{BTreeMap, HashMap};

use schemars::JsonSchema;
use serde::Serialize;

use crate::auth::{Action, Actor};
use crate::author::{ProjectAt, SetAt};
use crate::clock;
use crate::config::Config;
use crate::database::project::Environment;
use crate::database::{Conn, agent, contract, project};
use crate::error::Result;
use crate::fleet::{self, AWAY, Presence};
use crate::state::AppState;

/// What agents without a service are named by, all of them: there may be hundreds, and the next one has another name.
pub const NO_SERVICE: &str = "agents without a service";

/// A service whose agents announced what they were built for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Known {
    pub environment: String,
    /// The service, or `agents without a service`.
    pub name: String,
    /// The version that its contract was made from.
    pub built_for: String,
    pub agents: Vec<String>,
}

/// An agent that announced a contract.
#[derive(Debug, Clone)]
struct Who {
    agent: String,
    connected: bool,
    /// Its connection ended, and it was not heard since.
    ended: bool,
}

/// What the agents of an environment that count announced of a set.
#[derive(Debug, Default)]
struct Announced {
    /// By the name that an override goes by, and the digest of the contract.
    by: BTreeMap<(String, String), Vec<Who>>,
    /// The agents of each service that are connected, whatever they announced.
    connected: HashMap<String, Vec<String>>,
}

async fn announced(
    conn: &mut Conn,
    config: &Config,
    environment: &Environment,
    set: &str,
) -> Result<Announced> {
    let mut out = Announced::default();
    let rows = contract::announced(conn, &environment.id, set).await?;
    if rows.is_empty() {
        return Ok(out);
    }
    let now = clock::now();
    let mut heard: HashMap<String, (String, Who)> = HashMap::new();
    for one in agent::heard_in(conn, &environment.id, now - AWAY).await? {
        let presence = fleet::present(config, one.last_seen_at, one.disconnected_at, now);
        let who = Who {
            agent: one.name.clone(),
            connected: presence == Presence::Connected,
            ended: fleet::ended(one.last_seen_at, one.disconnected_at),
        };
        let name = named(&one.service);
        // Agents without a service have nothing to do with one another.
        if who.connected && name != NO_SERVICE {
            out.connected.entry(name.clone()).or_default().push(one.name.clone());
        }
        heard.insert(one.name, (name, who));
    }
    for row in rows {
        if let Some((name, who)) = heard.get(&row.agent) {
            out.by.entry((name.clone(), row.digest)).or_default().push(who.clone());
        }
    }
    Ok(out)
}

/// What an override names.
fn named(service: &str) -> String {
    match service.trim() {
        "" => NO_SERVICE.to_owned(),
        service => service.to_owned(),
    }
}

/// How many agents of an environment that count announced contracts for which there is no room: no version is held
/// against those.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn not_kept(
    state: &AppState,
    actor: &Actor,
    at: &ProjectAt,
    environment: &Environment,
) -> Result<usize> {
    at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    unkept(&mut conn, environment).await
}

async fn unkept(conn: &mut Conn, environment: &Environment) -> Result<usize> {
    let n = contract::not_kept(conn, &environment.id, clock::now() - AWAY).await?;
    Ok(usize::try_from(n).unwrap_or(usize::MAX))
}

/// Which services were built for which version of a set, in every environment.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn known(state: &AppState, actor: &Actor, set: &SetAt) -> Result<Vec<Known>> {
    set.at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    let mut out = Vec::new();
    for environment in project::environments(&mut conn, &set.at.project.id).await? {
        let announced = announced(&mut conn, &state.config, &environment, &set.set.slug).await?.by;
        if announced.is_empty() {
            continue;
        }
        let versions: HashMap<String, String> =
            contract::versions(&mut conn, &environment.id, &set.set.slug).await?.into_iter().collect();
        let mut merged: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        for ((name, digest), agents) in announced {
            let Some(version) = versions.get(&digest) else { continue };
            let agents = agents.into_iter().map(|who| who.agent);
            merged.entry((name, version.clone())).or_default().extend(agents);
        }
        out.extend(merged.into_iter().map(|((name, built_for), mut agents)| {
            agents.sort_unstable();
            agents.dedup();
            Known { environment: environment.slug.clone(), name, built_for, agents }
        }));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_named_by_itself_and_agents_without_one_by_one_name() {
        assert_eq!((named("checkout"), named(" till ")), ("checkout".to_owned(), "till".to_owned()));
        assert_eq!((named(" "), named("")), (NO_SERVICE.to_owned(), NO_SERVICE.to_owned()));
    }
}
