//! Orders to agents.

use schemars::JsonSchema;
use schemas::status::Mode;
use serde::{Deserialize, Serialize};

use crate::clock::rfc3339;
use crate::order::{Answers, OrderView};

/// An order within one environment. A field that is not known is refused: a name that was misspelt would make it an
/// order to everybody.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOrder {
    pub mode: Mode,
    /// The one agent that it is for; with neither this nor a service, it is for all of the environment.
    #[serde(default)]
    pub agent: Option<String>,
    /// The service whose agents it is for.
    #[serde(default)]
    pub service: Option<String>,
    /// For people; agents are told it. 200 characters of it are kept.
    #[serde(default)]
    pub reason: String,
}

/// An order to all agents of a project.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewFleetOrder {
    pub mode: Mode,
    #[serde(default)]
    pub reason: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct OrderBody {
    pub environment: String,
    /// Only grows within an environment; agents obey the highest that is meant for them, once.
    pub number: i64,
    /// agent, service or environment.
    pub target: String,
    /// The agent or the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub mode: String,
    pub by: String,
    pub reason: String,
    pub at: String,
    pub answers: AnswersBody,
}

/// What agents said to an order. Each counts for the newest order that is meant for it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AnswersBody {
    /// Agents that it is for, as far as they are listed.
    pub agents: usize,
    pub done: usize,
    /// Done, and somebody at the agent set another mode since.
    pub changed: usize,
    /// The agent's owner does not let FORGE set its mode.
    pub forbidden: usize,
    pub not_yet: usize,
}

impl From<Answers> for AnswersBody {
    fn from(a: Answers) -> Self {
        Self {
            agents: a.agents,
            done: a.done,
            changed: a.changed,
            forbidden: a.forbidden,
            not_yet: a.waiting,
        }
    }
}

impl From<OrderView> for OrderBody {
    fn from(v: OrderView) -> Self {
        Self {
            environment: v.environment.slug,
            number: v.order.number,
            target: v.order.target_kind,
            name: Some(v.order.target_name).filter(|name| !name.is_empty()),
            mode: v.order.mode,
            by: v.order.given_by,
            reason: v.order.reason,
            at: rfc3339(v.order.given_at),
            answers: v.answers.into(),
        }
    }
}
