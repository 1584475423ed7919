//! What prompts and partials were after each change: rows that are only ever added.

use diesel::dsl::{count_star, max};
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
    /// The name that it had before this change.
    pub renamed_from: Option<String>,
}

/// The change that gave something its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renamed {
    /// Of the revision under the new name.
    pub id: String,
    /// The name before.
    pub from: String,
}

/// One time at which something of a set was saved, and what was saved last then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    pub at: i64,
    /// Of the revision.
    pub id: String,
    pub name: String,
    pub revision: i64,
    pub author: String,
    pub message: String,
    /// It was taken out.
    pub gone: bool,
    pub renamed_from: Option<String>,
    /// How many were saved at once.
    pub count: i64,
}

pub async fn add_partials(conn: &mut Conn, rows: &[PartialRevision]) -> Result<()> {
    on_rows!(conn, rows, rows => diesel::insert_into(partial_revisions::table).values(rows));
    Ok(())
}

/// Revisions of a prompt with an id from `from` (empty: from the first) to `before` (exclusive), newest first.
pub async fn of_prompt(
    conn: &mut Conn,
    set_id: &str,
    prompt_id: &str,
    (from, before): (&str, &str),
    limit: i64,
) -> Result<Vec<PromptRevision>> {
    Ok(on!(conn, c => prompt_revisions::table
        .filter(prompt_revisions::set_id.eq(set_id))
        .filter(prompt_revisions::prompt_id.eq(prompt_id))
        .filter(prompt_revisions::id.ge(from))
        .filter(prompt_revisions::id.lt(before))
        .order(prompt_revisions::id.desc())
        .limit(limit)
        .select(PromptRevision::as_select())
        .load(c).await?))
}

/// Revisions of a partial with an id from `from` (empty: from the first) to `before` (exclusive), newest first.
pub async fn of_partial(
    conn: &mut Conn,
    set_id: &str,
    name: &str,
    (from, before): (&str, &str),
    limit: i64,
) -> Result<Vec<PartialRevision>> {
    Ok(on!(conn, c => partial_revisions::table
        .filter(partial_revisions::set_id.eq(set_id))
        .filter(partial_revisions::name.eq(name))
        .filter(partial_revisions::id.ge(from))
        .filter(partial_revisions::id.lt(before))
        .order(partial_revisions::id.desc())
        .limit(limit)
        .select(PartialRevision::as_select())
        .load(c).await?))
}

/// A revision of a prompt by its id, or the newest with this number; within the same ids as [`of_prompt`].
pub async fn find_prompt(
    conn: &mut Conn,
    set_id: &str,
    prompt_id: &str,
    (from, before): (&str, &str),
    (id, number): (&str, i64),
) -> Result<Option<PromptRevision>> {
    Ok(on!(conn, c => prompt_revisions::table
        .filter(prompt_revisions::set_id.eq(set_id))
        .filter(prompt_revisions::prompt_id.eq(prompt_id))
        .filter(prompt_revisions::id.ge(from))
        .filter(prompt_revisions::id.lt(before))
        .filter(prompt_revisions::id.eq(id).or(prompt_revisions::revision.eq(number)))
        .order(prompt_revisions::id.desc())
        .select(PromptRevision::as_select())
        .first(c).await.optional()?))
}

