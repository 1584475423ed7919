//! Pages that move a prompt or a partial: another name, a copy, the archive; and back, in `archived`.

mod archived;

pub(super) use archived::{Shelf, get_archived, post_restore, shelf};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect};
use serde::Deserialize;

use super::address::{Path, Query};
use super::editor::base;
use super::engine;
use super::fault::{PageResult, beside_form};
use super::form::Form;
use super::frame::Frame;
use super::new::{self, Confirm, Pair, Radio, Refused, Select, pair};
use super::view::{Callout, Choice, Field};
use super::visitor::Visitor;
use crate::auth::Action;
use crate::author::{self, Item, SetAt};
use crate::error::{ApiError, Result};
use crate::state::AppState;

type SetPath = Path<(String, String, String)>;

/// Which prompt, or which partial.
#[derive(Debug, Deserialize)]
pub(super) struct Which {
    prompt: Option<String>,
    partial: Option<String>,
}

impl Which {
    fn item(&self) -> Result<(Item, &str)> {
        match (&self.prompt, &self.partial) {
            (Some(id), _) => Ok((Item::Prompt, id)),
            (None, Some(name)) => Ok((Item::Partial, name)),
            (None, None) => Err(ApiError::NotFound("prompt")),
        }
    }
}

/// The same, as the form posts it.
fn typed(form: &Form) -> Result<(Item, &str)> {
    match Item::parse(form.get("kind")) {
        Some(item) if !form.get("id").is_empty() => Ok((item, form.get("id"))),
        _ => Err(ApiError::NotFound("prompt")),
    }
}

/// The page of a prompt or a partial.
fn href(set_base: &str, item: Item, name: &str) -> String {
    match item {
        Item::Prompt => format!("{set_base}/{name}"),
        Item::Partial => format!("{set_base}/-/partials/{name}"),
    }
}

/// What stands there: its revision, and who saved it last.
async fn stored(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    item: Item,
    name: &str,
) -> Result<(i64, String)> {
    Ok(match item {
        Item::Prompt => {
            let found = author::prompt_draft(state, &visitor.actor, set, name).await?;
            (found.revision, found.updated_by)
        }
        Item::Partial => {
            let found = author::partial_draft(state, &visitor.actor, set, name).await?;
            (found.revision, found.updated_by)
        }
    })
}

fn hidden(item: Item, name: &str, revision: i64) -> Vec<Pair> {
    vec![pair("kind", item.as_str()), pair("id", name), pair("revision", revision.to_string())]
}

fn frame(visitor: &Visitor, set: &SetAt) -> Frame {
    visitor.in_project(&set.at).crumb(&set.set.name, base(set))
}

/// A refusal that belongs to the field of the new name.
fn refused(error: ApiError) -> Result<Refused, super::fault::Fault> {
    let field = match &error {
        ApiError::Invalid { field: Some("set"), .. } => Some("set"),
        ApiError::Invalid { .. } | ApiError::Conflict { code: "name_taken", .. } => Some("to"),
        _ => None,
    };
    Ok(Refused { field, ..Refused::of(error)? })
}

/// `GET …/-/rename?prompt=…`.
pub(super) async fn get_rename(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): SetPath,
    Query(which): Query<Which>,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    let (item, name) = which.item()?;
    rename_page(&state, &visitor, &set, (item, name), name, &Refused::default()).await
}

async fn rename_page(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    (item, name): (Item, &str),
    to: &str,
    refused: &Refused,
) -> PageResult {
    set.at.require(&visitor.actor, Action::Edit)?;
    let (revision, _) = stored(state, visitor, set, item, name).await?;
    let intro = match item {
        Item::Prompt => {
            "Links and API addresses of the old name lead to the new one. Programs ask agents by name: \
                         for them this is another prompt, from the version on that has it."
        }
        Item::Partial => "Whatever takes it in takes it in under the new name.",
    };
    let view = new::Page {
        title: format!("Rename {name}"),
        intro: intro.into(),
        action: format!("{}/-/rename", base(set)),
        back: href(&base(set), item, name),
        submit: "Rename",
        problem: refused.callout("Nothing was renamed."),
        hidden: hidden(item, name, revision),
        fields: vec![
            Field::text("to", "New name", to)
                .required()
                .first()
                .hint("Letters, digits, point, hyphen and underscore; a slash makes folders.")
                .error(refused.at("to")),
        ],
        ..new::Page::default()
    };
    Ok(new::page(frame(visitor, set), refused.status, &view))
}

/// `POST …/-/rename`.
pub(super) async fn post_rename(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): SetPath,
    form: Form,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    let (item, name) = typed(&form)?;
    let (to, revision) = (form.get("to"), form.get("revision").parse().ok());
    match author::rename(&state, &visitor.actor, &set, item, name, to, revision).await {
        Ok(done) => Ok(Redirect::to(&href(&base(&set), item, &done.name)).into_response()),
        Err(error) => rename_page(&state, &visitor, &set, (item, name), to, &refused(error)?).await,
    }
}

/// `GET …/-/duplicate?prompt=…`.
pub(super) async fn get_duplicate(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): SetPath,
    Query(which): Query<Which>,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    let (item, name) = which.item()?;
    let to = format!("{name}-copy");
    let typed = Copied { to: &to, into: &set.set.slug, partials: true };
    duplicate_page(&state, &visitor, &set, (item, name), typed, &Refused::default()).await
}

