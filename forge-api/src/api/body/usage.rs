//! Contracts and use.

use schemars::JsonSchema;
use serde::Serialize;

use crate::clock::rfc3339;
use crate::contract::{Breaks, Broken, SERVICES_MAX};
use crate::publish::{Foreseen, Will};
use crate::usage::{Row, Usage};

/// Agents that are told of one by one.
const FORESEEN_MAX: usize = 200;

/// Whom a version would break.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BreaksBody {
    pub environment: String,
    pub set: String,
    pub version: String,
    /// Empty: nobody refuses it. 200 at most, each with the first of its contracts and of what breaks them.
    pub broken: Vec<Broken>,
    /// Services that are not told.
    pub more: usize,
    /// Agents whose contracts are not kept, as their environment has no room for more: nobody knows whether it breaks
    /// them.
    pub not_kept: usize,
    /// Agents that will not simply apply it, the worst first; 200 at most.
    pub foreseen: Vec<ForeseenBody>,
    /// Agents of that kind that are not told.
    pub more_foreseen: usize,
}

/// What one agent is going to do with a version.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ForeseenBody {
    pub agent: String,
    /// Empty where it names none.
    pub service: String,
    /// `refuse`, `cut_off`, `away`, `pinned`, `frozen` or `late`.
    pub will: &'static str,
    pub heard_at: String,
}

impl BreaksBody {
    pub(crate) fn new(
        environment: String,
        set: String,
        version: String,
        breaks: Breaks,
        foreseen: Vec<Foreseen>,
    ) -> Self {
        let Breaks { mut broken, not_kept } = breaks;
        let more = broken.len().saturating_sub(SERVICES_MAX);
        broken.truncate(SERVICES_MAX);
        let mut not: Vec<Foreseen> = foreseen.into_iter().filter(|one| one.will != Will::Apply).collect();
        let more_foreseen = not.len().saturating_sub(FORESEEN_MAX);
        not.truncate(FORESEEN_MAX);
        let foreseen = not.into_iter().map(Into::into).collect();
        Self { environment, set, version, broken, more, not_kept, foreseen, more_foreseen }
    }
}

impl From<Foreseen> for ForeseenBody {
    fn from(one: Foreseen) -> Self {
        Self {
            will: one.will.as_str(),
            heard_at: rfc3339(one.heard_at),
            agent: one.agent,
            service: one.service,
        }
    }
}

/// Sums over whole hours.
#[derive(Debug, Serialize, JsonSchema)]
pub struct UsageBody {
    pub from: String,
    /// Exclusive.
    pub to: String,
    /// Versions newest first, prompts the most used first, hours in their order.
    pub items: Vec<UsageRow>,
    /// There are more rows than are given; ask for less.
    pub more: bool,
}

/// One version, prompt or hour.
#[derive(Debug, Serialize, JsonSchema)]
pub struct UsageRow {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// Its beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hour: Option<String>,
    pub renders: u64,
    /// Renders that failed.
    pub errors: u64,
    /// Of the medians that agents told, each since its start, weighed by the renders that it added.
    pub render_p50_ns: u64,
    /// The worst of any agent since its start; not of these hours alone.
    pub render_p99_ns: u64,
    /// Calls of a model, as far as agents' hosts reported them; the rest is theirs.
    pub calls: u64,
    pub call_errors: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// Sum over the calls, in microseconds.
    pub latency_us: u64,
    /// In millionths of a US dollar.
    pub cost_micros: u64,
}

impl From<Row> for UsageRow {
    fn from(row: Row) -> Self {
        Self {
            version: row.version,
            prompt: row.prompt,
            hour: row.hour.map(rfc3339),
            renders: row.renders,
            errors: row.errors,
            render_p50_ns: row.render_p50_ns,
            render_p99_ns: row.render_p99_ns,
            calls: row.calls,
            call_errors: row.call_errors,
            input_tokens: row.input_tokens,
            output_tokens: row.output_tokens,
            latency_us: row.latency_us,
            cost_micros: row.cost_micros,
        }
    }
}

impl From<Usage> for UsageBody {
    fn from(usage: Usage) -> Self {
        Self {
            from: rfc3339(usage.from),
            to: rfc3339(usage.to),
            items: usage.rows.into_iter().map(Into::into).collect(),
            more: usage.more,
        }
    }
}
