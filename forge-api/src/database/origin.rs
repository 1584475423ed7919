//! Where versions and revisions come from that were made elsewhere.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::schema::{revision_origins, version_origins};
use super::{Conn, Result, on, on_rows};

/// Ids of one query.
const MANY: usize = 500;

/// Where a version was locked, and who brought it.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = version_origins, treat_none_as_default_value = false)]
pub struct VersionOrigin {
    pub version_id: String,
    pub organisation: String,
    pub project: String,
    pub prompt_set: String,
    /// Of its bytes there.
    pub digest: String,
    /// Who approved it there; it is nobody's approval here.
    pub approver: Option<String>,
    pub imported_by: String,
    pub imported_at: i64,
}

/// Who brought a revision that was saved elsewhere.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = revision_origins)]
pub struct RevisionOrigin {
    pub revision_id: String,
    pub set_id: String,
    pub imported_by: String,
    pub imported_at: i64,
}

pub async fn add_version(conn: &mut Conn, row: &VersionOrigin) -> Result<()> {
    on!(conn, c => diesel::insert_into(version_origins::table).values(row).execute(c).await?);
    Ok(())
}

/// Of these versions those that were locked elsewhere.
pub async fn of_versions(conn: &mut Conn, ids: &[&str]) -> Result<Vec<VersionOrigin>> {
    let mut found = Vec::new();
    for ids in ids.chunks(MANY) {
        found.extend(on!(&mut *conn, c => version_origins::table
            .filter(version_origins::version_id.eq_any(ids))
            .select(VersionOrigin::as_select())
            .load(c).await?));
    }
    Ok(found)
}

pub async fn add_revisions(conn: &mut Conn, rows: &[RevisionOrigin]) -> Result<()> {
    on_rows!(conn, rows, rows => diesel::insert_into(revision_origins::table).values(rows));
    Ok(())
}

/// Of these revisions those that were saved elsewhere.
pub async fn of_revisions(conn: &mut Conn, ids: &[&str]) -> Result<Vec<RevisionOrigin>> {
    let mut found = Vec::new();
    for ids in ids.chunks(MANY) {
        found.extend(on!(&mut *conn, c => revision_origins::table
            .filter(revision_origins::revision_id.eq_any(ids))
            .select(RevisionOrigin::as_select())
            .load(c).await?));
    }
    Ok(found)
}

/// Who brought revisions into a set after this time, each once.
pub async fn importers_since(conn: &mut Conn, set_id: &str, since: i64) -> Result<Vec<String>> {
    Ok(on!(conn, c => revision_origins::table
        .filter(revision_origins::set_id.eq(set_id))
        .filter(revision_origins::imported_at.gt(since))
        .select(revision_origins::imported_by)
        .distinct()
        .load(c).await?))
}
