//! FORGE's hold on the broker: starts the embedded one or connects to an external one, and after
//! each connection brings accounts and streams to what the database says.
//!
//! FORGE serves whether or not the broker is there.

mod guard;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use publisher::claims::{Project, Revocation};
use publisher::server::find::{self, Search};
use publisher::server::{EmbeddedServer, ServerConfig};
use publisher::{Broker, BrokerConfig};
use schemas::{Scope, Slug};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::author::ProjectAt;
use crate::clock;
use crate::credential::DAY;
use crate::database::{Conn, credential, key, project};
use crate::error::{ApiError, Result, chain};
use crate::republish;
use crate::state::AppState;

/// Under this name the settings keep the addresses of the embedded broker, for other commands.
pub(crate) const ADDRESSES: &str = "broker.addresses";
/// A broker that runs beside answers within this time.
const BESIDE: Duration = Duration::from_secs(3);
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_LAST: Duration = Duration::from_secs(30);
/// The database is looked at this often: another process may have made a project.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Everything is gone through again this often, in case a change was lost.
const PROVISION_EVERY: Duration = Duration::from_secs(300);

/// The broker as the rest of FORGE sees it: perhaps there.
#[derive(Debug, Clone)]
pub struct BrokerLink(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    broker: watch::Sender<Option<Broker>>,
    /// Addresses that agents connect to, once known.
    addresses: Mutex<Vec<String>>,
    bell: Notify,
    /// Counts the rounds of provisioning that went through.
    rounds: watch::Sender<u64>,
    embedded_pid: Mutex<Option<u32>>,
    /// The broker takes the last writer's word on an account, so only one writes at a time.
    accounts: tokio::sync::Mutex<()>,
    /// Whose account is whose, by public key.
    owners: Mutex<HashMap<String, ProjectAt>>,
}

impl Default for BrokerLink {
    fn default() -> Self {
        Self(Arc::new(Inner {
            broker: watch::Sender::new(None),
            addresses: Mutex::default(),
            bell: Notify::new(),
            rounds: watch::Sender::new(0),
            embedded_pid: Mutex::default(),
            accounts: tokio::sync::Mutex::default(),
            owners: Mutex::default(),
        }))
    }
}

impl BrokerLink {
    /// The broker, once it was found. It may still be out of reach.
    #[must_use]
    pub fn get(&self) -> Option<Broker> {
        self.0.broker.borrow().clone()
    }

