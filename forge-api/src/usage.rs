//! Use of prompts: how often which version is rendered and called in an environment, with what errors, latency and
//! cost. Agents count ([`crate::fleet`] takes it up); here the hours are summed and, after a year and a bit, deleted.

use std::collections::HashMap;
use std::time::Duration;

use schemars::JsonSchema;
use schemas::Micros;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::auth::{Action, Actor};
use crate::author::{self, SetAt};
use crate::clock;
use crate::database::usage::{self, ROWS_MAX, Span, Sums};
use crate::database::version;
use crate::error::{ApiError, Result, chain};
use crate::lock;
use crate::state::AppState;

/// What one row covers, in microseconds.
pub const HOUR: Micros = 3600 * 1_000_000;
/// Hours that are kept.
pub const KEPT: Micros = 400 * 24 * HOUR;
/// Hours that are summed where nobody says which.
const WEEK: Micros = 7 * 24 * HOUR;
/// What an agent told before is forgotten so long after FORGE heard it last: told again, it would be counted again.
pub const FORGOTTEN: Micros = 30 * 24 * HOUR;
/// Old hours are deleted this often.
const PRUNE: Duration = Duration::from_secs(3600);
/// Lives of agents that one transaction deletes: each may have some thousand rows, and others want to write too.
const LIVES: i64 = 20;

/// What the rows of an answer are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    #[default]
    Version,
    Prompt,
    Hour,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked<'a> {
    /// Every environment, where none is named.
    pub environment: Option<&'a str>,
    pub version: Option<&'a str>,
    /// A week before the end, where nobody says.
    pub from: Option<Micros>,
    /// Now, where nobody says.
    pub to: Option<Micros>,
    pub by: By,
}

/// Sums over whole hours.
#[derive(Debug, Clone, PartialEq)]
pub struct Usage {
    pub from: Micros,
    pub to: Micros,
    /// Versions newest first, prompts the most used first, hours in their order.
    pub rows: Vec<Row>,
    /// There are more rows than are given.
    pub more: bool,
}

/// One version, prompt or hour.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    pub version: Option<String>,
    pub prompt: Option<String>,
    pub hour: Option<Micros>,
    pub renders: u64,
    pub errors: u64,
    /// Of the medians that agents told, each since its start, weighed by the renders that it added.
    pub render_p50_ns: u64,
    /// The worst of any agent since its start.
    pub render_p99_ns: u64,
    pub calls: u64,
    pub call_errors: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub latency_us: u64,
    pub cost_micros: u64,
}

impl Row {
    fn of(sums: Sums) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
        let whole = |n: f64| n as u64;
        Self {
            renders: whole(sums.renders),
            errors: whole(sums.errors),
            render_p50_ns: if sums.timed > 0.0 { whole(sums.timed_ns / sums.timed) } else { 0 },
            render_p99_ns: sums.render_p99_ns.unsigned_abs(),
            calls: whole(sums.calls),
            call_errors: whole(sums.call_errors),
            input_tokens: whole(sums.input_tokens),
            output_tokens: whole(sums.output_tokens),
            latency_us: whole(sums.latency_us),
            cost_micros: whole(sums.cost_micros),
            ..Self::default()
        }
    }
}

