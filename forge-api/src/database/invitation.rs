//! Invitations into an organisation, and who asked for a sign-in link. Only the hash of a token is stored.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::project::Project;
use super::schema::{invitation_grants, invitations, link_requests, memberships, projects, users};
use super::user::User;
use super::{Conn, Result, on};

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = invitations, treat_none_as_default_value = false)]
pub struct Invitation {
    pub id: String,
    pub organisation_id: String,
    pub email: String,
    /// None: a guest of some projects, and no member.
    pub role: Option<String>,
    pub token_hash: String,
    pub invited_by: String,
    pub invited_by_id: String,
    /// `none`, `waiting`, `sent` or `failed`.
    pub mail: String,
    pub created_at: i64,
    pub expires_at: i64,
    pub ended_at: Option<i64>,
    /// `accepted`, `withdrawn` or `replaced`.
    pub outcome: Option<String>,
    /// Why the mail was not sent when it was tried last.
    pub mail_error: Option<String>,
}

pub async fn insert(conn: &mut Conn, row: &Invitation, grants: &[(String, String)]) -> Result<()> {
    on!(conn, c => diesel::insert_into(invitations::table).values(row).execute(c).await?);
    for (project_id, role) in grants {
        let grant = (
            invitation_grants::invitation_id.eq(&row.id),
            invitation_grants::project_id.eq(project_id),
            invitation_grants::role.eq(role),
        );
        on!(conn, c => diesel::insert_into(invitation_grants::table).values(grant).execute(c).await?);
    }
    Ok(())
}

/// The invitation with this token, whatever became of it.
pub async fn by_token(conn: &mut Conn, token_hash: &str) -> Result<Option<Invitation>> {
    Ok(on!(conn, c => invitations::table
        .filter(invitations::token_hash.eq(token_hash))
        .select(Invitation::as_select())
        .first(c).await.optional()?))
}

/// The invitations of an organisation that wait at `now` or expired, newest first.
pub async fn open(conn: &mut Conn, organisation_id: &str) -> Result<Vec<Invitation>> {
    Ok(on!(conn, c => invitations::table
        .filter(invitations::organisation_id.eq(organisation_id))
        .filter(invitations::ended_at.is_null())
        .order(invitations::created_at.desc())
        .select(Invitation::as_select())
        .load(c).await?))
}

/// The invitations that somebody has with this address and that may be accepted at `now`.
pub async fn waiting_for(conn: &mut Conn, email: &str, now: i64) -> Result<Vec<Invitation>> {
    Ok(on!(conn, c => invitations::table
        .filter(invitations::email.eq(email))
        .filter(invitations::ended_at.is_null())
        .filter(invitations::expires_at.gt(now))
        .order(invitations::created_at.asc())
        .select(Invitation::as_select())
        .load(c).await?))
}

/// The roles in projects that an invitation brings.
pub async fn grants(conn: &mut Conn, invitation_id: &str) -> Result<Vec<(Project, String)>> {
    Ok(on!(conn, c => projects::table
        .inner_join(invitation_grants::table.on(invitation_grants::project_id.eq(projects::id)))
        .filter(invitation_grants::invitation_id.eq(invitation_id))
        .order(projects::slug.asc())
        .select((Project::as_select(), invitation_grants::role))
        .load(c).await?))
}

/// Ends an invitation that still waits; says whether there was one.
pub async fn end(conn: &mut Conn, id: &str, outcome: &str, now: i64) -> Result<bool> {
    Ok(on!(conn, c => diesel::update(invitations::table.find(id).filter(invitations::ended_at.is_null()))
        .set((invitations::ended_at.eq(now), invitations::outcome.eq(outcome)))
        .execute(c).await?)
        == 1)
}

/// Notes what became of an invitation's mail, and why it was not sent.
pub async fn set_mail(conn: &mut Conn, id: &str, mail: &str, error: Option<&str>) -> Result<()> {
    on!(conn, c => diesel::update(invitations::table.find(id))
        .set((invitations::mail.eq(mail), invitations::mail_error.eq(error)))
        .execute(c).await?);
    Ok(())
}

/// Notes that a user asked for a sign-in link that nobody could send.
pub async fn ask_link(conn: &mut Conn, user_id: &str, address: &str, now: i64) -> Result<()> {
    let row = (
        link_requests::user_id.eq(user_id),
        link_requests::asked_at.eq(now),
        link_requests::address.eq(address),
    );
    on!(conn, c => diesel::insert_into(link_requests::table)
        .values(row)
        .on_conflict(link_requests::user_id)
        .do_update()
        .set((link_requests::asked_at.eq(now), link_requests::address.eq(address)))
        .execute(c).await?);
    Ok(())
}

/// The members of an organisation who asked since, with when and from where.
pub async fn asked_links(
    conn: &mut Conn,
    organisation_id: &str,
    since: i64,
) -> Result<Vec<(User, i64, String)>> {
    Ok(on!(conn, c => users::table
        .inner_join(link_requests::table.on(link_requests::user_id.eq(users::id)))
        .inner_join(memberships::table.on(memberships::user_id.eq(users::id)))
        .filter(memberships::organisation_id.eq(organisation_id))
        .filter(link_requests::asked_at.gt(since))
        .order(link_requests::asked_at.desc())
        .select((User::as_select(), link_requests::asked_at, link_requests::address))
        .load(c).await?))
}

/// Forgets that a user asked.
pub async fn answer_link(conn: &mut Conn, user_id: &str) -> Result<()> {
    on!(conn, c => diesel::delete(link_requests::table.find(user_id)).execute(c).await?);
    Ok(())
}
