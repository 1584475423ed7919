//! A prompt run with a model, for who tries it.
//!
//! Whoever may edit may run, so often and so many at once, since it costs money. The audit log knows that
//! somebody ran a prompt with a model; values, texts and answers are neither logged nor kept.

use models::{Ask, Event, Message, ModelError, Outcome, Settings};
use schemas::prompt::{Prompt, Role};
use serde_json::json;

use super::SetAt;
use super::preview::{Given, Rendered};
use super::trial::{Of, Tried, try_prompt};
use crate::audit;
use crate::auth::{Action, Actor};
use crate::error::{ApiError, Result};
use crate::limit::StreamPlace;
use crate::state::AppState;

/// A run that was allowed. Nothing was sent yet; dropping it ends it.
#[derive(Debug)]
pub struct Running {
    state: AppState,
    model: String,
    ask: Ask,
    run: Option<models::Run>,
    ended: bool,
    _place: StreamPlace,
    /// What is sent, measured before it is sent.
    pub tried: Tried,
}

/// What comes next of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum RunEvent {
    Text(String),
    Done(Outcome),
    Failed(ModelError),
}

/// Renders a prompt and makes it ready to be sent to a model, named as `endpoint/model`.
///
/// # Errors
/// Not allowed, too often, no such model, a role that is not sent; as [`try_prompt`].
pub async fn run(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    of: &Of,
    prompt: &str,
    given: Given,
    model: &str,
) -> Result<Running> {
    set.at.require(actor, Action::Edit)?;
    known(state, model)?;
    let place = state.limits.run(&actor.user_id)?;
    let tried = try_prompt(state, actor, set, of, prompt, given).await?;
    let ask = ask(&tried.prompt, &tried.rendered)?;
    let mut tx = state.database.write().await?;
    let subject = format!("{}/{prompt}", set.path());
    let detail = json!({ "version": tried.version, "model": model });
    audit::record(&mut tx, actor, &set.at.organisation.id, "prompt.run", &subject, detail).await?;
    tx.commit().await?;
    let (state, model) = (state.clone(), model.to_owned());
    Ok(Running { state, model, ask, run: None, ended: false, _place: place, tried })
}

/// Refuses a model that is not configured.
fn known(state: &AppState, model: &str) -> Result<()> {
    let endpoints = &state.config.models;
    if endpoints.is_empty() {
        let detail = "no model endpoint is configured: the operator names some in a file, by models-file";
        return Err(ApiError::conflict("no_model_endpoint", detail));
    }
    if endpoints.find(model).is_some() {
        return Ok(());
    }
    let names: Vec<String> = endpoints.models().map(|(name, _)| name).collect();
    let detail = format!("there is no such model here; there are {}", names.join(", "));
    Err(ApiError::invalid("model_not_configured", "model", detail))
}

/// The messages of a prompt as a model gets them. A text is what a user says.
fn ask(prompt: &Prompt, rendered: &Rendered) -> Result<Ask> {
    let message = |role, text: &str| Message { role, text: text.to_owned() };
    let messages = match rendered {
        Rendered::Text(text) => vec![message(models::Role::User, text)],
        Rendered::Messages(found) => found
            .iter()
            .enumerate()
            .map(|(i, (role, text))| match role {
                Role::System => Ok(message(models::Role::System, text)),
                Role::User => Ok(message(models::Role::User, text)),
                Role::Assistant => Ok(message(models::Role::Assistant, text)),
                Role::Tool | Role::Other => Err(ApiError::Invalid {
                    code: "role_not_run",
                    field: None,
                    detail: format!(
                        "message {} is of a tool or of a role that is not known here: a run sends messages of \
                         system, user and assistant",
                        i + 1
                    ),
                }),
            })
            .collect::<Result<_>>()?,
    };
    Ok(Ask { messages, settings: Settings::of(&prompt.model) })
}

impl Running {
    /// What comes next; none after the end.
    pub async fn next(&mut self) -> Option<RunEvent> {
        if self.ended {
            return None;
        }
        match self.advance().await {
            Ok(Some(Event::Text(text))) => Some(RunEvent::Text(text)),
            Ok(Some(Event::Done(outcome))) => {
                self.end();
                Some(RunEvent::Done(outcome))
            }
            Ok(None) => {
                self.end();
                None
            }
            Err(error) => {
                self.end();
                Some(RunEvent::Failed(error))
            }
        }
    }

    fn end(&mut self) {
        self.ended = true;
        self.run = None;
    }

    async fn advance(&mut self) -> Result<Option<Event>, ModelError> {
        if let Some(run) = &mut self.run {
            return run.next().await;
        }
        // Known since it was allowed: the file is read once, at the start.
        let Some((endpoint, model)) = self.state.config.models.find(&self.model) else { return Ok(None) };
        let run = models::start(endpoint, model, &self.ask, models::Limits::default()).await?;
        self.run.insert(run).next().await
    }
}
