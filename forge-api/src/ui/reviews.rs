//! The queue of an organisation: what waits for me, what of mine waits, and all; open, or closed.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::address::{Path, Query};
use super::engine;
use super::fault::PageResult;
use super::view::{Moment, encoded};
use super::visitor::Visitor;
use crate::review::{self, Mine, Queued};
use crate::state::AppState;

/// Closed reviews of one page.
const SHOWN: i64 = 50;

#[derive(Debug, Serialize)]
struct Page {
    href: String,
    show: &'static str,
    closed: bool,
    mine: usize,
    asked: usize,
    all: usize,
    rows: Vec<Row>,
    /// Where the list goes on.
    older: Option<String>,
}

#[derive(Debug, Serialize)]
struct Row {
    href: String,
    title: String,
    place: String,
    by: String,
    at: Moment,
    state: &'static str,
    word: &'static str,
    reviewers: String,
    /// How many, and who.
    approvals: String,
    unsettled: usize,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    show: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    before: String,
}

impl Row {
    fn of(one: &Queued) -> Self {
        let (organisation, project) = (&one.at.organisation.slug, &one.at.project.slug);
        let (set, review) = (&one.set.slug, &one.review);
        let (state, word) = match (one.closed, review.state.as_str()) {
            (_, "locked") => ("locked", "locked"),
            (_, "returned") => ("warn", "changes asked for"),
            (true, _) => ("revoked", "edited since"),
            (false, "approved") => ("approved", "approved"),
            (false, _) => ("review", "open"),
        };
        Self {
            href: format!("/{organisation}/{project}/{set}/-/reviews/{}", review.number),
            title: match review.title.as_str() {
                "" => format!("Review {} of {set}", review.number),
                title => title.to_owned(),
            },
            place: format!("{project} / {set}"),
            by: review.requested_by.clone(),
            at: Moment::relative(review.requested_at),
            state,
            word,
            reviewers: one.reviewers.join(", "),
            approvals: match one.approved_by.as_slice() {
                [] => "none".to_owned(),
                names => format!("by {}", names.join(", ")),
            },
            unsettled: one.unsettled,
        }
    }
}

/// `GET /{organisation}/-/reviews?show=mine|asked|all&state=open|closed&before=…`.
pub(super) async fn get_reviews(
    visitor: Visitor,
    State(state): State<AppState>,
    Path(o): Path<String>,
    Query(asked): Query<Asked>,
) -> PageResult {
    let organisation = visitor.visit(&o)?;
    let within = std::slice::from_ref(organisation);
    let queue = review::queue(&state, &visitor.actor, within).await?;
    let count = |fits: fn(&Queued) -> bool| queue.iter().filter(|one| fits(one)).count();
    let (show, mine) = match asked.show.as_str() {
        "asked" => ("asked", Mine::By),
        "all" => ("all", Mine::All),
        _ => ("mine", Mine::Asked),
    };
    let (href, closed) = (format!("/{o}/-/reviews"), asked.state == "closed");
    let (rows, older) = if closed {
        let before = Some(asked.before.as_str()).filter(|before| !before.is_empty());
        let (found, next) = review::closed(&state, &visitor.actor, within, mine, before, SHOWN).await?;
        let older = next.map(|id| format!("{href}?show={show}&state=closed&before={}", encoded(&id)));
        (found.iter().map(Row::of).collect(), older)
    } else {
        let shown = queue.iter().filter(|one| match mine {
            Mine::Asked => one.for_me,
            Mine::By => one.by_me,
            Mine::All => true,
        });
        (shown.map(Row::of).collect(), None)
    };
    let page = Page {
        href,
        show,
        closed,
        mine: count(|one| one.for_me),
        asked: count(|one| one.by_me),
        all: queue.len(),
        rows,
        older,
    };
    let frame = visitor.in_organisation(organisation).titled("Reviews", "reviews");
    Ok(engine::page(StatusCode::OK, "reviews.html", &frame, &page))
}
