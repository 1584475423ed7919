//! The agent against a real broker: what comes, what must not come, and what happens in between.

#[path = "agent/command.rs"]
mod command;
#[path = "agent/disk.rs"]
mod disk;
#[path = "agent/following.rs"]
mod following;
#[path = "agent/frozen.rs"]
mod frozen;
#[path = "agent/history.rs"]
mod history;
#[path = "agent/orders.rs"]
mod orders;
#[path = "agent/outages.rs"]
mod outages;
#[path = "agent/pins.rs"]
mod pins;
#[path = "agent/renew.rs"]
mod renew;
#[path = "agent/tls.rs"]
mod tls;
