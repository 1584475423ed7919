//! Contracts: what the programs of agents were built for, and whom a version would break.
//!
//! An agent announces its contracts when it enrols, under its identity's signature. Before a publication
//! FORGE holds the version against those of the agents that count: all that were heard within a day. A
//! version that breaks some of them is published only by who names every one of them.
//!
//! | module | what it holds |
//! |---|---|
//! | `keep` | what agents announced, bounded |
//! | `broken` | whom a version would break, and what an override names |

mod broken;
mod keep;

pub use broken::{Broken, BrokenContract, Overridden, breaks};
pub(crate) use broken::{Content, allow, broken_by};
pub(crate) use keep::{keep, read};

use std::collections::{BTreeMap, HashMap};

use schemars::JsonSchema;
use serde::Serialize;

use crate::auth::{Action, Actor};
use crate::author::SetAt;
use crate::clock;
use crate::database::project::Environment;
use crate::database::{Conn, agent, contract, project};
use crate::error::Result;
use crate::fleet::AWAY;
use crate::state::AppState;

/// What an agent without a service is named by, before its name.
const ALONE: &str = "agent:";

/// A service whose agents announced what they were built for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Known {
    pub environment: String,
    /// The service, or `agent:<name>` where the agent names none.
    pub name: String,
    /// The version that its contract was made from.
    pub built_for: String,
    pub agents: Vec<String>,
}

/// The agents of an environment that count, with what they announced of a set: digests of contracts by the
/// names that overrides go by.
async fn announced(
    conn: &mut Conn,
    environment: &Environment,
    set: &str,
) -> Result<BTreeMap<(String, String), Vec<String>>> {
    let rows = contract::announced(conn, &environment.id, set).await?;
    let mut out: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    if rows.is_empty() {
        return Ok(out);
    }
    let heard: HashMap<String, String> =
        agent::heard_in(conn, &environment.id, clock::now() - AWAY).await?.into_iter().collect();
    for row in rows {
        let Some(service) = heard.get(&row.agent) else { continue };
        out.entry((named(service, &row.agent), row.digest)).or_default().push(row.agent);
    }
    Ok(out)
}

/// What an override names: the service, or the agent where it has none that could be told from an agent.
fn named(service: &str, agent: &str) -> String {
    match service.trim() {
        "" => format!("{ALONE}{agent}"),
        service if service.starts_with(ALONE) => format!("{ALONE}{agent}"),
        service => service.to_owned(),
    }
}

/// Which services were built for which version of a set, in every environment.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn known(state: &AppState, actor: &Actor, set: &SetAt) -> Result<Vec<Known>> {
    actor.require(&set.at.organisation.id, Action::View)?;
    let mut conn = state.database.read().await?;
    let mut out = Vec::new();
    for environment in project::environments(&mut conn, &set.at.project.id).await? {
        let announced = announced(&mut conn, &environment, &set.set.slug).await?;
        if announced.is_empty() {
            continue;
        }
        let versions: HashMap<String, String> =
            contract::versions(&mut conn, &environment.id, &set.set.slug).await?.into_iter().collect();
        let mut merged: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        for ((name, digest), agents) in announced {
            let Some(version) = versions.get(&digest) else { continue };
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
    fn a_service_is_named_by_itself_and_an_agent_without_one_by_its_own_name() {
        assert_eq!(named("checkout", "till-1"), "checkout");
        assert_eq!(named(" ", "till-1"), "agent:till-1");
        // Nobody hides behind the name of an agent.
        assert_eq!(named("agent:kiosk", "till-1"), "agent:till-1");
    }
}
