//! What can be found out about what is reviewed without reading it: whether its templates compile, its parameters are
//! declared and used, its saved variable sets render, what it takes in is the newest, what the rules still ask for, what
//! is not settled, and which agents would refuse it.

use std::collections::HashMap;

use schemas::prompt::{Partial, Prompt};
use schemas::template::{self, TemplateError, TemplateErrorCode};

use super::{ReviewView, find};
use crate::aside::{PREVIEWS, aside};
use crate::auth::Actor;
use crate::author::variables::{self, VariableSet};
use crate::author::{SetAt, dependency, preview, unmerged};
use crate::compare::Content;
use crate::contract;
use crate::error::{ApiError, Result};
use crate::rule;
use crate::state::AppState;

/// Most saved variable sets that are rendered.
const SAMPLES_MAX: usize = 200;
/// Most details of one check.
const DETAILS_MAX: usize = 20;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    Ok,
    /// Somebody should look.
    Warn,
    /// It cannot be locked so, or somebody would refuse it.
    Bad,
}

impl Outcome {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// `templates`, `parameters`, `samples`, `dependencies`, `rules`, `comments` or `agents`.
    pub name: &'static str,
    pub outcome: Outcome,
    /// What came out, in a few words.
    pub says: String,
    /// The places, as far as there are any; the first ones only.
    pub details: Vec<String>,
}

impl Check {
    fn new(name: &'static str, outcome: Outcome, says: impl Into<String>, mut details: Vec<String>) -> Self {
        let more = details.len().saturating_sub(DETAILS_MAX);
        details.truncate(DETAILS_MAX);
        if more > 0 {
            details.push(format!("and {more} more"));
        }
        Self { name, outcome, says: says.into(), details }
    }
}

/// Looks at what a review is about, as it was put up for review. Nothing for one whose content was not kept.
///
/// # Errors
/// Not allowed, no such review, or there is too much to do at the moment.
pub async fn checks(state: &AppState, actor: &Actor, set: &SetAt, number: i64) -> Result<Vec<Check>> {
    let view = find(state, actor, set, number).await?;
    of_view(state, actor, set, &view).await
}

/// As [`checks`], of a review that was read.
///
/// # Errors
/// As [`checks`].
pub async fn of_view(state: &AppState, actor: &Actor, set: &SetAt, view: &ReviewView) -> Result<Vec<Check>> {
    let Some(content) = &view.content else { return Ok(Vec::new()) };
    let limit = i64::try_from(SAMPLES_MAX + 1).unwrap_or(i64::MAX);
    let samples = {
        let mut conn = state.database.read().await?;
        variables::all(&mut conn, &set.set.id, limit).await?
    };
    let (prompts, partials) = (content.prompts.clone(), content.partials.clone());
    let mut all = aside(&PREVIEWS, move || {
        let mut found: Vec<TemplateError> =
            prompts.iter().flat_map(|p| template::check(p, &partials)).collect();
        found.extend(unmerged::in_all(&prompts, &partials));
        let mut all = vec![templates(&found, prompts.len()), parameters(&found)];
        all.extend(rendered(&prompts, &partials, samples));
        Ok(all)
    })
    .await?;
    all.extend(dependencies(state, set, content).await?);
    all.push(rules(state, actor, set, &view.review.digest).await?);
    all.push(match view.unsettled {
        0 => Check::new("comments", Outcome::Ok, "No comment is open", Vec::new()),
        1 => Check::new("comments", Outcome::Warn, "1 comment is not settled", Vec::new()),
        n => Check::new("comments", Outcome::Warn, format!("{n} comments are not settled"), Vec::new()),
    });
    all.extend(agents(state, actor, set, content).await?);
    Ok(all)
}

fn is_about_parameters(error: &TemplateError) -> bool {
    use TemplateErrorCode::{InvalidParameter, UndeclaredParameter, UnusedParameter};
    matches!(error.code, InvalidParameter | UndeclaredParameter | UnusedParameter)
}

fn templates(found: &[TemplateError], prompts: usize) -> Check {
    let bad: Vec<String> =
        found.iter().filter(|e| !is_about_parameters(e)).map(ToString::to_string).collect();
    match (bad.len(), prompts) {
        (0, 1) => Check::new("templates", Outcome::Ok, "The prompt compiles", bad),
        (0, n) => Check::new("templates", Outcome::Ok, format!("All {n} prompts compile"), bad),
        (1, _) => Check::new("templates", Outcome::Bad, "1 place does not compile", bad),
        (n, _) => Check::new("templates", Outcome::Bad, format!("{n} places do not compile"), bad),
    }
}

fn parameters(found: &[TemplateError]) -> Check {
    let of = |warning: bool| -> Vec<String> {
        let those = found.iter().filter(|e| is_about_parameters(e) && e.is_warning() == warning);
        those.map(ToString::to_string).collect()
    };
    let (bad, unused) = (of(false), of(true));
    let (outcome, says) = match (bad.len(), unused.len()) {
        (0, 0) => (Outcome::Ok, "Every parameter is declared and used".to_owned()),
        (0, 1) => (Outcome::Warn, "1 parameter stands in no text".to_owned()),
        (0, n) => (Outcome::Warn, format!("{n} parameters stand in no text")),
        (1, _) => (Outcome::Bad, "1 parameter is not declared as it is used".to_owned()),
        (n, _) => (Outcome::Bad, format!("{n} parameters are not declared as they are used")),
    };
    Check::new("parameters", outcome, says, [bad, unused].concat())
}

