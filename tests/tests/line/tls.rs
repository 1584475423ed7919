//! TLS from end to end: FORGE with certificates of its own authority, or given ones; and what is refused.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use live_agent::LiveAgent;
use nats_config::tls::pin_of;
use schemas::connect::{ConnectString, Tls};
use serde_json::Value;
use tests::certificate::TestAuthority;
use tests::forge::{Database, ORGANISATION, Place, Process};
use tests::tools;
use tests::until::{secs, until};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// Asks for a page as a program does that trusts this authority and no other; gives the body, or fails with
/// what the handshake said.
const FETCH: &str = r#"
import ssl, sys, urllib.request
context = ssl.create_default_context(cafile=sys.argv[2])
if len(sys.argv) > 3:
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = getattr(ssl.TLSVersion, sys.argv[3])
    context.set_ciphers("ALL:@SECLEVEL=0")
print(urllib.request.urlopen(sys.argv[1], context=context, timeout=30).read().decode())
"#;

async fn fetch(url: &str, authority: &Path, more: &[&str]) -> Result<String> {
    let mut python = Command::new("python3");
    python.args(["-W", "ignore", "-c", FETCH, url]).arg(authority).args(more).kill_on_drop(true);
    let done = python.output().await?;
    ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Ok(String::from_utf8(done.stdout)?)
}

