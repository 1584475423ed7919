//! A prompt of what a format holds.
//!
//! All templates of a prompt are converted, or none: where one cannot be, all stay as they were written, as
//! plain text, and the report names the place.

use std::collections::{BTreeMap, BTreeSet};

use schemas::PromptId;
use schemas::parameter::{Kind, PARAMETERS_MAX, Parameter};
use schemas::prompt::{Content as Body, Engine, Message, Partial, Prompt, Role};
use schemas::template::{self, TemplateError};
use serde_json::{Map, Value, json};

use crate::dialect::{self, Dialect, tera, tree};
use crate::found::{Note, shown};
use crate::parameters::{required, sound};

/// A prompt as a format holds it.
pub(crate) struct Raw {
    /// The file, or the name within it.
    pub(crate) place: String,
    pub(crate) id: PromptId,
    pub(crate) description: String,
    pub(crate) tags: Vec<String>,
    pub(crate) model: Map<String, Value>,
    pub(crate) metadata: Map<String, Value>,
    /// What the format declares; what is used besides is added.
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) body: Body,
    pub(crate) dialect: Dialect,
    /// A template that does not compile stays one, as a draft holds it, and the report names the place.
    pub(crate) keeps: bool,
    /// How many lines of the file stand before each template, by its entry of the content. Empty where there are no lines.
    pub(crate) lines: Vec<usize>,
}

impl Raw {
    pub(crate) fn new(place: &str, id: PromptId, dialect: Dialect, body: Body) -> Self {
        Self {
            place: place.to_owned(),
            id,
            description: String::new(),
            tags: Vec::new(),
            model: Map::new(),
            metadata: Map::new(),
            parameters: Vec::new(),
            body,
            dialect,
            keeps: false,
            lines: Vec::new(),
        }
    }
}

pub(crate) fn text(template: impl Into<String>) -> Body {
    Body::Text { template: template.into() }
}

pub(crate) fn message(role: Role, template: impl Into<String>) -> Message {
    Message::Message { role, template: template.into() }
}

/// The role of a name; another one is noted.
pub(crate) fn role(name: &str, place: &str, notes: &mut Vec<Note>) -> Role {
    match name.to_ascii_lowercase().as_str() {
        "system" => Role::System,
        "user" | "human" => Role::User,
        "assistant" | "ai" | "model" => Role::Assistant,
        "tool" | "function" => Role::Tool,
        "developer" => {
            notes.push(Note::new(place, "role developer", "is the role system here"));
            Role::System
        }
        other => {
            notes.push(Note::new(place, format!("role {other}"), "is no role here; taken as user"));
            Role::User
        }
    }
}

/// The name of a role in files.
pub(crate) fn role_name(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User | Role::Other => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    }
}

/// Partials as Tera; what cannot be converted is left out.
pub(crate) fn partials(
    dialect: Dialect,
    raw: Vec<(PromptId, String)>,
    notes: &mut Vec<Note>,
) -> Vec<Partial> {
    let mut out = Vec::new();
    for (name, source) in raw {
        match dialect::convert(dialect, &source) {
            Ok(done) => {
                remark(|line| format!("partial {name}, line {line}"), &done.remarks, notes);
                out.push(Partial { name, source: done.tera });
            }
            Err(why) => {
                let place = format!("partial {name}, line {}", why.line);
                notes.push(Note::new(place, why.what, format!("{}; the partial is left out", why.why)));
            }
        }
    }
    out
}

fn remark(place: impl Fn(usize) -> String, remarks: &[dialect::Why], notes: &mut Vec<Note>) {
    notes.extend(remarks.iter().map(|r| Note::new(place(r.line), &r.what, &r.why)));
}

/// The place of a line of a template: the line of its file, or where the format has none, of which message.
fn at(place: &str, lines: &[usize], index: usize, line: usize) -> String {
    match lines.get(index) {
        Some(before) => format!("{place}, line {}", before + line),
        None if index > 0 => format!("{place}, message {}, line {line}", index + 1),
        None => format!("{place}, line {line}"),
    }
}

fn place_of(place: &str, lines: &[usize], error: &TemplateError) -> String {
    match &error.partial {
        Some(partial) => format!("{place}, partial {partial}, line {}", error.line),
        None => at(place, lines, error.message_index.unwrap_or(0), error.line),
    }
}

