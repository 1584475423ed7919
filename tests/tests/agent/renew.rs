//! Credentials that change while the agent runs.

use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::Result;
use live_agent::LiveAgent;
use publisher::{MintedCredential, Role, credentials};
use schemas::Micros;
use tests::nats::{TestBroker, now};
use tests::until::{secs, until, within};

use tests::stage::{PATIENCE, hello, publish, serves};

/// Renders all the while, and counts what did not go well.
struct Caller {
    stop: Arc<AtomicBool>,
    task: std::thread::JoinHandle<(u64, u64)>,
}

impl Caller {
    fn start(agent: &LiveAgent) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (ended, agent) = (Arc::clone(&stop), agent.clone());
        let task = std::thread::spawn(move || {
            let (mut good, mut bad) = (0, 0);
            while !ended.load(Ordering::Relaxed) {
                let rendered = agent.prompt("hello", &live_agent::vars! {});
                if rendered.is_ok() {
                    good += 1
                } else {
                    bad += 1
                }
                std::thread::yield_now();
            }
            (good, bad)
        });
        Self { stop, task }
    }

    fn never_waited(self) {
        self.stop.store(true, Ordering::Relaxed);
        let (good, bad) = self.task.join().expect("the caller ends");
        assert!(good > 100 && bad == 0, "{good} calls were served, {bad} were not");
    }
}

/// Writes a file as a careful program does: whole, in one step.
pub(crate) fn put(path: &Path, text: &str) -> Result<()> {
    let aside = path.with_extension("aside");
    std::fs::write(&aside, text)?;
    std::fs::rename(aside, path)?;
    Ok(())
}

fn mint(test: &TestBroker, name: &str, expires: Option<Micros>) -> Result<MintedCredential> {
    Ok(credentials::mint(&test.project_keys, Role::Agent, &test.scope("dev"), name, expires)?)
}

