//! The disk cache under an agent: shared, full, damaged, and the process killed at any moment.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use live_agent::LiveAgent;
use tests::nats::TestBroker;
use tests::tools;
use tests::until::{secs, until};
use tokio::process::{Child, Command};

use tests::stage::{PATIENCE, active, hello, on_disk, publish, serves};

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
    let unstored = second.set_mode(live_agent::Mode::Frozen).await.unwrap_err().to_string();
    assert!(unstored.contains("until the process ends"), "{unstored}");
    assert_eq!((second.mode(), first.mode()), (live_agent::Mode::Frozen, live_agent::Mode::Accepting));
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
    let asked = live_agent::control::ask(&dir, &live_agent::control::Question::Status);
    assert_eq!(asked.await?["agent"], name.as_str(), "and it is the one that answers");
    agent.set_mode(live_agent::Mode::Frozen).await?;
    agent.stop().await;
    let next = on_disk(&test, "next", &dir)?.start().await?;
    assert_eq!((hello(&next).as_str(), next.mode()), ("three", live_agent::Mode::Frozen));
    Ok(())
}

#[tokio::test]
async fn a_read_only_disk_is_read_and_the_rest_goes_on_in_memory() -> Result<()> {
    let test = TestBroker::start().await?;
    let dir = test.directory().join("read-only");
    let Some(_tiny) = Tiny::mount(&dir, "2m")? else {
        eprintln!("SKIPPED a_read_only_disk_…: no file system can be mounted here (not root)");
        return Ok(());
    };
    let agent = on_disk(&test, "readonly", &dir)?.start().await?;
    publish(&test, "1.0.0", "one").await?;
    serves(&agent, 1).await;
    agent.stop().await;
    let remounted = std::process::Command::new("mount").args(["-o", "remount,ro"]).arg(&dir).status()?;
    assert!(remounted.success());
    let agent = on_disk(&test, "readonly", &dir)?.start().await?;
    assert_eq!(hello(&agent), "one", "from the disk");
    let cache = agent.status().cache;
    assert!(cache.starts_with("memory: ") && cache.contains("cannot be written"), "{cache}");
    publish(&test, "1.1.0", "two").await?;
    serves(&agent, 2).await;
    assert_eq!(hello(&agent), "two");
    let unstored = agent.set_mode(live_agent::Mode::Frozen).await.unwrap_err().to_string();
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
        eprintln!("SKIPPED a_full_disk_…: no file system can be mounted here (not root)");
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
    until("there is room and it is saved", secs(30), async || (agent.status().cache == "disk").then_some(()))
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
    for round in first + 1..=40_u64 {
        let mut child = live(&test, &dir, "victim")?;
        let text = format!("{round} {padding}");
        // The kill falls somewhere into start, replay, verification, commit or sync of this one.
        let moment = Duration::from_micros(4_000 + (round * 7_919) % 80_000);
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
