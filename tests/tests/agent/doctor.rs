//! `live doctor`: each check fails when that very thing is broken, and says so.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::StreamExt as _;
use publisher::fleet::FleetEvent;
use schemas::connect::{Connection, Tls};
use schemas::envelope::Heartbeat;
use serde_json::Value;
use tests::certificate::TestAuthority;
use tests::forge::free_port;
use tests::nats::{TestBroker, now};
use tests::until::{millis, secs};
use tokio::task::JoinHandle;

use crate::command::Shell;
use tests::stage::publish;

/// Answers enrolments as FORGE does, with a clock that is ahead by so many microseconds.
async fn forge(test: &TestBroker, ahead: i64) -> Result<JoinHandle<()>> {
    let mut fleet = test.broker.fleet().await?;
    // Answered on the same connection, and so after the broker knows who listens.
    test.broker.last(&test.scope("dev"), &"chat".parse()?).await?;
    let registrar = test.registrar();
    Ok(tokio::spawn(async move {
        while let Some(event) = fleet.next().await {
            if let FleetEvent::Enrol(request, responder) = event {
                let heartbeat = Heartbeat {
                    scope: request.scope.clone(),
                    issued: now() + ahead,
                    period_ms: 600_000,
                    heads: Vec::new(),
                    trust: 0,
                    max_age: None,
                    orders: Vec::new(),
                };
                let _ = registrar.answer_with(&request, responder, secs(1), heartbeat).await;
            }
        }
    }))
}

/// What the doctor found.
struct Found {
    code: i32,
    all: Value,
    text: String,
}

impl Found {
    fn verdict(&self, name: &str) -> &str {
        let checks = self.all["checks"].as_array().map_or(&[][..], Vec::as_slice);
        checks
            .iter()
            .find(|check| check["name"] == name)
            .and_then(|c| c["verdict"].as_str())
            .unwrap_or("none")
    }

    /// This check failed, said `why` and what to do.
    fn fails(&self, name: &str, why: &str) {
        self.is(name, "failed", why);
        assert_eq!(self.code, 1, "{}", self.text);
    }

    fn is(&self, name: &str, verdict: &str, why: &str) {
        assert_eq!(self.verdict(name), verdict, "{name}: {}", self.text);
        let checks = self.all["checks"].as_array().map_or(&[][..], Vec::as_slice);
        let check = checks.iter().find(|check| check["name"] == name).cloned().unwrap_or_default();
        assert!(
            check["found"].as_str().is_some_and(|found| found.contains(why)),
            "{why:?} is not in {check}"
        );
        let advice = check["advice"].as_str().is_some_and(|advice| !advice.is_empty());
        assert_eq!(advice, ["failed", "warning"].contains(&verdict), "{check}");
    }
}

async fn doctor(shell: &Shell, more: &[&str]) -> Result<Found> {
    let output = shell.command(&[&["doctor", "--json"], more].concat()).output();
    let output = tokio::time::timeout(secs(180), output).await.context("it hangs")??;
    let text = String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?;
    let creds =
        std::fs::read_to_string(shell.test.directory().join("config/default.creds")).unwrap_or_default();
    for line in creds.lines().filter(|line| line.starts_with("SU") || line.split('.').count() == 3) {
        assert!(!text.contains(line), "a secret is shown");
    }
    let first = text.lines().next().unwrap_or_default();
    let all = serde_json::from_str(first).with_context(|| text.clone())?;
    Ok(Found { code: output.status.code().unwrap_or(-1), all, text })
}

async fn connected() -> Result<(Shell, JoinHandle<()>)> {
    let shell = Shell { test: TestBroker::start().await? };
    let forge = forge(&shell.test, 0).await?;
    publish(&shell.test, "1.0.0", "Hello!").await?;
    assert!(shell.connect(&shell.connect_string()?.to_line()).await?.status.success());
    Ok((shell, forge))
}

/// FORGE's heartbeat comes while it is waited for.
async fn heard<T>(test: &TestBroker, waits: impl Future<Output = Result<T>>) -> Result<T> {
    let beats = async {
        loop {
            let _ = test.beat("dev", Vec::new(), secs(600)).await;
            tokio::time::sleep(millis(200)).await;
        }
    };
    tokio::select! {
        done = waits => done,
        () = beats => anyhow::bail!("the heartbeats end"),
    }
}

fn written(folder: &Path, name: &str, connection: &Connection) -> Result<PathBuf> {
    let path = folder.join(name);
    std::fs::write(&path, serde_json::to_vec(connection)?)?;
    Ok(path)
}

/// A connect file that is changed, given to the doctor.
async fn with_connection(shell: &Shell, connection: &Connection, more: &[&str]) -> Result<Found> {
    let path = written(shell.test.directory(), "changed.connect.json", connection)?;
    doctor(shell, &[&["--connection", path.to_str().context("path")?], more].concat()).await
}

