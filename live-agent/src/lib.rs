//! The agent that lives inside a service and gives it its prompts.
//!
//! It follows what FORGE publishes, verifies it, keeps it in memory and on disk, and renders it. It
//! starts and serves with FORGE, database and broker all down. Nothing unverified is ever served,
//! and nothing verified is lost.
//!
//! ```no_run
//! use live_agent::{LiveAgent, vars};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let agent = LiveAgent::builder()
//!     .connection_file("checkout.connect.json")
//!     .credentials_file("checkout.creds")
//!     .service("checkout")
//!     .start()
//!     .await?;
//! let text = agent.prompt("welcome.message", &vars! { name: "Ada" })?;
//! # Ok(()) }
//! ```
//!
//! In the order of the line:
//!
//! | module | what it does |
//! |---|---|
//! | [`config`] | what an agent is told, and the builder that gathers it |
//! | `client` | the connection to the broker, and how it comes back |
//! | `switch`, `renew` | another connection takes its place; the files that say so are watched |
//! | `follow` | announcements, gaps, replay; `fetch` asks the broker, `ledger` enrols and acknowledges |
//! | `verify` | whether a bundle may be served |
//! | `agent` | what the agent has, and how a bundle becomes what is served, as one; `word` is FORGE's signed word |
//! | `cache` | what is served, behind one pointer |
//! | [`store`] | the disk cache: `pages` reads it without trust, `record` is its format, `baked` its file form |
//! | [`render`] | reading and rendering, the path of every call |
//! | `mode` | ACCEPTING and FROZEN |
//! | `report` | the status; `meter` counts and times renders, `metrics` writes them for a monitor |
//! | [`start`] | how an agent starts, and what it waits for before it says that it has |
//! | `overrides` | a folder of prompts that stand before what FORGE published |
//! | [`health`] | whether the agent is live, ready and fresh |
//! | [`control`] | the local socket by which `live` talks to a running agent |
//! | [`live`] | [`LiveAgent`], what a host holds |
//! | [`offline`] | an agent's cache without the agent |
//! | `pull` | bundles from the broker into a file, without an agent (feature `cli`) |
//! | `doctor` | looks at everything that an agent needs (feature `cli`) |
//! | `clock` | the one place that reads the clock |

mod agent;
mod cache;
mod client;
mod clock;
pub mod config;
pub mod control;
#[cfg(feature = "cli")]
pub mod doctor;
mod follow;
pub mod health;
pub mod live;
mod mode;
pub mod offline;
mod overrides;
#[cfg(feature = "cli")]
pub mod pull;
pub mod render;
mod renew;
mod report;
pub mod start;
pub mod store;
mod switch;
mod verify;

pub use agent::Change;
pub use config::{Builder, ConfigError};
pub use health::Health;
pub use live::{AgentError, LiveAgent, LocalStatus, SyncReport};
pub use render::{Listed, PromptError, Template};
pub use schemas::status::{AgentStatus, Mode};
pub use schemas::template::{RenderedMessage, Values};
pub use schemas::vars;
pub use start::StartError;

/// Version of this crate, as the status says it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
