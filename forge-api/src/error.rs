//! The one error of FORGE, and how HTTP says it: RFC 9457 problem+json with a stable `code`.

pub mod code;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemas::bundle::BundleError;
use schemas::names::NameError;
use schemas::template::TemplateError;
use serde_json::{Map, Value, json};

use crate::database::DatabaseError;

/// Why FORGE did not do what was asked. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// What was sent cannot be taken; `field` names the part.
    #[error("{detail}")]
    Invalid { code: &'static str, field: Option<&'static str>, detail: String },
    /// A field that the body does not have; `field` is the place of the first.
    #[error("{detail}")]
    UnknownField { field: Option<String>, detail: String },
    /// Templates that do not compile, each with its place.
    #[error("{} template error(s): {}", .0.len(), first(.0))]
    Template(Vec<TemplateError>),
    /// Values that do not fit a prompt's parameters.
    #[error("{detail}")]
    Parameters { detail: String, problems: Value },
    /// It was well-formed, and the state of things forbids it.
    #[error("{detail}")]
    Conflict { code: &'static str, detail: String, more: Value },
    /// Larger than is taken.
    #[error("{0}")]
    TooLarge(String),
    /// A body of another kind than the route takes.
    #[error("{0}")]
    MediaType(String),
    /// The address is there, and does not take this method; `allow` lists those that it takes.
    #[error("this address takes {allow}")]
    Method { allow: String },
    #[error("sign in first")]
    SignInRequired,
    /// Not for whoever asks, and everybody may know that it is there.
    #[error("{0}")]
    Forbidden(String),
    /// A member whose role, or whose token, does not allow this.
    #[error("{detail}")]
    NotAllowed { organisation_id: String, detail: String },
    /// Somebody else's: to the caller it is [`ApiError::NotFound`], and only the audit log knows better.
    #[error("there is no such {what}, or it is not yours to see")]
    Hidden { what: &'static str, organisation_id: String },
    /// Not there, or not to be seen by this actor: the two are not told apart.
    #[error("there is no such {0}, or it is not yours to see")]
    NotFound(&'static str),
    #[error("too many requests; try again in {retry_after_s} s")]
    TooMany { retry_after_s: u64 },
    /// Something that FORGE needs is not there at the moment.
    #[error("{0}")]
    Unavailable(String),
    /// Ours to mend: the caller learns nothing but the request id.
    #[error("something went wrong in forge; nothing was changed")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

fn first(errors: &[TemplateError]) -> String {
    errors.first().map(ToString::to_string).unwrap_or_default()
}

/// A result of the domain.
pub type Result<T, E = ApiError> = std::result::Result<T, E>;

impl ApiError {
    /// An invalid part of the input.
    pub fn invalid(code: &'static str, field: &'static str, detail: impl Into<String>) -> Self {
        Self::Invalid { code, field: Some(field), detail: detail.into() }
    }

    /// A conflict with nothing more to say.
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Conflict { code, detail: detail.into(), more: Value::Null }
    }

    /// Something of ours that broke.
    pub fn internal(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(error.into())
    }

    /// The stable name of the kind of problem.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid { code, .. } | Self::Conflict { code, .. } => code,
            Self::UnknownField { .. } => "unknown_field",
            Self::Template(_) => "template_invalid",
            Self::Parameters { .. } => "parameters_invalid",
            Self::TooLarge(_) => "too_large",
            Self::MediaType(_) => "bad_content_type",
            Self::Method { .. } => "method_not_allowed",
            Self::SignInRequired => "sign_in_required",
            Self::Forbidden(_) | Self::NotAllowed { .. } => "forbidden",
            Self::NotFound(_) | Self::Hidden { .. } => "not_found",
            Self::TooMany { .. } => "rate_limited",
            Self::Unavailable(_) => "unavailable",
            Self::Internal(_) => "internal",
        }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Invalid { .. }
            | Self::UnknownField { .. }
            | Self::Template(_)
            | Self::Parameters { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Conflict { .. } => StatusCode::CONFLICT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::SignInRequired => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) | Self::NotAllowed { .. } => StatusCode::FORBIDDEN,
            Self::NotFound(_) | Self::Hidden { .. } => StatusCode::NOT_FOUND,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What the audit log says of it, where somebody was refused.
    #[must_use]
    pub fn refused(&self) -> Option<Refused> {
        let organisation_id = match self {
            Self::NotAllowed { organisation_id, .. } | Self::Hidden { organisation_id, .. } => {
                Some(organisation_id.clone())
            }
            Self::Forbidden(_) | Self::SignInRequired | Self::TooMany { .. } => None,
            _ => return None,
        };
        let why = match self {
            Self::Hidden { .. } => "no member of the organisation".to_owned(),
            other => other.to_string(),
        };
        Some(Refused { organisation_id, code: self.code(), why })
    }

    /// After how many seconds it may be tried again, where that is known.
    #[must_use]
    pub fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::TooMany { retry_after_s } => Some(*retry_after_s),
            Self::Unavailable(_) => Some(5),
            _ => None,
        }
    }

    /// The problem document of RFC 9457.
    #[must_use]
    pub fn problem(&self) -> Map<String, Value> {
        let mut body = Map::new();
        let code = self.code();
        body.insert("type".into(), json!(format!("urn:anvil:problem:{code}")));
        body.insert("title".into(), json!(self.status().canonical_reason().unwrap_or("Error")));
        body.insert("status".into(), json!(self.status().as_u16()));
        body.insert("code".into(), json!(code));
        body.insert("detail".into(), json!(self.to_string()));
        match self {
            Self::Invalid { field: Some(field), .. } => {
                body.insert("field".into(), json!(field));
            }
            Self::UnknownField { field: Some(field), .. } => {
                body.insert("field".into(), json!(field));
            }
            Self::Template(errors) => {
                if let Some(first) = errors.first() {
                    body.insert("line".into(), json!(first.line));
                    body.insert("column".into(), json!(first.column));
                    body.insert("source_line".into(), json!(first.source_line));
                }
                body.insert("errors".into(), serde_json::to_value(errors).unwrap_or(Value::Null));
            }
            Self::Parameters { problems, .. } => {
                body.insert("errors".into(), problems.clone());
            }
            Self::Conflict { more: Value::Object(more), .. } => body.extend(more.clone()),
            _ => {}
        }
        body
    }
}

