//! What is served, prompt by prompt, and a place to try one out.

use std::collections::BTreeSet;

use schemas::parameter::{Kind, Parameter, ParameterError};
use schemas::prompt::{Content, Message, Prompt, Role};
use schemas::template::{RenderedMessage, Values};
use serde_json::Value;

use super::html::{Frame, Html, Note, Tab, Tone, html, page};
use super::{Fields, field};
use crate::serve::api::Served;
use crate::serve::problem::Problem;
use crate::{Listed, LiveAgent};

/// Rows that one page shows.
const ROWS_MAX: usize = 500;
/// What a field of a value is called.
const VALUE: &str = "value.";

/// What came of a try.
#[derive(Debug)]
pub(super) enum Text {
    One(String),
    Chat(Vec<RenderedMessage>),
}

/// How a prompt was asked for, and what it is served from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Address<'a> {
    pub(super) id: &'a str,
    pub(super) of: Option<&'a Served>,
}

pub(super) fn list(frame: &Frame, words: &str, found: &[Listed]) -> String {
    page(frame, Tab::Prompts, "Prompts", |out| {
        html!(
            out,
            "<div class=\"head\"><h1>Prompts</h1><form role=\"search\" method=\"get\" action=\"",
            (&frame.root),
            "prompts\" class=\"find\"><label class=\"unseen\" for=\"q\">Words in id, description or tags</label>",
            "<input class=\"input\" type=\"search\" id=\"q\" name=\"q\" value=\"",
            (words),
            "\" placeholder=\"Id, description or tag\"><button class=\"btn\">Find</button></form></div>"
        );
        if found.is_empty() {
            let text =
                if words.is_empty() { "Nothing is served yet." } else { "No prompt has all of these words." };
            html!(out, "<p class=\"empty panel\">", (text), "</p>");
            return;
        }
        html!(
            out,
            "<section class=\"panel\"><table class=\"table fold\"><caption class=\"unseen\">Prompts that are served</caption>",
            "<thead><tr><th scope=\"col\">Prompt</th><th scope=\"col\">Version</th><th scope=\"col\">Parameters</th>",
            "<th scope=\"col\">Description</th></tr></thead><tbody>"
        );
        for one in found.iter().take(ROWS_MAX) {
            let address = format!("@{}/{}", one.set, one.id);
            html!(
                out,
                "<tr><td><a href=\"",
                (&frame.root),
                "prompt?id=",
                (query(&address)),
                "\">",
                (&address),
                "</a>"
            );
            if one.chat {
                html!(out, " <span class=\"badge\" data-tone=\"mute\">chat</span>");
            }
            html!(
                out,
                "</td><td data-label=\"Version\">",
                (&one.version),
                "</td><td data-label=\"Parameters\">",
                (one.parameters.join(", ")),
                "</td><td data-label=\"Description\">",
                (&one.description),
                "</td></tr>"
            );
        }
        html!(out, "</tbody></table>");
        if found.len() > ROWS_MAX {
            html!(
                out,
                "<p class=\"foot\">The first ",
                (ROWS_MAX),
                " of ",
                (found.len()),
                ": look for less.</p>"
            );
        }
        html!(out, "</section>");
    })
}

pub(super) fn missing(frame: &Frame, note: Note) -> String {
    page(frame, Tab::Prompts, "No such prompt", |out| {
        html!(out, "<h1>No such prompt</h1>");
        note.write(out);
        html!(out, "<p><a href=\"", (&frame.root), "prompts\">All prompts</a></p>");
    })
}

pub(super) fn one(
    frame: &Frame,
    form: &str,
    address: Address<'_>,
    prompt: &Prompt,
    given: &Fields,
    tried: Option<&Result<Text, Problem>>,
) -> String {
    page(frame, Tab::Prompts, address.id, |out| {
        html!(out, "<div class=\"head\"><div><h1>", (address.id), "</h1><p class=\"hint\">");
        if let Some(of) = address.of {
            html!(
                out,
                "@",
                (&of.set),
                " ",
                (&of.version),
                " · serial ",
                (of.serial),
                " · <code title=\"",
                (of.digest),
                "\">",
                (of.digest.short()),
                "</code>"
            );
            if of.local {
                html!(out, " <span class=\"badge\" data-tone=\"warn\">from a folder of this machine</span>");
            }
        }
        html!(
            out,
            "</p><p>",
            (&prompt.description),
            "</p></div></div><div class=\"cols even\"><div class=\"stack\">"
        );
        source(out, prompt);
        html!(out, "</div><div class=\"stack\">");
        try_form(out, frame, form, address.id, prompt, given, tried);
        html!(out, "</div></div>");
    })
}

