//! Invitations, roles in single projects, sign-in links.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

use super::account::{role, signed_in};
use super::body::{
    AcceptInvitation, AskLink, AskedLink, InvitationBody, MadeLink, MemberBody, NewInvitationBody,
    ProjectRole, PutMember,
};
use super::page::{Listed, Page};
use super::project_at;
use crate::auth::Actor;
use crate::author::{self, Mailed, NewInvitation};
use crate::error::Result;
use crate::server::ApiJson;
use crate::session::{self, Client};
use crate::state::AppState;

pub(super) async fn list_invitations(
    State(state): State<AppState>,
    actor: Actor,
    Path(organisation): Path<String>,
    page: Page,
) -> Result<Listed<InvitationBody>> {
    let organisation = author::find_organisation(&state, &actor, &organisation).await?;
    let found = author::invitations(&state, &actor, &organisation).await?;
    Ok(page
        .cut(found, |(row, _)| row.id.clone())
        .map(|(row, grants)| InvitationBody::new(&row, grants.iter().map(ProjectRole::from).collect(), None)))
}

pub(super) async fn invite(
    State(state): State<AppState>,
    actor: Actor,
    Path(organisation): Path<String>,
    ApiJson(body): ApiJson<NewInvitationBody>,
) -> Result<(StatusCode, Json<InvitationBody>)> {
    let organisation = author::find_organisation(&state, &actor, &organisation).await?;
    let mut grants = Vec::new();
    for asked in &body.projects {
        grants.push((asked.project.clone(), role(&asked.role)?));
    }
    let given = body.role.as_deref().map(role).transpose()?;
    let new = NewInvitation { email: &body.email, role: given, grants, mail: body.mail };
    let made = author::invite(&state, &actor, &organisation, new).await?;
    let link = match &made {
        Mailed::Yes(_) => None,
        Mailed::Shown(_, link) => Some(format!("{}{link}", state.public_url)),
    };
    let body = InvitationBody::new(made.invitation(), body.projects, link);
    Ok((StatusCode::CREATED, Json(body)))
}

pub(super) async fn withdraw_invitation(
    State(state): State<AppState>,
    actor: Actor,
    Path((organisation, invitation)): Path<(String, String)>,
) -> Result<StatusCode> {
    let organisation = author::find_organisation(&state, &actor, &organisation).await?;
    author::withdraw_invitation(&state, &actor, &organisation, &invitation).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn accept_invitation(
    State(state): State<AppState>,
    client: Client,
    actor: Option<Actor>,
    ApiJson(body): ApiJson<AcceptInvitation>,
) -> Result<Response> {
    match actor {
        Some(actor) => {
            session::invitation::accept(&state, &client, &actor, &body.token).await?;
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        None => {
            let AcceptInvitation { token, name, password } = &body;
            let new = session::invitation::accept_new(&state, &client, token, name, password).await?;
            signed_in(&state, new).await
        }
    }
}

pub(super) async fn list_asked_links(
    State(state): State<AppState>,
    actor: Actor,
    Path(organisation): Path<String>,
    page: Page,
) -> Result<Listed<AskedLink>> {
    let organisation = author::find_organisation(&state, &actor, &organisation).await?;
    let found = session::link::asked_links(&state, &actor, &organisation).await?;
    Ok(page.cut(found, |(user, at, _)| format!("{} {at}", user.id)).map(AskedLink::new))
}

pub(super) async fn make_link(
    State(state): State<AppState>,
    actor: Actor,
    Path(organisation): Path<String>,
    ApiJson(body): ApiJson<AskLink>,
) -> Result<(StatusCode, Json<MadeLink>)> {
    let organisation = author::find_organisation(&state, &actor, &organisation).await?;
    let link = session::link::make_link(&state, &actor, &organisation, &body.email).await?;
    Ok((StatusCode::CREATED, Json(MadeLink { link: format!("{}{link}", state.public_url) })))
}

pub(super) async fn list_grants(
    State(state): State<AppState>,
    actor: Actor,
    Path(project): Path<String>,
    page: Page,
) -> Result<Listed<MemberBody>> {
    let at = project_at(&state, &actor, &project).await?;
    let found = author::grants(&state, &actor, &at).await?;
    Ok(page.cut(found, |(u, _)| u.id.clone()).map(|(u, role)| MemberBody::new(u, role)))
}

pub(super) async fn put_grant(
    State(state): State<AppState>,
    actor: Actor,
    Path(project): Path<String>,
    ApiJson(body): ApiJson<PutMember>,
) -> Result<StatusCode> {
    let at = project_at(&state, &actor, &project).await?;
    author::put_grant(&state, &actor, &at, &body.email, role(&body.role)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn remove_grant(
    State(state): State<AppState>,
    actor: Actor,
    Path((project, person)): Path<(String, String)>,
) -> Result<StatusCode> {
    let at = project_at(&state, &actor, &project).await?;
    author::remove_grant(&state, &actor, &at, &person).await?;
    Ok(StatusCode::NO_CONTENT)
}