/// Nothing where nobody saved any for these prompts.
fn rendered(prompts: &[Prompt], partials: &[Partial], samples: Vec<VariableSet>) -> Option<Check> {
    let by: HashMap<&str, &Prompt> = prompts.iter().map(|p| (p.id.as_str(), p)).collect();
    let (mut tried, mut bad) = (0, Vec::new());
    for sample in samples.into_iter().take(SAMPLES_MAX) {
        let Some(prompt) = by.get(sample.prompt.as_str()) else { continue };
        tried += 1;
        if let Err(error) = preview::rendered(prompt, partials, sample.given) {
            bad.push(format!("{}, {}: {error}", sample.prompt, sample.name));
        }
    }
    let (outcome, says) = match (tried, bad.len()) {
        (0, _) => return None,
        (1, 0) => (Outcome::Ok, "1 saved variable set renders".to_owned()),
        (n, 0) => (Outcome::Ok, format!("{n} saved variable sets render")),
        (n, 1) => (Outcome::Warn, format!("1 of {n} saved variable sets does not render")),
        (n, m) => (Outcome::Warn, format!("{m} of {n} saved variable sets do not render")),
    };
    Some(Check::new("samples", outcome, says, bad))
}

/// Nothing where it takes nothing from other sets.
async fn dependencies(state: &AppState, set: &SetAt, content: &Content) -> Result<Option<Check>> {
    if content.dependencies.is_empty() {
        return Ok(None);
    }
    let now = {
        let mut conn = state.database.read().await?;
        dependency::resolve(&mut conn, &set.set.id).await?
    };
    let mut newer = Vec::new();
    for one in &content.dependencies {
        let found = now.iter().find(|r| r.set == one.set.as_str()).and_then(|r| r.resolved.as_ref());
        if let Some(found) = found.filter(|found| found.dependency.version > one.version) {
            newer.push(format!(
                "{}: {}, and by now there is {}",
                one.set, one.version, found.dependency.version
            ));
        }
    }
    let (outcome, says) = match (content.dependencies.len(), newer.len()) {
        (1, 0) => (Outcome::Ok, "What it takes in is the newest that fits".to_owned()),
        (n, 0) => (Outcome::Ok, format!("All {n} sets that it takes in are the newest that fit")),
        (_, 1) => (Outcome::Warn, "There is a newer version of 1 set that it takes in".to_owned()),
        (_, n) => (Outcome::Warn, format!("There are newer versions of {n} sets that it takes in")),
    };
    Ok(Some(Check::new("dependencies", outcome, says, newer)))
}

async fn rules(state: &AppState, actor: &Actor, set: &SetAt, digest: &str) -> Result<Check> {
    let rules = rule::rules(state, actor, &set.at).await?;
    let mut conn = state.database.read().await?;
    let (mut missing, mut details) = (0, Vec::new());
    for (environment, rule) in rules.into_iter().filter(|(_, rule)| rule.approvals > 0) {
        let by = rule::counted(&mut conn, &set.set.id, digest, &rule).await?;
        let have = i64::try_from(by.len()).unwrap_or(i64::MAX);
        missing += usize::from(have < rule.approvals);
        let who = if by.is_empty() { String::new() } else { format!(", by {}", by.join(", ")) };
        details.push(format!("{}: {have} of {} approvals{who}", environment.slug, rule.approvals));
    }
    let (outcome, says) = match (details.len(), missing) {
        (0, _) => (Outcome::Ok, "No environment asks for approvals".to_owned()),
        (_, 0) => (Outcome::Ok, "The approvals that environments ask for are there".to_owned()),
        (_, 1) => (Outcome::Warn, "1 environment asks for more approvals".to_owned()),
        (_, n) => (Outcome::Warn, format!("{n} environments ask for more approvals")),
    };
    Ok(Check::new("rules", outcome, says, details))
}

/// Nothing where no agent says what it was built for.
async fn agents(state: &AppState, actor: &Actor, set: &SetAt, content: &Content) -> Result<Option<Check>> {
    if contract::known(state, actor, set).await?.is_empty() {
        return Ok(None);
    }
    let environments = crate::author::environments(state, actor, &set.at).await?;
    let (mut refusing, mut details) = (0, Vec::new());
    for environment in &environments {
        let content = contract::Content::Prompts(&content.prompts);
        match contract::broken_by(state, set, environment, content).await {
            Ok(breaks) => {
                for one in &breaks.broken {
                    refusing += one.agents();
                    let first = one.contracts.iter().flat_map(|c| &c.breaks).next();
                    let why = first.map_or(String::new(), |b| format!(": {}, {}", b.prompt, b.what));
                    details.push(format!("{} in {}{why}", one.name, environment.slug));
                }
            }
            // Too much to do: the others are told all the same.
            Err(ApiError::Unavailable(why)) => details.push(format!("{}: {why}", environment.slug)),
            Err(error) => return Err(error),
        }
    }
    let (outcome, says) = match (refusing, details.len()) {
        (0, 0) => (Outcome::Ok, "No agent would refuse it".to_owned()),
        (0, _) => (Outcome::Warn, "Not every agent could be asked".to_owned()),
        (1, _) => (Outcome::Bad, "1 agent would refuse it".to_owned()),
        (n, _) => (Outcome::Bad, format!("{n} agents would refuse it")),
    };
    Ok(Some(Check::new("agents", outcome, says, details)))
}