fn source(out: &mut Html, prompt: &Prompt) {
    html!(
        out,
        "<section class=\"panel\" aria-labelledby=\"source\"><header><h2 id=\"source\">Template</h2></header>"
    );
    match &prompt.content {
        Content::Text { template } => {
            html!(out, "<pre class=\"code\" tabindex=\"0\">", (template), "</pre>");
        }
        Content::Chat { messages } => {
            for message in messages {
                match message {
                    Message::Message { role, template } => spoken(out, *role, template),
                    Message::Placeholder { name } => {
                        html!(
                            out,
                            "<p class=\"foot\">the caller's messages of <code>",
                            (name),
                            "</code></p>"
                        );
                    }
                }
            }
        }
    }
    html!(out, "</section>");
}

fn spoken(out: &mut Html, role: Role, text: &str) {
    let role = match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
        Role::Other => "other",
    };
    html!(
        out,
        "<div class=\"message\"><span class=\"badge\" data-tone=\"mute\">",
        (role),
        "</span><pre class=\"code\" tabindex=\"0\">",
        (text),
        "</pre></div>"
    );
}

fn try_form(
    out: &mut Html,
    frame: &Frame,
    form: &str,
    id: &str,
    prompt: &Prompt,
    given: &Fields,
    tried: Option<&Result<Text, Problem>>,
) {
    html!(
        out,
        "<section class=\"panel\" aria-labelledby=\"try\"><header><h2 id=\"try\">Try it</h2></header>",
        "<form class=\"body stack\" method=\"post\" action=\"",
        (&frame.root),
        "prompt\"><input type=\"hidden\" name=\"form\" value=\"",
        (form),
        "\"><input type=\"hidden\" name=\"id\" value=\"",
        (id),
        "\">"
    );
    let problem = tried.and_then(|tried| tried.as_ref().err());
    if let Some(problem) = problem {
        Note::new(Tone::Bad, problem.detail()).write(out);
    }
    if prompt.parameters.is_empty() {
        html!(out, "<p class=\"hint\">It takes no parameters.</p>");
    }
    for (place, parameter) in prompt.parameters.iter().enumerate() {
        let wrong = problem.and_then(|problem| {
            problem
                .errors()
                .iter()
                .find(|error| error.parameter.split(['.', '[']).next() == Some(parameter.name.as_str()))
        });
        let wrong = wrong.map(|error| wrong_in(parameter, error));
        let text = given.iter().find(|(name, _)| name.strip_prefix(VALUE) == Some(&parameter.name));
        let text = text.map(|(_, text)| text.clone()).unwrap_or_else(|| example(parameter, given.is_empty()));
        input(out, place, parameter, &text, wrong.as_deref());
    }
    html!(out, "<div><button class=\"btn primary\">Render this prompt</button></div></form></section>");
    match tried {
        Some(Ok(Text::One(text))) => {
            html!(
                out,
                "<section class=\"panel\" aria-labelledby=\"made\"><header><h2 id=\"made\">Rendered</h2><span class=\"hint\">",
                (text.chars().count()),
                " characters</span></header><pre class=\"code\" id=\"rendered\" tabindex=\"0\">",
                (text),
                "</pre></section>"
            );
        }
        Some(Ok(Text::Chat(messages))) => {
            html!(
                out,
                "<section class=\"panel\" aria-labelledby=\"made\"><header><h2 id=\"made\">Rendered</h2></header>"
            );
            for message in messages {
                spoken(out, message.role, &message.content);
            }
            html!(out, "</section>");
        }
        Some(Err(_)) | None => {}
    }
}

