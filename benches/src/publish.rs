//! From publish to active, for 1, 100 and 1,000 agents, against a bare fan-out of the same bytes by core NATS to
//! as many clients; and until FORGE's side of the broker has every agent's answer.
//!
//! The agents live in a few processes, each with its own credential and connection. Rounds of both kinds are
//! taken in turn, on two servers of the same build.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use async_nats::HeaderMap;
use futures::StreamExt as _;
use nats_config::header;
use publisher::{FleetEvent, Outgoing};
use schemas::bundle::Bundle;
use schemas::{Micros, Version};
use tests::nats::{TestBroker, binary, now};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use crate::fleet::{BARE, Crew, Process};
use crate::measure::median;
use crate::prompts;
use crate::report::Figure;

const SIZES: [usize; 3] = [1, 100, 1_000];
const ROUNDS: u64 = 15;
const WARM_UP: u64 = 3;
const PATIENCE: Duration = Duration::from_secs(120);
/// So that one round's acknowledgements are not measured in the next.
const BETWEEN: Duration = Duration::from_millis(400);
const SET: &str = "chat";

/// When the last agent's answer to each serial came in.
type Answers = HashMap<u64, (usize, Micros)>;

pub(crate) fn run() -> Result<Vec<Figure>> {
    let runtime = tokio::runtime::Runtime::new().context("a runtime")?;
    let mut figures = Vec::new();
    for size in SIZES {
        figures.extend(runtime.block_on(measure(size)).with_context(|| format!("with {size} agents"))?);
    }
    Ok(figures)
}

async fn measure(size: usize) -> Result<Vec<Figure>> {
    let broker = Arc::new(TestBroker::start().await?);
    let bare = Bare::start().await?;
    let answers = listen(&broker, size).await?;
    let mut crews = crews(&broker, &bare, size).await?;

    let (mut lasts, mut lasts_bare, mut heard) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=WARM_UP + ROUNDS {
        let outgoing = broker.outgoing("dev", content(round)?, round)?;
        let (mut last, mut last_bare) = (0.0, 0.0);
        // Who goes first changes from round to round.
        for side in [round % 2, (round + 1) % 2] {
            if side == 0 {
                let begin = now();
                broker.broker.send(&outgoing).await?;
                last = since(begin, within(active(&mut crews, round)).await?);
                let answered = within(everybody(answers.clone(), round, size)).await?;
                if round > WARM_UP {
                    heard.push(since(begin, answered));
                }
            } else {
                let begin = now();
                bare.fan_out(&outgoing).await?;
                last_bare = since(begin, within(bare_round(&mut crews, round)).await?);
            }
            tokio::time::sleep(BETWEEN).await;
        }
        if round > WARM_UP {
            lasts.push(last);
            lasts_bare.push(last_bare);
        }
    }
    let bytes = broker.outgoing("dev", content(1)?, 1)?.wire.len();
    let (last, last_bare, heard) = (median(&mut lasts), median(&mut lasts_bare), median(&mut heard));
    let who = if size == 1 { "1 agent".to_owned() } else { format!("last of {size} agents") };
    let figure = Figure::new(format!("publish to active, {bytes} B, {who}"), last, "ms").against(last_bare);
    let figure = match size {
        1 => figure.at_most_times(2.0),
        1_000 => figure.at_most_times(1.5),
        _ => figure,
    };
    let who = if size == 1 { "the answer of 1 agent".to_owned() } else { format!("all {size} answers") };
    Ok(vec![figure, Figure::new(format!("publish to FORGE having {who}"), heard, "ms").against(last_bare)])
}

pub(crate) async fn crews(broker: &TestBroker, bare: &Bare, size: usize) -> Result<Vec<Process>> {
    let processes = size.div_ceil(250);
    let mut crews = Vec::with_capacity(processes);
    let mut made = 0;
    for number in 0..processes {
        let members = (size - made).min(size.div_ceil(processes));
        let agents: Vec<_> = (made..made + members)
            .map(|n| {
                let (credentials, connection) = broker.write_credential(&format!("agent-{n}"))?;
                anyhow::Ok((connection, credentials))
            })
            .collect::<Result<_>>()?;
        made += members;
        let file = broker.directory().join(format!("crew-{number}.json"));
        let crew = Crew { bare: bare.url.clone(), agents };
        crews.push(within(Process::start(&crew, &file)).await?);
    }
    Ok(crews)
}

