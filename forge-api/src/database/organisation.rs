//! Organisations and who belongs to them.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::schema::{memberships, organisations, users};
use super::user::User;
use super::{Conn, Result, on};

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = organisations)]
pub struct Organisation {
    pub id: String,
    pub slug: String,
    pub name: String,
    pub created_at: i64,
}

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = memberships, treat_none_as_default_value = false)]
pub struct Membership {
    pub organisation_id: String,
    pub user_id: String,
    pub role: String,
    pub created_at: i64,
}

pub async fn insert(conn: &mut Conn, row: &Organisation) -> Result<()> {
    on!(conn, c => diesel::insert_into(organisations::table).values(row).execute(c).await?);
    Ok(())
}

pub async fn set_name(conn: &mut Conn, id: &str, name: &str) -> Result<()> {
    on!(conn, c => diesel::update(organisations::table.find(id))
        .set(organisations::name.eq(name))
        .execute(c).await?);
    Ok(())
}

pub async fn by_slug(conn: &mut Conn, slug: &str) -> Result<Option<Organisation>> {
    Ok(on!(conn, c => organisations::table
        .filter(organisations::slug.eq(slug))
        .select(Organisation::as_select())
        .first(c).await.optional()?))
}

pub async fn by_id(conn: &mut Conn, id: &str) -> Result<Option<Organisation>> {
    Ok(on!(conn, c => organisations::table
        .find(id)
        .select(Organisation::as_select())
        .first(c).await.optional()?))
}

pub async fn all(conn: &mut Conn) -> Result<Vec<Organisation>> {
    Ok(on!(conn, c => organisations::table
        .order(organisations::slug.asc())
        .select(Organisation::as_select())
        .load(c).await?))
}

/// Puts a user into an organisation, or changes the role there.
pub async fn put_membership(conn: &mut Conn, row: &Membership) -> Result<()> {
    on!(conn, c => diesel::insert_into(memberships::table)
        .values(row)
        .on_conflict((memberships::organisation_id, memberships::user_id))
        .do_update()
        .set(memberships::role.eq(&row.role))
        .execute(c).await?);
    Ok(())
}

/// Takes a user out of an organisation.
pub async fn delete_membership(conn: &mut Conn, organisation_id: &str, user_id: &str) -> Result<()> {
    on!(conn, c => diesel::delete(memberships::table
            .filter(memberships::organisation_id.eq(organisation_id))
            .filter(memberships::user_id.eq(user_id)))
        .execute(c).await?);
    Ok(())
}

/// The organisations of a user, with the role in each.
pub async fn of_user(conn: &mut Conn, user_id: &str) -> Result<Vec<(Organisation, String)>> {
    Ok(on!(conn, c => organisations::table
        .inner_join(memberships::table.on(memberships::organisation_id.eq(organisations::id)))
        .filter(memberships::user_id.eq(user_id))
        .order(organisations::slug.asc())
        .select((Organisation::as_select(), memberships::role))
        .load(c).await?))
}

/// The members of an organisation, with their roles.
pub async fn members(conn: &mut Conn, organisation_id: &str) -> Result<Vec<(User, String)>> {
    Ok(on!(conn, c => users::table
        .inner_join(memberships::table.on(memberships::user_id.eq(users::id)))
        .filter(memberships::organisation_id.eq(organisation_id))
        .order(users::email.asc())
        .select((User::as_select(), memberships::role))
        .load(c).await?))
}
