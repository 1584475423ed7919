//! A process full of agents, each with its own credential and connection, and of as many bare clients.
//!
//! `benches fleet FILE` is this process; the file says who to be. It tells on standard output when the last of
//! its agents, or of its clients, has a round, and ends when its standard input does.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use live_agent::LiveAgent;
use schemas::Micros;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// The subject of the bare fan-out.
pub(crate) const BARE: &str = "bench";

/// Who a process is to be.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Crew {
    /// The server of the bare fan-out.
    pub(crate) bare: String,
    /// Connection and credential of each agent.
    pub(crate) agents: Vec<(PathBuf, PathBuf)>,
}

/// Something that every member of a crew has.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Word {
    /// Everybody is started, and every bare client has subscribed.
    Ready,
    /// The serial is active; when each agent made it so.
    Active(u64, Vec<Micros>),
    /// The bare message came; when each client had it.
    Bare(u64, Vec<Micros>),
}

/// Counts until everybody has a round.
#[derive(Debug)]
struct Tally {
    everybody: usize,
    rounds: Mutex<HashMap<u64, Vec<Micros>>>,
    word: fn(u64, Vec<Micros>) -> Word,
}

impl Tally {
    fn new(everybody: usize, word: fn(u64, Vec<Micros>) -> Word) -> Arc<Self> {
        Arc::new(Self { everybody, rounds: Mutex::default(), word })
    }

    fn has(&self, round: u64, at: Micros) {
        let mut rounds = self.rounds.lock().unwrap_or_else(PoisonError::into_inner);
        let times = rounds.entry(round).or_default();
        times.push(at);
        if times.len() == self.everybody {
            let times = rounds.remove(&round).unwrap_or_default();
            drop(rounds);
            say(&(self.word)(round, times));
        }
    }
}

fn say(word: &Word) {
    let line = serde_json::to_string(word).unwrap_or_default();
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

/// The process itself.
pub(crate) async fn serve(file: &Path) -> Result<()> {
    let crew: Crew = serde_json::from_slice(&std::fs::read(file)?).context("the crew's file")?;
    let everybody = crew.agents.len();
    let (active, bare) = (Tally::new(everybody, Word::Active), Tally::new(everybody, Word::Bare));
    let mut agents = Vec::with_capacity(everybody);
    for (number, (connection, credentials)) in crew.agents.iter().enumerate() {
        let agent = LiveAgent::builder()
            .connection_file(connection)
            .credentials_file(credentials)
            .memory_only()
            .name(format!("agent-{}-{number}", std::process::id()))
            .start()
            .await?;
        let (mut changes, active) = (agent.subscribe(), active.clone());
        tokio::spawn(async move {
            while let Ok(change) = changes.recv().await {
                active.has(change.to.serial, change.to.activated_at);
            }
        });
        agents.push(agent);
        let client = async_nats::connect(&crew.bare).await.context("the bare server")?;
        let mut messages = client.subscribe(BARE).await?;
        client.flush().await?;
        let bare = bare.clone();
        tokio::spawn(async move {
            let _connected = client;
            while let Some(message) = messages.next().await {
                let at = tests::nats::now();
                let round = message.headers.as_ref().and_then(|h| h.get(nats_config::header::SERIAL));
                bare.has(round.and_then(|r| r.as_str().parse().ok()).unwrap_or_default(), at);
            }
        });
    }
    say(&Word::Ready);
    let _ = tokio::io::stdin().read_to_end(&mut Vec::new()).await;
    Ok(())
}

/// A crew's process, as its parent holds it.
#[derive(Debug)]
pub(crate) struct Process {
    _child: Child,
    words: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts a crew and waits until it is ready.
    pub(crate) async fn start(crew: &Crew, file: &Path) -> Result<Self> {
        std::fs::write(file, serde_json::to_vec(crew)?)?;
        let mut child = Command::new(std::env::current_exe()?)
            .arg("fleet")
            .arg(file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let words = BufReader::new(child.stdout.take().context("the crew's words")?).lines();
        let mut process = Self { _child: child, words };
        process.hear(|word| matches!(word, Word::Ready).then_some(())).await?;
        Ok(process)
    }

    /// When each agent made this serial active.
    pub(crate) async fn active(&mut self, serial: u64) -> Result<Vec<Micros>> {
        self.hear(|word| match word {
            Word::Active(round, times) if round == serial => Some(times),
            _ => None,
        })
        .await
    }

    /// When each bare client had this round.
    pub(crate) async fn bare(&mut self, wanted: u64) -> Result<Vec<Micros>> {
        self.hear(|word| match word {
            Word::Bare(round, times) if round == wanted => Some(times),
            _ => None,
        })
        .await
    }

    async fn hear<T>(&mut self, wanted: impl Fn(Word) -> Option<T>) -> Result<T> {
        loop {
            let line = self.words.next_line().await?.context("a process of agents ended early")?;
            if let Some(found) = wanted(serde_json::from_str(&line).context("a crew's word")?) {
                return Ok(found);
            }
        }
    }
}
