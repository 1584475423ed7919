//! Signing in: passwords, one-time links, sessions of browsers, personal API tokens.
//!
//! Of every token only the SHA-256 is stored. A session's CSRF token is derived from the session's
//! own token, so that it needs no place.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use schemas::Micros;
use schemas::canonical::Digest;
use serde_json::json;

use crate::audit;
use crate::auth::{Actor, Entry, Membership, Role};
use crate::author::preview::aside;
use crate::clock;
use crate::database::session::{self, Session};
use crate::database::user::{self, ApiToken, SignInLink, User};
use crate::database::{Conn, organisation};
use crate::error::{ApiError, Result};
use crate::state::AppState;

/// The cookie that carries a session's token.
pub const COOKIE: &str = "anvil_session";
/// How an API token begins.
pub const TOKEN_PREFIX: &str = "anvil_";
/// Shortest password, in characters.
pub const PASSWORD_MIN: usize = 12;
/// Longest password, in bytes.
const PASSWORD_MAX: usize = 1024;
/// A one-time link is good for so long, in microseconds.
const LINK_LIFE: Micros = 60 * 60 * 1_000_000;
/// A session's or token's use is noted this often at most, in microseconds.
const TOUCH_EVERY: Micros = 60 * 1_000_000;

/// A new session, to be put into the cookie.
pub struct NewSession {
    /// **Secret.**
    pub token: String,
    pub user: User,
}

impl std::fmt::Debug for NewSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewSession").field("user", &self.user).finish_non_exhaustive()
    }
}

fn random_token() -> String {
    let bytes: [u8; 32] = rand::random();
    data_encoding::BASE64URL_NOPAD.encode(&bytes)
}

fn hash_of(token: &str) -> String {
    Digest::of(token.as_bytes()).hex()
}

/// The CSRF token of the session with this token.
fn csrf_of(token: &str) -> String {
    Digest::of(format!("csrf:{token}").as_bytes()).hex()
}

/// Creates a user. An empty password means: only by link.
///
/// # Errors
/// An address that is none or taken, or too short a password.
pub async fn create_user(state: &AppState, email: &str, name: &str, password: Option<&str>) -> Result<User> {
    let email = email.trim().to_lowercase();
    let parts: Vec<_> = email.split('@').collect();
    if email.len() > 254
        || parts.len() != 2
        || parts.iter().any(|p| p.is_empty())
        || email.contains(char::is_whitespace)
    {
        return Err(ApiError::invalid("invalid", "email", "this is no e-mail address"));
    }
    let password_hash = match password {
        Some(password) => Some(hash_password(password).await?),
        None => None,
    };
    let row = User {
        id: clock::new_id(),
        name: crate::author::organisation::title(name, &email),
        email,
        password_hash,
        disabled: false,
        created_at: clock::now(),
    };
    let mut tx = state.database.write().await?;
    user::insert(&mut tx, &row)
        .await
        .map_err(|e| crate::author::organisation::taken(e, "user", &row.email))?;
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

async fn hash_password(password: &str) -> Result<String> {
    if password.chars().count() < PASSWORD_MIN {
        let detail = format!("a password has at least {PASSWORD_MIN} characters; a few words do well");
        return Err(ApiError::invalid("weak_password", "password", detail));
    }
    if password.len() > PASSWORD_MAX {
        return Err(ApiError::invalid("invalid", "password", "this password is too long"));
    }
    let password = zeroize::Zeroizing::new(password.to_owned());
    aside(move || {
        let hash = Argon2::default()
            .hash_password(password.as_bytes())
            .map_err(|e| ApiError::internal(format!("hashing a password: {e}")))?;
        Ok(hash.to_string())
    })
    .await
}

async fn verify_password(hash: Option<String>, password: &str) -> Result<bool> {
    // Somebody unknown costs as much as somebody known.
    const NOBODY: &str =
        "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$JcWXNoC8Zk9H4WWC1aFoVdlrRSN3GnKSp8gWyPpqLVI";
    if password.len() > PASSWORD_MAX {
        return Ok(false);
    }
    let password = zeroize::Zeroizing::new(password.to_owned());
    aside(move || {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| NOBODY.to_owned());
        let Ok(parsed) = PasswordHash::new(&hash) else { return Ok(false) };
        Ok(Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok() && known)
    })
    .await
}

