//! A folder of Markdown or text files.
//!
//! | in the folder | becomes |
//! |---|---|
//! | `<id>.md`, `.txt`, `.tera` | prompt `<id>`; front matter says what is not text |
//! | `partials/<name>.md` (`.txt`, `.tera`) | partial `<name>` |
//! | `<id>/system.md`, with a `user.md` or not | prompt `<id>`, where there is no `forge.toml` |
//! | `<id>.prompt.json` | the prompt that it holds |
//!
//! With a `forge.toml` the prompts stand under `prompts/`: the layout of `forge push` and `forge pull`,
//! which is the same bytes for the same prompts. A message of a chat begins with a line such as
//! `<!-- message: user -->`, and the place for the caller's messages is `<!-- placeholder: history -->`. A
//! line of a text that looks so is written with a backslash before it.

use std::collections::BTreeSet;

use schemas::prompt::{Content as Body, Engine, Message, Partial, Prompt, Role};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::dialect::Dialect;
use crate::dotprompt::take_text;
use crate::files::{self, Files};
use crate::found::{Content, Digests, Note, Refusal, Result};
use crate::made::{self, Raw, message, role_name};
use crate::name;
use crate::yaml;

/// The file that names project and set, and says that this is the layout of `forge push`.
pub const MANIFEST: &str = "forge.toml";
/// The file that says what the set held when the files were taken from it.
pub const LOCK: &str = "forge.lock";
const TEXTS: [&str; 3] = [".md", ".txt", ".tera"];
const LEFT_OUT: [&str; 5] = ["readme", "license", "licence", "changelog", "contributing"];
const MESSAGE: &str = "<!-- message: ";
const PLACEHOLDER: &str = "<!-- placeholder: ";
const END: &str = " -->";

/// Whether a file can be a prompt or a partial of a folder.
#[must_use]
pub fn is_text(path: &str) -> bool {
    TEXTS.iter().any(|e| path.ends_with(e)) || path.ends_with(".prompt.json")
}

/// Reads a folder.
///
/// # Errors
/// A file that is no text, front matter that cannot be read, or two prompts of one id.
pub fn read(files: &Files, notes: &mut Vec<Note>) -> Result<Content> {
    let root = files
        .keys()
        .filter_map(|p| p.strip_suffix(MANIFEST))
        .find(|root| root.is_empty() || root.ends_with('/'))
        .map(str::to_owned);
    let laid_out = root.is_some();
    let root = root.unwrap_or_default();
    let mut partials: Vec<Partial> = Vec::new();
    let mut prompts: Vec<(&str, &str, &str)> = Vec::new();
    for (path, bytes) in files {
        let Some(inner) = path.strip_prefix(&root).filter(|p| is_text(p)) else { continue };
        if inner.split('/').any(|p| p.starts_with('.')) {
            continue;
        }
        let text = files::text(path, bytes)?;
        if let Some(partial) = inner.strip_prefix("partials/") {
            let name = name::id(name::stem(partial, &TEXTS), path, notes)?;
            partials.push(Partial { name, source: without_end(text).to_owned() });
            continue;
        }
        let inner = match laid_out {
            true => match inner.strip_prefix("prompts/") {
                Some(inner) => inner,
                None => continue,
            },
            false => inner,
        };
        let file = inner.rsplit('/').next().unwrap_or_default();
        let word = file.split('.').next().unwrap_or_default().to_lowercase();
        if laid_out || !LEFT_OUT.contains(&word.as_str()) {
            prompts.push((path, inner, text));
        }
    }
    name::unique("partial", partials.iter().map(|p| &p.name))?;
    let mut out = Content { prompts: Vec::new(), partials };
    let systems: BTreeSet<&str> = match laid_out {
        true => BTreeSet::new(),
        false => prompts.iter().filter_map(|(_, inner, _)| inner.strip_suffix("/system.md")).collect(),
    };
    for (path, inner, text) in &prompts {
        let folder = inner.rsplit_once('/').map_or("", |(folder, _)| folder);
        if systems.contains(folder) {
            if inner.ends_with("/system.md") {
                let user =
                    prompts.iter().find(|(_, i, _)| *i == format!("{folder}/user.md")).map(|(_, _, t)| *t);
                out.prompts.push(pair(path, folder, text, user, &out.partials, notes)?);
            }
            continue;
        }
        out.prompts.push(one(path, inner, text, &out.partials, notes)?);
    }
    Ok(out.sorted())
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lock {
    version: u32,
    files: Digests,
}

/// What the set held when the files were taken from it, where a `forge.lock` says so.
///
/// # Errors
/// It cannot be read.
pub fn base(files: &Files) -> Result<Option<Digests>> {
    let Some((path, bytes)) = files.iter().find(|(p, _)| *p == LOCK || p.ends_with("/forge.lock")) else {
        return Ok(None);
    };
    let lock: Lock =
        serde_json::from_str(files::text(path, bytes)?).map_err(|e| Refusal::unreadable(path, e))?;
    if lock.version != 1 {
        return Err(Refusal::unreadable(path, "is of another version; pull again"));
    }
    Ok(Some(lock.files))
}

/// The text of a `forge.lock`.
///
/// # Errors
/// None that a list of digests has.
pub fn lock(content: &Content) -> Result<String> {
    let lock = Lock { version: 1, files: content.digests() };
    let text = serde_json::to_string_pretty(&lock).map_err(|e| Refusal::new("invalid", e.to_string()))?;
    Ok(text + "\n")
}

/// The line end that closes a file is none of its text.
fn without_end(text: &str) -> &str {
    text.strip_suffix('\n').map_or(text, |t| t.strip_suffix('\r').unwrap_or(t))
}

fn pair(
    path: &str,
    folder: &str,
    system: &str,
    user: Option<&str>,
    partials: &[Partial],
    notes: &mut Vec<Note>,
) -> Result<Prompt> {
    let id = name::id(folder, path, notes)?;
    let body = match user.filter(|u| !u.trim().is_empty()) {
        Some(user) => Body::Chat { messages: vec![message(Role::System, system), message(Role::User, user)] },
        None => made::text(system),
    };
    Ok(made::prompt(Raw::new(path, id, Dialect::Tera, body), partials, notes))
}

fn one(path: &str, inner: &str, text: &str, partials: &[Partial], notes: &mut Vec<Note>) -> Result<Prompt> {
    if inner.ends_with(".prompt.json") {
        return serde_json::from_str(text).map_err(|e| Refusal::unreadable(path, e));
    }
    let id = name::id(name::stem(inner, &TEXTS), path, notes)?;
    let yaml::Fronted { front, body } = yaml::split(path, text)?;
    let has_front = front.is_some();
    let mut front = front.unwrap_or_default();
    let is_chat = has_front && front.remove("chat") == Some(json!(true));
    let body = if is_chat { chat(path, body)? } else { made::text(without_end(body)) };
    let mut raw = Raw::new(path, id, Dialect::Tera, body);
    raw.description = take_text(&mut front, "description");
    if let Some(Value::Array(tags)) = front.remove("tags") {
        raw.tags = tags.iter().map(|t| t.as_str().map_or_else(|| t.to_string(), str::to_owned)).collect();
    }
    if let Some(Value::Object(model)) = front.remove("model") {
        raw.model = model;
    }
    if let Some(Value::Object(metadata)) = front.remove("metadata") {
        raw.metadata = metadata;
    }
    let declared = front.remove("parameters");
    let exact = declared.is_some();
    if let Some(declared) = declared {
        raw.parameters = serde_json::from_value(declared)
            .map_err(|e| Refusal::unreadable(path, format!("parameters: {e}")))?;
    }
    let engine = take_text(&mut front, "engine");
    if !front.is_empty() {
        let keys = front.keys().cloned().collect::<Vec<_>>().join(", ");
        notes.push(Note::new(path, keys, "has no field here; kept in the metadata under front_matter"));
        raw.metadata.insert("front_matter".into(), Value::Object(front));
    }
    // Where the author says what it is, it is that, with its errors: they are refused when it is locked.
    let engine = match engine.as_str() {
        "plain" => Engine::Plain,
        "tera" => Engine::Tera,
        "" => return Ok(made::prompt(raw, partials, notes)),
        other => {
            return Err(Refusal::unreadable(path, format!("engine: {other:?} is neither tera nor plain")));
        }
    };
    let mut prompt = Prompt {
        id: raw.id,
        description: raw.description,
        engine,
        content: raw.body,
        parameters: raw.parameters,
        model: raw.model,
        metadata: raw.metadata,
        tags: raw.tags,
    };
    if engine == Engine::Tera && !exact {
        made::declare(&mut prompt, partials);
    }
    Ok(prompt)
}

fn marker<'l>(line: &'l str, word: &str) -> Option<&'l str> {
    line.trim_end().strip_prefix(word)?.strip_suffix(END)
}

