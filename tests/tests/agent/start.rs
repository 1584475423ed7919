//! A start that waits for what is fresh enough, or fails and leaves nothing behind.

use std::time::Duration;

use anyhow::Result;
use live_agent::StartError;
use live_agent::config::StartPolicy;
use tests::nats::TestBroker;
use tests::stage::{Answering, PATIENCE, builder, head, hello, on_disk, publish, serves};
use tests::until::{millis, secs, until};

fn why(error: StartError) -> String {
    match error {
        StartError::NotFresh { why, .. } => why,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_start_that_must_be_fresh_waits_for_forge_and_fails_without_a_trace() -> Result<()> {
    let test = TestBroker::start().await?;
    let dir = test.directory().join("cache");
    let published = publish(&test, "1.0.0", "one").await?;
    let fresh = |most| {
        Ok::<_, anyhow::Error>(on_disk(&test, "fresh", &dir)?.start_policy(StartPolicy::WaitFresh(most)))
    };
    let before = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let failed = why(fresh(millis(1500))?.start().await.unwrap_err());
    assert!(failed.contains("FORGE has not confirmed"), "{failed}");
    assert!(!dir.join("live.sock").exists(), "its socket is gone");
    until("its tasks are gone", PATIENCE, async || {
        (tokio::runtime::Handle::current().metrics().num_alive_tasks() <= before).then_some(())
    })
    .await;
    let forge = Answering::start(&test, Some(vec![head(&published)])).await?;
    let agent = fresh(PATIENCE)?.start().await?;
    assert_eq!(hello(&agent), "one", "at once");
    let status = agent.status();
    assert_eq!(status.cache, "disk", "its lock was free");
    assert!(!status.stale && status.age_ms.is_some_and(|age| age < 20_000), "{status:?}");
    agent.stop().await;
    // FORGE announces what does not come: that is not fresh, and the start says what is missing.
    let mut withheld = head(&published);
    withheld.serial = 9;
    forge.says(Some(vec![withheld]));
    let says = "serial 9 of chat is announced and is not here";
    let mut failed = String::new();
    // A machine that has not met FORGE in two seconds gets more.
    for wait in [secs(2), secs(10), PATIENCE] {
        failed = why(fresh(wait)?.start().await.unwrap_err());
        if failed.contains(says) {
            break;
        }
    }
    assert!(failed.contains(says), "{failed}");
    Ok(())
}

#[tokio::test]
async fn a_start_by_age_goes_by_the_word_on_disk() -> Result<()> {
    let mut test = TestBroker::start().await?;
    let dir = test.directory().join("cache");
    let published = publish(&test, "1.0.0", "one").await?;
    let forge = Answering::start(&test, Some(vec![head(&published)])).await?;
    let by_age = |test: &TestBroker, age, wait| {
        Ok::<_, anyhow::Error>(
            on_disk(test, "aged", &dir)?.start_policy(StartPolicy::RequireAge { age, wait }),
        )
    };
    // With nothing on disk it waits for a word.
    let agent = by_age(&test, secs(60), PATIENCE)?.start().await?;
    serves(&agent, 1).await;
    agent.stop().await;
    drop(forge);
    test.server.stop().await;
    let agent = by_age(&test, secs(60), Duration::ZERO)?.start().await?;
    assert_eq!(hello(&agent), "one", "with the broker down");
    agent.stop().await;
    let failed = why(by_age(&test, millis(1), millis(300))?.start().await.unwrap_err());
    assert!(failed.contains("are allowed; ") && failed.contains("not connected"), "{failed}");
    let failed = builder(&test, "empty")?.memory_only();
    let policy = StartPolicy::RequireAge { age: secs(60), wait: millis(300) };
    let failed = why(failed.start_policy(policy).start().await.unwrap_err());
    assert!(failed.contains("never confirmed"), "{failed}");
    Ok(())
}
