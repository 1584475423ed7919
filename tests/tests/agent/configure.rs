//! `live config`: where each setting comes from, and what is wrong with them.

use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tests::nats::TestBroker;

use crate::command::Shell;
use tests::stage::publish;

async fn connected() -> Result<Shell> {
    let shell = Shell { test: TestBroker::start().await? };
    publish(&shell.test, "1.0.0", "Hello!").await?;
    assert!(shell.connect(&shell.connect_string()?.to_line()).await?.status.success());
    Ok(shell)
}

fn write(shell: &Shell, text: &str) -> Result<()> {
    Ok(std::fs::write(shell.test.directory().join("config/default.toml"), text)?)
}

#[tokio::test]
async fn everything_that_is_wrong_is_said_at_once_with_file_and_line() -> Result<()> {
    let shell = connected().await?;
    assert!(shell.says(&["config", "check"]).await?.contains("all is well"));
    write(&shell, "serivce = \"shop\"\nmode = \"sleepy\"\n\n[pins]\nchat = \"newest\"\n")?;
    let output = shell
        .command(&["config", "check", "--max-age", "soon"])
        .env("LIVE_USAGE", "perhaps")
        .output()
        .await?;
    let said = String::from_utf8(output.stdout)?;
    assert_eq!(output.status.code(), Some(64), "{said}");
    for part in [
        "did you mean \"service\"? (",
        "default.toml, line 1)",
        "mode: write accepting or frozen",
        "default.toml, line 2)",
        "pins: chat: \"newest\" is no version requirement",
        "default.toml, line 5)",
        "(--max-age)",
        "usage: write true or false (LIVE_USAGE)",
    ] {
        assert!(said.contains(part), "{part} is not in:\n{said}");
    }
    // Every other command ends the same way, naming the key.
    let (code, error) = shell.fails(&["list"]).await?;
    assert!(code == 64 && error.contains("serivce") && error.contains("mode:"), "{code} {error}");
    Ok(())
}

#[tokio::test]
async fn files_that_are_not_there_and_rights_that_are_too_wide_are_found() -> Result<()> {
    let shell = connected().await?;
    let creds = shell.test.directory().join("config/default.creds");
    std::fs::set_permissions(&creds, std::fs::Permissions::from_mode(0o644))?;
    let (code, _) = shell.fails(&["config", "check"]).await?;
    assert_eq!(code, 3, "a warning");
    let output = shell.live(&["config", "check", "--json"]).await?;
    let found: Value = serde_json::from_slice(&output.stdout)?;
    assert!(found["warnings"][0].as_str().is_some_and(|w| w.contains("mode 644")), "{found}");
    assert_eq!(found["wrong"].as_array().map(Vec::len), Some(0), "{found}");

    std::fs::write(&creds, "no seed in here")?;
    let more = ["--baked", "/none/of.baked", "--overrides", "/none", "--name", "Not A Slug"];
    let output = shell.live(&[&["config", "check"][..], &more].concat()).await?;
    let said = String::from_utf8(output.stdout)?;
    assert_eq!(output.status.code(), Some(64));
    for part in
        ["credentials: there is no user seed", "baked: there is no", "overrides: there is no", "name: "]
    {
        assert!(said.contains(part), "{part} is not in:\n{said}");
    }

    // A cache that belongs to another environment.
    let (minted, connection) = shell.test.mint_in("prod", "other")?;
    let dir = shell.test.directory().join("prod-cache");
    let other = live_agent::LiveAgent::builder()
        .connection(connection)
        .credentials(minted.creds.as_str())
        .cache_dir(&dir)
        .start()
        .await?;
    other.stop().await;
    std::fs::remove_file(&creds)?;
    assert!(shell.connect(&shell.connect_string()?.to_line()).await?.status.success());
    let output = shell.live(&["config", "check", "--cache-dir", dir.to_str().context("path")?]).await?;
    let said = String::from_utf8(output.stdout)?;
    assert!(
        output.status.code() == Some(64) && said.contains("cache_dir:") && said.contains("prod"),
        "{said}"
    );
    Ok(())
}

