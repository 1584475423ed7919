//! A file of another tool is imported by hand, what is there is exported, and a whole project moves.

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

#[tokio::test(flavor = "multi_thread")]
async fn a_project_moves_into_another_one_by_hand_and_nothing_is_written_before_it_is_said() -> Result<()> {
    let mut session = Session::start().await?;
    let owner = session.forge.owner().await?;
    owner.create_project(ORGANISATION).await?;
    owner.write("welcome.message", "Hello {{ name }}").await?;
    owner.lock("1.0.0").await?;
    let moved = json!({ "slug": "moved", "name": "Moved" });
    owner.post("/api/v1/organisations/acme/projects", &moved).await?.ok()?;
    let file = session.forge.directory().join("support.forge.zip");
    let file = file.display().to_string();
    session.forge.place.run(&["export", "acme/support", &file]).await?;
    let session = session;
    let browser = &session.browser;
    session.sign_in().await?;

    session.open("/acme/moved").await?;
    browser.click("a[href$='/-/import']").await;
    browser.wait_url("/acme/moved/-/import").await;
    browser.keys("#file", &file).await?;
    browser.click("form[action$='/-/import'] button").await;
    browser.wait_url("/-/import/").await;
    browser.wait_text("main", "1 locked version").await;
    browser.wait_text(".list", "chat/versions/1.0.0").await;
    let sets = owner.get("/api/v1/projects/acme:moved/sets").await?.ok()?;
    assert_eq!(sets["items"], json!([]));
    browser.click("form[method=post][action*='/-/import/'] button").await;
    browser.wait_text("#project", "chat").await;

    session.open("/acme/moved/chat/-/versions/1.0.0").await?;
    browser.wait_text(".callout", "Locked in acme/support/chat").await;
    let version = owner.get("/api/v1/projects/acme:moved/sets/chat/versions/1.0.0").await?.ok()?;
    assert_eq!(version["imported"]["set"], "acme/support/chat");
    Ok(())
}
