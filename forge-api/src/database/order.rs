//! Orders to agents: take up what is published, or do not. They only grow.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::schema::mode_orders;
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

pub async fn insert(conn: &mut Conn, row: &Order) -> Result<()> {
    on!(conn, c => diesel::insert_into(mode_orders::table).values(row).execute(c).await?);
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

/// The newest order to each target since the newest one to the environment itself, and that one; newest first.
pub async fn newest_of_each(conn: &mut Conn, environment_id: &str) -> Result<Vec<Order>> {
    let numbers: Vec<(String, String, Option<i64>)> = on!(&mut *conn, c => mode_orders::table
        .filter(mode_orders::environment_id.eq(environment_id))
        .group_by((mode_orders::target_kind, mode_orders::target_name))
        .select((mode_orders::target_kind, mode_orders::target_name, diesel::dsl::max(mode_orders::number)))
        .load(c).await?);
    let of_all = numbers.iter().filter(|(kind, ..)| kind == "environment").filter_map(|n| n.2).max();
    let mut numbers: Vec<i64> =
        numbers.into_iter().filter_map(|n| n.2).filter(|n| of_all.is_none_or(|all| *n >= all)).collect();
    numbers.sort_unstable_by(|a, b| b.cmp(a));
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
