//! Sessions of browsers. Only the hash of the token is stored.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::schema::{sessions, users};
use super::user::User;
use super::{Conn, Result, on};

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = sessions, treat_none_as_default_value = false)]
pub struct Session {
    pub id: String,
    pub user_id: String,
    pub token_hash: String,
    pub user_agent: String,
    pub created_at: i64,
    pub last_seen_at: i64,
    pub expires_at: i64,
    /// From where it was begun.
    pub address: String,
}

pub async fn insert(conn: &mut Conn, row: &Session) -> Result<()> {
    on!(conn, c => diesel::insert_into(sessions::table).values(row).execute(c).await?);
    Ok(())
}

/// A session that is good at `now`, with its user.
pub async fn by_token(conn: &mut Conn, token_hash: &str, now: i64) -> Result<Option<(User, Session)>> {
    Ok(on!(conn, c => users::table
        .inner_join(sessions::table.on(sessions::user_id.eq(users::id)))
        .filter(sessions::token_hash.eq(token_hash))
        .filter(sessions::expires_at.gt(now))
        .filter(users::disabled.eq(false))
        .select((User::as_select(), Session::as_select()))
        .first(c).await.optional()?))
}

/// Notes that a session was used, and moves its end.
pub async fn touch(conn: &mut Conn, id: &str, now: i64, expires_at: i64) -> Result<()> {
    on!(conn, c => diesel::update(sessions::table.find(id))
        .set((sessions::last_seen_at.eq(now), sessions::expires_at.eq(expires_at)))
        .execute(c).await?);
    Ok(())
}

/// The sessions of a user that are good at `now`, the last used first.
pub async fn of_user(conn: &mut Conn, user_id: &str, now: i64) -> Result<Vec<Session>> {
    Ok(on!(conn, c => sessions::table
        .filter(sessions::user_id.eq(user_id))
        .filter(sessions::expires_at.gt(now))
        .order(sessions::last_seen_at.desc())
        .select(Session::as_select())
        .load(c).await?))
}

/// Ends a session of a user; gives how many that were.
pub async fn delete(conn: &mut Conn, user_id: &str, id: &str) -> Result<usize> {
    Ok(on!(conn, c => diesel::delete(sessions::table.find(id).filter(sessions::user_id.eq(user_id)))
        .execute(c).await?))
}

/// Ends every session of a user.
pub async fn delete_of_user(conn: &mut Conn, user_id: &str) -> Result<usize> {
    Ok(on!(conn, c => diesel::delete(sessions::table.filter(sessions::user_id.eq(user_id)))
        .execute(c).await?))
}

pub async fn delete_expired(conn: &mut Conn, now: i64) -> Result<usize> {
    Ok(on!(conn, c => diesel::delete(sessions::table.filter(sessions::expires_at.le(now)))
        .execute(c).await?))
}
