//! A leaf node beside the agents, run from `leaf.conf` as it is shipped.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use nats_config::{conf, header, subject};
use publisher::{Broker, BrokerConfig, KeyRing, Limits, Role, credentials, operator_files};
use tests::forge::free_port;
use tests::nats::{TestBroker, binary};
use tests::until::{secs, until};
use tokio::process::{Child, Command};

async fn serve(file: &Path, environment: &[(&str, String)]) -> Result<Child> {
    let log = std::fs::File::create(file.with_extension("log"))?;
    let child = Command::new(binary().await?.binary)
        .arg("-c")
        .arg(file)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()?;
    Ok(child)
}

#[tokio::test]
async fn an_agent_behind_a_leaf_node_hears_reads_and_is_held_to_its_list() -> Result<()> {
    // Only for what it makes: keys, a project, publications.
    let maker = TestBroker::start().await?;
    let directory = tempfile::tempdir()?;
    let path = |name: &str| directory.path().join(name);
    let (hub_port, leaf_port, remote_port) = (free_port()?, free_port()?, free_port()?);
    let hub = conf::Embedded {
        name: "hub",
        port: hub_port,
        exposure: &conf::Exposure::default(),
        directory: directory.path(),
        operator: &operator_files(&maker.keys)?,
    };
    std::fs::write(
        path("hub.conf"),
        format!("{hub}\nleafnodes: {{ listen: \"127.0.0.1:{remote_port}\" }}\n"),
    )?;
    let _hub = serve(&path("hub.conf"), &[]).await?;
    let keys: Arc<KeyRing> = maker.keys.clone();
    let servers = vec![format!("nats://127.0.0.1:{hub_port}")];
    let config = BrokerConfig { servers, keys, limits: Limits::default(), name: "forge-hub".into() };
    let broker = Broker::connect(config).await?;
    broker.ready(secs(60)).await?;
    until("the hub is filled", secs(60), async || {
        broker.ensure_project(&maker.project, &maker.project_keys).await.ok()?;
        for environment in ["dev", "prod"] {
            broker.ensure_environment(&maker.scope(environment)).await.ok()?;
        }
        Some(())
    })
    .await;

    let scope = maker.scope("dev");
    let credential = credentials::mint(&maker.project_keys, Role::Agent, &scope, "leaf", None)?;
    std::fs::write(path("leaf.creds"), credential.creds.as_str())?;
    // As shipped, but for ports that this machine has free.
    let moved = conf::LEAF.replace("127.0.0.1:4222", &format!("127.0.0.1:{leaf_port}"));
    std::fs::write(path("leaf.conf"), moved)?;
    let quiet = conf::COMMON.replace("127.0.0.1:8222", &format!("127.0.0.1:{}", free_port()?));
    std::fs::write(path("common.conf"), quiet)?;
    let environment = [
        ("NATS_NAME", "leaf-1".to_owned()),
        ("NATS_HUB", format!("nats://127.0.0.1:{remote_port}")),
        ("NATS_LEAF_CREDS", path("leaf.creds").to_string_lossy().into_owned()),
    ];
    let _leaf = serve(&path("leaf.conf"), &environment).await?;

    let address = format!("nats://127.0.0.1:{leaf_port}");
    let client = until("the leaf takes the credential", secs(60), async || {
        let options = async_nats::ConnectOptions::with_credentials(&credential.creds).ok()?;
        let options = options
            .custom_inbox_prefix(subject::inbox(&credential.public_key))
            .request_timeout(Some(secs(10)));
        options.connect(&address).await.ok()
    })
    .await;
    let mut heard = client.subscribe(subject::announcements(&scope)).await?;
    let nothing = r#"{"last_by_subj":"nothing"}"#;
    until("the hub answers through the leaf", secs(60), async || {
        client.request(subject::direct_get(&scope), nothing.into()).await.ok()
    })
    .await;

    let outgoing = maker.outgoing("dev", maker.bundle("chat", "1.0.0", &[("a", "one")]), 1)?;
    broker.send(&outgoing).await?;
    let message = tokio::time::timeout(secs(30), heard.next()).await?.context("a message")?;
    assert!(message.headers.is_some_and(|h| h.get(header::SERIAL).is_some()));
    let query = format!(r#"{{"last_by_subj":"{}"}}"#, subject::bundle(&scope, &outgoing.set));
    let answer = client.request(subject::direct_get(&scope), query.into()).await?;
    assert_eq!(answer.payload, outgoing.wire);
    let denied = client.request(subject::direct_get(&maker.scope("prod")), nothing.into());
    let denied = tokio::time::timeout(secs(2), denied).await;
    assert!(!matches!(denied, Ok(Ok(_))), "the leaf opened another environment: {denied:?}");
    Ok(())
}
