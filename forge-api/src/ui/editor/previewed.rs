//! What checking and rendering found: problems at their places, and the text as agents render it.

use schemas::parameter::ParameterError;
use schemas::template::{TemplateError, TemplateErrorCode};
use serde::{Deserialize as _, Serialize};
use serde_json::Value;

use super::rename::Rename;
use super::typed::{PLACEHOLDER, Typed, Unfit, What, role_name};
use crate::author::{Check, Measure, Rendered};
use crate::ui::playground::{Column, length};
use crate::ui::view::count;

/// A parameter that stands in no text.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Unused {
    pub name: String,
    pub index: usize,
}

/// One problem at its place.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Problem {
    /// The part that it is in, or `none` where it is in no text.
    pub part: String,
    pub line: usize,
    pub column: usize,
    pub place: String,
    pub message: String,
    pub text: String,
}

/// The rendered prompt, or why it is not rendered.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Preview {
    /// The text cannot be rendered as it is; an older preview may stay.
    pub stale: bool,
    pub refusals: Vec<String>,
    pub parts: Vec<RenderedPart>,
    pub empty: Option<&'static str>,
    pub size: Option<String>,
    /// As the agents of an environment have it now.
    pub beside: Option<Column>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct RenderedPart {
    pub role: Option<String>,
    pub placeholder: Option<String>,
    pub text: String,
}

/// What checking and rendering found; the part of the page that changes while one writes.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Previewed {
    pub problems: Vec<Problem>,
    pub found: Vec<String>,
    pub verdict: String,
    pub preview: Preview,
    /// Whether parameters may be added and taken away.
    pub editable: bool,
    /// How long the text is.
    pub size: String,
    pub unused: Vec<Unused>,
    /// What the text calls by the name that it had.
    pub rename: Option<Rename>,
}

impl Previewed {
    pub(crate) fn of(
        typed: &Typed,
        check: &Check,
        unfit: &Unfit,
        rendered: Option<Result<(Rendered, Measure), Vec<String>>>,
    ) -> Self {
        let (warnings, errors): (Vec<_>, Vec<_>) = check.errors.iter().partition(|e| e.is_warning());
        let problems: Vec<Problem> = errors.iter().map(|e| Problem::of(e, typed)).collect();
        let undeclared = |name: &&String| !typed.parameters.iter().any(|p| p.name == **name);
        let found = if typed.plain {
            Vec::new()
        } else {
            check.variables.iter().filter(undeclared).cloned().collect()
        };
        let mut preview =
            Preview { stale: !problems.is_empty(), refusals: unfit.sentences(typed), ..Preview::default() };
        match rendered {
            Some(Ok((rendered, measure))) => {
                preview.show(typed, rendered);
                preview.size = Some(length(measure));
            }
            Some(Err(refusals)) => preview.refusals.extend(refusals),
            None if preview.refusals.is_empty() => {
                preview.empty = Some("The preview comes back when the problem in the text is solved.");
            }
            None => {}
        }
        let verdict = match problems.len() + unfit.sentences(typed).len() {
            0 => "no problems".to_owned(),
            n => count(n as u64, "problem", "problems"),
        };
        let unused =
            typed.parameters.iter().enumerate().filter(|(_, row)| {
                !row.name.is_empty() && warnings.iter().any(|w| names(&w.message, &row.name))
            });
        let unused: Vec<Unused> =
            unused.map(|(index, row)| Unused { name: row.name.clone(), index }).collect();
        let rename = Rename::of(typed, &found, &unused);
        let characters: usize = typed.parts.iter().map(|p| p.text.chars().count()).sum();
        Self {
            verdict,
            problems,
            found,
            preview,
            editable: false,
            size: count(characters as u64, "character", "characters"),
            rename,
            unused,
        }
    }
}

