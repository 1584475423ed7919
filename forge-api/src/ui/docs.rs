//! The API's description, to read: the same document that programs get, without script and without a network.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;

use super::engine;
use super::frame::Frame;
use super::visitor::{Look, Visitor};
use crate::api;
use crate::error::code::CODES;
use crate::state::AppState;

#[derive(Debug, Serialize)]
struct Page {
    version: String,
    tags: Vec<Tag>,
    schemas: Vec<Shape>,
    codes: Vec<CodeRow>,
}

#[derive(Debug, Serialize)]
struct Tag {
    id: String,
    name: String,
    text: String,
    operations: Vec<Operation>,
}

#[derive(Debug, Serialize)]
struct Operation {
    id: String,
    method: String,
    path: String,
    summary: String,
    needs: String,
    parameters: Vec<Parameter>,
    takes: Option<String>,
    example: Option<String>,
    answers: Vec<Answer>,
    bounded: Option<String>,
}

#[derive(Debug, Serialize)]
struct Parameter {
    name: String,
    place: String,
    required: bool,
    kind: String,
    text: String,
}

#[derive(Debug, Serialize)]
struct Answer {
    status: String,
    text: String,
    shape: Option<String>,
}

#[derive(Debug, Serialize)]
struct Shape {
    name: String,
    text: String,
    schema: String,
}

#[derive(Debug, Serialize)]
struct CodeRow {
    name: &'static str,
    status: u16,
    text: &'static str,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The name of the schema that a value refers to.
fn named(schema: &Value) -> Option<String> {
    schema["$ref"].as_str()?.rsplit('/').next().map(str::to_owned)
}

fn kind(schema: &Value) -> String {
    let word = text(&schema["type"]);
    match schema["enum"].as_array() {
        Some(all) => all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" | "),
        None if word.is_empty() => "string".into(),
        None => word,
    }
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

impl Operation {
    fn of(method: &str, path: &str, operation: &Value) -> Self {
        let body = &operation["requestBody"]["content"]["application/json"];
        let in_person = operation["security"] == serde_json::json!([{ "session": [] }]);
        let public = operation["security"].as_array().is_some_and(Vec::is_empty);
        let needs = match operation["x-needs"].as_str() {
            Some(what) if in_person => format!("may {what}; by a session, not by a token"),
            Some(what) if what.starts_with("a role") => format!("who has {what}"),
            Some(what) => format!("may {what}"),
            None if public => "anybody".into(),
            None => "signed in".into(),
        };
        let parameters = items(&operation["parameters"]).map(|p| Parameter {
            name: text(&p["name"]),
            place: text(&p["in"]),
            required: p["required"] == true,
            kind: kind(&p["schema"]),
            text: text(&p["description"]),
        });
        let answers = entries(&operation["responses"]).map(|(status, answer)| Answer {
            status: status.clone(),
            text: text(&answer["description"]),
            shape: entries(&answer["content"]).find_map(|(_, content)| named(&content["schema"])),
        });
        Self {
            id: text(&operation["operationId"]),
            method: method.to_uppercase(),
            path: path.to_owned(),
            summary: text(&operation["summary"]),
            needs,
            parameters: parameters.collect(),
            takes: named(&body["schema"]),
            example: Some(&body["example"])
                .filter(|example| !example.is_null())
                .and_then(|example| serde_json::to_string_pretty(example).ok()),
            answers: answers.collect(),
            bounded: operation["x-bounded"].as_str().map(str::to_owned),
        }
    }
}

impl Page {
    fn new() -> Self {
        let document = api::document();
        let mut tags: Vec<Tag> = items(&document["tags"])
            .map(|tag| Tag {
                id: text(&tag["name"]).to_lowercase().replace([' ', ','], "-"),
                name: text(&tag["name"]),
                text: text(&tag["description"]),
                operations: Vec::new(),
            })
            .collect();
        for (path, methods) in entries(&document["paths"]) {
            for (method, operation) in entries(methods) {
                let name = operation["tags"][0].as_str().unwrap_or_default();
                if let Some(tag) = tags.iter_mut().find(|tag| tag.name == name) {
                    tag.operations.push(Operation::of(method, path, operation));
                }
            }
        }
        tags.retain(|tag| !tag.operations.is_empty());
        let schemas = entries(&document["components"]["schemas"]).map(|(name, schema)| Shape {
            name: name.clone(),
            text: text(&schema["description"]),
            schema: serde_json::to_string_pretty(schema).unwrap_or_default(),
        });
        Self {
            version: text(&document["info"]["version"]),
            tags,
            schemas: schemas.collect(),
            codes: CODES.iter().map(|c| CodeRow { name: c.name, status: c.status, text: c.text }).collect(),
        }
    }
}

/// Whoever looks, signed in or not.
pub(super) struct Reader(Frame);

impl FromRequestParts<AppState> for Reader {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Self::Rejection> {
        Ok(Self(match Visitor::from_request_parts(parts, state).await {
            Ok(visitor) => visitor.anywhere(),
            Err(_) => Frame { theme: look(&parts.headers), ..Frame::default() },
        }))
    }
}

fn look(headers: &HeaderMap) -> Option<&'static str> {
    Look::of(headers).theme
}

/// `GET /api/docs`.
pub(super) async fn get_docs(Reader(frame): Reader) -> Response {
    let frame = frame.crumb("Help", "/-/help").titled("API", "help");
    engine::page(StatusCode::OK, "docs.html", &frame, &Page::new())
}
