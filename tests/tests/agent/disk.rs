//! The disk cache under an agent: shared, full, damaged, and the process killed at any moment.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use live_agent::{Builder, LiveAgent, Mode};
use schemas::status::OrderResult;
use tests::nats::TestBroker;
use tests::tools;
use tests::until::{millis, secs, until};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

use tests::stage::{PATIENCE, active, hello, on_disk, order, publish, serves};

#[tokio::test]
async fn two_agents_share_a_cache_folder_and_both_serve() -> Result<()> {
    let test = TestBroker::start().await?;
    let dir = test.directory().join("cache");
    let first = on_disk(&test, "worker", &dir)?.start().await?;
    publish(&test, "1.0.0", "one").await?;
    serves(&first, 1).await;
    let second = on_disk(&test, "worker", &dir)?.start().await?;
    assert_eq!(hello(&second), "one", "it reads what the first wrote");
    assert_ne!(first.name(), second.name(), "they are two agents");
    assert_ne!(first.status().identity, second.status().identity);
    assert!(second.status().cache.contains("another agent writes"), "{}", second.status().cache);
    publish(&test, "1.1.0", "two").await?;
    serves(&first, 2).await;
    serves(&second, 2).await;
    let unstored = second.set_mode(Mode::Frozen).await.unwrap_err().to_string();
    assert!(unstored.contains("until the process ends"), "{unstored}");
    assert_eq!((second.mode(), first.mode()), (Mode::Frozen, Mode::Accepting));
    second.stop().await;
    first.stop().await;
    let third = on_disk(&test, "worker", &dir)?.start().await?;
    assert_eq!((third.name().as_str(), third.status().cache.as_str()), ("worker", "disk"));
    assert_eq!(hello(&third), "two");
    Ok(())
}

#[tokio::test]
async fn when_the_agent_that_writes_a_shared_cache_ends_another_one_takes_over() -> Result<()> {
    let test = TestBroker::start().await?;
    let dir = test.directory().join("cache");
    // Killed, as a machine's memory does it.
    let mut writer = live(&test, &dir, "writer")?;
    publish(&test, "1.0.0", "one").await?;
    until("the first is on disk", PATIENCE, async || {
        let looked = on_disk(&test, "looker", &dir).ok()?.read_offline().ok()?;
        active(&looked.status().status, "chat")
    })
    .await;
    let agent = on_disk(&test, "heir", &dir)?.start().await?;
    let name = agent.name().clone();
    assert!(agent.status().cache.contains("another agent writes"), "{}", agent.status().cache);
    // A writer that hangs takes nothing up; the other one does.
    let pid = nix::unistd::Pid::from_raw(i32::try_from(writer.id().context("it runs")?)?);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP)?;
    publish(&test, "1.1.0", "two").await?;
    serves(&agent, 2).await;
    writer.kill().await?;
    until("it writes", PATIENCE, async || (agent.status().cache == "disk").then_some(())).await;
    let on_disk_now = || -> Result<Option<u64>> {
        let looked = on_disk(&test, "looker", &dir)?.read_offline()?;
        Ok(active(&looked.status().status, "chat").map(|a| a.serial))
    };
    assert_eq!(on_disk_now()?, Some(2), "what it took up before it wrote");
    assert_eq!(*agent.name(), name, "it stays who it is");
    publish(&test, "1.2.0", "three").await?;
    serves(&agent, 3).await;
    assert_eq!(on_disk_now()?, Some(3));
    // Its socket takes the place of the other one's a little after.
    let asked = until("the socket answers", PATIENCE, async || {
        live_agent::control::ask(&dir, &live_agent::control::Question::Status).await.ok()
    })
    .await;
    assert_eq!(asked["agent"], name.as_str(), "and it is the one that answers");
    agent.set_mode(Mode::Frozen).await?;
    agent.stop().await;
    let next = on_disk(&test, "next", &dir)?.start().await?;
    assert_eq!((hello(&next).as_str(), next.mode()), ("three", Mode::Frozen));
    Ok(())
}

