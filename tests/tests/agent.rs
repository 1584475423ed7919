//! The agent against a real broker: what comes, what must not come, and what happens in between.

#[path = "agent/codegen.rs"]
mod codegen;
#[path = "agent/command.rs"]
mod command;
#[path = "agent/contract.rs"]
mod contract;
#[path = "agent/disk.rs"]
mod disk;
#[path = "agent/following.rs"]
mod following;
#[path = "agent/frozen.rs"]
mod frozen;
#[path = "agent/history.rs"]
mod history;
#[path = "agent/library.rs"]
mod library;
#[path = "agent/orders.rs"]
mod orders;
#[path = "agent/outages.rs"]
mod outages;
#[path = "agent/pins.rs"]
mod pins;
#[path = "agent/health.rs"]
mod health;
#[path = "agent/overrides.rs"]
mod overrides;
#[path = "agent/renew.rs"]
mod renew;
#[path = "agent/sleep.rs"]
mod sleep;
#[path = "agent/start.rs"]
mod start;
#[path = "agent/tls.rs"]
mod tls;
