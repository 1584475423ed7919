//! A review: what changed, what was said to it line by line, and the answer.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect};
use serde::{Deserialize, Serialize};

use super::diff::{Diff, Row};
use super::editor::base;
use super::engine;
use super::fault::{PageResult, beside_form};
use super::form::{Form, lines};
use super::view::{Action as Way, Callout, Moment, initials, short};
use super::visitor::Visitor;
use crate::auth::Action;
use crate::author::SetAt;
use crate::compare::{Changes, Content};
use crate::database::review::ReviewComment;
use crate::error::ApiError;
use crate::review::{self, ReviewView, Verdict, Which};
use crate::rule;
use crate::state::AppState;

type ReviewPath = Path<(String, String, String, String)>;

#[derive(Debug, Default, Serialize)]
struct Page {
    base: String,
    href: String,
    set: String,
    title: String,
    number: i64,
    state: &'static str,
    state_word: String,
    /// How far the set is: 0 EDITING, 1 REVIEW, 2 LOCKED.
    step: usize,
    by: String,
    by_initials: String,
    at: Moment,
    from: Option<String>,
    message: String,
    summary: String,
    diffs: Vec<DiffView>,
    more: Option<String>,
    /// Comments on nothing that is shown.
    comments: Vec<CommentView>,
    digest: String,
    digest_short: String,
    verdicts: Vec<VerdictView>,
    rules: Vec<String>,
    may_comment: bool,
    may_approve: bool,
    may_return: bool,
    why_not: Option<String>,
    typed: String,
    /// Where the comment goes that is being written.
    place: Option<PlaceView>,
    problem: Option<Callout>,
    notice: Option<Callout>,
    say_error: Option<String>,
}

/// A prompt's changes with what was said to its lines.
#[derive(Debug, Serialize)]
struct DiffView {
    title: String,
    note: Option<&'static str>,
    note_state: &'static str,
    plus: usize,
    minus: usize,
    rows: Vec<RowView>,
    facts: Vec<String>,
    /// Comments on the prompt, or on lines that are not shown.
    comments: Vec<CommentView>,
    /// The form for a comment on the prompt stands here.
    form: bool,
}

#[derive(Debug, Serialize)]
struct RowView {
    #[serde(flatten)]
    row: Row,
    /// Where a comment on this line is written.
    href: Option<String>,
    comments: Vec<CommentView>,
    /// The form for a comment on this line stands here.
    form: bool,
}

#[derive(Debug, Clone, Serialize)]
struct CommentView {
    author: String,
    initials: String,
    place: String,
    body: String,
    at: Moment,
}

#[derive(Debug, Serialize)]
struct PlaceView {
    prompt: String,
    line: i64,
}

/// One person and what they said, or that they are asked.
#[derive(Debug, Serialize)]
struct VerdictView {
    name: String,
    initials: String,
    state: &'static str,
    word: &'static str,
    comment: String,
    at: Option<Moment>,
}

/// Where a comment is to be written.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    prompt: String,
    /// A number, as far as it is one.
    #[serde(default)]
    line: String,
}

impl Asked {
    fn line(&self) -> i64 {
        self.line.parse().unwrap_or_default()
    }
}

impl CommentView {
    fn of(comment: &ReviewComment) -> Self {
        Self {
            author: comment.author.clone(),
            initials: initials(&comment.author),
            place: match (&comment.prompt_id, comment.line) {
                (Some(_), Some(line)) => format!("on line {line}"),
                (Some(prompt), None) => format!("on {prompt}"),
                _ => String::new(),
            },
            body: comment.body.clone(),
            at: Moment::relative(comment.created_at),
        }
    }
}

/// What is no number is the number of no review.
fn numbered(number: &str) -> Result<i64, ApiError> {
    number.parse().map_err(|_| ApiError::NotFound("review"))
}

/// `GET /{organisation}/{project}/{set}/-/reviews/{number}?prompt=…&line=…`.
pub(super) async fn get_review(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s, number)): ReviewPath,
    Query(asked): Query<Asked>,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    show(&state, &visitor, &set, numbered(&number)?, &asked, None).await
}

