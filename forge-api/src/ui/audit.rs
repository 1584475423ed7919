//! The audit log of an organisation.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures::Stream;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::address::{Path, Query};
use super::engine;
use super::fault::PageResult;
use super::view::{Callout, Moment, encoded, grouped, initials, short, written};
use super::visitor::Visitor;
use crate::audit::{self, Chain, Checked};
use crate::database::audit::AuditEntry;
use crate::state::AppState;

/// Entries of one page.
const PAGE: i64 = 100;
/// A page waits so long for a check of the chain; a long chain is checked behind it.
const CHECK: Duration = Duration::from_secs(1);

#[derive(Debug, Serialize)]
struct Page {
    action: String,
    q: String,
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

/// What of the log is asked for.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    before: Option<i64>,
    #[serde(default)]
    q: String,
}

/// `GET /{organisation}/-/audit?q=…&before=…`.
pub(super) async fn get_audit(
    visitor: Visitor,
    State(state): State<AppState>,
    Path(o): Path<String>,
    Query(asked): Query<Asked>,
) -> PageResult {
    let organisation = visitor.organisation(&o).await?.clone();
    let entries = audit::list(&state, &visitor.actor, &organisation, asked.before, PAGE).await?;
    let chain = match asked.before {
        None => {
            let found = audit::checked(&state, &visitor.actor, &organisation, CHECK).await?;
            Some(found.as_ref().map_or_else(unchecked, check))
        }
        Some(_) => None,
    };
    let words: Vec<String> = asked.q.split_whitespace().map(str::to_lowercase).collect();
    let last = entries.last().map(|e| e.sequence).filter(|s| entries.len() == PAGE as usize && *s > 1);
    let mut days: Vec<Day> = Vec::new();
    let mut shown = 0;
    for row in &entries {
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
    let action = format!("/{o}/-/audit");
    let page = Page {
        next: last.map(|before| format!("{action}?before={before}&q={}", encoded(&asked.q))),
        range: format!("{shown} of the last {} entries", entries.len()),
        q: asked.q,
        chain,
        days,
        action,
    };
    let frame = visitor.in_organisation(&organisation).titled("Audit log", "audit");
    Ok(engine::page(StatusCode::OK, "audit.html", &frame, &page))
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
                format!(
                    "The first {} entries are from before entries were sealed; {at}.",
                    grouped(unsealed.unsigned_abs())
                ),
            )
        },
        Chain::Whole { entries, .. } => Callout {
            icon: "signed",
            ..Callout::ok("The chain holds.", format!("{} entries, {at}.", grouped(entries.unsigned_abs())))
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
