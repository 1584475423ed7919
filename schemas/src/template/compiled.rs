//! A prompt, ready to be rendered as often as it is asked for.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::budget::Stop;
use super::direct::{Direct, Halt, Why};
use super::engine::{self, Engine, Failure, Source, Spot};
use super::error::{RenderError, RenderPlace, TemplateError, TemplateErrorCode};
use super::inspect::{self, Inspection, Library, Place};
use super::values::Values;
use crate::names::PromptId;
use crate::parameter;
use crate::parameter::check::{self, Given};
use crate::prompt::{Content, Message, Partial, Prompt, Role};

/// A message of a chat as it goes to a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct RenderedMessage {
    pub role: Role,
    pub content: String,
}

impl RenderedMessage {
    /// A message of a history.
    #[must_use]
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into() }
    }
}

/// A prompt that was checked and compiled.
#[derive(Debug)]
pub struct CompiledPrompt {
    prompt: Arc<Prompt>,
    /// One of each entry of the content.
    parts: Box<[Part]>,
    engine: Option<Box<Engine>>,
    defaults: Values,
    has_nested_defaults: bool,
}

#[derive(Debug)]
enum Part {
    /// The source as it is.
    Plain,
    /// Text and variables, written without the engine.
    Direct(Direct),
    /// What the engine knows under `name`; `cost` is that of one run, loops not counted.
    Engine {
        name: String,
        cost: u64,
    },
    Placeholder,
}

impl CompiledPrompt {
    /// Checks and compiles `prompt`. Only the partials that it includes are looked at.
    ///
    /// # Errors
    /// Everything that [`super::check`] finds, without the warnings.
    pub fn compile(prompt: &Prompt, partials: &[Partial]) -> Result<Self, Vec<TemplateError>> {
        Self::build(prompt, &Library::new(partials))
    }

