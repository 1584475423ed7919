//! The audit log of an organisation.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures::Stream;
use schemas::Micros;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::address::{Path, Query};
use super::engine;
use super::fault::{Fault, PageResult};
use super::view::{Callout, Choice, Field, Moment, count, encoded, grouped, initials, short, written};
use super::visitor::Visitor;
use crate::audit::{self, ACTIONS, Asked, Chain, Checked};
use crate::clock;
use crate::database::audit::AuditEntry;
use crate::database::organisation::Organisation;
use crate::error::ApiError;
use crate::state::AppState;

/// Entries of one page.
const PAGE: i64 = 100;
/// A page waits so long for a check of the chain; a long chain is checked behind it.
const CHECK: Duration = Duration::from_secs(1);
const NO_TIME: &str = "This is no time. Write one such as 2027-01-31T12:00:00.";
const NO_SPAN: &str = "It lies after the end. Choose an earlier one.";
const NO_PROJECT: &str =
    "There is no such project here. Write its name as it stands in addresses, such as support.";

#[derive(Debug, Serialize)]
struct Page {
    action: String,
    q: String,
    actor: Field,
    project: Field,
    since: Field,
    until: Field,
    actions: Vec<Choice>,
    /// A word of the address that is no action.
    no_action: bool,
    /// Filters that are on beside the words.
    narrowed: bool,
    /// What was refused, and everything, of what the filters leave.
    refused: String,
    cleared: String,
    chain: Option<Callout>,
    days: Vec<Day>,
    range: String,
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct Day {
    day: String,
    entries: Vec<Entry>,
}

#[derive(Debug, Serialize)]
struct Entry {
    at: Moment,
    who: String,
    initials: String,
    did: String,
    refused: bool,
    what: String,
}

/// What of the log is asked for, as it was typed.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(super) struct Filters {
    before: Option<i64>,
    q: String,
    actor: String,
    action: String,
    project: String,
    since: String,
    until: String,
}

/// What is wrong with a filter, beside its field.
#[derive(Debug, Default)]
struct Wrong {
    action: bool,
    project: Option<String>,
    since: Option<String>,
    until: Option<String>,
}

impl Wrong {
    fn is_none(&self) -> bool {
        !self.action && [&self.project, &self.since, &self.until].iter().all(|why| why.is_none())
    }
}

impl Filters {
    /// The address of the same list with something else in it; it begins with the newest unless that is said.
    fn with(&self, action: &str, change: impl FnOnce(&mut Self)) -> String {
        let mut other = Self { before: None, ..self.clone() };
        change(&mut other);
        let before = other.before.map(|before| before.to_string()).unwrap_or_default();
        let fields = [
            ("before", &before),
            ("q", &other.q),
            ("actor", &other.actor),
            ("action", &other.action),
            ("project", &other.project),
            ("since", &other.since),
            ("until", &other.until),
        ];
        let given = fields.iter().filter(|(_, value)| !value.is_empty());
        let query: Vec<String> = given.map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        if query.is_empty() { action.to_owned() } else { format!("{action}?{}", query.join("&")) }
    }

    fn is_narrow(&self) -> bool {
        let all = [&self.actor, &self.action, &self.project, &self.since, &self.until];
        all.iter().any(|filter| !filter.trim().is_empty())
    }

    /// Every action, as `prompt: saved`.
    fn actions(&self) -> Vec<Choice> {
        let choice = |value: &str, text: String| Choice {
            value: value.into(),
            text,
            chosen: value == self.action.trim(),
        };
        let named = |action: &str| action.replace('_', " ").replacen('.', ": ", 1);
        let all = ACTIONS.iter().map(|action| choice(action, named(action)));
        std::iter::once(choice("", "Anything".into())).chain(all).collect()
    }
}

/// A time as a field gives it, in UTC, or as RFC 3339 writes it.
fn time(text: &str) -> Option<Micros> {
    let text = text.trim();
    ["", "Z", ":00Z", "T00:00:00Z"].iter().find_map(|end| clock::parse(&format!("{text}{end}")))
}

/// The field of a time, in UTC to the second, with what is wrong with it.
fn moment(id: &'static str, label: &'static str, typed: &str, wrong: Option<String>) -> Field {
    let field = match time(typed) {
        Some(at) => Field::text(id, label, written(at, "%Y-%m-%dT%H:%M:%S")),
        // A field of times would throw away what it cannot read, and nobody could mend it.
        None if !typed.trim().is_empty() => return Field::text(id, label, typed).error(wrong),
        None => Field::text(id, label, ""),
    };
    Field { kind: "datetime-local", ..field }.error(wrong)
}

