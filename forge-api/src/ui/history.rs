//! What a prompt or a partial was after each save, and the way back to it.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect};
use schemas::prompt::{Partial, Prompt};
use schemas::{Micros, PromptId};
use serde::{Deserialize, Serialize};

use super::address::{Path, Query};
use super::diff::Diff;
use super::editor::base;
use super::engine;
use super::fault::{PageResult, beside_form};
use super::form::Form;
use super::view::{Action as Way, Callout, Moment, encoded};
use super::visitor::Visitor;
use crate::auth::Action;
use crate::author::history::{self, Kept, Part, Revision};
use crate::author::{self, Item, SetAt};
use crate::clock;
use crate::compare::{Changes, Side};
use crate::error::ApiError;
use crate::state::AppState;

/// Revisions of one page.
const SHOWN: i64 = 50;
/// Saves without a message are one line for so long.
const TOGETHER: Micros = 3_600_000_000;

type PartPath = Path<(String, String, String, String)>;

#[derive(Debug, Default, Serialize)]
struct Page {
    name: String,
    /// Of this page.
    href: String,
    /// Of the editor.
    back: String,
    lines: Vec<Line>,
    older: Option<String>,
    chosen: Option<Chosen>,
    problem: Option<Callout>,
    /// What had this name has another one now.
    moved: Option<Callout>,
}

/// One revision, or some that one author saved after one another without a message.
#[derive(Debug, Serialize)]
struct Line {
    /// Whether the revision that is looked at is in it.
    open: bool,
    /// The newest first.
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    number: i64,
    href: String,
    by: String,
    message: String,
    at: Moment,
    deleted: bool,
    current: bool,
    /// The name that it had then, where that is not the one of this page.
    was: Option<String>,
    /// `renamed from … by …`.
    renamed: Option<String>,
}

/// The revision that is looked at.
#[derive(Debug, Serialize)]
struct Chosen {
    id: String,
    number: i64,
    title: String,
    diffs: Vec<Diff>,
    /// The set as it was then, beside the draft.
    compare: String,
    may_restore: bool,
}

/// What is looked at.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    revision: String,
    #[serde(default)]
    before: String,
}

/// `GET /{organisation}/{project}/{set}/-/history/{prompt}?revision=…`.
pub(super) async fn get_history(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s, name)): PartPath,
    Query(asked): Query<Asked>,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    show(&state, &visitor, &set, Part::Prompt(&name), &asked, None).await
}

/// `GET /{organisation}/{project}/{set}/-/partial-history/{partial}?revision=…`.
pub(super) async fn get_partial_history(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s, name)): PartPath,
    Query(asked): Query<Asked>,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    show(&state, &visitor, &set, Part::Partial(&name), &asked, None).await
}

/// `POST /{organisation}/{project}/{set}/-/history/{prompt}`: restores a revision.
pub(super) async fn post_history(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s, name)): PartPath,
    form: Form,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    restore(&state, &visitor, &set, Part::Prompt(&name), &form).await
}

/// `POST /{organisation}/{project}/{set}/-/partial-history/{partial}`: restores a revision.
pub(super) async fn post_partial_history(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s, name)): PartPath,
    form: Form,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    restore(&state, &visitor, &set, Part::Partial(&name), &form).await
}

async fn restore(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    part: Part<'_>,
    form: &Form,
) -> PageResult {
    set.at.require(&visitor.actor, Action::Edit)?;
    match history::restore(state, &visitor.actor, set, part, form.get("revision"), None).await {
        Ok(_) => Ok(Redirect::to(&editor(set, part)).into_response()),
        Err(error) => {
            let (status, why) = beside_form(error)?;
            let asked = Asked { revision: form.get("revision").to_owned(), before: String::new() };
            let problem = Callout::bad("Not restored.", format!("{why} Nothing was changed."));
            show(state, visitor, set, part, &asked, Some((status, problem))).await
        }
    }
}

fn name(part: Part<'_>) -> &str {
    part.name()
}

/// The address of the editor.
fn editor(set: &SetAt, part: Part<'_>) -> String {
    match part {
        Part::Prompt(name) => format!("{}/{name}", base(set)),
        Part::Partial(name) => format!("{}/-/partials/{name}", base(set)),
    }
}

