//! FORGE's signed word to every environment on what its newest serials are, so that an agent can
//! tell silence and withholding from "nothing new".

use std::collections::HashMap;
use std::time::Duration;

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

async fn beat_all(state: &AppState, broker: &publisher::Broker) -> Result<()> {
    let mut conn = state.database.read().await?;
    let mut signers: HashMap<String, Signer> = HashMap::new();
    for (organisation, project, environment) in project::all_environments(&mut conn).await? {
        let at = ProjectAt { organisation, project };
        let signer = match signers.get(&at.project.id) {
            Some(signer) => Signer::clone(signer),
            None => state.keys.signer(&mut conn, &at).await?,
        };
        signers.insert(at.project.id.clone(), signer.clone());
        let heartbeat = word(state, &mut conn, &at, &environment, &signer).await?;
        let Signer { keys, certificate, trust, .. } = &signer;
        broker.beat(keys, certificate, trust.as_deref(), heartbeat).await.map_err(ApiError::internal)?;
    }
    Ok(())
}

/// What FORGE says to the agents of an environment as of now.
pub(crate) async fn word(
    state: &AppState,
    conn: &mut Conn,
    at: &ProjectAt,
    environment: &Environment,
    signer: &Signer,
) -> Result<Heartbeat> {
    let heads = publication::heads_of_environment(conn, &environment.id)
        .await?
        .iter()
        // What the broker does not have yet, no agent can have.
        .filter(|head| head.publication.state == "sent")
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
    })
}
