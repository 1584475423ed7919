//! Variable sets: values to try a prompt with, saved by name.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::schema::variable_sets;
use super::{Conn, Result, on};

/// A variable set. The body is JSON: `values` by parameter, `history` by placeholder.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = variable_sets)]
pub struct VariableSetRow {
    pub id: String,
    pub set_id: String,
    pub prompt_id: String,
    pub name: String,
    pub body: String,
    pub updated_at: i64,
    pub updated_by: String,
    /// Grows by one with each save.
    pub revision: i64,
}

pub async fn insert(conn: &mut Conn, row: &VariableSetRow) -> Result<()> {
    on!(conn, c => diesel::insert_into(variable_sets::table).values(row).execute(c).await?);
    Ok(())
}

/// Those of a prompt, by name.
pub async fn of_prompt(conn: &mut Conn, set_id: &str, prompt_id: &str) -> Result<Vec<VariableSetRow>> {
    Ok(on!(conn, c => variable_sets::table
        .filter(variable_sets::set_id.eq(set_id))
        .filter(variable_sets::prompt_id.eq(prompt_id))
        .order(variable_sets::name.asc())
        .select(VariableSetRow::as_select())
        .load(c).await?))
}

/// Those of every prompt of a set, by prompt and name.
pub async fn of_set(conn: &mut Conn, set_id: &str) -> Result<Vec<VariableSetRow>> {
    first_of_set(conn, set_id, i64::MAX).await
}

/// The first ones of [`of_set`], no more than `limit`.
pub async fn first_of_set(conn: &mut Conn, set_id: &str, limit: i64) -> Result<Vec<VariableSetRow>> {
    Ok(on!(conn, c => variable_sets::table
        .filter(variable_sets::set_id.eq(set_id))
        .order((variable_sets::prompt_id.asc(), variable_sets::name.asc()))
        .limit(limit)
        .select(VariableSetRow::as_select())
        .load(c).await?))
}

pub async fn find(
    conn: &mut Conn,
    set_id: &str,
    prompt_id: &str,
    name: &str,
) -> Result<Option<VariableSetRow>> {
    Ok(on!(conn, c => variable_sets::table
        .filter(variable_sets::set_id.eq(set_id))
        .filter(variable_sets::prompt_id.eq(prompt_id))
        .filter(variable_sets::name.eq(name))
        .select(VariableSetRow::as_select())
        .first(c).await.optional()?))
}

/// Writes a row over the one with its id, if that still has the revision below. Says whether it had.
pub async fn update(conn: &mut Conn, row: &VariableSetRow) -> Result<bool> {
    let updated = on!(conn, c => diesel::update(variable_sets::table
            .filter(variable_sets::id.eq(&row.id))
            .filter(variable_sets::revision.eq(row.revision - 1)))
        .set((
            variable_sets::name.eq(&row.name),
            variable_sets::body.eq(&row.body),
            variable_sets::updated_at.eq(row.updated_at),
            variable_sets::updated_by.eq(&row.updated_by),
            variable_sets::revision.eq(row.revision),
        ))
        .execute(c).await?);
    Ok(updated == 1)
}

/// Deletes a row, if it still has this revision. Says whether it had.
pub async fn delete(conn: &mut Conn, id: &str, revision: i64) -> Result<bool> {
    let deleted = on!(conn, c => diesel::delete(variable_sets::table
            .filter(variable_sets::id.eq(id))
            .filter(variable_sets::revision.eq(revision)))
        .execute(c).await?);
    Ok(deleted == 1)
}