#[tokio::test]
async fn who_takes_over_a_frozen_cache_thaws_nothing_in_it_and_forgets_no_order() -> Result<()> {
    let test = TestBroker::start().await?;
    let dir = test.directory().join("cache");
    publish(&test, "1.0.0", "one").await?;
    let first = on_disk(&test, "worker", &dir)?.start().await?;
    serves(&first, 1).await;
    let second = on_disk(&test, "worker", &dir)?.remote_mode(false).start().await?;
    first.set_mode(Mode::Frozen).await?;
    publish(&test, "1.1.0", "two").await?;
    serves(&second, 2).await;
    let waits = |agent: &LiveAgent| agent.waiting().first().map(|one| one.waits.serial);
    until("it waits at the first", PATIENCE, async || (waits(&first) == Some(2)).then_some(())).await;
    let dealt = async |agent: &LiveAgent, number, mode| {
        until(&format!("order {number} is dealt with"), PATIENCE, async || {
            test.order(vec![order(number, mode)]).await.ok()?;
            agent.status().order.filter(|answer| answer.number == number)
        })
        .await
        .result
    };
    assert_eq!(dealt(&first, 5, Mode::Frozen).await, OrderResult::Done);
    let identity = first.status().identity;
    first.stop().await;
    until("the second writes", PATIENCE, async || (second.status().cache == "disk").then_some(())).await;
    assert_eq!((second.mode(), hello(&second).as_str()), (Mode::Frozen, "two"), "FROZEN, with what it has");
    assert_eq!(dealt(&second, 6, Mode::Accepting).await, OrderResult::Forbidden);
    assert_eq!(second.mode(), Mode::Frozen);
    second.stop().await;

    let third = on_disk(&test, "worker", &dir)?.start().await?;
    assert_eq!((third.mode(), hello(&third).as_str()), (Mode::Frozen, "one"), "nobody thawed it");
    assert_eq!((waits(&third), third.status().identity), (Some(2), identity));
    assert_eq!(third.status().order.map(|answer| answer.number), Some(6), "what was dealt with is so");
    third.set_mode(Mode::Accepting).await?;
    assert_eq!(hello(&third), "two");
    Ok(())
}

/// A program with one thread for all, in which the agent is; it counts how often that thread turns.
struct Host {
    agent: LiveAgent,
    turns: Arc<AtomicU64>,
    end: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<Result<()>>,
}

impl Host {
    const TURN: Duration = millis(20);

    async fn start(builder: Builder) -> Result<Self> {
        let turns = Arc::new(AtomicU64::new(0));
        let ((tell, told), (end, ended)) = (oneshot::channel(), oneshot::channel());
        let count = Arc::clone(&turns);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async move {
                let agent = builder.start().await?;
                let _ = tell.send(agent.clone());
                let mut looks = tokio::time::interval(Self::TURN);
                let turn = async {
                    loop {
                        looks.tick().await;
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                };
                tokio::select! { _ = ended => {}, () = turn => {} }
                agent.stop().await;
                Ok(())
            })
        });
        Ok(Self { agent: told.await?, turns, end, thread })
    }

    fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    fn stop(self) -> Result<()> {
        let _ = self.end.send(());
        self.thread.join().expect("the host ends")
    }
}

/// A pipe in the place of the data file: whoever opens it waits for the other end. That comes when this is dropped.
struct Hung {
    data: PathBuf,
    aside: PathBuf,
}

impl Hung {
    fn at(dir: &Path) -> Result<Self> {
        let (data, aside) = (dir.join("store/data.mdb"), dir.join("hung"));
        anyhow::ensure!(std::process::Command::new("mkfifo").arg(&aside).status()?.success(), "no pipe");
        // At once: where there is no file, one is made.
        std::fs::rename(&aside, &data)?;
        Ok(Self { data, aside })
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        if std::fs::rename(&self.data, &self.aside).is_ok() {
            // For both, which waits for nobody itself.
            let _ = std::fs::File::options().read(true).write(true).open(&self.aside);
        }
    }
}

