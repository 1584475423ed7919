//! The audit log. The database itself refuses to change or delete an entry.

use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel_async::RunQueryDsl;

use super::schema::{audit_log, audit_tips};
use super::{Conn, Result, on};

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = audit_log)]
pub struct AuditEntry {
    /// Whose chain it is: an organisation's id, or `installation`.
    pub organisation_id: String,
    /// Counts from 1 within the organisation, without gaps.
    pub sequence: i64,
    pub at: i64,
    pub actor_id: String,
    pub actor_name: String,
    pub action: String,
    pub subject: String,
    pub detail: String,
    pub previous_hash: String,
    pub hash: String,
    /// Over the hash, under a key that the database does not hold; empty in entries of old.
    pub seal: String,
}

/// Takes the next place in an organisation's chain; other writers of it wait until we commit.
/// Gives the sequence and the hash of the entry before.
pub async fn next(conn: &mut Conn, organisation_id: &str) -> Result<(i64, String)> {
    if !grow(conn, organisation_id).await? {
        on!(conn, c => diesel::insert_into(audit_tips::table)
            .values((
                audit_tips::organisation_id.eq(organisation_id),
                audit_tips::sequence.eq(0),
                audit_tips::hash.eq(""),
            ))
            .on_conflict(audit_tips::organisation_id)
            .do_nothing()
            .execute(c).await?);
        grow(conn, organisation_id).await?;
    }
    Ok(on!(conn, c => audit_tips::table
        .find(organisation_id)
        .select((audit_tips::sequence, audit_tips::hash))
        .first(c).await?))
}

async fn grow(conn: &mut Conn, organisation_id: &str) -> Result<bool> {
    Ok(on!(conn, c => diesel::update(audit_tips::table.find(organisation_id))
        .set(audit_tips::sequence.eq(audit_tips::sequence + 1))
        .execute(c).await?)
        == 1)
}

pub async fn append(conn: &mut Conn, row: &AuditEntry) -> Result<()> {
    on!(conn, c => diesel::insert_into(audit_log::table).values(row).execute(c).await?);
    on!(conn, c => diesel::update(audit_tips::table.find(&row.organisation_id))
        .set(audit_tips::hash.eq(&row.hash))
        .execute(c).await?);
    Ok(())
}

/// Which entries of a chain; none: all of them.
#[derive(Debug, Clone, Default)]
pub struct Only {
    /// The name or the id of who did it.
    pub actor: Option<String>,
    pub action: Option<String>,
    /// `organisation/project`, of slugs: what was done to it, or to something in it.
    pub place: Option<String>,
    /// From then on, in microseconds,
    pub since: Option<i64>,
    /// and before then.
    pub until: Option<i64>,
}

/// Entries below a sequence (exclusive), newest first.
pub async fn below(
    conn: &mut Conn,
    organisation_id: &str,
    only: &Only,
    sequence: i64,
    limit: i64,
) -> Result<Vec<AuditEntry>> {
    let (actor, action, place) = (&only.actor, &only.action, &only.place);
    let (since, until) = (only.since.unwrap_or(i64::MIN), only.until.unwrap_or(i64::MAX));
    let text = |wanted: &Option<String>| wanted.clone().unwrap_or_default();
    // No slug holds a sign that LIKE reads: `a/b/…`, `a/b in prod`, `service x of a/b/prod`.
    let slugs = text(place);
    let (inside, beside, of) = (format!("{slugs}/%"), format!("{slugs} %"), format!("% of {slugs}/%"));
    Ok(on!(conn, c => audit_log::table
        .filter(audit_log::organisation_id.eq(organisation_id))
        .filter(audit_log::sequence.lt(sequence))
        .filter(audit_log::at.ge(since))
        .filter(audit_log::at.lt(until))
        .filter(actor.is_none().into_sql::<Bool>()
            .or(audit_log::actor_id.eq(text(actor)))
            .or(audit_log::actor_name.eq(text(actor))))
        .filter(action.is_none().into_sql::<Bool>().or(audit_log::action.eq(text(action))))
        .filter(place.is_none().into_sql::<Bool>()
            .or(audit_log::subject.eq(slugs))
            .or(audit_log::subject.like(inside))
            .or(audit_log::subject.like(beside))
            .or(audit_log::subject.like(of)))
        .order(audit_log::sequence.desc())
        .limit(limit)
        .select(AuditEntry::as_select())
        .load(c).await?))
}

/// Entries above a sequence (exclusive), oldest first: for checking the chain.
pub async fn above(
    conn: &mut Conn,
    organisation_id: &str,
    sequence: i64,
    limit: i64,
) -> Result<Vec<AuditEntry>> {
    Ok(on!(conn, c => audit_log::table
        .filter(audit_log::organisation_id.eq(organisation_id))
        .filter(audit_log::sequence.gt(sequence))
        .order(audit_log::sequence.asc())
        .limit(limit)
        .select(AuditEntry::as_select())
        .load(c).await?))
}

/// The end of the chain as it was last written: sequence and hash.
pub async fn tip(conn: &mut Conn, organisation_id: &str) -> Result<Option<(i64, String)>> {
    Ok(on!(conn, c => audit_tips::table
        .find(organisation_id)
        .select((audit_tips::sequence, audit_tips::hash))
        .first(c).await.optional()?))
}
