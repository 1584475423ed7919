//! The people of an organisation: members, roles in single projects, invitations, links that were asked for.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect};
use serde::Serialize;

use super::address::Path;
use super::engine;
use super::fault::{PageResult, beside_form};
use super::form::Form;
use super::new::{Ask, ask};
use super::view::{Callout, Choice, Field, Moment, count, encoded};
use super::visitor::Visitor;
use crate::auth::{Action, Role};
use crate::author::{self, Mailed, NewInvitation};
use crate::clock;
use crate::database::invitation::Invitation;
use crate::database::organisation::Organisation;
use crate::database::project::Project;
use crate::error::ApiError;
use crate::mail;
use crate::session::link;
use crate::state::AppState;

/// In the form: no role in the organisation, only in projects; and no role any more.
const GUEST: &str = "guest";
const NONE: &str = "none";
const NO_ACCESS: &str = "The access was not changed.";

#[derive(Debug, Serialize)]
struct Page {
    base: String,
    summary: String,
    may_manage: bool,
    /// Whether the organisation's name may be changed.
    may_name: bool,
    mails: bool,
    problem: Option<Callout>,
    secret: Option<Secret>,
    members: Vec<Member>,
    guests: Vec<Guest>,
    invitations: Vec<Waiting>,
    asked: Vec<Asked>,
    invite: Invite,
    access: Access,
}

/// A link that is shown this once.
#[derive(Default, Serialize)]
struct Secret {
    title: String,
    text: String,
    link: String,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").finish_non_exhaustive()
    }
}

#[derive(Debug, Serialize)]
struct Member {
    name: String,
    email: String,
    role: String,
    roles: Vec<Choice>,
    remove: String,
    this: bool,
}

#[derive(Debug, Serialize)]
struct Guest {
    name: String,
    email: String,
    project: String,
    project_slug: String,
    role: String,
    roles: Vec<Choice>,
}

#[derive(Debug, Serialize)]
struct Waiting {
    id: String,
    email: String,
    what: String,
    by: String,
    state: &'static str,
    word: &'static str,
    /// Why its mail was not sent yet.
    why: Option<String>,
    expires: Moment,
}

#[derive(Debug, Serialize)]
struct Asked {
    name: String,
    email: String,
    at: Moment,
    address: String,
}

/// The form that invites.
#[derive(Debug, Serialize)]
struct Invite {
    email: Field,
    roles: Vec<Choice>,
    role_error: Option<String>,
    projects: Vec<Choice>,
    project_roles: Vec<Choice>,
    show_link: bool,
}

/// The form that gives access to one project.
#[derive(Debug, Serialize)]
struct Access {
    email: Field,
    projects: Vec<Choice>,
    roles: Vec<Choice>,
    role_error: Option<String>,
}

/// What is shown besides what is always shown.
#[derive(Debug, Default)]
struct Shown {
    problem: Option<Callout>,
    secret: Option<Secret>,
    /// Whose fields are shown as they were typed.
    typed: Typed,
    /// Which field of it is wrong, and why.
    field: Option<&'static str>,
    why: Option<String>,
}

/// The form that invites, or the one that gives access to a project.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Typed {
    #[default]
    Invite,
    Access,
}

impl Shown {
    /// What is wrong with a field, if it is of this form.
    fn at(&self, typed: Typed, field: &str) -> Option<String> {
        self.why.clone().filter(|_| self.typed == typed && self.field == Some(field))
    }
}

fn word(role: Role) -> String {
    role.as_str().replace('_', " ")
}

fn choices(roles: impl IntoIterator<Item = Role>, chosen: &str) -> Vec<Choice> {
    let choice = |role: Role| Choice {
        value: role.as_str().into(),
        text: word(role),
        chosen: role.as_str() == chosen,
    };
    roles.into_iter().map(choice).collect()
}

/// The roles that a single project has, and what takes one away.
fn project_roles(chosen: &str) -> Vec<Choice> {
    let grantable = Role::ALL.into_iter().filter(|role| *role != Role::Owner);
    choices(grantable, if chosen.is_empty() { "viewer" } else { chosen })
}

fn project_choices(projects: &[Project], chosen: &str) -> Vec<Choice> {
    let choice =
        |p: &Project| Choice { value: p.slug.clone(), text: p.name.clone(), chosen: p.slug == chosen };
    projects.iter().map(choice).collect()
}

/// `GET /{organisation}/-/settings`.
pub(super) async fn get_people(
    visitor: Visitor,
    State(state): State<AppState>,
    Path(o): Path<String>,
) -> PageResult {
    show(&state, &visitor, &o, StatusCode::OK, &Form::default(), Shown::default()).await
}

