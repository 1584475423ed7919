//! Our own archive: a zip of JSON files.
//!
//! | file | holds |
//! |---|---|
//! | `forge.json` | format, where it comes from, and the digest of every other file |
//! | `sets/<set>/draft.json` | prompts and partials as they are being written, and the sets that they take partials from |
//! | `sets/<set>/lock.json` | the versions: digest, who made and approved each, what it depends on |
//! | `sets/<set>/versions/<version>.json` | the bytes of a version, as agents get them |
//! | `sets/<set>/aliases.json` | names for versions |
//! | `sets/<set>/variables.json` | values to try prompts with |
//! | `sets/<set>/history.json` | what each prompt and partial was after each change |
//!
//! The same archive is always written as the same bytes. Version 1 of the format has neither aliases nor values, no
//! history of partials, and no digest of content; of such a one the draft is what can be taken over.

mod parts;
pub mod place;
mod read;

use schemas::canonical::{Digest, to_canonical};
use schemas::prompt::Prompt;
use schemas::{PromptId, Slug};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::files::{self, Files};
use crate::found::{Content, Refusal, Result};
use parts::{Aliases, Draft, Head, HeadSet, History, Lock, Variables};

/// What `forge.json` names the format.
pub const FORMAT: &str = "anvil.archive";
/// The version of the format that is written.
pub const VERSION: u32 = 2;
/// The version of the format from which on everything of a set is in it.
const WHOLE_FROM: u32 = 2;
const HEAD: &str = "forge.json";

/// Everything of an archive.
#[derive(Debug, Clone, PartialEq)]
pub struct Archive {
    /// The version of the format that it was read from, or [`VERSION`].
    pub version: u32,
    pub organisation: String,
    pub project: String,
    pub sets: Vec<Set>,
}

/// One prompt set.
#[derive(Debug, Clone, PartialEq)]
pub struct Set {
    pub slug: Slug,
    pub name: String,
    pub description: String,
    pub tags: Vec<String>,
    /// It takes no changes any more.
    pub archived: bool,
    /// Its own prompts and partials, without what it takes from other sets.
    pub draft: Content,
    /// What the draft takes from other sets.
    pub dependencies: Vec<Requirement>,
    /// The newest first.
    pub versions: Vec<Version>,
    pub aliases: Vec<Alias>,
    pub variable_sets: Vec<VariableSet>,
    /// The oldest first.
    pub history: Vec<Change>,
    /// The oldest first.
    pub partial_history: Vec<PartialChange>,
}

/// A set that a draft takes partials from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    pub set: Slug,
    /// A range of versions.
    pub requirement: String,
}

/// A version with its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    pub locked: Locked,
    pub body: Vec<u8>,
}

/// A line of the lock file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    pub version: semver::Version,
    /// Of the bytes, which name the place that they stand in.
    pub digest: Digest,
    /// Of what it says, in whatever place ([`place::content`]). None in version 1 of the format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Digest>,
    /// `locked`, or `snapshot` of a draft.
    pub kind: String,
    pub notes: String,
    pub author: String,
    pub approver: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// The sets that were taken into it.
    pub dependencies: Vec<LockedDependency>,
    /// Where it was locked, if that was elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Origin>,
}

impl Locked {
    /// A version that people made.
    pub const LOCKED: &'static str = "locked";
    /// A draft that was published to be tried.
    pub const SNAPSHOT: &'static str = "snapshot";
}

/// A version that was taken into another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedDependency {
    pub set: Slug,
    pub requirement: String,
    pub version: semver::Version,
    pub digest: Digest,
    /// Of what it says. None in version 1 of the format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Digest>,
}

/// Where a version comes from, and who brought it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    pub organisation: String,
    pub project: String,
    pub set: String,
    pub digest: Digest,
    pub imported_by: String,
    /// RFC 3339.
    pub imported_at: String,
}

