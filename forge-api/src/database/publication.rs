//! Publications and the head of each set in each environment.

use std::collections::{BTreeSet, HashMap};

use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel_async::RunQueryDsl;

use super::project::{self, Environment};
use super::prompt_set::{self, PromptSet};
use super::schema::{heads, projects, publications};
use super::version::{self, Version};
use super::{Conn, DatabaseError, Result, on};

/// Ids that one query asks for: SQLite takes some thousand values in one.
const IDS: usize = 500;

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = publications, treat_none_as_default_value = false)]
pub struct Publication {
    pub id: String,
    pub project_id: String,
    pub environment_id: String,
    pub set_id: String,
    pub version_id: String,
    /// Counts within the project, for people.
    pub number: i64,
    /// Only grows within environment and set; what agents compare.
    pub serial: i64,
    pub rollback: bool,
    /// Header `Forge-Key`, as it is sent.
    pub certificate: String,
    /// Header `Forge-Attestation`, as it is sent.
    pub attestation: String,
    /// `waiting`, `sent`, `superseded` or `failed`.
    pub state: String,
    pub error: Option<String>,
    pub stream_sequence: Option<i64>,
    pub comment: String,
    pub published_by: String,
    pub created_at: i64,
    pub sent_at: Option<i64>,
    /// Header `Forge-Trust`, as it is sent, if the project had one.
    pub trust: Option<String>,
    /// Whom it breaks and was published all the same, as JSON of [`crate::contract::Overridden`].
    pub overridden: Option<String>,
}

/// A publication with the words that people know it by.
#[derive(Debug, Clone)]
pub struct PublicationFull {
    pub publication: Publication,
    pub environment: Environment,
    pub set: PromptSet,
    pub version: Version,
}

/// Adds to publications the words that people know them by, in their order.
///
/// Three small queries instead of one join of four tables: the compiler takes seconds for the type of
/// such a join, for each query that has it and each kind of database.
async fn full(conn: &mut Conn, rows: Vec<Publication>) -> Result<Vec<PublicationFull>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let environments = project::environments_by_ids(conn, &distinct(&rows, |p| &p.environment_id)).await?;
    let sets = prompt_set::by_ids(conn, &distinct(&rows, |p| &p.set_id)).await?;
    let versions = version::by_ids(conn, &distinct(&rows, |p| &p.version_id)).await?;
    let environments: HashMap<_, _> = environments.into_iter().map(|e| (e.id.clone(), e)).collect();
    let sets: HashMap<_, _> = sets.into_iter().map(|s| (s.id.clone(), s)).collect();
    let versions: HashMap<_, _> = versions.into_iter().map(|v| (v.id.clone(), v)).collect();
    rows.into_iter()
        .map(|publication| {
            let environment = environments.get(&publication.environment_id).cloned();
            let set = sets.get(&publication.set_id).cloned();
            let version = versions.get(&publication.version_id).cloned();
            match (environment, set, version) {
                (Some(environment), Some(set), Some(version)) => {
                    Ok(PublicationFull { publication, environment, set, version })
                }
                _ => Err(DatabaseError::Damaged(format!(
                    "publication {} names an environment, set or version that is not there",
                    publication.id
                ))),
            }
        })
        .collect()
}

fn distinct<'a>(rows: &'a [Publication], id: impl Fn(&'a Publication) -> &'a String) -> Vec<&'a str> {
    rows.iter().map(|row| id(row).as_str()).collect::<BTreeSet<_>>().into_iter().collect()
}

async fn one(conn: &mut Conn, row: Option<Publication>) -> Result<Option<PublicationFull>> {
    Ok(full(conn, row.into_iter().collect()).await?.pop())
}

pub async fn insert(conn: &mut Conn, row: &Publication) -> Result<()> {
    on!(conn, c => diesel::insert_into(publications::table).values(row).execute(c).await?);
    Ok(())
}

pub async fn by_id(conn: &mut Conn, id: &str) -> Result<Option<PublicationFull>> {
    let row = on!(&mut *conn, c => publications::table
        .filter(publications::id.eq(id))
        .select(Publication::as_select())
        .first(c).await.optional()?);
    one(conn, row).await
}

pub async fn by_number(conn: &mut Conn, project_id: &str, number: i64) -> Result<Option<PublicationFull>> {
    let row = on!(&mut *conn, c => publications::table
        .filter(publications::project_id.eq(project_id))
        .filter(publications::number.eq(number))
        .select(Publication::as_select())
        .first(c).await.optional()?);
    one(conn, row).await
}

