//! What holds for every route of the API, whoever wrote it:
//!
//! - a query parameter that the description does not name is refused (422 `unknown_parameter`);
//! - an address that is no UTF-8 is refused (422 `bad_address`);
//! - every refusal is a problem document, also where it is not ours;
//! - every JSON that is read by GET has an ETag, and `If-None-Match` is answered with 304;
//! - a POST with an `Idempotency-Key` is done once ([`super::idempotency`]).

use axum::body::{Body, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};
use sha2::{Digest as _, Sha256};

use super::page::Asked;
use super::{idempotency, openapi};
use crate::error::{ApiError, Result};
use crate::state::AppState;

/// Largest answer that gets a tag of its own, in bytes.
const TAGGED_MAX: usize = 64 * 1024 * 1024;

/// Stands around every route under `/api/v1`.
pub(crate) async fn manners(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    if !request.uri().path().starts_with("/api/") {
        return next.run(request).await;
    }
    let asked = Asked(request.uri().clone());
    request.extensions_mut().insert(asked);
    let (reads, headers) = (request.method() == Method::GET, request.headers().clone());
    let answer = match check(&request) {
        Err(error) => error.into_response(),
        Ok(()) if request.method() == Method::POST && headers.contains_key(idempotency::KEY) => {
            idempotency::once(&state, request, next).await.unwrap_or_else(ApiError::into_response)
        }
        Ok(()) => next.run(request).await,
    };
    let answer = problem(answer);
    if reads && answer.status() == StatusCode::OK { tagged(&headers, answer).await } else { answer }
}

fn check(request: &Request) -> Result<()> {
    if !decodes(request.uri().path()) {
        let detail = "the address is no UTF-8 once its %-signs are decoded";
        return Err(ApiError::Invalid { code: "bad_address", field: None, detail: detail.into() });
    }
    let (Some(query), Some(path)) = (request.uri().query(), request.extensions().get::<MatchedPath>()) else {
        return Ok(());
    };
    let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
    let known = openapi::parameters(method.as_str(), path.as_str());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let name = pair.split('=').next().unwrap_or_default();
        if !known.iter().any(|known| known == name) {
            let shown: String = name.chars().take(100).collect();
            let detail = match known.is_empty() {
                true => format!("{shown:?} is no parameter of this address; it takes none"),
                false => format!("{shown:?} is no parameter of this address; it takes {}", known.join(", ")),
            };
            return Err(ApiError::Invalid { code: "unknown_parameter", field: None, detail });
        }
    }
    Ok(())
}

/// Whether an address is UTF-8, with `%41` for a byte.
fn decodes(path: &str) -> bool {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escaped = tail.get(..2).filter(|_| *first == b'%');
        match escaped.and_then(|two| HEXLOWER_PERMISSIVE.decode(two).ok()) {
            Some(byte) => {
                bytes.extend(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).is_ok()
}

/// A refusal that the framework wrote, as ours.
fn problem(answer: Response) -> Response {
    let status = answer.status();
    let ours = [&b"application/problem+json"[..], b"application/json"];
    let is_ours = answer.headers().get(header::CONTENT_TYPE).is_some_and(|v| ours.contains(&v.as_bytes()));
    if is_ours || !(status.is_client_error() || status.is_server_error()) {
        return answer;
    }
    let detail = "the request could not be read";
    match status {
        StatusCode::NOT_FOUND => ApiError::NotFound("page"),
        StatusCode::METHOD_NOT_ALLOWED => {
            let allow = answer.headers().get(header::ALLOW).and_then(|v| v.to_str().ok());
            ApiError::Method { allow: allow.unwrap_or("another method").to_owned() }
        }
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::TooLarge("the body is too large".into()),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ApiError::MediaType("send another kind of body".into()),
        _ if status.is_server_error() => ApiError::internal(format!("a bare answer {status}")),
        _ => ApiError::Invalid { code: "bad_request", field: None, detail: detail.into() },
    }
    .into_response()
}

/// The answer with its tag, or 304 where the caller has it already.
async fn tagged(asked: &HeaderMap, answer: Response) -> Response {
    let is_json =
        answer.headers().get(header::CONTENT_TYPE).is_some_and(|v| v.as_bytes() == b"application/json");
    let (mut parts, body) = answer.into_parts();
    let (tag, body) = match parts.headers.get(header::ETAG) {
        Some(tag) => (tag.clone(), body),
        None if !is_json => return Response::from_parts(parts, body),
        None => {
            let bytes = match to_bytes(body, TAGGED_MAX).await {
                Ok(bytes) => bytes,
                Err(error) => return ApiError::internal(error).into_response(),
            };
            let tag = format!("\"{}\"", BASE64URL_NOPAD.encode(&Sha256::digest(&bytes)));
            let Ok(tag) = HeaderValue::from_str(&tag) else {
                return Response::from_parts(parts, Body::from(bytes));
            };
            parts.headers.insert(header::ETAG, tag.clone());
            (tag, Body::from(bytes))
        }
    };
    if !names(asked, tag.to_str().unwrap_or_default()) {
        return Response::from_parts(parts, body);
    }
    parts.status = StatusCode::NOT_MODIFIED;
    parts.headers.remove(header::CONTENT_TYPE);
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::empty())
}

/// Whether `If-None-Match` names a tag.
pub(super) fn names(asked: &HeaderMap, tag: &str) -> bool {
    let lists = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|v| v.to_str().ok());
    lists
        .flat_map(|list| list.split(','))
        .map(|t| t.trim().trim_start_matches("W/"))
        .any(|t| t == "*" || t == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_is_decoded() {
        for good in ["/a", "/%e2%82%ac", "/a%20b", "/100%", "/%zz", "/%00"] {
            assert!(decodes(good), "{good}");
        }
        for bad in ["/%ff", "/%c3%28", "/%E2%82", "/a/%80"] {
            assert!(!decodes(bad), "{bad}");
        }
    }

    #[test]
    fn a_tag_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(header::IF_NONE_MATCH, HeaderValue::from_static("\"x\", W/\"3\""));
        assert!(names(&headers, "\"3\"") && !names(&headers, "\"4\""));
        headers.append(header::IF_NONE_MATCH, HeaderValue::from_static("*"));
        assert!(names(&headers, "\"4\""));
    }
}
