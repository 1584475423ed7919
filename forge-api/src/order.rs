//! Orders to agents: take up what is published, or do not. To one agent, to those of a service, to an environment, or
//! to all of a project.
//!
//! Every heartbeat tells the orders that stand ([`crate::heartbeat`]), and a new one sends a heartbeat at once. An
//! agent obeys the newest that is meant for it, once; its owner may forbid that. So an order stands until a newer one
//! to the same target, or to a wider one, takes its place, or somebody withdraws it, and agents that were away obey when
//! they are back.
//!
//! | module | what it holds |
//! |---|---|
//! | `standing` | which orders stand, which one an agent goes by, what the heartbeat tells |

mod standing;

pub(crate) use standing::awake;
pub use standing::{ByTarget, Listener, standing, told};

use std::collections::HashMap;

use schemas::Slug;
use schemas::envelope::ORDERS_MAX;
use schemas::status::Mode;
use serde_json::json;

use crate::audit;
use crate::auth::{Action, Actor};
use crate::author::ProjectAt;
use crate::clock;
use crate::database::agent::{self, Agent, Obeying};
use crate::database::order::{self, Order};
use crate::database::project::{self, Environment};
use crate::database::{Conn, Tx};
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
    /// Agent and service are both named, or one by what cannot be a name.
    pub fn of(agent: Option<&'a str>, service: Option<&'a str>) -> Result<Self> {
        match (agent, service) {
            (Some(_), Some(_)) => {
                Err(ApiError::invalid("invalid", "agent", "name an agent or a service, not both"))
            }
            (Some(name), None) => match Slug::new(name) {
                Ok(_) => Ok(Self::Agent(name)),
                Err(error) => Err(ApiError::invalid("invalid", "agent", error.to_string())),
            },
            (None, Some(name)) if name.chars().any(char::is_control) => {
                Err(ApiError::invalid("invalid", "service", "a service's name has no control characters"))
            }
            (None, Some(name)) => Ok(Self::Service(name)),
            (None, None) => Ok(Self::Environment),
        }
    }

    /// Whether an order is for this target.
    #[must_use]
    pub fn is_of(self, order: &Order) -> bool {
        order.target_kind == self.kind() && order.target_name == self.name()
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
    /// It answered a newer one, which stands no more or is not meant for it any longer: it does not go back to this one.
    Newer,
}

