//! The draft of a set: prompts and partials, and what they were before.

use diesel::dsl::{count_star, sql};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};
use diesel::upsert::excluded;
use diesel_async::RunQueryDsl;

use super::schema::{partial_revisions, partials, prompt_revisions, prompts};
use super::{Conn, Result, on, on_rows, origin};

/// A prompt's draft. The body is a [`schemas::prompt::Prompt`] as JSON.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = prompts)]
pub struct PromptRow {
    pub id: String,
    pub set_id: String,
    pub prompt_id: String,
    pub body: String,
    pub revision: i64,
    pub created_at: i64,
    pub updated_at: i64,
    pub updated_by: String,
}

/// What a prompt was after one change; no body means that it was deleted.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = prompt_revisions, treat_none_as_default_value = false)]
pub struct PromptRevision {
    pub id: String,
    pub set_id: String,
    pub prompt_id: String,
    pub revision: i64,
    pub body: Option<String>,
    pub author: String,
    pub created_at: i64,
    /// Why, in the words of who saved it; often nothing.
    pub message: String,
    /// The name that it had before this change.
    pub renamed_from: Option<String>,
}

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = partials)]
pub struct PartialRow {
    pub id: String,
    pub set_id: String,
    pub name: String,
    pub source: String,
    pub revision: i64,
    pub updated_at: i64,
    pub updated_by: String,
}

pub async fn of_set(conn: &mut Conn, set_id: &str) -> Result<Vec<PromptRow>> {
    Ok(on!(conn, c => prompts::table
        .filter(prompts::set_id.eq(set_id))
        .order(prompts::prompt_id.asc())
        .select(PromptRow::as_select())
        .load(c).await?))
}

/// Name and id of every prompt of a draft, in no order.
pub async fn names_of_set(conn: &mut Conn, set_id: &str) -> Result<Vec<(String, String)>> {
    Ok(on!(conn, c => prompts::table
        .filter(prompts::set_id.eq(set_id))
        .select((prompts::prompt_id, prompts::id))
        .load(c).await?))
}

/// Prompts by their ids, in no order.
pub async fn by_ids(conn: &mut Conn, ids: &[&str]) -> Result<Vec<PromptRow>> {
    Ok(on!(conn, c => prompts::table
        .filter(prompts::id.eq_any(ids))
        .select(PromptRow::as_select())
        .load(c).await?))
}

/// The id of the first prompt of [`of_set`].
pub async fn first_of_set(conn: &mut Conn, set_id: &str) -> Result<Option<String>> {
    Ok(on!(conn, c => prompts::table
        .filter(prompts::set_id.eq(set_id))
        .order(prompts::prompt_id.asc())
        .select(prompts::prompt_id)
        .first(c).await.optional()?))
}

pub async fn find(conn: &mut Conn, set_id: &str, prompt_id: &str) -> Result<Option<PromptRow>> {
    Ok(on!(conn, c => prompts::table
        .filter(prompts::set_id.eq(set_id))
        .filter(prompts::prompt_id.eq(prompt_id))
        .select(PromptRow::as_select())
        .first(c).await.optional()?))
}

/// How large a draft is: its prompts, its partials, and the bytes of both together.
pub async fn size(conn: &mut Conn, set_id: &str) -> Result<(i64, i64, i64)> {
    let bytes = |column: &str| sql::<Nullable<BigInt>>(&format!("SUM(OCTET_LENGTH({column}))"));
    let (bodies, body_bytes): (i64, Option<i64>) = on!(conn, c => prompts::table
        .filter(prompts::set_id.eq(set_id))
        .select((count_star(), bytes("body")))
        .get_result(c).await?);
    let (sources, source_bytes): (i64, Option<i64>) = on!(conn, c => partials::table
        .filter(partials::set_id.eq(set_id))
        .select((count_star(), bytes("source")))
        .get_result(c).await?);
    Ok((bodies, sources, body_bytes.unwrap_or_default() + source_bytes.unwrap_or_default()))
}

