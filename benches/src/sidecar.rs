//! The sidecar: requests a second for a prompt of 2 kB over connections that are kept, beside the least
//! that the same HTTP library can do; and its memory.
//!
//! The load shares the machine with what it asks. What two whole cores would do is inferred from the
//! processor time that a request takes in the sidecar's own process.

use std::convert::Infallible;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::body::Body;
use axum::http::{Request, Response};
use futures::StreamExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use publisher::FleetEvent;
use schemas::PromptId;
use schemas::prompt::Prompt;
use serde_json::{Value, json};
use tests::nats::TestBroker;

use crate::prompts;
use crate::report::Figure;
use load::Done;

pub(crate) mod load;

/// Each of sidecar and baseline is asked so often, in turn; the middle one counts.
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(4);
const THREADS: usize = 2;
const CONNECTIONS: usize = 64;
const CORES: f64 = 2.0;
const PATIENCE: Duration = Duration::from_secs(60);
/// The mode in which this program is the baseline.
pub(crate) const HELLO: &str = "hello-world";

/// A process of ours, ended with this.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn run() -> Result<Vec<Figure>> {
    let runtime = tokio::runtime::Runtime::new().context("a runtime")?;
    let broker = runtime.block_on(TestBroker::start())?;
    let (live, address) = runtime.block_on(sidecar(&broker))?;
    let (hello, hello_address) = baseline()?;
    let body =
        json!({ "id": "bench", "values": { "name": "Ada", "company": "Meridian Hardware" } }).to_string();
    let request = |body: &str| {
        format!("POST /v1/render HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    let request = request(&body);
    let (mut ours, mut least) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let ask = |address, pid| load::run(address, pid, request.as_bytes(), THREADS, CONNECTIONS, ROUND);
        ours.push(ask(address, live.0.id())?);
        least.push(ask(hello_address, hello.0.id())?);
    }
    let (ours, least) = (middle(ours)?, middle(least)?);
    let cores = |done: &Done| CORES * 1e6 / done.cpu_us();
    Ok(vec![
        Figure::new("sidecar, 2 kB over keep-alive, load on the same cores", ours.per_second(), "/s")
            .against(least.per_second()),
        Figure::new("sidecar, processor time of a request", ours.cpu_us(), "us").against(least.cpu_us()),
        Figure::new("sidecar, inferred for two whole cores", cores(&ours), "/s")
            .against(cores(&least))
            .at_least(100_000.0),
        Figure::new("sidecar, resident memory after that", crate::resident::resident_mb(live.0.id())?, "MB")
            .at_most(20.0),
    ])
}

fn middle(mut rounds: Vec<Done>) -> Result<Done> {
    rounds.sort_by(|a, b| a.cpu_us().total_cmp(&b.cpu_us()));
    rounds.get(rounds.len() / 2).copied().context("no round")
}

/// `live serve` as a user starts it, serving a prompt of 2 kB.
async fn sidecar(broker: &TestBroker) -> Result<(Process, SocketAddr)> {
    let mut events = broker.broker.fleet().await?;
    let (credentials, connection) = broker.write_credential("sidecar")?;
    let text =
        include_str!("../../examples/fabric-patterns/analyze_answers/system.md").replace(['{', '}'], "|");
    let text: String = text.chars().cycle().take(1_900).collect();
    let template =
        format!("You help {{{{ name }}}} of {{{{ company }}}}.\n{text}\nThank you, {{{{ name }}}}.");
    let mut prompt = Prompt::text(PromptId::new("bench").context("a prompt id")?, template);
    prompt.parameters = serde_json::from_value(json!([
        {"name": "name", "type": "string", "required": true, "max_length": 80},
        {"name": "company", "type": "string", "required": true},
    ]))?;
    broker.publish(prompts::bundle("bench", vec![prompt])?).await?;
    let mut child = Command::new(tests::tools::binary("live"))
        .args(["serve", "--json", "--no-token", "--listen", "127.0.0.1:0"])
        .env("LIVE_CONNECTION", connection)
        .env("LIVE_CREDENTIALS", credentials)
        .env("LIVE_CACHE_DIR", broker.directory().join("sidecar"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("live serve")?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
    let live = Process(child);
    let said: Value = serde_json::from_str(&line).context("what live says")?;
    let address = said["listen"][0].as_str().context("an address")?.parse()?;
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
    Ok((live, address))
}

/// This program, as a server that says the same few bytes to everybody.
fn baseline() -> Result<(Process, SocketAddr)> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg(HELLO)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("the baseline")?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
    Ok((Process(child), line.trim().parse().context("the baseline's address")?))
}

/// The baseline itself: the same library with the same settings, and nothing behind it.
pub(crate) async fn hello() -> Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let service = service_fn(|_: Request<Incoming>| async {
                Ok::<_, Infallible>(Response::new(Body::from("Hello, world!")))
            });
            let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
