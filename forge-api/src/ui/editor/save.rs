//! Saving what was typed: looked at before, refused with every word kept, or shown beside what somebody else saved.

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect};
use schemas::prompt::{Partial, Prompt};
use serde_json::Value;

use super::page::{Conflict, ReviewView};
use super::typed::{Part, Typed, What};
use super::{Shown, href, merge, sentence, show};
use crate::author::{self, SetAt};
use crate::compare::diff::Diff;
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
        let mine = Partial { name: stored.name.clone(), source: typed.text().to_owned() };
        let (old, new) = ([stored], [mine]);
        Changes::between(
            Side { partials: &old, ..Side::default() },
            Side { partials: &new, ..Side::default() },
        )
        .diffs
    } else {
        let stored = author::prompt_draft(state, &visitor.actor, set, &typed.name).await?.prompt;
        let (mine, _) = typed.prompt(Some(&stored)).map_err(ApiError::from)?;
        let (old, new) = ([stored], [mine]);
        Changes::between(Side { prompts: &old, ..Side::default() }, Side { prompts: &new, ..Side::default() })
            .diffs
    };
    let shown = Shown { dirty: true, review: Some(ReviewView { diffs }), ..Shown::default() };
    show(state, visitor, set, typed, shown).await
}

/// Puts both together into the form, to be looked at and saved.
pub(super) async fn take_both(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    typed: Typed,
    base: i64,
) -> PageResult {
    let found = merge::proposal(state, visitor, set, &typed, base).await?;
    let typed = found.map_or(typed, |found| found.typed);
    show(state, visitor, set, &typed, Shown { dirty: true, ..Shown::default() }).await
}

/// A save that was refused: every word stays, and a conflict shows both texts.
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
    let stored = match current.get("source").and_then(Value::as_str) {
        Some(source) => vec![Part { role: "text".into(), text: source.to_owned() }],
        None => {
            let prompt: Prompt = serde_json::from_value(current.get("prompt")?.clone()).ok()?;
            Typed::of_prompt(&prompt, revision).parts
        }
    };
    let empty = Part { role: String::new(), text: String::new() };
    let diffs = (0..stored.len().max(typed.parts.len()))
        .map(|i| {
            let (old, new) = (stored.get(i).unwrap_or(&empty), typed.parts.get(i).unwrap_or(&empty));
            let title =
                if typed.what == What::Chat { format!("message {}", i + 1) } else { typed.name.clone() };
            Diff::of(title, &old.text, &new.text)
        })
        .filter(|d| !d.is_empty())
        .collect();
    Some((Conflict { who, diffs, ..Conflict::default() }, revision))
}
