//! Single messages are duplicated, swapped, dropped and delayed while everything else comes through.

use std::time::Instant;

use anyhow::Result;
use nats_config::subject;
use tests::proxy::{Kind, Trick};
use tests::until::millis;

use crate::bounds;
use crate::scene::Scene;

const VERSIONS: u64 = 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_come_twice_late_or_in_the_wrong_order_change_nothing() -> Result<()> {
    let scene = Scene::begin().await?;
    let line = scene.line("trick").await?;
    let announcements = subject::control(&scene.test.scope("dev"));
    let announcements = announcements.trim_end_matches('>');
    for (kind, each) in [
        (Kind::Duplicate, 1),
        (Kind::Swap, 1),
        (Kind::Swap, 3),
        (Kind::Delay(millis(400)), 3),
        (Kind::Delay(millis(400)), 1),
    ] {
        line.proxy.play(Trick { subject: announcements.into(), kind, each });
        let before = line.proxy.played();
        for _ in 0..VERSIONS {
            scene.publish().await?;
        }
        let begin = Instant::now();
        line.current(&scene, begin, bounds::TRICK, &format!("{kind:?}, each {each}. of {VERSIONS}")).await;
        assert!(line.proxy.played() > before, "{kind:?} was never played");
        line.proxy.pass();
    }
    line.end().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_never_come_are_asked_for() -> Result<()> {
    let scene = Scene::begin().await?;
    let line = scene.line("drop").await?;
    let bundles = subject::control(&scene.test.scope("dev")).replace('>', "bundle");
    for each in [3, 1] {
        let before = line.proxy.played();
        line.proxy.play(Trick { subject: bundles.clone(), kind: Kind::Drop, each });
        for _ in 0..VERSIONS {
            scene.publish().await?;
        }
        let begin = Instant::now();
        line.current(&scene, begin, bounds::DROP, &format!("each {each}. announcement of {VERSIONS} lost"))
            .await;
        assert!(line.proxy.played() > before);
    }
    line.proxy.pass();
    line.end().await;
    Ok(())
}
