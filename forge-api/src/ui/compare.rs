//! Two states of a set, word by word: the draft, versions, what is live, and what it was after each save.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect};
use serde::{Deserialize, Serialize};

use super::address::{Path, Query};
use super::diff::Diff;
use super::editor::{base, sentence};
use super::engine;
use super::fault::PageResult;
use super::view::{Action as Way, Choice, encoded, written};
use super::visitor::Visitor;
use crate::alias;
use crate::auth::Action;
use crate::author::history::{self, PastState};
use crate::author::{self, SetAt};
use crate::clock;
use crate::compare::{self, AT, Changes, LIVE, SAVE, Stated};
use crate::database::version::Version;
use crate::error::{ApiError, Result};
use crate::lock;
use crate::publish;
use crate::state::AppState;

/// Most versions, and most saves, to choose from: the newest. Of the others, the address is written.
const CHOICES_MAX: usize = 50;

#[derive(Debug, Serialize)]
struct ComparePage {
    base: String,
    set: String,
    /// Both sides in words.
    sides_text: String,
    summary: String,
    may_lock: bool,
    /// The version that the draft is held against can be restored.
    restore: Option<Way>,
    sides: Vec<SideView>,
    view: &'static str,
    /// Addresses of the same in the one and the other view, and the other way round.
    split: String,
    inline: String,
    swap: String,
    /// Both sides are there to be compared.
    found: bool,
    reasons: Vec<ReasonView>,
    diffs: Vec<Diff>,
    more: Option<String>,
}

/// One side: what it is, and what else it could be.
#[derive(Debug, Serialize)]
struct SideView {
    /// `from` or `to`.
    name: &'static str,
    label: &'static str,
    groups: Vec<Group>,
    /// What was typed, where it leads nowhere.
    typed: String,
    error: Option<String>,
}

/// States of one kind.
#[derive(Debug, Clone, Serialize)]
struct Group {
    label: &'static str,
    choices: Vec<Choice>,
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

/// Which two states, and how they stand. What is typed goes before what is chosen.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Pair {
    #[serde(default)]
    from: String,
    #[serde(default)]
    from_address: String,
    #[serde(default)]
    to: String,
    #[serde(default)]
    to_address: String,
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
    if let Some((part, number)) = name.split_once(SAVE) {
        return format!("{part}, revision {number}");
    }
    match (name.strip_prefix(AT), name.strip_prefix(LIVE)) {
        _ if name == publish::DRAFT => "draft".to_owned(),
        _ if name.is_empty() => "nothing".to_owned(),
        (Some(time), _) => clock::parse(time)
            .map_or_else(|| time.to_owned(), |at| written(at, "as of %-d %b %Y, %H:%M:%S UTC")),
        (_, Some(environment)) => format!("live in {environment}"),
        _ => name.to_owned(),
    }
}

fn choice(value: String, text: String) -> Choice {
    Choice { value, text, chosen: false }
}

/// How a save is called among the choices.
fn saved(one: &PastState) -> Choice {
    let (part, number) = (&one.part.name, one.part.revision);
    let what = match (&one.part.renamed_from, one.part.gone, one.part.count) {
        (Some(from), ..) => format!("{from} renamed to {part}"),
        (_, true, _) => format!("{part} taken out"),
        (_, _, 1) => format!("{part}, revision {number}"),
        (_, _, n) => format!("{part} and {} more", n - 1),
    };
    let text = format!("{} · {what}, {}", written(one.at, "%-d %b, %H:%M:%S"), one.part.author);
    choice(format!("{AT}{}", clock::rfc3339(one.at)), text)
}

/// Everything that can be chosen.
async fn choices(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    versions: &[Version],
) -> Result<Vec<Group>> {
    let actor = &visitor.actor;
    let mut live = Vec::new();
    for environment in author::environments(state, actor, &set.at).await? {
        if let Some(full) = publish::live(state, actor, set, &environment).await? {
            let slug = &environment.slug;
            live.push(choice(format!("{LIVE}{slug}"), format!("{slug}: {}", full.version.version)));
        }
    }
    let names = alias::list(state, actor, set).await?;
    let names =
        names.iter().map(|one| choice(one.name.clone(), format!("{}: {}", one.name, one.version.version)));
    let limit = i64::try_from(CHOICES_MAX).unwrap_or(i64::MAX);
    let past = history::states(state, actor, set, None, limit).await?;
    let numbers = versions.iter().take(CHOICES_MAX).map(|v| choice(v.version.clone(), v.version.clone()));
    let groups = [
        ("Now", vec![choice(publish::DRAFT.to_owned(), "draft".to_owned())]),
        ("Live", live),
        ("Names", names.take(CHOICES_MAX).collect()),
        ("Versions, the newest first", numbers.collect()),
        ("Saves, the newest first", past.iter().map(saved).collect()),
    ];
    let groups = groups.into_iter().map(|(label, choices)| Group { label, choices });
    Ok(groups.filter(|group| !group.choices.is_empty()).collect())
}

