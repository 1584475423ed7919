//! A file of another tool is imported by hand, and what is there is exported.

use anyhow::Result;
use serde_json::json;
use tests::forge::ORGANISATION;

use super::session::Session;

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_another_tool_is_looked_at_imported_and_exported_by_hand() -> Result<()> {
    let mut session = Session::start().await?;
    let owner = session.forge.owner().await?;
    owner.create_project(ORGANISATION).await?;
    owner.write("welcome.message", "Hello {{ name }}").await?;
    let file = session.forge.directory().join("langfuse.json");
    let prompts = json!([
        { "name": "welcome.message", "type": "text", "prompt": "Welcome {{name}}", "labels": ["production"], "version": 3, "config": {} },
        { "name": "bye", "type": "text", "prompt": "Bye {{user.name}}", "labels": [], "version": 1, "config": { "model": "gpt-4o" } },
    ]);
    std::fs::write(&file, prompts.to_string())?;
    let session = session;
    let browser = &session.browser;
    session.sign_in().await?;

    session.open("/acme/support/chat/-/import").await?;
    browser.keys("#file", &file.display().to_string()).await?;
    browser.click("form[action$='/-/import'] button").await;
    browser.wait_url("/-/import/").await;
    browser.wait_text("h1", "langfuse.json").await;
    browser.wait_text(".callout", "1 prompt stands in the set with another text").await;
    browser.wait_text("main", "Welcome {{ name }}").await;
    browser.wait_text("table.table", "stays text").await;

    // The other choice is another plan, and nothing is written by either.
    browser.choose("#existing", "keep").await;
    browser.wait_url("existing=keep").await;
    browser.wait_text(".list", "1 kept").await;
    browser.choose("#existing", "replace").await;
    browser.wait_url("existing=replace").await;
    let before = owner.get(&format!("{}/prompts/welcome.message", owner.set())).await?.ok()?;
    assert_eq!(before["prompt"]["content"]["template"], "Hello {{ name }}");
    browser.click("form[method=post][action*='/-/import/'] button").await;
    browser.wait_text("h1", "bye").await;
    let after = owner.get(&format!("{}/prompts/welcome.message", owner.set())).await?.ok()?;
    assert_eq!(after["prompt"]["content"]["template"], "Welcome {{ name }}");

    session.open("/acme/support/chat/-/export").await?;
    browser.choose("#format", "langfuse").await;
    browser.wait_url("format=langfuse").await;
    let link = browser.run("return document.querySelector('a[href*=\"/-/export/file\"]').href").await?;
    assert!(link.as_str().is_some_and(|l| l.contains("format=langfuse")), "{link}");
    Ok(())
}
