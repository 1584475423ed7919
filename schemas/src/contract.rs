//! What a program was built for: the prompts that it calls and the values that it gives them.
//!
//! A contract is made from a locked version by `live codegen`. The agent announces it and refuses a
//! bundle that breaks it; FORGE says before a publication whom it would break. A version breaks a
//! contract when a call that was right would fail: a prompt is gone or became a chat, a value is not
//! declared any more, is of another type or outside of narrower bounds, or one is newly required.

use schemars::JsonSchema;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::names::Slug;
use crate::parameter::{Kind, Parameter};
use crate::prompt::{Content, Message, Prompt};

/// Most breaks that are listed at once.
pub const BREAKS_MAX: usize = 50;
/// Largest contract, in bytes of JSON: it travels in one request.
pub const CONTRACT_MAX: usize = 256 * 1024;

/// What a program was built for, of one set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Contract {
    pub set: Slug,
    /// The version that it was made from.
    #[schemars(with = "String")]
    pub version: Version,
    pub prompts: Vec<PromptContract>,
}

/// How one prompt is called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct PromptContract {
    pub id: String,
    /// It gives messages and not a text.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub chat: bool,
    /// Names of the placeholders of a chat, which the caller fills.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub placeholders: Vec<String>,
    /// Without defaults, descriptions and examples. One that is required is always given; another may be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Parameter>,
}

/// One call that would fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("prompt {prompt}: {what}")]
#[non_exhaustive]
pub struct Break {
    pub prompt: String,
    /// For people.
    pub what: String,
}

impl Contract {
    /// The contract of a program that may call every prompt of a version.
    #[must_use]
    pub fn of<'p>(set: Slug, version: Version, prompts: impl IntoIterator<Item = &'p Prompt>) -> Self {
        Self { set, version, prompts: prompts.into_iter().map(PromptContract::of).collect() }
    }

    /// What of it a version breaks, given all its prompts; at most [`BREAKS_MAX`].
    #[must_use]
    pub fn breaks<'p>(&self, prompts: impl IntoIterator<Item = &'p Prompt>) -> Vec<Break> {
        let new: hashbrown::HashMap<&str, &Prompt> =
            prompts.into_iter().map(|prompt| (prompt.id.as_str(), prompt)).collect();
        let mut found = Vec::new();
        for called in &self.prompts {
            let mut say = |what: String| found.push(Break { prompt: called.id.clone(), what });
            match new.get(called.id.as_str()) {
                Some(prompt) => called.compare(prompt, &mut say),
                None => say("it is gone".into()),
            }
            if found.len() >= BREAKS_MAX {
                found.truncate(BREAKS_MAX);
                break;
            }
        }
        found
    }
}

impl PromptContract {
    fn of(prompt: &Prompt) -> Self {
        let parameters = prompt.parameters.iter().map(bare).collect();
        let chat = matches!(prompt.content, Content::Chat { .. });
        Self { id: prompt.id.to_string(), chat, placeholders: placeholders(prompt), parameters }
    }

    fn compare(&self, new: &Prompt, say: &mut impl FnMut(String)) {
        match (self.chat, matches!(new.content, Content::Chat { .. })) {
            (false, true) => return say("it was a text and is a chat now".into()),
            (true, false) => return say("it was a chat and is a text now".into()),
            _ => {}
        }
        let there = placeholders(new);
        for name in self.placeholders.iter().filter(|name| !there.contains(name)) {
            say(format!("the placeholder {name} is gone"));
        }
        parameters(&self.parameters, &new.parameters, "", say);
    }
}

fn placeholders(prompt: &Prompt) -> Vec<String> {
    let Content::Chat { messages } = &prompt.content else { return Vec::new() };
    let name = |message: &Message| match message {
        Message::Placeholder { name } => Some(name.clone()),
        Message::Message { .. } => None,
    };
    messages.iter().filter_map(name).collect()
}

/// All of a parameter that a caller has to know.
fn bare(parameter: &Parameter) -> Parameter {
    let kind = match &parameter.kind {
        Kind::Object { properties } => Kind::Object { properties: properties.iter().map(bare).collect() },
        other => other.clone(),
    };
    let (name, required) = (parameter.name.clone(), parameter.required);
    Parameter { name, kind, required, default: None, description: String::new(), example: None }
}

