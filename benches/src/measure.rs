//! Timing two things in turn, so that what the machine does meanwhile hits both alike.

use std::time::{Duration, Instant};

/// Rounds of each pair; the middle one counts.
const ROUNDS: usize = 21;
/// How long one round of one side takes at least.
const ROUND: Duration = Duration::from_millis(15);

/// What one call took, in nanoseconds: the median round of each side.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair {
    pub(crate) measured: f64,
    pub(crate) baseline: f64,
}

/// Times `measured` against `baseline`, in turn.
pub(crate) fn pair(mut measured: impl FnMut(), mut baseline: impl FnMut()) -> Pair {
    let (many, many_baseline) = (calibrate(&mut measured), calibrate(&mut baseline));
    let (mut times, mut times_baseline) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // Who goes first changes, since the second finds a warmer machine.
        if round % 2 == 0 {
            times.push(time(many, &mut measured));
            times_baseline.push(time(many_baseline, &mut baseline));
        } else {
            times_baseline.push(time(many_baseline, &mut baseline));
            times.push(time(many, &mut measured));
        }
    }
    Pair { measured: median(&mut times), baseline: median(&mut times_baseline) }
}

/// The middle one, or the mean of the two in the middle.
pub(crate) fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    let middle = times.len() / 2;
    match times.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => times[middle],
        _ => f64::midpoint(times[middle - 1], times[middle]),
    }
}

/// How many calls fill a round.
fn calibrate(call: &mut impl FnMut()) -> u32 {
    let mut many: u32 = 1;
    loop {
        let begin = Instant::now();
        (0..many).for_each(|_| call());
        let took = begin.elapsed();
        if took >= ROUND || many > u32::MAX / 4 {
            return many;
        }
        let left = ROUND.as_secs_f64() / took.as_secs_f64().max(1e-9);
        many = many.saturating_mul((left * 1.2).clamp(2.0, 100.0) as u32);
    }
}

fn time(many: u32, call: &mut impl FnMut()) -> f64 {
    let begin = Instant::now();
    (0..many).for_each(|_| call());
    begin.elapsed().as_nanos() as f64 / f64::from(many)
}
