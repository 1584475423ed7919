//! Webhooks, and what is sent to them: the outbox as long as a delivery waits, the log afterwards.

use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel_async::RunQueryDsl;

use super::schema::{webhook_deliveries as deliveries, webhooks};
use super::{Conn, Result, on};

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = webhooks, treat_none_as_default_value = false)]
pub struct Webhook {
    pub id: String,
    pub organisation_id: String,
    /// None: all projects of the organisation.
    pub project_id: Option<String>,
    pub name: String,
    pub url: String,
    /// `json` or `slack`.
    pub kind: String,
    /// Names, separated by spaces.
    pub events: String,
    /// Sealed.
    pub secret: Vec<u8>,
    pub enabled: bool,
    pub created_by: String,
    pub created_at: i64,
    pub updated_at: i64,
}

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = deliveries, treat_none_as_default_value = false)]
pub struct Delivery {
    pub id: String,
    pub webhook_id: String,
    pub event: String,
    pub subject: String,
    /// JSON, as it is signed and sent.
    pub payload: String,
    /// `waiting`, `delivered` or `failed`.
    pub state: String,
    pub attempts: i64,
    pub not_before: i64,
    pub lease_until: i64,
    pub created_at: i64,
    /// When it was tried last.
    pub sent_at: Option<i64>,
    /// Of the last answer.
    pub status: Option<i64>,
    pub duration_us: Option<i64>,
    /// How the last answer begins.
    pub answer: Option<String>,
    pub error: Option<String>,
}

/// What became of an attempt.
#[derive(Debug, Clone)]
pub struct Attempt {
    pub state: &'static str,
    pub not_before: i64,
    pub sent_at: i64,
    pub status: Option<i64>,
    pub duration_us: i64,
    pub answer: Option<String>,
    pub error: Option<String>,
}

pub async fn insert(conn: &mut Conn, row: &Webhook) -> Result<()> {
    on!(conn, c => diesel::insert_into(webhooks::table).values(row).execute(c).await?);
    Ok(())
}

/// Changes everything that people say of a webhook, and its secret.
pub async fn update(conn: &mut Conn, row: &Webhook) -> Result<()> {
    on!(conn, c => diesel::update(webhooks::table.find(&row.id))
        .set((
            webhooks::project_id.eq(&row.project_id),
            webhooks::name.eq(&row.name),
            webhooks::url.eq(&row.url),
            webhooks::kind.eq(&row.kind),
            webhooks::events.eq(&row.events),
            webhooks::secret.eq(&row.secret),
            webhooks::enabled.eq(row.enabled),
            webhooks::updated_at.eq(row.updated_at),
        ))
        .execute(c).await?);
    Ok(())
}

/// Removes a webhook with its log.
pub async fn delete(conn: &mut Conn, id: &str) -> Result<()> {
    on!(&mut *conn, c => diesel::delete(deliveries::table.filter(deliveries::webhook_id.eq(id)))
        .execute(c).await?);
    on!(conn, c => diesel::delete(webhooks::table.find(id)).execute(c).await?);
    Ok(())
}

pub async fn by_id(conn: &mut Conn, id: &str) -> Result<Option<Webhook>> {
    Ok(on!(conn, c => webhooks::table
        .find(id)
        .select(Webhook::as_select())
        .first(c).await.optional()?))
}

/// The webhooks of an organisation, oldest first.
pub async fn of_organisation(conn: &mut Conn, organisation_id: &str) -> Result<Vec<Webhook>> {
    Ok(on!(conn, c => webhooks::table
        .filter(webhooks::organisation_id.eq(organisation_id))
        .order(webhooks::id.asc())
        .select(Webhook::as_select())
        .load(c).await?))
}

pub async fn enqueue(conn: &mut Conn, rows: &[Delivery]) -> Result<()> {
    for row in rows {
        on!(&mut *conn, c => diesel::insert_into(deliveries::table).values(row).execute(c).await?);
    }
    Ok(())
}

/// How many deliveries of a webhook wait.
pub async fn waiting(conn: &mut Conn, webhook_id: &str) -> Result<i64> {
    Ok(on!(conn, c => deliveries::table
        .filter(deliveries::webhook_id.eq(webhook_id))
        .filter(deliveries::state.eq("waiting"))
        .count()
        .get_result(c).await?))
}

/// What is to be sent now, oldest first.
pub async fn due(conn: &mut Conn, now: i64, limit: i64) -> Result<Vec<Delivery>> {
    Ok(on!(conn, c => deliveries::table
        .filter(deliveries::state.eq("waiting"))
        .filter(deliveries::not_before.le(now))
        .filter(deliveries::lease_until.le(now))
        .order(deliveries::not_before.asc())
        .limit(limit)
        .select(Delivery::as_select())
        .load(c).await?))
}

/// Takes a delivery until `until`, unless somebody else has it.
pub async fn claim(conn: &mut Conn, id: &str, now: i64, until: i64) -> Result<bool> {
    Ok(on!(conn, c => diesel::update(deliveries::table
            .filter(deliveries::id.eq(id))
            .filter(deliveries::state.eq("waiting"))
            .filter(deliveries::lease_until.le(now)))
        .set(deliveries::lease_until.eq(until))
        .execute(c).await?)
        == 1)
}

/// Writes down an attempt, and gives the delivery back.
pub async fn attempted(conn: &mut Conn, id: &str, attempt: &Attempt) -> Result<()> {
    on!(conn, c => diesel::update(deliveries::table.find(id))
        .set((
            deliveries::state.eq(attempt.state),
            deliveries::attempts.eq(deliveries::attempts + 1),
            deliveries::not_before.eq(attempt.not_before),
            deliveries::lease_until.eq(0),
            deliveries::sent_at.eq(attempt.sent_at),
            deliveries::status.eq(attempt.status),
            deliveries::duration_us.eq(attempt.duration_us),
            deliveries::answer.eq(&attempt.answer),
            deliveries::error.eq(&attempt.error),
        ))
        .execute(c).await?);
    Ok(())
}

pub async fn delivery(conn: &mut Conn, webhook_id: &str, id: &str) -> Result<Option<Delivery>> {
    Ok(on!(conn, c => deliveries::table
        .filter(deliveries::webhook_id.eq(webhook_id))
        .filter(deliveries::id.eq(id))
        .select(Delivery::as_select())
        .first(c).await.optional()?))
}

/// Deliveries of a webhook below an id (exclusive; they sort by time), newest first; of one state, or of all.
pub async fn log(
    conn: &mut Conn,
    webhook_id: &str,
    state: Option<&str>,
    below: &str,
    limit: i64,
) -> Result<Vec<Delivery>> {
    Ok(on!(conn, c => deliveries::table
        .filter(deliveries::webhook_id.eq(webhook_id))
        .filter(deliveries::id.lt(below))
        .filter(state.is_none().into_sql::<Bool>().or(deliveries::state.eq(state.unwrap_or_default())))
        .order(deliveries::id.desc())
        .limit(limit)
        .select(Delivery::as_select())
        .load(c).await?))
}

/// Forgets what was delivered, or failed, before.
pub async fn prune(conn: &mut Conn, before: i64) -> Result<()> {
    on!(conn, c => diesel::delete(deliveries::table
            .filter(deliveries::state.ne("waiting"))
            .filter(deliveries::created_at.lt(before)))
        .execute(c).await?);
    Ok(())
}
