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
async fn an_auditor_needs_the_file_its_root_and_its_scope_and_nothing_else() -> Result<()> {
    let shell = Shell { test: TestBroker::start().await? };
    let (creds, connect) = shell.test.write_credential("image")?;
    let (creds, connect) = (creds.to_str().context("path")?, connect.to_str().context("path")?);
    publish(&shell.test, "1.0.0", "Hello!").await?;
    let file = shell.test.directory().join("prompts.baked");
    let file = file.to_str().context("path")?;
    shell.says(&["bundle", "pull", "--out", file, "--connection", connect, "--credentials", creds]).await?;
    let root = shell.test.connection("dev").roots[0].clone();
    let other = nkeys::KeyPair::new_operator().public_key();
    for command in [&["verify"][..], &["bundle", "show"]] {
        let with = |more: &[&'static str], root: &str| {
            let words = [command, &[file, "--root", root], more].concat();
            words.into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        let fails = async |words: Vec<String>| {
            shell.fails(&words.iter().map(String::as_str).collect::<Vec<_>>()).await
        };
        let whole = with(&["--scope", "acme/support/dev"], &root);
        let said = shell.says(&whole.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        assert!(said.contains("1.0.0"), "{said}");
        let (code, error) = fails(with(&[], &root)).await?;
        assert!(code == 64 && error.contains("--scope"), "{code} {error}");
        let (code, error) = fails(with(&["--scope", "acme/support/prod"], &root)).await?;
        assert!(code == 1 && error.contains("not believed"), "{code} {error}");
        let (code, error) = fails(with(&["--scope", "acme/support/dev"], &other)).await?;
        assert!(code == 1 && error.contains("not believed"), "{code} {error}");
        assert_eq!(fails(with(&["--scope", "acme/support"], &root)).await?.0, 2);
        // What is not given is that of the connect file.
        let words = [command, &[file, "--root", &root, "--connection", connect]].concat();
        assert!(shell.says(&words).await?.contains("1.0.0"));
    }
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
