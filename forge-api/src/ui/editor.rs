//! The editor: a set's prompts, one of them open.

mod along;
mod merge;
mod page;
mod parameter;
mod part;
mod previewed;
mod rename;
mod save;
mod settings;
mod shell;
mod tree;
mod trial;
mod typed;
mod variables;

pub(crate) use along::{Copied, along};
pub(crate) use parameter::{Row, shown, value};
pub(crate) use previewed::{sentence, value_sentences};
pub(crate) use typed::role_name;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect};
use schemas::PromptId;
use schemas::prompt::{Content, Partial};

use self::merge::Clash;
use self::page::{Conflict, ReviewView};
use self::previewed::Previewed;
use self::save::{refused, review, save_prompt, take_both};
use self::shell::{frame, notes, shell};
use self::typed::{PLACEHOLDER, Part, Typed, Unfit, What};
use self::variables::Deed;
use super::address::{Path, Query};
use super::engine;
use super::fault::{Fault, PageResult, beside_form};
use super::form::{Form, lines};
use super::view::Callout;
use super::visitor::Visitor;
use crate::author::{self, Check, Item, SetAt};
use crate::error::ApiError;
use crate::search::thing::Kind;
use crate::state::AppState;

/// `/{organisation}/{project}/{set}`.
type SetPath = Path<(String, String, String)>;
/// … and a prompt or a partial.
type PromptPath = Path<(String, String, String, String)>;

/// Cuts a text for a line of a page.
pub(crate) fn clipped(text: &str, most: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    let mut out: String = line.chars().take(most).collect();
    if out.len() < text.len() {
        out.push('…');
    }
    out
}

/// `GET /{organisation}/{project}/{set}`: the first prompt, or the way to one.
pub(super) async fn get_set(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): SetPath,
    Query(copied): Query<Copied>,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    if let Some(first) = author::first_prompt(&state, &visitor.actor, &set).await? {
        return Ok(Redirect::to(&format!("{}/{first}{}", base(&set), copied.onwards())).into_response());
    }
    let draft = author::draft(&state, &visitor.actor, &set).await?;
    let page = shell(&state, &visitor, &set, &draft, None).await?;
    let mut frame = frame(&visitor, &set, None);
    frame.flash = copied.callout();
    Ok(engine::page(StatusCode::OK, "editor.html", &frame, &page))
}

/// `GET /{organisation}/{project}/{set}/{prompt}`.
pub(super) async fn get_prompt(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s, id)): PromptPath,
    Query(copied): Query<Copied>,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    let stored = match author::prompt_draft(&state, &visitor.actor, &set, &id).await {
        Err(ApiError::NotFound(_)) => {
            let now = author::renamed(&state, &visitor.actor, &set, Item::Prompt, &id).await?;
            return Ok(Redirect::permanent(&format!("{}/{now}", base(&set))).into_response());
        }
        found => found?,
    };
    let typed = Typed::of_prompt(&stored.prompt, stored.revision);
    show(&state, &visitor, &set, &typed, Shown { flash: copied.callout(), ..Shown::default() }).await
}

/// `GET /{organisation}/{project}/{set}/-/partials/{partial}`.
pub(super) async fn get_partial(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s, name)): PromptPath,
    Query(copied): Query<Copied>,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    let stored = match author::partial_draft(&state, &visitor.actor, &set, &name).await {
        Err(ApiError::NotFound(_)) => {
            let now = author::renamed(&state, &visitor.actor, &set, Item::Partial, &name).await?;
            return Ok(Redirect::permanent(&format!("{}/-/partials/{now}", base(&set))).into_response());
        }
        found => found?,
    };
    let typed = Typed::of_partial(&stored.partial, stored.revision);
    show(&state, &visitor, &set, &typed, Shown { flash: copied.callout(), ..Shown::default() }).await
}

