//! Who may do what: roles, actions, and the one table of routes.
//!
//! The table stands in [`route`]; what a token may be used for in [`scope`]. A request whose route is not in it is refused, whoever asks
//! ([`crate::server`]); the domain functions check the role in the very organisation they touch.

pub mod route;
pub mod scope;

pub use scope::{Scope, Scopes};

use std::fmt;

use crate::error::{ApiError, Result};

/// What somebody is within an organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Viewer,
    Reviewer,
    ContextEngineer,
    Admin,
    Owner,
}

impl Role {
    pub const ALL: [Self; 5] =
        [Self::Viewer, Self::Reviewer, Self::ContextEngineer, Self::Admin, Self::Owner];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Reviewer => "reviewer",
            Self::ContextEngineer => "context_engineer",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    /// Its place in [`Role::ALL`]: who stands higher may not be made by who stands lower.
    #[must_use]
    pub fn rank(self) -> usize {
        self as usize
    }

    /// Reads a role's name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.as_str() == text)
    }

    /// The table of roles and actions.
    #[must_use]
    pub fn may(self, action: Action) -> bool {
        match action {
            Action::View => true,
            Action::Return => self.may(Action::Review) || self.may(Action::Edit),
            Action::Review => matches!(self, Self::Reviewer | Self::Admin | Self::Owner),
            Action::Edit | Action::Lock | Action::Publish | Action::Order => {
                matches!(self, Self::ContextEngineer | Self::Admin | Self::Owner)
            }
            Action::ManageCredentials | Action::ManageProjects | Action::ReadAudit => {
                matches!(self, Self::Admin | Self::Owner)
            }
            Action::ManageMembers => self == Self::Owner,
        }
    }
}

/// What can be done within an organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// See projects, prompts, versions, publications, agents.
    View,
    /// Comment, approve.
    Review,
    /// Take a draft out of review: who reviews it returns it, who wrote it withdraws it.
    Return,
    /// Change drafts, request a review, create sets.
    Edit,
    /// Make a version.
    Lock,
    /// Publish and roll back.
    Publish,
    /// Tell agents to take up what is published, or not to: who may send them something may also hold them.
    Order,
    /// Create and revoke credentials.
    ManageCredentials,
    /// Create projects and environments.
    ManageProjects,
    ReadAudit,
    /// Change who belongs to the organisation.
    ManageMembers,
}

impl Action {
    pub const ALL: [Self; 11] = [
        Self::View,
        Self::Review,
        Self::Return,
        Self::Edit,
        Self::Lock,
        Self::Publish,
        Self::Order,
        Self::ManageCredentials,
        Self::ManageProjects,
        Self::ReadAudit,
        Self::ManageMembers,
    ];
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::View => "see this",
            Self::Review => "review",
            Self::Return => "take a draft out of review",
            Self::Edit => "edit prompts",
            Self::Lock => "lock a version",
            Self::Publish => "publish",
            Self::Order => "freeze agents or let them accept",
            Self::ManageCredentials => "manage credentials",
            Self::ManageProjects => "manage projects",
            Self::ReadAudit => "read the audit log",
            Self::ManageMembers => "manage members",
        })
    }
}

/// One organisation of an actor.
#[derive(Debug, Clone)]
pub struct Membership {
    pub organisation_id: String,
    pub organisation: String,
    pub role: Role,
}

/// What an actor may do in one project, whatever they are in its organisation.
#[derive(Debug, Clone)]
pub struct Grant {
    pub organisation_id: String,
    pub organisation: String,
    pub project_id: String,
    pub project: String,
    pub role: Role,
}

/// How an actor came in.
#[derive(Clone)]
pub enum Entry {
    /// A browser's session. The CSRF token belongs to it.
    Session { id: String, csrf: String },
    /// A personal API token.
    Token { id: String, scopes: Scopes },
    /// `forge` itself, from the command line.
    Console,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Session { .. } => "Session",
            Self::Token { .. } => "Token",
            Self::Console => "Console",
        })
    }
}

/// Who asks. Every domain function takes one.
#[derive(Debug, Clone)]
pub struct Actor {
    pub user_id: String,
    pub name: String,
    pub email: String,
    pub entry: Entry,
    pub memberships: Vec<Membership>,
    pub grants: Vec<Grant>,
}

