//! Trying again: what is live is published once more, so that agents that refused it or did not answer look at it anew.
//!
//! A refusal is final for the message it is about: an agent does not ask for it again. The same version with the next
//! serial is a new message; who serves it already finds the same digest and changes nothing of what it serves.

use super::{Answer, PublicationView, Request, Writing, find, tell, write};
use crate::auth::{Action, Actor};
use crate::author::{self, ProjectAt, SetAt};
use crate::contract::{self, Content};
use crate::database::publication::{self, PublicationFull};
use crate::error::{ApiError, Result};
use crate::rule;
use crate::state::AppState;

impl PublicationView {
    /// How many agents trying again would be for: those that refused it, and those that are there and did not answer.
    /// Who is away replays what it missed by itself.
    #[must_use]
    pub fn unserved(&self) -> usize {
        self.count(Answer::Refused) + self.count(Answer::Waiting)
    }

    /// Whether it may be tried again: it is the newest, it is not waiting to be sent, and somebody does not have it.
    ///
    /// # Errors
    /// Why not.
    pub fn retryable(&self) -> Result<()> {
        let number = self.full.publication.number;
        if let Some(newer) = &self.newer {
            return Err(ApiError::conflict(
                "superseded",
                format!(
                    "publication {} came after {number}: retry that one, or publish {} again",
                    newer.publication.number, self.full.version.version
                ),
            ));
        }
        if self.full.publication.state == "waiting" {
            return Err(ApiError::conflict(
                "still_waiting",
                format!("publication {number} waits to be sent, and goes out by itself"),
            ));
        }
        if self.full.publication.state != "failed" && self.unserved() == 0 {
            return Err(ApiError::conflict(
                "nothing_to_retry",
                format!("no agent refused publication {number}, and none that is there owes an answer"),
            ));
        }
        Ok(())
    }
}

/// Publishes once more what publication `number` is, with the next serial.
///
/// # Errors
/// Not allowed, no such publication, or [`PublicationView::retryable`] says why not. Nothing is changed then.
pub async fn retry(state: &AppState, actor: &Actor, at: &ProjectAt, number: i64) -> Result<PublicationFull> {
    at.require(actor, Action::Publish)?;
    let view = find(state, actor, at, number).await?;
    view.retryable()?;
    let comment = match view.unserved() {
        0 => format!("retry of publication {number}, which was not sent"),
        1 => format!("retry of publication {number} for 1 agent"),
        n => format!("retry of publication {number} for {n} agents"),
    };
    let full = view.full;
    let set = SetAt { at: at.clone(), set: full.set.clone() };
    // It is what the environment has: nobody new is broken, and who is broken stands in the log again.
    let broken =
        contract::broken_by(state, &set, &full.environment, Content::Version(&full.version)).await?.broken;
    let request = Request {
        environment: &full.environment.slug,
        version: &full.version.version,
        expected_serial: Some(full.publication.serial),
        comment: &comment,
        accept_broken: &[],
    };
    let mut tx = state.database.write().await?;
    author::set::refuse_archived(&mut tx, &set).await?;
    // It was live there, and needs no approvals again; the role has to be one that publishes there.
    rule::allow(&mut tx, actor, &set, &full.environment, &full.version).await?;
    let writing = Writing {
        set: &set,
        environment: &full.environment,
        version: &full.version,
        request,
        broken: &broken,
        approver: full.version.approver.clone(),
    };
    let row = write(state, &mut tx, actor, writing).await?;
    let made = publication::by_id(&mut tx, &row.id).await?.ok_or(ApiError::NotFound("publication"))?;
    tx.commit().await?;
    state.relay.ring();
    tell(state, at, &made);
    set.changed(state);
    Ok(made)
}