/// The entries that the filters leave; or none, and what is wrong with them.
async fn entries(
    state: &AppState,
    visitor: &Visitor,
    organisation: &Organisation,
    filters: &Filters,
) -> Result<(Vec<AuditEntry>, Wrong), Fault> {
    let given = |text: &str| !text.trim().is_empty();
    let bad = |text: &str| (given(text) && time(text).is_none()).then(|| NO_TIME.to_owned());
    let mut wrong = Wrong { since: bad(&filters.since), until: bad(&filters.until), ..Wrong::default() };
    if !wrong.is_none() {
        return Ok((Vec::new(), wrong));
    }
    let asked = Asked {
        actor: Some(filters.actor.trim()).filter(|text| given(text)),
        action: Some(filters.action.trim()).filter(|text| given(text)),
        project: Some(filters.project.trim()).filter(|text| given(text)),
        since: time(&filters.since),
        until: time(&filters.until),
    };
    match audit::list(state, &visitor.actor, organisation, &asked, filters.before, PAGE).await {
        Ok(found) => return Ok((found, wrong)),
        Err(ApiError::Invalid { field: Some("action"), .. }) => wrong.action = true,
        Err(ApiError::Invalid { field: Some("since"), .. }) => wrong.since = Some(NO_SPAN.to_owned()),
        Err(ApiError::NotFound("project")) => wrong.project = Some(NO_PROJECT.to_owned()),
        Err(error) => return Err(error.into()),
    }
    Ok((Vec::new(), wrong))
}

/// Entries with every one of these words, by their days; and how many they are.
fn days(entries: &[AuditEntry], q: &str) -> (Vec<Day>, usize) {
    let words: Vec<String> = q.split_whitespace().map(str::to_lowercase).collect();
    let mut days: Vec<Day> = Vec::new();
    let mut shown = 0;
    for row in entries {
        let entry = Entry::of(row);
        let text = format!("{} {} {}", entry.who, entry.did, entry.what).to_lowercase();
        if !words.iter().all(|w| text.contains(w)) {
            continue;
        }
        shown += 1;
        let day = written(row.at, "%-d %B %Y");
        match days.last_mut() {
            Some(last) if last.day == day => last.entries.push(entry),
            _ => days.push(Day { day, entries: vec![entry] }),
        }
    }
    (days, shown)
}

/// `GET /{organisation}/-/audit?q=…&actor=…&action=…&project=…&since=…&until=…&before=…`.
pub(super) async fn get_audit(
    visitor: Visitor,
    State(state): State<AppState>,
    Path(o): Path<String>,
    Query(filters): Query<Filters>,
) -> PageResult {
    let organisation = visitor.organisation(&o).await?.clone();
    let (entries, wrong) = entries(&state, &visitor, &organisation, &filters).await?;
    let chain = match filters.before {
        None => {
            let found = audit::checked(&state, &visitor.actor, &organisation, CHECK).await?;
            Some(found.as_ref().map_or_else(unchecked, check))
        }
        Some(_) => None,
    };
    let status = if wrong.is_none() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let last = entries.last().map(|e| e.sequence).filter(|s| entries.len() == PAGE as usize && *s > 1);
    let (days, shown) = days(&entries, &filters.q);
    let narrowed = filters.is_narrow();
    let fit = if narrowed { " that fit" } else { "" };
    let action = format!("/{o}/-/audit");
    let page = Page {
        actor: Field::text("actor", "Whole name or id", filters.actor.as_str()),
        project: Field::text("project", "Project", filters.project.as_str()).error(wrong.project),
        since: moment("since", "Since (UTC)", &filters.since, wrong.since),
        until: moment("until", "Before (UTC)", &filters.until, wrong.until),
        actions: filters.actions(),
        no_action: wrong.action,
        narrowed,
        refused: filters.with(&action, |f| f.q = "refused".into()),
        cleared: filters.with(&action, |f| *f = Filters { q: f.q.clone(), ..Filters::default() }),
        next: last.map(|before| filters.with(&action, |f| f.before = Some(before))),
        range: format!("{shown} of the last {}{fit}", count(entries.len() as u64, "entry", "entries")),
        q: filters.q,
        chain,
        days,
        action,
    };
    let frame = visitor.in_organisation(&organisation).titled("Audit log", "audit");
    Ok(engine::page(status, "audit.html", &frame, &page))
}

/// `GET /{organisation}/-/audit/export`: the whole chain as a file.
pub(super) async fn get_export(
    visitor: Visitor,
    State(state): State<AppState>,
    Path(o): Path<String>,
) -> PageResult {
    let organisation = visitor.organisation(&o).await?;
    Ok(exported(&o, audit::export(&state, &visitor.actor, organisation)?))
}