pub async fn by_serial(
    conn: &mut Conn,
    environment_id: &str,
    set_id: &str,
    serial: i64,
) -> Result<Option<PublicationFull>> {
    let row = on!(&mut *conn, c => publications::table
        .filter(publications::environment_id.eq(environment_id))
        .filter(publications::set_id.eq(set_id))
        .filter(publications::serial.eq(serial))
        .select(Publication::as_select())
        .first(c).await.optional()?);
    one(conn, row).await
}

/// The newest publication of a set below a serial that is of another version.
pub async fn before_with_another(
    conn: &mut Conn,
    environment_id: &str,
    set_id: &str,
    serial: i64,
    version_id: &str,
) -> Result<Option<PublicationFull>> {
    let row = on!(&mut *conn, c => publications::table
        .filter(publications::environment_id.eq(environment_id))
        .filter(publications::set_id.eq(set_id))
        .filter(publications::serial.lt(serial))
        .filter(publications::version_id.ne(version_id))
        .order(publications::serial.desc())
        .select(Publication::as_select())
        .first(c).await.optional()?);
    one(conn, row).await
}

/// Which publications of a project; none: all of them.
#[derive(Debug, Clone, Default)]
pub struct Only {
    pub environment_id: Option<String>,
    pub set_id: Option<String>,
    /// `waiting`, `sent`, `superseded` or `failed`.
    pub state: Option<String>,
}

/// Publications of a project below a number (exclusive), newest first.
pub async fn of_project(
    conn: &mut Conn,
    project_id: &str,
    only: &Only,
    below: i64,
    limit: i64,
) -> Result<Vec<PublicationFull>> {
    let (environment, set, state) = (&only.environment_id, &only.set_id, &only.state);
    let text = |wanted: &Option<String>| wanted.clone().unwrap_or_default();
    let rows = on!(&mut *conn, c => publications::table
        .filter(publications::project_id.eq(project_id))
        .filter(publications::number.lt(below))
        .filter(environment.is_none().into_sql::<Bool>().or(publications::environment_id.eq(text(environment))))
        .filter(set.is_none().into_sql::<Bool>().or(publications::set_id.eq(text(set))))
        .filter(state.is_none().into_sql::<Bool>().or(publications::state.eq(text(state))))
        .order(publications::number.desc())
        .limit(limit)
        .select(Publication::as_select())
        .load(c).await?);
    full(conn, rows).await
}

/// Publications of a set, newest first.
pub async fn of_set(conn: &mut Conn, set_id: &str, limit: i64) -> Result<Vec<PublicationFull>> {
    let rows = on!(&mut *conn, c => publications::table
        .filter(publications::set_id.eq(set_id))
        .order(publications::number.desc())
        .limit(limit)
        .select(Publication::as_select())
        .load(c).await?);
    full(conn, rows).await
}

/// The newest publication of every set in every environment of a project, by environment and set.
pub async fn heads_of_project(conn: &mut Conn, project_id: &str) -> Result<Vec<PublicationFull>> {
    let rows = on!(&mut *conn, c => publications::table
        .inner_join(heads::table.on(heads::publication_id.eq(publications::id.nullable())))
        .filter(publications::project_id.eq(project_id))
        .select(Publication::as_select())
        .load(c).await?);
    let mut heads = full(conn, rows).await?;
    heads.sort_by(|a, b| (a.environment.position, &a.set.slug).cmp(&(b.environment.position, &b.set.slug)));
    Ok(heads)
}

/// The same of several projects.
pub async fn heads_of_projects(conn: &mut Conn, project_ids: &[&str]) -> Result<Vec<PublicationFull>> {
    let rows = on!(&mut *conn, c => publications::table
        .inner_join(heads::table.on(heads::publication_id.eq(publications::id.nullable())))
        .filter(publications::project_id.eq_any(project_ids))
        .select(Publication::as_select())
        .load(c).await?);
    full(conn, rows).await
}

/// The newest publications of several projects, the newest first.
pub async fn newest(conn: &mut Conn, project_ids: &[&str], limit: i64) -> Result<Vec<PublicationFull>> {
    let rows = on!(&mut *conn, c => publications::table
        .filter(publications::project_id.eq_any(project_ids))
        .order(publications::id.desc())
        .limit(limit)
        .select(Publication::as_select())
        .load(c).await?);
    full(conn, rows).await
}

