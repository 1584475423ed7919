//! The folder of local overrides: what is in it, and what changed since it was looked at last.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

use schemas::prompt::Prompt;
use schemas::{PromptId, Slug};
use serde_json::Value;

use super::{Source, Target};
use crate::renew::{Stamp, stamp};

/// Folders within one another.
const DEPTH_MAX: usize = 8;
/// Files that are looked at; a folder with more is hardly one of prompts.
const FILES_MAX: usize = 2000;
/// Longest file, in bytes.
const FILE_MAX: u64 = 4 * 1024 * 1024;

/// A file of the folder.
#[derive(Debug)]
pub(crate) struct Found {
    /// Below the folder.
    pub(crate) path: PathBuf,
    /// Which prompt it is for and what it holds, where it changed; the text says what is wrong, from the
    /// place on.
    pub(crate) content: Option<Result<(Target, Source), String>>,
}

/// A folder, and what of it was seen last.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    seen: BTreeMap<PathBuf, Stamp>,
}

impl Folder {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, seen: BTreeMap::new() }
    }

    /// Everything that is there, where something changed. Reads only what changed. A folder that is gone
    /// has nothing in it; one that cannot be read stays what it was.
    pub(crate) fn look(&mut self) -> Option<Vec<Found>> {
        let mut now = BTreeMap::new();
        match walk(&self.path, &self.path, 0, &mut now) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::debug!(error = %error, "the folder of overrides cannot be read");
                return None;
            }
        }
        if now == self.seen {
            return None;
        }
        let before = std::mem::replace(&mut self.seen, now);
        let found = self.seen.iter().map(|(path, stamp)| Found {
            content: (before.get(path) != Some(stamp)).then(|| read(&self.path, path)),
            path: path.clone(),
        });
        Some(found.collect())
    }
}

fn walk(base: &Path, at: &Path, depth: usize, out: &mut BTreeMap<PathBuf, Stamp>) -> io::Result<()> {
    for entry in std::fs::read_dir(at)? {
        let path = entry?.path();
        let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
        // What is gone between two looks is no error.
        let Ok(kind) = std::fs::metadata(&path) else { continue };
        if hidden || out.len() >= FILES_MAX {
            continue;
        }
        if kind.is_dir() {
            if depth < DEPTH_MAX {
                walk(base, &path, depth + 1, out)?;
            }
        } else if kind.is_file()
            && extension(&path).is_some()
            && let (Some(stamp), Ok(below)) = (stamp(&path), path.strip_prefix(base))
        {
            out.insert(below.to_owned(), stamp);
        }
    }
    Ok(())
}

/// What a file is read as, by its name.
fn extension(path: &Path) -> Option<bool> {
    match path.extension()?.to_str()? {
        "md" | "txt" | "tera" => Some(false),
        "json" => Some(true),
        _ => None,
    }
}

fn read(folder: &Path, path: &Path) -> Result<(Target, Source), String> {
    let target = target(path)?;
    let whole = folder.join(path);
    let length = std::fs::metadata(&whole).map_or(0, |found| found.len());
    if length > FILE_MAX {
        return Err(format!(": it has {length} bytes, and {FILE_MAX} are taken"));
    }
    let text = std::fs::read_to_string(&whole).map_err(|error| format!(": {error}"))?;
    if extension(path) != Some(true) {
        let text = text.strip_suffix('\n').unwrap_or(&text);
        return Ok((target, Source::Text(text.strip_suffix('\r').unwrap_or(text).to_owned())));
    }
    let at = |error: &serde_json::Error| format!(":{}:{}: {error}", error.line(), error.column());
    let mut value: Value = serde_json::from_str(&text).map_err(|error| at(&error))?;
    // The file's name names the prompt; what is within may say the same.
    if let Some(object) = value.as_object_mut() {
        object.entry("id").or_insert_with(|| target.id.as_str().into());
    }
    let prompt: Prompt = serde_json::from_value(value).map_err(|error| format!(": {error}"))?;
    if prompt.id != target.id {
        return Err(format!(": it is of prompt {}, and its name says {}", prompt.id, target.id));
    }
    Ok((target, Source::Whole(Box::new(prompt))))
}

/// Which prompt a file is for, by its name.
fn target(path: &Path) -> Result<Target, String> {
    let stem = path.with_extension("");
    let mut parts = Vec::new();
    for part in stem.components() {
        match part {
            Component::Normal(part) => parts.push(part.to_str().ok_or(": its name is no text")?),
            _ => return Err(": its name is no path below the folder".into()),
        }
    }
    let set = match parts.first().and_then(|first| first.strip_prefix('@')) {
        Some(set) if parts.len() > 1 => Some(Slug::new(set).map_err(|error| format!(": {error}"))?),
        _ => None,
    };
    let id = parts.get(usize::from(set.is_some())..).unwrap_or_default().join("/");
    let id = PromptId::new(&id).map_err(|error| format!(": {error}"))?;
    Ok(Target { set, id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_s_name_is_the_prompt_s() {
        let named =
            |path: &str| target(Path::new(path)).map(|t| (t.set.map(|s| s.to_string()), t.id.to_string()));
        assert_eq!(named("welcome.message.md"), Ok((None, "welcome.message".into())));
        assert_eq!(named("mail/reply.txt"), Ok((None, "mail/reply".into())));
        assert_eq!(named("@chat/hello.tera"), Ok((Some("chat".into()), "hello".into())));
        assert_eq!(named("@chat/a/b.json"), Ok((Some("chat".into()), "a/b".into())));
        for wrong in ["@Chat/hello.md", "@chat.md", "no spaces here.md", "../up.md"] {
            assert!(named(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_what_changed_is_read_again_and_what_is_gone_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let mut folder = Folder::new(dir.path().into());
        assert!(folder.look().is_none(), "nothing is there");
        write("a.md", "one\n");
        write("sub/b.json", r#"{"content": {"type": "text", "template": "b"}}"#);
        write(".hidden.md", "x");
        write("notes.org", "x");
        let shown = |found: Vec<Found>| -> Vec<(String, bool)> {
            found.iter().map(|one| (one.path.display().to_string(), one.content.is_some())).collect()
        };
        assert_eq!(shown(folder.look().unwrap()), [("a.md".into(), true), ("sub/b.json".into(), true)]);
        assert!(folder.look().is_none());
        write("a.md", "two and more\n");
        let found = folder.look().unwrap();
        let Some(Ok((_, source))) = &found[0].content else { panic!("{found:?}") };
        assert_eq!(*source, Source::Text("two and more".into()), "without the editor's line end");
        assert_eq!(shown(found), [("a.md".into(), true), ("sub/b.json".into(), false)]);
        std::fs::remove_file(dir.path().join("a.md")).unwrap();
        assert_eq!(shown(folder.look().unwrap()), [("sub/b.json".into(), false)]);
        std::fs::remove_dir_all(dir.path()).unwrap();
        assert!(folder.look().unwrap().is_empty());
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let said = |name: &str, text: &str| {
            std::fs::write(dir.path().join(name), text).unwrap();
            read(dir.path(), Path::new(name)).unwrap_err()
        };
        assert!(
            said("a.json", "{\n  \"id\": }").starts_with(":2:9: "),
            "{}",
            said("a.json", "{\n  \"id\": }")
        );
        assert!(said("b.json", "{}").contains("content"));
        let other = r#"{"id": "c", "content": {"type": "text", "template": "b"}}"#;
        assert!(said("d.json", other).contains("it is of prompt c, and its name says d"));
    }
}
