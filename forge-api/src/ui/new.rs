//! Forms that make something new: a project, a prompt set, a prompt; and the page that asks first.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use schemas::prompt::{Engine, Partial, Prompt};
use schemas::{PromptId, Slug};
use serde::Serialize;

use super::address::Path;
use super::editor::{base, new_content};
use super::engine;
use super::fault::{PageResult, beside_form};
use super::form::Form;
use super::frame::Frame;
use super::view::{Callout, Choice, Field};
use super::visitor::Visitor;
use crate::auth::Action;
use crate::author::{self, NewProject, NewSet, SetAt};
use crate::error::{ApiError, Result};
use crate::state::AppState;

#[derive(Debug, Default, Serialize)]
pub(super) struct Page {
    pub title: String,
    pub intro: String,
    pub action: String,
    pub back: String,
    pub submit: &'static str,
    pub problem: Option<Callout>,
    pub hidden: Vec<Pair>,
    pub fields: Vec<Field>,
    pub select: Option<Select>,
    pub choices: Vec<Radio>,
    pub choices_label: String,
    pub choices_name: &'static str,
}

/// One choice out of a list.
#[derive(Debug, Serialize)]
pub(super) struct Select {
    pub name: &'static str,
    pub label: &'static str,
    pub error: Option<String>,
    pub choices: Vec<Choice>,
}

#[derive(Debug, Serialize)]
pub(super) struct Radio {
    pub value: &'static str,
    pub label: &'static str,
    pub hint: &'static str,
    pub checked: bool,
}

/// A form that is shown again says beside the field what is wrong with it.
#[derive(Debug, Default)]
pub(super) struct Refused {
    pub status: StatusCode,
    pub field: Option<&'static str>,
    pub why: Option<String>,
}

impl Refused {
    pub(super) fn of(error: ApiError) -> Result<Self, super::fault::Fault> {
        let field = match &error {
            ApiError::Invalid { field, code, .. } => field.or((*code == "bad_name").then_some("slug")),
            ApiError::Conflict { code: "name_taken", .. } => Some("slug"),
            _ => None,
        };
        let (status, why) = beside_form(error)?;
        Ok(Self { status, field, why: Some(why) })
    }

    pub(super) fn at(&self, field: &str) -> Option<String> {
        self.why.clone().filter(|_| self.field == Some(field))
    }

    pub(super) fn callout(&self, title: &str) -> Option<Callout> {
        self.why.clone().filter(|_| self.field.is_none()).map(|why| Callout::bad(title, why))
    }
}

/// Name, address and description of a project or a set, as typed.
pub(super) fn named_fields(form: &Form, refused: &Refused, example: &str) -> Vec<Field> {
    vec![
        Field {
            autofocus: refused.field.is_none_or(|f| f == "name"),
            ..Field::text("name", "Name", form.get("name")).required().error(refused.at("name"))
        },
        Field::text("slug", "Name in addresses", form.get("slug"))
            .hint(format!("Small letters, digits and hyphens, such as {example}. It cannot change later. Empty: made from the name."))
            .error(refused.at("slug").map(|why| hinted(&why, form.get("slug")))),
        Field { rows: Some(2), ..Field::text("description", "Description", form.get("description")) }
            .error(refused.at("description")),
    ]
}

fn hinted(why: &str, typed: &str) -> String {
    match Slug::from_title(typed) {
        Some(slug) if slug.as_str() != typed => {
            format!("Small letters, digits and hyphens only. Use {slug}?")
        }
        _ => why.to_owned(),
    }
}

/// The address that was typed, or the nearest to the name.
pub(super) fn slug_of(form: &Form) -> String {
    match form.get("slug").trim() {
        "" => Slug::from_title(form.get("name")).map(|s| s.to_string()).unwrap_or_default(),
        typed => typed.to_owned(),
    }
}

pub(super) fn page(visitor_frame: Frame, status: StatusCode, page: &Page) -> Response {
    engine::page(status, "new.html", &visitor_frame.titled(&page.title, "sets").narrow(), page)
}

