//! A cold start of an agent: 1,000 prompts from its disk, with no network, until the first rendered prompt.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use live_agent::LiveAgent;
use schemas::bundle::Bundle;
use schemas::template::Values;
use serde_json::json;
use tests::nats::TestBroker;
use tests::until::until;
use tokio::process::Command;

use crate::measure::median;
use crate::prompts;
use crate::report::Figure;

const PROMPTS: usize = 1_000;
const ROUNDS: usize = 15;
const PATIENCE: Duration = Duration::from_secs(60);
/// Milliseconds in a second.
const MS: f64 = 1e3;

pub(crate) fn run() -> Result<Vec<Figure>> {
    tokio::runtime::Runtime::new().context("a runtime")?.block_on(measure())
}

async fn measure() -> Result<Vec<Figure>> {
    let mut broker = TestBroker::start().await?;
    let (credentials, connection) = broker.write_credential("cold")?;
    let cache = broker.directory().join("cold");
    let bundle = prompts::bundle("large", prompts::made(PROMPTS)?)?;
    let id = bundle.prompts.last().context("a prompt")?.id.to_string();
    let published = broker.publish(bundle).await?;
    let values = Values::of(&json!({"company": "Meridian", "name": "Ada"}))?;

    let start = async || -> Result<LiveAgent> {
        let builder = LiveAgent::builder().connection_file(&connection).credentials_file(&credentials);
        Ok(builder.cache_dir(&cache).name("cold").start().await?)
    };
    let first = start().await?;
    until("the prompts are on disk", PATIENCE, async || first.prompt(&id, &values).ok()).await;
    first.stop().await;
    broker.server.stop().await;

    let wire = published.outgoing.wire;
    let (mut times, mut parses) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        let agent = start().await?;
        let text = agent.prompt(&id, &values).context("the first prompt")?;
        times.push(begin.elapsed().as_secs_f64() * MS);
        anyhow::ensure!(text.contains("Ada"), "the rendered prompt lacks its value");
        agent.stop().await;
        // The baseline: the same bytes read from a file, unpacked and parsed, with nothing checked or compiled.
        parses.push(parse(&wire, published.outgoing.encoding, broker.directory())? * MS);
    }
    let mut processes = Vec::new();
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        let said = Command::new(tests::tools::binary("live"))
            .args(["prompt", &id, "--var", "company=Meridian", "--var", "name=Ada"])
            .env("LIVE_CONNECTION", &connection)
            .env("LIVE_CREDENTIALS", &credentials)
            .env("LIVE_CACHE_DIR", &cache)
            .stdin(Stdio::null())
            .output()
            .await?;
        processes.push(begin.elapsed().as_secs_f64() * MS);
        let text = String::from_utf8_lossy(&said.stdout);
        anyhow::ensure!(text.contains("Ada"), "live prompt: {}", String::from_utf8_lossy(&said.stderr));
    }
    let parsed = median(&mut parses);
    let name = format!("cold start, {PROMPTS} prompts, no network, to the first prompt");
    let process = format!("start of the process `live prompt` to its end, {PROMPTS} prompts on disk");
    Ok(vec![
        Figure::new(name, median(&mut times), "ms").against(parsed).at_most(50.0),
        Figure::new(process, median(&mut processes), "ms").against(parsed),
    ])
}

fn parse(wire: &[u8], encoding: schemas::bundle::Encoding, folder: &Path) -> Result<f64> {
    let file = folder.join("wire");
    std::fs::write(&file, wire)?;
    let begin = Instant::now();
    let body = schemas::bundle::decode(&std::fs::read(&file)?, encoding)?;
    let bundle: Bundle = serde_json::from_slice(&body)?;
    let took = begin.elapsed().as_secs_f64();
    anyhow::ensure!(bundle.prompts.len() == PROMPTS, "the bundle lost prompts");
    Ok(took)
}
