//! The sets that a draft takes partials from, and what that comes to now.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect};
use serde::Serialize;

use super::address::Path;
use super::editor::{base, sentence};
use super::engine;
use super::fault::{PageResult, beside_form};
use super::form::Form;
use super::view::{Callout, Choice, short};
use super::visitor::Visitor;
use crate::auth::Action;
use crate::author::dependency::{self, Requirement};
use crate::author::{self, SetAt};
use crate::error::ApiError;
use crate::state::AppState;

type SetPath = Path<(String, String, String)>;

#[derive(Debug, Serialize)]
struct Page {
    base: String,
    set: String,
    href: String,
    editable: bool,
    rows: Vec<Row>,
    /// Other sets of the project.
    sets: Vec<Choice>,
    requirement: String,
    error: Option<String>,
    problem: Option<Callout>,
}

/// One set that partials are taken from.
#[derive(Debug, Serialize)]
struct Row {
    set: String,
    href: String,
    requirement: String,
    version: Option<String>,
    version_href: String,
    digest: String,
    digest_short: String,
    /// What is written to take each in.
    partials: Vec<String>,
    by: String,
}

/// `GET /{organisation}/{project}/{set}/-/dependencies`.
pub(super) async fn get_dependencies(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): SetPath,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    show(&state, &visitor, &set, &Form::default(), None).await
}

/// `POST /{organisation}/{project}/{set}/-/dependencies`: takes partials of a set, or nothing more.
pub(super) async fn post_dependencies(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): SetPath,
    form: Form,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    set.at.require(&visitor.actor, Action::Edit)?;
    let (actor, other) = (&visitor.actor, form.get("set"));
    let done = match form.get("do") {
        "remove" => dependency::delete_requirement(&state, actor, &set, other).await,
        _ => {
            let range = form.get("requirement");
            dependency::put_requirement(&state, actor, &set, other, range).await.map(drop)
        }
    };
    match done {
        Ok(()) => Ok(Redirect::to(&format!("{}/-/dependencies", base(&set))).into_response()),
        Err(error) => show(&state, &visitor, &set, &form, Some(error)).await,
    }
}

impl Row {
    fn of(project: &str, one: Requirement) -> Self {
        let version = one.resolved.as_ref().map(|found| found.dependency.version.to_string());
        let digest =
            one.resolved.as_ref().map(|found| found.dependency.digest.to_string()).unwrap_or_default();
        let names = one.resolved.iter().flat_map(|found| found.partials.iter());
        let href = format!("{project}/{}", one.set);
        Self {
            partials: names.map(|partial| format!("{{% include \"{}\" %}}", partial.name)).collect(),
            version_href: format!(
                "{href}/-/versions/{}",
                super::view::encoded(version.as_deref().unwrap_or_default())
            ),
            digest_short: short(&digest),
            digest,
            version,
            href,
            set: one.set,
            requirement: one.requirement,
            by: one.updated_by,
        }
    }
}

async fn show(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    form: &Form,
    refused: Option<ApiError>,
) -> PageResult {
    let actor = &visitor.actor;
    let found = dependency::requirements(state, actor, set).await?;
    let others = author::sets(state, actor, &set.at).await?;
    let (mut status, mut error, mut problem) = (StatusCode::OK, None, None);
    if let Some(refusal) = refused {
        let at_field = matches!(
            refusal.code(),
            "bad_range" | "dependency_unresolved" | "dependency_cycle" | "no_such_set" | "too_many"
        );
        if at_field {
            status = refusal.status();
            error = Some(sentence(&refusal.to_string()));
        } else {
            let (code, why) = beside_form(refusal)?;
            status = code;
            problem = Some(Callout::bad("Not changed.", format!("{why} Nothing was changed.")));
        }
    }
    let chosen = form.get("set");
    let project = format!("/{}/{}", set.at.organisation.slug, set.at.project.slug);
    let page = Page {
        href: format!("{}/-/dependencies", base(set)),
        base: base(set),
        set: set.set.name.clone(),
        editable: set.at.lets(actor, Action::Edit) && set.set.state == "editing" && !set.is_archived(),
        rows: found.into_iter().map(|one| Row::of(&project, one)).collect(),
        sets: others
            .into_iter()
            .filter(|other| other.id != set.set.id)
            .map(|other| Choice { chosen: other.slug == chosen, value: other.slug.clone(), text: other.slug })
            .collect(),
        requirement: form.get("requirement").to_owned(),
        error,
        problem,
    };
    let frame = visitor.in_project(&set.at).crumb(&set.set.name, base(set)).titled("Dependencies", "sets");
    Ok(engine::page(status, "dependencies.html", &frame, &page))
}
