//! Revisions from elsewhere. They are taken over for what has no history in the set: two pasts are not woven into one.

use std::collections::{BTreeMap, BTreeSet};

use exchange::archive::{Change as Saved, PartialChange, Set as Whole};
use schemas::Micros;
use schemas::canonical::Digest;

use super::choice::{Change, PlanItem};
use super::{SetAt, SetPlan};
use crate::auth::Actor;
use crate::clock;
use crate::database::import::{partials_saved, prompts_saved};
use crate::database::origin::{self, RevisionOrigin};
use crate::database::prompt::{self, PromptRevision};
use crate::database::revision::{self, PartialRevision};
use crate::database::{Conn, import};
use crate::error::{ApiError, Result};

/// Longest message and longest name that a revision keeps, in characters.
const MESSAGE_MAX: usize = 500;
const AUTHOR_MAX: usize = 200;

/// A time of an archive; none of them is later than now.
pub(super) fn time(text: &str) -> Result<Micros> {
    let bad = || {
        ApiError::invalid("unreadable", "file", format!("{text:?} is no time; write 2026-01-31T12:00:00Z"))
    };
    clock::parse(text).map(|time| time.clamp(0, clock::now())).ok_or_else(bad)
}

/// What the set knows of each name: number and time of every revision.
type Known = BTreeMap<String, BTreeSet<(i64, Micros)>>;

fn known(saved: Vec<import::Saved>) -> Known {
    let mut known = Known::new();
    for (name, number, time) in saved {
        known.entry(name).or_default().insert((number, time));
    }
    known
}

/// What becomes of the history of each name.
pub(super) async fn compare(conn: &mut Conn, set: Option<&SetAt>, whole: &Whole) -> Result<Vec<PlanItem>> {
    let (prompts, partials) = match set {
        Some(set) => {
            (known(prompts_saved(conn, &set.set.id).await?), known(partials_saved(conn, &set.set.id).await?))
        }
        None => (Known::new(), Known::new()),
    };
    let of_prompts = whole.history.iter().map(|c| (c.prompt.as_str(), c.revision, c.created_at.as_str()));
    let of_partials =
        whole.partial_history.iter().map(|c| (c.partial.as_str(), c.revision, c.created_at.as_str()));
    let mut items = told("history/prompts", of_prompts, &prompts)?;
    items.extend(told("history/partials", of_partials, &partials)?);
    Ok(items)
}

fn told<'f>(
    place: &str,
    file: impl Iterator<Item = (&'f str, i64, &'f str)>,
    known: &Known,
) -> Result<Vec<PlanItem>> {
    let mut names: BTreeMap<&str, BTreeSet<(i64, Micros)>> = BTreeMap::new();
    for (name, number, saved) in file {
        if number < 1 {
            let detail = format!("revision {number} of {name} is none; they count from 1");
            return Err(ApiError::invalid("unreadable", "file", detail));
        }
        names.entry(name).or_default().insert((number, time(saved)?));
    }
    let item = |(name, saved): (&str, BTreeSet<(i64, Micros)>)| {
        let after = Some(Digest::of(format!("{saved:?}").as_bytes()));
        let full = format!("{place}/{name}");
        match known.get(name) {
            None => PlanItem::new(full, Change::New).with(None, after),
            Some(known) if saved.is_subset(known) => {
                PlanItem::new(full, Change::Unchanged).with(after, after)
            }
            Some(_) => PlanItem::new(full, Change::Kept)
                .because("it has a history here, and two are not woven into one")
                .with(None, after),
        }
    };
    Ok(names.into_iter().map(item).collect())
}

/// The last change of each name of which the history is taken over.
#[derive(Default)]
pub(super) struct Past<'a> {
    pub prompts: BTreeMap<&'a str, &'a Saved>,
    pub partials: BTreeMap<&'a str, &'a PartialChange>,
}

pub(super) fn past_of<'a>(plan: &SetPlan, whole: Option<&'a Whole>) -> Past<'a> {
    let Some(whole) = whole else { return Past::default() };
    let prompts = whole.history.iter().map(|c| (c.prompt.as_str(), c));
    let partials = whole.partial_history.iter().map(|c| (c.partial.as_str(), c));
    Past {
        prompts: prompts.filter(|(name, _)| plan.takes(&format!("history/prompts/{name}"))).collect(),
        partials: partials.filter(|(name, _)| plan.takes(&format!("history/partials/{name}"))).collect(),
    }
}

fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// Writes the revisions that a plan takes over, each with who brought it.
pub(super) async fn write(
    conn: &mut Conn,
    actor: &Actor,
    set: &SetAt,
    plan: &SetPlan,
    whole: &Whole,
) -> Result<()> {
    let (mut prompts, mut partials) = (Vec::new(), Vec::new());
    for one in whole.history.iter().filter(|c| plan.takes(&format!("history/prompts/{}", c.prompt))) {
        prompts.push(PromptRevision {
            id: clock::new_id(),
            set_id: set.set.id.clone(),
            prompt_id: one.prompt.to_string(),
            revision: one.revision,
            body: one.body.as_ref().map(serde_json::to_string).transpose().map_err(ApiError::internal)?,
            author: cut(&one.author, AUTHOR_MAX),
            created_at: time(&one.created_at)?,
            message: cut(&one.message, MESSAGE_MAX),
            renamed_from: one.renamed_from.as_ref().map(ToString::to_string),
        });
    }
    let taken = |c: &&PartialChange| plan.takes(&format!("history/partials/{}", c.partial));
    for one in whole.partial_history.iter().filter(taken) {
        partials.push(PartialRevision {
            id: clock::new_id(),
            set_id: set.set.id.clone(),
            name: one.partial.to_string(),
            revision: one.revision,
            source: one.source.clone(),
            author: cut(&one.author, AUTHOR_MAX),
            created_at: time(&one.created_at)?,
            message: cut(&one.message, MESSAGE_MAX),
            renamed_from: one.renamed_from.as_ref().map(ToString::to_string),
        });
    }
    let now = clock::now();
    let ids = prompts.iter().map(|r| &r.id).chain(partials.iter().map(|r| &r.id));
    let origins: Vec<RevisionOrigin> = ids
        .map(|id| RevisionOrigin {
            revision_id: id.clone(),
            set_id: set.set.id.clone(),
            imported_by: actor.name.clone(),
            imported_at: now,
        })
        .collect();
    prompt::add_revisions(conn, &prompts).await?;
    revision::add_partials(conn, &partials).await?;
    origin::add_revisions(conn, &origins).await?;
    Ok(())
}
