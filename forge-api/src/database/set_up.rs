//! Links by which the first user is made. Only the hash of the token is stored.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::schema::set_up_links;
use super::{Conn, Result, on};

pub async fn insert(conn: &mut Conn, token_hash: &str, created_at: i64, expires_at: i64) -> Result<()> {
    let row = (
        set_up_links::token_hash.eq(token_hash),
        set_up_links::created_at.eq(created_at),
        set_up_links::expires_at.eq(expires_at),
    );
    on!(conn, c => diesel::insert_into(set_up_links::table).values(row).execute(c).await?);
    Ok(())
}

/// Whether a link may be used at `now`.
pub async fn is_good(conn: &mut Conn, token_hash: &str, now: i64) -> Result<bool> {
    let found: i64 = on!(conn, c => set_up_links::table
        .filter(set_up_links::token_hash.eq(token_hash))
        .filter(set_up_links::expires_at.gt(now))
        .count()
        .get_result(c).await?);
    Ok(found == 1)
}

/// Takes all links away.
pub async fn clear(conn: &mut Conn) -> Result<()> {
    on!(conn, c => diesel::delete(set_up_links::table).execute(c).await?);
    Ok(())
}
