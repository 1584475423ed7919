//! Do given values fit a prompt's parameters?
//!
//! The check runs before each render, so the way on which all is well takes no memory. Only when
//! something is wrong does a second walk collect every problem with its path.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tera::Value;
use tera::value::{Key, ValueKind};

use super::{Kind, Parameter};
use crate::names::PromptId;
use crate::template::Values;

/// Most problems that are listed at once.
const ERRORS_MAX: usize = 50;

/// Everything that is wrong with the values given for a prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
pub struct ParameterErrors {
    pub prompt: PromptId,
    pub errors: Vec<ParameterError>,
}

impl fmt::Display for ParameterErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "prompt {}: ", self.prompt)?;
        for (index, error) in self.errors.iter().enumerate() {
            write!(f, "{}{error}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

/// One value that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
pub struct ParameterError {
    /// With the path to it, such as `order.items[2].price`.
    pub parameter: String,
    pub code: ParameterErrorCode,
    pub expected: String,
    /// The kind of what was given, never the value itself.
    pub got: String,
}

impl fmt::Display for ParameterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { parameter, code, expected, got } = self;
        match (code, expected.strip_prefix(ONLY)) {
            (ParameterErrorCode::Missing, _) => {
                write!(f, "parameter {parameter} is required and was not given: give {expected}")
            }
            (ParameterErrorCode::Unexpected, Some(declared)) => {
                write!(f, "parameter {parameter} is not declared; declared are: {declared}")
            }
            (ParameterErrorCode::Unexpected, None) => {
                write!(f, "parameter {parameter} is not declared: expected {expected}")
            }
            _ => write!(f, "parameter {parameter}: expected {expected}, got {got}"),
        }
    }
}

impl ParameterError {
    /// What is wrong with the value and what to do, as it stands beside the name of the parameter.
    #[must_use]
    pub fn advice(&self) -> String {
        let Self { code, expected, got, .. } = self;
        match (code, expected.strip_prefix(ONLY)) {
            (ParameterErrorCode::Missing, _) => format!("it is required, give {}", with_article(expected)),
            (ParameterErrorCode::Unexpected, Some(declared)) => {
                format!("it is not declared, leave it out; declared are: {declared}")
            }
            (ParameterErrorCode::Unexpected, None) => "it is not declared, leave it out".to_owned(),
            _ => format!("give {}; this is {}", with_article(expected), with_article(got)),
        }
    }
}

/// `a string`, `an integer of at least 1`; what is no kind of value stays as it is.
fn with_article(words: &str) -> String {
    match words.split(' ').next().unwrap_or_default() {
        "string" | "number" | "boolean" | "list" => format!("a {words}"),
        "integer" | "object" => format!("an {words}"),
        _ => words.to_owned(),
    }
}

/// Stands before the names that are declared, where another one was given.
const ONLY: &str = "only the declared: ";

/// The kind of a [`ParameterError`], for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParameterErrorCode {
    /// It is required and was not given.
    Missing,
    /// It was given and is not declared.
    Unexpected,
    /// It is of another type.
    WrongType,
    /// It is outside of its bounds.
    OutOfBounds,
    /// It is none of the values of the enum.
    NotInEnum,
    #[serde(other)]
    Unknown,
}

/// Up to so many parameters are looked up without taking memory.
const FEW: usize = 12;

/// The values of a prompt's parameters, in the order of their declarations.
#[derive(Debug)]
pub(crate) struct Given<'v> {
    few: [Option<&'v Value>; FEW],
    more: Vec<Option<&'v Value>>,
}

impl<'v> Given<'v> {
    /// Looks up what `values` has of `parameters`.
    pub(crate) fn of(parameters: &[Parameter], values: &'v Values) -> Self {
        let mut given = Self { few: [None; FEW], more: Vec::new() };
        for (place, parameter) in parameters.iter().enumerate() {
            let value = values.get_near(&parameter.name, place);
            match given.few.get_mut(place) {
                Some(slot) => *slot = value,
                None => given.more.push(value),
            }
        }
        given
    }

    /// The value of the parameter that was declared at `place`.
    #[inline]
    pub(crate) fn get(&self, place: usize) -> Option<&'v Value> {
        match self.few.get(place) {
            Some(value) => *value,
            None => self.more.get(place - FEW).copied().flatten(),
        }
    }
}

/// Checks `values` against `parameters`.
///
/// # Errors
/// Everything that is missing, unexpected or does not fit.
pub fn check(
    prompt: &PromptId,
    parameters: &[Parameter],
    values: &Values,
) -> Result<(), Box<ParameterErrors>> {
    given(prompt, parameters, values).map(drop)
}

