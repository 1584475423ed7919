//! The sidecar: an agent behind HTTP/1.1 and HTTP/2, for services that are not written in Rust; and
//! the router that a Rust host mounts.
//!
//! | module | what it does |
//! |---|---|
//! | `routes` | the one table of what there is: the router and `openapi` are made from it |
//! | `gate` | what stands before every route: who asks, from where, and how long it takes |
//! | [`access`] | who may ask: the hook, and what is ready made |
//! | [`token`] | the tokens of a file, read again while it runs |
//! | `hosts` | the names that a browser may call this by, and requests of other sites |
//! | `render` | `POST /v1/render`, the path that is called all the time |
//! | `api` | the other routes of `/v1` |
//! | `events` | what happens, as server-sent events |
//! | `health` | live, ready and fresh: three answers |
//! | `meter` | requests, counted and timed, for `/metrics` |
//! | `page` | the pages for people |
//! | `problem` | every error, with its stable code |
//! | [`settings`] | how a sidecar is served |
//! | [`listen`] | the sockets: TCP on loopback, and a Unix socket |
//! | [`server`] | connections, workers, and the end of both |

pub mod access;
mod api;
mod events;
mod gate;
mod health;
mod hosts;
pub mod listen;
mod meter;
mod openapi;
mod page;
mod problem;
mod render;
mod routes;
pub mod server;
pub mod settings;
pub mod token;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use tokio_util::sync::CancellationToken;

use crate::LiveAgent;
use access::Authorize;
use events::Feed;
use meter::Requests;

pub use server::{Drained, Server};
pub use settings::Settings;

/// What one request and one reader may take.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Largest body, in bytes.
    pub body: usize,
    /// How long a body may take to come.
    pub body_time: Duration,
    /// Readers of events at once.
    pub readers: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { body: 1024 * 1024, body_time: Duration::from_secs(10), readers: 64 }
    }
}

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Sidecar {
    agent: LiveAgent,
    authorize: Box<dyn Authorize>,
    bounds: Bounds,
    meter: Requests,
    feed: Arc<Feed>,
    /// It was told to end: it is not ready any more, and still answers.
    draining: AtomicBool,
    /// No new request comes; streams end.
    closing: CancellationToken,
    /// What a form of ours sends along, and no other site knows.
    form: String,
}

impl Sidecar {
    fn new(agent: LiveAgent, authorize: Box<dyn Authorize>, bounds: Bounds) -> Arc<Self> {
        Arc::new(Self {
            agent,
            authorize,
            meter: Requests::default(),
            feed: Arc::new(Feed::new(bounds.readers)),
            bounds,
            draining: AtomicBool::new(false),
            closing: CancellationToken::new(),
            form: token::random(),
        })
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

/// The admin page and the JSON API of `agent` as a router that a host mounts where it likes, such as
/// `Router::new().nest("/live", live_agent::router(agent, allow))`. Every request but those for health
/// is put to `authorize` first; a closure will do.
///
/// Whoever may see the pages may see every template, and whoever may change something may switch the
/// mode: behind a door of the host's own, please.
///
/// A host that ends stops the agent ([`LiveAgent::stop`]) before it waits for its requests: that ends the
/// streams of events, which end in no other way.
///
/// ```no_run
/// use live_agent::serve::access::{Asks, Denied};
///
/// # fn example(agent: live_agent::LiveAgent) -> axum::Router {
/// let allow = |asks: &Asks<'_>| match asks.headers.get("x-staff") {
///     Some(_) => Ok(()),
///     None => Err(Denied::forbidden("staff only")),
/// };
/// axum::Router::new().nest("/live", live_agent::router(agent, allow))
/// # }
/// ```
pub fn router(agent: LiveAgent, authorize: impl Authorize) -> Router {
    routes::router(Sidecar::new(agent, Box::new(authorize), Bounds::default()))
}
