//! What prompts and partials were after each change: rows that are only ever added.

use diesel::dsl::max;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::prompt::PromptRevision;
use super::schema::{partial_revisions, prompt_revisions};
use super::{Conn, Result, on, on_rows};

/// Sorts above every id.
pub const NEWEST: &str = "zzzz";
/// Ids of one query.
const MANY: usize = 500;

/// What a partial was after one change; no source means that it was deleted.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = partial_revisions, treat_none_as_default_value = false)]
pub struct PartialRevision {
    pub id: String,
    pub set_id: String,
    pub name: String,
    pub revision: i64,
    pub source: Option<String>,
    pub author: String,
    pub created_at: i64,
    pub message: String,
}

pub async fn add_partials(conn: &mut Conn, rows: &[PartialRevision]) -> Result<()> {
    on_rows!(conn, rows, rows => diesel::insert_into(partial_revisions::table).values(rows));
    Ok(())
}

/// Revisions of a prompt with an id below `before` (exclusive), newest first.
pub async fn of_prompt(
    conn: &mut Conn,
    set_id: &str,
    prompt_id: &str,
    before: &str,
    limit: i64,
) -> Result<Vec<PromptRevision>> {
    Ok(on!(conn, c => prompt_revisions::table
        .filter(prompt_revisions::set_id.eq(set_id))
        .filter(prompt_revisions::prompt_id.eq(prompt_id))
        .filter(prompt_revisions::id.lt(before))
        .order(prompt_revisions::id.desc())
        .limit(limit)
        .select(PromptRevision::as_select())
        .load(c).await?))
}

/// Revisions of a partial with an id below `before` (exclusive), newest first.
pub async fn of_partial(
    conn: &mut Conn,
    set_id: &str,
    name: &str,
    before: &str,
    limit: i64,
) -> Result<Vec<PartialRevision>> {
    Ok(on!(conn, c => partial_revisions::table
        .filter(partial_revisions::set_id.eq(set_id))
        .filter(partial_revisions::name.eq(name))
        .filter(partial_revisions::id.lt(before))
        .order(partial_revisions::id.desc())
        .limit(limit)
        .select(PartialRevision::as_select())
        .load(c).await?))
}

/// A revision of a prompt by its id, or the newest with this number.
pub async fn find_prompt(
    conn: &mut Conn,
    set_id: &str,
    prompt_id: &str,
    id: &str,
    number: i64,
) -> Result<Option<PromptRevision>> {
    Ok(on!(conn, c => prompt_revisions::table
        .filter(prompt_revisions::set_id.eq(set_id))
        .filter(prompt_revisions::prompt_id.eq(prompt_id))
        .filter(prompt_revisions::id.eq(id).or(prompt_revisions::revision.eq(number)))
        .order(prompt_revisions::id.desc())
        .select(PromptRevision::as_select())
        .first(c).await.optional()?))
}

/// A revision of a partial by its id, or the newest with this number.
pub async fn find_partial(
    conn: &mut Conn,
    set_id: &str,
    name: &str,
    id: &str,
    number: i64,
) -> Result<Option<PartialRevision>> {
    Ok(on!(conn, c => partial_revisions::table
        .filter(partial_revisions::set_id.eq(set_id))
        .filter(partial_revisions::name.eq(name))
        .filter(partial_revisions::id.eq(id).or(partial_revisions::revision.eq(number)))
        .order(partial_revisions::id.desc())
        .select(PartialRevision::as_select())
        .first(c).await.optional()?))
}

/// What every prompt of a set was at this time, those that were deleted by then too.
pub async fn prompts_at(conn: &mut Conn, set_id: &str, at: i64) -> Result<Vec<PromptRevision>> {
    let ids: Vec<Option<String>> = on!(&mut *conn, c => prompt_revisions::table
        .filter(prompt_revisions::set_id.eq(set_id))
        .filter(prompt_revisions::created_at.le(at))
        .group_by(prompt_revisions::prompt_id)
        .select(max(prompt_revisions::id))
        .load(c).await?);
    let ids: Vec<String> = ids.into_iter().flatten().collect();
    let mut found = Vec::with_capacity(ids.len());
    for ids in ids.chunks(MANY) {
        found.extend(on!(&mut *conn, c => prompt_revisions::table
            .filter(prompt_revisions::id.eq_any(ids))
            .select(PromptRevision::as_select())
            .load(c).await?));
    }
    Ok(found)
}

/// What every partial of a set was at this time, those that were deleted by then too.
pub async fn partials_at(conn: &mut Conn, set_id: &str, at: i64) -> Result<Vec<PartialRevision>> {
    let ids: Vec<Option<String>> = on!(&mut *conn, c => partial_revisions::table
        .filter(partial_revisions::set_id.eq(set_id))
        .filter(partial_revisions::created_at.le(at))
        .group_by(partial_revisions::name)
        .select(max(partial_revisions::id))
        .load(c).await?);
    let ids: Vec<String> = ids.into_iter().flatten().collect();
    let mut found = Vec::with_capacity(ids.len());
    for ids in ids.chunks(MANY) {
        found.extend(on!(&mut *conn, c => partial_revisions::table
            .filter(partial_revisions::id.eq_any(ids))
            .select(PartialRevision::as_select())
            .load(c).await?));
    }
    Ok(found)
}
