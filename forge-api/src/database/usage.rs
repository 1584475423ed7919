//! Use of prompts: by the hour, and what each agent said last.

use diesel::dsl::{case_when, exists, not, sql};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double, Text};
use diesel::upsert::excluded;
use diesel_async::RunQueryDsl;

use super::schema::{agents, usage_hours, usage_lives, usage_seen};
use super::{Conn, Result, on, on_rows};

/// Agents that one query asks for.
const AGENTS: usize = 200;
/// A count above this is added to no more: two of them fit into a column.
pub const FULL: i64 = i64::MAX / 2 - 1;
/// Most rows of one answer.
pub const ROWS_MAX: i64 = 10_000;

/// What all agents of an environment did with a prompt in an hour.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = usage_hours)]
pub struct UsageHour {
    pub environment_id: String,
    pub set_id: String,
    /// Its beginning, in microseconds.
    pub hour: i64,
    pub version_id: String,
    pub prompt: String,
    pub renders: i64,
    pub errors: i64,
    /// The medians that agents told, each since its start, weighed by the renders that it added.
    pub render_p50_ns: i64,
    /// The worst that any agent told, since its start.
    pub render_p99_ns: i64,
    pub calls: i64,
    pub call_errors: i64,
    pub input_tokens: i64,
    pub output_tokens: i64,
    pub latency_us: i64,
    pub cost_micros: i64,
}

/// One life of an agent: from a start to the next.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = usage_lives)]
pub struct Life {
    pub environment_id: String,
    pub agent: String,
    pub started_at: i64,
    pub heard_at: i64,
    /// How many prompts it was heard to use.
    pub prompts: i64,
}

/// The highest counts of a prompt that were heard of one life of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = usage_seen)]
pub struct Seen {
    pub environment_id: String,
    pub agent: String,
    pub started_at: i64,
    pub version_id: String,
    pub prompt: String,
    pub renders: i64,
    pub errors: i64,
    pub calls: i64,
    pub call_errors: i64,
    pub input_tokens: i64,
    pub output_tokens: i64,
    pub latency_us: i64,
    pub cost_micros: i64,
}

/// Sums over rows. Floating, so that no sum overflows; exact up to 2⁵³.
#[derive(Debug, Clone, Copy, PartialEq, Default, Queryable)]
pub struct Sums {
    pub renders: f64,
    pub errors: f64,
    /// The sum of the medians, each times the renders that it stands for; and these renders.
    pub timed_ns: f64,
    pub timed: f64,
    pub render_p99_ns: i64,
    pub calls: f64,
    pub call_errors: f64,
    pub input_tokens: f64,
    pub output_tokens: f64,
    pub latency_us: f64,
    pub cost_micros: f64,
}

/// Which rows are summed.
#[derive(Debug, Clone, Copy)]
pub struct Span<'a> {
    pub set_id: &'a str,
    pub environments: &'a [String],
    /// Ids.
    pub versions: &'a [String],
    /// Hours from, and to before.
    pub from: i64,
    pub to: i64,
}

/// A count and what is added to it; one that is full stays as it is.
macro_rules! grown {
    ($column:ident) => {
        usage_hours::$column.eq(case_when(usage_hours::$column.gt(FULL), usage_hours::$column)
            .otherwise(usage_hours::$column + excluded(usage_hours::$column)))
    };
}

/// The median of a row and the one that is added, each weighed by its renders; one without renders says nothing.
const WEIGHED: &str = "CASE \
     WHEN excluded.render_p50_ns <= 0 OR excluded.renders <= 0 THEN usage_hours.render_p50_ns \
     WHEN usage_hours.render_p50_ns <= 0 OR usage_hours.renders <= 0 THEN excluded.render_p50_ns \
     WHEN usage_hours.render_p50_ns > 4611686018427387903 OR excluded.render_p50_ns > 4611686018427387903 \
         THEN 4611686018427387903 \
     ELSE CAST((CAST(usage_hours.render_p50_ns AS DOUBLE PRECISION) * usage_hours.renders \
         + CAST(excluded.render_p50_ns AS DOUBLE PRECISION) * excluded.renders) \
         / (CAST(usage_hours.renders AS DOUBLE PRECISION) + excluded.renders) AS BIGINT) END";

