//! Projects and their environments.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::organisation::Organisation;
use super::schema::{environments, organisations, projects};
use super::{Conn, Result, on};

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = projects, treat_none_as_default_value = false)]
pub struct Project {
    pub id: String,
    pub organisation_id: String,
    pub slug: String,
    pub name: String,
    pub description: String,
    /// How many publications there were: the number of the last one.
    pub publications: i64,
    pub created_at: i64,
    /// Age in seconds from which an agent's content counts as too old; none means never.
    pub max_age_seconds: Option<i64>,
    /// `serve`, `warn` or `refuse`.
    pub max_age_action: Option<String>,
    /// None while it is in use.
    pub archived_at: Option<i64>,
}

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = environments)]
pub struct Environment {
    pub id: String,
    pub project_id: String,
    pub slug: String,
    pub name: String,
    pub position: i64,
    /// Whether snapshots of drafts may be published here.
    pub takes_drafts: bool,
    pub created_at: i64,
}

pub async fn insert(conn: &mut Conn, row: &Project) -> Result<()> {
    on!(conn, c => diesel::insert_into(projects::table).values(row).execute(c).await?);
    Ok(())
}

pub async fn by_id(conn: &mut Conn, id: &str) -> Result<Option<(Organisation, Project)>> {
    Ok(on!(conn, c => projects::table
        .inner_join(organisations::table.on(organisations::id.eq(projects::organisation_id)))
        .filter(projects::id.eq(id))
        .select((Organisation::as_select(), Project::as_select()))
        .first(c).await.optional()?))
}

pub async fn by_ids(conn: &mut Conn, ids: &[&str]) -> Result<Vec<(Organisation, Project)>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    Ok(on!(conn, c => projects::table
        .inner_join(organisations::table.on(organisations::id.eq(projects::organisation_id)))
        .filter(projects::id.eq_any(ids))
        .select((Organisation::as_select(), Project::as_select()))
        .load(c).await?))
}

pub async fn by_slugs(
    conn: &mut Conn,
    organisation: &str,
    project: &str,
) -> Result<Option<(Organisation, Project)>> {
    Ok(on!(conn, c => projects::table
        .inner_join(organisations::table.on(organisations::id.eq(projects::organisation_id)))
        .filter(organisations::slug.eq(organisation))
        .filter(projects::slug.eq(project))
        .select((Organisation::as_select(), Project::as_select()))
        .first(c).await.optional()?))
}

/// The projects of an organisation with these names.
pub async fn named(
    conn: &mut Conn,
    organisation_id: &str,
    slugs: &[&str],
) -> Result<Vec<(Organisation, Project)>> {
    Ok(on!(conn, c => projects::table
        .inner_join(organisations::table.on(organisations::id.eq(projects::organisation_id)))
        .filter(projects::organisation_id.eq(organisation_id))
        .filter(projects::slug.eq_any(slugs))
        .order(projects::slug.asc())
        .select((Organisation::as_select(), Project::as_select()))
        .load(c).await?))
}

pub async fn of_organisation(conn: &mut Conn, organisation_id: &str) -> Result<Vec<Project>> {
    Ok(on!(conn, c => projects::table
        .filter(projects::organisation_id.eq(organisation_id))
        .order(projects::slug.asc())
        .select(Project::as_select())
        .load(c).await?))
}

/// Every project there is, with its organisation: what the broker must know.
pub async fn all(conn: &mut Conn) -> Result<Vec<(Organisation, Project)>> {
    Ok(on!(conn, c => projects::table
        .inner_join(organisations::table.on(organisations::id.eq(projects::organisation_id)))
        .order(projects::id.asc())
        .select((Organisation::as_select(), Project::as_select()))
        .load(c).await?))
}

pub async fn set_max_age(conn: &mut Conn, id: &str, rule: Option<(i64, &str)>) -> Result<()> {
    on!(conn, c => diesel::update(projects::table.find(id))
        .set((
            projects::max_age_seconds.eq(rule.map(|r| r.0)),
            projects::max_age_action.eq(rule.map(|r| r.1)),
        ))
        .execute(c).await?);
    Ok(())
}

