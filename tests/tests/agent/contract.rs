//! A service was built for certain prompts: what breaks them is refused, and what is there goes on.

use anyhow::Result;
use live_agent::LiveAgent;
use schemas::contract::Contract;
use schemas::prompt::Prompt;
use schemas::status::RefusalCode;
use tests::nats::{Published, TestBroker};
use tests::stage::{PATIENCE, active, hello, of_set, on_disk, refusal, serves};
use tests::until::until;

/// A service that calls `hello` and `bye`, neither with any value.
fn contract() -> Contract {
    let prompts = ["hello", "bye"].map(|id| Prompt::text(id.parse().expect("an id"), ""));
    Contract::of("chat".parse().expect("a set"), "1.0.0".parse().expect("a version"), &prompts)
}

async fn publish(test: &TestBroker, version: &str, prompts: &[&str]) -> Result<Published> {
    let prompts: Vec<(&str, &str)> = prompts.iter().map(|id| (*id, version)).collect();
    test.publish(test.bundle("chat", version, &prompts)).await
}

fn said(agent: &LiveAgent) -> String {
    let status = agent.status();
    let pending = of_set(&status, "chat").and_then(|set| set.pending.clone());
    pending.and_then(|pending| pending.reason).map(|reason| reason.message).unwrap_or_default()
}

#[tokio::test]
async fn a_bundle_that_breaks_the_contract_is_refused_and_the_old_one_serves() -> Result<()> {
    let test = TestBroker::start().await?;
    let dir = test.directory().join("cache");
    let agent = on_disk(&test, "built", &dir)?.contract(contract()).start().await?;
    publish(&test, "1.0.0", &["hello", "bye"]).await?;
    serves(&agent, 1).await;
    publish(&test, "2.0.0", &["hello", "other"]).await?;
    until("it is refused", PATIENCE, async || {
        (refusal(&agent.status(), "chat") == Some(RefusalCode::Contract)).then_some(())
    })
    .await;
    assert_eq!(
        (hello(&agent), said(&agent).as_str()),
        ("1.0.0".into(), "this program was built for 1.0.0, and prompt bye: it is gone")
    );
    // Another set is nobody's contract.
    test.publish(test.bundle("mail", "1.0.0", &[("reply", "Dear reader")])).await?;
    until("another set comes", PATIENCE, async || active(&agent.status(), "mail")).await;
    publish(&test, "2.1.0", &["hello", "other", "bye"]).await?;
    serves(&agent, 3).await;
    assert_eq!(refusal(&agent.status(), "chat"), None);
    agent.stop().await;
    Ok(())
}

#[tokio::test]
async fn from_disk_the_newest_that_keeps_the_contract_is_served_and_else_what_there_is() -> Result<()> {
    let mut test = TestBroker::start().await?;
    let dir = test.directory().join("cache");
    let agent = on_disk(&test, "built", &dir)?.start().await?;
    publish(&test, "1.0.0", &["hello", "bye"]).await?;
    serves(&agent, 1).await;
    publish(&test, "2.0.0", &["hello"]).await?;
    serves(&agent, 2).await;
    agent.stop().await;
    test.server.stop().await;
    // The service was built anew, and now says what it was built for.
    let built = || Ok::<_, anyhow::Error>(on_disk(&test, "built", &dir)?.contract(contract()));
    let agent = built()?.start().await?;
    assert_eq!((hello(&agent), active(&agent.status(), "chat").map(|a| a.serial)), ("1.0.0".into(), Some(1)));
    assert!(said(&agent).contains("prompt bye: it is gone") && agent.health().ready, "{:?}", agent.health());
    agent.stop().await;
    test.server.restart().await?;
    test.provision().await?;
    let agent = on_disk(&test, "built", &dir)?.start().await?;
    publish(&test, "3.0.0", &["hello"]).await?;
    serves(&agent, 3).await;
    agent.stop().await;
    let image = test.directory().join("image.bundles");
    LiveAgent::bake(&dir, &image).await?;
    test.server.stop().await;
    // Neither the latest nor the one before keeps it: what works, works.
    let agent = on_disk(&test, "built", &dir)?.contract(contract()).start().await?;
    assert_eq!(hello(&agent), "3.0.0");
    let health = agent.health();
    assert!(health.live && !health.ready, "{health:?}");
    assert!(health.reasons[0].contains("@chat breaks what this program was built for"), "{health:?}");
    assert_eq!(refusal(&agent.status(), "chat"), Some(RefusalCode::Contract));
    agent.stop().await;
    let fresh = on_disk(&test, "built", &test.directory().join("fresh"))?;
    let agent = fresh.contract(contract()).baked_bundle(&image)?.start().await?;
    assert_eq!((hello(&agent), agent.health().ready), ("3.0.0".into(), false), "the same from the image");
    agent.stop().await;
    Ok(())
}