#[tokio::test]
async fn a_flag_counts_before_a_variable_before_the_file_before_its_preset() -> Result<()> {
    let shell = connected().await?;
    let file = "preset = \"prod\"\nservice = \"file\"\nlog = \"warn\"\nremote_mode = true\nusage = true\n";
    write(&shell, file)?;
    let output = shell
        .command(&["config", "show", "--json", "--service", "flag"])
        .env("LIVE_SERVICE", "variable")
        .env("LIVE_LOG", "error")
        .output()
        .await?;
    let shown: Vec<Value> = serde_json::from_slice(&output.stdout)?;
    let of = |key: &str| {
        let one = shown.iter().find(|one| one["key"] == key).cloned().unwrap_or_default();
        let text = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
        (text("value"), text("from"))
    };
    assert_eq!(of("service"), ("flag".into(), "--service".into()));
    assert_eq!(of("log"), ("error".into(), "LIVE_LOG".into()));
    let (value, from) = of("remote_mode");
    assert!(value == "true" && from.ends_with("default.toml, line 4"), "{value} {from}");
    assert_eq!(of("max_age"), ("1d".into(), "preset prod".into()));
    assert_eq!(of("mode"), ("accepting".into(), "default".into()));
    let all = String::from_utf8(output.stdout)?;
    let creds = std::fs::read_to_string(shell.test.directory().join("config/default.creds"))?;
    let seed = creds.lines().find(|line| line.starts_with("SU")).context("a seed")?;
    assert!(!all.contains(seed), "no secret is shown");
    // What it shows is what holds: the agent's own bound is in its status.
    let status = shell.json(&["status", "--json"]).await?;
    assert_eq!(status["max_age"]["seconds"], 86_400, "{status}");
    Ok(())
}

#[tokio::test]
async fn a_new_file_is_commented_and_never_replaces_one_unasked() -> Result<()> {
    let shell = connected().await?;
    let path = shell.says(&["config", "init", "--preset", "prod"]).await?;
    let text = std::fs::read_to_string(path.trim())?;
    assert!(text.contains("\npreset = \"prod\"\n") && text.contains("\n#max_age = \"1d\"\n"), "{text}");
    assert!(shell.says(&["config", "check"]).await?.contains("all is well"));
    assert_eq!(shell.fails(&["config", "init"]).await?.0, 77);
    assert_eq!(std::fs::read_to_string(path.trim())?, text);
    shell.says(&["config", "init", "--force", "--preset", "dev"]).await?;
    assert_ne!(std::fs::read_to_string(path.trim())?, text);
    Ok(())
}

#[tokio::test]
async fn what_a_sidecar_and_a_collector_need_is_checked_as_all_else() -> Result<()> {
    let shell = connected().await?;
    let check = async |more: &[&str]| -> Result<(Option<i32>, String)> {
        let output = shell.live(&[&["config", "check"], more].concat()).await?;
        Ok((output.status.code(), String::from_utf8(output.stdout)?))
    };
    write(
        &shell,
        "otlp_sample = 1.5\n[serve]\nlisten = [\"localhost:1\"]\nconections = 9\nbody_max = \"much\"\n\
         socket_mode = \"0999\"\nno_token = true\ntoken_file = \"x\"\n",
    )?;
    let (code, said) = check(&[]).await?;
    assert_eq!(code, Some(64), "{said}");
    for part in [
        "otlp_sample: write a number from 0 to 1 (",
        "default.toml, line 1)",
        "listen: \"localhost:1\" is no address",
        "did you mean \"connections\"? (",
        "body_max: write a whole number",
        "socket_mode: write permissions",
        "token_file: no_token is set too",
        "default.toml, line 8)",
    ] {
        assert!(said.contains(part), "{part} is not in:\n{said}");
    }
    write(&shell, "overrides = \"\"\n[serve]\nlisten = [\"127.0.0.1:1\"]\nconnections = 9\n")?;
    assert_eq!(check(&[]).await?.0, Some(0), "an empty path is none");
    for wrong in ["collector:4318", "https://collector:4318", "http://", "http://x?y", "collector"] {
        let (code, said) = check(&["--otlp-endpoint", wrong]).await?;
        assert!(
            code == Some(64) && said.contains("otlp_endpoint: write http://host:port"),
            "{wrong}: {said}"
        );
    }
    assert_eq!(check(&["--otlp-endpoint", "http://127.0.0.1:4318"]).await?.0, Some(0));
    let shown = shell.says(&["config", "show"]).await?;
    for line in
        ["serve.listen         = \"127.0.0.1:1\"", "serve.connections    = 9", "serve.event_readers  = 64"]
    {
        assert!(shown.contains(line), "{line} is not in:\n{shown}");
    }
    let table = shell.json(&["config", "table", "--json"]).await?;
    assert!(
        table.as_array().is_some_and(|all| all.iter().any(|one| one["key"] == "serve.listen")),
        "{table}"
    );
    Ok(())
}
