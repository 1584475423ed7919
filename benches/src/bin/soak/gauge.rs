//! What is measured: memory, descriptors, and how soon agents have what is published.

use std::time::Duration;

use crate::crowd::Crowd;
use crate::faults::Faults;

/// What memory may grow by after the warm-up: a part of itself, and MB.
const GROWTH: (f64, f64) = (0.05, 16.0);
/// Descriptors that come and go: connections on their way out, files that are being written.
const SLACK: usize = 16;
const SETTLE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Gauge {
    warm_up: Duration,
    descriptors: usize,
    /// Seconds, and MB that are resident.
    memory: Vec<(f64, f64)>,
    /// Seconds, and MB of the heap that are held: what is resident beyond it is the allocator's and the kernel's.
    heap: Vec<(f64, f64)>,
}

impl Gauge {
    /// Everybody is connected now.
    pub(crate) fn begin(warm_up: Duration) -> Self {
        Self { warm_up, descriptors: descriptors(), memory: Vec::new(), heap: Vec::new() }
    }

    pub(crate) fn descriptors(&self) -> usize {
        self.descriptors
    }

    /// One line of how it stands.
    pub(crate) fn line(&mut self, at: Duration, crowd: &Crowd, faults: &Faults) -> String {
        let (memory, heap) = (resident("VmRSS:"), held());
        if at >= self.warm_up {
            self.memory.push((at.as_secs_f64(), memory));
            self.heap.push((at.as_secs_f64(), heap));
        }
        let (current, frozen) = crowd.standing();
        let (count, p50, p99) = crowd.catching_up();
        format!(
            "{:>5} s  {memory:>6.1} MB ({heap:.1} held, {:.1} of files)  {:>5} descriptors  {current:>4} of {} current ({frozen} frozen)  \
             {count:>6} taken up, p50 {p50:>6.0} ms, p99 {p99:>6.0} ms  {} versions  {} reads  {faults}",
            at.as_secs(),
            resident("RssFile:"),
            descriptors(),
            crowd.len(),
            crowd.versions(),
            crowd.reads(),
        )
    }

    /// What does not hold of memory and descriptors.
    pub(crate) async fn verdict(&self) -> Vec<String> {
        let mut failures = Vec::new();
        for (what, measured) in [("resident memory", &self.memory), ("the heap that is held", &self.heap)] {
            failures.extend(grown(what, measured));
        }
        let most = self.descriptors + SLACK;
        let settled = tests::until::within(SETTLE, async || (descriptors() <= most).then_some(())).await;
        println!("soak: {} descriptors at the beginning, {} at the end", self.descriptors, descriptors());
        if settled.is_none() {
            failures.push(format!(
                "{} descriptors, and {} at the beginning",
                descriptors(),
                self.descriptors
            ));
        }
        failures
    }
}

/// What is said where the mean of the last third is too far above that of the first.
fn grown(what: &str, measured: &[(f64, f64)]) -> Option<String> {
    let third = measured.len() / 3;
    if third == 0 {
        return Some(format!("too short to say anything about {what}"));
    }
    let mean = |part: &[(f64, f64)]| part.iter().map(|(_, mb)| mb).sum::<f64>() / part.len() as f64;
    let (first, last) = (mean(&measured[..third]), mean(&measured[measured.len() - third..]));
    println!(
        "soak: {what} {first:.1} MB in the first third after the warm-up, {last:.1} MB in the last; slope {:.3} MB a minute",
        slope(measured)
    );
    let too_much = last > first * (1.0 + GROWTH.0) && last > first + GROWTH.1;
    too_much.then(|| format!("{what} grew from {first:.1} to {last:.1} MB"))
}

/// The line of least squares, in MB a minute.
fn slope(measured: &[(f64, f64)]) -> f64 {
    let count = measured.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| measured.iter().map(of).sum::<f64>() / count;
    let (at, mb) = (mean(|m| m.0), mean(|m| m.1));
    let together: f64 = measured.iter().map(|m| (m.0 - at) * (m.1 - mb)).sum();
    let alone: f64 = measured.iter().map(|m| (m.0 - at).powi(2)).sum();
    if alone > 0.0 { together / alone * 60.0 } else { 0.0 }
}

/// Open descriptors of this process.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// The heap that this process holds, in MB.
fn held() -> f64 {
    hostile::allocations::held_by_all() as f64 / 1e6
}

/// Resident memory of this process in MB: all of it, or a part.
fn resident(part: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(part)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default() * 1024.0 / 1e6
}
