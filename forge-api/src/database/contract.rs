//! Contracts: each once in an environment, and which agents announced it.

use diesel::dsl::not;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::schema::{agent_contracts, agents, contracts};
use super::{Conn, Result, on, on_rows};

/// Digests that one query asks for.
const DIGESTS: usize = 500;

/// What a program was built for.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = contracts, treat_none_as_default_value = false)]
pub struct StoredContract {
    pub environment_id: String,
    pub digest: String,
    pub set_slug: String,
    pub version: String,
    /// A [`schemas::contract::Contract`], as canonical JSON.
    pub body: String,
    /// Bytes of the body.
    pub size: i64,
}

/// That an agent announced a contract.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = agent_contracts, treat_none_as_default_value = false)]
pub struct AgentContract {
    pub environment_id: String,
    pub agent: String,
    pub digest: String,
    pub set_slug: String,
    pub announced_at: i64,
}

/// The digests that an agent announced, in their order.
pub async fn of_agent(conn: &mut Conn, environment_id: &str, agent: &str) -> Result<Vec<String>> {
    Ok(on!(conn, c => agent_contracts::table
        .filter(agent_contracts::environment_id.eq(environment_id))
        .filter(agent_contracts::agent.eq(agent))
        .order(agent_contracts::digest.asc())
        .select(agent_contracts::digest)
        .load(c).await?))
}

/// Takes away what an agent announced.
pub async fn forget(conn: &mut Conn, environment_id: &str, agent: &str) -> Result<()> {
    on!(conn, c => diesel::delete(agent_contracts::table
            .filter(agent_contracts::environment_id.eq(environment_id))
            .filter(agent_contracts::agent.eq(agent)))
        .execute(c).await?);
    Ok(())
}

/// Writes contracts; those that are there stay.
pub async fn put(conn: &mut Conn, rows: &[StoredContract]) -> Result<()> {
    on_rows!(conn, rows, rows => diesel::insert_into(contracts::table)
        .values(rows)
        .on_conflict((contracts::environment_id, contracts::digest))
        .do_nothing());
    Ok(())
}

/// Writes who announced what; the rows must be new.
pub async fn announce(conn: &mut Conn, rows: &[AgentContract]) -> Result<()> {
    on_rows!(conn, rows, rows => diesel::insert_into(agent_contracts::table).values(rows));
    Ok(())
}

/// Digest and bytes of every contract of an environment.
pub async fn sizes(conn: &mut Conn, environment_id: &str) -> Result<Vec<(String, i64)>> {
    Ok(on!(conn, c => contracts::table
        .filter(contracts::environment_id.eq(environment_id))
        .select((contracts::digest, contracts::size))
        .load(c).await?))
}

/// Deletes the contracts of an environment that no agent announces any more.
pub async fn sweep(conn: &mut Conn, environment_id: &str) -> Result<usize> {
    let used = agent_contracts::table
        .filter(agent_contracts::environment_id.eq(environment_id))
        .select(agent_contracts::digest);
    Ok(on!(conn, c => diesel::delete(contracts::table
            .filter(contracts::environment_id.eq(environment_id))
            .filter(not(contracts::digest.eq_any(used))))
        .execute(c).await?))
}

/// Deletes these contracts of an environment.
pub async fn delete(conn: &mut Conn, environment_id: &str, digests: &[String]) -> Result<()> {
    on!(conn, c => diesel::delete(contracts::table
            .filter(contracts::environment_id.eq(environment_id))
            .filter(contracts::digest.eq_any(digests)))
        .execute(c).await?);
    Ok(())
}

/// Deletes what agents announced that are not listed or were not heard since `before`; of the listed ones it is noted
/// that theirs are not kept. Not that of `but`.
pub async fn forget_away(conn: &mut Conn, environment_id: &str, before: i64, but: &str) -> Result<usize> {
    let announcing = agent_contracts::table
        .filter(agent_contracts::environment_id.eq(environment_id))
        .select(agent_contracts::agent);
    on!(&mut *conn, c => diesel::update(agents::table
            .filter(agents::environment_id.eq(environment_id))
            .filter(agents::last_seen_at.lt(before))
            .filter(agents::name.ne(but))
            .filter(agents::name.eq_any(announcing)))
        .set(agents::contracts_kept.eq(false))
        .execute(c).await?);
    let heard = agents::table
        .filter(agents::environment_id.eq(environment_id))
        .filter(agents::last_seen_at.ge(before))
        .select(agents::name);
    Ok(on!(conn, c => diesel::delete(agent_contracts::table
            .filter(agent_contracts::environment_id.eq(environment_id))
            .filter(agent_contracts::agent.ne(but))
            .filter(not(agent_contracts::agent.eq_any(heard))))
        .execute(c).await?))
}

