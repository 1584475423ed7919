//! Orders to agents: take up what is published, or do not. To one agent, to those of a service, to an environment, or
//! to all of a project.
//!
//! Every heartbeat tells the orders that stand ([`crate::heartbeat`]), and a new one sends a heartbeat at once. An
//! agent obeys the newest that is meant for it, once; its owner may forbid that. So an order stands until a newer one
//! to the same target, or to a wider one, takes its place, and agents that were away obey when they are back.

use std::collections::{HashMap, HashSet};

use schemas::Slug;
use schemas::envelope::{ModeOrder, ORDERS_MAX, OrderTarget};
use schemas::status::Mode;
use serde_json::json;

use crate::audit;
use crate::auth::{Action, Actor};
use crate::author::ProjectAt;
use crate::clock;
use crate::database::agent::{self, Agent, Obeying};
use crate::database::order::{self, Order};
use crate::database::project::{self, Environment};
use crate::database::{Conn, DatabaseError, Tx};
use crate::error::{ApiError, Result};
use crate::events::Kind;
use crate::state::AppState;

/// Characters of a reason and of a name that are kept: both go into every heartbeat.
const TEXT_MAX: usize = 200;

/// For whom an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    Agent(&'a str),
    /// All agents of a service.
    Service(&'a str),
    /// All agents of the environment.
    Environment,
}

impl<'a> Target<'a> {
    /// The target that somebody asks for, by at most one name.
    ///
    /// # Errors
    /// Agent and service are both named.
    pub fn of(agent: Option<&'a str>, service: Option<&'a str>) -> Result<Self> {
        match (agent, service) {
            (Some(_), Some(_)) => {
                Err(ApiError::invalid("invalid", "agent", "name an agent or a service, not both"))
            }
            (Some(name), None) => Ok(Self::Agent(name)),
            (None, Some(name)) => Ok(Self::Service(name)),
            (None, None) => Ok(Self::Environment),
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Agent(_) => "agent",
            Self::Service(_) => "service",
            Self::Environment => "environment",
        }
    }

    fn name(self) -> &'a str {
        match self {
            Self::Agent(name) | Self::Service(name) => name,
            Self::Environment => "",
        }
    }
}

/// What is ordered.
#[derive(Debug, Clone, Copy)]
pub struct New<'a> {
    pub target: Target<'a>,
    pub mode: Mode,
    /// For people; agents are told it.
    pub reason: &'a str,
}

/// What an agent made of the newest order to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Done,
    /// Done, and somebody at the agent set another mode since.
    Changed,
    /// Its owner does not let FORGE set its mode.
    Forbidden,
    /// It has not answered this one yet.
    Waiting,
}

impl Answer {
    fn of(order: &Order, mode: &str, number: Option<i64>, result: Option<&str>) -> Self {
        match result {
            _ if number != Some(order.number) => Self::Waiting,
            Some("done") if mode == order.mode => Self::Done,
            Some("done") => Self::Changed,
            Some("forbidden") => Self::Forbidden,
            _ => Self::Waiting,
        }
    }

    /// What an agent said to an order.
    #[must_use]
    pub fn by(order: &Order, agent: &Agent) -> Self {
        Self::of(order, &agent.mode, agent.order_number, agent.order_result.as_deref())
    }
}

/// How many agents an order is for, and what they said. An agent counts for the newest order that is meant for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Answers {
    pub agents: usize,
    pub done: usize,
    pub changed: usize,
    pub forbidden: usize,
    pub waiting: usize,
}

impl Answers {
    fn count(&mut self, answer: Answer) {
        self.agents += 1;
        *match answer {
            Answer::Done => &mut self.done,
            Answer::Changed => &mut self.changed,
            Answer::Forbidden => &mut self.forbidden,
            Answer::Waiting => &mut self.waiting,
        } += 1;
    }
}

/// An order that stands.
#[derive(Debug, Clone)]
pub struct OrderView {
    pub order: Order,
    pub environment: Environment,
    pub answers: Answers,
}

