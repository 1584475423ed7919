//! Signing in: passwords, one-time links, sessions of browsers, personal API tokens.
//!
//! Of every token only the SHA-256 is stored. A session's CSRF token is derived from the session's
//! own token, so that it needs no place.
//!
//! | module | what it holds |
//! |---|---|
//! | [`account`] | users: made, disabled, given links; one's own name and password |
//! | [`invitation`] | coming in by an invitation |
//! | [`link`] | a sign-in link that somebody asked for |
//! | [`oidc`] | a provider of OpenID Connect |
//! | [`password`] | hashing and checking |
//! | [`set_up`] | the first user |
//! | [`token`] | personal API tokens |

pub mod account;
pub mod invitation;
pub mod link;
pub mod oidc;
mod password;
pub mod set_up;
pub mod token;

pub use account::{
    ChangePassword, change_password, create_user, rename, set_disabled, sign_in_link, user_by_email,
};
pub use password::PASSWORD_MIN;
pub use token::{
    NewToken, Presented, TOKEN_DAYS, TOKEN_PREFIX, by_token, create_token, end_after, revoke_token, tokens,
};

use std::net::IpAddr;
use std::time::Duration;

use schemas::Micros;
use schemas::canonical::Digest;
use serde_json::json;

use crate::audit::{self, INSTALLATION, Refusal};
use crate::auth::{Actor, Entry, Grant, Membership, Role};
use crate::clock;
use crate::database::session::{self, Session};
use crate::database::user::{self, ApiToken, User};
use crate::database::{Conn, Tx, grant, organisation, project};
use crate::error::{ApiError, Result};
use crate::state::AppState;

/// A session's or token's use is noted this often at most, in microseconds.
const TOUCH_EVERY: Micros = 60 * 1_000_000;
/// Digits that tell in the log one account from another without its name.
const MARK: usize = 12;
/// Longest description of a browser, in characters.
const USER_AGENT_MAX: usize = 300;

