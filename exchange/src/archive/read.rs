//! Reading an archive: nothing of it is believed that its digests do not bear out.

use std::collections::{BTreeMap, BTreeSet};

use schemas::Slug;
use schemas::bundle::Bundle;
use schemas::canonical::Digest;
use serde::Deserialize;

use super::parts::{Aliases, Draft, Head, HeadSet, History, Lock, Variables};
use super::{Archive, FORMAT, HEAD, Locked, Set, VERSION, Version, WHOLE_FROM, place};
use crate::files::Files;
use crate::found::{Content, Refusal, Result};
use crate::name::unique;

impl Archive {
    /// Reads it, and checks every digest.
    ///
    /// # Errors
    /// A file is missing, too many, changed, or not of this format; a lock file that does not tell what the versions are.
    pub fn read(files: &Files) -> Result<Self> {
        let head: Head = parse(files, HEAD)?;
        if head.format != FORMAT || head.version == 0 || head.version > VERSION {
            let detail =
                format!("the archive has version {} of its format; up to {VERSION} is read", head.version);
            return Err(Refusal::new("too_new", detail));
        }
        unchanged(files, &head)?;
        let mut seen = BTreeSet::new();
        if let Some(twice) = head.sets.iter().find(|set| !seen.insert(set.slug.clone())) {
            return Err(Refusal::new("duplicate", format!("the set {} stands twice in {HEAD}", twice.slug)));
        }
        let mut sets = Vec::with_capacity(head.sets.len());
        for set in &head.sets {
            sets.push(Set::read(files, &head, set)?);
        }
        let archive =
            Self { version: head.version, organisation: head.organisation, project: head.project, sets };
        if archive.is_whole() {
            archive.check_locks()?;
        }
        Ok(archive)
    }

    /// That a version takes in what the archive holds under that name, where it holds the other set.
    fn check_locks(&self) -> Result<()> {
        let mut known: BTreeMap<(&Slug, &semver::Version), &Locked> = BTreeMap::new();
        for set in &self.sets {
            known.extend(set.versions.iter().map(|v| ((&set.slug, &v.locked.version), &v.locked)));
        }
        let holds: BTreeSet<&Slug> = self.sets.iter().map(|set| &set.slug).collect();
        for set in &self.sets {
            for Version { locked, .. } in &set.versions {
                for taken in locked.dependencies.iter().filter(|d| holds.contains(&d.set)) {
                    let fits = known
                        .get(&(&taken.set, &taken.version))
                        .is_some_and(|other| other.digest == taken.digest && other.content == taken.content);
                    if !fits {
                        let detail = format!(
                            "{} {} takes in {} {}, and the archive holds no such version with that digest",
                            set.slug, locked.version, taken.set, taken.version
                        );
                        return Err(Refusal::new("file_changed", detail));
                    }
                }
            }
        }
        Ok(())
    }
}

fn unchanged(files: &Files, head: &Head) -> Result<()> {
    for (path, digest) in &head.files {
        let bytes = files.get(path).ok_or_else(|| Refusal::unreadable(path, "is missing"))?;
        if Digest::of(bytes) != *digest {
            let detail = format!("{path} was changed after the archive was made");
            return Err(Refusal::new("file_changed", detail));
        }
    }
    match files.keys().find(|p| *p != HEAD && !head.files.contains_key(*p)) {
        Some(path) => Err(Refusal::unreadable(path, "was put into the archive after it was made")),
        None => Ok(()),
    }
}

