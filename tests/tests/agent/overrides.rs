//! A folder of prompts that stand before what is published, for development.

use std::path::Path;

use anyhow::Result;
use live_agent::{LiveAgent, Mode, vars};
use tests::nats::TestBroker;
use tests::stage::{PATIENCE, builder, heard, hello, publish, serves, statuses};
use tests::until::until;

use crate::renew::put;

async fn says(agent: &LiveAgent, text: &str) {
    until(&format!("it says {text:?}"), PATIENCE, async || (hello(agent) == text).then_some(())).await;
}

#[tokio::test]
async fn a_saved_file_stands_before_what_is_published_until_it_is_deleted() -> Result<()> {
    let test = TestBroker::start().await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("hello.md");
    let mut statuses = statuses(&test).await?;
    let agent = builder(&test, "developer")?.memory_only().overrides(folder.path()).start().await?;
    publish(&test, "1.0.0", "published").await?;
    serves(&agent, 1).await;
    assert_eq!(hello(&agent), "published");
    let mut changes = agent.subscribe();
    put(&file, "mine{{ tail }}\n")?;
    says(&agent, "mine").await;
    let change = tokio::time::timeout(PATIENCE, changes.recv()).await??;
    assert_eq!((change.set.as_str(), change.serial), ("chat", 1));
    assert_eq!(agent.prompt("@chat/hello", &vars! { tail: "!" })?, "mine!");
    let told = heard(&mut statuses, |status| !status.overrides.is_empty()).await?;
    assert_eq!(told.overrides, ["@chat/hello"], "FORGE hears of it");
    assert!(agent.list().iter().all(|one| one.local));
    // It follows all the while.
    publish(&test, "1.1.0", "newer").await?;
    serves(&agent, 2).await;
    assert_eq!(hello(&agent), "mine");
    // Whole at once: a file that is just being written is one that was saved empty.
    put(&file, "broken {{ tail")?;
    let problems = until("it says what is wrong", PATIENCE, async || {
        Some(agent.local_status().problems).filter(|problems| !problems.is_empty())
    })
    .await;
    assert!(problems[0].starts_with("hello.md:1:"), "{problems:?}");
    assert_eq!(hello(&agent), "mine", "the last good one");
    std::fs::remove_file(&file)?;
    says(&agent, "newer").await;
    let local = agent.local_status();
    assert!(local.problems.is_empty() && local.status.overrides.is_empty(), "{local:?}");
    // Without the folder there is nothing over it, and nothing fails.
    put(&file, "again")?;
    says(&agent, "again").await;
    std::fs::remove_dir_all(folder.path())?;
    says(&agent, "newer").await;
    agent.stop().await;
    Ok(())
}

fn fill(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder.join("@mail"))?;
    std::fs::write(folder.join("hello.md"), "Hello {{ name }}")?;
    std::fs::write(folder.join("@mail/reply.txt"), "Dear {{ name }}")?;
    let chat = r#"{"content": {"type": "chat", "messages": [{"type": "message", "role": "user", "template": "hi"}]}}"#;
    Ok(std::fs::write(folder.join("talk.json"), chat)?)
}

fn whole(agent: &LiveAgent) -> Result<()> {
    assert_eq!(agent.prompt("hello", &vars! { name: "Ada" })?, "Hello Ada");
    assert_eq!(agent.prompt("@mail/reply", &vars! { name: "Ada" })?, "Dear Ada");
    assert_eq!(agent.messages("talk", &vars! {}, &[])?[0].content, "hi");
    let status = agent.status();
    assert_eq!(status.scope.to_string(), "local/local/dev");
    assert_eq!(status.overrides, ["@local/hello", "@local/talk", "@mail/reply"]);
    let health = agent.health();
    assert!(health.live && health.ready && health.fresh, "{health:?}");
    Ok(())
}

#[test]
fn a_folder_alone_serves_a_service_s_unit_tests_without_a_runtime() -> Result<()> {
    let folder = tempfile::tempdir()?;
    fill(folder.path())?;
    whole(&LiveAgent::from_folder(folder.path())?)?;
    let none = LiveAgent::from_folder(folder.path().join("none")).unwrap_err().to_string();
    assert!(none.contains("overrides"), "{none}");
    Ok(())
}

#[tokio::test]
async fn a_folder_alone_is_watched_and_can_be_frozen_and_stopped() -> Result<()> {
    let folder = tempfile::tempdir()?;
    fill(folder.path())?;
    let agent = LiveAgent::from_folder(folder.path())?;
    whole(&agent)?;
    put(&folder.path().join("hello.md"), "Bye {{ name }}")?;
    until("it is read again", PATIENCE, async || {
        let said = agent.prompt("hello", &vars! { name: "Ada" }).ok()?;
        (said == "Bye Ada").then_some(())
    })
    .await;
    let alone = agent.sync().await.unwrap_err().to_string();
    assert!(alone.contains("follows nobody"), "{alone}");
    agent.set_mode(Mode::Frozen).await?;
    assert_eq!(agent.mode(), Mode::Frozen);
    agent.stop().await;
    Ok(())
}
