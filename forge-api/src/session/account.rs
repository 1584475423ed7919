//! Users: made, disabled, given links; and their own password.

use serde_json::json;

use super::{Client, end_all, hash_of, password, random_token};
use crate::audit::{self, INSTALLATION, Refusal};
use crate::auth::{Actor, Entry};
use crate::clock;
use crate::database::user::{self, SignInLink, User};
use crate::database::{Conn, Tx, session, set_up};
use crate::error::{ApiError, Result};
use crate::state::AppState;

/// A one-time link is good for so long, in microseconds.
const LINK_LIFE: schemas::Micros = 60 * 60 * 1_000_000;
/// Longest name of a user, in characters.
const NAME_MAX: usize = 200;
/// A first password is set within so long of signing in, in microseconds.
const FRESH: schemas::Micros = 10 * 60 * 1_000_000;

/// An e-mail address as it is stored.
///
/// # Errors
/// It is none.
pub(crate) fn address(email: &str) -> Result<String> {
    let email = email.trim().to_lowercase();
    let parts: Vec<_> = email.split('@').collect();
    if email.len() > 254
        || parts.len() != 2
        || parts.iter().any(|p| p.is_empty())
        || email.contains(|c: char| c.is_whitespace() || c.is_control())
    {
        let detail = "this is no e-mail address; write one such as mara@example.org";
        return Err(ApiError::invalid("invalid", "email", detail));
    }
    Ok(email)
}

/// A row for a new user. An empty password means: only by link.
///
/// # Errors
/// An address that is none, too long a name, or too short a password.
pub(super) async fn new_user(email: &str, name: &str, password: Option<&str>) -> Result<User> {
    let email = address(email)?;
    let password_hash = match password {
        Some(password) => Some(password::hash(password).await?),
        None => None,
    };
    Ok(User {
        id: clock::new_id(),
        name: crate::author::organisation::named(name, &email)?,
        email,
        password_hash,
        disabled: false,
        created_at: clock::now(),
        proven_at: None,
    })
}

pub(super) async fn insert(tx: &mut Tx, actor: &Actor, row: &User) -> Result<()> {
    audit::record(tx, actor, INSTALLATION, "user.created", &row.email, json!({ "name": row.name })).await?;
    user::insert(tx, row)
        .await
        .map_err(|e| crate::author::organisation::taken(e, "user", "email", &row.email))?;
    // With the first user the set-up is over.
    Ok(set_up::clear(tx).await?)
}

/// Creates a user, from the console. An empty password means: only by link.
///
/// # Errors
/// An address that is none or taken, or too short a password.
pub async fn create_user(state: &AppState, email: &str, name: &str, password: Option<&str>) -> Result<User> {
    let row = new_user(email, name, password).await?;
    // The operator says whose address it is.
    let row = User { proven_at: Some(row.created_at), ..row };
    let mut tx = state.database.write().await?;
    insert(&mut tx, &Actor::console(), &row).await?;
    tx.commit().await?;
    Ok(row)
}

/// A user by their e-mail address, for the console.
///
/// # Errors
/// [`ApiError::NotFound`].
pub async fn user_by_email(state: &AppState, email: &str) -> Result<User> {
    let mut conn = state.database.read().await?;
    user::by_email(&mut conn, &email.trim().to_lowercase()).await?.ok_or(ApiError::NotFound("user"))
}

/// Shuts a user out, or lets them in again, from the console. Sessions end, links are void and tokens
/// revoked at once, and none of them comes back.
///
/// # Errors
/// No such user.
pub async fn set_disabled(state: &AppState, email: &str, disabled: bool) -> Result<()> {
    let found = user_by_email(state, email).await?;
    let mut tx = state.database.write().await?;
    user::set_disabled(&mut tx, &found.id, disabled).await?;
    if disabled {
        session::delete_of_user(&mut tx, &found.id).await?;
        user::revoke_all(&mut tx, &found.id, clock::now()).await?;
    }
    let action = if disabled { "user.disabled" } else { "user.enabled" };
    audit::record(&mut tx, &Actor::console(), INSTALLATION, action, &found.email, json!({})).await?;
    Ok(tx.commit().await?)
}

/// Makes a one-time link for a user, from the console: the path below the public address.
///
/// # Errors
/// No such user.
pub async fn sign_in_link(state: &AppState, email: &str) -> Result<String> {
    let mut tx = state.database.write().await?;
    let user =
        user::by_email(&mut tx, &email.trim().to_lowercase()).await?.ok_or(ApiError::NotFound("user"))?;
    let link = insert_link(&mut tx, &Actor::console(), INSTALLATION, &user, false).await?;
    tx.commit().await?;
    Ok(link)
}

