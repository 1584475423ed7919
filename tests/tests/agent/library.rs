//! The agent as a library: one for the program, without `await`, by address, with a text of one's own.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::task::{Context, Poll};
use std::time::Instant;

use anyhow::{Context as _, Result};
use live_agent::{AgentError, GlobalError, LiveAgent, Mode, PromptError, Values, blocking, vars};
use tests::nats::TestBroker;
use tests::until::{secs, until};

use tests::stage::{PATIENCE, builder, hello, on_disk, publish, serves};

#[tokio::test]
async fn an_address_asks_for_organisation_and_version_and_hears_what_is_here_instead() -> Result<()> {
    let test = TestBroker::start().await?;
    test.publish(test.bundle("chat", "2.1.0", &[("hello", "Hello"), ("mail/reply", "Dear reader")])).await?;
    let agent = builder(&test, "addresses")?.memory_only().start().await?;
    agent.wait_current(PATIENCE).await?;
    for address in [
        "hello",
        "@chat/hello",
        "@acme/chat/hello",
        "@chat@2.1.0/hello",
        "@chat@^2/hello",
        "@acme/chat@~2.1/hello",
        "@acme/chat@latest/hello",
    ] {
        assert_eq!(agent.prompt(address, vars! {})?, "Hello", "{address}");
    }
    assert_eq!(agent.prompt("@acme/chat@2/mail/reply", vars! {})?, "Dear reader");

    let error = |address: &str| agent.prompt(address, vars! {}).unwrap_err();
    for (address, says) in [
        ("@chat@^1/hello", "publish one that fits"),
        ("@acme/chat@2.1.1/hello", "publish one that fits"),
        ("@acme/chat@stable/hello", "FORGE"),
    ] {
        let error = error(address);
        assert!(
            matches!(&error, PromptError::OtherVersion { here, .. } if here.to_string() == "2.1.0"),
            "{error}"
        );
        let text = error.to_string();
        assert!(text.contains(address) && text.contains("chat@2.1.0") && text.contains(says), "{text}");
    }
    assert!(matches!(error("@meridian/chat@2/hello"), PromptError::OtherOrganisation { .. }));
    assert!(matches!(error("@chat@v2!/hello"), PromptError::Address(_)));
    assert!(matches!(error("@chat"), PromptError::Address(_)));
    assert!(matches!(error("@shop@1/hello"), PromptError::Unknown { .. }));

    let found = |question: &str| agent.search(question).into_iter().map(|one| one.id).collect::<Vec<_>>();
    assert_eq!(found("HELLO"), ["hello"]);
    assert_eq!(found("reader"), ["mail/reply"], "by its text");
    assert_eq!(found("e"), ["hello", "mail/reply"]);
    assert_eq!(found("nowhere"), [""; 0]);
    Ok(())
}

#[tokio::test]
async fn a_missing_prompt_takes_the_callers_text_and_a_wrong_value_does_not() -> Result<()> {
    let test = TestBroker::start().await?;
    let agent = builder(&test, "defaults")?.memory_only().start().await?;
    let default = "Hi {{ name }}";
    assert_eq!(agent.prompt_or("hello", vars! {}, default)?, default, "nothing is served yet");
    agent.wait_current(PATIENCE).await?;
    let published = publish(&test, "1.0.0", "Hello").await?;
    serves(&agent, published.serial).await;
    assert_eq!(agent.prompt_or("hello", vars! {}, default)?, "Hello");
    assert_eq!(agent.prompt_or("@shop/hello", vars! {}, default)?, default, "no such set");
    assert_eq!(agent.prompt_or("goodbye", vars! {}, default)?, default, "no such prompt");
    let wrong = agent.prompt_or("hello", vars! { name: "Ada" }, default).unwrap_err();
    assert!(matches!(wrong, PromptError::Render(_)), "{wrong}");
    let other = agent.prompt_or("@chat@^2/hello", vars! {}, default).unwrap_err();
    assert!(matches!(other, PromptError::OtherVersion { .. }), "{other}");
    assert_eq!(agent.status().counters.defaults, 3);
    assert_eq!(agent.status().counters.render_errors, 5);
    Ok(())
}

