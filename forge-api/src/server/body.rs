//! Bodies and queries of requests; what cannot be read becomes a problem like any other.

mod known;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Track;

use crate::error::{ApiError, Result};

/// So many fields that are not known are named.
const UNKNOWN: usize = 5;
/// The way out.
const MEND: &str = "leave it out, or mend its name";

/// A JSON body. A field that the body does not have is refused: it is a name that was misspelt, or one of a newer
/// FORGE. Reading passes over those within a prompt's parameters and content: a body that holds prompts comes by
/// [`PromptJson`].
#[derive(Debug, Clone, Copy)]
pub struct ApiJson<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for ApiJson<T> {
    type Rejection = ApiError;
    async fn from_request(request: Request, state: &S) -> Result<Self> {
        read(&json(request, state).await?).map(Self)
    }
}

/// A JSON body that is a prompt, or holds some as `prompt` or `prompts`: no field of theirs is passed over either.
#[derive(Debug, Clone, Copy)]
pub struct PromptJson<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for PromptJson<T> {
    type Rejection = ApiError;
    async fn from_request(request: Request, state: &S) -> Result<Self> {
        read_prompts(&json(request, state).await?).map(Self)
    }
}

async fn json<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes> {
    if !is_json(request.headers()) {
        let detail = "send a JSON body with the header content-type: application/json";
        return Err(ApiError::MediaType(detail.into()));
    }
    bytes(request, state).await
}

/// The whole body of a request.
///
/// # Errors
/// [`ApiError::TooLarge`], or it broke off.
pub(crate) async fn bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes> {
    Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::TooLarge("the body is too large".into()),
        _ => bad("the body broke off".into()),
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let (mut track, mut unknown) = (Track::new(), Vec::new());
    let path = serde_path_to_error::Deserializer::new(&mut json, &mut track);
    let found = serde_ignored::deserialize(path, |field| {
        if unknown.len() < UNKNOWN {
            unknown.push(shown(&field));
        }
    });
    let value = found.map_err(|error: serde_json::Error| {
        let at = track.path().to_string();
        let detail = if at == "." { error.to_string() } else { format!("{at}: {error}") };
        match (unknown.is_empty(), error.to_string().starts_with("unknown field")) {
            (true, false) => bad(detail),
            (true, true) => ApiError::UnknownField { field: None, detail },
            // What is missing is often what was misspelt.
            (false, _) => unknown_field(&unknown, &detail),
        }
    })?;
    json.end().map_err(|error| bad(error.to_string()))?;
    if unknown.is_empty() {
        return Ok(value);
    }
    Err(unknown_field(&unknown, MEND))
}

fn read_prompts<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let found = read::<T>(bytes);
    if found.as_ref().is_err_and(|error| error.code() != "bad_json") {
        return found;
    }
    let mut unknown =
        serde_json::from_slice(bytes).map(|body: Value| known::unknown(&body)).unwrap_or_default();
    unknown.truncate(UNKNOWN);
    match found {
        found if unknown.is_empty() => found,
        Ok(_) => Err(unknown_field(&unknown, MEND)),
        Err(error) => Err(unknown_field(&unknown, &error.to_string())),
    }
}

/// Where a field stands, such as `prompts[3].titel`.
fn shown(path: &serde_ignored::Path<'_>) -> String {
    use serde_ignored::Path;
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => format!("{}[{index}]", shown(parent)),
        Path::Map { parent, key } => match shown(parent) {
            parent if parent.is_empty() => key.clone(),
            parent => format!("{parent}.{key}"),
        },
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => {
            shown(parent)
        }
    }
}

fn unknown_field(names: &[String], way_out: &str) -> ApiError {
    ApiError::UnknownField {
        field: names.first().cloned(),
        detail: format!("nothing here is called {}; {way_out}", names.join(", ")),
    }
}

fn bad(detail: String) -> ApiError {
    ApiError::Invalid { code: "bad_json", field: None, detail }
}

/// A query string. Its names are held against the route's before ([`crate::api`]).
#[derive(Debug, Clone, Copy)]
pub struct ApiQuery<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        Query::from_request_parts(parts, state).await.map(|Query(value)| Self(value)).map_err(|rejection| {
            ApiError::Invalid { code: "bad_query", field: None, detail: rejection.body_text() }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::body::PublishRequest;

    fn code(text: &str) -> (&'static str, String) {
        let error = read::<PublishRequest>(text.as_bytes()).unwrap_err();
        (error.code(), error.to_string())
    }

    #[test]
    fn what_is_wrong_with_a_body_is_named() {
        let good = r#"{"set":"a","environment":"b","version":"1.0.0"}"#;
        assert!(read::<PublishRequest>(good.as_bytes()).is_ok());
        let (found, detail) = code(r#"{"set":"a","environment":"b","version":"1.0.0","serial":1}"#);
        assert_eq!(found, "unknown_field");
        assert!(detail.contains("serial"), "{detail}");
        let (found, detail) = code(r#"{"set":"a","enviroment":"b","version":"1.0.0"}"#);
        assert!(found == "unknown_field" && detail.contains("enviroment; missing field"), "{detail}");
        let (found, detail) = code(r#"{"set":"a","environment":3,"version":"1.0.0"}"#);
        assert_eq!(found, "bad_json");
        assert!(detail.starts_with("environment: "), "{detail}");
        for broken in ["", "{", "[]", &format!("{good} x")] {
            assert_eq!(code(broken).0, "bad_json", "{broken}");
        }
    }

    #[test]
    fn what_no_prompt_has_is_named_with_its_place() {
        let wrong = |text: &str| {
            let error = read_prompts::<schemas::prompt::Prompt>(text.as_bytes()).unwrap_err();
            (error.code(), error.problem()["field"].clone(), error.to_string())
        };
        let (code, field, _) = wrong(
            r#"{"id":"a","content":{"type":"text","template":"x"},
                "parameters":[{"name":"n","type":"integer","min":5}]}"#,
        );
        assert_eq!((code, field), ("unknown_field", "parameters[0].min".into()));
        // What is missing is what was misspelt.
        let (code, field, detail) = wrong(r#"{"id":"a","content":{"type":"text","templat":"x"}}"#);
        assert_eq!((code, field), ("unknown_field", "content.templat".into()));
        assert!(detail.contains("missing field `template`"), "{detail}");
        let (code, field, _) = wrong(r#"{"id":"a","content":{"type":"text","template":"x"},"tag":[]}"#);
        assert_eq!((code, field), ("unknown_field", "tag".into()));
    }
}
