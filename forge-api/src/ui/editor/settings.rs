//! Model settings as fields of the form, and back: what most prompts set has a field, the rest is JSON.

use serde::Serialize;
use serde_json::{Map, Number, Value};

use super::previewed::sentence;
use crate::author::model;
use crate::ui::form::{Form, lines};
use crate::ui::view::Choice;

/// Keys that have a field: its name in the form, the key, the label, what stands in it while it is empty.
const FIELDS: [(&str, &str, &str, &str); 4] = [
    ("m-provider", "provider", "Provider", "openai"),
    ("m-model", "model", "Model", "gpt-4.1"),
    ("m-temperature", "temperature", "Temperature", "0 to 2"),
    ("m-max-tokens", "max_tokens", "Most tokens", "800"),
];
/// Answers that have a choice; a schema is an object, and stands with the rest.
const FORMATS: [(&str, &str); 3] =
    [("", "as the model likes"), ("text", "text"), ("json_object", "a JSON object")];
const RESPONSE: &str = "response_format";

/// The settings as they were typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// In the order of [`FIELDS`].
    fields: [String; 4],
    response: String,
    /// All other keys, as JSON.
    pub rest: String,
}

/// What does not fit: the key, or none for the JSON as a whole, and what is wrong with it.
pub(crate) type Flaw = (Option<String>, String);

impl Settings {
    pub(crate) fn of_form(form: &Form) -> Self {
        Self {
            fields: FIELDS.map(|(name, ..)| form.get(name).trim().to_owned()),
            response: form.get("m-response").to_owned(),
            rest: lines(form.get("model")),
        }
    }

    pub(crate) fn of(settings: &Map<String, Value>) -> Self {
        let mut rest = settings.clone();
        let fields = FIELDS.map(|(_, key, ..)| match rest.get(key) {
            Some(Value::String(text)) if !text.is_empty() && !numeric(key) && text.trim() == text => {
                let text = text.clone();
                rest.remove(key);
                text
            }
            Some(Value::Number(number)) if numeric(key) => {
                let text = number.to_string();
                rest.remove(key);
                text
            }
            _ => String::new(),
        });
        let response = match rest.get(RESPONSE).and_then(Value::as_str) {
            Some(word) if !word.is_empty() && FORMATS.iter().any(|(value, _)| *value == word) => {
                word.to_owned()
            }
            _ => String::new(),
        };
        if !response.is_empty() {
            rest.remove(RESPONSE);
        }
        let rest = if rest.is_empty() {
            String::new()
        } else {
            serde_json::to_string_pretty(&rest).unwrap_or_default()
        };
        Self { fields, response, rest }
    }

    /// The settings as far as they fit, and what does not.
    pub(crate) fn parse(&self) -> (Map<String, Value>, Vec<Flaw>) {
        let mut flaws: Vec<Flaw> = Vec::new();
        let mut settings = match object(&self.rest, "{\"top_p\": 0.9}") {
            Ok(settings) => settings,
            Err(why) => {
                flaws.push((None, why));
                Map::new()
            }
        };
        let mut put = |key: &str, value: Value| {
            if settings.contains_key(key) {
                let why = "stands in the JSON below too; take it out there".to_owned();
                flaws.push((Some(key.to_owned()), why));
            }
            settings.insert(key.to_owned(), value);
        };
        for ((_, key, ..), text) in FIELDS.iter().zip(&self.fields) {
            if !text.is_empty() {
                put(key, typed(key, text));
            }
        }
        if !self.response.is_empty() {
            put(RESPONSE, Value::String(self.response.clone()));
        }
        flaws.extend(model::flaws(&settings).into_iter().map(|(key, why)| (Some(key), why)));
        (settings, flaws)
    }

    pub(crate) fn view(&self, flaws: &[Flaw]) -> SettingsView {
        let at = |key: &str| {
            let found = flaws.iter().find(|(of, _)| of.as_deref() == Some(key));
            found.map(|(_, why)| sentence(&format!("this {why}")))
        };
        let fields = FIELDS
            .iter()
            .zip(&self.fields)
            .map(|((name, key, label, such), value)| SettingView {
                name,
                label,
                value: value.clone(),
                such,
                decimal: numeric(key),
                error: at(key),
            })
            .collect();
        let has_field = |key: &Option<String>| {
            key.as_ref().is_some_and(|k| FIELDS.iter().any(|(_, known, ..)| known == k))
        };
        let rest: Vec<String> = flaws
            .iter()
            .filter(|(key, _)| !has_field(key))
            .map(|(key, why)| sentence(&key.as_ref().map_or_else(|| why.clone(), |k| format!("{k} {why}"))))
            .collect();
        SettingsView {
            fields,
            formats: FORMATS
                .map(|(value, text)| Choice {
                    value: value.into(),
                    text: text.into(),
                    chosen: value == self.response,
                })
                .into(),
            rest: self.rest.clone(),
            rest_error: (!rest.is_empty()).then(|| rest.join(" ")),
            open: !flaws.is_empty(),
            summary: self.summary(),
        }
    }

