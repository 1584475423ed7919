//! What the editor shows while one writes: errors at their place, the variables of the text, and
//! the rendered prompt. It runs the very code that agents render with.

use schemas::prompt::{Content, Partial, Prompt, Role};
use schemas::template::{self, CompiledPrompt, RenderError, RenderedMessage, TemplateError, Values};
use serde_json::{Map, Value, json};

use super::SetAt;
use super::trial::Measure;
use super::unmerged;
use crate::aside::{PREVIEWS, aside};
use crate::auth::{Action, Actor};
use crate::error::{ApiError, Result};
use crate::state::AppState;

/// What was found in a prompt.
#[derive(Debug, Clone, Default)]
pub struct Check {
    /// Errors and warnings, each at its place.
    pub errors: Vec<TemplateError>,
    /// Free variables of the text, in order of first use.
    pub variables: Vec<String>,
}

/// Messages of the caller, by the placeholder that they fill.
pub type History = Vec<(String, Vec<RenderedMessage>)>;

/// What a caller would give.
#[derive(Clone, Default, PartialEq)]
pub struct Given {
    pub values: Map<String, Value>,
    pub history: History,
}

impl std::fmt::Debug for Given {
    /// Names only: values are nobody's business.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let history = self.history.iter().map(|(name, _)| name);
        f.debug_set().entries(self.values.keys().chain(history)).finish()
    }
}

/// A rendered prompt.
#[derive(Debug, Clone)]
pub enum Rendered {
    Text(String),
    Messages(Vec<(Role, String)>),
}

/// Checks a prompt as it is being written, against the partials of the set's draft.
///
/// # Errors
/// Not allowed, or the database refuses. A faulty template is no error here.
pub async fn check(state: &AppState, actor: &Actor, set: &SetAt, prompt: &Prompt) -> Result<Check> {
    let partials = partials(state, actor, set).await?;
    let prompt = prompt.clone();
    aside(&PREVIEWS, move || {
        let mut errors = template::check(&prompt, &partials);
        errors.extend(unmerged::in_prompt(&prompt));
        let mut variables: Vec<String> = Vec::new();
        for source in prompt.templates() {
            for name in template::extract(source).unwrap_or_default() {
                if !variables.contains(&name) {
                    variables.push(name);
                }
            }
        }
        Ok(Check { errors, variables })
    })
    .await
}

/// Renders a prompt as it is being written.
///
/// # Errors
/// [`ApiError::Template`], [`ApiError::Parameters`], or a bound of the engine.
pub async fn render(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    prompt: &Prompt,
    values: Map<String, Value>,
) -> Result<Rendered> {
    let given = Given { values, history: History::new() };
    Ok(render_measured(state, actor, set, prompt, given).await?.0)
}

/// Renders a prompt as it is being written, and measures the text.
///
/// # Errors
/// As [`render`], or messages for a placeholder that there is not.
pub async fn render_measured(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    prompt: &Prompt,
    given: Given,
) -> Result<(Rendered, Measure)> {
    let partials = partials(state, actor, set).await?;
    let prompt = prompt.clone();
    aside(&PREVIEWS, move || {
        let rendered = rendered(&prompt, &partials, given)?;
        let measure = Measure::of(&prompt, &rendered);
        Ok((rendered, measure))
    })
    .await
}

/// Renders a prompt as an agent does.
pub(crate) fn rendered(prompt: &Prompt, partials: &[Partial], given: Given) -> Result<Rendered> {
    let compiled = CompiledPrompt::compile(prompt, partials).map_err(ApiError::Template)?;
    let values = Values::from_json(given.values);
    match &prompt.content {
        Content::Text { .. } => compiled.render(&values).map(Rendered::Text).map_err(refused),
        Content::Chat { .. } => {
            let history: Vec<(&str, &[RenderedMessage])> =
                given.history.iter().map(|(name, messages)| (name.as_str(), messages.as_slice())).collect();
            compiled
                .render_messages(&values, &history)
                .map(|found| Rendered::Messages(found.into_iter().map(pair).collect()))
                .map_err(refused)
        }
    }
}

fn pair(message: RenderedMessage) -> (Role, String) {
    (message.role, message.content)
}

async fn partials(state: &AppState, actor: &Actor, set: &SetAt) -> Result<Vec<Partial>> {
    set.at.require(actor, Action::View)?;
    let mut conn = state.database.read().await?;
    super::prompt::partials(&mut conn, set).await
}

/// A render that stopped, as a problem that names prompt, parameter, expected and got.
pub(crate) fn refused(error: RenderError) -> ApiError {
    let detail = error.to_string();
    let problems = match &error {
        RenderError::Parameters(found) => found
            .errors
            .iter()
            .map(|e| {
                json!({
                    "prompt": found.prompt, "parameter": e.parameter, "code": e.code,
                    "expected": e.expected, "got": e.got,
                })
            })
            .collect(),
        RenderError::Internal { .. } => return ApiError::internal(error),
        _ => return ApiError::Invalid { code: "render_failed", field: None, detail },
    };
    ApiError::Parameters { detail, problems: Value::Array(problems) }
}
