//! LangChain: prompt templates as it serialises them, with format strings, Mustache or Jinja.
//! <https://python.langchain.com/docs/how_to/serialization/>

use schemas::prompt::{Content as Body, Engine, Message, Partial, Prompt, Role};
use serde_json::{Map, Value, json};

use crate::dialect::{self, Dialect};
use crate::dotprompt::{left_out, template};
use crate::files::Files;
use crate::found::{Content, Note, Refusal, Result};
use crate::made::{self, Raw, message};
use crate::name;

/// Whether a value is a template of it.
pub(crate) fn is_one(value: &Value) -> bool {
    value.get("lc").is_some()
        || value.get("_type").and_then(Value::as_str).is_some_and(|t| matches!(t, "prompt" | "chat"))
}

/// Reads a file: one template, under the name of the file.
pub(crate) fn read(file: &str, value: &Value, beside: &[Partial], notes: &mut Vec<Note>) -> Result<Content> {
    let id = name::id(name::stem(file, &[".json"]), file, notes)?;
    let mut dialects = Vec::new();
    let body = match class(value) {
        "ChatPromptTemplate" | "chat" => {
            let entries =
                kwargs(value).get("messages").and_then(Value::as_array).cloned().unwrap_or_default();
            let messages =
                entries.iter().map(|m| entry(file, m, &mut dialects, notes)).collect::<Result<Vec<_>>>()?;
            Body::Chat { messages }
        }
        "PromptTemplate" | "prompt" => made::text(text(file, value, &mut dialects, notes)?),
        other => {
            let why =
                format!("{other:?} is no template that is read; PromptTemplate and ChatPromptTemplate are");
            return Err(Refusal::unreadable(file, why));
        }
    };
    dialects.dedup();
    let dialect = match dialects.as_slice() {
        [] => Dialect::FString,
        [one] => *one,
        _ => {
            return Err(Refusal::unreadable(
                file,
                "its messages are written in different template languages",
            ));
        }
    };
    let mut raw = Raw::new(file, id, dialect, body);
    if let Some(Value::Object(metadata)) = kwargs(value).get("metadata") {
        raw.metadata = metadata.clone();
    }
    raw.tags = crate::langfuse::strings(kwargs(value).get("tags"));
    let prompt = made::prompt(raw, beside, notes);
    Ok(Content { prompts: vec![prompt], partials: Vec::new() })
}

fn class(value: &Value) -> &str {
    let last = value.get("id").and_then(Value::as_array).and_then(|id| id.last()).and_then(Value::as_str);
    last.or_else(|| value.get("_type").and_then(Value::as_str)).unwrap_or_default()
}

/// The arguments: under `kwargs`, or beside `_type` in the older form.
fn kwargs(value: &Value) -> &Value {
    value.get("kwargs").unwrap_or(value)
}

fn text(file: &str, value: &Value, dialects: &mut Vec<Dialect>, notes: &mut Vec<Note>) -> Result<String> {
    let args = kwargs(value);
    let source = args.get("template").and_then(Value::as_str);
    let source = source.ok_or_else(|| Refusal::unreadable(file, "a template holds no text"))?;
    dialects.push(match args.get("template_format").and_then(Value::as_str).unwrap_or("f-string") {
        "f-string" => Dialect::FString,
        "mustache" => Dialect::Mustache,
        "jinja2" => Dialect::Jinja,
        other => {
            return Err(Refusal::unreadable(file, format!("the template format {other:?} is not known")));
        }
    });
    if let Some(partial) = args.get("partial_variables").and_then(Value::as_object).filter(|p| !p.is_empty())
    {
        let names = partial.keys().cloned().collect::<Vec<_>>().join(", ");
        let why = "variables that are filled in beforehand are parameters like the others here";
        notes.push(Note::new(file, names, why));
    }
    Ok(source.to_owned())
}

