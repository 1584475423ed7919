//! What a page says while FORGE keeps it waiting, and when FORGE is away.

use anyhow::Result;
use serde_json::json;

use super::pages::is_accessible;
use super::session::Session;

const CONTROL_K: &str = "\u{e009}k\u{e000}";
const PLAYGROUND: &str = "/acme/support/chat/-/playground?prompt=welcome.message&columns=draft";

/// With a prompt, and its owner signed in.
async fn furnished() -> Result<Session> {
    let mut session = Session::start().await?;
    let owner = session.forge.owner().await?;
    owner.create_project("acme").await?;
    owner.write("welcome.message", "Hello {{ name }}\n").await?;
    session.sign_in().await?;
    Ok(session)
}

/// Notes when the shape of what comes is first seen in a region, in milliseconds from now.
fn watch(region: &str) -> String {
    format!(
        "const region = document.getElementById('{region}'), began = performance.now();
         window.seen = null;
         new MutationObserver(() => {{
           if (window.seen === null && region.querySelector(':scope > .loading')) window.seen = performance.now() - began;
         }}).observe(region, {{ childList: true }});"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_waits_shows_the_shape_of_what_comes_after_300_ms() -> Result<()> {
    let session = furnished().await?;
    let browser = &session.browser;

    // The preview beside the editor.
    session.open("/acme/support/chat/welcome.message").await?;
    browser.wait_text("#preview", "Hello name").await;
    browser.run(&watch("preview")).await?;
    session.hold(true).await?;
    browser.click(".values > summary").await;
    browser.fill("[name='v-name']", "Ada").await?;
    browser.find("#preview[aria-busy='true'] > .loading .skeleton").await;
    browser
        .holds(
            "what was there is not shown",
            "return !document.querySelector('#preview > .rendered').checkVisibility()",
        )
        .await;
    browser.holds("nothing was shown before", "return window.seen >= 300").await;
    is_accessible(&session, "editor-waits").await?;
    session.hold(false).await?;
    browser.wait_text("#preview", "Hello Ada").await;
    assert!(!browser.has("#preview[aria-busy]").await && !browser.has(".loading").await, "it is over");

    // A button that works keeps its width and says what it does.
    let width = "return Math.round(document.querySelector('#save').getBoundingClientRect().width)";
    let before = browser.run(width).await?;
    session.hold(true).await?;
    browser.click("#save").await;
    browser.wait_text("#save[aria-busy='true']", "Saving").await;
    assert_eq!(browser.run(width).await?, before);
    session.hold(false).await?;
    browser.holds("it is saved", "return !document.querySelector('#save[aria-busy]')").await;
    assert_eq!(browser.text("#save").await?.trim(), "Save");
    assert_eq!(browser.run(width).await?, before);

    // The palette.
    session.hold(true).await?;
    browser.keys("body", CONTROL_K).await?;
    browser.find("#palette-results[aria-busy='true'] > .loading .skeleton").await;
    session.hold(false).await?;
    browser.wait_text("#palette-list", "Playground of welcome.message").await;
    assert!(!browser.has("#palette-results > .loading").await);

    // The columns of the playground.
    session.open(PLAYGROUND).await?;
    browser.wait_text("#text-0", "Hello name").await;
    session.hold(true).await?;
    browser.fill("[name='v-name']", "Eve").await?;
    browser.find("#text-0[aria-busy='true'] > .loading .skeleton").await;
    session.hold(false).await?;
    browser.wait_text("#text-0", "Hello Eve").await;
    assert!(!browser.has("#text-0[aria-busy]").await);

    // The search, as one types; its address goes along.
    session.open("/acme/-/search").await?;
    browser.wait_text("#results", "welcome.message").await;
    session.hold(true).await?;
    browser.fill("input[name=q]", "nothing of the kind").await?;
    browser.find("#results[aria-busy='true'] > .loading .skeleton").await;
    session.hold(false).await?;
    browser.wait_text("#results", "Nothing found").await;
    browser.wait_url("q=nothing+of+the+kind").await;
    let complaints = browser.complaints().await?;
    assert!(complaints.is_empty(), "the browser complained: {complaints:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_forge_is_away_each_region_says_so_and_tries_again() -> Result<()> {
    let mut session = furnished().await?;
    let browser = &session.browser;
    session.open("/acme/support/chat/welcome.message").await?;
    browser.wait_text("#preview", "Hello name").await;
    browser.click(".values > summary").await;
    // One letter is one try: none is left for when FORGE is back.
    browser.fill("[name='v-name']", "Ad").await?;
    browser.wait_text("#preview", "Hello Ad").await;
    session.forge.process.kill9().await;
    browser.keys("[name='v-name']", "a").await?;
    browser.wait_text("#preview > .failed[role='alert']", "FORGE cannot be reached").await;
    browser.click("#preview > .failed button").await;
    browser.wait_text("#preview > .failed", "Try again").await;
    is_accessible(&session, "editor-away").await?;
    browser.keys("body", CONTROL_K).await?;
    browser.wait_text("#palette-results > .failed", "FORGE cannot be reached").await;
    session.forge.start_again().await?;
    browser.click("#palette-results > .failed button").await;
    browser.wait_text("#palette-list", "Lock chat").await;
    assert!(!browser.has("#palette-results > .failed").await);
    browser.keys("dialog.palette input", "\u{e00c}").await?;
    browser.click("#preview > .failed button").await;
    browser.wait_text("#preview", "Hello Ada").await;
    assert!(!browser.has(".failed").await);

    // Nothing was lost by that, and nothing is to be saved: only values were tried.
    let asks = "const e = new Event('beforeunload', { cancelable: true }); dispatchEvent(e); return e.defaultPrevented";
    assert_eq!(browser.run(asks).await?, json!(false));

    session.open(PLAYGROUND).await?;
    browser.wait_text("#text-0", "Hello name").await;
    browser.fill("[name='v-name']", "Ev").await?;
    browser.wait_text("#text-0", "Hello Ev").await;
    session.forge.process.kill9().await;
    browser.keys("[name='v-name']", "e").await?;
    browser.wait_text("#text-0 > .failed", "FORGE cannot be reached").await;
    session.forge.start_again().await?;
    browser.click("#text-0 > .failed button").await;
    browser.wait_text("#text-0", "Hello Eve").await;

    // An answer that is not what was asked for is told too.
    browser.run("document.querySelector('#play').action = '/-/account/nowhere'").await?;
    browser.fill("[name='v-name']", "Zoe").await?;
    browser.wait_text("#text-0 > .failed", "Try again").await;
    Ok(())
}
