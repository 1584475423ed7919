//! A Rust module.
//!
//! It needs no crate but `live-agent`; every path in it starts at a crate, so that no name of a prompt
//! gets in its way.

use std::fmt::Write as _;

use schemas::parameter::{Kind, Parameter};
use schemas::prompt::Prompt;

use super::names::{Names, pascal, snake};
use super::{Source, placeholders, remark, text};

/// Arguments beside the agent, above which the values come as a structure.
const ARGUMENTS_MAX: usize = 6;
const MAP: &str = "::live_agent::generated::serde_json::Map<\
    ::std::string::String, ::live_agent::generated::serde_json::Value>";
/// Words of the language, and those that it keeps for itself.
const KEYWORDS: [&str; 53] = [
    "abstract",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "struct",
    "super",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "union",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
    "live_agent",
];

struct Writer<'s> {
    source: &'s Source<'s>,
    types: Names,
    /// Types of the prompt that is being written.
    declared: String,
    out: String,
}

pub(super) fn write(source: &Source<'_>) -> String {
    let mut writer =
        Writer { source, types: Names::without(&["Self"]), declared: String::new(), out: String::new() };
    writer.head();
    let mut functions = Names::without(&KEYWORDS);
    functions.unique("contract".into(), "_");
    for prompt in &source.prompts {
        let name = functions.unique(snake(prompt.id.as_str(), "prompt"), "_");
        writer.prompt(prompt, &name);
    }
    writer.out
}

/// A literal; `Debug` of a string is one, with all that does not show escaped.
fn literal(text: &str) -> String {
    format!("{text:?}")
}

/// Lines of documentation. They are Markdown, and code in it would be compiled and run as a test.
fn document(out: &mut String, indent: &str, lines: &[String]) {
    for line in lines {
        let mut safe = String::with_capacity(line.len());
        for (at, c) in line.char_indices() {
            if "\\`[]<>~".contains(c) || (c == '#' && at == 0) {
                safe.push('\\');
            }
            safe.push(c);
        }
        let _ = writeln!(out, "{indent}/// {safe}");
    }
}

