//! Leaving an organisation: asked first; its last owner is told why not.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};

use super::address::Path;
use super::engine;
use super::fault::{PageResult, beside_form};
use super::new::{Confirm, pair};
use super::view::{Action as Way, Callout};
use super::visitor::Visitor;
use crate::auth::Role;
use crate::author;
use crate::database::organisation::Organisation;
use crate::error::ApiError;
use crate::state::AppState;

/// `GET /{organisation}/-/leave`.
pub(super) async fn get_leave(
    visitor: Visitor,
    State(state): State<AppState>,
    Path(o): Path<String>,
) -> PageResult {
    let organisation = visitor.organisation(&o).await?;
    let members = author::members(&state, &visitor.actor, organisation).await?;
    let mut owners = members.iter().filter(|(_, role)| *role == Role::Owner);
    let problem = match (owners.next(), owners.next()) {
        (Some((last, _)), None) if last.id == visitor.actor.user_id => Some(last_owner(organisation)),
        _ => None,
    };
    let stays = problem.is_some();
    Ok(page(&visitor, organisation, StatusCode::OK, problem, stays))
}

/// `POST /{organisation}/-/leave`.
pub(super) async fn post_leave(
    visitor: Visitor,
    State(state): State<AppState>,
    Path(o): Path<String>,
) -> PageResult {
    let organisation = visitor.organisation(&o).await?;
    match author::remove_member(&state, &visitor.actor, organisation, &visitor.actor.user_id).await {
        Ok(()) => Ok(Redirect::to("/-/account").into_response()),
        Err(error @ ApiError::Conflict { code: "last_owner", .. }) => {
            Ok(page(&visitor, organisation, error.status(), Some(last_owner(organisation)), true))
        }
        Err(error) => {
            let (status, why) = beside_form(error)?;
            let problem = Callout::bad("You are still a member.", why);
            Ok(page(&visitor, organisation, status, Some(problem), false))
        }
    }
}

fn last_owner(organisation: &Organisation) -> Callout {
    let text = "You are its last owner, and an organisation needs one: make somebody else an owner first.";
    let people = Way { text: "Open People".into(), href: format!("/{}/-/settings", organisation.slug) };
    Callout { actions: vec![people], ..Callout::bad("You cannot leave now.", text) }
}

/// The page that asks; without its button for who `stays`.
fn page(
    visitor: &Visitor,
    organisation: &Organisation,
    status: StatusCode,
    problem: Option<Callout>,
    stays: bool,
) -> Response {
    let role = visitor.organisations.iter().find(|(o, _)| o.id == organisation.id).map(|(_, role)| *role);
    let role = role.map(|role| role.as_str().replace('_', " ")).unwrap_or_default();
    let title = format!("Leave {}", organisation.name);
    let page = Confirm {
        text:
            "You lose every project of this organisation at once, and your API keys for it are revoked. What \
               you wrote and published stays. Only an owner can take you in again."
                .into(),
        action: format!("/{}/-/leave", organisation.slug),
        back: "/-/account".into(),
        button: if stays { String::new() } else { title.clone() },
        title,
        hidden: Vec::new(),
        facts: vec![pair("Your role", role)],
        problem,
    };
    let frame = visitor.anywhere().crumb("Account", "/-/account").titled("Leave", "account").narrow();
    engine::page(status, "confirm.html", &frame, &page)
}
