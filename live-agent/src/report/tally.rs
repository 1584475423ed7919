//! Counts of one prompt of one version, kept beside it: a read that found the prompt has found them.
//!
//! What it costs: one increment of a counter that the thread has nearly to itself, and a look at the
//! clock once in 64. The counts themselves are made at the first render, so that a prompt that nobody
//! calls takes a pointer.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use schemas::status::PromptUsage;
use schemas::{Slug, Version};

use super::histogram::{BUCKETS, bucket, percentile};

const SHARDS: usize = 4;
/// One render of so many is timed, by each thread.
const SAMPLE: u64 = 64;

static NEXT_SHARD: AtomicUsize = AtomicUsize::new(0);
thread_local! {
    static SHARD: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// What a host reports of one call of a model with a prompt of ours.
///
/// ```
/// use std::time::Duration;
/// use live_agent::Call;
///
/// let call = Call::new().tokens(700, 30).latency(Duration::from_millis(250)).cost_micros(42);
/// assert!(!call.failed && Call::new().failed().failed);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Call {
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub latency: Duration,
    /// In millionths of a US dollar.
    pub cost_micros: u64,
    pub failed: bool,
}

impl Call {
    /// A call that went well, and of which nothing else is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The tokens that went in and came out.
    #[must_use]
    pub fn tokens(mut self, input: u64, output: u64) -> Self {
        (self.input_tokens, self.output_tokens) = (input, output);
        self
    }

    /// How long it took.
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// What it cost, in millionths of a US dollar.
    #[must_use]
    pub fn cost_micros(mut self, cost: u64) -> Self {
        self.cost_micros = cost;
        self
    }

    /// It gave no answer that can be used.
    #[must_use]
    pub fn failed(mut self) -> Self {
        self.failed = true;
        self
    }
}

/// On its own cache line, so that threads do not wait for one another.
#[repr(align(64))]
#[derive(Debug, Default)]
struct Shard {
    renders: AtomicU64,
    errors: AtomicU64,
}

#[derive(Debug)]
struct Counts {
    shards: [Shard; SHARDS],
    times: [AtomicU32; BUCKETS],
}

#[derive(Debug, Default)]
struct Calls {
    calls: AtomicU64,
    errors: AtomicU64,
    input_tokens: AtomicU64,
    output_tokens: AtomicU64,
    latency_us: AtomicU64,
    cost_micros: AtomicU64,
}

/// The counts of one prompt of one version since the start of the agent.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) set: Slug,
    pub(crate) version: Version,
    pub(crate) prompt: Box<str>,
    /// It is of this machine, and nothing that FORGE knows.
    pub(crate) local: bool,
    counts: OnceLock<Box<Counts>>,
    calls: OnceLock<Box<Calls>>,
}

impl Tally {
    pub(crate) fn new(set: Slug, version: Version, prompt: &str, local: bool) -> Self {
        Self { set, version, prompt: prompt.into(), local, counts: OnceLock::new(), calls: OnceLock::new() }
    }

    /// Goes on where the sums of a version that was served before stand.
    pub(crate) fn from_sums(sums: &PromptUsage) -> Self {
        let tally = Self::new(sums.set.clone(), sums.version.clone(), &sums.prompt, false);
        let counts = tally.counts.get_or_init(|| Box::new(Counts::new()));
        if let Some(shard) = counts.shards.first() {
            shard.renders.store(sums.renders, Ordering::Relaxed);
            shard.errors.store(sums.errors, Ordering::Relaxed);
        }
        if sums.calls > 0 {
            tally.calls.get_or_init(|| {
                Box::new(Calls {
                    calls: sums.calls.into(),
                    errors: sums.call_errors.into(),
                    input_tokens: sums.input_tokens.into(),
                    output_tokens: sums.output_tokens.into(),
                    latency_us: sums.latency_us.into(),
                    cost_micros: sums.cost_micros.into(),
                })
            });
        }
        tally
    }

    /// Whether this counts a prompt of that version, as FORGE published it.
    pub(crate) fn is_of(&self, set: &Slug, version: &Version) -> bool {
        !self.local && self.set == *set && self.version == *version
    }

    /// Counts and runs one render.
    #[inline]
    pub(crate) fn measure<T, E>(&self, render: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let counts = self.counts.get_or_init(|| Box::new(Counts::new()));
        let Some(shard) = counts.shards.get(shard()) else { return render() };
        let count = shard.renders.fetch_add(1, Ordering::Relaxed);
        let started = count.is_multiple_of(SAMPLE).then(Instant::now);
        let result = render();
        if let Some(started) = started
            && let Some(slot) = counts.times.get(bucket(started.elapsed()))
        {
            slot.fetch_add(1, Ordering::Relaxed);
        }
        if result.is_err() {
            shard.errors.fetch_add(1, Ordering::Relaxed);
        }
        result
    }