/// The newest publications of the projects in use of an organisation, newest first.
pub async fn newest_in(conn: &mut Conn, organisation_id: &str, limit: i64) -> Result<Vec<PublicationFull>> {
    // Numbers count up within a project: the newest of all stand among the last few of each.
    let ids: Vec<String> = on!(&mut *conn, c => publications::table
        .inner_join(projects::table.on(projects::id.eq(publications::project_id)))
        .filter(projects::organisation_id.eq(organisation_id))
        .filter(projects::archived_at.is_null())
        .filter(projects::publications.gt(0))
        .filter(publications::number.gt(projects::publications - limit))
        .order(publications::id.desc())
        .limit(limit)
        .select(publications::id)
        .load(c).await?);
    let rows = on!(&mut *conn, c => publications::table
        .filter(publications::id.eq_any(&ids))
        .order(publications::id.desc())
        .select(Publication::as_select())
        .load(c).await?);
    full(conn, rows).await
}

/// The newest publication of every set in one environment, by set.
pub async fn heads_of_environment(conn: &mut Conn, environment_id: &str) -> Result<Vec<PublicationFull>> {
    let rows = on!(&mut *conn, c => publications::table
        .inner_join(heads::table.on(heads::publication_id.eq(publications::id.nullable())))
        .filter(publications::environment_id.eq(environment_id))
        .select(Publication::as_select())
        .load(c).await?);
    let mut heads = full(conn, rows).await?;
    heads.sort_by(|a, b| a.set.slug.cmp(&b.set.slug));
    Ok(heads)
}

/// The newest publication of every set in one environment that was sent: what agents can have. What waits, failed
/// or was superseded does not hide the one before it.
pub async fn announced(conn: &mut Conn, environment_id: &str) -> Result<Vec<PublicationFull>> {
    let mut out = Vec::new();
    for head in heads_of_environment(conn, environment_id).await? {
        if head.publication.state == "sent" {
            out.push(head);
            continue;
        }
        let sent = on!(&mut *conn, c => publications::table
            .filter(publications::environment_id.eq(environment_id))
            .filter(publications::set_id.eq(&head.set.id))
            .filter(publications::state.eq("sent"))
            .order(publications::serial.desc())
            .select(Publication::as_select())
            .first(c).await.optional()?);
        out.extend(one(conn, sent).await?);
    }
    Ok(out)
}

/// The newest publication of one set in one environment.
pub async fn head(conn: &mut Conn, environment_id: &str, set_id: &str) -> Result<Option<PublicationFull>> {
    let row = newest_of(conn, environment_id, set_id).await?;
    one(conn, row).await
}

/// The same, of who knows both already.
pub async fn head_in(
    conn: &mut Conn,
    environment: &Environment,
    set: &PromptSet,
) -> Result<Option<PublicationFull>> {
    let Some(publication) = newest_of(conn, &environment.id, &set.id).await? else { return Ok(None) };
    let version = version::by_id(conn, &publication.version_id).await?.ok_or_else(|| {
        DatabaseError::Damaged(format!("publication {} names a version that is not there", publication.id))
    })?;
    Ok(Some(PublicationFull { publication, environment: environment.clone(), set: set.clone(), version }))
}

async fn newest_of(conn: &mut Conn, environment_id: &str, set_id: &str) -> Result<Option<Publication>> {
    Ok(on!(conn, c => publications::table
        .inner_join(heads::table.on(heads::publication_id.eq(publications::id.nullable())))
        .filter(heads::environment_id.eq(environment_id))
        .filter(heads::set_id.eq(set_id))
        .select(Publication::as_select())
        .first(c).await.optional()?))
}

/// The newest publication of every environment and set that was sent.
pub async fn newest_sent(conn: &mut Conn) -> Result<Vec<Publication>> {
    let sent: Vec<(String, String, Option<i64>)> = on!(conn, c => publications::table
        .filter(publications::state.eq("sent"))
        .group_by((publications::environment_id, publications::set_id))
        .select((
            publications::environment_id,
            publications::set_id,
            diesel::dsl::max(publications::serial),
        ))
        .load(c).await?);
    let mut out = Vec::with_capacity(sent.len());
    for (environment, set, serial) in sent {
        let Some(serial) = serial else { continue };
        out.extend(on!(&mut *conn, c => publications::table
            .filter(publications::environment_id.eq(&environment))
            .filter(publications::set_id.eq(&set))
            .filter(publications::serial.eq(serial))
            .select(Publication::as_select())
            .first(c).await.optional()?));
    }
    Ok(out)
}

/// Publications of an environment and set with at least this serial, oldest first.
pub async fn since_serial(
    conn: &mut Conn,
    environment_id: &str,
    set_id: &str,
    serial: i64,
) -> Result<Vec<Publication>> {
    Ok(on!(conn, c => publications::table
        .filter(publications::environment_id.eq(environment_id))
        .filter(publications::set_id.eq(set_id))
        .filter(publications::serial.ge(serial))
        .order(publications::serial.asc())
        .select(Publication::as_select())
        .load(c).await?))
}

