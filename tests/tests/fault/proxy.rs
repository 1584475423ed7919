//! The line itself does what it says, seen with plain sockets.

use std::time::{Duration, Instant};

use anyhow::Result;
use tests::proxy::{Cut, Flow, Kind, Proxy, Trick};
use tests::until::{millis, secs, until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const SOON: Duration = secs(30);
/// What must not come does not come within this.
const NEVER: Duration = millis(300);

/// Both ends of a connection through a proxy.
async fn ends() -> Result<(Proxy, TcpStream, TcpStream)> {
    let server = TcpListener::bind("127.0.0.1:0").await?;
    let proxy = Proxy::start(&format!("nats://{}", server.local_addr()?)).await?;
    let near = TcpStream::connect(proxy.url().trim_start_matches("nats://")).await?;
    let (far, _) = server.accept().await?;
    Ok((proxy, near, far))
}

async fn read(from: &mut TcpStream, count: usize) -> Result<String> {
    let mut bytes = vec![0; count];
    tokio::time::timeout(SOON, from.read_exact(&mut bytes)).await??;
    Ok(String::from_utf8(bytes)?)
}

async fn silent(from: &mut TcpStream) -> bool {
    tokio::time::timeout(NEVER, from.read_u8()).await.is_err()
}

#[tokio::test]
async fn a_good_line_carries_both_ways_and_ends_with_its_ends() -> Result<()> {
    let (proxy, mut near, mut far) = ends().await?;
    near.write_all(b"CONNECT {}\r\n").await?;
    far.write_all(b"INFO {}\r\n").await?;
    assert_eq!(read(&mut far, 12).await?, "CONNECT {}\r\n");
    assert_eq!(read(&mut near, 9).await?, "INFO {}\r\n");
    assert_eq!((proxy.taken(), proxy.open()), (1, 1));
    drop(near);
    assert_eq!(far.read(&mut [0; 8]).await?, 0);
    until("it is counted out", SOON, async || (proxy.open() == 0).then_some(())).await;
    Ok(())
}

#[tokio::test]
async fn a_cut_is_polite_or_not_and_who_is_refused_gets_nothing() -> Result<()> {
    let (proxy, mut near, mut far) = ends().await?;
    proxy.cut(Cut::Fin);
    assert_eq!(near.read(&mut [0; 8]).await?, 0);
    assert_eq!(far.read(&mut [0; 8]).await?, 0);
    let (proxy, mut near, _far) = ends().await?;
    proxy.cut(Cut::Rst);
    let error = near.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    proxy.refuse();
    let refused = async {
        let mut stream = TcpStream::connect(proxy.url().trim_start_matches("nats://")).await?;
        stream.read_u8().await
    };
    assert!(refused.await.is_err());
    Ok(())
}

/// A connection that was counted is one that can be cut, before a byte of it was carried.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_was_counted_is_cut() -> Result<()> {
    let server = TcpListener::bind("127.0.0.1:0").await?;
    let proxy = Proxy::start(&format!("nats://{}", server.local_addr()?)).await?;
    for count in 1..=50 {
        let mut near = TcpStream::connect(proxy.url().trim_start_matches("nats://")).await?;
        // Looked at without a pause: cut at once, as close to the counting as can be.
        let begin = Instant::now();
        while proxy.taken() < count {
            assert!(begin.elapsed() < SOON, "connection {count} was not counted");
            std::hint::spin_loop();
        }
        proxy.cut(Cut::Rst);
        let read = tokio::time::timeout(SOON, near.read(&mut [0; 8])).await;
        assert!(matches!(read, Ok(Ok(0) | Err(_))), "connection {count} was not cut: {read:?}");
    }
    Ok(())
}

#[tokio::test]
async fn what_stalls_comes_later_and_what_is_lost_never_does() -> Result<()> {
    let (proxy, mut near, mut far) = ends().await?;
    proxy.flow(Flow::Stalled, Flow::Open);
    near.write_all(b"up\r\n").await?;
    far.write_all(b"down\r\n").await?;
    assert_eq!(read(&mut near, 6).await?, "down\r\n");
    assert!(silent(&mut far).await);
    proxy.pass();
    assert_eq!(read(&mut far, 4).await?, "up\r\n");
    proxy.flow(Flow::Open, Flow::Lost);
    far.write_all(b"lost\r\n").await?;
    until("it is lost", SOON, async || (proxy.lost().1 > 0).then_some(())).await;
    assert!(silent(&mut near).await);
    proxy.pass();
    far.write_all(b"later\r\n").await?;
    assert!(silent(&mut near).await, "a connection that lost something came back");
    near.write_all(b"up\r\n").await?;
    assert_eq!(read(&mut far, 4).await?, "up\r\n");
    Ok(())
}

#[tokio::test]
async fn a_slow_line_is_as_slow_as_it_was_told_to_be() -> Result<()> {
    let (proxy, mut near, mut far) = ends().await?;
    proxy.slow(20_000, millis(100));
    let begin = Instant::now();
    near.write_all(&[b'x'; 10_000]).await?;
    read(&mut far, 10_000).await?;
    assert!(begin.elapsed() >= millis(500), "{:?}", begin.elapsed());
    let begin = Instant::now();
    far.write_all(b"+OK\r\n").await?;
    read(&mut near, 5).await?;
    assert!(begin.elapsed() >= millis(100), "{:?}", begin.elapsed());
    Ok(())
}

#[tokio::test]
async fn each_trick_is_played_with_the_messages_of_its_subject_only() -> Result<()> {
    let message = |subject: &str| format!("MSG {subject} 1 1\r\n{subject}\r\n");
    let [a, b, c] = ["a", "b", "c"].map(message);
    for (kind, each, expected) in [
        (Kind::Duplicate, 1, format!("{a}{a}{b}{a}{a}{c}")),
        (Kind::Drop, 1, format!("{b}{c}")),
        (Kind::Drop, 2, format!("{a}{b}{c}")),
        (Kind::Swap, 1, format!("{b}{a}{a}{c}")),
        (Kind::Delay(millis(200)), 2, format!("{a}{b}{c}{a}")),
    ] {
        let (proxy, mut near, mut far) = ends().await?;
        proxy.play(Trick { subject: "a".into(), kind, each });
        far.write_all(format!("{a}{b}{a}{c}").as_bytes()).await?;
        assert_eq!(read(&mut near, expected.len()).await?, expected, "{kind:?}");
        assert!(silent(&mut near).await, "{kind:?}: more came than should");
        assert!(proxy.played() > 0);
    }
    // Who waits for a neighbour does not wait for ever.
    let (proxy, mut near, mut far) = ends().await?;
    proxy.play(Trick { subject: "a".into(), kind: Kind::Swap, each: 1 });
    far.write_all(a.as_bytes()).await?;
    assert_eq!(read(&mut near, a.len()).await?, a);
    Ok(())
}
