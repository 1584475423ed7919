//! Two states of a set held against each other: the draft, a version, or the set after one save.
//!
//! | module | what it holds |
//! |---|---|
//! | [`diff`] | two texts by lines and words |
//! | [`changes`] | what differs, what it means to callers, and the version that it asks for |
//! | [`merge`] | two texts of one origin made into one |

pub mod changes;
pub mod diff;
pub mod merge;

pub use changes::{Changes, Reason, Side, Weight};

use schemas::bundle::{Bundle, Dependency};
use schemas::prompt::{Partial, Prompt};

use crate::auth::{Action, Actor};
use crate::author::history::Past;
use crate::author::{self, Draft, SetAt};
use crate::clock;
use crate::database::version::Version;
use crate::error::{ApiError, Result};
use crate::lock;
use crate::publish::DRAFT;
use crate::state::AppState;

/// Stands before the time of a state of the past: `at:2026-11-20T08:44:00.000001Z`.
pub const AT: &str = "at:";

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

/// A state by its name: [`DRAFT`], a version, an alias, or a time of the past after [`AT`]. The empty
/// name is the empty set.
///
/// # Errors
/// Not allowed; there is no such version, or the time is none.
pub async fn content(state: &AppState, actor: &Actor, set: &SetAt, name: &str) -> Result<Content> {
    set.at.require(actor, Action::View)?;
    if name.is_empty() {
        return Ok(Content::default());
    }
    if name == DRAFT {
        return Ok(Content::of_draft(&author::draft(state, actor, set).await?));
    }
    if let Some(time) = name.strip_prefix(AT) {
        let at = clock::parse(time)
            .ok_or_else(|| ApiError::invalid("bad_time", "at", "write a time as at:2026-11-20T08:44:00Z"))?;
        return Ok(author::history::past(state, actor, set, at).await?.into());
    }
    let found = match lock::find_version(state, actor, set, name).await {
        Err(ApiError::NotFound(_)) => crate::alias::resolve(state, actor, set, name).await?,
        found => found?,
    };
    Content::of_version(state, actor, set, &found).await
}

/// What differs between two states of a set, each by its name as [`content`] takes it.
///
/// # Errors
/// As [`content`].
pub async fn between(state: &AppState, actor: &Actor, set: &SetAt, old: &str, new: &str) -> Result<Changes> {
    let before = content(state, actor, set, old).await?;
    let after = content(state, actor, set, new).await?;
    Ok(Changes::between(before.side(), after.side()))
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
        Some((version, _)) => Content::of_version(state, actor, set, version).await?,
        None => Content::default(),
    };
    let after = content(state, actor, set, DRAFT).await?;
    let changes = Changes::between(before.side(), after.side());
    let last = highest.map(|(_, number)| number);
    Ok(Proposal { next: changes.next(last.as_ref()), last, changes })
}
