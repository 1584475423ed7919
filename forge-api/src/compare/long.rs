//! What is too long for a sentence about it, side by side.

use schemas::parameter::Parameter;
use schemas::prompt::Prompt;
use serde_json::Value;

use super::diff::Diff;
use super::facts::is_long;

/// Every value of `old` that a fact shows in part only, and what `new` has in its place. Texts and messages are not
/// among them.
#[must_use]
pub fn long(old: &Prompt, new: &Prompt) -> Vec<Diff> {
    let new = values(new);
    values(old)
        .into_iter()
        .filter(|one| one.long)
        .map(|one| {
            let now = new.iter().find(|other| other.name == one.name).map_or("", |other| other.text.as_str());
            Diff::of(one.name, &one.text, now)
        })
        .filter(|diff| !diff.is_empty())
        .collect()
}

/// A value by its name, one line of it under the other.
struct Named {
    name: String,
    text: String,
    long: bool,
}

impl Named {
    fn of(name: String, value: &Value) -> Self {
        let text = match value {
            Value::String(text) => text.clone(),
            other => serde_json::to_string_pretty(other).unwrap_or_default(),
        };
        Self { name, text, long: is_long(value) }
    }
}

fn values(prompt: &Prompt) -> Vec<Named> {
    let mut found = vec![
        Named::of("description".into(), &Value::String(prompt.description.clone())),
        Named::of("tags".into(), &Value::String(prompt.tags.join(", "))),
    ];
    found.extend(prompt.parameters.iter().map(parameter));
    found.extend(prompt.model.iter().map(|(key, value)| Named::of(format!("model setting {key}"), value)));
    found.extend(prompt.metadata.iter().map(|(key, value)| Named::of(format!("metadata {key}"), value)));
    found
}

/// A parameter as a whole, long where one of its fields is.
fn parameter(parameter: &Parameter) -> Named {
    let whole = serde_json::to_value(parameter).unwrap_or_default();
    let long = whole.as_object().is_some_and(|fields| fields.values().any(is_long));
    Named { long, ..Named::of(format!("parameter {}", parameter.name), &whole) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::PromptId;

    #[test]
    fn only_what_a_sentence_cuts_off_stands_side_by_side() {
        let with = |description: &str, tools: &str| {
            let mut prompt = Prompt::text(PromptId::new("a").unwrap(), "x");
            prompt.description = description.to_owned();
            prompt.model.insert("tools".into(), tools.into());
            prompt
        };
        let (one, other) = (format!("{} one", "word ".repeat(20)), format!("{} other", "word ".repeat(20)));
        let found = long(&with(&one, "short"), &with(&other, "shorter"));
        assert_eq!(found.iter().map(|diff| diff.title.as_str()).collect::<Vec<_>>(), ["description"]);
        assert_eq!((found[0].plus, found[0].minus), (1, 1));
        assert!(long(&with(&one, &one), &with(&one, &one)).is_empty());
        // What is long here only is told as something new.
        assert!(long(&with("", ""), &with(&one, &one)).is_empty());
    }
}