/// `POST /{organisation}/{project}/{set}/-/reviews/{number}`: approves, asks for changes, or comments.
pub(super) async fn post_review(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s, number)): ReviewPath,
    form: Form,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    set.at.require(&visitor.actor, Action::Return)?;
    let number = numbered(&number)?;
    let asked = Asked { prompt: form.get("prompt").to_owned(), line: form.get("line").to_owned() };
    let said = lines(form.get("message"));
    let place = Some((asked.prompt.as_str(), asked.line())).filter(|(prompt, _)| !prompt.is_empty());
    let (actor, which) = (&visitor.actor, Which::Number(number));
    let done = match form.get("do") {
        "approve" => review::approve(&state, actor, &set, which, form.get("digest"), &said).await,
        "changes" if said.trim().is_empty() => {
            Err(ApiError::invalid("empty", "message", "say what has to change before you ask for it"))
        }
        "changes" => review::give_back(&state, actor, &set, which, &said).await,
        "withdraw" => review::give_back(&state, actor, &set, which, "").await,
        _ => review::comment(&state, actor, &set, number, place, &said).await.map(drop),
    };
    let href = format!("{}/-/reviews/{number}", base(&set));
    match done {
        Ok(()) => Ok(Redirect::to(&href).into_response()),
        Err(error) => show(&state, &visitor, &set, number, &asked, Some((error, said))).await,
    }
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
    let before = match &view.base {
        Some(base) => Content::of_version(state, actor, set, base).await?,
        None => Content::default(),
    };
    let changes = match &view.content {
        Some(content) => Changes::between(before.side(), content.side()),
        None => Changes::default(),
    };
    let mut page = Page::of(set, &view);
    page.summary = match &view.content {
        Some(_) => changes.sentence(),
        None => "What was read then was not kept.".to_owned(),
    };
    page.rules = rule::rules(state, actor, &set.at)
        .await?
        .into_iter()
        .filter(|(_, rule)| rule.approvals > 0)
        .map(|(environment, rule)| {
            format!("{}: {}", environment.slug, super::environments::sentence_of(&rule))
        })
        .collect();
    let (diffs, more) = changes.shown();
    page.more = more;
    page.place(diffs, &view.comments, asked);
    page.allow(visitor, set, &view);
    let mut status = StatusCode::OK;
    if let Some((error, typed)) = refused {
        page.typed = typed;
        if let ApiError::Invalid { field: Some("message" | "body"), detail, .. } = &error {
            status = error.status();
            page.say_error = Some(super::editor::sentence(detail));
        } else {
            let (code, why) = match error {
                // Who may see the page is told why not, beside what they typed.
                ApiError::Forbidden(why) => (StatusCode::FORBIDDEN, super::editor::sentence(&why)),
                other => beside_form(other)?,
            };
            status = code;
            page.problem = Some(Callout::bad("Not done.", format!("{why} Nothing was changed.")));
        }
    }
    let frame = visitor
        .in_project(&set.at)
        .crumb(&set.set.slug, base(set))
        .titled(format!("Review {number}"), "reviews");
    Ok(engine::page(status, "review.html", &frame, &page))
}

impl Page {
    fn of(set: &SetAt, view: &ReviewView) -> Self {
        let review = &view.review;
        let (state, word) = match review.state.as_str() {
            _ if view.void && review.state != "returned" => ("revoked", "void"),
            "open" => ("review", "open"),
            "approved" => ("approved", "approved"),
            "returned" => ("warn", "changes asked for"),
            _ => ("locked", "locked"),
        };
        let verdicts = view.verdicts.iter().filter(|v| !v.overtaken).map(|v| VerdictView::of(v, view.void));
        let waiting =
            view.reviewers.iter().filter(|(id, _)| !view.verdicts.iter().any(|v| v.user_id == *id)).map(
                |(_, name)| VerdictView {
                    name: name.clone(),
                    initials: initials(name),
                    state: "waiting",
                    word: "asked",
                    comment: String::new(),
                    at: None,
                },
            );
        Self {
            base: base(set),
            href: format!("{}/-/reviews/{}", base(set), review.number),
            set: set.set.slug.clone(),
            title: match review.title.as_str() {
                "" => format!("Review {} of {}", review.number, set.set.slug),
                title => title.to_owned(),
            },
            number: review.number,
            state,
            state_word: word.to_owned(),
            step: match set.set.state.as_str() {
                "editing" => 0,
                "review" => 1,
                _ => 2,
            },
            by: review.requested_by.clone(),
            by_initials: initials(&review.requested_by),
            at: Moment::relative(review.requested_at),
            from: view.base.as_ref().map(|b| b.version.clone()),
            message: review.message.clone(),
            digest_short: short(&review.digest),
            digest: review.digest.clone(),
            verdicts: verdicts.chain(waiting).collect(),
            ..Self::default()
        }
    }

