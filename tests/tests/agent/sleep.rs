//! A machine that sleeps, and clocks that are set: a real agent whose clocks a library moves.
//!
//! No test can put this machine to sleep, and the clocks of a running process cannot be set. So `live` runs
//! with a small library before its C library, which adds to two clocks what the test writes into a file:
//! to the one that counts sleep what a sleep adds to it, and to the time of day what somebody sets.

use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result};
use live_agent::control::{self, Question};
use schemas::Micros;
use serde_json::Value;
use tests::nats::{TestBroker, now};
use tests::stage::{Answering, PATIENCE, head, publish};
use tests::tools;
use tests::until::{secs, until};
use tokio::process::{Child, Command};

const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile long long *added;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("MOVED_CLOCKS");
    int file = path ? open(path, O_RDONLY) : -1;
    if (file < 0) return;
    void *seen = mmap(0, 16, PROT_READ, MAP_SHARED, file, 0);
    if (seen != MAP_FAILED) added = seen;
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *out) {
    int failed = syscall(SYS_clock_gettime, clock, out);
    if (failed || !added) return failed;
    long long more = clock == CLOCK_BOOTTIME ? added[0] : clock == CLOCK_REALTIME ? added[1] : 0;
    out->tv_sec += more;
    return 0;
}
"#;

/// In milliseconds.
const WHILE: u64 = 2_000;

struct Clocks {
    library: PathBuf,
    file: PathBuf,
}

impl Clocks {
    /// None where there is no compiler.
    fn build(below: &Path) -> Result<Option<Self>> {
        let Some(compiler) = tools::find("cc", &[]) else { return Ok(None) };
        let (source, library) = (below.join("clocks.c"), below.join("clocks.so"));
        std::fs::write(&source, SOURCE)?;
        let mut command = std::process::Command::new(compiler);
        let built = command.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status()?;
        anyhow::ensure!(built.success(), "the library of clocks does not compile");
        let clocks = Self { library, file: below.join("clocks") };
        std::fs::write(&clocks.file, [0; 16])?;
        Ok(Some(clocks))
    }

    /// Seconds that are added to the clock that counts sleep, and to the time of day.
    fn set(&self, sleep: i64, day: i64) -> Result<()> {
        let file = std::fs::File::options().write(true).open(&self.file)?;
        let both: Vec<u8> = [sleep, day].iter().flat_map(|seconds| seconds.to_ne_bytes()).collect();
        Ok(file.write_all_at(&both, 0)?)
    }
}

fn live(test: &TestBroker, dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(tools::binary("live"));
    command.args(arguments).arg("--cache-dir").arg(dir);
    command.arg("--credentials").arg(test.directory().join("sleeper.creds"));
    command.arg("--connection").arg(test.directory().join("sleeper.connect.json"));
    command.env("LIVE_CONFIG_DIR", test.directory()).stdin(Stdio::null()).kill_on_drop(true);
    command
}

fn run(test: &TestBroker, dir: &Path, clocks: &Clocks) -> Result<Child> {
    let mut command = live(test, dir, &["run", "--name", "sleeper"]);
    command.env("LD_PRELOAD", &clocks.library).env("MOVED_CLOCKS", &clocks.file);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("starting live")
}

#[tokio::test]
async fn a_sleep_counts_the_connection_is_made_anew_at_once_and_set_clocks_change_nothing() -> Result<()> {
    let test = TestBroker::start().await?;
    let Some(clocks) = Clocks::build(test.directory())? else {
        tools::skipped("a_sleep_counts_…: there is no C compiler here");
        return Ok(());
    };
    let dir = test.directory().join("cache");
    test.write_credential("sleeper")?;
    let published = publish(&test, "1.0.0", "one").await?;
    let heads = vec![head(&published)];
    let forge = Answering::start(&test, Some(heads.clone())).await?;
    let mut child = run(&test, &dir, &clocks)?;
    let status = async || -> Option<Value> { control::ask(&dir, &Question::Status).await.ok() };
    let age = |status: &Value| status["age_ms"].as_u64().unwrap_or(u64::MAX);
    let is_fresh = |status: &Value| status["stale"] == false && age(status) < 60_000;
    let fresh = async |what: &str| {
        until(what, PATIENCE * 2, async || status().await.filter(is_fresh)).await;
    };
    fresh("it is confirmed").await;
    let connects = |status: &Value| status["connects"].as_u64();
    let before = until("it answers", PATIENCE, async || connects(&status().await?)).await;
    // Asleep for two hours; FORGE is away when it wakes.
    forge.says(None);
    let enrolled = forge.enrolled();
    clocks.set(7200, 0)?;
    until("it meets FORGE anew", PATIENCE, async || (forge.enrolled() > enrolled).then_some(())).await;
    // What it asked FORGE on the old connection does not count: it is the new one that stands.
    until("it is connected, and knows how old all is", PATIENCE, async || {
        let slept = status().await?;
        let knows = age(&slept) >= 7_200_000 && slept["stale"] == true;
        (knows && slept["connected"] == true && connects(&slept) > Some(before)).then_some(())
    })
    .await;
    forge.says(Some(heads.clone()));
    fresh("FORGE's word ends it").await;
    // Somebody sets the clock a day ahead, and then a day back.
    for day in [86_400_i64, -86_400] {
        clocks.set(7200, day)?;
        let seen = until("it sees the clock that was set", PATIENCE, async || {
            let status = status().await?;
            let off: Micros = status["at"].as_i64()? - now();
            ((off - day * 1_000_000).abs() < 60_000_000).then_some(status)
        })
        .await;
        assert!(is_fresh(&seen), "set by {day} s: {seen}");
        // A word of now is in time, whatever the time of day is here.
        until("the last word is a while ago", PATIENCE, async || {
            status().await.filter(|status| age(status) >= WHILE)
        })
        .await;
        until("a word counts as heard", PATIENCE, async || {
            test.beat("dev", heads.clone(), secs(60)).await.ok()?;
            status().await.filter(|status| is_fresh(status) && age(status) < WHILE)
        })
        .await;
    }
    child.kill().await?;
    Ok(())
}

#[tokio::test]
async fn an_agent_that_starts_on_a_machine_which_slept_for_long_is_as_fresh_as_any() -> Result<()> {
    let test = TestBroker::start().await?;
    test.write_credential("sleeper")?;
    let published = publish(&test, "1.0.0", "one").await?;
    let _forge = Answering::start(&test, Some(vec![head(&published)])).await?;
    let dir = test.directory().join("cache");
    let namespace = ["-r", "-T", "--boottime", "86400", "--fork", "--kill-child"];
    let works =
        std::process::Command::new("unshare").args(namespace).arg("true").stderr(Stdio::null()).status();
    if !works.is_ok_and(|status| status.success()) {
        tools::skipped("an_agent_that_starts_on_a_machine_which_slept…: no time namespaces here");
        return Ok(());
    }
    let agent = live(&test, &dir, &["run", "--name", "sleeper"]);
    let mut command = Command::new("unshare");
    command.args(namespace).arg(agent.as_std().get_program()).args(agent.as_std().get_args());
    command.env("LIVE_CONFIG_DIR", test.directory()).kill_on_drop(true);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    until("it is fresh", PATIENCE, async || {
        let said = live(&test, &dir, &["--json", "status"]).stderr(Stdio::null()).output().await.ok()?;
        let status: Value = serde_json::from_slice(&said.stdout).ok()?;
        (status["stale"] == false && status["age_ms"].as_u64()? < 20_000).then_some(())
    })
    .await;
    child.kill().await?;
    Ok(())
}
