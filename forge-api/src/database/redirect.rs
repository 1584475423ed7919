//! Where prompts and partials stood before they were renamed.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::schema::{partials, prompt_redirects, prompts, variable_sets};
use super::{Conn, Result, on};

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = prompt_redirects)]
pub struct Redirect {
    pub set_id: String,
    /// `prompt` or `partial`.
    pub kind: String,
    pub old_id: String,
    /// The row that it is now, whatever its name.
    pub prompt_row: String,
    pub created_at: i64,
    pub created_by: String,
}

/// Leads an old name to a row; where it led elsewhere before, it leads here from now on.
pub async fn put(conn: &mut Conn, row: &Redirect) -> Result<()> {
    on!(conn, c => diesel::insert_into(prompt_redirects::table)
        .values(row)
        .on_conflict((prompt_redirects::set_id, prompt_redirects::kind, prompt_redirects::old_id))
        .do_update()
        .set((
            prompt_redirects::prompt_row.eq(&row.prompt_row),
            prompt_redirects::created_at.eq(row.created_at),
            prompt_redirects::created_by.eq(&row.created_by),
        ))
        .execute(c).await?);
    Ok(())
}

/// Ends the redirect of a name that something has again.
pub async fn delete(conn: &mut Conn, set_id: &str, kind: &str, name: &str) -> Result<()> {
    on!(conn, c => diesel::delete(prompt_redirects::table.find((set_id, kind, name))).execute(c).await?);
    Ok(())
}

/// The row that an old name leads to.
pub async fn row_of(conn: &mut Conn, set_id: &str, kind: &str, name: &str) -> Result<Option<String>> {
    Ok(on!(conn, c => prompt_redirects::table
        .find((set_id, kind, name))
        .select(prompt_redirects::prompt_row)
        .first(c).await.optional()?))
}

/// The name that a prompt's row has now.
pub async fn prompt_name(conn: &mut Conn, row: &str) -> Result<Option<String>> {
    Ok(on!(conn, c => prompts::table.find(row).select(prompts::prompt_id).first(c).await.optional()?))
}

/// The name that a partial's row has now.
pub async fn partial_name(conn: &mut Conn, row: &str) -> Result<Option<String>> {
    Ok(on!(conn, c => partials::table.find(row).select(partials::name).first(c).await.optional()?))
}

/// Names of a prompt's variable sets.
async fn variable_sets_of(conn: &mut Conn, set_id: &str, prompt_id: &str) -> Result<Vec<String>> {
    Ok(on!(conn, c => variable_sets::table
        .filter(variable_sets::set_id.eq(set_id))
        .filter(variable_sets::prompt_id.eq(prompt_id))
        .select(variable_sets::name)
        .load(c).await?))
}

/// Variable sets go with their prompt; where one of the same name waits there, it is the one that stays.
pub async fn move_variable_sets(conn: &mut Conn, set_id: &str, from: &str, to: &str) -> Result<()> {
    let there = variable_sets_of(conn, set_id, to).await?;
    on!(conn, c => diesel::update(variable_sets::table
            .filter(variable_sets::set_id.eq(set_id))
            .filter(variable_sets::prompt_id.eq(from))
            .filter(variable_sets::name.ne_all(&there)))
        .set(variable_sets::prompt_id.eq(to))
        .execute(c).await?);
    Ok(())
}
