//! Files that wait to be imported, and what an export reads of a set at once.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::prompt::PromptRevision;
use super::schema::{imports, prompt_revisions};
use super::{Conn, Result, on};

/// A file that was read, and nothing of it written.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = imports)]
pub struct ImportRow {
    pub id: String,
    pub set_id: String,
    /// What the file is called.
    pub name: String,
    pub format: String,
    pub body: Vec<u8>,
    pub created_by: String,
    pub created_at: i64,
}

pub async fn insert(conn: &mut Conn, row: &ImportRow) -> Result<()> {
    on!(conn, c => diesel::insert_into(imports::table).values(row).execute(c).await?);
    Ok(())
}

pub async fn find(conn: &mut Conn, set_id: &str, id: &str) -> Result<Option<ImportRow>> {
    Ok(on!(conn, c => imports::table
        .filter(imports::set_id.eq(set_id))
        .filter(imports::id.eq(id))
        .select(ImportRow::as_select())
        .first(c).await.optional()?))
}

pub async fn delete(conn: &mut Conn, id: &str) -> Result<()> {
    on!(conn, c => diesel::delete(imports::table.find(id)).execute(c).await?);
    Ok(())
}

/// Forgets what came before `time`, and of a set all but the last `keep`.
pub async fn forget(conn: &mut Conn, set_id: &str, time: i64, keep: i64) -> Result<()> {
    on!(&mut *conn, c => diesel::delete(imports::table.filter(imports::created_at.lt(time))).execute(c).await?);
    let old: Vec<String> = on!(&mut *conn, c => imports::table
        .filter(imports::set_id.eq(set_id))
        .order(imports::id.desc())
        .offset(keep)
        .limit(100)
        .select(imports::id)
        .load(c).await?);
    on!(conn, c => diesel::delete(imports::table.filter(imports::id.eq_any(&old))).execute(c).await?);
    Ok(())
}

/// What the prompts of a set were after each change, oldest first.
pub async fn history(conn: &mut Conn, set_id: &str, limit: i64) -> Result<Vec<PromptRevision>> {
    Ok(on!(conn, c => prompt_revisions::table
        .filter(prompt_revisions::set_id.eq(set_id))
        .order(prompt_revisions::id.asc())
        .limit(limit)
        .select(PromptRevision::as_select())
        .load(c).await?))
}
