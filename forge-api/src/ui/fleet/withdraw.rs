//! Asks before an order is withdrawn.

use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect};
use serde::Deserialize;

use super::ask::back;
use crate::auth::Action;
use crate::author;
use crate::database::order::Order;
use crate::error::ApiError;
use crate::order;
use crate::state::AppState;
use crate::ui::address::{Path, Query};
use crate::ui::fault::PageResult;
use crate::ui::new::{Ask, ask};
use crate::ui::view::{Moment, encoded};
use crate::ui::visitor::Visitor;

/// Where the order stands.
#[derive(Debug, Deserialize)]
pub(in crate::ui) struct Place {
    #[serde(default)]
    environment: String,
}

/// The address of the page that asks.
pub(super) fn address(base: &str, environment: &str, number: i64) -> String {
    format!("{base}/-/agents/orders/{number}/withdraw?environment={}", encoded(environment))
}

/// Whom an order is for, in words: `agent till-1 of prod`.
fn whom(order: &Order, environment: &str) -> String {
    match order.target_kind.as_str() {
        "environment" => environment.to_owned(),
        kind => format!("{kind} {} of {environment}", order.target_name),
    }
}

/// `GET /{organisation}/{project}/-/agents/orders/{number}/withdraw?environment=…`.
pub(in crate::ui) async fn get_withdraw(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, number)): Path<(String, String, String)>,
    Query(place): Query<Place>,
) -> PageResult {
    let at = visitor.project(&state, &o, &p).await?;
    at.require(&visitor.actor, Action::Order)?;
    let number = number.parse().map_err(|_| ApiError::NotFound("order"))?;
    let environment = author::find_environment(&state, &visitor.actor, &at, &place.environment).await?;
    let (order, answers) = order::find(&state, &visitor.actor, &at, &environment, number).await?;
    let base = format!("/{o}/{p}");
    let title = format!("Withdraw {} for {}", order.mode, whom(&order, &environment.slug));
    let frame = visitor.in_project(&at).crumb("Agents", format!("{base}/-/agents"));
    let frame = frame.titled(&title, "agents").narrow();
    let mut facts =
        vec![("Given by", order.given_by.clone()), ("Given", Moment::relative(order.given_at).text)];
    if !order.reason.is_empty() {
        facts.push(("Reason", order.reason.clone()));
    }
    facts.push(match answers {
        Some(answers) => ("Done", format!("{} of {}", answers.done, answers.agents)),
        None => ("Stands", "no more".to_owned()),
    });
    let text = "Nobody is told it any more. No agent's mode changes: who obeyed stays as it is until another order, or \
        somebody at the agent, sets it; who has not heard it yet never will."
        .to_owned();
    let action = address(&base, &environment.slug, number);
    let button = "Withdraw order".to_owned();
    Ok(ask(&frame, Ask { title, text, action, back: back(&at, &environment.slug), button, facts }))
}

/// `POST /{organisation}/{project}/-/agents/orders/{number}/withdraw?environment=…`.
pub(in crate::ui) async fn post_withdraw(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, number)): Path<(String, String, String)>,
    Query(place): Query<Place>,
) -> PageResult {
    let at = visitor.project(&state, &o, &p).await?;
    at.require(&visitor.actor, Action::Order)?;
    let number = number.parse().map_err(|_| ApiError::NotFound("order"))?;
    let environment = author::find_environment(&state, &visitor.actor, &at, &place.environment).await?;
    order::withdraw(&state, &visitor.actor, &at, &environment, number).await?;
    Ok(Redirect::to(&back(&at, &environment.slug)).into_response())
}