/// Signs in by password.
///
/// # Errors
/// [`ApiError::Invalid`] with code `bad_credentials`, the same for every reason.
pub async fn sign_in(state: &AppState, email: &str, password: &str, user_agent: &str) -> Result<NewSession> {
    let mut conn = state.database.read().await?;
    let found = user::by_email(&mut conn, &email.trim().to_lowercase()).await?.filter(|u| !u.disabled);
    drop(conn);
    let good = verify_password(found.as_ref().and_then(|u| u.password_hash.clone()), password).await?;
    match found {
        Some(user) if good => begin(state, user, user_agent).await,
        _ => Err(ApiError::Invalid {
            code: "bad_credentials",
            field: None,
            detail: "e-mail address and password do not fit together".into(),
        }),
    }
}

/// Signs in by a one-time link, which is used up.
///
/// # Errors
/// [`ApiError::Invalid`] with code `bad_link`.
pub async fn sign_in_by_link(state: &AppState, token: &str, user_agent: &str) -> Result<NewSession> {
    let mut tx = state.database.write().await?;
    let user = user::use_link(&mut tx, &hash_of(token), clock::now()).await?.ok_or(ApiError::Invalid {
        code: "bad_link",
        field: None,
        detail: "this sign-in link was used or is too old; ask for another".into(),
    })?;
    tx.commit().await?;
    begin(state, user, user_agent).await
}

async fn begin(state: &AppState, user: User, user_agent: &str) -> Result<NewSession> {
    let (now, token) = (clock::now(), random_token());
    let row = Session {
        id: clock::new_id(),
        user_id: user.id.clone(),
        token_hash: hash_of(&token),
        user_agent: user_agent.chars().take(300).collect(),
        created_at: now,
        last_seen_at: now,
        expires_at: now + life(state),
    };
    let mut tx = state.database.write().await?;
    session::delete_expired(&mut tx, now).await?;
    session::insert(&mut tx, &row).await?;
    tx.commit().await?;
    Ok(NewSession { token, user })
}

fn life(state: &AppState) -> Micros {
    Micros::try_from(state.config.session.as_micros()).unwrap_or(Micros::MAX / 2)
}

