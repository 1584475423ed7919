//! The playground: one prompt in up to four columns, each of a draft, a version or an environment, on the same
//! values; and run with a model, where one is configured.
//!
//! The page renders. What runs is `assets/playground.js`, over the API.

mod typed;
mod view;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;

use self::typed::Typed;
pub(crate) use self::typed::{messages, spoken};
use self::view::Page;
pub(crate) use self::view::{Column, Texts, now_in, size as length};
use super::address::{Path, Query};
use super::editor::{base, sentence, value_sentences};
use super::engine;
use super::fault::{Fault, PageResult, beside_form};
use super::form::Form;
use super::view::Callout;
use super::visitor::Visitor;
use crate::author::{self, SaveVariables, SetAt};
use crate::error::ApiError;
use crate::lock;
use crate::publish;
use crate::state::AppState;

/// Most columns.
const COLUMNS_MAX: usize = 4;

/// `/{organisation}/{project}/{set}`.
type SetPath = Path<(String, String, String)>;

/// What the address says.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    prompt: String,
    /// `draft,1.2.0,@prod`.
    #[serde(default)]
    columns: String,
    /// The variable set to begin with.
    #[serde(default)]
    variables: String,
}

/// `GET /{organisation}/{project}/{set}/-/playground?prompt=…&columns=…&variables=…`.
pub(super) async fn get_playground(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): SetPath,
    Query(asked): Query<Asked>,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    let columns = asked.columns.split(',').map(str::trim).filter(|c| !c.is_empty());
    let mut typed = Typed {
        prompt: asked.prompt,
        columns: columns.take(COLUMNS_MAX).map(str::to_owned).collect(),
        ..Typed::default()
    };
    if typed.columns.is_empty() {
        typed.columns = usual(&state, &visitor, &set).await?;
    }
    let flash = match asked.variables.as_str() {
        "" => None,
        name => load(&state, &visitor, &set, &mut typed, name).await?,
    };
    show(&state, &visitor, &set, typed, (StatusCode::OK, flash)).await
}

/// The draft, and beside it the newest version.
async fn usual(state: &AppState, visitor: &Visitor, set: &SetAt) -> Result<Vec<String>, ApiError> {
    let versions = lock::versions(state, &visitor.actor, set).await?;
    let newest = versions.into_iter().find(|v| v.kind == "locked").map(|v| v.version);
    Ok(std::iter::once(publish::DRAFT.to_owned()).chain(newest).collect())
}

/// `POST /{organisation}/{project}/{set}/-/playground`: renders, or does something with a variable set.
pub(super) async fn post_playground(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): SetPath,
    form: Form,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    let mut typed = Typed::of_form(&form);
    if typed.columns.is_empty() {
        typed.columns = usual(&state, &visitor, &set).await?;
    }
    let (what, argument) = form.get("do").split_once(':').unwrap_or((form.get("do"), ""));
    let mut said = (StatusCode::OK, None);
    match what {
        "add" if typed.columns.len() < COLUMNS_MAX => typed.columns.push(publish::DRAFT.to_owned()),
        "remove" => {
            if let Some(at) = argument.parse().ok().filter(|at| *at < typed.columns.len()) {
                drop(typed.columns.remove(at));
            }
        }
        "load" => {
            let name = form.get("load").to_owned();
            said.1 = load(&state, &visitor, &set, &mut typed, &name).await?;
        }
        "save" | "rename" | "save-new" => said = save(&state, &visitor, &set, &mut typed, what).await?,
        "delete" => said = delete(&state, &visitor, &set, &mut typed).await?,
        _ => {}
    }
    show(&state, &visitor, &set, typed, said).await
}

/// What is said of it above the page, and the page's status.
type Said = (StatusCode, Option<Callout>);