/// What is wrong with the value of a field, and where in it.
fn wrong_in(parameter: &Parameter, error: &ParameterError) -> String {
    if error.parameter == parameter.name {
        return error.advice();
    }
    format!("{}: {}", error.parameter, error.advice())
}

fn input(out: &mut Html, place: usize, parameter: &Parameter, text: &str, wrong: Option<&str>) {
    let required = if parameter.required { "required" } else { "optional" };
    html!(
        out,
        "<div class=\"field\"><label for=\"value-",
        (place),
        "\">",
        (&parameter.name),
        " <span class=\"hint\">",
        (parameter.kind.name()),
        ", ",
        (required),
        "</span></label>"
    );
    let (invalid, by) = if wrong.is_some() { ("true", "wrong") } else { ("false", "about") };
    let choices: Option<Vec<&str>> = match &parameter.kind {
        Kind::Enum { values } => Some(values.iter().map(String::as_str).collect()),
        Kind::Boolean => Some(vec!["true", "false"]),
        _ => None,
    };
    match choices {
        Some(choices) => {
            html!(
                out,
                "<select class=\"input\" id=\"value-",
                (place),
                "\" name=\"",
                (VALUE),
                (&parameter.name),
                "\" aria-invalid=\"",
                (invalid),
                "\" aria-describedby=\"",
                (by),
                "-",
                (place),
                "\"><option value=\"\">not given</option>"
            );
            for choice in choices {
                if choice == text {
                    html!(out, "<option selected value=\"", (choice), "\">", (choice), "</option>");
                } else {
                    html!(out, "<option value=\"", (choice), "\">", (choice), "</option>");
                }
            }
            html!(out, "</select>");
        }
        None => {
            // What begins with a line break would lose it.
            html!(
                out,
                "<textarea class=\"input\" rows=\"2\" id=\"value-",
                (place),
                "\" name=\"",
                (VALUE),
                (&parameter.name),
                "\" aria-invalid=\"",
                (invalid),
                "\" aria-describedby=\"",
                (by),
                "-",
                (place),
                "\">\n",
                (text),
                "</textarea>"
            );
        }
    }
    match wrong {
        Some(wrong) => {
            html!(out, "<p class=\"wrong\" id=\"wrong-", (place), "\">", (wrong), "</p>");
        }
        None => {
            html!(out, "<p class=\"hint\" id=\"about-", (place), "\">", (&parameter.description), "</p>");
        }
    }
    html!(out, "</div>");
}

/// What a field begins with: its example, the first time.
fn example(parameter: &Parameter, first: bool) -> String {
    match parameter.example.as_ref().or(parameter.default.as_ref()).filter(|_| first) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

/// Renders with what a form gave: an empty field is a value that is not given, unless a text must be.
pub(super) fn render(agent: &LiveAgent, id: &str, fields: &Fields) -> Result<Text, Problem> {
    let (_, prompt) = crate::serve::api::source(agent, id)?;
    let mut values = Values::new();
    let mut names = BTreeSet::new();
    for parameter in &prompt.parameters {
        let text = field(fields, &format!("{VALUE}{}", parameter.name)).replace("\r\n", "\n");
        let is_text = matches!(parameter.kind, Kind::String { .. } | Kind::Enum { .. });
        let wanted =
            !text.is_empty() || (parameter.required && matches!(parameter.kind, Kind::String { .. }));
        if !wanted || !names.insert(parameter.name.as_str()) {
            continue;
        }
        // What is no JSON stays text: the check of the parameter says what was expected.
        let value = match is_text {
            true => Value::String(text),
            false => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        };
        values.insert(parameter.name.clone(), value);
    }
    match &prompt.content {
        Content::Text { .. } => Ok(Text::One(agent.prompt(id, &values)?)),
        Content::Chat { .. } => Ok(Text::Chat(agent.messages(id, &values, &[])?)),
    }
}

/// As it stands in a query.
fn query(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let mut out = String::new();
    for byte in text.bytes() {
        if plain(byte) { out.push(char::from(byte)) } else { out.push_str(&format!("%{byte:02X}")) }
    }
    out
}
