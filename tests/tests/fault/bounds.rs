//! How soon an agent is current again; the table is in the text of the crate.

use std::time::Duration;

use tests::until::secs;

/// Reconnecting is jittered within 250 ms; then one question to the stream.
pub(crate) const CUT: Duration = secs(5);
/// What was held back comes at once.
pub(crate) const STALL: Duration = secs(5);
/// Two questions without an answer, or three pings of 15 s, and a new connection.
pub(crate) const HALF_OPEN: Duration = secs(75);
pub(crate) const SLOW: Duration = secs(20);
pub(crate) const TRICK: Duration = secs(5);
/// The next word of FORGE names the head, which is asked for.
pub(crate) const DROP: Duration = secs(10);
/// From the moment that the server takes connections.
pub(crate) const SERVER: Duration = secs(5);
/// From the moment that FORGE has filled it: an empty server refuses every credential, and is tried more slowly.
pub(crate) const WIPE: Duration = secs(30);
/// Serving from memory needs no disk; what was not saved is saved within this after there is room.
pub(crate) const DISK: Duration = secs(15);
pub(crate) const PAGE: Duration = secs(10);
pub(crate) const CLOCK: Duration = secs(5);
/// Left alone after the last kill.
pub(crate) const KILL: Duration = secs(20);
/// The kernel's own retries of what was lost come ever more slowly.
pub(crate) const NETWORK: Duration = secs(20);
