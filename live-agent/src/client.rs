//! The connection to the broker: how it is made, and how it comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use async_nats::{ConnectOptions, Event};
use rand::RngExt as _;
use tokio::sync::watch;

use nats_config::subject;

use crate::config::{Config, ConfigError};

/// The first attempts after a loss come quickly, so that a whole fleet is back within a second.
const QUICK_ATTEMPTS: usize = 8;
const QUICK: Duration = Duration::from_millis(250);
const SLOW_MAX: Duration = Duration::from_secs(8);
/// A refused credential will hardly be taken a second later; the first attempts are quick all the
/// same, since a broker that comes back empty refuses everybody until FORGE has filled it again.
const REFUSED_MAX: Duration = Duration::from_secs(60);
const REFUSED: &str =
    "the broker refuses this credential: it was revoked or has expired; connect again with a new one";
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Messages that wait to be looked at. What comes faster is dropped and fetched: a broker that pours
/// out data cannot fill the host's memory.
const WAITING: usize = 128;
const PING_INTERVAL: Duration = Duration::from_secs(15);

/// What is known of the connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) connected: bool,
    /// How many times it was made.
    pub(crate) connects: u64,
    /// Why the broker does not let this agent in, if it said so.
    pub(crate) refused: Option<String>,
    /// How often it said so, one time after the other.
    pub(crate) refusals: u32,
}

#[derive(Debug, Default)]
struct Attempts {
    refusals: AtomicU32,
    connects: AtomicU64,
}

/// Starts to connect and returns at once; the connection is made, and made again, in the background.
pub(crate) async fn connect(
    config: &Config,
    name: &str,
) -> Result<(async_nats::Client, watch::Receiver<Link>), ConfigError> {
    let (link, watch) = watch::channel(Link::default());
    let attempts = Arc::new(Attempts::default());
    let delays = Arc::clone(&attempts);
    let link = Arc::new(link);
    let options = ConnectOptions::new()
        .credentials(config.credential.as_str())
        .map_err(|e| ConfigError::Invalid { key: "credentials", why: e.to_string() })?
        .name(format!("live {name}"))
        .custom_inbox_prefix(subject::inbox(&config.user_key))
        .retry_on_initial_connect()
        .max_reconnects(None)
        .request_timeout(Some(REQUEST_TIMEOUT))
        .ping_interval(PING_INTERVAL)
        .subscription_capacity(WAITING)
        .reconnect_delay_callback(move |attempt| delays.delay(attempt))
        .event_callback(move |event| {
            on_event(&link, &attempts, event);
            async {}
        });
    let servers: Vec<async_nats::ServerAddr> =
        config.connection.servers.iter().filter_map(|s| s.parse().ok()).collect();
    let client = options
        .connect(servers)
        .await
        .map_err(|e| ConfigError::Invalid { key: "connection", why: e.to_string() })?;
    Ok((client, watch))
}

impl Attempts {
    /// How long to wait before an attempt: fully jittered, so that a fleet does not come at once.
    fn delay(&self, attempt: usize) -> Duration {
        let refusals = self.refusals.load(Ordering::Relaxed);
        if refusals > 0 {
            let most = QUICK.saturating_mul(1 << refusals.min(16)).min(REFUSED_MAX);
            return most / 2 + jitter(most / 2);
        }
        if attempt <= 1 && self.connects.load(Ordering::Relaxed) == 0 {
            return Duration::ZERO;
        }
        let beyond = u32::try_from(attempt.saturating_sub(QUICK_ATTEMPTS)).unwrap_or(16).min(16);
        jitter(QUICK.saturating_mul(1 << beyond).min(SLOW_MAX))
    }
}

fn on_event(link: &watch::Sender<Link>, attempts: &Attempts, event: Event) {
    match event {
        Event::Connected => {
            attempts.refusals.store(0, Ordering::Relaxed);
            let connects = attempts.connects.fetch_add(1, Ordering::Relaxed) + 1;
            tracing::info!("connected to the broker");
            link.send_replace(Link { connected: true, connects, ..Link::default() });
        }
        Event::Disconnected | Event::Closed => {
            tracing::warn!("the connection to the broker is lost; serving what is here");
            link.send_modify(|link| link.connected = false);
        }
        Event::ServerError(error) => said(link, attempts, &error.to_string()),
        Event::ClientError(error) => said(link, attempts, &error.to_string()),
        other => tracing::debug!(event = %other, "broker"),
    }
}

fn said(link: &watch::Sender<Link>, attempts: &Attempts, error: &str) {
    let lower = error.to_ascii_lowercase();
    if !lower.contains("authorization violation") && !lower.contains("authentication") {
        tracing::debug!(error, "broker");
        return;
    }
    let refusals = attempts.refusals.fetch_add(1, Ordering::Relaxed).saturating_add(1);
    if refusals == 1 {
        tracing::error!(
            error,
            retry.seconds_max = REFUSED_MAX.as_secs(),
            "the broker refuses this credential: it was revoked or has expired; serving what is here"
        );
    }
    link.send_modify(|link| {
        link.refusals = refusals;
        link.refused = Some(REFUSED.into());
    });
}

/// A random part of `most`.
pub(crate) fn jitter(most: Duration) -> Duration {
    most.mul_f64(rand::rng().random::<f64>())
}

/// `base` and up to half of it more.
pub(crate) fn around(base: Duration) -> Duration {
    base + jitter(base / 2)
}
