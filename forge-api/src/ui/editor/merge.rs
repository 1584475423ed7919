//! Two who wrote at once: what both made of the revision that they started from, as one.

use super::typed::{Part, Typed, What};
use crate::author;
use crate::author::SetAt;
use crate::author::history::{self, Kept, Part as Name};
use crate::compare::merge::merge;
use crate::error::{ApiError, Result};
use crate::state::AppState;
use crate::ui::visitor::Visitor;

/// Both together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Together {
    pub typed: Typed,
    /// Places that both changed; they stand between marks.
    pub conflicts: usize,
}

/// Whose change counts, where only one of two changed something; mine, where both did.
fn changed<T: Clone + PartialEq>(base: &T, mine: &T, theirs: &T) -> T {
    if mine == base { theirs.clone() } else { mine.clone() }
}

/// What two made of `base`. None where the messages of a chat do not correspond any more.
fn together(base: &Typed, mine: &Typed, theirs: &Typed) -> Option<Together> {
    let shape = |typed: &Typed| {
        (typed.what, typed.parts.iter().map(|part| part.role.clone()).collect::<Vec<String>>())
    };
    if shape(base) != shape(mine) || shape(base) != shape(theirs) {
        return None;
    }
    let mut conflicts = 0;
    let parts = base.parts.iter().zip(&mine.parts).zip(&theirs.parts).map(|((base, mine), theirs)| {
        let merged = merge(&base.text, &mine.text, &theirs.text);
        conflicts += merged.conflicts;
        Part { role: mine.role.clone(), text: merged.text }
    });
    let parts = parts.collect();
    let typed = Typed {
        parts,
        plain: changed(&base.plain, &mine.plain, &theirs.plain),
        description: changed(&base.description, &mine.description, &theirs.description),
        tags: changed(&base.tags, &mine.tags, &theirs.tags),
        settings: changed(&base.settings, &mine.settings, &theirs.settings),
        metadata: changed(&base.metadata, &mine.metadata, &theirs.metadata),
        parameters: changed(&base.parameters, &mine.parameters, &theirs.parameters),
        ..mine.clone()
    };
    Some(Together { typed, conflicts })
}

/// What was typed, made one with what is stored now; both came from revision `base`. What comes out
/// names the revision that is stored.
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
    let (base, theirs) = match (name, began.kept) {
        (Name::Prompt(id), Kept::Prompt(began)) => {
            let stored = author::prompt_draft(state, actor, set, id).await?;
            (Typed::of_prompt(&began, base), Typed::of_prompt(&stored.prompt, stored.revision))
        }
        (Name::Partial(id), Kept::Partial(source)) => {
            let stored = author::partial_draft(state, actor, set, id).await?;
            let theirs = Typed::of_partial(&stored.partial, stored.revision);
            let began = Part { role: "text".into(), text: source };
            (Typed { parts: vec![began], ..theirs.clone() }, theirs)
        }
        _ => return Ok(None),
    };
    Ok(together(&base, mine, &theirs).map(|mut found| {
        found.typed.revision = theirs.revision;
        found
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(texts: &[&str], tags: &str) -> Typed {
        Typed {
            name: "a".into(),
            tags: tags.into(),
            parts: texts.iter().map(|text| Part { role: "user".into(), text: (*text).into() }).collect(),
            ..Typed::default()
        }
    }

    #[test]
    fn both_changes_are_kept_and_each_field_is_whose_changed_it() {
        let base = typed(&["one\ntwo\nthree\n", "x"], "a");
        let found = together(
            &base,
            &typed(&["ONE\ntwo\nthree\n", "x"], "a"),
            &typed(&["one\ntwo\nTHREE\n", "y"], "a, b"),
        );
        assert_eq!(
            found.unwrap(),
            Together { typed: typed(&["ONE\ntwo\nTHREE\n", "y"], "a, b"), conflicts: 0 }
        );
        let both = together(&base, &typed(&["mine", "x"], "m"), &typed(&["theirs", "x"], "t")).unwrap();
        assert_eq!((both.conflicts, both.typed.tags.as_str()), (1, "m"));
        assert!(together(&base, &typed(&["one"], "a"), &base).is_none());
    }
}
