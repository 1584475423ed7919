//! Waiting: a condition and a deadline.

use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

#[must_use]
pub const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[must_use]
pub const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Waits until `condition` gives something, and gives that.
///
/// # Panics
/// With `what` when the deadline has passed.
pub async fn until<T>(what: &str, deadline: Duration, condition: impl AsyncFnMut() -> Option<T>) -> T {
    match within(deadline, condition).await {
        Some(found) => found,
        None => panic!("waited {deadline:?} in vain until {what}"),
    }
}

/// As [`until`], and gives none when the deadline has passed: for a condition that must never hold.
pub async fn within<T>(deadline: Duration, mut condition: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + deadline;
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        // The condition may hang (a request to a server that is just dying): the deadline holds for it too.
        let left = end.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left.max(LOOK_EVERY), condition()).await {
            Ok(Some(found)) => return Some(found),
            Ok(None) if Instant::now() < end => {}
            Ok(None) | Err(_) => return None,
        }
    }
}
