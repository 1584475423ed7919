//! Credentials: taken by the official clients, and gone when they are revoked.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, Result};
use async_nats::connection::State;
use nats_config::subject;
use tests::nats::{TestBroker, now};
use tests::tools;
use tests::until::{secs, until};

/// The Python client at the version that these tests were written for.
const NATS_PY: &str = "nats-py[nkeys]==2.16.0";

#[tokio::test]
async fn a_credential_is_taken_until_it_expires() -> Result<()> {
    let test = TestBroker::start().await?;
    let (lasting, _) = test.mint("lasting")?;
    assert_eq!(test.client(&lasting).await?.connection_state(), State::Connected);
    let scope = test.scope("dev");
    let mint = |expires| {
        publisher::credentials::mint(
            &test.project_keys,
            publisher::Role::Agent,
            &scope,
            "short",
            Some(expires),
        )
    };
    let past = mint(now() - 5_000_000)?;
    assert!(test.client(&past).await.is_err(), "an expired credential was taken");
    let soon = mint(now() + 60_000_000)?;
    assert!(test.client(&soon).await.is_ok());
    Ok(())
}

#[tokio::test]
async fn a_revoked_credential_is_cut_off_at_once_and_stays_out_over_restarts() -> Result<()> {
    let mut test = TestBroker::start().await?;
    let ((revoked, _), (kept, _)) = (test.mint("revoked")?, test.mint("kept")?);
    let clients = [test.client(&revoked).await?, test.client(&revoked).await?];
    let other = test.client(&kept).await?;
    test.revoke(&revoked.public_key).await?;
    until("its clients are cut off", secs(30), async || {
        clients.iter().all(|c| c.connection_state() != State::Connected).then_some(())
    })
    .await;
    assert_eq!(other.connection_state(), State::Connected, "another credential was cut off");
    assert!(test.client(&revoked).await.is_err());
    test.server.restart().await?;
    assert!(test.client(&revoked).await.is_err(), "a restart forgave it");
    assert!(test.client(&kept).await.is_ok());
    let (again, _) = test.mint("revoked")?;
    assert!(test.client(&again).await.is_ok(), "a new credential of the same name is another one");
    Ok(())
}

#[tokio::test]
async fn credentials_of_two_projects_do_not_open_each_others_account() -> Result<()> {
    let test = TestBroker::start().await?;
    let stranger = publisher::ProjectKeys::generate();
    // Signed by keys that the account does not list.
    let keys = publisher::ProjectKeys { account: test.project_keys.account.clone(), ..stranger };
    let scope = test.scope("dev");
    let forged = publisher::credentials::mint(&keys, publisher::Role::Agent, &scope, "forged", None)?;
    assert!(test.client(&forged).await.is_err());
    Ok(())
}

/// Where nats-py is: where `scripts/ensure-tools` put it, or installed here.
async fn nats_py() -> Result<PathBuf> {
    let target = tools::tools_dir().join("nats-py-2.16.0");
    let complete = |path: &&PathBuf| path.join("nats").is_dir() && path.join("nkeys").is_dir();
    if let Some(found) = [tools::tools_dir().join("python"), target.clone()].iter().find(complete) {
        return Ok(found.clone());
    }
    std::fs::create_dir_all(tools::tools_dir())?;
    let ours = tempfile::Builder::new().prefix(".nats-py-").tempdir_in(tools::tools_dir())?;
    let output = tokio::process::Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "--target"])
        .arg(ours.path().join("wheel"))
        .arg(NATS_PY)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .context("python3 with pip is needed for this test")?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Somebody else may have been faster; both are the same.
    let _ = std::fs::rename(ours.path().join("wheel"), &target);
    anyhow::ensure!(target.join("nats").is_dir(), "{NATS_PY} holds no package");
    Ok(target)
}

const PYTHON: &str = r#"
import asyncio, json, sys, nats
url, creds, prefix, get, query, denied = sys.argv[1:]
async def main():
    errors = []
    async def on_error(e): errors.append(str(e))
    nc = await nats.connect(url, user_credentials=creds, inbox_prefix=prefix.encode(), error_cb=on_error, allow_reconnect=False, connect_timeout=30)
    answer = await nc.request(get, query.encode(), timeout=30)
    await nc.publish(denied, b"x")
    await nc.flush()
    for _ in range(1500):
        if errors: break
        await asyncio.sleep(0.02)
    print(json.dumps({"body": answer.data.decode(), "serial": answer.headers["Forge-Serial"], "errors": errors}))
    await nc.close()
asyncio.run(main())
"#;

#[tokio::test]
async fn nats_py_takes_a_credential_reads_a_bundle_and_is_held_to_the_list() -> Result<()> {
    let package = nats_py().await.context("nats-py could not be had: this test did not pass")?;
    let test = TestBroker::start().await?;
    let published = test.publish(test.bundle("chat", "1.0.0", &[("a", "one")])).await?;
    let (creds, _) = test.write_credential("python")?;
    let text = std::fs::read_to_string(&creds)?;
    let (token, _) = publisher::jwt::read_credentials(&text)?;
    let user = publisher::jwt::verify(&token, test.project_keys.credentials.public())?.sub;
    let scope = test.scope("dev");
    let subject = subject::bundle(&scope, &published.outgoing.set);
    let output = tokio::process::Command::new("python3")
        .args(["-c", PYTHON, &test.server.url()])
        .arg(&creds)
        .args([subject::inbox(&user), subject::direct_get(&scope)])
        .args([format!(r#"{{"last_by_subj":"{subject}"}}"#), subject])
        .env("PYTHONPATH", package)
        .kill_on_drop(true)
        .output()
        .await?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(said["serial"], "1");
    assert_eq!(said["body"].as_str().map(str::as_bytes), Some(&*published.outgoing.wire));
    let errors = said["errors"].to_string().to_lowercase();
    assert!(errors.contains("permissions violation"), "{errors}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs the `nats` CLI on the PATH or in .tools/bin; run it with --ignored"]
async fn the_nats_cli_reads_with_an_inspect_credential() -> Result<()> {
    let nats = tools::find("nats", &[tools::tools_dir().join("bin")]).context("there is no `nats` CLI")?;
    let test = TestBroker::start().await?;
    test.publish(test.bundle("chat", "1.0.0", &[("a", "one")])).await?;
    test.broker.ensure_consumer(&test.scope("dev"), &schemas::Slug::new("agent-1")?).await?;
    let scope = test.scope("dev");
    let eve =
        publisher::credentials::mint(&test.project_keys, publisher::Role::Inspect, &scope, "eve", None)?;
    let creds = test.directory().join("eve.creds");
    std::fs::write(&creds, eve.creds.as_str())?;
    let stream = subject::stream(&scope);
    for (question, expected) in
        [(["stream", "info", &stream], "anvil.project"), (["consumer", "ls", &stream], "agent-1")]
    {
        let output = tokio::process::Command::new(&nats)
            .args(["--server", &test.server.url(), "--creds"])
            .arg(&creds)
            .args(["--inbox-prefix", &subject::inbox(&eve.public_key)])
            .args(["--js-api-prefix", subject::JETSTREAM_PREFIX])
            .args(question)
            .kill_on_drop(true)
            .output()
            .await?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains(expected), "{said}{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
