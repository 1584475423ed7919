//! Serials that agents show: one that serves more than FORGE announces shows what was signed of it, and this
//! database may be older than what was published.

use std::collections::HashSet;

use schemas::status::{AgentStatus, SetStatus};

use super::census::Census;
use crate::author::ProjectAt;
use crate::database::project::Environment;
use crate::database::{prompt_set, publication};
use crate::error::{Result, chain};
use crate::serial::{self, Evidence, Learned};
use crate::state::AppState;

/// Above so many serials that agents showed, they are looked at again.
const SEEN_MAX: usize = 10_000;
/// Serials of one status that are looked at. The next status shows the others again.
const OF_ONE_STATUS: usize = 8;

/// What agents showed so far.
#[derive(Default)]
pub(super) struct Shown {
    /// Environment, set and serial.
    seen: HashSet<(String, String, u64)>,
    /// Environment and set of which a serial was refused: it is said once.
    refused: HashSet<(String, String)>,
}

impl Shown {
    /// Looks at the serials that a status shows: each once, one of each set, and some of them at a time.
    pub(super) async fn look(
        &mut self,
        state: &AppState,
        census: &Census,
        place: &(ProjectAt, Environment),
        status: &AgentStatus,
    ) {
        if self.seen.len() > SEEN_MAX {
            self.seen.clear();
        }
        let mut sets: HashSet<&str> = HashSet::new();
        let mut looks = 0;
        for one in &status.sets {
            let (Some(_), Some(active)) = (&one.proof, &one.active) else { continue };
            let key = (place.1.id.clone(), one.set.to_string(), active.serial);
            if self.seen.contains(&key) || !sets.insert(one.set.as_str()) {
                continue;
            }
            if looks == OF_ONE_STATUS || !census.verifies(&status.scope) {
                return;
            }
            looks += 1;
            match self.one(state, place, status, one, active.serial).await {
                Ok(()) => {
                    self.seen.insert(key);
                }
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "a serial was not learned; it is shown again");
                }
            }
        }
    }

    async fn one(
        &mut self,
        state: &AppState,
        place: &(ProjectAt, Environment),
        status: &AgentStatus,
        shown: &SetStatus,
        claimed: u64,
    ) -> Result<()> {
        let (at, environment) = place;
        let Some(proof) = &shown.proof else { return Ok(()) };
        let mut conn = state.database.read().await?;
        // A set that this database does not know has no next serial here.
        let found = prompt_set::by_slug(&mut conn, &at.project.id, shown.set.as_str()).await?;
        let Some(found) = found else { return Ok(()) };
        let last = publication::last_serial(&mut conn, &environment.id, &found.id).await?;
        drop(conn);
        // Before any signature is verified, which costs more.
        if u64::try_from(last).is_ok_and(|last| claimed <= last) {
            return Ok(());
        }
        let evidence = Evidence {
            scope: &status.scope,
            set: &shown.set,
            certificate: &proof.certificate,
            attestation: &proof.attestation,
        };
        if let Learned::TooFar { serial, key } =
            serial::learn(state, at, environment, &found, evidence).await?
            && self.refused.insert((environment.id.clone(), found.id.clone()))
        {
            serial::refuse(state, at, environment, &found, serial, &key).await?;
        }
        Ok(())
    }
}