#[tokio::test]
async fn where_all_is_well_every_check_says_so_with_an_agent_and_without() -> Result<()> {
    let (shell, forge) = connected().await?;
    let found = doctor(&shell, &[]).await?;
    assert_eq!((found.code, found.all["worst"].as_str()), (0, Some("ok")), "{}", found.text);
    let names: Vec<&str> =
        found.all["checks"].as_array().context("checks")?.iter().filter_map(|c| c["name"].as_str()).collect();
    let order = [
        "configuration",
        "connect file",
        "credential",
        "names",
        "ports",
        "TLS",
        "broker",
        "permissions",
        "FORGE",
        "clock",
        "disk",
        "cache",
        "versions",
        "agent",
    ];
    assert_eq!(names, order);
    found.is("FORGE", "ok", "it answers shell, signed");
    found.is("clock", "ok", " ms ");
    found.is("cache", "ok", "1 set, whole; nobody writes it");
    found.is("agent", "ok", "none runs");
    let said = shell.says(&["doctor"]).await?;
    assert!(said.contains("ok       permissions") && !said.contains('\x1b'), "{said}");

    // With an agent FORGE is not met in its name: its heartbeat is waited for.
    let (mut child, _lines) = shell.run(&[]).await?;
    let found = heard(&shell.test, doctor(&shell, &[])).await?;
    found.is("FORGE", "ok", "heartbeat is heard");
    found.is("cache", "ok", &format!("process {} writes it", child.id().context("it runs")?));
    found.is("agent", "ok", "shell runs, ACCEPTING");
    child.kill().await?;
    forge.abort();
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_on_the_way_to_the_broker_is_named() -> Result<()> {
    let (shell, forge) = connected().await?;
    let good = shell.test.connection("dev");
    let at = |server: String| Connection { servers: vec![server], ..good.clone() };

    let found = doctor(&shell, &["--max-age", "soon"]).await?;
    found.fails("configuration", "max_age");
    let found = doctor(&shell, &["--connection", "/none/of.json"]).await?;
    found.fails("connect file", "/none/of.json");
    assert_eq!(found.verdict("ports"), "skipped");
    let found = with_connection(&shell, &at("nats://192.0.2.1:4222".into()), &[]).await?;
    found.fails("connect file", "not encrypted");

    let found = with_connection(&shell, &at("tls://nobody.invalid:4222".into()), &[]).await?;
    found.fails("names", "nobody.invalid");
    assert_eq!(found.verdict("ports"), "skipped");
    assert_eq!(found.verdict("broker"), "failed");
    assert_eq!(found.verdict("permissions"), "skipped");

    let closed = std::net::SocketAddr::from(([127, 0, 0, 1], free_port()?));
    let found = with_connection(&shell, &at(format!("nats://{closed}")), &[]).await?;
    found.fails("ports", &closed.port().to_string());
    found.fails("broker", "");
    // One server of two is enough to live, and worth a word.
    let mut two = at(format!("nats://{closed}"));
    two.servers.extend(good.servers.clone());
    let found = with_connection(&shell, &two, &[]).await?;
    found.is("ports", "warning", "is open; but ");
    assert_eq!(found.verdict("FORGE"), "ok");
    assert_eq!(found.code, 3, "{}", found.text);

    // A server that speaks no TLS where it should.
    let url = good.servers[0].replace("nats://", "tls://");
    let found = with_connection(&shell, &at(url), &[]).await?;
    found.fails("TLS", "does not speak TLS");
    forge.abort();
    Ok(())
}

#[tokio::test]
async fn a_certificate_of_another_authority_or_that_has_ended_is_named() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (ours, theirs) = (TestAuthority::new("ours")?, TestAuthority::new("theirs")?);
    let names = ["localhost", "127.0.0.1"];
    let tls = ours.sign(folder.path(), "server", &names, false)?;
    let trust = Tls { ca: Some(ours.pem.clone()), pins: Vec::new() };
    let shell = Shell { test: TestBroker::with_tls(tls, trust.clone()).await? };
    let (creds, _) = shell.test.write_credential("tls")?;
    let creds = ["--credentials", creds.to_str().context("path")?];
    let by = |tls: Tls| Connection { tls: Some(tls), ..shell.test.connection("dev") };

    let found = heard(&shell.test, with_connection(&shell, &by(trust.clone()), &creds)).await?;
    found.is("TLS", "ok", "is believed, its certificate ends in ");
    assert_eq!(found.verdict("broker"), "ok");
    let wrong = Tls { ca: Some(theirs.pem.clone()), pins: Vec::new() };
    let found = with_connection(&shell, &by(wrong), &creds).await?;
    found.fails("TLS", "not trusted");
    found.fails("broker", "not trusted");
    let pin = nats_config::tls::pin_of(&theirs.pem)?;
    let found = with_connection(&shell, &by(Tls { pins: vec![pin], ..trust.clone() }), &creds).await?;
    found.fails("TLS", "not a pinned one");
    let ended = ours.sign(folder.path(), "old", &names, true)?;
    let impostor = TestBroker::unbelieved(ended, &folder.path().join("old-server")).await?;
    let old = Connection { servers: vec![impostor.url()], ..by(trust) };
    with_connection(&shell, &old, &creds).await?.fails("TLS", "has expired");
    Ok(())
}

