//! People: users, their one-time sign-in links and their API tokens.

use std::fmt;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::schema::{api_tokens, sign_in_links, users};
use super::{Conn, Result, on};

#[derive(Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = users, treat_none_as_default_value = false)]
pub struct User {
    pub id: String,
    pub email: String,
    pub name: String,
    pub password_hash: Option<String>,
    pub disabled: bool,
    pub created_at: i64,
    /// When the user showed that the address is theirs; none: somebody else may have typed it.
    pub proven_at: Option<i64>,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("id", &self.id).field("email", &self.email).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = sign_in_links, treat_none_as_default_value = false)]
pub struct SignInLink {
    pub id: String,
    pub user_id: String,
    pub token_hash: String,
    pub created_at: i64,
    pub expires_at: i64,
    pub used_at: Option<i64>,
    /// Whether it went to the user's address and was shown to nobody.
    pub mailed: bool,
}

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = api_tokens, treat_none_as_default_value = false)]
pub struct ApiToken {
    pub id: String,
    pub user_id: String,
    pub organisation_id: String,
    pub name: String,
    /// The most that the token may do, whatever its owner may.
    pub role: String,
    pub token_hash: String,
    pub created_at: i64,
    pub expires_at: Option<i64>,
    pub last_used_at: Option<i64>,
    pub revoked_at: Option<i64>,
    /// What it may be used for, names with spaces between.
    pub scopes: String,
    /// The projects that it reaches, names with spaces between; none: all that its owner reaches.
    pub projects: Option<String>,
}

pub async fn insert(conn: &mut Conn, row: &User) -> Result<()> {
    on!(conn, c => diesel::insert_into(users::table).values(row).execute(c).await?);
    Ok(())
}

pub async fn by_email(conn: &mut Conn, email: &str) -> Result<Option<User>> {
    Ok(on!(conn, c => users::table
        .filter(users::email.eq(email))
        .select(User::as_select())
        .first(c).await.optional()?))
}

pub async fn by_id(conn: &mut Conn, id: &str) -> Result<Option<User>> {
    Ok(on!(conn, c => users::table.find(id).select(User::as_select()).first(c).await.optional()?))
}

/// Names of users by id, for lists that show who did something.
pub async fn names(conn: &mut Conn, ids: &[String]) -> Result<Vec<(String, String)>> {
    Ok(on!(conn, c => users::table
        .filter(users::id.eq_any(ids))
        .select((users::id, users::name))
        .load(c).await?))
}

pub async fn set_password(conn: &mut Conn, id: &str, hash: &str) -> Result<()> {
    on!(conn, c => diesel::update(users::table.find(id))
        .set(users::password_hash.eq(hash))
        .execute(c).await?);
    Ok(())
}

/// Takes the password away: sign-in by link or provider only.
pub async fn clear_password(conn: &mut Conn, id: &str) -> Result<()> {
    on!(conn, c => diesel::update(users::table.find(id))
        .set(users::password_hash.eq(None::<String>))
        .execute(c).await?);
    Ok(())
}

pub async fn set_name(conn: &mut Conn, id: &str, name: &str) -> Result<()> {
    on!(conn, c => diesel::update(users::table.find(id)).set(users::name.eq(name)).execute(c).await?);
    Ok(())
}

/// Notes that the address is the user's, unless that was known.
pub async fn set_proven(conn: &mut Conn, id: &str, now: i64) -> Result<()> {
    on!(conn, c => diesel::update(users::table.find(id).filter(users::proven_at.is_null()))
        .set(users::proven_at.eq(now))
        .execute(c).await?);
    Ok(())
}

pub async fn set_disabled(conn: &mut Conn, id: &str, disabled: bool) -> Result<()> {
    on!(conn, c => diesel::update(users::table.find(id))
        .set(users::disabled.eq(disabled))
        .execute(c).await?);
    Ok(())
}

/// Keeps other transactions that hold this user waiting until we commit.
pub async fn hold(conn: &mut Conn, id: &str) -> Result<()> {
    on!(conn, c => diesel::update(users::table.find(id)).set(users::id.eq(id)).execute(c).await?);
    Ok(())
}

/// Whether there is any user.
pub async fn any(conn: &mut Conn) -> Result<bool> {
    let first: Option<String> =
        on!(conn, c => users::table.select(users::id).limit(1).first(c).await.optional()?);
    Ok(first.is_some())
}

/// Makes links and tokens of a user void.
pub async fn revoke_all(conn: &mut Conn, user_id: &str, now: i64) -> Result<()> {
    revoke_tokens(conn, user_id, now).await?;
    on!(conn, c => diesel::update(sign_in_links::table
            .filter(sign_in_links::user_id.eq(user_id))
            .filter(sign_in_links::used_at.is_null()))
        .set(sign_in_links::used_at.eq(now))
        .execute(c).await?);
    Ok(())
}

