//! What is too large, too slow, too much, or no HTTP at all.

use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use tests::nats::TestBroker;
use tests::until::{secs, until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::stage::{Answer, PATIENCE, Sidecar, furnish};

const HELLO: &str = r#"{"id":"hello","values":{"name":"Ada","n":3}}"#;

/// How long a caller may be silent where that is tried out: longer than a program may lose the processor on a busy
/// machine, between opening a connection and saying its word.
const SILENCE_MS: &str = "6000";

/// Everything that comes until the connection ends.
async fn rest(stream: &mut TcpStream) -> Result<String> {
    let mut read = Vec::new();
    // A reset is an end as well.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut read)).await.context("it stays open")?;
    Ok(String::from_utf8_lossy(&read).into_owned())
}

/// The answer to a body that never comes whole.
pub(crate) async fn slow_body(sidecar: &Sidecar, method: &str, path: &str) -> Result<Answer> {
    let mut stream = TcpStream::connect(&sidecar.address).await?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{}\r\ncontent-length: 50\r\n\r\n{{",
        sidecar.bearer()
    );
    stream.write_all(head.as_bytes()).await?;
    let text = rest(&mut stream).await?;
    let (head, body) = text.split_once("\r\n\r\n").context("no answer")?;
    let status = head.split(' ').nth(1).context("no status")?.parse()?;
    Ok(Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() })
}

#[tokio::test]
async fn who_says_nothing_or_too_slowly_is_closed() -> Result<()> {
    let test = TestBroker::start().await?;
    furnish(&test).await?;
    let bounds = ["--head-time-ms", SILENCE_MS, "--body-time-ms", SILENCE_MS];
    let sidecar = Sidecar::serving(&test, "slow", &bounds).await?;
    let begun = ["", "P", "PRI * HT", "GET /livez HTTP/1.1\r\nhost: x", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"];
    let address = &sidecar.address;
    let closed = begun.map(|begun| async move {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(begun.as_bytes()).await?;
        rest(&mut stream).await.with_context(|| format!("after {begun:?}"))
    });
    let (_, slow) = tokio::try_join!(try_join_all(closed), slow_body(&sidecar, "POST", "/v1/render"))?;
    assert_eq!((slow.status, slow.code().as_str()), (408, "body_too_slow"), "{slow:?}");
    assert_eq!(sidecar.ask("POST", "/v1/render", Some(HELLO), &[]).await?.status, 200);
    Ok(())
}

/// The beginning of a connection of HTTP/2 that asks for `/livez`; with `window`, how much of an answer may be
/// sent.
fn asks_for_livez(window: Option<u32>) -> Vec<u8> {
    let mut all = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    match window {
        None => all.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]),
        Some(window) => {
            all.extend([0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4]);
            all.extend(window.to_be_bytes());
        }
    }
    // GET, http, the path, the authority; the stream's first and last.
    let mut head = vec![0x82, 0x86, 0x04, 6];
    head.extend(b"/livez");
    head.extend([0x01, 9]);
    head.extend(b"localhost");
    all.extend([0, 0, u8::try_from(head.len()).unwrap_or_default(), 1, 5, 0, 0, 0, 1]);
    all.extend(head);
    all
}

