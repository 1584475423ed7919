//! What people noted on prompts.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::schema::prompt_notes;
use super::{Conn, Result, on};

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = prompt_notes)]
pub struct NoteRow {
    /// The row of the prompt, which a rename keeps.
    pub prompt_row: String,
    pub set_id: String,
    pub body: String,
    pub revision: i64,
    pub updated_at: i64,
    pub updated_by: String,
}

pub async fn find(conn: &mut Conn, prompt_row: &str) -> Result<Option<NoteRow>> {
    Ok(on!(conn, c => prompt_notes::table
        .find(prompt_row)
        .select(NoteRow::as_select())
        .first(c).await.optional()?))
}

pub async fn put(conn: &mut Conn, row: &NoteRow) -> Result<()> {
    on!(conn, c => diesel::insert_into(prompt_notes::table)
        .values(row)
        .on_conflict(prompt_notes::prompt_row)
        .do_update()
        .set((
            prompt_notes::body.eq(&row.body),
            prompt_notes::revision.eq(row.revision),
            prompt_notes::updated_at.eq(row.updated_at),
            prompt_notes::updated_by.eq(&row.updated_by),
        ))
        .execute(c).await?);
    Ok(())
}
