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
//! | `rename` | a variable under another name |
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
mod rename;
mod set;
mod syntax;
mod values;

use hashbrown::HashMap;

pub use budget::{FUEL, OUTPUT_MAX, TEXT_MAX};
pub use compiled::{CompiledPrompt, RenderedMessage};
pub use error::{Limit, RenderError, RenderPlace, TemplateError, TemplateErrorCode};
pub use lex::{SOURCE_MAX, TAGS_MAX};
pub use parse::BLOCKS_MAX;
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
            source_line: inspect::source_line(template, line),
            message: flaw.message,
            code: flaw.code,
        }
    })
}

/// A template with a variable that it takes from outside under another name. Only whole names in tags change.
///
/// None where the template does not use it or cannot be read, where `to` is used already or is no name, and
/// where the template calls something of its own by either name.
#[must_use]
pub fn rename(template: &str, from: &str, to: &str) -> Option<String> {
    rename::rename(template, from, to)
}

/// The partials of another set as this one takes them in: `footer` of the set `brand` becomes
/// `brand/footer`, and so does what their sources include. A source that cannot be read stays as it is.
#[must_use]
pub fn embed(set: &crate::names::Slug, partials: &[Partial]) -> Vec<Partial> {
    let prefix = format!("{set}/");
    let embedded = partials.iter().filter_map(|partial| {
        let name = crate::names::PromptId::new(&format!("{prefix}{}", partial.name)).ok()?;
        let source = inspect::renamed(&partial.source, &prefix).unwrap_or_else(|_| partial.source.clone());
        Some(Partial { name, source })
    });
    embedded.collect()
}

/// The filters that a template may use, for completion in an editor.
pub fn filter_names() -> impl Iterator<Item = &'static str> + Clone {
    filters::names()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{PromptId, Slug};

    #[test]
    fn embedded_partials_find_each_other_under_the_name_of_their_set() {
        let partial = |name: &str, source: &str| Partial {
            name: PromptId::new(name).unwrap(),
            source: source.to_owned(),
        };
        let brand = [
            partial("footer", "{% if true %}{% include 'sign' %}{% endif %} | {% include \"legal/short\" %}"),
            partial("sign", "é Fernway"),
            partial("legal/short", "{% raw %}{% include \"no\" %}{% endraw %}"),
        ];
        let found = embed(&Slug::new("brand").unwrap(), &brand);
        let names: Vec<&str> = found.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["brand/footer", "brand/sign", "brand/legal/short"]);
        assert_eq!(
            found[0].source,
            "{% if true %}{% include 'brand/sign' %}{% endif %} | {% include \"brand/legal/short\" %}"
        );
        assert_eq!(found[2].source, brand[2].source);
        let prompt = Prompt::text(PromptId::new("a").unwrap(), "{% include \"brand/footer\" %}");
        assert_eq!(check(&prompt, &found), []);
        let compiled = CompiledPrompt::compile(&prompt, &found).unwrap();
        let text = compiled.render(&Values::from_json(serde_json::Map::new())).unwrap();
        assert_eq!(text, "é Fernway | {% include \"no\" %}");
    }
}
