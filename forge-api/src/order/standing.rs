//! Which orders stand, which of them an agent goes by, and what the heartbeat tells.

use std::collections::{HashMap, HashSet};

use schemas::Slug;
use schemas::envelope::{ModeOrder, ORDERS_MAX, OrderTarget};
use schemas::status::Mode;

use crate::clock;
use crate::database::order::{self, Order};
use crate::database::{Conn, DatabaseError, agent};
use crate::error::{ApiError, Result};
use crate::fleet::AWAY;

/// Orders that stand in one environment, by whom they are for.
#[derive(Debug, Clone, Default)]
pub struct ByTarget<'o> {
    agents: HashMap<&'o str, &'o Order>,
    services: HashMap<&'o str, &'o Order>,
    all: Option<&'o Order>,
}

impl<'o> ByTarget<'o> {
    #[must_use]
    pub fn of(orders: impl IntoIterator<Item = &'o Order>) -> Self {
        let mut out = Self::default();
        for order in orders {
            let name = order.target_name.as_str();
            match order.target_kind.as_str() {
                "agent" => newest(out.agents.entry(name).or_insert(order), order),
                "service" => newest(out.services.entry(name).or_insert(order), order),
                _ => newest(out.all.get_or_insert(order), order),
            }
        }
        out
    }

    /// The order that an agent goes by: the newest that is meant for it.
    #[must_use]
    pub fn governing(&self, agent: &str, service: &str) -> Option<&'o Order> {
        let of_service = if service.is_empty() { None } else { self.services.get(service) };
        let meant = [self.agents.get(agent), of_service, self.all.as_ref()];
        meant.into_iter().flatten().copied().max_by_key(|order| order.number)
    }
}

fn newest<'o>(known: &mut &'o Order, order: &'o Order) {
    if order.number > known.number {
        *known = order;
    }
}

/// The orders that stand in an environment, newest first.
///
/// # Errors
/// The database refuses.
pub async fn standing(conn: &mut Conn, environment_id: &str) -> Result<Vec<Order>, DatabaseError> {
    let newest = order::newest_of_each(conn, environment_id).await?;
    let mut members = HashMap::new();
    // What comes after the last order to one agent overtakes none.
    let single = newest.iter().rposition(|order| order.target_kind == "agent").unwrap_or(0);
    for order in newest.iter().take(single).filter(|order| order.target_kind == "service") {
        let names = agent::of_service(conn, environment_id, &order.target_name).await?;
        members.insert(order.target_name.clone(), names);
    }
    Ok(still(newest, &members))
}

/// Of the newest orders to each target, newest first, those that no newer and wider one overtook.
fn still(newest: Vec<Order>, members: &HashMap<String, Vec<String>>) -> Vec<Order> {
    let mut overtaken: HashSet<&str> = HashSet::new();
    let mut of_all = false;
    newest
        .into_iter()
        .filter(|order| {
            if of_all || (order.target_kind == "agent" && overtaken.contains(order.target_name.as_str())) {
                return false;
            }
            match order.target_kind.as_str() {
                "environment" => of_all = true,
                "service" => {
                    overtaken
                        .extend(members.get(&order.target_name).into_iter().flatten().map(String::as_str));
                }
                _ => {}
            }
            true
        })
        .collect()
}

/// Of orders that stand, those that take a place and that every heartbeat tells: not those to one agent that is not listed
/// or was not heard for a day. Such an agent finds its order in the answer to its enrolment.
///
/// # Errors
/// The database refuses.
pub(crate) async fn awake(
    conn: &mut Conn,
    environment_id: &str,
    mut standing: Vec<Order>,
) -> Result<Vec<Order>, DatabaseError> {
    let single = standing.iter().filter(|order| order.target_kind == "agent");
    let names: Vec<String> = single.map(|order| order.target_name.clone()).collect();
    if names.is_empty() {
        return Ok(standing);
    }
    let since = clock::now() - AWAY;
    let heard: HashSet<String> =
        agent::heard_of(conn, environment_id, since, &names).await?.into_iter().collect();
    standing.retain(|order| order.target_kind != "agent" || heard.contains(&order.target_name));
    Ok(standing)
}

/// Whom FORGE tells orders.
#[derive(Debug, Clone, Copy)]
pub enum Listener<'a> {
    /// All agents of the environment.
    Everybody,
    /// One that enrols, however long it was away.
    One { agent: &'a str, service: &'a str },
}

/// What FORGE's word to an environment tells of orders: the newest of those that stand; to one agent, the one that it goes
/// by.
///
/// # Errors
/// The database refuses, or holds what cannot be an order.
pub async fn told(conn: &mut Conn, environment_id: &str, listener: Listener<'_>) -> Result<Vec<ModeOrder>> {
    match listener {
        Listener::Everybody => {
            let standing = standing(conn, environment_id).await?;
            awake(conn, environment_id, standing).await?.into_iter().take(ORDERS_MAX).map(said).collect()
        }
        Listener::One { agent, service } => {
            // What was overtaken has a lower number than what overtook it.
            let newest = order::newest_of_each(conn, environment_id).await?;
            let order = ByTarget::of(&newest).governing(agent, service).cloned();
            order.into_iter().map(said).collect()
        }
    }
}

fn said(order: Order) -> Result<ModeOrder> {
    let target = match order.target_kind.as_str() {
        "agent" => OrderTarget::Agent { agent: Slug::new(&order.target_name)? },
        "service" => OrderTarget::Service { service: order.target_name },
        _ => OrderTarget::Environment,
    };
    Ok(ModeOrder {
        number: u64::try_from(order.number).map_err(ApiError::internal)?,
        target,
        mode: if order.mode == Mode::Frozen.as_str() { Mode::Frozen } else { Mode::Accepting },
        by: order.given_by,
        reason: order.reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(number: i64, kind: &str, name: &str) -> Order {
        Order {
            environment_id: "e".into(),
            number,
            target_kind: kind.into(),
            target_name: name.into(),
            mode: "FROZEN".into(),
            given_by: "ada".into(),
            reason: String::new(),
            given_at: number,
        }
    }

    #[test]
    fn a_wider_order_takes_the_place_of_those_before_it() {
        let members = HashMap::from([("till".to_owned(), vec!["a".to_owned(), "b".to_owned()])]);
        let newest = vec![
            order(7, "agent", "b"),
            order(6, "service", "till"),
            order(5, "agent", "a"),
            order(4, "agent", "c"),
            order(3, "environment", ""),
            order(2, "service", "shop"),
        ];
        let numbers: Vec<_> = still(newest, &members).into_iter().map(|o| o.number).collect();
        assert_eq!(numbers, [7, 6, 4, 3]);
    }

    #[test]
    fn an_agent_goes_by_the_newest_that_is_meant_for_it() {
        let standing = [order(7, "agent", "b"), order(6, "service", "till"), order(3, "environment", "")];
        let targets = ByTarget::of(&standing);
        let of = |agent: &str, service: &str| targets.governing(agent, service).map(|o| o.number);
        assert_eq!((of("a", "till"), of("b", "till"), of("c", "")), (Some(6), Some(7), Some(3)));
        assert_eq!(ByTarget::of(&standing[..2]).governing("c", ""), None);
        let nameless = [order(1, "service", "")];
        assert_eq!(ByTarget::of(&nameless).governing("c", ""), None, "no service is no service of that name");
    }
}
