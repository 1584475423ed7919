//! A review: what changed, what was said to it line by line, what was checked and seen, and the answer.
//!
//! | module | what it holds |
//! |---|---|
//! | `page` | what the page shows, and what the visitor may do there |
//! | `talk` | comments with their answers, beside the lines that they are about |

mod page;
mod talk;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect};
use serde::Deserialize;

use self::page::Page;
use super::address::{Path, Query};
use super::editor::{base, sentence};
use super::engine;
use super::fault::{PageResult, beside_form};
use super::form::{Form, lines};
use super::view::Callout;
use super::visitor::Visitor;
use crate::auth::Action;
use crate::author::{Item, SetAt};
use crate::compare::{self, Changes, Content, Stated};
use crate::error::{ApiError, Result};
use crate::review::{self, Place, ReviewView, Which};
use crate::rule;
use crate::state::AppState;

type ReviewPath = Path<(String, String, String, String)>;

/// Where a comment is to be written.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    prompt: String,
    /// A number, as far as it is one.
    #[serde(default)]
    line: String,
    /// The comment that is answered.
    #[serde(default)]
    answers: String,
}

impl Asked {
    fn line(&self) -> i64 {
        self.line.parse().unwrap_or_default()
    }
}

/// What is no number is the number of no review.
fn numbered(number: &str) -> Result<i64> {
    number.parse().map_err(|_| ApiError::NotFound("review"))
}

/// `GET /{organisation}/{project}/{set}/-/reviews/{number}?prompt=…&line=…&answers=…`.
pub(super) async fn get_review(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s, number)): ReviewPath,
    Query(asked): Query<Asked>,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    show(&state, &visitor, &set, numbered(&number)?, &asked, None).await
}

/// `POST /{organisation}/{project}/{set}/-/reviews/{number}`: approves, asks for changes, comments, settles a comment,
/// or ticks something as seen.
pub(super) async fn post_review(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s, number)): ReviewPath,
    form: Form,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    set.at.require(&visitor.actor, Action::Return)?;
    let number = numbered(&number)?;
    let asked = Asked {
        prompt: form.get("prompt").to_owned(),
        line: form.get("line").to_owned(),
        answers: form.get("answers").to_owned(),
    };
    let said = lines(form.get("message"));
    match done(&state, &visitor, &set, number, &asked, &form, &said).await {
        Ok(place) => Ok(Redirect::to(&format!("{}/-/reviews/{number}{place}", base(&set))).into_response()),
        Err(error) => show(&state, &visitor, &set, number, &asked, Some((error, said))).await,
    }
}

/// Does what a button says; gives the place of the page to go back to.
async fn done(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    number: i64,
    asked: &Asked,
    form: &Form,
    said: &str,
) -> Result<String> {
    let (actor, which) = (&visitor.actor, Which::Number(number));
    let id = form.get("comment");
    match form.get("do") {
        "approve" => review::approve(state, actor, set, which, form.get("digest"), said).await?,
        "changes" => review::ask_for_changes(state, actor, set, number, said).await?,
        "withdraw" => review::give_back(state, actor, set, which, "").await?,
        what @ ("settle" | "open") => {
            let settled = review::settle(state, actor, set, number, id, what == "settle").await?;
            return Ok(format!("#talk-{}", settled.id));
        }
        "see" => {
            let item = Item::parse(form.get("kind")).unwrap_or(Item::Prompt);
            let seen = !form.get("seen").is_empty();
            review::saw(state, actor, set, number, (item, form.get("name")), seen).await?;
            return Ok(format!("#diff-{}", form.get("at").parse::<usize>().unwrap_or(1)));
        }
        _ => {
            let place = Place {
                prompt: Some(asked.prompt.as_str()).filter(|prompt| !prompt.is_empty()),
                line: Some(asked.line()).filter(|line| *line != 0),
            };
            let answers = Some(asked.answers.as_str()).filter(|id| !id.is_empty());
            let made = review::comment(state, actor, set, number, place, answers, said).await?;
            return Ok(format!("#talk-{}", made.answers.unwrap_or(made.id)));
        }
    }
    Ok(String::new())
}

async fn show(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    number: i64,
    asked: &Asked,
    refused: Option<(ApiError, String)>,
) -> PageResult {
    let actor = &visitor.actor;
    let view = review::find(state, actor, set, number).await?;
    let changes = changes(state, visitor, set, &view).await?;
    let mut page = Page::of(set, &view);
    page.summary = match &view.content {
        Some(_) => changes.sentence(),
        None => "What was read then was not kept.".to_owned(),
    };
    match review::check::of_view(state, actor, set, &view).await {
        Ok(found) => page.checks(found),
        // There is too much to do to check it now; it can be read all the same.
        Err(ApiError::Unavailable(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let rules = rule::rules(state, actor, &set.at).await?;
    let needed = rules.iter().map(|(_, rule)| rule.approvals).max().unwrap_or_default();
    page.rules = rules
        .into_iter()
        .filter(|(_, rule)| rule.approvals > 0)
        .map(|(environment, rule)| {
            format!("{}: {}", environment.slug, super::environments::sentence_of(&rule))
        })
        .collect();
    let (diffs, more) = changes.shown();
    page.more = more;
    let own = match set.at.lets(actor, Action::Review) {
        true => review::refuses_own(state, actor, set, &view.review).await?,
        false => None,
    };
    page.allow(visitor, set, &view, needed, own.as_deref());
    page.place(diffs, visitor, set, &view, asked);
    let mut status = StatusCode::OK;
    if let Some((error, typed)) = refused {
        page.typed = typed;
        if let ApiError::Invalid { field: Some("message" | "body" | "comment"), detail, .. } = &error {
            status = error.status();
            page.say_error = Some(sentence(detail));
        } else {
            let (code, why) = match error {
                // Who may see the page is told why not, beside what they typed.
                ApiError::Forbidden(why) => (StatusCode::FORBIDDEN, sentence(&why)),
                other => beside_form(other)?,
            };
            status = code;
            page.problem = Some(Callout::bad("Not done.", format!("{why} Nothing was changed.")));
        }
    }
    let frame = visitor
        .in_project(&set.at)
        .crumb(&set.set.name, base(set))
        .titled(format!("Review {number}"), "reviews");
    Ok(engine::page(status, "review.html", &frame, &page))
}

/// What of a review is not as it was in its base.
async fn changes(state: &AppState, visitor: &Visitor, set: &SetAt, view: &ReviewView) -> Result<Changes> {
    let Some(content) = &view.content else { return Ok(Changes::default()) };
    let before = match &view.base {
        Some(base) => Stated {
            content: Content::of_version(state, &visitor.actor, set, base).await?,
            at: base.created_at,
        },
        None => Stated::default(),
    };
    let after = Stated { content: content.clone(), at: view.review.requested_at };
    compare::differences(state, &visitor.actor, set, &before, &after).await
}