/// Checks `values` and gives them in the order of the declarations.
///
/// # Errors
/// As [`check`].
pub(crate) fn given<'v>(
    prompt: &PromptId,
    parameters: &[Parameter],
    values: &'v Values,
) -> Result<Given<'v>, Box<ParameterErrors>> {
    let given = Given::of(parameters, values);
    let mut known = 0;
    let fits = parameters.iter().enumerate().all(|(place, parameter)| match given.get(place) {
        Some(value) => {
            known += 1;
            self::fits(&parameter.kind, value)
        }
        None => !parameter.required,
    });
    if fits && known == values.len() {
        return Ok(given);
    }
    let mut errors = Vec::new();
    for parameter in parameters {
        one(parameter, values.get(&parameter.name), &parameter.name, &mut errors);
    }
    for name in values.names().filter(|name| parameters.iter().all(|p| p.name != **name)) {
        unexpected(name.to_owned(), parameters, &mut errors);
    }
    Err(Box::new(ParameterErrors { prompt: prompt.clone(), errors }))
}

/// The property `name` of an object; a null counts as none.
pub(super) fn property<'v>(map: &'v tera::Map, name: &'v str) -> Option<&'v Value> {
    /// Up to here a walk is faster than a hash.
    const WALK: usize = 8;
    let found = if map.len() <= WALK {
        map.iter().find_map(|(key, value)| (key.as_str() == Some(name)).then_some(value))
    } else {
        map.get(&Key::Str(name))
    };
    found.filter(|value| !value.is_none())
}

fn fits(kind: &Kind, value: &Value) -> bool {
    match kind {
        Kind::String { min_length: None, max_length: None } => value.is_string(),
        Kind::String { min_length, max_length } => value
            .as_str()
            .is_some_and(|text| within(*min_length, *max_length, || text.chars().count() as u64)),
        Kind::Integer { minimum, maximum } => match value.as_i64() {
            Some(n) => minimum.is_none_or(|low| n >= low) && maximum.is_none_or(|high| n <= high),
            // Beyond 64 bits, or no integer at all.
            None => integer(value).is_some_and(|n| {
                minimum.is_none_or(|low| n >= i128::from(low))
                    && maximum.is_none_or(|high| n <= i128::from(high))
            }),
        },
        Kind::Number { minimum, maximum } => number(value)
            .is_some_and(|n| minimum.is_none_or(|low| n >= low) && maximum.is_none_or(|high| n <= high)),
        Kind::Boolean => value.is_bool(),
        Kind::Enum { values } => value.as_str().is_some_and(|text| values.iter().any(|v| v == text)),
        Kind::List { items, min_items, max_items } => value.as_array().is_some_and(|list| {
            within(*min_items, *max_items, || list.len() as u64) && list.iter().all(|item| fits(items, item))
        }),
        Kind::Object { properties } if properties.is_empty() => value.is_map(),
        Kind::Object { properties } => value.as_map().is_some_and(|map| {
            // Entry by entry, so that one that is not declared is met on the way.
            let mut required = properties.iter().filter(|parameter| parameter.required).count();
            let fit = map.iter().filter(|(_, value)| !value.is_none()).all(|(key, value)| {
                let Some(name) = key.as_str() else { return false };
                let Some(parameter) = properties.iter().find(|p| is_same(&p.name, name)) else {
                    return false;
                };
                required -= usize::from(parameter.required);
                fits(&parameter.kind, value)
            });
            fit && required == 0
        }),
    }
}

/// Compares two names. They are short: a walk beats the call that `==` makes.
#[inline]
pub(crate) fn is_same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).all(|(a, b)| a == b)
}

fn within(low: Option<u64>, high: Option<u64>, count: impl FnOnce() -> u64) -> bool {
    if low.is_none() && high.is_none() {
        return true;
    }
    let count = count();
    low.is_none_or(|low| count >= low) && high.is_none_or(|high| count <= high)
}

fn integer(value: &Value) -> Option<i128> {
    match value.kind() {
        ValueKind::I64 | ValueKind::U64 | ValueKind::I128 | ValueKind::U128 => value.as_i128(),
        _ => None,
    }
}

fn number(value: &Value) -> Option<f64> {
    value.as_number().map(|n| n.as_float()).filter(|n| n.is_finite())
}

/// Collects what is wrong with one value, or that it is missing.
pub(super) fn one(
    parameter: &Parameter,
    value: Option<&Value>,
    path: &str,
    errors: &mut Vec<ParameterError>,
) {
    match value {
        Some(value) => kind(&parameter.kind, value, path, errors),
        None if parameter.required => push(
            errors,
            path.to_owned(),
            ParameterErrorCode::Missing,
            format!("a value of type {}", parameter.kind.name()),
            "none".into(),
        ),
        None => {}
    }
}

fn push(
    errors: &mut Vec<ParameterError>,
    parameter: String,
    code: ParameterErrorCode,
    expected: String,
    got: String,
) {
    if errors.len() < ERRORS_MAX {
        errors.push(ParameterError { parameter, code, expected, got });
    }
}