async fn show(
    state: &AppState,
    visitor: &Visitor,
    o: &str,
    status: StatusCode,
    form: &Form,
    shown: Shown,
) -> PageResult {
    let organisation = visitor.organisation(o).await?;
    let actor = &visitor.actor;
    let base = format!("/{o}/-/settings");
    let members = author::members(state, actor, organisation).await?;
    let may_manage = actor.may(&organisation.id, Action::ManageMembers);
    let (mut guests, mut waiting, mut asked, mut projects) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    if may_manage {
        guests = author::guests(state, actor, organisation).await?;
        waiting = author::invitations(state, actor, organisation).await?;
        asked = link::asked_links(state, actor, organisation).await?;
        projects = author::projects(state, actor, organisation).await?;
    }
    let none = Form::default();
    let (inviting, granting) = match shown.typed {
        Typed::Invite => (form, &none),
        Typed::Access => (&none, form),
    };
    let page = Page {
        invite: Invite::of(inviting, &projects, &shown),
        access: Access::of(granting, &projects, &shown),
        summary: format!(
            "{} here. A role says what somebody may do in all projects.",
            count(members.len() as u64, "person is a member", "people are members")
        ),
        may_manage,
        may_name: actor.may(&organisation.id, Action::ManageProjects),
        mails: mail::is_on(state),
        problem: shown.problem,
        secret: shown.secret,
        members: members
            .into_iter()
            .map(|(user, role)| Member {
                this: user.id == actor.user_id,
                role: word(role),
                roles: choices(Role::ALL, role.as_str()),
                remove: format!("{base}/members/{}/remove", encoded(&user.id)),
                name: user.name,
                email: user.email,
            })
            .collect(),
        guests: guests
            .into_iter()
            .map(|(user, project, role)| Guest {
                name: user.name,
                email: user.email,
                project: project.name,
                project_slug: project.slug,
                role: word(role),
                roles: project_roles(role.as_str()),
            })
            .collect(),
        invitations: waiting.iter().map(|(row, grants)| Waiting::of(row, grants)).collect(),
        asked: asked
            .into_iter()
            .map(|(user, at, address)| Asked {
                name: user.name,
                email: user.email,
                at: Moment::relative(at),
                address,
            })
            .collect(),
        base,
    };
    let frame = visitor.in_organisation(organisation).titled("People", "people");
    Ok(engine::page(status, "people.html", &frame, &page))
}

impl Waiting {
    fn of(row: &Invitation, grants: &[(Project, Role)]) -> Self {
        let role = row.role.as_deref().map(|r| r.replace('_', " "));
        let grants = grants.iter().map(|(p, role)| format!("{} in {}", word(*role), p.name));
        let (state, word) = match row.mail.as_str() {
            _ if row.expires_at <= clock::now() => ("warn", "expired"),
            "waiting" if row.mail_error.is_some() => ("warn", "mail is tried again"),
            "waiting" => ("waiting", "mail on its way"),
            "sent" => ("ok", "mailed"),
            "failed" => ("bad", "mail not sent"),
            _ => ("info", "link shown"),
        };
        Self {
            id: row.id.clone(),
            email: row.email.clone(),
            what: role.into_iter().chain(grants).collect::<Vec<_>>().join(", "),
            by: row.invited_by.clone(),
            state,
            word,
            why: row.mail_error.clone(),
            expires: Moment::relative(row.expires_at),
        }
    }
}

impl Invite {
    fn of(form: &Form, projects: &[Project], shown: &Shown) -> Self {
        let at = |field: &str| shown.at(Typed::Invite, field);
        let chosen = if form.get("role").is_empty() { "viewer" } else { form.get("role") };
        let guest =
            Choice { value: GUEST.into(), text: "guest: only one project".into(), chosen: chosen == GUEST };
        let nowhere = Choice { value: String::new(), text: "none in particular".into(), chosen: false };
        Self {
            email: Field { kind: "email", ..Field::text("email", "E-mail", form.get("email")) }
                .required()
                .error(at("email")),
            roles: choices(Role::ALL, chosen).into_iter().chain([guest]).collect(),
            role_error: at("role").or_else(|| at("projects")),
            projects: [nowhere].into_iter().chain(project_choices(projects, form.get("project"))).collect(),
            project_roles: project_roles(form.get("project_role")),
            show_link: form.get("show_link") == "on",
        }
    }
}

