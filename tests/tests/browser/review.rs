//! From a draft to production through somebody else's eyes, and back.

use anyhow::Result;
use serde_json::json;
use tests::browser::Browser;
use tests::forge::{ORGANISATION, PASSWORD};

use super::session::Session;

const REVIEWER: &str = "rosa@acme.test";

/// A second browser, whose person reviews.
async fn reviewer(session: &Session) -> Result<Browser> {
    let place = &session.forge.place;
    let file = session.forge.directory().join("password").display().to_string();
    let arguments = ["user", "add", REVIEWER, "--name", "Rosa", "--organisation", ORGANISATION];
    place.run(&[&arguments[..], &["--role", "reviewer", "--password-file", &file]].concat()).await?;
    let browser = Browser::start().await?;
    browser.open(&session.at("/")).await?;
    browser.wait_url("/-/sign-in").await;
    browser.fill("#email", REVIEWER).await?;
    browser.fill("#password", PASSWORD).await?;
    browser.click("button[type=submit]").await;
    browser.wait_url(&format!("/{ORGANISATION}")).await;
    Ok(browser)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_is_reviewed_changed_approved_locked_published_compared_and_taken_back() -> Result<()> {
    let mut session = Session::start().await?;
    let owner = session.forge.owner().await?;
    owner.create_project("acme").await?;
    owner.release("1.0.0", "Hello {{ name }}.\nBe brief.\n").await?;
    owner.reopen().await?;
    owner.write("welcome.message", "Hello {{ name }}!\nBe brief, and kind.\n").await?;
    let rosa = reviewer(&session).await?;
    session.sign_in().await?;
    let browser = &session.browser;

    // prod takes what one person approved who did not write it.
    session.open("/acme/support/-/environments").await?;
    browser.choose("#approvals-prod", "1").await;
    browser.click("#rule-prod button[value=rule]").await;
    browser.wait_text("#rule-prod", "after 1 approval, not by an author").await;

    // Asked for; it waits in the other one's queue.
    session.open("/acme/support/chat/-/lock").await?;
    browser.wait_text(".diff", "and kind").await;
    browser.fill("#title", "Kinder").await?;
    browser.fill("#message", "Somebody found us rude.").await?;
    browser.click("#ask button").await;
    let review = browser.wait_url("/-/reviews/1").await;
    rosa.open(&session.at("/acme")).await?;
    rosa.wait_text("a[href='/acme/-/reviews'] .count", "1").await;
    rosa.click("a[href='/acme/-/reviews']").await;
    rosa.click("a[href$='/-/reviews/1']").await;
    rosa.wait_text("main", "Somebody found us rude.").await;

    // A comment on a line, and changes asked for with a reason.
    rosa.click("a[aria-label='Comment on line 2 of welcome.message']").await;
    rosa.fill("#comment", "Kind how?").await?;
    rosa.click("#say-line button[type=submit]").await;
    rosa.wait_text(".talk .comment", "Kind how?").await;
    rosa.wait_text("#unsettled", "1 comment is not settled.").await;

    // The comment is settled, and opened again; what was seen is ticked.
    rosa.click(".talk button[value=settle]").await;
    rosa.wait_text(".talk .settled summary", "by Rosa").await;
    assert!(!rosa.has("#unsettled").await, "nothing is open");
    rosa.click(".talk .settled summary").await;
    rosa.click(".talk button[value=open]").await;
    rosa.wait_text("#unsettled", "1 comment is not settled.").await;
    rosa.click("input[name=seen]").await;
    rosa.wait_text("#seen", "1 of 1 seen.").await;
    rosa.wait_text("main", "The prompt compiles").await;
    rosa.click("#answer button[value=changes]").await;
    rosa.wait_text("#say-error", "Say what has to change").await;
    rosa.fill("#say", "Say how, in one word.").await?;
    rosa.click("#answer button[value=changes]").await;
    rosa.wait_text("#state", "changes asked for").await;

    // Edited, and asked for again.
    owner.write("welcome.message", "Hello {{ name }}!\nBe brief, and warm.\n").await?;
    browser.open(&review).await?;
    browser.wait_text("main", "Say how, in one word.").await;
    session.open("/acme/support/chat/-/lock").await?;
    browser.click("#ask button").await;
    browser.wait_url("/-/reviews/2").await;
    rosa.open(&session.at("/acme/support/chat/-/reviews/2")).await?;
    rosa.wait_text(".diff", "and warm").await;
    rosa.wait_text("#seen", "0 of 1 seen.").await;
    rosa.click("#answer button[value=approve]").await;
    rosa.wait_text("#state", "approved").await;

    // Locked as proposed, and published under the rule.
    session.open("/acme/support/chat/-/lock").await?;
    assert_eq!(browser.run("return document.querySelector('#version').value").await?, json!("1.0.1"));
    browser.click("form[action$='/-/lock'] button").await;
    browser.wait_url("/-/publish?version=1.0.1").await;
    session.open("/acme/support/chat/-/publish?version=1.0.1&environment=prod").await?;
    browser.wait_text(".swap", "Approved by Rosa").await;
    assert!(!browser.has("#unapproved").await, "it has the approval that prod asks for");
    browser.click("form[method=post][action$='/-/publish'] button").await;
    browser.wait_url("/-/publications/2").await;

    // What nobody approved is not published, and the page says who could.
    owner.reopen().await?;
    owner.write("welcome.message", "Hello {{ name }}!\nBe whatever.\n").await?;
    owner.lock("1.0.2").await?;
    session.open("/acme/support/chat/-/publish?version=1.0.2&environment=prod").await?;
    browser.wait_text("#unapproved", "Rosa may approve it").await;
    browser.click("form[method=post][action$='/-/publish'] button").await;
    browser.wait_text("main", "Not published: approvals are missing.").await;

    // Compared in one column, and back to what was live, which needs nobody.
    session.open("/acme/support/chat/-/compare?from=1.0.0&to=1.0.1").await?;
    browser.click("nav[aria-label=Layout] a[href$='view=inline']").await;
    browser.wait_text(".diff-inline", "Be brief, and warm.").await;
    browser.choose("#to", "@prod").await;
    browser.wait_text("#sides", "1.0.0 → live in prod").await;
    browser.click("#swap").await;
    browser.wait_text("#sides", "live in prod → 1.0.0").await;
    session.open("/acme/support/chat/-/publish?version=1.0.0&environment=prod").await?;
    browser.wait_text("form[method=post] .btn-primary", "Roll back to 1.0.0 in prod").await;
    browser.click("form[method=post][action$='/-/publish'] button").await;
    browser.wait_url("/-/publications/3").await;
    let complaints: Vec<String> =
        browser.complaints().await?.into_iter().filter(|c| !c.contains("409")).collect();
    assert!(complaints.is_empty(), "the browser complained: {complaints:#?}");
    Ok(())
}
