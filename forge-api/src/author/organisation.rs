//! Organisations and their members.

use schemas::Slug;
use serde_json::json;

use super::invitation;
use crate::audit;
use crate::auth::{Action, Actor, Entry, Role};
use crate::clock;
use crate::config::Founders;
use crate::database::organisation::{self, Membership, Organisation};
use crate::database::user::{self, User};
use crate::database::{Tx, grant};
use crate::error::{ApiError, Result, within};
use crate::state::AppState;

/// Names that would collide with FORGE's own addresses.
const RESERVED: [&str; 2] = ["api", "assets"];
/// Longest name for people, in characters.
const NAME_MAX: usize = 200;
/// Most organisations that one user owns and makes another.
const OWNED_MAX: usize = 20;

/// Creates an organisation; whoever creates it owns it.
///
/// # Errors
/// A bad or taken name, not allowed (option `organisations`), or too many.
pub async fn create_organisation(
    state: &AppState,
    actor: &Actor,
    slug: &str,
    name: &str,
) -> Result<Organisation> {
    // A token belongs to the organisation that it was made for.
    actor.in_person()?;
    may_found(state.config.organisations, actor)?;
    let mut tx = state.database.write().await?;
    if !matches!(actor.entry, Entry::Console) {
        // Two of the same user at once come one after the other.
        user::hold(&mut tx, &actor.user_id).await?;
        let owned = organisation::of_user(&mut tx, &actor.user_id).await?;
        if owned.iter().filter(|(_, role)| role == Role::Owner.as_str()).count() >= OWNED_MAX {
            let detail = format!("a user owns at most {OWNED_MAX} organisations; the console may make more");
            return Err(ApiError::conflict("too_many", detail));
        }
    }
    let row = insert_organisation(&mut tx, actor, slug, name).await?;
    tx.commit().await?;
    Ok(row)
}

/// Refuses who may not make organisations.
pub(crate) fn may_found(founders: Founders, actor: &Actor) -> Result<()> {
    let owns = || actor.memberships.iter().any(|m| m.role == Role::Owner);
    match founders {
        _ if matches!(actor.entry, Entry::Console) => Ok(()),
        Founders::Anyone => Ok(()),
        Founders::Owners if owns() => Ok(()),
        Founders::Owners => Err(ApiError::Forbidden(
            "only who owns an organisation makes another; ask an owner, or the operator of forge".into(),
        )),
        Founders::Console => Err(ApiError::Forbidden(
            "organisations are made from the console here; ask the operator of forge".into(),
        )),
    }
}

/// The same within a transaction.
pub(crate) async fn insert_organisation(
    tx: &mut Tx,
    actor: &Actor,
    slug: &str,
    name: &str,
) -> Result<Organisation> {
    let slug = addressed(slug)?;
    if RESERVED.contains(&slug.as_str()) {
        return Err(ApiError::invalid("bad_name", "slug", format!("the name {slug} is reserved")));
    }
    let row = Organisation {
        id: clock::new_id(),
        name: named(name, slug.as_str())?,
        slug: slug.to_string(),
        created_at: clock::now(),
    };
    organisation::insert(tx, &row).await.map_err(|e| taken(e, "organisation", "slug", &row.slug))?;
    if !matches!(actor.entry, Entry::Console) {
        let membership = Membership {
            organisation_id: row.id.clone(),
            user_id: actor.user_id.clone(),
            role: Role::Owner.as_str().into(),
            created_at: row.created_at,
        };
        organisation::put_membership(tx, &membership).await?;
    }
    audit::record(tx, actor, &row.id, "organisation.created", &row.slug, json!({})).await?;
    Ok(row)
}

/// Makes an organisation of a new person's own, where FORGE is told to.
pub(crate) async fn personal(state: &AppState, tx: &mut Tx, actor: &Actor) -> Result<()> {
    if !state.config.personal_organisations {
        return Ok(());
    }
    let own = |name: &str| Slug::from_title(name).filter(|s| !RESERVED.contains(&s.as_str()));
    let local = actor.email.split('@').next().unwrap_or_default();
    let base =
        own(&actor.name).or_else(|| own(local)).map_or_else(|| "personal".to_owned(), |s| s.to_string());
    let mut slug = base.clone();
    while organisation::by_slug(tx, &slug).await?.is_some() {
        // As long as any slug may be, with room for what tells it from the others.
        let short: String = base.chars().take(48).collect();
        slug = format!("{}-{:06x}", short.trim_end_matches('-'), rand::random::<u32>() >> 8);
    }
    let name = title(&actor.name, &slug);
    insert_organisation(tx, actor, &slug, &name).await.map(drop)
}

