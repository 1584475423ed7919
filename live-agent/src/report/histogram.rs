//! Times in buckets: four for each power of two nanoseconds, so that a percentile is right to a quarter.

use std::time::Duration;

const PER_POWER: usize = 4;
pub(crate) const BUCKETS: usize = PER_POWER * 40;

/// The bucket of a time.
pub(crate) fn bucket(took: Duration) -> usize {
    let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(4);
    let power = ns.ilog2();
    let quarter = (ns >> (power - 2)) & 3;
    let index = power as usize * PER_POWER + usize::try_from(quarter).unwrap_or(0);
    index.min(BUCKETS - 1)
}

/// The upper edge of the bucket that holds the percentile, in nanoseconds; 0 where nothing was timed.
pub(crate) fn percentile(counts: &[u64; BUCKETS], percent: u64) -> u64 {
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
        let mut counts = [0; BUCKETS];
        for ns in 1..=1000_u64 {
            counts[bucket(Duration::from_nanos(ns))] += 1;
        }
        let (p50, p99) = (percentile(&counts, 50), percentile(&counts, 99));
        assert!((500..=640).contains(&p50), "{p50}");
        assert!((990..=1280).contains(&p99), "{p99}");
    }
}
