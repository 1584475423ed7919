//! A webhook from its making to its end, by hand, with a real server at its other end.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tests::forge::api::Api;
use tests::receiver::Receiver;
use tests::until::{secs, until};

use crate::session::Session;

/// Webhooks may go to this machine, and what fails once waits for long: it is sent again by hand.
pub(crate) const OPTIONS: [(&str, &str); 2] =
    [("FORGE_WEBHOOK_PRIVATE_ADDRESSES", "true"), ("FORGE_WEBHOOK_RETRY_MS", "600000")];

/// A webhook of `support` with a log: something that was taken, and something that waits. Gives its id.
pub(crate) async fn logged(owner: &Api) -> Result<(String, Receiver)> {
    let receiver = Receiver::start().await?;
    let path = format!("{}/webhooks", owner.project());
    let made = owner.post(&path, &json!({ "url": receiver.url(), "name": "Pipeline" })).await?.ok()?;
    let id = made["id"].as_str().context("an id")?.to_owned();
    for (state, fails) in [("delivered", 0), ("waiting", 100)] {
        receiver.fail(fails);
        owner.post(&format!("{path}/{id}/test"), &json!({})).await?.ok()?;
        until(&format!("one is {state}"), secs(60), async || {
            let log = owner.get(&format!("{path}/{id}/deliveries")).await.ok()?.ok().ok()?;
            let is = |d: &Value| d["state"] == state && d["attempts"] == 1;
            log["items"].as_array()?.iter().any(is).then_some(())
        })
        .await;
    }
    Ok((id, receiver))
}

/// Waits until the log of the page that is open begins with a row that says this; gives the row.
async fn newest(session: &Session, part: &str) -> String {
    session.browser.wait_text("tbody tr", part).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_made_tried_sent_again_switched_off_and_removed() -> Result<()> {
    let mut session = Session::start_with(&OPTIONS).await?;
    let owner = session.forge.owner().await?;
    owner.create_project("acme").await?;
    let receiver = Receiver::start().await?;
    session.sign_in().await?;
    let browser = &session.browser;

    // An address that cannot be one is refused beside its field, and what was typed stays.
    session.open("/acme/support/-/webhooks").await?;
    browser.wait_text("main", "No webhooks yet").await;
    let wide =
        "return [...document.querySelectorAll('#create label:has(input)')].every((l) => l.offsetWidth > 150)";
    browser.holds("what can be ticked can be read", wide).await;
    browser.fill("#url", "ftp://127.0.0.1/hook").await?;
    browser.fill("#name", "Pipeline").await?;
    browser.click("#create input[name=event][value='agent.stale']").await;
    browser.click("#create button[type=submit]").await;
    browser.wait_text("#url-error", "https").await;
    assert_eq!(browser.run("return document.querySelector('#name').value").await?, json!("Pipeline"));
    let chosen = "return document.querySelector(\"input[value='agent.stale']\").checked";
    assert_eq!(browser.run(chosen).await?, json!(false));
    let said = browser.complaints().await?;
    assert!(said.iter().all(|line| line.contains("422")), "{said:?}");

    // Its secret is shown this once.
    browser.fill("#url", &receiver.url()).await?;
    browser.click("#create button[type=submit]").await;
    browser.wait_text("#secret", "It is shown only once").await;
    let secret = browser.run("return document.querySelector('#webhook-secret').textContent").await?;
    let secret = secret.as_str().context("a secret")?.to_owned();
    assert!(secret.starts_with("whsec_"), "it is one");
    session.open("/acme/support/-/webhooks").await?;
    assert!(!browser.has("#secret").await);
    let row = browser.wait_text("tbody", "Pipeline").await;
    assert!(row.contains("agent.refused") && !row.contains("agent.stale"), "{row}");

    // A test gets there, signed, and stands in the log.
    browser.click("tbody a.link").await;
    browser.wait_text("main", "Nothing was sent yet").await;
    let page = browser.url().await?;
    browser.click("button[name=do][value=test]").await;
    let heard = receiver.hears("ping", |_| true).await;
    assert!(heard.is_signed_by(&secret));
    let row = newest(&session, "delivered").await;
    assert!(row.contains("ping") && row.contains("200") && row.contains("1 attempt"), "{row}");

    // One that is not taken waits, says why, and is sent again by hand; who hears it twice can tell.
    receiver.fail(1);
    browser.open(&page).await?;
    browser.click("button[name=do][value=test]").await;
    let row = newest(&session, "waiting").await;
    let row = if row.contains("500") { row } else { newest(&session, "500").await };
    assert!(row.contains("not now") && row.contains("again in"), "{row}");
    browser.click("tbody tr:first-child button").await;
    let row = newest(&session, "delivered").await;
    assert!(row.contains("ping") && row.contains("200"), "{row}");
    let ids: Vec<String> = receiver.heard().iter().map(|h| h.header("webhook-id").to_owned()).collect();
    assert!(ids.len() == 3 && ids[1] == ids[2] && ids[0] != ids[1], "{ids:?}");

    // Another secret signs from then on.
    browser.click("button[name=do][value=secret]").await;
    browser.wait_text("#secret", "It is shown only once").await;
    let other = browser.run("return document.querySelector('#webhook-secret').textContent").await?;
    let other = other.as_str().context("a secret")?.to_owned();
    browser.open(&page).await?;
    browser.click("button[name=do][value=test]").await;
    let last = until("it hears one more", secs(60), async || receiver.heard().get(3).cloned()).await;
    assert!(last.is_signed_by(&other) && !last.is_signed_by(&secret));
    newest(&session, "delivered").await;

    // Switched off it is told nothing; on again, it is.
    let path = format!("{}/webhooks", owner.project());
    let switch = async |to: &str, enabled: bool| {
        browser.choose("#enabled", to).await;
        browser.click("button[name=do][value=change]").await;
        until("it is switched", secs(60), async || {
            let all = owner.get(&path).await.ok()?.ok().ok()?;
            (all["items"][0]["enabled"] == enabled).then_some(())
        })
        .await;
        browser.wait_text(".page-head .dot", if enabled { "on" } else { "off" }).await;
    };
    switch("no", false).await;
    owner.write("welcome.message", "Hello {{ name }}").await?;
    owner.lock("1.0.0").await?;
    switch("yes", true).await;
    owner.reopen().await?;
    owner.write("welcome.message", "Good day, {{ name }}").await?;
    owner.lock("1.0.1").await?;
    let row = newest(&session, "set.locked").await;
    assert!(row.contains("acme/support/chat"), "{row}");
    receiver.hears("set.locked", |_| true).await;
    let heard = receiver.heard().iter().filter(|heard| heard.header("forge-event") == "set.locked").count();
    assert_eq!(heard, 1, "what happened while it was off was not told");

    browser.click("a[href$='/remove']").await;
    browser.wait_url("/remove").await;
    browser.click("form[action$='/remove'] button").await;
    browser.wait_text("main", "No webhooks yet").await;
    assert_eq!(browser.complaints().await?, Vec::<String>::new());
    Ok(())
}
