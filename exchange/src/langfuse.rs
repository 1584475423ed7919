//! Langfuse: prompts as its API and export give them, `{{name}}` for variables.
//! <https://langfuse.com/docs/prompt-management/data-model>

use std::collections::BTreeMap;

use schemas::prompt::{Content as Body, Message, Partial, Prompt};
use serde_json::{Map, Value, json};

use crate::dialect::{Dialect, Why};
use crate::dotprompt::{left_out, template};
use crate::found::{Content, Note, Refusal, Result};
use crate::made::{self, Raw, message, role_name};
use crate::name;

/// Whether a value is one prompt of it.
pub(crate) fn is_one(value: &Value) -> bool {
    value.get("name").is_some()
        && value.get("prompt").is_some_and(|p| p.is_string() || p.is_array())
        && (value.get("type").is_some() || value.get("labels").is_some() || value.get("config").is_some())
}

/// The entries of a file: one, a list, or a list under `data` or `prompts`.
pub(crate) fn entries(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(map) => match ["data", "prompts", "items"].iter().find_map(|k| map.get(*k)?.as_array())
        {
            Some(items) => items.iter().collect(),
            None => vec![value],
        },
        _ => Vec::new(),
    }
}

/// Reads a file. Of several versions the one labelled `production` is taken, otherwise the highest.
pub(crate) fn read(file: &str, value: &Value, beside: &[Partial], notes: &mut Vec<Note>) -> Result<Content> {
    let mut by_name: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for entry in entries(value) {
        if !is_one(entry) {
            return Err(Refusal::unreadable(
                file,
                "an entry is no prompt of Langfuse: it needs name, type and prompt",
            ));
        }
        let name = entry.get("name").and_then(Value::as_str).unwrap_or_default();
        by_name.entry(name).or_default().push(entry);
    }
    let mut out = Content::default();
    for (name, versions) in by_name {
        let number = |v: &Value| v.get("version").and_then(Value::as_i64).unwrap_or(0);
        let labelled = |v: &Value| strings(v.get("labels")).iter().any(|l| l == "production");
        let chosen = versions.iter().copied().max_by_key(|v| (labelled(v), number(v)));
        let Some(chosen) = chosen else { continue };
        if versions.len() > 1 {
            let others =
                versions.iter().filter(|v| number(v) != number(chosen)).map(|v| number(v).to_string());
            let what = format!("versions {}", others.collect::<Vec<_>>().join(", "));
            let why = format!("version {} is taken; a draft holds one text of each prompt", number(chosen));
            notes.push(Note::new(name, what, why));
        }
        let raw = one(name, chosen, notes)?;
        out.prompts.push(made::prompt(raw, beside, notes));
    }
    Ok(out)
}

pub(crate) fn strings(value: Option<&Value>) -> Vec<String> {
    value
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn one(name: &str, value: &Value, notes: &mut Vec<Note>) -> Result<Raw> {
    let id = name::id(name, name, notes)?;
    let body = match value.get("prompt") {
        Some(Value::String(text)) => made::text(text.clone()),
        Some(Value::Array(messages)) => chat(name, messages, notes)?,
        _ => return Err(Refusal::unreadable(name, "prompt is neither a text nor a list of messages")),
    };
    let mut raw = Raw::new(name, id, Dialect::Variables, body);
    raw.tags = strings(value.get("tags"));
    match value.get("config") {
        Some(Value::Object(config)) => raw.model = config.clone(),
        Some(Value::Null) | None => {}
        Some(other) => {
            notes.push(Note::new(name, other.to_string(), "the config is no object; kept in the metadata"));
            raw.metadata.insert("config".into(), other.clone());
        }
    }
    let mut kept = Map::new();
    for key in ["version", "labels", "commitMessage"] {
        kept.extend(value.get(key).filter(|v| !v.is_null()).map(|v| (key.to_owned(), v.clone())));
    }
    if !kept.is_empty() {
        raw.metadata.insert("langfuse".into(), Value::Object(kept));
    }
    references(&raw, notes);
    Ok(raw)
}

fn references(raw: &Raw, notes: &mut Vec<Note>) {
    let texts: Vec<&str> = match &raw.body {
        Body::Text { template } => vec![template],
        Body::Chat { messages } => messages
            .iter()
            .filter_map(|m| match m {
                Message::Message { template, .. } => Some(template.as_str()),
                Message::Placeholder { .. } => None,
            })
            .collect(),
    };
    for text in texts {
        for (at, _) in text.match_indices("@@@langfusePrompt:") {
            let rest = text.get(at..).unwrap_or_default();
            let end = rest.get(3..).and_then(|r| r.find("@@@")).map_or(rest.len(), |e| e + 6);
            let why = "a prompt within a prompt is not looked up; it stays text. Make a partial of it";
            notes.push(Note::new(&raw.place, rest.get(..end).unwrap_or_default(), why));
        }
    }
}

/// Messages of `role` and `content`, and placeholders.
pub(crate) fn chat(place: &str, messages: &[Value], notes: &mut Vec<Note>) -> Result<Body> {
    let mut out = Vec::new();
    for (index, entry) in messages.iter().enumerate() {
        unknown(place, index, entry, notes);
        if entry.get("type").and_then(Value::as_str) == Some("placeholder") {
            let name = entry.get("name").and_then(Value::as_str).unwrap_or("history");
            out.push(Message::Placeholder { name: name.to_owned() });
            continue;
        }
        let role = entry.get("role").and_then(Value::as_str);
        let role = role.ok_or_else(|| Refusal::unreadable(place, "a message has no role"))?;
        out.push(message(made::role(role, place, notes), content(place, entry.get("content"), notes)?));
    }
    Ok(Body::Chat { messages: out })
}

/// Says what a message has beside its role and its text, such as calls of tools.
fn unknown(place: &str, index: usize, entry: &Value, notes: &mut Vec<Note>) {
    let is_place = entry.get("type").and_then(Value::as_str) == Some("placeholder");
    let known = |key: &str| matches!(key, "role" | "content" | "type") || (is_place && key == "name");
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    };
    for (key, _) in entry.as_object().into_iter().flatten().filter(|(k, v)| !known(k) && !is_empty(v)) {
        let what = format!("message {}: {key}", index + 1);
        notes.push(Note::new(place, what, "a message holds a role and a text here; this is left out"));
    }
}

