//! What the page of a review shows, and what the visitor may do there.

use serde::Serialize;

use super::Asked;
use super::talk::{DiffView, TalkView, Talks};
use crate::auth::Action;
use crate::author::SetAt;
use crate::compare::diff::Diff;
use crate::review::check::Check;
use crate::review::{ReviewView, Verdict};
use crate::ui::editor::{base, sentence};
use crate::ui::view::{Action as Way, Callout, Moment, initials, short};
use crate::ui::visitor::Visitor;

#[derive(Debug, Default, Serialize)]
pub(super) struct Page {
    base: String,
    href: String,
    set: String,
    title: String,
    state: &'static str,
    state_word: String,
    /// How far the set is: 0 EDITING, 1 REVIEW, 2 LOCKED.
    step: usize,
    by: String,
    by_initials: String,
    at: Moment,
    from: Option<String>,
    message: String,
    pub(super) summary: String,
    /// How much of it the visitor ticked.
    seen: Option<String>,
    diffs: Vec<DiffView>,
    pub(super) more: Option<String>,
    /// Comments on nothing that is shown.
    talks: Vec<TalkView>,
    /// How many comments are open.
    unsettled: Option<String>,
    checks: Vec<CheckView>,
    digest: String,
    digest_short: String,
    verdicts: Vec<VerdictView>,
    pub(super) rules: Vec<String>,
    may_comment: bool,
    may_approve: bool,
    may_return: bool,
    may_lock: bool,
    why_not: Option<String>,
    pub(super) typed: String,
    /// Where the comment goes that is being written.
    place: Option<PlaceView>,
    pub(super) problem: Option<Callout>,
    notice: Option<Callout>,
    pub(super) say_error: Option<String>,
}

#[derive(Debug, Serialize)]
struct PlaceView {
    prompt: String,
    line: i64,
    answers: String,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct CheckView {
    state: &'static str,
    says: String,
    details: Vec<String>,
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

impl Page {
    pub(super) fn of(set: &SetAt, view: &ReviewView) -> Self {
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
            unsettled: match view.unsettled {
                0 => None,
                1 => Some("1 comment is not settled.".into()),
                n => Some(format!("{n} comments are not settled.")),
            },
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

    /// Puts comments beside the lines that they are about, and ticks beside what they are of.
    pub(super) fn place(
        &mut self,
        diffs: Vec<Diff>,
        visitor: &Visitor,
        set: &SetAt,
        view: &ReviewView,
        asked: &Asked,
    ) {
        let talks = Talks { visitor, set, view, asked, href: &self.href };
        let (diffs, rest) = talks.beside(diffs);
        let ticked = diffs.iter().filter(|diff| diff.is_ticked());
        self.seen = match (ticked.clone().filter(|diff| diff.seen).count(), ticked.count()) {
            (_, 0) => None,
            (seen, all) => Some(format!("{seen} of {all} seen")),
        };
        (self.diffs, self.talks) = (diffs, rest);
        self.place = (!asked.prompt.is_empty() || !asked.answers.is_empty()).then(|| PlaceView {
            prompt: asked.prompt.clone(),
            line: asked.line(),
            answers: asked.answers.clone(),
        });
    }

    /// What was found out without reading it.
    pub(super) fn checks(&mut self, found: Vec<Check>) {
        let view =
            |one: Check| CheckView { state: one.outcome.as_str(), says: one.says, details: one.details };
        self.checks = found.into_iter().map(view).collect();
    }

    /// What the visitor may do here, where an environment asks for `needed` approvals at most. `own` says why they
    /// cannot approve what is theirs.
    pub(super) fn allow(
        &mut self,
        visitor: &Visitor,
        set: &SetAt,
        view: &ReviewView,
        needed: i64,
        own: Option<&str>,
    ) {
        let may = |action| set.at.lets(&visitor.actor, action);
        let returned = view.review.state == "returned";
        let mine = view.review.requested_by_id == visitor.actor.user_id;
        let said =
            view.verdicts.iter().any(|v| v.user_id == visitor.actor.user_id && v.approved && !v.overtaken);
        let closed = view.review.state == "locked";
        // The approval of an author does not count everywhere.
        let counted = view.verdicts.iter().filter(|v| v.approved && !v.overtaken && !v.by_author).count();
        let enough = i64::try_from(counted).unwrap_or(i64::MAX) >= needed.max(i64::from(!closed));
        self.may_comment = may(Action::Return);
        self.may_approve =
            may(Action::Review) && !returned && !said && !view.void && !enough && own.is_none();
        self.may_lock =
            view.review.state == "approved" && set.set.state == "review" && !view.void && may(Action::Lock);
        self.may_return = may(Action::Return) && !returned && !view.void;
        self.why_not = match () {
            () if returned => {
                Some("Changes were asked for. When they are made, ask for a new review.".into())
            }
            () if view.void => Some("This was edited since, so there is nothing to approve.".into()),
            () if said => Some("You approved exactly this.".into()),
            () if enough && closed => None,
            () if enough => Some("It has the approvals that it needs.".into()),
            () if mine && (own.is_some() || !may(Action::Review)) => {
                Some("You asked for this review. Somebody else has to approve it.".into())
            }
            () => own.map(sentence),
        };
        if view.void && !returned {
            let mut notice = Callout::info(
                "This was edited since.",
                "Approvals are bound to exactly these words, so they are void for what is there now. Ask for a new review.",
            );
            notice.actions.push(Way { text: "Open the draft".into(), href: self.base.clone() });
            self.notice = Some(notice);
        } else if self.may_lock {
            self.notice = Some(Callout::ok("Approved.", "Exactly this can be locked now."));
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
