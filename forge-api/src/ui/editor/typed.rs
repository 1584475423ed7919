//! A prompt as the editor's form holds it, complete or not: nothing that was typed is ever lost.

use schemas::PromptId;
use schemas::prompt::{Content, Engine, Partial, Prompt};
use serde_json::{Map, Value};

use super::parameter::{self, Row};
pub(crate) use super::part::{PLACEHOLDER, Part, ROLES, What, role_name};
use super::part::{message_of, part_of};
use super::settings::{self, Flaw, Settings};
use crate::ui::form::{Form, lines};

/// Everything that the form holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Typed {
    pub name: String,
    pub revision: i64,
    pub what: What,
    pub plain: bool,
    pub description: String,
    pub tags: String,
    pub settings: Settings,
    /// As JSON; none where the form did not hold it, and what is stored stays.
    pub metadata: Option<String>,
    pub parts: Vec<Part>,
    pub parameters: Vec<Row>,
    /// Values for the preview, by parameter.
    pub values: Vec<(String, String)>,
    /// Messages for the preview, by placeholder.
    pub history: Vec<(String, String)>,
    /// The variable set to take values from.
    pub variables: String,
    /// The one that the values came from.
    pub loaded: Loaded,
    /// The environment whose text stands beside the preview.
    pub beside: String,
    /// Why it is saved, for the history.
    pub message: String,
}

/// A variable set that the values came from; without a name, none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Loaded {
    pub name: String,
    pub revision: i64,
    /// The name to save the values by.
    pub name_as: String,
}

/// Fields of the form that do not fit, as far as they are no matter of the text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Unfit {
    /// By the number of the parameter.
    pub parameters: Vec<(usize, String)>,
    pub settings: Vec<Flaw>,
    pub metadata: Option<String>,
}

impl Unfit {
    pub(crate) fn is_empty(&self) -> bool {
        self.parameters.is_empty() && self.settings.is_empty() && self.metadata.is_none()
    }

    /// All of it in one sentence each.
    pub(crate) fn sentences(&self, typed: &Typed) -> Vec<String> {
        let named = |(i, what): &(usize, String)| {
            let name = typed.parameters.get(*i).map_or("", |row| row.name.as_str());
            format!("Parameter {name}: {what}")
        };
        let setting = |(key, what): &Flaw| match key {
            Some(key) => format!("Model setting {key} {what}"),
            None => format!("Model settings: {what}"),
        };
        let metadata = self.metadata.iter().map(|m| format!("Metadata: {m}"));
        self.parameters.iter().map(named).chain(self.settings.iter().map(setting)).chain(metadata).collect()
    }
}

impl Typed {
    pub(crate) fn of_form(form: &Form) -> Self {
        let what = match form.get("kind") {
            "chat" => What::Chat,
            "partial" => What::Partial,
            _ => What::Text,
        };
        let mut roles = form.all("role").into_iter();
        let parts = form
            .all("text")
            .into_iter()
            .map(|text| Part { role: roles.next().unwrap_or("user").to_owned(), text: lines(text) })
            .collect();
        let column = |name: &str| form.all(name).into_iter().map(lines).collect::<Vec<_>>();
        let [names, kinds, required] = ["p-name", "p-type", "p-required"].map(column);
        let [descriptions, defaults, examples] = ["p-description", "p-default", "p-example"].map(column);
        let [mins, maxs, values, shapes] = ["p-min", "p-max", "p-values", "p-shape"].map(column);
        let at = |column: &[String], i: usize| column.get(i).cloned().unwrap_or_default();
        let parameters = names
            .iter()
            .enumerate()
            .map(|(i, name)| Row {
                name: name.trim().to_owned(),
                kind: at(&kinds, i),
                required: at(&required, i) == "yes",
                description: at(&descriptions, i),
                default: at(&defaults, i),
                example: at(&examples, i),
                min: at(&mins, i),
                max: at(&maxs, i),
                values: at(&values, i),
                shape: at(&shapes, i),
            })
            .collect();
        Self {
            name: form.get("prompt").trim().to_owned(),
            revision: form.get("revision").parse().unwrap_or_default(),
            what,
            plain: form.get("engine") == "plain",
            description: lines(form.get("description")),
            tags: form.get("tags").to_owned(),
            settings: Settings::of_form(form),
            metadata: form.all("metadata").first().map(|text| lines(text)),
            parts,
            parameters,
            values: form.beginning("v-").map(|(n, v)| (n.to_owned(), lines(v))).collect(),
            history: form.beginning("h-").map(|(n, v)| (n.to_owned(), lines(v))).collect(),
            variables: form.get("variables").to_owned(),
            loaded: Loaded {
                name: form.get("variables-name").to_owned(),
                revision: form.get("variables-revision").parse().unwrap_or_default(),
                name_as: form.get("variables-as").trim().to_owned(),
            },
            beside: form.get("beside").to_owned(),
            message: form.get("message").to_owned(),
        }
    }

