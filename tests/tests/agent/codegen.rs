//! `live codegen` from what is on disk beside a running agent, and from a signed file.

use std::fs;
use std::path::Path;
use std::process::Output;

use anyhow::{Context as _, Result};
use tests::nats::TestBroker;
use tests::tools;
use tokio::process::Command;

use tests::stage::{PATIENCE, publish, serves};

struct Shell<'t> {
    place: &'t Path,
}

impl Shell<'_> {
    async fn live(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(tools::binary("live"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.place)
            .current_dir(self.place)
            .kill_on_drop(true);
        for (key, file) in
            [("LIVE_CONNECTION", "connect.json"), ("LIVE_CREDENTIALS", "creds"), ("LIVE_CACHE_DIR", "cache")]
        {
            command.env(key, self.place.join(file));
        }
        Ok(tokio::time::timeout(PATIENCE, command.output()).await.context("live hangs")??)
    }

    async fn codegen(&self, more: &[&str]) -> Result<(i32, String)> {
        let done = self.live(&[&["codegen"], more].concat()).await?;
        let said = [done.stdout, done.stderr].concat();
        Ok((done.status.code().unwrap_or(-1), String::from_utf8_lossy(&said).into_owned()))
    }
}

#[tokio::test]
async fn codegen_writes_what_is_served_or_what_a_signed_file_holds_and_nothing_else() -> Result<()> {
    let test = TestBroker::start().await?;
    let place = test.directory();
    let (minted, connection) = test.mint("coder")?;
    fs::write(place.join("connect.json"), serde_json::to_string(&connection)?)?;
    fs::write(place.join("creds"), minted.creds.as_str())?;
    let shell = Shell { place };
    let (code, said) = shell.codegen(&["--language", "rust", "--set", "chat"]).await?;
    assert!(code == 69 && said.contains("no set chat is here"), "{code}: {said}");

    let published = publish(&test, "1.0.0", "Hello").await?;
    let agent = live_agent::LiveAgent::builder()
        .connection(connection)
        .credentials(minted.creds.as_str())
        .cache_dir(place.join("cache"))
        .name("coder")
        .start()
        .await?;
    serves(&agent, published.serial).await;
    let write = ["--language", "rust", "--set", "chat", "--out", "prompts.rs"];
    let check = [&write[..], &["--check"]].concat();
    assert_ne!(shell.codegen(&check).await?.0, 0, "there is no such file yet");
    let (code, said) = shell.codegen(&write).await?;
    assert_eq!(code, 0, "{said}");
    let written = fs::read_to_string(place.join("prompts.rs"))?;
    for part in ["pub fn hello(", "@chat/hello", "version 1.0.0", &published.digest.to_string()] {
        assert!(written.contains(part), "{part} is not in {written}");
    }
    assert_eq!(shell.codegen(&check).await?.0, 0);
    assert_eq!(shell.codegen(&["--language", "rust"]).await?.1, written, "to standard output; one set only");

    assert!(shell.codegen(&[&check[..], &["--json"]].concat()).await?.1.contains("\"prompts\":1"));

    // What a folder puts before it is no part of that version.
    let overrides = place.join("overrides");
    fs::create_dir(&overrides)?;
    let local = serde_json::json!({
        "content": { "type": "text", "template": "Hi {{ who }}" },
        "parameters": [{ "name": "who", "type": "string", "required": true }],
    });
    fs::write(overrides.join("hello.json"), local.to_string())?;
    let with = ["--overrides", overrides.to_str().context("a path")?];
    let seen = shell.live(&[&["get", "hello"][..], &with].concat()).await?;
    assert_eq!(String::from_utf8_lossy(&seen.stdout).trim(), "Hello", "the running agent has no such folder");
    let (code, said) = shell.codegen(&[&check[..], &with].concat()).await?;
    assert!(code == 0 && said.contains("overrides are left out"), "{code}: {said}");

    // A file that carries its proof.
    assert!(shell.live(&["bake", "prompts.bundle"]).await?.status.success());
    let newer = publish(&test, "1.1.0", "Hello again").await?;
    serves(&agent, newer.serial).await;
    let (code, said) = shell.codegen(&check).await?;
    assert!(code == 1 && said.contains("chat@1.1.0"), "{code}: {said}");
    let from = [&check[..], &["--from", "prompts.bundle"]].concat();
    assert_eq!(shell.codegen(&from).await?, (0, String::new()), "the file still holds 1.0.0");
    let mut bytes = fs::read(place.join("prompts.bundle"))?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(place.join("prompts.bundle"), bytes)?;
    let (code, said) = shell.codegen(&from).await?;
    assert!(code == 1 && said.contains("is not believed"), "{code}: {said}");
    assert_eq!(fs::read_to_string(place.join("prompts.rs"))?, written);

    test.publish(test.bundle("mail", "1.0.0", &[("reply", "Dear reader")])).await?;
    tests::until::until("both sets are served", PATIENCE, async || {
        (agent.status().sets.len() == 2).then_some(())
    })
    .await;
    let (code, said) = shell.codegen(&["--language", "python"]).await?;
    assert!(code == 2 && said.contains("chat, mail"), "{code}: {said}");
    assert_eq!(shell.codegen(&["--language", "cobol", "--set", "chat"]).await?.0, 2);
    Ok(())
}
