//! What dashboards count, of many projects at once: a fixed number of queries, however many there are.

use std::collections::HashMap;

use diesel::dsl::{count_star, exists, max, sql};
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl;

use super::project::Environment;
use super::prompt_set::PromptSet;
use super::review::Review;
use super::schema::{
    acknowledgements, agents, credentials, dismissals, environments, heads, projects, prompt_sets, prompts,
    publications, reviews, versions,
};
use super::version::{self, Version};
use super::{Conn, Result, on};

/// Ids that one query asks for: SQLite takes 32,766 values in one.
const IDS: usize = 8000;

/// What is live of a set in an environment, without what is signed.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = publications)]
pub struct Head {
    pub id: String,
    pub project_id: String,
    pub environment_id: String,
    pub set_id: String,
    pub version_id: String,
    pub number: i64,
    pub rollback: bool,
    /// `waiting`, `sent`, `superseded` or `failed`.
    pub state: String,
    pub error: Option<String>,
    pub created_at: i64,
}

/// What is live of a set in an environment, with the words that people know both by.
#[derive(Debug, Clone)]
pub struct HeadAt {
    pub head: Head,
    /// Whether an agent refused it.
    pub refused: bool,
    /// Slug.
    pub environment: String,
    /// Slug.
    pub set: String,
}

/// The version of a set that was locked last.
#[derive(Debug, Clone)]
pub struct Newest {
    pub set_id: String,
    pub project_id: String,
    pub version_id: String,
    pub created_at: i64,
}

/// How many agents an environment has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Queryable)]
pub struct AgentTally {
    pub agents: i64,
    /// Not heard lately.
    pub unreachable: i64,
    /// Of those, the ones that were heard within a day.
    pub lost: i64,
    /// Heard lately, and without word of FORGE for long.
    pub stale: i64,
}

/// The agents of an environment, with its place.
#[derive(Debug, Clone, Queryable)]
pub struct AgentsAt {
    pub project_id: String,
    /// Slug.
    pub environment: String,
    pub tally: AgentTally,
}

/// A credential that ends.
#[derive(Debug, Clone, Queryable)]
pub struct Ending {
    pub project_id: String,
    /// Slug of its environment.
    pub environment: String,
    pub name: String,
    pub expires_at: Option<i64>,
}

/// When an agent counts as not heard lately, and when as away for good.
#[derive(Debug, Clone, Copy)]
pub struct Since {
    pub silent: i64,
    pub away: i64,
}

/// The projects in use of an organisation, by slug: id and slug.
pub async fn projects_in(conn: &mut Conn, organisation_id: &str) -> Result<Vec<(String, String)>> {
    Ok(on!(conn, c => projects::table
        .filter(projects::organisation_id.eq(organisation_id))
        .filter(projects::archived_at.is_null())
        .order(projects::slug.asc())
        .select((projects::id, projects::slug))
        .load(c).await?))
}

/// The environments of projects, in their order.
pub async fn environments_of(conn: &mut Conn, projects: &[&str]) -> Result<Vec<Environment>> {
    let mut out = Vec::new();
    for ids in projects.chunks(IDS) {
        let rows: Vec<Environment> = on!(&mut *conn, c => environments::table
            .filter(environments::project_id.eq_any(ids))
            .order((environments::position.asc(), environments::slug.asc()))
            .select(Environment::as_select())
            .load(c).await?);
        out.extend(rows);
    }
    Ok(out)
}

/// The sets of projects, by name.
pub async fn sets_of(conn: &mut Conn, projects: &[&str]) -> Result<Vec<PromptSet>> {
    let mut out = Vec::new();
    for ids in projects.chunks(IDS) {
        let rows: Vec<PromptSet> = on!(&mut *conn, c => prompt_sets::table
            .filter(prompt_sets::project_id.eq_any(ids))
            .order(prompt_sets::slug.asc())
            .select(PromptSet::as_select())
            .load(c).await?);
        out.extend(rows);
    }
    Ok(out)
}

/// What is live in the projects in use of an organisation, by the order of environments.
pub async fn heads_in(conn: &mut Conn, organisation_id: &str) -> Result<Vec<HeadAt>> {
    let refused = exists(
        acknowledgements::table
            .filter(acknowledgements::publication_id.eq(publications::id))
            .filter(acknowledgements::state.eq("refused")),
    );
    let found: Vec<(Head, bool, String, String)> = on!(conn, c => heads::table
        .inner_join(environments::table.on(environments::id.eq(heads::environment_id)))
        .inner_join(projects::table.on(projects::id.eq(environments::project_id)))
        .inner_join(publications::table.on(heads::publication_id.eq(publications::id.nullable())))
        .inner_join(prompt_sets::table.on(prompt_sets::id.eq(heads::set_id)))
        .filter(projects::organisation_id.eq(organisation_id))
        .filter(projects::archived_at.is_null())
        .order((environments::position.asc(), environments::slug.asc()))
        .select((Head::as_select(), refused, environments::slug, prompt_sets::slug))
        .load(c).await?);
    let told =
        found.into_iter().map(|(head, refused, environment, set)| HeadAt { head, refused, environment, set });
    Ok(told.collect())
}

