//! The outbox: publications that the broker does not have yet.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::schema::{outbox, publications};
use super::{Conn, Result, on};

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = outbox, treat_none_as_default_value = false)]
pub struct OutboxRow {
    pub publication_id: String,
    pub created_at: i64,
    pub not_before: i64,
    pub attempts: i64,
    pub lease_owner: Option<String>,
    pub lease_until: i64,
    pub last_error: Option<String>,
}

/// What waits, as the relay orders it.
#[derive(Debug, Clone, Queryable)]
pub struct Waiting {
    pub publication_id: String,
    pub environment_id: String,
    pub set_id: String,
    pub serial: i64,
    pub attempts: i64,
    pub not_before: i64,
    pub lease_until: i64,
}

pub async fn insert(conn: &mut Conn, publication_id: &str, now: i64) -> Result<()> {
    let row = OutboxRow {
        publication_id: publication_id.to_owned(),
        created_at: now,
        not_before: now,
        attempts: 0,
        lease_owner: None,
        lease_until: 0,
        last_error: None,
    };
    on!(conn, c => diesel::insert_into(outbox::table)
        .values(row)
        .on_conflict(outbox::publication_id)
        .do_nothing()
        .execute(c).await?);
    Ok(())
}

/// Everything that waits, oldest serial first within each environment and set.
pub async fn waiting(conn: &mut Conn, limit: i64) -> Result<Vec<Waiting>> {
    Ok(on!(conn, c => outbox::table
        .inner_join(publications::table.on(publications::id.eq(outbox::publication_id)))
        .order((publications::environment_id.asc(), publications::set_id.asc(), publications::serial.asc()))
        .limit(limit)
        .select((
            outbox::publication_id,
            publications::environment_id,
            publications::set_id,
            publications::serial,
            outbox::attempts,
            outbox::not_before,
            outbox::lease_until,
        ))
        .load(c).await?))
}

pub async fn find(conn: &mut Conn, publication_id: &str) -> Result<Option<OutboxRow>> {
    Ok(on!(conn, c => outbox::table
        .find(publication_id)
        .select(OutboxRow::as_select())
        .first(c).await.optional()?))
}

pub async fn count(conn: &mut Conn) -> Result<i64> {
    Ok(on!(conn, c => outbox::table.count().get_result(c).await?))
}

/// Takes a row for `owner` until `until`, unless somebody else holds it at `now`.
pub async fn claim(conn: &mut Conn, id: &str, owner: &str, now: i64, until: i64) -> Result<bool> {
    Ok(on!(conn, c => diesel::update(outbox::table
            .filter(outbox::publication_id.eq(id))
            .filter(outbox::lease_until.le(now)))
        .set((outbox::lease_owner.eq(owner), outbox::lease_until.eq(until)))
        .execute(c).await?)
        == 1)
}

/// Keeps a row for `owner` until `until`; false where somebody else has it by now, or nobody.
pub async fn renew(conn: &mut Conn, id: &str, owner: &str, until: i64) -> Result<bool> {
    Ok(on!(conn, c => diesel::update(outbox::table
            .filter(outbox::publication_id.eq(id))
            .filter(outbox::lease_owner.eq(owner)))
        .set(outbox::lease_until.eq(until))
        .execute(c).await?)
        == 1)
}

/// Gives a row back to be tried again at `not_before`; false where it is gone.
pub async fn retry(conn: &mut Conn, id: &str, not_before: i64, error: &str) -> Result<bool> {
    Ok(on!(conn, c => diesel::update(outbox::table.find(id))
        .set((
            outbox::attempts.eq(outbox::attempts + 1),
            outbox::not_before.eq(not_before),
            outbox::lease_owner.eq(None::<String>),
            outbox::lease_until.eq(0),
            outbox::last_error.eq(error),
        ))
        .execute(c).await?)
        == 1)
}

/// Ends every claim.
pub async fn release_all(conn: &mut Conn) -> Result<()> {
    on!(conn, c => diesel::update(outbox::table.filter(outbox::lease_until.gt(0)))
        .set((outbox::lease_owner.eq(None::<String>), outbox::lease_until.eq(0)))
        .execute(c).await?);
    Ok(())
}

/// Makes everything due at once: the broker is back.
pub async fn due_now(conn: &mut Conn, now: i64) -> Result<()> {
    on!(conn, c => diesel::update(outbox::table.filter(outbox::not_before.gt(now)))
        .set(outbox::not_before.eq(now))
        .execute(c).await?);
    Ok(())
}

/// Takes a row out; false where somebody else did.
pub async fn delete(conn: &mut Conn, id: &str) -> Result<bool> {
    Ok(on!(conn, c => diesel::delete(outbox::table.find(id)).execute(c).await?) == 1)
}
