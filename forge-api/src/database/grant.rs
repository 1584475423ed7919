//! What somebody may do in one project, whatever they are in its organisation.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::organisation::Organisation;
use super::project::Project;
use super::schema::{organisations, project_grants, projects, users};
use super::user::User;
use super::{Conn, Result, on};

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = project_grants)]
pub struct ProjectGrant {
    pub project_id: String,
    pub user_id: String,
    pub role: String,
    pub created_at: i64,
}

/// Gives a user a role in a project, or another one.
pub async fn put(conn: &mut Conn, row: &ProjectGrant) -> Result<()> {
    on!(conn, c => diesel::insert_into(project_grants::table)
        .values(row)
        .on_conflict((project_grants::project_id, project_grants::user_id))
        .do_update()
        .set(project_grants::role.eq(&row.role))
        .execute(c).await?);
    Ok(())
}

/// Takes a user's role in a project; gives how many that were.
pub async fn delete(conn: &mut Conn, project_id: &str, user_id: &str) -> Result<usize> {
    Ok(on!(conn, c => diesel::delete(project_grants::table
            .filter(project_grants::project_id.eq(project_id))
            .filter(project_grants::user_id.eq(user_id)))
        .execute(c).await?))
}

/// The grants of a user, with the project and its organisation.
pub async fn of_user(conn: &mut Conn, user_id: &str) -> Result<Vec<(Organisation, Project, String)>> {
    Ok(on!(conn, c => projects::table
        .inner_join(organisations::table.on(organisations::id.eq(projects::organisation_id)))
        .inner_join(project_grants::table.on(project_grants::project_id.eq(projects::id)))
        .filter(project_grants::user_id.eq(user_id))
        .order((organisations::slug.asc(), projects::slug.asc()))
        .select((Organisation::as_select(), Project::as_select(), project_grants::role))
        .load(c).await?))
}

/// The grants within an organisation: who, in which project, what.
pub async fn of_organisation(conn: &mut Conn, organisation_id: &str) -> Result<Vec<(User, Project, String)>> {
    Ok(on!(conn, c => project_grants::table
        .inner_join(projects::table.on(projects::id.eq(project_grants::project_id)))
        .inner_join(users::table.on(users::id.eq(project_grants::user_id)))
        .filter(projects::organisation_id.eq(organisation_id))
        .order((users::email.asc(), projects::slug.asc()))
        .select((User::as_select(), Project::as_select(), project_grants::role))
        .load(c).await?))
}

/// The grants of one project.
pub async fn of_project(conn: &mut Conn, project_id: &str) -> Result<Vec<(User, String)>> {
    Ok(on!(conn, c => users::table
        .inner_join(project_grants::table.on(project_grants::user_id.eq(users::id)))
        .filter(project_grants::project_id.eq(project_id))
        .order(users::email.asc())
        .select((User::as_select(), project_grants::role))
        .load(c).await?))
}