    pub(crate) fn of_prompt(prompt: &Prompt, revision: i64) -> Self {
        let (what, parts) = match &prompt.content {
            Content::Text { template } => {
                (What::Text, vec![Part { role: "text".into(), text: template.clone() }])
            }
            Content::Chat { messages } => (What::Chat, messages.iter().map(part_of).collect()),
        };
        Self {
            name: prompt.id.to_string(),
            revision,
            what,
            plain: prompt.engine == Engine::Plain,
            description: prompt.description.clone(),
            tags: prompt.tags.join(", "),
            settings: Settings::of(&prompt.model),
            metadata: Some(if prompt.metadata.is_empty() {
                String::new()
            } else {
                serde_json::to_string_pretty(&prompt.metadata).unwrap_or_default()
            }),
            parts,
            parameters: prompt.parameters.iter().map(Row::of).collect(),
            values: Vec::new(),
            history: Vec::new(),
            variables: String::new(),
            loaded: Loaded::default(),
            beside: String::new(),
            message: String::new(),
        }
    }

    pub(crate) fn of_partial(partial: &Partial, revision: i64) -> Self {
        Self {
            name: partial.name.to_string(),
            revision,
            what: What::Partial,
            parts: vec![Part { role: "text".into(), text: partial.source.clone() }],
            ..Self::default()
        }
    }

    /// The one text of a text or a partial.
    pub(crate) fn text(&self) -> &str {
        self.parts.first().map_or("", |p| p.text.as_str())
    }

    /// Changes the form as one of its buttons says; gives the number of the parameter to open.
    /// What names nothing changes nothing.
    pub(crate) fn change(&mut self, what: &str, argument: &str) -> Option<usize> {
        let number = argument.parse::<usize>().ok();
        match (what, number) {
            ("add-message", _) => {
                let role = if ROLES.contains(&argument) { argument } else { "user" };
                let text = if role == PLACEHOLDER { "history" } else { "" };
                self.parts.push(Part { role: role.into(), text: text.into() });
            }
            ("remove", Some(i)) if i < self.parts.len() => {
                self.parts.remove(i);
            }
            ("up", Some(i)) if i > 0 && i < self.parts.len() => self.parts.swap(i, i - 1),
            ("down", Some(i)) if i + 1 < self.parts.len() => self.parts.swap(i, i + 1),
            ("drop", Some(i)) if i < self.parameters.len() => {
                self.parameters.remove(i);
            }
            ("param-up", Some(i)) if i > 0 && i < self.parameters.len() => self.parameters.swap(i, i - 1),
            ("param-down", Some(i)) if i + 1 < self.parameters.len() => self.parameters.swap(i, i + 1),
            ("add", _) => {
                self.parameters.push(Row::named(argument));
                return Some(self.parameters.len() - 1);
            }
            ("add-all", _) => {
                for name in argument.split(',').filter(|n| !n.is_empty()) {
                    if !self.parameters.iter().any(|p| p.name == name) {
                        self.parameters.push(Row::named(name));
                    }
                }
            }
            ("kind", _) => self.turn_into(argument),
            ("rename-in-text", _) => self.rename_in_text(argument),
            _ => {}
        }
        None
    }

    /// A text becomes the first message of a chat, and the messages of a chat one text.
    fn turn_into(&mut self, kind: &str) {
        match (self.what, kind) {
            (What::Text, "chat") => {
                self.what = What::Chat;
                for part in &mut self.parts {
                    part.role = "system".into();
                }
            }
            (What::Chat, "text") => {
                self.what = What::Text;
                let texts = self.parts.iter().filter(|p| p.role != PLACEHOLDER).map(|p| p.text.as_str());
                let text = texts.collect::<Vec<_>>().join("\n\n");
                self.parts = vec![Part { role: "text".into(), text }];
            }
            _ => {}
        }
    }

    /// The prompt as far as the fields fit, and the fields that do not. What the form did not
    /// hold is taken from what is stored.
    ///
    /// # Errors
    /// The prompt's name is none.
    pub(crate) fn prompt(
        &self,
        stored: Option<&Prompt>,
    ) -> Result<(Prompt, Unfit), schemas::names::NameError> {
        let mut unfit = Unfit::default();
        let mut parameters = Vec::with_capacity(self.parameters.len());
        for (i, row) in self.parameters.iter().enumerate() {
            match row.parameter() {
                Ok(parameter) => parameters.push(parameter),
                Err(what) => unfit.parameters.push((i, what)),
            }
        }
        let (model, flaws) = self.settings.parse();
        unfit.settings = flaws;
        let metadata = match &self.metadata {
            None => stored.map(|p| p.metadata.clone()).unwrap_or_default(),
            Some(text) => settings::object(text, "{\"owner\": \"support\"}").unwrap_or_else(|why| {
                unfit.metadata = Some(why);
                Map::new()
            }),
        };
        let content = match self.what {
            What::Chat => Content::Chat { messages: self.parts.iter().map(message_of).collect() },
            What::Text | What::Partial => Content::Text { template: self.text().to_owned() },
        };
        let prompt = Prompt {
            id: PromptId::new(&self.name)?,
            description: self.description.clone(),
            engine: if self.plain { Engine::Plain } else { Engine::Tera },
            content,
            parameters,
            model,
            metadata,
            tags: self.tags.split(',').map(str::trim).filter(|t| !t.is_empty()).map(Into::into).collect(),
        };
        Ok((prompt, unfit))
    }

