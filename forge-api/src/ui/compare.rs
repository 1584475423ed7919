//! Two states of a set side by side, word by word.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect};
use serde::{Deserialize, Serialize};

use super::changes::Changes;
use super::diff::Diff;
use super::editor::base;
use super::engine;
use super::fault::PageResult;
use super::lock::{Content, newest};
use super::view::{Choice, encoded};
use super::visitor::Visitor;
use crate::auth::Action;
use crate::author::{self, SetAt};
use crate::error::ApiError;
use crate::lock;
use crate::publish;
use crate::state::AppState;

/// Most versions to choose from.
const VERSIONS_MAX: usize = 100;

#[derive(Debug, Serialize)]
struct ComparePage {
    base: String,
    set: String,
    summary: String,
    may_lock: bool,
    from: Vec<Choice>,
    to: Vec<Choice>,
    diffs: Vec<Diff>,
    more: Option<String>,
}

/// Which two states.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Pair {
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
}

/// `GET /{organisation}/{project}/{set}/-/compare/{from}...{to}`, the address to send to somebody.
pub(super) async fn get_compare_address(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s, pair)): Path<(String, String, String, String)>,
) -> PageResult {
    visitor.set(&state, &o, &p, &s).await?;
    let (from, to) = pair.split_once("...").ok_or(ApiError::NotFound("page"))?;
    let (from, to) = (encoded(from), encoded(to));
    Ok(Redirect::to(&format!("/{o}/{p}/{s}/-/compare?from={from}&to={to}")).into_response())
}

/// `GET /{organisation}/{project}/{set}/-/compare?from=…&to=…`.
pub(super) async fn get_compare(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): Path<(String, String, String)>,
    Query(pair): Query<Pair>,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    let versions = lock::versions(&state, &visitor.actor, &set).await?;
    let to = if pair.to.is_empty() { publish::DRAFT.to_owned() } else { pair.to };
    let from = match pair.from.as_str() {
        "" => newest(&versions).map(|(v, _)| v.version.clone()),
        from => Some(from.to_owned()),
    };
    let before = match &from {
        Some(from) => content(&state, &visitor, &set, from).await?,
        None => Content::default(),
    };
    let after = content(&state, &visitor, &set, &to).await?;
    let changes = Changes::between(before.side(), after.side());
    let choice = |value: &str, chosen: &str| Choice {
        value: value.to_owned(),
        text: if value == publish::DRAFT { "draft".to_owned() } else { value.to_owned() },
        chosen: value == chosen,
    };
    let all = || versions.iter().map(|v| v.version.as_str()).take(VERSIONS_MAX);
    let chosen_from = from.clone().unwrap_or_default();
    let summary = if changes.why.is_empty() {
        changes.sentence()
    } else {
        let newest = newest(&versions);
        format!("{} What matters most to callers: {}.", changes.sentence(), changes.why)
            + &newest.filter(|_| to == publish::DRAFT).map_or(String::new(), |(_, n)| {
                format!(" The proposed version is {}.", changes.next(Some(&n)))
            })
    };
    let mut from_choices: Vec<Choice> = all().map(|v| choice(v, &chosen_from)).collect();
    if from.is_none() {
        from_choices.insert(0, Choice { value: String::new(), text: "nothing".into(), chosen: true });
    }
    let (diffs, more) = changes.shown();
    let page = ComparePage {
        base: base(&set),
        set: set.set.slug.clone(),
        summary,
        may_lock: set.at.lets(&visitor.actor, Action::Lock)
            && set.set.state != "locked"
            && to == publish::DRAFT,
        from: from_choices,
        to: std::iter::once(publish::DRAFT).chain(all()).map(|v| choice(v, &to)).collect(),
        diffs,
        more,
    };
    let frame = visitor.in_project(&set.at).crumb(&set.set.slug, base(&set)).titled("Compare", "sets");
    Ok(engine::page(StatusCode::OK, "compare.html", &frame, &page))
}

async fn content(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    version: &str,
) -> Result<Content, ApiError> {
    if version == publish::DRAFT {
        return Ok(Content::of_draft(&author::draft(state, &visitor.actor, set).await?));
    }
    let found = lock::find_version(state, &visitor.actor, set, version).await?;
    Content::of_version(state, &visitor.actor, set, &found).await
}
