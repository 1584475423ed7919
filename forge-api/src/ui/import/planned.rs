//! What an import would do, and saying that it shall.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect};
use serde::{Deserialize, Serialize};

use super::super::address::{Path, Query};
use super::super::changes::{Changes, Side};
use super::super::diff::Diff;
use super::super::engine;
use super::super::fault::{PageResult, beside_form};
use super::super::form::Form;
use super::super::view::{Callout, count};
use super::super::visitor::Visitor;
use super::{Choice, Place};
use crate::author::plan::{self, Change, Choices, Plan, PlanItem, SetPlan};
use crate::state::AppState;

/// Most notes, reasons, and names of a kind, that a page shows.
const SHOWN_MAX: usize = 100;
/// Most sets whose changes a page shows.
const SETS_MAX: usize = 20;

#[derive(Debug, Serialize)]
struct PlanPage {
    name: String,
    base: String,
    href: String,
    file: String,
    format: &'static str,
    summary: String,
    brings: Option<String>,
    digest: String,
    short: String,
    existing: Vec<Choice>,
    others: Vec<Choice>,
    chosen_existing: &'static str,
    chosen_others: &'static str,
    problem: Option<Callout>,
    differs: Option<Callout>,
    kinds: Vec<Kind>,
    reasons: Vec<NoteRow>,
    notes: Vec<NoteRow>,
    more_notes: Option<String>,
    changes: Vec<SetChanges>,
    of_project: bool,
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

/// What changes in the draft of a set.
#[derive(Debug, Serialize)]
struct SetChanges {
    set: String,
    diffs: Vec<Diff>,
    more: Option<String>,
}

/// What is chosen.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Chosen {
    #[serde(default)]
    existing: String,
    #[serde(default)]
    others: String,
}

/// `GET /{organisation}/{project}/{set}/-/import/{import}?existing=…&others=…`.
pub(crate) async fn get_plan(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s, import)): Path<(String, String, String, String)>,
    Query(chosen): Query<Chosen>,
) -> PageResult {
    let place = Place::Set(Box::new(visitor.set(&state, &o, &p, &s).await?));
    let choices = Choices::parse(&chosen.existing, &chosen.others)?;
    plan_page(&state, &visitor, &place, &import, choices, StatusCode::OK, None).await
}

/// `GET /{organisation}/{project}/-/import/{import}?existing=…&others=…`.
pub(crate) async fn get_project_plan(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, import)): Path<(String, String, String)>,
    Query(chosen): Query<Chosen>,
) -> PageResult {
    let place = Place::Project(Box::new(visitor.project(&state, &o, &p).await?));
    let choices = Choices::parse(&chosen.existing, &chosen.others)?;
    plan_page(&state, &visitor, &place, &import, choices, StatusCode::OK, None).await
}

async fn plan_page(
    state: &AppState,
    visitor: &Visitor,
    place: &Place,
    import: &str,
    choices: Choices,
    status: StatusCode,
    problem: Option<Callout>,
) -> PageResult {
    let plan = plan::plan(state, &visitor.actor, place.target(), import, choices).await?;
    let view = view(place, &plan, problem);
    let frame =
        place.frame(visitor).crumb("Import", format!("{}/-/import", place.base())).titled("Plan", "sets");
    Ok(engine::page(status, "import-plan.html", &frame, &view))
}

fn view(place: &Place, plan: &Plan, problem: Option<Callout>) -> PlanPage {
    let (existing, others) = plan.choices.words();
    let choice = |value, text, now: &str| Choice { value, text, chosen: value == now };
    let writes = plan.count(Change::New) + plan.count(Change::Changed) + plan.count(Change::Removed);
    let closed = place.closed();
    let items = plan.items();
    let note =
        |n: &exchange::Note| NoteRow { place: n.place.clone(), what: n.what.clone(), why: n.why.clone() };
    let hidden = plan.notes.len().saturating_sub(SHOWN_MAX);
    PlanPage {
        href: format!("{}/-/import/{}", place.base(), plan.import),
        name: place.name().to_owned(),
        base: place.base(),
        file: plan.file.clone(),
        format: plan.format.label(),
        summary: summary(plan),
        brings: brings(plan),
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
        differs: differs(plan),
        may_apply: closed.is_none() && plan.writes() && plan.count(Change::Conflict) == 0,
        problem: problem.or(closed),
        kinds: kinds(plan, &items),
        reasons: reasons(&items),
        notes: plan.notes.iter().take(SHOWN_MAX).map(note).collect(),
        more_notes: (hidden > 0).then(|| format!("{} more.", count(hidden as u64, "note", "notes"))),
        changes: plan.sets.iter().filter_map(changes).take(SETS_MAX).collect(),
        of_project: plan.of_project,
        button: format!("Import {} into {}", count(writes as u64, "change", "changes"), place.name()),
    }
}

