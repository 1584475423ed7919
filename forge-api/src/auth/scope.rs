//! What an API token may be used for, whatever its role allows.

use std::fmt;

use super::Action;

/// One kind of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// See what there is. Every token may.
    Read,
    /// Change drafts and lock versions.
    Edit,
    /// Approve and return drafts.
    Review,
    /// Publish and roll back, freeze agents and let them accept.
    Publish,
    /// Projects, credentials, the audit log.
    Manage,
}

impl Scope {
    pub const ALL: [Self; 5] = [Self::Read, Self::Edit, Self::Review, Self::Publish, Self::Manage];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Edit => "edit",
            Self::Review => "review",
            Self::Publish => "publish",
            Self::Manage => "manage",
        }
    }

    /// Reads a scope's name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == text)
    }

    /// The table of scopes and actions.
    fn allows(self, action: Action) -> bool {
        match action {
            Action::View => true,
            Action::Review => self == Self::Review,
            Action::Return => matches!(self, Self::Review | Self::Edit),
            Action::Edit | Action::Lock => self == Self::Edit,
            Action::Publish | Action::Order => self == Self::Publish,
            Action::ManageCredentials | Action::ManageProjects | Action::ReadAudit => self == Self::Manage,
            // Who belongs to an organisation outlasts every token: people say it themselves.
            Action::ManageMembers => false,
        }
    }
}

/// The scopes of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    pub const ALL: Self = Self((1 << Scope::ALL.len()) - 1);

    /// These scopes, and reading.
    #[must_use]
    pub fn of(scopes: &[Scope]) -> Self {
        scopes.iter().fold(Self(1), |sum, scope| Self(sum.0 | 1 << *scope as u8))
    }

    /// Reads what [`fmt::Display`] wrote; what is unknown allows nothing.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let known: Vec<_> = text.split_whitespace().filter_map(Scope::parse).collect();
        Self::of(&known)
    }

    #[must_use]
    pub fn has(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8) != 0
    }

    /// Whether one of them allows this.
    #[must_use]
    pub fn allow(self, action: Action) -> bool {
        Scope::ALL.into_iter().any(|scope| self.has(scope) && scope.allows(action))
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = Scope::ALL.into_iter().filter(|s| self.has(*s)).map(Scope::as_str).collect();
        f.write_str(&names.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_as_they_are_written() {
        assert_eq!(Scopes::ALL.to_string(), "read edit review publish manage");
        assert_eq!(Scopes::parse("read edit review publish manage"), Scopes::ALL);
        assert_eq!(Scopes::of(&[Scope::Publish]).to_string(), "read publish");
        assert_eq!(Scopes::parse("").to_string(), "read");
        assert_eq!(Scopes::parse("everything"), Scopes::of(&[]));
    }

    #[test]
    fn every_action_needs_a_scope_and_none_of_them_allows_to_manage_members() {
        for action in Action::ALL {
            assert_eq!(Scopes::ALL.allow(action), action != Action::ManageMembers, "{action}");
            assert_eq!(Scopes::of(&[]).allow(action), action == Action::View, "{action}");
        }
        let publish = Scopes::of(&[Scope::Publish]);
        assert!(
            publish.allow(Action::Publish) && publish.allow(Action::Order) && !publish.allow(Action::Edit)
        );
        assert!(!Scopes::of(&[Scope::Edit]).allow(Action::Publish));
    }
}
