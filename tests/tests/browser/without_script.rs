//! Everything again with the scripts of pages switched off: forms post, pages answer.

use anyhow::Result;

use super::session::Session;

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_is_written_locked_and_published_without_any_script() -> Result<()> {
    let session = Session::start().await?;
    let browser = &session.browser;
    browser.scripts(false).await?;
    session.sign_in().await?;
    session.make_prompt().await?;
    assert!(!browser.has(".cm-editor").await, "no script ran");
    assert!(!browser.has("html.js").await, "no script ran");

    // The error stands below the text, with its line.
    browser.fill("#part-0", "Hello {{ name }\n").await?;
    browser.click("#refresh").await;
    browser.wait_text("#problems", "Line 1").await;
    browser.wait_text("#problems .line-bad", "Hello {{ name }").await;

    browser.fill("#part-0", "Hello {{ name }}!").await?;
    browser.follow("#refresh").await;
    browser.click("#found button[value='add:name']").await;
    browser.wait_text("#preview", "Hello name!").await;
    browser.follow("#save").await;
    browser.wait_text("#saved", "Saved").await;
    browser.wait_text("#preview", "Hello name!").await;

    browser.click("a[href$='/-/lock']").await;
    browser.click("form[action$='/-/lock'] button").await;
    browser.wait_url("/-/publish?version=1.0.0").await;
    browser.choose("#environment", "staging").await;
    browser.click("form[method=get] button").await;
    browser.wait_url("environment=staging").await;
    browser.click("form[method=post][action$='/-/publish'] button").await;
    browser.wait_url("/-/publications/1").await;
    browser.wait_text("h1", "chat 1.0.0 to staging").await;
    Ok(())
}
