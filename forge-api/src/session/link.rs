//! A sign-in link that somebody asks for: mailed to their address, or, where no mail is sent, made by an owner of
//! their organisation. Whoever asks learns nothing about who is known.

use schemas::Micros;

use super::Client;
use super::account::insert_link;
use crate::audit::INSTALLATION;
use crate::auth::{Action, Actor, Role};
use crate::clock;
use crate::database::organisation::{self, Organisation};
use crate::database::user::{self, User};
use crate::database::{Tx, grant, invitation};
use crate::error::{ApiError, Result, chain};
use crate::mail as post;
use crate::state::AppState;

/// Who asked longer ago does not wait any more.
const ASKED: Micros = 7 * 24 * 60 * 60 * 1_000_000;

/// Asks for a link. What comes of it happens aside, so that the answer takes the same time for everybody.
///
/// # Errors
/// Too many tries.
pub fn ask_link(state: &AppState, client: &Client, email: &str) -> Result<()> {
    let email = email.trim().to_lowercase();
    let known = client.known_to(state, &email);
    state.limits.sign_in(client.address, &email, known).inspect_err(|_| {
        let mark = super::mark(state, &email);
        state.refusals.take(state, client.refusal("sign_in_link.refused", &mark, "too many tries"));
    })?;
    let (state, address) = (state.clone(), client.address.to_string());
    tokio::spawn(async move {
        if let Err(error) = answer(&state, &email, &address).await {
            tracing::warn!(error = %chain(&error), "a sign-in link that was asked for was not made");
        }
    });
    Ok(())
}

async fn answer(state: &AppState, email: &str, address: &str) -> Result<()> {
    let mut tx = state.database.write().await?;
    let Some(user) = user::by_email(&mut tx, email).await?.filter(|u| !u.disabled) else { return Ok(()) };
    if state.config.smtp.is_none() {
        invitation::ask_link(&mut tx, &user.id, address, clock::now()).await?;
        return Ok(tx.commit().await?);
    }
    let nobody = Actor { user_id: "nobody".into(), name: "nobody".into(), ..Actor::console() };
    let link = insert_link(&mut tx, &nobody, INSTALLATION, &user, true).await?;
    post::sign_in_link(state, &mut tx, &user, &link).await?;
    tx.commit().await?;
    state.post.ring();
    Ok(())
}

/// The members who asked for a link within a week and wait for an owner to make it: who, when, from where.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn asked_links(
    state: &AppState,
    actor: &Actor,
    organisation: &Organisation,
) -> Result<Vec<(User, Micros, String)>> {
    actor.require(&organisation.id, Action::ManageMembers)?;
    let mut conn = state.database.read().await?;
    Ok(invitation::asked_links(&mut conn, &organisation.id, clock::now() - ASKED).await?)
}

/// Makes a link for a member who asked: the path below the public address. **Secret**; whoever has it is that
/// member. So an owner makes one only for who belongs to nothing that is not the owner's too.
///
/// # Errors
/// Not allowed, a token asks, nobody asked, or a conflict `belongs_elsewhere`.
pub async fn make_link(
    state: &AppState,
    actor: &Actor,
    organisation: &Organisation,
    email: &str,
) -> Result<String> {
    actor.require(&organisation.id, Action::ManageMembers)?;
    actor.in_person()?;
    let mut tx = state.database.write().await?;
    let asked = invitation::asked_links(&mut tx, &organisation.id, clock::now() - ASKED).await?;
    let found = asked.into_iter().map(|(u, ..)| u).find(|u| u.email.eq_ignore_ascii_case(email.trim()));
    let user = found.ok_or(ApiError::NotFound("request for a link"))?;
    if !is_within(&mut tx, actor, &user).await? {
        return Err(ApiError::conflict(
            "belongs_elsewhere",
            "this member also belongs to organisations that you do not own: the operator of forge makes the link",
        ));
    }
    let link = insert_link(&mut tx, actor, &organisation.id, &user, false).await?;
    invitation::answer_link(&mut tx, &user.id).await?;
    tx.commit().await?;
    Ok(link)
}

/// Whether the actor owns everything that the user may see.
async fn is_within(tx: &mut Tx, actor: &Actor, user: &User) -> Result<bool> {
    let members = organisation::of_user(tx, &user.id).await?;
    let granted = grant::of_user(tx, &user.id).await?;
    let mut places = members.iter().map(|(o, _)| &o.id).chain(granted.iter().map(|(o, ..)| &o.id));
    Ok(places.all(|id| actor.role_in(id) == Some(Role::Owner)))
}
