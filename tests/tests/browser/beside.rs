//! Trying beside the editor: values that are kept by name, and text that stays as it was typed.

use anyhow::Result;
use serde_json::json;

use super::pages::is_accessible;
use super::session::Session;

const ENTER: &str = "\u{e007}";
const EDITOR: &str = "/acme/support/chat/welcome.message";

async fn furnished() -> Result<Session> {
    let mut session = Session::start().await?;
    let owner = session.forge.owner().await?;
    owner.create_project("acme").await?;
    owner.release("1.0.0", "Old {{ name }}\n").await?;
    owner.reopen().await?;
    owner.write("welcome.message", "New {{ name }}\n").await?;
    session.sign_in().await?;
    Ok(session)
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_kept_by_name_and_the_draft_stays_as_it_was_typed() -> Result<()> {
    let session = furnished().await?;
    let browser = &session.browser;
    session.open(EDITOR).await?;
    // What is live stands beside it, and choosing that leaves nothing to save.
    browser.choose("#beside", "prod").await;
    browser.wait_text("#preview .beside-title", "Now in prod").await;
    let asks = "const e = new Event('beforeunload', { cancelable: true }); dispatchEvent(e); return e.defaultPrevented";
    assert_eq!(browser.run(asks).await?, json!(false), "only the preview was chosen");

    browser.click(".values > summary").await;
    browser.wait_text(".values .tag", "required").await;
    browser.fill("[name='v-name']", "Ada").await?;
    browser.wait_text("#preview", "Old Ada").await;
    browser.click("#save-values > summary").await;
    browser.fill("#variables-as", "countess").await?;
    is_accessible(&session, "editor-values").await?;
    browser.keys("#variables-as", ENTER).await?;
    browser.wait_text(".bench-text .callout", "the variable set countess").await;
    browser.wait_text("#preview", "New Ada").await;

    // Text that is not saved yet is still there after its values were changed.
    browser.click(".more > summary").await;
    browser.click("[data-autosave]").await;
    browser.keys(".cm-content", "Bye.").await?;
    browser.fill("[name='v-name']", "Augusta").await?;
    browser.wait_text("#preview", "New Augusta").await;
    browser.wait_text("#preview", "Bye.").await;
    browser.click("#save-values > summary").await;
    // What is waited for next stands on this page already.
    browser.follow("button[value='save-variables']").await;
    browser.wait_text(".bench-text .callout", "the variable set countess").await;
    browser.wait_text(".cm-content", "Bye.").await;
    assert_eq!(browser.run(asks).await?, json!(true), "the text is still to be saved");
    browser.click("#save").await;
    browser.holds("it is saved", "return document.querySelector('#revision').value === '3'").await;

    browser.fill("[name='v-name']", "Eve").await?;
    browser.wait_text("#preview", "New Eve").await;
    browser.choose("#variables", "countess").await;
    browser.click("#load-variables").await;
    browser.wait_text("#preview", "New Augusta").await;
    browser.click("#save-values > summary").await;
    browser.click("button[value='delete-variables']").await;
    browser.wait_text(".bench-text .callout", "The variable set countess is gone").await;
    let complaints = browser.complaints().await?;
    assert!(complaints.is_empty(), "the browser complained: {complaints:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_kept_renamed_and_deleted_without_script() -> Result<()> {
    let session = furnished().await?;
    let browser = &session.browser;
    browser.scripts(false).await?;
    session.open(EDITOR).await?;
    browser.click(".values > summary").await;
    browser.fill("[name='v-name']", "Ada").await?;
    browser.click("#save-values > summary").await;
    browser.fill("#variables-as", "countess").await?;
    browser.click("button[value='save-variables-as']").await;
    browser.wait_text(".bench-text .callout", "the variable set countess").await;
    browser.click("#save-values > summary").await;
    browser.fill("#variables-as", "lady").await?;
    browser.click("button[value='rename-variables']").await;
    browser.wait_text(".bench-text .callout", "the variable set lady").await;
    session.open(EDITOR).await?;
    browser.click(".values > summary").await;
    browser.choose("#variables", "lady").await;
    browser.click("#load-variables").await;
    browser.wait_text("#preview", "New Ada").await;
    browser.click("#save-values > summary").await;
    browser.click("button[value='delete-variables']").await;
    browser.wait_text(".bench-text .callout", "The variable set lady is gone").await;
    Ok(())
}
