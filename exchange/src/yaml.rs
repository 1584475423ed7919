//! Front matter: YAML between two lines of hyphens, above a text.

use serde_json::{Map, Value};

use crate::found::{Refusal, Result};

/// A file with front matter.
pub(crate) struct Fronted<'t> {
    /// None where there is none.
    pub(crate) front: Option<Map<String, Value>>,
    pub(crate) body: &'t str,
}

impl Fronted<'_> {
    /// How many lines of a text stand above its body.
    pub(crate) fn lines_above(&self, text: &str) -> usize {
        let above = text.get(..text.len().saturating_sub(self.body.len())).unwrap_or_default();
        above.matches('\n').count()
    }
}

/// Cuts a text into front matter and body.
pub(crate) fn split<'t>(place: &str, text: &'t str) -> Result<Fronted<'t>> {
    let none = Fronted { front: None, body: text };
    let Some(first) = text.lines().next().filter(|line| line.trim_end() == "---") else { return Ok(none) };
    let start = first.len() + line_end(text, first.len());
    let mut at = start;
    for line in text.get(start..).unwrap_or_default().split_inclusive('\n') {
        if line.trim_end() == "---" {
            let yaml = text.get(start..at).unwrap_or_default();
            let body = text.get(at + line.len()..).unwrap_or_default();
            return Ok(Fronted { front: Some(mapping(place, yaml)?), body });
        }
        at += line.len();
    }
    Ok(none)
}

fn line_end(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    if rest.starts_with("\r\n") { 2 } else { usize::from(rest.starts_with('\n')) }
}

fn mapping(place: &str, yaml: &str) -> Result<Map<String, Value>> {
    if yaml.trim().is_empty() {
        return Ok(Map::new());
    }
    // As YAML 1.2 has it: `n` and `no` are texts.
    let options = serde_saphyr::options! { strict_booleans: true };
    match serde_saphyr::from_str_with_options::<Value>(yaml, options) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(Value::Null) => Ok(Map::new()),
        Ok(_) => Err(Refusal::unreadable(place, "the front matter is no mapping of names to values")),
        Err(error) => {
            let why = error.to_string();
            let why = why.lines().next().unwrap_or("it cannot be read").to_owned();
            Err(Refusal::unreadable(place, format!("the front matter is not YAML: {why}")))
        }
    }
}

/// Writes a mapping as YAML, in the order given.
pub(crate) fn block(entries: &[(&str, Value)]) -> String {
    let mut out = String::new();
    for (key, value) in entries {
        entry(&mut out, 0, key, value);
    }
    out
}

fn entry(out: &mut String, depth: usize, key: &str, value: &Value) {
    out.push_str(&"  ".repeat(depth));
    out.push_str(&scalar(&Value::String(key.to_owned())));
    out.push(':');
    value_after(out, depth, value);
}

/// What comes after the colon of a key, or the hyphen of an item.
fn value_after(out: &mut String, depth: usize, value: &Value) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            for (key, value) in map {
                entry(out, depth + 1, key, value);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            for item in items {
                out.push_str(&"  ".repeat(depth + 1));
                out.push('-');
                match item {
                    // A mapping within a list begins on the line of its hyphen.
                    Value::Object(map) if !map.is_empty() => {
                        let mut inner = String::new();
                        for (key, value) in map {
                            entry(&mut inner, depth + 2, key, value);
                        }
                        out.push(' ');
                        out.push_str(inner.trim_start());
                    }
                    other => value_after(out, depth + 1, other),
                }
            }
        }
        other => {
            out.push(' ');
            out.push_str(&scalar(other));
            out.push('\n');
        }
    }
}

/// A value on one line: plain where nothing can be mistaken, JSON otherwise, which is YAML too.
fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) if is_plain(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Words that YAML, of one version or another, reads as something else than a text.
const WORDS: [&str; 14] =
    ["true", "false", "yes", "no", "on", "off", "null", "y", "n", "nan", "inf", "none", "infinity", "e"];

fn is_plain(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, ' ' | '_' | '-' | '.' | '/' | ','))
        && !text.ends_with(' ')
        && !WORDS.contains(&text.to_lowercase().as_str())
}
