//! Is a list of parameters sound?

use super::check;
use super::{Kind, Parameter};
use crate::template::Values;

/// Most parameters of one prompt, and most properties of one object.
pub const PARAMETERS_MAX: usize = 256;
/// Deepest nesting of lists and objects in a declaration.
pub const NESTING_MAX: usize = 8;
/// Longest name, in bytes.
pub const NAME_MAX: usize = 64;
/// Names that Tera reads as something else.
pub const RESERVED: [&str; 18] = [
    "loop", "self", "true", "True", "false", "False", "none", "None", "null", "and", "or", "not", "in", "is",
    "if", "else", "for", "super",
];

/// What is wrong with a declaration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", subject(.parameter))]
pub struct DeclarationError {
    /// With the path to it, such as `order.items[].price`; empty: the list itself.
    pub parameter: String,
    pub message: String,
}

fn subject(parameter: &str) -> String {
    match parameter {
        "" => "the list of parameters".to_owned(),
        path => format!("parameter {path}"),
    }
}

/// Checks names, bounds and defaults of a prompt's parameters.
///
/// # Errors
/// Everything that is wrong, in the order of the declarations.
pub fn validate(parameters: &[Parameter]) -> Result<(), Vec<DeclarationError>> {
    let mut found = Vec::new();
    list(parameters, "", 0, &mut found);
    if found.is_empty() { Ok(()) } else { Err(found) }
}

/// Whether `name` can be a variable of a template.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.first().is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_')
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_')
        && bytes.len() <= NAME_MAX
        && !name.starts_with("__")
        && !RESERVED.contains(&name)
}

fn list(parameters: &[Parameter], path: &str, depth: usize, found: &mut Vec<DeclarationError>) {
    if parameters.len() > PARAMETERS_MAX {
        let message = format!("has {} entries; at most {PARAMETERS_MAX} are allowed", parameters.len());
        found.push(DeclarationError { parameter: path.to_owned(), message });
        return;
    }
    for (index, parameter) in parameters.iter().enumerate() {
        let shown: String = parameter.name.chars().take(NAME_MAX).collect();
        let path = if path.is_empty() { shown } else { format!("{path}.{shown}") };
        let mut say = |message: String| found.push(DeclarationError { parameter: path.clone(), message });
        if !is_name(&parameter.name) {
            say(format!(
                "the name must be letters, digits and '_', start with a letter, have at most {NAME_MAX} \
                 characters and be no word of the template language"
            ));
            continue;
        }
        if parameters.iter().take(index).any(|other| other.name == parameter.name) {
            say("is declared twice; remove one".into());
            continue;
        }
        let before = found.len();
        kind(&parameter.kind, &path, depth, found);
        if found.len() == before {
            defaults(parameter, &path, found);
        }
    }
}

/// A default and an example are values like any other: they must fit.
fn defaults(parameter: &Parameter, path: &str, found: &mut Vec<DeclarationError>) {
    let named = [("default", &parameter.default), ("example", &parameter.example)];
    for (word, value) in named.into_iter().filter_map(|(word, value)| Some((word, value.as_ref()?))) {
        let mut values = Values::new();
        values.insert(parameter.name.clone(), value);
        let mut errors = Vec::new();
        check::one(parameter, values.get(&parameter.name), &parameter.name, &mut errors);
        if values.get(&parameter.name).is_none() {
            let message = format!("the {word} must be a value; leave it out where there is none");
            found.push(DeclarationError { parameter: path.to_owned(), message });
        }
        found.extend(errors.into_iter().filter(|_| values.get(&parameter.name).is_some()).map(|error| {
            DeclarationError {
                parameter: path.to_owned(),
                message: format!(
                    "the {word} does not fit: {} must be {}, and is {}",
                    error.parameter, error.expected, error.got
                ),
            }
        }));
    }
    if parameter.required && parameter.default.is_some() {
        found.push(DeclarationError {
            parameter: path.to_owned(),
            message: "is required and has a default; choose one".into(),
        });
    }
}

fn kind(kind: &Kind, path: &str, depth: usize, found: &mut Vec<DeclarationError>) {
    let mut say = |message: &str| {
        found.push(DeclarationError { parameter: path.to_owned(), message: message.to_owned() })
    };
    match kind {
        Kind::String { min_length: Some(low), max_length: Some(high) } if low > high => {
            say("min_length is above max_length");
        }
        Kind::Integer { minimum: Some(low), maximum: Some(high) } if low > high => {
            say("minimum is above maximum");
        }
        Kind::Number { minimum, maximum } => {
            if [minimum, maximum].into_iter().flatten().any(|bound| !bound.is_finite()) {
                say("the bounds must be finite");
            } else if minimum.zip(*maximum).is_some_and(|(low, high)| low > high) {
                say("minimum is above maximum");
            }
        }
        Kind::Enum { values } => {
            if values.is_empty() {
                say("the enum has no values; list what is allowed");
            }
            let mut seen = hashbrown::HashSet::with_capacity(values.len());
            if values.iter().any(|value| !seen.insert(value)) {
                say("the enum lists a value twice");
            }
        }
        Kind::List { .. } | Kind::Object { .. } if depth >= NESTING_MAX => {
            say("lists and objects are nested too deep; flatten them");
        }
        Kind::List { items, min_items, max_items } => {
            if min_items.zip(*max_items).is_some_and(|(low, high)| low > high) {
                say("min_items is above max_items");
            }
            self::kind(items, &format!("{path}[]"), depth + 1, found);
        }
        Kind::Object { properties } => list(properties, path, depth + 1, found),
        Kind::String { .. } | Kind::Integer { .. } | Kind::Boolean => {}
    }
}
