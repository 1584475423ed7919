//! The form that makes an organisation.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect};

use super::fault::PageResult;
use super::form::Form;
use super::new::{Page, Refused, named_fields, page, slug_of};
use super::visitor::Visitor;
use crate::author;
use crate::author::organisation::may_found;
use crate::state::AppState;

/// `GET /-/new`.
pub(super) async fn get_new_organisation(visitor: Visitor, State(state): State<AppState>) -> PageResult {
    may_found(state.config.organisations, &visitor.actor)?;
    new_organisation(&visitor, &Form::default(), &Refused::default())
}

fn new_organisation(visitor: &Visitor, form: &Form, refused: &Refused) -> PageResult {
    let mut fields = named_fields(form, refused, "fernway");
    // An organisation has no description.
    fields.truncate(2);
    let view = Page {
        title: "New organisation".into(),
        intro: "An organisation holds projects and people. You own the new one, and nobody else sees it until you invite them.".into(),
        action: "/-/new".into(),
        back: "/".into(),
        submit: "Create organisation",
        problem: refused.callout("No organisation was created."),
        fields,
        ..Page::default()
    };
    let status = if refused.why.is_some() { refused.status } else { StatusCode::OK };
    Ok(page(visitor.anywhere(), status, &view))
}

/// `POST /-/new`.
pub(super) async fn post_new_organisation(
    visitor: Visitor,
    State(state): State<AppState>,
    form: Form,
) -> PageResult {
    match author::create_organisation(&state, &visitor.actor, &slug_of(&form), form.get("name")).await {
        Ok(made) => Ok(Redirect::to(&format!("/{}", made.slug)).into_response()),
        Err(error) => new_organisation(&visitor, &form, &Refused::of(error)?),
    }
}
