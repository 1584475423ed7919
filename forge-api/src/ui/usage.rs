//! The use of a set: which services were built for which version, and what each version does where.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::address::{Path, Query};
use super::editor::base;
use super::engine;
use super::fault::PageResult;
use super::view::{Choice, count, duration, encoded, grouped, nanoseconds, written};
use super::visitor::Visitor;
use crate::author;
use crate::clock;
use crate::contract::{self, Known};
use crate::state::AppState;
use crate::usage::{self, Asked, By, HOUR, Row};

/// Prompts of one page.
const PROMPTS_MAX: usize = 100;
/// Agents that are named.
const AGENTS_MAX: usize = 5;
/// The word in the address, what is shown, hours, and hours of one bar.
type Span = (&'static str, &'static str, i64, i64);
const WEEK: Span = ("week", "7 days", 7 * 24, 6);
/// Spans to choose from.
const SPANS: [Span; 3] = [("day", "24 hours", 24, 1), WEEK, ("month", "30 days", 30 * 24, 24)];

/// What was chosen.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Chosen {
    #[serde(default)]
    environment: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    span: String,
}

#[derive(Debug, Serialize)]
struct Page {
    base: String,
    set: String,
    environments: Vec<Choice>,
    spans: Vec<Chip>,
    /// The one that is chosen.
    span: &'static str,
    version: Option<Choice>,
    /// How all versions are shown again.
    all: String,
    services: Vec<Service>,
    /// Agents of which it is not known.
    not_kept: Vec<String>,
    total: Option<Numbers>,
    bars: Option<Bars>,
    versions: Vec<Numbers>,
    prompts: Vec<Numbers>,
    more: Option<String>,
    calls: bool,
}

#[derive(Debug, Serialize)]
struct Chip {
    text: &'static str,
    href: String,
    current: bool,
}

#[derive(Debug, Serialize)]
struct Service {
    name: String,
    environment: String,
    built_for: String,
    agents: String,
    named: String,
}

/// A row of numbers, written.
#[derive(Debug, Serialize)]
struct Numbers {
    name: String,
    href: String,
    renders: String,
    errors: String,
    failing: bool,
    p50: String,
    p99: String,
    calls: String,
    call_errors: String,
    calls_failing: bool,
    latency: String,
    input: String,
    output: String,
    cost: String,
}

/// Renders by the hour, as an SVG of as many units as there are bars.
#[derive(Debug, Serialize)]
struct Bars {
    label: String,
    width: usize,
    bars: Vec<Column>,
    from: String,
    to: String,
}

#[derive(Debug, Serialize)]
struct Column {
    x: String,
    y: String,
    height: String,
    title: String,
}

/// `0.4 %` of them; nothing where there are none.
fn part(n: u64, of: u64) -> String {
    match (n, of) {
        (_, 0) => String::new(),
        (0, _) => "none".to_owned(),
        _ => {
            let percent = n as f64 / of as f64 * 100.0;
            if percent < 0.1 { "< 0.1 %".to_owned() } else { format!("{percent:.1} %") }
        }
    }
}

/// `$0.0021`, `$14.20`.
fn dollars(micros: u64) -> String {
    match micros {
        0 => String::new(),
        1..1_000_000 => format!("${:.4}", micros as f64 / 1e6),
        _ => format!("${}.{:02}", grouped(micros / 1_000_000), micros % 1_000_000 / 10_000),
    }
}

fn some(n: u64) -> String {
    if n == 0 { String::new() } else { grouped(n) }
}

impl Numbers {
    fn of(name: String, href: String, row: &Row) -> Self {
        let latency = row.latency_us.checked_div(row.calls).unwrap_or(0);
        Self {
            name,
            href,
            renders: grouped(row.renders),
            errors: part(row.errors, row.renders.max(row.errors)),
            failing: row.errors > 0,
            p50: nanoseconds(row.render_p50_ns),
            p99: nanoseconds(row.render_p99_ns),
            calls: some(row.calls),
            call_errors: part(row.call_errors, row.calls),
            calls_failing: row.call_errors > 0,
            latency: if latency == 0 {
                String::new()
            } else {
                duration(i64::try_from(latency).unwrap_or(i64::MAX))
            },
            input: some(row.input_tokens),
            output: some(row.output_tokens),
            cost: dollars(row.cost_micros),
        }
    }
}

