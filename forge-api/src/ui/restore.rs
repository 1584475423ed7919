//! Asks before a whole draft becomes what a version was, and says what that writes.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect};
use serde::{Deserialize, Serialize};

use super::address::{Path, Query};
use super::editor::{base, may_change};
use super::engine;
use super::fault::{PageResult, beside_form};
use super::form::Form;
use super::new::{Pair, pair};
use super::view::{Action as Way, Callout, count, encoded};
use super::visitor::Visitor;
use crate::auth::Action;
use crate::author::plan::Change;
use crate::author::restore::{Taken, Touched};
use crate::author::{self, Item, Restored, SetAt};
use crate::state::AppState;

/// Most names of one kind that the page shows.
const SHOWN_MAX: usize = 100;

type SetPath = Path<(String, String, String)>;

#[derive(Debug, Serialize)]
struct Page {
    title: String,
    action: String,
    back: String,
    compare: String,
    version: String,
    /// Digest of the draft that is shown: another one is not overwritten unseen.
    draft_digest: String,
    may_restore: bool,
    problem: Option<Callout>,
    /// Nothing is to be done, or it cannot be done now.
    hindered: Option<Callout>,
    facts: Vec<Pair>,
}

/// Which version.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    version: String,
}

/// The way to this page, for who may edit the set.
pub(super) fn href(visitor: &Visitor, set: &SetAt, version: &str) -> Option<String> {
    let may = set.at.lets(&visitor.actor, Action::Edit) && !set.is_archived();
    may.then(|| format!("{}/-/restore?version={}", base(set), encoded(version)))
}

/// `GET /{organisation}/{project}/{set}/-/restore?version=…`.
pub(super) async fn get_restore(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): SetPath,
    Query(asked): Query<Asked>,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    show(&state, &visitor, &set, &asked.version, None).await
}

/// `POST /{organisation}/{project}/{set}/-/restore`.
pub(super) async fn post_restore(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): SetPath,
    form: Form,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    let (version, seen) = (form.get("version"), Some(form.get("draft_digest")));
    match author::restore_version(&state, &visitor.actor, &set, version, seen).await {
        Ok(done) => {
            let said = format!("?restored={}", encoded(&done.version));
            let first = author::first_prompt(&state, &visitor.actor, &set).await?;
            let to = first.map_or_else(|| base(&set), |first| format!("{}/{first}{said}", base(&set)));
            Ok(Redirect::to(&to).into_response())
        }
        Err(error) => {
            let (status, why) = beside_form(error)?;
            let problem = Callout::bad("Not restored.", format!("{why} Nothing was changed."));
            show(&state, &visitor, &set, version, Some((status, problem))).await
        }
    }
}

async fn show(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    version: &str,
    refused: Option<(StatusCode, Callout)>,
) -> PageResult {
    let plan = author::restoration(state, &visitor.actor, set, version).await?;
    let number = encoded(&plan.version);
    let back = format!("{}/-/versions/{number}", base(set));
    let (status, problem) =
        refused.map_or((StatusCode::OK, None), |(status, problem)| (status, Some(problem)));
    let page = Page {
        title: format!("Restore {} {}", set.set.slug, plan.version),
        action: format!("{}/-/restore", base(set)),
        compare: format!("{}/-/compare?from=draft&to={number}", base(set)),
        draft_digest: plan.draft_digest.to_string(),
        may_restore: plan.writes() && may_change(visitor, set),
        problem,
        hindered: hindered(visitor, set, &plan),
        facts: facts(&plan),
        version: plan.version,
        back: back.clone(),
    };
    let frame = visitor
        .in_project(&set.at)
        .crumb(&set.set.name, base(set))
        .crumb("Versions", format!("{}/-/versions", base(set)))
        .crumb(&page.version, back)
        .titled("Restore", "sets")
        .narrow();
    Ok(engine::page(status, "restore.html", &frame, &page))
}

/// Why there is no button, and the way to one.
fn hindered(visitor: &Visitor, set: &SetAt, plan: &Restored) -> Option<Callout> {
    if !plan.writes() {
        let text = match plan.dependencies.is_empty() {
            true => "The draft is what this version was.",
            false => "The draft is what this version was, but for what other sets have new.",
        };
        return Some(Callout::ok("There is nothing to restore.", text));
    }
    if may_change(visitor, set) {
        return None;
    }
    let (title, text, way) = match set.set.state.as_str() {
        _ if set.is_archived() => {
            ("This is archived.", "Restore it in its settings before its draft is changed.", None)
        }
        "review" => (
            "The set is in REVIEW.",
            "Return it to EDITING before its draft is changed.",
            Some("Open the review"),
        ),
        _ => (
            "The set is LOCKED.",
            "Press Edit again before its draft is changed; what is published stays as it is.",
            Some("Edit again"),
        ),
    };
    let mut callout = Callout { state: "warn", icon: "lock", ..Callout::info(title, text) };
    callout.actions = way
        .map(|text| Way { text: text.to_owned(), href: format!("{}/-/lock", base(set)) })
        .into_iter()
        .collect();
    Some(callout)
}

/// What is written, and what stays.
fn facts(plan: &Restored) -> Vec<Pair> {
    let lists = [("Added", &plan.added), ("Changed", &plan.changed), ("Archived", &plan.archived)];
    let mut facts: Vec<Pair> = lists.into_iter().map(|(name, all)| pair(name, named(all))).collect();
    let unchanged = count(plan.unchanged as u64, "prompt or partial", "prompts and partials");
    facts.push(pair("Unchanged", if plan.unchanged == 0 { "nothing".to_owned() } else { unchanged }));
    facts.extend(plan.dependencies.iter().map(|one| pair("Takes partials from", taken(one))));
    facts
}

/// `2: welcome.message, partial tone`.
fn named(all: &[Touched]) -> String {
    if all.is_empty() {
        return "nothing".to_owned();
    }
    let one = |one: &Touched| {
        let kind = if one.item == Item::Partial { "partial " } else { "" };
        let from = one.from.as_ref().map(|from| format!(" (now {from})")).unwrap_or_default();
        format!("{kind}{}{from}", one.name)
    };
    let names = all.iter().take(SHOWN_MAX).map(one).collect::<Vec<_>>().join(", ");
    let more = match all.len().saturating_sub(SHOWN_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}: {names}{more}", all.len())
}

/// `brand ^1.2 again; that is 1.3.0 now, and was 1.2.0`.
fn taken(one: &Taken) -> String {
    let (set, range) = (&one.set, &one.requirement);
    let what = match one.change {
        Change::New => format!("{set} {range} again"),
        Change::Removed => format!("{set} no more"),
        Change::Changed => format!("{set} by {range}"),
        _ => format!("{set} {range}, as now"),
    };
    match (&one.now, &one.was) {
        (Some(now), Some(was)) if now != was => {
            format!("{what}; that is {now} now, and was {was}: ask for ={was} to have what was")
        }
        _ => what,
    }
}