/// The text of a message: one, or several parts of text.
fn content(place: &str, value: Option<&Value>, notes: &mut Vec<Note>) -> Result<String> {
    match value {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Array(parts)) => {
            let mut out = Vec::new();
            for part in parts {
                match part.get("text").and_then(Value::as_str).or(part.as_str()) {
                    Some(text) => out.push(text.to_owned()),
                    None => {
                        let what = part.get("type").and_then(Value::as_str).unwrap_or("a part");
                        notes.push(Note::new(
                            place,
                            what,
                            "a message holds text only here; this part is left out",
                        ));
                    }
                }
            }
            if out.len() > 1 {
                let what = format!("{} parts of text", out.len());
                notes.push(Note::new(
                    place,
                    what,
                    "a message holds one text here; they are joined by an empty line",
                ));
            }
            Ok(out.join("\n\n"))
        }
        Some(Value::Null) | None => Ok(String::new()),
        _ => Err(Refusal::unreadable(place, "the content of a message is no text")),
    }
}

/// Writes a list of prompts as the API takes them.
pub(crate) fn write(content: &Content, notes: &mut Vec<Note>) -> Value {
    let mut out = Vec::new();
    for prompt in &content.prompts {
        match body(&prompt.content, &mut |t| template(prompt, Dialect::Variables, t)) {
            Ok((kind, text)) => {
                let labels = prompt.metadata.get("langfuse").and_then(|l| l.get("labels")).cloned();
                out.push(json!({
                    "name": prompt.id, "type": kind, "prompt": text, "config": prompt.model,
                    "labels": labels.unwrap_or_else(|| json!([])), "tags": prompt.tags,
                }));
            }
            Err(why) => left_out(prompt.id.as_str(), &why, notes),
        }
    }
    Value::Array(out)
}

/// Says that a prompt is not in the export because it has a place for the caller's messages, where that has no equal.
pub(crate) fn has_no_place(prompt: &Prompt, notes: &mut Vec<Note>) -> bool {
    let Body::Chat { messages } = &prompt.content else { return false };
    let has = messages.iter().any(|m| matches!(m, Message::Placeholder { .. }));
    if has {
        let why = "a place for the caller's messages has no equal there; it is left out of the export";
        notes.push(Note::new(prompt.id.as_str(), "placeholder", why));
    }
    has
}

/// A text, or messages of `role` and `content`.
pub(crate) fn body(
    content: &Body,
    template: &mut dyn FnMut(&str) -> std::result::Result<String, Why>,
) -> std::result::Result<(&'static str, Value), Why> {
    Ok(match content {
        Body::Text { template: source } => ("text", json!(template(source)?)),
        Body::Chat { messages } => {
            let mut out = Vec::new();
            for entry in messages {
                out.push(match entry {
                    Message::Message { role, template: source } => {
                        json!({ "role": role_name(*role), "content": template(source)? })
                    }
                    Message::Placeholder { name } => json!({ "type": "placeholder", "name": name }),
                });
            }
            ("chat", Value::Array(out))
        }
    })
}
