//! Credentials. Their secret is never stored, only the public key.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::project::Environment;
use super::schema::{credentials, environments};
use super::{Conn, Result, on};

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = credentials, treat_none_as_default_value = false)]
pub struct Credential {
    pub id: String,
    pub project_id: String,
    pub environment_id: String,
    pub name: String,
    /// `agent` or `inspect`.
    pub kind: String,
    pub public_key: String,
    pub created_by: String,
    pub created_at: i64,
    pub expires_at: Option<i64>,
    pub revoked_at: Option<i64>,
    pub revoked_by: Option<String>,
    pub last_seen_at: Option<i64>,
    /// For people: what it is for.
    pub purpose: String,
    /// The name that its client gave itself when it was seen last, and its address.
    pub last_seen_agent: Option<String>,
    pub last_seen_address: Option<String>,
}

pub async fn insert(conn: &mut Conn, row: &Credential) -> Result<()> {
    on!(conn, c => diesel::insert_into(credentials::table).values(row).execute(c).await?);
    Ok(())
}

pub async fn of_project(conn: &mut Conn, project_id: &str) -> Result<Vec<(Credential, Environment)>> {
    Ok(on!(conn, c => credentials::table
        .inner_join(environments::table.on(environments::id.eq(credentials::environment_id)))
        .filter(credentials::project_id.eq(project_id))
        .order(credentials::id.desc())
        .select((Credential::as_select(), Environment::as_select()))
        .load(c).await?))
}

pub async fn by_id(conn: &mut Conn, project_id: &str, id: &str) -> Result<Option<Credential>> {
    Ok(on!(conn, c => credentials::table
        .filter(credentials::project_id.eq(project_id))
        .filter(credentials::id.eq(id))
        .select(Credential::as_select())
        .first(c).await.optional()?))
}

pub async fn by_key(conn: &mut Conn, public_key: &str) -> Result<Option<Credential>> {
    Ok(on!(conn, c => credentials::table
        .filter(credentials::public_key.eq(public_key))
        .select(Credential::as_select())
        .first(c).await.optional()?))
}

/// Notes the revocation; says whether it is new.
pub async fn revoke(conn: &mut Conn, id: &str, at: i64, by: &str) -> Result<bool> {
    Ok(on!(conn, c => diesel::update(credentials::table
            .filter(credentials::id.eq(id))
            .filter(credentials::revoked_at.is_null()))
        .set((credentials::revoked_at.eq(at), credentials::revoked_by.eq(by)))
        .execute(c).await?)
        == 1)
}

/// How many credentials of a project are good at `now`.
pub async fn count_good(conn: &mut Conn, project_id: &str, now: i64) -> Result<i64> {
    Ok(on!(conn, c => credentials::table
        .filter(credentials::project_id.eq(project_id))
        .filter(credentials::revoked_at.is_null())
        .filter(credentials::expires_at.is_null().or(credentials::expires_at.gt(now)))
        .count()
        .get_result(c).await?))
}

/// Public keys that the broker must refuse, with the time of revocation. Those that expired before `since` need no
/// entry.
pub async fn revoked(conn: &mut Conn, project_id: &str, since: i64) -> Result<Vec<(String, i64)>> {
    let rows: Vec<(String, Option<i64>)> = on!(conn, c => credentials::table
        .filter(credentials::project_id.eq(project_id))
        .filter(credentials::revoked_at.is_not_null())
        .filter(credentials::expires_at.is_null().or(credentials::expires_at.gt(since)))
        .select((credentials::public_key, credentials::revoked_at))
        .load(c).await?);
    Ok(rows.into_iter().filter_map(|(key, at)| Some((key, at?))).collect())
}

/// Notes who used a credential; gives whether there is one.
pub async fn seen(conn: &mut Conn, public_key: &str, at: i64, agent: &str, address: &str) -> Result<bool> {
    Ok(on!(conn, c => diesel::update(credentials::table.filter(credentials::public_key.eq(public_key)))
        .set((
            credentials::last_seen_at.eq(at),
            credentials::last_seen_agent.eq(agent),
            credentials::last_seen_address.eq(address),
        ))
        .execute(c).await?)
        == 1)
}