/// Adds to the hours. No row may stand twice, and no count be above [`FULL`].
pub async fn add(conn: &mut Conn, rows: &[UsageHour]) -> Result<()> {
    on_rows!(conn, rows, rows => diesel::insert_into(usage_hours::table)
    .values(rows)
    .on_conflict((
        usage_hours::environment_id,
        usage_hours::set_id,
        usage_hours::hour,
        usage_hours::version_id,
        usage_hours::prompt,
    ))
    .do_update()
    .set((
        grown!(renders),
        grown!(errors),
        usage_hours::render_p50_ns.eq(sql::<BigInt>(WEIGHED)),
        usage_hours::render_p99_ns.eq(case_when(
            excluded(usage_hours::render_p99_ns).gt(usage_hours::render_p99_ns),
            excluded(usage_hours::render_p99_ns),
        )
        .otherwise(usage_hours::render_p99_ns)),
        grown!(calls),
        grown!(call_errors),
        grown!(input_tokens),
        grown!(output_tokens),
        grown!(latency_us),
        grown!(cost_micros),
    )));
    Ok(())
}

/// Versions and prompts that an environment has rows of in an hour.
pub async fn in_hour(conn: &mut Conn, environment_id: &str, hour: i64) -> Result<Vec<(String, String)>> {
    Ok(on!(conn, c => usage_hours::table
        .filter(usage_hours::hour.eq(hour))
        .filter(usage_hours::environment_id.eq(environment_id))
        .select((usage_hours::version_id, usage_hours::prompt))
        .load(c).await?))
}

/// The lives of these agents.
pub async fn lives(conn: &mut Conn, environment_id: &str, agents: &[String]) -> Result<Vec<Life>> {
    let mut out = Vec::new();
    for agents in agents.chunks(AGENTS) {
        out.extend(on!(&mut *conn, c => usage_lives::table
            .filter(usage_lives::environment_id.eq(environment_id))
            .filter(usage_lives::agent.eq_any(agents))
            .select(Life::as_select())
            .load(c).await?));
    }
    Ok(out)
}

/// What was heard last of one life about these prompts, of any version.
pub async fn seen(conn: &mut Conn, life: (&str, &str, i64), prompts: &[&str]) -> Result<Vec<Seen>> {
    let (environment_id, agent, started_at) = life;
    Ok(on!(conn, c => usage_seen::table
        .filter(usage_seen::environment_id.eq(environment_id))
        .filter(usage_seen::agent.eq(agent))
        .filter(usage_seen::started_at.eq(started_at))
        .filter(usage_seen::prompt.eq_any(prompts))
        .select(Seen::as_select())
        .load(c).await?))
}

/// Writes what was heard. No row may stand twice.
pub async fn put_seen(conn: &mut Conn, rows: &[Seen]) -> Result<()> {
    on_rows!(conn, rows, rows => diesel::insert_into(usage_seen::table)
    .values(rows)
    .on_conflict((
        usage_seen::environment_id,
        usage_seen::agent,
        usage_seen::started_at,
        usage_seen::version_id,
        usage_seen::prompt,
    ))
    .do_update()
    .set((
        usage_seen::renders.eq(excluded(usage_seen::renders)),
        usage_seen::errors.eq(excluded(usage_seen::errors)),
        usage_seen::calls.eq(excluded(usage_seen::calls)),
        usage_seen::call_errors.eq(excluded(usage_seen::call_errors)),
        usage_seen::input_tokens.eq(excluded(usage_seen::input_tokens)),
        usage_seen::output_tokens.eq(excluded(usage_seen::output_tokens)),
        usage_seen::latency_us.eq(excluded(usage_seen::latency_us)),
        usage_seen::cost_micros.eq(excluded(usage_seen::cost_micros)),
    )));
    Ok(())
}

/// Writes lives. No row may stand twice.
pub async fn put_lives(conn: &mut Conn, rows: &[Life]) -> Result<()> {
    on_rows!(conn, rows, rows => diesel::insert_into(usage_lives::table)
    .values(rows)
    .on_conflict((usage_lives::environment_id, usage_lives::agent, usage_lives::started_at))
    .do_update()
    .set((
        usage_lives::heard_at.eq(excluded(usage_lives::heard_at)),
        usage_lives::prompts.eq(excluded(usage_lives::prompts)),
    )));
    Ok(())
}

