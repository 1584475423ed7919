//! The broker as FORGE holds it: two connections, accounts and streams.
//!
//! Everything here can be done again at any time: it looks at what the broker has and changes only
//! what differs, so that a broker whose store was wiped is whole again after the same calls.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::{self, context::CreateStreamErrorKind};
use async_nats::{Client, Event, RequestErrorKind, connection::State};
use nats_config::stream::{self, Limits};
use nats_config::tls::TlsError;
use nats_config::{account, subject, system};
use schemas::Scope;
use serde::Deserialize;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::claims::{self, Project};
use crate::client::{self, Identity, Trust};
use crate::jwt::{self, Claims, JwtError};
use crate::keys::{Key, KeyRing, ProjectKeys};
use crate::publish::Head;

/// What [`Broker::connect`] needs.
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    /// `nats://host:port` or `tls://host:port`.
    pub servers: Vec<String>,
    pub keys: Arc<KeyRing>,
    pub limits: Limits,
    /// Shown by the broker for both connections.
    pub name: String,
}

/// Why the broker did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    #[error("the address of the broker cannot be used: write nats://host:port")]
    Address(#[source] std::io::Error),
    #[error("the broker cannot be connected to")]
    Tls(#[from] TlsError),
    #[error("the broker cannot be reached; it is tried again: {doing}")]
    Unreachable {
        doing: &'static str,
        #[source]
        source: Option<async_nats::Error>,
    },
    #[error("the broker did not take the account {account}: {reason}")]
    Account { account: String, reason: String },
    #[error("the broker refused stream {stream}: {reason}")]
    Stream { stream: String, reason: String },
    #[error("the broker's answer cannot be read: {doing}")]
    Answer {
        doing: &'static str,
        #[source]
        source: serde_json::Error,
    },
    #[error("the broker refused: {doing}: {reason} (code {code})")]
    Refused { doing: &'static str, code: u64, reason: String },
    #[error("a token could not be made")]
    Jwt(#[from] JwtError),
}

impl BrokerError {
    /// Whether the same call may succeed later without anybody doing anything.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    pub(crate) fn unreachable(doing: &'static str, source: impl Into<async_nats::Error>) -> Self {
        Self::Unreachable { doing, source: Some(source.into()) }
    }
}

/// FORGE's hold on a broker. Cheap to clone; the last one closes the connections.
#[derive(Debug, Clone)]
pub struct Broker {
    pub(crate) inner: Arc<Inner>,
}

/// Tokens by account.
pub(crate) type Pushed = Arc<Mutex<HashMap<String, String>>>;

/// The last message of each bundle subject, as far as known: a guess that the broker checks.
type Heads = Arc<Mutex<HashMap<String, Head>>>;

pub(crate) struct Inner {
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) limits: Limits,
    pub(crate) forge: Client,
    pub(crate) jetstream: jetstream::Context,
    pub(crate) system: Client,
    pub(crate) heads: Heads,
    connected: watch::Receiver<u64>,
    /// Counts the connections of the system user.
    pub(crate) system_connected: watch::Receiver<u64>,
    /// The account JWTs that were pushed last from here, by account.
    pub(crate) pushed: Pushed,
    /// The connection for which the stream of statuses was seen to.
    statuses_ensured: AtomicU64,
    _keeper: DropGuard,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker").field("connected", &self.forge.connection_state()).finish_non_exhaustive()
    }
}

impl Broker {
    /// Starts both connections and returns at once, whether or not the broker is there: they are
    /// made, and kept, in the background. See [`Broker::ready`].
    ///
    /// # Errors
    /// [`BrokerError::Address`] for an address that is none, [`BrokerError::Jwt`] for bad keys.
    pub async fn connect(config: BrokerConfig) -> Result<Self, BrokerError> {
        Self::connect_trusting(config, &Trust::default()).await
    }

