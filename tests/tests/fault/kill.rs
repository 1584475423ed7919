//! The agent's process is killed a thousand times (`FAULT_KILLS`) while it takes up one bundle after the other.
//!
//! What its disk promises: a version is committed before it is served and before anybody is told, so after a
//! SIGKILL at any moment the cache is whole and holds at least what was told last. (After a loss of power it may
//! be the one before: a commit is on the disk itself only after the sync that follows it, and no other commit is
//! made before that.)
//!
//! When each blow falls comes from a seed that is printed; `FAULT_SEED` takes it again.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use live_agent::vars;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tests::stage::active;
use tests::tools;
use tests::until::{millis, secs, until};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio_util::task::AbortOnDropHandle;

use crate::bounds;
use crate::scene::{PROMPT, Scene};

const KILLS: u64 = 1_000;
/// Agents that are killed at the same time.
const LANES: u64 = 4;
/// One version after the other, so that there is always one to take up.
const BETWEEN: Duration = millis(20);
const BYTES: usize = 20_000;
/// A process that says nothing for so long is killed too.
const SILENT: Duration = secs(3);

fn variable(name: &str, or: u64) -> Result<u64> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name} is no number")),
        Err(_) => Ok(or),
    }
}

/// What became of the kills.
#[derive(Debug, Default)]
struct Tally {
    kills: AtomicU64,
    /// Before anything was told in that life.
    early: AtomicU64,
    /// The disk was ahead of what was told: the blow fell between commit and word.
    between: AtomicU64,
    taken_up: AtomicU64,
}

/// One agent, which dies and lives again.
struct Lane {
    scene: Arc<Scene>,
    tally: Arc<Tally>,
    random: StdRng,
    name: String,
    /// Credential and connect file.
    files: (PathBuf, PathBuf),
    last: u64,
}

struct Life {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    told: u64,
}

