//! What a page says when it cannot do what was asked: what, why, and the way out.

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Serialize;

use super::editor::sentence;
use super::engine;
use super::frame::Frame;
use super::view::encoded;
use crate::error::{ApiError, chain};

/// What a page's handler gives.
pub(crate) type PageResult = Result<Response, Fault>;

/// Why there is no page.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Somebody who is not signed in; the address is where to go on afterwards.
    SignIn {
        next: String,
    },
    Error(ApiError),
}

impl From<ApiError> for Fault {
    fn from(error: ApiError) -> Self {
        Self::Error(error)
    }
}

#[derive(Debug, Serialize)]
struct Page {
    icon: &'static str,
    title: String,
    text: String,
    href: &'static str,
    action: &'static str,
    request: Option<String>,
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        match self {
            Self::SignIn { next } if next == "/" => Redirect::to("/-/sign-in").into_response(),
            Self::SignIn { next } => {
                Redirect::to(&format!("/-/sign-in?next={}", encoded(&next))).into_response()
            }
            Self::Error(error) => error_page(&error),
        }
    }
}

/// Whether who asks is a person with a browser, outside of the API.
pub(crate) fn wants_page(request: &Request) -> bool {
    let accept = request.headers().get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    !request.uri().path().starts_with("/api/") && accept.contains("text/html")
}

/// The page of an error that belongs to no form.
pub(crate) fn error_page(error: &ApiError) -> Response {
    let request = matches!(error, ApiError::Internal(_)).then(crate::clock::new_id);
    if let ApiError::Internal(source) = error {
        tracing::error!(error = %chain(source.as_ref()), fault.id = request, "page failed");
    }
    let (icon, title, text) = match error {
        ApiError::NotFound(_) | ApiError::Hidden { .. } => (
            "search",
            "This page does not exist, or you may not see it".to_owned(),
            "We do not say which. Ask an owner of the organisation if you expected to find something here."
                .to_owned(),
        ),
        ApiError::Forbidden(why) | ApiError::NotAllowed { detail: why, .. } => {
            ("lock", "You may not do this".to_owned(), sentence(why))
        }
        ApiError::Unavailable(why) => ("unplug", "Not possible at the moment".to_owned(), sentence(why)),
        ApiError::Internal(_) => (
            "alert",
            "Something went wrong in FORGE".to_owned(),
            "Nothing was changed. Try again; if it stays, tell the operator the number below.".to_owned(),
        ),
        other => ("alert", "Not done".to_owned(), sentence(&other.to_string())),
    };
    let page = Page { icon, title: title.clone(), text, href: "/", action: "Go to the dashboard", request };
    let frame = Frame::default().titled(title, "");
    let mut response = engine::page(error.status(), "fault.html", &frame, &page);
    error.mark(&mut response);
    response
}

/// The words of an error beside the form that it came from; anything else is a page of its own.
///
/// # Errors
/// The error, where the form can do nothing about it.
pub(crate) fn beside_form(error: ApiError) -> Result<(StatusCode, String), Fault> {
    match error {
        ApiError::Internal(_)
        | ApiError::NotFound(_)
        | ApiError::Hidden { .. }
        | ApiError::NotAllowed { .. }
        | ApiError::SignInRequired => Err(Fault::Error(error)),
        other => Ok((other.status(), sentence(&other.to_string()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn body(response: Response) -> String {
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn what_is_not_there_and_what_is_not_allowed_to_be_seen_are_one_page() {
        let response = error_page(&ApiError::NotFound("project"));
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        let html = body(response).await;
        assert!(html.contains("This page does not exist, or you may not see it"), "{html}");
        assert!(!html.contains("project"), "{html}");
    }

    #[tokio::test]
    async fn an_inner_error_tells_a_number_and_no_more() {
        let response = error_page(&ApiError::internal("the secret of the database"));
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let html = body(response).await;
        assert!(html.contains("request 0"), "{html}");
        assert!(!html.contains("secret"), "{html}");
    }

    #[test]
    fn who_is_not_signed_in_comes_back_to_where_they_wanted_to_go() {
        let response = Fault::SignIn { next: "/acme/shop?q=a b".into() }.into_response();
        assert_eq!(response.headers()["location"], "/-/sign-in?next=%2Facme%2Fshop%3Fq%3Da%20b");
    }
}
