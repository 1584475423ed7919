//! A thousand agents in one process, for half an hour, while whatever can go wrong does: `make soak`.
//!
//! A real nats-server; the agents stand in groups behind lines of the tests' own. Everything that is random comes
//! from one seed, which is printed first. Every 10 s a line says how it stands. At the end every fault is taken back, one
//! version of each set is published, and it ends with 0 if all of these hold, and with 1 otherwise:
//!
//! - every agent serves the newest of every set within two minutes;
//! - no read ever failed, or gave what was not published;
//! - memory is flat, both what is resident and what of the heap is held: its mean in the last third after the warm-up
//!   is not above that in the first by more than 5 % and 16 MB;
//! - there are as many descriptors as when all were first connected.
//!
//! | module | what it does |
//! |---|---|
//! | [`crowd`] | the agents, what they are given, and who reads from them |
//! | [`faults`] | what goes wrong |
//! | [`gauge`] | what is measured |

mod crowd;
mod faults;
mod gauge;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crowd::Crowd;
use faults::Faults;
use gauge::Gauge;

#[global_allocator]
static ALLOCATOR: hostile::allocations::Holding = hostile::allocations::Holding;

const LINE: Duration = Duration::from_secs(10);
const CONVERGE: Duration = Duration::from_secs(120);
/// The part of the time that counts as warming up, and the least of it.
const WARM_UP: f64 = 0.2;

#[derive(Debug)]
struct Options {
    agents: usize,
    time: Duration,
    seed: u64,
}

impl Options {
    fn read() -> Result<Self> {
        let mut options = Self { agents: 1_000, time: Duration::from_secs(1_800), seed: rand::random() };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let value = words.next().with_context(|| format!("{word} needs a value"))?;
            match word.as_str() {
                "--agents" => options.agents = value.parse().context("--agents")?,
                "--minutes" => {
                    options.time = Duration::from_secs_f64(value.parse::<f64>().context("--minutes")? * 60.0)
                }
                "--seed" => options.seed = value.parse().context("--seed")?,
                _ => bail!("there is no option {word}: --agents, --minutes, --seed"),
            }
        }
        Ok(options)
    }
}

fn main() -> Result<ExitCode> {
    let options = Options::read()?;
    let failures = tokio::runtime::Runtime::new()?.block_on(soak(&options))?;
    for failure in &failures {
        println!("FAILED: {failure}");
    }
    println!("seed {}: {}", options.seed, if failures.is_empty() { "all holds" } else { "it does not hold" });
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn soak(options: &Options) -> Result<Vec<String>> {
    println!("soak: {} agents for {:?}, seed {}", options.agents, options.time, options.seed);
    let mut random = StdRng::seed_from_u64(options.seed);
    let mut crowd = Crowd::gather(options.agents).await?;
    let mut gauge = Gauge::begin(options.time.mul_f64(WARM_UP));
    println!("soak: all are connected and current, {} descriptors", gauge.descriptors());
    let mut faults = Faults::default();

    let begin = Instant::now();
    let mut lines = tokio::time::interval_at(tokio::time::Instant::now() + LINE, LINE);
    let (mut next_fault, mut next_version) = (seconds(&mut random, 2.0, 6.0), seconds(&mut random, 1.0, 3.0));
    while begin.elapsed() < options.time {
        tokio::select! {
            _ = lines.tick() => println!("{}", gauge.line(begin.elapsed(), &crowd, &faults)),
            () = tokio::time::sleep_until(next_fault) => {
                faults.next(&mut crowd, &mut random).await?;
                next_fault = seconds(&mut random, 2.0, 8.0);
            }
            () = tokio::time::sleep_until(next_version) => {
                // With the server away FORGE would keep it for later, and so is it here.
                let _ = crowd.publish(random.random_range(0..crowd::SETS)).await;
                next_version = seconds(&mut random, 1.0, 4.0);
            }
        }
    }

    faults.take_back(&mut crowd).await?;
    let begin = Instant::now();
    let mut failures = Vec::new();
    match crowd.converge(CONVERGE).await {
        Ok(()) => println!(
            "soak: all {} agents serve the newest of every set after {:?}",
            options.agents,
            begin.elapsed()
        ),
        Err(error) => failures.push(format!("{error:#}")),
    }
    println!("{}", gauge.line(options.time + begin.elapsed(), &crowd, &faults));
    failures.extend(crowd.problem());
    failures.extend(gauge.verdict().await);
    crowd.leave().await;
    Ok(failures)
}

fn seconds(random: &mut StdRng, least: f64, most: f64) -> tokio::time::Instant {
    tokio::time::Instant::now() + Duration::from_secs_f64(least + (most - least) * random.random::<f64>())
}