    /// As [`Broker::connect`], for a broker with a certificate of a private authority, or one that may
    /// go without TLS although it is on another machine.
    ///
    /// # Errors
    /// As [`Broker::connect`].
    pub async fn connect_trusting(config: BrokerConfig, trust: &Trust) -> Result<Self, BrokerError> {
        let BrokerConfig { servers, keys, limits, name } = config;
        let (system_events, system_seen) = mpsc::unbounded_channel();
        let (forge_events, forge_seen) = mpsc::unbounded_channel();
        let (account_ensured, account_is_there) = watch::channel(false);
        let identity = own_identity(
            &keys.system_account,
            &keys.system_user,
            &name,
            &account::system_permissions(keys.system_user.public()),
        )?;
        let system_name = format!("{name} (system)");
        let system = client::connect(&system_name, &servers, trust, identity, system_events, None).await?;
        let identity = own_identity(
            &keys.forge_account,
            &keys.forge_user,
            &name,
            &account::forge_permissions(keys.forge_user.public()),
        )?;
        let forge =
            client::connect(&name, &servers, trust, identity, forge_events, Some(account_is_there)).await?;
        let jetstream = jetstream::ContextBuilder::new()
            .timeout(Duration::from_secs(10))
            .ack_timeout(crate::publish::ACK_TIMEOUT)
            .build(forge.clone());

        let stop = CancellationToken::new();
        let (connections, connected) = watch::channel(0);
        let heads = Heads::default();
        let counter = count_connections(forge_seen, connections, heads.clone());
        tokio::spawn(stop.clone().run_until_cancelled_owned(counter));
        let (system_connections, system_connected) = watch::channel(0);
        let pushed = Pushed::default();
        let own = OwnAccount { system: system.clone(), keys: keys.clone(), pushed: pushed.clone() };
        let keeper = keep_forge_account(own, system_seen, account_ensured, system_connections);
        tokio::spawn(stop.clone().run_until_cancelled_owned(keeper));
        Ok(Self {
            inner: Arc::new(Inner {
                keys,
                limits,
                forge,
                jetstream,
                system,
                heads,
                connected,
                system_connected,
                pushed,
                statuses_ensured: AtomicU64::new(0),
                _keeper: stop.drop_guard(),
            }),
        })
    }

    /// Waits until both connections stand.
    ///
    /// # Errors
    /// [`BrokerError::Unreachable`] after `deadline`.
    pub async fn ready(&self, deadline: Duration) -> Result<(), BrokerError> {
        let end = Instant::now() + deadline;
        let mut connected = self.inner.connected.clone();
        while !self.is_connected() {
            let step = (Instant::now() + Duration::from_millis(20)).min(end);
            // The system connection has no counter: look again soon.
            let _ = tokio::time::timeout_at(step, connected.changed()).await;
            if Instant::now() >= end {
                return Err(BrokerError::Unreachable { doing: "connecting", source: None });
            }
        }
        Ok(())
    }