/// The prompt, with what was not taken over as it stands.
pub(crate) fn prompt(raw: Raw, partials: &[Partial], notes: &mut Vec<Note>) -> Prompt {
    let Raw { place, id, description, tags, model, metadata, parameters, body, dialect, keeps, lines } = raw;
    let declared = sound(parameters, &place, notes);
    // Files of ours hold what their authors wrote.
    let model = if dialect == Dialect::Tera { model } else { without_secrets(model, "", &place, notes) };
    let mut prompt = Prompt {
        id,
        description,
        engine: Engine::Plain,
        content: body,
        parameters: declared.clone(),
        model,
        metadata,
        tags,
    };
    unresolved(&prompt, &place, notes);
    if dialect == Dialect::Plain {
        return prompt;
    }
    let failed = match converted(&prompt, dialect, &place, &lines, notes) {
        Ok(content) => {
            let mut tera = Prompt { engine: Engine::Tera, content, ..prompt.clone() };
            declare(&mut tera, partials);
            if keeps {
                compiled(&tera, &place, &lines, partials, notes);
                return tera;
            }
            match template::check(&tera, partials).into_iter().find(|e| !e.is_warning()) {
                None => return tera,
                Some(error) => Note::new(
                    place_of(&place, &lines, &error),
                    error.source_line.clone(),
                    format!("{}; the prompt keeps its text as it is, as plain text", error.message),
                ),
            }
        }
        Err(note) => note,
    };
    notes.push(failed);
    if dialect != Dialect::Tera {
        prompt.metadata.insert("dialect".into(), json!(dialect.as_str()));
    }
    // Plain text has no variables.
    if !prompt.parameters.is_empty() {
        let what = prompt.parameters.iter().map(|p| p.name.as_str()).collect::<Vec<_>>().join(", ");
        notes.push(Note::new(&place, what, "plain text uses no parameters; they are kept in the metadata"));
        let kept = serde_json::to_value(&prompt.parameters).unwrap_or_default();
        prompt.metadata.insert("parameters".into(), kept);
        prompt.parameters.clear();
    }
    prompt
}

fn converted(
    prompt: &Prompt,
    dialect: Dialect,
    place: &str,
    lines: &[usize],
    notes: &mut Vec<Note>,
) -> Result<Body, Note> {
    let mut remarks = Vec::new();
    let mut one = |index: usize, source: &str| match dialect::convert(dialect, source) {
        Ok(done) => {
            remark(|line| at(place, lines, index, line), &done.remarks, &mut remarks);
            Ok(done.tera)
        }
        Err(why) => Err(Note::new(
            at(place, lines, index, why.line),
            why.what,
            format!("{}; the prompt keeps its text as it is, as plain text", why.why),
        )),
    };
    let all = match &prompt.content {
        Body::Text { template } => one(0, template).map(text),
        Body::Chat { messages } => messages
            .iter()
            .enumerate()
            .map(|(index, m)| match m {
                Message::Message { role, template } => one(index, template).map(|t| message(*role, t)),
                Message::Placeholder { name } => Ok(Message::Placeholder { name: name.clone() }),
            })
            .collect::<Result<Vec<_>, _>>()
            .map(|messages| Body::Chat { messages }),
    };
    let body = all?;
    notes.append(&mut remarks);
    Ok(body)
}

/// Declares what the templates use and nobody declared, with the kind that the use shows.
pub(crate) fn declare(prompt: &mut Prompt, partials: &[Partial]) {
    let included = included(prompt, partials);
    let mut found = Vec::new();
    let mut kinds: BTreeMap<String, Kind> = BTreeMap::new();
    for source in prompt.templates().map(str::to_owned).chain(included.into_iter().map(|p| p.source.clone()))
    {
        // A template that is wrong is not read again: the check says what is wrong with it.
        let Ok(names) = template::extract(&source) else { continue };
        found.extend(names);
        if let Ok(nodes) = tera::read(&source) {
            kinds.extend(tree::kinds(&nodes));
        }
    }
    for name in found {
        // The check refuses what has more.
        if prompt.parameters.len() > PARAMETERS_MAX {
            break;
        }
        if prompt.parameters.iter().all(|p| p.name != name) {
            let kind = kinds.get(&name).cloned().unwrap_or_else(tree::string);
            prompt.parameters.push(required(&name, kind));
        }
    }
}

/// The partials that a prompt includes, directly or through others.
fn included<'p>(prompt: &Prompt, partials: &'p [Partial]) -> Vec<&'p Partial> {
    let known: BTreeMap<&str, &Partial> = partials.iter().map(|p| (p.name.as_str(), p)).collect();
    let mut sources: Vec<&str> = prompt.templates().collect();
    let (mut seen, mut out) = (BTreeSet::new(), Vec::new());
    while let Some(source) = sources.pop() {
        if !source.contains("include") {
            continue;
        }
        // Whatever stands between two quotes may be a name.
        for partial in source.split(['"', '\'']).filter_map(|text| known.get(text)) {
            if seen.insert(&partial.name) {
                out.push(*partial);
                sources.push(&partial.source);
            }
        }
    }
    out.sort_by(|a, b| a.name.cmp(&b.name));
    out
}

