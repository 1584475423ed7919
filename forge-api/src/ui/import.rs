//! Importing a file: choosing it, seeing what would come of it, and saying so.

use axum::extract::multipart::MultipartRejection;
use axum::extract::{Multipart, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect};
use exchange::Format;
use serde::{Deserialize, Serialize};

use super::changes::{Changes, Side};
use super::diff::Diff;
use super::editor::base;
use super::engine;
use super::fault::{PageResult, beside_form};
use super::form::Form;
use super::view::{Callout, count};
use super::visitor::Visitor;
use crate::auth::Action;
use crate::author::SetAt;
use crate::author::plan::{self, Change, Choices, Plan, format_named};
use crate::error::{ApiError, Result};
use crate::state::AppState;

/// Most notes, and most names of a kind, that a page shows.
const SHOWN_MAX: usize = 100;

#[derive(Debug, Serialize)]
struct UploadPage {
    set: String,
    base: String,
    formats: Vec<Choice>,
    error: Option<String>,
    format_error: Option<String>,
    problem: Option<Callout>,
}

#[derive(Debug, Serialize)]
struct Choice {
    value: &'static str,
    text: &'static str,
    chosen: bool,
}

/// `GET /{organisation}/{project}/{set}/-/import`.
pub(super) async fn get_import(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): Path<(String, String, String)>,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    upload_page(&visitor, &set, "", StatusCode::OK, None)
}

fn upload_page(
    visitor: &Visitor,
    set: &SetAt,
    format: &str,
    status: StatusCode,
    refused: Option<(bool, String)>,
) -> PageResult {
    set.at.require(&visitor.actor, Action::Edit)?;
    let (of_format, why) = refused.map_or((false, None), |(of_format, why)| (of_format, Some(why)));
    let found_out = Choice { value: "", text: "Found out from the file", chosen: format.is_empty() };
    let formats = Format::ALL.into_iter().map(|f| Choice {
        value: f.as_str(),
        text: f.label(),
        chosen: f.as_str() == format,
    });
    let page = UploadPage {
        set: set.set.slug.clone(),
        base: base(set),
        formats: std::iter::once(found_out).chain(formats).collect(),
        error: why.clone().filter(|_| !of_format),
        format_error: why.filter(|_| of_format),
        problem: (set.set.state != "editing").then(|| closed(set)),
    };
    let frame = visitor.in_project(&set.at).crumb(&set.set.slug, base(set)).titled("Import", "sets").narrow();
    Ok(engine::page(status, "import.html", &frame, &page))
}

fn closed(set: &SetAt) -> Callout {
    let state = set.set.state.to_uppercase();
    let why = format!(
        "Prompts come in while it is in EDITING, and it is in {state}. You can look at a file all the same."
    );
    Callout { state: "warn", ..Callout::bad("Nothing can be imported now.", why) }
}

struct Posted {
    format: String,
    name: String,
    file: Vec<u8>,
}

async fn posted(form: std::result::Result<Multipart, MultipartRejection>) -> Result<Posted> {
    let unreadable =
        |_| ApiError::invalid("invalid", "file", "the form did not arrive whole; choose the file again");
    let mut form = form.map_err(|_| ApiError::invalid("invalid", "file", "choose a file to import"))?;
    let mut posted = Posted { format: String::new(), name: String::new(), file: Vec::new() };
    while let Some(field) = form.next_field().await.map_err(unreadable)? {
        match field.name() {
            Some("format") => posted.format = field.text().await.map_err(unreadable)?,
            Some("file") => {
                posted.name = field.file_name().unwrap_or_default().to_owned();
                posted.file = field.bytes().await.map_err(unreadable)?.to_vec();
            }
            _ => {}
        }
    }
    if posted.file.is_empty() {
        return Err(ApiError::invalid(
            "empty",
            "file",
            "choose a file to import; an empty one holds no prompts",
        ));
    }
    Ok(posted)
}

