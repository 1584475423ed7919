//! Hosted prompts of OpenAI as JSON: instructions or messages, `{{name}}` for variables, model settings.
//! <https://platform.openai.com/docs/guides/prompting>

use schemas::prompt::{Content as Body, Partial, Prompt, Role};
use serde_json::{Map, Value, json};

use crate::dialect::Dialect;
use crate::dotprompt::{left_out, take_text, template};
use crate::found::{Content, Note, Refusal, Result};
use crate::langfuse::{body, chat, entries, has_no_place};
use crate::made::{self, Raw, message};
use crate::name;
use crate::parameters::{of_sample, of_schema};

/// Whether a value is one prompt of it.
pub(crate) fn is_one(value: &Value) -> bool {
    let has = |key: &str| value.get(key).is_some();
    has("messages") || has("instructions") || (has("input") && (has("model") || has("variables")))
}

/// Reads a file.
pub(crate) fn read(file: &str, value: &Value, beside: &[Partial], notes: &mut Vec<Note>) -> Result<Content> {
    let mut out = Content::default();
    let found = entries(value);
    let alone = found.len() == 1;
    for entry in found {
        if !is_one(entry) {
            return Err(Refusal::unreadable(
                file,
                "an entry is no hosted prompt: it needs messages or instructions",
            ));
        }
        let own = ["name", "id"].iter().find_map(|k| entry.get(k)?.as_str());
        let stem = name::stem(file, &[".json"]);
        let name =
            own.or(alone.then_some(stem)).ok_or_else(|| Refusal::unreadable(file, "an entry has no name"))?;
        let raw = one(name, entry, notes)?;
        out.prompts.push(made::prompt(raw, beside, notes));
    }
    Ok(out)
}

fn one(place: &str, value: &Value, notes: &mut Vec<Note>) -> Result<Raw> {
    let Value::Object(mut map) = value.clone() else {
        return Err(Refusal::unreadable(place, "is no object"));
    };
    let id = name::id(place, place, notes)?;
    let mut messages = Vec::new();
    let instructions = take_text(&mut map, "instructions");
    if !instructions.is_empty() {
        messages.push(message(Role::System, instructions.clone()));
    }
    let given = map.remove("messages").or_else(|| map.remove("input"));
    let content = match given {
        Some(Value::Array(given)) => {
            if let Body::Chat { messages: more } = chat(place, &given, notes)? {
                messages.extend(more);
            }
            Body::Chat { messages }
        }
        Some(Value::String(text)) => {
            messages.push(message(Role::User, text));
            Body::Chat { messages }
        }
        None | Some(Value::Null) => made::text(instructions),
        Some(_) => return Err(Refusal::unreadable(place, "messages is no list")),
    };
    let mut raw = Raw::new(place, id, Dialect::Variables, content);
    raw.description = take_text(&mut map, "description");
    match map.remove("variables") {
        Some(Value::Object(variables)) if variables.contains_key("properties") => {
            raw.parameters = of_schema(&Value::Object(variables), place, notes);
        }
        Some(Value::Object(variables)) => {
            raw.parameters = variables.iter().map(|(name, sample)| of_sample(name, sample)).collect();
        }
        Some(Value::Array(names)) => {
            let named = names.iter().filter_map(|n| n.as_str().or_else(|| n.get("name")?.as_str()));
            raw.parameters = named.map(|name| of_sample(name, &Value::Null)).collect();
        }
        _ => {}
    }
    let mut kept = Map::new();
    for key in ["id", "version", "object", "created_at", "is_default"] {
        kept.extend(map.remove(key).filter(|v| !v.is_null()).map(|v| (key.to_owned(), v)));
    }
    map.remove("name");
    if let Some(Value::Object(metadata)) = map.remove("metadata") {
        raw.metadata = metadata;
    }
    if !kept.is_empty() {
        raw.metadata.insert("openai".into(), Value::Object(kept));
    }
    map.retain(|_, value| !value.is_null());
    raw.model = map;
    Ok(raw)
}

/// Writes a list of prompts.
pub(crate) fn write(content: &Content, notes: &mut Vec<Note>) -> Value {
    let mut out = Vec::new();
    for prompt in &content.prompts {
        if has_no_place(prompt, notes) {
            continue;
        }
        match body(&prompt.content, &mut |t| template(prompt, Dialect::Variables, t)) {
            Ok((kind, text)) => out.push(entry(prompt, kind, text)),
            Err(why) => left_out(prompt.id.as_str(), &why, notes),
        }
    }
    Value::Array(out)
}

fn entry(prompt: &Prompt, kind: &str, text: Value) -> Value {
    let mut one = prompt.model.clone();
    one.insert("name".into(), json!(prompt.id));
    if !prompt.description.is_empty() {
        one.insert("description".into(), json!(prompt.description));
    }
    let key = if kind == "chat" { "messages" } else { "instructions" };
    one.insert(key.into(), text);
    let variables: Map<String, Value> = prompt
        .parameters
        .iter()
        .map(|p| (p.name.clone(), p.example.clone().unwrap_or(Value::Null)))
        .collect();
    if !variables.is_empty() {
        one.insert("variables".into(), Value::Object(variables));
    }
    Value::Object(one)
}