/// All of it in one test: there is one such agent in a process.
#[tokio::test]
async fn the_program_has_one_agent_and_says_so_before_it_has_any() -> Result<()> {
    let none = |result: Result<String, PromptError>| matches!(result, Err(PromptError::NotStarted));
    assert!(live_agent::agent().is_none());
    assert!(none(live_agent::prompt("hello", vars! {})));
    assert!(none(live_agent::prompt_to("hello", Values::new(), &mut String::new()).map(|()| String::new())));
    assert!(matches!(live_agent::messages("hello", vars! {}, &[]), Err(PromptError::NotStarted)));
    assert!(matches!(live_agent::template("hello"), Err(PromptError::NotStarted)));
    assert!(matches!(live_agent::list(), Err(PromptError::NotStarted)));
    assert!(matches!(live_agent::search(""), Err(PromptError::NotStarted)));
    assert!(matches!(live_agent::status(), Err(PromptError::NotStarted)));
    assert!(matches!(live_agent::subscribe(), Err(PromptError::NotStarted)));
    assert_eq!(live_agent::prompt_or("hello", vars! {}, "Hi")?, "Hi");

    let test = TestBroker::start().await?;
    publish(&test, "1.0.0", "Hello").await?;
    let agent = builder(&test, "global")?.memory_only().start_global().await?;
    agent.wait_current(PATIENCE).await?;
    let mut changes = live_agent::subscribe()?;
    assert_eq!(live_agent::prompt("hello", vars! {})?, "Hello");
    assert_eq!(live_agent::prompt("hello", &vars! {})?, "Hello");
    let mut text = "> ".to_owned();
    live_agent::prompt_to("hello", vars! {}, &mut text)?;
    assert_eq!(text, "> Hello");
    assert_eq!(live_agent::list()?.len(), 1);
    assert_eq!(live_agent::search("hel")?.len(), 1);
    assert_eq!(live_agent::status()?.agent.as_str(), "global");
    assert_eq!(live_agent::template("hello")?.id.as_str(), "hello");

    let second = builder(&test, "second")?.memory_only();
    assert!(matches!(second.clone().start_global().await, Err(GlobalError::Already)));
    let second: LiveAgent = second.start().await?.make_global().unwrap_err().0;
    assert_eq!(second.name().as_str(), "second", "it is handed back and goes on");

    let third = builder(&test, "third")?.memory_only();
    let third = tokio::task::spawn_blocking(move || {
        let refused = blocking::LiveAgent::start(third)?.make_global().unwrap_err();
        let third: blocking::LiveAgent = refused.0;
        third.wait_current(PATIENCE)?;
        anyhow::Ok(third.name().to_string())
    });
    assert_eq!(third.await??, "third", "handed back and not ended");

    let published = publish(&test, "1.1.0", "Hello again").await?;
    let change = tokio::time::timeout(PATIENCE, changes.recv()).await??;
    assert_eq!(change.serial, published.serial);
    assert_eq!(live_agent::prompt("hello", vars! {})?, "Hello again");
    agent.stop().await;
    assert_eq!(live_agent::prompt("hello", vars! {})?, "Hello again", "stopped, it serves what it has");
    Ok(())
}

