//! What webhooks were told of agents: each thing once, by who hears of it first of all processes.

use diesel::prelude::*;
use diesel::upsert::excluded;
use diesel_async::RunQueryDsl;

use super::schema::agent_told;
use super::{Conn, Result, on, on_rows};

/// What is told of an agent that does not hear FORGE; of one that refused a publication, that is the publication's id.
pub const STALE: &str = "stale";
/// Names that one query asks for.
const NAMES: usize = 500;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Queryable, Selectable, Insertable)]
#[diesel(table_name = agent_told)]
pub struct Told {
    pub environment_id: String,
    pub agent: String,
    /// [`STALE`], or the id of a publication.
    pub what: String,
    /// Of who tells it.
    pub token: String,
    pub told_at: i64,
    /// Whether it is over, and may be told again.
    pub ended: bool,
}

/// Takes what is to be told: what nobody told yet, and what ended and was told before `before`. Which of the rows were
/// taken is found by their token ([`taken`]); they come in one order from everybody, sorted.
pub async fn take(conn: &mut Conn, rows: &[Told], before: i64) -> Result<()> {
    on_rows!(conn, rows, rows => diesel::query_dsl::methods::FilterDsl::filter(
        diesel::insert_into(agent_told::table)
            .values(rows)
            .on_conflict((agent_told::environment_id, agent_told::agent, agent_told::what))
            .do_update()
            .set((
                agent_told::token.eq(excluded(agent_told::token)),
                agent_told::told_at.eq(excluded(agent_told::told_at)),
                agent_told::ended.eq(excluded(agent_told::ended)),
            )),
        agent_told::ended.eq(true).and(agent_told::told_at.lt(before)),
    ));
    Ok(())
}

/// What was taken under a token.
pub async fn taken(conn: &mut Conn, token: &str) -> Result<Vec<Told>> {
    Ok(on!(conn, c => agent_told::table
        .filter(agent_told::token.eq(token))
        .select(Told::as_select())
        .load(c).await?))
}

/// Notes that these agents of an environment hear FORGE.
pub async fn end_stale(conn: &mut Conn, environment_id: &str, names: &[String]) -> Result<()> {
    for names in names.chunks(NAMES) {
        on!(&mut *conn, c => diesel::update(agent_told::table
                .filter(agent_told::environment_id.eq(environment_id))
                .filter(agent_told::what.eq(STALE))
                .filter(agent_told::ended.eq(false))
                .filter(agent_told::agent.eq_any(names)))
            .set(agent_told::ended.eq(true))
            .execute(c).await?);
    }
    Ok(())
}

/// Of these agents of an environment, those that are stale anew and were told of too lately.
pub async fn held_back(conn: &mut Conn, environment_id: &str, names: &[String]) -> Result<Vec<String>> {
    let mut out = Vec::new();
    for names in names.chunks(NAMES) {
        out.extend(on!(&mut *conn, c => agent_told::table
            .filter(agent_told::environment_id.eq(environment_id))
            .filter(agent_told::what.eq(STALE))
            .filter(agent_told::ended.eq(true))
            .filter(agent_told::agent.eq_any(names))
            .select(agent_told::agent)
            .load::<String>(c).await?));
    }
    Ok(out)
}

/// Forgets what was told of an agent that is no longer listed.
pub async fn forget(conn: &mut Conn, environment_id: &str, agent: &str) -> Result<()> {
    on!(conn, c => diesel::delete(agent_told::table
            .filter(agent_told::environment_id.eq(environment_id))
            .filter(agent_told::agent.eq(agent)))
        .execute(c).await?);
    Ok(())
}
