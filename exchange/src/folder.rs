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
//! which is the same bytes for the same prompts. There, and where a file declares parameters, a text is a template
//! also where it does not compile. A message of a chat begins with a line such as
//! `<!-- message: user -->`, and the place for the caller's messages is `<!-- placeholder: history -->`. A
//! line of a text that looks so is written with a backslash before it.

use std::collections::{BTreeMap, BTreeSet};

use schemas::prompt::{Content as Body, Engine, Message, Partial, Prompt, Role};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::dialect::Dialect;
use crate::dotprompt::take_text;
use crate::files::{self, Files};
use crate::found::{Content, Digests, Note, Refusal, Result};
use crate::made::{self, Raw, message};
use crate::name;
use crate::yaml;

mod written;

pub use written::write;

/// The file that names project and set, and says that this is the layout of `forge push`.
pub const MANIFEST: &str = "forge.toml";
/// The file that says what the set held when the files were taken from it.
pub const LOCK: &str = "forge.lock";
/// What is added to the name of a file of the layout for the text that FORGE has, where both sides changed it. No such
/// file is a prompt.
pub const THEIRS: &str = ".forge";
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
    read_beside(files, &[], notes)
}

/// Reads a folder whose prompts may include partials of the set that it comes to. A partial that was removed from the
/// folder since it was taken from the set is none of them.
///
/// # Errors
/// As [`read`], and a `forge.lock` that cannot be read.
pub fn read_beside(files: &Files, beside: &[Partial], notes: &mut Vec<Note>) -> Result<Content> {
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
    let base = base(files)?.unwrap_or_default();
    let beside: Vec<Partial> =
        beside.iter().filter(|p| !base.contains_key(&format!("partials/{}", p.name))).cloned().collect();
    let around = Around { partials: made::with(&partials, &beside), laid_out };
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
                out.prompts.push(pair(path, folder, text, user, &around.partials, notes)?);
            }
            continue;
        }
        out.prompts.push(one(path, inner, text, &around, notes)?);
    }
    Ok(out.sorted())
}

/// What each file of the layout of `forge push` holds: `prompts/<id>` or `partials/<name>`, by its path.
#[must_use]
pub fn names(files: &Files) -> BTreeMap<String, String> {
    let of = |path: &str, bytes: &[u8]| {
        let (part, inner) =
            path.split_once('/').filter(|(part, _)| matches!(*part, "prompts" | "partials"))?;
        let id = match part == "prompts" && inner.ends_with(".prompt.json") {
            true => serde_json::from_slice::<Prompt>(bytes).ok()?.id,
            false => name::id(name::stem(inner, &TEXTS), path, &mut Vec::new()).ok()?,
        };
        is_text(path).then(|| format!("{part}/{id}"))
    };
    files.iter().filter_map(|(path, bytes)| Some((path.clone(), of(path, bytes)?))).collect()
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
    let raw = Raw { lines: vec![0], ..Raw::new(path, id, Dialect::Tera, body) };
    Ok(made::prompt(raw, partials, notes))
}

/// What a file is read in.
struct Around {
    /// All that a prompt may include.
    partials: Vec<Partial>,
    /// It is the layout of `forge push`.
    laid_out: bool,
}

fn one(path: &str, inner: &str, text: &str, around: &Around, notes: &mut Vec<Note>) -> Result<Prompt> {
    if inner.ends_with(".prompt.json") {
        return serde_json::from_str(text).map_err(|e| Refusal::unreadable(path, e));
    }
    let id = name::id(name::stem(inner, &TEXTS), path, notes)?;
    let fronted = yaml::split(path, text)?;
    let above = fronted.lines_above(text);
    let yaml::Fronted { front, body } = fronted;
    let has_front = front.is_some();
    let mut front = front.unwrap_or_default();
    let is_chat = has_front && front.remove("chat") == Some(json!(true));
    let (body, mut lines) =
        if is_chat { chat(path, body)? } else { (made::text(without_end(body)), vec![0]) };
    lines.iter_mut().for_each(|line| *line += above);
    let mut raw = Raw { lines, ..Raw::new(path, id, Dialect::Tera, body) };
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
        "" => {
            raw.keeps = exact || around.laid_out;
            let declared: BTreeSet<String> = raw.parameters.iter().map(|p| p.name.clone()).collect();
            let prompt = made::prompt(raw, &around.partials, notes);
            if exact {
                undeclared(path, &prompt, &declared, notes);
            }
            return Ok(prompt);
        }
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
        made::declare(&mut prompt, &around.partials);
    }
    made::compiled(&prompt, path, &raw.lines, &around.partials, notes);
    Ok(prompt)
}

/// Says what a text uses and its file does not declare, where it declares parameters at all.
fn undeclared(path: &str, prompt: &Prompt, declared: &BTreeSet<String>, notes: &mut Vec<Note>) {
    let added = prompt.parameters.iter().map(|p| p.name.as_str()).filter(|name| !declared.contains(*name));
    let added = added.collect::<Vec<_>>().join(", ");
    if !added.is_empty() {
        let why = "is used and not declared; it is added to the parameters as one that is required";
        notes.push(Note::new(path, added, why));
    }
}

fn marker<'l>(line: &'l str, word: &str) -> Option<&'l str> {
    line.trim_end().strip_prefix(word)?.strip_suffix(END)
}

/// The messages of a chat, and how many lines stand before the text of each.
fn chat(path: &str, body: &str) -> Result<(Body, Vec<usize>)> {
    let mut messages: Vec<Message> = Vec::new();
    let mut lines = Vec::new();
    for (index, line) in body.split_inclusive('\n').enumerate() {
        if let Some(name) = marker(line, PLACEHOLDER) {
            messages.push(Message::Placeholder { name: name.to_owned() });
            lines.push(index + 1);
            continue;
        }
        if let Some(word) = marker(line, MESSAGE) {
            let role = serde_json::from_value(json!(word))
                .map_err(|_| Refusal::unreadable(path, format!("{word:?} is no role")))?;
            messages.push(message(role, ""));
            lines.push(index + 1);
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
    Ok((Body::Chat { messages }, lines))
}

/// A line of a text that looks like a marker, however many backslashes it begins with.
fn looks(line: &str) -> bool {
    let bare = line.trim_start_matches('\\');
    bare.starts_with(MESSAGE) || bare.starts_with(PLACEHOLDER)
}

fn unescaped(line: &str) -> &str {
    if looks(line) { line.strip_prefix('\\').unwrap_or(line) } else { line }
}