async fn load(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    typed: &mut Typed,
    name: &str,
) -> Result<Option<Callout>, Fault> {
    if name.is_empty() {
        *typed = Typed { prompt: typed.prompt.clone(), columns: typed.columns.clone(), ..Typed::default() };
        return Ok(None);
    }
    match author::variable_set(state, &visitor.actor, set, &typed.prompt, name).await {
        Ok(found) => {
            typed.take(found);
            Ok(None)
        }
        Err(ApiError::NotFound("variable set")) => Ok(Some(Callout::bad(
            "Not loaded.",
            format!(
                "There is no variable set {name} any more. Choose another one, or save these values as one."
            ),
        ))),
        Err(error) => Err(error.into()),
    }
}

async fn save(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    typed: &mut Typed,
    what: &str,
) -> Result<Said, Fault> {
    let prompts = view::prompts(state, &visitor.actor, set, typed).await?;
    let (given, refusals) = typed.given(&prompts.iter().collect::<Vec<_>>());
    if !refusals.is_empty() {
        let flash = Callout::bad("Not saved.", format!("{} Nothing was changed.", refusals.join(" ")));
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, Some(flash)));
    }
    let new = what == "save-new" || typed.name.is_empty();
    let (prompt, name) = (typed.prompt.clone(), if new { typed.name_as.clone() } else { typed.name.clone() });
    let rename = (what == "rename").then(|| typed.name_as.clone());
    let expected = if new { 0 } else { typed.revision };
    let save = SaveVariables { prompt: &prompt, name: &name, rename: rename.as_deref(), given, expected };
    match author::save_variable_set(state, &visitor.actor, set, save).await {
        Ok(saved) => {
            let flash = Callout::ok("Saved.", format!("These values are the variable set {}.", saved.name));
            typed.take(saved);
            Ok((StatusCode::OK, Some(flash)))
        }
        Err(error) => beside(error, "Not saved."),
    }
}

async fn delete(state: &AppState, visitor: &Visitor, set: &SetAt, typed: &mut Typed) -> Result<Said, Fault> {
    let (prompt, name) = (typed.prompt.clone(), typed.name.clone());
    let done = author::delete_variable_set(state, &visitor.actor, set, &prompt, &name, typed.revision).await;
    match done {
        Ok(()) => {
            (typed.name, typed.revision) = (String::new(), 0);
            let text = format!("The variable set {name} is gone. Its values are still in the fields.");
            Ok((StatusCode::OK, Some(Callout::ok("Deleted.", text))))
        }
        Err(error) => beside(error, "Not deleted."),
    }
}

fn beside(error: ApiError, title: &'static str) -> Result<Said, Fault> {
    let (status, words) = beside_form(error)?;
    Ok((status, Some(Callout::bad(title, words))))
}

async fn show(state: &AppState, visitor: &Visitor, set: &SetAt, typed: Typed, said: Said) -> PageResult {
    let page = Page::of(state, visitor, set, typed).await?;
    let frame = visitor.in_project(&set.at).crumb(&set.set.name, base(set));
    let frame = match page.prompt.as_str() {
        "" => frame,
        prompt => frame.crumb(prompt, format!("{}/{prompt}", base(set))),
    };
    let mut frame = frame.titled("Playground", "sets");
    frame.flash = said.1;
    Ok(engine::page(said.0, "playground.html", &frame, &page))
}

/// Why a text is not rendered, in sentences; what is ours to mend is no such reason.
fn refusals(error: ApiError) -> Result<Vec<String>, Fault> {
    Ok(match error {
        ApiError::Template(errors) => errors.iter().map(template_sentence).collect(),
        ApiError::Parameters { problems, detail } => value_sentences(&problems, &detail),
        ApiError::Invalid { detail, .. } | ApiError::TooLarge(detail) | ApiError::Unavailable(detail) => {
            vec![sentence(&detail)]
        }
        other => return Err(other.into()),
    })
}

fn template_sentence(error: &schemas::template::TemplateError) -> String {
    let of = error.partial.as_ref().map(|p| format!("Partial {p}, line")).unwrap_or_else(|| {
        error.message_index.map_or_else(|| "Line".to_owned(), |i| format!("Message {}, line", i + 1))
    });
    format!("{of} {}, column {}: {}", error.line, error.column, sentence(&error.message))
}
