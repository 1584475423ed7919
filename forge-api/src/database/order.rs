//! Orders to agents: take up what is published, or do not. They only grow; which of them stand is kept beside them.

use diesel::prelude::*;
use diesel::upsert::excluded;
use diesel_async::RunQueryDsl;

use super::schema::{mode_orders, standing_orders};
use super::{Conn, Result, on};

/// Numbers that one query asks for.
const NUMBERS: usize = 500;

#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = mode_orders)]
pub struct Order {
    pub environment_id: String,
    /// Only grows within an environment; what agents compare.
    pub number: i64,
    /// `agent`, `service` or `environment`.
    pub target_kind: String,
    /// Empty for the environment.
    pub target_name: String,
    /// `ACCEPTING` or `FROZEN`.
    pub mode: String,
    pub given_by: String,
    pub reason: String,
    pub given_at: i64,
}

/// Writes an order. It takes the place of the one to the same target, and one to the environment that of all.
pub async fn insert(conn: &mut Conn, row: &Order) -> Result<()> {
    on!(&mut *conn, c => diesel::insert_into(mode_orders::table).values(row).execute(c).await?);
    if row.target_kind == "environment" {
        on!(&mut *conn, c => diesel::delete(standing_orders::table
                .filter(standing_orders::environment_id.eq(&row.environment_id)))
            .execute(c).await?);
    }
    on!(conn, c => diesel::insert_into(standing_orders::table)
        .values((
            standing_orders::environment_id.eq(&row.environment_id),
            standing_orders::target_kind.eq(&row.target_kind),
            standing_orders::target_name.eq(&row.target_name),
            standing_orders::number.eq(row.number),
        ))
        .on_conflict((
            standing_orders::environment_id,
            standing_orders::target_kind,
            standing_orders::target_name,
        ))
        .do_update()
        .set(standing_orders::number.eq(excluded(standing_orders::number)))
        .execute(c).await?);
    Ok(())
}

/// The order with this number, whether it stands or not.
pub async fn find(conn: &mut Conn, environment_id: &str, number: i64) -> Result<Option<Order>> {
    Ok(on!(conn, c => mode_orders::table
        .find((environment_id, number))
        .select(Order::as_select())
        .first(c).await.optional()?))
}

/// Takes away that an order stands. Gives whether it did.
pub async fn withdraw(conn: &mut Conn, environment_id: &str, number: i64) -> Result<bool> {
    let gone = on!(conn, c => diesel::delete(standing_orders::table
            .filter(standing_orders::environment_id.eq(environment_id))
            .filter(standing_orders::number.eq(number)))
        .execute(c).await?);
    Ok(gone > 0)
}

/// Takes away that orders with lower numbers stand, to these agents.
pub async fn overtake(conn: &mut Conn, environment_id: &str, number: i64, agents: &[String]) -> Result<()> {
    for some in agents.chunks(NUMBERS) {
        on!(&mut *conn, c => diesel::delete(standing_orders::table
                .filter(standing_orders::environment_id.eq(environment_id))
                .filter(standing_orders::target_kind.eq("agent"))
                .filter(standing_orders::target_name.eq_any(some))
                .filter(standing_orders::number.lt(number)))
            .execute(c).await?);
    }
    Ok(())
}

/// The number of an environment's newest order; 0 where there is none.
pub async fn last_number(conn: &mut Conn, environment_id: &str) -> Result<i64> {
    let last: Option<i64> = on!(conn, c => mode_orders::table
        .filter(mode_orders::environment_id.eq(environment_id))
        .select(diesel::dsl::max(mode_orders::number))
        .first(c).await?);
    Ok(last.unwrap_or(0))
}

/// The newest order to each target that was neither withdrawn nor followed by one to the environment; newest first.
pub async fn newest_of_each(conn: &mut Conn, environment_id: &str) -> Result<Vec<Order>> {
    let numbers: Vec<i64> = on!(&mut *conn, c => standing_orders::table
        .filter(standing_orders::environment_id.eq(environment_id))
        .order(standing_orders::number.desc())
        .select(standing_orders::number)
        .load(c).await?);
    let mut out: Vec<Order> = Vec::with_capacity(numbers.len());
    for some in numbers.chunks(NUMBERS) {
        out.extend(on!(&mut *conn, c => mode_orders::table
            .filter(mode_orders::environment_id.eq(environment_id))
            .filter(mode_orders::number.eq_any(some))
            .order(mode_orders::number.desc())
            .select(Order::as_select())
            .load(c).await?));
    }
    Ok(out)
}

/// The environments with orders above a number, each with the number of its newest.
pub async fn above(conn: &mut Conn, number: i64) -> Result<Vec<(String, i64)>> {
    let found: Vec<(String, Option<i64>)> = on!(conn, c => mode_orders::table
        .filter(mode_orders::number.gt(number))
        .group_by(mode_orders::environment_id)
        .select((mode_orders::environment_id, diesel::dsl::max(mode_orders::number)))
        .load(c).await?);
    Ok(found.into_iter().filter_map(|(environment, number)| Some((environment, number?))).collect())
}
