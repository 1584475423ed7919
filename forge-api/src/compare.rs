//! Two states of a set held against each other: the draft, a version, or the set after one save.
//!
//! | module | what it holds |
//! |---|---|
//! | [`diff`] | two texts by lines and words |
//! | [`changes`] | what differs, what it means to callers, and the version that it asks for |
//! | `facts` | what changed besides the text, in words |
//! | [`long`] | what is too long for words, side by side |
//! | [`merge`] | two texts of one origin made into one |

pub mod changes;
pub mod diff;
mod facts;
pub mod long;
pub mod merge;

pub use changes::{Changes, Reason, Side, Weight};

use schemas::Micros;
use schemas::bundle::{Bundle, Dependency};
use schemas::prompt::{Partial, Prompt};

use crate::auth::{Action, Actor};
use crate::author::history::{self, Part, Past};
use crate::author::{self, Draft, SetAt};
use crate::clock;
use crate::database::version::Version;
use crate::error::{ApiError, Result};
use crate::lock;
use crate::publish::{self, DRAFT};
use crate::state::AppState;

/// Stands before the time of a state of the past: `at:2026-11-20T08:44:00.000001Z`.
pub const AT: &str = "at:";
/// Stands before the name of an environment: what is live there.
pub const LIVE: &str = "@";
/// Stands between a prompt and the number of one of its revisions: the set right after that was saved.
pub const SAVE: &str = "#";

/// Prompts and partials of one state, and what it took them from.
#[derive(Debug, Clone, Default)]
pub struct Content {
    pub prompts: Vec<Prompt>,
    pub partials: Vec<Partial>,
    pub dependencies: Vec<Dependency>,
}

impl Content {
    /// A draft as it would be locked now.
    #[must_use]
    pub fn of_draft(draft: &Draft) -> Self {
        Self {
            prompts: draft.prompts.iter().map(|p| p.prompt.clone()).collect(),
            partials: draft.partials(),
            dependencies: draft.dependencies(),
        }
    }

    /// A version, as agents get it.
    ///
    /// # Errors
    /// Not allowed, or the database refuses.
    pub async fn of_version(state: &AppState, actor: &Actor, set: &SetAt, version: &Version) -> Result<Self> {
        let body = lock::version_body(state, actor, set, version).await?;
        Self::of_body(&body)
    }

    /// What stands in the body of a bundle.
    ///
    /// # Errors
    /// It is none.
    pub fn of_body(body: &[u8]) -> Result<Self> {
        let bundle = Bundle::from_body(body)?;
        Ok(Self { prompts: bundle.prompts, partials: bundle.partials, dependencies: bundle.dependencies })
    }

    /// As the comparison takes it.
    #[must_use]
    pub fn side(&self) -> Side<'_> {
        Side { prompts: &self.prompts, partials: &self.partials, dependencies: &self.dependencies }
    }
}

impl From<Past> for Content {
    fn from(past: Past) -> Self {
        Self { prompts: past.prompts, partials: past.partials, dependencies: Vec::new() }
    }
}

/// A state by its name: [`DRAFT`], a version, a range, an alias, what is live in an environment after [`LIVE`], a time
/// of the past after [`AT`], or a prompt or partial and the number of one of its revisions, with [`SAVE`] in between.
/// The empty name is the empty set.
///
/// # Errors
/// Not allowed; there is no such version, environment or revision, nothing is live there, or the time is none.
pub async fn content(state: &AppState, actor: &Actor, set: &SetAt, name: &str) -> Result<Content> {
    Ok(stated(state, actor, set, name).await?.content)
}

/// A state of a set, and when it was.
#[derive(Debug, Clone, Default)]
pub struct Stated {
    pub content: Content,
    pub at: Micros,
}

/// As [`content`], with the time.
///
/// # Errors
/// As [`content`].
pub async fn stated(state: &AppState, actor: &Actor, set: &SetAt, name: &str) -> Result<Stated> {
    set.at.require(actor, Action::View)?;
    let name = name.trim();
    if name.is_empty() {
        return Ok(Stated::default());
    }
    if name == DRAFT {
        let content = Content::of_draft(&author::draft(state, actor, set).await?);
        return Ok(Stated { content, at: Micros::MAX });
    }
    if let Some(time) = name.strip_prefix(AT) {
        let at = clock::parse(time)
            .ok_or_else(|| ApiError::invalid("bad_time", "at", "write a time as at:2026-11-20T08:44:00Z"))?;
        return past(state, actor, set, at).await;
    }
    if let Some((prompt, number)) = name.split_once(SAVE) {
        let found = match history::find_revision(state, actor, set, Part::Prompt(prompt), number).await {
            Err(ApiError::NotFound(_)) => {
                history::find_revision(state, actor, set, Part::Partial(prompt), number).await?
            }
            found => found?,
        };
        return past(state, actor, set, found.created_at).await;
    }
    if let Some(environment) = name.strip_prefix(LIVE) {
        let environment = author::find_environment(state, actor, &set.at, environment).await?;
        let (full, body) = publish::current_bundle(state, actor, set, &environment).await?;
        return Ok(Stated { content: Content::of_body(&body)?, at: full.version.created_at });
    }
    let found = match lock::find_version(state, actor, set, name).await {
        Err(ApiError::NotFound(_)) => crate::alias::resolve(state, actor, set, name).await?,
        found => found?,
    };
    let content = Content::of_version(state, actor, set, &found).await?;
    Ok(Stated { content, at: found.created_at })
}

async fn past(state: &AppState, actor: &Actor, set: &SetAt, at: Micros) -> Result<Stated> {
    Ok(Stated { content: history::past(state, actor, set, at).await?.into(), at })
}

/// What differs between two states of a set, each by its name as [`content`] takes it.
///
/// # Errors
/// As [`content`].
pub async fn between(state: &AppState, actor: &Actor, set: &SetAt, old: &str, new: &str) -> Result<Changes> {
    let before = stated(state, actor, set, old).await?;
    let after = stated(state, actor, set, new).await?;
    differences(state, actor, set, &before, &after).await
}

/// What differs between two states that were read. What was renamed in between is one and the same.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn differences(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    old: &Stated,
    new: &Stated,
) -> Result<Changes> {
    let (since, until) = (old.at.min(new.at), old.at.max(new.at));
    let mut renamed = history::renamed_between(state, actor, set, since, until).await?;
    if old.at > new.at {
        renamed = renamed.reversed();
    }
    Ok(Changes::across(old.content.side(), new.content.side(), &renamed))
}

/// The version that the draft asks for.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// The highest locked version, if there is one.
    pub last: Option<semver::Version>,
    pub next: semver::Version,
    pub changes: Changes,
}

/// Which version the draft asks for, by what changed since the highest locked one.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn proposal(state: &AppState, actor: &Actor, set: &SetAt) -> Result<Proposal> {
    let versions = lock::versions(state, actor, set).await?;
    let highest = lock::highest(&versions);
    let before = match &highest {
        Some((version, _)) => {
            Stated { content: Content::of_version(state, actor, set, version).await?, at: version.created_at }
        }
        None => Stated::default(),
    };
    let after = stated(state, actor, set, DRAFT).await?;
    let mut changes = differences(state, actor, set, &before, &after).await?;
    let last = highest.map(|(_, number)| number);
    if last.is_none() && !changes.reasons.is_empty() {
        changes.first();
    }
    Ok(Proposal { next: changes.next(last.as_ref()), last, changes })
}
