//! Rules of environments: who may publish there, and after how many approvals.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::schema::environment_rules;
use super::{Conn, Result, on};

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = environment_rules)]
pub struct EnvironmentRule {
    pub environment_id: String,
    /// Approvals that a version needs.
    pub approvals: i64,
    /// Whether the approval of somebody who wrote some of it does not count.
    pub not_author: bool,
    /// Names of the roles that may publish, with commas between; empty: all whose role may at all.
    pub roles: String,
    pub updated_at: i64,
    pub updated_by: String,
}

pub async fn of(conn: &mut Conn, environment_ids: &[&str]) -> Result<Vec<EnvironmentRule>> {
    Ok(on!(conn, c => environment_rules::table
        .filter(environment_rules::environment_id.eq_any(environment_ids))
        .select(EnvironmentRule::as_select())
        .load(c).await?))
}

pub async fn put(conn: &mut Conn, row: &EnvironmentRule) -> Result<()> {
    on!(conn, c => diesel::insert_into(environment_rules::table)
        .values(row)
        .on_conflict(environment_rules::environment_id)
        .do_update()
        .set((
            environment_rules::approvals.eq(row.approvals),
            environment_rules::not_author.eq(row.not_author),
            environment_rules::roles.eq(&row.roles),
            environment_rules::updated_at.eq(row.updated_at),
            environment_rules::updated_by.eq(&row.updated_by),
        ))
        .execute(c).await?);
    Ok(())
}