    pub(super) fn build<'a>(prompt: &'a Prompt, library: &Library<'a>) -> Result<Self, Vec<TemplateError>> {
        let (compiled, errors) = Self::assemble(prompt, library);
        let errors: Vec<_> = errors.into_iter().filter(|error| !error.is_warning()).collect();
        match compiled {
            Some(compiled) if errors.is_empty() => Ok(compiled),
            _ => Err(errors),
        }
    }

    /// Compiles what can be compiled, and says everything that there is to say.
    pub(super) fn assemble<'a>(
        prompt: &'a Prompt,
        library: &Library<'a>,
    ) -> (Option<Self>, Vec<TemplateError>) {
        let Inspection { mut errors, templates, partials } = inspect::inspect(prompt, library);
        if errors.iter().any(|error| !error.is_warning()) {
            return (None, errors);
        }
        let count = match &prompt.content {
            Content::Text { .. } => 1,
            Content::Chat { messages } => messages.len(),
        };
        let mut parts: Vec<Part> = (0..count)
            .map(|index| match &prompt.content {
                Content::Chat { messages } if is_placeholder(messages.get(index)) => Part::Placeholder,
                _ => Part::Plain,
            })
            .collect();
        let names: Vec<&str> = prompt.parameters.iter().map(|p| p.name.as_str()).collect();
        let mut sources = Vec::new();
        let mut priced = Vec::new();
        for template in &templates {
            let part = match Direct::of(&template.nodes, names.clone()) {
                Some(direct) => Part::Direct(direct),
                None => {
                    let name = format!("@{}", template.index);
                    priced.extend(template.report.filters.iter().cloned());
                    sources.push(Source::new(name.clone(), template.source, &template.report.insertions));
                    Part::Engine { name, cost: template.report.cost }
                }
            };
            if let Some(slot) = parts.get_mut(template.index) {
                *slot = part;
            }
        }
        let defaults = parameter::default::of(&prompt.parameters);
        let mut engine = None;
        if !sources.is_empty() {
            for (partial, report) in &partials {
                priced.extend(report.filters.iter().cloned());
                sources.push(Source::new(partial.name.to_string(), &partial.source, &report.insertions));
            }
            priced.sort_unstable();
            priced.dedup();
            match Engine::new(sources, priced, &defaults) {
                Ok(built) => engine = Some(Box::new(built)),
                Err(failure) => {
                    errors.push(refusal(prompt, &templates, &partials, failure));
                    return (None, errors);
                }
            }
        }
        let compiled = Self {
            parts: parts.into(),
            engine,
            defaults,
            has_nested_defaults: parameter::default::is_nested(&prompt.parameters),
            prompt: Arc::new(prompt.clone()),
        };
        (Some(compiled), errors)
    }

    /// The prompt that this was made of: parameters, model settings, tags.
    #[must_use]
    pub fn prompt(&self) -> &Prompt {
        &self.prompt
    }

    #[must_use]
    pub fn id(&self) -> &PromptId {
        &self.prompt.id
    }

    /// Renders a text prompt.
    ///
    /// # Errors
    /// Values that do not fit the parameters, a bound that was met, a chat, or what the template
    /// itself does with a value that it cannot do.
    pub fn render(&self, values: &Values) -> Result<String, RenderError> {
        let mut out = String::new();
        self.render_to(values, &mut out)?;
        Ok(out)
    }

    /// Appends the text to `out`, or nothing where there is an error. With a buffer that is used
    /// again, a render of text and variables takes no memory.
    ///
    /// # Errors
    /// As [`CompiledPrompt::render`].
    pub fn render_to(&self, values: &Values, out: &mut String) -> Result<(), RenderError> {
        let Content::Text { template } = &self.prompt.content else {
            return Err(RenderError::IsChat { prompt: self.prompt.id.clone() });
        };
        self.with_values(values, |values, given| match self.parts.first() {
            Some(part) => self.write(part, 0, template, values, given, out),
            None => Ok(()),
        })
    }

    /// Renders a chat. `history` holds the caller's messages for each placeholder by name; one that
    /// is not named stays empty.
    ///
    /// # Errors
    /// As [`CompiledPrompt::render`], a text prompt, or a placeholder that there is not.
    pub fn render_messages(
        &self,
        values: &Values,
        history: &[(&str, &[RenderedMessage])],
    ) -> Result<Vec<RenderedMessage>, RenderError> {
        let Content::Chat { messages } = &self.prompt.content else {
            return Err(RenderError::IsText { prompt: self.prompt.id.clone() });
        };
        let is_known = |name: &str| {
            messages.iter().any(|m| matches!(m, Message::Placeholder { name: own } if own == name))
        };
        if let Some((name, _)) = history.iter().find(|(name, _)| !is_known(name)) {
            let name = name.chars().take(80).collect();
            return Err(RenderError::UnknownPlaceholder { prompt: self.prompt.id.clone(), name });
        }
        self.with_values(values, |values, given| {
            let mut rendered = Vec::with_capacity(messages.len());
            for (index, (message, part)) in messages.iter().zip(&self.parts).enumerate() {
                match message {
                    Message::Message { role, template } => {
                        let mut content = String::new();
                        self.write(part, index, template, values, given, &mut content)?;
                        rendered.push(RenderedMessage { role: *role, content });
                    }
                    Message::Placeholder { name } => {
                        let own = history.iter().filter(|(own, _)| own == name);
                        rendered.extend(own.flat_map(|(_, messages)| messages.iter().cloned()));
                    }
                }
            }
            Ok(rendered)
        })
    }

    /// Checks the values, and fills in the defaults that stand inside of objects.
    fn with_values<T>(
        &self,
        values: &Values,
        render: impl FnOnce(&Values, &Given<'_>) -> Result<T, RenderError>,
    ) -> Result<T, RenderError> {
        let prompt = &self.prompt;
        if let Some(fault) = values.fault() {
            return Err(RenderError::Values { prompt: prompt.id.clone(), message: fault.to_string() });
        }
        let given = check::given(&prompt.id, &prompt.parameters, values).map_err(RenderError::Parameters)?;
        if !self.has_nested_defaults {
            return render(values, &given);
        }
        let filled = parameter::default::fill(&prompt.parameters, values);
        render(&filled, &Given::of(&prompt.parameters, &filled))
    }

    fn write(
        &self,
        part: &Part,
        index: usize,
        source: &str,
        values: &Values,
        given: &Given<'_>,
        out: &mut String,
    ) -> Result<(), RenderError> {
        let start = out.len();
        out.reserve(source.len());
        let done = match (part, &self.engine) {
            (Part::Plain, _) => {
                out.push_str(source);
                Ok(())
            }
            (Part::Direct(direct), _) => direct
                .render(source, given, &self.defaults, out)
                .map_err(|halt| self.halted(index, source, &halt)),
            (Part::Engine { name, cost }, Some(engine)) => {
                engine.render(name, *cost, values, out).map_err(|failure| self.failed(index, failure))
            }
            (Part::Engine { .. } | Part::Placeholder, _) => {
                Err(RenderError::Internal { prompt: self.prompt.id.clone() })
            }
        };
        if done.is_err() {
            out.truncate(start);
        }
        done
    }

    fn place(&self, index: usize, line: usize, column: usize) -> Box<RenderPlace> {
        let is_chat = matches!(self.prompt.content, Content::Chat { .. });
        Box::new(RenderPlace {
            prompt: self.prompt.id.clone(),
            partial: None,
            message_index: is_chat.then_some(index),
            line,
            column,
        })
    }

    fn halted(&self, index: usize, source: &str, halt: &Halt) -> RenderError {
        let (line, column) = inspect::line_and_column(source, halt.at);
        let place = self.place(index, line, column);
        let is_part = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
        let name: String = source.get(halt.at..).unwrap_or_default().chars().take_while(is_part).collect();
        let message = match halt.why {
            Why::Limit(limit) => return RenderError::Limit { place, limit },
            Why::NoField => engine::no_field(&name),
            Why::NoValue => engine::no_value(&name),
            Why::NotIterable { found, by_key: false } => {
                format!("iteration not possible on type `{found}`")
            }
            Why::NotIterable { found, by_key: true } => {
                format!("key/value iteration is not possible on type `{found}`, only on maps")
            }
        };
        RenderError::Template { place, message }
    }

    fn failed(&self, index: usize, failure: Failure) -> RenderError {
        let place = |spot: Option<Spot>| {
            let spot = spot.unwrap_or(Spot { template: String::new(), line: 1, column: 1 });
            let mut place = self.place(index, spot.line, spot.column);
            place.partial = PromptId::new(&spot.template).ok();
            place
        };
        match failure {
            Failure::Stopped(Stop::Limit(limit), spot) => RenderError::Limit { place: place(spot), limit },
            Failure::Stopped(Stop::Thrown, spot) => RenderError::Template {
                place: place(spot),
                message: "the template calls `throw` here".into(),
            },
            Failure::Failed { message, spot } => RenderError::Template { place: place(spot), message },
            Failure::Broken => RenderError::Internal { prompt: self.prompt.id.clone() },
        }
    }
}

fn is_placeholder(message: Option<&Message>) -> bool {
    matches!(message, Some(Message::Placeholder { .. }))
}

/// What Tera says to a template that was read here without complaint.
fn refusal(
    prompt: &Prompt,
    templates: &[inspect::Template<'_>],
    partials: &[(&Partial, super::guard::Report<'_>)],
    failure: Failure,
) -> TemplateError {
    let (message, spot) = match failure {
        Failure::Failed { message, spot } => (message, spot),
        Failure::Stopped(..) | Failure::Broken => {
            ("the template engine cannot take this template".into(), None)
        }
    };
    let spot = spot.unwrap_or(Spot { template: String::new(), line: 1, column: 1 });
    let template = templates.iter().find(|t| spot.template == format!("@{}", t.index)).or(templates.first());
    let place = match partials.iter().find(|(partial, _)| partial.name.as_str() == spot.template) {
        Some((partial, _)) => Place::of_partial(prompt, partial),
        None => Place::of(prompt, template.map_or(0, |t| t.index), template.map_or("", |t| t.source)),
    };
    place.error_at(spot.line, spot.column, TemplateErrorCode::Syntax, message)
}
