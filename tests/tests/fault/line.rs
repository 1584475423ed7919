//! The line between agent and server fails in every way that a line can.

use std::time::Instant;

use anyhow::Result;
use tests::proxy::{Cut, Flow};
use tests::until::{millis, secs, until};

use crate::bounds;
use crate::scene::{Line, Scene};

/// Time that passes because the fault is to last so long.
async fn lasts(time: std::time::Duration) {
    tokio::time::sleep(time).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_is_cut_or_refuses_is_made_again() -> Result<()> {
    let scene = Scene::begin().await?;
    let line = scene.line("cut").await?;
    for how in [Cut::Fin, Cut::Rst, Cut::Fin, Cut::Rst] {
        let begin = Instant::now();
        line.proxy.cut(how);
        scene.publish().await?;
        line.current(&scene, begin, bounds::CUT, &format!("{how:?}")).await;
    }
    line.proxy.refuse();
    line.proxy.cut(Cut::Rst);
    until("the loss is seen", secs(30), async || (!line.agent.local_status().connected).then_some(())).await;
    scene.publish().await?;
    lasts(secs(2)).await;
    let begin = Instant::now();
    line.proxy.pass();
    line.current(&scene, begin, bounds::CUT, "refused for 2 s").await;
    // A line that flutters: cut again as soon as it stands. Cut before the greeting is over, it counts as an attempt
    // that failed, and the agent waits longer for the next, up to 8 s.
    for _ in 0..10 {
        let taken = line.proxy.taken();
        line.proxy.cut(Cut::Rst);
        until("it comes again", secs(60), async || (line.proxy.taken() > taken).then_some(())).await;
    }
    let begin = Instant::now();
    scene.publish().await?;
    line.current(&scene, begin, secs(8) + bounds::CUT, "cut ten times").await;
    line.end().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_line_holds_back_is_made_good_when_it_comes() -> Result<()> {
    let scene = Scene::begin().await?;
    let line = scene.line("stall").await?;
    for (up, down) in
        [(Flow::Stalled, Flow::Open), (Flow::Open, Flow::Stalled), (Flow::Stalled, Flow::Stalled)]
    {
        line.proxy.flow(up, down);
        scene.publish().await?;
        lasts(secs(4)).await;
        scene.publish().await?;
        let begin = Instant::now();
        line.proxy.pass();
        line.current(&scene, begin, bounds::STALL, &format!("up {up:?}, down {down:?} for 4 s")).await;
    }
    line.end().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_line_brings_large_and_small_in_the_end() -> Result<()> {
    let scene = Scene::begin().await?;
    let line = scene.line("slow").await?;
    line.proxy.slow(64 * 1024, millis(150));
    let begin = Instant::now();
    for _ in 0..3 {
        scene.publish_with(100_000).await?;
    }
    scene.publish().await?;
    line.current(&scene, begin, bounds::SLOW, "300 KB at 64 KiB/s, 150 ms late").await;
    // Cut in the middle of a message.
    scene.publish_with(100_000).await?;
    lasts(millis(700)).await;
    line.proxy.cut(Cut::Rst);
    let begin = Instant::now();
    line.current(&scene, begin, bounds::SLOW, "cut within a message, and still slow").await;
    line.end().await;
    Ok(())
}

/// One line on which what is sent is lost from now on; whoever connects anew gets through.
async fn half_open(scene: &Scene, line: &Line, up: Flow, down: Flow) {
    let (before, whole) = (line.proxy.taken(), line.proxy.lost());
    line.proxy.flow(up, down);
    lasts(secs(4)).await;
    // Something has to be lost, or the connection is whole. The agent pings every 7 s; FORGE says its word every 2 s.
    until("something is lost", secs(60), async || {
        let lost = line.proxy.lost();
        let half = (up != Flow::Lost || lost.0 > whole.0) && (down != Flow::Lost || lost.1 > whole.1);
        half.then_some(())
    })
    .await;
    line.proxy.pass();
    until("another connection is made", bounds::HALF_OPEN, async || {
        (line.proxy.taken() > before).then_some(())
    })
    .await;
    until("it stands", secs(30), async || line.agent.local_status().connected.then_some(())).await;
    let current = line.agent.wait_current(bounds::HALF_OPEN).await;
    assert!(current.is_ok(), "{} {current:?}", scene.head());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_open_line_is_found_out_and_made_again() -> Result<()> {
    let scene = Scene::begin().await?;
    let (up, down, both) =
        (scene.line("lost-up").await?, scene.line("lost-down").await?, scene.line("lost-both").await?);
    let begin = Instant::now();
    let case = async |line: &Line, flow: (Flow, Flow)| {
        half_open(&scene, line, flow.0, flow.1).await;
        println!("fault: {}: found out and made again after {:?}", line.name, begin.elapsed());
        line.current(&scene, begin, bounds::HALF_OPEN, "half-open").await;
    };
    let publishes = async {
        lasts(secs(2)).await;
        scene.publish().await
    };
    let (published, (), (), ()) = tokio::join!(
        publishes,
        case(&up, (Flow::Lost, Flow::Open)),
        case(&down, (Flow::Open, Flow::Lost)),
        case(&both, (Flow::Lost, Flow::Lost)),
    );
    published?;
    for line in [up, down, both] {
        line.end().await;
    }
    Ok(())
}
