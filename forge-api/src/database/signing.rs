//! The keys that agents have to do with: roots and publishing keys, past ones too, and the trust
//! lists that tell agents of them.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::schema::{signing_keys, trust_lists};
use super::{Conn, Result, on};

#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = signing_keys, treat_none_as_default_value = false)]
pub struct SigningKey {
    pub public_key: String,
    /// `root` or `publishing`.
    pub kind: String,
    /// Of a publishing key.
    pub project_id: Option<String>,
    /// `active` (signs), `retired` (what it signed counts) or `revoked`.
    pub state: String,
    pub created_at: i64,
    pub retired_at: Option<i64>,
    pub revoked_at: Option<i64>,
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = trust_lists)]
pub struct TrustListRow {
    pub project_id: String,
    pub version: i64,
    /// The DSSE envelope.
    pub line: String,
    /// It changed the roots: agents that slept need it to follow.
    pub link: bool,
    pub created_at: i64,
}

/// Remembers a key; one that is known stays as it is.
pub async fn add(conn: &mut Conn, row: &SigningKey) -> Result<()> {
    on!(conn, c => diesel::insert_into(signing_keys::table)
        .values(row)
        .on_conflict(signing_keys::public_key)
        .do_nothing()
        .execute(c).await?);
    Ok(())
}

pub async fn find(conn: &mut Conn, public_key: &str) -> Result<Option<SigningKey>> {
    Ok(on!(conn, c => signing_keys::table
        .find(public_key)
        .select(SigningKey::as_select())
        .first(c).await.optional()?))
}

/// The roots, oldest first.
pub async fn roots(conn: &mut Conn) -> Result<Vec<SigningKey>> {
    Ok(on!(conn, c => signing_keys::table
        .filter(signing_keys::kind.eq("root"))
        .order((signing_keys::created_at.asc(), signing_keys::public_key.asc()))
        .select(SigningKey::as_select())
        .load(c).await?))
}

/// The publishing keys of a project, oldest first.
pub async fn of_project(conn: &mut Conn, project_id: &str) -> Result<Vec<SigningKey>> {
    Ok(on!(conn, c => signing_keys::table
        .filter(signing_keys::project_id.eq(project_id))
        .order((signing_keys::created_at.asc(), signing_keys::public_key.asc()))
        .select(SigningKey::as_select())
        .load(c).await?))
}

/// It signs no more; what it signed counts.
pub async fn retire(conn: &mut Conn, public_key: &str, now: i64) -> Result<()> {
    on!(conn, c => diesel::update(signing_keys::table.find(public_key))
        .set((signing_keys::state.eq("retired"), signing_keys::retired_at.eq(now)))
        .execute(c).await?);
    Ok(())
}

/// Nothing that it signed counts any more.
pub async fn revoke(conn: &mut Conn, public_key: &str, reason: &str, now: i64) -> Result<()> {
    on!(conn, c => diesel::update(signing_keys::table.find(public_key))
        .set((
            signing_keys::state.eq("revoked"),
            signing_keys::revoked_at.eq(now),
            signing_keys::reason.eq(reason),
        ))
        .execute(c).await?);
    Ok(())
}

/// The trust lists of a project, oldest first.
pub async fn trust_lists(conn: &mut Conn, project_id: &str) -> Result<Vec<TrustListRow>> {
    Ok(on!(conn, c => trust_lists::table
        .filter(trust_lists::project_id.eq(project_id))
        .order(trust_lists::version.asc())
        .select(TrustListRow::as_select())
        .load(c).await?))
}

pub async fn add_trust_list(conn: &mut Conn, row: &TrustListRow) -> Result<()> {
    on!(conn, c => diesel::insert_into(trust_lists::table).values(row).execute(c).await?);
    Ok(())
}
