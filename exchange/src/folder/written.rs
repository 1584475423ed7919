//! Writing the layout of `forge push`: the same prompts are always the same bytes.

use std::collections::BTreeSet;

use schemas::parameter::Parameter;
use schemas::prompt::{Content as Body, Engine, Message, Prompt};
use serde_json::{Map, Value, json};

use super::{Around, END, MESSAGE, PLACEHOLDER, looks, one};
use crate::files::Files;
use crate::found::{Content, Refusal, Result};
use crate::made::role_name;
use crate::yaml;

/// Writes a folder in the layout of `forge push`, without its `forge.toml`.
///
/// # Errors
/// Two prompts whose names differ only in capitals, which many file systems take for one.
pub fn write(content: &Content) -> Result<Files> {
    let mut files = Files::new();
    let mut seen = BTreeSet::new();
    let mut put = |path: String, text: String| {
        if !seen.insert(path.to_lowercase()) {
            let detail =
                format!("two files would be called {path}, but for capitals; rename one of the prompts");
            return Err(Refusal::new("duplicate", detail));
        }
        files.insert(path, text.into_bytes());
        Ok(())
    };
    for partial in &content.partials {
        put(format!("partials/{}.md", partial.name), format!("{}\n", partial.source))?;
    }
    let around = Around { partials: content.partials.clone(), laid_out: true };
    for prompt in &content.prompts {
        put(format!("prompts/{}.md", prompt.id), file(prompt, &around))?;
    }
    Ok(files)
}

/// The shortest file that reads back as this very prompt.
fn file(prompt: &Prompt, around: &Around) -> String {
    let back = |text: &str| {
        let path = format!("{}.md", prompt.id);
        one(&path, &path, text, around, &mut Vec::new()).is_ok_and(|p| p == *prompt)
    };
    let short = written(prompt, false);
    if back(&short) { short } else { written(prompt, true) }
}

fn written(prompt: &Prompt, whole: bool) -> String {
    let mut front: Vec<(&str, Value)> = Vec::new();
    if !prompt.description.is_empty() {
        front.push(("description", json!(prompt.description)));
    }
    if !prompt.tags.is_empty() {
        front.push(("tags", json!(prompt.tags)));
    }
    if whole || prompt.engine == Engine::Plain {
        let engine = if prompt.engine == Engine::Plain { "plain" } else { "tera" };
        front.push(("engine", json!(engine)));
    }
    if whole || !prompt.parameters.is_empty() {
        let parameters = prompt.parameters.iter().map(ordered).collect();
        front.push(("parameters", Value::Array(parameters)));
    }
    for (key, map) in [("model", &prompt.model), ("metadata", &prompt.metadata)] {
        if !map.is_empty() {
            front.push((key, Value::Object(sorted(map))));
        }
    }
    let mut body = String::new();
    match &prompt.content {
        Body::Text { template } => {
            body.push_str(template);
            body.push('\n');
        }
        Body::Chat { messages } => {
            front.push(("chat", json!(true)));
            for entry in messages {
                match entry {
                    Message::Placeholder { name } => body.push_str(&format!("{PLACEHOLDER}{name}{END}\n")),
                    Message::Message { role, template } => {
                        body.push_str(&format!("{MESSAGE}{}{END}\n", role_name(*role)));
                        for line in template.split_inclusive('\n') {
                            if looks(line) {
                                body.push('\\');
                            }
                            body.push_str(line);
                        }
                        body.push('\n');
                    }
                }
            }
        }
    }
    if front.is_empty() && !whole && !body.starts_with("---") {
        return body;
    }
    format!("---\n{}---\n{body}", yaml::block(&front))
}

/// A parameter with its name first, and the rest in the order of the letters.
fn ordered(parameter: &Parameter) -> Value {
    let mut out = Map::new();
    let Ok(Value::Object(map)) = serde_json::to_value(parameter) else { return Value::Null };
    out.insert("name".into(), json!(parameter.name));
    out.extend(sorted(&map));
    Value::Object(out)
}

/// The same whatever order it came in.
fn sorted(map: &Map<String, Value>) -> Map<String, Value> {
    let mut entries: Vec<_> = map.iter().map(|(key, value)| (key.clone(), sorted_value(value))).collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    entries.into_iter().collect()
}

fn sorted_value(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(sorted(map)),
        Value::Array(items) => Value::Array(items.iter().map(sorted_value).collect()),
        other => other.clone(),
    }
}
