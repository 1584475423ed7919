//! Users as a provider of OpenID Connect knows them.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::schema::{identities, users};
use super::user::User;
use super::{Conn, Result, on};

/// The user whom a provider calls so, disabled or not.
pub async fn user(conn: &mut Conn, issuer: &str, subject: &str) -> Result<Option<User>> {
    Ok(on!(conn, c => users::table
        .inner_join(identities::table.on(identities::user_id.eq(users::id)))
        .filter(identities::issuer.eq(issuer))
        .filter(identities::subject.eq(subject))
        .select(User::as_select())
        .first(c).await.optional()?))
}

pub async fn insert(conn: &mut Conn, issuer: &str, subject: &str, user_id: &str, now: i64) -> Result<()> {
    let row = (
        identities::issuer.eq(issuer),
        identities::subject.eq(subject),
        identities::user_id.eq(user_id),
        identities::created_at.eq(now),
    );
    on!(conn, c => diesel::insert_into(identities::table).values(row).execute(c).await?);
    Ok(())
}

/// How many providers' identities a user has.
pub async fn count(conn: &mut Conn, user_id: &str) -> Result<i64> {
    Ok(on!(conn, c => identities::table
        .filter(identities::user_id.eq(user_id))
        .count()
        .get_result(c).await?))
}