/// What somebody typed, without the white space around it: all of it is kept, or none. `what` is a word for it with its
/// article, such as `a comment`.
///
/// # Errors
/// It is longer than `max` characters.
pub(crate) fn within(field: &'static str, what: &str, text: &str, max: usize) -> Result<String> {
    let text = text.trim();
    let found = text.chars().count();
    if found > max {
        let detail = format!("{what} has at most {max} characters, and it has {found}: shorten it");
        return Err(ApiError::invalid("invalid", field, detail));
    }
    Ok(text.to_owned())
}

/// That somebody was refused: goes with the answer as far as the guard, which records it, and is never sent.
#[derive(Debug, Clone)]
pub struct Refused {
    /// Whose audit log it belongs to.
    pub organisation_id: Option<String>,
    pub code: &'static str,
    pub why: String,
}

impl ApiError {
    /// Writes into an answer what every answer to this error carries, problem document or page.
    pub fn mark(&self, response: &mut Response) {
        if let Some(seconds) = self.retry_after_s() {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if let Self::Method { allow } = self
            && let Ok(allow) = HeaderValue::from_str(allow)
        {
            response.headers_mut().insert(header::ALLOW, allow);
        }
        if let Some(refused) = self.refused() {
            response.extensions_mut().insert(refused);
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if let Self::Internal(source) = &self {
            tracing::error!(error = %chain(source.as_ref()), "request failed");
        }
        let status = self.status();
        let mut response = (status, Json(self.problem())).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Self::SignInRequired = &self {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        self.mark(&mut response);
        response
    }
}

/// An error and everything behind it, in one line.
#[must_use]
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut out = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        out.push_str(": ");
        out.push_str(&source.to_string());
        next = source.source();
    }
    out
}

impl From<DatabaseError> for ApiError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Unavailable(source) => {
                tracing::warn!(error = %chain(source.as_ref()), "database unavailable");
                Self::Unavailable("the database cannot be reached at the moment".into())
            }
            lost if lost.is_lost() => {
                tracing::warn!(error = %chain(&lost), "the connection to the database ended");
                Self::Unavailable("the database cannot be reached at the moment".into())
            }
            // Whatever it came in: a body, a form, an address.
            other if other.is_nul() => Self::Invalid {
                code: "invalid",
                field: None,
                detail: "a text holds a NUL character, which cannot be stored: leave it out".into(),
            },
            other => Self::Internal(Box::new(other)),
        }
    }
}

impl From<NameError> for ApiError {
    fn from(error: NameError) -> Self {
        Self::Invalid { code: "bad_name", field: None, detail: error.to_string() }
    }
}

impl From<BundleError> for ApiError {
    fn from(error: BundleError) -> Self {
        match error {
            BundleError::TooLarge { .. } | BundleError::TooManyPrompts { .. } => {
                Self::TooLarge(error.to_string())
            }
            BundleError::DuplicatePrompt(_) | BundleError::DuplicatePartial(_) => {
                Self::Invalid { code: "duplicate", field: None, detail: error.to_string() }
            }
            other => Self::Internal(Box::new(other)),
        }
    }
}
