//! Roles in single projects, for guests and for members who are less in the whole organisation.

use serde_json::json;

use super::ProjectAt;
use crate::audit;
use crate::auth::{Action, Actor, Role};
use crate::clock;
use crate::database::grant::{self, ProjectGrant};
use crate::database::organisation::{self, Organisation};
use crate::database::project::Project;
use crate::database::user::{self, User};
use crate::error::{ApiError, Result};
use crate::state::AppState;

/// Refuses a role that no single project has.
pub(crate) fn grantable(role: Role) -> Result<Role> {
    match role {
        Role::Owner => Err(ApiError::invalid(
            "invalid",
            "role",
            "an owner owns the whole organisation; choose admin or less for one project",
        )),
        role => Ok(role),
    }
}

/// Who was granted a role in a project.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn grants(state: &AppState, actor: &Actor, at: &ProjectAt) -> Result<Vec<(User, Role)>> {
    actor.require(&at.organisation.id, Action::ManageMembers)?;
    let mut conn = state.database.read().await?;
    let found = grant::of_project(&mut conn, &at.project.id).await?;
    Ok(found.into_iter().filter_map(|(u, role)| Role::parse(&role).map(|r| (u, r))).collect())
}

/// Every role in a single project of an organisation: who, where, what.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn guests(
    state: &AppState,
    actor: &Actor,
    organisation: &Organisation,
) -> Result<Vec<(User, Project, Role)>> {
    actor.require(&organisation.id, Action::ManageMembers)?;
    let mut conn = state.database.read().await?;
    let found = grant::of_organisation(&mut conn, &organisation.id).await?;
    Ok(found.into_iter().filter_map(|(u, p, role)| Role::parse(&role).map(|r| (u, p, r))).collect())
}

/// Gives a user a role in one project, or another one. Members may be given more than they are elsewhere.
///
/// # Errors
/// Not allowed, a token asks, no such user, or the role of an owner.
pub async fn put_grant(
    state: &AppState,
    actor: &Actor,
    at: &ProjectAt,
    email: &str,
    role: Role,
) -> Result<()> {
    actor.require(&at.organisation.id, Action::ManageMembers)?;
    // What is granted outlasts the token that did it.
    actor.in_person()?;
    let role = grantable(role)?;
    let mut tx = state.database.write().await?;
    let user =
        user::by_email(&mut tx, &email.trim().to_lowercase()).await?.ok_or(ApiError::NotFound("user"))?;
    let row = ProjectGrant {
        project_id: at.project.id.clone(),
        user_id: user.id,
        role: role.as_str().into(),
        created_at: clock::now(),
    };
    grant::put(&mut tx, &row).await?;
    let detail = json!({ "project": at.project.slug, "role": role.as_str() });
    audit::record(&mut tx, actor, &at.organisation.id, "grant.changed", &user.email, detail).await?;
    Ok(tx.commit().await?)
}

/// Takes a user's role in one project, by id or e-mail address; everybody may give their own back. Who sees nothing
/// of the organisation any more loses their API tokens for it.
///
/// # Errors
/// Not allowed, a token asks, or no such grant.
pub async fn remove_grant(state: &AppState, actor: &Actor, at: &ProjectAt, who: &str) -> Result<()> {
    let themselves = who == actor.user_id || who.eq_ignore_ascii_case(&actor.email);
    if !themselves {
        actor.require(&at.organisation.id, Action::ManageMembers)?;
    }
    actor.in_person()?;
    let mut tx = state.database.write().await?;
    let found = grant::of_project(&mut tx, &at.project.id).await?;
    let found = found.into_iter().find(|(u, _)| u.id == who || u.email.eq_ignore_ascii_case(who));
    let (user, role) = found.ok_or(ApiError::NotFound("grant"))?;
    if grant::delete(&mut tx, &at.project.id, &user.id).await? == 0 {
        return Err(ApiError::NotFound("grant"));
    }
    let member =
        organisation::of_user(&mut tx, &user.id).await?.iter().any(|(o, _)| o.id == at.organisation.id);
    let granted = grant::of_user(&mut tx, &user.id).await?;
    let revoked = match member || granted.iter().any(|(o, ..)| o.id == at.organisation.id) {
        true => 0,
        false => user::revoke_tokens_in(&mut tx, &user.id, &at.organisation.id, clock::now()).await?,
    };
    let detail = json!({ "project": at.project.slug, "role": role, "tokens_revoked": revoked });
    audit::record(&mut tx, actor, &at.organisation.id, "grant.removed", &user.email, detail).await?;
    Ok(tx.commit().await?)
}
