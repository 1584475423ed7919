//! The streams, rebuilt from the database: same messages, same bytes, same digests.
//!
//! What is there already is left alone, so that it can be run at any time.

use std::time::Duration;

use publisher::Broker;
use publisher::publish::{Head, PublishError};

use crate::auth::Actor;
use crate::author::{ProjectAt, SetAt};
use crate::clock;
use crate::database::publication::{self, Publication};
use crate::database::{outbox, project};
use crate::error::{ApiError, Result, chain};
use crate::keys::change;
use crate::publish;
use crate::relay::{self, Stands};
use crate::state::AppState;

/// Messages of each set that a stream keeps.
const HISTORY: usize = 50;
/// How long the broker may take to be there.
const READY: Duration = Duration::from_secs(60);

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Republished {
    pub sent: usize,
    /// They were there already.
    pub there: usize,
}

/// Rebuilds everything: the accounts and streams by the provisioning that runs beside, and here
/// the messages of every set in every environment, oldest first.
///
/// # Errors
/// The broker cannot be reached, or refuses.
pub async fn all(state: &AppState) -> Result<Republished> {
    let mut rounds = state.broker.rounds();
    let provisioned = tokio::time::timeout(READY, rounds.wait_for(|n| *n > 0)).await;
    let unavailable = || ApiError::Unavailable("the broker cannot be reached; start it and try again".into());
    provisioned.map_err(|_| unavailable())?.map_err(|_| unavailable())?;
    let broker = state.broker.get().ok_or_else(unavailable)?;
    let mut total = Republished::default();
    for head in heads(state).await? {
        let done = rebuild(state, &broker, &head, HISTORY).await?;
        total.sent += done.sent;
        total.there += done.there;
    }
    Ok(total)
}

/// After a new connection, and now and then: sets whose newest publication the stream does not have are rebuilt. The
/// store of the broker may have been lost or restored from an old copy, or somebody else may have written into it.
///
/// # Errors
/// As [`all`].
pub(crate) async fn heal(state: &AppState, broker: &Broker) -> Result<()> {
    // A process that died between a revocation and what follows from it.
    let projects = {
        let mut conn = state.database.read().await?;
        project::all(&mut conn).await?
    };
    for (organisation, project) in projects {
        let at = ProjectAt { organisation, project };
        if let Err(error) = change::sign_again(state, &Actor::console(), &at, false).await {
            tracing::warn!(project.path = %at.path(), error = %chain(&error), "what a revoked key signed was not signed again yet");
        }
    }
    for head in heads(state).await? {
        if let Err(error) = heal_one(state, broker, &head).await {
            tracing::warn!(publication.id = %head.id, error = %chain(&error), "a set was not compared with its stream");
        }
    }
    Ok(())
}

async fn heal_one(state: &AppState, broker: &Broker, head: &Publication) -> Result<()> {
    let (at, environment) = place(state, head).await?;
    let scope = at.scope(&environment)?;
    let set = schemas::Slug::new(&set_slug(state, head).await?)?;
    let last = broker.last(&scope, &set).await.map_err(unreachable)?;
    let serial = u64::try_from(head.serial).unwrap_or(0);
    match last {
        Some(last) if last.publication == head.id && last.attestation == head.attestation => Ok(()),
        Some(last) if last.serial >= serial => cover(state, &at, head, &last).await,
        _ => {
            let done = rebuild(state, broker, head, HISTORY).await?;
            tracing::warn!(stream.scope = %scope, set.name = %set, messages = done.sent, "the stream had lost publications; they were sent again");
            Ok(())
        }
    }
}

/// Publishes `head` once more where what stands above it in the stream is signed by no key that counts: a new agent
/// would find nothing else.
async fn cover(state: &AppState, at: &ProjectAt, head: &Publication, last: &Head) -> Result<()> {
    let full = {
        let mut conn = state.database.read().await?;
        publication::by_id(&mut conn, &head.id).await?.ok_or(ApiError::NotFound("publication"))?
    };
    if relay::stands(state, at, &full, last).await? != Stands::Nothing {
        return Ok(());
    }
    let set = SetAt { at: at.clone(), set: full.set.clone() };
    let comment = "published again: what stood above it in the stream was signed by no key that counts";
    if publish::again(state, &Actor::console(), &set, &full, comment).await?.is_some() {
        tracing::warn!(set.path = %set.path(), environment.slug = %full.environment.slug, stream.sequence = last.sequence, "{comment}");
    }
    Ok(())
}

fn unreachable(error: PublishError) -> ApiError {
    ApiError::Unavailable(chain(&error))
}

/// The newest publication of every set and environment that was sent.
async fn heads(state: &AppState) -> Result<Vec<Publication>> {
    let mut conn = state.database.read().await?;
    Ok(publication::newest_sent(&mut conn).await?)
}

async fn place(state: &AppState, head: &Publication) -> Result<(ProjectAt, project::Environment)> {
    let mut conn = state.database.read().await?;
    let (organisation, project, environment) = project::environment_by_id(&mut conn, &head.environment_id)
        .await?
        .ok_or(ApiError::NotFound("environment"))?;
    Ok((ProjectAt { organisation, project }, environment))
}

async fn set_slug(state: &AppState, head: &Publication) -> Result<String> {
    let mut conn = state.database.read().await?;
    let set = crate::database::prompt_set::by_id(&mut conn, &head.set_id).await?;
    Ok(set.ok_or(ApiError::NotFound("prompt set"))?.slug)
}

/// Sends the last publications of a set up to `head`, oldest first, as they were sent before.
async fn rebuild(
    state: &AppState,
    broker: &Broker,
    head: &Publication,
    history: usize,
) -> Result<Republished> {
    let oldest = head.serial.saturating_sub(i64::try_from(history).unwrap_or(i64::MAX) - 1).max(1);
    let rows = {
        let mut conn = state.database.read().await?;
        publication::since_serial(&mut conn, &head.environment_id, &head.set_id, oldest).await?
    };
    let mut done = Republished::default();
    for row in rows.iter().filter(|r| r.state == "sent" && r.serial <= head.serial) {
        let outgoing = {
            let mut conn = state.database.read().await?;
            relay::load(&mut conn, &row.id).await?.2
        };
        match broker.send(&outgoing).await {
            Ok(sent) => {
                if sent.duplicate {
                    done.there += 1;
                } else {
                    done.sent += 1;
                }
                let sequence = i64::try_from(sent.sequence).unwrap_or(i64::MAX);
                let mut tx = state.database.write().await?;
                publication::mark_sent(&mut tx, &row.id, sequence, row.sent_at.unwrap_or_else(clock::now))
                    .await?;
                outbox::delete(&mut tx, &row.id).await?;
                tx.commit().await?;
            }
            // Something newer is there: history stays as the stream has it.
            Err(PublishError::Superseded(_)) => done.there += 1,
            Err(error) => return Err(unreachable(error)),
        }
    }
    Ok(done)
}