/// Makes a one-time link within a transaction, for the record of this chain.
pub(super) async fn insert_link(
    tx: &mut Tx,
    actor: &Actor,
    chain: &str,
    user: &User,
    mailed: bool,
) -> Result<String> {
    let (token, now) = (random_token(), clock::now());
    let row = SignInLink {
        id: clock::new_id(),
        user_id: user.id.clone(),
        token_hash: hash_of(&token),
        created_at: now,
        expires_at: now + LINK_LIFE,
        used_at: None,
        mailed,
    };
    user::insert_link(tx, &row).await?;
    let detail = json!({ "expires_at": clock::rfc3339(row.expires_at), "mailed": mailed });
    audit::record(tx, actor, chain, "sign_in_link.created", &user.email, detail).await?;
    Ok(format!("/-/sign-in/{token}"))
}

/// Changes one's own name, which others read beside what one did from now on.
///
/// # Errors
/// A token asks, or the name is empty or longer than 200 characters.
pub async fn rename(state: &AppState, actor: &Actor, name: &str) -> Result<()> {
    actor.in_person()?;
    let name = name.trim();
    if name.is_empty() || name.chars().count() > NAME_MAX || name.chars().any(char::is_control) {
        let detail = format!("a name has 1 to {NAME_MAX} characters, in one line");
        return Err(ApiError::invalid("invalid", "name", detail));
    }
    let mut tx = state.database.write().await?;
    user::set_name(&mut tx, &actor.user_id, name).await?;
    let detail = json!({ "name": name });
    audit::record(&mut tx, actor, INSTALLATION, "user.renamed", &actor.email, detail).await?;
    Ok(tx.commit().await?)
}

/// A change of one's own password.
#[derive(Clone, Copy)]
pub struct ChangePassword<'a> {
    /// Empty where there is none yet.
    pub old: &'a str,
    pub new: &'a str,
    /// Whether API tokens end too.
    pub revoke_tokens: bool,
}

impl std::fmt::Debug for ChangePassword<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChangePassword").field("revoke_tokens", &self.revoke_tokens).finish_non_exhaustive()
    }
}

/// Changes one's own password and ends all sessions, this one too, and API tokens if that is asked for.
///
/// # Errors
/// A token asks, the old one does not fit, too many tries, or the new one is too short; a first password
/// from a session that is not fresh.
pub async fn change_password(
    state: &AppState,
    client: &Client,
    actor: &Actor,
    change: ChangePassword<'_>,
) -> Result<()> {
    let ChangePassword { old, new, revoke_tokens } = change;
    actor.in_person()?;
    let mut conn = state.database.read().await?;
    let user = user::by_id(&mut conn, &actor.user_id).await?.ok_or(ApiError::NotFound("user"))?;
    let fresh = user.password_hash.is_some() || is_fresh(&mut conn, actor).await?;
    drop(conn);
    if !fresh {
        // Who found an open browser does not take the account over.
        let minutes = FRESH / 60_000_000;
        let detail = format!(
            "a first password is set within {minutes} minutes of signing in: sign in again by a new link"
        );
        return Err(ApiError::invalid("session_too_old", "old", detail));
    }
    if user.password_hash.is_some() {
        // Who found an open browser does not guess at the password in it.
        let refused = |why| {
            let refusal = client.refusal("password.refused", &actor.email, why);
            let (actor_id, actor_name) = (actor.user_id.clone(), actor.name.clone());
            let refusal = Refusal { actor_id, actor_name, signed_in: true, ..refusal };
            state.refusals.take(state, refusal);
        };
        state.limits.password(&user.id).inspect_err(|_| refused("too many tries"))?;
        if !password::verify(user.password_hash, old).await? {
            refused("wrong old password");
            return Err(ApiError::invalid("bad_credentials", "old", "this is not your password"));
        }
    }
    let hash = password::hash(new).await?;
    let mut tx = state.database.write().await?;
    user::set_password(&mut tx, &actor.user_id, &hash).await?;
    let (ended, revoked) = end_all(&mut tx, &actor.user_id, revoke_tokens).await?;
    let detail = json!({ "sessions_ended": ended, "tokens_revoked": revoked });
    audit::record(&mut tx, actor, INSTALLATION, "password.changed", &actor.email, detail).await?;
    Ok(tx.commit().await?)
}

/// Whether the actor signed in a moment ago.
async fn is_fresh(conn: &mut Conn, actor: &Actor) -> Result<bool> {
    let Entry::Session { id, .. } = &actor.entry else { return Ok(matches!(actor.entry, Entry::Console)) };
    let now = clock::now();
    let live = session::of_user(conn, &actor.user_id, now).await?;
    Ok(live.iter().any(|s| s.id == *id && now - s.created_at <= FRESH))
}
