//! Taking up 10,000 prompts as one bundle: from its publication until every one of them is served and on disk.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use live_agent::LiveAgent;
use schemas::Version;
use schemas::bundle::Bundle;
use tests::nats::TestBroker;

use crate::measure::median;
use crate::prompts;
use crate::report::Figure;

const PROMPTS: usize = 10_000;
const ROUNDS: u64 = 7;
const PATIENCE: Duration = Duration::from_secs(60);
/// Milliseconds in a second.
const MS: f64 = 1e3;

pub(crate) fn run() -> Result<Vec<Figure>> {
    tokio::runtime::Runtime::new().context("a runtime")?.block_on(measure())
}

async fn measure() -> Result<Vec<Figure>> {
    let broker = TestBroker::start().await?;
    let (credentials, connection) = broker.write_credential("apply")?;
    let builder = LiveAgent::builder().connection_file(connection).credentials_file(credentials);
    let agent = builder.cache_dir(broker.directory().join("apply")).name("apply").start().await?;
    agent.wait_current(PATIENCE).await?;
    let mut changes = agent.subscribe();
    let (mut times, mut parses, mut sizes) = (Vec::new(), Vec::new(), (0, 0));
    for round in 1..=ROUNDS {
        let mut all = prompts::made(PROMPTS)?;
        for prompt in &mut all {
            prompt.description = format!("round {round}");
        }
        let bundle = Bundle { version: Version::new(1, 0, round), ..prompts::bundle("large", all)? };
        let outgoing = broker.outgoing("dev", bundle, round)?;
        let begin = Instant::now();
        broker.broker.send(&outgoing).await?;
        let change = tokio::time::timeout(PATIENCE, changes.recv()).await.context("it is not taken up")??;
        times.push(begin.elapsed().as_secs_f64() * MS);
        anyhow::ensure!(
            change.serial == round && agent.list().len() == PROMPTS,
            "something else was taken up"
        );
        // The baseline: the same bytes unpacked and parsed, with nothing checked, compiled or stored.
        let begin = Instant::now();
        let body = schemas::bundle::decode(&outgoing.wire, outgoing.encoding)?;
        let parsed: Bundle = serde_json::from_slice(&body)?;
        parses.push(begin.elapsed().as_secs_f64() * MS);
        anyhow::ensure!(parsed.prompts.len() == PROMPTS, "the bundle lost prompts");
        sizes = (body.len() / 1024, outgoing.wire.len() / 1024);
    }
    agent.stop().await;
    let name = format!(
        "publish to active of {PROMPTS} prompts in one bundle ({} KiB, {} KiB sent), with disk",
        sizes.0, sizes.1
    );
    Ok(vec![Figure::new(name, median(&mut times), "ms").against(median(&mut parses))])
}
