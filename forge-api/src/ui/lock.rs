//! Locking: the next version, its number, and what it changes; and taking a set back to EDITING. What it says of
//! reviews stands in `asked`.

mod asked;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect};
use serde::Serialize;

use self::asked::{Review, open_comments, people, review_of};
use super::address::Path;
use super::changes::Changes;
use super::compare::ReasonView;
use super::diff::Diff;
use super::editor::{base, sentence};
use super::engine;
use super::fault::{PageResult, beside_form};
use super::form::Form;
use super::view::{Action as Way, Callout, Choice, count};
use super::visitor::Visitor;
use crate::auth::Action;
use crate::author::{self, Draft, SetAt};
use crate::compare::{self, Content, Stated, Weight};
use crate::database::version::Version;
use crate::error::{ApiError, Result};
use crate::lock;
use crate::review::{self, Request, Which};
use crate::state::AppState;

/// Most problems that are listed.
const PROBLEMS_MAX: usize = 20;

#[derive(Debug, Default, Serialize)]
struct Page {
    base: String,
    set: String,
    state: String,
    /// Digest of the draft that is shown: another one is not locked unseen.
    revision: String,
    may_lock: bool,
    may_ask: bool,
    /// Where the review's buttons post to.
    verdict: &'static str,
    review: Option<Review>,
    /// Comments of the last review are open while the set is in EDITING.
    open: Option<Callout>,
    /// People who can be asked.
    people: Vec<Choice>,
    ask_title: String,
    ask_message: String,
    ask_error: Option<String>,
    version: String,
    version_error: Option<String>,
    /// The version that was typed is lower than what changed asks for: pressing once more locks it.
    sure: Option<String>,
    notes: String,
    /// Notes that were typed before the set was LOCKED.
    lost_notes: Option<String>,
    why: String,
    reasons: Vec<ReasonView>,
    /// Sets that it takes partials from, as they would be locked.
    dependencies: Vec<Taken>,
    summary: String,
    problem: Option<Callout>,
    problems: Vec<Problem>,
    changes_title: String,
    diffs: Vec<Diff>,
    more: Option<String>,
}

/// A set that partials are taken from.
#[derive(Debug, Serialize)]
struct Taken {
    set: String,
    requirement: String,
    version: Option<String>,
}

/// What was typed into one of the two forms, and why it was refused.
enum Refused {
    Lock(String, ApiError),
    /// The version is lower than proposed.
    Lower(String),
    Ask(ApiError),
}

#[derive(Debug, Serialize)]
struct Problem {
    prompt: String,
    href: String,
    place: String,
    message: String,
    line: usize,
    text: String,
}

/// `GET /{organisation}/{project}/{set}/-/lock`.
pub(super) async fn get_lock(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): Path<(String, String, String)>,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    show(&state, &visitor, &set, None, &Form::default()).await
}

/// `POST /{organisation}/{project}/{set}/-/lock`.
pub(super) async fn post_lock(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): Path<(String, String, String)>,
    form: Form,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    let version = form.get("version").trim().to_owned();
    set.at.require(&visitor.actor, Action::Lock)?;
    if set.set.state == "locked" {
        // Whatever else is wrong with the version: there is no form any more that could say it.
        let error = ApiError::conflict("locked", "the set is LOCKED already");
        return show(&state, &visitor, &set, Some(Refused::Lock(version, error)), &form).await;
    }
    if form.get("sure") != version && lock::lower(&state, &visitor.actor, &set, &version).await?.is_some() {
        return show(&state, &visitor, &set, Some(Refused::Lower(version)), &form).await;
    }
    let seen = Some(form.get("revision"));
    match lock::lock(&state, &visitor.actor, &set, &version, seen, form.get("notes")).await {
        Ok(made) => {
            let href = format!("{}/-/publish?version={}", base(&set), super::view::encoded(&made.version));
            Ok(Redirect::to(&href).into_response())
        }
        Err(error) => show(&state, &visitor, &set, Some(Refused::Lock(version, error)), &form).await,
    }
}