/// The address of the history of a prompt or a partial.
pub(super) fn href(base: &str, part: Part<'_>) -> String {
    match part {
        Part::Prompt(name) => format!("{base}/-/history/{name}"),
        Part::Partial(name) => format!("{base}/-/partial-history/{name}"),
    }
}

async fn show(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    part: Part<'_>,
    asked: &Asked,
    problem: Option<(StatusCode, Callout)>,
) -> PageResult {
    let actor = &visitor.actor;
    let before = Some(asked.before.as_str()).filter(|b| !b.is_empty());
    let found = history::history(state, actor, set, part, before, SHOWN).await?;
    let chosen = match asked.revision.as_str() {
        "" => found.first().cloned(),
        key => Some(history::find_revision(state, actor, set, part, key).await?),
    };
    let href = href(&base(set), part);
    let newest = found.first().filter(|_| before.is_none()).map(|one| one.id.clone());
    let rows = found
        .iter()
        .map(|one| Row {
            number: one.number,
            href: format!(
                "{href}?revision={}{}",
                one.id,
                before.map_or(String::new(), |b| format!("&before={}", encoded(b)))
            ),
            by: by(one),
            message: one.message.clone(),
            at: Moment::relative(one.created_at),
            deleted: one.kept == Kept::Gone,
            current: chosen.as_ref().is_some_and(|c| c.id == one.id),
            was: Some(&one.name).filter(|then| *then != name(part)).cloned(),
            renamed: one.renamed_from.as_ref().map(|from| format!("renamed from {from} by {}", one.author)),
        })
        .collect();
    let mut page = Page {
        name: name(part).to_owned(),
        back: editor(set, part),
        older: found
            .last()
            .filter(|_| found.len() == usize::try_from(SHOWN).unwrap_or_default())
            .map(|one| format!("{href}?before={}", one.id)),
        lines: lines(&found, rows, newest.is_some()),
        href,
        ..Page::default()
    };
    if found.first().is_some_and(|one| before.is_none() && one.kept == Kept::Gone) {
        page.moved = moved(state, visitor, set, part).await?;
    }
    if let Some(one) = chosen {
        let old = history::before(state, actor, set, part, &one).await?;
        let changes = between(part, old.as_ref(), &one);
        page.chosen = Some(Chosen {
            title: match (&old, &one.renamed_from) {
                (Some(_), Some(from)) => {
                    format!("Revision {}, renamed from {from} by {}", one.number, one.author)
                }
                (Some(old), None) => {
                    format!("Revision {}, and what it changed of {}", one.number, old.number)
                }
                (None, _) => format!("Revision {}, the first", one.number),
            },
            compare: format!(
                "{}/-/compare?from={}&to=draft",
                base(set),
                encoded(&format!("{}{}", crate::compare::AT, clock::rfc3339(one.created_at)))
            ),
            may_restore: set.at.lets(actor, Action::Edit)
                && set.set.state == "editing"
                && one.kept != Kept::Gone
                && newest.as_ref() != Some(&one.id),
            diffs: changes.shown().0,
            number: one.number,
            id: one.id,
        });
    }
    let (status, problem) =
        problem.map_or((StatusCode::OK, None), |(status, problem)| (status, Some(problem)));
    page.problem = problem;
    let frame = visitor
        .in_project(&set.at)
        .crumb(&set.set.name, base(set))
        .crumb(name(part), &page.back)
        .titled("History", "sets");
    Ok(engine::page(status, "history.html", &frame, &page))
}

/// The rows of `found` as lines. The newest of all stands by itself, where it is among them.
fn lines(found: &[Revision], rows: Vec<Row>, has_newest: bool) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut newest: Option<&Revision> = None;
    for (one, row) in found.iter().zip(rows) {
        match lines.last_mut() {
            Some(line) if newest.is_some_and(|newest| goes_with(newest, one)) => {
                line.open |= row.current;
                line.rows.push(row);
            }
            _ => {
                newest = (!lines.is_empty() || !has_newest).then_some(one);
                lines.push(Line { open: row.current, rows: vec![row] });
            }
        }
    }
    lines
}

/// Whether two revisions are of one sitting, and there is nothing to say of either.
fn goes_with(newer: &Revision, one: &Revision) -> bool {
    let is_silent = |one: &Revision| {
        let is_plain = one.renamed_from.is_none() && one.imported_by.is_none();
        is_plain && one.message.is_empty() && one.kept != Kept::Gone
    };
    let is_same = newer.author == one.author && newer.name == one.name;
    is_same && is_silent(newer) && is_silent(one) && newer.created_at - one.created_at <= TOGETHER
}