/// How many prompts each of these sets has.
pub async fn prompts_of(conn: &mut Conn, sets: &[&str]) -> Result<HashMap<String, i64>> {
    let mut out = HashMap::new();
    for ids in sets.chunks(IDS) {
        let rows: Vec<(String, i64)> = on!(&mut *conn, c => prompts::table
            .filter(prompts::set_id.eq_any(ids))
            .group_by(prompts::set_id)
            .select((prompts::set_id, count_star()))
            .load(c).await?);
        out.extend(rows);
    }
    Ok(out)
}

/// The version of each of these sets that was locked last, and when. Ids grow with time.
pub async fn newest_locked(conn: &mut Conn, sets: &[&str]) -> Result<HashMap<String, (String, i64)>> {
    let mut out = HashMap::new();
    for ids in sets.chunks(IDS) {
        let rows: Vec<(String, Option<String>, Option<i64>)> = on!(&mut *conn, c => versions::table
            .filter(versions::set_id.eq_any(ids))
            .filter(versions::kind.eq("locked"))
            .group_by(versions::set_id)
            .select((versions::set_id, max(versions::id), max(versions::created_at)))
            .load(c).await?);
        out.extend(rows.into_iter().filter_map(|(set, id, at)| Some((set, (id?, at?)))));
    }
    Ok(out)
}

/// The version that was locked last of each set in use of an organisation that has one. Ids grow with time.
pub async fn newest_locked_in(conn: &mut Conn, organisation_id: &str) -> Result<Vec<Newest>> {
    let rows: Vec<(String, String, Option<String>, Option<i64>)> = on!(conn, c => versions::table
        .inner_join(prompt_sets::table.on(prompt_sets::id.eq(versions::set_id)))
        .inner_join(projects::table.on(projects::id.eq(prompt_sets::project_id)))
        .filter(projects::organisation_id.eq(organisation_id))
        .filter(projects::archived_at.is_null())
        .filter(prompt_sets::archived_at.is_null())
        .filter(versions::kind.eq("locked"))
        .group_by((versions::set_id, prompt_sets::project_id))
        .select((versions::set_id, prompt_sets::project_id, max(versions::id), max(versions::created_at)))
        .load(c).await?);
    let newest = rows.into_iter().filter_map(|(set_id, project_id, id, at)| {
        Some(Newest { set_id, project_id, version_id: id?, created_at: at? })
    });
    Ok(newest.collect())
}

/// What these versions are called. Nothing is read that stands behind their bodies.
pub async fn version_names(conn: &mut Conn, ids: &[&str]) -> Result<HashMap<String, String>> {
    let mut out = HashMap::new();
    for ids in ids.chunks(IDS) {
        let rows: Vec<(String, String)> = on!(&mut *conn, c => versions::table
            .filter(versions::id.eq_any(ids))
            .select((versions::id, versions::version))
            .load(c).await?);
        out.extend(rows);
    }
    Ok(out)
}

/// Versions by their ids.
pub async fn versions_by_ids(conn: &mut Conn, ids: &[&str]) -> Result<HashMap<String, Version>> {
    let mut out = HashMap::new();
    for ids in ids.chunks(IDS) {
        out.extend(version::by_ids(conn, ids).await?.into_iter().map(|v| (v.id.clone(), v)));
    }
    Ok(out)
}

/// How many agents answered each of these publications how: publication, state, agents.
pub async fn answers_to(conn: &mut Conn, publications: &[&str]) -> Result<Vec<(String, String, i64)>> {
    let mut out = Vec::new();
    for ids in publications.chunks(IDS) {
        let rows: Vec<(String, String, i64)> = on!(&mut *conn, c => acknowledgements::table
            .filter(acknowledgements::publication_id.eq_any(ids))
            .group_by((acknowledgements::publication_id, acknowledgements::state))
            .select((acknowledgements::publication_id, acknowledgements::state, count_star()))
            .load(c).await?);
        out.extend(rows);
    }
    Ok(out)
}

/// Who refused one of these publications: publication and agent.
pub async fn refusals_of(conn: &mut Conn, publications: &[&str]) -> Result<Vec<(String, String)>> {
    let mut out = Vec::new();
    for ids in publications.chunks(IDS) {
        let rows: Vec<(String, String)> = on!(&mut *conn, c => acknowledgements::table
            .filter(acknowledgements::publication_id.eq_any(ids))
            .filter(acknowledgements::state.eq("refused"))
            .select((acknowledgements::publication_id, acknowledgements::agent))
            .load(c).await?);
        out.extend(rows);
    }
    Ok(out)
}

/// How many rows of a group this is true of.
fn how_many(condition: &str) -> SqlLiteral<BigInt> {
    sql(&format!("COALESCE(SUM(CASE WHEN {condition} THEN 1 ELSE 0 END), 0)"))
}

