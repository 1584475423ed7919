//! Invitations: an owner names an address and what its owner will be; a link that is good once brings them in
//! ([`crate::session::invitation`]).

use schemas::Micros;
use serde_json::json;

use super::grant::grantable;
use crate::audit;
use crate::auth::{Action, Actor, Role};
use crate::clock;
use crate::database::invitation::{self, Invitation};
use crate::database::organisation::{self, Organisation};
use crate::database::project::{self, Project};
use crate::database::{Tx, mail, user};
use crate::error::{ApiError, Result};
use crate::mail as post;
use crate::session::account::address;
use crate::session::{hash_of, random_token};
use crate::state::AppState;

/// An invitation is good for so many days.
pub const DAYS: i64 = 7;
const DAY: Micros = 24 * 60 * 60 * 1_000_000;
/// Most invitations of one organisation that wait at the same time.
const WAITING_MAX: usize = 200;
/// Most projects that one invitation grants.
const GRANTS_MAX: usize = 100;

/// What somebody is invited to.
#[derive(Debug, Clone)]
pub struct NewInvitation<'a> {
    pub email: &'a str,
    /// None: a guest, who sees the granted projects only.
    pub role: Option<Role>,
    /// Roles in single projects, by their names in addresses.
    pub grants: Vec<(String, Role)>,
    /// Whether the link is mailed. Where it is not, or no mail can be sent, it is shown to who invites.
    pub mail: bool,
}

/// An invitation that was made.
#[derive(Debug)]
pub enum Mailed {
    /// It is on its way to the address, and nobody else sees the link.
    Yes(Invitation),
    /// The path below the public address. **Secret**; shown once.
    Shown(Invitation, String),
}

impl Mailed {
    #[must_use]
    pub fn invitation(&self) -> &Invitation {
        match self {
            Self::Yes(invitation) | Self::Shown(invitation, _) => invitation,
        }
    }
}

/// Invites somebody. One who was invited before and did not come is invited anew; the older link ends.
///
/// # Errors
/// Not allowed, a token asks, an address that is none, a member already, no such project, or too many.
pub async fn invite(
    state: &AppState,
    actor: &Actor,
    organisation: &Organisation,
    new: NewInvitation<'_>,
) -> Result<Mailed> {
    actor.require(&organisation.id, Action::ManageMembers)?;
    // Who comes in outlasts the token that let them in.
    actor.in_person()?;
    let email = address(new.email)?;
    if new.role.is_none() && new.grants.is_empty() {
        let detail = "choose a role in the organisation, or at least one project";
        return Err(ApiError::invalid("invalid", "role", detail));
    }
    let mailed = new.mail && state.config.smtp.is_some();
    let (token, now) = (random_token(), clock::now());
    let row = Invitation {
        id: clock::new_id(),
        organisation_id: organisation.id.clone(),
        email,
        role: new.role.map(|r| r.as_str().to_owned()),
        token_hash: hash_of(&token),
        invited_by: actor.name.clone(),
        invited_by_id: actor.user_id.clone(),
        mail: if mailed { "waiting" } else { "none" }.into(),
        created_at: now,
        expires_at: now + DAYS * DAY,
        ended_at: None,
        outcome: None,
        mail_error: None,
    };
    let mut tx = state.database.write().await?;
    let grants = grants_of(&mut tx, organisation, &new.grants).await?;
    let detail = json!({
        "role": row.role, "mailed": mailed,
        "projects": grants.iter().map(|(p, role)| format!("{}: {}", p.slug, role.as_str())).collect::<Vec<_>>(),
    });
    // The entry holds the end of the chain until we commit: of two at once, one comes after.
    audit::record(&mut tx, actor, &organisation.id, "member.invited", &row.email, detail).await?;
    refuse_member(&mut tx, organisation, &row.email).await?;
    replace(&mut tx, organisation, &row.email, now).await?;
    let stored: Vec<_> = grants.iter().map(|(p, role)| (p.id.clone(), role.as_str().to_owned())).collect();
    invitation::insert(&mut tx, &row, &stored).await?;
    let link = format!("/-/invitations/{token}");
    if mailed {
        post::invitation(state, &mut tx, organisation, &row, &link).await?;
    }
    tx.commit().await?;
    if mailed {
        state.post.ring();
        return Ok(Mailed::Yes(row));
    }
    Ok(Mailed::Shown(row, link))
}