fn entry(file: &str, value: &Value, dialects: &mut Vec<Dialect>, notes: &mut Vec<Note>) -> Result<Message> {
    let args = kwargs(value);
    let role = match class(value) {
        "MessagesPlaceholder" => {
            let name = args.get("variable_name").and_then(Value::as_str).unwrap_or("history");
            return Ok(Message::Placeholder { name: name.to_owned() });
        }
        "SystemMessagePromptTemplate" | "SystemMessage" => Role::System,
        "HumanMessagePromptTemplate" | "HumanMessage" => Role::User,
        "AIMessagePromptTemplate" | "AIMessage" => Role::Assistant,
        "ToolMessage" => Role::Tool,
        "ChatMessagePromptTemplate" | "ChatMessage" => {
            made::role(args.get("role").and_then(Value::as_str).unwrap_or("user"), file, notes)
        }
        other => return Err(Refusal::unreadable(file, format!("{other:?} is no message that is read"))),
    };
    if let Some(content) = args.get("content") {
        // A finished message: its braces are braces.
        let content = content.as_str().ok_or_else(|| Refusal::unreadable(file, "a message is no text"))?;
        let dialect = dialects.last().copied().unwrap_or(Dialect::FString);
        let literal = match dialect {
            Dialect::FString => content.replace('{', "{{").replace('}', "}}"),
            _ if content.contains("{{") || content.contains("{%") => {
                return Err(Refusal::unreadable(file, "a finished message holds braces beside templates"));
            }
            _ => content.to_owned(),
        };
        return Ok(message(role, literal));
    }
    let prompt = args.get("prompt").ok_or_else(|| Refusal::unreadable(file, "a message has no template"))?;
    Ok(message(role, text(file, prompt, dialects, notes)?))
}

/// Writes a file of each prompt.
pub(crate) fn write(content: &Content, notes: &mut Vec<Note>) -> Files {
    let mut files = Files::new();
    for prompt in &content.prompts {
        match one(prompt) {
            Ok(value) => {
                let mut text = serde_json::to_string_pretty(&value).unwrap_or_default();
                text.push('\n');
                files.insert(format!("{}.json", prompt.id), text.into_bytes());
            }
            Err(why) => left_out(prompt.id.as_str(), &why, notes),
        }
    }
    files
}

fn constructor(path: &[&str], kwargs: Value) -> Value {
    json!({ "lc": 1, "type": "constructor", "id": path, "kwargs": kwargs })
}

fn leaf(
    prompt: &Prompt,
    source: &str,
    extra: Map<String, Value>,
) -> std::result::Result<Value, dialect::Why> {
    let text = template(prompt, Dialect::FString, source)?;
    let names = match prompt.engine {
        Engine::Tera => schemas::template::extract(source).unwrap_or_default(),
        Engine::Plain => Vec::new(),
    };
    let mut args = extra;
    args.insert("input_variables".into(), json!(names));
    args.insert("template".into(), json!(text));
    args.insert("template_format".into(), json!("f-string"));
    Ok(constructor(&["langchain", "prompts", "prompt", "PromptTemplate"], Value::Object(args)))
}

fn one(prompt: &Prompt) -> std::result::Result<Value, dialect::Why> {
    let mut extra = Map::new();
    if !prompt.metadata.is_empty() {
        extra.insert("metadata".into(), Value::Object(prompt.metadata.clone()));
    }
    if !prompt.tags.is_empty() {
        extra.insert("tags".into(), json!(prompt.tags));
    }
    match &prompt.content {
        Body::Text { template: source } => leaf(prompt, source, extra),
        Body::Chat { messages } => {
            let mut out = Vec::new();
            for entry in messages {
                out.push(match entry {
                    Message::Placeholder { name } => constructor(
                        &["langchain", "prompts", "chat", "MessagesPlaceholder"],
                        json!({ "variable_name": name }),
                    ),
                    Message::Message { role, template: source } => {
                        let class = match role {
                            Role::System => "SystemMessagePromptTemplate",
                            Role::Assistant => "AIMessagePromptTemplate",
                            Role::User | Role::Other => "HumanMessagePromptTemplate",
                            Role::Tool => {
                                let why = "a message of a tool is no template in LangChain";
                                return Err(dialect::Why::new(1, "role tool", why));
                            }
                        };
                        let inner = leaf(prompt, source, Map::new())?;
                        constructor(&["langchain", "prompts", "chat", class], json!({ "prompt": inner }))
                    }
                });
            }
            extra.insert(
                "input_variables".into(),
                json!(prompt.parameters.iter().map(|p| &p.name).collect::<Vec<_>>()),
            );
            extra.insert("messages".into(), Value::Array(out));
            Ok(constructor(&["langchain", "prompts", "chat", "ChatPromptTemplate"], Value::Object(extra)))
        }
    }
}
