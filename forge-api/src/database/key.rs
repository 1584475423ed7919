//! Private keys, sealed, and settings.

use std::fmt;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::schema::{keys, settings};
use super::{Conn, Result, on};

#[derive(Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = keys)]
pub struct SealedKey {
    pub name: String,
    pub public_key: String,
    /// The seed, encrypted under the master key ([`crate::seal`]).
    pub sealed: Vec<u8>,
    pub created_at: i64,
}

impl fmt::Debug for SealedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedKey").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The keys whose name begins so.
pub async fn with_prefix(conn: &mut Conn, prefix: &str) -> Result<Vec<SealedKey>> {
    Ok(on!(conn, c => keys::table
        .filter(keys::name.like(format!("{prefix}%")))
        .order(keys::name.asc())
        .select(SealedKey::as_select())
        .load(c).await?))
}

/// Adds a key unless there is one of its name already; the first one wins.
pub async fn add(conn: &mut Conn, row: &SealedKey) -> Result<()> {
    on!(conn, c => diesel::insert_into(keys::table)
        .values(row)
        .on_conflict(keys::name)
        .do_nothing()
        .execute(c).await?);
    Ok(())
}

/// Puts another key into the place of the one of this name.
pub async fn replace(conn: &mut Conn, row: &SealedKey) -> Result<()> {
    on!(conn, c => diesel::update(keys::table.find(&row.name))
        .set((
            keys::public_key.eq(&row.public_key),
            keys::sealed.eq(&row.sealed),
            keys::created_at.eq(row.created_at),
        ))
        .execute(c).await?);
    Ok(())
}

/// Name, public key and date of the keys with these names.
pub async fn public_keys(conn: &mut Conn, names: &[String]) -> Result<Vec<(String, String, i64)>> {
    Ok(on!(conn, c => keys::table
        .filter(keys::name.eq_any(names))
        .select((keys::name, keys::public_key, keys::created_at))
        .load(c).await?))
}

pub async fn setting(conn: &mut Conn, name: &str) -> Result<Option<String>> {
    Ok(on!(conn, c => settings::table.find(name).select(settings::value).first(c).await.optional()?))
}

pub async fn put_setting(conn: &mut Conn, name: &str, value: &str, now: i64) -> Result<()> {
    on!(conn, c => diesel::insert_into(settings::table)
        .values((settings::name.eq(name), settings::value.eq(value), settings::updated_at.eq(now)))
        .on_conflict(settings::name)
        .do_update()
        .set((settings::value.eq(value), settings::updated_at.eq(now)))
        .execute(c).await?);
    Ok(())
}