/// What of a project can be changed.
#[derive(Debug, Clone, AsChangeset)]
#[diesel(table_name = projects, treat_none_as_null = true)]
pub struct Facts<'a> {
    pub name: &'a str,
    pub description: &'a str,
    pub archived_at: Option<i64>,
}

pub async fn set_facts(conn: &mut Conn, id: &str, facts: &Facts<'_>) -> Result<()> {
    on!(conn, c => diesel::update(projects::table.find(id)).set(facts).execute(c).await?);
    Ok(())
}

/// Since when a project is archived, if it is.
pub async fn archived_at(conn: &mut Conn, id: &str) -> Result<Option<i64>> {
    let found: Option<Option<i64>> = on!(conn, c => projects::table
        .find(id)
        .select(projects::archived_at)
        .first(c).await.optional()?);
    Ok(found.flatten())
}

/// Holds the project's row: whoever else asks for it waits until we end the transaction.
pub async fn lock(conn: &mut Conn, project_id: &str) -> Result<()> {
    on!(conn, c => diesel::update(projects::table.find(project_id))
        .set(projects::publications.eq(projects::publications))
        .execute(c).await?);
    Ok(())
}

/// Takes the next publication number of a project; other publishers of it wait until we commit.
pub async fn next_publication(conn: &mut Conn, project_id: &str) -> Result<i64> {
    on!(conn, c => diesel::update(projects::table.find(project_id))
        .set(projects::publications.eq(projects::publications + 1))
        .execute(c).await?);
    Ok(on!(conn, c => projects::table.find(project_id).select(projects::publications).first(c).await?))
}

pub async fn insert_environment(conn: &mut Conn, row: &Environment) -> Result<()> {
    on!(conn, c => diesel::insert_into(environments::table).values(row).execute(c).await?);
    Ok(())
}

pub async fn environments(conn: &mut Conn, project_id: &str) -> Result<Vec<Environment>> {
    Ok(on!(conn, c => environments::table
        .filter(environments::project_id.eq(project_id))
        .order((environments::position.asc(), environments::slug.asc()))
        .select(Environment::as_select())
        .load(c).await?))
}

pub async fn environment(conn: &mut Conn, project_id: &str, slug: &str) -> Result<Option<Environment>> {
    Ok(on!(conn, c => environments::table
        .filter(environments::project_id.eq(project_id))
        .filter(environments::slug.eq(slug))
        .select(Environment::as_select())
        .first(c).await.optional()?))
}

pub async fn environments_by_ids(conn: &mut Conn, ids: &[&str]) -> Result<Vec<Environment>> {
    Ok(on!(conn, c => environments::table
        .filter(environments::id.eq_any(ids))
        .select(Environment::as_select())
        .load(c).await?))
}

/// An environment with everything above it.
pub async fn environment_by_id(
    conn: &mut Conn,
    id: &str,
) -> Result<Option<(Organisation, Project, Environment)>> {
    Ok(on!(conn, c => environments::table
        .inner_join(projects::table.on(projects::id.eq(environments::project_id)))
        .inner_join(organisations::table.on(organisations::id.eq(projects::organisation_id)))
        .filter(environments::id.eq(id))
        .select((Organisation::as_select(), Project::as_select(), Environment::as_select()))
        .first(c).await.optional()?))
}

/// Every environment there is, with everything above it.
pub async fn all_environments(conn: &mut Conn) -> Result<Vec<(Organisation, Project, Environment)>> {
    Ok(on!(conn, c => environments::table
        .inner_join(projects::table.on(projects::id.eq(environments::project_id)))
        .inner_join(organisations::table.on(organisations::id.eq(projects::organisation_id)))
        .order(environments::id.asc())
        .select((Organisation::as_select(), Project::as_select(), Environment::as_select()))
        .load(c).await?))
}
