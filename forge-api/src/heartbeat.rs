//! FORGE's signed word to every environment on what its newest serials are, so that an agent can
//! tell silence and withholding from "nothing new"; and on what people ordered. A new order sends it at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use schemas::Micros;
use schemas::envelope::{Head, Heartbeat};
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};
use tokio_util::sync::CancellationToken;

use crate::author::{self, ProjectAt};
use crate::clock;
use crate::database::organisation::Organisation;
use crate::database::project::{Environment, Project};
use crate::database::{Conn, order, project, publication};
use crate::error::{ApiError, Result, chain};
use crate::keys::Signer;
use crate::order::{self as orders, Listener};
use crate::state::AppState;

/// Heartbeats that are signed and sent at once.
const AT_ONCE: usize = 16;
/// Orders of another process are looked for so often.
const LOOK: Duration = Duration::from_secs(1);
/// Orders with numbers from the last minute are new, unless they were told.
const NEW: Micros = 60 * 1_000_000;

/// Lets the heartbeat come early, because of an order.
#[derive(Debug, Clone, Default)]
pub struct Early(Arc<Notify>);

impl Early {
    /// An order was given.
    pub fn ring(&self) {
        self.0.notify_one();
    }
}

/// What is said to one environment.
struct Word {
    environment_id: String,
    signer: Arc<Signer>,
    heartbeat: Heartbeat,
}

type Place = (Organisation, Project, Environment);

/// Sends heartbeats until `stop`.
pub async fn run(state: AppState, stop: CancellationToken) {
    stop.run_until_cancelled(async {
        let broker = state.broker.found().await;
        let mut ticks = interval_at(Instant::now() + Duration::from_millis(200), state.config.heartbeat);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The newest order of each environment that was told.
        let mut told = HashMap::new();
        loop {
            let to_all = tokio::select! {
                _ = ticks.tick() => true,
                () = state.early.0.notified() => false,
                _ = looks.tick() => false,
            };
            if broker.is_connected()
                && let Err(error) = beat(&state, &broker, &mut told, to_all).await
            {
                tracing::warn!(error = %chain(&error), "heartbeats were not sent");
            }
        }
    })
    .await;
}

/// Reads what is to be said, to all environments or to those with orders that were not told yet, gives the connection
/// back, and says it. One project's fault is its own.
async fn beat(
    state: &AppState,
    broker: &publisher::Broker,
    told: &mut HashMap<String, i64>,
    to_all: bool,
) -> Result<()> {
    let mut conn = state.database.read().await?;
    let given: HashMap<String, i64> =
        order::above(&mut conn, clock::now() - NEW).await?.into_iter().collect();
    let places = match to_all {
        true => project::all_environments(&mut conn).await?,
        false => with_news(&mut conn, &given, told).await?,
    };
    let words = words(state, &mut conn, places).await;
    drop(conn);
    for word in &words {
        // Also one that nobody is told: it is withdrawn, or its agent is away.
        if let Some(newest) = given.get(&word.environment_id) {
            told.insert(word.environment_id.clone(), *newest);
        }
    }
    futures::stream::iter(words)
        .for_each_concurrent(AT_ONCE, |Word { signer, heartbeat, .. }| async move {
            let scope = heartbeat.scope.clone();
            let Signer { keys, certificate, trust, .. } = &*signer;
            if let Err(error) = broker.beat(keys, certificate, trust.as_deref(), heartbeat).await {
                tracing::warn!(stream.scope = %scope, error = %chain(&error), "a heartbeat was not sent");
            }
        })
        .await;
    Ok(())
}

/// Of the environments where orders were given, here or by another process, those with one that was not told yet.
async fn with_news(
    conn: &mut Conn,
    given: &HashMap<String, i64>,
    told: &HashMap<String, i64>,
) -> Result<Vec<Place>> {
    let mut out = Vec::new();
    for (environment, number) in given {
        if told.get(environment).is_none_or(|known| number > known) {
            out.extend(project::environment_by_id(conn, environment).await?);
        }
    }
    Ok(out)
}

async fn words(state: &AppState, conn: &mut Conn, places: Vec<Place>) -> Vec<Word> {
    // None for a project whose keys cannot be had: that was said already.
    let mut signers: HashMap<String, Option<Arc<Signer>>> = HashMap::new();
    let mut out = Vec::new();
    for (organisation, project, environment) in places {
        let at = ProjectAt { organisation, project };
        let signer = match signers.get(&at.project.id) {
            Some(known) => known.clone(),
            None => {
                let found = match state.keys.signer(conn, &at).await {
                    Ok(signer) => Some(Arc::new(signer)),
                    Err(error) => {
                        tracing::warn!(project.path = %at.path(), error = %chain(&error), "no heartbeats: the project's keys cannot be had");
                        None
                    }
                };
                signers.insert(at.project.id.clone(), found.clone());
                found
            }
        };
        let Some(signer) = signer else { continue };
        match word(state, conn, &at, &environment, &signer, Listener::Everybody).await {
            Ok(heartbeat) => out.push(Word { environment_id: environment.id, signer, heartbeat }),
            Err(error) => {
                tracing::warn!(project.path = %at.path(), environment.slug = %environment.slug, error = %chain(&error), "a heartbeat cannot be written");
            }
        }
    }
    out
}

/// What FORGE says to the agents of an environment, or to one of them, as of now.
pub(crate) async fn word(
    state: &AppState,
    conn: &mut Conn,
    at: &ProjectAt,
    environment: &Environment,
    signer: &Signer,
    listener: Listener<'_>,
) -> Result<Heartbeat> {
    // What the broker does not have yet, no agent can have; what it had before still counts.
    let heads = publication::announced(conn, &environment.id)
        .await?
        .iter()
        .map(|head| {
            Ok(Head {
                set: schemas::Slug::new(&head.set.slug)?,
                serial: u64::try_from(head.publication.serial).map_err(ApiError::internal)?,
                digest: head.version.digest.parse().map_err(ApiError::internal)?,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Heartbeat {
        scope: at.scope(environment)?,
        issued: clock::now(),
        period_ms: u64::try_from(state.config.heartbeat.as_millis()).unwrap_or(u64::MAX),
        heads,
        trust: signer.trust_version,
        max_age: author::max_age(&at.project),
        orders: orders::told(conn, &environment.id, listener).await?,
    })
}
