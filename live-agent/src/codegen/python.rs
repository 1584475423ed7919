//! A Python module of `TypedDict`s, in the form of calls: a key can then be any text.

use std::fmt::Write as _;

use schemas::parameter::{Kind, Parameter};

use super::names::{Names, pascal};
use super::text::{lines, literal};
use super::{Source, placeholders, remark};

/// Names of the module that no type may have.
const RESERVED: [&str; 11] = [
    "Any",
    "Literal",
    "Never",
    "NotRequired",
    "TypedDict",
    "None",
    "True",
    "False",
    "PromptId",
    "TEXTS",
    "CHATS",
];

struct Writer {
    types: Names,
    out: String,
}

pub(super) fn write(source: &Source<'_>) -> String {
    let mut writer = Writer { types: Names::without(&RESERVED), out: String::new() };
    for line in source.header() {
        let _ = writeln!(writer.out, "# {line}");
    }
    writer.out.push_str("\nfrom typing import Any, Literal, Never, NotRequired, TypedDict\n\n");
    for (name, value) in [("SET", source.set), ("VERSION", &source.version), ("DIGEST", &source.digest)] {
        let _ = writeln!(writer.out, "{name} = {}", literal(value));
    }
    let (mut texts, mut chats) = (String::new(), String::new());
    for prompt in &source.prompts {
        writer.out.push('\n');
        comment(&mut writer.out, "", &lines(&prompt.description));
        let name = writer.typed_dict(&prompt.parameters, &pascal(prompt.id.as_str(), "Prompt"));
        let id = literal(prompt.id.as_str());
        let _ = match placeholders(prompt) {
            None => writeln!(texts, "    {id}: {name},"),
            Some(names) => {
                let names: Vec<String> =
                    names.into_iter().map(|name| format!("{},", literal(name))).collect();
                writeln!(chats, "    {id}: ({name}, ({})),", names.join(" "))
            }
        };
    }
    let ids = choice(source.prompts.iter().map(|prompt| prompt.id.as_str()));
    let _ = write!(
        writer.out,
        "\nPromptId = {ids}\n\n# The values of each prompt that gives a text.\n\
         TEXTS: dict[str, Any] = {{\n{texts}}}\n\n\
         # The values of each prompt that gives messages, and where a history can go.\n\
         CHATS: dict[str, tuple[Any, tuple[str, ...]]] = {{\n{chats}}}\n"
    );
    writer.out
}

impl Writer {
    /// Writes the types within first; gives the name.
    fn typed_dict(&mut self, parameters: &[Parameter], base: &str) -> String {
        let name = self.types.unique(base.to_owned(), "");
        let mut body = String::new();
        for parameter in parameters {
            let mut said = lines(&parameter.description);
            said.extend(lines(&remark(parameter)));
            comment(&mut body, "        ", &said);
            let kind = self.kind(&parameter.kind, &format!("{name}{}", pascal(&parameter.name, "Value")));
            let kind = if parameter.required { kind } else { format!("NotRequired[{kind}]") };
            let _ = writeln!(body, "        {}: {kind},", literal(&parameter.name));
        }
        let _ = writeln!(self.out, "{name} = TypedDict(\n    {},\n    {{\n{body}    }},\n)", literal(&name));
        name
    }

    fn kind(&mut self, kind: &Kind, name: &str) -> String {
        match kind {
            Kind::String { .. } => "str".into(),
            Kind::Integer { .. } => "int".into(),
            Kind::Number { .. } => "float".into(),
            Kind::Boolean => "bool".into(),
            Kind::Enum { values } => choice(values.iter().map(String::as_str)),
            Kind::List { items, .. } => format!("list[{}]", self.kind(items, &format!("{name}Item"))),
            Kind::Object { properties } if properties.is_empty() => "dict[str, Any]".into(),
            Kind::Object { properties } => self.typed_dict(properties, name),
        }
    }
}

fn choice<'a>(values: impl Iterator<Item = &'a str>) -> String {
    let values: Vec<String> = values.map(literal).collect();
    if values.is_empty() { "Never".into() } else { format!("Literal[{}]", values.join(", ")) }
}

fn comment(out: &mut String, indent: &str, lines: &[String]) {
    for line in lines {
        let _ = writeln!(out, "{indent}# {line}");
    }
}
