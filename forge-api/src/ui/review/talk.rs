//! Comments with their answers, and beside which line they stand.

use serde::Serialize;

use super::Asked;
use crate::author::SetAt;
use crate::compare::diff::{Diff, Row};
use crate::database::review::ReviewComment;
use crate::review::{Part, ReviewView, may_settle};
use crate::ui::view::{Moment, encoded, initials};
use crate::ui::visitor::Visitor;

/// Characters of a settled comment that are shown before it is opened.
const FIRST_WORDS: usize = 60;

/// A prompt's changes with what was said to its lines.
#[derive(Debug, Serialize)]
pub(super) struct DiffView {
    title: String,
    note: Option<&'static str>,
    note_state: &'static str,
    plus: usize,
    minus: usize,
    rows: Vec<RowView>,
    facts: Vec<String>,
    /// On the prompt, or on lines that are not shown.
    talks: Vec<TalkView>,
    /// The form for a comment on the prompt stands here.
    form: bool,
    /// `prompt` or `partial`; empty for what cannot be ticked.
    kind: &'static str,
    pub(super) seen: bool,
}

impl DiffView {
    /// Whether it can be ticked as seen.
    pub(super) fn is_ticked(&self) -> bool {
        !self.kind.is_empty()
    }
}

#[derive(Debug, Serialize)]
struct RowView {
    #[serde(flatten)]
    row: Row,
    /// Where a comment on this line is written.
    href: Option<String>,
    talks: Vec<TalkView>,
    /// The form for a comment on this line stands here.
    form: bool,
}

/// A comment with its answers.
#[derive(Debug, Serialize)]
pub(super) struct TalkView {
    id: String,
    first: CommentView,
    answers: Vec<CommentView>,
    settled: Option<SettledView>,
    may_settle: bool,
    /// Where an answer is written.
    href: String,
    /// The form for an answer stands here.
    form: bool,
}

#[derive(Debug, Serialize)]
struct SettledView {
    by: String,
    at: Moment,
    /// How the comment begins.
    words: String,
}

#[derive(Debug, Serialize)]
struct CommentView {
    author: String,
    initials: String,
    place: String,
    body: String,
    at: Moment,
}

impl CommentView {
    fn of(comment: &ReviewComment) -> Self {
        Self {
            author: comment.author.clone(),
            initials: initials(&comment.author),
            place: match (&comment.answers, &comment.prompt_id, comment.line) {
                (Some(_), ..) => String::new(),
                (_, Some(_), Some(line)) => format!("on line {line}"),
                (_, Some(prompt), None) => format!("on {prompt}"),
                _ => String::new(),
            },
            body: comment.body.clone(),
            at: Moment::relative(comment.created_at),
        }
    }
}

/// What is needed to show a talk.
pub(super) struct Talks<'a> {
    pub(super) visitor: &'a Visitor,
    pub(super) set: &'a SetAt,
    pub(super) view: &'a ReviewView,
    pub(super) asked: &'a Asked,
    /// Of the page.
    pub(super) href: &'a str,
}

impl Talks<'_> {
    fn talk(&self, first: &ReviewComment) -> TalkView {
        let after = self.view.comments.iter().filter(|one| one.answers.as_ref() == Some(&first.id));
        let prompt = first.prompt_id.as_deref().unwrap_or_default();
        let mut words: String = first.body.chars().take(FIRST_WORDS).collect();
        if words.len() < first.body.len() {
            words.push('…');
        }
        TalkView {
            first: CommentView::of(first),
            answers: after.map(CommentView::of).collect(),
            settled: first.settled_at.map(|at| SettledView {
                by: first.settled_by.clone().unwrap_or_default(),
                at: Moment::relative(at),
                words,
            }),
            may_settle: may_settle(&self.visitor.actor, self.set, &self.view.review, first),
            href: format!(
                "{}?prompt={}&line={}&answers={}#say-line",
                self.href,
                encoded(prompt),
                first.line.unwrap_or_default(),
                first.id
            ),
            form: self.asked.answers == first.id,
            id: first.id.clone(),
        }
    }

    /// The differences with what was said beside their lines; and what was said to nothing that is shown.
    pub(super) fn beside(&self, diffs: Vec<Diff>) -> (Vec<DiffView>, Vec<TalkView>) {
        let mut left: Vec<&ReviewComment> =
            self.view.comments.iter().filter(|one| one.answers.is_none()).collect();
        let shown = diffs.into_iter().map(|diff| self.diff(diff, &mut left)).collect();
        (shown, left.into_iter().map(|one| self.talk(one)).collect())
    }

    fn diff(&self, diff: Diff, left: &mut Vec<&ReviewComment>) -> DiffView {
        let title = diff.title.clone();
        let here = self.asked.answers.is_empty() && self.asked.prompt == title;
        let mine = |c: &ReviewComment| c.prompt_id.as_deref() == Some(title.as_str());
        let mut take = |fits: &dyn Fn(&ReviewComment) -> bool| -> Vec<TalkView> {
            let (found, rest): (Vec<_>, Vec<_>) = left.iter().copied().partition(|c| mine(c) && fits(c));
            *left = rest;
            found.into_iter().map(|one| self.talk(one)).collect()
        };
        let mut rows = Vec::with_capacity(diff.rows.len());
        for row in diff.rows {
            let line = row.new_number.and_then(|n| i64::try_from(n).ok());
            rows.push(RowView {
                href: line.map(|n| format!("{}?prompt={}&line={n}#say-line", self.href, encoded(&title))),
                talks: line.map_or_else(Vec::new, |line| take(&|c: &ReviewComment| c.line == Some(line))),
                form: here && line.is_some_and(|line| line == self.asked.line()),
                row,
            });
        }
        let talks = take(&|_: &ReviewComment| true);
        let part = self.part(&diff.title, diff.note);
        DiffView {
            form: here && self.asked.line() == 0,
            kind: part.map_or("", |part| part.item.as_str()),
            seen: part.is_some_and(|part| part.seen),
            note: diff.note,
            note_state: diff.note_state,
            plus: diff.plus,
            minus: diff.minus,
            rows,
            facts: diff.facts,
            talks,
            title,
        }
    }

    /// What can be ticked as seen under this title.
    fn part(&self, title: &str, note: Option<&str>) -> Option<&Part> {
        let kind = if note.is_some_and(|note| note.contains("partial")) { "partial" } else { "prompt" };
        self.view.parts.iter().find(|part| part.name == title && part.item.as_str() == kind)
    }
}
