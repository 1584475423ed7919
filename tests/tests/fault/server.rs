//! The server is killed, paused, stopped, and loses its store.

use std::time::Instant;

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tests::until::{secs, until};

use crate::bounds;
use crate::scene::{Scene, serial};

async fn publishes(scene: &Scene) {
    until("it can be published to", secs(90), async || scene.publish().await.ok()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_or_stopped_is_met_again() -> Result<()> {
    let mut scene = Scene::begin().await?;
    let line = scene.line("server").await?;
    for round in 1..=3 {
        let old = scene.test.server.pid();
        scene.test.server.kill9()?;
        // Not only gone: another one takes connections.
        let new = async || scene.test.server.pid().filter(|new| Some(*new) != old);
        until("the server is back", secs(60), new).await;
        let begin = Instant::now();
        publishes(&scene).await;
        line.current(&scene, begin, bounds::SERVER, &format!("killed, {round}.")).await;
    }
    scene.test.server.stop().await;
    until("the loss is seen", secs(30), async || (!line.agent.local_status().connected).then_some(())).await;
    scene.test.server.restart().await?;
    let begin = Instant::now();
    publishes(&scene).await;
    line.current(&scene, begin, bounds::SERVER, "stopped and started").await;
    line.end().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_paused_goes_on_where_it_stood() -> Result<()> {
    let scene = Scene::begin().await?;
    let line = scene.line("paused").await?;
    let pid = Pid::from_raw(i32::try_from(scene.test.server.pid().context("a server")?)?);
    for round in 1..=2 {
        kill(pid, Signal::SIGSTOP)?;
        tokio::time::sleep(secs(4)).await;
        let before = serial(&line.agent);
        assert_eq!(before, scene.head());
        kill(pid, Signal::SIGCONT)?;
        let begin = Instant::now();
        publishes(&scene).await;
        line.current(&scene, begin, bounds::STALL, &format!("paused for 4 s, {round}.")).await;
    }
    line.end().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_lost_its_store_is_filled_again_and_nothing_goes_back() -> Result<()> {
    let mut scene = Scene::begin().await?;
    let line = scene.line("wiped").await?;
    for _ in 0..5 {
        scene.publish().await?;
    }
    for round in 1..=2 {
        scene.test.server.wipe_store().await?;
        let begin = until("FORGE has filled it", secs(90), async || {
            scene.publish_anew().await.ok().map(|_| Instant::now())
        })
        .await;
        line.current(&scene, begin, bounds::WIPE, &format!("wiped, {round}.")).await;
    }
    line.end().await;
    Ok(())
}