/// `POST /{organisation}/{project}/{set}/{prompt}`: saves, or changes the form without saving.
pub(super) async fn post_prompt(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s, id)): PromptPath,
    form: Form,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    let mut typed = Typed { name: id, ..Typed::of_form(&form) };
    let (what, argument) = form.get("do").split_once(':').unwrap_or((form.get("do"), ""));
    let mut said = (StatusCode::OK, None);
    match (what, argument.parse::<i64>().ok()) {
        ("save", _) => return save_prompt(&state, &visitor, &set, typed).await,
        ("review", _) => return review(&state, &visitor, &set, &typed).await,
        ("take-both", Some(base)) => return take_both(&state, &visitor, &set, typed, base).await,
        _ => {}
    }
    if let Some(deed) = Deed::parse(what) {
        said = variables::keep(&state, &visitor, &set, &mut typed, deed).await?;
    }
    let open = typed.change(what, argument);
    let dirty = differs(&state, &visitor, &set, &typed).await?;
    let (status, flash) = said;
    show(&state, &visitor, &set, &typed, Shown { dirty, open, status, flash, ..Shown::default() }).await
}

/// Whether the form holds what is not stored. Values to try it with are no part of a prompt.
async fn differs(state: &AppState, visitor: &Visitor, set: &SetAt, typed: &Typed) -> Result<bool, Fault> {
    let stored = match author::prompt_draft(state, &visitor.actor, set, &typed.name).await {
        Ok(stored) => stored.prompt,
        Err(ApiError::NotFound(_)) => return Ok(true),
        Err(error) => return Err(error.into()),
    };
    let (prompt, unfit) = typed.prompt(Some(&stored)).map_err(ApiError::from)?;
    Ok(!unfit.is_empty() || prompt != stored)
}

/// `POST /{organisation}/{project}/{set}/-/partials/{partial}`.
pub(super) async fn post_partial(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s, name)): PromptPath,
    form: Form,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    let typed = Typed { name, what: What::Partial, ..Typed::of_form(&form) };
    if form.get("do") == "review" {
        return review(&state, &visitor, &set, &typed).await;
    }
    if let Some(base) = form.get("do").strip_prefix("take-both:").and_then(|base| base.parse().ok()) {
        return take_both(&state, &visitor, &set, typed, base).await;
    }
    if form.get("do") != "save" {
        return show(&state, &visitor, &set, &typed, Shown { dirty: true, ..Shown::default() }).await;
    }
    let partial = Partial {
        name: PromptId::new(&typed.name).map_err(ApiError::from)?,
        source: typed.text().to_owned(),
    };
    match author::save_partial_because(&state, &visitor.actor, &set, &partial, typed.revision, &typed.message)
        .await
    {
        Ok(_) => Ok(Redirect::to(&href(&set, &typed)).into_response()),
        Err(error) => refused(&state, &visitor, &set, typed, error).await,
    }
}

/// `POST /{organisation}/{project}/{set}/-/preview`: the parts of the page that change while one writes.
pub(super) async fn post_preview(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): SetPath,
    form: Form,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    let (_, previewed) = look(&state, &visitor, &set, &Typed::of_form(&form)).await?;
    Ok(engine::answer(StatusCode::OK, engine::fragment("previewed.html", &previewed), None))
}

/// `POST /{organisation}/{project}/{set}/-/notes/{prompt}`.
pub(super) async fn post_notes(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s, id)): PromptPath,
    form: Form,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    let (body, revision) = (lines(form.get("notes")), form.get("revision").parse().unwrap_or_default());
    let error = match author::put_note(&state, &visitor.actor, &set, &id, &body, revision).await {
        Ok(_) => return Ok(Redirect::to(&format!("{}/{id}#notes", base(&set))).into_response()),
        Err(error) => error,
    };
    let (status, why) = beside_form(error)?;
    let stored = author::prompt_draft(&state, &visitor.actor, &set, &id).await?;
    let typed = Typed::of_prompt(&stored.prompt, stored.revision);
    show(&state, &visitor, &set, &typed, Shown { status, notes: Some((body, why)), ..Shown::default() }).await
}

/// How a page is shown besides what was typed.
struct Shown {
    status: StatusCode,
    dirty: bool,
    open: Option<usize>,
    flash: Option<Callout>,
    conflict: Option<Conflict>,
    /// What both changed, where both were put together into the form.
    clashes: Vec<Clash>,
    review: Option<ReviewView>,
    /// Notes that were not saved, and why.
    notes: Option<(String, String)>,
}

impl Default for Shown {
    fn default() -> Self {
        Self {
            status: StatusCode::OK,
            dirty: false,
            open: None,
            flash: None,
            conflict: None,
            clashes: Vec::new(),
            review: None,
            notes: None,
        }
    }
}

