//! What changed in a prompt besides its text, in words.

use schemas::parameter::{Kind, Parameter};
use schemas::prompt::{Engine, Prompt};
use serde_json::{Map, Value};

/// Longest value in a sentence, in characters.
const VALUE_MAX: usize = 60;

/// What changed in parameters.
pub(super) fn note_parameters(old: &[Parameter], new: &[Parameter], facts: &mut Vec<String>) {
    for parameter in new {
        let name = &parameter.name;
        let Some(before) = old.iter().find(|p| p.name == *name) else {
            let word = if parameter.required { "required" } else { "optional" };
            facts.push(format!("new {word} parameter {name}: {}", kind_of(&parameter.kind)));
            continue;
        };
        if before.required != parameter.required {
            let word = if parameter.required { "required" } else { "optional" };
            facts.push(format!("{name} is now {word}"));
        }
        if before.kind != parameter.kind {
            facts.push(format!("{name}: {} → {}", kind_of(&before.kind), kind_of(&parameter.kind)));
        }
        if before.default != parameter.default {
            facts.push(format!(
                "default of {name}: {}",
                change(before.default.as_ref(), parameter.default.as_ref())
            ));
        }
        if before.example != parameter.example {
            facts.push(format!(
                "example of {name}: {}",
                change(before.example.as_ref(), parameter.example.as_ref())
            ));
        }
        if before.description != parameter.description {
            let (old, new) = (worded(&before.description), worded(&parameter.description));
            facts.push(format!("description of {name}: {}", change(old.as_ref(), new.as_ref())));
        }
    }
    for parameter in old.iter().filter(|o| !new.iter().any(|n| n.name == o.name)) {
        facts.push(format!("parameter {} is gone: {}", parameter.name, declared(parameter)));
    }
    let order = |of: &[Parameter], other: &[Parameter]| -> Vec<String> {
        let both = of.iter().filter(|p| other.iter().any(|o| o.name == p.name));
        both.map(|p| p.name.clone()).collect()
    };
    let (before, after) = (order(old, new), order(new, old));
    if before != after {
        facts.push(format!("order of the parameters: {} → {}", before.join(", "), after.join(", ")));
    }
}

/// All of a parameter but its name: `optional integer, default 3`.
fn declared(parameter: &Parameter) -> String {
    let word = if parameter.required { "required" } else { "optional" };
    let mut said = format!("{word} {}", kind_of(&parameter.kind));
    let description = worded(&parameter.description);
    let fields =
        [("default", &parameter.default), ("example", &parameter.example), ("description", &description)];
    for (what, value) in fields {
        if let Some(value) = value {
            said.push_str(&format!(", {what} {}", short(value)));
        }
    }
    said
}

/// Words of people as a value; none where there are none.
fn worded(text: &str) -> Option<Value> {
    (!text.is_empty()).then(|| Value::String(text.replace('\n', " ")))
}

/// A type with its bounds: `integer, minimum 1`.
fn kind_of(kind: &Kind) -> String {
    let Ok(Value::Object(bounds)) = serde_json::to_value(kind) else { return kind.name().to_owned() };
    let bounds = bounds.iter().filter(|(key, _)| *key != "type");
    let bounds: String =
        bounds.map(|(key, value)| format!(", {} {}", key.replace('_', " "), short(value))).collect();
    format!("{}{bounds}", kind.name())
}

/// A value as a sentence holds it.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Whether a sentence holds a value in part only.
pub(super) fn is_long(value: &Value) -> bool {
    text_of(value).chars().count() > VALUE_MAX
}

fn short(value: &Value) -> String {
    let text = text_of(value);
    let mut out: String = text.chars().take(VALUE_MAX).collect();
    if out.len() < text.len() {
        out.push('…');
    }
    out
}

fn change(old: Option<&Value>, new: Option<&Value>) -> String {
    let word = |value: Option<&Value>| value.map_or_else(|| "none".to_owned(), short);
    format!("{} → {}", word(old), word(new))
}

fn note_map(what: &str, old: &Map<String, Value>, new: &Map<String, Value>, facts: &mut Vec<String>) {
    let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
    keys.sort();
    keys.dedup();
    for key in keys.into_iter().filter(|key| old.get(*key) != new.get(*key)) {
        facts.push(format!("{what} {key}: {}", change(old.get(key), new.get(key))));
    }
}

/// What changed besides text and parameters.
pub(super) fn note_settings(old: &Prompt, new: &Prompt, facts: &mut Vec<String>) {
    note_map("model setting", &old.model, &new.model, facts);
    if old.engine != new.engine {
        let now = if new.engine == Engine::Plain { "plain text" } else { "a Tera template" };
        facts.push(format!("the text is now {now}"));
    }
    if old.description != new.description {
        let (old, new) = (worded(&old.description), worded(&new.description));
        facts.push(format!("description: {}", change(old.as_ref(), new.as_ref())));
    }
    if old.tags != new.tags {
        let value = |tags: &[String]| (!tags.is_empty()).then(|| Value::String(tags.join(", ")));
        facts.push(format!("tags: {}", change(value(&old.tags).as_ref(), value(&new.tags).as_ref())));
    }
    note_map("metadata", &old.metadata, &new.metadata, facts);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_a_parameter_that_is_gone_is_said_and_so_is_another_order() {
        let of = |rows: Value| -> Vec<Parameter> { serde_json::from_value(rows).unwrap() };
        let old = of(serde_json::json!([
            { "name": "a", "type": "boolean", "description": "yes or no" },
            { "name": "b", "type": "boolean" },
            { "name": "k", "type": "integer", "minimum": 1, "default": 3, "description": "how many" },
        ]));
        let new = of(serde_json::json!([
            { "name": "b", "type": "boolean", "example": true },
            { "name": "a", "type": "boolean" },
        ]));
        let mut facts = Vec::new();
        note_parameters(&old, &new, &mut facts);
        assert_eq!(
            facts,
            [
                "example of b: none → true",
                "description of a: yes or no → none",
                "parameter k is gone: optional integer, minimum 1, default 3, description how many",
                "order of the parameters: a, b → b, a",
            ]
        );
    }
}
