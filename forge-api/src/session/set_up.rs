//! The first user. There is no default password: while there is no user, `forge serve` prints a link
//! that is good once, for an hour.

use schemas::Micros;
use serde_json::json;

use super::account::{insert, new_user};
use super::{Client, NewSession, hash_of, newcomer, random_token};
use crate::audit::{self, INSTALLATION};
use crate::author::organisation::insert_organisation;
use crate::clock;
use crate::database::user::User;
use crate::database::{set_up, user};
use crate::error::{ApiError, Result};
use crate::state::AppState;

/// A link is good for so long, in microseconds.
const LIFE: Micros = 60 * 60 * 1_000_000;

/// What the first user says of themselves.
#[derive(Clone, Copy)]
pub struct First<'a> {
    pub email: &'a str,
    pub name: &'a str,
    pub password: &'a str,
    /// Name in addresses of the organisation that they will own.
    pub organisation: &'a str,
    /// Its name for people; empty: the same.
    pub organisation_name: &'a str,
}

impl std::fmt::Debug for First<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("First").field("email", &self.email).finish_non_exhaustive()
    }
}

/// Makes a set-up link, the path below the public address. None once there is a user.
///
/// # Errors
/// The database refuses.
pub async fn link(state: &AppState) -> Result<Option<String>> {
    let mut tx = state.database.write().await?;
    if user::any(&mut tx).await? {
        return Ok(None);
    }
    let (token, now) = (random_token(), clock::now());
    set_up::insert(&mut tx, &hash_of(&token), now, now + LIFE).await?;
    tx.commit().await?;
    Ok(Some(format!("/-/set-up/{token}")))
}

/// Refuses unless this link may still be used.
///
/// # Errors
/// [`ApiError::NotFound`], whatever the reason; too many tries.
pub async fn check(state: &AppState, client: &Client, token: &str) -> Result<()> {
    let refused = |why| state.refusals.take(state, client.refusal("set_up.refused", "set-up link", why));
    state.limits.link(client.address).inspect_err(|_| refused("too many tries"))?;
    let mut conn = state.database.read().await?;
    let good = set_up::is_good(&mut conn, &hash_of(token), clock::now()).await?;
    if good && !user::any(&mut conn).await? {
        return Ok(());
    }
    refused("no such link, or it is over");
    Err(ApiError::NotFound("page"))
}

/// Makes the first user, owner of a first organisation, and signs them in. The link is used up.
///
/// # Errors
/// The link is not good; what was said cannot be taken: then the link stays good.
pub async fn finish(state: &AppState, client: &Client, token: &str, first: First<'_>) -> Result<NewSession> {
    check(state, client, token).await?;
    let row = new_user(first.email, first.name, Some(first.password)).await?;
    let row = User { proven_at: Some(row.created_at), ..row };
    let actor = newcomer(&row);
    let mut tx = state.database.write().await?;
    // The entry holds the end of the chain until we commit: of two who set up at once, one comes after.
    let detail = json!({ "address": client.address.to_string() });
    audit::record(&mut tx, &actor, INSTALLATION, "installation.set_up", &row.email, detail).await?;
    if user::any(&mut tx).await? || !set_up::is_good(&mut tx, &hash_of(token), clock::now()).await? {
        return Err(ApiError::NotFound("page"));
    }
    insert(&mut tx, &actor, &row).await?;
    insert_organisation(&mut tx, &actor, first.organisation, first.organisation_name).await?;
    tx.commit().await?;
    super::begin(state, client, row, "set_up").await
}