fn is_for(order: &Order, agent: &str, service: &str) -> bool {
    match order.target_kind.as_str() {
        "agent" => order.target_name == agent,
        "service" => !service.is_empty() && order.target_name == service,
        _ => true,
    }
}

/// The order that an agent goes by: the newest that is meant for it, of those that stand, newest first.
#[must_use]
pub fn governing<'o>(standing: &'o [Order], agent: &str, service: &str) -> Option<&'o Order> {
    standing.iter().find(|order| is_for(order, agent, service))
}

/// Gives an order to agents of one environment.
///
/// # Errors
/// Not allowed; no such agent or service; or too many orders stand. Nothing is changed then.
pub async fn give(
    state: &AppState,
    actor: &Actor,
    at: &ProjectAt,
    environment: &Environment,
    new: New<'_>,
) -> Result<OrderView> {
    actor.require(&at.organisation.id, Action::Order)?;
    let mut tx = state.database.write().await?;
    // Of two orders at once, one comes after.
    project::lock(&mut tx, &at.project.id).await?;
    let order = write(&mut tx, actor, environment, new).await?;
    let place = format!("{}/{}", at.path(), environment.slug);
    let subject = match new.target {
        Target::Environment => place,
        one => format!("{} {} of {place}", one.kind(), order.target_name),
    };
    let detail = json!({ "mode": order.mode, "reason": some(&order.reason), "number": order.number });
    audit::record(&mut tx, actor, &at.organisation.id, "mode.ordered", &subject, detail).await?;
    tx.commit().await?;
    tell(state, at, environment);
    let mut conn = state.database.read().await?;
    let given = views(&mut conn, environment).await?.into_iter().find(|v| v.order.number == order.number);
    // One that a newer order overtook meanwhile is nobody's.
    Ok(given.unwrap_or(OrderView { order, environment: environment.clone(), answers: Answers::default() }))
}

/// Gives one order to every environment of a project, all of them or none.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn give_fleet(
    state: &AppState,
    actor: &Actor,
    at: &ProjectAt,
    mode: Mode,
    reason: &str,
) -> Result<Vec<OrderView>> {
    actor.require(&at.organisation.id, Action::Order)?;
    let mut tx = state.database.write().await?;
    project::lock(&mut tx, &at.project.id).await?;
    let environments = project::environments(&mut tx, &at.project.id).await?;
    let mut numbers = HashMap::new();
    for environment in &environments {
        let new = New { target: Target::Environment, mode, reason };
        let order = write(&mut tx, actor, environment, new).await?;
        numbers.insert(environment.slug.as_str(), order.number);
    }
    let detail = json!({ "mode": mode.as_str(), "reason": some(&text(reason)), "numbers": numbers });
    audit::record(&mut tx, actor, &at.organisation.id, "mode.ordered", &at.path(), detail).await?;
    tx.commit().await?;
    let mut out = Vec::new();
    let mut conn = state.database.read().await?;
    for environment in &environments {
        tell(state, at, environment);
        let number = numbers.get(environment.slug.as_str()).copied();
        let given = views(&mut conn, environment).await?;
        out.extend(given.into_iter().filter(|view| Some(view.order.number) == number));
    }
    Ok(out)
}

async fn write(tx: &mut Tx, actor: &Actor, environment: &Environment, new: New<'_>) -> Result<Order> {
    match new.target {
        Target::Agent(name) if agent::find(tx, &environment.id, name).await?.is_none() => {
            return Err(ApiError::NotFound("agent"));
        }
        Target::Service(name)
            if name.is_empty() || agent::of_service(tx, &environment.id, name).await?.is_empty() =>
        {
            return Err(ApiError::NotFound("service"));
        }
        _ => {}
    }
    let now = clock::now();
    let row = Order {
        environment_id: environment.id.clone(),
        // Also over a database from a backup, and with a clock that was set back.
        number: now.max(order::last_number(tx, &environment.id).await?.saturating_add(1)),
        target_kind: new.target.kind().into(),
        target_name: new.target.name().into(),
        mode: new.mode.as_str().into(),
        given_by: text(&actor.name),
        reason: text(new.reason),
        given_at: now,
    };
    order::insert(tx, &row).await?;
    if new.target != Target::Environment && standing(tx, &environment.id).await?.len() > ORDERS_MAX {
        let wider = match new.target {
            Target::Agent(_) => "the service or the environment",
            _ => "the environment",
        };
        let detail = format!(
            "{ORDERS_MAX} orders stand in {}; give one to {wider}, which takes the place of those to its agents",
            environment.slug
        );
        return Err(ApiError::conflict("too_many_orders", detail));
    }
    Ok(row)
}

