//! What an export loses: what was written is read again, and held against what it was made of.

use std::collections::BTreeMap;

use schemas::parameter::Parameter;
use schemas::prompt::{Content as Body, Engine, Message, Prompt};
use serde_json::{Map, Value};

use crate::format::Format;
use crate::found::{Content, Note};

/// Says of each prompt that was written what of it does not come back from the format.
pub(crate) fn told(format: Format, was: &Content, is: &Content, notes: &mut Vec<Note>) {
    let back: BTreeMap<&str, &Prompt> = is.prompts.iter().map(|p| (p.id.as_str(), p)).collect();
    // What was not written at all is said where it was left out.
    for prompt in &was.prompts {
        if let Some(back) = back.get(prompt.id.as_str()) {
            Lost { format, id: prompt.id.as_str(), notes: &mut *notes }.of(prompt, back);
        }
    }
}

/// The report of one prompt.
struct Lost<'n> {
    format: Format,
    id: &'n str,
    notes: &'n mut Vec<Note>,
}

impl Lost<'_> {
    fn say(&mut self, what: impl Into<String>, why: &str) {
        self.notes.push(Note::new(self.id, what, format!("{} {why}", self.format.label())));
    }

    fn of(&mut self, was: &Prompt, is: &Prompt) {
        if was.description != is.description {
            self.say("description", "does not hold it; it is left out");
        }
        let tags: Vec<&str> =
            was.tags.iter().filter(|tag| !is.tags.contains(tag)).map(String::as_str).collect();
        if !tags.is_empty() {
            self.say(format!("tags: {}", tags.join(", ")), "does not hold them; they are left out");
        }
        self.fields("model settings", &was.model, &is.model);
        self.fields("metadata", &was.metadata, &is.metadata);
        if is.engine == Engine::Plain && was.engine != Engine::Plain {
            self.say("template", "gives it back as plain text only, with its parameters in the metadata");
            return;
        }
        self.content(&was.content, &is.content);
        self.parameters(was, is);
    }

    fn fields(&mut self, what: &str, was: &Map<String, Value>, is: &Map<String, Value>) {
        let lost: Vec<&str> = was
            .iter()
            .filter(|(key, value)| is.get(*key) != Some(*value))
            .map(|(key, _)| key.as_str())
            .collect();
        if !lost.is_empty() {
            self.say(
                format!("{what}: {}", lost.join(", ")),
                "does not hold them as they are; left out or changed",
            );
        }
    }

    fn content(&mut self, was: &Body, is: &Body) {
        let around = |text: &str| (text.len() - text.trim_start().len(), text.len() - text.trim_end().len());
        let pairs: Vec<(&str, &str)> = match (was, is) {
            (Body::Text { template: was }, Body::Text { template: is }) => vec![(was.as_str(), is.as_str())],
            (Body::Chat { messages: was }, Body::Chat { messages: is }) => {
                let same = |(was, is): (&Message, &Message)| match (was, is) {
                    (Message::Message { role: a, .. }, Message::Message { role: b, .. }) => a == b,
                    (Message::Placeholder { name: a }, Message::Placeholder { name: b }) => a == b,
                    _ => false,
                };
                if was.len() != is.len() || !was.iter().zip(is).all(same) {
                    self.say("messages", "does not hold all of them with their roles and names as they are");
                    return;
                }
                let texts = was.iter().zip(is).filter_map(|pair| match pair {
                    (Message::Message { template: was, .. }, Message::Message { template: is, .. }) => {
                        Some((was.as_str(), is.as_str()))
                    }
                    _ => None,
                });
                texts.collect()
            }
            // A text as a chat of one message is said where it is written.
            _ => return,
        };
        if pairs.iter().any(|(was, is)| around(was) != around(is)) {
            self.say("text", "does not hold the white space around it as it is");
        }
    }

    fn parameters(&mut self, was: &Prompt, is: &Prompt) {
        let mut lost: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for parameter in &was.parameters {
            let back = is.parameters.iter().find(|p| p.name == parameter.name);
            for what in
                back.map_or_else(|| vec!["parameters that no text uses"], |back| differences(parameter, back))
            {
                lost.entry(what).or_default().push(&parameter.name);
            }
        }
        for (what, names) in lost {
            self.say(names.join(", "), &format!("does not hold {what} as they are; left out or changed"));
        }
    }
}

/// What of a parameter came back otherwise.
fn differences(was: &Parameter, is: &Parameter) -> Vec<&'static str> {
    let is_other = was.kind.name() != is.kind.name();
    let all = [
        (is_other, "types of parameters"),
        (!is_other && was.kind != is.kind, "bounds and inner types of parameters"),
        (was.required != is.required, "what is required of parameters"),
        (was.default != is.default, "defaults of parameters"),
        (was.description != is.description, "descriptions of parameters"),
        (was.example != is.example, "examples of parameters"),
    ];
    all.into_iter().filter(|(differs, _)| *differs).map(|(_, what)| what).collect()
}
