//! Whom a version would break.

use std::collections::{BTreeSet, HashMap, HashSet};

use schemars::JsonSchema;
use schemas::bundle::Bundle;
use schemas::contract::{Break, Contract};
use schemas::prompt::Prompt;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Announced, Who, announced, unkept};
use crate::aside::CONTRACTS;
use crate::auth::{Action, Actor};
use crate::author::{self, Draft, SetAt};
use crate::database::contract::{self, StoredContract};
use crate::database::project::Environment;
use crate::database::version::{self, Version};
use crate::error::{ApiError, Result};
use crate::lock;
use crate::publish::DRAFT;
use crate::state::AppState;

/// Characters of what agents announced, where it is shown or kept: a stolen credential may announce anything.
const TEXT_MAX: usize = 200;
/// Services that an answer tells of, each with what breaks it; of more their number is told.
pub(crate) const SERVICES_MAX: usize = 200;
/// Contracts of a service, and breaks of a contract, that are told one by one.
const CONTRACTS_MAX: usize = 8;
const BREAKS_MAX: usize = 8;
/// Agents of a contract that are named.
const AGENTS_MAX: usize = 100;
/// Prompts that the record of an override names.
const PROMPTS_MAX: usize = 50;
/// Names that the sentence of a refusal holds.
const NAMED: usize = 5;

/// Whom a version would break.
#[derive(Debug, Clone, Default)]
pub struct Breaks {
    /// By name: all of them, and of the first ones what breaks them.
    pub broken: Vec<Broken>,
    /// Agents whose contracts are not kept, as there is no room for more: nobody knows whether it breaks them.
    pub not_kept: usize,
}

/// A service that would refuse a version and keep what it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Broken {
    /// What an override names: the service, or `agents without a service`.
    pub name: String,
    /// How many of its agents that would refuse are connected.
    pub connected: usize,
    /// How many are not, and were heard within a day.
    pub away: usize,
    /// Its agents, by what they were built for.
    pub contracts: Vec<BrokenContract>,
    /// Contracts that are not told.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: usize,
    /// Some prompts that break it.
    #[serde(skip)]
    prompts: BTreeSet<String>,
    #[serde(skip)]
    agents: BTreeSet<String>,
}

/// Agents of one service that were built for the same, and what of it breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BrokenContract {
    /// The version that their contract was made from.
    pub built_for: String,
    /// Those that are connected; a hundred at most.
    pub agents: Vec<String>,
    /// Those that are not; a hundred at most.
    pub away: Vec<String>,
    pub breaks: Vec<Break>,
    /// Breaks that are not told.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: usize,
}

/// Whom a publication breaks, as its record keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Overridden {
    /// The service, or `agents without a service`.
    pub name: String,
    pub agents: usize,
    /// The prompts that break it.
    pub prompts: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl Breaks {
    /// The agents that would refuse.
    #[must_use]
    pub fn agents(&self) -> HashSet<&str> {
        self.broken.iter().flat_map(|one| &one.agents).map(String::as_str).collect()
    }
}

impl Broken {
    fn new(name: String) -> Self {
        Self {
            name,
            connected: 0,
            away: 0,
            contracts: Vec::new(),
            more: 0,
            prompts: BTreeSet::new(),
            agents: BTreeSet::new(),
        }
    }

    /// How many agents it has that would refuse.
    #[must_use]
    pub fn agents(&self) -> usize {
        self.agents.len()
    }

    pub(crate) fn overridden(&self) -> Overridden {
        let prompts = self.prompts.iter().take(PROMPTS_MAX).cloned().collect();
        Overridden { name: self.name.clone(), agents: self.agents(), prompts }
    }

    /// Agents that were built for the same. With `told`, as far as an answer tells it.
    fn add(&mut self, who: &[&Who], breaking: &Breaking, told: bool) {
        for one in who {
            if self.agents.insert(one.agent.clone()) {
                *(if one.connected { &mut self.connected } else { &mut self.away }) += 1;
            }
        }
        for prompt in &breaking.prompts {
            if self.prompts.len() < PROMPTS_MAX {
                self.prompts.insert(prompt.clone());
            }
        }
        if !told || self.contracts.len() >= CONTRACTS_MAX {
            self.more += 1;
            return;
        }
        let named = |connected: bool| {
            let those = who.iter().filter(|one| one.connected == connected);
            those.take(AGENTS_MAX).map(|one| one.agent.clone()).collect()
        };
        self.contracts.push(BrokenContract {
            built_for: breaking.built_for.clone(),
            agents: named(true),
            away: named(false),
            breaks: breaking.first.clone(),
            more: breaking.more,
        });
    }
}

/// What breaks a contract.
struct Breaking {
    built_for: String,
    first: Vec<Break>,
    more: usize,
    prompts: BTreeSet<String>,
}

