//! Locking: the next version, its number, and what it changes; and taking a set back to EDITING.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect};
use schemas::bundle::Bundle;
use schemas::prompt::{Partial, Prompt};
use serde::Serialize;

use super::changes::{Changes, Side};
use super::diff::Diff;
use super::editor::{base, sentence};
use super::engine;
use super::fault::{PageResult, beside_form};
use super::form::Form;
use super::view::{Action as Way, Callout, count};
use super::visitor::Visitor;
use crate::auth::{Action, Actor};
use crate::author::{self, Draft, SetAt};
use crate::database::version::Version;
use crate::error::{ApiError, Result};
use crate::lock;
use crate::review;
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
    version: String,
    version_error: Option<String>,
    why: String,
    summary: String,
    problem: Option<Callout>,
    problems: Vec<Problem>,
    changes_title: String,
    diffs: Vec<Diff>,
    more: Option<String>,
}

/// The review that the set is in.
#[derive(Debug, Serialize)]
struct Review {
    text: String,
    approved: bool,
    may_approve: bool,
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

/// Prompts and partials, owned.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub prompts: Vec<Prompt>,
    pub partials: Vec<Partial>,
}

impl Content {
    pub(super) fn of_draft(draft: &Draft) -> Self {
        Self { prompts: draft.prompts.iter().map(|p| p.prompt.clone()).collect(), partials: draft.partials() }
    }

    pub(super) async fn of_version(
        state: &AppState,
        actor: &Actor,
        set: &SetAt,
        version: &Version,
    ) -> Result<Self> {
        let body = lock::version_body(state, actor, set, version).await?;
        let bundle = Bundle::from_body(&body)?;
        Ok(Self { prompts: bundle.prompts, partials: bundle.partials })
    }

    pub(super) fn side(&self) -> Side<'_> {
        Side { prompts: &self.prompts, partials: &self.partials }
    }
}

/// `GET /{organisation}/{project}/{set}/-/lock`.
pub(super) async fn get_lock(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): Path<(String, String, String)>,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    show(&state, &visitor, &set, None).await
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
    match lock::lock(&state, &visitor.actor, &set, &version, Some(form.get("revision")), "").await {
        Ok(made) => {
            let href = format!("{}/-/publish?version={}", base(&set), super::view::encoded(&made.version));
            Ok(Redirect::to(&href).into_response())
        }
        Err(error) => show(&state, &visitor, &set, Some((version, error))).await,
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
    match form.get("do") {
        "return" => review::give_back(&state, &visitor.actor, &set).await?,
        _ => drop(review::request(&state, &visitor.actor, &set, "").await?),
    }
    Ok(Redirect::to(&format!("{}/-/lock", base(&set))).into_response())
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
        "return" => review::give_back(&state, &visitor.actor, &set).await?,
        _ => review::approve(&state, &visitor.actor, &set, form.get("revision")).await?,
    }
    Ok(Redirect::to(&format!("{}/-/lock", base(&set))).into_response())
}

async fn show(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    refused: Option<(String, ApiError)>,
) -> PageResult {
    let may = |action| set.at.lets(&visitor.actor, action);
    set.at.require(&visitor.actor, if may(Action::Review) { Action::View } else { Action::Lock })?;
    let draft = author::draft(state, &visitor.actor, set).await?;
    let versions = lock::versions(state, &visitor.actor, set).await?;
    let newest = newest(&versions);
    let before = match &newest {
        Some((version, _)) => Content::of_version(state, &visitor.actor, set, version).await?,
        None => Content::default(),
    };
    let after = Content::of_draft(&draft);
    let changes = Changes::between(before.side(), after.side());
    let next = changes.next(newest.as_ref().map(|(_, number)| number));
    let mut page = Page {
        base: base(set),
        set: set.set.slug.clone(),
        state: set.set.state.to_uppercase(),
        revision: draft.digest.to_string(),
        may_lock: may(Action::Lock),
        may_ask: may(Action::Edit) && set.set.state == "editing" && !draft.prompts.is_empty(),
        verdict: if may(Action::Review) { "verdict" } else { "review" },
        review: review_of(state, visitor, set, &draft).await?,
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
    if let Some((typed, error)) = refused {
        page.version = typed;
        status = page.refuse(set, error)?;
    }
    let frame = visitor
        .in_project(&set.at)
        .crumb(&set.set.slug, base(set))
        .titled(format!("Lock {}", set.set.slug), "sets");
    Ok(engine::page(status, "lock.html", &frame, &page))
}

/// The review of a set in REVIEW: who asked, and whether exactly this draft is approved.
async fn review_of(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    draft: &Draft,
) -> Result<Option<Review>> {
    if set.set.state != "review" {
        return Ok(None);
    }
    let reviews = review::list(state, &visitor.actor, set).await?;
    Ok(reviews.first().map(|r| {
        let approved = r.state == "approved" && r.digest == draft.digest.to_string();
        Review {
            text: match approved {
                true => format!("{} asked for it; this draft is approved and can be locked.", r.requested_by),
                false => format!(
                    "{} asked for it. Somebody else has to approve this draft before it is locked.",
                    r.requested_by
                ),
            },
            approved,
            may_approve: !approved
                && r.requested_by_id != visitor.actor.user_id
                && set.at.lets(&visitor.actor, Action::Review),
        }
    }))
}

/// The highest locked version and its number.
pub(super) fn newest(versions: &[Version]) -> Option<(&Version, semver::Version)> {
    versions
        .iter()
        .filter(|v| v.kind == "locked")
        .filter_map(|v| Some((v, v.version.parse::<semver::Version>().ok()?)))
        .max_by(|(_, a), (_, b)| a.cmp(b))
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
                        let prompt = e.prompt.as_ref().map(ToString::to_string).unwrap_or_default();
                        Problem {
                            href: format!("{}/{prompt}", base(set)),
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
            ApiError::Invalid { code: "bad_version", detail, .. } => {
                self.version_error = Some(sentence(&detail))
            }
            ApiError::Conflict { code: "locked", .. } => {
                let mut callout = Callout::bad("Not locked.", "The set is LOCKED already.");
                callout
                    .actions
                    .push(Way { text: "Publish it".into(), href: format!("{}/-/publish", base(set)) });
                self.problem = Some(callout);
            }
            other => {
                let (_, why) = beside_form(other)?;
                self.problem = Some(Callout::bad("Not locked.", format!("{why} Nothing was changed.")));
            }
        }
        Ok(status)
    }
}