/// Says where a template does not compile that stays one all the same.
pub(crate) fn compiled(
    prompt: &Prompt,
    place: &str,
    lines: &[usize],
    partials: &[Partial],
    notes: &mut Vec<Note>,
) {
    let Some(error) = template::check(prompt, partials).into_iter().find(|e| !e.is_warning()) else { return };
    let why = format!(
        "{}; it stays a template, and no version can be locked with it: correct it, or write `engine: plain` above a text \
         whose braces are no template",
        error.message
    );
    notes.push(Note::new(place_of(place, lines, &error), error.source_line, why));
}

/// The partials of a file, and those beside it that it does not replace.
pub(crate) fn with(own: &[Partial], beside: &[Partial]) -> Vec<Partial> {
    let names: BTreeSet<&PromptId> = own.iter().map(|p| &p.name).collect();
    own.iter().chain(beside.iter().filter(|p| !names.contains(&p.name))).cloned().collect()
}

/// The settings that tell who may ask a model, by their names in small letters.
const SECRETS: [&str; 14] = [
    "key",
    "api_key",
    "apikey",
    "api-key",
    "api_token",
    "access_key",
    "access_token",
    "auth_token",
    "token",
    "secret",
    "client_secret",
    "password",
    "connection_string",
    "authorization",
];
/// The settings that hold schemas, where such a name is that of a field.
const SCHEMAS: [&str; 5] = ["tools", "functions", "output", "response_format", "text"];

/// Leaves out the secrets of model settings, which would go to everybody who reads the prompt, and says so without them.
fn without_secrets(
    model: Map<String, Value>,
    within: &str,
    place: &str,
    notes: &mut Vec<Note>,
) -> Map<String, Value> {
    let mut out = Map::new();
    for (key, value) in model {
        let name = format!("{within}{key}");
        let value = match value {
            Value::String(text)
                if SECRETS.contains(&key.to_lowercase().as_str())
                    && !text.is_empty()
                    && !text.contains("${") =>
            {
                let why = "looks like a secret, and everybody who reads a prompt would have it; left out";
                notes.push(Note::new(place, format!("model setting {name}"), why));
                continue;
            }
            Value::Object(inner) if !SCHEMAS.contains(&key.as_str()) => {
                Value::Object(without_secrets(inner, &format!("{name}."), place, notes))
            }
            other => other,
        };
        out.insert(key, value);
    }
    out
}

/// What would be looked up elsewhere, and is not.
fn unresolved(prompt: &Prompt, place: &str, notes: &mut Vec<Note>) {
    let mut found = BTreeSet::new();
    for template in prompt.templates() {
        references(template, &mut found);
    }
    for value in prompt.model.values().chain(prompt.metadata.values()) {
        in_value(value, &mut found);
    }
    for parameter in &prompt.parameters {
        [&parameter.default, &parameter.example].into_iter().flatten().for_each(|v| in_value(v, &mut found));
    }
    if found.len() >= REFERENCES_MAX {
        let why = format!("stands at {REFERENCES_MAX} places and more; only so many are told here");
        notes.push(Note::new(place, "${…}", why));
    }
    notes.extend(
        found
            .into_iter()
            .map(|what| Note::new(place, what, "is never looked up by an import; it stays as it is written")),
    );
}

fn in_value(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => references(text, found),
        Value::Array(items) => items.iter().for_each(|v| in_value(v, found)),
        Value::Object(map) => map.values().for_each(|v| in_value(v, found)),
        _ => {}
    }
}

/// Most references of one prompt that are told.
const REFERENCES_MAX: usize = 100;
/// Longest reference whose end is looked for, in bytes.
const REFERENCE_MAX: usize = 512;

fn references(text: &str, found: &mut BTreeSet<String>) {
    for open in ["${env:", "${file:", "${ENV:", "${FILE:"] {
        for (at, _) in text.match_indices(open) {
            if found.len() >= REFERENCES_MAX {
                return;
            }
            let rest = text.get(at..).unwrap_or_default();
            let near = rest.bytes().take(REFERENCE_MAX).position(|byte| byte == b'}');
            let end = near.map_or(rest.len(), |end| end + 1);
            found.insert(shown(rest.get(..end).unwrap_or_default()));
        }
    }
}