    /// Counts a call of a model.
    pub(crate) fn called(&self, call: &Call) {
        let calls = self.calls.get_or_init(Box::default);
        let add = |to: &AtomicU64, n: u64| {
            // A caller's mistake must not make a sum start again from nothing.
            let _ =
                to.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |have| Some(have.saturating_add(n)));
        };
        add(&calls.calls, 1);
        add(&calls.errors, call.failed.into());
        add(&calls.input_tokens, call.input_tokens);
        add(&calls.output_tokens, call.output_tokens);
        add(&calls.latency_us, u64::try_from(call.latency.as_micros()).unwrap_or(u64::MAX));
        add(&calls.cost_micros, call.cost_micros);
    }

    /// Something that changes with every use: renders and calls together.
    pub(crate) fn uses(&self) -> u64 {
        let calls = self.calls.get().map_or(0, |c| c.calls.load(Ordering::Relaxed));
        self.renders().wrapping_add(calls)
    }

    pub(crate) fn renders(&self) -> u64 {
        self.sum(|shard| &shard.renders)
    }

    pub(crate) fn errors(&self) -> u64 {
        self.sum(|shard| &shard.errors)
    }

    /// Adds the times of the renders that were timed to `all`, by bucket.
    pub(crate) fn add_times(&self, all: &mut [u64; BUCKETS]) {
        let Some(counts) = self.counts.get() else { return };
        for (sum, slot) in all.iter_mut().zip(&counts.times) {
            *sum += u64::from(slot.load(Ordering::Relaxed));
        }
    }

    /// The counts as the status tells them.
    pub(crate) fn usage(&self) -> PromptUsage {
        let mut times = [0; BUCKETS];
        self.add_times(&mut times);
        let none = Calls::default();
        let calls = self.calls.get().map_or(&none, |calls| calls);
        let get = |n: &AtomicU64| n.load(Ordering::Relaxed);
        let mut usage = PromptUsage::new(self.set.clone(), self.version.clone(), self.prompt.to_string());
        (usage.renders, usage.errors) = (self.renders(), self.errors());
        usage.render_p50_ns = percentile(&times, 50);
        usage.render_p99_ns = percentile(&times, 99);
        (usage.calls, usage.call_errors) = (get(&calls.calls), get(&calls.errors));
        (usage.input_tokens, usage.output_tokens) = (get(&calls.input_tokens), get(&calls.output_tokens));
        (usage.latency_us, usage.cost_micros) = (get(&calls.latency_us), get(&calls.cost_micros));
        usage
    }

    fn sum(&self, one: fn(&Shard) -> &AtomicU64) -> u64 {
        let Some(counts) = self.counts.get() else { return 0 };
        counts.shards.iter().map(|shard| one(shard).load(Ordering::Relaxed)).sum()
    }
}

impl Counts {
    fn new() -> Self {
        Self { shards: Default::default(), times: [const { AtomicU32::new(0) }; BUCKETS] }
    }
}

#[inline]
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

#[cfg(test)]
mod tests {
    use super::*;

    fn tally() -> Tally {
        Tally::new("welcome".parse().unwrap(), Version::new(1, 2, 0), "welcome.message", false)
    }

    #[test]
    fn every_render_and_every_error_is_counted_from_all_threads() {
        let tally = tally();
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    for n in 0..1000 {
                        let _ = tally.measure(|| if n % 10 == 0 { Err(()) } else { Ok(()) });
                    }
                });
            }
        });
        let usage = tally.usage();
        assert_eq!((usage.renders, usage.errors), (6000, 600));
        assert!(usage.render_p50_ns > 0 && usage.render_p99_ns >= usage.render_p50_ns, "{usage:?}");
    }

    #[test]
    fn calls_add_up_and_never_start_again_from_nothing() {
        let tally = tally();
        let call = Call {
            input_tokens: 700,
            output_tokens: 50,
            latency: Duration::from_millis(3),
            cost_micros: 9,
            failed: false,
        };
        tally.called(&call);
        tally.called(&Call { failed: true, output_tokens: u64::MAX, ..call });
        let usage = tally.usage();
        assert_eq!((usage.calls, usage.call_errors, usage.renders), (2, 1, 0));
        assert_eq!((usage.input_tokens, usage.output_tokens), (1400, u64::MAX));
        assert_eq!((usage.latency_us, usage.cost_micros), (6000, 18));
    }
}
