//! The agents, what they are given, and who reads from them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use live_agent::{LiveAgent, Mode, vars};
use schemas::envelope::Head;
use tests::nats::TestBroker;
use tests::proxy::Proxy;
use tests::until::within;
use tests::word::Word;
use tokio_util::task::AbortOnDropHandle;

/// Prompt sets, each with one prompt of its own.
pub(crate) const SETS: usize = 3;
/// Agents behind one line.
const GROUP: usize = 50;
/// One agent of so many has its cache on disk.
const ON_DISK: usize = 10;
const GATHER: Duration = Duration::from_secs(180);
const PERIOD: Duration = Duration::from_secs(10);
const AT_ONCE: usize = 32;

/// When which serial of which set was published, and how long it took to whom since the last line.
#[derive(Debug, Default)]
struct Times {
    published: HashMap<(usize, u64), Instant>,
    taken: Vec<f64>,
}

#[derive(Debug, Default)]
struct Shared {
    times: Mutex<Times>,
    heads: [AtomicU64; SETS],
    reads: AtomicU64,
    ends: AtomicBool,
    problem: Mutex<Option<String>>,
}

pub(crate) struct Crowd {
    test: TestBroker,
    word: Word,
    pub(crate) lines: Vec<Proxy>,
    agents: Vec<LiveAgent>,
    shared: Arc<Shared>,
    versions: u64,
    reader: Option<JoinHandle<()>>,
    _hears: Vec<AbortOnDropHandle<()>>,
}

fn set(number: usize) -> String {
    format!("set-{number}")
}

fn id(number: usize) -> String {
    format!("prompt-{number}")
}

fn text(number: usize, serial: u64) -> String {
    format!(
        "{serial} of {number}. {} {serial}",
        "Use only what the documents say, and say so where they do not. ".repeat(12)
    )
}

/// Whether this is a text of the set, and of which serial.
fn serial_of(number: usize, found: &str) -> Option<u64> {
    let serial = found.split(' ').next()?.parse().ok()?;
    (text(number, serial) == found).then_some(serial)
}

impl Crowd {
    /// Starts everything and waits until every agent is connected and current.
    pub(crate) async fn gather(size: usize) -> Result<Self> {
        let test = TestBroker::start().await?;
        let word = Word::speak(&test, "dev", PERIOD);
        let mut lines = Vec::new();
        for _ in 0..size.div_ceil(GROUP) {
            lines.push(Proxy::start(&test.server.url()).await?);
        }
        let shared = Arc::new(Shared::default());
        let mut crowd = Self {
            test,
            word,
            lines,
            agents: Vec::new(),
            shared,
            versions: 0,
            reader: None,
            _hears: Vec::new(),
        };
        for number in 0..SETS {
            crowd.publish(number).await?;
        }
        let starts: Vec<_> = (0..size).map(|number| crowd.start(number)).collect();
        let agents: Vec<Result<LiveAgent>> = futures::stream::iter(starts).buffered(AT_ONCE).collect().await;
        crowd.agents = agents.into_iter().collect::<Result<_>>()?;
        within(GATHER, async || crowd.all_current().then_some(())).await.context("not all agents came")?;
        crowd._hears = crowd.agents.iter().map(|agent| hear(agent, &crowd.shared)).collect();
        crowd.shared.times().taken.clear();
        let (agents, shared) = (crowd.agents.clone(), crowd.shared.clone());
        crowd.reader = Some(std::thread::spawn(move || read(&agents, &shared)));
        Ok(crowd)
    }

