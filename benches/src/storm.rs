//! The broker dies under 1,000 agents and comes back: how soon all are connected again and have what was published
//! in the meantime.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tests::nats::{TestBroker, now};
use tests::until::until;
use tests::word::Word;

use crate::measure::median;
use crate::publish::{Bare, active, content, crews, since, within};
use crate::report::Figure;

const AGENTS: usize = 1_000;
const ROUNDS: u64 = 5;
const PATIENCE: Duration = Duration::from_secs(60);
const PERIOD: Duration = Duration::from_secs(10);

pub(crate) fn run() -> Result<Vec<Figure>> {
    tokio::runtime::Runtime::new().context("a runtime")?.block_on(measure())
}

async fn measure() -> Result<Vec<Figure>> {
    let broker = Arc::new(TestBroker::start().await?);
    let _word = Word::speak(&broker, "dev", PERIOD);
    let bare = Bare::start().await?;
    let mut crews = crews(&broker, &bare, AGENTS).await?;
    broker.broker.send(&broker.outgoing("dev", content(1)?, 1)?).await?;
    within(active(&mut crews, 1)).await?;
    let mut times = Vec::new();
    for round in 2..=1 + ROUNDS {
        let old = broker.server.pid();
        broker.server.kill9()?;
        // It counts as back when it takes connections again; while it is dead it has no process at all.
        until("the broker is back", PATIENCE, async || broker.server.pid().filter(|pid| Some(*pid) != old))
            .await;
        let begin = now();
        let outgoing = broker.outgoing("dev", content(round)?, round)?;
        until("it takes what is published", PATIENCE, async || broker.broker.send(&outgoing).await.ok())
            .await;
        times.push(since(begin, within(active(&mut crews, round)).await?));
    }
    let worst = times.iter().copied().fold(0.0, f64::max);
    let name = format!("reconnect storm: all {AGENTS} agents current after the broker's return");
    Ok(vec![
        Figure::new(&name, median(&mut times), "ms").at_most(5_000.0),
        Figure::new(format!("{name}, worst of {ROUNDS}"), worst, "ms").at_most(5_000.0),
    ])
}