/// One side of the form: what is chosen stands among the choices.
fn side(name: &'static str, groups: &[Group], chosen: &str, error: Option<String>) -> SideView {
    let mut groups = groups.to_vec();
    let mut known = false;
    for one in groups.iter_mut().flat_map(|group| &mut group.choices) {
        one.chosen = one.value == chosen && !known;
        known |= one.chosen;
    }
    if !known && error.is_none() {
        let one = Choice { value: chosen.to_owned(), text: called(chosen), chosen: true };
        groups.insert(0, Group { label: "Chosen", choices: vec![one] });
    }
    SideView {
        name,
        label: if name == "from" { "From" } else { "To" },
        groups,
        typed: error.as_ref().map_or(String::new(), |_| chosen.to_owned()),
        error,
    }
}

/// A state, or why there is none by this name.
async fn read(
    state: &AppState,
    visitor: &Visitor,
    set: &SetAt,
    name: &str,
) -> Result<std::result::Result<Stated, String>> {
    match compare::stated(state, &visitor.actor, set, name).await {
        Ok(found) => Ok(Ok(found)),
        Err(ApiError::NotFound("publication")) => Ok(Err(format!("Nothing is {}.", called(name)))),
        Err(ApiError::NotFound(what)) => Ok(Err(format!("There is no such {what}."))),
        Err(ApiError::Invalid { detail, .. } | ApiError::Conflict { detail, .. }) => {
            Ok(Err(sentence(&detail)))
        }
        Err(error) => Err(error),
    }
}

/// What was typed, or else what was chosen.
fn wanted(typed: &str, chosen: String) -> String {
    match typed.trim() {
        "" => chosen,
        typed => typed.to_owned(),
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
    let to = wanted(&pair.to_address, if pair.to.is_empty() { publish::DRAFT.to_owned() } else { pair.to });
    let from = match wanted(&pair.from_address, pair.from) {
        empty if empty.is_empty() => highest.as_ref().map(|(v, _)| v.version.clone()).unwrap_or_default(),
        from => from,
    };
    let before = read(&state, &visitor, &set, &from).await?;
    let after = read(&state, &visitor, &set, &to).await?;
    let groups = choices(&state, &visitor, &set, &versions).await?;
    let sides = vec![
        side("from", &groups, &from, before.as_ref().err().cloned()),
        side("to", &groups, &to, after.as_ref().err().cloned()),
    ];
    let changes = match (&before, &after) {
        (Ok(before), Ok(after)) => {
            Some(compare::differences(&state, &visitor.actor, &set, before, after).await?)
        }
        _ => None,
    };
    let next = highest.filter(|_| to == publish::DRAFT).map(|(_, number)| number);
    let inline = pair.view == "inline";
    let address = |from: &str, to: &str, view: &str| {
        format!("{}/-/compare?from={}&to={}&view={view}", base(&set), encoded(from), encoded(to))
    };
    let view = if inline { "inline" } else { "split" };
    let found = changes.is_some();
    let restore = if found { restore(&visitor, &set, &versions, (from.as_str(), to.as_str())) } else { None };
    let changes = changes.unwrap_or_default();
    let reasons =
        changes.reasons.iter().filter(|r| r.weight > compare::Weight::Patch).map(ReasonView::of).collect();
    let summary = if found { summary(&changes, next.as_ref()) } else { String::new() };
    let (mut diffs, more) = changes.shown();
    diffs.iter_mut().for_each(|diff| diff.inline = inline);
    let page = ComparePage {
        base: base(&set),
        set: set.set.name.clone(),
        sides_text: format!("{} → {}", called(&from), called(&to)),
        summary,
        may_lock: set.at.lets(&visitor.actor, Action::Lock)
            && set.set.state != "locked"
            && to == publish::DRAFT,
        restore,
        sides,
        view,
        split: address(&from, &to, "split"),
        inline: address(&from, &to, "inline"),
        swap: address(&to, &from, view),
        found,
        reasons,
        diffs,
        more,
    };
    let status = if found { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let frame = visitor.in_project(&set.at).crumb(&set.set.name, base(&set)).titled("Compare", "sets");
    Ok(engine::page(status, "compare.html", &frame, &page))
}

/// The way to make the draft again what a version was, where one side is the draft and the other that version.
fn restore(visitor: &Visitor, set: &SetAt, versions: &[Version], pair: (&str, &str)) -> Option<Way> {
    let number = match pair {
        (publish::DRAFT, other) | (other, publish::DRAFT) => other,
        _ => return None,
    };
    let version = versions.iter().find(|version| version.version == number)?;
    let href = super::restore::href(visitor, set, &version.version)?;
    Some(Way { text: format!("Restore {number}"), href })
}

/// What differs, in words; `last` is the newest version, where the draft is held against it.
fn summary(changes: &Changes, last: Option<&semver::Version>) -> String {
    if changes.why.is_empty() {
        return changes.sentence();
    }
    let next =
        last.map_or(String::new(), |last| format!(" The proposed version is {}.", changes.next(Some(last))));
    format!("{} What matters most to callers: {}.{next}", changes.sentence(), changes.why)
}
