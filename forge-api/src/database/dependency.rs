//! The sets that a draft takes partials from, and what that was when a version was made.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::schema::{dependencies, set_requirements};
use super::{Conn, Result, on, on_rows};

/// A set that the draft of another one takes partials from.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = set_requirements)]
pub struct SetRequirement {
    pub set_id: String,
    pub dependency_id: String,
    /// A range of semantic versions.
    pub requirement: String,
    pub updated_at: i64,
    pub updated_by: String,
}

/// What a requirement was resolved to when a version was made.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = dependencies)]
pub struct LockedDependency {
    pub version_id: String,
    pub set_id: String,
    pub requirement: String,
    pub resolved_version_id: String,
}

/// What the draft of a set requires.
pub async fn requirements(conn: &mut Conn, set_id: &str) -> Result<Vec<SetRequirement>> {
    Ok(on!(conn, c => set_requirements::table
        .filter(set_requirements::set_id.eq(set_id))
        .order(set_requirements::dependency_id.asc())
        .select(SetRequirement::as_select())
        .load(c).await?))
}

/// What the drafts of these sets require.
pub async fn requirements_of(conn: &mut Conn, set_ids: &[&str]) -> Result<Vec<SetRequirement>> {
    Ok(on!(conn, c => set_requirements::table
        .filter(set_requirements::set_id.eq_any(set_ids))
        .select(SetRequirement::as_select())
        .load(c).await?))
}

pub async fn put_requirement(conn: &mut Conn, row: &SetRequirement) -> Result<()> {
    on!(conn, c => diesel::insert_into(set_requirements::table)
        .values(row)
        .on_conflict((set_requirements::set_id, set_requirements::dependency_id))
        .do_update()
        .set((
            set_requirements::requirement.eq(&row.requirement),
            set_requirements::updated_at.eq(row.updated_at),
            set_requirements::updated_by.eq(&row.updated_by),
        ))
        .execute(c).await?);
    Ok(())
}

/// Takes a requirement away; says whether there was one.
pub async fn delete_requirement(conn: &mut Conn, set_id: &str, dependency_id: &str) -> Result<bool> {
    Ok(on!(conn, c => diesel::delete(set_requirements::table
            .filter(set_requirements::set_id.eq(set_id))
            .filter(set_requirements::dependency_id.eq(dependency_id)))
        .execute(c).await?)
        == 1)
}

pub async fn add_locked(conn: &mut Conn, rows: &[LockedDependency]) -> Result<()> {
    on_rows!(conn, rows, rows => diesel::insert_into(dependencies::table).values(rows));
    Ok(())
}

/// What a version was resolved to when it was made.
pub async fn of_version(conn: &mut Conn, version_id: &str) -> Result<Vec<LockedDependency>> {
    Ok(on!(conn, c => dependencies::table
        .filter(dependencies::version_id.eq(version_id))
        .order(dependencies::set_id.asc())
        .select(LockedDependency::as_select())
        .load(c).await?))
}