impl Writer<'_> {
    fn head(&mut self) {
        let source = self.source;
        for line in source.header() {
            // Slugs, versions and digests: nothing in them means anything to Markdown.
            let _ = writeln!(self.out, "//! {line}\n//!");
        }
        self.out.push_str(
            "//! Declare it as `#[rustfmt::skip] mod …;`.\n\n\
             #![allow(clippy::all, clippy::pedantic, clippy::nursery, dead_code)]\n\
             #![allow(missing_docs, non_camel_case_types, non_snake_case, rustdoc::all, unreachable_pub)]\n\n",
        );
        let _ = writeln!(self.out, "pub const SET: &str = {};", literal(source.set));
        let _ = writeln!(self.out, "pub const VERSION: &str = {};", literal(&source.version));
        let _ = writeln!(self.out, "pub const DIGEST: &str = {};\n", literal(&source.digest));
        self.out.push_str("const CONTRACT: &str = concat!(\n");
        for part in contract(source) {
            let _ = writeln!(self.out, "    {},", literal(&part));
        }
        self.out.push_str(
            ");\n\n\
             /// What a program with these functions was built for: hand it to `Builder::contract`.\n///\n\
             /// # Errors\n\
             /// The crate `live-agent` is older than the program that wrote this; always or never.\n\
             pub fn contract() -> ::core::result::Result<::live_agent::Contract, ::live_agent::ConfigError> {\n    \
             ::live_agent::generated::contract(CONTRACT)\n}\n",
        );
    }

    fn prompt(&mut self, prompt: &Prompt, function: &str) {
        let base = pascal(prompt.id.as_str(), "Prompt");
        let histories = placeholders(prompt);
        // Required ones first, each group in the order of the author.
        let (first, last): (Vec<&Parameter>, Vec<&Parameter>) =
            prompt.parameters.iter().partition(|parameter| parameter.required);
        let parameters: Vec<&Parameter> = first.into_iter().chain(last).collect();
        let count = parameters.len() + histories.as_ref().map_or(0, Vec::len);
        let mut arguments = Names::without(&KEYWORDS);
        for own in ["agent", "values", "given"] {
            arguments.unique(own.into(), "_");
        }
        let mut signature = vec!["agent: &::live_agent::LiveAgent".to_owned()];
        let mut inserts = String::new();
        let mut described = Vec::new();
        if count > ARGUMENTS_MAX {
            let name = self.structure_of_values(&base, function, &parameters, &mut inserts);
            signature.push(format!("given: &{name}"));
        } else {
            for parameter in parameters {
                let own = arguments.unique(snake(&parameter.name, "value"), "_");
                let type_name = format!("{base}{}", pascal(&parameter.name, "Value"));
                let lent = self.lent(&parameter.kind, &type_name, "");
                signature.push(format!("{own}: {}", optional(parameter, lent)));
                insert(&mut inserts, parameter, &own);
                described.extend(about(&own, parameter));
            }
        }
        let mut passed = Vec::new();
        for placeholder in histories.iter().flatten() {
            let own = arguments.unique(snake(placeholder, "history"), "_");
            signature.push(format!("{own}: &[::live_agent::RenderedMessage]"));
            passed.push(format!("({}, {own})", literal(placeholder)));
        }
        self.out.push('\n');
        self.out.push_str(&std::mem::take(&mut self.declared));
        let id = [format!("The prompt {}.", prompt.id)];
        let lines = text::lines(&prompt.description);
        document(&mut self.out, "", if lines.is_empty() { &id } else { &lines });
        if !described.is_empty() {
            self.out.push_str("///\n");
            document(&mut self.out, "", &described);
        }
        self.out
            .push_str("///\n/// # Errors\n/// The prompt is not here, or values are out of their bounds.\n");
        let address = literal(&format!("@{}/{}", self.source.set, prompt.id));
        let mutable = if inserts.is_empty() { "" } else { "mut " };
        let (result, call) = match histories {
            None => ("::std::string::String", format!("agent.prompt({address}, &values)")),
            Some(_) => (
                "::std::vec::Vec<::live_agent::RenderedMessage>",
                format!("agent.messages({address}, &values, &[{}])", passed.join(", ")),
            ),
        };
        let _ = write!(
            self.out,
            "pub fn {function}({}) -> ::core::result::Result<{result}, ::live_agent::PromptError> {{\n    \
             let {mutable}values = ::live_agent::Values::new();\n{inserts}    {call}\n}}\n",
            signature.join(", "),
        );
    }

    /// The structure that holds all values of a prompt with many; gives its name as a type.
    fn structure_of_values(
        &mut self,
        base: &str,
        function: &str,
        parameters: &[&Parameter],
        inserts: &mut String,
    ) -> String {
        let name = self.types.unique(format!("{base}Values"), "");
        let borrows =
            |p: &&Parameter| matches!(p.kind, Kind::String { .. } | Kind::List { .. } | Kind::Object { .. });
        let borrows = parameters.iter().any(borrows);
        let mut fields = Names::without(&KEYWORDS);
        let mut body = String::new();
        for parameter in parameters {
            let own = fields.unique(snake(&parameter.name, "value"), "_");
            let type_name = format!("{base}{}", pascal(&parameter.name, "Value"));
            let lent = self.lent(&parameter.kind, &type_name, "'a ");
            document(&mut body, "    ", &about_field(parameter));
            let _ = writeln!(body, "    pub {own}: {},", optional(parameter, lent));
            insert(inserts, parameter, &format!("given.{own}"));
        }
        let default = if parameters.iter().any(|p| p.required) { "" } else { ", Default" };
        let lifetime = if borrows { "<'a>" } else { "" };
        let _ = write!(
            self.declared,
            "/// The values of [`{function}`].\n#[derive(Debug, Clone{default})]\npub struct {name}{lifetime} {{\n{body}}}\n\n"
        );
        if borrows { format!("{name}<'_>") } else { name }
    }

    /// The type by which a value is lent.
    fn lent(&mut self, kind: &Kind, name: &str, lifetime: &str) -> String {
        match kind {
            Kind::String { .. } => format!("&{lifetime}str"),
            Kind::List { items, .. } if matches!(**items, Kind::String { .. }) => {
                format!("&{lifetime}[&{lifetime}str]")
            }
            Kind::List { items, .. } => {
                let item = self.owned(items, &format!("{name}Item"));
                format!("&{lifetime}[{item}]")
            }
            Kind::Object { .. } => {
                let object = self.owned(kind, name);
                format!("&{lifetime}{object}")
            }
            _ => self.owned(kind, name),
        }
    }

    fn owned(&mut self, kind: &Kind, name: &str) -> String {
        match kind {
            Kind::String { .. } => "::std::string::String".into(),
            Kind::Integer { .. } => "i64".into(),
            Kind::Number { .. } => "f64".into(),
            Kind::Boolean => "bool".into(),
            Kind::Enum { values } => self.enumeration(values, name),
            Kind::List { items, .. } => {
                format!("::std::vec::Vec<{}>", self.owned(items, &format!("{name}Item")))
            }
            Kind::Object { properties } if properties.is_empty() => MAP.into(),
            Kind::Object { properties } => self.structure(properties, name),
        }
    }

    fn structure(&mut self, properties: &[Parameter], name: &str) -> String {
        let name = self.types.unique(name.to_owned(), "");
        let mut fields = Names::without(&KEYWORDS);
        let mut body = String::new();
        for property in properties {
            let own = fields.unique(snake(&property.name, "value"), "_");
            let owned = self.owned(&property.kind, &format!("{name}{}", pascal(&property.name, "Value")));
            document(&mut body, "    ", &about_field(property));
            let skip = if property.required {
                ""
            } else {
                ", skip_serializing_if = \"::core::option::Option::is_none\""
            };
            let _ = writeln!(body, "    #[serde(rename = {}{skip})]", literal(&property.name));
            let _ = writeln!(body, "    pub {own}: {},", optional(property, owned));
        }
        let _ = write!(
            self.declared,
            "#[derive(Debug, Clone, PartialEq, ::live_agent::generated::serde::Serialize)]\n\
             #[serde(crate = \"::live_agent::generated::serde\")]\npub struct {name} {{\n{body}}}\n\n"
        );
        name
    }

    fn enumeration(&mut self, values: &[String], name: &str) -> String {
        let name = self.types.unique(name.to_owned(), "");
        let mut variants = Names::without(&["Self"]);
        let mut body = String::new();
        for value in values {
            let own = variants.unique(pascal(value, "Value"), "_");
            let _ = writeln!(body, "    #[serde(rename = {})]\n    {own},", literal(value));
        }
        let _ = write!(
            self.declared,
            "#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ::live_agent::generated::serde::Serialize)]\n\
             #[serde(crate = \"::live_agent::generated::serde\")]\npub enum {name} {{\n{body}}}\n\n"
        );
        name
    }
}

