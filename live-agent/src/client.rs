//! The connection to the broker: how it is made, and how it comes back.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, ServerAddr};
use nats_config::{subject, tls};
use rand::RngExt as _;
use schemas::Micros;
use tokio::sync::watch;

use crate::clock;
use crate::config::{ConfigError, Entry};

mod plain;

/// The first attempts after a loss come quickly, so that a whole fleet is back within a second.
const QUICK_ATTEMPTS: usize = 8;
const QUICK: Duration = Duration::from_millis(250);
const SLOW_MAX: Duration = Duration::from_secs(8);
/// A refused credential will hardly be taken a second later; the first attempts are quick all the
/// same, since a broker that comes back empty refuses everybody until FORGE has filled it again.
const REFUSED_MAX: Duration = Duration::from_secs(60);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Messages that wait to be looked at. What comes faster is dropped and fetched: a flood of messages does
/// not fill the host's memory. (One message is as large as its sender says: see docs/SECURITY.md.)
pub(crate) const WAITING: usize = 128;
/// A connection on which nothing comes back is given up at the third ping.
const PING_INTERVAL: Duration = Duration::from_secs(7);
/// How long ending a session may take.
const GONE: Duration = Duration::from_secs(1);
/// A failed connection is looked into once in so many times.
const LOOK_INTO: u32 = 8;

/// What is known of the connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) connected: bool,
    /// How many times it was made.
    pub(crate) connects: u64,
    /// Why agent and broker do not let each other in, if it was said.
    pub(crate) refused: Option<String>,
    /// How often it was said, one time after the other.
    pub(crate) refusals: u32,
}

/// One client, and what is known of its connection.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) link: watch::Receiver<Link>,
    attempts: Arc<Attempts>,
}

#[derive(Debug, Default)]
struct Attempts {
    refusals: AtomicU32,
    connects: AtomicU64,
    failures: AtomicU32,
    /// Another session has taken its place.
    retired: AtomicBool,
    /// Why the certificate was refused in the attempt that runs.
    certificate: Mutex<Option<String>>,
}

impl Session {
    /// Whether its client has ended, which is no loss of the connection: it does not come back.
    pub(crate) fn is_over(&self) -> bool {
        self.link.has_changed().is_err()
    }
}

/// Why a connection was not made at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotMade {
    /// Agent and broker do not let each other in.
    Refused(String),
    Unreachable(String),
    Unusable(String),
}

/// Starts to connect and returns at once; the connection is made, and made again, in the background.
pub(crate) async fn connect(entry: &Entry, name: &str) -> Result<Session, ConfigError> {
    let invalid = |why: String| ConfigError::Invalid { key: "connection", why };
    let prepared = prepare(entry, name).map_err(invalid)?;
    let options = prepared.options.retry_on_initial_connect();
    let client = options.connect(prepared.servers).await.map_err(|e| invalid(e.to_string()))?;
    Ok(Session { client, link: prepared.link, attempts: prepared.attempts })
}

/// Connects, or says why not. Once it stands, it is made again in the background like any other.
pub(crate) async fn try_once(entry: &Entry, name: &str) -> Result<Session, NotMade> {
    let Prepared { options, servers, link, attempts } = prepare(entry, name).map_err(NotMade::Unusable)?;
    let error = match options.connect(servers.clone()).await {
        Ok(client) => {
            let session = Session { client, link, attempts };
            // It stands; the event that says so is on its way.
            let mut link = session.link.clone();
            let _ = tokio::time::timeout(REQUEST_TIMEOUT, link.wait_for(|link| link.connected)).await;
            return Ok(session);
        }
        Err(error) => error.to_string(),
    };
    if let Some(why) = attempts.take_certificate() {
        return Err(NotMade::Refused(why));
    }
    if refuses(&error) {
        return Err(NotMade::Refused(refused(entry.credential.expires)));
    }
    match plain::first(&servers).await {
        Some(server) => Err(NotMade::Refused(no_tls(&server))),
        None => Err(NotMade::Unreachable(error)),
    }
}

/// All but the connection itself.
struct Prepared {
    options: ConnectOptions,
    servers: Vec<ServerAddr>,
    link: watch::Receiver<Link>,
    attempts: Arc<Attempts>,
}

fn prepare(entry: &Entry, name: &str) -> Result<Prepared, String> {
    let (link, watch) = watch::channel(Link::default());
    let (link, attempts) = (Arc::new(link), Arc::new(Attempts::default()));
    let options = ConnectOptions::new().credentials(entry.credential.as_str()).map_err(|e| e.to_string())?;
    let trust = entry.connection.tls.clone().unwrap_or_default();
    let noted = Arc::clone(&attempts);
    let note: tls::Refused = Arc::new(move |why| *noted.certificate() = Some(why));
    let (options, servers) = tls::secure(options, &entry.connection.servers, &trust, entry.allow_plain, note)
        .map_err(|e| e.to_string())?;
    let delays = Arc::clone(&attempts);
    let events = Events {
        link,
        attempts: Arc::clone(&attempts),
        servers: servers.clone(),
        expires: entry.credential.expires,
    };
    let events = Arc::new(events);
    let options = options
        .name(format!("live {name}"))
        .custom_inbox_prefix(subject::inbox(&entry.credential.user))
        .max_reconnects(None)
        .request_timeout(Some(REQUEST_TIMEOUT))
        .ping_interval(PING_INTERVAL)
        .subscription_capacity(WAITING)
        .reconnect_delay_callback(move |attempt| delays.delay(attempt))
        .event_callback(move |event| {
            let events = Arc::clone(&events);
            async move { events.take(event).await }
        });
    Ok(Prepared { options, servers, link: watch, attempts })
}

