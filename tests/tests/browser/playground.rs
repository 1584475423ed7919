//! The playground: two versions on the same values, run with a model that streams.

use anyhow::Result;
use tests::model::Stub;
use tests::until::{secs, until};

use super::session::Session;

#[tokio::test(flavor = "multi_thread")]
async fn two_versions_run_beside_each_other_and_their_answers_come_as_they_are_written() -> Result<()> {
    let stub = Stub::start().await?;
    let folder = tempfile::tempdir()?;
    let file = stub.write(folder.path(), &["echo", "pause"])?;
    let mut session = Session::start_with(&[("FORGE_MODELS_FILE", &file.display().to_string())]).await?;
    let owner = session.forge.owner().await?;
    owner.create_project("acme").await?;
    owner.release("1.0.0", "Old {{ name }}").await?;
    owner.reopen().await?;
    owner.write("welcome.message", "New {{ name }}").await?;
    session.sign_in().await?;
    let page = "/acme/support/chat/-/playground?prompt=welcome.message&columns=draft,1.0.0";
    session.open(page).await?;
    let browser = &session.browser;

    // The texts renew themselves while one types, each with its length.
    browser.wait_text("#text-0", "New name").await;
    browser.fill("[name='v-name']", "Ada").await?;
    browser.wait_text("#text-0", "New Ada").await;
    browser.wait_text("#text-1", "Old Ada").await;
    browser.wait_text("#text-1", "tokens (o200k)").await;

    // Both run; the second column's answer waits in the middle, and what came is there already.
    browser.choose("#model-0", "open/echo").await;
    browser.choose("#model-1", "anthropic/pause").await;
    browser.click("#run-all").await;
    browser.wait_text("#answer-0", "You said: New Ada").await;
    browser.wait_text("#told-0", "11 + 7 tokens").await;
    browser.wait_text("#told-0", "$").await;
    browser.wait_text("#answer-1", "You").await;
    assert_eq!(browser.text("#answer-1").await?.trim(), "You");
    stub.release();
    browser.wait_text("#answer-1", "You said: Old Ada").await;
    browser.wait_text("#told-1", "11 + 7 tokens").await;

    // A run that is stopped ends at the endpoint too.
    browser.click("[data-run-column='1']").await;
    until("the endpoint answers", secs(60), async || (stub.open() == 1).then_some(())).await;
    browser.click("[data-stop-column='1']").await;
    browser.wait_text("#told-1", "Stopped").await;
    until("nobody listens any more", secs(60), async || (stub.open() == 0).then_some(())).await;

    // The values are kept under a name, and come back by it.
    browser.click(".play-values details summary").await;
    browser.fill("#name-as", "the countess").await?;
    browser.click("button[value='save-new']").await;
    browser.wait_text(".callout", "the countess").await;
    browser.wait_url("variables=the%20countess").await;
    session.open(&format!("{page}&variables=the%20countess")).await?;
    browser.wait_text("#text-0", "New Ada").await;
    let complaints = browser.complaints().await?;
    assert!(complaints.is_empty(), "the browser complained: {complaints:#?}");
    Ok(())
}
