//! Whom a version would break.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use schemars::JsonSchema;
use schemas::bundle::Bundle;
use schemas::contract::{Break, Contract};
use schemas::prompt::Prompt;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::announced;
use crate::aside::{CONTRACTS, aside};
use crate::auth::{Action, Actor};
use crate::author::{self, Draft, SetAt};
use crate::database::contract;
use crate::database::project::Environment;
use crate::database::version::{self, Version};
use crate::error::{ApiError, Result};
use crate::lock;
use crate::publish::DRAFT;
use crate::state::AppState;

/// Characters of what agents announced, where it is shown or kept: a stolen credential may announce anything.
const TEXT_MAX: usize = 200;
/// Prompts that the record of an override names.
const PROMPTS_MAX: usize = 50;
/// Names that the sentence of a refusal holds.
const NAMED: usize = 5;

/// A service that would refuse a version and keep what it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Broken {
    /// What an override names: the service, or `agent:<name>` where an agent has none.
    pub name: String,
    /// Its agents, by what they were built for.
    pub contracts: Vec<BrokenContract>,
}

/// Agents of one service that were built for the same, and what of it breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BrokenContract {
    /// The version that their contract was made from.
    pub built_for: String,
    pub agents: Vec<String>,
    pub breaks: Vec<Break>,
}

/// Whom a publication breaks, as its record keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Overridden {
    /// The service, or `agent:<name>`.
    pub name: String,
    pub agents: usize,
    /// The prompts that break it.
    pub prompts: Vec<String>,
}

impl Broken {
    /// How many agents it has that would refuse.
    #[must_use]
    pub fn agents(&self) -> usize {
        self.contracts.iter().flat_map(|one| &one.agents).collect::<BTreeSet<_>>().len()
    }

    pub(crate) fn overridden(&self) -> Overridden {
        let prompts: BTreeSet<&String> =
            self.contracts.iter().flat_map(|one| &one.breaks).map(|one| &one.prompt).collect();
        let prompts = prompts.into_iter().take(PROMPTS_MAX).cloned().collect();
        Overridden { name: self.name.clone(), agents: self.agents(), prompts }
    }
}

/// What is to be published.
pub(crate) enum Content<'a> {
    Version(&'a Version),
    Draft(&'a Draft),
}

/// A text that somebody else wrote, in one line of bounded length.
fn clipped(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(TEXT_MAX).collect()
}

/// Whom a version of a set, or its draft, would break in an environment; by name.
///
/// # Errors
/// Not allowed, not there, or the database refuses.
pub async fn breaks(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    environment: &Environment,
    version: &str,
) -> Result<Vec<Broken>> {
    actor.require(&set.at.organisation.id, Action::View)?;
    if version == DRAFT {
        let draft = author::draft(state, actor, set).await?;
        return broken_by(state, set, environment, Content::Draft(&draft)).await;
    }
    let number = lock::parse_version(version)?;
    let found = {
        let mut conn = state.database.read().await?;
        version::find(&mut conn, &set.set.id, &number.to_string()).await?
    };
    let found = found.ok_or(ApiError::NotFound("version"))?;
    broken_by(state, set, environment, Content::Version(&found)).await
}

pub(crate) async fn broken_by(
    state: &AppState,
    set: &SetAt,
    environment: &Environment,
    content: Content<'_>,
) -> Result<Vec<Broken>> {
    let mut conn = state.database.read().await?;
    let announced = announced(&mut conn, environment, &set.set.slug).await?;
    if announced.is_empty() {
        return Ok(Vec::new());
    }
    let digests: BTreeSet<&String> = announced.keys().map(|(_, digest)| digest).collect();
    let digests: Vec<String> = digests.into_iter().cloned().collect();
    let contracts = contract::by_digests(&mut conn, &environment.id, &digests).await?;
    let (body, prompts) = match content {
        Content::Version(version) => {
            let body = version::body(&mut conn, &version.id).await?;
            (Some(body.ok_or(ApiError::NotFound("version"))?), Vec::new())
        }
        Content::Draft(draft) => (None, draft.prompts.iter().map(|p| p.prompt.clone()).collect()),
    };
    drop(conn);
    aside(&CONTRACTS, move || {
        let prompts: Vec<Prompt> = match body {
            Some(body) => Bundle::from_body(&body)?.prompts,
            None => prompts,
        };
        let mut found: HashMap<String, (String, Vec<Break>)> = HashMap::new();
        for stored in contracts {
            let Ok(contract) = serde_json::from_str::<Contract>(&stored.body) else { continue };
            let breaks: Vec<Break> = contract
                .breaks(&prompts)
                .into_iter()
                .map(|mut one| {
                    (one.prompt, one.what) = (clipped(&one.prompt), clipped(&one.what));
                    one
                })
                .collect();
            if !breaks.is_empty() {
                found.insert(stored.digest, (stored.version, breaks));
            }
        }
        let mut services: BTreeMap<String, Vec<BrokenContract>> = BTreeMap::new();
        for ((name, digest), agents) in announced {
            let Some((built_for, breaks)) = found.get(&digest) else { continue };
            let (built_for, breaks) = (built_for.clone(), breaks.clone());
            services.entry(name).or_default().push(BrokenContract { built_for, agents, breaks });
        }
        Ok(services.into_iter().map(|(name, contracts)| Broken { name, contracts }).collect())
    })
    .await
}

/// Refuses what breaks somebody who is not named.
pub(crate) fn allow(version: &str, environment: &str, broken: &[Broken], accepted: &[String]) -> Result<()> {
    let unnamed: Vec<&str> = broken
        .iter()
        .map(|one| one.name.as_str())
        .filter(|name| accepted.iter().all(|accepted| accepted.trim() != *name))
        .collect();
    let Some(first) = unnamed.get(..unnamed.len().min(NAMED)).filter(|first| !first.is_empty()) else {
        return Ok(());
    };
    let more = match unnamed.len() - first.len() {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    Err(ApiError::Conflict {
        code: "breaks_contract",
        detail: format!(
            "{version} breaks in {environment} what {}{more} were built for; they would refuse it and keep what they have: change the version, or name each of them to publish it all the same",
            first.join(", ")
        ),
        more: json!({ "broken": broken }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(name: &str) -> Broken {
        let one = |agent: &str| BrokenContract {
            built_for: "1.0.0".into(),
            agents: vec![agent.into(), "both".into()],
            breaks: serde_json::from_value(json!([{ "prompt": "welcome", "what": "it is gone" }])).unwrap(),
        };
        Broken { name: name.into(), contracts: vec![one("a"), one("b")] }
    }

    #[test]
    fn every_service_has_to_be_named() {
        let two = [broken("checkout"), broken("agent:kiosk")];
        let error = allow("2.0.0", "prod", &two, &["checkout".into()]).unwrap_err();
        assert_eq!((error.code(), error.status().as_u16()), ("breaks_contract", 409));
        assert!(error.to_string().contains("agent:kiosk") && !error.to_string().contains("checkout"));
        assert_eq!(error.problem()["broken"][1]["name"], "agent:kiosk");
        allow("2.0.0", "prod", &two, &["agent:kiosk".into(), "checkout".into()]).unwrap();
        allow("2.0.0", "prod", &[], &[]).unwrap();
    }

    #[test]
    fn the_record_counts_an_agent_once() {
        let kept = broken("checkout").overridden();
        assert_eq!((kept.agents, kept.prompts), (3, vec!["welcome".to_owned()]));
    }
}
