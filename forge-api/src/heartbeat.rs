//! FORGE's signed word to every environment on what its newest serials are, so that an agent can
//! tell silence and withholding from "nothing new".

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use schemas::envelope::{Head, Heartbeat};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use crate::author::{self, ProjectAt};
use crate::clock;
use crate::database::project::Environment;
use crate::database::{Conn, project, publication};
use crate::error::{ApiError, Result, chain};
use crate::keys::Signer;
use crate::state::AppState;

/// Heartbeats that are signed and sent at once.
const AT_ONCE: usize = 16;

/// Sends heartbeats until `stop`.
pub async fn run(state: AppState, stop: CancellationToken) {
    stop.run_until_cancelled(async {
        let broker = state.broker.found().await;
        let mut ticks = interval_at(Instant::now() + Duration::from_millis(200), state.config.heartbeat);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if broker.is_connected()
                && let Err(error) = beat_all(&state, &broker).await
            {
                tracing::warn!(error = %chain(&error), "heartbeats were not sent");
            }
        }
    })
    .await;
}

/// Reads what is to be said, gives the connection back, and says it. One project's fault is its own.
async fn beat_all(state: &AppState, broker: &publisher::Broker) -> Result<()> {
    let words = words(state).await?;
    futures::stream::iter(words)
        .for_each_concurrent(AT_ONCE, |(signer, word)| async move {
            let scope = word.scope.clone();
            let Signer { keys, certificate, trust, .. } = &*signer;
            if let Err(error) = broker.beat(keys, certificate, trust.as_deref(), word).await {
                tracing::warn!(stream.scope = %scope, error = %chain(&error), "a heartbeat was not sent");
            }
        })
        .await;
    Ok(())
}

async fn words(state: &AppState) -> Result<Vec<(Arc<Signer>, Heartbeat)>> {
    let mut conn = state.database.read().await?;
    // None for a project whose keys cannot be had: that was said already.
    let mut signers: HashMap<String, Option<Arc<Signer>>> = HashMap::new();
    let mut out = Vec::new();
    for (organisation, project, environment) in project::all_environments(&mut conn).await? {
        let at = ProjectAt { organisation, project };
        let signer = match signers.get(&at.project.id) {
            Some(known) => known.clone(),
            None => {
                let found = match state.keys.signer(&mut conn, &at).await {
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
        match word(state, &mut conn, &at, &environment, &signer).await {
            Ok(word) => out.push((signer, word)),
            Err(error) => {
                tracing::warn!(project.path = %at.path(), environment.slug = %environment.slug, error = %chain(&error), "a heartbeat cannot be written");
            }
        }
    }
    Ok(out)
}

/// What FORGE says to the agents of an environment as of now.
pub(crate) async fn word(
    state: &AppState,
    conn: &mut Conn,
    at: &ProjectAt,
    environment: &Environment,
    signer: &Signer,
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
        orders: Vec::new(),
    })
}