async fn show(state: &AppState, visitor: &Visitor, set: &SetAt, typed: &Typed, shown: Shown) -> PageResult {
    let draft = author::draft(state, &visitor.actor, set).await?;
    let (unfit, previewed) = look(state, visitor, set, typed).await?;
    let mut page = shell(state, visitor, set, &draft, Some(typed)).await?;
    page.fill(typed, &unfit, previewed, shown.open);
    page.trial = trial::trial(state, visitor, set, typed).await?;
    page.notes = notes(state, visitor, set, typed).await?;
    if let (Some(notes), Some((body, error))) = (&mut page.notes, shown.notes) {
        (notes.body, notes.error) = (body, Some(error));
    }
    page.dirty = shown.dirty;
    page.conflict = shown.conflict;
    page.clashes = shown.clashes;
    page.review = shown.review;
    let mut frame = frame(visitor, set, Some(typed));
    frame.flash = shown.flash;
    let kind = if typed.what == What::Partial { Kind::Partial } else { Kind::Prompt };
    frame.star = super::search::opened(state, visitor, set, kind, &typed.name).await?;
    Ok(engine::page(shown.status, "editor.html", &frame, &page))
}

/// Checks and renders what was typed, with the code that agents render with, and what stands beside it.
async fn look(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    typed: &Typed,
) -> Result<(Unfit, Previewed), Fault> {
    let (unfit, mut previewed) = look_at_text(state, visitor, set, typed).await?;
    previewed.preview.beside = trial::beside(state, visitor, set, typed).await?;
    previewed.editable = may_change(visitor, set);
    Ok((unfit, previewed))
}

async fn look_at_text(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    typed: &Typed,
) -> Result<(Unfit, Previewed), Fault> {
    let (prompt, unfit) = typed.prompt(None).map_err(ApiError::from)?;
    let mut check = author::check(state, &visitor.actor, set, &prompt).await?;
    if typed.what == What::Partial {
        // A partial sees the parameters of whoever includes it.
        check.errors.retain(|e| e.code != schemas::template::TemplateErrorCode::UndeclaredParameter);
        check.variables.clear();
        return Ok((unfit.clone(), Previewed::of(typed, &check, &unfit, None)));
    }
    let faulty = check.errors.iter().any(|e| !e.is_warning());
    if faulty || !unfit.is_empty() {
        return Ok((unfit.clone(), Previewed::of(typed, &check, &unfit, None)));
    }
    let (given, mut refusals) = typed.given();
    let rendered = if refusals.is_empty() {
        match author::render_measured(state, &visitor.actor, set, &prompt, given).await {
            Ok(rendered) => Ok(rendered),
            Err(ApiError::Template(errors)) => {
                check = Check { errors, ..check };
                return Ok((unfit.clone(), Previewed::of(typed, &check, &unfit, None)));
            }
            Err(ApiError::Parameters { problems, detail }) => Err(value_sentences(&problems, &detail)),
            Err(ApiError::Invalid { detail, .. }) => Err(vec![sentence(&detail)]),
            Err(error) => return Err(error.into()),
        }
    } else {
        refusals.iter_mut().for_each(|r| *r = sentence(r));
        Err(refusals)
    };
    Ok((unfit.clone(), Previewed::of(typed, &check, &unfit, Some(rendered))))
}

/// Whether the visitor may change the draft of a set as it stands.
pub(crate) fn may_change(visitor: &Visitor, set: &SetAt) -> bool {
    shell::editable(visitor, set)
}

/// The address of a set.
pub(crate) fn base(set: &SetAt) -> String {
    format!("/{}/{}/{}", set.at.organisation.slug, set.at.project.slug, set.set.slug)
}

fn href(set: &SetAt, typed: &Typed) -> String {
    match typed.what {
        What::Partial => format!("{}/-/partials/{}", base(set), typed.name),
        What::Text | What::Chat => format!("{}/{}", base(set), typed.name),
    }
}

/// The content of a prompt that is new: one text, or a chat of a system and a user message.
pub(crate) fn new_content(chat: bool) -> Content {
    if chat {
        let typed = Typed {
            what: What::Chat,
            name: "new".into(),
            parts: ["system", PLACEHOLDER, "user"]
                .map(|role| Part {
                    role: role.into(),
                    text: if role == PLACEHOLDER { "history".into() } else { String::new() },
                })
                .into(),
            ..Typed::default()
        };
        if let Ok((prompt, _)) = typed.prompt(None) {
            return prompt.content;
        }
    }
    Content::Text { template: String::new() }
}