fn unexpected(path: String, declared: &[Parameter], errors: &mut Vec<ParameterError>) {
    let mut names: Vec<&str> = declared.iter().map(|p| p.name.as_str()).take(12).collect();
    if declared.len() > names.len() {
        names.push("…");
    }
    let expected =
        if names.is_empty() { "no parameters at all".into() } else { format!("{ONLY}{}", names.join(", ")) };
    // The name comes from the caller: enough of it to be found, and no more.
    let path = if path.chars().count() > 80 { path.chars().take(80).chain(['…']).collect() } else { path };
    push(errors, path, ParameterErrorCode::Unexpected, expected, "one more".into());
}

fn kind(kind: &Kind, value: &Value, path: &str, errors: &mut Vec<ParameterError>) {
    let path_here = || path.to_owned();
    let mut wrong = |code, got: String| push(errors, path_here(), code, expected(kind), got);
    match kind {
        _ if !same_type(kind, value) => wrong(ParameterErrorCode::WrongType, got(value)),
        Kind::Enum { .. } if !fits(kind, value) => {
            wrong(ParameterErrorCode::NotInEnum, "a string that is none of them".into());
        }
        Kind::String { .. } if !fits(kind, value) => {
            let count = value.as_str().map_or(0, |text| text.chars().count());
            wrong(ParameterErrorCode::OutOfBounds, format!("a string of {}", counted(count, "character")));
        }
        Kind::Integer { .. } | Kind::Number { .. } if !fits(kind, value) => {
            wrong(ParameterErrorCode::OutOfBounds, "one out of bounds".into());
        }
        Kind::List { items, min_items, max_items } => {
            let list = value.as_array().unwrap_or_default();
            if !within(*min_items, *max_items, || list.len() as u64) {
                wrong(ParameterErrorCode::OutOfBounds, format!("a list of {}", counted(list.len(), "item")));
            }
            for (index, item) in list.iter().enumerate().filter(|(_, item)| !fits(items, item)) {
                self::kind(items, item, &format!("{path}[{index}]"), errors);
            }
        }
        Kind::Object { properties } if !properties.is_empty() => {
            let Some(map) = value.as_map() else { return };
            for parameter in properties {
                let path = format!("{path}.{}", parameter.name);
                one(parameter, property(map, &parameter.name), &path, errors);
            }
            for (key, _) in map.iter().filter(|(_, value)| !value.is_none()) {
                let name = key.to_string();
                if properties.iter().all(|p| p.name != name) {
                    unexpected(format!("{path}.{name}"), properties, errors);
                }
            }
        }
        _ => {}
    }
}

/// `1 item`, `2 items`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn same_type(kind: &Kind, value: &Value) -> bool {
    match kind {
        Kind::String { .. } | Kind::Enum { .. } => value.is_string(),
        Kind::Integer { .. } => integer(value).is_some(),
        Kind::Number { .. } => number(value).is_some(),
        Kind::Boolean => value.is_bool(),
        Kind::List { .. } => value.is_array(),
        Kind::Object { .. } => value.is_map(),
    }
}

/// What was given, in the words of the declarations.
fn got(value: &Value) -> String {
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => "null",
        ValueKind::Bool => "boolean",
        ValueKind::U64 | ValueKind::I64 | ValueKind::U128 | ValueKind::I128 => "integer",
        ValueKind::F64 if number(value).is_none() => "a number that is not finite",
        ValueKind::F64 => "number",
        ValueKind::String => "string",
        ValueKind::Array => "list",
        ValueKind::Map => "object",
        _ => "bytes",
    }
    .to_owned()
}

fn expected(kind: &Kind) -> String {
    let bounds = |unit: &str, low: Option<String>, high: Option<String>| {
        let said = match (&low, &high) {
            (Some(low), Some(high)) => format!(" of {low} to {high}"),
            (Some(low), None) => format!(" of at least {low}"),
            (None, Some(high)) => format!(" of at most {high}"),
            (None, None) => return String::new(),
        };
        match high.or(low).as_deref() {
            _ if unit.is_empty() => said,
            Some("1") => format!("{said} {unit}"),
            _ => format!("{said} {unit}s"),
        }
    };
    let text = |n: &Option<u64>| n.map(|n| n.to_string());
    match kind {
        Kind::String { min_length, max_length } => {
            format!("string{}", bounds("character", text(min_length), text(max_length)))
        }
        Kind::Integer { minimum, maximum } => {
            format!("integer{}", bounds("", minimum.map(|n| n.to_string()), maximum.map(|n| n.to_string())))
        }
        Kind::Number { minimum, maximum } => {
            format!("number{}", bounds("", minimum.map(|n| n.to_string()), maximum.map(|n| n.to_string())))
        }
        Kind::Enum { values } => {
            let mut shown: Vec<String> = values.iter().take(12).map(|v| format!("{v:?}")).collect();
            if values.len() > shown.len() {
                shown.push("…".into());
            }
            format!("one of {}", shown.join(", "))
        }
        Kind::List { min_items, max_items, .. } => {
            format!("list{}", bounds("item", text(min_items), text(max_items)))
        }
        Kind::Boolean | Kind::Object { .. } => kind.name().to_owned(),
    }
}
