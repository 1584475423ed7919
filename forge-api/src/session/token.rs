//! Personal API tokens. Each is for one organisation, with a role, scopes and an end.

use std::collections::BTreeSet;

use schemas::Micros;
use serde_json::json;

use super::{Standing, TOUCH_EVERY, hash_of, random_token, standing};
use crate::audit;
use crate::auth::{Action, Actor, Entry, Role, Scopes};
use crate::clock;
use crate::database::user::{self, ApiToken, User};
use crate::database::{Conn, project};
use crate::error::{ApiError, Result};
use crate::state::AppState;

/// How an API token begins.
pub const TOKEN_PREFIX: &str = "anvil_";
/// How long a token is valid when nobody says how long, in days.
pub const TOKEN_DAYS: i64 = 90;
const DAY: Micros = 24 * 60 * 60 * 1_000_000;
/// Most tokens of one user that are good at the same time.
const TOKENS_MAX: usize = 100;
/// Most projects that one token is made for.
const PROJECTS_MAX: usize = 50;

/// What a new token is for.
#[derive(Debug, Clone, Copy)]
pub struct NewToken<'a> {
    pub name: &'a str,
    /// The most that it may do, and no more than its owner.
    pub role: Role,
    pub scopes: Scopes,
    /// None: never. Only who asks for that by name gets it.
    pub expires_at: Option<Micros>,
    /// The only projects that it reaches, by name; none: all that its owner reaches, now and later.
    pub projects: Option<&'a [String]>,
}

/// The end of a token that is valid for so many days.
#[must_use]
pub fn end_after(days: i64) -> Micros {
    clock::now() + days.clamp(1, 3650) * DAY
}

/// Makes an API token of the actor for one organisation. Shown once.
///
/// # Errors
/// A role above the actor's own, no member, an end that has passed, too many, or a token asks.
pub async fn create_token(
    state: &AppState,
    actor: &Actor,
    organisation_id: &str,
    new: NewToken<'_>,
) -> Result<(String, ApiToken)> {
    // A guest's token reaches the projects that were granted, each as far as was granted.
    let granted = actor.grants.iter().filter(|g| g.organisation_id == organisation_id).map(|g| g.role);
    let own = actor.role_in(organisation_id).into_iter().chain(granted).max_by_key(|role| role.rank());
    let own = own.ok_or_else(|| ApiError::Hidden {
        what: "organisation",
        organisation_id: organisation_id.to_owned(),
    })?;
    actor.in_person()?;
    if new.role.rank() > own.rank() {
        let detail = "a token may do no more than its owner".to_owned();
        return Err(ApiError::NotAllowed { organisation_id: organisation_id.into(), detail });
    }
    let now = clock::now();
    if new.expires_at.is_some_and(|end| end <= now) {
        return Err(ApiError::invalid("invalid", "expires_at", "this end has passed already"));
    }
    let projects = match new.projects {
        Some(names) => Some(chosen(state, actor, organisation_id, names).await?),
        None => None,
    };
    let token = format!("{TOKEN_PREFIX}{}", random_token());
    let row = ApiToken {
        id: clock::new_id(),
        user_id: actor.user_id.clone(),
        organisation_id: organisation_id.into(),
        name: crate::author::organisation::named(new.name, "token")?,
        role: new.role.as_str().into(),
        token_hash: hash_of(&token),
        created_at: now,
        expires_at: new.expires_at,
        last_used_at: None,
        revoked_at: None,
        scopes: new.scopes.to_string(),
        projects,
    };
    let mut tx = state.database.write().await?;
    let known = user::tokens(&mut tx, &actor.user_id).await?;
    if known.iter().filter(|t| t.revoked_at.is_none() && !over(t, now)).count() >= TOKENS_MAX {
        let detail = format!("a user has at most {TOKENS_MAX} tokens; revoke one");
        return Err(ApiError::conflict("too_many", detail));
    }
    user::insert_token(&mut tx, &row).await?;
    let end = row.expires_at.map_or_else(|| "never".to_owned(), clock::rfc3339);
    let detail = json!({ "role": row.role, "scopes": row.scopes, "projects": row.projects, "expires": end });
    audit::record(&mut tx, actor, organisation_id, "token.created", &row.name, detail).await?;
    tx.commit().await?;
    Ok((token, row))
}

