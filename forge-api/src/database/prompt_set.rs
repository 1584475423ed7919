//! Prompt sets.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::organisation::Organisation;
use super::project::Project;
use super::schema::{organisations, projects, prompt_sets};
use super::{Conn, Result, on};

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = prompt_sets, treat_none_as_default_value = false)]
pub struct PromptSet {
    pub id: String,
    pub project_id: String,
    pub slug: String,
    pub name: String,
    pub description: String,
    /// `editing`, `review` or `locked`.
    pub state: String,
    /// Grows with every change to the set's draft.
    pub revision: i64,
    pub reviews: i64,
    pub snapshots: i64,
    pub created_at: i64,
    pub updated_at: i64,
    pub updated_by: String,
    /// With commas between them.
    pub tags: String,
    /// None while it is in use.
    pub archived_at: Option<i64>,
}

pub async fn insert(conn: &mut Conn, row: &PromptSet) -> Result<()> {
    on!(conn, c => diesel::insert_into(prompt_sets::table).values(row).execute(c).await?);
    Ok(())
}

pub async fn by_slug(conn: &mut Conn, project_id: &str, slug: &str) -> Result<Option<PromptSet>> {
    Ok(on!(conn, c => prompt_sets::table
        .filter(prompt_sets::project_id.eq(project_id))
        .filter(prompt_sets::slug.eq(slug))
        .select(PromptSet::as_select())
        .first(c).await.optional()?))
}

pub async fn by_id(conn: &mut Conn, id: &str) -> Result<Option<PromptSet>> {
    Ok(on!(conn, c => prompt_sets::table
        .find(id)
        .select(PromptSet::as_select())
        .first(c).await.optional()?))
}

pub async fn by_ids(conn: &mut Conn, ids: &[&str]) -> Result<Vec<PromptSet>> {
    Ok(on!(conn, c => prompt_sets::table
        .filter(prompt_sets::id.eq_any(ids))
        .select(PromptSet::as_select())
        .load(c).await?))
}

pub async fn of_project(conn: &mut Conn, project_id: &str) -> Result<Vec<PromptSet>> {
    Ok(on!(conn, c => prompt_sets::table
        .filter(prompt_sets::project_id.eq(project_id))
        .order(prompt_sets::slug.asc())
        .select(PromptSet::as_select())
        .load(c).await?))
}

/// Counts a change, and gives the set as it is now. Other writers of the set wait until we commit.
pub async fn touch(conn: &mut Conn, id: &str, now: i64, by: &str) -> Result<Option<PromptSet>> {
    on!(conn, c => diesel::update(prompt_sets::table.find(id))
        .set((
            prompt_sets::revision.eq(prompt_sets::revision + 1),
            prompt_sets::updated_at.eq(now),
            prompt_sets::updated_by.eq(by),
        ))
        .execute(c).await?);
    by_id(conn, id).await
}

/// The sets of this name in an organisation, by the name of the project.
pub async fn named(
    conn: &mut Conn,
    organisation: &str,
    slug: &str,
) -> Result<Vec<(Organisation, Project, PromptSet)>> {
    Ok(on!(conn, c => organisations::table
        .inner_join(projects::table.on(projects::organisation_id.eq(organisations::id)))
        .inner_join(prompt_sets::table.on(prompt_sets::project_id.eq(projects::id)))
        .filter(organisations::slug.eq(organisation))
        .filter(prompt_sets::slug.eq(slug))
        .order(projects::slug.asc())
        .select((Organisation::as_select(), Project::as_select(), PromptSet::as_select()))
        .load(c).await?))
}

/// Keeps other writers of the set waiting until we commit.
pub async fn hold(conn: &mut Conn, id: &str) -> Result<()> {
    on!(conn, c => diesel::update(prompt_sets::table.find(id))
        .set(prompt_sets::revision.eq(prompt_sets::revision))
        .execute(c).await?);
    Ok(())
}

pub async fn set_state(conn: &mut Conn, id: &str, state: &str) -> Result<()> {
    on!(conn, c => diesel::update(prompt_sets::table.find(id))
        .set(prompt_sets::state.eq(state))
        .execute(c).await?);
    Ok(())
}

/// What of a set can be changed besides its draft.
#[derive(Debug, Clone, AsChangeset)]
#[diesel(table_name = prompt_sets, treat_none_as_null = true)]
pub struct Facts<'a> {
    pub name: &'a str,
    pub description: &'a str,
    pub tags: &'a str,
    pub archived_at: Option<i64>,
}

pub async fn set_facts(conn: &mut Conn, id: &str, facts: &Facts<'_>) -> Result<()> {
    on!(conn, c => diesel::update(prompt_sets::table.find(id)).set(facts).execute(c).await?);
    Ok(())
}

/// Takes the next review number of a set.
pub async fn next_review(conn: &mut Conn, id: &str) -> Result<i64> {
    on!(conn, c => diesel::update(prompt_sets::table.find(id))
        .set(prompt_sets::reviews.eq(prompt_sets::reviews + 1))
        .execute(c).await?);
    Ok(on!(conn, c => prompt_sets::table.find(id).select(prompt_sets::reviews).first(c).await?))
}

/// Takes the next snapshot number of a set.
pub async fn next_snapshot(conn: &mut Conn, id: &str) -> Result<i64> {
    on!(conn, c => diesel::update(prompt_sets::table.find(id))
        .set(prompt_sets::snapshots.eq(prompt_sets::snapshots + 1))
        .execute(c).await?);
    Ok(on!(conn, c => prompt_sets::table.find(id).select(prompt_sets::snapshots).first(c).await?))
}