/// What changes in the draft of a set, if anything does.
fn changes(plan: &SetPlan) -> Option<SetChanges> {
    let before = Side { prompts: &plan.before.prompts, partials: &plan.before.partials, dependencies: &[] };
    let after = Side { prompts: &plan.after.prompts, partials: &plan.after.partials, dependencies: &[] };
    let (diffs, more) = Changes::between(before, after).shown();
    (!diffs.is_empty()).then(|| SetChanges { set: plan.set.clone(), diffs, more })
}

fn summary(plan: &Plan) -> String {
    let told: Vec<String> = Change::ALL
        .into_iter()
        .filter(|c| plan.count(*c) > 0)
        .map(|c| format!("{} {}", plan.count(c), c.as_str()))
        .collect();
    format!("{}. Nothing is written yet.", told.join(", "))
}

/// What comes besides the draft: versions, their names, and the rest of an archive.
fn brings(plan: &Plan) -> Option<String> {
    const KINDS: [(&str, &str, &str); 5] = [
        ("versions/", "locked version", "locked versions"),
        ("aliases/", "alias", "aliases"),
        ("variables/", "variable set", "variable sets"),
        ("dependencies/", "dependency", "dependencies"),
        ("history/", "history", "histories"),
    ];
    let taken: Vec<&PlanItem> =
        plan.sets.iter().flat_map(|set| &set.items).filter(|item| item.change.takes()).collect();
    let told: Vec<String> = KINDS
        .into_iter()
        .map(|(kind, one, many)| {
            (taken.iter().filter(|i| i.name.starts_with(kind)).count() as u64, one, many)
        })
        .filter(|(found, ..)| *found > 0)
        .map(|(found, one, many)| count(found, one, many))
        .collect();
    (!told.is_empty()).then(|| format!("Besides the draft it brings {}.", told.join(", ")))
}

fn differs(plan: &Plan) -> Option<Callout> {
    let conflicts = plan.count(Change::Conflict) as u64;
    if conflicts > 0 {
        let told = plan.sets.iter().flat_map(|set| &set.items);
        let of_texts = told.filter(|i| i.change == Change::Conflict).all(|i| i.why.is_empty());
        if !of_texts {
            let title =
                format!("{} not go together with what is here.", count(conflicts, "thing does", "things do"));
            return Some(Callout::bad(title, "Nothing can be imported until that is settled. Below is why."));
        }
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

fn kinds(plan: &Plan, items: &[(String, &PlanItem)]) -> Vec<Kind> {
    Change::ALL
        .into_iter()
        .filter(|change| plan.count(*change) > 0)
        .map(|change| {
            let names: Vec<String> = items
                .iter()
                .filter(|(_, item)| item.change == change)
                .take(SHOWN_MAX)
                .map(|(name, _)| name.strip_prefix("prompts/").unwrap_or(name).to_owned())
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

/// What needs a word besides its change.
fn reasons(items: &[(String, &PlanItem)]) -> Vec<NoteRow> {
    let with = items.iter().filter(|(_, item)| !item.why.is_empty()).take(SHOWN_MAX);
    with.map(|(name, item)| NoteRow {
        place: name.clone(),
        what: item.change.as_str().to_owned(),
        why: item.why.clone(),
    })
    .collect()
}

/// `POST /{organisation}/{project}/{set}/-/import/{import}`.
pub(crate) async fn post_plan(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s, import)): Path<(String, String, String, String)>,
    form: Form,
) -> PageResult {
    let place = Place::Set(Box::new(visitor.set(&state, &o, &p, &s).await?));
    said(&state, &visitor, &place, &import, &form).await
}

/// `POST /{organisation}/{project}/-/import/{import}`.
pub(crate) async fn post_project_plan(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, import)): Path<(String, String, String)>,
    form: Form,
) -> PageResult {
    let place = Place::Project(Box::new(visitor.project(&state, &o, &p).await?));
    said(&state, &visitor, &place, &import, &form).await
}

async fn said(state: &AppState, visitor: &Visitor, place: &Place, import: &str, form: &Form) -> PageResult {
    let choices = Choices::parse(form.get("existing"), form.get("others"))?;
    match plan::apply(state, &visitor.actor, place.target(), import, form.get("digest"), choices).await {
        Ok(done) => {
            let changes = done.written + done.removed;
            Ok(Redirect::to(&format!("{}?imported={changes}", place.base())).into_response())
        }
        Err(error) => {
            let (status, why) = beside_form(error)?;
            let problem = Callout::bad("Nothing was imported.", why);
            plan_page(state, visitor, place, import, choices, status, Some(problem)).await
        }
    }
}