impl Access {
    fn of(form: &Form, projects: &[Project], shown: &Shown) -> Self {
        let at = |field: &str| shown.at(Typed::Access, field);
        let email = Field::text("access-email", "E-mail of somebody with an account", form.get("email"));
        Self {
            email: Field { kind: "email", ..email }.required().error(at("email")),
            projects: project_choices(projects, form.get("project")),
            roles: project_roles(form.get("role")),
            role_error: at("role"),
        }
    }
}

/// What was asked for is done, or the page says why not.
async fn done(
    state: &AppState,
    visitor: &Visitor,
    o: &str,
    result: Result<(), ApiError>,
    title: &str,
) -> PageResult {
    match result {
        Ok(()) => Ok(Redirect::to(&format!("/{o}/-/settings")).into_response()),
        Err(error) => refused(state, visitor, o, error, title).await,
    }
}

async fn refused(state: &AppState, visitor: &Visitor, o: &str, error: ApiError, title: &str) -> PageResult {
    let (status, why) = beside_form(somebody(error))?;
    let shown = Shown { problem: Some(Callout::bad(title, why)), ..Shown::default() };
    show(state, visitor, o, status, &Form::default(), shown).await
}

/// Whom one types in may be unknown: that is said beside the form.
fn somebody(error: ApiError) -> ApiError {
    match error {
        ApiError::NotFound("user") => ApiError::invalid(
            "invalid",
            "email",
            "nobody has an account with this address yet: invite them instead",
        ),
        other => other,
    }
}

fn role(text: &str) -> Result<Role, ApiError> {
    Role::parse(text).ok_or_else(|| ApiError::invalid("invalid", "role", "choose one of the roles"))
}

/// `POST /{organisation}/-/settings/members`.
pub(super) async fn post_member(
    visitor: Visitor,
    State(state): State<AppState>,
    Path(o): Path<String>,
    form: Form,
) -> PageResult {
    let organisation = visitor.organisation(&o).await?;
    let result = match role(form.get("role")) {
        Ok(role) => author::add_member(&state, &visitor.actor, organisation, form.get("email"), role).await,
        Err(error) => Err(error),
    };
    done(&state, &visitor, &o, result, "The role was not changed.").await
}

/// `GET /{organisation}/-/settings/members/{user}/remove`.
pub(super) async fn get_remove(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, user)): Path<(String, String)>,
) -> PageResult {
    let organisation = visitor.organisation(&o).await?;
    visitor.actor.require(&organisation.id, Action::ManageMembers)?;
    let members = author::members(&state, &visitor.actor, organisation).await?;
    let found = members.into_iter().find(|(u, _)| u.id == user || u.email == user);
    let (member, role) = found.ok_or(ApiError::NotFound("member"))?;
    let base = format!("/{o}/-/settings");
    let page = Ask {
        title: format!("Remove {}", member.name),
        text: "They lose every project of this organisation at once, and their API keys for it are revoked. \
               What they wrote and published stays."
            .into(),
        action: format!("{base}/members/{}/remove", encoded(&member.id)),
        back: base.clone(),
        button: format!("Remove {}", member.name),
        facts: vec![("E-mail", member.email), ("Role", word(role))],
    };
    let frame =
        visitor.in_organisation(organisation).crumb("People", base).titled("Remove", "people").narrow();
    Ok(ask(&frame, page))
}

/// `POST /{organisation}/-/settings/members/{user}/remove`.
pub(super) async fn post_remove(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, user)): Path<(String, String)>,
) -> PageResult {
    let organisation = visitor.organisation(&o).await?;
    let result = author::remove_member(&state, &visitor.actor, organisation, &user).await;
    if result.is_ok() && user == visitor.actor.user_id {
        return Ok(Redirect::to("/").into_response());
    }
    done(&state, &visitor, &o, result, "Nobody was removed.").await
}

/// `POST /{organisation}/-/settings/invitations`.
pub(super) async fn post_invitation(
    visitor: Visitor,
    State(state): State<AppState>,
    Path(o): Path<String>,
    form: Form,
) -> PageResult {
    let organisation = visitor.organisation(&o).await?;
    match invite(&state, &visitor, organisation, &form).await {
        Ok(Mailed::Yes(_)) => Ok(Redirect::to(&format!("/{o}/-/settings#invitations")).into_response()),
        Ok(Mailed::Shown(row, link)) => {
            let secret = Secret {
                title: format!("Send this link to {}. It is shown only once.", row.email),
                text: format!("It works once, for {} days.", author::invitation::DAYS),
                link: format!("{}{link}", state.public_url),
            };
            shown_once(&state, &visitor, &o, secret).await
        }
        Err(error) => {
            let field = match &error {
                ApiError::Invalid { field, .. } => *field,
                ApiError::Conflict { code: "already_member", .. } => Some("email"),
                _ => None,
            };
            let (status, why) = beside_form(error)?;
            let problem = field.is_none().then(|| Callout::bad("Nobody was invited.", why.clone()));
            let shown = Shown { problem, field, why: Some(why), ..Shown::default() };
            show(&state, &visitor, &o, status, &form, shown).await
        }
    }
}