/// The use of a set.
///
/// # Errors
/// Not allowed; environment or version not there; the span is none.
pub async fn usage(state: &AppState, actor: &Actor, set: &SetAt, asked: Asked<'_>) -> Result<Usage> {
    set.at.require(actor, Action::View)?;
    let mut environments = author::environments(state, actor, &set.at).await?;
    if let Some(slug) = asked.environment {
        environments.retain(|one| one.slug == slug);
        if environments.is_empty() {
            return Err(ApiError::NotFound("environment"));
        }
    }
    let (from, to) = span(asked.from, asked.to)?;
    let mut conn = state.database.read().await?;
    let mut versions = version::of_set(&mut conn, &set.set.id).await?;
    if let Some(text) = asked.version {
        let number = lock::parse_version(text)?.to_string();
        versions.retain(|one| one.version == number);
        if versions.is_empty() {
            return Err(ApiError::NotFound("version"));
        }
    }
    let environments: Vec<String> = environments.into_iter().map(|one| one.id).collect();
    let ids: Vec<String> = versions.iter().map(|one| one.id.clone()).collect();
    let span = Span { set_id: &set.set.id, environments: &environments, versions: &ids, from, to };
    let mut rows: Vec<Row> = match asked.by {
        By::Version => {
            let sums: HashMap<String, Sums> = usage::by_version(&mut conn, span).await?.into_iter().collect();
            let row = |one: version::Version| {
                let sums = *sums.get(&one.id)?;
                Some(Row { version: Some(one.version), ..Row::of(sums) })
            };
            versions.into_iter().filter_map(row).collect()
        }
        By::Prompt => {
            let sums = usage::by_prompt(&mut conn, span).await?;
            sums.into_iter().map(|(prompt, s)| Row { prompt: Some(prompt), ..Row::of(s) }).collect()
        }
        By::Hour => {
            let sums = usage::by_hour(&mut conn, span).await?;
            sums.into_iter().map(|(hour, s)| Row { hour: Some(hour), ..Row::of(s) }).collect()
        }
    };
    if asked.by == By::Prompt {
        rows.sort_by_key(|row| std::cmp::Reverse(row.renders.max(row.calls)));
    }
    let more = i64::try_from(rows.len()).is_ok_and(|n| n >= ROWS_MAX);
    Ok(Usage { from, to, rows, more })
}

/// Whole hours.
fn span(from: Option<Micros>, to: Option<Micros>) -> Result<(Micros, Micros)> {
    let down = |at: Micros| at - at.rem_euclid(HOUR);
    let within = |at: Micros| at.clamp(0, Micros::MAX / 4);
    let to = down(within(to.unwrap_or_else(clock::now)) + HOUR - 1);
    let from = down(within(from.unwrap_or(to - WEEK)));
    if from >= to {
        return Err(ApiError::invalid("bad_span", "from", "it must lie before the end (to)"));
    }
    Ok((from.max(to - KEPT), to))
}

/// Deletes old hours, every hour until `stop`.
pub async fn run(state: AppState, stop: CancellationToken) {
    stop.run_until_cancelled(async {
        loop {
            match prune(&state, clock::now()).await {
                Ok(0) => {}
                Ok(rows) => tracing::info!(rows, "old hours of use were deleted"),
                Err(error) => tracing::warn!(error = %chain(&error), "old hours of use were not deleted"),
            }
            tokio::time::sleep(PRUNE).await;
        }
    })
    .await;
}

/// Deletes what is too old at `now`. Gives how many rows of hours.
///
/// # Errors
/// The database refuses.
pub async fn prune(state: &AppState, now: Micros) -> Result<usize> {
    let mut tx = state.database.write().await?;
    let gone = usage::prune(&mut tx, now - KEPT).await?;
    tx.commit().await?;
    loop {
        let mut tx = state.database.write().await?;
        let lives = usage::prune_lives(&mut tx, now - FORGOTTEN, LIVES).await?;
        tx.commit().await?;
        if i64::try_from(lives).is_ok_and(|lives| lives < LIVES) {
            return Ok(gone);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_of_whole_hours_and_not_empty() {
        assert_eq!(span(Some(HOUR + 1), Some(3 * HOUR - 1)).unwrap(), (HOUR, 3 * HOUR));
        assert_eq!(span(None, Some(WEEK)).unwrap(), (0, WEEK));
        assert_eq!(span(Some(i64::MIN), Some(KEPT * 2)).unwrap(), (KEPT, KEPT * 2));
        assert_eq!(span(Some(HOUR), Some(HOUR)).unwrap_err().code(), "bad_span");
        assert!(span(Some(i64::MIN), Some(i64::MAX)).is_ok());
    }
}
