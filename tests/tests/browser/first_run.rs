//! From an empty organisation to a running agent by what the pages show, and back again.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tests::tools;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

use super::session::Session;

/// A shell in which somebody follows what the page says.
struct Shell<'a>(&'a Session);

impl Shell<'_> {
    fn live(&self, arguments: &[&str]) -> Command {
        let home = self.0.forge.directory();
        let mut command = Command::new(tools::binary("live"));
        command
            .args(arguments)
            .env("LIVE_CONFIG_DIR", home.join("shell"))
            .env("LIVE_CACHE_DIR", home.join("shell-cache"))
            .env("LIVE_NAME", "laptop")
            .kill_on_drop(true);
        command
    }

    /// `live connect`, with the line pasted.
    async fn connect(&self, line: &str) -> Result<()> {
        let mut child = self
            .live(&["connect"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut stdin = child.stdin.take().context("no stdin")?;
        stdin.write_all(format!("{line}\n").as_bytes()).await?;
        drop(stdin);
        let done = child.wait_with_output().await?;
        ensure!(done.status.success(), "live connect: {}", String::from_utf8_lossy(&done.stderr));
        Ok(())
    }

    /// The command that the page shows, as it stands there.
    fn run(&self, shown: &str) -> Result<Child> {
        let words: Vec<&str> = shown.split_whitespace().collect();
        let (program, arguments) = words.split_first().context("a command")?;
        ensure!(*program == "live", "{shown}");
        Ok(self.live(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_organisation_is_led_from_an_example_to_an_agent_that_serves_it_and_back() -> Result<()> {
    let session = Session::start().await?;
    let browser = &session.browser;
    session.sign_in().await?;
    browser.wait_text("#first-steps", "0 of 4").await;

    // A project from the example; its sets are locked.
    browser.click("#first-steps form[action='/acme/-/start'] button").await;
    browser.wait_url("/acme/-/start").await;
    browser.wait_text("#first-steps", "1 of 4").await;

    // Published, after a look at what it does.
    browser.click("#first-steps a[href*='/-/publish?version=1.0.0']").await;
    browser.wait_text(".swap", "This is the first publication here").await;
    browser.click("form[method=post][action$='/-/publish'] button").await;
    browser.wait_url("/acme/support/-/publications/1").await;

    // The dashboard goes on where it was left.
    session.open("/acme").await?;
    browser.wait_text("#first-steps", "2 of 4").await;
    browser.click("#first-steps form[action='/acme/-/start/agent'] button").await;
    let line = browser.text("#connect-line").await?;
    let run = browser.text("#run-line").await?;
    browser.run("window.untouched = true").await?;

    // One line, pasted; the page sees the agent come.
    let shell = Shell(&session);
    shell.connect(line.trim()).await?;
    let _agent = shell.run(run.trim())?;
    browser.wait_text("#first-steps", "4 of 4").await;
    browser.wait_text("#first-steps", "1 of 1 agent active").await;
    assert_eq!(browser.run("return window.untouched").await?, json!(true), "the page was not loaded again");
    assert!(browser.has("#secret").await, "what is shown once is not taken away meanwhile");
    session.open("/acme").await?;
    browser.wait_text("#dashboard", "1 of 1 active").await;
    assert!(!browser.has("#first-steps").await, "nothing is left to do");

    // A change, and back.
    session.open("/acme/support/chat/welcome.message").await?;
    browser.click("form[action$='/-/reopen'] button").await;
    browser.find("#save").await;
    let revision = browser.run("return +document.querySelector('#revision').value").await?;
    browser.keys(".cm-content", "Dear friend, ").await?;
    browser.click("#save").await;
    session.saved_after(revision.as_i64().context("a revision")?).await;
    browser.click("a[href$='/-/lock']").await;
    browser.click("form[action$='/-/lock'] button").await;
    browser.wait_url("/-/publish?version=1.0.1").await;
    session.open("/acme").await?;
    browser.wait_text("[aria-labelledby=waits]", "dev still has 1.0.0").await;
    browser.click("[aria-labelledby=waits] a.btn[href*='/chat/']").await;
    browser.wait_text(".swap", "Live in dev now").await;
    browser.wait_text("#will", "1 agent of dev").await;
    browser.click("form[method=post][action$='/-/publish'] button").await;
    browser.wait_url("/-/publications/2").await;
    browser.wait_text("#answer", "1 of 1 active").await;
    browser.click("a.btn-danger[href*='/-/publish?version=1.0.0']").await;
    browser.wait_text("form[method=post] .btn-primary", "Roll back to 1.0.0 in dev").await;
    browser.click("form[method=post][action$='/-/publish'] button").await;
    browser.wait_url("/-/publications/3").await;
    browser.wait_text("#answer", "1 of 1 active").await;
    let complaints = browser.complaints().await?;
    assert!(complaints.is_empty(), "the browser complained: {complaints:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guides_are_read_one_after_the_other() -> Result<()> {
    let session = Session::start().await?;
    session.sign_in().await?;
    session.open("/-/help").await?;
    let browser = &session.browser;
    browser.size(360, 740).await?;
    let mut read = 1;
    loop {
        let guide = format!("guide-{read}");
        super::pages::is_accessible(&session, &guide).await?;
        ensure!(!browser.scrolls_sideways().await?, "{guide} scrolls sideways");
        if !browser.has("article a.btn[href^='/-/help/']").await {
            break;
        }
        browser.click("article a.btn[href^='/-/help/']").await;
        read += 1;
        ensure!(read < 30, "the guides lead in a circle");
        browser.find("article h1").await;
    }
    assert!(read >= 15, "{read} guides");
    Ok(())
}
