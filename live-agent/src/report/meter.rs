//! Counts renders and samples how long they take, at a cost that a read does not notice: one
//! increment of a counter that the thread has nearly to itself, and a look at the clock once in 64.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use schemas::status::Counters;

const SHARDS: usize = 8;
/// One render of so many is timed.
const SAMPLE: u64 = 64;
/// Four buckets for each power of two nanoseconds: a percentile is right to a quarter.
const PER_POWER: usize = 4;
const BUCKETS: usize = PER_POWER * 40;

static NEXT_SHARD: AtomicUsize = AtomicUsize::new(0);
thread_local! {
    static SHARD: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// On its own cache lines, so that threads do not wait for one another.
#[repr(align(128))]
#[derive(Debug, Default)]
struct Shard {
    renders: AtomicU64,
    errors: AtomicU64,
}

#[derive(Debug)]
pub(crate) struct Meter {
    shards: [Shard; SHARDS],
    buckets: Box<[AtomicU32]>,
    /// Calls that were answered with the caller's own text.
    defaults: AtomicU64,
}

impl Default for Meter {
    fn default() -> Self {
        let buckets = (0..BUCKETS).map(|_| AtomicU32::new(0)).collect();
        Self { shards: Default::default(), buckets, defaults: AtomicU64::new(0) }
    }
}

impl Meter {
    /// Counts and runs one render.
    pub(crate) fn measure<T, E>(&self, render: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let Some(shard) = self.shards.get(shard()) else { return render() };
        let count = shard.renders.fetch_add(1, Ordering::Relaxed);
        let started = count.is_multiple_of(SAMPLE).then(Instant::now);
        let result = render();
        if let Some(started) = started {
            self.record(started.elapsed());
        }
        if result.is_err() {
            shard.errors.fetch_add(1, Ordering::Relaxed);
        }
        result
    }

    pub(crate) fn count_default(&self) {
        self.defaults.fetch_add(1, Ordering::Relaxed);
    }

    fn record(&self, took: Duration) {
        if let Some(bucket) = self.buckets.get(bucket(took)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn counters(&self) -> Counters {
        let sum =
            |one: fn(&Shard) -> &AtomicU64| self.shards.iter().map(|s| one(s).load(Ordering::Relaxed)).sum();
        let counts: Vec<u64> = self.buckets.iter().map(|b| u64::from(b.load(Ordering::Relaxed))).collect();
        Counters {
            renders: sum(|s| &s.renders),
            render_errors: sum(|s| &s.errors),
            defaults: self.defaults.load(Ordering::Relaxed),
            render_p50_ns: percentile(&counts, 50),
            render_p99_ns: percentile(&counts, 99),
        }
    }
}

fn shard() -> usize {
    SHARD
        .try_with(|mine| {
            if mine.get() == usize::MAX {
                mine.set(NEXT_SHARD.fetch_add(1, Ordering::Relaxed) % SHARDS);
            }
            mine.get()
        })
        .unwrap_or(0)
}

fn bucket(took: Duration) -> usize {
    let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(4);
    let power = ns.ilog2();
    let quarter = (ns >> (power - 2)) & 3;
    let index = power as usize * PER_POWER + usize::try_from(quarter).unwrap_or(0);
    index.min(BUCKETS - 1)
}

/// The upper edge of the bucket that holds the percentile, in nanoseconds; 0 where nothing was timed.
fn percentile(counts: &[u64], percent: u64) -> u64 {
    let total: u64 = counts.iter().sum();
    if total == 0 {
        return 0;
    }
    let rank = (total * percent).div_ceil(100).max(1);
    let mut seen = 0;
    for (index, count) in counts.iter().enumerate() {
        seen += count;
        if seen >= rank {
            let (power, quarter) = (index / PER_POWER, (index % PER_POWER) as u64);
            return (1_u64 << power) + ((quarter + 1) << power.saturating_sub(2));
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_right_to_a_quarter() {
        let meter = Meter::default();
        for ns in 1..=1000_u64 {
            meter.record(Duration::from_nanos(ns));
        }
        let counters = meter.counters();
        assert!((500..=640).contains(&counters.render_p50_ns), "{counters:?}");
        assert!((990..=1280).contains(&counters.render_p99_ns), "{counters:?}");
    }

    #[test]
    fn every_render_and_every_error_is_counted_from_all_threads() {
        let meter = Meter::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for n in 0..1000 {
                        let _ = meter.measure(|| if n % 10 == 0 { Err(()) } else { Ok(()) });
                    }
                });
            }
        });
        let counters = meter.counters();
        assert_eq!((counters.renders, counters.render_errors), (4000, 400));
    }
}
