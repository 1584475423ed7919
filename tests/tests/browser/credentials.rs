//! A credential from its making to its end, by hand.

use anyhow::Result;
use serde_json::json;

use crate::session::Session;

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_is_made_until_a_date_veiled_shown_and_revoked() -> Result<()> {
    let session = Session::start().await?;
    let browser = &session.browser;
    session.sign_in().await?;
    session.make_prompt().await?;

    session.open("/acme/shop/-/credentials").await?;
    browser.fill("#name", "till-1").await?;
    browser.fill("#purpose", "The till of the shop; ask Ada.").await?;
    // A last day that has passed is refused, and what was typed stays.
    browser.choose("#days", "date").await;
    browser.run("document.querySelector('#until').value = '2020-01-31'").await?;
    browser.click("#create button[type=submit]").await;
    browser.wait_text("main", "still to come").await;
    assert_eq!(browser.run("return document.querySelector('#name').value").await?, json!("till-1"));
    assert_eq!(browser.run("return document.querySelector('#days').value").await?, json!("date"));
    // The console names the refusal, and nothing else on the way.
    let said = browser.complaints().await?;
    assert!(said.iter().all(|line| line.contains("422")), "{said:?}");
    browser.run("document.querySelector('#until').value = '2099-01-31'").await?;
    browser.click("#create button[type=submit]").await;
    browser.wait_text("#secret", "till-1").await;

    // Nobody who looks over a shoulder reads it, until it is asked for.
    let blurred = "return getComputedStyle(document.querySelector('#connect-line')).filter !== 'none'";
    let sharp = "return getComputedStyle(document.querySelector('#connect-line')).filter === 'none'";
    assert_eq!(browser.run(blurred).await?, json!(true));
    browser.click("[data-unveil]").await;
    browser.holds("it is shown", sharp).await;
    assert_eq!(browser.text("[data-unveil]").await?, "Hide");
    browser.click("[data-unveil]").await;
    browser.holds("it is hidden again", blurred).await;
    assert!(browser.has("[data-download='creds']").await && browser.has("[data-copy='connect-line']").await);
    browser.wait_text("#secret", "How to rotate it").await;

    // What is listed of it, and that it is never shown again.
    session.open("/acme/shop/-/credentials").await?;
    assert!(!browser.has("#secret").await);
    let row = browser.wait_text("tbody", "The till of the shop").await;
    assert!(row.contains("active") && row.contains("never"), "{row}");

    browser.click("a[href$='/revoke']").await;
    browser.wait_url("/revoke").await;
    browser.wait_text("main", "Last used").await;
    browser.click("form[action$='/revoke'] button").await;
    browser.wait_text("tbody", "revoked").await;
    assert!(!browser.has("a[href$='/revoke']").await, "it cannot be revoked twice");
    assert_eq!(browser.complaints().await?, Vec::<String>::new());
    Ok(())
}
