//! What the agent says about itself: at once when something changed, and as a heartbeat.
//!
//! The status is also the acknowledgement. It may get lost; the next one says the same again.

use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use nats_config::subject;
use schemas::status::{AgentStatus, Counters, Pending, PendingState, PromptUsage, SetStatus};
use semver::VersionReq;
use tokio::sync::watch;

use crate::VERSION;
use crate::agent::{self, Core, Held, SetState, State};
use crate::client::{Link, around};
use crate::clock::{self, Moment};

mod histogram;
pub(crate) mod meter;
mod metrics;
pub(crate) mod tally;
pub(crate) mod usage;

/// Changes that come closer together than this share a status.
const TOGETHER: Duration = Duration::from_millis(10);

#[derive(Debug, thiserror::Error)]
pub(crate) enum ReportError {
    #[error("the status could not be sent")]
    Publish(#[source] async_nats::PublishError),
    #[error("the status could not be written")]
    Write(#[source] serde_json::Error),
}

/// Sends statuses for as long as the agent lives.
pub(crate) async fn run(
    core: &Arc<Core>,
    client: &Client,
    mut link: watch::Receiver<Link>,
) -> Result<(), ReportError> {
    loop {
        if link.wait_for(|l| l.connected).await.is_err() {
            return Ok(());
        }
        send(core, client).await?;
        tokio::time::sleep(TOGETHER).await;
        let period = around(core.state().word.status_period);
        let connects = link.borrow().connects;
        tokio::select! {
            () = core.tell.notified() => {}
            () = tokio::time::sleep(period) => {}
            changed = link.wait_for(|l| l.connects != connects) => if changed.is_err() {
                return Ok(());
            },
        }
    }
}

/// Sends one status.
pub(crate) async fn send(core: &Core, client: &Client) -> Result<(), ReportError> {
    let usage = core.cache.usage();
    let status = written(core, usage.counters(), usage.tell(core.returns(), Moment::now()));
    let payload = serde_json::to_vec(&status).map_err(ReportError::Write)?;
    let subject = subject::status(core.trust.scope(), &core.name);
    client.publish(subject, payload.into()).await.map_err(ReportError::Publish)
}

/// The status as of now, with what was used most.
pub(crate) fn status(core: &Core) -> AgentStatus {
    let usage = core.cache.usage();
    written(core, usage.counters(), usage.most_used())
}

fn written(core: &Core, of_prompts: Counters, usage: Vec<PromptUsage>) -> AgentStatus {
    let stale_reason = core.stale_reason();
    let (age_ms, max_age, too_old) = (core.age_ms(), core.max_age(), core.too_old().is_some());
    let counters = core.meter.counters(of_prompts);
    let state = core.state();
    let mut status =
        AgentStatus::new(core.name.clone(), core.identity.public_key(), core.trust.scope().clone());
    status.host = core.host.clone();
    status.service = core.config.service.clone();
    status.agent_version = VERSION.into();
    (status.mode, status.mode_by, status.order) =
        (state.mode, state.orders.known.by, state.orders.known.answer);
    (status.at, status.started_at) = (clock::now(), core.started_at);
    status.floor = state.floor;
    (status.stale, status.stale_reason) = (stale_reason.is_some(), stale_reason);
    (status.age_ms, status.max_age, status.too_old) = (age_ms, max_age, too_old);
    status.trust = core.trust.version();
    status.sets = state.sets.iter().map(|(set, one)| set_status(core, &state, set, one)).collect();
    status.cache = state.cache.clone();
    status.counters = counters;
    status.overrides = core.cache.load().overrides();
    status.usage = usage;
    status
}

fn set_status(core: &Core, state: &State, set: &schemas::Slug, one: &SetState) -> SetStatus {
    let pin = state.pin(&core.config.pins, set);
    let waits = |held: &Held| Pending {
        publication: Some(held.applied.publication.clone()),
        serial: Some(held.applied.serial),
        version: Some(held.applied.version.clone()),
        digest: Some(held.applied.digest),
        state: why(pin, held),
        reason: None,
        at: held.applied.activated_at,
    };
    let held = one.held.as_ref().map(|(held, _)| waits(held));
    let mut status = SetStatus::new(set.clone());
    status.active = one.active.as_ref().map(|held| held.applied.clone());
    // A refusal is news; what waits behind FROZEN is known from before.
    status.pending = one.refused.clone().or(held);
    status.fitting = state.fitting(&core.config.pins, set, one).map(|(held, _)| waits(held));
    status.pin = pin.map(ToString::to_string);
    status.head_serial = one.heads.serial();
    status.revoked = one.active.as_ref().is_some_and(|held| core.is_void(held));
    let above = one.newest().filter(|held| one.announced.is_some_and(|a| a < held.applied.serial));
    status.proof = above.map(|held| held.proof.clone());
    status
}

/// Why a version that is verified waits.
pub(crate) fn why(pin: Option<&VersionReq>, held: &Held) -> PendingState {
    let fits = pin.is_none_or(|versions| agent::fits(versions, &held.applied.version));
    if fits { PendingState::Verified } else { PendingState::Pinned }
}
