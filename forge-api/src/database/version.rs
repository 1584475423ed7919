//! Versions: the immutable bytes of a set. The database itself refuses to change one.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::schema::versions;
use super::{Conn, Result, on};

/// A version without its body.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = versions)]
pub struct Version {
    pub id: String,
    pub set_id: String,
    pub version: String,
    /// `locked`, or `snapshot` of a draft.
    pub kind: String,
    pub digest: String,
    pub size: i64,
    pub prompts: i64,
    pub notes: String,
    pub author: String,
    pub approver: Option<String>,
    pub created_at: i64,
}

/// A version to be written.
#[derive(Debug, Insertable)]
#[diesel(table_name = versions, treat_none_as_default_value = false)]
pub struct NewVersion<'a> {
    pub id: &'a str,
    pub set_id: &'a str,
    pub version: &'a str,
    pub kind: &'a str,
    pub digest: &'a str,
    pub body: &'a [u8],
    pub size: i64,
    pub prompts: i64,
    pub notes: &'a str,
    pub author: &'a str,
    pub approver: Option<&'a str>,
    pub created_at: i64,
}

pub async fn insert(conn: &mut Conn, row: &NewVersion<'_>) -> Result<()> {
    on!(conn, c => diesel::insert_into(versions::table).values(row).execute(c).await?);
    Ok(())
}

/// The versions of a set, newest first.
pub async fn of_set(conn: &mut Conn, set_id: &str) -> Result<Vec<Version>> {
    Ok(on!(conn, c => versions::table
        .filter(versions::set_id.eq(set_id))
        .order(versions::id.desc())
        .select(Version::as_select())
        .load(c).await?))
}

pub async fn find(conn: &mut Conn, set_id: &str, version: &str) -> Result<Option<Version>> {
    Ok(on!(conn, c => versions::table
        .filter(versions::set_id.eq(set_id))
        .filter(versions::version.eq(version))
        .select(Version::as_select())
        .first(c).await.optional()?))
}

pub async fn by_id(conn: &mut Conn, id: &str) -> Result<Option<Version>> {
    Ok(on!(conn, c => versions::table.find(id).select(Version::as_select()).first(c).await.optional()?))
}

/// The canonical body of a version.
pub async fn by_ids(conn: &mut Conn, ids: &[&str]) -> Result<Vec<Version>> {
    Ok(on!(conn, c => versions::table
        .filter(versions::id.eq_any(ids))
        .select(Version::as_select())
        .load(c).await?))
}

pub async fn body(conn: &mut Conn, id: &str) -> Result<Option<Vec<u8>>> {
    Ok(on!(conn, c => versions::table.find(id).select(versions::body).first(c).await.optional()?))
}
