//! What stands around the text in the editor: the set, its prompts as a tree, what may be done.

use serde_json::json;

use super::page::{NotesView, Page};
use super::tree;
use super::typed::{Typed, What};
use super::{base, href};
use crate::auth::Action;
use crate::author::{self, Draft, SetAt};
use crate::error::ApiError;
use crate::lock;
use crate::state::AppState;
use crate::ui::fault::Fault;
use crate::ui::frame::Frame;
use crate::ui::view::{Moment, encoded};
use crate::ui::visitor::Visitor;

/// Whether the visitor may change the draft as it stands.
pub(super) fn editable(visitor: &Visitor, set: &SetAt) -> bool {
    set.at.lets(&visitor.actor, Action::Edit) && set.set.state == "editing" && !set.is_archived()
}

/// The notes of people on the prompt that is open.
pub(super) async fn notes(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    typed: &Typed,
) -> Result<Option<NotesView>, Fault> {
    if typed.what == What::Partial {
        return Ok(None);
    }
    let found = match author::note(state, &visitor.actor, set, &typed.name).await {
        Ok(found) => found,
        // The text is on its way, and what it stood under was taken away meanwhile.
        Err(ApiError::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok(Some(NotesView {
        editable: set.at.lets(&visitor.actor, Action::Edit) && !set.is_archived(),
        saved: (found.revision > 0).then(|| Moment::relative(found.updated_at)),
        saved_by: found.updated_by,
        body: found.body,
        revision: found.revision,
        error: None,
    }))
}

pub(super) fn frame(visitor: &Visitor, set: &SetAt, typed: Option<&Typed>) -> Frame {
    let frame = visitor.in_project(&set.at);
    let mut frame = match typed {
        Some(typed) => frame.crumb(&set.set.name, base(set)).titled(&typed.name, "sets"),
        None => frame.titled(&set.set.name, "sets"),
    };
    frame.bench = true;
    frame.nonce = Some(crate::clock::new_id());
    frame
}

/// What stands around the text: the set, its prompts, and what may be done.
pub(super) async fn shell(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    draft: &Draft,
    typed: Option<&Typed>,
) -> Result<Page, Fault> {
    let may_edit = set.at.lets(&visitor.actor, Action::Edit);
    let may_lock = set.at.lets(&visitor.actor, Action::Lock);
    let editable = editable(visitor, set);
    let versions = lock::versions(state, &visitor.actor, set).await?;
    let latest = versions.iter().find(|v| v.kind == "locked");
    let last = match latest {
        Some(version) => {
            let body = lock::version_body(state, &visitor.actor, set, version).await?;
            schemas::bundle::Bundle::from_body(&body).ok()
        }
        None => None,
    };
    let current = typed.map(|t| (t.name.as_str(), t.what));
    let saved = typed.and_then(|t| saved(draft, t));
    let why_not = match set.set.state.as_str() {
        _ if set.is_archived() => Some("This is archived: it can be read, and agents go on with what is published. Restore it in its settings to change it.".into()),
        _ if !may_edit => Some("You may read this set. Ask an owner of the organisation for the role of a context engineer to edit it.".into()),
        "locked" => Some(format!(
            "This set is LOCKED as {}. To change it, press Edit again; what is published stays as it is.",
            latest.map_or("a version", |v| v.version.as_str())
        )),
        "review" => Some("This set is in REVIEW. It can be edited again after it was returned or locked.".into()),
        _ => None,
    };
    let words = json!({
        "filters": schemas::template::filter_names().collect::<Vec<_>>(),
        "tags": ["if", "elif", "else", "endif", "for", "endfor", "set", "include", "raw", "endraw"],
        "variables": ["loop.index", "loop.first", "loop.last"],
        "partials": draft.partials().iter().map(|p| p.name.to_string()).collect::<Vec<_>>(),
    });
    Ok(Page {
        base: base(set),
        href: typed.map_or_else(|| base(set), |t| href(set, t)),
        set: set.set.name.clone(),
        state: set.set.state.to_uppercase(),
        draft: match latest {
            Some(v) if set.set.state == "locked" => v.version.clone(),
            _ => format!("draft of {}", lock::suggest(&versions)),
        },
        tree: tree::tree(&base(set), draft, last.as_ref().map(|b| b.prompts.as_slice()), current),
        saved: saved.as_ref().map(|(at, _)| Moment::relative(*at)),
        saved_by: saved.map(|(_, by)| by).unwrap_or_default(),
        editable,
        may_add: editable,
        may_lock: may_lock && set.set.state != "locked" && !set.is_archived() && !draft.prompts.is_empty(),
        may_publish: set.at.lets(&visitor.actor, Action::Publish)
            && set.set.state == "locked"
            && !set.is_archived(),
        may_ask: editable && may_lock && !draft.prompts.is_empty(),
        may_reopen: may_edit && set.set.state == "locked" && !set.is_archived(),
        which: typed.map(which).unwrap_or_default(),
        may_edit,
        archived: author::archived_count(state, &visitor.actor, set).await?,
        used_by: used_by(draft, typed),
        why_not,
        words: words.to_string(),
        ..Page::default()
    })
}

/// When and by whom what is open was saved last.
fn saved(draft: &Draft, typed: &Typed) -> Option<(schemas::Micros, String)> {
    if typed.what == What::Partial {
        let found = draft.partials.iter().find(|p| p.partial.name.as_str() == typed.name)?;
        return Some((found.updated_at, found.updated_by.clone()));
    }
    let found = draft.prompts.iter().find(|p| p.prompt.id.as_str() == typed.name)?;
    Some((found.updated_at, found.updated_by.clone()))
}

/// What is open, as pages that move it are asked.
fn which(typed: &Typed) -> String {
    match typed.what {
        What::Partial => format!("partial={}", encoded(&typed.name)),
        What::Text | What::Chat => format!("prompt={}", encoded(&typed.name)),
    }
}

/// The prompts and partials that take in the partial that is open.
fn used_by(draft: &Draft, typed: Option<&Typed>) -> Vec<String> {
    let Some(typed) = typed.filter(|t| t.what == What::Partial) else { return Vec::new() };
    author::users(draft, &typed.name)
}