impl Actor {
    /// `forge` itself: may do everything, and the audit log says that it was the console.
    #[must_use]
    pub fn console() -> Self {
        Self {
            user_id: "console".into(),
            name: "forge (console)".into(),
            email: String::new(),
            entry: Entry::Console,
            memberships: Vec::new(),
            grants: Vec::new(),
        }
    }

    /// The role in an organisation, if there is one.
    #[must_use]
    pub fn role_in(&self, organisation_id: &str) -> Option<Role> {
        if matches!(self.entry, Entry::Console) {
            return Some(Role::Owner);
        }
        self.memberships.iter().find(|m| m.organisation_id == organisation_id).map(|m| m.role)
    }

    /// The role in a project: the higher of what one is in its organisation and what was granted.
    #[must_use]
    pub fn role_at(&self, organisation_id: &str, project_id: &str) -> Option<Role> {
        let granted = self
            .grants
            .iter()
            .find(|g| g.project_id == project_id && g.organisation_id == organisation_id)
            .map(|g| g.role);
        self.role_in(organisation_id).into_iter().chain(granted).max_by_key(|role| role.rank())
    }

    /// Whether the actor is a member of an organisation, or a guest of one of its projects.
    #[must_use]
    pub fn visits(&self, organisation_id: &str) -> bool {
        self.role_in(organisation_id).is_some()
            || self.grants.iter().any(|g| g.organisation_id == organisation_id)
    }

    /// What the actor's token may be used for; none: a person, whom no scope limits.
    fn scopes(&self) -> Option<Scopes> {
        match &self.entry {
            Entry::Token { scopes, .. } => Some(*scopes),
            _ => None,
        }
    }

    /// Whether the actor may do this in the whole organisation.
    #[must_use]
    pub fn may(&self, organisation_id: &str, action: Action) -> bool {
        self.role_in(organisation_id).is_some_and(|r| r.may(action))
            && self.scopes().is_none_or(|scopes| scopes.allow(action))
    }

    /// Whether the actor may do this in one project.
    #[must_use]
    pub fn may_at(&self, organisation_id: &str, project_id: &str, action: Action) -> bool {
        self.role_at(organisation_id, project_id).is_some_and(|r| r.may(action))
            && self.scopes().is_none_or(|scopes| scopes.allow(action))
    }

    /// Refuses a token: what concerns a person's account is done by the person.
    ///
    /// # Errors
    /// [`ApiError::Forbidden`].
    pub fn in_person(&self) -> Result<()> {
        match self.entry {
            Entry::Token { .. } => {
                Err(ApiError::Forbidden("a token cannot do this; sign in with a browser".into()))
            }
            _ => Ok(()),
        }
    }

    /// Refuses unless the actor may do this in the whole organisation.
    ///
    /// # Errors
    /// [`ApiError::Hidden`] to a stranger, [`ApiError::NotAllowed`] to a member of too small a role or by
    /// a token without the scope.
    pub fn require(&self, organisation_id: &str, action: Action) -> Result<()> {
        self.hold(organisation_id, self.role_in(organisation_id), action)
    }

    /// Refuses unless the actor may do this in one project.
    ///
    /// # Errors
    /// As [`Actor::require`]; a stranger is also who was granted another project only.
    pub fn require_at(&self, organisation_id: &str, project_id: &str, action: Action) -> Result<()> {
        self.hold(organisation_id, self.role_at(organisation_id, project_id), action)
    }

    fn hold(&self, organisation_id: &str, role: Option<Role>, action: Action) -> Result<()> {
        let organisation_id = organisation_id.to_owned();
        match role {
            None => Err(ApiError::Hidden { what: "organisation", organisation_id }),
            Some(role) if !role.may(action) => {
                let detail = format!(
                    "the role {} may not {action} here; ask an owner of the organisation",
                    role.as_str()
                );
                Err(ApiError::NotAllowed { organisation_id, detail })
            }
            Some(_) => match self.scopes() {
                Some(scopes) if !scopes.allow(action) => {
                    let detail = match Scopes::ALL.allow(action) {
                        true => format!("this token's scopes ({scopes}) do not allow to {action}"),
                        false => format!("no token may {action}; sign in with a browser"),
                    };
                    Err(ApiError::NotAllowed { organisation_id, detail })
                }
                _ => Ok(()),
            },
        }
    }