/// The digests that this agent announced and no other one.
pub async fn only_of(conn: &mut Conn, environment_id: &str, agent: &str) -> Result<Vec<String>> {
    let mine = of_agent(conn, environment_id, agent).await?;
    let asked = mine.as_slice();
    let shared: Vec<String> = on!(conn, c => agent_contracts::table
        .filter(agent_contracts::environment_id.eq(environment_id))
        .filter(agent_contracts::agent.ne(agent))
        .filter(agent_contracts::digest.eq_any(asked))
        .select(agent_contracts::digest)
        .distinct()
        .load(c).await?);
    Ok(mine.into_iter().filter(|digest| !shared.contains(digest)).collect())
}

/// Notes whether what an agent announced is kept.
pub async fn set_kept(conn: &mut Conn, environment_id: &str, agent: &str, kept: bool) -> Result<()> {
    on!(conn, c => diesel::update(agents::table
            .filter(agents::environment_id.eq(environment_id))
            .filter(agents::name.eq(agent))
            .filter(agents::contracts_kept.ne(kept)))
        .set(agents::contracts_kept.eq(kept))
        .execute(c).await?);
    Ok(())
}

/// How many agents that were heard since announced contracts that are not kept.
pub async fn not_kept(conn: &mut Conn, environment_id: &str, since: i64) -> Result<i64> {
    Ok(on!(conn, c => agents::table
        .filter(agents::environment_id.eq(environment_id))
        .filter(agents::last_seen_at.ge(since))
        .filter(agents::contracts_kept.eq(false))
        .count()
        .get_result(c).await?))
}

/// Whether anybody announced a contract of a set.
pub async fn is_announced(conn: &mut Conn, environment_id: &str, set_slug: &str) -> Result<bool> {
    let one: Option<String> = on!(conn, c => agent_contracts::table
        .filter(agent_contracts::environment_id.eq(environment_id))
        .filter(agent_contracts::set_slug.eq(set_slug))
        .select(agent_contracts::agent)
        .first(c).await.optional()?);
    Ok(one.is_some())
}

/// Who announced a contract of a set, by agent.
pub async fn announced(conn: &mut Conn, environment_id: &str, set_slug: &str) -> Result<Vec<AgentContract>> {
    Ok(on!(conn, c => agent_contracts::table
        .filter(agent_contracts::environment_id.eq(environment_id))
        .filter(agent_contracts::set_slug.eq(set_slug))
        .order((agent_contracts::agent.asc(), agent_contracts::digest.asc()))
        .select(AgentContract::as_select())
        .load(c).await?))
}

/// The contracts with these digests.
pub async fn by_digests(
    conn: &mut Conn,
    environment_id: &str,
    digests: &[String],
) -> Result<Vec<StoredContract>> {
    let mut out = Vec::with_capacity(digests.len());
    for digests in digests.chunks(DIGESTS) {
        out.extend(on!(&mut *conn, c => contracts::table
            .filter(contracts::environment_id.eq(environment_id))
            .filter(contracts::digest.eq_any(digests))
            .select(StoredContract::as_select())
            .load(c).await?));
    }
    Ok(out)
}

/// Digest and version of every contract of a set in an environment.
pub async fn versions(
    conn: &mut Conn,
    environment_id: &str,
    set_slug: &str,
) -> Result<Vec<(String, String)>> {
    Ok(on!(conn, c => contracts::table
        .filter(contracts::environment_id.eq(environment_id))
        .filter(contracts::set_slug.eq(set_slug))
        .select((contracts::digest, contracts::version))
        .load(c).await?))
}
