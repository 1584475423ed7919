//! `live bundle`: prompts for an image, straight from the broker.

use anyhow::{Context as _, Result};
use nats_config::header;
use tests::nats::TestBroker;

use crate::command::Shell;
use tests::stage::{headers, publish, smuggle};

#[tokio::test]
async fn bundles_come_from_the_broker_without_an_agent_and_serve_without_a_broker() -> Result<()> {
    let mut shell = Shell { test: TestBroker::start().await? };
    let (creds, connect) = shell.test.write_credential("image")?;
    let (creds, connect) = (creds.to_str().context("path")?, connect.to_str().context("path")?);
    let file = shell.test.directory().join("prompts.baked");
    let file = file.to_str().context("path")?;
    let cache = shell.test.directory().join("cache");
    let with = ["--connection", connect, "--credentials", creds];
    let pull = |more: &[&'static str]| [&["bundle", "pull", "--out", file][..], more, &with].concat();

    let (code, error) = shell.fails(&pull(&[])).await?;
    assert!(code == 1 && error.contains("nothing is published"), "{code} {error}");
    publish(&shell.test, "1.0.0", "old").await?;
    publish(&shell.test, "1.1.0", "Hello!").await?;
    shell.test.publish(shell.test.bundle("mail", "3.0.0", &[("reply", "Dear"), ("sign", "Yours")])).await?;

    let said = shell.says(&pull(&[])).await?;
    assert!(said.contains("@chat 1.1.0 serial 2") && said.contains("@mail 3.0.0 serial 1"), "{said}");
    let shown = shell.says(&[&["bundle", "show", file][..], &with].concat()).await?;
    assert!(shown.contains("@mail 3.0.0") && shown.contains("\n  sign\n"), "{shown}");
    assert!(shell.says(&[&["verify", file][..], &with].concat()).await?.contains("1.1.0"));

    let said = shell.json(&pull(&["--set", "mail", "--json"])).await?;
    assert_eq!(said["sets"].as_array().map(Vec::len), Some(1));
    assert_eq!(said["sets"][0]["prompts"], 2);
    let (code, error) = shell.fails(&pull(&["--set", "none"])).await?;
    assert!(code == 1 && error.contains("none"), "{code} {error}");
    // What is pinned to something else would never be served.
    let (code, error) = shell.fails(&pull(&["--pins", "mail=^2"])).await?;
    assert!(code == 1 && error.contains("pinned") && error.contains("3.0.0"), "{code} {error}");
    // By the rule of the agent that will serve it: a star takes a pre-release too.
    shell.test.publish(shell.test.bundle("mail", "4.0.0-rc.1", &[("reply", "Dear")])).await?;
    let said = shell.says(&pull(&["--set", "mail", "--pins", "mail=*"])).await?;
    assert!(said.contains("@mail 4.0.0-rc.1"), "{said}");
    assert!(!cache.exists(), "no cache is needed, and none is made");

    shell.says(&pull(&[])).await?;
    shell.test.server.stop().await;
    let (code, error) = shell.fails(&pull(&[])).await?;
    assert_eq!(code, 69, "{error}");
    let served = shell.says(&[&["prompt", "hello", "--baked", file][..], &with].concat()).await?;
    assert_eq!(served, "Hello!\n", "what was there before is whole");
    Ok(())
}

#[tokio::test]
async fn a_bundle_that_is_not_believed_leaves_nothing_behind() -> Result<()> {
    let shell = Shell { test: TestBroker::start().await? };
    let (creds, connect) = shell.test.write_credential("image")?;
    let (creds, connect) = (creds.to_str().context("path")?, connect.to_str().context("path")?);
    publish(&shell.test, "1.0.0", "good").await?;
    shell.test.publish(shell.test.bundle("mail", "1.0.0", &[("reply", "Dear")])).await?;
    // Whoever owns the broker changes one word.
    let outgoing = shell.test.outgoing("dev", shell.test.bundle("chat", "1.1.0", &[("hello", "x")]), 2)?;
    let other = shell.test.outgoing("dev", shell.test.bundle("chat", "1.1.0", &[("hello", "evil")]), 2)?;
    let mut headers = headers(&outgoing);
    headers.insert(header::CONTENT_ENCODING, other.encoding.as_str());
    smuggle(&shell.test, &outgoing, headers, &other.wire).await?;
    let file = shell.test.directory().join("prompts.baked");
    let out = file.to_str().context("path")?;
    let pull = ["bundle", "pull", "--out", out, "--connection", connect, "--credentials", creds];
    let (code, error) = shell.fails(&pull).await?;
    assert!(code == 1 && error.contains("chat") && error.contains("not believed"), "{code} {error}");
    assert!(!file.exists());
    shell.says(&[&pull[..], &["--set", "mail"]].concat()).await?;
    assert!(file.exists());
    Ok(())
}
