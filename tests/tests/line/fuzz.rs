//! The API, asked by a fuzzer of APIs (schemathesis) that knows nothing of it but its description.
//!
//! `ANVIL_API_SECONDS` says how long; the seed is fixed.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tests::forge::{Database, Forge, ORGANISATION};
use tests::tools::tools_dir;
use tokio::process::Command;

use super::checkout;

/// How long where nobody says, in seconds.
const SECONDS: &str = "60";
const SEED: &str = "20260102";
/// What would end the fuzzer's own session.
const SUICIDE: &str = "^(delete_sessions|delete_sessions_current)$";
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance";

/// What stands in the places of addresses, so that most requests meet something.
const PLACES: &str = r#"
[parameters]
"path.organisation" = "acme"
"path.project" = "acme:support"
"path.set" = "chat"
"path.environment" = "prod"
"path.prompt" = "welcome.message"
"path.partial" = "greeting"
"path.version" = "1.0.0"
"path.number" = "1"
"#;

async fn no_request_by_the_description_brings_the_api_down(database: Database) -> Result<()> {
    let library = tools_dir().join("schemathesis");
    ensure!(library.join("schemathesis").is_dir(), "schemathesis is not in .tools: run scripts/ensure-tools");
    let mut place = tests::forge::Place::new(database)?;
    place.set("FORGE_REQUESTS_PER_SECOND", "100000");
    place.set("FORGE_SIGN_IN_PER_MINUTE", "100000");
    let mut forge = Forge::begin(place).await?;
    let (owner, _, live) = checkout(&mut forge).await?;
    owner.release("1.0.0", "Hello {{ name }}").await?;
    owner.reopen().await?;
    let partial = format!("{}/partials/greeting", owner.set());
    owner.send(reqwest::Method::PUT, &partial, &[], Some(&json!({"source": "Hi"}))).await?.ok()?;
    let hook = json!({"url": "https://hook.invalid/"});
    owner.post(&format!("{}/webhooks", owner.project()), &hook).await?.ok()?;

    let folder = tempfile::tempdir()?;
    let places = folder.path().join("schemathesis.toml");
    std::fs::write(&places, PLACES)?;
    let seconds = std::env::var("ANVIL_API_SECONDS").unwrap_or_else(|_| SECONDS.to_owned());
    let done = Command::new("python3")
        .args(["-m", "schemathesis.cli", "--config-file"])
        .arg(&places)
        .args(["run", &format!("{}/api/v1/openapi.json", forge.url())])
        .args(["--header", &format!("authorization: Bearer {}", owner.token())])
        .args([
            "--checks",
            CHECKS,
            "--phases",
            "examples,coverage,fuzzing",
            "--exclude-operation-id-regex",
            SUICIDE,
        ])
        .args(["--seed", SEED, "--generation-database", "none", "--max-time", &seconds, "--workers", "1"])
        .args(["--suppress-health-check", "all", "--warnings", "off", "--no-color", "--max-failures", "40"])
        .env("PYTHONPATH", &library)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .context("starting python3")?;
    let said = String::from_utf8_lossy(&done.stdout);
    println!("{said}");
    ensure!(
        done.status.success(),
        "schemathesis found something:\n{said}\n{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let asked = said.split(" generated,").next().and_then(|before| before.rsplit(char::is_whitespace).next());
    let asked: u32 = asked.and_then(|number| number.parse().ok()).unwrap_or_default();
    ensure!(asked > 100, "only {asked} cases were tried:\n{said}");
    let chain = format!("/api/v1/organisations/{ORGANISATION}/audit/verify");
    let whole = owner.get(&chain).await?.ok()?;
    ensure!(whole["whole"] == true, "the audit log's chain is broken: {whole}");
    drop(live);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_by_the_description_brings_the_api_down_on_sqlite() -> Result<()> {
    no_request_by_the_description_brings_the_api_down(Database::Sqlite).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_by_the_description_brings_the_api_down_on_postgres() -> Result<()> {
    no_request_by_the_description_brings_the_api_down(Database::Postgres).await
}
