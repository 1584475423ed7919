//! A broker, or somebody on the way to it, that sends what no broker sends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};
use live_agent::LiveAgent;
use nats_config::{header, subject};
use schemas::Slug;
use tests::nats::TestBroker;
use tests::stage::{PATIENCE, builder, headers, hello, of_set, publish, serves};
use tests::until::until;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Somebody between agent and broker.
struct Between {
    address: String,
    /// Connections to come that get nothing but these bytes.
    poison: Arc<AtomicUsize>,
    cut: Arc<tokio::sync::Notify>,
    _task: tokio_util::task::AbortOnDropHandle<()>,
}

impl Between {
    async fn start(broker: String, bytes: &'static [u8]) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("nats://{}", listener.local_addr()?);
        let (poison, cut) = (Arc::new(AtomicUsize::new(0)), Arc::new(tokio::sync::Notify::new()));
        let (poisoned, ending) = (Arc::clone(&poison), Arc::clone(&cut));
        let broker = broker.strip_prefix("nats://").context("an address")?.to_owned();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let (broker, cut) = (broker.clone(), Arc::clone(&ending));
                let poison =
                    poisoned.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
                connections.spawn(async move {
                    if poison {
                        let _ = stream.write_all(bytes).await;
                        tokio::time::sleep(PATIENCE).await;
                        return;
                    }
                    let Ok(mut server) = TcpStream::connect(&broker).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut stream, &mut server) => {}
                        () = cut.notified() => {}
                    }
                });
            }
        });
        Ok(Self { address, poison, cut, _task: tokio_util::task::AbortOnDropHandle::new(task) })
    }
}

#[tokio::test]
async fn bytes_that_break_the_client_make_no_agent_deaf() -> Result<()> {
    let test = TestBroker::start().await?;
    let between = Between::start(test.server.url(), b"-ERR\r\n").await?;
    let (minted, mut connection) = test.mint("steadfast")?;
    connection.servers = vec![between.address.clone()];
    let agent =
        LiveAgent::builder().connection(connection).credentials(minted.creds.as_str()).name("steadfast");
    let agent = agent.memory_only().start().await?;
    publish(&test, "1.0.0", "one").await?;
    serves(&agent, 1).await;
    for serial in 2..=3 {
        between.poison.store(2, Ordering::SeqCst);
        between.cut.notify_waiters();
        until("the poison was taken", PATIENCE, async || {
            (between.poison.load(Ordering::SeqCst) == 0).then_some(())
        })
        .await;
        assert_eq!(hello(&agent), if serial == 2 { "one" } else { "2" }, "it goes on serving");
        publish(&test, &format!("1.{serial}.0"), &serial.to_string()).await?;
        serves(&agent, serial).await;
    }
    // All of it is back: the status too.
    let mut statuses = tests::stage::statuses(&test).await?;
    tests::stage::heard(&mut statuses, |s| s.agent.as_str() == "steadfast").await?;
    Ok(())
}

#[tokio::test]
async fn garbage_under_invented_names_does_not_grow_an_agent() -> Result<()> {
    let test = TestBroker::start().await?;
    let agent = builder(&test, "modest")?.memory_only().start().await?;
    let published = publish(&test, "1.0.0", "good").await?;
    serves(&agent, 1).await;
    let client = test.operator().await?;
    for n in 0..300 {
        let set = Slug::new(&format!("invented-{n}"))?;
        let mut headers = headers(&published.outgoing);
        headers.insert(header::SET, set.as_str());
        headers.insert(header::SEQUENCE, (2 + n).to_string().as_str());
        let topic = subject::announced_bundle(&test.scope("dev"), &set);
        client.publish_with_headers(topic, headers, "garbage".into()).await?;
    }
    client.flush().await?;
    let told = until("it tells of some", PATIENCE, async || {
        Some(agent.status().sets.len()).filter(|sets| *sets > 10)
    })
    .await;
    let next = publish(&test, "1.1.0", "good again").await?;
    serves(&agent, next.serial).await;
    let sets = agent.status().sets.len();
    assert!(told <= 17 && sets <= 17, "the status names {sets} sets");
    assert!(of_set(&agent.status(), "chat").is_some_and(|s| s.pending.is_none()));
    Ok(())
}