fn parameters(given: &[Parameter], declared: &[Parameter], path: &str, say: &mut impl FnMut(String)) {
    for one in given {
        let path = format!("{path}{}", one.name);
        match declared.iter().find(|d| d.name == one.name) {
            None => say(format!("the parameter {path} is gone")),
            Some(d) => {
                if d.required && !one.required {
                    say(format!("the parameter {path} is required now"));
                }
                kind(&one.kind, &d.kind, &path, say);
            }
        }
    }
    for d in declared.iter().filter(|d| d.required && given.iter().all(|one| one.name != d.name)) {
        say(format!("the parameter {path}{} is new and required", d.name));
    }
}

/// Whether every value of the kind `given` is one of the kind `taken`.
fn kind(given: &Kind, taken: &Kind, path: &str, say: &mut impl FnMut(String)) {
    let mut bounds = |fits: bool| {
        if !fits {
            say(format!("the bounds of {path} are narrower now"));
        }
    };
    match (given, taken) {
        (Kind::String { min_length: a, max_length: b }, Kind::String { min_length: c, max_length: d }) => {
            bounds(low(a.as_ref(), c.as_ref()) && high(b.as_ref(), d.as_ref()))
        }
        (Kind::Enum { .. }, Kind::String { min_length: None, max_length: None })
        | (Kind::Boolean, Kind::Boolean) => {}
        (Kind::Integer { minimum: a, maximum: b }, Kind::Integer { minimum: c, maximum: d }) => {
            bounds(low(a.as_ref(), c.as_ref()) && high(b.as_ref(), d.as_ref()));
        }
        (Kind::Number { minimum: a, maximum: b }, Kind::Number { minimum: c, maximum: d }) => {
            bounds(low(a.as_ref(), c.as_ref()) && high(b.as_ref(), d.as_ref()));
        }
        (Kind::Integer { minimum: a, maximum: b }, Kind::Number { minimum: c, maximum: d }) => {
            #[expect(
                clippy::cast_precision_loss,
                reason = "a bound is compared, to the precision of the other"
            )]
            let (a, b) = (a.map(|n| n as f64), b.map(|n| n as f64));
            bounds(low(a.as_ref(), c.as_ref()) && high(b.as_ref(), d.as_ref()));
        }
        (Kind::Enum { values: given }, Kind::Enum { values: taken }) => {
            for value in given.iter().filter(|value| !taken.contains(value)) {
                let value: String = value.chars().take(40).collect();
                say(format!("{path} does not take {value:?} any more"));
            }
        }
        (
            Kind::List { items: given, min_items: a, max_items: b },
            Kind::List { items: taken, min_items: c, max_items: d },
        ) => {
            bounds(low(a.as_ref(), c.as_ref()) && high(b.as_ref(), d.as_ref()));
            kind(given, taken, &format!("{path}[]"), say);
        }
        // With no properties named, any object is taken.
        (Kind::Object { .. }, Kind::Object { properties: taken }) if taken.is_empty() => {}
        (Kind::Object { properties: given }, Kind::Object { .. }) if given.is_empty() => {
            say(format!("{path} was any object, and is one of certain properties now"));
        }
        (Kind::Object { properties: given }, Kind::Object { properties: taken }) => {
            parameters(given, taken, &format!("{path}."), say);
        }
        _ => say(format!("{path} was of type {}, and is of type {} now", given.name(), taken.name())),
    }
}

/// Whether a lower bound is no narrower than the one before.
fn low<T: PartialOrd>(given: Option<&T>, taken: Option<&T>) -> bool {
    taken.is_none_or(|taken| given.is_some_and(|given| given >= taken))
}

