//! A JSON Schema (2020-12): an object that has the values of each prompt under its id.

use schemas::parameter::to_json_schema;
use serde_json::{Map, Value, json};

use super::{Source, text};

pub(super) fn write(source: &Source<'_>) -> String {
    let one = |prompt: &&schemas::prompt::Prompt| {
        let mut schema = to_json_schema(&prompt.parameters);
        if let Some(schema) = schema.as_object_mut() {
            schema.remove("$schema");
            if !prompt.description.is_empty() {
                schema.insert("description".into(), json!(prompt.description));
            }
        }
        (prompt.id.to_string(), schema)
    };
    let properties: Map<String, Value> = source.prompts.iter().map(one).collect();
    let document = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": source.header().join(" "),
        "title": format!("{}@{}", source.set, source.version),
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    // A value is always written.
    let mut text = text::shown(&serde_json::to_string_pretty(&document).unwrap_or_default());
    text.push('\n');
    text
}