fn chat(path: &str, body: &str) -> Result<Body> {
    let mut messages: Vec<Message> = Vec::new();
    for line in body.split_inclusive('\n') {
        if let Some(name) = marker(line, PLACEHOLDER) {
            messages.push(Message::Placeholder { name: name.to_owned() });
            continue;
        }
        if let Some(word) = marker(line, MESSAGE) {
            let role = serde_json::from_value(json!(word))
                .map_err(|_| Refusal::unreadable(path, format!("{word:?} is no role")))?;
            messages.push(message(role, ""));
            continue;
        }
        match messages.last_mut() {
            Some(Message::Message { template, .. }) => template.push_str(unescaped(line)),
            _ if line.trim().is_empty() => {}
            _ => {
                let why = format!("a chat begins with a line such as {MESSAGE}system{END}");
                return Err(Refusal::unreadable(path, why));
            }
        }
    }
    for entry in &mut messages {
        if let Message::Message { template, .. } = entry {
            let kept = without_end(template).len();
            template.truncate(kept);
        }
    }
    Ok(Body::Chat { messages })
}

/// A line of a text that looks like a marker, however many backslashes it begins with.
fn looks(line: &str) -> bool {
    let bare = line.trim_start_matches('\\');
    bare.starts_with(MESSAGE) || bare.starts_with(PLACEHOLDER)
}

fn unescaped(line: &str) -> &str {
    if looks(line) { line.strip_prefix('\\').unwrap_or(line) } else { line }
}

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
    for prompt in &content.prompts {
        put(format!("prompts/{}.md", prompt.id), file(prompt, &content.partials))?;
    }
    Ok(files)
}

/// The shortest file that reads back as this very prompt.
fn file(prompt: &Prompt, partials: &[Partial]) -> String {
    let back = |text: &str| {
        let path = format!("{}.md", prompt.id);
        one(&path, &path, text, partials, &mut Vec::new()).is_ok_and(|p| p == *prompt)
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
fn ordered(parameter: &schemas::parameter::Parameter) -> Value {
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