#[tokio::test]
async fn who_is_silent_after_an_answer_or_takes_none_is_closed() -> Result<()> {
    let test = TestBroker::start().await?;
    furnish(&test).await?;
    let sidecar = Sidecar::serving(&test, "silent", &["--head-time-ms", SILENCE_MS]).await?;
    let said = async |begun: Vec<u8>| -> Result<String> {
        let mut stream = TcpStream::connect(&sidecar.address).await?;
        stream.write_all(&begun).await?;
        rest(&mut stream).await
    };
    // Between two requests, by both protocols; and where the answer is there, and its caller lets nothing of it be sent.
    let (old, new, shut) = tokio::try_join!(
        said(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec()),
        said(asks_for_livez(None)),
        said(asks_for_livez(Some(0))),
    )?;
    assert!(old.contains("\"ok\":true"), "HTTP/1.1: {old}");
    assert!(new.contains("\"ok\":true"), "HTTP/2: {new}");
    assert!(!shut.contains("\"ok\""), "a window of nothing: {shut}");
    // Requests without end, and not one answer is read.
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4096)?;
    let mut deaf = socket.connect(sidecar.address.parse()?).await?;
    let flood = "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(1000);
    let ended = async { while deaf.write_all(flood.as_bytes()).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, ended).await.context("it is never closed")?;
    // Events go on with nothing to tell.
    let mut reads = TcpStream::connect(&sidecar.address).await?;
    let head = format!("GET /v1/events HTTP/1.1\r\nhost: localhost\r\n{}\r\n\r\n", sidecar.bearer());
    reads.write_all(head.as_bytes()).await?;
    let mut begun = [0; 64];
    reads.read_exact(&mut begun).await?;
    assert!(begun.starts_with(b"HTTP/1.1 200"));
    let still = tokio::time::timeout(secs(12), reads.read_to_end(&mut Vec::new())).await;
    assert!(still.is_err(), "who reads events is not silent");
    Ok(())
}

#[tokio::test]
async fn what_is_no_http_and_what_is_too_much_of_it_harms_nobody() -> Result<()> {
    let test = TestBroker::start().await?;
    furnish(&test).await?;
    let sidecar = Sidecar::serving(&test, "bad", &["--connections", "8", "--body-max", "1000"]).await?;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let frames: [&[u8]; 5] = [
        b"\x00\x00\x00\x63\x00\x00\x00\x00\x00",
        b"\xff\xff\xff\x04\x00\x00\x00\x00\x00",
        b"\x00\x00\x05\x01\x05\x00\x00\x00\x01\xff\xff\xff\xff\xff",
        b"\x00\x00\x04\x03\x00\x00\x00\x00\x07\x00\x00\x00\x00",
        b"\x00\x00\x08\x06\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00",
    ];
    let mut all: Vec<Vec<u8>> = frames.iter().map(|frame| [preface.as_slice(), frame].concat()).collect();
    all.push(vec![0; 5000]);
    all.push(b"\x16\x03\x01\x02\x00\x01\x00".repeat(100));
    all.push(format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(600_000)).into_bytes());
    all.push(format!("GET / HTTP/1.1\r\nhost: localhost\r\n{}\r\n", "a: b\r\n".repeat(2_000)).into_bytes());
    all.push(
        b"POST /v1/render HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_vec(),
    );
    all.push(
        b"POST /v1/render HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{"
            .to_vec(),
    );
    for bytes in &all {
        let mut stream = TcpStream::connect(&sidecar.address).await?;
        // It may be closed before it has read all of it.
        let _ = stream.write_all(bytes).await;
        let _ = stream.shutdown().await;
        let said = rest(&mut stream).await?;
        assert!(!said.starts_with("HTTP/1.1 2"), "{said}");
    }
    let large = format!("{{\"id\":\"{}\"}}", "x".repeat(1000));
    let chunked = ["-H", "transfer-encoding: chunked"];
    for more in [&[][..], &chunked[..], &["--http2-prior-knowledge"][..]] {
        let answer = sidecar.ask("POST", "/v1/render", Some(&large), more).await?;
        assert_eq!((answer.status, answer.code().as_str()), (413, "body_too_large"), "{answer:?}");
    }
    // As many connections as are allowed, and one more that waits for its turn.
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(TcpStream::connect(&sidecar.address).await?);
    }
    let waits = sidecar.bare("/livez", None, &["--max-time", "1"]).await;
    assert!(waits.is_err(), "there is no place: {waits:?}");
    assert_eq!(sidecar.near("/livez", None, &[]).await?.status, 200, "the socket has places of its own");
    held.clear();
    until("there is a place again", PATIENCE, async || {
        (sidecar.bare("/livez", None, &[]).await.ok()?.status == 200).then_some(())
    })
    .await;
    Ok(())
}
