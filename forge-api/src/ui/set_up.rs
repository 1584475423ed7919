//! The first user of a new FORGE, by the link that `forge serve` printed.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use schemas::Slug;
use serde::Serialize;

use super::address::Path;
use super::engine;
use super::fault::{PageResult, beside_form};
use super::form::Form;
use super::frame::Frame;
use super::sign_in::{enter, waiting};
use super::view::Field;
use super::visitor::Look;
use crate::error::ApiError;
use crate::session::set_up::{self, First};
use crate::session::{Client, PASSWORD_MIN};
use crate::state::AppState;

#[derive(Debug, Serialize)]
struct Page {
    action: String,
    fields: Vec<Field>,
    problem: Option<String>,
}

/// What is wrong, and with which field.
#[derive(Debug, Default)]
struct Wrong {
    field: Option<&'static str>,
    why: Option<String>,
}

impl Wrong {
    fn at(&self, field: &str) -> Option<String> {
        self.why.clone().filter(|_| self.field == Some(field))
    }
}

/// `GET /-/set-up/{token}`.
pub(super) async fn get_set_up(
    State(state): State<AppState>,
    client: Client,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> PageResult {
    set_up::check(&state, &client, &token).await?;
    Ok(page(&headers, StatusCode::OK, &token, &Form::default(), &Wrong::default()))
}

/// `POST /-/set-up/{token}`.
pub(super) async fn post_set_up(
    State(state): State<AppState>,
    client: Client,
    Path(token): Path<String>,
    headers: HeaderMap,
    form: Form,
) -> PageResult {
    let name = form.get("organisation");
    let slug = Slug::from_title(name).map(|s| s.to_string()).unwrap_or_default();
    let first = First {
        email: form.get("email"),
        name: form.get("name"),
        password: form.get("password"),
        organisation: &slug,
        organisation_name: name,
    };
    match set_up::finish(&state, &client, &token, first).await {
        Ok(made) => Ok(enter(&state, &made, "/")),
        Err(error) => {
            let field = match &error {
                ApiError::Invalid { field: Some(field @ ("email" | "password")), .. } => Some(*field),
                ApiError::Invalid { code: "bad_name", .. } => Some("organisation"),
                _ => None,
            };
            let wait = error.retry_after_s();
            let (status, why) = beside_form(error)?;
            let wrong = Wrong { field, why: Some(why) };
            Ok(waiting(wait, page(&headers, status, &token, &form, &wrong)))
        }
    }
}

fn page(headers: &HeaderMap, status: StatusCode, token: &str, form: &Form, wrong: &Wrong) -> Response {
    let field = |id, label, kind, autocomplete| Field {
        kind,
        autocomplete,
        required: true,
        autofocus: wrong.field.map_or(id == "name", |field| field == id),
        error: wrong.at(id),
        // A password is typed again.
        ..Field::text(id, label, if kind == "password" { "" } else { form.get(id) })
    };
    let page = Page {
        action: format!("/-/set-up/{token}"),
        fields: vec![
            field("name", "Your name", "text", "name"),
            field("email", "E-mail", "email", "username"),
            field("password", "Password", "password", "new-password")
                .hint(format!("At least {PASSWORD_MIN} characters; a few words do well.")),
            field("organisation", "Organisation", "text", "organization")
                .hint("Its name stands in every address, and cannot change there later."),
        ],
        problem: wrong.why.clone().filter(|_| wrong.field.is_none()),
    };
    let frame = Frame { theme: Look::of(headers).theme, ..Frame::default() }.titled("Set up FORGE", "");
    engine::page(status, "set-up.html", &frame, &page)
}