/// JSON Lines as an answer that a browser keeps as a file.
pub(crate) fn exported(
    slug: &str,
    lines: impl Stream<Item = crate::error::Result<Bytes>> + Send + 'static,
) -> Response {
    let name = format!("attachment; filename=\"audit-{slug}.jsonl\"");
    let kind = [(header::CONTENT_TYPE, "application/jsonl".to_owned()), (header::CONTENT_DISPOSITION, name)];
    (kind, Body::from_stream(lines)).into_response()
}

fn unchecked() -> Callout {
    Callout::info("The chain is being checked.", "It is long: load the page again in a while.")
}

fn check(found: &Checked) -> Callout {
    let at = written(found.at, "checked at %H:%M on %-d %B");
    match &found.chain {
        Chain::Whole { unsealed: unsealed @ 1.., .. } => Callout {
            state: "warn",
            ..Callout::bad(
                "The chain holds, but for its beginning nobody vouches.",
                match unsealed.unsigned_abs() {
                    1 => format!("The first entry is from before entries were sealed; {at}."),
                    n => {
                        format!("The first {} entries are from before entries were sealed; {at}.", grouped(n))
                    }
                },
            )
        },
        Chain::Whole { entries, .. } => Callout {
            icon: "signed",
            ..Callout::ok(
                "The chain holds.",
                format!("{}, {at}.", count(entries.unsigned_abs(), "entry", "entries")),
            )
        },
        Chain::BrokenAt { sequence } => Callout::bad(
            "The chain is broken.",
            format!(
                "Entry {sequence} was changed, put in or is missing. Somebody wrote to the database behind FORGE's back; {at}."
            ),
        ),
    }
}

impl Entry {
    fn of(row: &AuditEntry) -> Self {
        let (noun, verb) = row.action.split_once('.').unwrap_or(("", &row.action));
        let refused = verb == "refused";
        Self {
            at: Moment { text: written(row.at, "%H:%M:%S"), ..Moment::clock(row.at) },
            who: row.actor_name.clone(),
            initials: initials(&row.actor_name),
            did: format!("{} {}", verb.replace('_', " "), noun.replace('_', " ")).trim().to_owned(),
            refused,
            what: format!("{}{}", row.subject, details(&row.detail)),
        }
    }
}

/// `, serial 3, digest 9f2c…1b04`.
fn details(detail: &str) -> String {
    let Ok(Value::Object(map)) = serde_json::from_str::<Value>(detail) else { return String::new() };
    map.iter()
        .filter_map(|(key, value)| {
            let value = match value {
                Value::String(text) if key.contains("digest") || key.contains("key") => short(text),
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                Value::Bool(true) => return Some(format!(", {}", key.replace('_', " "))),
                _ => return None,
            };
            Some(format!(", {} {value}", key.replace('_', " ")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_fields_and_programs_write_it() {
        let at = clock::parse("2026-11-22T09:30:00Z");
        for text in
            ["2026-11-22T09:30", " 2026-11-22T09:30:00 ", "2026-11-22T09:30:00Z", "2026-11-22T10:30:00+01:00"]
        {
            assert!(at.is_some() && time(text) == at, "{text}");
        }
        assert_eq!(time("2026-11-22"), clock::parse("2026-11-22T00:00:00Z"));
        for bad in ["", "yesterday", "09:30"] {
            assert_eq!(time(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn an_entry_reads_as_who_did_what_to_what() {
        let row = AuditEntry {
            organisation_id: "o".into(),
            sequence: 3,
            at: 1_795_218_423_000_000,
            actor_id: "u".into(),
            actor_name: "Mara Lindqvist".into(),
            action: "version.published".into(),
            subject: "acme/shop/welcome@1.0.0 to prod".into(),
            detail: r#"{"serial":3,"digest":"sha256:9f2c00000000000000001b04","rollback":false}"#.into(),
            previous_hash: String::new(),
            hash: String::new(),
            seal: String::new(),
        };
        let entry = Entry::of(&row);
        assert_eq!(
            (entry.initials.as_str(), entry.did.as_str(), entry.refused),
            ("ML", "published version", false)
        );
        assert!(entry.what.starts_with("acme/shop/welcome@1.0.0 to prod, "), "{}", entry.what);
        assert!(entry.what.contains("serial 3") && entry.what.contains("digest 9f2c…1b04"), "{}", entry.what);
        assert!(!entry.what.contains("rollback"), "{}", entry.what);
    }
}
