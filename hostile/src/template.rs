//! Hostile templates: each is refused when it is compiled, or stopped when it is rendered, within
//! [`TIME_MAX`] and [`MEMORY_MAX`].

pub mod cases;

use std::time::{Duration, Instant};

use schemas::PromptId;
use schemas::prompt::{Partial, Prompt};
use schemas::template::{
    CompiledPrompt, Limit, RenderError, TemplateError, TemplateErrorCode, Values, check,
};
use schemas::vars;
use serde_json::json;

use crate::allocations;

/// What an optimised program may take from the source to its end, be it an error.
pub const TIME_MAX: Duration = Duration::from_millis(100);
/// The most that may be held at once on the way, in bytes, the values not counted.
pub const MEMORY_MAX: u64 = 64 * 1024 * 1024;

/// What a case has to come to.
#[derive(Debug, Clone)]
pub enum Expected {
    /// It does not compile; the first error is one of these, says this and points to this line.
    Refused { codes: &'static [TemplateErrorCode], says: &'static str, line: usize },
    /// It compiles, and a render ends at one of these.
    Stopped(&'static [Limit]),
    /// It is harmless, and gives this text.
    Served(String),
}

/// A prompt that somebody means harm with.
#[derive(Debug, Clone)]
pub struct Case {
    pub name: String,
    pub template: String,
    pub partials: Vec<Partial>,
    pub expected: Expected,
}

/// What came of a case.
#[derive(Debug)]
pub struct Outcome {
    pub refused: Option<TemplateError>,
    pub rendered: Option<Result<String, RenderError>>,
    pub time: Duration,
    /// In bytes; 0 where the program's allocator does not count.
    pub memory: u64,
}

/// The parameters that the cases use, as their JSON.
#[must_use]
pub fn parameters() -> serde_json::Value {
    json!([
        {"name": "x", "type": "string"},
        {"name": "big", "type": "list", "items": {"type": "integer"}},
        {"name": "text", "type": "string"},
    ])
}

/// The values that the cases are rendered with: a list of 10,000 and a text of 240 KB among them.
#[must_use]
pub fn values() -> Values {
    vars! { x: "x", big: (0..10_000).collect::<Vec<i64>>(), text: "lorem ipsum ".repeat(20_000) }
}

impl Case {
    /// # Panics
    /// Never: id and parameters are good.
    #[must_use]
    pub fn prompt(&self) -> Prompt {
        let mut prompt = Prompt::text(PromptId::new("hostile").expect("an id"), self.template.as_str());
        prompt.parameters = serde_json::from_value(parameters()).expect("parameters");
        prompt
    }

    /// Checks it as an editor does, compiles it, and renders it where it compiles.
    #[must_use]
    pub fn run(&self, values: &Values) -> Outcome {
        let prompt = self.prompt();
        let started = Instant::now();
        let ((refused, rendered), memory) = allocations::peak(|| {
            let found = check(&prompt, &self.partials).into_iter().find(|e| !e.is_warning());
            match CompiledPrompt::compile(&prompt, &self.partials) {
                Ok(compiled) => (found, Some(compiled.render(values))),
                Err(errors) => (errors.into_iter().find(|e| !e.is_warning()), None),
            }
        });
        Outcome { refused, rendered, time: started.elapsed(), memory }
    }

    /// Says what is not as it has to be.
    ///
    /// # Errors
    /// What came instead.
    pub fn hold(&self, outcome: &Outcome) -> Result<(), String> {
        let wrong = |what: String| Err(format!("{}: {what}", self.name));
        match (&self.expected, &outcome.refused, &outcome.rendered) {
            (Expected::Refused { codes, says, line }, Some(error), None) => {
                if !codes.contains(&error.code) || !error.message.contains(says) || error.line != *line {
                    return wrong(format!("expected {codes:?}, {says:?} and line {line}; found {error:?}"));
                }
            }
            (Expected::Stopped(limits), None, Some(Err(RenderError::Limit { limit, place }))) => {
                if !limits.contains(limit) || place.line == 0 {
                    return wrong(format!("expected {limits:?}; it was stopped by {limit:?} at {place}"));
                }
            }
            (Expected::Served(text), None, Some(Ok(found))) => {
                if text != found {
                    return wrong(format!("expected {text:?}, found {found:?}"));
                }
            }
            (expected, refused, rendered) => {
                let rendered = rendered.as_ref().map(|r| r.as_ref().map(String::len));
                return wrong(format!("expected {expected:?}; refused {refused:?}, rendered {rendered:?}"));
            }
        }
        if outcome.memory > MEMORY_MAX {
            return wrong(format!("it held {} bytes, at most {MEMORY_MAX} are allowed", outcome.memory));
        }
        Ok(())
    }
}
