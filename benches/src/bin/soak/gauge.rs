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
    /// Seconds, and MB.
    memory: Vec<(f64, f64)>,
}

impl Gauge {
    /// Everybody is connected now.
    pub(crate) fn begin(warm_up: Duration) -> Self {
        Self { warm_up, descriptors: descriptors(), memory: Vec::new() }
    }

    pub(crate) fn descriptors(&self) -> usize {
        self.descriptors
    }

    /// One line of how it stands.
    pub(crate) fn line(&mut self, at: Duration, crowd: &Crowd, faults: &Faults) -> String {
        let memory = resident();
        if at >= self.warm_up {
            self.memory.push((at.as_secs_f64(), memory));
        }
        let (current, frozen) = crowd.standing();
        let (count, p50, p99) = crowd.catching_up();
        format!(
            "{:>5} s  {memory:>6.1} MB  {:>5} descriptors  {current:>4} of {} current ({frozen} frozen)  \
             {count:>6} taken up, p50 {p50:>6.0} ms, p99 {p99:>6.0} ms  {} versions  {} reads  {faults}",
            at.as_secs(),
            descriptors(),
            crowd.len(),
            crowd.versions(),
            crowd.reads(),
        )
    }

    /// What does not hold of memory and descriptors.
    pub(crate) async fn verdict(&self) -> Vec<String> {
        let mut failures = Vec::new();
        let third = self.memory.len() / 3;
        if third == 0 {
            failures.push("too short to say anything about memory".into());
        } else {
            let mean = |part: &[(f64, f64)]| part.iter().map(|(_, mb)| mb).sum::<f64>() / part.len() as f64;
            let (first, last) =
                (mean(&self.memory[..third]), mean(&self.memory[self.memory.len() - third..]));
            println!(
                "soak: memory {first:.1} MB in the first third after the warm-up, {last:.1} MB in the last; slope {:.3} MB a minute",
                self.slope()
            );
            if last > first * (1.0 + GROWTH.0) && last > first + GROWTH.1 {
                failures.push(format!("memory grew from {first:.1} to {last:.1} MB"));
            }
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

    /// The line of least squares, in MB a minute.
    fn slope(&self) -> f64 {
        let count = self.memory.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| self.memory.iter().map(of).sum::<f64>() / count;
        let (at, mb) = (mean(|m| m.0), mean(|m| m.1));
        let together: f64 = self.memory.iter().map(|m| (m.0 - at) * (m.1 - mb)).sum();
        let alone: f64 = self.memory.iter().map(|m| (m.0 - at).powi(2)).sum();
        if alone > 0.0 { together / alone * 60.0 } else { 0.0 }
    }
}

/// Open descriptors of this process.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// Resident memory of this process in MB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default() * 1024.0 / 1e6
}