/// The form of a copy, as typed.
#[derive(Debug, Clone, Copy)]
struct Copied<'a> {
    to: &'a str,
    into: &'a str,
    partials: bool,
}

const PARTIALS: [(&str, &str, &str); 2] = [
    (
        "bring",
        "Bring them along",
        "those that the other set does not have yet, with what they take in themselves",
    ),
    ("leave", "Leave them", "the copy does not render until the other set has them"),
];

/// The partials that a prompt or a partial takes in.
async fn taken_in(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    item: Item,
    name: &str,
) -> Result<Vec<String>> {
    let actor = &visitor.actor;
    Ok(match item {
        Item::Prompt => {
            let found = author::prompt_draft(state, actor, set, name).await?.prompt;
            let plain = found.engine == schemas::prompt::Engine::Plain;
            if plain { Vec::new() } else { author::taken_in(found.templates()) }
        }
        Item::Partial => {
            let found = author::partial_draft(state, actor, set, name).await?.partial;
            author::taken_in(std::iter::once(found.source.as_str()))
        }
    })
}

async fn duplicate_page(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    (item, name): (Item, &str),
    typed: Copied<'_>,
    refused: &Refused,
) -> PageResult {
    set.at.require(&visitor.actor, Action::Edit)?;
    let Copied { to, into, partials } = typed;
    let (revision, _) = stored(state, visitor, set, item, name).await?;
    let taken = taken_in(state, visitor, set, item, name).await?;
    let sets = author::sets(state, &visitor.actor, &set.at).await?;
    let choices = sets
        .into_iter()
        .map(|s| Choice { chosen: s.slug == into, value: s.slug.clone(), text: s.slug })
        .collect::<Vec<_>>();
    let asks = !taken.is_empty() && choices.len() > 1;
    let bring = |(value, label, hint): (&'static str, &'static str, &'static str)| Radio {
        value,
        label,
        hint,
        checked: (value == "bring") == partials,
    };
    let view = new::Page {
        title: format!("Duplicate {name}"),
        intro: "The copy has the text, parameters and settings as they stand in the draft.".into(),
        action: format!("{}/-/duplicate", base(set)),
        back: href(&base(set), item, name),
        submit: "Duplicate",
        problem: refused.callout("Nothing was copied."),
        hidden: hidden(item, name, revision),
        fields: vec![
            Field::text("to", "Name of the copy", to)
                .required()
                .first()
                .hint("Letters, digits, point, hyphen and underscore; a slash makes folders.")
                .error(refused.at("to")),
        ],
        select: Some(Select { name: "set", label: "Into prompt set", error: refused.at("set"), choices }),
        choices: if asks { PARTIALS.map(bring).into() } else { Vec::new() },
        choices_label: format!("It takes in {}. In another set:", taken.join(", ")),
        choices_name: "partials",
    };
    Ok(new::page(frame(visitor, set), refused.status, &view))
}

/// `POST …/-/duplicate`.
pub(super) async fn post_duplicate(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): SetPath,
    form: Form,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    let (item, name) = typed(&form)?;
    let (to, into) = (form.get("to"), form.get("set"));
    let partials = form.get("partials") != "leave";
    let other = Some(into).filter(|into| !into.is_empty());
    let copy = author::Duplicate { item, from: name, into: other, to, partials };
    match author::duplicate(&state, &visitor.actor, &set, copy).await {
        Ok(done) => {
            let base = format!("/{o}/{p}/{}", done.set);
            let along = super::editor::along(&done.along);
            Ok(Redirect::to(&format!("{}{along}", href(&base, item, &done.name))).into_response())
        }
        Err(error) => {
            let typed = Copied { to, into, partials };
            duplicate_page(&state, &visitor, &set, (item, name), typed, &refused(error)?).await
        }
    }
}

/// `GET …/-/archive?prompt=…`.
pub(super) async fn get_archive(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): SetPath,
    Query(which): Query<Which>,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    let (item, name) = which.item()?;
    archive_page(&state, &visitor, &set, (item, name), StatusCode::OK, None).await
}

async fn archive_page(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    (item, name): (Item, &str),
    status: StatusCode,
    problem: Option<Callout>,
) -> PageResult {
    set.at.require(&visitor.actor, Action::Edit)?;
    let (revision, by) = stored(state, visitor, set, item, name).await?;
    let page = Confirm {
        title: format!("Archive {name}"),
        text: "It goes from the draft, and can be restored with all that it has. Versions that were locked keep it, \
               and what is published stays as it is."
            .into(),
        action: format!("{}/-/archive", base(set)),
        back: href(&base(set), item, name),
        button: format!("Archive {name}"),
        hidden: hidden(item, name, revision),
        facts: vec![pair("Prompt set", &set.set.name), pair("Last saved by", by)],
        problem,
    };
    let frame = frame(visitor, set).titled(&page.title, "sets").narrow();
    Ok(engine::page(status, "confirm.html", &frame, &page))
}

/// `POST …/-/archive`.
pub(super) async fn post_archive(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): SetPath,
    form: Form,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    let (item, name) = typed(&form)?;
    let revision = form.get("revision").parse().ok();
    match author::archive(&state, &visitor.actor, &set, item, name, revision).await {
        Ok(_) => Ok(Redirect::to(&format!("{}/-/archived", base(&set))).into_response()),
        Err(error) => {
            let (status, why) = beside_form(error)?;
            let problem = Some(Callout::bad("Not archived.", why));
            archive_page(&state, &visitor, &set, (item, name), status, problem).await
        }
    }
}
