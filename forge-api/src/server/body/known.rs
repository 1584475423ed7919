//! The fields of a prompt. Reading passes over what it does not know in tagged choices and beside them, so that agents
//! can read what a newer FORGE writes; who writes a prompt here is told.

use serde_json::Value;

/// Of every parameter, whatever its type.
const PARAMETER: [&str; 6] = ["name", "type", "required", "default", "description", "example"];

/// What a type has besides.
fn bounds(kind: &str) -> &'static [&'static str] {
    match kind {
        "string" => &["min_length", "max_length"],
        "integer" | "number" => &["minimum", "maximum"],
        "enum" => &["values"],
        "list" => &["items", "min_items", "max_items"],
        "object" => &["properties"],
        _ => &[],
    }
}

/// The fields in parameters and content that no prompt has, each by its path. The body is a prompt, or holds some as
/// `prompt` or `prompts`.
pub(super) fn unknown(body: &Value) -> Vec<String> {
    let mut found = Vec::new();
    of_prompt("", body, &mut found);
    of_prompt("prompt.", &body["prompt"], &mut found);
    for (n, one) in list(&body["prompts"]) {
        of_prompt(&format!("prompts[{n}]."), one, &mut found);
    }
    found
}

fn list(value: &Value) -> impl Iterator<Item = (usize, &Value)> {
    value.as_array().into_iter().flatten().enumerate()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

/// Notes the fields of an object that are in neither list.
fn note(at: &str, value: &Value, known: &[&str], more: &[&str], found: &mut Vec<String>) {
    let names = value.as_object().into_iter().flat_map(|object| object.keys());
    let strange = names.filter(|name| !known.contains(&name.as_str()) && !more.contains(&name.as_str()));
    found.extend(strange.map(|name| format!("{at}.{name}")));
}

fn of_prompt(at: &str, prompt: &Value, found: &mut Vec<String>) {
    for (n, one) in list(&prompt["parameters"]) {
        of_parameter(&format!("{at}parameters[{n}]"), one, found);
    }
    let (content, at) = (&prompt["content"], format!("{at}content"));
    match text(content, "type") {
        "text" => note(&at, content, &["type", "template"], &[], found),
        "chat" => note(&at, content, &["type", "messages"], &[], found),
        // Which it should be, reading says.
        _ => return,
    }
    for (n, one) in list(&content["messages"]) {
        let known: &[&str] = match text(one, "type") {
            "message" => &["type", "role", "template"],
            "placeholder" => &["type", "name"],
            _ => continue,
        };
        note(&format!("{at}.messages[{n}]"), one, known, &[], found);
    }
}

fn of_parameter(at: &str, parameter: &Value, found: &mut Vec<String>) {
    note(at, parameter, &PARAMETER, bounds(text(parameter, "type")), found);
    within(at, parameter, found);
}

/// What a type is made of.
fn within(at: &str, kind: &Value, found: &mut Vec<String>) {
    let items = &kind["items"];
    if items.is_object() {
        let at = format!("{at}.items");
        note(&at, items, &["type"], bounds(text(items, "type")), found);
        within(&at, items, found);
    }
    for (n, one) in list(&kind["properties"]) {
        of_parameter(&format!("{at}.properties[{n}]"), one, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_no_prompt_has_is_found_wherever_it_stands() {
        let prompt = json!({
            "id": "a", "metadata": { "anything": { "min": 1 } }, "model": { "anything": 1 },
            "content": { "type": "chat", "foo": 1, "messages": [
                { "type": "message", "role": "user", "template": "x", "name": "y" },
                { "type": "placeholder", "name": "history" },
            ] },
            "parameters": [
                { "name": "n", "type": "integer", "min": 5, "maximum": 9, "default": { "min": 1 } },
                { "name": "l", "type": "list", "items": { "type": "object", "properties": [
                    { "name": "p", "type": "string", "requird": true },
                ], "most": 3 } },
            ],
        });
        let wrong = [
            "parameters[0].min",
            "parameters[1].items.most",
            "parameters[1].items.properties[0].requird",
            "content.foo",
            "content.messages[0].name",
        ];
        assert_eq!(unknown(&prompt), wrong);
        assert_eq!(unknown(&json!({ "prompt": prompt }))[0], "prompt.parameters[0].min");
        assert_eq!(unknown(&json!({ "prompts": [{}, prompt] }))[4], "prompts[1].content.messages[0].name");
    }

    #[test]
    fn all_that_is_written_of_a_prompt_is_known() {
        let kinds = json!([
            { "name": "a", "type": "string", "min_length": 1, "max_length": 2, "required": true },
            { "name": "b", "type": "integer", "minimum": 1, "maximum": 2, "default": 1, "description": "d" },
            { "name": "c", "type": "number", "minimum": 1.5, "maximum": 2.5, "example": 2.0 },
            { "name": "d", "type": "boolean" },
            { "name": "e", "type": "enum", "values": ["x"] },
            { "name": "f", "type": "list", "items": { "type": "boolean" }, "min_items": 1, "max_items": 2 },
            { "name": "g", "type": "object", "properties": [{ "name": "h", "type": "boolean" }] },
        ]);
        for content in [
            json!({ "type": "text", "template": "x" }),
            json!({ "type": "chat", "messages": [
                { "type": "message", "role": "system", "template": "x" },
                { "type": "placeholder", "name": "history" },
            ] }),
        ] {
            let written = json!({ "id": "a", "content": content, "parameters": kinds });
            let read: schemas::prompt::Prompt = serde_json::from_value(written.clone()).unwrap();
            let again = serde_json::to_value(read).unwrap();
            assert_eq!((&again["parameters"], &again["content"]), (&kinds, &content), "nothing is lost");
            assert_eq!(unknown(&again), Vec::<String>::new());
        }
    }
}
