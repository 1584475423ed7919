//! What the playground's form holds.

use schemas::parameter::Parameter;
use schemas::prompt::{Content, Message, Prompt, Role};
use schemas::template::RenderedMessage;
use serde_json::Map;

use super::COLUMNS_MAX;
use crate::author::{Given, History, VariableSet};
use crate::ui::editor::{Row, role_name, sentence, shown, value};
use crate::ui::form::{Form, lines};

/// Everything that was typed and chosen.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Typed {
    pub prompt: String,
    /// `draft`, `1.2.0`, `@prod`.
    pub columns: Vec<String>,
    /// Texts by parameter.
    pub values: Vec<(String, String)>,
    /// Texts by placeholder.
    pub history: Vec<(String, String)>,
    /// The variable set that the values came from; empty: none.
    pub name: String,
    pub revision: i64,
    /// The name to save them by.
    pub name_as: String,
    /// Values of a variable set, until it is known how their parameters show them.
    pub loaded: Option<Given>,
}

impl Typed {
    pub(super) fn of_form(form: &Form) -> Self {
        let texts = |prefix: &str| -> Vec<(String, String)> {
            form.beginning(prefix).map(|(name, text)| (name.to_owned(), lines(text))).collect()
        };
        Self {
            prompt: form.get("prompt").trim().to_owned(),
            columns: form.all("column").into_iter().take(COLUMNS_MAX).map(str::to_owned).collect(),
            values: texts("v-"),
            history: texts("h-"),
            name: form.get("name").to_owned(),
            revision: form.get("revision").parse().unwrap_or_default(),
            name_as: form.get("name-as").trim().to_owned(),
            loaded: None,
        }
    }

    /// Begins with the values of a variable set.
    pub(super) fn take(&mut self, found: VariableSet) {
        (self.values, self.history) = (Vec::new(), Vec::new());
        self.name = found.name;
        self.name_as.clear();
        self.revision = found.revision;
        self.loaded = Some(found.given);
    }

    /// The text of a parameter: as it was typed, as the variable set has it, or one that fits.
    pub(super) fn text_of(&self, parameter: &Parameter) -> String {
        if let Some((_, typed)) = self.values.iter().find(|(name, _)| *name == parameter.name) {
            return typed.clone();
        }
        match &self.loaded {
            Some(given) => shown(&parameter.kind, given.values.get(&parameter.name)),
            None => Row::of(parameter).trial(),
        }
    }

    /// The text of a placeholder's messages.
    pub(super) fn spoken_of(&self, placeholder: &str) -> String {
        if let Some((_, typed)) = self.history.iter().find(|(name, _)| name == placeholder) {
            return typed.clone();
        }
        let loaded = self.loaded.iter().flat_map(|given| &given.history);
        loaded.filter(|(name, _)| name == placeholder).map(|(_, messages)| spoken(messages)).collect()
    }

    /// What these prompts are given, the first that knows a parameter saying its type; and what does not read.
    pub(super) fn given(&self, prompts: &[&Prompt]) -> (Given, Vec<String>) {
        let (mut values, mut history, mut refusals) = (Map::new(), History::new(), Vec::new());
        for parameter in parameters(prompts) {
            match value(&parameter.kind, &self.text_of(parameter)) {
                Ok(Some(value)) => drop(values.insert(parameter.name.clone(), value)),
                Ok(None) => {}
                Err(what) => refusals.push(sentence(&format!("The value for {} {what}", parameter.name))),
            }
        }
        for name in placeholders(prompts) {
            match messages(&self.spoken_of(name)) {
                Ok(found) if found.is_empty() => {}
                Ok(found) => history.push((name.to_owned(), found)),
                Err(what) => refusals.push(sentence(&format!("The messages of {name} {what}"))),
            }
        }
        (Given { values, history }, refusals)
    }
}

/// The parameters of several prompts, each name once.
pub(super) fn parameters<'p>(prompts: &[&'p Prompt]) -> Vec<&'p Parameter> {
    let mut found: Vec<&Parameter> = Vec::new();
    for parameter in prompts.iter().flat_map(|p| &p.parameters) {
        if !found.iter().any(|known| known.name == parameter.name) {
            found.push(parameter);
        }
    }
    found
}

/// The placeholders of several prompts, each name once.
pub(super) fn placeholders<'p>(prompts: &[&'p Prompt]) -> Vec<&'p str> {
    let mut found: Vec<&str> = Vec::new();
    for prompt in prompts {
        let Content::Chat { messages } = &prompt.content else { continue };
        for message in messages {
            if let Message::Placeholder { name } = message
                && !found.contains(&name.as_str())
            {
                found.push(name);
            }
        }
    }
    found
}

/// Reads messages as people write them: `user: Hi`, each from its role to the next one.
///
/// # Errors
/// What is wrong and what works.
pub(crate) fn messages(text: &str) -> Result<Vec<RenderedMessage>, String> {
    let mut found: Vec<(Role, String)> = Vec::new();
    for line in text.lines() {
        let begins = line.split_once(':').and_then(|(word, rest)| Some((role_of(word.trim())?, rest)));
        match (begins, found.last_mut()) {
            (Some((role, rest)), _) => found.push((role, rest.trim_start().to_owned())),
            (None, Some((_, said))) => {
                said.push('\n');
                said.push_str(line);
            }
            (None, None) if line.trim().is_empty() => {}
            (None, None) => return Err("begin with who says them; write user: Hello".into()),
        }
    }
    Ok(found.into_iter().map(|(role, said)| RenderedMessage::new(role, said.trim_end())).collect())
}

fn role_of(word: &str) -> Option<Role> {
    [Role::System, Role::User, Role::Assistant, Role::Tool].into_iter().find(|r| role_name(*r) == word)
}

/// Messages as people write them.
pub(crate) fn spoken(messages: &[RenderedMessage]) -> String {
    let said: Vec<String> =
        messages.iter().map(|m| format!("{}: {}", role_name(m.role), m.content)).collect();
    said.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn messages_are_read_as_they_are_written() {
        let text = "user: Hi\nassistant: Two\nlines: really\n\nuser: Bye";
        let found = messages(text).unwrap();
        let said: Vec<_> = found.iter().map(|m| m.content.as_str()).collect();
        assert_eq!(said, ["Hi", "Two\nlines: really", "Bye"]);
        assert_eq!(messages(&spoken(&found)).unwrap(), found);
        assert_eq!(messages(" \n"), Ok(vec![]));
        assert!(messages("Hello").is_err_and(|e| e.contains("user: Hello")));
    }

    #[test]
    fn values_go_to_every_prompt_by_name_and_a_wrong_one_is_said() {
        let prompt = |parameters| -> Prompt {
            let content = json!({ "type": "text", "template": "x" });
            serde_json::from_value(json!({ "id": "a", "content": content, "parameters": parameters }))
                .unwrap()
        };
        let old = prompt(json!([{ "name": "n", "type": "integer" }]));
        let new = prompt(json!([{ "name": "n", "type": "string" }, { "name": "who", "type": "string" }]));
        let form = Form::of(&[("prompt", "a"), ("column", "draft"), ("v-n", "five"), ("v-who", "Mara")]);
        let typed = Typed::of_form(&form);
        let (given, refusals) = typed.given(&[&new, &old]);
        assert_eq!((given.values["n"].clone(), given.values["who"].clone()), (json!("five"), json!("Mara")));
        assert!(refusals.is_empty());
        let (_, refusals) = typed.given(&[&old]);
        assert_eq!(refusals, ["The value for n is not an integer; write one such as 1."]);
    }
}
