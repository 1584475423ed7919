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
        if before.example != parameter.example || before.description != parameter.description {
            facts.push(format!("{name} is described otherwise"));
        }
    }
    for parameter in old.iter().filter(|o| !new.iter().any(|n| n.name == o.name)) {
        facts.push(format!("parameter {} is gone", parameter.name));
    }
}

/// A type with its bounds: `integer, minimum 1`.
fn kind_of(kind: &Kind) -> String {
    let Ok(Value::Object(bounds)) = serde_json::to_value(kind) else { return kind.name().to_owned() };
    let bounds = bounds.iter().filter(|(key, _)| *key != "type");
    let bounds: String =
        bounds.map(|(key, value)| format!(", {} {}", key.replace('_', " "), short(value))).collect();
    format!("{}{bounds}", kind.name())
}

fn short(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
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
        let value = |text: &str| (!text.is_empty()).then(|| Value::String(text.replace('\n', " ")));
        let (old, new) = (value(&old.description), value(&new.description));
        facts.push(format!("description: {}", change(old.as_ref(), new.as_ref())));
    }
    if old.tags != new.tags {
        let value = |tags: &[String]| (!tags.is_empty()).then(|| Value::String(tags.join(", ")));
        facts.push(format!("tags: {}", change(value(&old.tags).as_ref(), value(&new.tags).as_ref())));
    }
    note_map("metadata", &old.metadata, &new.metadata, facts);
}
