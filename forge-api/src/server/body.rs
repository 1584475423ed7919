//! Bodies and queries of requests; what cannot be read becomes a problem like any other.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_path_to_error::Track;

use crate::error::{ApiError, Result};

/// So many fields that are not known are named.
const UNKNOWN: usize = 5;

/// A JSON body. A field that the body does not have is refused: it is a name that was misspelt, or one of a newer
/// FORGE. Within a tagged choice, such as a prompt's content, it is passed over.
#[derive(Debug, Clone, Copy)]
pub struct ApiJson<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for ApiJson<T> {
    type Rejection = ApiError;
    async fn from_request(request: Request, state: &S) -> Result<Self> {
        if !is_json(request.headers()) {
            let detail = "send a JSON body with the header content-type: application/json";
            return Err(ApiError::MediaType(detail.into()));
        }
        read(&bytes(request, state).await?).map(Self)
    }
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
            unknown.push(field.to_string());
        }
    });
    let value = found.map_err(|error: serde_json::Error| {
        let at = track.path().to_string();
        let detail = if at == "." { error.to_string() } else { format!("{at}: {error}") };
        match (unknown.is_empty(), error.to_string().starts_with("unknown field")) {
            (true, false) => bad(detail),
            (true, true) => unknown_field(detail),
            // What is missing is often what was misspelt.
            (false, _) => unknown_field(format!("nothing here is called {}; {detail}", unknown.join(", "))),
        }
    })?;
    json.end().map_err(|error| bad(error.to_string()))?;
    if unknown.is_empty() {
        return Ok(value);
    }
    Err(unknown_field(format!(
        "nothing here is called {}; leave it out, or mend its name",
        unknown.join(", ")
    )))
}

fn unknown_field(detail: String) -> ApiError {
    ApiError::Invalid { code: "unknown_field", field: None, detail }
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
}