/// From where somebody comes in.
#[derive(Clone)]
pub struct Client {
    pub address: IpAddr,
    pub user_agent: String,
    /// What the browser remembers of who signed in with it.
    pub browser: Option<String>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Client {
    /// The browser's own name, where the account was signed in to with it before.
    fn known_to(&self, state: &AppState, email: &str) -> Option<&str> {
        let (name, tag) = self.browser.as_deref()?.split_once('.')?;
        let tag = format!("hmac-sha256:{tag}");
        state.browser_key.verify(remembered(name, email).as_bytes(), &tag).then_some(name)
    }

    /// An attempt of nobody that is known, refused.
    fn refusal(&self, action: &'static str, subject: &str, why: &str) -> Refusal {
        Refusal {
            organisation_id: None,
            action,
            actor_id: "nobody".into(),
            actor_name: "nobody".into(),
            signed_in: false,
            address: self.address,
            route: String::new(),
            subject: subject.into(),
            why: why.into(),
        }
    }
}

/// What the log says instead of what was typed, which may be a password: the same for the same text.
fn mark(state: &AppState, typed: &str) -> String {
    let tag = state.browser_key.sign(format!("account\n\n{typed}").as_bytes());
    let tag: String = tag.trim_start_matches("hmac-sha256:").chars().take(MARK).collect();
    format!("account {tag}")
}

fn remembered(name: &str, email: &str) -> String {
    format!("{name}\n{email}")
}

/// What the browser remembers from now on: that this account was signed in to with it.
fn remember(state: &AppState, email: &str) -> String {
    let name = random_token();
    let tag = state.browser_key.sign(remembered(&name, email).as_bytes());
    format!("{name}.{}", tag.trim_start_matches("hmac-sha256:"))
}

/// A new session, to be put into the cookie.
pub struct NewSession {
    /// **Secret.**
    pub token: String,
    /// What the browser remembers when the session is over.
    pub browser: String,
    pub user: User,
}

impl std::fmt::Debug for NewSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewSession").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Somebody who came in just now, for what is written down in their name.
fn newcomer(user: &User) -> Actor {
    Actor {
        user_id: user.id.clone(),
        name: user.name.clone(),
        email: user.email.clone(),
        entry: Entry::Session { id: String::new(), csrf: String::new() },
        memberships: Vec::new(),
        grants: Vec::new(),
    }
}

pub(crate) fn random_token() -> String {
    let bytes: [u8; 32] = rand::random();
    data_encoding::BASE64URL_NOPAD.encode(&bytes)
}

pub(crate) fn hash_of(token: &str) -> String {
    Digest::of(token.as_bytes()).hex()
}

/// The CSRF token of the session with this token.
fn csrf_of(token: &str) -> String {
    Digest::of(format!("csrf:{token}").as_bytes()).hex()
}

/// Signs in by password.
///
/// # Errors
/// [`ApiError::Invalid`] with code `bad_credentials`, the same for every reason; too many tries.
pub async fn sign_in(state: &AppState, client: &Client, email: &str, password: &str) -> Result<NewSession> {
    let email = email.trim().to_lowercase();
    let refused = |subject: &str, user: Option<&User>, why: &str| {
        let refusal = client.refusal("sign_in.refused", subject, why);
        let named =
            user.map(|u| Refusal { actor_id: u.id.clone(), actor_name: u.email.clone(), ..refusal.clone() });
        state.refusals.take(state, named.unwrap_or(refusal));
    };
    let browser = client.known_to(state, &email);
    if let Err(error) = state.limits.sign_in(client.address, &email, browser) {
        // Nothing is looked up: by its mark it is found among those that were.
        refused(&mark(state, &email), None, "too many tries");
        return Err(error);
    }
    let mut conn = state.database.read().await?;
    let found = user::by_email(&mut conn, &email).await?;
    drop(conn);
    let open = found.as_ref().filter(|u| !u.disabled).and_then(|u| u.password_hash.clone());
    let good = password::verify(open, password).await?;
    match found {
        Some(user) if good => begin(state, client, user, "password").await,
        found => {
            let why = match &found {
                None => "no such user",
                Some(user) if user.disabled => "the user is disabled",
                Some(user) if user.password_hash.is_none() => "the user has no password",
                Some(_) => "wrong password",
            };
            let mark = mark(state, &email);
            match &found {
                Some(user) => refused(&user.email, found.as_ref(), &format!("{why} ({mark})")),
                None => refused(&format!("unknown {mark}"), None, why),
            }
            Err(ApiError::Invalid {
                code: "bad_credentials",
                field: None,
                detail: "e-mail address and password do not fit together".into(),
            })
        }
    }
}

/// Signs in by a one-time link, which is used up.
///
/// # Errors
/// [`ApiError::Invalid`] with code `bad_link`; too many tries.
pub async fn sign_in_by_link(state: &AppState, client: &Client, token: &str) -> Result<NewSession> {
    let refused =
        |why| state.refusals.take(state, client.refusal("sign_in_link.refused", "sign-in link", why));
    if let Err(error) = state.limits.link(client.address) {
        refused("too many tries");
        return Err(error);
    }
    let mut tx = state.database.write().await?;
    match user::use_link(&mut tx, &hash_of(token), clock::now()).await? {
        Some(user) => {
            tx.commit().await?;
            begin(state, client, user, "link").await
        }
        None => {
            drop(tx);
            refused("used, too old, or none of ours");
            Err(ApiError::Invalid {
                code: "bad_link",
                field: None,
                detail: "this sign-in link was used or is too old; ask for another".into(),
            })
        }
    }
}

async fn begin(state: &AppState, client: &Client, user: User, by: &str) -> Result<NewSession> {
    let (now, token) = (clock::now(), random_token());
    let row = Session {
        id: clock::new_id(),
        user_id: user.id.clone(),
        token_hash: hash_of(&token),
        user_agent: client.user_agent.chars().take(USER_AGENT_MAX).collect(),
        created_at: now,
        last_seen_at: now,
        expires_at: end(state, now, now),
        address: client.address.to_string(),
    };
    let entry = Entry::Session { id: row.id.clone(), csrf: csrf_of(&token) };
    let actor = Actor {
        user_id: user.id.clone(),
        name: user.name.clone(),
        email: user.email.clone(),
        entry,
        memberships: Vec::new(),
        grants: Vec::new(),
    };
    let mut tx = state.database.write().await?;
    session::delete_expired(&mut tx, now).await?;
    session::insert(&mut tx, &row).await?;
    let detail = json!({ "by": by, "address": row.address });
    audit::record(&mut tx, &actor, INSTALLATION, "session.started", &user.email, detail).await?;
    tx.commit().await?;
    Ok(NewSession { token, browser: remember(state, &user.email), user })
}

fn micros(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).unwrap_or(Micros::MAX / 2)
}