/// The rows of a version in one; of all, where none is chosen.
fn total(rows: &[Row], version: &str) -> Row {
    let chosen = rows.iter().filter(|row| version.is_empty() || row.version.as_deref() == Some(version));
    chosen.fold(Row::default(), |sum, row| Row {
        renders: sum.renders.saturating_add(row.renders),
        errors: sum.errors.saturating_add(row.errors),
        render_p99_ns: sum.render_p99_ns.max(row.render_p99_ns),
        calls: sum.calls.saturating_add(row.calls),
        call_errors: sum.call_errors.saturating_add(row.call_errors),
        input_tokens: sum.input_tokens.saturating_add(row.input_tokens),
        output_tokens: sum.output_tokens.saturating_add(row.output_tokens),
        latency_us: sum.latency_us.saturating_add(row.latency_us),
        cost_micros: sum.cost_micros.saturating_add(row.cost_micros),
        ..Row::default()
    })
}

impl Bars {
    fn of(rows: &[Row], from: i64, to: i64, hours: i64) -> Self {
        let step = HOUR * hours;
        let width = usize::try_from((to - from + step - 1) / step).unwrap_or(1).max(1);
        let mut sums = vec![0u64; width];
        for row in rows {
            let at = row.hour.map_or(0, |hour| (hour - from) / step);
            if let Some(sum) = usize::try_from(at).ok().and_then(|at| sums.get_mut(at)) {
                *sum = sum.saturating_add(row.renders);
            }
        }
        let most = sums.iter().copied().max().unwrap_or(0).max(1);
        let all = sums.iter().fold(0u64, |a, b| a.saturating_add(*b));
        let form = if hours < 24 { "%-d %b, %H:%M" } else { "%-d %b" };
        let bars = sums
            .iter()
            .enumerate()
            .filter(|(_, n)| **n > 0)
            .map(|(i, n)| {
                let height = (*n as f64 / most as f64 * 40.0).max(1.0);
                let start = from + step * i64::try_from(i).unwrap_or(0);
                Column {
                    x: format!("{:.2}", i as f64 + 0.1),
                    y: format!("{:.2}", 40.0 - height),
                    height: format!("{height:.2}"),
                    title: format!("{}: {}", written(start, form), count(*n, "render", "renders")),
                }
            })
            .collect();
        Self {
            label: format!("{}, {} at most in one bar", count(all, "render", "renders"), grouped(most)),
            width,
            bars,
            from: format!("{} UTC", written(from, "%-d %b, %H:%M")),
            to: "now".to_owned(),
        }
    }
}

impl Service {
    fn of(known: Known) -> Self {
        let more = known.agents.len().saturating_sub(AGENTS_MAX);
        let mut named = known.agents.iter().take(AGENTS_MAX).cloned().collect::<Vec<_>>().join(", ");
        if more > 0 {
            named.push_str(&format!(" and {more} more"));
        }
        Self {
            agents: count(known.agents.len() as u64, "agent", "agents"),
            name: known.name,
            environment: known.environment,
            built_for: known.built_for,
            named,
        }
    }
}