    /// Puts comments beside the lines that they are about.
    fn place(&mut self, diffs: Vec<Diff>, comments: &[ReviewComment], asked: &Asked) {
        let mut left: Vec<&ReviewComment> = comments.iter().collect();
        self.diffs = diffs
            .into_iter()
            .map(|diff| {
                let title = diff.title.clone();
                let mine = |c: &ReviewComment| c.prompt_id.as_deref() == Some(title.as_str());
                let rows = diff.rows.into_iter().map(|row| {
                    let line = row.new_number.and_then(|n| i64::try_from(n).ok());
                    let (here, rest): (Vec<_>, Vec<_>) =
                        left.iter().copied().partition(|c| line.is_some() && mine(c) && c.line == line);
                    left = rest;
                    RowView {
                        href: line.map(|n| {
                            format!("{}?prompt={}&line={n}#say-line", self.href, super::view::encoded(&title))
                        }),
                        comments: here.into_iter().map(CommentView::of).collect(),
                        form: asked.prompt == title && line.is_some() && line == Some(asked.line()),
                        row,
                    }
                });
                let rows: Vec<RowView> = rows.collect();
                let (here, rest): (Vec<_>, Vec<_>) = left.iter().copied().partition(|c| mine(c));
                left = rest;
                DiffView {
                    form: asked.prompt == title && asked.line() == 0,
                    note: diff.note,
                    note_state: diff.note_state,
                    plus: diff.plus,
                    minus: diff.minus,
                    rows,
                    facts: diff.facts,
                    comments: here.into_iter().map(CommentView::of).collect(),
                    title,
                }
            })
            .collect();
        self.comments = left.into_iter().map(CommentView::of).collect();
        self.place = (!asked.prompt.is_empty())
            .then(|| PlaceView { prompt: asked.prompt.clone(), line: asked.line() });
    }

    /// What the visitor may do here.
    fn allow(&mut self, visitor: &Visitor, set: &SetAt, view: &ReviewView) {
        let may = |action| set.at.lets(&visitor.actor, action);
        let returned = view.review.state == "returned";
        let mine = view.review.requested_by_id == visitor.actor.user_id;
        let said =
            view.verdicts.iter().any(|v| v.user_id == visitor.actor.user_id && v.approved && !v.overtaken);
        self.may_comment = may(Action::Return);
        self.may_approve = may(Action::Review) && !returned && !said;
        self.may_return = may(Action::Return) && !returned;
        self.why_not = match () {
            () if returned => {
                Some("Changes were asked for. When they are made, ask for a new review.".into())
            }
            () if said => Some("You approved exactly this.".into()),
            () if mine => Some("You asked for this review. Somebody else has to approve it.".into()),
            () => None,
        };
        if view.void && !returned {
            let mut notice = Callout::info(
                "This was edited since.",
                "Approvals are bound to exactly these words, so they are void for what is there now. Ask for a new review.",
            );
            notice.actions.push(Way { text: "Open the draft".into(), href: self.base.clone() });
            self.notice = Some(notice);
        } else if view.review.state == "approved" && set.set.state == "review" && may(Action::Lock) {
            let mut notice = Callout::ok("Approved.", "Exactly this can be locked now.");
            notice.actions.push(Way { text: "Lock it".into(), href: format!("{}/-/lock", self.base) });
            self.notice = Some(notice);
        }
    }
}

impl VerdictView {
    fn of(verdict: &Verdict, void: bool) -> Self {
        let (state, word) = match (verdict.approved, void) {
            (true, true) => ("revoked", "void"),
            (true, false) => ("approved", "approved"),
            (false, _) => ("warn", "asks for changes"),
        };
        Self {
            name: verdict.name.clone(),
            initials: initials(&verdict.name),
            state,
            word,
            comment: verdict.comment.clone(),
            at: Some(Moment::relative(verdict.at)),
        }
    }
}