/// The projects that are granted, each once.
async fn grants_of(
    tx: &mut Tx,
    organisation: &Organisation,
    asked: &[(String, Role)],
) -> Result<Vec<(Project, Role)>> {
    if asked.len() > GRANTS_MAX {
        let detail = format!("an invitation grants at most {GRANTS_MAX} projects");
        return Err(ApiError::invalid("too_many", "projects", detail));
    }
    let mut out: Vec<(Project, Role)> = Vec::new();
    for (slug, role) in asked {
        let role = grantable(*role)?;
        let found = project::by_slugs(tx, &organisation.slug, slug).await?;
        let (_, project) = found.ok_or_else(|| {
            let detail =
                format!("there is no project {slug} in this organisation; choose one of its projects");
            ApiError::invalid("invalid", "projects", detail)
        })?;
        if out.iter().any(|(p, _)| p.id == project.id) {
            let detail = format!("the project {slug} is named twice; name it once");
            return Err(ApiError::invalid("duplicate", "projects", detail));
        }
        out.push((project, role));
    }
    Ok(out)
}

async fn refuse_member(tx: &mut Tx, organisation: &Organisation, email: &str) -> Result<()> {
    let Some(known) = user::by_email(tx, email).await? else { return Ok(()) };
    let theirs = organisation::of_user(tx, &known.id).await?;
    if theirs.iter().any(|(o, _)| o.id == organisation.id) {
        let detail = format!(
            "{email} is a member already: change the role in the list of members, or give access to a project"
        );
        return Err(ApiError::conflict("already_member", detail));
    }
    Ok(())
}

/// Ends the older invitations of an address, and refuses where too many others wait.
async fn replace(tx: &mut Tx, organisation: &Organisation, email: &str, now: Micros) -> Result<()> {
    let waiting = invitation::open(tx, &organisation.id).await?;
    let (same, others): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|i| i.email == email);
    if others.iter().filter(|i| i.expires_at > now).count() >= WAITING_MAX {
        let detail = format!("an organisation has at most {WAITING_MAX} open invitations; withdraw some");
        return Err(ApiError::conflict("too_many", detail));
    }
    for old in same {
        invitation::end(tx, &old.id, "replaced", now).await?;
        mail::delete_of_invitation(tx, &old.id).await?;
    }
    Ok(())
}

/// The invitations that nobody accepted or withdrew, with the projects of each; newest first.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn invitations(
    state: &AppState,
    actor: &Actor,
    organisation: &Organisation,
) -> Result<Vec<(Invitation, Vec<(Project, Role)>)>> {
    actor.require(&organisation.id, Action::ManageMembers)?;
    let mut conn = state.database.read().await?;
    let mut out = Vec::new();
    for row in invitation::open(&mut conn, &organisation.id).await? {
        let grants = invitation::grants(&mut conn, &row.id).await?;
        let grants = grants.into_iter().filter_map(|(p, role)| Role::parse(&role).map(|r| (p, r)));
        out.push((row, grants.collect()));
    }
    Ok(out)
}

/// Withdraws an invitation: its link is void at once.
///
/// # Errors
/// Not allowed, a token asks, or no such invitation waits.
pub async fn withdraw_invitation(
    state: &AppState,
    actor: &Actor,
    organisation: &Organisation,
    id: &str,
) -> Result<()> {
    actor.require(&organisation.id, Action::ManageMembers)?;
    actor.in_person()?;
    let mut tx = state.database.write().await?;
    let found = invitation::open(&mut tx, &organisation.id).await?.into_iter().find(|i| i.id == id);
    let row = found.ok_or(ApiError::NotFound("invitation"))?;
    if !invitation::end(&mut tx, &row.id, "withdrawn", clock::now()).await? {
        return Err(ApiError::NotFound("invitation"));
    }
    mail::delete_of_invitation(&mut tx, &row.id).await?;
    audit::record(&mut tx, actor, &organisation.id, "invitation.withdrawn", &row.email, json!({})).await?;
    Ok(tx.commit().await?)
}

/// Ends the invitations of somebody who may not invite any more: nobody leaves a door open behind them.
pub(super) async fn withdraw_of(tx: &mut Tx, organisation: &Organisation, user_id: &str) -> Result<()> {
    for row in invitation::open(tx, &organisation.id).await? {
        if row.invited_by_id == user_id {
            invitation::end(tx, &row.id, "withdrawn", clock::now()).await?;
            mail::delete_of_invitation(tx, &row.id).await?;
        }
    }
    Ok(())
}