async fn serving(process: &Process, authority: &Path) {
    let url = format!("{}/health/ready", process.url().replace("http://", "https://"));
    until("FORGE serves over TLS and has its broker", secs(60), async || {
        let ready: Value = serde_json::from_str(&fetch(&url, authority, &[]).await.ok()?).ok()?;
        (ready["broker"] == "ok").then_some(ready)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forge_with_its_own_authority_serves_pages_broker_and_agents_over_tls() -> Result<()> {
    let mut place = Place::new(Database::Sqlite)?;
    place.set("FORGE_TLS", "auto");
    place.set("FORGE_NATS_TLS", "auto");
    place.add_owner().await?;
    let mut process = place.spawn(0)?;
    let authority = place.data().join("tls/ca.pem");
    until("the authority is written", secs(60), async || authority.exists().then_some(())).await;
    serving(&process, &authority).await;
    let url = format!("{}/health/ready", process.url().replace("http://", "https://"));

    // Who trusts somebody else, speaks no TLS or an old one, gets nothing.
    let stranger = TestAuthority::new("stranger")?;
    let other = place.directory().join("stranger.pem");
    std::fs::write(&other, &stranger.pem)?;
    let error = fetch(&url, &other, &[]).await.expect_err("another authority").to_string();
    assert!(error.contains("CERTIFICATE_VERIFY_FAILED"), "{error}");
    assert!(fetch(&url, &authority, &["TLSv1_2"]).await.is_ok(), "TLS 1.2 is spoken");
    assert!(fetch(&url, &authority, &["TLSv1_1"]).await.is_err(), "TLS 1.1 is not");
    assert!(reqwest::get(format!("{}/health/ready", process.url())).await.is_err(), "http is not");
    // The operator's own check, and what the log says of the authority.
    let listen = process.url().replace("http://", "");
    place.run(&["health", "--listen", &listen]).await?;
    let log = place.directory().join("forge-0.log");
    until("the log says where the authority is", secs(60), async || {
        std::fs::read_to_string(&log).ok()?.contains("ca.pem (SHA-256 ").then_some(())
    })
    .await;

    // An agent gets the authority with its connect string, and speaks TLS to the broker.
    let path = format!("{ORGANISATION}/support");
    place.run(&["project", &path]).await?;
    let out = place.directory().join("line");
    let out_text = out.display().to_string();
    place.run(&["credential", "--project", &path, "--name", "agent", "--out", &out_text]).await?;
    let line = std::fs::read_to_string(&out)?;
    let connection = ConnectString::from_line(&line)?.connection;
    assert!(connection.servers.iter().all(|s| s.starts_with("tls://")), "{connection:?}");
    let ca = connection.tls.as_ref().and_then(|tls| tls.ca.clone()).context("the authority")?;
    assert_eq!(ca, std::fs::read_to_string(&authority)?);
    let prompts = place.directory().join("prompts");
    std::fs::create_dir_all(&prompts)?;
    std::fs::write(prompts.join("welcome.md"), "Hello over TLS")?;
    let set = format!("{path}/chat");
    let prompts = prompts.display().to_string();
    place.run(&["import", &prompts, &set, "--lock", "1.0.0", "--publish", "prod"]).await?;
    let live = |arguments: &[&str]| {
        let mut live = Command::new(tools::binary("live"));
        live.args(arguments).env_clear().env("HOME", place.directory());
        live.env("LIVE_CONFIG_DIR", place.directory().join("live")).kill_on_drop(true);
        live
    };
    let mut child =
        live(&["connect"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().context("stdin")?.write_all(line.as_bytes()).await?;
    let connected = tokio::time::timeout(secs(60), child.wait_with_output()).await??;
    ensure!(connected.status.success(), "{}", String::from_utf8_lossy(&connected.stderr));
    // It may have been quicker than what was just published.
    let agent = live(&["run"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    until("an agent serves what was published", secs(60), async || {
        let listed = live(&["list"]).output().await.ok()?;
        String::from_utf8_lossy(&listed.stdout).contains("@chat/welcome").then_some(())
    })
    .await;
    drop(agent);

    // The same certificates after a restart, so that nobody has to be told anything.
    let before = std::fs::read(place.data().join("tls/server.pem"))?;
    process.stop().await?;
    let process = place.spawn(1)?;
    serving(&process, &authority).await;
    assert_eq!(std::fs::read(place.data().join("tls/server.pem"))?, before);
    // The authority's key lies sealed.
    for entry in std::fs::read_dir(place.data())?.chain(std::fs::read_dir(place.data().join("tls"))?) {
        let path = entry?.path();
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let clear = bytes.windows(11).any(|w| w == b"PRIVATE KEY");
        assert!(!clear || path.ends_with("tls/server.key"), "a key lies in {}", path.display());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_given_certificate_is_served_and_read_again_when_it_changes() -> Result<()> {
    let mut place = Place::new(Database::Sqlite)?;
    let (first, second) = (TestAuthority::new("first")?, TestAuthority::new("second")?);
    let names = ["localhost", "127.0.0.1"];
    let shown = first.sign(place.directory(), "served", &names, false)?;
    let authority = |name: &str| place.directory().join(name);
    let (one, two) = (authority("first.pem"), authority("second.pem"));
    std::fs::write(&one, &first.pem)?;
    std::fs::write(&two, &second.pem)?;
    place.set("FORGE_TLS_CERT", &shown.certificate.display().to_string());
    place.set("FORGE_TLS_KEY", &shown.key.display().to_string());
    place.add_owner().await?;
    let process = place.spawn(0)?;
    serving(&process, &one).await;
    let url = format!("{}/health/live", process.url().replace("http://", "https://"));
    // What does not fit is left.
    std::fs::write(&shown.certificate, &second.pem)?;
    let log = place.directory().join("forge-0.log");
    until("the change is refused", secs(60), async || {
        std::fs::read_to_string(&log).ok()?.contains("do not belong together").then_some(())
    })
    .await;
    assert!(fetch(&url, &one, &[]).await.is_ok(), "the one in use stays");
    second.sign(place.directory(), "served", &names, false)?;
    until("the new one is served", secs(60), async || fetch(&url, &two, &[]).await.ok()).await;
    assert!(fetch(&url, &one, &[]).await.is_err());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_given_broker_certificate_is_pinned_and_the_next_key_is_taken_up_without_a_restart() -> Result<()> {
    let mut place = Place::new(Database::Sqlite)?;
    let authority = TestAuthority::new("broker authority")?;
    // FORGE knows its own server by its file; agents need the name.
    let shown = authority.sign(place.directory(), "broker", &["127.0.0.1"], false)?;
    let next = authority.sign(place.directory(), "next", &["127.0.0.1"], false)?;
    let ca = place.directory().join("broker-ca.pem");
    std::fs::write(&ca, &authority.pem)?;
    let pin = |file: &Path| anyhow::Ok(pin_of(&std::fs::read_to_string(file)?)?);
    let pins = [pin(&shown.certificate)?, pin(&next.certificate)?];
    place.set("FORGE_NATS_TLS_CERT", &shown.certificate.display().to_string());
    place.set("FORGE_NATS_TLS_KEY", &shown.key.display().to_string());
    place.set("FORGE_NATS_CA", &ca.display().to_string());
    place.set("FORGE_NATS_PINS", &pins.join(","));
    place.add_owner().await?;
    let mut process = place.spawn(0)?;
    process.ready(&place).await?;
    process.has_its_broker().await?;
    let path = format!("{ORGANISATION}/support");
    place.run(&["project", &path]).await?;
    let line = place.run(&["credential", "--project", &path, "--name", "agent"]).await?;
    let found = ConnectString::from_line(&line)?;
    let tls = found.connection.tls.clone().context("what to hold it against")?;
    assert_eq!((tls.ca.as_deref(), &tls.pins[..]), (Some(authority.pem.as_str()), &pins[..]));

    let start = async |pins: &[String]| {
        let mut connection = found.connection.clone();
        connection.tls = Some(Tls { ca: tls.ca.clone(), pins: pins.to_vec() });
        LiveAgent::builder().connection(connection).credentials(&found.creds).memory_only().start().await
    };
    let (both, only_next) = (start(&pins).await?, start(&pins[1..]).await?);
    until("who knows the key connects", secs(60), async || both.local_status().connected.then_some(())).await;
    until("who waits for the next one does not", secs(60), async || {
        only_next.local_status().refused.filter(|why| why.contains("not a pinned one"))
    })
    .await;
    std::fs::copy(&next.key, &shown.key)?;
    std::fs::copy(&next.certificate, &shown.certificate)?;
    // Who was refused some times waits longer before each attempt, a minute at most.
    until("the broker shows the next one", secs(180), async || {
        only_next.local_status().connected.then_some(())
    })
    .await;
    assert!(both.local_status().connected, "nobody was cut off");
    process.has_its_broker().await?;
    both.stop().await;
    only_next.stop().await;
    Ok(())
}

#[tokio::test]
async fn forge_does_not_serve_in_the_open_unless_told_so_by_name() -> Result<()> {
    let place = Place::new(Database::Sqlite)?;
    let ends = async |arguments: &[&str]| -> Result<(Option<i32>, String)> {
        let done = tokio::time::timeout(secs(60), place.command(arguments).output()).await??;
        Ok((done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned()))
    };
    for (arguments, key) in [
        (&["serve", "--listen", "0.0.0.0:0"][..], "listen"),
        (&["serve", "--nats-listen", "0.0.0.0:0"], "nats-listen"),
        (&["serve", "--nats-url", "nats://broker.example:4222"], "nats-url"),
        (&["serve", "--agent-nats-url", "nats://broker.example:4222"], "agent-nats-url"),
        (&["serve", "--tls-cert", "only.pem"], "tls-key"),
    ] {
        let (code, said) = ends(arguments).await?;
        assert_eq!(code, Some(64), "{arguments:?}: {said}");
        assert!(said.contains(key), "{arguments:?}: {said}");
    }
    // Asked for by name, the flag alone says yes.
    let mut child = place
        .command(&["serve", "--listen", "0.0.0.0:0", "--allow-plain-http"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut lines =
        tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(child.stdout.take().context("stdout")?));
    let said = tokio::time::timeout(secs(60), lines.next_line()).await??.context("it ended")?;
    assert!(said.contains("http://0.0.0.0:"), "{said}");
    child.kill().await?;
    Ok(())
}
