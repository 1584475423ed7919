//! Every error of the sidecar: RFC 9457 problem+json with a stable `code`. No value is ever in one.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemas::parameter::ParameterError;
use schemas::template::RenderError;
use serde::Serialize;

use super::access::Denied;
use crate::{AgentError, PromptError};

/// What went wrong, for programs. The names are a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    BadJson,
    BadQuery,
    BodyTooLarge,
    BodyTooSlow,
    TokenRequired,
    Denied,
    CrossSite,
    WrongHost,
    NotFound,
    MethodNotAllowed,
    UnknownPrompt,
    AmbiguousPrompt,
    BadAddress,
    OtherVersion,
    OtherOrganisation,
    NothingServed,
    TooOld,
    BadValues,
    TemplateFailed,
    RenderLimit,
    UnknownPlaceholder,
    Unreachable,
    NotStored,
    TooManyReaders,
    Internal,
}

impl Code {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::BadJson => "bad_json",
            Self::BadQuery => "bad_query",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTooSlow => "body_too_slow",
            Self::TokenRequired => "token_required",
            Self::Denied => "denied",
            Self::CrossSite => "cross_site",
            Self::WrongHost => "wrong_host",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::UnknownPrompt => "unknown_prompt",
            Self::AmbiguousPrompt => "ambiguous_prompt",
            Self::BadAddress => "bad_address",
            Self::OtherVersion => "other_version",
            Self::OtherOrganisation => "other_organisation",
            Self::NothingServed => "nothing_served",
            Self::TooOld => "too_old",
            Self::BadValues => "bad_values",
            Self::TemplateFailed => "template_failed",
            Self::RenderLimit => "render_limit",
            Self::UnknownPlaceholder => "unknown_placeholder",
            Self::Unreachable => "unreachable",
            Self::NotStored => "not_stored",
            Self::TooManyReaders => "too_many_readers",
            Self::Internal => "internal",
        }
    }

    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::BadJson | Self::BadQuery | Self::BadAddress => StatusCode::BAD_REQUEST,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::TokenRequired => StatusCode::UNAUTHORIZED,
            Self::Denied | Self::CrossSite => StatusCode::FORBIDDEN,
            Self::WrongHost => StatusCode::MISDIRECTED_REQUEST,
            Self::NotFound | Self::UnknownPrompt | Self::OtherOrganisation => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::AmbiguousPrompt | Self::OtherVersion => StatusCode::CONFLICT,
            Self::BadValues | Self::TemplateFailed | Self::RenderLimit | Self::UnknownPlaceholder => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Self::NothingServed | Self::TooOld | Self::Unreachable | Self::TooManyReaders => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::NotStored | Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What it means, for the document.
    pub(super) fn meaning(self) -> &'static str {
        match self {
            Self::BadJson => "the body is not the JSON that is wanted",
            Self::BadQuery => "the query is not what is wanted",
            Self::BodyTooLarge => "the body is larger than is taken",
            Self::BodyTooSlow => "the body did not come in time",
            Self::TokenRequired => "no token was sent, or another one",
            Self::Denied => "the host of this router does not allow it",
            Self::CrossSite => "a page of another site sent this",
            Self::WrongHost => "this is not called by that name",
            Self::NotFound => "there is nothing here",
            Self::MethodNotAllowed => "not by this method",
            Self::UnknownPrompt => "there is no such prompt",
            Self::AmbiguousPrompt => "several sets have a prompt of this id: write @set/id",
            Self::BadAddress => "the address is not one",
            Self::OtherVersion => "what is served is not the version that the address asks for",
            Self::OtherOrganisation => "the address is of another organisation",
            Self::NothingServed => "nothing is served yet",
            Self::TooOld => "what is here was not confirmed for longer than the project allows",
            Self::BadValues => "the values do not fit the parameters; `errors` names each",
            Self::TemplateFailed => "the template cannot do this with these values",
            Self::RenderLimit => "the render met a bound of work, text or depth",
            Self::UnknownPlaceholder => "the prompt has no such place for a history",
            Self::Unreachable => "the broker cannot be reached; what is here is served all the same",
            Self::NotStored => "it holds until the process ends: the disk did not take it",
            Self::TooManyReaders => "there are as many readers of events as are allowed",
            Self::Internal => "a fault of the program",
        }
    }
}

/// An error as it is answered.
#[derive(Debug)]
pub(super) struct Problem {
    code: Code,
    status: StatusCode,
    detail: String,
    errors: Vec<ParameterError>,
    challenge: bool,
}

/// The document of RFC 9457.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct Document {
    /// `urn:anvil:problem:` and the code.
    #[serde(rename = "type")]
    kind: String,
    title: String,
    status: u16,
    /// Stable.
    code: String,
    /// For people.
    detail: String,
    /// Each value that does not fit, with `bad_values`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ParameterError>,
}

impl Problem {
    pub(super) fn code(&self) -> Code {
        self.code
    }

    pub(super) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, status: code.status(), detail: detail.into(), errors: Vec::new(), challenge: false }
    }

    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    pub(super) fn errors(&self) -> &[ParameterError] {
        &self.errors
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        let asked = denied.status == StatusCode::UNAUTHORIZED;
        let code = if asked { Code::TokenRequired } else { Code::Denied };
        Self { status: denied.status, challenge: asked, ..Self::new(code, denied.why) }
    }
}

impl From<PromptError> for Problem {
    fn from(error: PromptError) -> Self {
        let detail = error.to_string();
        let code = match error {
            PromptError::Unknown { .. } => Code::UnknownPrompt,
            PromptError::Ambiguous { .. } => Code::AmbiguousPrompt,
            PromptError::Address(_) => Code::BadAddress,
            PromptError::OtherVersion { .. } => Code::OtherVersion,
            PromptError::OtherOrganisation { .. } => Code::OtherOrganisation,
            PromptError::Empty { .. } | PromptError::NotStarted => Code::NothingServed,
            PromptError::TooOld { .. } => Code::TooOld,
            PromptError::Render(error) => match error {
                RenderError::Parameters(found) => {
                    return Self { errors: found.errors, ..Self::new(Code::BadValues, detail) };
                }
                RenderError::Values { .. } => Code::BadValues,
                RenderError::Template { .. } => Code::TemplateFailed,
                RenderError::Limit { .. } => Code::RenderLimit,
                RenderError::UnknownPlaceholder { .. } => Code::UnknownPlaceholder,
                // It is asked for by its own kind.
                _ => Code::Internal,
            },
        };
        Self::new(code, detail)
    }
}

impl From<AgentError> for Problem {
    fn from(error: AgentError) -> Self {
        let code = match &error {
            AgentError::Unreachable(_) => Code::Unreachable,
            AgentError::NotStored(_) => Code::NotStored,
            _ => Code::Internal,
        };
        Self::new(code, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let code = self.code.name();
        let document = Document {
            kind: format!("urn:anvil:problem:{code}"),
            title: self.status.canonical_reason().unwrap_or("Error").into(),
            status: self.status.as_u16(),
            code: code.into(),
            detail: self.detail,
            errors: self.errors,
        };
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.challenge {
            headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"live\""));
        }
        if self.code.status() == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        response
    }
}