#[tokio::test]
async fn a_volume_that_hangs_holds_up_no_thread_of_the_host() -> Result<()> {
    let test = TestBroker::start().await?;
    let dir = test.directory().join("cache");
    publish(&test, "1.0.0", "one").await?;
    let host = Host::start(on_disk(&test, "hung", &dir)?).await?;
    let agent = host.agent.clone();
    serves(&agent, 1).await;
    // What came is on the disk then: else that would wait for the pipe, and the mode for that.
    agent.wait_current(PATIENCE).await?;
    let hung = Hung::at(&dir)?;
    let freezing = tokio::spawn({
        let agent = agent.clone();
        async move { agent.set_mode(Mode::Frozen).await }
    });
    until("the disk is waited for", PATIENCE, async || (agent.mode() == Mode::Frozen).then_some(())).await;
    // Some of the agent's ticks, and more than one time at which it would save.
    let enough = host.turns() + 350;
    until("the host's thread goes on", secs(90), async || (host.turns() >= enough).then_some(())).await;
    assert_eq!(hello(&agent), "one");
    assert!(agent.health().live && !freezing.is_finished());

    drop(hung);
    freezing.await??;
    until("all is on disk", PATIENCE, async || (agent.status().cache == "disk").then_some(())).await;
    let looked = on_disk(&test, "looker", &dir)?.read_offline()?.status().status;
    assert_eq!((active(&looked, "chat").map(|a| a.serial), looked.mode), (Some(1), Mode::Frozen));
    host.stop()
}

#[tokio::test]
async fn a_read_only_disk_is_read_and_the_rest_goes_on_in_memory() -> Result<()> {
    let test = TestBroker::start().await?;
    let dir = test.directory().join("read-only");
    let Some(_tiny) = Tiny::mount(&dir, "2m")? else {
        tools::skipped("a_read_only_disk_…: no file system can be mounted here (not root)");
        return Ok(());
    };
    let agent = on_disk(&test, "readonly", &dir)?.start().await?;
    publish(&test, "1.0.0", "one").await?;
    serves(&agent, 1).await;
    agent.stop().await;
    // A program that another test is just starting has every file of this one until it runs, open ones too.
    until("it is mounted read-only", PATIENCE, async || {
        let mut remount = Command::new("mount");
        remount.args(["-o", "remount,ro"]).arg(&dir).stderr(Stdio::null());
        remount.status().await.ok()?.success().then_some(())
    })
    .await;
    let agent = on_disk(&test, "readonly", &dir)?.start().await?;
    assert_eq!(hello(&agent), "one", "from the disk");
    let cache = agent.status().cache;
    assert!(cache.starts_with("memory: ") && cache.contains("cannot be written"), "{cache}");
    publish(&test, "1.1.0", "two").await?;
    serves(&agent, 2).await;
    assert_eq!(hello(&agent), "two");
    let unstored = agent.set_mode(Mode::Frozen).await.unwrap_err().to_string();
    assert!(
        unstored.contains("until the process ends") && unstored.contains("cannot be written"),
        "{unstored}"
    );
    agent.stop().await;
    Ok(())
}

#[tokio::test]
async fn no_disk_at_all_is_said() -> Result<()> {
    let test = TestBroker::start().await?;
    let agent = tests::stage::builder(&test, "diskless")?.memory_only().start().await?;
    publish(&test, "1.0.0", "one").await?;
    serves(&agent, 1).await;
    assert_eq!(agent.status().cache, "memory");
    Ok(())
}

#[tokio::test]
async fn a_damaged_cache_is_set_aside_and_fetched_again() -> Result<()> {
    let test = TestBroker::start().await?;
    let dir = test.directory().join("cache");
    publish(&test, "1.0.0", &"a long text ".repeat(2_000)).await?;
    let text = "a long text ".repeat(2_000);
    let agent = on_disk(&test, "damaged", &dir)?.start().await?;
    serves(&agent, 1).await;
    agent.wait_current(PATIENCE).await?;
    agent.stop().await;
    let data = dir.join("store/data.mdb");
    let whole = std::fs::read(&data)?;
    for cut in [whole.len() / 2, 4096, 100, 0] {
        std::fs::write(&data, &whole[..cut])?;
        let agent = on_disk(&test, "damaged", &dir)?.start().await?;
        serves(&agent, 1).await;
        assert_eq!(hello(&agent), text);
        agent.wait_current(PATIENCE).await?;
        assert_eq!(agent.status().cache, "disk");
        agent.stop().await;
    }
    assert!(aside(&dir)? >= 1, "the damaged ones are kept for a look");
    Ok(())
}

