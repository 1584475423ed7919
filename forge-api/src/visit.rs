//! What somebody opened last, and what they starred: their own, and nobody else's to see.

use std::collections::HashMap;
use std::sync::Mutex;

use schemas::Micros;

use crate::auth::{Action, Actor, Entry};
use crate::author::{self, ProjectAt, SetAt};
use crate::clock;
use crate::database::organisation::Organisation;
use crate::database::visit::{self, Favourite, Visit};
use crate::database::{DatabaseError, prompt};
use crate::error::{ApiError, Result, chain};
use crate::search::thing::{self, Kind, Thing};
use crate::state::AppState;

/// Things one opened last that are kept, for each organisation.
const VISITS: i64 = 50;
/// Most things that one person stars.
const STARS: usize = 100;
/// A thing that is opened again within this time was opened once.
const AGAIN: Micros = 60_000_000;
/// People whose last visit is remembered.
const PEOPLE: usize = 10_000;

/// Who opened what last: so that leafing to and fro is not written each time.
#[derive(Debug, Default)]
pub struct LastSeen(Mutex<HashMap<String, (String, Micros)>>);

impl LastSeen {
    /// Whether this is worth writing down.
    fn is_new(&self, user_id: &str, row_id: &str, now: Micros) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if seen.len() >= PEOPLE {
            seen.clear();
        }
        match seen.get(user_id) {
            Some((row, at)) if row == row_id && now - at < AGAIN => false,
            _ => {
                seen.insert(user_id.to_owned(), (row_id.to_owned(), now));
                true
            }
        }
    }
}

/// Notes that somebody opened something. The page does not wait for it, and does not fail with it.
pub fn opened(state: &AppState, actor: &Actor, organisation_id: &str, kind: Kind, row_id: &str) {
    let now = clock::now();
    if matches!(actor.entry, Entry::Console) || !state.last_seen.is_new(&actor.user_id, row_id, now) {
        return;
    }
    let row = Visit {
        user_id: actor.user_id.clone(),
        kind: kind.as_str().into(),
        row_id: row_id.to_owned(),
        organisation_id: organisation_id.to_owned(),
        seen_at: now,
    };
    let state = state.clone();
    tokio::spawn(async move {
        if let Err(error) = note(&state, &row).await {
            tracing::warn!(error = %chain(&error), "a visit was not noted");
        }
    });
}

async fn note(state: &AppState, row: &Visit) -> Result<(), DatabaseError> {
    let mut tx = state.database.write().await?;
    visit::put(&mut tx, row).await?;
    let kept = visit::newest(&mut tx, &row.user_id, &row.organisation_id, VISITS).await?;
    if let Some(oldest) = kept.last().filter(|_| kept.len() == VISITS as usize) {
        visit::forget_before(&mut tx, &row.user_id, &row.organisation_id, oldest.seen_at).await?;
    }
    tx.commit().await
}

/// What the actor opened last in an organisation, newest first; without what is gone.
///
/// # Errors
/// Not theirs to see, or the database refuses.
pub async fn recent(
    state: &AppState,
    actor: &Actor,
    organisation: &Organisation,
    limit: usize,
) -> Result<Vec<Thing>> {
    let mut conn = state.database.read().await?;
    let found = visit::newest(&mut conn, &actor.user_id, &organisation.id, VISITS).await?;
    let rows: Vec<(&str, &str)> = found.iter().map(|v| (v.kind.as_str(), v.row_id.as_str())).collect();
    let mut things = thing::load(&mut conn, actor, &rows, false).await?;
    things.truncate(limit);
    Ok(things)
}

/// What the actor starred, everywhere, in the order in which they did; without what is gone.
///
/// # Errors
/// The database refuses.
pub async fn favourites(state: &AppState, actor: &Actor) -> Result<Vec<Thing>> {
    let mut conn = state.database.read().await?;
    let found = visit::starred(&mut conn, &actor.user_id).await?;
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<(&str, &str)> = found.iter().map(|f| (f.kind.as_str(), f.row_id.as_str())).collect();
    thing::load(&mut conn, actor, &rows, false).await
}

/// Stars something, or takes the star away; either may be so already.
///
/// # Errors
/// Not there, not theirs to see, or too many stars.
pub async fn star(state: &AppState, actor: &Actor, kind: Kind, row_id: &str, starred: bool) -> Result<Thing> {
    let mut tx = state.database.write().await?;
    let mut found = thing::load(&mut tx, actor, &[(kind.as_str(), row_id)], false).await?;
    let thing = found.pop().ok_or(ApiError::NotFound("thing"))?;
    if starred {
        let there = visit::starred(&mut tx, &actor.user_id).await?;
        if there.len() >= STARS && there.iter().all(|f| f.row_id != row_id) {
            let detail = format!("you have {STARS} favourites; take the star from one first");
            return Err(ApiError::conflict("too_many", detail));
        }
        let row = Favourite {
            user_id: actor.user_id.clone(),
            kind: kind.as_str().into(),
            row_id: row_id.to_owned(),
            organisation_id: thing.organisation_id.clone(),
            created_at: clock::now(),
        };
        visit::star(&mut tx, &row).await?;
    } else {
        visit::unstar(&mut tx, &actor.user_id, row_id).await?;
    }
    tx.commit().await?;
    Ok(thing)
}

/// The row of something by its names: a project, a set of it, or a prompt or partial of that.
///
/// # Errors
/// Not there, or not the actor's to see.
pub async fn row_of(
    state: &AppState,
    actor: &Actor,
    kind: Kind,
    at: &ProjectAt,
    set: &str,
    id: &str,
) -> Result<String> {
    at.require(actor, Action::View)?;
    if kind == Kind::Project {
        return Ok(at.project.id.clone());
    }
    let set = author::find_set(state, actor, at, set).await?;
    row_in(state, actor, kind, &set, id).await
}

/// The row of a set, or of a prompt or partial of it by its name.
///
/// # Errors
/// As [`row_of`].
pub async fn row_in(state: &AppState, actor: &Actor, kind: Kind, at: &SetAt, id: &str) -> Result<String> {
    at.at.require(actor, Action::View)?;
    let set = &at.set;
    let mut conn = state.database.read().await?;
    match kind {
        Kind::Project => Ok(set.project_id.clone()),
        Kind::Set => Ok(set.id.clone()),
        Kind::Prompt => {
            let found = prompt::find(&mut conn, &set.id, id).await?;
            Ok(found.ok_or(ApiError::NotFound("prompt"))?.id)
        }
        Kind::Partial => {
            let found = prompt::find_partial(&mut conn, &set.id, id).await?;
            Ok(found.ok_or(ApiError::NotFound("partial"))?.id)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leafing_to_and_fro_on_one_page_is_one_visit() {
        let seen = LastSeen::default();
        assert!(seen.is_new("ada", "a", 1));
        assert!(!seen.is_new("ada", "a", AGAIN));
        assert!(seen.is_new("ada", "b", 2) && seen.is_new("ada", "a", 3), "what was in between counts");
        assert!(seen.is_new("eve", "a", 3));
        assert!(seen.is_new("ada", "a", 3 + AGAIN));
    }
}
