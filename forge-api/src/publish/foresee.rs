//! What each agent of an environment is going to do with a version, as far as can be said before it is published.

use std::collections::{HashMap, HashSet};

use schemas::Micros;
use schemas::status::AgentStatus;

use crate::auth::{Action, Actor};
use crate::author::SetAt;
use crate::contract::Breaks;
use crate::credential::Standing;
use crate::database::credential;
use crate::database::project::Environment;
use crate::error::Result;
use crate::fleet::{self, AgentView, Presence};
use crate::state::AppState;

/// What clients of ours call themselves before their name.
const CLIENT: &str = "live ";

/// What one agent is going to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Will {
    /// It was built for something else.
    Refuse,
    /// Its credential lets it in no more; a connection that it still has ends.
    CutOff {
        revoked: bool,
    },
    /// It is away, and takes it up when it is back.
    Away,
    /// Its owner pinned the set to versions that this one does not fit.
    Pinned {
        to: String,
    },
    /// It checks it, and holds it back.
    Frozen,
    /// It has not heard from FORGE for long, and may take it late.
    Late,
    Apply,
}

impl Will {
    /// Its name in the API.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::CutOff { .. } => "cut_off",
            Self::Away => "away",
            Self::Pinned { .. } => "pinned",
            Self::Frozen => "frozen",
            Self::Late => "late",
            Self::Apply => "apply",
        }
    }
}

/// An agent and what it is going to do.
#[derive(Debug, Clone)]
pub struct Foreseen {
    pub agent: String,
    pub service: String,
    pub heard_at: Micros,
    pub will: Will,
}

/// What the agents of an environment are going to do with `version` of a set, the worst first. `breaks` says whom it
/// breaks ([`crate::contract::breaks`]).
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn foresee(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    environment: &Environment,
    version: &str,
    breaks: &Breaks,
) -> Result<Vec<Foreseen>> {
    set.at.require(actor, Action::View)?;
    let agents = fleet::agents(state, actor, &set.at, Some(environment)).await?;
    let cut_off = cut_off(state, set, environment).await?;
    let refusing = breaks.agents();
    let number = version.parse::<semver::Version>().ok();
    let mut told: Vec<Foreseen> = agents
        .into_iter()
        .map(|view| Foreseen {
            will: will(&view, &set.set.slug, number.as_ref(), &refusing, &cut_off),
            heard_at: view.agent.last_seen_at,
            service: view.agent.service,
            agent: view.agent.name,
        })
        .collect();
    told.sort_by(|a, b| a.will.cmp(&b.will).then_with(|| a.agent.cmp(&b.agent)));
    Ok(told)
}

fn will(
    view: &AgentView,
    set: &str,
    version: Option<&semver::Version>,
    refusing: &HashSet<&str>,
    cut_off: &HashMap<String, bool>,
) -> Will {
    let name = view.agent.name.as_str();
    if refusing.contains(name) {
        return Will::Refuse;
    }
    if let Some(revoked) = cut_off.get(name) {
        return Will::CutOff { revoked: *revoked };
    }
    if view.presence == Presence::Unreachable {
        return Will::Away;
    }
    match view.status.as_ref().and_then(|s| pinned_away(s, set, version)) {
        Some(to) => Will::Pinned { to },
        None if view.agent.mode == "FROZEN" => Will::Frozen,
        None if view.agent.stale => Will::Late,
        None => Will::Apply,
    }
}

/// The pin of a set that a version does not fit, as agents read it: `*` takes everything.
fn pinned_away(status: &AgentStatus, set: &str, version: Option<&semver::Version>) -> Option<String> {
    let pin = status.sets.iter().find(|one| one.set.as_str() == set)?.pin.as_ref()?;
    let versions: semver::VersionReq = pin.parse().ok()?;
    let fits = versions.comparators.is_empty() || version.is_none_or(|version| versions.matches(version));
    (!fits).then(|| pin.clone())
}

/// Agents whose credential, the one that they were seen with last, is good no more; and whether it was revoked.
async fn cut_off(state: &AppState, set: &SetAt, environment: &Environment) -> Result<HashMap<String, bool>> {
    let mut conn = state.database.read().await?;
    let mut newest: HashMap<String, (Micros, Standing)> = HashMap::new();
    for (row, _) in credential::of_project(&mut conn, &set.at.project.id).await? {
        let (Some(client), Some(at)) = (&row.last_seen_agent, row.last_seen_at) else { continue };
        if row.environment_id != environment.id || row.kind != "agent" {
            continue;
        }
        let name = client.strip_prefix(CLIENT).unwrap_or(client).to_owned();
        let standing = Standing::of(&row);
        let known = newest.entry(name).or_insert((at, standing));
        if known.0 < at {
            *known = (at, standing);
        }
    }
    let bad = newest.into_iter().filter_map(|(name, (_, standing))| match standing {
        Standing::Revoked => Some((name, true)),
        Standing::Expired => Some((name, false)),
        _ => None,
    });
    Ok(bad.collect())
}