    /// What the closed box says: `gpt-4.1 · temperature 0.2`.
    fn summary(&self) -> String {
        let [provider, model, temperature, tokens] = &self.fields;
        let mut parts: Vec<String> =
            [model, provider].into_iter().find(|t| !t.is_empty()).cloned().into_iter().collect();
        if !temperature.is_empty() {
            parts.push(format!("temperature {temperature}"));
        }
        if !tokens.is_empty() {
            parts.push(format!("{tokens} tokens"));
        }
        if !self.response.is_empty() {
            parts.push(self.response.clone());
        }
        if !self.rest.trim().is_empty() {
            parts.push("more".into());
        }
        if parts.is_empty() { "none".into() } else { parts.join(" · ") }
    }
}

fn numeric(key: &str) -> bool {
    matches!(key, "temperature" | "max_tokens")
}

/// What was typed as the value that it means; what is no number stays text, and is said to be wrong.
fn typed(key: &str, text: &str) -> Value {
    let number = || -> Option<Number> { serde_json::from_str(&text.replace(',', ".")).ok() };
    if numeric(key)
        && let Some(number) = number()
    {
        return Value::Number(number);
    }
    Value::String(text.to_owned())
}

/// A JSON object out of a field; an empty field is an empty one.
///
/// # Errors
/// Where it is wrong, by line and column, and how one looks.
pub(crate) fn object(text: &str, such: &str) -> Result<Map<String, Value>, String> {
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(format!("not a JSON object; write {such}")),
        Err(error) => {
            let said = error.to_string();
            let what = said.split(" at line ").next().unwrap_or_default();
            Err(format!("not JSON at line {}, column {}: {what}; write {such}", error.line(), error.column()))
        }
    }
}

/// The settings as the page shows them.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct SettingsView {
    pub fields: Vec<SettingView>,
    pub formats: Vec<Choice>,
    pub rest: String,
    pub rest_error: Option<String>,
    pub open: bool,
    pub summary: String,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct SettingView {
    pub name: &'static str,
    pub label: &'static str,
    pub value: String,
    pub such: &'static str,
    pub decimal: bool,
    pub error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn settings_survive_the_form() {
        for settings in [
            json!({}),
            json!({"provider": "openai", "model": "gpt-4.1", "temperature": 0.2, "max_tokens": 800,
                   "response_format": "json_object"}),
            json!({"temperature": 1, "response_format": {"type": "json_schema"}, "tools": [{"name": "x"}]}),
            json!({"own": {"a": [1, null]}}),
        ] {
            let settings = map(settings);
            assert_eq!(Settings::of(&settings).parse(), (settings, Vec::new()));
        }
    }

    #[test]
    fn a_wrong_setting_is_told_at_its_field() {
        let form = |rest: &str| {
            Settings::of_form(&Form::of(&[("m-temperature", "warm"), ("m-max-tokens", "9"), ("model", rest)]))
        };
        let typed = form("{\n \"top_p\" 1}");
        let (_, flaws) = typed.parse();
        let view = typed.view(&flaws);
        assert!(view.rest_error.as_ref().is_some_and(|e| e.contains("line 2, column 10")), "{view:?}");
        assert!(view.fields[2].error.as_ref().is_some_and(|e| e.contains("from 0 to 2")), "{view:?}");
        assert_eq!((view.fields[2].value.as_str(), view.fields[3].error.is_none()), ("warm", true));
        let typed = form("{\"max_tokens\": 7, \"top_p\": 7}");
        let view = typed.view(&typed.parse().1);
        assert!(view.fields[3].error.as_ref().is_some_and(|e| e.contains("JSON below")), "{view:?}");
        assert!(view.rest_error.as_ref().is_some_and(|e| e.starts_with("Top_p is a number")), "{view:?}");
    }
}
