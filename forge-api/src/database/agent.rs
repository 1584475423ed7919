//! Agents and their answers to publications.

use diesel::prelude::*;

use diesel::upsert::excluded;
use diesel_async::RunQueryDsl;

use super::schema::{acknowledgements, agents};
use super::{Conn, Result, on, on_rows};

/// Names that one query asks for.
const NAMES: usize = 500;

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = agents, treat_none_as_default_value = false)]
pub struct Agent {
    pub environment_id: String,
    pub name: String,
    pub identity: String,
    pub host: String,
    pub service: String,
    pub agent_version: String,
    /// `ACCEPTING` or `FROZEN`.
    pub mode: String,
    pub stale: bool,
    pub stream_floor: i64,
    pub cache: String,
    /// The last [`schemas::status::AgentStatus`], as JSON.
    pub status: String,
    pub consumer: Option<String>,
    pub started_at: i64,
    pub first_seen_at: i64,
    pub last_seen_at: i64,
    pub disconnected_at: Option<i64>,
    /// Who set the mode: `configuration`, `local`, `forge` or `unknown`.
    pub mode_by: String,
    /// The newest order that it answered, and how: `done`, `forbidden` or `unknown`.
    pub order_number: Option<i64>,
    pub order_result: Option<String>,
}

/// The last answer of one agent to one publication.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = acknowledgements, treat_none_as_default_value = false)]
pub struct Acknowledgement {
    pub publication_id: String,
    pub agent: String,
    /// `delivered`, `verified`, `pinned`, `active` or `refused`.
    pub state: String,
    pub reason_code: Option<String>,
    pub reason: Option<String>,
    /// By the agent's clock.
    pub activated_at: Option<i64>,
    /// By ours.
    pub answered_at: i64,
}

/// Writes what agents said about themselves. Consumer and first sight are kept.
pub async fn put_all(conn: &mut Conn, rows: &[Agent]) -> Result<()> {
    on_rows!(conn, rows, rows => diesel::insert_into(agents::table)
    .values(rows)
    .on_conflict((agents::environment_id, agents::name))
    .do_update()
    .set((
        agents::identity.eq(excluded(agents::identity)),
        agents::host.eq(excluded(agents::host)),
        agents::service.eq(excluded(agents::service)),
        agents::agent_version.eq(excluded(agents::agent_version)),
        agents::mode.eq(excluded(agents::mode)),
        agents::stale.eq(excluded(agents::stale)),
        agents::stream_floor.eq(excluded(agents::stream_floor)),
        agents::cache.eq(excluded(agents::cache)),
        agents::status.eq(excluded(agents::status)),
        agents::started_at.eq(excluded(agents::started_at)),
        agents::last_seen_at.eq(excluded(agents::last_seen_at)),
        agents::disconnected_at.eq(excluded(agents::disconnected_at)),
        agents::mode_by.eq(excluded(agents::mode_by)),
        agents::order_number.eq(excluded(agents::order_number)),
        agents::order_result.eq(excluded(agents::order_result)),
    )));
    Ok(())
}

/// Writes answers. An `active` one is final: what comes later about the same publication from the
/// same agent does not change when it was answered.
pub async fn put_acknowledgements(conn: &mut Conn, rows: &[Acknowledgement]) -> Result<()> {
    on_rows!(conn, rows, rows => diesel::query_dsl::methods::FilterDsl::filter(
        diesel::insert_into(acknowledgements::table)
            .values(rows)
            .on_conflict((acknowledgements::publication_id, acknowledgements::agent))
            .do_update()
            .set((
                acknowledgements::state.eq(excluded(acknowledgements::state)),
                acknowledgements::reason_code.eq(excluded(acknowledgements::reason_code)),
                acknowledgements::reason.eq(excluded(acknowledgements::reason)),
                acknowledgements::activated_at.eq(excluded(acknowledgements::activated_at)),
                acknowledgements::answered_at.eq(excluded(acknowledgements::answered_at)),
            )),
        acknowledgements::state.ne("active"),
    ));
    Ok(())
}

pub async fn acknowledgements(conn: &mut Conn, publication_id: &str) -> Result<Vec<Acknowledgement>> {
    Ok(on!(conn, c => acknowledgements::table
        .filter(acknowledgements::publication_id.eq(publication_id))
        .select(Acknowledgement::as_select())
        .load(c).await?))
}

pub async fn of_environment(conn: &mut Conn, environment_id: &str) -> Result<Vec<Agent>> {
    Ok(on!(conn, c => agents::table
        .filter(agents::environment_id.eq(environment_id))
        .order(agents::name.asc())
        .select(Agent::as_select())
        .load(c).await?))
}

pub async fn find(conn: &mut Conn, environment_id: &str, name: &str) -> Result<Option<Agent>> {
    Ok(on!(conn, c => agents::table
        .find((environment_id, name))
        .select(Agent::as_select())
        .first(c).await.optional()?))
}

