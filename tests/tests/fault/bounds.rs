//! How soon an agent is current again; the table is in the text of the crate.
//!
//! They are several times what it takes, for a machine that does much else. Where an agent is to act at once, it is
//! less than the 30 s after which it would have looked by itself.

use std::time::Duration;

use tests::until::secs;

/// Reconnecting is jittered within 250 ms; then one question to the stream.
pub(crate) const CUT: Duration = secs(15);
/// What was held back comes at once; who gave the connection up meanwhile makes another one.
pub(crate) const STALL: Duration = secs(20);
/// Two questions without an answer, or three pings of 7 s, and a new connection.
pub(crate) const HALF_OPEN: Duration = secs(150);
pub(crate) const SLOW: Duration = secs(25);
pub(crate) const TRICK: Duration = secs(20);
/// The next word of FORGE names the head, which is asked for.
pub(crate) const DROP: Duration = secs(25);
/// From the moment that the server takes connections.
pub(crate) const SERVER: Duration = secs(20);
/// From the moment that FORGE has filled it: an empty server refuses every credential, and is tried more slowly.
pub(crate) const WIPE: Duration = secs(60);
/// Serving from memory needs no disk; what was not saved is saved within this after there is room: it is tried every
/// 5 s to 8 s.
pub(crate) const DISK: Duration = secs(40);
pub(crate) const PAGE: Duration = secs(25);
pub(crate) const CLOCK: Duration = secs(20);
/// Left alone after the last kill.
pub(crate) const KILL: Duration = secs(60);
/// The kernel's own retries of what was lost come ever more slowly.
pub(crate) const NETWORK: Duration = secs(40);