    /// The text to try a parameter with: what was typed for it, or one that fits.
    pub(crate) fn trial(&self, row: &Row) -> String {
        self.values
            .iter()
            .find(|(name, _)| *name == row.name)
            .map_or_else(|| row.trial(), |(_, value)| value.clone())
    }

    /// The values for the preview, and which of them do not read.
    pub(crate) fn trials(&self) -> (Map<String, Value>, Vec<String>) {
        let (mut values, mut refusals) = (Map::new(), Vec::new());
        for row in &self.parameters {
            let Ok(parameter) = row.parameter() else { continue };
            match parameter::value(&parameter.kind, &self.trial(row)) {
                Ok(Some(value)) => {
                    values.insert(row.name.clone(), value);
                }
                Ok(None) => {}
                Err(what) => refusals.push(format!("The value for {} {what}", row.name)),
            }
        }
        (values, refusals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_prompt_survives_the_editor() {
        for body in [
            json!({"id": "welcome.message", "content": {"type": "text", "template": "Hi {{ name }}\n\n- x\n"},
                   "parameters": [{"name": "name", "type": "string", "required": true}],
                   "model": {"temperature": 0.2}, "metadata": {"owner": "mara"}, "tags": ["a", "b c"],
                   "description": "says hello"}),
            json!({"id": "chat/one", "engine": "plain", "content": {"type": "chat", "messages": [
                {"type": "message", "role": "system", "template": "You are"},
                {"type": "placeholder", "name": "history"},
                {"type": "message", "role": "user", "template": ""}]}}),
        ] {
            let prompt: Prompt = serde_json::from_value(body).unwrap();
            let typed = Typed::of_prompt(&prompt, 3);
            assert_eq!(typed.prompt(Some(&prompt)).unwrap(), (prompt, Unfit::default()));
        }
    }

    #[test]
    fn a_form_is_read_as_it_was_typed_even_where_it_is_wrong() {
        let typed = Typed::of_form(&Form::of(&[
            ("prompt", "a"),
            ("kind", "chat"),
            ("revision", "7"),
            ("role", "system"),
            ("text", "one\r\ntwo"),
            ("role", "placeholder"),
            ("text", "history"),
            ("p-name", "n"),
            ("p-type", "integer"),
            ("p-required", "no"),
            ("p-default", "many"),
            ("model", "{"),
            ("metadata", "[]"),
            ("v-n", "5"),
        ]));
        assert_eq!(typed.revision, 7);
        assert_eq!(typed.parts[0], Part { role: "system".into(), text: "one\ntwo".into() });
        let (prompt, unfit) = typed.prompt(None).unwrap();
        assert_eq!(prompt.templates().collect::<Vec<_>>(), ["one\ntwo"]);
        let sentences = unfit.sentences(&typed);
        assert_eq!(sentences.len(), 3, "{sentences:?}");
        assert!(sentences[0].starts_with("Parameter n: the default"), "{sentences:?}");
        assert!(sentences[1].starts_with("Model settings: not JSON at line 1"), "{sentences:?}");
        assert!(sentences[2].starts_with("Metadata: not a JSON object"), "{sentences:?}");
    }

    #[test]
    fn buttons_move_add_and_take_away_and_nothing_else() {
        let part = |role: &str, text: &str| Part { role: role.into(), text: text.into() };
        let mut typed = Typed {
            name: "a".into(),
            what: What::Chat,
            parts: vec![part("system", "one"), part("user", "two")],
            ..Typed::default()
        };
        typed.change("down", "0");
        typed.change("up", "0");
        typed.change("down", "1");
        typed.change("remove", "7");
        typed.change("add-message", "placeholder");
        typed.change("add-message", "boss");
        let shape: Vec<_> = typed.parts.iter().map(|p| (p.role.as_str(), p.text.as_str())).collect();
        assert_eq!(shape, [("user", "two"), ("system", "one"), ("placeholder", "history"), ("user", "")]);

        assert_eq!(typed.change("add", "a"), Some(0));
        typed.change("add-all", "a,b,,c");
        typed.change("param-up", "2");
        typed.change("param-down", "2");
        typed.change("drop", "0");
        assert_eq!(typed.parameters.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["c", "b"]);

        typed.change("kind", "text");
        assert_eq!((typed.what, typed.text()), (What::Text, "two\n\none\n\n"));
        typed.change("kind", "chat");
        assert_eq!(typed.parts, [part("system", "two\n\none\n\n")]);
    }

    #[test]
    fn values_for_the_preview_are_read_by_their_type() {
        let mut typed = Typed { name: "a".into(), parameters: vec![Row::named("who")], ..Typed::default() };
        typed.parameters.push(Row { kind: "integer".into(), ..Row::named("n") });
        typed.values.push(("n".into(), "five".into()));
        let (values, refusals) = typed.trials();
        assert_eq!(Value::Object(values), json!({"who": "who"}));
        assert_eq!(refusals, ["The value for n is not an integer; write one such as 1"]);
    }
}
