//! Trust: the keys that sign for a project, and its rule for old content.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use schemas::envelope::{AgeAction, MaxAge};
use serde::Serialize;

use super::address::Path;
use super::engine;
use super::fault::{PageResult, beside_form};
use super::form::Form;
use super::view::{Callout, Field, Moment};
use super::visitor::Visitor;
use crate::author::{self, ProjectAt};
use crate::database::signing::SigningKey;
use crate::error::{ApiError, Result};
use crate::keys::change;
use crate::state::AppState;

const HOUR: u64 = 3600;

#[derive(Debug, Serialize)]
struct Page {
    base: String,
    path: String,
    problem: Option<Callout>,
    actions: Vec<Action>,
    hours: Field,
    keys: Vec<Key>,
}

#[derive(Debug, Serialize)]
struct Action {
    value: &'static str,
    text: &'static str,
    chosen: bool,
}

#[derive(Debug, Serialize)]
struct Key {
    short: String,
    state: String,
    dot: &'static str,
    reason: Option<String>,
    made: Moment,
    ended: Option<Moment>,
}

impl From<SigningKey> for Key {
    fn from(key: SigningKey) -> Self {
        let dot = match key.state.as_str() {
            "active" => "active",
            "revoked" => "refused",
            _ => "unreachable",
        };
        Self {
            // The whole key: it is compared with what a connect file or `forge verify` shows.
            short: key.public_key,
            dot,
            state: key.state,
            reason: key.reason,
            made: Moment::relative(key.created_at),
            ended: key.revoked_at.or(key.retired_at).map(Moment::relative),
        }
    }
}

/// `GET /{organisation}/{project}/-/trust`.
pub(super) async fn get_trust(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p)): Path<(String, String)>,
) -> PageResult {
    let at = visitor.project(&state, &o, &p).await?;
    let rule = author::max_age(&at.project);
    let hours = rule.map_or_else(|| "24".to_owned(), |rule| (rule.seconds / HOUR).to_string());
    let action = rule.map_or("serve", |rule| rule.action.as_str());
    Ok(show(&visitor, &state, &at, StatusCode::OK, (action, &hours), None).await?)
}

async fn show(
    visitor: &Visitor,
    state: &AppState,
    at: &ProjectAt,
    status: StatusCode,
    (action, hours): (&str, &str),
    problem: Option<Callout>,
) -> Result<Response> {
    let keys = change::list(state, &visitor.actor, Some(at)).await?;
    let actions = [
        ("serve", "serve it"),
        ("warn", "serve it, and warn in log and status"),
        ("refuse", "refuse: every call gets an error"),
    ];
    let page = Page {
        base: format!("/{}", at.path()),
        path: at.path(),
        problem,
        actions: actions.map(|(value, text)| Action { value, text, chosen: value == action }).into(),
        hours: Field { hint: Some("From 1 to 87600.".into()), ..Field::text("hours", "Hours", hours) },
        keys: keys.into_iter().rev().map(Into::into).collect(),
    };
    let frame = visitor.in_project(at).titled("Trust", "trust");
    Ok(engine::page(status, "trust.html", &frame, &page))
}

/// `POST /{organisation}/{project}/-/trust`.
pub(super) async fn post_trust(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p)): Path<(String, String)>,
    form: Form,
) -> PageResult {
    let at = visitor.project(&state, &o, &p).await?;
    let done = match rule(&form) {
        Ok(rule) => author::set_max_age(&state, &visitor.actor, &at, rule).await,
        Err(error) => Err(error),
    };
    match done {
        Ok(()) => Ok(Redirect::to(&format!("/{}/-/trust", at.path())).into_response()),
        Err(error) => {
            let (status, why) = beside_form(error)?;
            let problem = Some(Callout::bad("Rule not saved.", why));
            let given = (form.get("action"), form.get("hours"));
            Ok(show(&visitor, &state, &at, status, given, problem).await?)
        }
    }
}

fn rule(form: &Form) -> Result<Option<MaxAge>> {
    let action = match form.get("action") {
        "serve" => return Ok(None),
        "warn" => AgeAction::Warn,
        "refuse" => AgeAction::Refuse,
        _ => return Err(ApiError::invalid("invalid", "action", "choose what an agent does")),
    };
    let hours: u64 = form
        .get("hours")
        .trim()
        .parse()
        .map_err(|_| ApiError::invalid("invalid", "hours", "write a number of hours, such as 24"))?;
    Ok(Some(MaxAge { seconds: hours.saturating_mul(HOUR), action }))
}