#[tokio::test]
async fn a_cache_that_cannot_be_baked_leaves_the_file_as_it_was() -> Result<()> {
    let test = TestBroker::start().await?;
    let (dir, image) = (test.directory().join("cache"), test.directory().join("image.baked"));
    let bake = async || LiveAgent::bake(&dir, &image).await.map_err(|error| error.to_string());
    let error = bake().await.unwrap_err();
    assert!(error.contains("holds no bundle"), "there is no cache yet: {error}");
    assert!(!image.exists());
    publish(&test, "1.0.0", &"a long text ".repeat(2_000)).await?;
    let agent = on_disk(&test, "baked", &dir)?.start().await?;
    serves(&agent, 1).await;
    agent.wait_current(PATIENCE).await?;
    agent.stop().await;
    assert_eq!(bake().await, Ok(1));
    let good = std::fs::read(&image)?;
    let data = dir.join("store/data.mdb");
    let whole = std::fs::read(&data)?;
    std::fs::write(&data, &whole[..whole.len() / 2])?;
    let error = bake().await.unwrap_err();
    assert!(error.contains("damaged"), "{error}");
    std::fs::remove_file(&data)?;
    std::fs::create_dir(&data)?;
    assert!(bake().await.is_err(), "it cannot be read");
    assert_eq!(std::fs::read(&image)?, good, "the good one is still there");
    Ok(())
}

#[tokio::test]
async fn a_cache_cut_off_under_a_running_agent_costs_nothing() -> Result<()> {
    let test = TestBroker::start().await?;
    let dir = test.directory().join("cache");
    let agent = on_disk(&test, "cut", &dir)?.start().await?;
    publish(&test, "1.0.0", &"one ".repeat(5_000)).await?;
    serves(&agent, 1).await;
    // It is done with the file.
    agent.wait_current(PATIENCE).await?;
    let data = dir.join("store/data.mdb");
    std::fs::File::options().write(true).open(&data)?.set_len(5_000)?;
    assert_eq!(hello(&agent), "one ".repeat(5_000));
    publish(&test, "1.1.0", "two").await?;
    serves(&agent, 2).await;
    agent.stop().await;
    assert!(aside(&dir)? >= 1);
    let agent = on_disk(&test, "cut", &dir)?.start().await?;
    assert_eq!(hello(&agent), "two");
    Ok(())
}

/// An agent that names itself, with all that it has on disk.
fn unnamed(test: &TestBroker, dir: &Path) -> Result<Builder> {
    let (minted, connection) = test.mint("unnamed")?;
    Ok(LiveAgent::builder().connection(connection).credentials(minted.creds.as_str()).cache_dir(dir))
}

