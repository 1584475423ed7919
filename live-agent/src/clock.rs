//! The one place that reads the clock.
//!
//! Two clocks: [`now`] is the time of day, which somebody may set, and which only says when something
//! was. [`Moment`] only goes forward and is what durations are measured by: on Linux it goes on while
//! the machine sleeps (`CLOCK_BOOTTIME`), so that a laptop that was closed for a day knows that a day
//! passed. On other systems it is what [`std::time::Instant`] gives, which may stand still meanwhile:
//! there, an age that is measured over a sleep is too small by the sleep, until FORGE is heard again.

use std::ops::{Add, Sub};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use schemas::Micros;

/// Now, in microseconds since 1970.
pub(crate) fn now() -> Micros {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| Micros::try_from(since.as_micros()).ok())
        .unwrap_or(0)
}

/// A duration as microseconds.
pub(crate) fn micros(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).unwrap_or(Micros::MAX)
}

/// A moment on the clock that counts sleep too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(Duration);

impl Moment {
    pub(crate) fn now() -> Self {
        Self(read())
    }

    /// Time from `earlier` to this; nothing, where that is later.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    pub(crate) fn elapsed(self) -> Duration {
        Self::now().since(self)
    }

    #[cfg(test)]
    pub(crate) const fn at(duration: Duration) -> Self {
        Self(duration)
    }
}

impl Add<Duration> for Moment {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

impl Sub for Moment {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

#[cfg(target_os = "linux")]
fn read() -> Duration {
    use nix::time::{ClockId, clock_gettime};
    // Every kernel that runs this program has the clock.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or_else(|_| from_instant(), Duration::from)
}

#[cfg(not(target_os = "linux"))]
fn read() -> Duration {
    from_instant()
}

fn from_instant() -> Duration {
    use std::sync::OnceLock;
    use std::time::Instant;
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// Notices that more time passed between two looks than should have: the machine slept, or the process
/// was stopped.
#[derive(Debug)]
pub(crate) struct Looks(Moment);

impl Looks {
    pub(crate) fn new(now: Moment) -> Self {
        Self(now)
    }

    /// Time since the last look, where that is more than `most`.
    pub(crate) fn gap(&mut self, now: Moment, most: Duration) -> Option<Duration> {
        let passed = now - std::mem::replace(&mut self.0, now);
        (passed > most).then_some(passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_moment_only_goes_forward() {
        let (a, b) = (Moment::now(), Moment::now());
        assert!(b >= a);
        assert_eq!(a - (a + SECOND), Duration::ZERO);
        assert_eq!((a + SECOND) - a, SECOND);
    }

    #[test]
    fn a_sleep_is_noticed_once() {
        let start = Moment::at(SECOND);
        let mut looks = Looks::new(start);
        assert_eq!(looks.gap(start + SECOND, SECOND * 10), None);
        assert_eq!(looks.gap(start + SECOND * 3601, SECOND * 10), Some(SECOND * 3600));
        assert_eq!(looks.gap(start + SECOND * 3602, SECOND * 10), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn on_linux_it_is_the_time_since_the_machine_booted() {
        let before = read().as_secs_f64();
        let up = std::fs::read_to_string("/proc/uptime").unwrap();
        let up: f64 = up.split(' ').next().unwrap().parse().unwrap();
        assert!(up > before - 5.0 && up < read().as_secs_f64() + 5.0, "{before} {up}");
    }
}
