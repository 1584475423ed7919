//! Publications as people see them, with every agent's answer.

use std::collections::HashMap;

use schemas::Micros;

use crate::auth::{Action, Actor};
use crate::author::{ProjectAt, SetAt};
use crate::clock;
use crate::contract::Overridden;
use crate::database::agent::{self, Acknowledgement, Agent};
use crate::database::outbox::{self, OutboxRow};
use crate::database::project::Environment;
use crate::database::publication::{self, Only, Publication, PublicationFull};
use crate::database::{Conn, version};
use crate::error::{ApiError, Result};
use crate::fleet::{Presence, presence};
use crate::state::AppState;

/// Most publications in one list.
const LIST_MAX: i64 = 1000;

/// How one agent stands to one publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// It said no; the reason says why.
    Refused,
    /// It has said nothing, and has not been heard for a while.
    Unreachable,
    /// It is there and has said nothing yet.
    Waiting,
    Delivered,
    /// It has it, and holds it back because it is FROZEN.
    Frozen,
    /// It has it, and its owner pinned the set to other versions.
    Pinned,
    /// It serves it, or served it until something newer came.
    Active,
}

impl Answer {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Frozen => "frozen",
            Self::Pinned => "pinned",
            Self::Active => "active",
        }
    }
}

/// One agent's answer to a publication.
#[derive(Debug, Clone)]
pub struct AgentAnswer {
    pub agent: Agent,
    pub presence: Presence,
    pub answer: Answer,
    pub acknowledgement: Option<Acknowledgement>,
    /// From publication to the answer as FORGE heard it, in microseconds.
    pub after: Option<Micros>,
}

/// A publication with everything that is known of it.
#[derive(Debug, Clone)]
pub struct PublicationView {
    pub full: PublicationFull,
    /// What it replaced.
    pub replaced: Option<PublicationFull>,
    /// The last before it with another version: where a rollback goes.
    pub back: Option<PublicationFull>,
    /// The newest of its set and environment, if that is another one.
    pub newer: Option<PublicationFull>,
    /// While it waits to be sent.
    pub outbox: Option<OutboxRow>,
    /// Worst first.
    pub answers: Vec<AgentAnswer>,
}

impl PublicationView {
    /// Whom it breaks and was published all the same.
    #[must_use]
    pub fn overridden(&self) -> Vec<Overridden> {
        overridden(&self.full.publication)
    }

    /// How many agents answered so.
    #[must_use]
    pub fn count(&self, answer: Answer) -> usize {
        self.answers.iter().filter(|a| a.answer == answer).count()
    }

    /// From publication until the last agent was active, in microseconds, if all that answered are.
    #[must_use]
    pub fn converged_after(&self) -> Option<Micros> {
        self.answers.iter().filter(|a| a.answer == Answer::Active).filter_map(|a| a.after).max()
    }
}

/// Publications of a project with a number below `before` (exclusive), newest first.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn list(
    state: &AppState,
    actor: &Actor,
    at: &ProjectAt,
    only: Only,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<PublicationFull>> {
    at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    let below = before.unwrap_or(i64::MAX);
    Ok(publication::of_project(&mut conn, &at.project.id, &only, below, limit.clamp(1, LIST_MAX)).await?)
}

/// Publications of a set, newest first.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn list_of_set(state: &AppState, actor: &Actor, set: &SetAt) -> Result<Vec<PublicationFull>> {
    set.at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    Ok(publication::of_set(&mut conn, &set.set.id, LIST_MAX).await?)
}

/// What is live: the newest publication of a set in an environment.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn live(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    environment: &Environment,
) -> Result<Option<PublicationFull>> {
    set.at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    Ok(publication::head_in(&mut conn, environment, &set.set).await?)
}

/// The publication that is live, with the body as agents get it: what `current_bundle` answers.
///
/// # Errors
/// [`ApiError::NotFound`] where nothing was published yet.
pub async fn current_bundle(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    environment: &Environment,
) -> Result<(PublicationFull, Vec<u8>)> {
    let full = live(state, actor, set, environment).await?.ok_or(ApiError::NotFound("publication"))?;
    let mut conn = state.database.read().await?;
    let body = version::body(&mut conn, &full.version.id).await?.ok_or(ApiError::NotFound("version"))?;
    Ok((full, body))
}

/// One publication by its number in the project, with every agent's answer.
///
/// # Errors
/// [`ApiError::NotFound`].
pub async fn find(state: &AppState, actor: &Actor, at: &ProjectAt, number: i64) -> Result<PublicationView> {
    at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    let full = publication::by_number(&mut conn, &at.project.id, number)
        .await?
        .ok_or(ApiError::NotFound("publication"))?;
    view(state, &mut conn, full).await
}

/// One publication by its id, with every agent's answer.
///
/// # Errors
/// [`ApiError::NotFound`].
pub async fn find_by_id(
    state: &AppState,
    actor: &Actor,
    at: &ProjectAt,
    id: &str,
) -> Result<PublicationView> {
    at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    let full = publication::by_id(&mut conn, id)
        .await?
        .filter(|f| f.publication.project_id == at.project.id)
        .ok_or(ApiError::NotFound("publication"))?;
    view(state, &mut conn, full).await
}

/// Whom a publication breaks and was published all the same.
#[must_use]
pub fn overridden(publication: &Publication) -> Vec<Overridden> {
    publication.overridden.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

async fn view(state: &AppState, conn: &mut Conn, full: PublicationFull) -> Result<PublicationView> {
    let (environment, set) = (&full.publication.environment_id, &full.publication.set_id);
    let replaced = match full.publication.serial {
        ..=1 => None,
        serial => publication::by_serial(conn, environment, set, serial - 1).await?,
    };
    let back = match &replaced {
        Some(old) if old.version.id == full.version.id => {
            publication::before_with_another(
                conn,
                environment,
                set,
                full.publication.serial,
                &full.version.id,
            )
            .await?
        }
        other => other.clone(),
    };
    let newer = publication::head(conn, environment, set)
        .await?
        .filter(|head| head.publication.serial > full.publication.serial);
    let agents = agent::of_environment(conn, environment).await?;
    let mut acknowledged: HashMap<String, Acknowledgement> =
        agent::acknowledgements(conn, &full.publication.id)
            .await?
            .into_iter()
            .map(|a| (a.agent.clone(), a))
            .collect();
    let now = clock::now();
    let mut answers: Vec<_> = agents
        .into_iter()
        .map(|agent| {
            let acknowledgement = acknowledged.remove(&agent.name);
            let presence = presence(&state.config, &agent, now);
            let answer = match acknowledgement.as_ref().map(|a| a.state.as_str()) {
                Some("active") => Answer::Active,
                Some("refused") => Answer::Refused,
                _ if presence == Presence::Unreachable => Answer::Unreachable,
                Some("verified") => Answer::Frozen,
                Some("pinned") => Answer::Pinned,
                Some(_) => Answer::Delivered,
                None => Answer::Waiting,
            };
            let after = acknowledgement.as_ref().map(|a| a.answered_at - full.publication.created_at);
            AgentAnswer { agent, presence, answer, acknowledgement, after }
        })
        .collect();
    answers.sort_by(|a, b| a.answer.cmp(&b.answer).then_with(|| a.agent.name.cmp(&b.agent.name)));
    let outbox = outbox::find(conn, &full.publication.id).await?;
    Ok(PublicationView { full, replaced, back, newer, outbox, answers })
}
