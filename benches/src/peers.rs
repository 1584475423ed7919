//! Reading and rendering one prompt, beside how peers do it, in one run.
//!
//! | module | the peer |
//! |---|---|
//! | [`ttl`] | a cache in the client with a time to live, filled over HTTP, that serves what is stale while it fetches anew |
//! | `flagd` | a flag's value from a local server over gRPC (feature `flagd`) |
//!
//! Each single call is timed, in rounds taken in turn; both sides bear the cost of reading the clock.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use live_agent::{LiveAgent, Values};
use schemas::bundle::Bundle;
use serde_json::json;
use tests::nats::TestBroker;
use tests::until::until;

use crate::prompts;
use crate::report::Figure;

#[cfg(feature = "flagd")]
mod flagd;
mod ttl;

const PROMPTS: usize = 100;
const ROUNDS: usize = 20;
/// Calls in a round that touch no network, and that do.
const HOT: usize = 5_000;
const FAR: usize = 200;
const PATIENCE: Duration = Duration::from_secs(60);
const VALUES: [(&str, &str); 2] = [("company", "Meridian"), ("name", "Ada")];
const QUANTILES: [(&str, f64); 3] = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)];
/// Nanoseconds in a microsecond.
const US: f64 = 1e3;

pub(crate) fn run() -> Result<Vec<Figure>> {
    let runtime = tokio::runtime::Runtime::new().context("a runtime")?;
    let bundle = prompts::bundle("peers", prompts::made(PROMPTS)?)?;
    let (_broker, agent) = runtime.block_on(agent(&bundle))?;
    let ids: Vec<String> = bundle.prompts.iter().map(|prompt| prompt.id.to_string()).collect();
    let texts =
        bundle.prompts.iter().map(|prompt| (prompt.id.to_string(), source(prompt))).collect::<Vec<_>>();
    let values = Values::of(&json!({"company": VALUES[0].1, "name": VALUES[1].1}))?;
    let mut next = 0;
    let mut ours = || {
        next = (next + 37) % ids.len();
        black_box(agent.prompt(&ids[next], &values)).is_ok_and(|text| text.contains(VALUES[0].1))
    };
    let mut figures = ttl::run(&runtime, &texts, &mut ours)?;
    #[cfg(feature = "flagd")]
    figures.extend(flagd::run(&runtime, &texts, &mut ours)?);
    #[cfg(not(feature = "flagd"))]
    eprintln!("benches: the peer over gRPC is left out (say --features flagd)");
    // Whatever was compared gave the same text.
    let mut text = String::new();
    agent.prompt_to(&ids[0], &values, &mut text)?;
    anyhow::ensure!(text == compile(&texts[0].1), "the peers render something else");
    figures.shrink_to_fit();
    Ok(figures)
}

async fn agent(bundle: &Bundle) -> Result<(TestBroker, LiveAgent)> {
    let broker = TestBroker::start().await?;
    let (credentials, connection) = broker.write_credential("peer")?;
    broker.publish(bundle.clone()).await?;
    let builder = LiveAgent::builder().connection_file(connection).credentials_file(credentials);
    let agent = builder.memory_only().name("peer").start().await?;
    let last = bundle.prompts.last().context("a prompt")?.id.to_string();
    until("the agent has the prompts", PATIENCE, async || agent.template(&last).ok().map(|_| ())).await;
    Ok((broker, agent))
}

fn source(prompt: &schemas::prompt::Prompt) -> String {
    match &prompt.content {
        schemas::prompt::Content::Text { template, .. } => template.clone(),
        schemas::prompt::Content::Chat { .. } => String::new(),
    }
}

/// Puts the values in the place of their names, as the clients of peers do at each call.
fn compile(template: &str) -> String {
    let mut out = String::with_capacity(template.len() + 64);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, behind)) = after.split_once("}}") else { break };
        out.push_str(before);
        let value = VALUES.iter().find(|(known, _)| *known == name.trim()).map_or("", |(_, value)| value);
        out.push_str(value);
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// Times of single calls, in nanoseconds.
#[derive(Debug, Default)]
struct Times(Vec<f64>);

impl Times {
    fn take(&mut self, calls: usize, mut call: impl FnMut() -> bool) -> Result<()> {
        for _ in 0..calls {
            let begin = Instant::now();
            let right = call();
            self.0.push(begin.elapsed().as_nanos() as f64);
            anyhow::ensure!(right, "a call gave something else");
        }
        Ok(())
    }

    fn at(&mut self, part: f64) -> f64 {
        self.0.sort_by(f64::total_cmp);
        let index = (self.0.len() as f64 * part) as usize;
        self.0.get(index.min(self.0.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
    }
}

/// Times both in turn, and gives a figure for each quantile.
fn beside(
    what: &str,
    calls: usize,
    ours: &mut impl FnMut() -> bool,
    mut theirs: impl FnMut() -> bool,
) -> Result<Vec<Figure>> {
    let (mut mine, mut other) = (Times::default(), Times::default());
    for round in 0..ROUNDS {
        if round % 2 == 0 {
            mine.take(calls, &mut *ours)?;
            other.take(calls, &mut theirs)?;
        } else {
            other.take(calls, &mut theirs)?;
            mine.take(calls, &mut *ours)?;
        }
    }
    let figure = |(name, part): (&str, f64)| {
        Figure::new(format!("read and render vs {what}, {name}"), mine.at(part) / US, "us")
            .against(other.at(part) / US)
            .faster()
    };
    Ok(QUANTILES.map(figure).into())
}