/// What makes an agent count as gone: not heard lately, or its connection ended after it was.
fn gone(silent: i64) -> String {
    format!("(last_seen_at < {silent} OR (disconnected_at IS NOT NULL AND disconnected_at >= last_seen_at))")
}

/// What [`AgentTally`] counts of a group of agents.
fn tally(since: Since) -> (SqlLiteral<BigInt>, SqlLiteral<BigInt>, SqlLiteral<BigInt>, SqlLiteral<BigInt>) {
    let (gone, away) = (gone(since.silent), since.away);
    (
        how_many("TRUE"),
        how_many(&gone),
        how_many(&format!("{gone} AND last_seen_at >= {away}")),
        how_many(&format!("stale AND NOT {gone}")),
    )
}

/// How many agents these environments have.
pub async fn agents_of(
    conn: &mut Conn,
    environments: &[&str],
    since: Since,
) -> Result<HashMap<String, AgentTally>> {
    let mut out: HashMap<String, AgentTally> = HashMap::new();
    for ids in environments.chunks(IDS) {
        let rows: Vec<(String, AgentTally)> = on!(&mut *conn, c => agents::table
            .filter(agents::environment_id.eq_any(ids))
            .group_by(agents::environment_id)
            .select((agents::environment_id, tally(since)))
            .load(c).await?);
        out.extend(rows);
    }
    Ok(out)
}

/// How many agents the environments of an organisation have, those that have any.
pub async fn agents_in(conn: &mut Conn, organisation_id: &str, since: Since) -> Result<Vec<AgentsAt>> {
    Ok(on!(conn, c => agents::table
        .inner_join(environments::table.on(environments::id.eq(agents::environment_id)))
        .inner_join(projects::table.on(projects::id.eq(environments::project_id)))
        .filter(projects::organisation_id.eq(organisation_id))
        .group_by((environments::project_id, environments::slug))
        .select((environments::project_id, environments::slug, tally(since)))
        .load(c).await?))
}

/// The last review of each set in use of an organisation, with the set, where it is in one of these states; the newest
/// first.
pub async fn reviews_in(
    conn: &mut Conn,
    organisation_id: &str,
    states: &[&str],
) -> Result<Vec<(Review, PromptSet)>> {
    Ok(on!(conn, c => reviews::table
        .inner_join(prompt_sets::table.on(prompt_sets::id.eq(reviews::set_id)))
        .inner_join(projects::table.on(projects::id.eq(prompt_sets::project_id)))
        .filter(projects::organisation_id.eq(organisation_id))
        .filter(projects::archived_at.is_null())
        .filter(prompt_sets::archived_at.is_null())
        .filter(reviews::number.eq(prompt_sets::reviews))
        .filter(reviews::state.eq_any(states))
        .order(reviews::id.desc())
        .select((Review::as_select(), PromptSet::as_select()))
        .load(c).await?))
}

/// Credentials of an organisation that are used, are good and end between two times, the first to end first.
pub async fn ending_in(conn: &mut Conn, organisation_id: &str, from: i64, to: i64) -> Result<Vec<Ending>> {
    Ok(on!(conn, c => credentials::table
        .inner_join(environments::table.on(environments::id.eq(credentials::environment_id)))
        .inner_join(projects::table.on(projects::id.eq(environments::project_id)))
        .filter(projects::organisation_id.eq(organisation_id))
        .filter(credentials::revoked_at.is_null())
        .filter(credentials::expires_at.ge(from))
        .filter(credentials::expires_at.lt(to))
        .filter(credentials::last_seen_at.is_not_null())
        .order(credentials::expires_at.asc())
        .select((environments::project_id, environments::slug, credentials::name, credentials::expires_at))
        .load(c).await?))
}

/// Whether a project ever had a credential.
pub async fn has_credential(conn: &mut Conn, project_id: &str) -> Result<bool> {
    let found: i64 = on!(conn, c => credentials::table
        .filter(credentials::project_id.eq(project_id))
        .count()
        .get_result(c).await?);
    Ok(found > 0)
}

/// Whether somebody does not want to be shown something again.
pub async fn dismissed(conn: &mut Conn, organisation_id: &str, user_id: &str, what: &str) -> Result<bool> {
    let found: i64 = on!(conn, c => dismissals::table
        .filter(dismissals::organisation_id.eq(organisation_id))
        .filter(dismissals::user_id.eq(user_id))
        .filter(dismissals::what.eq(what))
        .count()
        .get_result(c).await?);
    Ok(found > 0)
}

/// Notes that somebody does not want to be shown something again.
pub async fn dismiss(
    conn: &mut Conn,
    organisation_id: &str,
    user_id: &str,
    what: &str,
    now: i64,
) -> Result<()> {
    on!(conn, c => diesel::insert_into(dismissals::table)
        .values((
            dismissals::organisation_id.eq(organisation_id),
            dismissals::user_id.eq(user_id),
            dismissals::what.eq(what),
            dismissals::dismissed_at.eq(now),
        ))
        .on_conflict((dismissals::organisation_id, dismissals::user_id, dismissals::what))
        .do_nothing()
        .execute(c).await?);
    Ok(())
}