/// A credential that ended so many days ago, or will; no broker ever signed it.
fn ending(days: i64) -> String {
    let user = nkeys::KeyPair::new_user();
    let claims = serde_json::json!({ "sub": user.public_key(), "exp": now() / 1_000_000 + days * 86_400 });
    let seed = user.seed().unwrap_or_default();
    let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()));
    format!(
        "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
}

#[tokio::test]
async fn a_credential_that_ended_was_revoked_or_is_of_another_environment_is_named() -> Result<()> {
    let (mut shell, forge) = connected().await?;
    let path = shell.test.directory().join("some.creds");
    let creds = path.to_str().context("path")?.to_owned();
    let with = ["--credentials", creds.as_str()];

    doctor(&shell, &with).await?.fails("credential", "some.creds");
    std::fs::write(&path, "no seed in here")?;
    doctor(&shell, &with).await?.fails("credential", "no user seed");
    std::fs::write(&path, ending(-3))?;
    let found = doctor(&shell, &with).await?;
    found.fails("credential", "it ended 3 days ago");
    found.fails("broker", "refuses this credential");
    std::fs::write(&path, ending(5))?;
    doctor(&shell, &with).await?.is("credential", "warning", "it ends in ");

    // Of another environment: the file says so, and the broker says nothing at all.
    let (minted, _) = shell.test.mint_in("prod", "other")?;
    std::fs::write(&path, minted.creds.as_str())?;
    let found = doctor(&shell, &with).await?;
    found.fails("credential", "it was made for prod");
    let (minted, _) = shell.test.mint("open")?;
    std::fs::write(&path, minted.creds.as_str())?;
    doctor(&shell, &with).await?.is("credential", "warning", "others may read");

    let (minted, _) = shell.test.mint("gone")?;
    std::fs::write(&path, minted.creds.as_str())?;
    shell.test.revoke(&minted.public_key).await?;
    let found = doctor(&shell, &with).await?;
    found.fails("broker", "refuses this credential");
    assert_eq!(found.verdict("permissions"), "skipped");
    forge.abort();
    Ok(())
}

#[tokio::test]
async fn permissions_that_lack_or_go_too_far_are_named() -> Result<()> {
    let (shell, forge) = connected().await?;
    // The connect file is of an environment that this credential may not read.
    let mut other = shell.test.connection("dev");
    other.scope.environment = "prod".parse()?;
    let found = with_connection(&shell, &other, &["--memory-only"]).await?;
    found.fails("permissions", "may not read acme/support/prod");
    forge.abort();
    Ok(())
}

#[tokio::test]
async fn a_forge_that_is_silent_or_whose_clock_is_off_is_named() -> Result<()> {
    let (shell, forge_runs) = connected().await?;
    forge_runs.abort();
    let _ = forge_runs.await;
    let found = doctor(&shell, &[]).await?;
    found.fails("FORGE", "does not answer");
    assert_eq!(found.verdict("clock"), "skipped");
    let ahead = forge(&shell.test, 120_000_000).await?;
    let found = doctor(&shell, &[]).await?;
    found.fails("clock", "ahead");
    ahead.abort();
    Ok(())
}

#[tokio::test]
async fn a_cache_that_cannot_be_written_is_damaged_or_another_scopes_is_named() -> Result<()> {
    let (shell, forge) = connected().await?;
    // A file where the folder should be: no user may make a folder there.
    let blocked = shell.test.directory().join("blocked");
    std::fs::write(&blocked, "")?;
    let dir = blocked.join("cache");
    let found = doctor(&shell, &["--cache-dir", dir.to_str().context("path")?]).await?;
    found.fails("disk", "cannot be written");

    let (minted, connection) = shell.test.mint_in("prod", "other")?;
    let prod = shell.test.directory().join("prod-cache");
    let builder = live_agent::LiveAgent::builder().connection(connection).credentials(minted.creds.as_str());
    builder.cache_dir(&prod).start().await?.stop().await;
    let found = doctor(&shell, &["--cache-dir", prod.to_str().context("path")?]).await?;
    found.fails("cache", "belongs to acme/support/prod");

    let data = shell.test.directory().join("cache/store/data.mdb");
    let mut bytes = std::fs::read(&data)?;
    let middle = bytes.len() / 2;
    for byte in &mut bytes[middle..middle + 4096] {
        *byte ^= 0x55;
    }
    // Both pages that say where all else is.
    for byte in &mut bytes[..8192] {
        *byte ^= 0x55;
    }
    std::fs::write(&data, bytes)?;
    let found = doctor(&shell, &[]).await?;
    found.is("cache", "warning", "damaged");
    let served = doctor(&shell, &["--memory-only"]).await?;
    served.is("disk", "ok", "memory_only");
    forge.abort();
    Ok(())
}