impl Preview {
    fn show(&mut self, typed: &Typed, rendered: Rendered) {
        match rendered {
            Rendered::Text(text) => {
                self.parts.push(RenderedPart { role: None, placeholder: None, text });
            }
            Rendered::Messages(messages) => {
                let mut messages = messages.into_iter();
                for part in &typed.parts {
                    if part.role != PLACEHOLDER {
                        let text = messages.next().map(|(_, text)| text).unwrap_or_default();
                        let role = Some(part.role.clone());
                        self.parts.push(RenderedPart { role, placeholder: None, text });
                        continue;
                    }
                    let said = typed.said_at(part.text.trim()).len();
                    for (role, text) in messages.by_ref().take(said) {
                        let role = Some(role_name(role).to_owned());
                        self.parts.push(RenderedPart { role, placeholder: None, text });
                    }
                    if said == 0 {
                        let (role, placeholder) =
                            (Some(part.role.clone()), Some(part.text.trim().to_owned()));
                        self.parts.push(RenderedPart { role, placeholder, text: String::new() });
                    }
                }
            }
        }
    }
}

impl Problem {
    fn of(error: &TemplateError, typed: &Typed) -> Self {
        let elsewhere = error.partial.is_some() && typed.what != What::Partial;
        let in_text = !elsewhere && error.code != TemplateErrorCode::InvalidParameter;
        let part = error.message_index.unwrap_or(0);
        let role = typed.parts.get(part).map(|p| p.role.as_str()).filter(|_| typed.what == What::Chat);
        let place = match (&error.partial, role) {
            (Some(partial), _) if elsewhere => {
                format!("Partial {partial}, line {}, column {}", error.line, error.column)
            }
            _ if !in_text => "Parameters".to_owned(),
            (_, Some(role)) => format!("{}, line {}, column {}", capital(role), error.line, error.column),
            _ => format!("Line {}, column {}", error.line, error.column),
        };
        Self {
            part: if in_text { part.to_string() } else { "none".into() },
            line: error.line.max(1),
            column: error.column.max(1),
            place,
            message: sentence(&error.message),
            text: if in_text || elsewhere { error.source_line.clone() } else { String::new() },
        }
    }
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|c| c.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// An error's words, as a page says them.
pub(crate) fn sentence(message: &str) -> String {
    let mut quotes = ["“", "”"].into_iter().cycle();
    let parts: Vec<&str> = message.trim().split('`').collect();
    let mut out = capital(parts.first().copied().unwrap_or_default());
    for part in parts.iter().skip(1) {
        out.push_str(quotes.next().unwrap_or_default());
        out.push_str(part);
    }
    if !out.ends_with(['.', '?', '!', ':']) {
        out.push('.');
    }
    out
}

/// What is wrong with the values that were given, a sentence for each that names its parameter.
pub(crate) fn value_sentences(problems: &Value, detail: &str) -> Vec<String> {
    let said: Vec<String> = problems
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|problem| ParameterError::deserialize(problem).ok())
        .map(|error| format!("{}: {}.", error.parameter, error.advice()))
        .collect();
    if said.is_empty() { vec![sentence(detail)] } else { said }
}

/// Whether a message names exactly this parameter.
fn names(message: &str, name: &str) -> bool {
    message.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_at_its_message_line_and_column() {
        let error = TemplateError {
            prompt: None,
            partial: None,
            message_index: Some(1),
            line: 18,
            column: 33,
            source_line: "{{ x | mony }}".into(),
            message: "unknown filter `mony`; did you mean `money`".into(),
            code: TemplateErrorCode::UnknownFilter,
        };
        let part = |role: &str| super::super::typed::Part { role: role.into(), text: String::new() };
        let typed = Typed { what: What::Chat, parts: vec![part("system"), part("user")], ..Typed::default() };
        let problem = Problem::of(&error, &typed);
        assert_eq!(problem.part, "1");
        assert_eq!(problem.place, "User, line 18, column 33");
        assert_eq!(problem.message, "Unknown filter “mony”; did you mean “money”.");
    }

    #[test]
    fn values_that_do_not_fit_are_told_by_their_parameter_and_what_to_give() {
        let problems = serde_json::json!([
            {"prompt": "a", "parameter": "who", "code": "missing", "expected": "a value of type string", "got": "none"},
            {"prompt": "a", "parameter": "order.n", "code": "wrong_type", "expected": "integer of at least 1", "got": "null"},
        ]);
        assert_eq!(
            value_sentences(&problems, "it does not fit"),
            [
                "who: it is required, give a value of type string.",
                "order.n: give an integer of at least 1; this is null."
            ]
        );
        assert_eq!(value_sentences(&Value::Null, "it does not fit"), ["It does not fit."]);
    }
}