fn high<T: PartialOrd>(given: Option<&T>, taken: Option<&T>) -> bool {
    taken.is_none_or(|taken| given.is_some_and(|given| given <= taken))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn prompt(parameters: &Value) -> Prompt {
        let content = json!({ "type": "text", "template": "x" });
        serde_json::from_value(json!({ "id": "a", "content": content, "parameters": parameters })).unwrap()
    }

    fn breaks(before: &Value, after: &Value) -> Vec<String> {
        let contract = Contract::of(Slug::new("s").unwrap(), Version::new(1, 0, 0), [&prompt(before)]);
        let read: Contract = serde_json::from_str(&serde_json::to_string(&contract).unwrap()).unwrap();
        assert_eq!(read, contract);
        contract.breaks([&prompt(after)]).into_iter().map(|one| one.what).collect()
    }

    #[test]
    fn what_a_caller_does_not_notice_breaks_nothing() {
        let before = json!([
            { "name": "name", "type": "string", "required": true, "max_length": 10, "description": "who" },
            { "name": "n", "type": "integer", "minimum": 1, "default": 3 },
            { "name": "tone", "type": "enum", "values": ["warm"] },
            { "name": "o", "type": "object", "properties": [{ "name": "x", "type": "integer", "required": true }] },
        ]);
        let after = json!([
            { "name": "more", "type": "string" },
            { "name": "name", "type": "string", "max_length": 20, "description": "whom" },
            { "name": "n", "type": "number", "minimum": 0.0, "default": 4 },
            { "name": "tone", "type": "enum", "values": ["cold", "warm"] },
            { "name": "o", "type": "object", "properties": [{ "name": "x", "type": "integer" }, { "name": "y", "type": "string" }] },
        ]);
        assert_eq!(breaks(&before, &before), [""; 0]);
        assert_eq!(breaks(&before, &after), [""; 0]);
    }

    #[test]
    fn every_call_that_would_fail_is_named() {
        let name = json!({ "name": "name", "type": "string" });
        let cases = [
            (json!([name]), json!([]), "the parameter name is gone"),
            (
                json!([]),
                json!([{ "name": "b", "type": "string", "required": true }]),
                "b is new and required",
            ),
            (json!([name]), json!([{ "name": "name", "type": "string", "required": true }]), "required now"),
            (json!([name]), json!([{ "name": "name", "type": "integer" }]), "was of type string"),
            (json!([name]), json!([{ "name": "name", "type": "string", "max_length": 4 }]), "narrower"),
            (
                json!([{ "name": "n", "type": "integer", "minimum": 0 }]),
                json!([{ "name": "n", "type": "integer", "minimum": 1 }]),
                "narrower",
            ),
            (
                json!([{ "name": "n", "type": "number" }]),
                json!([{ "name": "n", "type": "integer" }]),
                "was of type number",
            ),
            (
                json!([{ "name": "e", "type": "enum", "values": ["a", "b"] }]),
                json!([{ "name": "e", "type": "enum", "values": ["a"] }]),
                "does not take \"b\"",
            ),
            (
                json!([{ "name": "l", "type": "list", "items": { "type": "string" } }]),
                json!([{ "name": "l", "type": "list", "items": { "type": "boolean" } }]),
                "l[] was of type string",
            ),
            (
                json!([{ "name": "o", "type": "object", "properties": [{ "name": "x", "type": "string" }] }]),
                json!([{ "name": "o", "type": "object", "properties": [{ "name": "y", "type": "string" }] }]),
                "o.x is gone",
            ),
            (
                json!([{ "name": "o", "type": "object" }]),
                json!([{ "name": "o", "type": "object", "properties": [{ "name": "y", "type": "string" }] }]),
                "was any object",
            ),
        ];
        for (before, after, what) in cases {
            let found = breaks(&before, &after);
            assert!(found.iter().any(|one| one.contains(what)), "{before} -> {after}: {found:?}");
        }
    }

    #[test]
    fn a_prompt_that_is_gone_or_of_another_form_breaks() {
        let text = prompt(&json!([]));
        let chat: Prompt = serde_json::from_value(json!({
            "id": "a",
            "content": { "type": "chat", "messages": [{ "type": "placeholder", "name": "history" }] },
        }))
        .unwrap();
        let of = |prompt| Contract::of(Slug::new("s").unwrap(), Version::new(1, 0, 0), [prompt]);
        assert_eq!(of(&text).breaks([])[0].what, "it is gone");
        assert!(of(&text).breaks([&chat])[0].what.contains("is a chat now"));
        assert!(of(&chat).breaks([&text])[0].what.contains("is a text now"));
        let mut other = chat.clone();
        other.content = Content::Chat { messages: Vec::new() };
        assert_eq!(of(&chat).breaks([&other])[0].what, "the placeholder history is gone");
    }
}