/// Deletes one life of an agent.
pub async fn end_life(conn: &mut Conn, environment_id: &str, agent: &str, started_at: i64) -> Result<()> {
    on!(&mut *conn, c => diesel::delete(usage_lives::table.find((environment_id, agent, started_at)))
        .execute(c).await?);
    on!(conn, c => diesel::delete(usage_seen::table
            .filter(usage_seen::environment_id.eq(environment_id))
            .filter(usage_seen::agent.eq(agent))
            .filter(usage_seen::started_at.eq(started_at)))
        .execute(c).await?);
    Ok(())
}

/// Deletes hours before `hour`. Gives how many rows went.
pub async fn prune(conn: &mut Conn, hour: i64) -> Result<usize> {
    Ok(on!(conn, c => diesel::delete(usage_hours::table.filter(usage_hours::hour.lt(hour)))
        .execute(c).await?))
}

/// Deletes some lives that added nothing since `before`, of agents that were not heard since then or are not listed.
/// Gives how many; so many as `most`, there may be more.
pub async fn prune_lives(conn: &mut Conn, before: i64, most: i64) -> Result<usize> {
    let heard = agents::table
        .filter(agents::environment_id.eq(usage_lives::environment_id))
        .filter(agents::name.eq(usage_lives::agent))
        .filter(agents::last_seen_at.ge(before));
    let over: Vec<(String, String, i64)> = on!(&mut *conn, c => usage_lives::table
        .filter(usage_lives::heard_at.lt(before))
        .filter(not(exists(heard)))
        .select((usage_lives::environment_id, usage_lives::agent, usage_lives::started_at))
        .limit(most)
        .load(c).await?);
    for (environment_id, agent, started_at) in &over {
        end_life(conn, environment_id, agent, *started_at).await?;
    }
    Ok(over.len())
}

/// The expressions of [`Sums`].
macro_rules! sums {
    () => {
        (
            sql::<Double>("SUM(CAST(renders AS DOUBLE PRECISION))"),
            sql::<Double>("SUM(CAST(errors AS DOUBLE PRECISION))"),
            sql::<Double>("SUM(CAST(render_p50_ns AS DOUBLE PRECISION) * renders)"),
            sql::<Double>(
                "SUM(CASE WHEN render_p50_ns > 0 THEN CAST(renders AS DOUBLE PRECISION) ELSE 0 END)",
            ),
            sql::<BigInt>("MAX(render_p99_ns)"),
            sql::<Double>("SUM(CAST(calls AS DOUBLE PRECISION))"),
            sql::<Double>("SUM(CAST(call_errors AS DOUBLE PRECISION))"),
            sql::<Double>("SUM(CAST(input_tokens AS DOUBLE PRECISION))"),
            sql::<Double>("SUM(CAST(output_tokens AS DOUBLE PRECISION))"),
            sql::<Double>("SUM(CAST(latency_us AS DOUBLE PRECISION))"),
            sql::<Double>("SUM(CAST(cost_micros AS DOUBLE PRECISION))"),
        )
    };
}

macro_rules! summed {
    ($conn:expr, $span:expr, $column:literal, $kind:ty) => {{
        let span: Span<'_> = $span;
        on!($conn, c => usage_hours::table
            .filter(usage_hours::set_id.eq(span.set_id))
            .filter(usage_hours::environment_id.eq_any(span.environments))
            .filter(usage_hours::version_id.eq_any(span.versions))
            .filter(usage_hours::hour.ge(span.from))
            .filter(usage_hours::hour.lt(span.to))
            .group_by(sql::<$kind>($column))
            .order(sql::<$kind>($column).asc())
            .limit(ROWS_MAX)
            .select((sql::<$kind>($column), sums!()))
            .load(c).await?)
    }};
}

/// Sums by the id of the version.
pub async fn by_version(conn: &mut Conn, span: Span<'_>) -> Result<Vec<(String, Sums)>> {
    Ok(summed!(conn, span, "version_id", Text))
}

/// Sums by prompt.
pub async fn by_prompt(conn: &mut Conn, span: Span<'_>) -> Result<Vec<(String, Sums)>> {
    Ok(summed!(conn, span, "prompt", Text))
}

/// Sums by hour.
pub async fn by_hour(conn: &mut Conn, span: Span<'_>) -> Result<Vec<(i64, Sums)>> {
    Ok(summed!(conn, span, "hour", BigInt))
}
