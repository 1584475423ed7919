//! A plan: of every set what would be done, and a digest of all of it.

use std::collections::BTreeSet;

use exchange::{Content, Format, Note};
use schemas::canonical::Digest;

use super::choice::{Change, Choices, PlanItem};

/// What an import would do to one set.
#[derive(Debug, Clone)]
pub struct SetPlan {
    /// Its slug.
    pub set: String,
    /// It is made by the import.
    pub is_new: bool,
    /// The worst first.
    pub items: Vec<PlanItem>,
    /// The draft as it is, and as it would be.
    pub before: Content,
    pub after: Content,
    /// The names of what is written as the file says.
    pub(super) taken: BTreeSet<String>,
}

impl SetPlan {
    pub(super) fn takes(&self, name: &str) -> bool {
        self.taken.contains(name)
    }

    /// Brings the items into their order, and finds what they take, once they are all there.
    pub(super) fn index(&mut self) {
        self.items.sort_by(|a, b| a.change.cmp(&b.change).then_with(|| a.name.cmp(&b.name)));
        self.taken = self.items.iter().filter(|i| i.change.takes()).map(|i| i.name.clone()).collect();
    }

    /// Whether anything would be written.
    #[must_use]
    pub fn writes(&self) -> bool {
        self.is_new || self.items.iter().any(|i| i.change.writes())
    }
}

/// What an import would do.
#[derive(Debug, Clone)]
pub struct Plan {
    pub import: String,
    /// What the file is called.
    pub file: String,
    pub format: Format,
    pub choices: Choices,
    /// Into a project, and not into one set.
    pub of_project: bool,
    pub sets: Vec<SetPlan>,
    /// What of the file was not taken over as it stands.
    pub notes: Vec<Note>,
    /// Of everything that it would do.
    pub digest: Digest,
}

impl Plan {
    /// Everything that it touches, the worst first, under its name in one set, or in a project by its set.
    #[must_use]
    pub fn items(&self) -> Vec<(String, &PlanItem)> {
        let name = |set: &SetPlan, item: &PlanItem| match self.of_project {
            true => format!("{}/{}", set.set, item.name),
            false => item.name.clone(),
        };
        let all = self.sets.iter().flat_map(|set| set.items.iter().map(move |item| (set, item)));
        let mut all: Vec<_> = all.map(|(set, item)| (name(set, item), item)).collect();
        all.sort_by(|(a, x), (b, y)| x.change.cmp(&y.change).then_with(|| a.cmp(b)));
        all
    }

    /// How many of a kind there are.
    #[must_use]
    pub fn count(&self, change: Change) -> usize {
        self.sets.iter().flat_map(|set| &set.items).filter(|i| i.change == change).count()
    }

    /// Whether it would write anything.
    #[must_use]
    pub fn writes(&self) -> bool {
        self.sets.iter().any(SetPlan::writes)
    }
}