/// The projects that a token is made for, as they are kept.
async fn chosen(state: &AppState, actor: &Actor, organisation_id: &str, names: &[String]) -> Result<String> {
    let wrong = |detail: String| ApiError::invalid("invalid", "projects", detail);
    let names: BTreeSet<&str> = names.iter().map(|name| name.trim()).collect();
    if names.is_empty() || names.len() > PROJECTS_MAX {
        return Err(wrong(format!("name 1 to {PROJECTS_MAX} projects, or leave it out for all of them")));
    }
    let names: Vec<&str> = names.into_iter().collect();
    let mut conn = state.database.read().await?;
    let mut found = project::named(&mut conn, organisation_id, &names).await?;
    found.retain(|(_, project)| actor.may_at(organisation_id, &project.id, Action::View));
    match names.iter().find(|name| !found.iter().any(|(_, project)| project.slug == **name)) {
        Some(other) => Err(wrong(format!("{other:?} is no project of this organisation that you see"))),
        None => Ok(names.join(" ")),
    }
}

fn over(row: &ApiToken, now: Micros) -> bool {
    row.expires_at.is_some_and(|end| end <= now)
}

/// The actor's API tokens, newest first.
///
/// # Errors
/// A token asks, or the database refuses.
pub async fn tokens(state: &AppState, actor: &Actor) -> Result<Vec<ApiToken>> {
    actor.in_person()?;
    let mut conn = state.database.read().await?;
    Ok(user::tokens(&mut conn, &actor.user_id).await?)
}

/// Revokes one of the actor's API tokens. A token may revoke itself, and no other.
///
/// # Errors
/// [`ApiError::NotFound`].
pub async fn revoke_token(state: &AppState, actor: &Actor, id: &str) -> Result<()> {
    if !matches!(&actor.entry, Entry::Token { id: own, .. } if own == id) {
        actor.in_person()?;
    }
    let mut tx = state.database.write().await?;
    let known = user::tokens(&mut tx, &actor.user_id).await?;
    let row = known.iter().find(|t| t.id == id).ok_or(ApiError::NotFound("token"))?;
    if !user::revoke_token(&mut tx, &actor.user_id, id, clock::now()).await? {
        return Err(ApiError::NotFound("token"));
    }
    audit::record(&mut tx, actor, &row.organisation_id, "token.revoked", &row.name, json!({})).await?;
    Ok(tx.commit().await?)
}

/// What a token that was sent turned out to be.
#[derive(Debug)]
pub enum Presented {
    Good(Actor),
    /// It was one once: whose, and why it is not any more.
    Spent {
        /// Id and name.
        owner: (String, String),
        organisation_id: String,
        name: String,
        why: &'static str,
    },
    Unknown,
}

/// Why a token is not good any more, if it is not.
fn spent(owner: &User, row: &ApiToken, now: Micros) -> Option<&'static str> {
    match () {
        () if row.revoked_at.is_some() => Some("the token is revoked"),
        () if over(row, now) => Some("the token has expired"),
        () if owner.disabled => Some("the user is disabled"),
        () => None,
    }
}

/// What a token's user is by now. None: it is not good any more.
pub(super) async fn again(conn: &mut Conn, id: &str) -> Result<Option<Standing>> {
    let found = user::token_by_id(conn, id).await?;
    match found.filter(|(owner, row)| spent(owner, row, clock::now()).is_none()) {
        Some((owner, row)) => standing(conn, &owner.id, Some(&row)).await.map(Some),
        None => Ok(None),
    }
}

/// Who an API token stands for.
///
/// # Errors
/// The database refuses.
pub async fn by_token(state: &AppState, token: &str) -> Result<Presented> {
    if !token.starts_with(TOKEN_PREFIX) {
        return Ok(Presented::Unknown);
    }
    let now = clock::now();
    let mut conn = state.database.read().await?;
    let Some((owner, row)) = user::by_token(&mut conn, &hash_of(token)).await? else {
        return Ok(Presented::Unknown);
    };
    if let Some(why) = spent(&owner, &row, now) {
        let (owner, organisation_id) = ((owner.id, owner.name), row.organisation_id);
        return Ok(Presented::Spent { owner, organisation_id, name: row.name, why });
    }
    let Standing { memberships, grants } = standing(&mut conn, &owner.id, Some(&row)).await?;
    drop(conn);
    if row.last_used_at.is_none_or(|at| now - at > TOUCH_EVERY) {
        let mut tx = state.database.write().await?;
        user::touch_token(&mut tx, &row.id, now).await?;
        tx.commit().await?;
    }
    let entry = Entry::Token { id: row.id, scopes: Scopes::parse(&row.scopes) };
    Ok(Presented::Good(Actor {
        user_id: owner.id,
        name: owner.name,
        email: owner.email,
        entry,
        memberships,
        grants,
    }))
}
