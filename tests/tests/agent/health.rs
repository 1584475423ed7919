//! Live, ready, fresh: three answers of a running agent.

use anyhow::Result;
use live_agent::control::{self, Question};
use live_agent::{Health, LiveAgent};
use schemas::envelope::AgeAction;
use tests::nats::TestBroker;
use tests::stage::{Answering, PATIENCE, builder, head, hello, of_set, on_disk, publish, serves};
use tests::until::{millis, secs, until};

fn three(health: &Health) -> (bool, bool, bool) {
    (health.live, health.ready, health.fresh)
}

async fn becomes(agent: &LiveAgent, expected: (bool, bool, bool)) -> Health {
    until(&format!("it is {expected:?}"), PATIENCE, async || {
        Some(agent.health()).filter(|health| three(health) == expected)
    })
    .await
}

#[tokio::test]
async fn an_agent_says_of_itself_whether_it_is_live_ready_and_fresh() -> Result<()> {
    let mut test = TestBroker::start().await?;
    let dir = test.directory().join("cache");
    let agent = on_disk(&test, "health", &dir)?.start().await?;
    let health = becomes(&agent, (true, false, false)).await;
    assert!(health.reasons[0].contains("FORGE has not said that there is nothing"), "{health:?}");
    let forge = Answering::start(&test, Some(Vec::new())).await?;
    let health = becomes(&agent, (true, true, true)).await;
    assert!(health.reasons.is_empty(), "FORGE says that there is nothing: {health:?}");
    let published = publish(&test, "1.0.0", "one").await?;
    serves(&agent, 1).await;
    assert_eq!(three(&agent.health()), (true, true, true));
    let asked: Health = serde_json::from_value(control::ask(&dir, &Question::Health).await?)?;
    assert_eq!(asked, agent.health());
    // A word with a short period, and then silence.
    drop(forge);
    test.beat("dev", vec![head(&published)], millis(300)).await?;
    until("the word is heard", PATIENCE, async || of_set(&agent.status(), "chat")?.head_serial).await;
    test.server.stop().await;
    let health = becomes(&agent, (true, true, false)).await;
    assert!(health.reasons[0].contains("FORGE is not heard"), "{health:?}");
    assert_eq!(hello(&agent), "one");
    agent.stop().await;
    let health = agent.health();
    assert!(!health.live && health.reasons[0].contains("stopped"), "{health:?}");
    Ok(())
}

#[tokio::test]
async fn an_agent_s_own_bound_holds_before_forge_ever_said_anything() -> Result<()> {
    let test = TestBroker::start().await?;
    let own = builder(&test, "own")?.memory_only().max_age(secs(1), AgeAction::Refuse);
    let agent = own.start().await?;
    let published = publish(&test, "1.0.0", "one").await?;
    let refused = until("calls are refused", PATIENCE, async || {
        serves(&agent, 1).await;
        Some(hello(&agent)).filter(|said| said.contains("was not confirmed"))
    })
    .await;
    assert!(refused.contains("1 s are allowed"), "{refused}");
    let health = becomes(&agent, (true, false, false)).await;
    assert!(health.reasons[0].contains("calls are refused"), "{health:?}");
    let status = agent.status();
    assert!(status.too_old && status.max_age.is_some_and(|rule| rule.seconds == 1), "{status:?}");
    // FORGE's word ends it, and the project's rule, which is milder, does not soften it.
    until("it is confirmed", PATIENCE, async || {
        test.beat("dev", vec![head(&published)], secs(60)).await.ok()?;
        (hello(&agent) == "one").then_some(())
    })
    .await;
    until("it holds again", PATIENCE, async || hello(&agent).contains("was not confirmed").then_some(()))
        .await;
    Ok(())
}