type Loss = (&'static str, fn(&Path) -> std::io::Result<()>);

const LOSSES: [Loss; 3] = [
    ("removed", |data| std::fs::remove_file(data)),
    ("cut", |data| std::fs::File::options().write(true).open(data)?.set_len(20_000)),
    ("emptied", |data| std::fs::write(data, "")),
];

#[tokio::test]
async fn a_cache_lost_under_a_running_agent_is_written_again_whole() -> Result<()> {
    let mut test = TestBroker::start().await?;
    let sets = ["alpha", "beta", "chat", "delta", "omega"];
    let text = |set: &str| format!("{set} {}", "text ".repeat(3_000));
    for set in sets {
        test.publish(test.bundle(set, "1.0.0", &[("hello", &text(set))])).await?;
    }
    let mut running = Vec::new();
    for (what, lose) in LOSSES {
        let dir = test.directory().join(what);
        let agent = unnamed(&test, &dir)?.start().await?;
        until("all is served", PATIENCE, async || {
            sets.iter().all(|set| active(&agent.status(), set).is_some()).then_some(())
        })
        .await;
        agent.wait_current(PATIENCE).await?;
        lose(&dir.join("store/data.mdb"))?;
        running.push((what, dir, agent));
    }
    publish(&test, "1.1.0", "two").await?;
    let mut ended = Vec::new();
    for (what, dir, agent) in running {
        serves(&agent, 2).await;
        ended.push((what, dir, agent.name().clone(), agent.status().identity));
        agent.stop().await;
    }
    test.server.stop().await;
    for (what, dir, name, identity) in ended {
        let agent = unnamed(&test, &dir)?.start().await?;
        let status = agent.status();
        assert_eq!(
            (agent.name(), &status.identity, status.cache.as_str()),
            (&name, &identity, "disk"),
            "{what}"
        );
        for set in sets {
            let expected = if set == "chat" { "two".to_owned() } else { text(set) };
            let said = agent.prompt(&format!("@{set}/hello"), &live_agent::vars! {});
            assert_eq!(said.ok(), Some(expected), "{what}: {set}");
        }
        agent.stop().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_cache_lost_under_a_frozen_agent_is_written_again_whole() -> Result<()> {
    let mut test = TestBroker::start().await?;
    publish(&test, "1.0.0", "one").await?;
    test.publish(test.bundle("mail", "1.0.0", &[("reply", "Dear reader")])).await?;
    let mut running = Vec::new();
    for (what, lose) in LOSSES {
        let dir = test.directory().join(what);
        let agent = on_disk(&test, what, &dir)?.start().await?;
        agent.wait_current(PATIENCE).await?;
        serves(&agent, 1).await;
        until("all is served", PATIENCE, async || active(&agent.status(), "mail")).await;
        agent.set_mode(Mode::Frozen).await?;
        lose(&dir.join("store/data.mdb"))?;
        running.push((what, dir, agent));
    }
    publish(&test, "1.1.0", "two").await?;
    let waits = |agent: &LiveAgent| agent.waiting().first().map(|one| one.waits.serial);
    for (_, _, agent) in &running {
        until("it waits", PATIENCE, async || waits(agent)).await;
        agent.stop().await;
    }
    test.server.stop().await;
    for (what, dir, _) in &running {
        let agent = on_disk(&test, what, dir)?.start().await?;
        assert_eq!(
            (agent.mode(), hello(&agent).as_str(), waits(&agent)),
            (Mode::Frozen, "one", Some(2)),
            "{what}"
        );
        assert_eq!(agent.prompt("reply", &live_agent::vars! {})?, "Dear reader", "{what}");
        agent.stop().await;
    }
    Ok(())
}

fn aside(dir: &Path) -> Result<usize> {
    let names = std::fs::read_dir(dir)?.flatten().map(|e| e.file_name());
    Ok(names.filter(|n| n.to_string_lossy().starts_with("damaged-")).count())
}

/// A file system of its own, so small that it is soon full. Needs root, as the tests' machine has it.
struct Tiny(std::path::PathBuf);

impl Tiny {
    fn mount(at: &Path, size: &str) -> Result<Option<Self>> {
        std::fs::create_dir_all(at)?;
        let done = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(at)
            .stderr(Stdio::null())
            .status()?;
        Ok(done.success().then(|| Self(at.into())))
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_said_and_served_around_and_made_good_when_there_is_room() -> Result<()> {
    let test = TestBroker::start().await?;
    let dir = test.directory().join("tiny");
    let Some(_tiny) = Tiny::mount(&dir, "256k")? else {
        tools::skipped("a_full_disk_…: no file system can be mounted here (not root)");
        return Ok(());
    };
    let agent = on_disk(&test, "full", &dir)?.start().await?;
    publish(&test, "1.0.0", "small").await?;
    serves(&agent, 1).await;
    until("it is on disk", PATIENCE, async || (agent.status().cache == "disk").then_some(())).await;
    // Somebody else fills the disk.
    let mut filler = Vec::new();
    while std::fs::write(dir.join(format!("filler-{}", filler.len())), vec![7; 16 * 1024]).is_ok() {
        filler.push(());
    }
    publish(&test, "1.1.0", &random(40_000)).await?;
    let applied = serves(&agent, 2).await;
    assert_eq!(applied.version.to_string(), "1.1.0");
    let cache = until("it says so", PATIENCE, async || {
        Some(agent.status().cache).filter(|cache| cache.starts_with("memory: "))
    })
    .await;
    assert!(cache.contains("space") || cache.contains("28"), "{cache}");
    // What is on disk is the last good.
    let seen = on_disk(&test, "looker", &dir)?.read_offline()?;
    assert_eq!(active(&seen.status().status, "chat").map(|a| a.serial), Some(1));
    for number in 0..=filler.len() {
        let _ = std::fs::remove_file(dir.join(format!("filler-{number}")));
    }
    until("there is room and it is saved", PATIENCE, async || (agent.status().cache == "disk").then_some(()))
        .await;
    let seen = on_disk(&test, "looker", &dir)?.read_offline()?;
    assert_eq!(active(&seen.status().status, "chat").map(|a| a.serial), Some(2));
    agent.stop().await;
    Ok(())
}

/// Text that does not compress.
fn random(length: usize) -> String {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'a' + u8::try_from(state % 26).unwrap_or(0))
    };
    (0..length).map(|_| next()).collect()
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_served_around() -> Result<()> {
    let test = TestBroker::start().await?;
    // A file where the folder should be: no user may make a folder there.
    let blocked = test.directory().join("blocked");
    std::fs::write(&blocked, "")?;
    let agent = on_disk(&test, "readonly", &blocked.join("cache"))?.start().await?;
    publish(&test, "1.0.0", "one").await?;
    serves(&agent, 1).await;
    assert!(agent.status().cache.contains("cannot be written"), "{}", agent.status().cache);
    Ok(())
}

fn live(test: &TestBroker, dir: &Path, name: &str) -> Result<Child> {
    let (creds, connect) = (
        test.directory().join(format!("{name}.creds")),
        test.directory().join(format!("{name}.connect.json")),
    );
    if !creds.exists() {
        test.write_credential(name)?;
    }
    let mut command = Command::new(tools::binary("live"));
    command.args(["run", "--name", name]).arg("--cache-dir").arg(dir);
    command.arg("--credentials").arg(creds).arg("--connection").arg(connect);
    command.env("LIVE_CONFIG_DIR", test.directory()).stdout(Stdio::null()).stderr(Stdio::null());
    command.kill_on_drop(true).spawn().context("starting live")
}

#[tokio::test]
async fn a_kill_at_any_moment_of_taking_up_leaves_a_last_good_that_can_be_read() -> Result<()> {
    let test = TestBroker::start().await?;
    let dir = test.directory().join("cache");
    let padding = random(60_000);
    // Whoever has nothing yet waits for FORGE's word, and there is no FORGE here.
    let mut child = live(&test, &dir, "victim")?;
    publish(&test, "1.0.0", &format!("1 {padding}")).await?;
    until("the first is on disk", PATIENCE, async || {
        let looked = on_disk(&test, "looker", &dir).ok()?.read_offline().ok()?;
        active(&looked.status().status, "chat")
    })
    .await;
    child.start_kill()?;
    child.wait().await?;
    let first = 1;
    let mut last_seen = first;
    // About as long as it takes this machine now to take something up.
    let mut reach = millis(80);
    for round in first + 1..=40_u64 {
        let mut child = live(&test, &dir, "victim")?;
        let text = format!("{round} {padding}");
        // The kill falls somewhere into start, replay, verification, commit or sync of this one.
        let moment = millis(4) + reach.mul_f64(((round * 7_919) % 80_000) as f64 / 80_000.0);
        let version = format!("1.{round}.0");
        let publishing = publish(&test, &version, &text);
        let (published, ()) = tokio::join!(publishing, tokio::time::sleep(moment));
        let published = published?;
        child.start_kill()?;
        child.wait().await?;
        let looked = on_disk(&test, "looker", &dir)?.read_offline()?;
        let status = looked.status().status;
        let Some(applied) = active(&status, "chat") else {
            panic!("round {round}: what was here is gone");
        };
        assert!(applied.serial >= last_seen && applied.serial <= published.serial, "round {round}");
        reach =
            if applied.serial == last_seen { reach.mul_f64(1.25).min(secs(20)) } else { reach.mul_f64(0.8) };
        last_seen = applied.serial;
        let rendered = looked.prompt("hello", &live_agent::vars! {})?;
        assert_eq!(rendered, format!("{} {padding}", applied.serial), "round {round}: half of one");
    }
    assert!(last_seen > first, "no round came as far as taking something up");
    // Left alone, it comes to the newest, on the same folder.
    let mut child = live(&test, &dir, "victim")?;
    until("the newest is on disk", PATIENCE, async || {
        let looked = on_disk(&test, "looker", &dir).ok()?.read_offline().ok()?;
        active(&looked.status().status, "chat").filter(|a| a.serial == 40)
    })
    .await;
    assert_eq!(aside(&dir)?, 0, "a kill is no damage");
    child.kill().await?;
    Ok(())
}
