//! Agents frozen and thawed by hand, and their answers as they come.

use anyhow::Result;
use serde_json::json;
use tests::forge::live::Live;
use tests::until::secs;

use super::session::Session;

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_frozen_and_thawed_on_the_agents_page_and_answers_without_reloading() -> Result<()> {
    let mut session = Session::start().await?;
    let owner = session.forge.owner().await?;
    owner.create_project("acme").await?;
    owner.release("1.0.0", "Hello {{ name }}").await?;
    let credential = owner.credential("prod", "till").await?;
    let live = Live::start(session.forge.directory(), &credential, "till-1", "welcome.message")?;
    live.prints("Hello Ada", secs(60)).await;
    session.sign_in().await?;
    let browser = &session.browser;
    session.open("/acme/support/-/agents?environment=prod").await?;
    browser.wait_text("#agent-prod-till-1", "ACCEPTING").await;

    // The button asks first, and says what it does and to how many.
    browser.click("#group-prod- a[href$='mode=FROZEN']").await;
    browser.wait_url("/-/agents/order?environment=prod&mode=FROZEN").await;
    browser.wait_text("h1", "Freeze prod").await;
    browser.wait_text("main", "goes on serving what it has").await;
    browser.wait_text("form[action$='/order'] button", "Freeze 1 agent").await;
    browser.fill("#reason", "release freeze").await?;
    browser.click("form[action$='/order'] button").await;
    browser.wait_url("/-/agents?environment=prod").await;
    browser.run("window.same = true").await?;
    browser.wait_text("#group-prod-", "release freeze").await;
    browser.wait_text("#group-prod-", "1 of 1 done").await;
    browser.wait_text("#agent-prod-till-1", "FROZEN").await;
    browser.wait_text("#agent-prod-till-1", "ordered by Owner: release freeze").await;

    // What comes now is held back, and the page says so.
    owner.release("1.1.0", "Good day {{ name }}").await?;
    browser.wait_text("#agent-prod-till-1", "would have applied chat 1.1.0 (serial 2)").await;
    assert_eq!(browser.run("return window.same").await?, json!(true), "nothing was reloaded");

    browser.click("#agent-prod-till-1 a[href$='mode=ACCEPTING']").await;
    browser.wait_text("h1", "Let agent till-1 of prod accept").await;
    browser.click("form[action$='/order'] button").await;
    browser.wait_url("/-/agents?environment=prod").await;
    live.prints("Good day Ada", secs(60)).await;
    browser.wait_text("#agent-prod-till-1", "chat 1.1.0").await;
    browser.wait_text("#agent-prod-till-1", "ACCEPTING").await;
    assert_eq!(browser.complaints().await?, Vec::<String>::new());
    Ok(())
}
