//! Model settings: what a prompt says to a model besides its text.
//!
//! Settings are JSON that FORGE hands through to whoever calls the model. Keys that every provider
//! reads alike are held to their type and range; every other key is kept as it is.

use schemas::prompt::Prompt;
use serde_json::{Map, Value};

use crate::error::{ApiError, Result};

/// Most tags of one prompt or set.
const TAGS_MAX: usize = 32;
/// Longest tag, in characters.
const TAG_MAX: usize = 64;
/// Largest number of tokens that a setting may ask for.
const TOKENS_MAX: u64 = 100_000_000;

/// What is wrong with a known key, and a value that works; none where it fits or nobody knows the key.
fn flaw(key: &str, value: &Value) -> Option<String> {
    let number = |low: f64, high: f64, such: &str| {
        let fits = value.as_f64().is_some_and(|n| (low..=high).contains(&n));
        (!fits).then(|| format!("is a number from {low} to {high}, such as {such}"))
    };
    let text = |such: &str| {
        let fits = value.as_str().is_some_and(|t| !t.trim().is_empty());
        (!fits).then(|| format!("is a text such as \"{such}\""))
    };
    match key {
        "provider" => text("openai"),
        "model" => text("gpt-4.1"),
        "temperature" => number(0.0, 2.0, "0.2"),
        "top_p" => number(0.0, 1.0, "0.9"),
        "presence_penalty" | "frequency_penalty" => number(-2.0, 2.0, "0.5"),
        "max_tokens" | "max_output_tokens" | "max_completion_tokens" | "top_k" => {
            let fits = value.as_u64().is_some_and(|n| (1..=TOKENS_MAX).contains(&n));
            (!fits).then(|| "is a whole number above 0, such as 800".to_owned())
        }
        "seed" => (!value.is_i64() && !value.is_u64()).then(|| "is a whole number, such as 7".to_owned()),
        "stream" => (!value.is_boolean()).then(|| "is true or false".to_owned()),
        "stop" => stop(value),
        "response_format" => response_format(value),
        "tools" => tools(value),
        "tool_choice" => (!value.is_string() && !value.is_object())
            .then(|| "is a text such as \"auto\", or an object that names a tool".to_owned()),
        _ => None,
    }
}

fn stop(value: &Value) -> Option<String> {
    let fits = match value {
        Value::String(_) => true,
        Value::Array(all) => all.iter().all(Value::is_string),
        _ => false,
    };
    (!fits).then(|| "is a text or a list of texts, such as [\"END\"]".to_owned())
}

fn response_format(value: &Value) -> Option<String> {
    let fits = match value {
        Value::String(word) => !word.is_empty(),
        Value::Object(object) => object.get("type").is_some_and(Value::is_string),
        _ => false,
    };
    (!fits).then(|| "is a word such as \"json_object\", or an object with a type".to_owned())
}

fn tools(value: &Value) -> Option<String> {
    const SUCH: &str = "such as [{\"type\": \"function\", \"function\": {\"name\": \"lookup\"}}]";
    let Value::Array(all) = value else { return Some(format!("is a list, {SUCH}")) };
    let named = |tool: &Value| {
        let name = tool.get("function").unwrap_or(tool).get("name").or_else(|| tool.get("type"));
        name.is_some_and(Value::is_string)
    };
    let at = all.iter().position(|tool| !named(tool))?;
    Some(format!("has no name in entry {}; write {SUCH}", at + 1))
}

/// The known settings that do not fit: each key with what is wrong and a value that works.
#[must_use]
pub fn flaws(settings: &Map<String, Value>) -> Vec<(String, String)> {
    settings.iter().filter_map(|(key, value)| Some((key.clone(), flaw(key, value)?))).collect()
}

/// Refuses tags that no list could show.
///
/// # Errors
/// Too many, an empty one, one that is too long or holds a comma.
pub fn check_tags(tags: &[String]) -> Result<()> {
    if tags.len() > TAGS_MAX {
        return Err(ApiError::invalid("invalid", "tags", format!("there are at most {TAGS_MAX} tags")));
    }
    let bad = |tag: &&String| {
        tag.trim().is_empty() || tag.chars().count() > TAG_MAX || tag.contains(',') || tag.contains('\n')
    };
    match tags.iter().find(bad) {
        Some(tag) => Err(ApiError::invalid(
            "invalid",
            "tags",
            format!("a tag has 1 to {TAG_MAX} characters and no comma; {tag:?} does not fit"),
        )),
        None => Ok(()),
    }
}

/// Refuses a prompt whose settings or tags do not fit. Its text may still be wrong.
///
/// # Errors
/// `model_invalid` at the first setting, or as [`check_tags`].
pub fn check_settings(prompt: &Prompt) -> Result<()> {
    if let Some((key, why)) = flaws(&prompt.model).into_iter().next() {
        return Err(ApiError::invalid("model_invalid", "model", format!("model setting {key} {why}")));
    }
    check_tags(&prompt.tags)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn keys(settings: Value) -> Vec<String> {
        let Value::Object(settings) = settings else { return Vec::new() };
        flaws(&settings).into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn known_settings_are_held_to_their_type_and_others_are_kept() {
        let good = json!({
            "provider": "openai", "model": "gpt-4.1", "temperature": 0, "top_p": 1, "max_tokens": 800, "seed": -7,
            "stop": ["END"], "response_format": {"type": "json_schema", "json_schema": {}}, "tool_choice": "auto",
            "tools": [{"type": "function", "function": {"name": "lookup"}}, {"name": "lookup"}, {"type": "web_search"}],
            "own": [1, null],
        });
        assert!(keys(good).is_empty());
        for (key, value) in [
            ("temperature", json!(2.1)),
            ("temperature", json!("0.2")),
            ("max_tokens", json!(0)),
            ("max_tokens", json!(1.5)),
            ("model", json!("")),
            ("stop", json!([1])),
            ("tools", json!([{"name": "a"}, {}])),
            ("tools", json!({})),
            ("response_format", json!(1)),
            ("seed", json!(0.5)),
        ] {
            let mut settings = Map::new();
            settings.insert(key.into(), value.clone());
            assert_eq!(keys(Value::Object(settings)), [key], "{value}");
        }
    }

    #[test]
    fn tags_are_words_that_a_list_can_show() {
        let tags = |all: &[&str]| all.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        assert!(check_tags(&tags(&["refunds", "two words"])).is_ok());
        assert!(check_tags(&tags(&[" "])).is_err() && check_tags(&tags(&["a,b"])).is_err());
        assert!(
            check_tags(&vec!["t".to_owned(); 33]).is_err() && check_tags(&tags(&[&"x".repeat(65)])).is_err()
        );
    }
}
