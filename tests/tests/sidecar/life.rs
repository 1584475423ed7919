//! How it ends, and reads its files again: without a request lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::Signal;
use tests::nats::TestBroker;
use tests::stage::Answering;
use tests::until::{secs, until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::stage::{PATIENCE, Sidecar, command, curl, furnish};

const HELLO: &str = r#"{"id":"hello","values":{"name":"Ada","n":3}}"#;

/// One request on a connection: its status, and whether the connection goes on. None: the connection ended before
/// anything came back.
async fn once(stream: &mut TcpStream, head: &str) -> Result<Option<(u16, bool)>> {
    if stream.write_all(format!("{head}{HELLO}").as_bytes()).await.is_err() {
        return Ok(None);
    }
    let mut read = Vec::new();
    loop {
        if stream.read_buf(&mut read).await.unwrap_or_default() == 0 {
            ensure!(read.is_empty(), "cut off after {} bytes", read.len());
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&read).to_ascii_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length: usize = head
            .lines()
            .find_map(|l| l.strip_prefix("content-length: ")?.parse().ok())
            .context("no length")?;
        if body.len() >= length {
            let status = head.split(' ').nth(1).context("no status")?.parse()?;
            return Ok(Some((status, !head.contains("connection: close"))));
        }
    }
}

/// Callers that ask without pause, each on a connection that it keeps, and opens anew when it is told to.
struct Callers {
    tasks: Vec<tokio::task::JoinHandle<Result<()>>>,
    asked: Arc<AtomicU64>,
    /// Connections that the system took for a listener that was just ending, and sent away.
    turned_away: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Callers {
    fn start(sidecar: &Sidecar, many: usize) -> Self {
        let (asked, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let turned_away = Arc::new(AtomicU64::new(0));
        let head = format!(
            "POST /v1/render HTTP/1.1\r\nhost: localhost\r\n{}\r\ncontent-length: {}\r\n\r\n",
            sidecar.bearer(),
            HELLO.len()
        );
        let tasks = (0..many)
            .map(|_| {
                let (asked, stop) = (Arc::clone(&asked), Arc::clone(&stop));
                let turned_away = Arc::clone(&turned_away);
                let (head, address) = (head.clone(), sidecar.address.clone());
                tokio::spawn(async move {
                    // It ends where nobody takes connections any more.
                    while let Ok(mut stream) = TcpStream::connect(&address).await {
                        let mut fresh = true;
                        loop {
                            let Some((status, goes_on)) = once(&mut stream, &head).await? else {
                                // Between its last look at who came and its end a listener may get one more.
                                ensure!(fresh, "a request was lost on a connection that went on");
                                ensure!(TcpStream::connect(&address).await.is_err(), "a request was lost");
                                turned_away.fetch_add(1, Ordering::Relaxed);
                                return Ok(());
                            };
                            fresh = false;
                            ensure!(status == 200, "status {status}");
                            asked.fetch_add(1, Ordering::Relaxed);
                            if stop.load(Ordering::Relaxed) {
                                return Ok(());
                            }
                            if !goes_on {
                                break;
                            }
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        Self { tasks, asked, turned_away, stop }
    }

    async fn warm(&self) {
        let before = self.asked.load(Ordering::Relaxed);
        until("they ask", PATIENCE, async || {
            (self.asked.load(Ordering::Relaxed) > before + 200).then_some(())
        })
        .await;
    }

    async fn end(self) -> Result<()> {
        let many = self.tasks.len() as u64;
        for task in self.tasks {
            tokio::time::timeout(PATIENCE, task).await.context("a caller hangs")???;
        }
        // Who waited in the line is served: those are few that come in that moment.
        let turned_away = self.turned_away.load(Ordering::Relaxed);
        ensure!(turned_away <= many / 4, "{turned_away} of {many} callers were turned away");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_under_load_loses_no_request_and_is_told_before() -> Result<()> {
    let test = TestBroker::start().await?;
    furnish(&test).await?;
    // A port that the system gives to nobody else once it is free. And long enough to be asked in the meantime, on a
    // machine that is busy with the callers.
    let listen = format!("127.0.0.1:{}", tests::forge::free_port()?);
    let drain = ["--listen", listen.as_str(), "--drain-delay-ms", "8000"];
    let mut sidecar = Sidecar::serving(&test, "drain", &drain).await?;
    let callers = Callers::start(&sidecar, 16);
    callers.warm().await;
    sidecar.signal(Signal::SIGTERM)?;
    until("it is not ready", PATIENCE, async || {
        (sidecar.near("/readyz", None, &[]).await.ok()?.status == 503).then_some(())
    })
    .await;
    assert_eq!(sidecar.near("/livez", None, &[]).await?.status, 200, "it still answers");
    assert_eq!(sidecar.ended().await?, Some(0));
    callers.end().await?;
    assert!(!sidecar.socket.exists());
    assert!(TcpStream::connect(&sidecar.address).await.is_err());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_token_is_taken_up_without_a_request_lost() -> Result<()> {
    let test = TestBroker::start().await?;
    furnish(&test).await?;
    let mut sidecar = Sidecar::serving(&test, "reload", &[]).await?;
    let callers = Callers::start(&sidecar, 4);
    callers.warm().await;
    let second = "the-second-token-of-this-sidecar";
    let bearer = format!("authorization: Bearer {second}");
    let asks = async || sidecar.bare("/v1/render", Some(HELLO), &["-H", &bearer]).await;
    assert_eq!(asks().await?.status, 401);
    std::fs::write(&sidecar.token_file, format!("{}\n{second}\n", sidecar.token))?;
    sidecar.signal(Signal::SIGHUP)?;
    until("the second token counts", PATIENCE, async || (asks().await.ok()?.status == 200).then_some(()))
        .await;
    // What cannot be used changes nothing.
    std::fs::write(&sidecar.token_file, "short\n")?;
    sidecar.signal(Signal::SIGHUP)?;
    callers.warm().await;
    assert_eq!(asks().await?.status, 200);
    callers.stop.store(true, Ordering::Relaxed);
    callers.end().await?;
    // The first goes.
    std::fs::write(&sidecar.token_file, format!("{second}\n"))?;
    sidecar.signal(Signal::SIGHUP)?;
    until("the first token is gone", PATIENCE, async || {
        (sidecar.get("/v1/status").await.ok()?.status == 401).then_some(())
    })
    .await;
    sidecar.signal(Signal::SIGTERM)?;
    assert_eq!(sidecar.ended().await?, Some(0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_too_long_is_cut_off_and_the_end_comes_all_the_same() -> Result<()> {
    let test = TestBroker::start().await?;
    furnish(&test).await?;
    let mut sidecar =
        Sidecar::serving(&test, "cut", &["--drain-time-ms", "500", "--body-time-ms", "60000"]).await?;
    let mut slow = TcpStream::connect(&sidecar.address).await?;
    let head = format!(
        "POST /v1/render HTTP/1.1\r\nhost: localhost\r\n{}\r\ncontent-length: 9\r\n\r\n",
        sidecar.bearer()
    );
    slow.write_all(head.as_bytes()).await?;
    until("it is in flight", PATIENCE, async || {
        let metrics = sidecar.near("/metrics", None, &[]).await.ok()?.body;
        metrics.contains("live_http_requests_in_flight 2\n").then_some(())
    })
    .await;
    sidecar.signal(Signal::SIGTERM)?;
    assert_eq!(sidecar.ended().await?, Some(0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_start_waits_it_lives_is_not_ready_and_ends_when_it_is_told_to() -> Result<()> {
    let test = TestBroker::start().await?;
    furnish(&test).await?;
    let waits = ["--start", "fresh", "--start-wait", "1h"];
    let socket = test.directory().join("waits/live.http");
    let ask = async |path: &str, body: Option<&str>| {
        let near = ["--unix-socket", socket.to_str().unwrap_or_default()];
        curl(&format!("http://localhost{path}"), body, &near).await
    };
    let is_up = async || {
        until("it answers", PATIENCE, async || {
            ask("/livez", None).await.ok().filter(|answer| answer.status == 200)
        })
        .await
    };
    let mut child = command(&test, "waits", &waits)?.spawn()?;
    is_up().await;
    let ready = ask("/readyz", None).await?;
    assert!(ready.status == 503 && ready.body.contains("the agent is starting"), "{ready:?}");
    let render = ask("/v1/render", Some(HELLO)).await?;
    assert_eq!((render.status, render.code().as_str()), (503, "nothing_served"), "not before it is fresh");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id().context("it runs")?)?);
    nix::sys::signal::kill(pid, Signal::SIGTERM)?;
    let ended = tokio::time::timeout(PATIENCE, child.wait()).await.context("it does not end")??;
    assert_eq!(ended.code(), Some(0));
    assert!(!socket.exists());

    // And where FORGE's word comes, it serves.
    let child = command(&test, "waits", &waits)?.spawn()?;
    is_up().await;
    let _forge = Answering::start(&test, Some(Vec::new())).await?;
    let beats = async {
        loop {
            let _ = test.beat("dev", Vec::new(), secs(1)).await;
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    };
    let sidecar = tokio::select! {
        sidecar = Sidecar::of(child) => sidecar?,
        () = beats => bail!("never"),
    };
    assert_eq!(sidecar.near("/v1/render", Some(HELLO), &[]).await?.status, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_of_the_killed_is_taken_over_and_one_in_use_is_not() -> Result<()> {
    let test = TestBroker::start().await?;
    furnish(&test).await?;
    let mut first = Sidecar::serving(&test, "killed", &[]).await?;
    let output = crate::stage::command(&test, "killed", &[])?.output().await?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("served by another process"), "{said}");
    assert_eq!(first.near("/livez", None, &[]).await?.status, 200, "the first goes on");
    first.child.kill().await?;
    assert!(first.socket.exists(), "nobody tidied up");
    let second = Sidecar::serving(&test, "killed", &[]).await?;
    assert_eq!(second.near("/v1/render", Some(HELLO), &[]).await?.status, 200);
    Ok(())
}