    /// Whether both connections stand now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        let stands = |client: &Client| client.connection_state() == State::Connected;
        stands(&self.inner.forge) && stands(&self.inner.system)
    }

    /// A number that grows with each connection to the broker. After each, projects, environments
    /// and unsent publications are to be gone through again: the broker may be another one, or its
    /// store a new one.
    #[must_use]
    pub fn connections(&self) -> watch::Receiver<u64> {
        self.inner.connected.clone()
    }

    /// The JetStream context of the FORGE account.
    #[must_use]
    pub fn jetstream(&self) -> &jetstream::Context {
        &self.inner.jetstream
    }

    /// The keys of this installation.
    #[must_use]
    pub fn keys(&self) -> &KeyRing {
        &self.inner.keys
    }

    /// Brings a project's account into the broker, if what the broker has differs. Call it under
    /// the lock of the database: the broker takes the last writer's word.
    ///
    /// Gives whether anything was changed.
    ///
    /// # Errors
    /// [`BrokerError`].
    pub async fn ensure_project(&self, project: &Project, keys: &ProjectKeys) -> Result<bool, BrokerError> {
        let wanted = claims::agents_account(&self.inner.keys, keys, project)?;
        ensure_account(&self.inner.system, &self.inner.keys, &self.inner.pushed, wanted).await
    }

    /// Brings the account of FORGE itself into the broker, if what the broker has differs.
    ///
    /// # Errors
    /// [`BrokerError`].
    pub async fn ensure_own_account(&self) -> Result<bool, BrokerError> {
        let Inner { system, keys, pushed, .. } = &*self.inner;
        ensure_account(system, keys, pushed, claims::forge_account(keys)?).await
    }

    /// Creates the stream of a scope, or brings its configuration up to date; and once for each
    /// connection the stream of statuses.
    ///
    /// # Errors
    /// [`BrokerError`].
    pub async fn ensure_environment(&self, scope: &Scope) -> Result<(), BrokerError> {
        let connection = *self.inner.connected.borrow();
        if self.inner.statuses_ensured.load(Ordering::Relaxed) != connection {
            self.ensure_stream(stream::statuses(&self.inner.limits)).await?;
            self.inner.statuses_ensured.store(connection, Ordering::Relaxed);
        }
        self.ensure_stream(stream::config(scope, &self.inner.limits)).await
    }

    async fn ensure_stream(&self, config: jetstream::stream::Config) -> Result<(), BrokerError> {
        let doing = "making a stream";
        self.must_be_connected(doing)?;
        let name = config.name.clone();
        let Err(error) = self.inner.jetstream.create_or_update_stream(config).await else { return Ok(()) };
        match error.kind() {
            CreateStreamErrorKind::TimedOut | CreateStreamErrorKind::Response => {
                Err(BrokerError::unreachable(doing, error))
            }
            // 503: no leader yet, or the store is not ready.
            CreateStreamErrorKind::JetStream(e) if e.code() == 503 => {
                Err(BrokerError::unreachable(doing, error))
            }
            _ => Err(BrokerError::Stream { stream: name, reason: error.to_string() }),
        }
    }

    /// Removes the stream of a scope with everything in it; absent is fine.
    ///
    /// # Errors
    /// [`BrokerError`].
    pub async fn remove_environment(&self, scope: &Scope) -> Result<(), BrokerError> {
        use async_nats::jetstream::ErrorCode;
        use async_nats::jetstream::context::DeleteStreamErrorKind;
        self.must_be_connected("removing a stream")?;
        let stream = subject::stream(scope);
        match self.inner.jetstream.delete_stream(&stream).await {
            Ok(_) => Ok(()),
            Err(error) => match error.kind() {
                DeleteStreamErrorKind::JetStream(e) if e.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                    Ok(())
                }
                DeleteStreamErrorKind::JetStream(e) => {
                    Err(BrokerError::Stream { stream, reason: e.to_string() })
                }
                _ => Err(BrokerError::unreachable("removing a stream", error)),
            },
        }
    }

    /// A request that is given up when the connection is lost on the way: the answer to it died
    /// with the old connection.
    pub(crate) async fn ask(
        &self,
        subject: String,
        request: async_nats::Request,
    ) -> Result<async_nats::Message, Unanswered> {
        let mut connected = self.inner.connected.clone();
        connected.mark_unchanged();
        tokio::select! {
            answer = self.inner.forge.send_request(subject, request) => answer.map_err(Unanswered::Failed),
            _ = connected.changed() => Err(Unanswered::ConnectionLost),
        }
    }

    pub(crate) fn must_be_connected(&self, doing: &'static str) -> Result<(), BrokerError> {
        match self.inner.forge.connection_state() {
            State::Connected => Ok(()),
            _ => Err(BrokerError::Unreachable { doing, source: None }),
        }
    }
}

fn own_identity(
    account: &Key,
    user: &Key,
    name: &str,
    permissions: &account::Permissions,
) -> Result<Identity, BrokerError> {
    let claims = claims::own_user(account, user.public(), name, permissions, None)?;
    let token = jwt::mint(account, claims)?;
    Ok(Identity { user: user.clone(), token })
}

async fn count_connections(
    mut events: mpsc::UnboundedReceiver<Event>,
    count: watch::Sender<u64>,
    heads: Heads,
) {
    while let Some(event) = events.recv().await {
        match event {
            Event::Connected => {
                // The store may be a new one.
                heads.lock().unwrap_or_else(PoisonError::into_inner).clear();
                count.send_modify(|n| *n += 1);
            }
            Event::ServerError(error) => tracing::warn!(broker.error = %error, "the broker complained"),
            Event::SlowConsumer(_) => tracing::warn!("messages of agents come faster than they are read"),
            _ => {}
        }
    }
}

