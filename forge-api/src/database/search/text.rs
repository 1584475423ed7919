//! Prompts and partials by the ids of their rows: what a list shows of them.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::super::schema::{
    archived_prompts as archived_rows, partials as partial_rows, prompts as prompt_rows,
};
use super::super::{Conn, Result, on};

/// A prompt or a partial.
#[derive(Debug, Clone)]
pub struct Text {
    pub row_id: String,
    pub set_id: String,
    /// A prompt's id, or a partial's name.
    pub id: String,
    pub changed_at: i64,
    /// A prompt as JSON, or a partial's source; none unless it was asked for.
    pub text: Option<String>,
}

type Short = (String, String, String, i64);
type Long = (String, String, String, i64, String);

fn short((row_id, set_id, id, changed_at): Short) -> Text {
    Text { row_id, set_id, id, changed_at, text: None }
}

fn long((row_id, set_id, id, changed_at, text): Long) -> Text {
    Text { row_id, set_id, id, changed_at, text: Some(text) }
}

pub async fn prompts(conn: &mut Conn, ids: &[&str], with_text: bool) -> Result<Vec<Text>> {
    use prompt_rows::{body, id, prompt_id, set_id, table, updated_at};
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    if with_text {
        let rows: Vec<Long> = on!(conn, c => table
            .filter(id.eq_any(ids))
            .select((id, set_id, prompt_id, updated_at, body))
            .load(c).await?);
        return Ok(rows.into_iter().map(long).collect());
    }
    let rows: Vec<Short> = on!(conn, c => table
        .filter(id.eq_any(ids))
        .select((id, set_id, prompt_id, updated_at))
        .load(c).await?);
    Ok(rows.into_iter().map(short).collect())
}

/// Prompts and partials that are archived, with their texts.
pub async fn archived(conn: &mut Conn, ids: &[&str]) -> Result<Vec<(String, Text)>> {
    use archived_rows::{archived_at, body, id, kind, name, set_id, table};
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<(String, Long)> = on!(conn, c => table
        .filter(id.eq_any(ids))
        .select((kind, (id, set_id, name, archived_at, body)))
        .load(c).await?);
    Ok(rows.into_iter().map(|(of, row)| (of, long(row))).collect())
}

pub async fn partials(conn: &mut Conn, ids: &[&str], with_text: bool) -> Result<Vec<Text>> {
    use partial_rows::{id, name, set_id, source, table, updated_at};
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    if with_text {
        let rows: Vec<Long> = on!(conn, c => table
            .filter(id.eq_any(ids))
            .select((id, set_id, name, updated_at, source))
            .load(c).await?);
        return Ok(rows.into_iter().map(long).collect());
    }
    let rows: Vec<Short> = on!(conn, c => table
        .filter(id.eq_any(ids))
        .select((id, set_id, name, updated_at))
        .load(c).await?);
    Ok(rows.into_iter().map(short).collect())
}