/// Waits until the broker has so many connections with a credential.
async fn has(test: &TestBroker, user: &str, count: usize, what: &str) {
    until(what, PATIENCE, async || {
        let found = test.broker.connection_count(&test.project_keys, user).await.ok()?;
        (found == count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_replaced_in_its_file_and_then_revoked_is_never_missed() -> Result<()> {
    let mut test = TestBroker::start().await?;
    let (first, second) = (mint(&test, "first", None)?, mint(&test, "second", None)?);
    let file = test.directory().join("agent.creds");
    std::fs::write(&file, first.creds.as_str())?;
    let agent = LiveAgent::builder()
        .connection(test.connection("dev"))
        .credentials_file(&file)
        .memory_only()
        .name("rotating")
        .start()
        .await?;
    publish(&test, "1.0.0", "one").await?;
    serves(&agent, 1).await;
    let caller = Caller::start(&agent);

    // Half written, then nonsense: the one in use stays.
    put(&file, &second.creds[..second.creds.len() / 2])?;
    let left = within(secs(3), async || (!agent.local_status().connected).then_some(())).await;
    assert!(left.is_none(), "half a file was taken up");
    put(&file, "nothing")?;
    publish(&test, "1.1.0", "two").await?;
    serves(&agent, 2).await;
    has(&test, &first.public_key, 1, "it stays with the first").await;

    put(&file, &second.creds)?;
    has(&test, &second.public_key, 1, "it uses the second").await;
    has(&test, &first.public_key, 0, "it lets go of the first").await;
    test.revoke(&first.public_key).await?;
    for (serial, version) in [(3, "1.2.0"), (4, "1.3.0")] {
        publish(&test, version, "more").await?;
        serves(&agent, serial).await;
    }
    let local = agent.local_status();
    assert!(local.connected && local.refused.is_none(), "{local:?}");
    caller.never_waited();
    agent.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_that_the_broker_refuses_is_left_and_a_good_one_frees_a_revoked_agent() -> Result<()> {
    let mut test = TestBroker::start().await?;
    let (first, bad, good) =
        (mint(&test, "first", None)?, mint(&test, "bad", None)?, mint(&test, "good", None)?);
    let agent = LiveAgent::builder()
        .connection(test.connection("dev"))
        .credentials(first.creds.as_str())
        .memory_only()
        .start()
        .await?;
    publish(&test, "1.0.0", "one").await?;
    serves(&agent, 1).await;
    test.revoke(&bad.public_key).await?;
    let error = agent.set_credentials(bad.creds.as_str()).await.expect_err("it was revoked").to_string();
    assert!(error.contains("revoked") && error.contains("stays"), "{error}");
    let error = agent.set_credentials("nothing").await.expect_err("no credential").to_string();
    assert!(error.contains("seed"), "{error}");
    assert!(agent.local_status().connected);

    test.revoke(&first.public_key).await?;
    until("it knows why", PATIENCE, async || agent.local_status().refused).await;
    publish(&test, "1.1.0", "two").await?;
    assert_eq!(hello(&agent), "one");
    agent.set_credentials(good.creds.as_str()).await?;
    // What was missed meanwhile comes too.
    serves(&agent, 2).await;
    assert_eq!(hello(&agent), "two");
    assert_eq!(agent.local_status().refused, None);
    agent.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_asked_for_its_credential_changes_it_at_any_time() -> Result<()> {
    let test = TestBroker::start().await?;
    let both = [mint(&test, "first", None)?, mint(&test, "second", None)?];
    let turn = Arc::new(AtomicU64::new(0));
    let (asked, texts) = (Arc::clone(&turn), both.clone().map(|one| one.creds.to_string()));
    let agent = LiveAgent::builder()
        .connection(test.connection("dev"))
        .credentials_callback(move || match asked.load(Ordering::Relaxed) {
            0 => Ok(texts[0].clone()),
            1 => Err("the vault is sealed".into()),
            _ => Ok(texts[1].clone()),
        })
        .memory_only()
        .start()
        .await?;
    publish(&test, "1.0.0", "one").await?;
    serves(&agent, 1).await;
    turn.store(1, Ordering::Relaxed);
    has(&test, &both[0].public_key, 1, "it stays with the first").await;
    turn.store(2, Ordering::Relaxed);
    has(&test, &both[1].public_key, 1, "it uses the second").await;
    publish(&test, "1.1.0", "two").await?;
    serves(&agent, 2).await;
    agent.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_file_that_names_another_server_is_followed_and_one_of_another_scope_is_not()
-> Result<()> {
    let (first, second) = (TestBroker::start().await?, TestBroker::start().await?);
    let minted = mint(&second, "moving", None)?;
    let file = second.directory().join("moving.connect.json");
    let mut connection = second.connection("dev");
    // Nobody there takes this credential.
    connection.servers = vec![first.server.url()];
    put(&file, &serde_json::to_string(&connection)?)?;
    let agent = LiveAgent::builder()
        .connection_file(&file)
        .credentials(minted.creds.as_str())
        .memory_only()
        .start()
        .await?;
    publish(&second, "1.0.0", "moved").await?;
    until("the first refuses it", PATIENCE, async || agent.local_status().refused).await;
    let mut other = second.connection("prod");
    other.servers = vec![second.server.url()];
    put(&file, &serde_json::to_string(&other)?)?;
    let moved = within(secs(3), async || agent.local_status().connected.then_some(())).await;
    assert!(moved.is_none(), "it moved to another environment");
    put(&file, &serde_json::to_string(&second.connection("dev"))?)?;
    serves(&agent, 1).await;
    assert_eq!(hello(&agent), "moved");
    agent.stop().await;
    Ok(())
}

#[tokio::test]
async fn an_expired_credential_is_named_and_what_is_here_is_served_on() -> Result<()> {
    let test = TestBroker::start().await?;
    let cache = test.directory().join("cache");
    let lasting = mint(&test, "lasting", None)?;
    publish(&test, "1.0.0", "still here").await?;
    let start = async |credential: &MintedCredential| {
        LiveAgent::builder()
            .connection(test.connection("dev"))
            .credentials(credential.creds.as_str())
            .cache_dir(&cache)
            .start()
            .await
    };
    let agent = start(&lasting).await?;
    serves(&agent, 1).await;
    agent.stop().await;
    // One that ends while it is in use; where it ended before the machine came that far, one that lasts longer.
    let mut seconds: Micros = 4;
    let agent = loop {
        let soon = mint(&test, "soon", Some(now() + seconds * 1_000_000))?;
        let agent = start(&soon).await?;
        let let_in = until("it is let in or refused", PATIENCE, async || {
            let local = agent.local_status();
            (local.connects > 0 || local.refused.is_some()).then_some(local.connects > 0)
        })
        .await;
        if let_in {
            break agent;
        }
        agent.stop().await;
        seconds *= 4;
        assert!(seconds < 300, "a credential that ends in a minute is never let in");
    };
    assert_eq!(hello(&agent), "still here");
    let refused = until("it knows why", PATIENCE, async || {
        agent.local_status().refused.filter(|why| why.contains("expired"))
    })
    .await;
    assert!(refused.contains("refuses") && refused.contains("new one"), "{refused}");
    assert_eq!(hello(&agent), "still here");
    agent.stop().await;
    // One that had ended before.
    let past = mint(&test, "past", Some(now() - 3 * 86_400_000_000))?;
    let agent = start(&past).await?;
    let refused = until("it knows why", PATIENCE, async || agent.local_status().refused).await;
    assert!(refused.contains("expired 3 days ago"), "{refused}");
    assert_eq!(hello(&agent), "still here");
    agent.stop().await;
    // And one that has not serves what is new.
    let agent = start(&lasting).await?;
    publish(&test, "1.1.0", "new").await?;
    serves(&agent, 2).await;
    agent.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_no_credential_once_is_read_again_though_its_stamp_stays() -> Result<()> {
    let test = TestBroker::start().await?;
    let (first, second) = (mint(&test, "first", None)?, mint(&test, "second", None)?);
    let file = test.directory().join("agent.creds");
    put(&file, &first.creds)?;
    let agent = LiveAgent::builder()
        .connection(test.connection("dev"))
        .credentials_file(&file)
        .memory_only()
        .start()
        .await?;
    publish(&test, "1.0.0", "one").await?;
    serves(&agent, 1).await;
    put(&file, &"x".repeat(second.creds.len()))?;
    let stamp = std::fs::metadata(&file)?.modified()?;
    let moved = within(secs(3), async || (!agent.local_status().connected).then_some(())).await;
    assert!(moved.is_none(), "nonsense was taken up");
    // The same file, as long as before and of the same time: so do tools that copy times, and clocks that are coarse.
    let mut text = std::fs::File::options().write(true).open(&file)?;
    text.write_all(second.creds.as_bytes())?;
    text.set_modified(stamp)?;
    has(&test, &second.public_key, 1, "it uses the second").await;
    agent.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_connection_that_is_replaced_while_it_is_down_leaves_nothing_behind() -> Result<()> {
    let mut test = TestBroker::start().await?;
    let first = mint(&test, "first", None)?;
    let agent = LiveAgent::builder()
        .connection(test.connection("dev"))
        .credentials(first.creds.as_str())
        .memory_only()
        .start()
        .await?;
    publish(&test, "1.0.0", "one").await?;
    serves(&agent, 1).await;
    agent.wait_current(PATIENCE).await?;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    // Refused for good: the old one never gets in again.
    let before = tasks();
    test.revoke(&first.public_key).await?;
    until("it is refused", PATIENCE, async || agent.local_status().refused).await;
    agent.set_credentials(mint(&test, "second", None)?.creds.as_str()).await?;
    until("the first is gone", secs(120), async || (tasks() <= before + 1).then_some(())).await;
    // Out of reach, so that each is taken as it is.
    test.server.stop().await;
    until("the broker is gone", PATIENCE, async || (!agent.local_status().connected).then_some(())).await;
    let before = tasks();
    for number in 0..8 {
        let next = mint(&test, &format!("next-{number}"), None)?;
        agent.set_credentials(next.creds.as_str()).await?;
    }
    until("all but the last are gone", secs(120), async || (tasks() <= before + 1).then_some(())).await;
    assert_eq!(hello(&agent), "one");
    test.server.restart().await?;
    test.provision().await?;
    publish(&test, "1.1.0", "two").await?;
    serves(&agent, 2).await;
    agent.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_makes_a_credential_at_each_question_does_not_move_all_the_time() -> Result<()> {
    let test = TestBroker::start().await?;
    let made: Arc<Mutex<Vec<String>>> = Arc::default();
    let (asked, keys, scope) = (Arc::clone(&made), test.project_keys.clone(), test.scope("dev"));
    let agent = LiveAgent::builder()
        .connection(test.connection("dev"))
        .credentials_callback(move || {
            let hour = now() + 3_600_000_000;
            let one = credentials::mint(&keys, Role::Agent, &scope, "minted", Some(hour))?;
            asked.lock().expect("nobody panics").push(one.public_key.clone());
            Ok(one.creds.to_string())
        })
        .memory_only()
        .start()
        .await?;
    publish(&test, "1.0.0", "one").await?;
    serves(&agent, 1).await;
    let count = || made.lock().expect("nobody panics").len();
    let begun = count();
    until("it is asked a few times", secs(120), async || (count() >= begun + 3).then_some(())).await;
    let first = made.lock().expect("nobody panics")[0].clone();
    has(&test, &first, 1, "it stays with what it got in with").await;
    assert_eq!(agent.local_status().connects, 1);
    agent.stop().await;
    Ok(())
}
