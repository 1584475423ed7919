//! Prompty: YAML front matter and messages that begin with a line of their role.
//! <https://prompty.ai/docs/prompty-file-spec>

use schemas::prompt::{Content as Body, Message, Partial, Prompt, Role};
use serde_json::{Map, Value, json};

use crate::dialect::{self, Dialect};
use crate::dotprompt::{left_out, take_text, template};
use crate::files::{self, Files};
use crate::found::{Content, Note, Result};
use crate::made::{self, Raw, message, role_name};
use crate::parameters::{of_inputs, of_sample};
use crate::{name, yaml};

const EXTENSION: &str = ".prompty";
const ROLES: [&str; 6] = ["system", "user", "assistant", "tool", "function", "developer"];

/// Reads every `.prompty` file.
pub(crate) fn read(files: &Files, beside: &[Partial], notes: &mut Vec<Note>) -> Result<Content> {
    let mut out = Content::default();
    for (path, bytes) in files.iter().filter(|(p, _)| p.ends_with(EXTENSION)) {
        let raw = one(path, files::text(path, bytes)?, notes)?;
        out.prompts.push(made::prompt(raw, beside, notes));
    }
    Ok(out)
}

fn one(path: &str, text: &str, notes: &mut Vec<Note>) -> Result<Raw> {
    let fronted = yaml::split(path, text)?;
    let above = fronted.lines_above(text);
    let yaml::Fronted { front, body } = fronted;
    let mut front = front.unwrap_or_default();
    let id = name::id(name::stem(path, &[EXTENSION]), path, notes)?;
    let language = match front.remove("template") {
        Some(Value::String(name)) => name,
        Some(Value::Object(mut map)) => {
            let own = take_text(&mut map, "type");
            if own.is_empty() { take_text(&mut map, "format") } else { own }
        }
        _ => String::new(),
    };
    let dialect = match language.as_str() {
        "" | "jinja2" | "jinja" => Dialect::Jinja,
        "mustache" => Dialect::Mustache,
        "handlebars" => Dialect::Handlebars,
        other => {
            notes.push(Note::new(
                path,
                format!("template: {other}"),
                "is not known; the text is kept as plain text",
            ));
            Dialect::Plain
        }
    };
    let (content, mut lines) = messages(body, path, notes);
    lines.iter_mut().for_each(|line| *line += above);
    let mut raw = Raw { lines, ..Raw::new(path, id, dialect, content) };
    raw.description = take_text(&mut front, "description");
    if let Some(Value::Array(tags)) = front.remove("tags") {
        raw.tags = tags.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    }
    if let Some(Value::Object(model)) = front.remove("model") {
        raw.model = settings(model);
    }
    if let Some(Value::Object(inputs)) = front.remove("inputs") {
        raw.parameters = of_inputs(&inputs, path, notes);
    }
    match front.remove("sample") {
        Some(Value::Object(samples)) => {
            for (name, sample) in &samples {
                match raw.parameters.iter_mut().find(|p| p.name == *name) {
                    Some(parameter) => parameter.example = Some(sample.clone()),
                    None => raw.parameters.push(of_sample(name, sample)),
                }
            }
        }
        Some(other) => {
            notes.push(Note::new(path, other.to_string(), "a sample in another file is not looked up"))
        }
        None => {}
    }
    if let Some(Value::Object(metadata)) = front.remove("metadata") {
        raw.metadata = metadata;
    }
    if !front.is_empty() {
        raw.metadata.insert("prompty".into(), Value::Object(front));
    }
    Ok(raw)
}

/// Model settings flat, as other prompts have them: parameters beside name, API and connection.
fn settings(mut model: Map<String, Value>) -> Map<String, Value> {
    let mut out = Map::new();
    for key in ["parameters", "options"] {
        if let Some(Value::Object(parameters)) = model.remove(key) {
            out.extend(parameters);
        }
    }
    if let Some(id) = model.remove("id") {
        out.insert("model".into(), id);
    }
    out.extend(model);
    out
}

