//! Two who wrote at once: what both made of the revision that they started from, as one.
//!
//! | module | what it merges |
//! |---|---|
//! | `messages` | the text, or the messages of a chat |
//! | `parameters` | parameters, by their names |
//! | `fields` | model settings and metadata by their keys, tags word by word, the description |

mod fields;
mod messages;
mod parameters;

use serde::Serialize;

use super::typed::{Part, Typed, What};
use crate::author;
use crate::author::SetAt;
use crate::author::history::{self, Kept, Part as Name};
use crate::compare::{Changes, Side};
use crate::error::{ApiError, Result};
use crate::state::AppState;
use crate::ui::visitor::Visitor;

/// Both together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Together {
    pub typed: Typed,
    /// What both changed, each otherwise.
    pub clashes: Vec<Clash>,
    /// What it changes of what is stored, besides the text, in words.
    pub facts: Vec<String>,
}

impl Together {
    /// How many places both changed.
    pub(super) fn places(&self) -> usize {
        self.clashes.iter().map(|clash| clash.places).sum()
    }
}

/// Something that both changed, each otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Clash {
    /// The field: `model setting temperature`.
    pub what: String,
    /// Their value; none where both stand in the text.
    pub theirs: Option<String>,
    pub mine: Option<String>,
    /// What became of it.
    pub kept: &'static str,
    /// How many places it is: more than one in a text.
    pub places: usize,
}

impl Clash {
    /// A field that both changed: mine is kept until somebody decides.
    fn of(what: impl Into<String>, theirs: impl Into<String>, mine: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            theirs: Some(theirs.into()),
            mine: Some(mine.into()),
            kept: "yours is kept",
            places: 1,
        }
    }

    /// Places of a text that both changed.
    fn in_text(what: impl Into<String>, places: usize) -> Self {
        Self { what: what.into(), theirs: None, mine: None, kept: "both stand between marks", places }
    }
}

/// What two made of one revision, and that revision.
#[derive(Debug, Clone, Copy)]
struct Three<'a> {
    base: &'a Typed,
    mine: &'a Typed,
    theirs: &'a Typed,
}

/// Whose value counts, where only one of two changed something; mine where both did, and whether they differ there.
fn three_by<T: Copy>(base: T, mine: T, theirs: T, same: impl Fn(T, T) -> bool) -> (T, bool) {
    if same(mine, base) {
        return (theirs, false);
    }
    (mine, !same(theirs, base) && !same(mine, theirs))
}

/// The same of what is the same where it is equal.
fn three<T: Copy + PartialEq>(base: T, mine: T, theirs: T) -> (T, bool) {
    three_by(base, mine, theirs, |a, b| a == b)
}

/// What two made of one revision.
fn together(of: Three<'_>) -> Together {
    let mut clashes = Vec::new();
    let (what, parts) = messages::content(of, &mut clashes);
    let description = fields::description(of, &mut clashes);
    let parameters = parameters::parameters(of, &mut clashes);
    let settings = fields::settings(of, &mut clashes);
    let metadata = fields::metadata(of, &mut clashes);
    let typed = Typed {
        what,
        parts,
        // Of two values there is no third: who changed it at all is right.
        plain: three(of.base.plain, of.mine.plain, of.theirs.plain).0,
        description,
        tags: fields::tags(of),
        parameters,
        settings,
        metadata,
        ..of.mine.clone()
    };
    Together { typed, clashes, facts: Vec::new() }
}

/// What was typed, made one with what is stored now; both came from revision `base`. What comes out
/// names the revision that is stored. None where that revision is not kept.
pub(super) async fn proposal(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    mine: &Typed,
    base: i64,
) -> Result<Option<Together>> {
    let actor = &visitor.actor;
    let name = match mine.what {
        What::Partial => Name::Partial(&mine.name),
        What::Text | What::Chat => Name::Prompt(&mine.name),
    };
    let began = match history::find_revision(state, actor, set, name, &base.to_string()).await {
        Ok(found) => found,
        Err(ApiError::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let (base, theirs, stored) = match (name, began.kept) {
        (Name::Prompt(id), Kept::Prompt(began)) => {
            let stored = author::prompt_draft(state, actor, set, id).await?;
            let theirs = Typed::of_prompt(&stored.prompt, stored.revision);
            (Typed::of_prompt(&began, base), theirs, Some(stored.prompt))
        }
        (Name::Partial(id), Kept::Partial(source)) => {
            let stored = author::partial_draft(state, actor, set, id).await?;
            let theirs = Typed::of_partial(&stored.partial, stored.revision);
            let began = Part { role: "text".into(), text: source };
            (Typed { parts: vec![began], ..theirs.clone() }, theirs, None)
        }
        _ => return Ok(None),
    };
    let mut found = together(Three { base: &base, mine, theirs: &theirs });
    found.typed.revision = theirs.revision;
    if let Some(stored) = stored {
        let (merged, _) = found.typed.prompt(Some(&stored))?;
        let (old, new) = ([stored], [merged]);
        let side = |prompts| Side { prompts, ..Side::default() };
        let changes = Changes::between(side(&old), side(&new));
        found.facts = changes.diffs.into_iter().flat_map(|diff| diff.facts).collect();
    }
    Ok(Some(found))
}

#[cfg(test)]
mod tests;
