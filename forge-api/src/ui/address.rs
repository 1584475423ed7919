//! What stands in the address of a page: the names in its path, and its query. One that cannot be read is told on a
//! page, as every other fault is.

use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::extract::{self, FromRequestParts};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::fault::Fault;
use crate::error::ApiError;

/// The names in the path of a page, in the order in which its route has them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        match extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(extract::Path(value)) => Ok(Self(value)),
            Err(rejection) => Err(unread(&rejection).into()),
        }
    }
}

/// The query of a page's address. Names that the page does not know are passed over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        match extract::Query::<T>::from_request_parts(parts, state).await {
            Ok(extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(bad_query(&rejection.body_text()).into()),
        }
    }
}

fn unread(rejection: &PathRejection) -> ApiError {
    match rejection {
        PathRejection::FailedToDeserializePathParams(failed)
            if matches!(failed.kind(), ErrorKind::InvalidUtf8InPathParam { .. }) =>
        {
            let detail = "this address is no UTF-8 once its %-signs are decoded: go back and follow a link";
            ApiError::Invalid { code: "bad_address", field: None, detail: detail.into() }
        }
        other if other.status().is_server_error() => ApiError::internal(other.body_text()),
        // A word where a number belongs: no page has such an address.
        _ => ApiError::NotFound("page"),
    }
}

fn bad_query(said: &str) -> ApiError {
    // The framework begins with the name of its own error.
    let why = said.split_once(": ").map_or(said, |(_, why)| why);
    let detail = format!(
        "what stands behind the question mark of this address cannot be read ({why}): go back and follow a link"
    );
    ApiError::Invalid { code: "bad_query", field: None, detail }
}
