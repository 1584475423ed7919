//! The versions of a set: each where it is live, and the ways to compare and publish it.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;

use super::editor::base;
use super::engine;
use super::fault::PageResult;
use super::view::{Moment, bytes, encoded, short};
use super::visitor::Visitor;
use crate::auth::Action;
use crate::author;
use crate::lock;
use crate::publish;
use crate::state::AppState;

#[derive(Debug, Serialize)]
struct VersionsPage {
    base: String,
    set: String,
    may_publish: bool,
    rows: Vec<VersionRow>,
}

#[derive(Debug, Serialize)]
struct VersionRow {
    version: String,
    note: Option<&'static str>,
    live: Vec<String>,
    size: String,
    digest: String,
    digest_short: String,
    at: Moment,
    by: String,
    compare: String,
    publish: String,
}

/// `GET /{organisation}/{project}/{set}/-/versions`.
pub(super) async fn get_versions(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): Path<(String, String, String)>,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    let versions = lock::versions(&state, &visitor.actor, &set).await?;
    let mut live = Vec::new();
    for environment in author::environments(&state, &visitor.actor, &set.at).await? {
        if let Some(full) = publish::live(&state, &visitor.actor, &set, &environment).await? {
            live.push((environment.slug, full.version.id));
        }
    }
    let base = base(&set);
    let rows = versions
        .into_iter()
        .map(|v| {
            let number = encoded(&v.version);
            VersionRow {
                note: (v.kind != "locked").then_some("snapshot of a draft"),
                live: live.iter().filter(|(_, id)| *id == v.id).map(|(e, _)| e.clone()).collect(),
                size: bytes(v.size.unsigned_abs()),
                digest_short: short(&v.digest),
                digest: v.digest,
                at: Moment::relative(v.created_at),
                by: v.author,
                compare: format!("{base}/-/compare?from={number}&to=draft"),
                publish: format!("{base}/-/publish?version={number}"),
                version: v.version,
            }
        })
        .collect();
    let page = VersionsPage {
        set: set.set.slug.clone(),
        may_publish: set.at.lets(&visitor.actor, Action::Publish),
        rows,
        base: base.clone(),
    };
    let frame = visitor.in_project(&set.at).crumb(&set.set.slug, base).titled("Versions", "sets");
    Ok(engine::page(StatusCode::OK, "versions.html", &frame, &page))
}
