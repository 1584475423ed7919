//! MLflow: prompts of its registry as JSON, `{{name}}` for variables, Jinja where there are tags.
//! <https://mlflow.org/docs/latest/genai/prompt-registry/>

use schemas::prompt::Partial;
use serde_json::{Map, Value, json};

use crate::dialect::Dialect;
use crate::dotprompt::{left_out, take_text, template};
use crate::found::{Content, Note, Refusal, Result};
use crate::langfuse::{body, chat, entries, has_no_place};
use crate::made::{self, Raw};
use crate::name;

const TEXT: &str = "mlflow.prompt.text";

/// Whether a value is one prompt of it.
pub(crate) fn is_one(value: &Value) -> bool {
    value.get("name").is_some() && (value.get("template").is_some() || tags(value).contains_key(TEXT))
}

/// Tags as a mapping, or as a list of keys and values.
fn tags(value: &Value) -> Map<String, Value> {
    match value.get("tags") {
        Some(Value::Object(map)) => map.clone(),
        Some(Value::Array(items)) => items
            .iter()
            .filter_map(|t| Some((t.get("key")?.as_str()?.to_owned(), t.get("value")?.clone())))
            .collect(),
        _ => Map::new(),
    }
}

/// Reads a file: of each prompt its highest version.
pub(crate) fn read(file: &str, value: &Value, beside: &[Partial], notes: &mut Vec<Note>) -> Result<Content> {
    let mut found: Vec<&Value> = match value.get("model_versions") {
        Some(Value::Array(versions)) => versions.iter().collect(),
        _ => entries(value),
    };
    if found.iter().any(|v| !is_one(v)) {
        return Err(Refusal::unreadable(file, "an entry is no prompt of MLflow: it needs name and template"));
    }
    let number = |v: &Value| match v.get("version") {
        Some(Value::String(text)) => text.parse().unwrap_or(0),
        Some(other) => other.as_i64().unwrap_or(0),
        None => 0,
    };
    let name_of = |v: &Value| v.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    found.sort_by(|a, b| name_of(a).cmp(&name_of(b)).then(number(b).cmp(&number(a))));
    let mut out = Content::default();
    let mut last = None;
    for entry in found {
        let name = name_of(entry);
        if last.as_ref() == Some(&name) {
            let what = format!("version {}", number(entry));
            notes.push(Note::new(&name, what, "an older version; a draft holds one text of each prompt"));
            continue;
        }
        let raw = one(&name, entry, notes)?;
        out.prompts.push(made::prompt(raw, beside, notes));
        last = Some(name);
    }
    Ok(out)
}

fn one(name: &str, value: &Value, notes: &mut Vec<Note>) -> Result<Raw> {
    let id = name::id(name, name, notes)?;
    let mut tags = tags(value);
    let stored = tags.remove(TEXT);
    let written = value.get("template").or(stored.as_ref());
    // The registry stores the messages of a chat as JSON within a text.
    let parsed = match written {
        Some(Value::String(text)) if tags.get("_mlflow_prompt_type") == Some(&json!("chat")) => {
            serde_json::from_str::<Value>(text).ok()
        }
        _ => None,
    };
    let content = match parsed.as_ref().or(written) {
        Some(Value::String(text)) => made::text(text.clone()),
        Some(Value::Array(messages)) => chat(name, messages, notes)?,
        _ => return Err(Refusal::unreadable(name, "template is neither a text nor a list of messages")),
    };
    let text = value.get("template").or(stored.as_ref()).map(Value::to_string).unwrap_or_default();
    let dialect = if text.contains("{%") { Dialect::Jinja } else { Dialect::Variables };
    let mut raw = Raw::new(name, id, dialect, content);
    raw.description = value.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Some(Value::Object(config)) = value.get("model_config") {
        raw.model = config.clone();
        if let Some(model) = raw.model.remove("model_name") {
            raw.model.insert("model".into(), model);
        }
    }
    raw.model.extend(
        value
            .get("response_format")
            .filter(|v| !v.is_null())
            .map(|v| ("response_format".to_owned(), v.clone())),
    );
    tags.retain(|key, _| !key.starts_with("mlflow.") && !key.starts_with("_mlflow") && key != "is_prompt");
    let mut kept = Map::new();
    for key in ["version", "commit_message", "aliases"] {
        kept.extend(value.get(key).filter(|v| !v.is_null()).map(|v| (key.to_owned(), v.clone())));
    }
    for (key, value) in &mut tags {
        match value {
            Value::String(text) if text.is_empty() || text == "true" => raw.tags.push(key.clone()),
            other => {
                kept.insert(key.clone(), other.take());
            }
        }
    }
    if !kept.is_empty() {
        raw.metadata.insert("mlflow".into(), Value::Object(kept));
    }
    Ok(raw)
}

/// Writes a list of prompts with their templates.
pub(crate) fn write(content: &Content, notes: &mut Vec<Note>) -> Value {
    let mut out = Vec::new();
    for prompt in &content.prompts {
        if has_no_place(prompt, notes) {
            continue;
        }
        match body(&prompt.content, &mut |t| template(prompt, Dialect::Variables, t)) {
            Ok((_, text)) => {
                let mut config = prompt.model.clone();
                let model = take_text(&mut config, "model");
                if !model.is_empty() {
                    config.insert("model_name".into(), json!(model));
                }
                let format = config.remove("response_format");
                let tags: Map<String, Value> =
                    prompt.tags.iter().map(|t| (t.clone(), json!("true"))).collect();
                let mut one = json!({ "name": prompt.id, "template": text, "tags": tags });
                if !prompt.description.is_empty() {
                    one["description"] = json!(prompt.description);
                }
                if let Some(format) = format {
                    one["response_format"] = format;
                }
                if !config.is_empty() {
                    one["model_config"] = Value::Object(config);
                }
                out.push(one);
            }
            Err(why) => left_out(prompt.id.as_str(), &why, notes),
        }
    }
    Value::Array(out)
}
