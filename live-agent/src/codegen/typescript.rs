//! A TypeScript module of types. It names no type but its own and `Record`.

use std::fmt::Write as _;

use schemas::parameter::{Kind, Parameter};

use super::names::{Names, pascal};
use super::text::{lines, literal};
use super::{Source, placeholders, remark};

pub(super) fn write(source: &Source<'_>) -> String {
    let mut out = String::new();
    for line in source.header() {
        let _ = writeln!(out, "// {line}");
    }
    for (name, value) in [("set", source.set), ("version", &source.version), ("digest", &source.digest)] {
        let _ = writeln!(out, "export const {name} = {};", literal(value));
    }
    let mut types = Names::without(&["Record", "Texts", "Chats", "PromptId"]);
    let (mut texts, mut chats) = (String::new(), String::new());
    for prompt in &source.prompts {
        let name = types.unique(pascal(prompt.id.as_str(), "Prompt"), "");
        out.push('\n');
        comment(&mut out, "", &lines(&prompt.description));
        if prompt.parameters.is_empty() {
            let _ = writeln!(out, "export type {name} = Record<string, never>;");
        } else {
            let _ = writeln!(out, "export interface {name} {}", object(&prompt.parameters, ""));
        }
        let id = literal(prompt.id.as_str());
        match placeholders(prompt) {
            None => {
                let _ = writeln!(texts, "  {id}: {name};");
            }
            Some(names) => {
                let history = union(names.into_iter());
                let _ = writeln!(chats, "  {id}: {{ values: {name}; placeholders: {history} }};");
            }
        }
    }
    let _ = write!(
        out,
        "\n/** The values of each prompt that gives a text. */\nexport interface Texts {{\n{texts}}}\n\n\
         /** The values of each prompt that gives messages, and where a history can go. */\n\
         export interface Chats {{\n{chats}}}\n\nexport type PromptId = keyof Texts | keyof Chats;\n"
    );
    out
}

fn object(parameters: &[Parameter], indent: &str) -> String {
    let inner = format!("{indent}  ");
    let mut out = "{\n".to_owned();
    for parameter in parameters {
        let mut said = lines(&parameter.description);
        said.extend(lines(&remark(parameter)));
        comment(&mut out, &inner, &said);
        let mark = if parameter.required { "" } else { "?" };
        let kind = kind(&parameter.kind, &inner);
        let _ = writeln!(out, "{inner}{}{mark}: {kind};", literal(&parameter.name));
    }
    out.push_str(indent);
    out.push('}');
    out
}

fn kind(kind: &Kind, indent: &str) -> String {
    match kind {
        Kind::String { .. } => "string".into(),
        Kind::Integer { .. } | Kind::Number { .. } => "number".into(),
        Kind::Boolean => "boolean".into(),
        Kind::Enum { values } => union(values.iter().map(String::as_str)),
        Kind::List { items, .. } => format!("({})[]", self::kind(items, indent)),
        Kind::Object { properties } if properties.is_empty() => "{ [key: string]: unknown }".into(),
        Kind::Object { properties } => object(properties, indent),
    }
}

fn union<'a>(values: impl Iterator<Item = &'a str>) -> String {
    let values: Vec<String> = values.map(literal).collect();
    if values.is_empty() { "never".into() } else { values.join(" | ") }
}

fn comment(out: &mut String, indent: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(out, "{indent}/**");
    for line in lines {
        let _ = writeln!(out, "{indent} * {}", line.replace("*/", "*\\/"));
    }
    let _ = writeln!(out, "{indent} */");
}