fn hears(changes: &Receiver<u64>) -> Option<u64> {
    changes.recv_timeout(PATIENCE).ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callback_hears_every_change_until_the_agent_ends_and_a_panic_in_one_is_its_own() -> Result<()> {
    let test = TestBroker::start().await?;
    let agent = builder(&test, "callbacks")?.memory_only().start().await?;
    let (send, heard) = channel();
    agent.on_change(move |change| {
        let _ = send.send(change.serial);
    })?;
    let (send, fell) = channel();
    agent.on_change(move |change| {
        let _ = send.send(change.serial);
        panic!("the host's own fault");
    })?;
    agent.wait_current(PATIENCE).await?;
    publish(&test, "1.0.0", "one").await?;
    assert_eq!((hears(&heard), hears(&fell)), (Some(1), Some(1)));
    publish(&test, "1.1.0", "two").await?;
    assert_eq!(hears(&heard), Some(2));
    assert_eq!(fell.recv_timeout(PATIENCE), Err(std::sync::mpsc::RecvTimeoutError::Disconnected));
    assert_eq!(hello(&agent), "two");
    agent.stop().await;
    assert_eq!(
        heard.recv_timeout(PATIENCE),
        Err(std::sync::mpsc::RecvTimeoutError::Disconnected),
        "its thread ends with the agent, though the handle is still held"
    );
    assert!(agent.on_change(|_| {}).is_err());

    let dropped = builder(&test, "dropped")?.memory_only().start().await?;
    let (send, heard) = channel();
    dropped.on_change(move |change| {
        let _ = send.send(change.serial);
    })?;
    drop(dropped);
    until("the thread of a dropped agent ends", PATIENCE, async || {
        (heard.try_recv() == Err(std::sync::mpsc::TryRecvError::Disconnected)).then_some(())
    })
    .await;
    Ok(())
}

/// Everything of the blocking agent, once; `publish` is what FORGE does meanwhile.
fn use_blocking(builder: live_agent::Builder, publish: impl Fn(&str)) -> Result<()> {
    let agent = blocking::LiveAgent::start(builder)?;
    agent.wait_current(PATIENCE)?;
    let mut changes = agent.subscribe();
    let (send, heard) = channel();
    agent.on_change(move |change| {
        let _ = send.send(change.serial);
    })?;
    publish("Hello");
    let serial = hears(&heard).context("no change")?;
    assert_eq!(changes.try_recv()?.serial, serial);
    assert_eq!(agent.prompt("hello", vars! {})?, "Hello");
    assert_eq!(agent.prompt_or("none", vars! {}, "Hi")?, "Hi");
    assert_eq!((agent.list().len(), agent.search("hello").len()), (1, 1));
    agent.set_mode(Mode::Frozen)?;
    assert_eq!((agent.mode(), agent.sync()?.mode), (Mode::Frozen, Mode::Frozen));
    agent.set_mode(Mode::Accepting)?;
    let chat = schemas::Slug::new("chat")?;
    agent.pin(chat.clone(), "^9".parse()?)?;
    assert_eq!(agent.pins().len(), 1);
    agent.unpin(&chat)?;
    assert!(agent.pins().is_empty() && agent.waiting().is_empty());
    assert!(agent.check()?.sets[0].active.is_some());
    assert!(agent.history(Some(&chat))?.iter().any(|entry| entry.active));
    agent.report("hello", &live_agent::Call::new())?;
    let other = agent.clone();
    assert_eq!(std::thread::spawn(move || other.prompt("hello", vars! {})).join().unwrap()?, "Hello");
    agent.stop();
    assert!(agent.sync().is_err(), "it is stopped");
    assert_eq!(agent.prompt("hello", vars! {})?, "Hello");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_blocking_agent_works_on_a_plain_thread_and_inside_a_runtime() -> Result<()> {
    let test = TestBroker::start().await?;
    let runtime = tokio::runtime::Handle::current();
    let builder = |name| Ok::<_, anyhow::Error>(builder(&test, name)?.memory_only());
    let (plain, inside) = (builder("plain-thread")?, builder("inside")?);
    std::thread::scope(|scope| {
        let publish = |text: &str| {
            runtime.block_on(publish(&test, "1.0.0", text)).unwrap();
        };
        // Off the runtime: there is none on this thread.
        tokio::task::block_in_place(|| scope.spawn(move || use_blocking(plain, publish)).join().unwrap())
    })?;
    // On a thread of the runtime, as a handler of a request would call it; even its end.
    let publish = |text: &str| {
        tokio::task::block_in_place(|| runtime.block_on(publish(&test, "1.1.0", text))).unwrap();
    };
    use_blocking(inside, publish)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_last_blocking_agent_ends_it_and_lets_its_cache_go() -> Result<()> {
    let test = TestBroker::start().await?;
    let dir = test.directory().join("cache");
    publish(&test, "1.0.0", "Hello").await?;
    let first = blocking::LiveAgent::start(on_disk(&test, "first", &dir)?)?;
    first.wait_current(PATIENCE)?;
    let second = first.clone();
    drop(first);
    assert_eq!(second.prompt("hello", vars! {})?, "Hello", "a clone keeps it");
    let started = Instant::now();
    drop(second);
    assert!(started.elapsed() < PATIENCE, "the end waits for a bounded time");
    let next = blocking::LiveAgent::start(on_disk(&test, "next", &dir)?)?;
    // At once, or a little later where the first was not done when nobody waited for it any longer.
    until("it is the one that writes", PATIENCE, async || (next.status().cache == "disk").then_some(()))
        .await;
    assert_eq!(next.prompt("hello", vars! {})?, "Hello");
    let bad = blocking::LiveAgent::start(LiveAgent::builder());
    assert!(bad.unwrap_err().to_string().contains("connection is not set"));
    Ok(())
}

/// Waits on a thread that has no runtime, as another one's executor would.
fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let (mut future, mut context) = (std::pin::pin!(future), Context::from_waker(&waker));
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(done) => return done,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[test]
fn an_agent_that_is_asked_outside_of_a_runtime_answers_or_says_what_to_do() -> Result<()> {
    let error = wait(LiveAgent::builder().start()).unwrap_err().to_string();
    assert!(error.contains("blocking::LiveAgent"), "{error}");
    assert!(wait(LiveAgent::builder().pull(Path::new("image"), &[])).is_err());

    // One that was made without a runtime as well.
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("hello.md"), "Hello")?;
    let agent = LiveAgent::from_folder(folder.path())?;
    let local = schemas::Slug::new("local")?;
    wait(agent.set_mode(Mode::Frozen))?;
    wait(agent.pin(local.clone(), "^1".parse()?))?;
    wait(agent.unpin(&local))?;
    for error in [
        wait(agent.sync()).map(drop),
        wait(agent.check()).map(drop),
        wait(agent.history(None)).map(drop),
        wait(agent.wait_current(secs(1))).map(drop),
    ] {
        assert!(matches!(error, Err(AgentError::Unreachable(why)) if why.contains("follows nobody")));
    }
    assert!(wait(agent.set_credentials("none")).is_err());
    wait(agent.stop());
    assert_eq!(agent.prompt("hello", vars! {})?, "Hello");

    // And the handle of one that has a runtime of its own.
    let runtime = tokio::runtime::Runtime::new()?;
    let test = runtime.block_on(TestBroker::start())?;
    runtime.block_on(publish(&test, "1.0.0", "one"))?;
    let dir = test.directory().join("cache");
    let agent = blocking::LiveAgent::start(on_disk(&test, "handle", &dir)?)?;
    let handle = agent.handle().clone();
    wait(handle.wait_current(PATIENCE))?;
    wait(handle.set_mode(Mode::Frozen))?;
    wait(handle.pin(schemas::Slug::new("chat")?, "^2".parse()?))?;
    assert_eq!(wait(handle.sync())?.mode, Mode::Frozen);
    assert_eq!(wait(handle.history(None))?.len(), 1);
    wait(handle.stop());
    assert!(wait(handle.sync()).is_err());
    // Its runtime is gone: what is asked of it ends all the same.
    drop(agent);
    assert!(wait(handle.sync()).is_err() && wait(handle.check()).is_err());
    wait(handle.stop());
    assert_eq!(hello(&handle), "one");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_syncs_while_the_connection_changes_is_not_told_that_the_agent_is_stopped() -> Result<()> {
    let test = TestBroker::start().await?;
    publish(&test, "1.0.0", "one").await?;
    let agent = builder(&test, "moving")?.memory_only().start().await?;
    agent.wait_current(PATIENCE).await?;
    let moved = AtomicBool::new(false);
    let asking = async {
        let mut errors = Vec::new();
        while !moved.load(Ordering::Relaxed) {
            errors.extend(agent.check().await.err().map(|error| error.to_string()));
        }
        errors
    };
    let moving = async {
        for number in 0..8 {
            let (minted, _) = test.mint(&format!("moving-{number}"))?;
            // The broker waits for two seconds for who signs in.
            until("it moves", PATIENCE, async || agent.set_credentials(minted.creds.as_str()).await.ok())
                .await;
        }
        moved.store(true, Ordering::Relaxed);
        anyhow::Ok(())
    };
    let (errors, done) = tokio::join!(asking, moving);
    done?;
    assert!(errors.iter().all(|error| !error.contains("stopped")), "{errors:?}");
    agent.stop().await;
    assert_eq!(agent.check().await.unwrap_err().to_string(), "the agent is stopped");
    Ok(())
}