/// Who saved it, and who brought it where that was elsewhere.
fn by(one: &Revision) -> String {
    match &one.imported_by {
        Some(importer) => format!("{}, elsewhere; brought by {importer}", one.author),
        None => one.author.clone(),
    }
}

/// Where what had this name is now, if it was renamed.
async fn moved(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    part: Part<'_>,
) -> Result<Option<Callout>, super::fault::Fault> {
    let item = match part {
        Part::Prompt(_) => Item::Prompt,
        Part::Partial(_) => Item::Partial,
    };
    let now = match author::renamed(state, &visitor.actor, set, item, name(part)).await {
        Ok(now) => now,
        Err(ApiError::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let to = match part {
        Part::Prompt(_) => Part::Prompt(&now),
        Part::Partial(_) => Part::Partial(&now),
    };
    let mut callout = Callout::info(format!("It is called {now} now."), "Its history goes on there.");
    callout.actions.push(Way { text: format!("History of {now}"), href: href(&base(set), to) });
    Ok(Some(callout))
}

/// What one revision changed, whatever its name was.
fn between(part: Part<'_>, old: Option<&Revision>, new: &Revision) -> Changes {
    let prompts = |one: Option<&Revision>| -> Vec<Prompt> {
        match one.map(|one| &one.kept) {
            Some(Kept::Prompt(prompt)) => {
                let id = PromptId::new(name(part)).unwrap_or_else(|_| prompt.id.clone());
                vec![Prompt { id, ..(**prompt).clone() }]
            }
            _ => Vec::new(),
        }
    };
    let partials = |one: Option<&Revision>| -> Vec<Partial> {
        match (one.map(|one| &one.kept), PromptId::new(name(part))) {
            (Some(Kept::Partial(source)), Ok(name)) => vec![Partial { name, source: source.clone() }],
            _ => Vec::new(),
        }
    };
    let (before, after) = ((prompts(old), partials(old)), (prompts(Some(new)), partials(Some(new))));
    Changes::between(
        Side { prompts: &before.0, partials: &before.1, dependencies: &[] },
        Side { prompts: &after.0, partials: &after.1, dependencies: &[] },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Micros = 60_000_000;

    fn revision(number: i64, minutes: Micros, author: &str, message: &str) -> Revision {
        Revision {
            id: number.to_string(),
            name: "greeting".into(),
            number,
            author: author.into(),
            message: message.into(),
            created_at: minutes * MINUTE,
            kept: Kept::Partial("Hi".into()),
            renamed_from: None,
            imported_by: None,
        }
    }

    /// The numbers of each line.
    fn shape(found: &[Revision], has_newest: bool) -> Vec<Vec<i64>> {
        let row = |one: &Revision| Row {
            number: one.number,
            href: String::new(),
            by: by(one),
            message: one.message.clone(),
            at: Moment::relative(one.created_at),
            deleted: false,
            current: one.number == 4,
            was: None,
            renamed: None,
        };
        let lines = lines(found, found.iter().map(row).collect(), has_newest);
        assert!(lines.iter().all(|line| line.open == line.rows.iter().any(|row| row.number == 4)));
        lines.iter().map(|line| line.rows.iter().map(|row| row.number).collect()).collect()
    }

    #[test]
    fn saves_without_a_message_within_an_hour_are_one_line() {
        let mut found = vec![
            revision(9, 200, "Mara", ""),
            revision(8, 199, "Mara", ""),
            revision(7, 180, "Mara", ""),
            revision(6, 138, "Mara", ""),
            revision(5, 137, "Mara", "shorter"),
            revision(4, 136, "Mara", ""),
            revision(3, 135, "Mara", ""),
            revision(2, 134, "Tomás", ""),
            revision(1, 133, "Tomás", ""),
        ];
        assert_eq!(shape(&found, true), [vec![9], vec![8, 7], vec![6], vec![5], vec![4, 3], vec![2, 1]]);
        assert_eq!(shape(&found[1..], false)[0], [8, 7]);
        found[7].renamed_from = Some("hello".into());
        assert_eq!(shape(&found, true)[5..], [vec![2], vec![1]]);
    }
}