impl Answer {
    fn of(order: &Order, mode: &str, number: Option<i64>, result: Option<&str>) -> Self {
        match result {
            _ if number.is_some_and(|number| number > order.number) => Self::Newer,
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

/// How many agents an order is for, and what they said. An agent counts for the newest order that is meant for it, and for
/// none where it answered a newer one that stands no more.
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
        let counted = match answer {
            Answer::Newer => return,
            Answer::Done => &mut self.done,
            Answer::Changed => &mut self.changed,
            Answer::Forbidden => &mut self.forbidden,
            Answer::Waiting => &mut self.waiting,
        };
        *counted += 1;
        self.agents += 1;
    }
}

/// An order that stands.
#[derive(Debug, Clone)]
pub struct OrderView {
    pub order: Order,
    pub environment: Environment,
    pub answers: Answers,
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
    at.require(actor, Action::Order)?;
    let mut tx = state.database.write().await?;
    // Of two orders at once, one comes after.
    project::lock(&mut tx, &at.project.id).await?;
    let order = write(&mut tx, actor, environment, new).await?;
    let detail = json!({ "mode": order.mode, "reason": some(&order.reason), "number": order.number });
    let subject = subject(at, environment, &order);
    audit::record(&mut tx, actor, &at.organisation.id, "mode.ordered", &subject, detail).await?;
    tx.commit().await?;
    state.early.ring();
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
    at.require(actor, Action::Order)?;
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
    state.early.ring();
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

/// Withdraws an order: nobody is told it any more. No agent's mode changes, and what it took the place of stays gone. One
/// that stands no more is left as it is.
///
/// # Errors
/// Not allowed; no such order.
pub async fn withdraw(
    state: &AppState,
    actor: &Actor,
    at: &ProjectAt,
    environment: &Environment,
    number: i64,
) -> Result<Order> {
    at.require(actor, Action::Order)?;
    let mut tx = state.database.write().await?;
    project::lock(&mut tx, &at.project.id).await?;
    let order = order::find(&mut tx, &environment.id, number).await?.ok_or(ApiError::NotFound("order"))?;
    if !order::withdraw(&mut tx, &environment.id, number).await? {
        return Ok(order);
    }
    if order.target_kind == "service" {
        let members = agent::of_service(&mut tx, &environment.id, &order.target_name).await?;
        order::overtake(&mut tx, &environment.id, number, &members).await?;
    }
    let subject = subject(at, environment, &order);
    let detail = json!({ "mode": order.mode, "number": number });
    audit::record(&mut tx, actor, &at.organisation.id, "mode.withdrawn", &subject, detail).await?;
    tx.commit().await?;
    tell(state, at, environment);
    Ok(order)
}

/// An order, with what agents said to it while it stands.
///
/// # Errors
/// Not allowed; no such order.
pub async fn find(
    state: &AppState,
    actor: &Actor,
    at: &ProjectAt,
    environment: &Environment,
    number: i64,
) -> Result<(Order, Option<Answers>)> {
    at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    let order = order::find(&mut conn, &environment.id, number).await?.ok_or(ApiError::NotFound("order"))?;
    let stands = views(&mut conn, environment).await?.into_iter().find(|view| view.order.number == number);
    Ok((order, stands.map(|view| view.answers)))
}

/// Whom an order is for: `service till of acme/support/prod`.
fn subject(at: &ProjectAt, environment: &Environment, order: &Order) -> String {
    let place = format!("{}/{}", at.path(), environment.slug);
    match order.target_kind.as_str() {
        "environment" => place,
        kind => format!("{kind} {} of {place}", order.target_name),
    }
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
    if new.target == Target::Environment {
        return Ok(row);
    }
    let standing = standing(tx, &environment.id).await?;
    if awake(tx, &environment.id, standing).await?.len() > ORDERS_MAX {
        let wider = match new.target {
            Target::Agent(_) => "the service or the environment",
            _ => "the environment",
        };
        let detail = format!(
            "{ORDERS_MAX} orders stand in {}; withdraw some, or give one to {wider}, which takes the place of those to its agents",
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
    at.require(actor, Action::View)?;
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
    let targets = ByTarget::of(&standing);
    let mut answers: HashMap<i64, Answers> = HashMap::new();
    for Obeying { name, service, mode, order_number, order_result } in &agents {
        if let Some(order) = targets.governing(name, service) {
            let answer = Answer::of(order, mode, *order_number, order_result.as_deref());
            answers.entry(order.number).or_default().count(answer);
        }
    }
    let view = |order: Order| OrderView {
        answers: answers.get(&order.number).copied().unwrap_or_default(),
        environment: environment.clone(),
        order,
    };
    Ok(standing.into_iter().map(view).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_for_its_own_order_only() {
        let frozen = Order {
            environment_id: "e".into(),
            number: 7,
            target_kind: "environment".into(),
            target_name: String::new(),
            mode: "FROZEN".into(),
            given_by: "ada".into(),
            reason: String::new(),
            given_at: 7,
        };
        let of =
            |mode: &str, number: i64, result: &str| Answer::of(&frozen, mode, Some(number), Some(result));
        assert_eq!(of("FROZEN", 7, "done"), Answer::Done);
        assert_eq!(of("ACCEPTING", 7, "done"), Answer::Changed);
        assert_eq!(of("ACCEPTING", 7, "forbidden"), Answer::Forbidden);
        assert_eq!(of("FROZEN", 6, "done"), Answer::Waiting);
        assert_eq!(Answer::of(&frozen, "FROZEN", None, None), Answer::Waiting);
        assert_eq!(of("ACCEPTING", 8, "done"), Answer::Newer, "it does not go back to this one");
    }

    #[test]
    fn a_target_is_named_by_what_can_be_a_name() {
        assert_eq!(Target::of(Some("till-1"), None).unwrap(), Target::Agent("till-1"));
        assert_eq!(Target::of(None, Some("Till of Ada")).unwrap(), Target::Service("Till of Ada"));
        for (agent, service) in
            [(Some("a\u{0}"), None), (Some("A b"), None), (None, Some("a\u{0}")), (Some("a"), Some("b"))]
        {
            assert_eq!(Target::of(agent, service).unwrap_err().code(), "invalid");
        }
    }

    #[test]
    fn a_reason_is_one_line_of_bounded_length() {
        assert_eq!(text(" a\n b\u{0}\tc "), "a b c");
        assert_eq!(text(&"ä".repeat(500)).chars().count(), TEXT_MAX);
    }
}
