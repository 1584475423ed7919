//! An agent in a process of its own, for what can only be done to a whole process: its disk, its clock, its network.
//!
//! The process is this very test binary, told to run [`process`] only. It serves, reads all the time, and says on
//! standard output how it is; it ends when its standard input does.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use live_agent::LiveAgent;
use schemas::connect::Connection;
use serde::{Deserialize, Serialize};
use tests::until::{millis, secs, until};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child as Process, ChildStdin, Command};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::scene::{Reader, Scene, Texts, serial};

/// The variable that says who to be.
const WHO: &str = "FAULT_CHILD";
const SAYS: Duration = millis(20);

/// Who a process is to be.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Who {
    pub(crate) name: String,
    pub(crate) connection: Connection,
    pub(crate) credential: String,
    pub(crate) cache: PathBuf,
    pub(crate) nonce: String,
}

/// How it is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Says {
    pub(crate) serial: u64,
    pub(crate) connected: bool,
    pub(crate) cache: String,
    pub(crate) reads: u64,
    pub(crate) longest_ms: u64,
    pub(crate) problem: Option<String>,
    pub(crate) stale: bool,
    /// The wall clock as the process sees it.
    pub(crate) clock: i64,
}

impl Who {
    pub(crate) fn new(scene: &Scene, name: &str, server: &str, cache: PathBuf) -> Result<Self> {
        let (credential, connection) = scene.credential(name, server)?;
        let nonce = scene.texts.nonce().to_owned();
        Ok(Self { name: name.into(), connection, credential, cache, nonce })
    }
}

/// An agent in a process, as its parent holds it.
#[derive(Debug)]
pub(crate) struct Child {
    name: String,
    process: Process,
    _input: Option<ChildStdin>,
    says: watch::Receiver<Says>,
    _hears: AbortOnDropHandle<()>,
}

impl Child {
    /// Starts it by `command`, to which the program and its arguments are added.
    pub(crate) fn start(mut command: Command, who: &Who) -> Result<Self> {
        command.arg(std::env::current_exe()?);
        command.args(["--exact", "child::process", "--ignored", "--nocapture", "--test-threads=1"]);
        command.env(WHO, serde_json::to_string(who)?);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().context("the process of an agent")?;
        let mut lines = BufReader::new(process.stdout.take().context("its words")?).lines();
        let (tell, says) = watch::channel(Says::default());
        let hears = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                // The first stands behind what the test's own frame prints.
                let json = line.find('{').map_or("", |at| &line[at..]);
                if let Ok(says) = serde_json::from_str(json) {
                    tell.send_replace(says);
                }
            }
        });
        let input = process.stdin.take();
        let hears = AbortOnDropHandle::new(hears);
        Ok(Self { name: who.name.clone(), process, _input: input, says, _hears: hears })
    }

    pub(crate) fn pid(&self) -> Result<u32> {
        self.process.id().with_context(|| format!("the process of {} has ended", self.name))
    }

    pub(crate) fn says(&self) -> Says {
        self.says.borrow().clone()
    }

    /// Waits until it says something of the kind.
    pub(crate) async fn until(&self, what: &str, most: Duration, holds: impl Fn(&Says) -> bool) -> Says {
        let mut says = self.says.clone();
        let heard =
            tokio::time::timeout(most, says.wait_for(|says| holds(says) || says.problem.is_some())).await;
        let found = match heard {
            Ok(Ok(found)) => found.clone(),
            Ok(Err(_)) => panic!("{}: the process ended before {what}: {:?}", self.name, self.says()),
            Err(_) => panic!("{}: waited {most:?} in vain until {what}: {:?}", self.name, self.says()),
        };
        assert_eq!(found.problem, None, "{}: {what}", self.name);
        found
    }

    /// Waits until it serves what was published last, and holds the time since `from` against the bound.
    pub(crate) async fn current(&self, scene: &Scene, from: Instant, bound: Duration, what: &str) {
        let head = scene.head();
        let left = bound.saturating_sub(from.elapsed());
        self.until(&format!("serial {head}, {what}"), left, |says| says.serial >= head).await;
        println!("fault: {}, {what}: current again after {:?} (bound {bound:?})", self.name, from.elapsed());
    }

    /// Ends it and holds what it saw against what must be.
    pub(crate) async fn end(mut self) -> Result<()> {
        drop(self._input.take());
        let ended =
            tokio::time::timeout(secs(60), self.process.wait()).await.context("it does not end")??;
        anyhow::ensure!(ended.success(), "{}: {ended}: {:?}", self.name, self.says());
        // Its words end with it.
        let _ = tokio::time::timeout(secs(60), async { while self.says.changed().await.is_ok() {} }).await;
        let says = self.says();
        anyhow::ensure!(says.problem.is_none() && says.reads > 0, "{}: {says:?}", self.name);
        println!("  {}: {} reads, the longest {} ms", self.name, says.reads, says.longest_ms);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process of other tests, which start it themselves"]
async fn process() -> Result<()> {
    let Ok(who) = std::env::var(WHO) else { return Ok(()) };
    let who: Who = serde_json::from_str(&who)?;
    let builder = LiveAgent::builder().connection(who.connection).credentials(who.credential);
    let agent = builder.cache_dir(who.cache).name(who.name.clone()).allow_plain(true).start().await?;
    // Who starts it knows what was published; here any version is one.
    let texts = Texts::new(who.nonce, u64::MAX);
    let mut reader = None;
    let mut ends = tokio::io::stdin();
    let mut looks = tokio::time::interval(SAYS);
    let mut rest = [0; 16];
    loop {
        tokio::select! {
            _ = looks.tick() => {}
            read = ends.read(&mut rest) => if matches!(read, Ok(0) | Err(_)) {
                break;
            },
        }
        if reader.is_none() && serial(&agent) > 0 {
            reader = Some(Reader::start(agent.clone(), texts.clone()));
        }
        say(&agent, reader.as_ref())?;
    }
    let reader = reader.context("nothing was ever served")?;
    until("something was read", secs(30), async || (reader.seen().reads > 0).then_some(())).await;
    say(&agent, Some(&reader))?;
    reader.end(&who.name);
    agent.stop().await;
    Ok(())
}

fn say(agent: &LiveAgent, reader: Option<&Reader>) -> Result<()> {
    let local = agent.local_status();
    let seen = reader.map(Reader::seen).unwrap_or_default();
    let says = Says {
        serial: serial(agent),
        connected: local.connected,
        cache: local.status.cache,
        reads: seen.reads,
        longest_ms: u64::try_from(seen.longest.as_millis())?,
        problem: seen.problem,
        stale: local.status.stale,
        clock: tests::nats::now() / 1_000_000,
    };
    println!("{}", serde_json::to_string(&says)?);
    Ok(())
}
