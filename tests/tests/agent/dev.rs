//! `live dev`: prompts that are being written, before those of FORGE.

use std::process::Stdio;

use anyhow::{Context as _, Result};
use tests::nats::TestBroker;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::command::{Shell, line};
use crate::renew::put;
use tests::stage::{PATIENCE, publish};
use tests::until::until;

#[tokio::test]
async fn a_save_is_taken_up_and_said_and_prod_takes_none() -> Result<()> {
    let shell = Shell { test: TestBroker::start().await? };
    publish(&shell.test, "1.0.0", "Hello!").await?;
    assert!(shell.connect(&shell.connect_string()?.to_line()).await?.status.success());
    let folder = shell.test.directory().join("prompts");
    std::fs::create_dir(&folder)?;
    std::fs::write(folder.join("hello.md"), "Hello from here\n")?;
    let path = folder.to_str().context("a path")?;
    let (code, error) = shell.fails(&["dev", path, "--preset", "prod"]).await?;
    assert!(code == 64 && error.contains("overrides"), "{code} {error}");

    let mut child = shell.command(&["dev", path]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("no stdout")?).lines();
    assert_eq!(line(&mut lines).await?, "overridden: @chat/hello");
    // It may say so before it can be asked.
    let status = until("it answers", PATIENCE, async || {
        shell.json(&["status", "--json"]).await.ok().filter(|status| status["running"] == true)
    })
    .await;
    assert_eq!(shell.says(&["prompt", "hello"]).await?, "Hello from here\n");
    assert_eq!(status["overrides"][0], "@chat/hello", "it stands in the status: {status}");
    // Whole at once: a file that is just being written is one that was saved empty.
    put(&folder.join("hello.md"), "Saved again\n")?;
    assert_eq!(line(&mut lines).await?, "reloaded: @chat/hello");
    assert_eq!(shell.says(&["prompt", "hello"]).await?, "Saved again\n");
    put(&folder.join("hello.md"), "{{ broken")?;
    let said = line(&mut lines).await?;
    assert!(said.starts_with("not usable, the last that was stays: ") && said.contains("hello.md"), "{said}");
    assert_eq!(shell.says(&["prompt", "hello"]).await?, "Saved again\n");
    std::fs::remove_file(folder.join("hello.md"))?;
    assert_eq!(line(&mut lines).await?, "no longer overridden: @chat/hello");
    assert_eq!(shell.says(&["prompt", "hello"]).await?, "Hello!\n");
    child.kill().await?;
    Ok(())
}

#[tokio::test]
async fn without_a_profile_the_folder_is_all_there_is() -> Result<()> {
    let shell = Shell { test: TestBroker::start().await? };
    let folder = shell.test.directory().join("prompts");
    std::fs::create_dir(&folder)?;
    std::fs::write(folder.join("hello.md"), "Hello from here\n")?;
    let path = folder.to_str().context("a path")?;
    let mut child = shell.command(&["dev", path]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("no stdout")?).lines();
    assert!(line(&mut lines).await?.contains("no profile"));
    assert_eq!(line(&mut lines).await?, "overridden: @local/hello");
    child.kill().await?;
    Ok(())
}
