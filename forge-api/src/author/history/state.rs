//! States that a set was in: read whole, listed by the time of each save, and what was renamed between two of them.

use schemas::prompt::{Partial, Prompt};
use schemas::{Micros, PromptId};

use super::{Kept, LIST_MAX};
use crate::auth::{Action, Actor};
use crate::author::SetAt;
use crate::database::revision::{self, Saved};
use crate::error::Result;
use crate::state::AppState;

/// Most changes of names that are looked through between two states.
const RENAMES_MAX: i64 = 1000;

/// A state that a set was in: after everything that was saved at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastState {
    pub at: Micros,
    /// What was saved, or the last of it.
    pub part: Saved,
    /// `prompt` or `partial`.
    pub kind: &'static str,
}

/// A set's prompts and partials at one time.
#[derive(Debug, Clone, Default)]
pub struct Past {
    pub prompts: Vec<Prompt>,
    pub partials: Vec<Partial>,
}

/// The set as it was right after a revision of one of its prompts or partials.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn past(state: &AppState, actor: &Actor, set: &SetAt, at: Micros) -> Result<Past> {
    set.at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    let mut past = Past::default();
    for row in revision::prompts_at(&mut conn, &set.set.id, at).await? {
        if let Kept::Prompt(prompt) = super::of_prompt(row)?.kept {
            past.prompts.push(*prompt);
        }
    }
    for row in revision::partials_at(&mut conn, &set.set.id, at).await? {
        let name = PromptId::new(&row.name)?;
        if let Kept::Partial(source) = super::of_partial(row).kept {
            past.partials.push(Partial { name, source });
        }
    }
    past.prompts.sort_by(|a, b| a.id.cmp(&b.id));
    past.partials.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(past)
}

/// The states that a set was in before `before` (exclusive; none means until now), newest first: one for each time at
/// which something was saved.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn states(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    before: Option<Micros>,
    limit: i64,
) -> Result<Vec<PastState>> {
    set.at.require(actor, Action::View)?;
    let (before, limit) = (before.unwrap_or(Micros::MAX), limit.clamp(1, LIST_MAX));
    let mut conn = state.database.read().await?;
    let prompts = revision::prompts_saved(&mut conn, &set.set.id, before, limit).await?;
    let partials = revision::partials_saved(&mut conn, &set.set.id, before, limit).await?;
    let of = |kind: &'static str| move |part: Saved| PastState { at: part.at, part, kind };
    let mut all: Vec<PastState> =
        prompts.into_iter().map(of("prompt")).chain(partials.into_iter().map(of("partial"))).collect();
    all.sort_by(|a, b| b.at.cmp(&a.at).then_with(|| b.part.id.cmp(&a.part.id)));
    all.dedup_by(|later, kept| {
        let same = later.at == kept.at;
        if same {
            kept.part.count += later.part.count;
        }
        same
    });
    all.truncate(usize::try_from(limit).unwrap_or_default());
    Ok(all)
}

/// What was renamed between two states: each by the name in the one and the name in the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Renames {
    pub prompts: Vec<(String, String)>,
    pub partials: Vec<(String, String)>,
}

impl Renames {
    /// The same, seen from the other state.
    #[must_use]
    pub fn reversed(self) -> Self {
        let turn = |all: Vec<(String, String)>| all.into_iter().map(|(then, now)| (now, then)).collect();
        Self { prompts: turn(self.prompts), partials: turn(self.partials) }
    }
}

/// Under which names prompts and partials that were there at `since` are known at `until`, as far as they were renamed
/// in between.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn renamed_between(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    since: Micros,
    until: Micros,
) -> Result<Renames> {
    set.at.require(actor, Action::View)?;
    let (set_id, times) = (&set.set.id, (since, until));
    let mut conn = state.database.read().await?;
    let prompts = revision::prompts_renamed(&mut conn, set_id, times, RENAMES_MAX).await?;
    let partials = revision::partials_renamed(&mut conn, set_id, times, RENAMES_MAX).await?;
    Ok(Renames { prompts: ends(prompts), partials: ends(partials) })
}

/// The first and the last name of what was renamed step by step.
fn ends(steps: Vec<(String, String)>) -> Vec<(String, String)> {
    let mut names: Vec<(String, String)> = Vec::new();
    for (from, to) in steps {
        match names.iter_mut().find(|(_, now)| *now == from) {
            Some(known) => known.1 = to,
            None => names.push((from, to)),
        }
    }
    names.retain(|(then, now)| then != now);
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_followed_from_the_first_to_the_last() {
        let step = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        let steps = vec![step("a", "b"), step("x", "a"), step("b", "c"), step("p", "q"), step("q", "p")];
        assert_eq!(ends(steps), [step("a", "c"), step("x", "a")]);
    }
}