/// A name for a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alias {
    pub name: Slug,
    pub version: semver::Version,
    /// Only who manages the project moves it.
    pub protected: bool,
}

/// Values to try a prompt with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VariableSet {
    pub prompt: PromptId,
    pub name: String,
    pub values: Map<String, Value>,
    /// The messages of each placeholder.
    pub history: Map<String, Value>,
}

/// What a prompt was after one change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    pub prompt: PromptId,
    pub revision: i64,
    pub author: String,
    /// RFC 3339.
    pub created_at: String,
    /// Why, in the words of who saved it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The name before, where this change gave it another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renamed_from: Option<PromptId>,
    /// None: it was deleted.
    pub body: Option<Prompt>,
}

/// What a partial was after one change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartialChange {
    pub partial: PromptId,
    pub revision: i64,
    pub author: String,
    /// RFC 3339.
    pub created_at: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The name before, where this change gave it another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renamed_from: Option<PromptId>,
    /// None: it was deleted.
    pub source: Option<String>,
}

/// Whether these files are an archive of ours.
#[must_use]
pub fn is_archive(files: &Files) -> bool {
    #[derive(Deserialize)]
    struct Only {
        format: String,
    }
    files
        .get(HEAD)
        .and_then(|bytes| serde_json::from_slice::<Only>(bytes).ok())
        .is_some_and(|only| only.format == FORMAT)
}

fn json<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    to_canonical(value).map_err(|e| Refusal::new("invalid", e.to_string()))
}

impl Archive {
    /// Whether everything of its sets can be taken over, and not only their drafts.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.version >= WHOLE_FROM
    }

    /// Writes it. The same archive gives the same bytes.
    ///
    /// # Errors
    /// It is larger than an archive may be.
    pub fn write(&self) -> Result<Vec<u8>> {
        let mut files = Files::new();
        for set in &self.sets {
            set.write(&mut files)?;
        }
        let head = Head {
            format: FORMAT.into(),
            version: VERSION,
            organisation: self.organisation.clone(),
            project: self.project.clone(),
            sets: self.sets.iter().map(Set::head).collect(),
            files: files.iter().map(|(path, bytes)| (path.clone(), Digest::of(bytes))).collect(),
        };
        files.insert(HEAD.into(), json(&head)?);
        files::pack(&files)
    }
}

impl Set {
    fn head(&self) -> HeadSet {
        HeadSet {
            slug: self.slug.clone(),
            name: self.name.clone(),
            description: self.description.clone(),
            tags: self.tags.clone(),
            archived: self.archived,
        }
    }

    fn write(&self, files: &mut Files) -> Result<()> {
        let at = |name: &str| format!("sets/{}/{name}", self.slug);
        let draft = self.draft.clone().sorted();
        let mut dependencies = self.dependencies.clone();
        dependencies.sort_by(|a, b| a.set.cmp(&b.set));
        let draft = Draft { prompts: draft.prompts, partials: draft.partials, dependencies };
        files.insert(at("draft.json"), json(&draft)?);
        let lock = Lock { versions: self.versions.iter().map(|v| v.locked.clone()).collect() };
        files.insert(at("lock.json"), json(&lock)?);
        let mut aliases = self.aliases.clone();
        aliases.sort_by(|a, b| a.name.cmp(&b.name));
        files.insert(at("aliases.json"), json(&Aliases { aliases })?);
        let mut variable_sets = self.variable_sets.clone();
        variable_sets.sort_by(|a, b| a.prompt.cmp(&b.prompt).then_with(|| a.name.cmp(&b.name)));
        files.insert(at("variables.json"), json(&Variables { variable_sets })?);
        let history = History { changes: self.history.clone(), partials: self.partial_history.clone() };
        files.insert(at("history.json"), json(&history)?);
        for version in &self.versions {
            files.insert(at(&format!("versions/{}.json", version.locked.version)), version.body.clone());
        }
        Ok(())
    }
}
