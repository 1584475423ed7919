//! Saving what was typed: looked at before, refused with every word kept, or shown beside what somebody else saved.

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect};
use schemas::PromptId;
use schemas::prompt::{Partial, Prompt};
use serde_json::Value;

use super::page::{Conflict, ReviewView};
use super::typed::{Typed, What};
use super::{Shown, href, merge, sentence, show};
use crate::author::{self, SetAt};
use crate::compare::diff::Diff;
use crate::compare::long::long;
use crate::compare::{Changes, Side};
use crate::error::ApiError;
use crate::state::AppState;
use crate::ui::fault::PageResult;
use crate::ui::view::Callout;
use crate::ui::visitor::Visitor;

/// Saves a prompt as it was typed.
pub(super) async fn save_prompt(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    typed: Typed,
) -> PageResult {
    let stored = match author::prompt_draft(state, &visitor.actor, set, &typed.name).await {
        Ok(stored) => Some(stored.prompt),
        Err(ApiError::NotFound(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let (prompt, unfit) = typed.prompt(stored.as_ref()).map_err(ApiError::from)?;
    if !unfit.is_empty() {
        let flash = Callout::bad(
            "Not saved.",
            format!("{}. Nothing was changed.", unfit.sentences(&typed).join(". ")),
        );
        let shown = Shown {
            dirty: true,
            status: StatusCode::UNPROCESSABLE_ENTITY,
            flash: Some(flash),
            ..Shown::default()
        };
        return show(state, visitor, set, &typed, shown).await;
    }
    match author::save_prompt_because(state, &visitor.actor, set, &prompt, typed.revision, &typed.message)
        .await
    {
        Ok(_) => Ok(Redirect::to(&href(set, &typed)).into_response()),
        Err(error) => refused(state, visitor, set, typed, error).await,
    }
}

/// What is about to be saved beside what is stored: nothing is saved by looking.
pub(super) async fn review(state: &AppState, visitor: &Visitor, set: &SetAt, typed: &Typed) -> PageResult {
    let diffs = if typed.what == What::Partial {
        let stored = author::partial_draft(state, &visitor.actor, set, &typed.name).await?.partial;
        of_partials(stored, typed)
    } else {
        let stored = author::prompt_draft(state, &visitor.actor, set, &typed.name).await?.prompt;
        let (mine, _) = typed.prompt(Some(&stored)).map_err(ApiError::from)?;
        of_prompts(stored, mine)
    };
    let shown = Shown { dirty: true, review: Some(ReviewView { diffs }), ..Shown::default() };
    show(state, visitor, set, typed, shown).await
}

/// What two of a prompt differ in: the text by lines, everything else in words.
fn of_prompts(old: Prompt, new: Prompt) -> Vec<Diff> {
    let (old, new) = ([old], [new]);
    Changes::between(Side { prompts: &old, ..Side::default() }, Side { prompts: &new, ..Side::default() })
        .diffs
}

/// What was typed beside another text of the same partial.
fn of_partials(old: Partial, typed: &Typed) -> Vec<Diff> {
    let new = [Partial { name: old.name.clone(), source: typed.text().to_owned() }];
    let old = [old];
    Changes::between(Side { partials: &old, ..Side::default() }, Side { partials: &new, ..Side::default() })
        .diffs
}

/// Puts both together into the form, to be looked at and saved. What both changed is told again.
pub(super) async fn take_both(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    typed: Typed,
    base: i64,
) -> PageResult {
    let Some(found) = merge::proposal(state, visitor, set, &typed, base).await? else {
        let why = format!("Revision {base}, from which both started, is not kept. Nothing was changed.");
        let flash = Some(Callout::bad("They do not go together.", why));
        let shown = Shown { dirty: true, flash, ..Shown::default() };
        return show(state, visitor, set, &typed, shown).await;
    };
    let shown = Shown { dirty: true, clashes: found.clashes, ..Shown::default() };
    show(state, visitor, set, &found.typed, shown).await
}

/// A save that was refused: every word stays, and a conflict shows all of theirs that saving mine would take away.
pub(super) async fn refused(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    mut typed: Typed,
    error: ApiError,
) -> PageResult {
    let status = error.status();
    let (conflict, flash) = match &error {
        ApiError::Conflict { code: "revision_conflict", more, .. } => match theirs(more, &typed) {
            Some((mut conflict, revision)) => {
                conflict.base = typed.revision;
                conflict.own = conflict.who == visitor.actor.name;
                typed.revision = revision;
                if let Some(found) = merge::proposal(state, visitor, set, &typed, conflict.base).await? {
                    conflict.takes(found);
                }
                (Some(conflict), None)
            }
            None => (None, Some(Callout::bad("Not saved.", sentence(&error.to_string())))),
        },
        ApiError::Internal(_)
        | ApiError::NotFound(_)
        | ApiError::Hidden { .. }
        | ApiError::NotAllowed { .. }
        | ApiError::SignInRequired => return Err(error.into()),
        _ => (None, Some(Callout::bad("Not saved.", sentence(&error.to_string())))),
    };
    let shown = Shown { dirty: true, status, flash, conflict, ..Shown::default() };
    show(state, visitor, set, &typed, shown).await
}

/// What is stored now, beside what was typed.
fn theirs(more: &Value, typed: &Typed) -> Option<(Conflict, i64)> {
    let current = more.get("current")?;
    let revision = current.get("revision")?.as_i64()?;
    let who = current.get("updated_by").and_then(Value::as_str).unwrap_or("Somebody").to_owned();
    let mut diffs = if let Some(source) = current.get("source").and_then(Value::as_str) {
        of_partials(Partial { name: PromptId::new(&typed.name).ok()?, source: source.to_owned() }, typed)
    } else {
        let stored: Prompt = serde_json::from_value(current.get("prompt")?.clone()).ok()?;
        let (mine, _) = typed.prompt(Some(&stored)).ok()?;
        let long = long(&stored, &mine);
        let mut diffs = of_prompts(stored, mine);
        diffs.extend(long);
        diffs
    };
    diffs.retain(|diff| !diff.is_empty());
    Some((Conflict { who, diffs, ..Conflict::default() }, revision))
}
