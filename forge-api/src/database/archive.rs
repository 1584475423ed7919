//! Prompts and partials that were taken out of a draft.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::schema::archived_prompts;
use super::{Conn, Result, on};

/// A prompt (its body as JSON) or a partial (its source) as it was when it was archived.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = archived_prompts)]
pub struct ArchivedRow {
    /// Of the row that it was, and will be again.
    pub id: String,
    pub set_id: String,
    /// `prompt` or `partial`.
    pub kind: String,
    pub name: String,
    pub body: String,
    pub revision: i64,
    pub created_at: i64,
    pub archived_at: i64,
    pub archived_by: String,
}

pub async fn insert(conn: &mut Conn, row: &ArchivedRow) -> Result<()> {
    on!(conn, c => diesel::insert_into(archived_prompts::table).values(row).execute(c).await?);
    Ok(())
}

pub async fn delete(conn: &mut Conn, id: &str) -> Result<()> {
    on!(conn, c => diesel::delete(archived_prompts::table.find(id)).execute(c).await?);
    Ok(())
}

/// What of a set is archived, the last first.
pub async fn of_set(conn: &mut Conn, set_id: &str, limit: i64) -> Result<Vec<ArchivedRow>> {
    Ok(on!(conn, c => archived_prompts::table
        .filter(archived_prompts::set_id.eq(set_id))
        .order((archived_prompts::archived_at.desc(), archived_prompts::id.desc()))
        .limit(limit)
        .select(ArchivedRow::as_select())
        .load(c).await?))
}

/// Name and id of every prompt of a set that is archived, in no order.
pub async fn prompts_of_set(conn: &mut Conn, set_id: &str) -> Result<Vec<(String, String)>> {
    Ok(on!(conn, c => archived_prompts::table
        .filter(archived_prompts::set_id.eq(set_id))
        .filter(archived_prompts::kind.eq("prompt"))
        .select((archived_prompts::name, archived_prompts::id))
        .load(c).await?))
}

/// What is archived under these ids, in no order.
pub async fn by_ids(conn: &mut Conn, ids: &[&str]) -> Result<Vec<ArchivedRow>> {
    Ok(on!(conn, c => archived_prompts::table
        .filter(archived_prompts::id.eq_any(ids))
        .select(ArchivedRow::as_select())
        .load(c).await?))
}

pub async fn count(conn: &mut Conn, set_id: &str) -> Result<i64> {
    Ok(on!(conn, c => archived_prompts::table
        .filter(archived_prompts::set_id.eq(set_id))
        .count()
        .get_result(c).await?))
}

/// The one of this name that was archived last.
pub async fn last(conn: &mut Conn, set_id: &str, kind: &str, name: &str) -> Result<Option<ArchivedRow>> {
    Ok(on!(conn, c => archived_prompts::table
        .filter(archived_prompts::set_id.eq(set_id))
        .filter(archived_prompts::kind.eq(kind))
        .filter(archived_prompts::name.eq(name))
        .order((archived_prompts::archived_at.desc(), archived_prompts::id.desc()))
        .select(ArchivedRow::as_select())
        .first(c).await.optional()?))
}

pub async fn by_id(conn: &mut Conn, set_id: &str, id: &str) -> Result<Option<ArchivedRow>> {
    Ok(on!(conn, c => archived_prompts::table
        .find(id)
        .filter(archived_prompts::set_id.eq(set_id))
        .select(ArchivedRow::as_select())
        .first(c).await.optional()?))
}
