//! From nothing to a running agent, by hand.

use anyhow::{Context as _, Result};
use schemas::connect::ConnectString;
use serde_json::json;
use tests::forge::api::Credential;
use tests::forge::live::Live;
use tests::until::secs;

use super::session::Session;

/// The keys of WebDriver.
const CONTROL_S: &str = "\u{e009}s\u{e000}";
const CONTROL_HOME: &str = "\u{e009}\u{e011}\u{e000}";
const BACKSPACE: &str = "\u{e003}";
const END: &str = "\u{e010}";

/// The credential that the page shows once, as the one line holds it.
fn credential(line: &str) -> Result<Credential> {
    let line = line.trim();
    let found = ConnectString::from_line(line)?;
    Ok(Credential {
        id: String::new(),
        public_key: String::new(),
        creds: found.creds,
        connection: serde_json::to_value(found.connection)?,
        line: line.to_owned(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_is_taken_to_a_running_agent_by_hand_and_its_answer_arrives_without_reloading() -> Result<()>
{
    let session = Session::start().await?;
    let browser = &session.browser;
    session.sign_in().await?;
    session.make_prompt().await?;

    // A mistake is shown at its line, in words, while one writes.
    browser.find(".cm-content").await;
    browser.keys(".cm-content", "Hello {{ name | shout }}").await?;
    browser.wait_text(".cm-editor .problem", "shout").await;
    assert!(browser.has(".cm-line.line-bad").await, "the line is marked");
    browser.wait_text("#verdict", "problem").await;

    // Mended, the variable is offered as a parameter.
    browser.keys(".cm-content", &format!("{END}{}", BACKSPACE.repeat(" | shout }}".len()))).await?;
    browser.keys(".cm-content", " }}!").await?;
    let mended = "return !document.querySelector('#problems').textContent.includes('shout')";
    browser.holds("the mistake is gone", mended).await;
    browser.click("#found button[value='add:name']").await;
    browser.wait_text("#parameters .param", "name").await;
    browser.wait_text("#preview", "Hello name!").await;

    // Values for the preview are tried at once, by the agent's own code.
    browser.click(".values summary").await;
    browser.fill("[name='v-name']", "Ada").await?;
    browser.wait_text("#preview", "Hello Ada!").await;

    // Saved by the key, in place.
    browser.keys(".cm-content", &format!("{CONTROL_HOME}{CONTROL_S}")).await?;
    session.saved_after(1).await;

    // Locked as the version that is proposed.
    browser.click("a[href$='/-/lock']").await;
    browser.find("#version").await;
    assert_eq!(browser.run("return document.querySelector('#version').value").await?, json!("1.0.0"));
    browser.click("form[action$='/-/lock'] button").await;
    browser.wait_url("/-/publish?version=1.0.0").await;
    browser.choose("#environment", "prod").await;
    browser.wait_url("environment=prod").await;
    browser.click("form[method=post][action$='/-/publish'] button").await;
    browser.wait_url("/-/publications/1").await;
    browser.wait_text("#answer", "No agent yet").await;

    // A credential, shown once.
    session.open("/acme/shop/-/credentials").await?;
    browser.fill("#name", "till-1").await?;
    browser.choose("#environment", "prod").await;
    browser.click("#create button[type=submit]").await;
    let line = browser.text("#connect-line").await?;
    let credential = credential(&line).context("the line that is shown")?;
    session.open("/acme/shop/-/credentials").await?;
    assert!(!browser.has("#secret").await, "it is shown only once");
    browser.wait_text("main", "till-1").await;

    // The page is open before the agent comes; what happens then, happens without loading it again.
    session.open("/acme/shop/-/publications/1").await?;
    browser.run("window.untouched = true").await?;
    let live = Live::start(session.forge.directory(), &credential, "till-1", "welcome.message")?;
    browser.wait_text("#answer", "1 of 1 active").await;
    browser.wait_text("#agent-till-1", "active").await;
    browser.wait_text("#timeline", "Active everywhere").await;
    assert_eq!(browser.run("return window.untouched").await?, json!(true), "the page was not loaded again");
    live.prints("Hello Ada!", secs(60)).await;

    // A change goes the same way.
    session.open("/acme/shop/chat/welcome.message").await?;
    browser.click("form[action$='/-/reopen'] button").await;
    browser.find("#save").await;
    let revision = browser.run("return +document.querySelector('#revision').value").await?;
    browser.keys(".cm-content", &format!("{CONTROL_HOME}Dear friend! ")).await?;
    browser.wait_text("#preview", "Dear friend! Hello").await;
    browser.click("#save").await;
    session.saved_after(revision.as_i64().context("a revision")?).await;
    browser.click("a[href$='/-/lock']").await;
    browser.wait_text(".diff ins", "Dear friend!").await;
    browser.click("form[action$='/-/lock'] button").await;
    browser.wait_url("/-/publish?version=1.0.1").await;
    browser.wait_text(".swap", "Live in prod now").await;
    browser.wait_text("#will", "1 agent of prod").await;
    browser.click("form[method=post][action$='/-/publish'] button").await;
    browser.wait_url("/-/publications/2").await;
    browser.wait_text("#answer", "1 of 1 active").await;
    live.prints("Dear friend! Hello Ada!", secs(60)).await;

    // And back: the older version again, with a higher serial.
    browser.click("a.btn-danger[href*='/-/publish?version=1.0.0']").await;
    browser.wait_text("form[method=post] .btn-primary", "Roll back to 1.0.0 in prod").await;
    browser.click("form[method=post][action$='/-/publish'] button").await;
    browser.wait_url("/-/publications/3").await;
    browser.wait_text("#answer", "1 of 1 active").await;
    live.prints("Hello Ada!", secs(60)).await;

    let complaints = browser.complaints().await?;
    assert!(complaints.is_empty(), "the browser complained: {complaints:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_saves_itself_and_says_so_when_it_cannot() -> Result<()> {
    let mut session = Session::start().await?;
    let owner = session.forge.owner().await?;
    owner.create_project("acme").await?;
    owner.write("welcome.message", "First {{ name }}\n").await?;
    session.sign_in().await?;
    session.open("/acme/support/chat/welcome.message").await?;
    let browser = &session.browser;
    browser.find(".cm-content").await;
    browser.keys(".cm-content", &format!("{CONTROL_HOME}Mine: ")).await?;
    session.saved_after(1).await;
    let path = format!("{}/prompts/welcome.message", owner.set());
    let stored = owner.get(&path).await?.ok()?;
    assert_eq!(stored["prompt"]["content"]["template"], "Mine: First {{ name }}\n", "{stored}");

    // The same person saves elsewhere: nothing of that is overwritten, and nothing of ours is lost.
    owner.write("welcome.message", "Theirs {{ name }}\n").await?;
    browser.keys(".cm-content", &format!("{CONTROL_HOME}Again ")).await?;
    browser.wait_text("#saved", "Not saved: you saved it in another window").await;
    let stored = owner.get(&path).await?.ok()?;
    assert_eq!(stored["prompt"]["content"]["template"], "Theirs {{ name }}\n", "{stored}");
    browser.click("#save").await;
    browser.wait_text("[role=alert]", "while you were writing").await;
    browser.wait_text(".cm-content", "Again Mine: First").await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_save_over_somebody_elses_is_refused_and_both_texts_are_shown() -> Result<()> {
    let mut session = Session::start().await?;
    let owner = session.forge.owner().await?;
    owner.create_project("acme").await?;
    owner.write("welcome.message", "First {{ name }}\n").await?;
    session.sign_in().await?;
    session.open("/acme/support/chat/welcome.message").await?;
    session.browser.find(".cm-content").await;
    owner.write("welcome.message", "Theirs {{ name }}\n").await?;
    session.browser.keys(".cm-content", &format!("{CONTROL_HOME}Mine: ")).await?;
    session.browser.click("#save").await;
    session.browser.wait_text("[role=alert]", "while you were writing").await;
    session.browser.wait_text(".diff", "Theirs").await;
    session.browser.wait_text(".cm-content", "Mine: First").await;
    let stored = owner.get(&format!("{}/prompts/welcome.message", owner.set())).await?.ok()?;
    assert_eq!(stored["prompt"]["content"]["template"], "Theirs {{ name }}\n", "{stored}");
    session.browser.click(".callout button[value=save]").await;
    session.browser.holds("it is saved", "return !document.querySelector('.diff')").await;
    let stored = owner.get(&format!("{}/prompts/welcome.message", owner.set())).await?.ok()?;
    assert_eq!(stored["prompt"]["content"]["template"], "Mine: First {{ name }}\n", "{stored}");
    Ok(())
}

/// Waits until the draft that is open is on its way to FORGE, which is held, by itself.
async fn saves_itself(session: &Session, text: &str) -> Result<()> {
    session.hold(true).await?;
    session.browser.keys(".cm-content", &format!("{CONTROL_HOME}{text}")).await?;
    session.browser.find("#save[aria-busy]").await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pressed_while_a_draft_saves_itself_is_done_after_that() -> Result<()> {
    let mut session = Session::start().await?;
    let owner = session.forge.owner().await?;
    owner.create_project("acme").await?;
    owner.write("welcome.message", "First {{ name }}\n").await?;
    session.sign_in().await?;
    session.open("/acme/support/chat/welcome.message").await?;
    let browser = &session.browser;
    browser.find(".cm-content").await;

    // Save says what stands in its way, however little the other one would.
    owner.write("welcome.message", "Theirs {{ name }}\n").await?;
    saves_itself(&session, "Mine: ").await?;
    browser.click("#save").await;
    session.hold(false).await?;
    browser.wait_text("[role=alert]", "while you were writing").await;

    // A button that asks for the page goes with the revision that the draft has by then.
    session.open("/acme/support/chat/welcome.message").await?;
    browser.find(".cm-content").await;
    saves_itself(&session, "Again: ").await?;
    browser.click("button[value='add:']").await;
    session.hold(false).await?;
    let after = "return document.querySelectorAll(\"[name='p-name']\").length === 2
                   && +document.querySelector('#revision').value >= 3
                   && document.querySelector('#part-0').value.startsWith('Again: Theirs')";
    browser.holds("there is a row more, and nothing in its way", after).await;
    Ok(())
}