    /// The CSRF token that the actor's forms carry; only a browser's session has one.
    #[must_use]
    pub fn csrf(&self) -> &str {
        match &self.entry {
            Entry::Session { csrf, .. } => csrf,
            _ => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_higher_role_may_all_that_an_engineer_may() {
        for action in Action::ALL {
            if Role::ContextEngineer.may(action) {
                assert!(Role::Admin.may(action), "{action}");
            }
            if Role::Admin.may(action) {
                assert!(Role::Owner.may(action), "{action}");
            }
        }
        assert!(!Role::Viewer.may(Action::Edit) && !Role::Reviewer.may(Action::Publish));
    }

    #[test]
    fn a_stranger_cannot_tell_what_is_there() {
        let mut actor =
            Actor { entry: Entry::Token { id: String::new(), scopes: Scopes::ALL }, ..Actor::console() };
        assert!(matches!(actor.require("o", Action::View), Err(ApiError::Hidden { .. })));
        actor.memberships.push(Membership {
            organisation_id: "o".into(),
            organisation: "acme".into(),
            role: Role::Viewer,
        });
        assert!(actor.require("o", Action::View).is_ok());
        assert!(matches!(actor.require("o", Action::Edit), Err(ApiError::NotAllowed { .. })));
        let hidden = actor.require("x", Action::View).unwrap_err();
        let nothing = ApiError::NotFound("organisation");
        assert_eq!((hidden.to_string(), hidden.code()), (nothing.to_string(), nothing.code()));
        assert_eq!(hidden.problem(), nothing.problem());
    }

    #[test]
    fn a_guest_may_in_the_granted_project_what_the_grant_says_and_nothing_beside_it() {
        let session = Entry::Session { id: String::new(), csrf: String::new() };
        let mut actor = Actor { entry: session, ..Actor::console() };
        actor.grants.push(Grant {
            organisation_id: "o".into(),
            organisation: "acme".into(),
            project_id: "p".into(),
            project: "support".into(),
            role: Role::ContextEngineer,
        });
        assert!(actor.may_at("o", "p", Action::Edit) && actor.visits("o"));
        assert!(matches!(actor.require_at("o", "p", Action::ReadAudit), Err(ApiError::NotAllowed { .. })));
        assert!(matches!(actor.require_at("o", "q", Action::View), Err(ApiError::Hidden { .. })));
        assert!(matches!(actor.require("o", Action::View), Err(ApiError::Hidden { .. })));
        assert!(actor.require_at("x", "p", Action::View).is_err() && !actor.visits("x"));
        let organisation =
            Membership { organisation_id: "o".into(), organisation: "acme".into(), role: Role::Viewer };
        actor.memberships.push(organisation);
        assert!(actor.may_at("o", "p", Action::Edit), "the higher of both counts");
        assert!(actor.may_at("o", "q", Action::View) && !actor.may_at("o", "q", Action::Edit));
    }

    #[test]
    fn a_token_does_no_more_than_its_scopes_say() {
        let scopes = Scopes::of(&[Scope::Edit]);
        let mut actor = Actor { entry: Entry::Token { id: String::new(), scopes }, ..Actor::console() };
        actor.memberships.push(Membership {
            organisation_id: "o".into(),
            organisation: "acme".into(),
            role: Role::Owner,
        });
        assert!(actor.require("o", Action::Edit).is_ok() && actor.may("o", Action::View));
        assert!(!actor.may("o", Action::Publish) && !actor.may("o", Action::ManageMembers));
        actor.entry = Entry::Token { id: String::new(), scopes: Scopes::ALL };
        assert!(actor.may("o", Action::Publish) && !actor.may("o", Action::ManageMembers));
        actor.entry = Entry::Session { id: String::new(), csrf: String::new() };
        assert!(actor.may("o", Action::ManageMembers));
        actor.entry = Entry::Token { id: String::new(), scopes };
        assert!(matches!(actor.require("o", Action::Publish), Err(ApiError::NotAllowed { .. })));
        assert!(actor.in_person().is_err() && Actor::console().in_person().is_ok());
    }
}