/// A human name that somebody typed, or the slug where none was given.
pub(crate) fn named(name: &str, slug: &str) -> Result<String> {
    let name = within("name", "a name", name, NAME_MAX)?;
    Ok(if name.is_empty() { slug.to_owned() } else { name })
}

/// The same for a name that nobody typed here: cut where it is too long.
pub(crate) fn title(name: &str, slug: &str) -> String {
    let name = name.trim();
    if name.is_empty() { slug.to_owned() } else { name.chars().take(NAME_MAX).collect() }
}

/// A name in addresses that somebody typed.
pub(crate) fn addressed(text: &str) -> Result<Slug> {
    Slug::new(text).map_err(|error| ApiError::invalid("bad_name", "slug", error.to_string()))
}

/// A duplicate name as a conflict at its field, everything else as it is.
pub(crate) fn taken(
    error: crate::database::DatabaseError,
    what: &'static str,
    field: &'static str,
    name: &str,
) -> ApiError {
    if !error.is_duplicate() {
        return error.into();
    }
    let article = if what.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" };
    ApiError::Conflict {
        code: "name_taken",
        detail: format!("there is already {article} {what} named {name}; choose another name"),
        more: json!({ "field": field }),
    }
}

/// The organisations of the actor, with the role in each.
///
/// # Errors
/// The database refuses.
pub async fn organisations(state: &AppState, actor: &Actor) -> Result<Vec<(Organisation, Role)>> {
    let mut conn = state.database.read().await?;
    if matches!(actor.entry, Entry::Console) {
        return Ok(organisation::all(&mut conn).await?.into_iter().map(|o| (o, Role::Owner)).collect());
    }
    let found = organisation::of_user(&mut conn, &actor.user_id).await?;
    // A token sees no more than its own organisation, and is no more there than it may be.
    Ok(found.into_iter().filter_map(|(o, _)| actor.role_in(&o.id).map(|role| (o, role))).collect())
}

/// An organisation by its slug.
///
/// # Errors
/// [`ApiError::NotFound`] where it is not there or not the actor's to see.
pub async fn find_organisation(state: &AppState, actor: &Actor, slug: &str) -> Result<Organisation> {
    let mut conn = state.database.read().await?;
    let found = organisation::by_slug(&mut conn, slug).await?.ok_or(ApiError::NotFound("organisation"))?;
    actor.require(&found.id, Action::View)?;
    Ok(found)
}

/// The same, for who is a member or a guest of one of its projects.
///
/// # Errors
/// As [`find_organisation`].
pub async fn visit_organisation(state: &AppState, actor: &Actor, slug: &str) -> Result<Organisation> {
    let mut conn = state.database.read().await?;
    let found = organisation::by_slug(&mut conn, slug).await?.ok_or(ApiError::NotFound("organisation"))?;
    visit(actor, &found.id)?;
    Ok(found)
}

/// Refuses who is neither a member nor a guest.
pub(crate) fn visit(actor: &Actor, organisation_id: &str) -> Result<()> {
    match actor.visits(organisation_id) {
        true => Ok(()),
        false => Err(ApiError::Hidden { what: "organisation", organisation_id: organisation_id.to_owned() }),
    }
}

/// The organisations in which the actor is a guest only.
///
/// # Errors
/// The database refuses.
pub async fn visited(state: &AppState, actor: &Actor) -> Result<Vec<Organisation>> {
    let mut conn = state.database.read().await?;
    let mut found = Vec::new();
    for grant in &actor.grants {
        let known = found.iter().any(|o: &Organisation| o.id == grant.organisation_id);
        if !known && actor.role_in(&grant.organisation_id).is_none() {
            found.extend(organisation::by_id(&mut conn, &grant.organisation_id).await?);
        }
    }
    Ok(found)
}