/// At each connection of the system user: see that the FORGE account is there, since without it
/// the other connection cannot be made.
async fn keep_forge_account(
    own: OwnAccount,
    mut events: mpsc::UnboundedReceiver<Event>,
    ensured: watch::Sender<bool>,
    connections: watch::Sender<u64>,
) {
    while let Some(event) = events.recv().await {
        match event {
            Event::Connected => {
                connections.send_modify(|n| *n += 1);
                own.ensure().await;
                ensured.send_replace(true);
            }
            Event::Disconnected => {
                ensured.send_replace(false);
            }
            _ => {}
        }
    }
}

/// What it takes to bring FORGE's own account into the broker.
struct OwnAccount {
    system: Client,
    keys: Arc<KeyRing>,
    pushed: Pushed,
}

impl OwnAccount {
    /// Until it is there, or the connection has gone.
    async fn ensure(&self) {
        let Self { system, keys, pushed } = self;
        let mut pause = Duration::from_millis(50);
        while system.connection_state() == State::Connected {
            let ensured = match claims::forge_account(keys) {
                Ok(wanted) => ensure_account(system, keys, pushed, wanted).await,
                Err(error) => Err(error.into()),
            };
            match ensured {
                Ok(true) => return tracing::info!("gave the broker the account of FORGE"),
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(error = %error, "the account of FORGE is not in the broker yet");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(5));
                }
            }
        }
    }
}

/// Pushes an account's claims where the broker has others or none. Gives whether it did.
async fn ensure_account(
    system: &Client,
    keys: &KeyRing,
    pushed: &Pushed,
    wanted: Claims,
) -> Result<bool, BrokerError> {
    if system.connection_state() != State::Connected {
        return Err(BrokerError::Unreachable { doing: "looking up an account", source: None });
    }
    let answer = system
        .request(system::claims_lookup(&wanted.sub), "".into())
        .await
        .map_err(|e| BrokerError::unreachable("looking up an account", e))?;
    let signer = keys.operator_signing.public();
    let found = std::str::from_utf8(&answer.payload).ok().filter(|t| !t.is_empty());
    if let Some(found) = found.and_then(|token| jwt::verify(token, signer).ok())
        && found.says_the_same(&wanted)
    {
        return Ok(false);
    }
    push_account(system, keys, pushed, wanted).await?;
    Ok(true)
}

async fn push_account(
    system: &Client,
    keys: &KeyRing,
    pushed: &Pushed,
    wanted: Claims,
) -> Result<(), BrokerError> {
    let (name, account) = (wanted.name.clone(), wanted.sub.clone());
    let token = jwt::mint(&keys.operator_signing, wanted)?;
    // The broker stores what a stranger signed; what leaves here is read back first.
    jwt::verify(&token, keys.operator_signing.public())?;
    if token.len() > jwt::ACCOUNT_MAX {
        return Err(JwtError::TooLarge { found: token.len() }.into());
    }
    pushed.lock().unwrap_or_else(PoisonError::into_inner).insert(account, token.clone());
    let answer = system
        .request(system::CLAIMS_UPDATE, token.into())
        .await
        .map_err(|e| BrokerError::unreachable("storing an account", e))?;
    #[derive(Deserialize)]
    struct Answer {
        error: Option<Failure>,
    }
    #[derive(Deserialize)]
    struct Failure {
        #[serde(default)]
        description: String,
    }
    let answer: Answer = serde_json::from_slice(&answer.payload)
        .map_err(|source| BrokerError::Answer { doing: "storing an account", source })?;
    match answer.error {
        None => Ok(()),
        Some(failure) => Err(BrokerError::Account { account: name, reason: failure.description }),
    }
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    #[error("the connection was lost on the way")]
    ConnectionLost,
    #[error("{0}")]
    Failed(#[source] async_nats::RequestError),
}

impl Unanswered {
    /// Nobody is there to answer.
    pub(crate) fn is_nobody(&self) -> bool {
        matches!(self, Self::Failed(e) if e.kind() == RequestErrorKind::NoResponders)
    }

    /// It was larger than the broker takes.
    pub(crate) fn is_too_large(&self) -> bool {
        matches!(self, Self::Failed(e) if e.kind() == RequestErrorKind::MaxPayloadExceeded)
    }

    pub(crate) fn into_error(self, doing: &'static str) -> BrokerError {
        BrokerError::Unreachable { doing, source: Some(Box::new(self)) }
    }
}
