//! Dotprompt: `.prompt` files of YAML front matter and Handlebars; partials begin with an underscore.
//! <https://google.github.io/dotprompt/reference/frontmatter/>

use schemas::prompt::{Content as Body, Message, Partial, Prompt, Role};
use serde_json::{Map, Value, json};

use crate::dialect::{self, Dialect};
use crate::files::{self, Files};
use crate::found::{Content, Note, Result};
use crate::made::{self, Raw, message, role_name};
use crate::parameters::{of_picoschema, of_sample, to_picoschema};
use crate::{name, yaml};

const EXTENSION: &str = ".prompt";

/// Reads every `.prompt` file.
pub(crate) fn read(files: &Files, beside: &[Partial], notes: &mut Vec<Note>) -> Result<Content> {
    let (mut partials, mut prompts) = (Vec::new(), Vec::new());
    for (path, bytes) in files.iter().filter(|(p, _)| p.ends_with(EXTENSION)) {
        let text = files::text(path, bytes)?;
        let stem = name::stem(path, &[EXTENSION]);
        let (folder, file) = stem.rsplit_once('/').map_or(("", stem), |(folder, file)| (folder, file));
        match file.strip_prefix('_') {
            Some(partial) => {
                let full = if folder.is_empty() { partial.to_owned() } else { format!("{folder}/{partial}") };
                let body = yaml::split(path, text)?.body;
                partials.push((name::id(&full, path, notes)?, body.to_owned()));
            }
            None => prompts.push((path.as_str(), stem, text)),
        }
    }
    let partials = made::partials(Dialect::Handlebars, partials, notes);
    let around = made::with(&partials, beside);
    let mut out = Content { prompts: Vec::new(), partials };
    for (path, stem, text) in prompts {
        let raw = one(path, stem, text, notes)?;
        out.prompts.push(made::prompt(raw, &around, notes));
    }
    Ok(out)
}

fn one(path: &str, stem: &str, text: &str, notes: &mut Vec<Note>) -> Result<Raw> {
    let fronted = yaml::split(path, text)?;
    let above = fronted.lines_above(text);
    let yaml::Fronted { front, body } = fronted;
    let mut front = front.unwrap_or_default();
    let id = name::id(stem, path, notes)?;
    let (content, mut lines) = messages(body, path, notes);
    lines.iter_mut().for_each(|line| *line += above);
    let mut raw = Raw { lines, ..Raw::new(path, id, Dialect::Handlebars, content) };
    raw.description = take_text(&mut front, "description");
    if let Some(model) = front.remove("model") {
        raw.model.insert("model".into(), model);
    }
    if let Some(Value::Object(config)) = front.remove("config") {
        raw.model.extend(config);
    }
    for key in ["output", "tools"] {
        raw.model.extend(front.remove(key).map(|value| (key.to_owned(), value)));
    }
    if let Some(Value::Object(mut input)) = front.remove("input") {
        let schema = input.remove("schema");
        raw.parameters = schema.map(|s| of_picoschema(&s, path, notes)).unwrap_or_default();
        let defaults = input.remove("default").and_then(|d| d.as_object().cloned()).unwrap_or_default();
        for (name, value) in defaults {
            match raw.parameters.iter_mut().find(|p| p.name == name) {
                Some(parameter) => {
                    parameter.required = false;
                    parameter.default = Some(value);
                }
                None => {
                    let mut parameter = of_sample(&name, &value);
                    (parameter.required, parameter.default, parameter.example) = (false, Some(value), None);
                    raw.parameters.push(parameter);
                }
            }
        }
    }
    front.remove("name");
    if let Some(Value::Object(metadata)) = front.remove("metadata") {
        raw.metadata = metadata;
    }
    if !front.is_empty() {
        let keys = front.keys().cloned().collect::<Vec<_>>().join(", ");
        notes.push(Note::new(path, keys, "has no field here; kept in the metadata under dotprompt"));
        raw.metadata.insert("dotprompt".into(), Value::Object(front));
    }
    Ok(raw)
}

pub(crate) fn take_text(map: &mut Map<String, Value>, key: &str) -> String {
    match map.remove(key) {
        Some(Value::String(text)) => text,
        Some(other) if !other.is_null() => other.to_string(),
        _ => String::new(),
    }
}

