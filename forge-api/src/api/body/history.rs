//! Revisions, and what differs between two states of a set.

use schemars::JsonSchema;
use schemas::prompt::Prompt;
use serde::{Deserialize, Serialize};

use crate::author::history::{Kept, PastState, Revision};
use crate::clock::rfc3339;
use crate::compare::diff::{Diff, Segment};
use crate::compare::{AT, Changes, Proposal, Reason};

#[derive(Debug, Serialize, JsonSchema)]
pub struct RevisionBody {
    pub id: String,
    /// The name that it had then.
    pub name: String,
    pub revision: i64,
    pub author: String,
    /// Why, in the words of the author; often nothing.
    pub message: String,
    pub created_at: String,
    /// It was deleted.
    pub deleted: bool,
    /// The name before, where this change gave it another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renamed_from: Option<String>,
    /// Who brought it from elsewhere; its author is somebody there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imported_by: Option<String>,
    /// What a prompt was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<Box<Prompt>>,
    /// What a partial was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

impl From<Revision> for RevisionBody {
    fn from(r: Revision) -> Self {
        let deleted = r.kept == Kept::Gone;
        let (prompt, source) = match r.kept {
            Kept::Prompt(prompt) => (Some(prompt), None),
            Kept::Partial(source) => (None, Some(source)),
            Kept::Gone => (None, None),
        };
        Self {
            id: r.id,
            name: r.name,
            renamed_from: r.renamed_from,
            imported_by: r.imported_by,
            revision: r.number,
            author: r.author,
            message: r.message,
            created_at: rfc3339(r.created_at),
            deleted,
            prompt,
            source,
        }
    }
}

/// Why something is saved.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SaveQuery {
    /// For the history, at most 500 characters.
    #[serde(default)]
    pub message: String,
}

/// A state that a set was in: after everything that was saved at one time.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StateBody {
    /// As `old` and `new` of a comparison take it: `at:` and the time.
    pub state: String,
    pub created_at: String,
    /// prompt or partial: what was saved, or the last of it.
    pub kind: String,
    pub name: String,
    pub revision: i64,
    pub author: String,
    pub message: String,
    /// It was taken out.
    pub deleted: bool,
    /// The name before, where this change gave it another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renamed_from: Option<String>,
    /// How many prompts and partials were saved at once.
    pub count: i64,
}

impl From<PastState> for StateBody {
    fn from(s: PastState) -> Self {
        Self {
            state: format!("{AT}{}", rfc3339(s.at)),
            created_at: rfc3339(s.at),
            kind: s.kind.into(),
            name: s.part.name,
            revision: s.part.revision,
            author: s.part.author,
            message: s.part.message,
            deleted: s.part.gone,
            renamed_from: s.part.renamed_from,
            count: s.part.count,
        }
    }
}

/// Which two states are compared.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompareQuery {
    /// `draft`, a version, a range, an alias, `@` and an environment, `at:` and a time, or a prompt, `#` and the
    /// number of a revision. Empty: nothing.
    #[serde(default)]
    pub old: String,
    #[serde(default)]
    pub new: String,
}

/// What differs between two states of a set.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ChangesBody {
    /// none, patch, minor or major: what it means to callers.
    pub weight: String,
    /// Heaviest first.
    pub reasons: Vec<ReasonBody>,
    pub changed: usize,
    pub new: usize,
    pub removed: usize,
    pub unchanged: usize,
    pub differences: Vec<DifferenceBody>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct ReasonBody {
    /// patch, minor or major.
    pub weight: String,
    pub what: String,
}

impl From<Reason> for ReasonBody {
    fn from(r: Reason) -> Self {
        Self { weight: r.weight.as_str().into(), what: r.what }
    }
}

/// What differs in one prompt or partial.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DifferenceBody {
    /// Its name.
    pub name: String,
    /// new prompt, removed, renamed, new partial, partial removed, partial renamed or partial; absent for a prompt that changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    pub lines_added: usize,
    pub lines_removed: usize,
    /// Parameters, model settings, tags and all that is no text, in words.
    pub facts: Vec<String>,
    pub lines: Vec<LineBody>,
}

/// One line before and after; lines that are the same on both sides and far from a change are left out.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LineBody {
    /// same, changed, added, removed, skipped (lines that are the same) or message (the head of one).
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub old: Vec<WordsBody>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub new: Vec<WordsBody>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct WordsBody {
    pub text: String,
    pub changed: bool,
}

impl From<Segment> for WordsBody {
    fn from(s: Segment) -> Self {
        Self { text: s.text, changed: s.changed }
    }
}

impl From<Diff> for DifferenceBody {
    fn from(d: Diff) -> Self {
        let lines = d.rows.into_iter().map(|row| {
            let kind = match (&row.fold, &row.head, row.same, row.old_number, row.new_number) {
                (Some(_), ..) => "skipped",
                (_, Some(_), ..) => "message",
                (_, _, true, ..) => "same",
                (_, _, _, Some(_), Some(_)) => "changed",
                (_, _, _, Some(_), None) => "removed",
                _ => "added",
            };
            LineBody {
                kind: kind.into(),
                old_line: row.old_number,
                new_line: row.new_number,
                note: row.fold.or(row.head),
                old: row.old.into_iter().map(Into::into).collect(),
                new: row.new.into_iter().map(Into::into).collect(),
            }
        });
        Self {
            name: d.title,
            note: d.note.map(Into::into),
            lines_added: d.plus,
            lines_removed: d.minus,
            facts: d.facts,
            lines: lines.collect(),
        }
    }
}

impl From<Changes> for ChangesBody {
    fn from(c: Changes) -> Self {
        Self {
            weight: c.weight.as_str().into(),
            reasons: c.reasons.into_iter().map(Into::into).collect(),
            changed: c.changed,
            new: c.new,
            removed: c.gone,
            unchanged: c.same,
            differences: c.diffs.into_iter().map(Into::into).collect(),
        }
    }
}

/// The version that the draft asks for.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProposalBody {
    pub version: String,
    /// The highest locked version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    pub weight: String,
    /// Heaviest first.
    pub reasons: Vec<ReasonBody>,
}

impl From<Proposal> for ProposalBody {
    fn from(p: Proposal) -> Self {
        Self {
            version: p.next.to_string(),
            last: p.last.map(|v| v.to_string()),
            weight: p.changes.weight.as_str().into(),
            reasons: p.changes.reasons.into_iter().map(Into::into).collect(),
        }
    }
}