/// `POST /{organisation}/{project}/{set}/-/reopen`.
pub(super) async fn post_reopen(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): Path<(String, String, String)>,
    form: Form,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    match lock::reopen(&state, &visitor.actor, &set).await {
        // It is open already: what was wanted.
        Ok(()) | Err(ApiError::Conflict { code: "not_locked", .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let home = base(&set);
    let next = Some(form.get("next")).filter(|n| n.starts_with(&format!("{home}/"))).unwrap_or(&home);
    Ok(Redirect::to(next).into_response())
}

/// `POST /{organisation}/{project}/{set}/-/review`: an author asks for a review, or takes it back.
pub(super) async fn post_review(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): Path<(String, String, String)>,
    form: Form,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    set.at.require(&visitor.actor, Action::Edit)?;
    if form.get("do") == "return" {
        review::give_back(&state, &visitor.actor, &set, Which::Current, "").await?;
        return Ok(Redirect::to(&format!("{}/-/lock", base(&set))).into_response());
    }
    let reviewers: Vec<String> = form.all("reviewer").into_iter().map(str::to_owned).collect();
    let message = super::form::lines(form.get("message"));
    let asked = Request { title: form.get("title"), message: &message, reviewers: &reviewers };
    match review::request(&state, &visitor.actor, &set, asked).await {
        Ok(made) => Ok(Redirect::to(&format!("{}/-/reviews/{}", base(&set), made.number)).into_response()),
        Err(error) => show(&state, &visitor, &set, Some(Refused::Ask(error)), &form).await,
    }
}

/// `POST /{organisation}/{project}/{set}/-/verdict`: a reviewer approves the draft, or gives it back.
pub(super) async fn post_verdict(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): Path<(String, String, String)>,
    form: Form,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    set.at.require(&visitor.actor, Action::Review)?;
    match form.get("do") {
        "return" => review::give_back(&state, &visitor.actor, &set, Which::Current, "").await?,
        _ => review::approve(&state, &visitor.actor, &set, Which::Current, form.get("revision"), "").await?,
    }
    Ok(Redirect::to(&format!("{}/-/lock", base(&set))).into_response())
}

async fn show(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    refused: Option<Refused>,
    form: &Form,
) -> PageResult {
    let may = |action| set.at.lets(&visitor.actor, action);
    set.at.require(&visitor.actor, if may(Action::Review) { Action::View } else { Action::Lock })?;
    let draft = author::draft(state, &visitor.actor, set).await?;
    let versions = lock::versions(state, &visitor.actor, set).await?;
    let newest = lock::highest(&versions);
    let before = match &newest {
        Some((version, _)) => Stated {
            content: Content::of_version(state, &visitor.actor, set, version).await?,
            at: version.created_at,
        },
        None => Stated::default(),
    };
    let after = Stated { content: Content::of_draft(&draft), at: schemas::Micros::MAX };
    let changes = compare::differences(state, &visitor.actor, set, &before, &after).await?;
    let next = changes.next(newest.as_ref().map(|(_, number)| number));
    let mut page = Page {
        base: base(set),
        set: set.set.name.clone(),
        state: set.set.state.to_uppercase(),
        revision: draft.digest.to_string(),
        may_lock: may(Action::Lock),
        may_ask: may(Action::Edit) && set.set.state != "review" && !draft.prompts.is_empty(),
        people: people(state, visitor, set, form).await?,
        ask_title: form.get("title").to_owned(),
        ask_message: form.get("message").to_owned(),
        notes: form.get("notes").to_owned(),
        reasons: changes.reasons.iter().filter(|r| r.weight > Weight::Patch).map(ReasonView::of).collect(),
        dependencies: taken(&draft),
        verdict: if may(Action::Review) { "verdict" } else { "review" },
        review: review_of(state, visitor, set, &draft).await?,
        open: open_comments(state, visitor, set).await?,
        version: next.to_string(),
        why: why(&changes, newest.as_ref().map(|(v, _)| *v), &next),
        summary: format!("{} in this version.", count(draft.prompts.len() as u64, "prompt", "prompts")),
        changes_title: match &newest {
            Some((version, _)) => format!("What changed since {}: {}", version.version, changes.sentence()),
            None => changes.sentence(),
        },
        ..Page::default()
    };
    (page.diffs, page.more) = changes.shown();
    let mut status = StatusCode::OK;
    match refused {
        Some(Refused::Lock(typed, error)) => {
            page.version = typed;
            status = page.refuse(set, error)?;
        }
        Some(Refused::Lower(typed)) => {
            page.problem = Some(Callout {
                state: "warn",
                ..Callout::bad(
                    format!("{typed} says less than what changed."),
                    format!(
                        "Callers would expect {next}: {}. Lock once more if you mean it.",
                        changes_why(&page.reasons)
                    ),
                )
            });
            page.sure = Some(typed.clone());
            page.version = typed;
            status = StatusCode::UNPROCESSABLE_ENTITY;
        }
        Some(Refused::Ask(error)) => {
            let (code, why) = beside_form(error)?;
            status = code;
            page.ask_error = Some(why);
        }
        None => {}
    }
    let frame = visitor
        .in_project(&set.at)
        .crumb(&set.set.name, base(set))
        .titled(format!("Lock {}", set.set.name), "sets");
    Ok(engine::page(status, "lock.html", &frame, &page))
}