/// Cuts a text at lines of nothing but a role and a colon; says of each message how many lines stand before its text.
fn messages(body: &str, path: &str, notes: &mut Vec<Note>) -> (Body, Vec<usize>) {
    let mut out: Vec<(Role, String)> = Vec::new();
    let mut lines = Vec::new();
    let mut before = String::new();
    let blank = |text: &str| text.len() - text.trim_start_matches('\n').len();
    for (index, line) in body.split_inclusive('\n').enumerate() {
        let head = line.trim().trim_start_matches('#').trim().strip_suffix(':').map(str::trim);
        let known = head.map(str::to_ascii_lowercase).filter(|h| ROLES.contains(&h.as_str()));
        match (known, out.last_mut()) {
            (Some(name), _) => {
                out.push((made::role(&name, path, notes), String::new()));
                lines.push(index + 1);
            }
            (None, Some((_, text))) => text.push_str(line),
            (None, None) => before.push_str(line),
        }
    }
    if out.is_empty() {
        return (made::text(body.trim_matches('\n')), vec![blank(body)]);
    }
    if !before.trim().is_empty() {
        out.insert(0, (Role::System, before));
        lines.insert(0, 0);
    }
    for (line, (_, text)) in lines.iter_mut().zip(&out) {
        *line += blank(text);
    }
    let messages = out.into_iter().map(|(role, text)| message(role, text.trim_matches('\n'))).collect();
    (Body::Chat { messages }, lines)
}

/// Writes a file of each prompt.
pub(crate) fn write(content: &Content, notes: &mut Vec<Note>) -> Files {
    let mut files = Files::new();
    for prompt in &content.prompts {
        match file(prompt, notes) {
            Ok(text) => {
                files.insert(format!("{}{EXTENSION}", prompt.id), text.into_bytes());
            }
            Err(why) => left_out(prompt.id.as_str(), &why, notes),
        }
    }
    files
}

fn file(prompt: &Prompt, notes: &mut Vec<Note>) -> std::result::Result<String, dialect::Why> {
    let mut body = String::new();
    match &prompt.content {
        Body::Text { template: source } => {
            body.push_str("system:\n");
            body.push_str(&template(prompt, Dialect::Jinja, source)?);
            body.push('\n');
            notes.push(Note::new(
                prompt.id.as_str(),
                "text",
                "Prompty knows chats only; written as a system message",
            ));
        }
        Body::Chat { messages } => {
            for entry in messages {
                match entry {
                    Message::Message { role, template: source } => {
                        let text = template(prompt, Dialect::Jinja, source)?;
                        body.push_str(&format!("{}:\n{text}\n\n", role_name(*role)));
                    }
                    Message::Placeholder { name } => {
                        let why = "a place for the caller's messages has no equal in Prompty";
                        return Err(dialect::Why::new(1, format!("placeholder {name}"), why));
                    }
                }
            }
        }
    }
    let mut model = Map::new();
    model.insert("api".into(), json!("chat"));
    let mut parameters = prompt.model.clone();
    for key in ["api", "configuration", "connection", "provider"] {
        model.extend(parameters.remove(key).map(|v| (key.to_owned(), v)));
    }
    model.extend(parameters.remove("model").map(|v| ("id".to_owned(), v)));
    if !parameters.is_empty() {
        model.insert("parameters".into(), Value::Object(parameters));
    }
    let inputs: Map<String, Value> = prompt
        .parameters
        .iter()
        .map(|p| {
            let mut one = Map::new();
            let kind = match p.kind.name() {
                "enum" => "string",
                "list" => "array",
                other => other,
            };
            one.insert("type".into(), json!(kind));
            if !p.description.is_empty() {
                one.insert("description".into(), json!(p.description));
            }
            one.insert("required".into(), json!(p.required));
            one.extend(p.default.clone().map(|v| ("default".to_owned(), v)));
            one.extend(p.example.clone().map(|v| ("sample".to_owned(), v)));
            (p.name.clone(), Value::Object(one))
        })
        .collect();
    let mut front = vec![("name", json!(prompt.id.as_str()))];
    if !prompt.description.is_empty() {
        front.push(("description", json!(prompt.description)));
    }
    if !prompt.tags.is_empty() {
        front.push(("tags", json!(prompt.tags)));
    }
    front.push(("model", Value::Object(model)));
    if !inputs.is_empty() {
        front.push(("inputs", Value::Object(inputs)));
    }
    front.push(("template", json!("jinja2")));
    if !prompt.metadata.is_empty() {
        front.push(("metadata", Value::Object(prompt.metadata.clone())));
    }
    Ok(format!("---\n{}---\n{body}", yaml::block(&front)))
}
