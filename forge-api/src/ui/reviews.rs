//! The queue of an organisation: what waits for me, what of mine waits, and all that is open.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::engine;
use super::fault::PageResult;
use super::view::Moment;
use super::visitor::Visitor;
use crate::review::{self, Queued};
use crate::state::AppState;

#[derive(Debug, Serialize)]
struct Page {
    href: String,
    show: &'static str,
    mine: usize,
    asked: usize,
    all: usize,
    rows: Vec<Row>,
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
    approvals: usize,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    show: String,
}

impl Row {
    fn of(one: &Queued) -> Self {
        let (organisation, project) = (&one.at.organisation.slug, &one.at.project.slug);
        let (set, review) = (&one.set.slug, &one.review);
        Self {
            href: format!("/{organisation}/{project}/{set}/-/reviews/{}", review.number),
            title: match review.title.as_str() {
                "" => format!("Review {} of {set}", review.number),
                title => title.to_owned(),
            },
            place: format!("{project} / {set}"),
            by: review.requested_by.clone(),
            at: Moment::relative(review.requested_at),
            state: if review.state == "approved" { "approved" } else { "review" },
            word: if review.state == "approved" { "approved" } else { "open" },
            reviewers: one.reviewers.join(", "),
            approvals: one.approvals,
        }
    }
}

/// `GET /{organisation}/-/reviews?show=mine|asked|all`.
pub(super) async fn get_reviews(
    visitor: Visitor,
    State(state): State<AppState>,
    Path(o): Path<String>,
    Query(asked): Query<Asked>,
) -> PageResult {
    let organisation = visitor.visit(&o)?;
    let queue = review::queue(&state, &visitor.actor, std::slice::from_ref(organisation)).await?;
    let count = |fits: fn(&Queued) -> bool| queue.iter().filter(|one| fits(one)).count();
    let show = match asked.show.as_str() {
        "asked" => "asked",
        "all" => "all",
        _ => "mine",
    };
    let shown = queue.iter().filter(|one| match show {
        "mine" => one.for_me,
        "asked" => one.by_me,
        _ => true,
    });
    let page = Page {
        href: format!("/{o}/-/reviews"),
        show,
        mine: count(|one| one.for_me),
        asked: count(|one| one.by_me),
        all: queue.len(),
        rows: shown.map(Row::of).collect(),
    };
    let frame = visitor.in_organisation(organisation).titled("Reviews", "reviews");
    Ok(engine::page(StatusCode::OK, "reviews.html", &frame, &page))
}