/// `GET /{organisation}/-/new`.
pub(super) async fn get_new_project(visitor: Visitor, Path(o): Path<String>) -> PageResult {
    new_project(&visitor, &o, &Form::default(), &Refused::default()).await
}

async fn new_project(visitor: &Visitor, o: &str, form: &Form, refused: &Refused) -> PageResult {
    let organisation = visitor.organisation(o).await?;
    visitor.actor.require(&organisation.id, Action::ManageProjects)?;
    let view = Page {
        title: "New project".into(),
        intro: "A project holds the prompt sets of one product. It starts with the environments dev, staging and prod.".into(),
        action: format!("/{o}/-/new"),
        back: format!("/{o}"),
        submit: "Create project",
        problem: refused.callout("No project was created."),
        fields: named_fields(form, refused, "customer-support"),
        ..Page::default()
    };
    Ok(page(visitor.in_organisation(organisation), refused.status, &view))
}

/// `POST /{organisation}/-/new`.
pub(super) async fn post_new_project(
    visitor: Visitor,
    State(state): State<AppState>,
    Path(o): Path<String>,
    form: Form,
) -> PageResult {
    let organisation = visitor.organisation(&o).await?;
    let slug = slug_of(&form);
    let new = NewProject { slug: &slug, name: form.get("name"), description: form.get("description") };
    match author::create_project(&state, &visitor.actor, organisation, new).await {
        Ok(made) => Ok(Redirect::to(&format!("/{o}/{}", made.project.slug)).into_response()),
        Err(error) => new_project(&visitor, &o, &form, &Refused::of(error)?).await,
    }
}

/// `GET /{organisation}/{project}/-/new`.
pub(super) async fn get_new_set(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p)): Path<(String, String)>,
) -> PageResult {
    new_set(&visitor, &state, &o, &p, &Form::default(), &Refused::default()).await
}

async fn new_set(
    visitor: &Visitor,
    state: &AppState,
    o: &str,
    p: &str,
    form: &Form,
    refused: &Refused,
) -> PageResult {
    let at = visitor.project(state, o, p).await?;
    at.require(&visitor.actor, Action::Edit)?;
    let view = Page {
        title: "New prompt set".into(),
        intro: "A prompt set is what you lock and publish as one: prompts that change together.".into(),
        action: format!("/{o}/{p}/-/new"),
        back: format!("/{o}/{p}"),
        submit: "Create prompt set",
        problem: refused.callout("No prompt set was created."),
        fields: named_fields(form, refused, "refund-decisions"),
        ..Page::default()
    };
    Ok(page(visitor.in_project(&at), refused.status, &view))
}

/// `POST /{organisation}/{project}/-/new`.
pub(super) async fn post_new_set(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p)): Path<(String, String)>,
    form: Form,
) -> PageResult {
    let at = visitor.project(&state, &o, &p).await?;
    if !form.get("example").is_empty() {
        return match author::add_example(&state, &visitor.actor, &at, form.get("example")).await {
            Ok(made) => Ok(Redirect::to(&base(&made)).into_response()),
            Err(error) => {
                let refused = Refused { field: None, ..Refused::of(error)? };
                new_set(&visitor, &state, &o, &p, &form, &refused).await
            }
        };
    }
    let slug = slug_of(&form);
    let new = NewSet { slug: &slug, name: form.get("name"), description: form.get("description") };
    match author::create_set(&state, &visitor.actor, &at, new).await {
        Ok(made) => Ok(Redirect::to(&base(&made)).into_response()),
        Err(error) => new_set(&visitor, &state, &o, &p, &form, &Refused::of(error)?).await,
    }
}

const KINDS: [(&str, &str, &str); 3] = [
    ("text", "Text", "one template, rendered to one text"),
    ("chat", "Chat", "messages with roles, and a place for the caller's history"),
    ("partial", "Partial", "a text that other prompts of this set include"),
];

/// `GET /{organisation}/{project}/{set}/-/new`.
pub(super) async fn get_new_prompt(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): Path<(String, String, String)>,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    new_prompt(&visitor, &set, &Form::default(), &Refused::default())
}

