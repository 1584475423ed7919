//! Our own archive: a zip of JSON files.
//!
//! | file | holds |
//! |---|---|
//! | `forge.json` | format, where it comes from, and the digest of every other file |
//! | `sets/<set>/draft.json` | prompts and partials as they are being written |
//! | `sets/<set>/lock.json` | the versions: digest, who made and approved each, what it depends on |
//! | `sets/<set>/versions/<version>.json` | the bytes of a version, as agents get them |
//! | `sets/<set>/history.json` | what each prompt was after each change |
//!
//! The same archive is always written as the same bytes.

use std::collections::BTreeMap;

use schemas::bundle::{Bundle, Dependency};
use schemas::canonical::{Digest, to_canonical};
use schemas::prompt::{Partial, Prompt};
use schemas::{PromptId, Slug};
use serde::{Deserialize, Serialize};

use crate::files::{self, Files};
use crate::found::{Content, Refusal, Result};
use crate::name::unique;

/// What `forge.json` names the format.
pub const FORMAT: &str = "anvil.archive";
/// The version of the format that is written.
pub const VERSION: u32 = 1;
const HEAD: &str = "forge.json";

/// Everything of an archive.
#[derive(Debug, Clone, PartialEq)]
pub struct Archive {
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
    pub draft: Content,
    pub versions: Vec<Version>,
    pub history: Vec<Change>,
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
    pub digest: Digest,
    /// `locked`, or `snapshot` of a draft.
    pub kind: String,
    pub notes: String,
    pub author: String,
    pub approver: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// The sets that were taken into it.
    pub dependencies: Vec<Dependency>,
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
    /// None: it was deleted.
    pub body: Option<Prompt>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    format: String,
    version: u32,
    organisation: String,
    project: String,
    sets: Vec<HeadSet>,
    files: BTreeMap<String, Digest>,
}

#[derive(Serialize, Deserialize)]
struct HeadSet {
    slug: Slug,
    name: String,
    description: String,
}

#[derive(Serialize, Deserialize)]
struct Draft {
    prompts: Vec<Prompt>,
    partials: Vec<Partial>,
}

#[derive(Serialize, Deserialize)]
struct Lock {
    versions: Vec<Locked>,
}

#[derive(Serialize, Deserialize)]
struct History {
    changes: Vec<Change>,
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
    /// Writes it. The same archive gives the same bytes.
    ///
    /// # Errors
    /// It is larger than an archive may be.
    pub fn write(&self) -> Result<Vec<u8>> {
        let mut files = Files::new();
        for set in &self.sets {
            let at = |name: &str| format!("sets/{}/{name}", set.slug);
            let draft = set.draft.clone().sorted();
            let draft = Draft { prompts: draft.prompts, partials: draft.partials };
            files.insert(at("draft.json"), json(&draft)?);
            let lock = Lock { versions: set.versions.iter().map(|v| v.locked.clone()).collect() };
            files.insert(at("lock.json"), json(&lock)?);
            files.insert(at("history.json"), json(&History { changes: set.history.clone() })?);
            for version in &set.versions {
                files.insert(at(&format!("versions/{}.json", version.locked.version)), version.body.clone());
            }
        }
        let head = Head {
            format: FORMAT.into(),
            version: VERSION,
            organisation: self.organisation.clone(),
            project: self.project.clone(),
            sets: self
                .sets
                .iter()
                .map(|s| HeadSet {
                    slug: s.slug.clone(),
                    name: s.name.clone(),
                    description: s.description.clone(),
                })
                .collect(),
            files: files.iter().map(|(path, bytes)| (path.clone(), Digest::of(bytes))).collect(),
        };
        files.insert(HEAD.into(), json(&head)?);
        files::pack(&files)
    }

    /// Reads it, and checks every digest.
    ///
    /// # Errors
    /// A file is missing, too many, changed, or not of this format.
    pub fn read(files: &Files) -> Result<Self> {
        let head: Head = parse(files, HEAD)?;
        if head.format != FORMAT || head.version == 0 || head.version > VERSION {
            let detail =
                format!("the archive has version {} of its format; up to {VERSION} is read", head.version);
            return Err(Refusal::new("too_new", detail));
        }
        for (path, digest) in &head.files {
            let bytes = files.get(path).ok_or_else(|| Refusal::unreadable(path, "is missing"))?;
            if Digest::of(bytes) != *digest {
                return Err(Refusal::new(
                    "file_changed",
                    format!("{path} was changed after the archive was made"),
                ));
            }
        }
        if let Some(path) = files.keys().find(|p| *p != HEAD && !head.files.contains_key(*p)) {
            return Err(Refusal::unreadable(path, "was put into the archive after it was made"));
        }
        let sets = head.sets.into_iter().map(|set| Set::read(files, set)).collect::<Result<_>>()?;
        Ok(Self { organisation: head.organisation, project: head.project, sets })
    }
}

impl Set {
    fn read(files: &Files, head: HeadSet) -> Result<Self> {
        let at = |name: &str| format!("sets/{}/{name}", head.slug);
        let draft: Draft = parse(files, &at("draft.json"))?;
        unique("prompt", draft.prompts.iter().map(|p| &p.id))?;
        unique("partial", draft.partials.iter().map(|p| &p.name))?;
        let lock: Lock = parse(files, &at("lock.json"))?;
        let history: History = parse(files, &at("history.json"))?;
        let mut versions = Vec::new();
        for locked in lock.versions {
            let path = at(&format!("versions/{}.json", locked.version));
            let body = files.get(&path).ok_or_else(|| Refusal::unreadable(&path, "is missing"))?.clone();
            let bundle = Bundle::from_body(&body).map_err(|e| Refusal::unreadable(&path, e))?;
            if Digest::of(&body) != locked.digest
                || bundle.version != locked.version
                || bundle.set != head.slug
            {
                return Err(Refusal::new(
                    "file_changed",
                    format!("{path} is not the version that lock.json names"),
                ));
            }
            versions.push(Version { locked, body });
        }
        Ok(Self {
            slug: head.slug,
            name: head.name,
            description: head.description,
            draft: Content { prompts: draft.prompts, partials: draft.partials },
            versions,
            history: history.changes,
        })
    }
}

fn parse<T: for<'de> Deserialize<'de>>(files: &Files, path: &str) -> Result<T> {
    let bytes = files.get(path).ok_or_else(|| Refusal::unreadable(path, "is missing"))?;
    serde_json::from_slice(bytes).map_err(|e| Refusal::unreadable(path, e))
}