/// When a session ends that began then and is used now: after some silence, and some day in any case.
fn end(state: &AppState, began: Micros, now: Micros) -> Micros {
    (now + micros(state.config.session)).min(began + micros(state.config.session_max))
}

/// Ends the actor's session.
///
/// # Errors
/// The database refuses.
pub async fn sign_out(state: &AppState, actor: &Actor) -> Result<()> {
    match &actor.entry {
        Entry::Session { id, .. } => end_session(state, actor, id).await,
        _ => Ok(()),
    }
}

/// The actor's sessions, the last used first.
///
/// # Errors
/// A token asks, or the database refuses.
pub async fn sessions(state: &AppState, actor: &Actor) -> Result<Vec<Session>> {
    actor.in_person()?;
    let mut conn = state.database.read().await?;
    Ok(session::of_user(&mut conn, &actor.user_id, clock::now()).await?)
}

/// Ends one of the actor's sessions.
///
/// # Errors
/// [`ApiError::NotFound`], or a token asks.
pub async fn end_session(state: &AppState, actor: &Actor, id: &str) -> Result<()> {
    actor.in_person()?;
    let mut tx = state.database.write().await?;
    if session::delete(&mut tx, &actor.user_id, id).await? == 0 {
        return Err(ApiError::NotFound("session"));
    }
    audit::record(&mut tx, actor, INSTALLATION, "session.ended", &actor.email, json!({})).await?;
    Ok(tx.commit().await?)
}

/// Signs out everywhere: ends all of the actor's sessions, this one too, and revokes their API tokens if
/// that is asked for: a thief with a session may have made one. Gives how many sessions.
///
/// # Errors
/// A token asks, or the database refuses.
pub async fn end_sessions(state: &AppState, actor: &Actor, revoke_tokens: bool) -> Result<usize> {
    actor.in_person()?;
    let mut tx = state.database.write().await?;
    let (ended, revoked) = end_all(&mut tx, &actor.user_id, revoke_tokens).await?;
    let detail = json!({ "sessions": ended, "tokens_revoked": revoked });
    audit::record(&mut tx, actor, INSTALLATION, "sessions.ended", &actor.email, detail).await?;
    tx.commit().await?;
    Ok(ended)
}

/// Ends all sessions of a user, and revokes their tokens if asked for; gives how many of each.
async fn end_all(tx: &mut Tx, user_id: &str, revoke_tokens: bool) -> Result<(usize, usize)> {
    let ended = session::delete_of_user(tx, user_id).await?;
    let revoked = match revoke_tokens {
        true => user::revoke_tokens(tx, user_id, clock::now()).await?,
        false => 0,
    };
    Ok((ended, revoked))
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
    // The option may have been lowered since.
    if row.created_at + micros(state.config.session_max) <= now {
        return Ok(None);
    }
    let Standing { memberships, grants } = standing(&mut conn, &user.id, None).await?;
    drop(conn);
    if now - row.last_seen_at > TOUCH_EVERY {
        let mut tx = state.database.write().await?;
        session::touch(&mut tx, &row.id, now, end(state, row.created_at, now)).await?;
        tx.commit().await?;
    }
    let entry = Entry::Session { id: row.id, csrf: csrf_of(token) };
    Ok(Some(Actor { user_id: user.id, name: user.name, email: user.email, entry, memberships, grants }))
}