/// Cuts a template at `{{role "…"}}` and `{{history}}`; says of each message how many lines stand before its text.
fn messages(body: &str, path: &str, notes: &mut Vec<Note>) -> (Body, Vec<usize>) {
    let (mut out, mut lines) = (Vec::new(), Vec::new());
    // The line where the text of a message begins, and where we are.
    let (mut start, mut line) = (0, 0);
    let (mut role, mut text, mut rest) = (Role::User, String::new(), body);
    let mut is_chat = false;
    while let Some(at) = rest.find("{{") {
        let (before, tag) = rest.split_at(at);
        text.push_str(before);
        line += before.matches('\n').count();
        let end = tag.find("}}").map_or(tag.len(), |end| end + 2);
        let (tag, after) = tag.split_at(end);
        line += tag.matches('\n').count();
        let inner = tag.trim_start_matches('{').trim_end_matches('}').trim();
        let mut words = inner.split_whitespace();
        match (words.next(), words.next()) {
            (Some("role"), Some(name)) => {
                close(&mut out, role, &mut text);
                lines.resize(out.len(), start);
                role = made::role(name.trim_matches(['"', '\'']), path, notes);
                (is_chat, start) = (true, line);
            }
            (Some("history"), None) => {
                close(&mut out, role, &mut text);
                lines.resize(out.len(), start);
                out.push(Message::Placeholder { name: "history".into() });
                lines.push(line);
                (role, is_chat, start) = (Role::User, true, line);
            }
            _ => text.push_str(tag),
        }
        rest = after;
    }
    text.push_str(rest);
    if !is_chat {
        return (made::text(body), vec![0]);
    }
    close(&mut out, role, &mut text);
    lines.resize(out.len(), start);
    (Body::Chat { messages: out }, lines)
}

/// A message of nothing but white space is none.
fn close(out: &mut Vec<Message>, role: Role, text: &mut String) {
    let text = std::mem::take(text);
    if !text.trim().is_empty() {
        out.push(message(role, text));
    }
}

/// Writes a file of each prompt and partial.
pub(crate) fn write(content: &Content, notes: &mut Vec<Note>) -> Files {
    let mut files = Files::new();
    for partial in &content.partials {
        match dialect::write(Dialect::Handlebars, &partial.source) {
            Ok(text) => {
                let name = partial.name.as_str();
                let (folder, file) =
                    name.rsplit_once('/').map_or((String::new(), name), |(a, b)| (format!("{a}/"), b));
                files.insert(format!("{folder}_{file}{EXTENSION}"), text.into_bytes());
            }
            Err(why) => left_out(&format!("partial {}", partial.name), &why, notes),
        }
    }
    for prompt in &content.prompts {
        match file(prompt) {
            Ok(text) => {
                files.insert(format!("{}{EXTENSION}", prompt.id), text.into_bytes());
            }
            Err(why) => left_out(prompt.id.as_str(), &why, notes),
        }
    }
    files
}

/// Says that a prompt is not in the export.
pub(crate) fn left_out(place: &str, why: &dialect::Why, notes: &mut Vec<Note>) {
    notes.push(Note::new(place, &why.what, format!("{}; it is left out of the export", why.why)));
}

/// A template in another language; plain text is escaped.
pub(crate) fn template(
    prompt: &Prompt,
    dialect: Dialect,
    source: &str,
) -> std::result::Result<String, dialect::Why> {
    match prompt.engine {
        schemas::prompt::Engine::Tera => dialect::write(dialect, source),
        schemas::prompt::Engine::Plain => {
            let escaped = dialect::tera::write(&[dialect::tree::Node::Text(source.to_owned())]);
            dialect::write(dialect, &escaped)
        }
    }
}

fn file(prompt: &Prompt) -> std::result::Result<String, dialect::Why> {
    let mut body = String::new();
    match &prompt.content {
        Body::Text { template: source } => body = template(prompt, Dialect::Handlebars, source)?,
        Body::Chat { messages } => {
            for entry in messages {
                match entry {
                    Message::Message { role, template: source } => {
                        body.push_str(&format!("{{{{role \"{}\"}}}}", role_name(*role)));
                        body.push_str(&template(prompt, Dialect::Handlebars, source)?);
                    }
                    Message::Placeholder { .. } => body.push_str("{{history}}"),
                }
            }
        }
    }
    let mut config = prompt.model.clone();
    let mut front: Vec<(&str, Value)> = Vec::new();
    if let Some(model) = config.remove("model") {
        front.push(("model", model));
    }
    let (output, tools) = (config.remove("output"), config.remove("tools"));
    if !config.is_empty() {
        front.push(("config", Value::Object(config)));
    }
    if !prompt.description.is_empty() {
        front.push(("description", json!(prompt.description)));
    }
    if !prompt.parameters.is_empty() {
        let mut input = Map::new();
        input.insert("schema".into(), to_picoschema(&prompt.parameters));
        let defaults: Map<String, Value> =
            prompt.parameters.iter().filter_map(|p| Some((p.name.clone(), p.default.clone()?))).collect();
        if !defaults.is_empty() {
            input.insert("default".into(), Value::Object(defaults));
        }
        front.push(("input", Value::Object(input)));
    }
    front.extend(output.map(|value| ("output", value)));
    front.extend(tools.map(|value| ("tools", value)));
    if !prompt.metadata.is_empty() {
        front.push(("metadata", Value::Object(prompt.metadata.clone())));
    }
    Ok(format!("---\n{}---\n{body}", yaml::block(&front)))
}
