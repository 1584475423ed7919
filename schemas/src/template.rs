//! The bounded template engine, which FORGE previews and agents render with.
//!
//! Templates are Tera templates, run by the unmodified engine. What makes them safe stands around
//! it: each source is read into a tree first, checked against a list of what is allowed, priced, and
//! rewritten by insertion so that the engine charges a budget while it runs. A template of text,
//! variables, loops and simple conditions never reaches the engine.
//!
//! ```text
//! source → lex → parse → inspect (guard) ─┬─ direct (path, condition)  what is plain
//!                                         └─ engine (filters, budget)  everything else
//! ```
//!
//! | module | what it does |
//! |---|---|
//! | `lex`, `parse`, `syntax` | from a source to its tree; bounds on sizes and nesting |
//! | `inspect` | follows includes, finds what is used and not declared |
//! | `guard` | what a template uses and costs, and where the prices go |
//! | `filters`, `budget` | what filters, tests and functions cost, and the counter they charge |
//! | `direct`, `engine` | the two ways to a text; they write the same |
//! | `path`, `condition` | variables and conditions on the short way |
//! | `compiled`, `set` | a prompt and a version, ready to render |
//! | `values` | what a caller gives |
//! | `error` | what is wrong with a template, and why a render stopped |
//!
//! What is absent: autoescaping, files, time, randomness, inheritance, components, and any way from
//! a value to a template. The same version and the same values give the same text everywhere.

mod budget;
mod compiled;
mod condition;
mod direct;
mod engine;
mod error;
mod filters;
mod guard;
mod inspect;
mod lex;
mod parse;
mod path;
mod set;
mod syntax;
mod values;

use hashbrown::HashMap;

pub use budget::{FUEL, OUTPUT_MAX, TEXT_MAX};
pub use compiled::{CompiledPrompt, RenderedMessage};
pub use error::{Limit, RenderError, RenderPlace, TemplateError, TemplateErrorCode};
pub use lex::SOURCE_MAX;
pub use set::CompiledSet;
#[doc(hidden)]
pub use values::bare_name;
pub use values::{DEPTH_MAX, Fault, VALUES_MAX, Values};

use crate::prompt::{Partial, Prompt};

/// Everything that there is to say about a prompt while it is being edited: errors, and warnings
/// ([`TemplateError::is_warning`]).
#[must_use]
pub fn check(prompt: &Prompt, partials: &[Partial]) -> Vec<TemplateError> {
    CompiledPrompt::assemble(prompt, &inspect::Library::new(partials)).1
}

/// The variables that a template takes from outside, in the order of their first use. Partials are
/// not looked into.
///
/// # Errors
/// The first thing that is wrong with the template.
pub fn extract(template: &str) -> Result<Vec<String>, TemplateError> {
    let found = parse::parse(template).and_then(|nodes| {
        let report = guard::walk(template, &nodes, false, &HashMap::new());
        match report.flaws.into_iter().next() {
            Some(flaw) => Err(flaw),
            None => Ok(report.free.into_iter().map(|(name, _)| name.to_owned()).collect()),
        }
    });
    found.map_err(|flaw| {
        let (line, column) = inspect::line_and_column(template, flaw.at);
        TemplateError {
            prompt: None,
            partial: None,
            message_index: None,
            line,
            column,
            source_line: template.lines().nth(line.saturating_sub(1)).unwrap_or_default().to_owned(),
            message: flaw.message,
            code: flaw.code,
        }
    })
}

/// The filters that a template may use, for completion in an editor.
pub fn filter_names() -> impl Iterator<Item = &'static str> + Clone {
    filters::names()
}
