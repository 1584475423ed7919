//! Each page of a real cache is damaged in turn. The agent comes up, serves what it can verify, fetches the rest,
//! and never crashes: it runs within this process, so that a signal would end the test.

use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use live_agent::{LiveAgent, vars};
use tests::stage::active;
use tests::until::{millis, secs, until};

use crate::bounds;
use crate::scene::{PROMPT, Scene, noise, serial};

const PAGE: usize = 4096;
const SETS: usize = 6;

#[derive(Debug, Clone, Copy)]
enum Damage {
    /// One bit, somewhere in the middle.
    Flip,
    /// Nothing but zeros, as after a loss of power.
    Empty,
    /// The file ends here.
    Cut,
}

fn damage(whole: &[u8], page: usize, how: Damage) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    let (begin, end) = (page * PAGE, ((page + 1) * PAGE).min(whole.len()));
    match how {
        Damage::Flip => bytes[begin + (page * 797) % (end - begin)] ^= 1 << (page % 8),
        Damage::Empty => bytes[begin..end].fill(0),
        Damage::Cut => bytes.truncate(begin),
    }
    bytes
}

/// Puts this in the place of the cache's file, and nothing beside it.
fn lay(dir: &Path, bytes: &[u8]) -> Result<()> {
    for entry in std::fs::read_dir(dir)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with("damaged-") {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    std::fs::write(dir.join("store/data.mdb"), bytes)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_that_is_damaged_at_any_page_is_never_believed_and_made_good() -> Result<()> {
    let scene = Scene::begin().await?;
    for set in 0..SETS {
        for version in ["1.0.0", "1.1.0"] {
            let text = noise(2_000 + set * 2_500);
            scene.test.publish(scene.test.bundle(&format!("set-{set}"), version, &[("it", &text)])).await?;
        }
    }
    scene.publish().await?;
    let (dir, head) = (scene.cache("page"), scene.head());
    let start =
        async || -> Result<LiveAgent> { Ok(scene.builder("page", &scene.test.server.url())?.start().await?) };
    let whole = |agent: &LiveAgent| {
        let status = agent.status();
        serial(agent) == head
            && (0..SETS).all(|set| active(&status, &format!("set-{set}")).is_some_and(|a| a.serial == 2))
    };
    let agent = start().await?;
    until("all is here", secs(60), async || (whole(&agent) && agent.status().cache == "disk").then_some(()))
        .await;
    agent.wait_current(secs(60)).await?;
    agent.stop().await;
    let file = std::fs::read(dir.join("store/data.mdb"))?;
    let pages = file.len().div_ceil(PAGE);
    assert!(pages > 20, "only {pages} pages");
    let (mut slowest, mut served) = (millis(0), 0);
    for page in 0..pages {
        for how in [Damage::Flip, Damage::Empty, Damage::Cut] {
            lay(&dir, &damage(&file, page, how))?;
            let begin = Instant::now();
            let agent = start().await?;
            // Before the network can have helped: a version that was signed, or none. Looked at first, since the network
            // may help while this is asked.
            let found = serial(&agent);
            match agent.prompt(PROMPT, &vars! {}) {
                Ok(text) => {
                    let version = scene.texts.version(&text);
                    assert!(version.is_some(), "page {page}, {how:?}: {text}");
                    served += 1;
                }
                Err(error) => assert!(found == 0, "page {page}, {how:?}: {error}"),
            }
            until(&format!("page {page}, {how:?}: all is here again"), bounds::PAGE, async || {
                whole(&agent).then_some(())
            })
            .await;
            slowest = slowest.max(begin.elapsed());
            agent.stop().await;
            // What is on disk now is whole: it comes up from that alone.
            let looked = scene.builder("page", &scene.test.server.url())?.read_offline()?;
            let status = looked.status().status;
            assert_eq!(active(&status, "chat").map(|a| a.serial), Some(head), "page {page}, {how:?}");
        }
    }
    println!(
        "fault: {pages} pages damaged in 3 ways: {served} of {} starts served from the disk at once, all were \
         whole again within {slowest:?} (bound {:?})",
        pages * 3,
        bounds::PAGE
    );
    Ok(())
}