    /// Whether the broker can be reached now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.get().is_some_and(|b| b.is_connected())
    }

    /// Waits for the broker to be found.
    pub async fn found(&self) -> Broker {
        let mut receiver = self.0.broker.subscribe();
        loop {
            if let Some(broker) = receiver.borrow_and_update().clone() {
                return broker;
            }
            if receiver.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Asks for accounts and streams to be brought up to date soon.
    pub fn provision(&self) {
        self.0.bell.notify_one();
    }

    /// Grows with every round in which all accounts and streams were brought up to date.
    #[must_use]
    pub fn rounds(&self) -> watch::Receiver<u64> {
        self.0.rounds.subscribe()
    }

    /// Addresses that agents connect to.
    ///
    /// # Errors
    /// [`ApiError::Unavailable`] while the embedded broker has not started for the first time.
    pub fn addresses(&self) -> Result<Vec<String>> {
        let known = self.0.addresses.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if known.is_empty() {
            return Err(ApiError::Unavailable("the broker is still starting; try again in a moment".into()));
        }
        Ok(known)
    }

    pub(crate) fn set_addresses(&self, addresses: Vec<String>) {
        *self.0.addresses.lock().unwrap_or_else(PoisonError::into_inner) = addresses;
    }

    fn know(&self, account: &str, at: &ProjectAt) {
        let mut owners = self.0.owners.lock().unwrap_or_else(PoisonError::into_inner);
        owners.insert(account.to_owned(), at.clone());
    }

    /// The project of an account that was brought into the broker from here.
    fn owner(&self, account: &str) -> Option<ProjectAt> {
        self.0.owners.lock().unwrap_or_else(PoisonError::into_inner).get(account).cloned()
    }

    fn accounts(&self) -> Vec<String> {
        self.0.owners.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Process id of the embedded broker, where there is one.
    #[must_use]
    pub fn embedded_pid(&self) -> Option<u32> {
        *self.0.embedded_pid.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts or finds the broker and keeps it provisioned until `stop`. Streams that lost publications
/// get them again.
pub async fn run(state: AppState, stop: CancellationToken) {
    hold(state, stop, true).await;
}

async fn hold(state: AppState, stop: CancellationToken, heal: bool) {
    let mut pause = RETRY_FIRST;
    let (broker, embedded) = loop {
        match start(&state).await {
            Ok(found) => break found,
            Err(error) => {
                tracing::error!(error = %error, retry_in_s = pause.as_secs_f32(), "no broker yet; FORGE serves without it");
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = stop.cancelled() => return,
                }
                pause = (pause * 2).min(RETRY_LAST);
            }
        }
    };
    state.broker.0.broker.send_replace(Some(broker.clone()));
    let both = async {
        tokio::join!(keep(&state, &broker, embedded.as_ref(), heal), guard::accounts(&state, &broker))
    };
    stop.run_until_cancelled(both).await;
    if let Some(server) = embedded {
        server.stop().await;
    }
}

/// As [`run`], for a command beside a FORGE that may be serving: the embedded broker is used where
/// it runs, and started where it does not.
pub async fn run_beside(state: AppState, stop: CancellationToken) {
    if state.config.nats_url.is_empty()
        && let Ok(addresses) = state.broker.addresses()
        && let Ok(broker) = connect(&state, addresses).await
        && broker.ready(BESIDE).await.is_ok()
    {
        state.broker.0.broker.send_replace(Some(broker.clone()));
        stop.run_until_cancelled(keep(&state, &broker, None, false)).await;
        return;
    }
    hold(state, stop, false).await;
}

async fn connect(state: &AppState, servers: Vec<String>) -> Result<Broker> {
    let replicas = state.config.nats_replicas;
    let limits = nats_config::stream::Limits { replicas, ..Default::default() };
    let keys = state.keys.ring();
    let config = BrokerConfig { servers, keys, limits, name: "forge".into() };
    let trust = state.tls.for_forge(&state.config)?;
    Broker::connect_trusting(config, &trust).await.map_err(ApiError::internal)
}

async fn start(state: &AppState) -> Result<(Broker, Option<EmbeddedServer>)> {
    let config = &state.config;
    let (servers, embedded) = if config.nats_url.is_empty() {
        let server = embedded(state).await?;
        (vec![server.url()], Some(server))
    } else {
        (config.nats_url.clone(), None)
    };
    let for_agents =
        if config.agent_nats_url.is_empty() { servers.clone() } else { config.agent_nats_url.clone() };
    if embedded.is_some() {
        let mut tx = state.database.write().await?;
        key::put_setting(&mut tx, ADDRESSES, &servers.join(","), clock::now()).await?;
        tx.commit().await?;
    }
    state.broker.set_addresses(for_agents);
    let broker = connect(state, servers).await?;
    Ok((broker, embedded))
}

async fn embedded(state: &AppState) -> Result<EmbeddedServer> {
    let config = &state.config;
    let search = Search {
        named: config.nats_server.clone(),
        path: std::env::var_os("PATH"),
        tools: config.tools_dir.clone(),
    };
    let unavailable = |e: publisher::server::ServerError| ApiError::Unavailable(chain(&e));
    let found = find::find(&search).await.map_err(unavailable)?;
    tracing::info!(broker.binary = %found.binary.display(), broker.version = %found.version, "starting the embedded broker");
    let operator = publisher::operator_files(&state.keys.ring()).map_err(ApiError::internal)?;
    let directory = config.data_dir.join("nats");
    let exposure = state.tls.embedded_broker(state)?;
    let server = EmbeddedServer::start(ServerConfig { binary: found.binary, directory, operator, exposure })
        .await
        .map_err(unavailable)?;
    *state.broker.0.embedded_pid.lock().unwrap_or_else(PoisonError::into_inner) = server.pid();
    Ok(server)
}

/// Provisions at each connection, when asked, and now and then.
async fn keep(state: &AppState, broker: &Broker, embedded: Option<&EmbeddedServer>, heal: bool) {
    let mut connections = broker.connections();
    // What was brought up already over this connection; a new one may lead to a new store.
    let mut done = Done::default();
    let mut at = u64::MAX;
    let mut pause = RETRY_FIRST;
    let mut whole = Instant::now();
    let mut whole_round = false;
    loop {
        let now = *connections.borrow_and_update();
        let fresh = now != at;
        if fresh {
            done = Done::default();
            at = now;
        }
        if let Some(server) = embedded {
            if state.tls.broker_certificate_changed(state) {
                server.reload();
            }
            *state.broker.0.embedded_pid.lock().unwrap_or_else(PoisonError::into_inner) = server.pid();
        }
        let wait = if !broker.is_connected() {
            Duration::from_millis(50)
        } else {
            match provision_all(state, broker, &mut done).await {
                Ok(incomplete) => {
                    state.broker.0.rounds.send_modify(|n| *n += 1);
                    if heal
                        && (fresh || whole_round)
                        && let Err(error) = republish::heal(state, broker).await
                    {
                        tracing::warn!(error = %chain(&error), "streams were not compared with the database");
                    }
                    whole_round = false;
                    if fresh {
                        state.relay.broker_is_back();
                    }
                    if incomplete == 0 {
                        pause = RETRY_FIRST;
                        LOOK_EVERY
                    } else {
                        pause = (pause * 2).min(RETRY_LAST);
                        pause.max(LOOK_EVERY)
                    }
                }
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "accounts and streams are not complete yet");
                    at = u64::MAX;
                    pause = (pause * 2).min(RETRY_LAST);
                    pause
                }
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {
                if whole.elapsed() >= PROVISION_EVERY {
                    done = Done::default();
                    whole = Instant::now();
                    whole_round = true;
                }
            }
            () = state.broker.0.bell.notified() => {}
            changed = connections.changed() => if changed.is_err() { return },
        }
    }
}

#[derive(Debug, Default)]
struct Done {
    projects: HashMap<String, Project>,
    scopes: HashSet<Scope>,
}

/// Goes through every project. What the broker refuses of one is its own, and no reason to leave out the others: gives
/// how many are not complete.
async fn provision_all(state: &AppState, broker: &Broker, done: &mut Done) -> Result<usize> {
    let projects = {
        let mut conn = state.database.read().await?;
        project::all(&mut conn).await?
    };
    let mut incomplete = 0;
    for (organisation, project) in projects {
        let at = ProjectAt { organisation, project };
        match provision(state, broker, &at, done).await {
            Ok(()) => {}
            // There is no broker, or no database.
            Err(error @ ApiError::Unavailable(_)) => return Err(error),
            Err(error) => {
                incomplete += 1;
                tracing::error!(project.path = %at.path(), error = %chain(&error), "a project's account and streams are not complete");
            }
        }
    }
    Ok(incomplete)
}

async fn provision(state: &AppState, broker: &Broker, at: &ProjectAt, done: &mut Done) -> Result<()> {
    let (wanted, _) = push_account(state, broker, at, done.projects.get(&at.project.id)).await?;
    for environment in &wanted.environments {
        let scope = Scope {
            organisation: wanted.organisation.clone(),
            project: wanted.project.clone(),
            environment: environment.clone(),
        };
        if !done.scopes.contains(&scope) {
            broker.ensure_environment(&scope).await.map_err(refused)?;
            done.scopes.insert(scope);
        }
    }
    done.projects.insert(at.project.id.clone(), wanted);
    Ok(())
}

/// What the broker did not do: now, or at all.
fn refused(error: publisher::BrokerError) -> ApiError {
    if error.is_temporary() { ApiError::Unavailable(chain(&error)) } else { ApiError::internal(error) }
}

/// Brings a project's account into the broker unless it is `known` to be there; gives it, and whether
/// anything was changed.
///
/// Whoever pushes holds a lock from reading the truth until the broker has it: one of this process,
/// and on PostgreSQL, where there may be others, the project's row.
async fn push_account(
    state: &AppState,
    broker: &Broker,
    at: &ProjectAt,
    known: Option<&Project>,
) -> Result<(Project, bool)> {
    if let Some(known) = known {
        // Nothing is locked where nothing is to be done.
        let wanted = account(&mut state.database.read().await?, at).await?;
        if *known == wanted {
            return Ok((wanted, false));
        }
    }
    let _alone = state.broker.0.accounts.lock().await;
    if state.database.is_shared() {
        let mut tx = state.database.write().await?;
        project::lock(&mut tx, &at.project.id).await?;
        push(state, broker, at, &mut tx).await
    } else {
        push(state, broker, at, &mut state.database.read().await?).await
    }
}

async fn push(state: &AppState, broker: &Broker, at: &ProjectAt, conn: &mut Conn) -> Result<(Project, bool)> {
    let wanted = account(conn, at).await?;
    let keys = state.keys.project(conn, &at.project.id).await?;
    state.broker.know(keys.account.public(), at);
    let changed = broker.ensure_project(&wanted, &keys).await.map_err(refused)?;
    Ok((wanted, changed))
}

/// Makes the broker refuse a credential whose revocation stands in the database, and cuts it off.
pub(crate) async fn cut_off(state: &AppState, at: &ProjectAt, public_key: &str) -> Result<()> {
    let unavailable = || ApiError::Unavailable("the broker cannot be reached".into());
    let broker = state.broker.get().ok_or_else(unavailable)?;
    let (wanted, _) = push_account(state, &broker, at, None).await?;
    let keys = {
        let mut conn = state.database.read().await?;
        state.keys.project(&mut conn, &at.project.id).await?
    };
    broker.revoke(&wanted, &keys, public_key).await.map_err(refused)
}

/// What the broker has to know of a project.
async fn account(conn: &mut Conn, at: &ProjectAt) -> Result<Project> {
    let environments = project::environments(conn, &at.project.id).await?;
    // A day late: the broker's clock need not be ours.
    let revoked = credential::revoked(conn, &at.project.id, clock::now() - DAY).await?;
    Ok(Project {
        organisation: Slug::new(&at.organisation.slug)?,
        project: Slug::new(&at.project.slug)?,
        environments: environments.iter().map(|e| Slug::new(&e.slug)).collect::<Result<_, _>>()?,
        revocations: revoked.into_iter().map(|(user, at)| Revocation { user, at }).collect(),
    })
}
