//! The agent against a real broker: what comes, what must not come, and what happens in between.

#[path = "agent/bundles.rs"]
mod bundles;
#[path = "agent/codegen.rs"]
mod codegen;
#[path = "agent/command.rs"]
mod command;
#[path = "agent/configure.rs"]
mod configure;
#[path = "agent/contract.rs"]
mod contract;
#[path = "agent/dev.rs"]
mod dev;
#[path = "agent/disk.rs"]
mod disk;
#[path = "agent/doctor.rs"]
mod doctor;
#[path = "agent/following.rs"]
mod following;
#[path = "agent/frozen.rs"]
mod frozen;
#[path = "agent/health.rs"]
mod health;
#[path = "agent/history.rs"]
mod history;
#[path = "agent/library.rs"]
mod library;
#[path = "agent/orders.rs"]
mod orders;
#[path = "agent/outages.rs"]
mod outages;
#[path = "agent/overrides.rs"]
mod overrides;
#[path = "agent/pins.rs"]
mod pins;
#[path = "agent/renew.rs"]
mod renew;
#[path = "agent/sleep.rs"]
mod sleep;
#[path = "agent/start.rs"]
mod start;
#[path = "agent/telemetry.rs"]
mod telemetry;
#[path = "agent/texts.rs"]
mod texts;
#[path = "agent/tls.rs"]
mod tls;