/// `POST /{organisation}/{project}/{set}/-/import`.
pub(super) async fn post_import(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): Path<(String, String, String)>,
    form: std::result::Result<Multipart, MultipartRejection>,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    set.at.require(&visitor.actor, Action::Edit)?;
    let (format, result) = match posted(form).await {
        Ok(posted) => {
            let done = taken(&state, &visitor, &set, &posted).await;
            (posted.format, done)
        }
        Err(error) => (String::new(), Err(error)),
    };
    match result {
        Ok(id) => Ok(Redirect::to(&format!("{}/-/import/{id}", base(&set))).into_response()),
        Err(error) => {
            let of_format = matches!(&error, ApiError::Invalid { field: Some("format"), .. });
            let (status, why) = beside_form(error)?;
            upload_page(&visitor, &set, &format, status, Some((of_format, why)))
        }
    }
}

async fn taken(state: &AppState, visitor: &Visitor, set: &SetAt, posted: &Posted) -> Result<String> {
    let format = format_named(&posted.format)?;
    plan::upload(state, &visitor.actor, set, format, &posted.name, posted.file.clone()).await
}

#[derive(Debug, Serialize)]
struct PlanPage {
    set: String,
    base: String,
    href: String,
    file: String,
    format: &'static str,
    summary: String,
    digest: String,
    short: String,
    existing: Vec<Choice>,
    others: Vec<Choice>,
    chosen_existing: &'static str,
    chosen_others: &'static str,
    problem: Option<Callout>,
    differs: Option<Callout>,
    kinds: Vec<Kind>,
    notes: Vec<NoteRow>,
    more_notes: Option<String>,
    diffs: Vec<Diff>,
    more: Option<String>,
    may_apply: bool,
    button: String,
}

/// The names of what has one change.
#[derive(Debug, Serialize)]
struct Kind {
    word: &'static str,
    state: &'static str,
    count: usize,
    names: Vec<String>,
    more: usize,
}

#[derive(Debug, Serialize)]
struct NoteRow {
    place: String,
    what: String,
    why: String,
}

/// What is chosen.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Chosen {
    #[serde(default)]
    existing: String,
    #[serde(default)]
    others: String,
}

/// `GET /{organisation}/{project}/{set}/-/import/{import}?existing=…&others=…`.
pub(super) async fn get_plan(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s, import)): Path<(String, String, String, String)>,
    Query(chosen): Query<Chosen>,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    let choices = Choices::parse(&chosen.existing, &chosen.others)?;
    plan_page(&state, &visitor, &set, &import, choices, StatusCode::OK, None).await
}

async fn plan_page(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    import: &str,
    choices: Choices,
    status: StatusCode,
    problem: Option<Callout>,
) -> PageResult {
    let plan = plan::plan(state, &visitor.actor, set, import, choices).await?;
    let view = view(set, plan, problem);
    let frame = visitor
        .in_project(&set.at)
        .crumb(&set.set.slug, base(set))
        .crumb("Import", format!("{}/-/import", base(set)))
        .titled("Plan", "sets");
    Ok(engine::page(status, "import-plan.html", &frame, &view))
}