/// The contract as JSON, a prompt a line.
fn contract(source: &Source<'_>) -> Vec<String> {
    /// Nothing in a contract can fail to be written.
    fn json(value: &impl serde::Serialize) -> String {
        serde_json::to_string(value).unwrap_or_default()
    }
    let contract = &source.contract;
    let mut parts = vec![format!(
        "{{\"set\":{},\"version\":{},\"prompts\":[",
        json(&contract.set),
        json(&contract.version)
    )];
    let last = contract.prompts.len().saturating_sub(1);
    for (at, prompt) in contract.prompts.iter().enumerate() {
        parts.push(format!("{}{}", json(prompt), if at == last { "" } else { "," }));
    }
    parts.push("]}".into());
    parts
}

fn optional(parameter: &Parameter, own: String) -> String {
    if parameter.required { own } else { format!("::core::option::Option<{own}>") }
}

fn insert(out: &mut String, parameter: &Parameter, own: &str) {
    let name = literal(&parameter.name);
    let _ = if parameter.required {
        writeln!(out, "    values.insert({name}, {own});")
    } else {
        writeln!(
            out,
            "    if let ::core::option::Option::Some(given) = {own} {{ values.insert({name}, given); }}"
        )
    };
}

fn about_field(parameter: &Parameter) -> Vec<String> {
    let mut lines = text::lines(&parameter.description);
    lines.extend(text::lines(&remark(parameter)));
    lines
}

/// One line about an argument, where there is something to say.
fn about(own: &str, parameter: &Parameter) -> Option<String> {
    let lines = about_field(parameter);
    (!lines.is_empty()).then(|| format!("- {own}: {}", lines.join("; ")))
}
