//! The agent that lives inside a service and gives it its prompts.
//!
//! It follows what FORGE publishes, verifies it, keeps it in memory and on disk, and renders it. It
//! starts and serves with FORGE, database and broker all down. Nothing unverified is ever served,
//! and nothing verified is lost.
//!
//! ```no_run
//! # use live_agent::LiveAgent;
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let agent = LiveAgent::builder()
//!     .connection_file("checkout.connect.json")
//!     .credentials_file("checkout.creds")
//!     .service("checkout")
//!     .start()
//!     .await?;
//! # Ok(()) }
//! ```
//!
//! The tests of a service need neither broker nor FORGE: an agent serves a folder just as well.
//!
//! ```
//! use live_agent::{LiveAgent, vars};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! std::fs::write(folder.path().join("welcome.message.md"), "Hello {{ name }}")?;
//! let agent = LiveAgent::from_folder(folder.path())?;
//! assert_eq!(agent.prompt("welcome.message", vars! { name: "Ada" })?, "Hello Ada");
//! assert_eq!(agent.prompt_or("goodbye", vars! {}, "Bye")?, "Bye");
//! # Ok(()) }
//! ```
//!
//! # What to call
//!
//! | for | call |
//! |---|---|
//! | a text | [`LiveAgent::prompt`]; [`LiveAgent::prompt_to`] into a buffer of yours, without taking memory |
//! | a text even where the prompt is missing | [`LiveAgent::prompt_or`] |
//! | the messages of a chat | [`LiveAgent::messages`] |
//! | the prompt as it was written | [`LiveAgent::template`], [`LiveAgent::list`], [`LiveAgent::search`] |
//! | what a call of a model took | [`LiveAgent::report`] with a [`Call`] |
//! | values | [`vars!`], [`Values::of`] for what serialises, [`Values::from_json`] |
//! | what changed | [`LiveAgent::subscribe`], [`LiveAgent::on_change`] |
//! | one agent for the whole program | [`Builder::start_global`], then [`prompt`], [`messages`] and the like |
//! | no `async` | [`blocking::LiveAgent`] |
//! | functions with typed parameters | `live codegen`, which writes them with [`codegen`] |
//!
//! A prompt is named by its id or by an address: `@set/id`, `@organisation/set/id`, and with the
//! version that the caller can live with, `@set@^2/id` or `@organisation/set@2.1.0/id`. An agent serves
//! one version of a set; where that is not the one that is asked for, the call fails with
//! [`PromptError::OtherVersion`].
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `cli` (default) | the program `live`, and with it all below but `otel` |
//! | `codegen` | the module [`codegen`] |
//! | `config-file` | the configuration from a file |
//! | `serve` | the sidecar, and the pages that a host can mount |
//! | `otel` | spans of the sidecar, sent to a collector |
//!
//! A service needs none of them: `default-features = false`.
//!
//! # What stays
//!
//! Semantic versioning holds for everything public here and for the types of `schemas` that it gives away; not for
//! `generated`, `doctor` and [`config::options`], which are for the program `live` and what it writes. What grows is marked
//! `non_exhaustive`: errors, answers of the agent, states and codes. Whoever makes one takes its constructor
//! ([`Call::new`], [`RenderedMessage::new`]).
//!
//! # Modules
//!
//! In the order of the line:
//!
//! | module | what it does |
//! |---|---|
//! | [`config`] | what an agent is told, and the builder that gathers it |
//! | `client` | the connection to the broker, and how it comes back |
//! | `switch`, `renew` | another connection takes its place; the files that say so are watched |
//! | `follow` | announcements, gaps, replay; `fetch` asks the broker, `past` for what came before the newest, `ledger` enrols and acknowledges |
//! | `verify` | whether a bundle may be served |
//! | `agent` | what the agent has, and how a bundle becomes what is served, as one; `open` what it starts with, `pins` which versions it takes, `word` FORGE's signed word |
//! | `cache` | what is served, behind one pointer |
//! | [`store`] | the disk cache: `pages` reads it without trust, `record` is its format, `baked` its file form |
//! | [`render`] | reading and rendering, the path of every call; `search` finds a prompt |
//! | `mode` | ACCEPTING and FROZEN, and FORGE's orders |
//! | `history` | what the stream still has, verified and not taken up |
//! | `report` | the status; `tally` counts and times the renders of a prompt, `usage` tells of them, `metrics` writes for a monitor |
//! | [`start`] | how an agent starts, and what it waits for before it says that it has |
//! | `overrides` | a folder of prompts that stand before what FORGE published |
//! | [`health`] | whether the agent is live, ready and fresh |
//! | [`control`] | the local socket by which `live` talks to a running agent |
//! | [`live`] | [`LiveAgent`], what a host holds; `held` what waits and is pinned, `notify` tells of changes, `bake` writes an image, `runtime` where calls run |
//! | [`global`], [`blocking`] | the same for the whole program, and without `async` |
//! | `serve` | with feature `serve`: the sidecar, and the router that a host mounts |
//! | [`offline`] | an agent's cache without the agent |
//! | `pull` | bundles from the broker into a file, without an agent (feature `cli`) |
//! | `doctor` | looks at everything that an agent needs (feature `cli`) |
//! | [`codegen`] | functions and types of a locked version, in four languages |
//! | `clock` | the one place that reads the clock |

mod agent;
pub mod blocking;
mod cache;
mod client;
mod clock;
#[cfg(feature = "codegen")]
pub mod codegen;
pub mod config;
pub mod control;
#[cfg(feature = "cli")]
pub mod doctor;
mod follow;
#[doc(hidden)]
pub mod generated;
pub mod global;
pub mod health;
mod history;
pub mod live;
mod mode;
pub mod offline;
mod overrides;
#[cfg(feature = "cli")]
pub mod pull;
pub mod render;
mod renew;
mod report;
#[cfg(feature = "serve")]
pub mod serve;
pub mod start;
pub mod store;
mod switch;
mod verify;

pub use agent::Change;
pub use config::{Builder, ConfigError, Pins};
pub use global::{
    AlreadyGlobal, GlobalError, agent, list, messages, prompt, prompt_or, prompt_to, search, status,
    subscribe, template,
};
pub use health::Health;
pub use history::HistoryEntry;
pub use live::{AgentError, LiveAgent, LocalStatus, SyncReport, Waiting};
pub use render::{Listed, PromptError, Template};
pub use report::tally::Call;
pub use schemas::contract::Contract;
pub use schemas::status::{AgentStatus, Mode};
pub use schemas::template::{Fault, RenderedMessage, Values};
pub use schemas::vars;
pub use semver::VersionReq;
#[cfg(feature = "serve")]
pub use serve::router;
pub use start::StartError;

/// The target of the `tracing` spans of renders, at level `DEBUG`: one with `prompt.set`, `prompt.id` and
/// `prompt.version` around each, never with a value or a text.
pub const RENDER_SPANS: &str = "live_agent::render";

/// Version of this crate, as the status says it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