fn view(set: &SetAt, plan: Plan, problem: Option<Callout>) -> PlanPage {
    let (existing, others) = plan.choices.words();
    let choice = |value, text, now: &str| Choice { value, text, chosen: value == now };
    let writes = plan.count(Change::New) + plan.count(Change::Changed) + plan.count(Change::Removed);
    let is_open = set.set.state == "editing";
    let mut notes: Vec<NoteRow> = plan
        .notes
        .iter()
        .map(|n| NoteRow { place: n.place.clone(), what: n.what.clone(), why: n.why.clone() })
        .collect();
    let hidden = notes.len().saturating_sub(SHOWN_MAX);
    notes.truncate(SHOWN_MAX);
    let before = Side { prompts: &plan.before.prompts, partials: &plan.before.partials, dependencies: &[] };
    let after = Side { prompts: &plan.after.prompts, partials: &plan.after.partials, dependencies: &[] };
    let (diffs, more) = Changes::between(before, after).shown();
    PlanPage {
        href: format!("{}/-/import/{}", base(set), plan.import),
        set: set.set.slug.clone(),
        base: base(set),
        file: plan.file.clone(),
        format: plan.format.label(),
        summary: summary(&plan),
        digest: plan.digest.to_string(),
        short: plan.digest.short(),
        existing: vec![
            choice("replace", "take the text of the file", existing),
            choice("keep", "keep the text of the set", existing),
            choice("careful", "take it where only the file changed", existing),
        ],
        others: vec![
            choice("keep", "stay in the set", others),
            choice("remove", "are removed from the draft", others),
        ],
        chosen_existing: existing,
        chosen_others: others,
        differs: differs(&plan),
        problem: problem.or_else(|| (!is_open).then(|| closed(set))),
        kinds: kinds(&plan),
        notes,
        more_notes: (hidden > 0).then(|| format!("{} more.", count(hidden as u64, "note", "notes"))),
        diffs,
        more,
        may_apply: is_open && writes > 0 && plan.count(Change::Conflict) == 0,
        button: format!("Import {} into {}", count(writes as u64, "change", "changes"), set.set.slug),
    }
}

fn summary(plan: &Plan) -> String {
    let told: Vec<String> = Change::ALL
        .into_iter()
        .filter(|c| plan.count(*c) > 0)
        .map(|c| format!("{} {}", plan.count(c), c.as_str()))
        .collect();
    format!("{}. Nothing is written yet.", told.join(", "))
}

fn differs(plan: &Plan) -> Option<Callout> {
    let conflicts = plan.count(Change::Conflict) as u64;
    if conflicts > 0 {
        let title = format!("{} changed on both sides.", count(conflicts, "text", "texts"));
        let why = "Somebody changed here what the file changes too. Choose below which text stands.";
        return Some(Callout::bad(title, why));
    }
    let changed = plan.count(Change::Changed) as u64;
    (changed > 0).then(|| {
        let title =
            format!("{} in the set with another text.", count(changed, "prompt stands", "prompts stand"));
        Callout {
            state: "warn",
            ..Callout::bad(title, "The import replaces it. Below is what differs; choose which text stands.")
        }
    })
}

fn kinds(plan: &Plan) -> Vec<Kind> {
    Change::ALL
        .into_iter()
        .filter(|change| plan.count(*change) > 0)
        .map(|change| {
            let names: Vec<String> = plan
                .items
                .iter()
                .filter(|i| i.change == change)
                .take(SHOWN_MAX)
                .map(|i| i.name.strip_prefix("prompts/").map_or_else(|| i.name.clone(), str::to_owned))
                .collect();
            Kind {
                word: change.as_str(),
                state: match change {
                    Change::Conflict | Change::Removed => "bad",
                    Change::New => "ok",
                    Change::Changed => "warn",
                    Change::Kept | Change::Unchanged => "waiting",
                },
                count: plan.count(change),
                more: plan.count(change) - names.len(),
                names,
            }
        })
        .collect()
}

/// `POST /{organisation}/{project}/{set}/-/import/{import}`.
pub(super) async fn post_plan(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s, import)): Path<(String, String, String, String)>,
    form: Form,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    let choices = Choices::parse(form.get("existing"), form.get("others"))?;
    match plan::apply(&state, &visitor.actor, &set, &import, form.get("digest"), choices).await {
        Ok(_) => Ok(Redirect::to(&base(&set)).into_response()),
        Err(error) => {
            let (status, why) = beside_form(error)?;
            let problem = Callout::bad("Nothing was imported.", why);
            plan_page(&state, &visitor, &set, &import, choices, status, Some(problem)).await
        }
    }
}
