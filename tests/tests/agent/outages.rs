//! Everything that can be down, was, and came back.

use anyhow::Result;
use live_agent::LiveAgent;
use tests::nats::TestBroker;
use tests::until::{millis, secs, until, within};

use tests::stage::{PATIENCE, active, builder, hello, on_disk, publish, refusal, serves};

/// Waits until the agent has met a broker again that was empty for a while, and is current. Whoever was refused there
/// several times says so at once until it is let in.
pub(crate) async fn is_back(agent: &LiveAgent) -> Result<()> {
    until("the broker lets it in again", PATIENCE, async || agent.local_status().connected.then_some(()))
        .await;
    agent.wait_current(PATIENCE).await?;
    Ok(())
}

#[tokio::test]
async fn with_everything_down_an_agent_serves_from_disk_and_says_how_old() -> Result<()> {
    let mut test = TestBroker::start().await?;
    let dir = test.directory().join("cache");
    publish(&test, "1.0.0", "from disk").await?;
    let agent = on_disk(&test, "offline", &dir)?.start().await?;
    serves(&agent, 1).await;
    agent.wait_current(PATIENCE).await?;
    let before = agent.local_status();
    assert!(before.connected && before.status.cache == "disk", "{before:?}");
    agent.stop().await;
    test.server.stop().await;
    let agent = on_disk(&test, "offline", &dir)?.start().await?;
    assert_eq!(hello(&agent), "from disk");
    let local = agent.local_status();
    assert!(!local.connected);
    assert!(local.contact.is_some_and(|at| at >= before.contact.unwrap_or(0)), "{local:?}");
    assert_eq!(local.status.identity, before.status.identity);
    assert_eq!(active(&local.status, "chat"), active(&before.status, "chat"));
    let down = agent.wait_current(millis(300)).await.unwrap_err().to_string();
    assert!(down.contains("nobody answers at"), "{down}");
    // It meets the broker when that comes.
    test.server.restart().await?;
    test.provision().await?;
    agent.wait_current(PATIENCE).await?;
    Ok(())
}

#[tokio::test]
async fn a_killed_server_is_followed_again_and_nothing_is_missed() -> Result<()> {
    let test = TestBroker::start().await?;
    let agent = builder(&test, "survivor")?.memory_only().start().await?;
    publish(&test, "1.0.0", "0").await?;
    serves(&agent, 1).await;
    for round in 1..=5_u64 {
        let old = test.server.pid();
        test.server.kill9()?;
        until("the server is back", PATIENCE, async || (test.server.pid() != old).then_some(())).await;
        until("it can be published to", PATIENCE, async || {
            publish(&test, &format!("1.{round}.0"), &round.to_string()).await.ok()
        })
        .await;
        let newest = test.broker.last(&test.scope("dev"), &"chat".parse()?).await?.map(|h| h.serial);
        serves(&agent, newest.unwrap_or(0)).await;
        assert_eq!(hello(&agent), round.to_string());
    }
    Ok(())
}

#[tokio::test]
async fn a_wiped_broker_heals_and_nothing_is_rolled_back() -> Result<()> {
    let mut test = TestBroker::start().await?;
    let dir = test.directory().join("cache");
    let agent = on_disk(&test, "wiped", &dir)?.start().await?;
    let first = publish(&test, "1.0.0", "one").await?;
    publish(&test, "1.1.0", "two").await?;
    let third = publish(&test, "1.2.0", "three").await?;
    serves(&agent, 3).await;
    test.server.wipe_store().await?;
    test.provision().await?;
    // Somebody fills the new stream with an old publication, signed as it was.
    test.broker.send(&first.outgoing).await?;
    is_back(&agent).await?;
    let rolled_back = within(millis(500), async || (hello(&agent) != "three").then_some(())).await;
    assert!(rolled_back.is_none(), "an old serial was taken up");
    // FORGE republishes what is newest: the very same bytes and serial.
    test.broker.send(&third.outgoing).await?;
    agent.wait_current(PATIENCE).await?;
    assert_eq!((hello(&agent).as_str(), refusal(&agent.status(), "chat")), ("three", None));
    // And goes on from there.
    publish(&test, "1.3.0", "four").await?;
    serves(&agent, 4).await;
    until("the floor is that of the new stream", PATIENCE, async || {
        (agent.status().floor == 3).then_some(())
    })
    .await;
    publish(&test, "1.4.0", "five").await?;
    serves(&agent, 5).await;
    Ok(())
}

#[tokio::test]
async fn a_revoked_credential_is_named_and_what_is_here_is_served_on() -> Result<()> {
    let mut test = TestBroker::start().await?;
    let (minted, connection) = test.mint("revoked")?;
    let agent = live_agent::LiveAgent::builder()
        .connection(connection)
        .credentials(minted.creds.as_str())
        .memory_only()
        .start()
        .await?;
    publish(&test, "1.0.0", "still here").await?;
    serves(&agent, 1).await;
    test.revoke(&minted.public_key).await?;
    let refused = until("it knows why", PATIENCE, async || agent.local_status().refused).await;
    assert!(refused.contains("revoked"), "{refused}");
    publish(&test, "1.1.0", "not for it").await?;
    assert_eq!(hello(&agent), "still here");
    let error = agent.wait_current(secs(1)).await.unwrap_err().to_string();
    assert!(error.contains("revoked"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_broker_that_stalls_without_a_word_is_noticed_by_a_probe_and_followed_again() -> Result<()> {
    let test = TestBroker::start().await?;
    let agent = builder(&test, "stalled")?.memory_only().start().await?;
    publish(&test, "1.0.0", "one").await?;
    serves(&agent, 1).await;
    until("FORGE is heard every second", PATIENCE, async || {
        test.beat("dev", Vec::new(), secs(1)).await.ok()?;
        agent.local_status().status.age_ms
    })
    .await;
    let stalled = Stalled::new(test.server.pid().expect("it runs"))?;
    // Its sockets stay open, and its kernel goes on taking what is sent: pings alone would need 21 s and more.
    until("the agent lets the connection go", secs(20), async || {
        assert_eq!(hello(&agent), "one");
        (!agent.local_status().connected).then_some(())
    })
    .await;
    drop(stalled);
    until("it can be published to", PATIENCE, async || publish(&test, "1.1.0", "two").await.ok()).await;
    let newest = test.broker.last(&test.scope("dev"), &"chat".parse()?).await?.map(|h| h.serial);
    serves(&agent, newest.unwrap_or(0)).await;
    Ok(())
}

/// A process that is stopped until this is dropped.
struct Stalled(nix::unistd::Pid);

impl Stalled {
    fn new(pid: u32) -> Result<Self> {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(pid)?);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP)?;
        Ok(Self(pid))
    }
}

impl Drop for Stalled {
    fn drop(&mut self) {
        let _ = nix::sys::signal::kill(self.0, nix::sys::signal::Signal::SIGCONT);
    }
}
