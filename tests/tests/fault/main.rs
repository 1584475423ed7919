//! Everything that can go wrong around an agent, done to a real one: serving never stops, nothing is ever
//! served that was not signed, and within a stated time the agent is current again.
//!
//! In each of these a thread reads the prompt all the time. It holds each text against what was published, and
//! sees to it that versions only go up. Each bound counts from the end of the fault, but for what never ends
//! (half-open), where it counts from its beginning. FORGE says its word every 2 s here, and every 10 s by default.
//!
//! | fault | current again within | test |
//! |---|---|---|
//! | cut by FIN or by RST, refused for 2 s | [`bounds::CUT`] | [`line`] |
//! | line stalled for 4 s, each way and both | [`bounds::STALL`] | [`line`] |
//! | half-open: what is sent is lost, each way and both, for ever | [`bounds::HALF_OPEN`] | [`line`] |
//! | 64 KiB/s and 150 ms late | [`bounds::SLOW`] | [`line`] |
//! | messages duplicated, swapped, delayed | [`bounds::TRICK`] | [`trick`] |
//! | messages dropped, all of them | [`bounds::DROP`] | [`trick`] |
//! | server killed (SIGKILL), stopped and started | [`bounds::SERVER`] | [`server`] |
//! | server paused (SIGSTOP) for 4 s | [`bounds::STALL`] | [`server`] |
//! | server's store wiped, filled again by FORGE | [`bounds::WIPE`] | [`server`] |
//! | disk full from the start and under way, disk read-only | [`bounds::DISK`] | [`disk`] |
//! | each page of the cache flipped, emptied or cut off | [`bounds::PAGE`] | [`page`] |
//! | the clock jumps, by a minute to ten years, both ways | [`bounds::CLOCK`] | [`clock`] |
//! | killed 1,000 times (`FAULT_KILLS`) while it takes up bundles | [`bounds::KILL`] | [`kill`] |
//! | network interface down, lost and late packets | [`bounds::NETWORK`] | [`network`] |
//!
//! What needs a namespace of its own is ignored by default: not every machine lets one be made. `make faults`
//! runs it, and says so where it cannot.

mod bounds;
mod child;
mod clock;
mod disk;
mod kill;
mod line;
mod network;
mod page;
mod proxy;
mod scene;
mod server;
mod trick;