/// About 1 KB of prompts, different in each round.
pub(crate) fn content(round: u64) -> Result<Bundle> {
    let mut prompts = prompts::made(1)?;
    for prompt in &mut prompts {
        prompt.description = format!("round {round}");
    }
    Ok(Bundle { version: Version::new(1, 0, round), ..prompts::bundle(SET, prompts)? })
}

/// The time in which the last agent had it.
pub(crate) async fn active(crews: &mut [Process], serial: u64) -> Result<Micros> {
    let mut last = 0;
    for crew in crews {
        last = last.max(crew.active(serial).await?.into_iter().max().unwrap_or_default());
    }
    Ok(last)
}

async fn bare_round(crews: &mut [Process], round: u64) -> Result<Micros> {
    let mut last = 0;
    for crew in crews {
        last = last.max(crew.bare(round).await?.into_iter().max().unwrap_or_default());
    }
    Ok(last)
}

/// Milliseconds between two times.
pub(crate) fn since(begin: Micros, end: Micros) -> f64 {
    (end - begin) as f64 / 1e3
}

pub(crate) async fn within<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(PATIENCE, work).await.context("it took too long")?
}

/// Hears the fleet as FORGE does: counts answers, and enrols whoever asks.
async fn listen(broker: &Arc<TestBroker>, size: usize) -> Result<watch::Receiver<Answers>> {
    let mut events = broker.broker.fleet().await?;
    let (tell, answers) = watch::channel(Answers::new());
    let broker = broker.clone();
    tokio::spawn(async move {
        let mut seen: HashMap<String, u64> = HashMap::new();
        while let Some(event) = events.next().await {
            match event {
                FleetEvent::Status(status, _) => {
                    let Some(active) = status.sets.iter().find_map(|set| set.active.as_ref()) else {
                        continue;
                    };
                    let before = seen.insert(status.agent.to_string(), active.serial);
                    if before == Some(active.serial) {
                        continue;
                    }
                    let at = now();
                    let count = |answers: &mut Answers| {
                        let entry = answers.entry(active.serial).or_default();
                        *entry = (entry.0 + 1, at);
                        entry.0 >= size
                    };
                    tell.send_if_modified(count);
                }
                FleetEvent::Enrol(request, responder) => {
                    let registrar = broker.registrar();
                    tokio::spawn(async move {
                        let period = Duration::from_secs(12);
                        let _ = registrar.answer(&request, responder, period, Vec::new()).await;
                    });
                }
                FleetEvent::Connected(_) | FleetEvent::Disconnected(_) => {}
            }
        }
    });
    Ok(answers)
}

async fn everybody(mut answers: watch::Receiver<Answers>, serial: u64, size: usize) -> Result<Micros> {
    let all = |answers: &Answers| answers.get(&serial).is_some_and(|(count, _)| *count >= size);
    let found = answers.wait_for(all).await.context("the fleet's events ended")?;
    Ok(found.get(&serial).map_or(0, |(_, at)| *at))
}

/// A nats-server with no accounts and no streams: the bare fan-out.
pub(crate) struct Bare {
    _server: Child,
    client: async_nats::Client,
    url: String,
}

impl Bare {
    pub(crate) async fn start() -> Result<Self> {
        let probe = std::net::TcpListener::bind("127.0.0.1:0")?;
        let port = probe.local_addr()?.port();
        drop(probe);
        let url = format!("nats://127.0.0.1:{port}");
        let server = Command::new(binary().await?.binary)
            .args(["-a", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("the bare server")?;
        let connect = async || async_nats::connect(&url).await.ok();
        let client = tests::until::until("the bare server answers", PATIENCE, connect).await;
        Ok(Self { _server: server, client, url })
    }

    /// The same bytes as a publication: its body and its headers.
    async fn fan_out(&self, outgoing: &Outgoing) -> Result<()> {
        let mut headers = HeaderMap::new();
        headers.insert(header::SERIAL, outgoing.serial.to_string());
        headers.insert(header::DIGEST, outgoing.digest.to_string());
        headers.insert(header::KEY, outgoing.certificate.as_str());
        headers.insert(header::ATTESTATION, outgoing.attestation.as_str());
        headers.insert(header::MESSAGE_ID, outgoing.publication.as_str());
        self.client.publish_with_headers(BARE, headers, outgoing.wire.clone()).await?;
        self.client.flush().await?;
        Ok(())
    }
}