/// The page with a link that is not shown again, and that no cache keeps.
async fn shown_once(state: &AppState, visitor: &Visitor, o: &str, secret: Secret) -> PageResult {
    let shown = Shown { secret: Some(secret), ..Shown::default() };
    show(state, visitor, o, StatusCode::OK, &Form::default(), shown).await
}

async fn invite(
    state: &AppState,
    visitor: &Visitor,
    organisation: &Organisation,
    form: &Form,
) -> Result<Mailed, ApiError> {
    let given = match form.get("role") {
        GUEST => None,
        text => Some(role(text)?),
    };
    let grants = match form.get("project") {
        "" => Vec::new(),
        project => vec![(project.to_owned(), role(form.get("project_role"))?)],
    };
    let mail = form.get("show_link") != "on";
    let new = NewInvitation { email: form.get("email"), role: given, grants, mail };
    author::invite(state, &visitor.actor, organisation, new).await
}

/// `POST /{organisation}/-/settings/invitations/{invitation}/withdraw`.
pub(super) async fn post_withdraw(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, id)): Path<(String, String)>,
) -> PageResult {
    let organisation = visitor.organisation(&o).await?;
    let result = author::withdraw_invitation(&state, &visitor.actor, organisation, &id).await;
    done(&state, &visitor, &o, result, "The invitation was not withdrawn.").await
}

/// `POST /{organisation}/-/settings/grants`.
pub(super) async fn post_grant(
    visitor: Visitor,
    State(state): State<AppState>,
    Path(o): Path<String>,
    form: Form,
) -> PageResult {
    visitor.organisation(&o).await?;
    let at = visitor.project(&state, &o, form.get("project")).await?;
    let email = form.get("email");
    let result = match form.get("role") {
        NONE => author::remove_grant(&state, &visitor.actor, &at, email).await,
        text => match role(text) {
            Ok(role) => author::put_grant(&state, &visitor.actor, &at, email, role).await,
            Err(error) => Err(error),
        },
    };
    match result {
        // The row of somebody who has access already has nothing to type in.
        Err(error) if form.get("do") == "give" => {
            let error = somebody(error);
            let field = match &error {
                ApiError::Invalid { field, .. } => *field,
                _ => None,
            };
            let (status, why) = beside_form(error)?;
            let problem = field.is_none().then(|| Callout::bad(NO_ACCESS, why.clone()));
            let shown = Shown { problem, typed: Typed::Access, field, why: Some(why), ..Shown::default() };
            show(&state, &visitor, &o, status, &form, shown).await
        }
        result => done(&state, &visitor, &o, result, NO_ACCESS).await,
    }
}

/// `POST /{organisation}/-/settings/links`.
pub(super) async fn post_link(
    visitor: Visitor,
    State(state): State<AppState>,
    Path(o): Path<String>,
    form: Form,
) -> PageResult {
    let organisation = visitor.organisation(&o).await?;
    match link::make_link(&state, &visitor.actor, organisation, form.get("email")).await {
        Ok(link) => {
            let secret = Secret {
                title: format!("Send this link to {}. It is shown only once.", form.get("email")),
                text:
                    "It signs them in once, within an hour. Whoever has it is them: send it to nobody else."
                        .into(),
                link: format!("{}{link}", state.public_url),
            };
            shown_once(&state, &visitor, &o, secret).await
        }
        Err(error) => refused(&state, &visitor, &o, error, "No link was made.").await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_says_in_words_what_it_brings() {
        let row = Invitation {
            id: "i".into(),
            organisation_id: "o".into(),
            email: "ada@example.org".into(),
            role: Some("context_engineer".into()),
            token_hash: String::new(),
            invited_by: "Mara".into(),
            invited_by_id: "u".into(),
            mail: "failed".into(),
            created_at: 0,
            expires_at: clock::now() + 60_000_000,
            ended_at: None,
            outcome: None,
            mail_error: Some("no TLS".into()),
        };
        let shown = Waiting::of(&row, &[]);
        assert_eq!((shown.what.as_str(), shown.word), ("context engineer", "mail not sent"));
        assert_eq!(shown.why.as_deref(), Some("no TLS"));
        let late = Waiting::of(&Invitation { expires_at: 1, role: None, ..row }, &[]);
        assert_eq!((late.what.as_str(), late.word), ("", "expired"));
    }
}