/// In one line, as much as is kept.
fn text(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().filter(|c| !c.is_control()).take(TEXT_MAX).collect()
}

/// Nothing where nothing was said.
fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn tell(state: &AppState, at: &ProjectAt, environment: &Environment) {
    state.early.ring();
    let kind = Kind::Agents { environment_id: environment.id.clone() };
    state.events.tell(&at.organisation.id, &at.project.id, kind);
}

/// The orders that stand in an environment, or in all of a project, newest first, with what agents said to each.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn list(
    state: &AppState,
    actor: &Actor,
    at: &ProjectAt,
    only: Option<&Environment>,
) -> Result<Vec<OrderView>> {
    actor.require(&at.organisation.id, Action::View)?;
    let mut conn = state.database.read().await?;
    let environments = match only {
        Some(one) => vec![one.clone()],
        None => project::environments(&mut conn, &at.project.id).await?,
    };
    let mut out = Vec::new();
    for environment in &environments {
        out.extend(views(&mut conn, environment).await?);
    }
    out.sort_by_key(|view| std::cmp::Reverse(view.order.number));
    Ok(out)
}

async fn views(conn: &mut Conn, environment: &Environment) -> Result<Vec<OrderView>> {
    let standing = standing(conn, &environment.id).await?;
    let agents = if standing.is_empty() { Vec::new() } else { agent::obeying(conn, &environment.id).await? };
    let mut answers = vec![Answers::default(); standing.len()];
    for Obeying { name, service, mode, order_number, order_result } in &agents {
        let orders = standing.iter().zip(&mut answers);
        if let Some((order, counted)) = orders.into_iter().find(|(order, _)| is_for(order, name, service)) {
            counted.count(Answer::of(order, mode, *order_number, order_result.as_deref()));
        }
    }
    let view = |(order, answers)| OrderView { order, environment: environment.clone(), answers };
    Ok(standing.into_iter().zip(answers).map(view).collect())
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

/// What the heartbeat of an environment tells of orders: the newest of those that stand.
///
/// # Errors
/// The database refuses, or holds what cannot be an order.
pub(crate) async fn told(conn: &mut Conn, environment_id: &str) -> Result<Vec<ModeOrder>> {
    standing(conn, environment_id).await?.into_iter().take(ORDERS_MAX).map(said).collect()
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
        let of = |agent: &str, service: &str| governing(&standing, agent, service).map(|o| o.number);
        assert_eq!((of("a", "till"), of("b", "till"), of("c", "")), (Some(6), Some(7), Some(3)));
        assert_eq!(governing(&standing[..2], "c", ""), None);
        assert!(!is_for(&order(1, "service", ""), "c", ""), "no service is no service of that name");
    }

    #[test]
    fn an_answer_counts_for_its_own_order_only() {
        let frozen = order(7, "environment", "");
        let of =
            |mode: &str, number: i64, result: &str| Answer::of(&frozen, mode, Some(number), Some(result));
        assert_eq!(of("FROZEN", 7, "done"), Answer::Done);
        assert_eq!(of("ACCEPTING", 7, "done"), Answer::Changed);
        assert_eq!(of("ACCEPTING", 7, "forbidden"), Answer::Forbidden);
        assert_eq!(of("FROZEN", 6, "done"), Answer::Waiting);
        assert_eq!(Answer::of(&frozen, "FROZEN", None, None), Answer::Waiting);
    }

    #[test]
    fn a_reason_is_one_line_of_bounded_length() {
        assert_eq!(text(" a\n b\u{0}\tc "), "a b c");
        assert_eq!(text(&"ä".repeat(500)).chars().count(), TEXT_MAX);
    }
}
