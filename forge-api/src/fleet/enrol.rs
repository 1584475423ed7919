//! Enrolment: an agent gets its durable consumer, and FORGE knows it by name.

use std::time::Duration;

use publisher::Broker;
use schemas::canonical::Digest;
use schemas::envelope::Enrolment;
use schemas::status::{EnrolAnswer, EnrolRequest};

use super::read::clip;
use super::{Presence, census, presence};
use crate::author::ProjectAt;
use crate::clock;
use crate::contract;
use crate::database::agent::{self, Agent, Room};
use crate::database::project;
use crate::error::{ApiError, Result, chain};
use crate::heartbeat;
use crate::keys::Signer;
use crate::order::Listener;
use crate::state::AppState;

/// The answer, and what is signed under it.
pub(super) struct Answered {
    pub(super) answer: EnrolAnswer,
    /// A refusal is not signed: no agent acts upon one.
    pub(super) signed: Option<(Signer, Enrolment)>,
}

/// An enrolment: a name is refused to who comes while another identity is connected under it.
pub(super) async fn answer(state: &AppState, broker: &Broker, request: &EnrolRequest) -> Result<Answered> {
    let (organisation, name) = (request.scope.organisation.as_str(), request.agent.as_str());
    let contracts = match contract::read(&request.contracts) {
        Ok(contracts) => contracts,
        Err(message) => {
            let answer = EnrolAnswer::Refused { code: "contract_too_large".into(), message };
            return Ok(Answered { answer, signed: None });
        }
    };
    let mut tx = state.database.write().await?;
    let found = project::by_slugs(&mut tx, organisation, request.scope.project.as_str()).await?;
    let (owner, project) = found.ok_or(ApiError::NotFound("project"))?;
    let environment = project::environment(&mut tx, &project.id, request.scope.environment.as_str())
        .await?
        .ok_or(ApiError::NotFound("environment"))?;
    let now = clock::now();
    match agent::find(&mut tx, &environment.id, name).await? {
        Some(old)
            if old.identity != request.identity
                && presence(&state.config, &old, now) == Presence::Connected =>
        {
            let answer = EnrolAnswer::Refused {
                code: "name_taken".into(),
                message: format!("another agent is connected as {name}; give this one another name"),
            };
            return Ok(Answered { answer, signed: None });
        }
        Some(_) => {}
        None => {
            let away = now - census::AWAY;
            let room =
                agent::make_room(&mut tx, &environment.id, name, state.config.max_agents, away).await?;
            if room == Room::None {
                let answer = EnrolAnswer::Refused {
                    code: "too_many_agents".into(),
                    message: format!(
                        "this environment lists {} agents already (max-agents); this one is served and not listed",
                        state.config.max_agents
                    ),
                };
                return Ok(Answered { answer, signed: None });
            }
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
                mode_by: "unknown".into(),
                order_number: None,
                order_result: None,
            };
            agent::put_all(&mut tx, &[row]).await?;
        }
    }
    if !contract::keep(&mut tx, &project.id, &environment.id, name, &contracts).await? {
        tracing::warn!(stream.scope = %request.scope, agent.id = name, contracts = contracts.len(), "what the agent was built for is not kept: its environment has too many contracts; it refuses by itself what breaks it");
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
    let answer = EnrolAnswer::Enrolled {
        stream: nats_config::subject::stream(&request.scope),
        consumer,
        heartbeat_ms: millis(state.config.heartbeat),
        status_ms: millis(state.config.status),
    };
    let mut conn = state.database.read().await?;
    let at = ProjectAt { organisation: owner, project };
    let signer = state.keys.signer(&mut conn, &at).await?;
    let listener = Listener::One { agent: name, service: &request.service };
    let enrolment = Enrolment {
        agent: request.agent.clone(),
        request: Digest::of(&request.signed_bytes()),
        status_ms: millis(state.config.status),
        heartbeat: heartbeat::word(state, &mut conn, &at, &environment, &signer, listener).await?,
    };
    Ok(Answered { answer, signed: Some((signer, enrolment)) })
}
