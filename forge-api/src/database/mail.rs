//! Mail that waits to be sent. Its text is sealed.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::schema::mails;
use super::{Conn, Result, on};

#[derive(Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = mails, treat_none_as_default_value = false)]
pub struct Mail {
    pub id: String,
    pub invitation_id: Option<String>,
    pub recipient: String,
    pub subject: String,
    pub sealed: Vec<u8>,
    pub attempts: i64,
    /// When it is tried next; while somebody tries, when another may.
    pub due_at: i64,
    pub give_up_at: i64,
}

impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mail").field("id", &self.id).field("attempts", &self.attempts).finish_non_exhaustive()
    }
}

pub async fn insert(conn: &mut Conn, row: &Mail) -> Result<()> {
    on!(conn, c => diesel::insert_into(mails::table).values(row).execute(c).await?);
    Ok(())
}

/// What is due at `now`, the longest due first.
pub async fn due(conn: &mut Conn, now: i64, limit: i64) -> Result<Vec<Mail>> {
    Ok(on!(conn, c => mails::table
        .filter(mails::due_at.le(now))
        .order(mails::due_at.asc())
        .limit(limit)
        .select(Mail::as_select())
        .load(c).await?))
}

/// Takes a mail until `until`: says whether nobody else did since it was read.
pub async fn claim(conn: &mut Conn, row: &Mail, until: i64) -> Result<bool> {
    Ok(on!(conn, c => diesel::update(mails::table
            .filter(mails::id.eq(&row.id))
            .filter(mails::due_at.eq(row.due_at))
            .filter(mails::attempts.eq(row.attempts)))
        .set((mails::due_at.eq(until), mails::attempts.eq(row.attempts + 1)))
        .execute(c).await?)
        == 1)
}

/// Tries a mail again at that time.
pub async fn later(conn: &mut Conn, id: &str, due_at: i64) -> Result<()> {
    on!(conn, c => diesel::update(mails::table.find(id)).set(mails::due_at.eq(due_at)).execute(c).await?);
    Ok(())
}

pub async fn delete(conn: &mut Conn, id: &str) -> Result<()> {
    on!(conn, c => diesel::delete(mails::table.find(id)).execute(c).await?);
    Ok(())
}

/// Takes away what an invitation still wanted to be sent.
pub async fn delete_of_invitation(conn: &mut Conn, invitation_id: &str) -> Result<()> {
    on!(conn, c => diesel::delete(mails::table.filter(mails::invitation_id.eq(invitation_id)))
        .execute(c).await?);
    Ok(())
}