fn new_prompt(visitor: &Visitor, set: &SetAt, form: &Form, refused: &Refused) -> PageResult {
    set.at.require(&visitor.actor, Action::Edit)?;
    let chosen = match form.get("kind") {
        "" => "text",
        kind => kind,
    };
    let view = Page {
        title: "New prompt".into(),
        intro: "Callers ask for it by its name. A slash makes folders, such as refunds/decide.".into(),
        action: format!("{}/-/new", base(set)),
        back: base(set),
        submit: "Create prompt",
        problem: refused.callout("No prompt was created."),
        fields: vec![
            Field::text("id", "Name", form.get("id"))
                .required()
                .first()
                .hint("Letters, digits, point, hyphen, underscore and slash.")
                .error(refused.at("slug")),
        ],
        choices: KINDS
            .map(|(value, label, hint)| Radio { value, label, hint, checked: value == chosen })
            .into(),
        choices_label: "Kind".into(),
        choices_name: "kind",
        ..Page::default()
    };
    let frame = visitor.in_project(&set.at).crumb(&set.set.name, base(set));
    Ok(page(frame, refused.status, &view))
}

/// `POST /{organisation}/{project}/{set}/-/new`.
pub(super) async fn post_new_prompt(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): Path<(String, String, String)>,
    form: Form,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    match create(&state, &visitor, &set, &form).await {
        Ok(href) => Ok(Redirect::to(&href).into_response()),
        Err(ApiError::Conflict { code: "revision_conflict", .. }) => {
            let what = if form.get("kind") == "partial" { "partial" } else { "prompt" };
            let why = format!("There is a {what} {} already. Choose another name.", form.get("id").trim());
            new_prompt(
                &visitor,
                &set,
                &form,
                &Refused { status: StatusCode::CONFLICT, field: Some("slug"), why: Some(why) },
            )
        }
        Err(error) => new_prompt(&visitor, &set, &form, &Refused::of(error)?),
    }
}

async fn create(state: &AppState, visitor: &Visitor, set: &SetAt, form: &Form) -> Result<String> {
    let id = PromptId::new(form.get("id").trim())?;
    let href = match form.get("kind") {
        "partial" => {
            let partial = Partial { name: id.clone(), source: String::new() };
            author::save_partial(state, &visitor.actor, set, &partial, 0).await?;
            format!("{}/-/partials/{id}", base(set))
        }
        kind => {
            let content = new_content(kind == "chat");
            let prompt = Prompt { content, engine: Engine::Tera, ..Prompt::text(id.clone(), "") };
            author::save_prompt(state, &visitor.actor, set, &prompt, 0).await?;
            format!("{}/{id}", base(set))
        }
    };
    Ok(href)
}

#[derive(Debug, Serialize)]
pub(super) struct Confirm {
    pub title: String,
    pub text: String,
    pub action: String,
    pub back: String,
    pub button: String,
    pub hidden: Vec<Pair>,
    pub facts: Vec<Pair>,
    pub problem: Option<Callout>,
}

#[derive(Debug, Serialize)]
pub(super) struct Pair {
    name: String,
    value: String,
}

pub(super) fn pair(name: &str, value: impl Into<String>) -> Pair {
    Pair { name: name.into(), value: value.into() }
}

/// A page that asks before it does something that cannot be taken back.
pub(super) struct Ask {
    pub title: String,
    pub text: String,
    pub action: String,
    pub back: String,
    pub button: String,
    pub facts: Vec<(&'static str, String)>,
}

pub(super) fn ask(frame: &Frame, ask: Ask) -> Response {
    let page = Confirm {
        title: ask.title,
        text: ask.text,
        action: ask.action,
        back: ask.back,
        button: ask.button,
        hidden: Vec::new(),
        facts: ask.facts.into_iter().map(|(name, value)| pair(name, value)).collect(),
        problem: None,
    };
    engine::page(StatusCode::OK, "confirm.html", frame, &page)
}