impl Life {
    /// Takes what it says until it is told a change, or has ended.
    async fn change(&mut self) -> Result<bool> {
        while let Some(line) = self.lines.next_line().await? {
            let Ok(event) = serde_json::from_str::<serde_json::Value>(&line) else {
                continue;
            };
            if let Some(serial) = event["change"]["serial"].as_u64() {
                self.told = self.told.max(serial);
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Lane {
    fn new(scene: &Arc<Scene>, tally: &Arc<Tally>, seed: u64, number: u64) -> Result<Self> {
        let name = format!("lane-{number}");
        let files = scene.test.write_credential(&name)?;
        let random = StdRng::seed_from_u64(seed.wrapping_add(number));
        Ok(Self { scene: scene.clone(), tally: tally.clone(), random, name, files, last: 0 })
    }

    fn live(&self) -> Result<Life> {
        let mut command = Command::new(tools::binary("live"));
        command.args(["--json", "run", "--name", &self.name]);
        command.arg("--cache-dir").arg(self.scene.cache(&self.name));
        command.arg("--credentials").arg(&self.files.0).arg("--connection").arg(&self.files.1);
        command.env("LIVE_CONFIG_DIR", self.scene.test.directory()).env("RUST_LOG", "off");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut process = command.spawn().context("live")?;
        let lines = BufReader::new(process.stdout.take().context("its words")?).lines();
        Ok(Life { process, lines, told: 0 })
    }

    /// What is on disk: the serial, after every signature and the text were looked at.
    fn on_disk(&self) -> Result<u64> {
        let looked = self.scene.builder(&self.name, "nats://127.0.0.1:1")?.read_offline()?;
        let Some(applied) = active(&looked.status().status, "chat") else { return Ok(0) };
        let text = looked.prompt(PROMPT, &vars! {})?;
        ensure!(self.scene.texts.version(&text) == Some(applied.serial), "{}: {text}", applied.serial);
        Ok(applied.serial)
    }

    /// Lives until it has what was published last.
    async fn becomes_current(&mut self, what: &str) -> Result<()> {
        let begin = Instant::now();
        let mut life = self.live()?;
        let head = self.scene.head();
        while self.on_disk()? < head {
            ensure!(begin.elapsed() < bounds::KILL, "{}: not at {head} within {:?}", self.name, bounds::KILL);
            let _ = tokio::time::timeout(millis(50), life.change()).await;
        }
        println!(
            "fault: {}, {what}: current after {:?} (bound {:?})",
            self.name,
            begin.elapsed(),
            bounds::KILL
        );
        life.process.kill().await?;
        self.last = self.on_disk()?;
        Ok(())
    }

    /// One life and its end.
    async fn kill(&mut self) -> Result<()> {
        let mut life = self.live()?;
        if self.random.random::<f64>() < 0.3 {
            // Anywhere: in the start, in reading the disk, in connecting.
            let moment = millis(200).mul_f64(self.random.random::<f64>());
            let _ = tokio::time::timeout(moment, async { while let Ok(true) = life.change().await {} }).await;
        } else {
            // Within what follows a few changes: verifying, compiling, committing, swapping, syncing.
            let changes = self.random.random_range(1..6);
            for _ in 0..changes {
                let _ = tokio::time::timeout(SILENT, life.change()).await;
            }
            let moment = millis(12).mul_f64(self.random.random::<f64>());
            let _ = tokio::time::timeout(moment, std::future::pending::<()>()).await;
        }
        life.process.start_kill()?;
        life.process.wait().await?;
        // What it said before it died was said.
        while life.change().await? {}
        let found = self.on_disk()?;
        let least = life.told.max(self.last);
        ensure!(found >= least, "{}: serial {least} was told, and {found} is here", self.name);
        let tally = &self.tally;
        tally.kills.fetch_add(1, Ordering::Relaxed);
        tally.early.fetch_add(u64::from(life.told == 0), Ordering::Relaxed);
        tally.between.fetch_add(u64::from(life.told > 0 && found > life.told), Ordering::Relaxed);
        tally.taken_up.fetch_add(found - self.last, Ordering::Relaxed);
        self.last = found;
        Ok(())
    }

    async fn run(mut self, kills: u64) -> Result<()> {
        self.becomes_current("the start").await?;
        for number in 1..=kills {
            self.kill().await.with_context(|| format!("{}, kill {number}", self.name))?;
        }
        self.becomes_current("after its last kill").await?;
        let aside = std::fs::read_dir(self.scene.cache(&self.name))?.flatten();
        let aside = aside.filter(|e| e.file_name().to_string_lossy().starts_with("damaged-")).count();
        ensure!(aside == 0, "{}: {aside} times its cache was found damaged", self.name);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_a_thousand_times_while_taking_up_nothing_told_is_ever_lost() -> Result<()> {
    let (kills, seed) = (variable("FAULT_KILLS", KILLS)?, variable("FAULT_SEED", rand::random())?);
    println!("fault: {kills} kills by FAULT_SEED={seed}");
    let scene = Arc::new(Scene::begin().await?);
    let publishes = {
        let scene = scene.clone();
        AbortOnDropHandle::new(tokio::spawn(async move {
            let mut ticks = tokio::time::interval(BETWEEN);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                scene.publish_with(BYTES).await.expect("the server is well");
            }
        }))
    };
    let (begin, tally) = (Instant::now(), Arc::new(Tally::default()));
    let mut lanes = tokio::task::JoinSet::new();
    for number in 0..LANES {
        let share = kills / LANES + u64::from(number < kills % LANES);
        lanes.spawn(Lane::new(&scene, &tally, seed, number)?.run(share));
    }
    while let Some(done) = lanes.join_next().await {
        done?.with_context(|| format!("with FAULT_SEED={seed}"))?;
    }
    until("publishing went on", secs(30), async || (!publishes.is_finished()).then_some(())).await;
    let count = |one: &AtomicU64| one.load(Ordering::Relaxed);
    println!(
        "fault: {} kills in {:?}: {} before a change was told, {} between commit and word; {} versions taken up of {}",
        count(&tally.kills),
        begin.elapsed(),
        count(&tally.early),
        count(&tally.between),
        count(&tally.taken_up),
        scene.head()
    );
    assert_eq!(count(&tally.kills), kills);
    assert!(count(&tally.early) < kills, "no life came as far as taking something up");
    Ok(())
}