/// The heaviest reason.
fn changes_why(reasons: &[ReasonView]) -> &str {
    reasons.first().map_or("something changed", |reason| reason.what.as_str())
}

/// What the draft takes from other sets.
fn taken(draft: &Draft) -> Vec<Taken> {
    let one = |r: &author::dependency::Requirement| Taken {
        set: r.set.clone(),
        requirement: r.requirement.clone(),
        version: r.resolved.as_ref().map(|found| found.dependency.version.to_string()),
    };
    draft.requirements.iter().map(one).collect()
}

fn why(changes: &Changes, last: Option<&Version>, next: &semver::Version) -> String {
    match last {
        None => {
            "The first version. Semantic versioning: what breaks callers raises the first number.".to_owned()
        }
        Some(last) if changes.why.is_empty() => format!("Nothing changed since {}.", last.version),
        Some(last) => format!("{next} because {}. The last one is {}.", changes.why, last.version),
    }
}

impl Page {
    /// Puts an error where it belongs: at the field, at its prompt, or above.
    fn refuse(&mut self, set: &SetAt, error: ApiError) -> Result<StatusCode, super::fault::Fault> {
        let status = error.status();
        match error {
            ApiError::Template(errors) => {
                self.problem = Some(Callout::bad(
                    "Not locked.",
                    format!(
                        "{} to fix first. Nothing was changed.",
                        count(errors.len() as u64, "problem", "problems")
                    ),
                ));
                self.problems = errors
                    .into_iter()
                    .filter(|e| !e.is_warning())
                    .take(PROBLEMS_MAX)
                    .map(|e| {
                        let (prompt, href) = match (&e.prompt, &e.partial) {
                            (Some(prompt), _) => (prompt.to_string(), format!("{}/{prompt}", base(set))),
                            (None, Some(partial)) => {
                                (partial.to_string(), format!("{}/-/partials/{partial}", base(set)))
                            }
                            (None, None) => (String::new(), base(set)),
                        };
                        Problem {
                            href,
                            place: match &e.partial {
                                Some(partial) => {
                                    format!("Partial {partial}, line {}, column {}", e.line, e.column)
                                }
                                None => format!("Line {}, column {}", e.line, e.column),
                            },
                            message: sentence(&e.message),
                            line: e.line,
                            text: e.source_line,
                            prompt,
                        }
                    })
                    .collect();
            }
            ApiError::Conflict { code: "version_exists", .. } => {
                self.version_error = Some(format!("{} exists and never changes. {}", self.version, self.why));
            }
            ApiError::Conflict { code: "version_not_higher", detail, .. }
            | ApiError::Invalid { code: "bad_version", detail, .. } => {
                self.version_error = Some(sentence(&detail))
            }
            ApiError::Conflict { code: "locked", .. } => {
                let text = "The set was LOCKED after you opened this page. Nothing was changed.";
                let mut callout = Callout::bad("Not locked.", text);
                callout
                    .actions
                    .push(Way { text: "Publish it".into(), href: format!("{}/-/publish", base(set)) });
                self.problem = Some(callout);
                self.lost_notes = Some(self.notes.clone()).filter(|notes| !notes.trim().is_empty());
            }
            other => {
                let (_, why) = beside_form(other)?;
                self.problem = Some(Callout::bad("Not locked.", format!("{why} Nothing was changed.")));
            }
        }
        Ok(status)
    }
}