impl Breaking {
    /// Nothing where nothing breaks, or the contract cannot be read.
    fn of(stored: StoredContract, prompts: &[Prompt]) -> Option<(String, Self)> {
        let contract = serde_json::from_str::<Contract>(&stored.body).ok()?;
        let breaks = contract.breaks(prompts);
        if breaks.is_empty() {
            return None;
        }
        let names: BTreeSet<String> = breaks.iter().map(|one| clipped(&one.prompt)).collect();
        let more = breaks.len().saturating_sub(BREAKS_MAX);
        let mut first: Vec<Break> = breaks.into_iter().take(BREAKS_MAX).collect();
        for one in &mut first {
            (one.prompt, one.what) = (clipped(&one.prompt), clipped(&one.what));
        }
        let prompts = names.into_iter().take(PROMPTS_MAX).collect();
        Some((stored.digest, Self { built_for: stored.version, first, more, prompts }))
    }
}

/// What is to be published.
pub(crate) enum Content<'a> {
    Version(&'a Version),
    Draft(&'a Draft),
    /// As a review keeps it.
    Prompts(&'a [Prompt]),
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
) -> Result<Breaks> {
    set.at.require(actor, Action::View)?;
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
) -> Result<Breaks> {
    let slug = &set.set.slug;
    let not_kept = {
        let mut conn = state.database.read().await?;
        let not_kept = unkept(&mut conn, environment).await?;
        if !contract::is_announced(&mut conn, &environment.id, slug).await? {
            return Ok(Breaks { broken: Vec::new(), not_kept });
        }
        not_kept
    };
    // Nothing large is read before there is room to do something with it.
    let place = CONTRACTS.enter().await?;
    let mut conn = state.database.read().await?;
    let announced = announced(&mut conn, &state.config, environment, slug).await?;
    let digests: BTreeSet<&String> = announced.by.keys().map(|(_, digest)| digest).collect();
    let digests: Vec<String> = digests.into_iter().cloned().collect();
    let contracts = contract::by_digests(&mut conn, &environment.id, &digests).await?;
    let (body, prompts) = match content {
        Content::Version(version) => {
            let body = version::body(&mut conn, &version.id).await?;
            (Some(body.ok_or(ApiError::NotFound("version"))?), Vec::new())
        }
        Content::Draft(draft) => (None, draft.prompts.iter().map(|p| p.prompt.clone()).collect()),
        Content::Prompts(prompts) => (None, prompts.to_vec()),
    };
    drop(conn);
    let work = move || {
        let prompts: Vec<Prompt> = match body {
            Some(body) => Bundle::from_body(&body)?.prompts,
            None => prompts,
        };
        let breaking = contracts.into_iter().filter_map(|stored| Breaking::of(stored, &prompts)).collect();
        Ok(Breaks { broken: services(&announced, &breaking), not_kept })
    };
    place.work(work).await
}

/// The services that these contracts of theirs break. Of a service that others serve without a break, those whose
/// connection ended are gone: nobody is asked about them.
fn services(announced: &Announced, breaking: &HashMap<String, Breaking>) -> Vec<Broken> {
    let broken = || announced.by.iter().filter(|((_, digest), _)| breaking.contains_key(digest));
    let agents: HashSet<&str> = broken().flat_map(|(_, who)| who).map(|one| one.agent.as_str()).collect();
    let goes_on = |name: &str| {
        let connected = announced.connected.get(name);
        connected.is_some_and(|all| all.iter().any(|agent| !agents.contains(agent.as_str())))
    };
    let mut out: Vec<Broken> = Vec::new();
    for ((name, digest), who) in broken() {
        let Some(breaking) = breaking.get(digest) else { continue };
        let who: Vec<&Who> = who.iter().filter(|one| !(one.ended && goes_on(name))).collect();
        if who.is_empty() {
            continue;
        }
        if out.last().is_none_or(|last| last.name != *name) {
            out.push(Broken::new(name.clone()));
        }
        let told = out.len() <= SERVICES_MAX;
        if let Some(last) = out.last_mut() {
            last.add(&who, breaking, told);
        }
    }
    out
}

/// Those services that are not named yet first: what an answer has room for, and how many more there are.
pub(crate) fn told<'b>(broken: &'b [Broken], accepted: &[String]) -> (Vec<&'b Broken>, usize) {
    let mut sorted: Vec<&Broken> = broken.iter().collect();
    sorted.sort_by_key(|one| is_named(one, accepted));
    let more = sorted.len().saturating_sub(SERVICES_MAX);
    sorted.truncate(SERVICES_MAX);
    (sorted, more)
}

fn is_named(broken: &Broken, accepted: &[String]) -> bool {
    accepted.iter().any(|accepted| accepted.trim() == broken.name)
}

/// Refuses what breaks somebody who is not named.
pub(crate) fn allow(version: &str, environment: &str, broken: &[Broken], accepted: &[String]) -> Result<()> {
    let unnamed: Vec<&str> =
        broken.iter().filter(|one| !is_named(one, accepted)).map(|one| one.name.as_str()).collect();
    let Some(first) = unnamed.get(..unnamed.len().min(NAMED)).filter(|first| !first.is_empty()) else {
        return Ok(());
    };
    let others = match unnamed.len() - first.len() {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    let (told, more) = told(broken, accepted);
    Err(ApiError::Conflict {
        code: "breaks_contract",
        detail: format!(
            "{version} breaks in {environment} what {}{others} were built for; they would refuse it and keep what they have: change the version, or name each of them to publish it all the same",
            first.join(", ")
        ),
        more: json!({ "broken": told, "more": more }),
    })
}

#[cfg(test)]
mod tests {
    use super::super::NO_SERVICE;
    use super::*;

    fn who(agent: &str, connected: bool, ended: bool) -> Who {
        Who { agent: agent.into(), connected, ended }
    }

    fn breaking(prompt: &str) -> Breaking {
        Breaking {
            built_for: "1.0.0".into(),
            first: vec![
                serde_json::from_value(serde_json::json!({ "prompt": prompt, "what": "it is gone" }))
                    .unwrap(),
            ],
            more: 0,
            prompts: BTreeSet::from([prompt.to_owned()]),
        }
    }

    /// These agents announced contracts of these digests; `bad` and `worse` break.
    fn found(announced: &[(&str, &str, Who)]) -> Vec<Broken> {
        let mut all = Announced::default();
        for (service, digest, who) in announced {
            if who.connected && *service != NO_SERVICE {
                all.connected.entry((*service).into()).or_default().push(who.agent.clone());
            }
            all.by.entry(((*service).into(), (*digest).into())).or_default().push(who.clone());
        }
        let breaking = [("bad", "welcome"), ("worse", "bye")];
        services(&all, &breaking.map(|(digest, prompt)| (digest.to_owned(), self::breaking(prompt))).into())
    }

    #[test]
    fn every_service_has_to_be_named() {
        let two = found(&[
            ("checkout", "bad", who("till", true, false)),
            (NO_SERVICE, "bad", who("kiosk-1", true, false)),
            (NO_SERVICE, "bad", who("kiosk-2", false, true)),
        ]);
        let error = allow("2.0.0", "prod", &two, &["checkout".into()]).unwrap_err();
        assert_eq!((error.code(), error.status().as_u16()), ("breaks_contract", 409));
        assert!(error.to_string().contains(NO_SERVICE) && !error.to_string().contains("checkout"));
        let told = &error.problem()["broken"];
        assert_eq!((&told[0]["name"], &told[1]["name"]), (&json!(NO_SERVICE), &json!("checkout")));
        assert_eq!((&told[0]["connected"], &told[0]["away"]), (&json!(1), &json!(1)));
        allow("2.0.0", "prod", &two, &[NO_SERVICE.into(), "checkout".into()]).unwrap();
        allow("2.0.0", "prod", &[], &[]).unwrap();
    }

    #[test]
    fn the_record_counts_an_agent_once() {
        let both = || who("both", true, false);
        let one = found(&[
            ("checkout", "bad", both()),
            ("checkout", "bad", who("a", true, false)),
            ("checkout", "worse", both()),
            ("checkout", "worse", who("b", false, false)),
        ]);
        let kept = one[0].overridden();
        assert_eq!((kept.agents, kept.prompts), (3, vec!["bye".to_owned(), "welcome".to_owned()]));
        assert_eq!((one.len(), one[0].connected, one[0].away), (1, 2, 1));
    }

    #[test]
    fn who_is_gone_is_asked_about_only_where_nobody_of_the_service_goes_on() {
        let gone = || ("checkout", "bad", who("old", false, true));
        assert_eq!(found(&[gone()]).len(), 1, "it may come back");
        assert!(found(&[gone(), ("checkout", "good", who("new", true, false))]).is_empty());
        assert_eq!(found(&[gone(), ("checkout", "worse", who("new", true, false))])[0].agents(), 2);
        assert_eq!(found(&[gone(), ("checkout", "good", who("new", false, false))]).len(), 1);
        // One that is merely silent may be there.
        let silent = ("checkout", "bad", who("silent", false, false));
        assert_eq!(found(&[silent, ("checkout", "good", who("new", true, false))])[0].agents(), 1);
        // Agents without a service have nothing to do with one another.
        let kiosk = (NO_SERVICE, "bad", who("kiosk", false, true));
        assert_eq!(found(&[kiosk, (NO_SERVICE, "good", who("lamp", true, false))]).len(), 1);
    }

    #[test]
    fn an_answer_is_bounded_and_tells_of_those_first_that_are_not_named() {
        let names: Vec<String> = (0..1_000).map(|n| format!("service-{n:04}")).collect();
        let all: Vec<_> =
            names.iter().map(|name| (name.as_str(), "bad", who(&format!("a-{name}"), true, false))).collect();
        let broken = found(&all);
        assert_eq!(broken.len(), 1_000, "all of them have to be named");
        assert!(broken[SERVICES_MAX..].iter().all(|one| one.contracts.is_empty() && one.more == 1));
        let problem = allow("2.0.0", "prod", &broken, &names[..100]).unwrap_err().problem();
        let told = problem["broken"].as_array().unwrap();
        assert_eq!((told.len(), &problem["more"]), (SERVICES_MAX, &json!(800)));
        assert_eq!(told[0]["name"], "service-0100");
        allow("2.0.0", "prod", &broken, &names).unwrap();
    }
}
