//! Hostile templates: the longest that one of each kind takes to its end, and the most that it holds.

use anyhow::anyhow;
use hostile::template::cases::GROUPS;
use hostile::template::{MEMORY_MAX, TIME_MAX, values};

use crate::report::Figure;

/// A case is tried so often; the best counts, since other work on the machine is not the template's.
const ROUNDS: usize = 3;

pub(crate) fn run() -> anyhow::Result<Vec<Figure>> {
    let values = values();
    let mut figures = Vec::new();
    for (group, cases) in GROUPS {
        let (mut longest, mut largest) = (0.0_f64, 0);
        for case in cases() {
            let mut best = f64::INFINITY;
            for _ in 0..ROUNDS {
                let outcome = case.run(&values);
                case.hold(&outcome).map_err(|wrong| anyhow!("{group}: {wrong}"))?;
                best = best.min(outcome.time.as_secs_f64());
                largest = largest.max(outcome.memory);
            }
            longest = longest.max(best);
        }
        let megabytes = |bytes: u64| bytes as f64 / 1_048_576.0;
        figures.push(
            Figure::new(format!("hostile: {group}"), longest * 1e3, "ms")
                .at_most(TIME_MAX.as_secs_f64() * 1e3),
        );
        figures.push(
            Figure::new(format!("hostile: {group}"), megabytes(largest), "MB").at_most(megabytes(MEMORY_MAX)),
        );
    }
    Ok(figures)
}
