//! What somebody opened last, and what they starred. Rows stay when what they name goes: nobody is shown them then.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::schema::{favourites, visits};
use super::{Conn, Result, on};

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = visits)]
pub struct Visit {
    pub user_id: String,
    /// As [`crate::search::thing::Kind`] writes it.
    pub kind: String,
    pub row_id: String,
    pub organisation_id: String,
    pub seen_at: i64,
}

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = favourites)]
pub struct Favourite {
    pub user_id: String,
    pub kind: String,
    pub row_id: String,
    pub organisation_id: String,
    pub created_at: i64,
}

/// Notes a visit; the one before to the same thing is forgotten.
pub async fn put(conn: &mut Conn, row: &Visit) -> Result<()> {
    on!(conn, c => diesel::insert_into(visits::table)
        .values(row)
        .on_conflict((visits::user_id, visits::row_id))
        .do_update()
        .set(visits::seen_at.eq(row.seen_at))
        .execute(c).await?);
    Ok(())
}

/// What a user opened last in an organisation, newest first.
pub async fn newest(conn: &mut Conn, user_id: &str, organisation_id: &str, limit: i64) -> Result<Vec<Visit>> {
    Ok(on!(conn, c => visits::table
        .filter(visits::user_id.eq(user_id))
        .filter(visits::organisation_id.eq(organisation_id))
        .order(visits::seen_at.desc())
        .limit(limit)
        .select(Visit::as_select())
        .load(c).await?))
}

/// Forgets what a user opened before this time.
pub async fn forget_before(
    conn: &mut Conn,
    user_id: &str,
    organisation_id: &str,
    seen_at: i64,
) -> Result<()> {
    on!(conn, c => diesel::delete(visits::table
            .filter(visits::user_id.eq(user_id))
            .filter(visits::organisation_id.eq(organisation_id))
            .filter(visits::seen_at.lt(seen_at)))
        .execute(c).await?);
    Ok(())
}

/// Stars something; what is starred already stays as it is.
pub async fn star(conn: &mut Conn, row: &Favourite) -> Result<()> {
    on!(conn, c => diesel::insert_into(favourites::table)
        .values(row)
        .on_conflict((favourites::user_id, favourites::row_id))
        .do_nothing()
        .execute(c).await?);
    Ok(())
}

/// Takes a star away.
pub async fn unstar(conn: &mut Conn, user_id: &str, row_id: &str) -> Result<()> {
    on!(conn, c => diesel::delete(favourites::table.find((user_id, row_id))).execute(c).await?);
    Ok(())
}

/// Everything that a user starred, in the order in which they did.
pub async fn starred(conn: &mut Conn, user_id: &str) -> Result<Vec<Favourite>> {
    Ok(on!(conn, c => favourites::table
        .filter(favourites::user_id.eq(user_id))
        .order((favourites::created_at.asc(), favourites::row_id.asc()))
        .select(Favourite::as_select())
        .load(c).await?))
}