    fn start(&self, number: usize) -> impl Future<Output = Result<LiveAgent>> + 'static {
        let name = format!("agent-{number}");
        let minted = self.test.mint(&name);
        let (url, cache) = (self.lines[number / GROUP].url(), self.test.directory().join(&name));
        async move {
            let (minted, mut connection) = minted?;
            connection.servers = vec![url];
            let builder =
                LiveAgent::builder().connection(connection).credentials(minted.creds.to_string()).name(name);
            let builder =
                if number.is_multiple_of(ON_DISK) { builder.cache_dir(cache) } else { builder.memory_only() };
            Ok(builder.start().await?)
        }
    }

    /// Publishes the next version of a set.
    pub(crate) async fn publish(&mut self, number: usize) -> Result<()> {
        let serial = self.shared.heads[number].load(Ordering::SeqCst) + 1;
        let bundle =
            self.test.bundle(&set(number), &format!("1.{serial}.0"), &[(&id(number), &text(number, serial))]);
        let outgoing = self.test.outgoing("dev", bundle, serial)?;
        self.shared.times().published.insert((number, serial), Instant::now());
        // What is sent may be in the stream though nobody said so: the same bytes are sent again.
        for attempt in 0.. {
            match tokio::time::timeout(PERIOD, self.test.broker.send(&outgoing)).await {
                Ok(Ok(_)) => break,
                Ok(Err(error)) if attempt == 60 => return Err(error.into()),
                Err(_) if attempt == 60 => anyhow::bail!("the broker does not take serial {serial}"),
                Ok(Err(_)) | Err(_) => tokio::time::sleep(Duration::from_millis(500)).await,
            }
        }
        self.shared.heads[number].store(serial, Ordering::SeqCst);
        self.word.announce(Head { set: outgoing.set.clone(), serial, digest: outgoing.digest });
        self.versions += 1;
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.agents.len()
    }

    pub(crate) fn versions(&self) -> u64 {
        self.versions
    }

    pub(crate) fn reads(&self) -> u64 {
        self.shared.reads.load(Ordering::Relaxed)
    }

    pub(crate) fn problem(&self) -> Option<String> {
        self.shared.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn current(&self, agent: &LiveAgent) -> bool {
        let is = |number: usize| {
            let read = agent.prompt(&id(number), &vars! {}).ok();
            read.and_then(|text| serial_of(number, &text))
                == Some(self.shared.heads[number].load(Ordering::SeqCst))
        };
        (0..SETS).all(is)
    }

    fn all_current(&self) -> bool {
        self.agents.iter().all(|agent| self.current(agent))
    }

    /// How many have the newest of everything, and how many are FROZEN.
    pub(crate) fn standing(&self) -> (usize, usize) {
        let current = self.agents.iter().filter(|agent| self.current(agent)).count();
        (current, self.agents.iter().filter(|agent| agent.mode() == Mode::Frozen).count())
    }

    /// How many versions were taken up since this was asked last, and how long after they were published, in
    /// milliseconds: half of them, and all but one of a hundred.
    pub(crate) fn catching_up(&self) -> (usize, f64, f64) {
        let mut times = self.shared.times();
        let mut taken = std::mem::take(&mut times.taken);
        times.published.retain(|_, at| at.elapsed() < Duration::from_secs(600));
        drop(times);
        taken.sort_by(f64::total_cmp);
        let part = |of: f64| taken.get((taken.len() as f64 * of) as usize).copied().unwrap_or_default();
        (taken.len(), part(0.5), part(0.99))
    }

    pub(crate) async fn set_mode(&self, agent: usize, mode: Mode) -> Result<()> {
        self.agents[agent].set_mode(mode).await.context("the mode")
    }

    pub(crate) fn server_pid(&self) -> Option<u32> {
        self.test.server.pid()
    }

    pub(crate) fn kill_server(&self) -> Result<()> {
        // It may just be dead.
        if self.server_pid().is_some() { self.test.server.kill9() } else { Ok(()) }
    }

    pub(crate) async fn restart_server(&mut self) -> Result<()> {
        self.test.server.restart().await
    }

    /// Publishes one more of each set, and waits until everybody has all of them.
    pub(crate) async fn converge(&mut self, most: Duration) -> Result<()> {
        for number in 0..SETS {
            self.publish(number).await?;
        }
        let done = within(most, async || self.all_current().then_some(())).await;
        done.with_context(|| {
            format!(
                "{} of {} agents are current {most:?} after the last fault",
                self.standing().0,
                self.len()
            )
        })
    }

    pub(crate) async fn leave(mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        futures::stream::iter(&self.agents).for_each_concurrent(AT_ONCE, |agent| agent.stop()).await;
    }
}

impl Shared {
    fn times(&self) -> std::sync::MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes how long after its publication each version is taken up.
fn hear(agent: &LiveAgent, shared: &Arc<Shared>) -> AbortOnDropHandle<()> {
    let (mut changes, shared) = (agent.subscribe(), shared.clone());
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            match changes.recv().await {
                Ok(change) => {
                    let number = change.set.as_str().trim_start_matches("set-").parse().unwrap_or(usize::MAX);
                    let mut times = shared.times();
                    if let Some(at) = times.published.get(&(number, change.serial)) {
                        let took = at.elapsed().as_secs_f64() * 1e3;
                        times.taken.push(took);
                    }
                }
                Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
                Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
            }
        }
    }))
}

/// Reads from one agent after the other, for ever: each read gives a version that was published, and none goes back.
fn read(agents: &[LiveAgent], shared: &Shared) {
    let mut seen = vec![[0; SETS]; agents.len()];
    while !shared.ends.load(Ordering::Relaxed) {
        for (agent, seen) in agents.iter().zip(&mut seen) {
            for (number, seen) in seen.iter_mut().enumerate() {
                let read = agent.prompt(&id(number), &vars! {});
                shared.reads.fetch_add(1, Ordering::Relaxed);
                match read.as_deref().map(|text| serial_of(number, text)) {
                    Ok(Some(serial)) if serial >= *seen => *seen = serial,
                    other => {
                        let problem = format!("{}: after serial {seen} of {number}: {other:?}", agent.name());
                        *shared.problem.lock().unwrap_or_else(PoisonError::into_inner) = Some(problem);
                        return;
                    }
                }
            }
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
}
