//! Enrolment: an agent gets its durable consumer, and FORGE knows it by name.

use std::time::Duration;

use publisher::Broker;
use schemas::status::{EnrolAnswer, EnrolRequest};

use super::read::clip;
use super::{Presence, presence};
use crate::clock;
use crate::database::agent::{self, Agent};
use crate::database::project;
use crate::error::{ApiError, Result, chain};
use crate::state::AppState;

/// An enrolment: the first identity that used a name keeps it.
pub(super) async fn answer(state: &AppState, broker: &Broker, request: &EnrolRequest) -> Result<EnrolAnswer> {
    let (organisation, name) = (request.scope.organisation.as_str(), request.agent.as_str());
    let mut tx = state.database.write().await?;
    let found = project::by_slugs(&mut tx, organisation, request.scope.project.as_str()).await?;
    let (_, project) = found.ok_or(ApiError::NotFound("project"))?;
    let environment = project::environment(&mut tx, &project.id, request.scope.environment.as_str())
        .await?
        .ok_or(ApiError::NotFound("environment"))?;
    let now = clock::now();
    match agent::find(&mut tx, &environment.id, name).await? {
        Some(old)
            if old.identity != request.identity
                && presence(&state.config, &old, now) == Presence::Connected =>
        {
            return Ok(EnrolAnswer::Refused {
                code: "name_taken".into(),
                message: format!("another agent is connected as {name}; give this one another name"),
            });
        }
        Some(_) => {}
        None => {
            let row = Agent {
                environment_id: environment.id.clone(),
                name: name.into(),
                identity: request.identity.clone(),
                host: clip(&request.host),
                service: clip(&request.service),
                agent_version: clip(&request.agent_version),
                mode: request.mode.as_str().into(),
                stale: false,
                stream_floor: 0,
                cache: String::new(),
                status: "null".into(),
                consumer: None,
                started_at: request.at,
                first_seen_at: now,
                last_seen_at: now,
                disconnected_at: None,
            };
            agent::put_all(&mut tx, &[row]).await?;
        }
    }
    tx.commit().await?;
    let consumer = broker
        .ensure_consumer(&request.scope, &request.agent)
        .await
        .map_err(|e| ApiError::Unavailable(chain(&e)))?;
    let mut tx = state.database.write().await?;
    agent::set_consumer(&mut tx, &environment.id, name, consumer.as_deref()).await?;
    tx.commit().await?;
    let millis = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    Ok(EnrolAnswer::Enrolled {
        stream: nats_config::subject::stream(&request.scope),
        consumer,
        heartbeat_ms: millis(state.config.heartbeat),
        status_ms: millis(state.config.status),
    })
}
