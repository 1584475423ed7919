//! Files that wait to be imported, and what an export reads of a set at once.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::prompt::PromptRevision;
use super::revision::PartialRevision;
use super::schema::{imports, partial_revisions, project_imports, prompt_revisions};
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

/// An archive of a whole project that was read, and nothing of it written.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = project_imports)]
pub struct ProjectImportRow {
    pub id: String,
    pub project_id: String,
    /// What the file is called.
    pub name: String,
    pub body: Vec<u8>,
    pub created_by: String,
    pub created_at: i64,
}

pub async fn insert_of_project(conn: &mut Conn, row: &ProjectImportRow) -> Result<()> {
    on!(conn, c => diesel::insert_into(project_imports::table).values(row).execute(c).await?);
    Ok(())
}

pub async fn find_of_project(
    conn: &mut Conn,
    project_id: &str,
    id: &str,
) -> Result<Option<ProjectImportRow>> {
    Ok(on!(conn, c => project_imports::table
        .filter(project_imports::project_id.eq(project_id))
        .filter(project_imports::id.eq(id))
        .select(ProjectImportRow::as_select())
        .first(c).await.optional()?))
}

pub async fn delete_of_project(conn: &mut Conn, id: &str) -> Result<()> {
    on!(conn, c => diesel::delete(project_imports::table.find(id)).execute(c).await?);
    Ok(())
}

/// Forgets what came before `time`, and of a project all but the last `keep`.
pub async fn forget_of_project(conn: &mut Conn, project_id: &str, time: i64, keep: i64) -> Result<()> {
    on!(&mut *conn, c => diesel::delete(project_imports::table.filter(project_imports::created_at.lt(time)))
        .execute(c).await?);
    let old: Vec<String> = on!(&mut *conn, c => project_imports::table
        .filter(project_imports::project_id.eq(project_id))
        .order(project_imports::id.desc())
        .offset(keep)
        .limit(100)
        .select(project_imports::id)
        .load(c).await?);
    on!(conn, c => diesel::delete(project_imports::table.filter(project_imports::id.eq_any(&old)))
        .execute(c).await?);
    Ok(())
}

/// What the prompts of a set were after each of the last `limit` changes, oldest first.
pub async fn history(conn: &mut Conn, set_id: &str, limit: i64) -> Result<Vec<PromptRevision>> {
    let mut found: Vec<PromptRevision> = on!(conn, c => prompt_revisions::table
        .filter(prompt_revisions::set_id.eq(set_id))
        .order(prompt_revisions::id.desc())
        .limit(limit)
        .select(PromptRevision::as_select())
        .load(c).await?);
    found.reverse();
    Ok(found)
}

/// What the partials of a set were after each of the last `limit` changes, oldest first.
pub async fn partial_history(conn: &mut Conn, set_id: &str, limit: i64) -> Result<Vec<PartialRevision>> {
    let mut found: Vec<PartialRevision> = on!(conn, c => partial_revisions::table
        .filter(partial_revisions::set_id.eq(set_id))
        .order(partial_revisions::id.desc())
        .limit(limit)
        .select(PartialRevision::as_select())
        .load(c).await?);
    found.reverse();
    Ok(found)
}

/// Name, number and time of a revision.
pub type Saved = (String, i64, i64);

/// Every revision of a set's prompts, without what they hold.
pub async fn prompts_saved(conn: &mut Conn, set_id: &str) -> Result<Vec<Saved>> {
    Ok(on!(conn, c => prompt_revisions::table
        .filter(prompt_revisions::set_id.eq(set_id))
        .select((prompt_revisions::prompt_id, prompt_revisions::revision, prompt_revisions::created_at))
        .load(c).await?))
}

/// Every revision of a set's partials, without what they hold.
pub async fn partials_saved(conn: &mut Conn, set_id: &str) -> Result<Vec<Saved>> {
    Ok(on!(conn, c => partial_revisions::table
        .filter(partial_revisions::set_id.eq(set_id))
        .select((partial_revisions::name, partial_revisions::revision, partial_revisions::created_at))
        .load(c).await?))
}
