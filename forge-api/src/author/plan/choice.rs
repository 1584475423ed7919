//! What is to be done where file and set differ, and what that comes to for one thing.

use schemas::canonical::Digest;

use crate::error::{ApiError, Result};

/// What happens to a prompt that stands in the set with another text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Existing {
    #[default]
    Replace,
    Keep,
    /// Replaced where nobody changed it since the files were taken from the set; a conflict otherwise.
    Careful,
}

impl Existing {
    /// What becomes of something that stands there otherwise, and of which nobody knows what it was before.
    pub(super) fn other(self) -> Change {
        match self {
            Self::Replace => Change::Changed,
            Self::Keep => Change::Kept,
            Self::Careful => Change::Conflict,
        }
    }
}

/// What happens to a prompt of the set that is not in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Others {
    #[default]
    Keep,
    Remove,
}

/// What is to be done where file and set differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Choices {
    pub existing: Existing,
    pub others: Others,
}

impl Choices {
    /// Reads the words of a request; none is the default.
    ///
    /// # Errors
    /// Another word.
    pub fn parse(existing: &str, others: &str) -> Result<Self> {
        let existing = match existing {
            "" | "replace" => Existing::Replace,
            "keep" => Existing::Keep,
            "careful" => Existing::Careful,
            _ => return Err(ApiError::invalid("invalid", "existing", "write replace, keep or careful")),
        };
        let others = match others {
            "" | "keep" => Others::Keep,
            "remove" => Others::Remove,
            _ => return Err(ApiError::invalid("invalid", "others", "write keep or remove")),
        };
        Ok(Self { existing, others })
    }

    /// The two words.
    #[must_use]
    pub fn words(self) -> (&'static str, &'static str) {
        let existing = match self.existing {
            Existing::Replace => "replace",
            Existing::Keep => "keep",
            Existing::Careful => "careful",
        };
        (existing, if self.others == Others::Remove { "remove" } else { "keep" })
    }
}

/// What becomes of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// What stands there and what comes do not go together; nothing is written.
    Conflict,
    New,
    Changed,
    Removed,
    /// It differs, and stays as it is in the set.
    Kept,
    Unchanged,
}

impl Change {
    pub const ALL: [Self; 6] =
        [Self::Conflict, Self::New, Self::Changed, Self::Removed, Self::Kept, Self::Unchanged];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::New => "new",
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Kept => "kept",
            Self::Unchanged => "unchanged",
        }
    }

    /// Whether something is written.
    #[must_use]
    pub fn writes(self) -> bool {
        matches!(self, Self::New | Self::Changed | Self::Removed)
    }

    /// Whether what the file says is written.
    #[must_use]
    pub fn takes(self) -> bool {
        matches!(self, Self::New | Self::Changed)
    }
}

/// One thing, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanItem {
    /// `prompts/<id>`, `partials/<name>`, `versions/<version>`, `aliases/<name>`, `dependencies/<set>`,
    /// `variables/<prompt>/<name>`, `history/prompts/<id>`, `history/partials/<name>`; `set` is the set itself.
    pub name: String,
    pub change: Change,
    /// Why, where that is not plain from the change; often nothing.
    pub why: String,
    pub(super) before: Option<Digest>,
    pub(super) after: Option<Digest>,
}

impl PlanItem {
    pub(super) fn new(name: impl Into<String>, change: Change) -> Self {
        Self { name: name.into(), change, why: String::new(), before: None, after: None }
    }

    pub(super) fn because(self, why: impl Into<String>) -> Self {
        Self { why: why.into(), ..self }
    }

    pub(super) fn with(self, before: Option<Digest>, after: Option<Digest>) -> Self {
        Self { before, after, ..self }
    }
}