/// A revision of a partial by its id, or the newest with this number; within the same ids as [`of_partial`].
pub async fn find_partial(
    conn: &mut Conn,
    set_id: &str,
    name: &str,
    (from, before): (&str, &str),
    (id, number): (&str, i64),
) -> Result<Option<PartialRevision>> {
    Ok(on!(conn, c => partial_revisions::table
        .filter(partial_revisions::set_id.eq(set_id))
        .filter(partial_revisions::name.eq(name))
        .filter(partial_revisions::id.ge(from))
        .filter(partial_revisions::id.lt(before))
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

/// The last change with an id below `before` that gave a prompt this name.
pub async fn prompt_renamed(
    conn: &mut Conn,
    set_id: &str,
    prompt_id: &str,
    before: &str,
) -> Result<Option<Renamed>> {
    let found: Option<(String, Option<String>)> = on!(conn, c => prompt_revisions::table
        .filter(prompt_revisions::set_id.eq(set_id))
        .filter(prompt_revisions::prompt_id.eq(prompt_id))
        .filter(prompt_revisions::renamed_from.is_not_null())
        .filter(prompt_revisions::id.lt(before))
        .order(prompt_revisions::id.desc())
        .select((prompt_revisions::id, prompt_revisions::renamed_from))
        .first(c).await.optional()?);
    Ok(found.and_then(|(id, from)| Some(Renamed { id, from: from? })))
}

/// The last change with an id below `before` that gave a partial this name.
pub async fn partial_renamed(
    conn: &mut Conn,
    set_id: &str,
    name: &str,
    before: &str,
) -> Result<Option<Renamed>> {
    let found: Option<(String, Option<String>)> = on!(conn, c => partial_revisions::table
        .filter(partial_revisions::set_id.eq(set_id))
        .filter(partial_revisions::name.eq(name))
        .filter(partial_revisions::renamed_from.is_not_null())
        .filter(partial_revisions::id.lt(before))
        .order(partial_revisions::id.desc())
        .select((partial_revisions::id, partial_revisions::renamed_from))
        .first(c).await.optional()?);
    Ok(found.and_then(|(id, from)| Some(Renamed { id, from: from? })))
}

/// The times below `before` (exclusive) at which prompts of a set were saved, newest first.
pub async fn prompts_saved(conn: &mut Conn, set_id: &str, before: i64, limit: i64) -> Result<Vec<Saved>> {
    let times: Vec<(i64, Option<String>, i64)> = on!(&mut *conn, c => prompt_revisions::table
        .filter(prompt_revisions::set_id.eq(set_id))
        .filter(prompt_revisions::created_at.lt(before))
        .group_by(prompt_revisions::created_at)
        .order(prompt_revisions::created_at.desc())
        .limit(limit)
        .select((prompt_revisions::created_at, max(prompt_revisions::id), count_star()))
        .load(c).await?);
    let ids: Vec<&str> = times.iter().filter_map(|(_, id, _)| id.as_deref()).collect();
    let mut rows = Vec::with_capacity(ids.len());
    for ids in ids.chunks(MANY) {
        let some: Vec<SavedRow> = on!(&mut *conn, c => prompt_revisions::table
            .filter(prompt_revisions::id.eq_any(ids))
            .select((
                prompt_revisions::id, prompt_revisions::prompt_id, prompt_revisions::revision,
                prompt_revisions::author, prompt_revisions::message, prompt_revisions::body.is_null(),
                prompt_revisions::renamed_from,
            ))
            .load(c).await?);
        rows.extend(some);
    }
    Ok(told(times, rows))
}

/// The times below `before` (exclusive) at which partials of a set were saved, newest first.
pub async fn partials_saved(conn: &mut Conn, set_id: &str, before: i64, limit: i64) -> Result<Vec<Saved>> {
    let times: Vec<(i64, Option<String>, i64)> = on!(&mut *conn, c => partial_revisions::table
        .filter(partial_revisions::set_id.eq(set_id))
        .filter(partial_revisions::created_at.lt(before))
        .group_by(partial_revisions::created_at)
        .order(partial_revisions::created_at.desc())
        .limit(limit)
        .select((partial_revisions::created_at, max(partial_revisions::id), count_star()))
        .load(c).await?);
    let ids: Vec<&str> = times.iter().filter_map(|(_, id, _)| id.as_deref()).collect();
    let mut rows = Vec::with_capacity(ids.len());
    for ids in ids.chunks(MANY) {
        let some: Vec<SavedRow> = on!(&mut *conn, c => partial_revisions::table
            .filter(partial_revisions::id.eq_any(ids))
            .select((
                partial_revisions::id, partial_revisions::name, partial_revisions::revision,
                partial_revisions::author, partial_revisions::message, partial_revisions::source.is_null(),
                partial_revisions::renamed_from,
            ))
            .load(c).await?);
        rows.extend(some);
    }
    Ok(told(times, rows))
}

/// Id, name, revision, author, message, whether it was taken out, and the name before.
type SavedRow = (String, String, i64, String, String, bool, Option<String>);

fn told(times: Vec<(i64, Option<String>, i64)>, mut rows: Vec<SavedRow>) -> Vec<Saved> {
    let one = |(at, id, count): (i64, Option<String>, i64)| {
        let row = rows.swap_remove(rows.iter().position(|row| Some(&row.0) == id.as_ref())?);
        let (id, name, revision, author, message, gone, renamed_from) = row;
        Some(Saved { at, id, name, revision, author, message, gone, renamed_from, count })
    };
    times.into_iter().filter_map(one).collect()
}

/// Every change of a partial's name in a set after `since`, up to `until`, oldest first: the name before, the name after.
pub async fn partials_renamed(
    conn: &mut Conn,
    set_id: &str,
    (since, until): (i64, i64),
    limit: i64,
) -> Result<Vec<(String, String)>> {
    let found: Vec<(Option<String>, String)> = on!(conn, c => partial_revisions::table
        .filter(partial_revisions::set_id.eq(set_id))
        .filter(partial_revisions::renamed_from.is_not_null())
        .filter(partial_revisions::created_at.gt(since))
        .filter(partial_revisions::created_at.le(until))
        .order(partial_revisions::id.asc())
        .limit(limit)
        .select((partial_revisions::renamed_from, partial_revisions::name))
        .load(c).await?);
    Ok(found.into_iter().filter_map(|(from, to)| Some((from?, to))).collect())
}

/// Every change of a prompt's name in a set after `since`, up to `until`, oldest first: the name before, the name after.
pub async fn prompts_renamed(
    conn: &mut Conn,
    set_id: &str,
    (since, until): (i64, i64),
    limit: i64,
) -> Result<Vec<(String, String)>> {
    let found: Vec<(Option<String>, String)> = on!(conn, c => prompt_revisions::table
        .filter(prompt_revisions::set_id.eq(set_id))
        .filter(prompt_revisions::renamed_from.is_not_null())
        .filter(prompt_revisions::created_at.gt(since))
        .filter(prompt_revisions::created_at.le(until))
        .order(prompt_revisions::id.asc())
        .limit(limit)
        .select((prompt_revisions::renamed_from, prompt_revisions::prompt_id))
        .load(c).await?);
    Ok(found.into_iter().filter_map(|(from, to)| Some((from?, to))).collect())
}