impl Session {
    /// Ends the session: another one has taken its place. One that is connected lets go at once; one that is not
    /// ends before its next attempt but one.
    pub(crate) async fn retire(self) {
        self.attempts.retired.store(true, Ordering::Relaxed);
        let _ = tokio::time::timeout(GONE, self.client.drain()).await;
    }
}

/// Ends the task of a client that is not connected. It listens to nobody until it is, and asks for nothing but how long
/// to wait: so its stack is unwound from there, as a task is that is aborted, with no panic told. The client is ours
/// alone by then, and whatever it holds is dropped.
#[cfg(all(panic = "unwind", not(tokio_unstable)))]
fn give_up() -> Duration {
    std::panic::resume_unwind(Box::new("another connection has taken its place"))
}

/// Where a task that unwinds may end the host, a retired client tries now and then until the broker lets it in, and
/// ends then.
#[cfg(not(all(panic = "unwind", not(tokio_unstable))))]
fn give_up() -> Duration {
    Duration::from_secs(3600)
}

impl Attempts {
    /// How long to wait before an attempt: fully jittered, so that a fleet does not come at once.
    fn delay(&self, attempt: usize) -> Duration {
        if self.retired.load(Ordering::Relaxed) {
            return give_up();
        }
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

    fn certificate(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.certificate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_certificate(&self) -> Option<String> {
        self.certificate().take()
    }
}

/// What becomes of the events of one client.
struct Events {
    link: Arc<watch::Sender<Link>>,
    attempts: Arc<Attempts>,
    servers: Vec<ServerAddr>,
    expires: Option<Micros>,
}

impl Events {
    async fn take(&self, event: Event) {
        match event {
            Event::Connected => {
                self.attempts.refusals.store(0, Ordering::Relaxed);
                self.attempts.failures.store(0, Ordering::Relaxed);
                let connects = self.attempts.connects.fetch_add(1, Ordering::Relaxed) + 1;
                tracing::info!("connected to the broker");
                self.link.send_replace(Link { connected: true, connects, ..Link::default() });
            }
            Event::Disconnected | Event::Closed => {
                if !self.attempts.retired.load(Ordering::Relaxed) {
                    tracing::warn!("the connection to the broker is lost; serving what is here");
                }
                self.link.send_modify(|link| link.connected = false);
            }
            Event::ServerError(error) => self.failed(&error.to_string()).await,
            Event::ClientError(error) => self.failed(&error.to_string()).await,
            other => tracing::debug!(event = %other, "broker"),
        }
    }

    /// An attempt failed: finds out whether somebody was refused.
    async fn failed(&self, error: &str) {
        if let Some(why) = self.attempts.take_certificate() {
            return self.refused(why);
        }
        if refuses(error) {
            return self.refused(refused(self.expires));
        }
        tracing::debug!(error, "broker");
        let connected = self.link.borrow().connected;
        if connected || !self.attempts.failures.fetch_add(1, Ordering::Relaxed).is_multiple_of(LOOK_INTO) {
            return;
        }
        if let Some(server) = plain::first(&self.servers).await {
            self.refused(no_tls(&server));
        }
    }

    fn refused(&self, why: String) {
        let refusals = self.attempts.refusals.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if refusals == 1 {
            let retry = REFUSED_MAX.as_secs();
            tracing::error!(reason = %why, retry.seconds_max = retry, "no connection; serving what is here");
        }
        self.link.send_modify(|link| {
            link.refusals = refusals;
            link.refused = Some(why);
        });
    }
}

/// Whether an error says that the broker does not take the credential. Who took too long to show it was not refused.
fn refuses(error: &str) -> bool {
    let lower = error.to_ascii_lowercase();
    let authentication = lower.contains("authentication") && !lower.contains("authentication timeout");
    lower.contains("authorization violation") || authentication
}

/// Why the broker does not take a credential that ends then.
fn refused(expires: Option<Micros>) -> String {
    let why = match expires.map(|at| (clock::now() - at) / 1_000_000) {
        Some(ago @ 0..=7_199) => format!("it has expired {} min ago", ago / 60),
        Some(ago @ 7_200..=172_799) => format!("it has expired {} h ago", ago / 3_600),
        Some(ago @ 172_800..) => format!("it has expired {} days ago", ago / 86_400),
        _ => "it was revoked or has expired".into(),
    };
    format!("the broker refuses this credential: {why}; connect again with a new one")
}

fn no_tls(server: &str) -> String {
    format!("the server at {server} does not speak TLS, which the connection asks for")
}

/// A random part of `most`.
pub(crate) fn jitter(most: Duration) -> Duration {
    most.mul_f64(rand::rng().random::<f64>())
}

/// `base` and up to half of it more.
pub(crate) fn around(base: Duration) -> Duration {
    base + jitter(base / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_slow_to_sign_in_is_not_refused() {
        for refusal in
            ["nats: authorization violation", "User Authentication Expired", "user authentication revoked"]
        {
            assert!(refuses(refusal), "{refusal}");
        }
        for other in ["unknown nats error: Authentication Timeout", "IO error: connection reset by peer"] {
            assert!(!refuses(other), "{other}");
        }
    }
}
