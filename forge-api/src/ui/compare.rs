//! Two states of a set, word by word: the draft, versions, and what it was at a time of the past.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect};
use serde::{Deserialize, Serialize};

use super::diff::Diff;
use super::editor::base;
use super::engine;
use super::fault::PageResult;
use super::view::{Choice, encoded, written};
use super::visitor::Visitor;
use crate::auth::Action;
use crate::clock;
use crate::compare::{self, AT};
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
    view: &'static str,
    /// Addresses of the same in the one and the other view.
    split: String,
    inline: String,
    reasons: Vec<ReasonView>,
    diffs: Vec<Diff>,
    more: Option<String>,
}

/// One reason for the next version's number.
#[derive(Debug, Serialize)]
pub(super) struct ReasonView {
    pub weight: &'static str,
    pub state: &'static str,
    pub what: String,
}

impl ReasonView {
    pub(super) fn of(reason: &compare::Reason) -> Self {
        let state = match reason.weight {
            compare::Weight::Major => "bad",
            compare::Weight::Minor => "info",
            _ => "waiting",
        };
        Self { weight: reason.weight.as_str(), state, what: reason.what.clone() }
    }
}

/// Which two states, and how they stand.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Pair {
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
    #[serde(default)]
    view: String,
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

/// How a state is called on the page.
fn called(name: &str) -> String {
    match name.strip_prefix(AT) {
        _ if name == publish::DRAFT => "draft".to_owned(),
        _ if name.is_empty() => "nothing".to_owned(),
        Some(time) => clock::parse(time)
            .map_or_else(|| time.to_owned(), |at| written(at, "as of %-d %b %Y, %H:%M:%S UTC")),
        None => name.to_owned(),
    }
}

/// `GET /{organisation}/{project}/{set}/-/compare?from=…&to=…&view=split|inline`.
pub(super) async fn get_compare(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): Path<(String, String, String)>,
    Query(pair): Query<Pair>,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    let versions = lock::versions(&state, &visitor.actor, &set).await?;
    let highest = lock::highest(&versions);
    let to = if pair.to.is_empty() { publish::DRAFT.to_owned() } else { pair.to };
    let from = match pair.from.as_str() {
        "" => highest.as_ref().map(|(v, _)| v.version.clone()).unwrap_or_default(),
        from => from.to_owned(),
    };
    let changes = compare::between(&state, &visitor.actor, &set, &from, &to).await?;
    let choices = |chosen: &str, draft: bool| {
        let mut all: Vec<String> = Vec::new();
        if draft || chosen == publish::DRAFT {
            all.push(publish::DRAFT.to_owned());
        }
        all.extend(versions.iter().map(|v| v.version.clone()).take(VERSIONS_MAX));
        if !all.iter().any(|one| one == chosen) {
            all.insert(0, chosen.to_owned());
        }
        let choice = |value: String| Choice { text: called(&value), chosen: value == chosen, value };
        all.into_iter().map(choice).collect::<Vec<_>>()
    };
    let summary = if changes.why.is_empty() {
        changes.sentence()
    } else {
        format!("{} What matters most to callers: {}.", changes.sentence(), changes.why)
            + &highest.filter(|_| to == publish::DRAFT).map_or(String::new(), |(_, n)| {
                format!(" The proposed version is {}.", changes.next(Some(&n)))
            })
    };
    let inline = pair.view == "inline";
    let address = |view: &str| {
        format!("{}/-/compare?from={}&to={}&view={view}", base(&set), encoded(&from), encoded(&to))
    };
    let reasons =
        changes.reasons.iter().filter(|r| r.weight > compare::Weight::Patch).map(ReasonView::of).collect();
    let (mut diffs, more) = changes.shown();
    diffs.iter_mut().for_each(|diff| diff.inline = inline);
    let page = ComparePage {
        base: base(&set),
        set: set.set.slug.clone(),
        summary,
        may_lock: set.at.lets(&visitor.actor, Action::Lock)
            && set.set.state != "locked"
            && to == publish::DRAFT,
        from: choices(&from, false),
        to: choices(&to, true),
        view: if inline { "inline" } else { "split" },
        split: address("split"),
        inline: address("inline"),
        reasons,
        diffs,
        more,
    };
    let frame = visitor.in_project(&set.at).crumb(&set.set.slug, base(&set)).titled("Compare", "sets");
    Ok(engine::page(StatusCode::OK, "compare.html", &frame, &page))
}
