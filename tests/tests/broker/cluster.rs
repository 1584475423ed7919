//! Three servers from `cluster.conf` as it is shipped, with three copies of each stream.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use nats_config::{conf, subject};
use publisher::{Broker, BrokerConfig, Limits, Trust, operator_files};
use schemas::connect::Tls;
use tests::forge::free_port;
use tests::nats::{TestBroker, binary};
use tests::until::{secs, until};
use tokio::process::{Child, Command};

/// A certificate for this machine, which the servers take for each other's too.
async fn certificate(directory: &Path) -> Result<()> {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout"])
        .arg(directory.join("key.pem"))
        .arg("-out")
        .arg(directory.join("cert.pem"))
        .output()
        .await
        .context("openssl is needed to make a certificate for this test")?;
    anyhow::ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Ok(())
}

/// What differs between the three, beside their ports.
struct Ports {
    client: u16,
    route: u16,
}

async fn serve(directory: &Path, number: usize, ports: &[Ports]) -> Result<Child> {
    let own = directory.join(format!("anvil-{number}"));
    std::fs::create_dir_all(&own)?;
    let mut text = conf::CLUSTER.to_owned();
    let mine = &ports[number - 1];
    text = text.replace("0.0.0.0:4222", &format!("127.0.0.1:{}", mine.client));
    text = text.replace("0.0.0.0:6222", &format!("127.0.0.1:{}", mine.route));
    text = text.replace("0.0.0.0:7422", &format!("127.0.0.1:{}", free_port()?));
    for (other, ports) in ports.iter().enumerate() {
        let there = format!("nats://127.0.0.1:{}", ports.route);
        text = text.replace(&format!("nats://anvil-{}:6222", other + 1), &there);
    }
    std::fs::write(own.join("cluster.conf"), text)?;
    let common = conf::COMMON.replace("127.0.0.1:8222", &format!("127.0.0.1:{}", free_port()?));
    std::fs::write(own.join("common.conf"), common)?;
    std::fs::copy(directory.join(conf::OPERATOR_FILE), own.join(conf::OPERATOR_FILE))?;
    let log = std::fs::File::create(own.join("log"))?;
    let child = Command::new(binary().await?.binary)
        .arg("-c")
        .arg(own.join("cluster.conf"))
        .env("NATS_NAME", format!("anvil-{number}"))
        .env("NATS_STORE", own.join("store"))
        .env("NATS_ACCOUNTS", own.join("accounts"))
        .env("NATS_TLS_CERT", directory.join("cert.pem"))
        .env("NATS_TLS_KEY", directory.join("key.pem"))
        .env("NATS_TLS_CA", directory.join("cert.pem"))
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()?;
    Ok(child)
}

#[tokio::test]
async fn a_publication_outlives_the_loss_of_one_server_of_three() -> Result<()> {
    // Only for what it makes: keys, a project, publications.
    let maker = TestBroker::start().await?;
    let directory = tempfile::tempdir()?;
    certificate(directory.path()).await?;
    std::fs::write(directory.path().join(conf::OPERATOR_FILE), operator_files(&maker.keys)?.to_string())?;
    let mut ports = Vec::new();
    for _ in 0..3 {
        ports.push(Ports { client: free_port()?, route: free_port()? });
    }
    let mut servers = Vec::new();
    for number in 1..=3 {
        servers.push(serve(directory.path(), number, &ports).await?);
    }
    let config = BrokerConfig {
        servers: ports.iter().map(|p| format!("tls://localhost:{}", p.client)).collect(),
        keys: Arc::clone(&maker.keys),
        limits: Limits { replicas: 3, ..Limits::default() },
        name: "forge-cluster".into(),
    };
    let ca = Some(std::fs::read_to_string(directory.path().join("cert.pem"))?);
    let trust = Trust { tls: Tls { ca, pins: Vec::new() }, ..Trust::default() };
    let broker = Broker::connect_trusting(config, &trust).await?;
    broker.ready(secs(120)).await?;
    until("the cluster takes the account", secs(120), async || {
        broker.ensure_project(&maker.project, &maker.project_keys).await.ok()
    })
    .await;
    let scope = maker.scope("dev");
    until("the cluster makes the stream", secs(120), async || broker.ensure_environment(&scope).await.ok())
        .await;
    let first = maker.outgoing("dev", maker.bundle("chat", "1.0.0", &[("a", "one")]), 1)?;
    until("the first is sent", secs(120), async || broker.send(&first).await.ok()).await;

    // The leader of the stream goes.
    let (replicas, leader) = until("the stream says who leads it", secs(60), async || {
        let stream = broker.jetstream().get_stream(subject::stream(&scope)).await.ok()?;
        let info = stream.get_info().await.ok()?;
        Some((info.config.num_replicas, info.cluster?.leader?))
    })
    .await;
    assert_eq!(replicas, 3);
    let number: usize = leader.trim_start_matches("anvil-").parse()?;
    servers[number - 1].kill().await?;

    let second = maker.outgoing("dev", maker.bundle("chat", "1.1.0", &[("a", "two")]), 2)?;
    until("the second is sent", secs(180), async || broker.send(&second).await.ok()).await;
    until("both are there, once", secs(60), async || {
        let state =
            broker.jetstream().get_stream(subject::stream(&scope)).await.ok()?.get_info().await.ok()?.state;
        (state.messages == 2).then_some(())
    })
    .await;
    let again = until("a retry is answered", secs(120), async || broker.send(&first).await.ok()).await;
    assert!(again.duplicate);
    Ok(())
}