impl Set {
    fn read(files: &Files, head: &Head, set: &HeadSet) -> Result<Self> {
        let at = |name: &str| format!("sets/{}/{name}", set.slug);
        let draft: Draft = parse(files, &at("draft.json"))?;
        unique("prompt", draft.prompts.iter().map(|p| &p.id))?;
        unique("partial", draft.partials.iter().map(|p| &p.name))?;
        let lock: Lock = parse(files, &at("lock.json"))?;
        let history: History = parse(files, &at("history.json"))?;
        let is_whole = head.version >= WHOLE_FROM;
        let mut versions = Vec::with_capacity(lock.versions.len());
        for locked in lock.versions {
            let path = at(&format!("versions/{}.json", locked.version));
            let body = files.get(&path).ok_or_else(|| Refusal::unreadable(&path, "is missing"))?.clone();
            is_locked(&path, &locked, &body, head, set)?;
            versions.push(Version { locked, body });
        }
        let mut read = Self {
            slug: set.slug.clone(),
            name: set.name.clone(),
            description: set.description.clone(),
            tags: set.tags.clone(),
            archived: set.archived,
            draft: Content { prompts: draft.prompts, partials: draft.partials },
            dependencies: draft.dependencies,
            versions,
            aliases: Vec::new(),
            variable_sets: Vec::new(),
            history: history.changes,
            partial_history: history.partials,
        };
        if is_whole {
            read.aliases = parse::<Aliases>(files, &at("aliases.json"))?.aliases;
            read.variable_sets = parse::<Variables>(files, &at("variables.json"))?.variable_sets;
        }
        read.check(&at("lock.json"))?;
        Ok(read)
    }

    /// That no two things have one name, and every name leads somewhere.
    fn check(&self, place: &str) -> Result<()> {
        let mut seen = BTreeSet::new();
        let twice = |what: &str, name: &str| {
            Refusal::new("duplicate", format!("{what} {name} stands twice in the set {}", self.slug))
        };
        for one in &self.versions {
            if !seen.insert(format!("version {}", one.locked.version)) {
                return Err(twice("version", &one.locked.version.to_string()));
            }
        }
        let numbers: BTreeSet<&semver::Version> = self
            .versions
            .iter()
            .map(|v| &v.locked)
            .filter(|l| l.kind == Locked::LOCKED)
            .map(|l| &l.version)
            .collect();
        for one in &self.aliases {
            if !seen.insert(format!("alias {}", one.name)) {
                return Err(twice("alias", one.name.as_str()));
            }
            if !numbers.contains(&one.version) {
                let why = format!("the alias {} stands for {}, which is not locked", one.name, one.version);
                return Err(Refusal::unreadable(place, why));
            }
        }
        for one in &self.variable_sets {
            if !seen.insert(format!("values {} {}", one.prompt, one.name)) {
                return Err(twice("variable set", &one.name));
            }
        }
        for one in &self.dependencies {
            if one.set == self.slug || !seen.insert(format!("dependency {}", one.set)) {
                return Err(twice("dependency", one.set.as_str()));
            }
            semver::VersionReq::parse(&one.requirement).map_err(|e| Refusal::unreadable(place, e))?;
        }
        Ok(())
    }
}

/// Refuses a body that is not what the lock file says of it.
fn is_locked(path: &str, locked: &Locked, body: &[u8], head: &Head, set: &HeadSet) -> Result<()> {
    let bundle = Bundle::from_body(body).map_err(|e| Refusal::unreadable(path, e))?;
    let refused = || {
        let detail = format!("{path} is not the version that lock.json names");
        Err(Refusal::new("file_changed", detail))
    };
    if Digest::of(body) != locked.digest || bundle.version != locked.version || bundle.set != set.slug {
        return refused();
    }
    if head.version < WHOLE_FROM {
        return Ok(());
    }
    let is_here =
        bundle.organisation.as_str() == head.organisation && bundle.project.as_str() == head.project;
    let takes_in = bundle.dependencies.len() == locked.dependencies.len()
        && bundle.dependencies.iter().zip(&locked.dependencies).all(|(a, b)| {
            a.set == b.set
                && a.requirement == b.requirement
                && a.version == b.version
                && a.digest == b.digest
                && b.content.is_some()
        });
    let known = matches!(locked.kind.as_str(), Locked::LOCKED | Locked::SNAPSHOT);
    if is_here && takes_in && known && locked.content == Some(place::content(body)?) {
        Ok(())
    } else {
        refused()
    }
}

fn parse<T: for<'de> Deserialize<'de>>(files: &Files, path: &str) -> Result<T> {
    let bytes = files.get(path).ok_or_else(|| Refusal::unreadable(path, "is missing"))?;
    serde_json::from_slice(bytes).map_err(|e| Refusal::unreadable(path, e))
}
