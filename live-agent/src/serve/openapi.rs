//! The document of the API, made from the table of routes.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::Sidecar;
use super::problem::{Code, Document};
use super::routes::{Answer, COMMON, ROUTES, Route};

pub(super) async fn document(State(_): State<Arc<Sidecar>>) -> Json<Value> {
    Json(build())
}

/// The whole document, OpenAPI 3.1.
pub(super) fn build() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    let mut generator = settings.into_generator();
    let mut paths = Map::new();
    for route in ROUTES.iter().filter(|route| !route.people) {
        let operation = operation(route, &mut generator);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(route.method.to_lowercase(), operation);
        }
    }
    let _ = generator.subschema_for::<Document>();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "live sidecar",
            "version": crate::VERSION,
            "description": "Prompts that FORGE published, verified and rendered on this machine. Paths are \
                            below the place where it is mounted.",
        },
        "servers": [{ "url": "." }],
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer" },
                "password": { "type": "http", "scheme": "basic" },
            },
        },
    })
}

fn operation(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let mut operation = json!({ "operationId": route.name, "summary": route.summary });
    let mut put = |key: &str, value: Value| {
        if let Some(operation) = operation.as_object_mut() {
            operation.insert(key.into(), value);
        }
    };
    let mut parameters: Vec<Value> = Vec::new();
    if route.path.ends_with("{id}") {
        parameters
            .push(json!({ "name": "id", "in": "path", "required": true, "schema": { "type": "string" } }));
    }
    for (name, what) in route.query {
        parameters.push(json!({ "name": name, "in": "query", "required": true, "description": what,
            "schema": { "type": "string" } }));
    }
    put("parameters", parameters.into());
    if let Some(shape) = route.body {
        let schema = shape(generator);
        put("requestBody", json!({ "content": { "application/json": { "schema": schema } } }));
    }
    if !route.open {
        put("security", json!([{ "token": [] }, { "password": [] }]));
    }
    put("responses", responses(route, generator).into());
    operation
}

fn responses(route: &Route, generator: &mut SchemaGenerator) -> Map<String, Value> {
    let mut responses = Map::new();
    let content = match &route.answer {
        Answer::Json(shape) => json!({ "application/json": { "schema": shape(generator) } }),
        Answer::JsonOrText(shape) => json!({
            "application/json": { "schema": shape(generator) },
            "text/plain": { "schema": { "type": "string" } },
        }),
        Answer::Health(shape) => {
            let content = json!({ "application/json": { "schema": shape(generator) } });
            responses.insert("503".into(), json!({ "description": "No, and why", "content": content }));
            content
        }
        Answer::Text(kind) => json!({ *kind: { "schema": { "type": "string" } } }),
    };
    responses.insert("200".into(), json!({ "description": "Done", "content": content }));
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in errors(route) {
        by_status.entry(code.status().as_u16()).or_default().push(code);
    }
    for (status, codes) in by_status {
        let said: Vec<String> =
            codes.iter().map(|code| format!("`{}`: {}", code.name(), code.meaning())).collect();
        let names: Vec<&str> = codes.iter().map(|code| code.name()).collect();
        let content = json!({ "application/problem+json": {
            "schema": { "$ref": "#/components/schemas/Document" } } });
        let problem = json!({ "description": said.join("; "), "x-codes": names, "content": content });
        match responses.get_mut("503").filter(|_| status == 503).and_then(Value::as_object_mut) {
            Some(there) => {
                there.insert("x-codes".into(), json!(names));
            }
            None => {
                responses.insert(status.to_string(), problem);
            }
        }
    }
    responses
}

/// Every error that a route may answer.
fn errors(route: &Route) -> Vec<Code> {
    let mut all = vec![Code::WrongHost];
    if !route.open {
        all.extend(COMMON);
        if route.method != "GET" {
            all.push(Code::CrossSite);
        }
    }
    all.extend(route.errors);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_of_the_document_leads_somewhere() {
        fn walk(value: &Value, whole: &Value) {
            match value {
                Value::Object(map) => {
                    if let Some(Value::String(to)) = map.get("$ref") {
                        let pointer = to.strip_prefix('#').unwrap_or_else(|| panic!("{to} is elsewhere"));
                        assert!(whole.pointer(pointer).is_some(), "{to} leads nowhere");
                    }
                    map.values().for_each(|value| walk(value, whole));
                }
                Value::Array(all) => all.iter().for_each(|value| walk(value, whole)),
                _ => {}
            }
        }
        let document = build();
        walk(&document, &document);
        let operations: usize =
            document["paths"].as_object().unwrap().values().map(|p| p.as_object().unwrap().len()).sum();
        assert_eq!(operations, ROUTES.iter().filter(|route| !route.people).count());
        let render = &document["paths"]["/v1/render"]["post"];
        assert!(render["responses"]["422"]["x-codes"].to_string().contains("\"bad_values\""), "{render}");
    }
}
