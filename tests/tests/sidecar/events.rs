//! What happens, in its order, and nothing twice.

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use serde_json::Value;
use tests::nats::TestBroker;
use tests::stage::{Answering, publish};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::UnixStream;

use crate::stage::{PATIENCE, Sidecar};

/// One event.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) data: Value,
}

/// Reads events over the Unix socket.
pub(crate) struct Reader(Lines<BufReader<UnixStream>>);

impl Reader {
    pub(crate) async fn open(sidecar: &Sidecar, last: Option<&str>) -> Result<Self> {
        let mut stream = UnixStream::connect(&sidecar.socket).await?;
        let last = last.map(|id| format!("last-event-id: {id}\r\n")).unwrap_or_default();
        stream.write_all(format!("GET /v1/events HTTP/1.1\r\nhost: x\r\n{last}\r\n").as_bytes()).await?;
        let mut lines = BufReader::new(stream).lines();
        let first = tokio::time::timeout(PATIENCE, lines.next_line()).await??.context("it ended")?;
        anyhow::ensure!(first.contains(" 200 "), "{first}");
        Ok(Self(lines))
    }

    /// The next event; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>> {
        let (mut id, mut kind) = (String::new(), String::new());
        loop {
            let line =
                tokio::time::timeout(PATIENCE, self.0.next_line()).await.context("nothing comes")??;
            let Some(line) = line else { return Ok(None) };
            if let Some(rest) = line.strip_prefix("id: ") {
                id = rest.into();
            } else if let Some(rest) = line.strip_prefix("event: ") {
                kind = rest.into();
            } else if let Some(rest) = line.strip_prefix("data: ") {
                return Ok(Some(Event { id, kind, data: serde_json::from_str(rest)? }));
            }
        }
    }

    async fn expect(&mut self, kind: &str) -> Result<Event> {
        let event = self.next().await?.context("it ended")?;
        anyhow::ensure!(event.kind == kind, "{kind} was to come: {event:?}");
        Ok(event)
    }
}

#[tokio::test]
async fn events_come_in_order_go_on_after_a_break_and_end_with_a_word() -> Result<()> {
    let test = TestBroker::start().await?;
    publish(&test, "1.0.0", "one").await?;
    // Without its word an agent is stale after a while, which is an event too.
    let _forge = Answering::start(&test, Some(Vec::new())).await?;
    let mut sidecar = Sidecar::serving(&test, "events", &[]).await?;
    let mut reader = Reader::open(&sidecar, None).await?;
    assert_eq!(reader.expect("mode").await?.data["mode"], "ACCEPTING");
    assert_eq!(reader.expect("stale").await?.data["stale"], false);
    publish(&test, "1.1.0", "two").await?;
    let first = reader.expect("change").await?;
    assert_eq!((&first.data["serial"], &first.data["from"]["serial"]), (&2.into(), &1.into()));

    // While nobody reads.
    drop(reader);
    sidecar.near("/v1/mode", Some(r#"{"mode":"FROZEN"}"#), &["-X", "PUT"]).await?;
    let mut reader = Reader::open(&sidecar, Some(&first.id)).await?;
    assert_eq!(reader.expect("mode").await?.data["mode"], "FROZEN");
    publish(&test, "1.2.0", "three").await?;
    tests::until::until("it waits", PATIENCE, async || {
        let status = sidecar.near("/v1/status", None, &[]).await.ok()?.json().ok()?;
        (status["sets"][0]["pending"]["serial"] == 3).then_some(())
    })
    .await;
    sidecar.near("/v1/mode", Some(r#"{"mode":"ACCEPTING"}"#), &["-X", "PUT"]).await?;
    assert_eq!(
        reader.expect("mode").await?.data["mode"],
        "ACCEPTING",
        "the mode is told before what it let in"
    );
    assert_eq!(reader.expect("change").await?.data["serial"], 3);

    // Who comes with an id of another process has missed something, and is told so.
    let mut strange = Reader::open(&sidecar, Some("1-1")).await?;
    strange.expect("lagged").await?;
    strange.expect("mode").await?;

    sidecar.signal(Signal::SIGTERM)?;
    reader.expect("closing").await?;
    assert!(reader.next().await?.is_none(), "the stream ends");
    assert_eq!(sidecar.ended().await?, Some(0));
    Ok(())
}
