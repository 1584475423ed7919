//! Files as they come out of an archive, of whatever kind, within the bounds of all of them.

use std::collections::BTreeSet;

use super::{DEPTH_MAX, FILE_MAX, FILES_MAX, Files, PATH_MAX, RATIO_FROM, RATIO_MAX, TOTAL_MAX, too_large};
use crate::found::{Refusal, Result, shown};

/// What was taken out so far.
pub(super) struct Sack {
    files: Files,
    seen: BTreeSet<String>,
    entries: usize,
    total: u64,
    bound: u64,
}

/// How much an archive of so many bytes may unpack to.
pub(super) fn bound(packed: usize) -> u64 {
    (packed as u64).saturating_mul(RATIO_MAX).clamp(RATIO_FROM, TOTAL_MAX)
}

pub(super) fn bomb() -> Refusal {
    too_large("the archive unpacks to far more than prompts would; it may be a bomb")
}

/// What an archive holds that is no file and no folder.
pub(super) fn no_file(name: &str) -> Refusal {
    Refusal::new("bad_path", format!("{} is a link or a device; only files are read", shown(name)))
}

impl Sack {
    pub(super) fn new(bound: u64) -> Self {
        Self { files: Files::new(), seen: BTreeSet::new(), entries: 0, total: 0, bound }
    }

    /// Counts an entry, a folder or a file, and gives the path that it is taken under.
    pub(super) fn path(&mut self, name: &str) -> Result<String> {
        self.entries += 1;
        if self.entries > FILES_MAX {
            return Err(too_large(format!("the archive has more than {FILES_MAX} entries")));
        }
        path(name.trim_end_matches('/'))
    }

    /// Takes a file. Of its content one byte more than is allowed is enough.
    pub(super) fn put(&mut self, path: String, content: Vec<u8>) -> Result<()> {
        if !self.seen.insert(path.to_lowercase()) {
            let detail = format!("two files of the archive are called {path}, or differ only in capitals");
            return Err(Refusal::new("duplicate", detail));
        }
        self.total += content.len() as u64;
        if content.len() as u64 > FILE_MAX {
            return Err(too_large(format!("{path} has more than {FILE_MAX} bytes")));
        }
        if self.total > self.bound {
            return Err(bomb());
        }
        if !is_rubbish(&path) {
            self.files.insert(path, content);
        }
        Ok(())
    }

    /// The files, of which there is at least one.
    pub(super) fn files(self) -> Result<Files> {
        if self.files.is_empty() {
            return Err(Refusal::new("empty", "the archive holds no file"));
        }
        Ok(self.files)
    }
}

/// What file managers leave in every archive.
fn is_rubbish(path: &str) -> bool {
    path.starts_with("__MACOSX/")
        || path
            .rsplit('/')
            .next()
            .is_some_and(|n| n == ".DS_Store" || n == "Thumbs.db" || n.starts_with("._"))
}

/// A path as we take it: relative, `/` between names, no way up and no control characters.
pub(super) fn path(text: &str) -> Result<String> {
    let bad = |why: &str| Err(Refusal::new("bad_path", format!("{:?} {why}", shown(text))));
    if text.is_empty() || text.len() > PATH_MAX {
        return bad("is no path of a file: it is empty or too long");
    }
    if text.contains('\\') || text.chars().any(char::is_control) {
        return bad("is no path of a file: write / between folders, and no control characters");
    }
    if text.starts_with('/') || text.as_bytes().get(1) == Some(&b':') {
        return bad("is an absolute path; paths in an archive are relative");
    }
    let parts: Vec<&str> = text.split('/').filter(|part| *part != ".").collect();
    if parts.iter().any(|part| part.is_empty() || *part == "..") {
        return bad("leaves the archive or has an empty part");
    }
    if parts.len() > DEPTH_MAX {
        return bad("is nested too deep");
    }
    Ok(parts.join("/"))
}
