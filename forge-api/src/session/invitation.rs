//! Coming in by an invitation: somebody new says their name and a password; who is known signs in first.

use serde_json::json;

use super::account::{insert, new_user};
use super::{Client, NewSession, hash_of, newcomer};
use crate::audit;
use crate::auth::{Actor, Role};
use crate::author::organisation::personal;
use crate::clock;
use crate::database::grant::{self, ProjectGrant};
use crate::database::invitation::{self, Invitation};
use crate::database::organisation::{self, Membership, Organisation};
use crate::database::project::Project;
use crate::database::user::{self, User};
use crate::database::{Conn, Tx};
use crate::error::{ApiError, Result};
use crate::state::AppState;

/// What an invitation brings, as the invited sees it.
#[derive(Debug)]
pub struct Seen {
    pub invitation: Invitation,
    pub organisation: Organisation,
    pub grants: Vec<(Project, String)>,
    /// Whether the address has an account: its owner signs in, and nobody sets its password here.
    pub known: bool,
}

/// Looks at an invitation by its token.
///
/// # Errors
/// [`ApiError::NotFound`] for a token that never was one; a conflict `invitation_over` for one that was used,
/// withdrawn or is too old; too many tries.
pub async fn look(state: &AppState, client: &Client, token: &str) -> Result<Seen> {
    let refused = |why| state.refusals.take(state, client.refusal("invitation.refused", "invitation", why));
    state.limits.link(client.address).inspect_err(|_| refused("too many tries"))?;
    let mut conn = state.database.read().await?;
    match seen(&mut conn, token).await {
        Err(error @ (ApiError::NotFound(_) | ApiError::Conflict { .. })) => {
            refused("used, withdrawn, too old, or none of ours");
            Err(error)
        }
        other => other,
    }
}

async fn seen(conn: &mut Conn, token: &str) -> Result<Seen> {
    let found = invitation::by_token(conn, &hash_of(token)).await?;
    let invitation = found.ok_or(ApiError::NotFound("invitation"))?;
    if let Some(why) = over(&invitation) {
        let detail = format!("{why}; ask {} for another", invitation.invited_by);
        return Err(ApiError::conflict("invitation_over", detail));
    }
    let organisation = organisation::by_id(conn, &invitation.organisation_id).await?;
    let organisation = organisation.ok_or(ApiError::NotFound("invitation"))?;
    let grants = invitation::grants(conn, &invitation.id).await?;
    let known = user::by_email(conn, &invitation.email).await?.is_some();
    Ok(Seen { invitation, organisation, grants, known })
}

/// Why an invitation brings nobody in any more, if so.
fn over(invitation: &Invitation) -> Option<&'static str> {
    match invitation.outcome.as_deref() {
        Some("accepted") => Some("this invitation was used already"),
        Some(_) => Some("this invitation was withdrawn"),
        None if invitation.expires_at <= clock::now() => Some("this invitation is too old"),
        None => None,
    }
}

/// Makes the user whom an invitation is for, and brings them in. The invitation is used up.
///
/// # Errors
/// As [`look`]; the address has an account, or too short a password: then the invitation stays good.
pub async fn accept_new(
    state: &AppState,
    client: &Client,
    token: &str,
    name: &str,
    password: &str,
) -> Result<NewSession> {
    let seen = look(state, client, token).await?;
    if seen.known {
        return Err(known_already());
    }
    let row = new_user(&seen.invitation.email, name, Some(password)).await?;
    // Only a link that nobody but the mailbox got shows whose address it is.
    let mailed = seen.invitation.mail != "none";
    let row = User { proven_at: mailed.then_some(row.created_at), ..row };
    let actor = newcomer(&row);
    let mut tx = state.database.write().await?;
    if user::by_email(&mut tx, &row.email).await?.is_some() {
        return Err(known_already());
    }
    insert(&mut tx, &actor, &row).await?;
    join(&mut tx, &actor, &seen.invitation, &seen.organisation).await?;
    personal(state, &mut tx, &actor).await?;
    tx.commit().await?;
    super::begin(state, client, row, "invitation").await
}

fn known_already() -> ApiError {
    ApiError::conflict(
        "account_exists",
        "this address has an account already: sign in with it, and open the invitation again",
    )
}

/// Brings somebody in who is signed in; gives the organisation.
///
/// # Errors
/// As [`look`]; a token asks, or the invitation is for another address.
pub async fn accept(state: &AppState, client: &Client, actor: &Actor, token: &str) -> Result<Organisation> {
    actor.in_person()?;
    let seen = look(state, client, token).await?;
    if seen.invitation.email != actor.email {
        return Err(ApiError::Forbidden(
            "this invitation is for another address: sign out, and sign in with the address that it was sent to"
                .into(),
        ));
    }
    let mut tx = state.database.write().await?;
    join(&mut tx, actor, &seen.invitation, &seen.organisation).await?;
    if seen.invitation.mail != "none" {
        user::set_proven(&mut tx, &actor.user_id, clock::now()).await?;
    }
    tx.commit().await?;
    Ok(seen.organisation)
}

/// Brings somebody in by every invitation that waits for their address, which they have shown to be theirs.
pub(super) async fn join_waiting(tx: &mut Tx, actor: &Actor) -> Result<usize> {
    let waiting = invitation::waiting_for(tx, &actor.email, clock::now()).await?;
    for row in &waiting {
        if let Some(organisation) = organisation::by_id(tx, &row.organisation_id).await? {
            join(tx, actor, row, &organisation).await?;
        }
    }
    Ok(waiting.len())
}

/// Uses an invitation up. What somebody is already is never made less.
async fn join(
    tx: &mut Tx,
    actor: &Actor,
    invitation: &Invitation,
    organisation: &Organisation,
) -> Result<()> {
    let now = clock::now();
    let detail = json!({ "role": invitation.role, "invited_by": invitation.invited_by });
    audit::record(tx, actor, &organisation.id, "invitation.accepted", &actor.email, detail).await?;
    if !invitation::end(tx, &invitation.id, "accepted", now).await? {
        let detail = "this invitation was used or withdrawn a moment ago; ask for another";
        return Err(ApiError::conflict("invitation_over", detail));
    }
    let more =
        |now: Option<&str>, then: Role| now.and_then(Role::parse).is_none_or(|r| r.rank() < then.rank());
    let theirs = organisation::of_user(tx, &actor.user_id).await?;
    let own = theirs.iter().find(|(o, _)| o.id == organisation.id).map(|(_, role)| role.as_str());
    if let Some(role) = invitation.role.as_deref().and_then(Role::parse).filter(|r| more(own, *r)) {
        let row = Membership {
            organisation_id: organisation.id.clone(),
            user_id: actor.user_id.clone(),
            role: role.as_str().into(),
            created_at: now,
        };
        organisation::put_membership(tx, &row).await?;
    }
    let granted = grant::of_user(tx, &actor.user_id).await?;
    for (project, role) in invitation::grants(tx, &invitation.id).await? {
        let own = granted.iter().find(|(_, p, _)| p.id == project.id).map(|(.., role)| role.as_str());
        if Role::parse(&role).is_some_and(|r| more(own, r)) {
            let row = ProjectGrant {
                project_id: project.id,
                user_id: actor.user_id.clone(),
                role,
                created_at: now,
            };
            grant::put(tx, &row).await?;
        }
    }
    Ok(())
}
