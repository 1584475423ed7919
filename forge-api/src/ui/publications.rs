//! The publications of a project, newest first.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::address::{Path, Query};
use super::engine;
use super::fault::PageResult;
use super::publication::Stage;
use super::view::{Moment, encoded};
use super::visitor::Visitor;
use crate::overview;
use crate::publish;
use crate::state::AppState;

/// Publications of one page.
const LIST: i64 = 50;

#[derive(Debug, Serialize)]
struct ListPage {
    rows: Vec<ListRow>,
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct ListRow {
    href: String,
    number: i64,
    set: String,
    version: String,
    environment: String,
    stage: Stage,
    serial: i64,
    by: String,
    at: Moment,
}

/// Where a list goes on.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Before {
    before: Option<i64>,
}

/// `GET /{organisation}/{project}/-/publications`.
pub(super) async fn get_publications(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p)): Path<(String, String)>,
    Query(Before { before }): Query<Before>,
) -> PageResult {
    let at = visitor.project(&state, &o, &p).await?;
    let found = publish::list(&state, &visitor.actor, &at, publish::Only::default(), before, LIST).await?;
    let overview = overview::project(&state, &visitor.actor, &at).await?;
    let is_head = |id: &str| overview.sets.iter().any(|s| s.live.iter().any(|l| l.full.publication.id == id));
    let last = found.last().map(|f| f.publication.number).filter(|n| found.len() == LIST as usize && *n > 1);
    let rows = found
        .into_iter()
        .map(|f| ListRow {
            href: format!("/{o}/{p}/-/publications/{}", f.publication.number),
            number: f.publication.number,
            set: f.set.slug,
            version: f.version.version,
            environment: f.environment.slug,
            stage: Stage::of(&f.publication, !is_head(&f.publication.id)),
            serial: f.publication.serial,
            by: f.publication.published_by,
            at: Moment::relative(f.publication.created_at),
        })
        .collect();
    let page = ListPage { rows, next: last.map(|n| format!("/{o}/{p}/-/publications?before={n}")) };
    let frame = visitor
        .in_project(&at)
        .titled("Publications", "publications")
        .following(encoded(&format!("project/{o}/{p}")));
    Ok(engine::page(StatusCode::OK, "publications.html", &frame, &page))
}
