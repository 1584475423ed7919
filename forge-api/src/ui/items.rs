//! Pages that move a prompt or a partial: another name, a copy, the archive and back.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect};
use serde::{Deserialize, Serialize};

use super::editor::base;
use super::engine;
use super::fault::{PageResult, beside_form};
use super::form::Form;
use super::frame::Frame;
use super::new::{self, Confirm, Pair, Radio, Refused, Select, pair};
use super::view::{Callout, Choice, Field, Moment};
use super::visitor::Visitor;
use crate::auth::Action;
use crate::author::{self, Item, Restore, SetAt};
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
    visitor.in_project(&set.at).crumb(&set.set.slug, base(set))
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
        ..new::Page::default()
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
        facts: vec![pair("Prompt set", &set.set.slug), pair("Last saved by", by)],
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

#[derive(Debug, Serialize)]
struct Page {
    title: String,
    intro: &'static str,
    empty: &'static str,
    action: String,
    back: String,
    back_text: String,
    may_restore: bool,
    problem: Option<Callout>,
    rows: Vec<Row>,
}

/// Something archived. Without an id it is restored on a page of its own.
#[derive(Debug, Serialize)]
struct Row {
    id: String,
    kind: String,
    name: String,
    at: Moment,
    by: String,
    /// The name to restore it under, where it was typed.
    to: String,
    error: Option<String>,
    href: Option<String>,
}

/// `GET …/-/archived`.
pub(super) async fn get_archived(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): SetPath,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    archived_page(&state, &visitor, &set, StatusCode::OK, None).await
}

/// `refused` is the id of the one that was not restored, the name that was typed, and why.
async fn archived_page(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    status: StatusCode,
    refused: Option<(&str, &str, String)>,
) -> PageResult {
    let rows: Vec<Row> = author::archived(state, &visitor.actor, set)
        .await?
        .into_iter()
        .map(|row| {
            let wrong = refused.as_ref().filter(|(id, ..)| *id == row.id);
            Row {
                to: wrong.map_or_else(|| row.name.clone(), |(_, to, _)| (*to).to_owned()),
                error: wrong.map(|(.., why)| why.clone()),
                id: row.id,
                kind: row.kind,
                name: row.name,
                at: Moment::relative(row.archived_at),
                by: row.archived_by,
                href: None,
            }
        })
        .collect();
    let elsewhere = refused.filter(|(id, ..)| !rows.iter().any(|row| row.id == *id));
    let page = Page {
        title: format!("Archived in {}", set.set.slug),
        intro: "Taken out of the draft, and kept as they were. Restoring brings them back into it.",
        empty: "What is archived here can be restored with everything that it had.",
        action: format!("{}/-/archived", base(set)),
        back: base(set),
        back_text: "Open prompts".into(),
        may_restore: super::editor::may_change(visitor, set),
        problem: elsewhere.map(|(.., why)| Callout::bad("Not restored.", why)),
        rows,
    };
    let frame = frame(visitor, set).titled("Archived", "sets");
    Ok(engine::page(status, "archived.html", &frame, &page))
}

/// `POST …/-/archived`: restores one.
pub(super) async fn post_restore(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): SetPath,
    form: Form,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    let (id, to) = (form.get("archived"), form.get("to"));
    let (item, name) = typed(&form)?;
    let which = Restore { item, name, id: Some(id), to: Some(to).filter(|to| !to.trim().is_empty()) };
    match author::restore(&state, &visitor.actor, &set, which).await {
        Ok(done) => Ok(Redirect::to(&href(&base(&set), item, &done.name)).into_response()),
        Err(error) => {
            let (status, why) = beside_form(error)?;
            archived_page(&state, &visitor, &set, status, Some((id, to, why))).await
        }
    }
}

/// A list of archived projects or sets, each restored in its own settings.
pub(super) struct Shelf {
    pub title: String,
    pub intro: &'static str,
    pub back: String,
    pub back_text: String,
    /// Name, address of its settings where one may change them, and since when.
    pub rows: Vec<(String, Option<String>, i64)>,
}

pub(super) fn shelf(frame: Frame, kind: &str, shelf: Shelf) -> axum::response::Response {
    let rows = shelf
        .rows
        .into_iter()
        .map(|(name, href, at)| Row {
            id: String::new(),
            kind: kind.to_owned(),
            to: String::new(),
            name,
            at: Moment::relative(at),
            by: String::new(),
            error: None,
            href,
        })
        .collect();
    let page = Page {
        title: shelf.title,
        intro: shelf.intro,
        empty: "What is archived can be restored in its settings, with everything that it had.",
        action: String::new(),
        back: shelf.back,
        back_text: shelf.back_text,
        may_restore: false,
        problem: None,
        rows,
    };
    engine::page(StatusCode::OK, "archived.html", &frame.titled("Archived", "sets"), &page)
}
