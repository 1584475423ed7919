//! What was done for an idempotency key, for a day.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::schema::idempotency_keys;
use super::{Conn, Result, on};

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = idempotency_keys, treat_none_as_default_value = false)]
pub struct Kept {
    pub user_id: String,
    pub key: String,
    /// Digest of the request.
    pub request: String,
    /// Of the answer; 0 as long as there is none.
    pub status: i64,
    pub content_type: Option<String>,
    /// The answer's body, sealed; none where it was too large to keep.
    pub answer: Option<Vec<u8>>,
    pub created_at: i64,
}

pub async fn find(conn: &mut Conn, user_id: &str, key: &str) -> Result<Option<Kept>> {
    Ok(on!(conn, c => idempotency_keys::table
        .find((user_id, key))
        .select(Kept::as_select())
        .first(c).await.optional()?))
}

/// Takes a key; false where it is taken already.
pub async fn take(conn: &mut Conn, row: &Kept) -> Result<bool> {
    Ok(on!(conn, c => diesel::insert_into(idempotency_keys::table)
        .values(row)
        .on_conflict((idempotency_keys::user_id, idempotency_keys::key))
        .do_nothing()
        .execute(c).await?)
        == 1)
}

pub async fn keep(conn: &mut Conn, row: &Kept) -> Result<()> {
    on!(conn, c => diesel::update(idempotency_keys::table.find((&row.user_id, &row.key)))
        .set((
            idempotency_keys::status.eq(row.status),
            idempotency_keys::content_type.eq(&row.content_type),
            idempotency_keys::answer.eq(&row.answer),
        ))
        .execute(c).await?);
    Ok(())
}

/// Gives a key back: nothing was done.
pub async fn release(conn: &mut Conn, user_id: &str, key: &str) -> Result<()> {
    on!(conn, c => diesel::delete(idempotency_keys::table.find((user_id, key))).execute(c).await?);
    Ok(())
}

/// How many keys of a user are kept.
pub async fn count(conn: &mut Conn, user_id: &str) -> Result<i64> {
    Ok(on!(conn, c => idempotency_keys::table
        .filter(idempotency_keys::user_id.eq(user_id))
        .count()
        .get_result(c).await?))
}

/// Forgets what is older.
pub async fn prune(conn: &mut Conn, before: i64) -> Result<()> {
    on!(conn, c => diesel::delete(idempotency_keys::table.filter(idempotency_keys::created_at.lt(before)))
        .execute(c).await?);
    Ok(())
}