/// The actor as they are by now, for what lasts longer than a request. None: the session ended, or the
/// token is not good any more.
///
/// # Errors
/// The database refuses.
pub async fn again(state: &AppState, actor: &Actor) -> Result<Option<Actor>> {
    let mut conn = state.database.read().await?;
    let standing = match &actor.entry {
        Entry::Console => return Ok(Some(actor.clone())),
        Entry::Token { id, .. } => token::again(&mut conn, id).await?,
        Entry::Session { id, .. } => {
            let live = session::of_user(&mut conn, &actor.user_id, clock::now()).await?;
            match live.iter().any(|s| s.id == *id) {
                true => Some(standing(&mut conn, &actor.user_id, None).await?),
                false => None,
            }
        }
    };
    Ok(standing.map(|Standing { memberships, grants }| Actor { memberships, grants, ..actor.clone() }))
}

/// What somebody is: in organisations, and in single projects.
#[derive(Debug, Default)]
struct Standing {
    memberships: Vec<Membership>,
    grants: Vec<Grant>,
}

/// What the user is; with a token only in the token's organisation, and no more than the token's role.
async fn standing(conn: &mut Conn, user_id: &str, token: Option<&ApiToken>) -> Result<Standing> {
    let cap = |own: &str| {
        let own = Role::parse(own)?;
        let cap = token.map_or(Some(own), |t| Role::parse(&t.role))?;
        Some(if cap.rank() < own.rank() { cap } else { own })
    };
    let here = |id: &str| token.is_none_or(|t| t.organisation_id == id);
    let memberships = organisation::of_user(conn, user_id).await?;
    let memberships = memberships.into_iter().filter(|(o, _)| here(&o.id)).filter_map(|(o, role)| {
        Some(Membership { role: cap(&role)?, organisation_id: o.id, organisation: o.slug })
    });
    let memberships = memberships.collect();
    let grants = grant::of_user(conn, user_id).await?;
    let grants = grants.into_iter().filter(|(o, ..)| here(&o.id)).filter_map(|(o, p, role)| {
        Some(Grant {
            role: cap(&role)?,
            organisation_id: o.id,
            organisation: o.slug,
            project_id: p.id,
            project: p.slug,
        })
    });
    let standing = Standing { memberships, grants: grants.collect() };
    match token.and_then(|token| Some((token, token.projects.as_deref()?))) {
        Some((token, chosen)) => narrowed(conn, &standing, &token.organisation_id, chosen).await,
        None => Ok(standing),
    }
}

/// What is left for a token that was made for some projects: it is a guest of those, whatever its owner is in the
/// organisation, and as far as its owner is it still.
async fn narrowed(conn: &mut Conn, own: &Standing, organisation_id: &str, chosen: &str) -> Result<Standing> {
    let slugs: Vec<&str> = chosen.split_whitespace().collect();
    let member = own.memberships.iter().find(|m| m.organisation_id == organisation_id).map(|m| m.role);
    let mut grants = Vec::new();
    for (organisation, project) in project::named(conn, organisation_id, &slugs).await? {
        let granted = own.grants.iter().find(|g| g.project_id == project.id).map(|g| g.role);
        let Some(role) = member.into_iter().chain(granted).max_by_key(|role| role.rank()) else { continue };
        grants.push(Grant {
            // Nobody is owner of one project only.
            role: if role == Role::Owner { Role::Admin } else { role },
            organisation_id: organisation.id,
            organisation: organisation.slug,
            project_id: project.id,
            project: project.slug,
        });
    }
    Ok(Standing { memberships: Vec::new(), grants })
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