/// Of these publications those that exist: id, environment and number.
pub async fn known(conn: &mut Conn, ids: &[String]) -> Result<Vec<(String, String, i64)>> {
    let mut out = Vec::with_capacity(ids.len());
    for ids in ids.chunks(IDS) {
        out.extend(on!(&mut *conn, c => publications::table
            .filter(publications::id.eq_any(ids))
            .select((publications::id, publications::environment_id, publications::number))
            .load::<(String, String, i64)>(c).await?));
    }
    Ok(out)
}

/// Takes the next serial of a set in an environment; other publishers of it wait until we commit.
/// Gives the serial and the publication that was the head before.
pub async fn next_serial(
    conn: &mut Conn,
    environment_id: &str,
    set_id: &str,
) -> Result<(i64, Option<String>)> {
    on!(conn, c => diesel::insert_into(heads::table)
        .values((heads::environment_id.eq(environment_id), heads::set_id.eq(set_id), heads::serial.eq(0)))
        .on_conflict((heads::environment_id, heads::set_id))
        .do_nothing()
        .execute(c).await?);
    let key = (environment_id, set_id);
    on!(conn, c => diesel::update(heads::table.find(key))
        .set(heads::serial.eq(heads::serial + 1))
        .execute(c).await?);
    Ok(on!(conn, c => heads::table
        .find(key)
        .select((heads::serial, heads::publication_id))
        .first(c).await?))
}

pub async fn set_head(conn: &mut Conn, environment_id: &str, set_id: &str, id: &str) -> Result<()> {
    on!(conn, c => diesel::update(heads::table.find((environment_id, set_id)))
        .set(heads::publication_id.eq(id))
        .execute(c).await?);
    Ok(())
}

/// Sees to it that the next serial is above this one. Gives whether it was not before.
pub async fn raise_serial(conn: &mut Conn, environment_id: &str, set_id: &str, serial: i64) -> Result<bool> {
    on!(conn, c => diesel::insert_into(heads::table)
        .values((heads::environment_id.eq(environment_id), heads::set_id.eq(set_id), heads::serial.eq(0)))
        .on_conflict((heads::environment_id, heads::set_id))
        .do_nothing()
        .execute(c).await?);
    let raised = on!(conn, c => diesel::update(heads::table.find((environment_id, set_id)))
        .filter(heads::serial.lt(serial))
        .set(heads::serial.eq(serial))
        .execute(c).await?);
    Ok(raised > 0)
}

/// Raises every serial of every set and environment. Gives how many there are.
pub async fn raise_all(conn: &mut Conn, by: i64) -> Result<usize> {
    Ok(on!(conn, c => diesel::update(heads::table)
        .set(heads::serial.eq(heads::serial + by))
        .execute(c).await?))
}

/// The serial that was given out last.
pub async fn last_serial(conn: &mut Conn, environment_id: &str, set_id: &str) -> Result<i64> {
    let found: Option<i64> = on!(conn, c => heads::table
        .find((environment_id, set_id))
        .select(heads::serial)
        .first(c).await.optional()?);
    Ok(found.unwrap_or(0))
}

/// Notes that the broker has a publication.
pub async fn mark_sent(conn: &mut Conn, id: &str, sequence: i64, now: i64) -> Result<()> {
    on!(conn, c => diesel::update(publications::table.find(id))
        .set((
            publications::state.eq("sent"),
            publications::stream_sequence.eq(sequence),
            publications::sent_at.eq(now),
            publications::error.eq(None::<String>),
        ))
        .execute(c).await?);
    Ok(())
}

/// Notes how a publication stands: `waiting`, `superseded` or `failed`, and why.
pub async fn mark(conn: &mut Conn, id: &str, state: &str, error: Option<&str>) -> Result<()> {
    on!(conn, c => diesel::update(publications::table.find(id))
        .set((publications::state.eq(state), publications::error.eq(error)))
        .execute(c).await?);
    Ok(())
}

/// Whether a version was ever published to an environment.
pub async fn was_live(conn: &mut Conn, environment_id: &str, version_id: &str) -> Result<bool> {
    let found: Option<String> = on!(conn, c => publications::table
        .filter(publications::environment_id.eq(environment_id))
        .filter(publications::version_id.eq(version_id))
        .select(publications::id)
        .first(c).await.optional()?);
    Ok(found.is_some())
}
