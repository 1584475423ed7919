//! A disk that is full, or takes nothing. The agent's process has file systems of its own for that.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};
use tests::until::secs;
use tokio::process::Command;

use crate::bounds;
use crate::child::{Child, Who};
use crate::scene::Scene;

/// A shell that makes a file system at `$DIR` and then becomes what it is given.
fn shell(script: &str, dir: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-euc"]);
    command.arg(format!("{script}; exec \"$@\"")).arg("sh").env("DIR", dir);
    command
}

/// Does something among the file systems of a process.
async fn within(pid: u32, script: &str, dir: &Path) -> Result<()> {
    let mut command = Command::new("nsenter");
    command.args([
        "--target",
        &pid.to_string(),
        "--user",
        "--preserve-credentials",
        "--mount",
        "sh",
        "-euc",
        script,
    ]);
    let done = command.env("DIR", dir).output().await?;
    ensure!(done.status.success(), "{script}: {}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a mount namespace of its own: make faults"]
async fn in_a_namespace_a_full_disk_is_said_served_around_and_made_good() -> Result<()> {
    let scene = Scene::begin().await?;
    let dir = scene.test.directory().join("small");
    std::fs::create_dir(&dir)?;
    let who = Who::new(&scene, "full", &scene.test.server.url(), dir.join("cache"))?;
    let child = Child::start(shell("mount -t tmpfs -o size=1m tmpfs \"$DIR\"", &dir), &who)?;
    child.current(&scene, Instant::now(), secs(60), "the start").await;
    child.until("it is on disk", bounds::DISK, |says| says.cache == "disk").await;
    for round in 1..=3 {
        within(child.pid()?, "dd if=/dev/zero of=\"$DIR/filler\" bs=4k 2>/dev/null || true", &dir).await?;
        let begin = Instant::now();
        scene.publish_with(60_000).await?;
        child.current(&scene, begin, bounds::DISK, &format!("disk full, {round}.")).await;
        let says = child.until("it says so", bounds::DISK, |says| says.cache.starts_with("memory: ")).await;
        ensure!(says.cache.contains("space"), "{}", says.cache);
        scene.publish_with(60_000).await?;
        child.current(&scene, Instant::now(), bounds::DISK, "another one with the disk full").await;
        within(child.pid()?, "rm \"$DIR/filler\"", &dir).await?;
        let begin = Instant::now();
        child.until("it is saved", bounds::DISK, |says| says.cache == "disk").await;
        println!(
            "fault: full, {round}.: saved {:?} after there was room (bound {:?})",
            begin.elapsed(),
            bounds::DISK
        );
    }
    child.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a mount namespace of its own: make faults"]
async fn in_a_namespace_a_disk_that_is_full_from_the_start_is_served_around() -> Result<()> {
    let scene = Scene::begin().await?;
    let dir = scene.test.directory().join("none");
    std::fs::create_dir(&dir)?;
    let who = Who::new(&scene, "none", &scene.test.server.url(), dir.join("cache"))?;
    let script =
        "mount -t tmpfs -o size=64k tmpfs \"$DIR\"; dd if=/dev/zero of=\"$DIR/filler\" bs=4k 2>&1 || true";
    let child = Child::start(shell(script, &dir), &who)?;
    child.current(&scene, Instant::now(), secs(60), "no room from the start").await;
    scene.publish().await?;
    child.current(&scene, Instant::now(), bounds::DISK, "another version").await;
    ensure!(child.says().cache.starts_with("memory: "), "{}", child.says().cache);
    child.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a mount namespace of its own: make faults"]
async fn in_a_namespace_a_read_only_disk_is_read_said_and_served_around() -> Result<()> {
    let scene = Scene::begin().await?;
    let dir = scene.test.directory().join("readonly");
    std::fs::create_dir(&dir)?;
    let who = Who::new(&scene, "readonly", &scene.test.server.url(), dir.join("cache"))?;
    // It is made while the disk can be written, and then read where it cannot.
    let child = Child::start(Command::new("env"), &who)?;
    child.current(&scene, Instant::now(), secs(60), "the start").await;
    child.until("it is on disk", bounds::DISK, |says| says.cache == "disk").await;
    child.end().await?;
    let script = "mount --bind \"$DIR\" \"$DIR\"; mount -o remount,bind,ro \"$DIR\"";
    // With a line that leads nowhere, so that only the disk can have given what it serves.
    let nowhere = Who {
        connection: Who::new(&scene, "x", "nats://127.0.0.1:1", dir.clone())?.connection,
        ..who.clone()
    };
    let child = Child::start(shell(script, &dir), &nowhere)?;
    let says = child.until("it serves", secs(60), |says| says.serial == scene.head()).await;
    ensure!(says.cache.starts_with("memory: ") && says.cache.contains("ead-only"), "{}", says.cache);
    child.end().await?;
    let child = Child::start(shell(script, &dir), &who)?;
    scene.publish().await?;
    child.current(&scene, Instant::now(), bounds::DISK, "disk read-only").await;
    ensure!(child.says().cache.starts_with("memory: "), "{}", child.says().cache);
    child.end().await
}
