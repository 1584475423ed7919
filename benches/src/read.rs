//! Reading a prompt from the cache of an agent that has 10,000, by one thread and by two at once.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use hostile::allocations;
use live_agent::LiveAgent;
use schemas::prompt::Prompt;
use tests::nats::TestBroker;
use tests::until::until;

use crate::measure::{median, pair};
use crate::prompts;
use crate::report::Figure;

const PROMPTS: usize = 10_000;
const FEW: usize = 64;
const ROUNDS: usize = 15;
const CALLS: usize = 400_000;
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run() -> Result<Vec<Figure>> {
    let runtime = tokio::runtime::Runtime::new().context("a runtime")?;
    let (_broker, agent, ids) = runtime.block_on(prepare())?;
    let plain: hashbrown::HashMap<String, Prompt> = ids
        .iter()
        .map(|id| Ok((id.clone(), Prompt::clone(&*agent.template(id).context("a prompt")?))))
        .collect::<Result<_>>()?;

    let read = |id: &str| {
        black_box(agent.with(black_box(id), |prompt| std::ptr::from_ref(prompt).addr()).unwrap_or_default());
    };
    // All of them in an order that no cache of the processor can foresee, and a few, as one service has them.
    let against = |ids: &[String]| {
        let (mut next, mut next_plain) = (Walk::new(ids), Walk::new(ids));
        pair(
            || read(next.id()),
            || {
                black_box(
                    plain.get(black_box(next_plain.id())).map(|prompt| std::ptr::from_ref(prompt).addr()),
                );
            },
        )
    };
    let few = against(&ids[..FEW]);
    let all = against(&ids);
    let mut next = Walk::new(&ids);
    let made = allocations::count(|| (0..PROMPTS).for_each(|_| read(next.id())));

    let (mut alone, mut together) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(threads(1, &ids, &read));
        together.push(threads(2, &ids, &read));
    }
    let (alone, together) = (median(&mut alone), median(&mut together));
    Ok(vec![
        Figure::new(
            format!("read one of {FEW} from a cache of {PROMPTS} vs a bare HashMap"),
            few.measured,
            "ns",
        )
        .against(few.baseline)
        .at_most(100.0),
        Figure::new(format!("read any of {PROMPTS}, in no order, vs a bare HashMap"), all.measured, "ns")
            .against(all.baseline)
            .at_most(100.0),
        Figure::new(format!("read by two threads of {} vs one", cores()), together, "ns")
            .against(alone)
            .at_most_times(1.25),
        Figure::new(format!("allocations of {PROMPTS} reads"), made as f64, "").at_most(0.0),
    ])
}

fn cores() -> String {
    format!("{} cores", std::thread::available_parallelism().map_or(1, usize::from))
}

async fn prepare() -> Result<(TestBroker, LiveAgent, Vec<String>)> {
    let broker = TestBroker::start().await?;
    let (credentials, connection) = broker.write_credential("reader")?;
    let bundle = prompts::bundle("large", prompts::made(PROMPTS)?)?;
    let ids: Vec<String> = bundle.prompts.iter().map(|p| p.id.to_string()).collect();
    broker.publish(bundle).await?;
    let builder = LiveAgent::builder().connection_file(connection).credentials_file(credentials);
    let agent = builder.memory_only().name("reader").start().await?;
    until("the agent has the prompts", PATIENCE, async || agent.template(&ids[0]).ok().map(|_| ())).await;
    Ok((broker, agent, ids))
}

/// Goes through the ids in an order that no cache of the processor can foresee.
struct Walk<'a> {
    ids: &'a [String],
    at: usize,
}

impl<'a> Walk<'a> {
    fn new(ids: &'a [String]) -> Self {
        Self { ids, at: 0 }
    }

    fn id(&mut self) -> &'a str {
        // A step without a common divisor with 10,000 reaches all of them.
        self.at = (self.at + 7_919) % self.ids.len();
        &self.ids[self.at]
    }
}

/// Nanoseconds per call when this many threads read at once.
fn threads(many: usize, ids: &[String], read: &(impl Fn(&str) + Sync)) -> f64 {
    let start = Barrier::new(many);
    let times = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..many)
            .map(|_| {
                scope.spawn(|| {
                    let mut next = Walk::new(ids);
                    start.wait();
                    let begin = Instant::now();
                    (0..CALLS).for_each(|_| read(next.id()));
                    begin.elapsed().as_nanos() as f64 / CALLS as f64
                })
            })
            .collect();
        readers.into_iter().filter_map(|reader| reader.join().ok()).collect::<Vec<f64>>()
    });
    times.into_iter().fold(0.0, f64::max)
}
