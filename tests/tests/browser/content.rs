//! A chat prompt with all that belongs to it, by hand: written, renamed, archived, restored, and not lost.

use anyhow::Result;
use serde_json::json;

use super::session::Session;

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_prompt_is_written_renamed_archived_and_restored_and_no_word_is_lost() -> Result<()> {
    let session = Session::start().await?;
    let browser = &session.browser;
    session.sign_in().await?;
    session.make_prompt().await?;

    // A chat in a folder, with a parameter out of its text.
    session.open("/acme/shop/chat/-/new").await?;
    browser.fill("#id", "mail/answer").await?;
    browser.click("input[value='chat']").await;
    browser.click("form[action$='/-/new'] button").await;
    browser.wait_url("/chat/mail/answer").await;
    browser.wait_text("#tree summary", "mail").await;
    browser.keys(".cm-content", "You speak for {{ shop }}.").await?;
    browser.click("#found button[value='add:shop']").await;
    browser.wait_text("#parameters .param", "shop").await;

    // A setting that does not fit is told at its field, with every word kept.
    browser.click("#about > summary").await;
    browser.fill("#description", "Answers a customer.").await?;
    browser.fill("#tags", "polite, mail").await?;
    browser.click("#model-settings > summary").await;
    browser.fill("#m-model", "gpt-4.1").await?;
    browser.fill("#m-temperature", "9").await?;
    browser.click("#save").await;
    browser.wait_text("#m-temperature-error", "number from 0 to 2").await;
    browser.fill("#m-temperature", "0.3").await?;
    browser.click("#save").await;
    browser.holds("it is saved", "return +document.querySelector('#revision').value > 1 && !document.querySelector('#save[aria-busy]') && !document.querySelector('.callout[data-state=bad]')").await;

    // Another name, and the old address leads to it.
    session.open("/acme/shop/chat/mail/answer").await?;
    browser.click(".more > summary").await;
    browser.click(".more a[href*='/-/rename']").await;
    browser.fill("#to", "welcome.message").await?;
    browser.click("form[action$='/-/rename'] button").await;
    browser.wait_text("#to-error", "already").await;
    browser.fill("#to", "mail/reply").await?;
    browser.click("form[action$='/-/rename'] button").await;
    browser.wait_url("/chat/mail/reply").await;
    session.open("/acme/shop/chat/mail/answer").await?;
    browser.wait_url("/chat/mail/reply").await;

    // Out of the draft, and back with all that it had.
    browser.click(".more > summary").await;
    browser.click(".more a[href*='/-/archive']").await;
    browser.click("form[action$='/-/archive'] button").await;
    browser.wait_url("/-/archived").await;
    browser.wait_text(".list", "mail/reply").await;
    browser.click("form[action$='/-/archived'] button").await;
    browser.wait_url("/chat/mail/reply").await;
    let kept = "const of = (id) => document.getElementById(id).value;
                return [of('tags'), of('description'), of('m-model'), of('m-temperature')].join('|')";
    assert_eq!(browser.run(kept).await?, json!("polite, mail|Answers a customer.|gpt-4.1|0.3"));

    // What was not saved is offered again after a reload, and looked at before it is saved.
    browser.click(".more > summary").await;
    browser.click("[data-autosave]").await;
    browser.wait_text("[data-autosave]", "off").await;
    browser.keys(".cm-content", " Be brief.").await?;
    browser
        .holds(
            "all of it is kept here",
            "return localStorage.getItem('unsaved:/acme/shop/chat/mail/reply').includes('Be brief.')",
        )
        .await;
    session.open("/acme/shop/chat/mail/reply").await?;
    browser.click("#unsaved [data-unsaved='restore']").await;
    browser.wait_text(".cm-content", "Be brief.").await;
    browser.click("#review").await;
    browser.wait_text("#review-changes", "Not saved yet").await;
    browser.wait_text("#review-changes ins", "Be brief.").await;
    browser.click("#review-changes button[value='save']").await;
    browser.holds("it is saved", "return !document.querySelector('#review-changes') && document.querySelector('#part-0').value.includes('Be brief.')").await;
    // Enter in the line for the history saves, and shows nothing to be looked at first.
    browser.keys(".cm-content", " And kind.").await?;
    browser.keys("#save-message", "Kinder\u{e007}").await?;
    browser.holds("it is saved", "return !document.querySelector('#review-changes') && !document.querySelector('#save-message').value && document.querySelector('#part-0').defaultValue.includes('And kind.')").await;
    // What was refused on the way stands in the console as an answer of 409 or 422, and nothing else does.
    let complaints = browser.complaints().await?;
    let other: Vec<_> = complaints.iter().filter(|c| !c.contains("409") && !c.contains("422")).collect();
    assert!(other.is_empty(), "{other:?}");
    Ok(())
}
