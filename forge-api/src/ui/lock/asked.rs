//! What the page that locks says of reviews: the one that the set is in, what of the last one is open, and who can be
//! asked.

use serde::Serialize;

use crate::auth::Action;
use crate::author::{Draft, SetAt};
use crate::error::Result;
use crate::review;
use crate::state::AppState;
use crate::ui::editor::base;
use crate::ui::form::Form;
use crate::ui::view::{Action as Way, Callout, Choice};
use crate::ui::visitor::Visitor;

/// The review that the set is in.
#[derive(Debug, Serialize)]
pub(super) struct Review {
    href: String,
    text: String,
    approved: bool,
    may_approve: bool,
    /// Comments that are not settled: a warning, nothing more.
    unsettled: Option<String>,
}

/// The review of a set in REVIEW: who asked, and whether exactly this draft is approved.
pub(super) async fn review_of(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    draft: &Draft,
) -> Result<Option<Review>> {
    if set.set.state != "review" {
        return Ok(None);
    }
    let reviews = review::list(state, &visitor.actor, set).await?;
    let open = match reviews.first() {
        Some(r) => review::find(state, &visitor.actor, set, r.number).await?.unsettled,
        None => 0,
    };
    Ok(reviews.first().map(|r| {
        let approved = r.state == "approved" && r.digest == draft.digest.to_string();
        Review {
            href: format!("{}/-/reviews/{}", base(set), r.number),
            text: match approved {
                true => format!("{} asked for it; this draft is approved and can be locked.", r.requested_by),
                false => format!(
                    "{} asked for it. Somebody else has to approve this draft before it is locked.",
                    r.requested_by
                ),
            },
            unsettled: match open {
                0 => None,
                1 => Some("1 comment is not settled.".to_owned()),
                n => Some(format!("{n} comments are not settled.")),
            },
            approved,
            may_approve: !approved
                && r.requested_by_id != visitor.actor.user_id
                && set.at.lets(&visitor.actor, Action::Review),
        }
    }))
}

/// That comments of the last review are not settled, while its set is edited again: a warning, nothing more.
pub(super) async fn open_comments(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
) -> Result<Option<Callout>> {
    if set.set.state != "editing" {
        return Ok(None);
    }
    let reviews = review::list(state, &visitor.actor, set).await?;
    let Some(last) = reviews.first().filter(|last| last.state != "locked") else { return Ok(None) };
    let open = review::find(state, &visitor.actor, set, last.number).await?.unsettled;
    if open == 0 {
        return Ok(None);
    }
    let mut callout = Callout {
        state: "warn",
        ..Callout::bad(
            if open == 1 {
                "1 comment is not settled.".to_owned()
            } else {
                format!("{open} comments are not settled.")
            },
            "It was said in the last review. Look at it before you lock.",
        )
    };
    let href = format!("{}/-/reviews/{}", base(set), last.number);
    callout.actions.push(Way { text: format!("Open review {}", last.number), href });
    Ok(Some(callout))
}

/// Who can be asked to review.
pub(super) async fn people(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    form: &Form,
) -> Result<Vec<Choice>> {
    let chosen = form.all("reviewer");
    let found = review::candidates(state, &visitor.actor, &set.at).await?;
    let others = found.into_iter().filter(|(id, _)| *id != visitor.actor.user_id);
    Ok(others.map(|(value, text)| Choice { chosen: chosen.contains(&value.as_str()), value, text }).collect())
}
