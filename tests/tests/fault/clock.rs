//! The wall clock of the agent's process jumps. The machine's own clock is never touched: a small library, compiled
//! here and loaded before the C library, adds to what the process reads.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use tests::until::secs;
use tokio::process::Command;

use crate::bounds;
use crate::child::{Child, Who};
use crate::scene::Scene;

/// Adds the seconds that stand in the file of `FAULT_CLOCK` to the wall clock, whenever it is read.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *added;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("FAULT_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *map = mmap(0, 8, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (map != MAP_FAILED) added = map;
}

static int wall(clockid_t clock) { return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE; }

int clock_gettime(clockid_t clock, struct timespec *at) {
    int done = (int)syscall(SYS_clock_gettime, clock, at);
    if (done == 0 && added && wall(clock)) at->tv_sec += *added;
    return done;
}

int gettimeofday(struct timeval *at, void *zone) {
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"#;

const YEAR: i64 = 365 * 86_400;

async fn compile(folder: &Path) -> Result<PathBuf> {
    let (source, library) = (folder.join("clock.c"), folder.join("clock.so"));
    std::fs::write(&source, SHIM)?;
    let cc = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut command = Command::new(cc);
    let done = command.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).output().await?;
    ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Ok(library)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_stops_neither_serving_nor_following() -> Result<()> {
    let scene = Scene::begin().await?;
    let folder = scene.test.directory();
    let library = compile(folder).await.context("the compiler that also builds what we depend on")?;
    let offset = folder.join("offset");
    std::fs::write(&offset, 0_i64.to_ne_bytes())?;
    let who = Who::new(&scene, "clock", &scene.test.server.url(), scene.cache("clock"))?;
    let mut command = Command::new("env");
    command.env("LD_PRELOAD", library).env("FAULT_CLOCK", &offset);
    let child = Child::start(command, &who)?;
    child.current(&scene, Instant::now(), secs(60), "the start").await;
    for jump in [60, -60, 3_600, -3_600, YEAR, -YEAR, 10 * YEAR, -10 * YEAR, 0] {
        // Written over, not anew: the process looks at this very file.
        std::os::unix::fs::FileExt::write_all_at(
            &std::fs::File::options().write(true).open(&offset)?,
            &i64::to_ne_bytes(jump),
            0,
        )?;
        let begin = Instant::now();
        let here = tests::nats::now() / 1_000_000;
        child.until("it sees another time", secs(20), |says| (says.clock - here - jump).abs() < 30).await;
        scene.publish().await?;
        child.current(&scene, begin, bounds::CLOCK, &format!("the clock is {jump} s off")).await;
        // FORGE's word has to count as heard under any clock.
        child.until("it is not stale", secs(90), |says| !says.stale && says.connected).await;
        println!("  not stale after {:?}", begin.elapsed());
    }
    child.end().await
}