/// The members of an organisation, with their roles.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn members(
    state: &AppState,
    actor: &Actor,
    organisation: &Organisation,
) -> Result<Vec<(User, Role)>> {
    actor.require(&organisation.id, Action::View)?;
    let mut conn = state.database.read().await?;
    let found = organisation::members(&mut conn, &organisation.id).await?;
    Ok(found.into_iter().filter_map(|(u, role)| Role::parse(&role).map(|r| (u, r))).collect())
}

/// Gives a user a role in an organisation, or another one.
///
/// # Errors
/// Not allowed, a token asks, no such user, or the last owner would be lost.
pub async fn add_member(
    state: &AppState,
    actor: &Actor,
    organisation: &Organisation,
    email: &str,
    role: Role,
) -> Result<()> {
    actor.require(&organisation.id, Action::ManageMembers)?;
    // A member outlasts the token that made it.
    actor.in_person()?;
    let mut tx = state.database.write().await?;
    let user = user::by_email(&mut tx, &email.to_lowercase()).await?.ok_or(ApiError::NotFound("user"))?;
    // The entry holds the end of the chain until we commit: of two owners who go at once, one stays.
    let detail = json!({ "role": role.as_str() });
    audit::record(&mut tx, actor, &organisation.id, "member.changed", &user.email, detail).await?;
    if role != Role::Owner {
        another_owner(&organisation::members(&mut tx, &organisation.id).await?, &user)?;
        invitation::withdraw_of(&mut tx, organisation, &user.id).await?;
    }
    let row = Membership {
        organisation_id: organisation.id.clone(),
        user_id: user.id,
        role: role.as_str().into(),
        created_at: clock::now(),
    };
    organisation::put_membership(&mut tx, &row).await?;
    Ok(tx.commit().await?)
}

/// Refuses where nobody would own the organisation without this user.
fn another_owner(members: &[(User, String)], user: &User) -> Result<()> {
    let mut owners = members.iter().filter(|(_, role)| role == Role::Owner.as_str());
    match (owners.next(), owners.next()) {
        (Some((last, _)), None) if last.id == user.id => {
            Err(ApiError::conflict("last_owner", "an organisation needs an owner: name another one first"))
        }
        _ => Ok(()),
    }
}

/// Takes a user, by id or e-mail address, out of an organisation and all of its projects; whoever is a member may
/// go themselves. Their API tokens for it are revoked: who is taken in again makes new ones.
///
/// # Errors
/// Not allowed, a token asks, no such member, or the last owner would be lost.
pub async fn remove_member(
    state: &AppState,
    actor: &Actor,
    organisation: &Organisation,
    who: &str,
) -> Result<()> {
    let themselves = who == actor.user_id || who.eq_ignore_ascii_case(&actor.email);
    actor.require(&organisation.id, if themselves { Action::View } else { Action::ManageMembers })?;
    actor.in_person()?;
    let mut tx = state.database.write().await?;
    let members = organisation::members(&mut tx, &organisation.id).await?;
    let found = members.into_iter().find(|(u, _)| u.id == who || u.email.eq_ignore_ascii_case(who));
    let (user, role) = found.ok_or(ApiError::NotFound("member"))?;
    let revoked = user::revoke_tokens_in(&mut tx, &user.id, &organisation.id, clock::now()).await?;
    // As in add_member: from here on no other owner goes.
    let detail = json!({ "role": role, "tokens_revoked": revoked });
    audit::record(&mut tx, actor, &organisation.id, "member.removed", &user.email, detail).await?;
    let members = organisation::members(&mut tx, &organisation.id).await?;
    if !members.iter().any(|(u, _)| u.id == user.id) {
        return Err(ApiError::NotFound("member"));
    }
    another_owner(&members, &user)?;
    invitation::withdraw_of(&mut tx, organisation, &user.id).await?;
    organisation::delete_membership(&mut tx, &organisation.id, &user.id).await?;
    for (guest, project, _) in grant::of_organisation(&mut tx, &organisation.id).await? {
        if guest.id == user.id {
            grant::delete(&mut tx, &project.id, &user.id).await?;
        }
    }
    Ok(tx.commit().await?)
}
