//! Coming in by an invitation: what it brings, and the form of somebody new or the button of who is known.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Serialize;

use super::address::Path;
use super::engine;
use super::fault::{PageResult, beside_form};
use super::form::Form;
use super::frame::Frame;
use super::sign_in::{enter, waiting};
use super::view::{Field, encoded};
use super::visitor::Look;
use crate::auth::Actor;
use crate::error::ApiError;
use crate::session::invitation::{self, Seen};
use crate::session::{Client, PASSWORD_MIN};
use crate::state::AppState;

#[derive(Debug, Serialize)]
struct Page {
    action: String,
    organisation: String,
    by: String,
    email: String,
    /// `context engineer`, or nothing for a guest.
    role: Option<String>,
    /// `reviewer in Support`.
    grants: Vec<String>,
    /// The account that is signed in, if it is another one.
    other: Option<String>,
    /// Whether the invited is signed in.
    ready: bool,
    /// Where who has an account signs in first.
    sign_in: Option<String>,
    fields: Vec<Field>,
    problem: Option<String>,
}

/// `GET /-/invitations/{token}`.
pub(super) async fn get_invitation(
    State(state): State<AppState>,
    client: Client,
    actor: Option<Actor>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> PageResult {
    let seen = invitation::look(&state, &client, &token).await?;
    Ok(page(&headers, StatusCode::OK, &token, &seen, actor.as_ref(), &Form::default(), None))
}

/// `POST /-/invitations/{token}`.
pub(super) async fn post_invitation(
    State(state): State<AppState>,
    client: Client,
    actor: Option<Actor>,
    Path(token): Path<String>,
    headers: HeaderMap,
    form: Form,
) -> PageResult {
    let done = match &actor {
        Some(actor) => invitation::accept(&state, &client, actor, &token)
            .await
            .map(|o| Redirect::to(&format!("/{}", o.slug)).into_response()),
        None => {
            let (name, password) = (form.get("name"), form.get("password"));
            let made = invitation::accept_new(&state, &client, &token, name, password).await;
            made.map(|made| enter(&state, &made, "/"))
        }
    };
    match done {
        Ok(response) => Ok(response),
        // Over, or none: there is no form to show again.
        Err(error @ ApiError::Conflict { code: "invitation_over", .. }) => Err(error.into()),
        Err(error) => {
            let field = match &error {
                ApiError::Invalid { field, .. } => *field,
                _ => None,
            };
            let wait = error.retry_after_s();
            let (status, why) = beside_form(error)?;
            let seen = invitation::look(&state, &client, &token).await?;
            let wrong = Some((field, why));
            Ok(waiting(wait, page(&headers, status, &token, &seen, actor.as_ref(), &form, wrong)))
        }
    }
}

fn page(
    headers: &HeaderMap,
    status: StatusCode,
    token: &str,
    seen: &Seen,
    actor: Option<&Actor>,
    form: &Form,
    wrong: Option<(Option<&'static str>, String)>,
) -> Response {
    let at = |id: &str| wrong.as_ref().filter(|(field, _)| *field == Some(id)).map(|(_, why)| why.clone());
    let action = format!("/-/invitations/{token}");
    let fields = vec![
        Field { autocomplete: "name", ..Field::text("name", "Your name", form.get("name")) }
            .required()
            .first()
            .error(at("name")),
        Field { kind: "password", autocomplete: "new-password", ..Field::text("password", "Password", "") }
            .required()
            .hint(format!("At least {PASSWORD_MIN} characters; a few words do well."))
            .error(at("password")),
    ];
    let known_field = |field: &Option<&'static str>| matches!(field, Some("name" | "password"));
    let problem = wrong.as_ref().filter(|(field, _)| !known_field(field)).map(|(_, why)| why.clone());
    let page = Page {
        organisation: seen.organisation.name.clone(),
        by: seen.invitation.invited_by.clone(),
        email: seen.invitation.email.clone(),
        role: seen.invitation.role.as_deref().map(|r| r.replace('_', " ")),
        grants: seen.grants.iter().map(|(p, r)| format!("{} in {}", r.replace('_', " "), p.name)).collect(),
        other: actor.filter(|a| a.email != seen.invitation.email).map(|a| a.email.clone()),
        ready: actor.is_some_and(|a| a.email == seen.invitation.email),
        sign_in: seen.known.then(|| format!("/-/sign-in?next={}", encoded(&action))),
        fields,
        problem,
        action,
    };
    let frame = Frame {
        theme: Look::of(headers).theme,
        csrf: actor.map(|a| a.csrf().to_owned()).unwrap_or_default(),
        ..Frame::default()
    };
    engine::page(status, "invitation.html", &frame.titled("Invitation", ""), &page)
}