pub async fn count(conn: &mut Conn, set_id: &str) -> Result<i64> {
    Ok(on!(conn, c => prompts::table.filter(prompts::set_id.eq(set_id)).count().get_result(c).await?))
}

/// Inserts prompts, or replaces the bodies of those that are there.
pub async fn put_all(conn: &mut Conn, rows: &[PromptRow]) -> Result<()> {
    on_rows!(conn, rows, rows => diesel::insert_into(prompts::table)
    .values(rows)
    .on_conflict((prompts::set_id, prompts::prompt_id))
    .do_update()
    .set((
        prompts::body.eq(excluded(prompts::body)),
        prompts::revision.eq(excluded(prompts::revision)),
        prompts::updated_at.eq(excluded(prompts::updated_at)),
        prompts::updated_by.eq(excluded(prompts::updated_by)),
    )));
    Ok(())
}

pub async fn delete(conn: &mut Conn, set_id: &str, prompt_id: &str) -> Result<()> {
    on!(conn, c => diesel::delete(prompts::table
            .filter(prompts::set_id.eq(set_id))
            .filter(prompts::prompt_id.eq(prompt_id)))
        .execute(c).await?);
    Ok(())
}

pub async fn add_revisions(conn: &mut Conn, rows: &[PromptRevision]) -> Result<()> {
    on_rows!(conn, rows, rows => diesel::insert_into(prompt_revisions::table).values(rows));
    Ok(())
}

/// Who changed prompts or partials of a set after this time, or brought revisions of them from elsewhere, by name,
/// each once.
pub async fn authors_since(conn: &mut Conn, set_id: &str, since: i64) -> Result<Vec<String>> {
    let mut names: Vec<String> = on!(&mut *conn, c => prompt_revisions::table
        .filter(prompt_revisions::set_id.eq(set_id))
        .filter(prompt_revisions::created_at.gt(since))
        .select(prompt_revisions::author)
        .distinct()
        .load(c).await?);
    let of_partials: Vec<String> = on!(&mut *conn, c => partial_revisions::table
        .filter(partial_revisions::set_id.eq(set_id))
        .filter(partial_revisions::created_at.gt(since))
        .select(partial_revisions::author)
        .distinct()
        .load(c).await?);
    names.extend(of_partials);
    names.extend(origin::importers_since(conn, set_id, since).await?);
    names.sort();
    names.dedup();
    Ok(names)
}

pub async fn partials_of_set(conn: &mut Conn, set_id: &str) -> Result<Vec<PartialRow>> {
    Ok(on!(conn, c => partials::table
        .filter(partials::set_id.eq(set_id))
        .order(partials::name.asc())
        .select(PartialRow::as_select())
        .load(c).await?))
}

pub async fn find_partial(conn: &mut Conn, set_id: &str, name: &str) -> Result<Option<PartialRow>> {
    Ok(on!(conn, c => partials::table
        .filter(partials::set_id.eq(set_id))
        .filter(partials::name.eq(name))
        .select(PartialRow::as_select())
        .first(c).await.optional()?))
}

pub async fn put_partial(conn: &mut Conn, row: &PartialRow) -> Result<()> {
    on!(conn, c => diesel::insert_into(partials::table)
        .values(row)
        .on_conflict((partials::set_id, partials::name))
        .do_update()
        .set((
            partials::source.eq(&row.source),
            partials::revision.eq(row.revision),
            partials::updated_at.eq(row.updated_at),
            partials::updated_by.eq(&row.updated_by),
        ))
        .execute(c).await?);
    Ok(())
}

pub async fn delete_partial(conn: &mut Conn, set_id: &str, name: &str) -> Result<()> {
    on!(conn, c => diesel::delete(partials::table
            .filter(partials::set_id.eq(set_id))
            .filter(partials::name.eq(name)))
        .execute(c).await?);
    Ok(())
}
