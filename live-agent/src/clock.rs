//! The one place that reads the clock.

use std::time::{SystemTime, UNIX_EPOCH};

use schemas::Micros;

/// Now, in microseconds since 1970.
pub(crate) fn now() -> Micros {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| Micros::try_from(since.as_micros()).ok())
        .unwrap_or(0)
}