/// Revokes every token of a user; gives how many that were.
pub async fn revoke_tokens(conn: &mut Conn, user_id: &str, now: i64) -> Result<usize> {
    Ok(on!(conn, c => diesel::update(api_tokens::table
            .filter(api_tokens::user_id.eq(user_id))
            .filter(api_tokens::revoked_at.is_null()))
        .set(api_tokens::revoked_at.eq(now))
        .execute(c).await?))
}

/// Revokes the tokens of a user for one organisation; gives how many that were.
pub async fn revoke_tokens_in(
    conn: &mut Conn,
    user_id: &str,
    organisation_id: &str,
    now: i64,
) -> Result<usize> {
    Ok(on!(conn, c => diesel::update(api_tokens::table
            .filter(api_tokens::user_id.eq(user_id))
            .filter(api_tokens::organisation_id.eq(organisation_id))
            .filter(api_tokens::revoked_at.is_null()))
        .set(api_tokens::revoked_at.eq(now))
        .execute(c).await?))
}

pub async fn insert_link(conn: &mut Conn, row: &SignInLink) -> Result<()> {
    on!(conn, c => diesel::insert_into(sign_in_links::table).values(row).execute(c).await?);
    Ok(())
}

/// Uses a link up: its user, if the link was good at `now` and nobody used it before. A link that was mailed proves
/// that the address is theirs.
pub async fn use_link(conn: &mut Conn, token_hash: &str, now: i64) -> Result<Option<User>> {
    let used = on!(conn, c => diesel::update(sign_in_links::table
            .filter(sign_in_links::token_hash.eq(token_hash))
            .filter(sign_in_links::used_at.is_null())
            .filter(sign_in_links::expires_at.gt(now)))
        .set(sign_in_links::used_at.eq(now))
        .execute(c).await?);
    if used == 0 {
        return Ok(None);
    }
    let found: Option<(User, bool)> = on!(conn, c => users::table
        .inner_join(sign_in_links::table.on(sign_in_links::user_id.eq(users::id)))
        .filter(sign_in_links::token_hash.eq(token_hash))
        .filter(users::disabled.eq(false))
        .select((User::as_select(), sign_in_links::mailed))
        .first(c).await.optional()?);
    if let Some((user, true)) = &found {
        set_proven(conn, &user.id, now).await?;
    }
    Ok(found.map(|(user, _)| user))
}

pub async fn insert_token(conn: &mut Conn, row: &ApiToken) -> Result<()> {
    on!(conn, c => diesel::insert_into(api_tokens::table).values(row).execute(c).await?);
    Ok(())
}

/// A token with its user, whether it is still good or not.
pub async fn by_token(conn: &mut Conn, token_hash: &str) -> Result<Option<(User, ApiToken)>> {
    Ok(on!(conn, c => users::table
        .inner_join(api_tokens::table.on(api_tokens::user_id.eq(users::id)))
        .filter(api_tokens::token_hash.eq(token_hash))
        .select((User::as_select(), ApiToken::as_select()))
        .first(c).await.optional()?))
}

/// The same by its id.
pub async fn token_by_id(conn: &mut Conn, id: &str) -> Result<Option<(User, ApiToken)>> {
    Ok(on!(conn, c => users::table
        .inner_join(api_tokens::table.on(api_tokens::user_id.eq(users::id)))
        .filter(api_tokens::id.eq(id))
        .select((User::as_select(), ApiToken::as_select()))
        .first(c).await.optional()?))
}

pub async fn tokens(conn: &mut Conn, user_id: &str) -> Result<Vec<ApiToken>> {
    Ok(on!(conn, c => api_tokens::table
        .filter(api_tokens::user_id.eq(user_id))
        .order(api_tokens::created_at.desc())
        .select(ApiToken::as_select())
        .load(c).await?))
}

/// Revokes a token of this user; says whether there was one to revoke.
pub async fn revoke_token(conn: &mut Conn, user_id: &str, id: &str, now: i64) -> Result<bool> {
    Ok(on!(conn, c => diesel::update(api_tokens::table
            .filter(api_tokens::id.eq(id))
            .filter(api_tokens::user_id.eq(user_id))
            .filter(api_tokens::revoked_at.is_null()))
        .set(api_tokens::revoked_at.eq(now))
        .execute(c).await?)
        == 1)
}

pub async fn touch_token(conn: &mut Conn, id: &str, now: i64) -> Result<()> {
    on!(conn, c => diesel::update(api_tokens::table.find(id))
        .set(api_tokens::last_used_at.eq(now))
        .execute(c).await?);
    Ok(())
}
