//! Settings that say how much an agent takes upon itself.

use std::collections::BTreeMap;
use std::time::Duration;

use schemas::Slug;
use schemas::envelope::{AgeAction, MaxAge};
use semver::VersionReq;

/// The versions of each set that an agent takes up; of a set that is not named, all.
pub type Pins = BTreeMap<Slug, VersionReq>;

/// Settings that go together.
///
/// | | `Dev` | `Staging` | `Prod` |
/// |---|---|---|---|
/// | mode of a first start | ACCEPTING | ACCEPTING | ACCEPTING |
/// | FORGE may set the mode | yes | yes | no |
/// | own age bound | none | 7 days, warn | 1 day, warn |
/// | overrides | yes | yes | refused |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Preset {
    Dev,
    Staging,
    Prod,
}

impl Preset {
    pub const ALL: [Self; 3] = [Self::Dev, Self::Staging, Self::Prod];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Staging => "staging",
            Self::Prod => "prod",
        }
    }

    /// The preset of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.as_str().eq_ignore_ascii_case(name))
    }

    pub(crate) fn max_age(self) -> Option<MaxAge> {
        let days = match self {
            Self::Dev => return None,
            Self::Staging => 7,
            Self::Prod => 1,
        };
        Some(MaxAge { seconds: days * 86_400, action: AgeAction::Warn })
    }
}

/// What a start waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum StartPolicy {
    /// Serves what is there, and waits for nothing.
    #[default]
    ServeWhatIsThere,
    /// Waits until FORGE confirms that nothing is missing, at most so long; then the start fails.
    WaitFresh(Duration),
    /// Starts with what FORGE confirmed within `age`, by its signed word on disk; waits at most `wait`
    /// for a newer one, then the start fails.
    RequireAge { age: Duration, wait: Duration },
}

impl StartPolicy {
    /// The policy of this name; another one serves what is there.
    pub(crate) fn of(name: &str, age: Duration, wait: Duration) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "fresh" => Self::WaitFresh(wait),
            "age" => Self::RequireAge { age, wait },
            _ => Self::ServeWhatIsThere,
        }
    }
}