/// `GET /{organisation}/{project}/{set}/-/usage?environment=…&version=…&span=…`.
pub(super) async fn get_usage(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, s)): Path<(String, String, String)>,
    Query(chosen): Query<Chosen>,
) -> PageResult {
    let set = visitor.set(&state, &o, &p, &s).await?;
    let actor = &visitor.actor;
    let environments = author::environments(&state, actor, &set.at).await?;
    let base = base(&set);
    let (span, _, hours, each) = SPANS.into_iter().find(|one| one.0 == chosen.span).unwrap_or(WEEK);
    let address = |span: &str, version: &str| {
        let mut query = format!("{base}/-/usage?span={span}");
        for (name, value) in [("environment", chosen.environment.as_str()), ("version", version)] {
            if !value.is_empty() {
                query.push_str(&format!("&{name}={}", encoded(value)));
            }
        }
        query
    };
    let to = clock::now();
    let asked = Asked {
        environment: Some(chosen.environment.as_str()).filter(|e| !e.is_empty()),
        version: None,
        from: Some(to - hours * HOUR),
        to: Some(to),
        by: By::Version,
    };
    let versions = usage::usage(&state, actor, &set, asked).await?;
    let asked = Asked { version: Some(chosen.version.as_str()).filter(|v| !v.is_empty()), ..asked };
    let prompts = usage::usage(&state, actor, &set, Asked { by: By::Prompt, ..asked }).await?;
    let by_hour = usage::usage(&state, actor, &set, Asked { by: By::Hour, ..asked }).await?;
    let services = contract::known(&state, actor, &set).await?;
    let mut not_kept = Vec::new();
    for one in &environments {
        let n = match chosen.environment.is_empty() || one.slug == chosen.environment {
            true => contract::not_kept(&state, actor, &set.at, one).await?,
            false => 0,
        };
        if n > 0 {
            not_kept.push(super::publish::not_kept(n, &one.slug));
        }
    }
    let shown = |one: &Known| chosen.environment.is_empty() || one.environment == chosen.environment;
    let used = !versions.rows.is_empty();
    let sum = total(&versions.rows, &chosen.version);
    let hidden = prompts.rows.len().saturating_sub(PROMPTS_MAX) as u64;
    let mut choices = vec![Choice {
        value: String::new(),
        text: "All environments".into(),
        chosen: chosen.environment.is_empty(),
    }];
    choices.extend(environments.iter().map(|e| Choice {
        value: e.slug.clone(),
        text: e.slug.clone(),
        chosen: e.slug == chosen.environment,
    }));
    let page = Page {
        set: set.set.name.clone(),
        environments: choices,
        spans: SPANS
            .into_iter()
            .map(|(word, text, ..)| Chip {
                text,
                href: address(word, &chosen.version),
                current: word == span,
            })
            .collect(),
        span,
        version: (!chosen.version.is_empty()).then(|| Choice {
            value: chosen.version.clone(),
            text: chosen.version.clone(),
            chosen: true,
        }),
        all: address(span, ""),
        not_kept,
        services: services.into_iter().filter(shown).map(Service::of).collect(),
        total: used.then(|| Numbers::of(String::new(), String::new(), &sum)),
        bars: (!by_hour.rows.is_empty()).then(|| Bars::of(&by_hour.rows, by_hour.from, by_hour.to, each)),
        calls: sum.calls > 0,
        versions: versions
            .rows
            .iter()
            .map(|row| {
                let version = row.version.clone().unwrap_or_default();
                let href = address(span, &version);
                Numbers::of(version, href, row)
            })
            .collect(),
        prompts: prompts
            .rows
            .iter()
            .take(PROMPTS_MAX)
            .map(|row| {
                let prompt = row.prompt.clone().unwrap_or_default();
                let href = format!("{base}/{prompt}");
                Numbers::of(prompt, href, row)
            })
            .collect(),
        more: (hidden > 0)
            .then(|| format!("{} that are used less are not listed.", count(hidden, "prompt", "prompts"))),
        base: base.clone(),
    };
    let frame = visitor.in_project(&set.at).crumb(&set.set.name, base).titled("Usage", "sets");
    Ok(engine::page(StatusCode::OK, "usage.html", &frame, &page))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_say_nothing_where_there_is_nothing_to_say() {
        assert_eq!(
            (part(0, 0), part(0, 5), part(1, 100_000)),
            (String::new(), "none".into(), "< 0.1 %".into())
        );
        assert_eq!(part(1, 8), "12.5 %");
        assert_eq!(
            (dollars(0), dollars(2_100), dollars(14_209_999)),
            (String::new(), "$0.0021".into(), "$14.20".into())
        );
    }

    #[test]
    fn the_sum_is_that_of_the_version_that_is_chosen() {
        let of = |version: &str, renders| Row { version: Some(version.into()), renders, ..Row::default() };
        let rows = [of("1.0.0", 7), of("2.0.0", 30)];
        let sums = ["", "1.0.0", "3.0.0"].map(|version| total(&rows, version).renders);
        assert_eq!(sums, [37, 7, 0]);
    }

    #[test]
    fn bars_stand_where_their_hours_are() {
        let at = |hour: i64, renders| Row { hour: Some(hour * HOUR), renders, ..Row::default() };
        let bars = Bars::of(&[at(24, 10), at(29, 10), at(47, 40)], 24 * HOUR, 48 * HOUR, 6);
        assert_eq!(bars.width, 4);
        let found: Vec<_> = bars.bars.iter().map(|b| (b.x.as_str(), b.height.as_str())).collect();
        assert_eq!(found, [("0.10", "20.00"), ("3.10", "40.00")]);
        assert!(bars.label.starts_with("60 renders"), "{}", bars.label);
    }
}