/// What an agent is to orders, without all that it said.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = agents)]
pub struct Obeying {
    pub name: String,
    pub service: String,
    pub mode: String,
    pub order_number: Option<i64>,
    pub order_result: Option<String>,
}

/// What the agents of an environment are to orders.
pub async fn obeying(conn: &mut Conn, environment_id: &str) -> Result<Vec<Obeying>> {
    Ok(on!(conn, c => agents::table
        .filter(agents::environment_id.eq(environment_id))
        .select(Obeying::as_select())
        .load(c).await?))
}

/// The names of the agents of a service.
pub async fn of_service(conn: &mut Conn, environment_id: &str, service: &str) -> Result<Vec<String>> {
    Ok(on!(conn, c => agents::table
        .filter(agents::environment_id.eq(environment_id))
        .filter(agents::service.eq(service))
        .select(agents::name)
        .load(c).await?))
}

/// The names of an environment's agents.
pub async fn names(conn: &mut Conn, environment_id: &str) -> Result<Vec<String>> {
    Ok(on!(conn, c => agents::table
        .filter(agents::environment_id.eq(environment_id))
        .select(agents::name)
        .load(c).await?))
}

/// An agent and when it was heard.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = agents)]
pub struct Heard {
    pub name: String,
    pub service: String,
    pub last_seen_at: i64,
    pub disconnected_at: Option<i64>,
}

/// The agents of an environment that were heard since, by name.
pub async fn heard_in(conn: &mut Conn, environment_id: &str, since: i64) -> Result<Vec<Heard>> {
    Ok(on!(conn, c => agents::table
        .filter(agents::environment_id.eq(environment_id))
        .filter(agents::last_seen_at.ge(since))
        .order(agents::name.asc())
        .select(Heard::as_select())
        .load(c).await?))
}

/// Which of these agents were heard since.
pub async fn heard_of(
    conn: &mut Conn,
    environment_id: &str,
    since: i64,
    names: &[String],
) -> Result<Vec<String>> {
    let mut out = Vec::new();
    for names in names.chunks(NAMES) {
        out.extend(on!(&mut *conn, c => agents::table
            .filter(agents::environment_id.eq(environment_id))
            .filter(agents::last_seen_at.ge(since))
            .filter(agents::name.eq_any(names))
            .select(agents::name)
            .load::<String>(c).await?));
    }
    Ok(out)
}

/// Whether there is room for one more agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Room {
    /// There is, or it is listed already.
    There,
    /// That of this one, which was not heard for long and is no longer listed.
    Of(String),
    None,
}

/// Room for the agent `name` among `max` of an environment; of those that were not heard since `before`, the one that
/// was silent the longest makes it.
pub async fn make_room(
    conn: &mut Conn,
    environment_id: &str,
    name: &str,
    max: u32,
    before: i64,
) -> Result<Room> {
    if find(conn, environment_id, name).await?.is_some() {
        return Ok(Room::There);
    }
    let count: i64 = on!(&mut *conn, c => agents::table
        .filter(agents::environment_id.eq(environment_id))
        .count()
        .get_result(c).await?);
    if count < i64::from(max) {
        return Ok(Room::There);
    }
    let silent: Option<String> = on!(&mut *conn, c => agents::table
        .filter(agents::environment_id.eq(environment_id))
        .filter(agents::last_seen_at.lt(before))
        .order(agents::last_seen_at.asc())
        .select(agents::name)
        .first(c).await.optional()?);
    let Some(silent) = silent else { return Ok(Room::None) };
    let gone = silent.as_str();
    on!(&mut *conn, c => diesel::delete(agents::table.find((environment_id, gone))).execute(c).await?);
    // What it used stays known for a while: it may come back, and tell it all again.
    super::contract::forget(&mut *conn, environment_id, gone).await?;
    super::told::forget(conn, environment_id, gone).await?;
    Ok(Room::Of(silent))
}

pub async fn set_consumer(
    conn: &mut Conn,
    environment_id: &str,
    name: &str,
    consumer: Option<&str>,
) -> Result<()> {
    on!(conn, c => diesel::update(agents::table.find((environment_id, name)))
        .set(agents::consumer.eq(consumer))
        .execute(c).await?);
    Ok(())
}

/// Notes that an agent's connection ended.
pub async fn disconnected(conn: &mut Conn, environment_id: &str, name: &str, at: i64) -> Result<()> {
    on!(conn, c => diesel::update(agents::table.find((environment_id, name)))
        .set(agents::disconnected_at.eq(at))
        .execute(c).await?);
    Ok(())
}

/// How many agents were heard since, and how many of them are stale.
pub async fn heard_since(conn: &mut Conn, since: i64) -> Result<(i64, i64)> {
    let heard = on!(&mut *conn, c => agents::table
        .filter(agents::last_seen_at.gt(since))
        .count()
        .get_result(c).await?);
    let stale = on!(conn, c => agents::table
        .filter(agents::last_seen_at.gt(since))
        .filter(agents::stale.eq(true))
        .count()
        .get_result(c).await?);
    Ok((heard, stale))
}