/// Ends the actor's session.
///
/// # Errors
/// The database refuses.
pub async fn sign_out(state: &AppState, actor: &Actor) -> Result<()> {
    if let Entry::Session { id, .. } = &actor.entry {
        let mut tx = state.database.write().await?;
        session::delete(&mut tx, id).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Makes a one-time link for a user: the path below the public address.
///
/// # Errors
/// No such user.
pub async fn sign_in_link(state: &AppState, email: &str) -> Result<String> {
    let token = random_token();
    let mut tx = state.database.write().await?;
    let user =
        user::by_email(&mut tx, &email.trim().to_lowercase()).await?.ok_or(ApiError::NotFound("user"))?;
    let now = clock::now();
    let row = SignInLink {
        id: clock::new_id(),
        user_id: user.id,
        token_hash: hash_of(&token),
        created_at: now,
        expires_at: now + LINK_LIFE,
        used_at: None,
    };
    user::insert_link(&mut tx, &row).await?;
    tx.commit().await?;
    Ok(format!("/-/sign-in/{token}"))
}

/// Changes one's own password and ends all sessions, this one too.
///
/// # Errors
/// The old one does not fit, or the new one is too short.
pub async fn change_password(state: &AppState, actor: &Actor, old: Option<&str>, new: &str) -> Result<()> {
    let mut conn = state.database.read().await?;
    let user = user::by_id(&mut conn, &actor.user_id).await?.ok_or(ApiError::NotFound("user"))?;
    drop(conn);
    if user.password_hash.is_some() && !verify_password(user.password_hash, old.unwrap_or_default()).await? {
        return Err(ApiError::invalid("bad_credentials", "old", "this is not your password"));
    }
    let hash = hash_password(new).await?;
    let mut tx = state.database.write().await?;
    user::set_password(&mut tx, &actor.user_id, &hash).await?;
    session::delete_of_user(&mut tx, &actor.user_id).await?;
    Ok(tx.commit().await?)
}

/// Makes an API token of the actor, for one organisation and at most one role. Shown once.
///
/// # Errors
/// A role above the actor's own, or no member.
pub async fn create_token(
    state: &AppState,
    actor: &Actor,
    organisation_id: &str,
    name: &str,
    role: Role,
    expires_at: Option<Micros>,
) -> Result<(String, ApiToken)> {
    let own = actor.role_in(organisation_id).ok_or(ApiError::NotFound("organisation"))?;
    if rank(role) > rank(own) {
        return Err(ApiError::Forbidden("a token may do no more than its owner".into()));
    }
    if matches!(actor.entry, Entry::Token { .. }) {
        return Err(ApiError::Forbidden("a token cannot make tokens; sign in to make one".into()));
    }
    let token = format!("{TOKEN_PREFIX}{}", random_token());
    let row = ApiToken {
        id: clock::new_id(),
        user_id: actor.user_id.clone(),
        organisation_id: organisation_id.into(),
        name: crate::author::organisation::title(name, "token"),
        role: role.as_str().into(),
        token_hash: hash_of(&token),
        created_at: clock::now(),
        expires_at,
        last_used_at: None,
        revoked_at: None,
    };
    let mut tx = state.database.write().await?;
    user::insert_token(&mut tx, &row).await?;
    let detail = json!({ "role": row.role });
    audit::record(&mut tx, actor, organisation_id, "token.created", &row.name, detail).await?;
    tx.commit().await?;
    Ok((token, row))
}

fn rank(role: Role) -> usize {
    Role::ALL.iter().position(|r| *r == role).unwrap_or(0)
}

/// The actor's API tokens, newest first.
///
/// # Errors
/// The database refuses.
pub async fn tokens(state: &AppState, actor: &Actor) -> Result<Vec<ApiToken>> {
    let mut conn = state.database.read().await?;
    Ok(user::tokens(&mut conn, &actor.user_id).await?)
}

/// Revokes one of the actor's API tokens.
///
/// # Errors
/// [`ApiError::NotFound`].
pub async fn revoke_token(state: &AppState, actor: &Actor, id: &str) -> Result<()> {
    let mut tx = state.database.write().await?;
    if !user::revoke_token(&mut tx, &actor.user_id, id, clock::now()).await? {
        return Err(ApiError::NotFound("token"));
    }
    Ok(tx.commit().await?)
}

/// Who a session's token stands for.
///
/// # Errors
/// The database refuses. A token that is not good is nobody.
pub async fn by_cookie(state: &AppState, token: &str) -> Result<Option<Actor>> {
    let now = clock::now();
    let mut conn = state.database.read().await?;
    let Some((user, row)) = session::by_token(&mut conn, &hash_of(token), now).await? else {
        return Ok(None);
    };
    let memberships = memberships(&mut conn, &user.id, None).await?;
    drop(conn);
    if now - row.last_seen_at > TOUCH_EVERY {
        let mut tx = state.database.write().await?;
        session::touch(&mut tx, &row.id, now, now + life(state)).await?;
        tx.commit().await?;
    }
    let entry = Entry::Session { id: row.id, csrf: csrf_of(token) };
    Ok(Some(Actor { user_id: user.id, name: user.name, email: user.email, entry, memberships }))
}

/// Who an API token stands for.
///
/// # Errors
/// The database refuses. A token that is not good is nobody.
pub async fn by_token(state: &AppState, token: &str) -> Result<Option<Actor>> {
    if !token.starts_with(TOKEN_PREFIX) {
        return Ok(None);
    }
    let now = clock::now();
    let mut conn = state.database.read().await?;
    let Some((user, row)) = user::by_token(&mut conn, &hash_of(token), now).await? else {
        return Ok(None);
    };
    let memberships = memberships(&mut conn, &user.id, Some(&row)).await?;
    drop(conn);
    if row.last_used_at.is_none_or(|at| now - at > TOUCH_EVERY) {
        let mut tx = state.database.write().await?;
        user::touch_token(&mut tx, &row.id, now).await?;
        tx.commit().await?;
    }
    let entry = Entry::Token { id: row.id };
    Ok(Some(Actor { user_id: user.id, name: user.name, email: user.email, entry, memberships }))
}

/// The user's organisations; with a token only the token's, and no more than the token's role.
async fn memberships(conn: &mut Conn, user_id: &str, token: Option<&ApiToken>) -> Result<Vec<Membership>> {
    let found = organisation::of_user(conn, user_id).await?;
    Ok(found
        .into_iter()
        .filter(|(o, _)| token.is_none_or(|t| t.organisation_id == o.id))
        .filter_map(|(o, role)| {
            let own = Role::parse(&role)?;
            let cap = token.map_or(Some(own), |t| Role::parse(&t.role))?;
            let role = if rank(cap) < rank(own) { cap } else { own };
            Some(Membership { organisation_id: o.id, organisation: o.slug, role })
        })
        .collect())
}

/// Whether a form carries the token of the session it was made for.
///
/// # Errors
/// [`ApiError::Forbidden`].
pub fn check_csrf(actor: &Actor, given: &str) -> Result<()> {
    match &actor.entry {
        Entry::Session { csrf, .. } if !same(csrf, given) => Err(ApiError::Forbidden(
            "this form is too old or came from elsewhere; load the page again".into(),
        )),
        _ => Ok(()),
    }
}

/// Compares in a time that tells nothing.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}
