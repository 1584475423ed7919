//! Finding things, by hand: the palette, the search, stars, and the keys.

use anyhow::Result;

use super::session::Session;

/// The keys of WebDriver.
const CONTROL_K: &str = "\u{e009}k\u{e000}";
const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";
/// The clock of the page stands still: two letters belong together when one comes soon after the other.
const STAND_STILL: &str = "const now = Date.now(); Date.now = () => now";
/// The list of the palette is that of the words that stand there, and no other one is on its way.
const LISTED: &str = "return !palette.stale";

#[tokio::test(flavor = "multi_thread")]
async fn one_finds_a_prompt_stars_it_and_comes_back_to_it_without_the_mouse() -> Result<()> {
    let mut session = Session::start().await?;
    let owner = session.forge.owner().await?;
    owner.create_project("acme").await?;
    owner.write("welcome.message", "Hello {{ name }}, your parcel is late\n").await?;
    owner.write("farewell", "Goodbye <b>{{ name }}</b>\n").await?;
    session.sign_in().await?;
    let browser = &session.browser;

    // By a word of its text, in the palette and on the page of the search.
    browser.keys("body", CONTROL_K).await?;
    browser.keys("dialog.palette input", "parcel").await?;
    browser.wait_text("dialog.palette [aria-selected=true]", "welcome.message").await;
    browser.keys("dialog.palette input", ESCAPE).await?;
    session.open("/acme/-/search").await?;
    browser.fill("input[name=q]", "goodbye").await?;
    browser.keys("input[name=q]", ENTER).await?;
    browser.wait_url("q=goodbye").await;
    browser.wait_text("#results .list", "farewell").await;
    browser.holds("the word is marked, and the rest of the text is only text", "return document.querySelector('#results mark').textContent === 'Goodbye' && !document.querySelector('#results b') && document.querySelector('#results').textContent.includes('<b>')").await;

    // The first row by J, opened by Enter; starred, it stands in the navigation.
    browser.run("document.activeElement.blur()").await?;
    browser.keys("body", "j").await?;
    browser
        .holds("the row has the focus", "return document.activeElement.textContent.includes('farewell')")
        .await;
    browser.keys("#results .list a", ENTER).await?;
    browser.wait_url("/acme/support/chat/farewell").await;
    browser.click("#star").await;
    browser.find("#star[aria-pressed=true]").await;

    // The dashboard by G D: recent and favourite lead back.
    browser.run("document.activeElement.blur()").await?;
    browser.run(STAND_STILL).await?;
    browser.keys("body", "gd").await?;
    browser.find("h2#recent").await;
    browser.wait_text("nav[aria-label=Favourites]", "farewell").await;
    browser.holds("it stands under what one opened last", "return !!document.querySelector('[aria-labelledby=recent] a[href$=\"/chat/farewell\"]') || (location.reload(), false)").await;

    // What one may do here is offered before a word is typed, and by words.
    browser.click("nav[aria-label=Favourites] a").await;
    browser.wait_url("/acme/support/chat/farewell").await;
    // What a page does by a button, the palette does too.
    browser.keys("body", CONTROL_K).await?;
    browser.keys("dialog.palette input", "favourite farewell").await?;
    browser.holds("all of it was looked for", LISTED).await;
    browser.click("dialog.palette a[href$='/chat/farewell#star']").await;
    browser.find("#star[aria-pressed=false]").await;
    browser.keys("body", CONTROL_K).await?;
    browser.wait_text("#palette-list", "Lock chat").await;
    browser.wait_text("#palette-list", "Recent").await;
    browser.keys("dialog.palette input", "lock chat").await?;
    browser.wait_text("dialog.palette [aria-selected=true]", "Lock chat").await;
    browser.keys("dialog.palette input", ENTER).await?;
    browser.wait_url("/acme/support/chat/-/lock").await;

    // The list of keys; and letters of one key switched off.
    browser.keys("body", "?").await?;
    browser.wait_text("dialog.key-list", "Go to the dashboard").await;
    browser.keys("dialog.key-list", ESCAPE).await?;
    browser.holds("it is closed", "return !document.querySelector('dialog.key-list')").await;
    browser.run("document.cookie = 'keys=off; path=/'").await?;
    browser.keys("body", "?").await?;
    browser.keys("body", CONTROL_K).await?;
    browser.find("dialog.palette[open]").await;
    assert!(!browser.has("dialog.key-list").await, "a single letter does nothing");
    let complaints = browser.complaints().await?;
    assert!(complaints.is_empty(), "the browser complained: {complaints:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_finds_and_stars_without_script() -> Result<()> {
    let mut session = Session::start().await?;
    let owner = session.forge.owner().await?;
    owner.create_project("acme").await?;
    owner.write("welcome.message", "Hello {{ name }}, your parcel is late\n").await?;
    session.sign_in().await?;
    session.browser.scripts(false).await?;
    let browser = &session.browser;
    session.open("/acme/support").await?;
    browser.click("a.side-find").await;
    browser.wait_text("#palette-found", "New prompt set in").await;
    browser.fill("input[name=q]", "welc").await?;
    browser.click("form[role=search] button").await;
    browser.wait_text("#palette-found", "welcome.message").await;
    browser.click("#palette-found a[href*='/-/search']").await;
    browser.wait_url("/acme/-/search?q=welc").await;
    browser.click("#results .list a.strong").await;
    browser.wait_url("/acme/support/chat/welcome.message").await;
    browser.click("#star").await;
    browser.find("#star[aria-pressed=true]").await;
    Ok(())
}
