//! The memory of an agent: `live run` as a user runs it, serving 1,000 prompts.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use publisher::FleetEvent;
use tests::nats::TestBroker;
use tokio::process::Command;

use crate::prompts;
use crate::report::Figure;

const PROMPTS: usize = 1_000;
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run() -> Result<Vec<Figure>> {
    tokio::runtime::Runtime::new().context("a runtime")?.block_on(measure())
}

async fn measure() -> Result<Vec<Figure>> {
    let broker = TestBroker::start().await?;
    let mut events = broker.broker.fleet().await?;
    let (credentials, connection) = broker.write_credential("resident")?;
    let published = broker.publish(prompts::bundle("large", prompts::made(PROMPTS)?)?).await?;
    let size = schemas::bundle::decode(&published.outgoing.wire, published.outgoing.encoding)?.len();
    let live = Command::new(tests::tools::binary("live"))
        .arg("run")
        .env("LIVE_CONNECTION", connection)
        .env("LIVE_CREDENTIALS", credentials)
        .env("LIVE_CACHE_DIR", broker.directory().join("resident"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("live run")?;
    let active = async {
        while let Some(event) = events.next().await {
            if let FleetEvent::Status(status, _) = event
                && status.sets.iter().any(|set| set.active.is_some())
            {
                return Ok(());
            }
        }
        anyhow::bail!("the fleet's events ended")
    };
    tokio::time::timeout(PATIENCE, active).await.context("the agent did not become active")??;
    let pid = live.id().context("live ended")?;
    let name = format!("resident memory of live, {PROMPTS} prompts ({} KiB)", size / 1024);
    Ok(vec![Figure::new(name, resident_mb(pid)?, "MB").at_most(30.0)])
}

/// Resident memory of a process in MB, as the kernel counts it.
pub(crate) fn resident_mb(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("/proc (Linux only)")?;
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).context("VmRSS")?;
    let kib: f64 = line.split_whitespace().nth(1).context("a number")?.parse()?;
    Ok(kib * 1024.0 / 1e6)
}
