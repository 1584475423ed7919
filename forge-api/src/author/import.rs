//! Prompts into a set's draft, and the files of a folder on this machine, in any format that is read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use exchange::files::{FILES_MAX, Files};
use exchange::folder;
use schemas::bundle::PROMPTS_MAX;
use schemas::prompt::Prompt;
use serde_json::json;

use super::SetAt;
use super::prompt::{revision_of, short_enough, small_enough};
use super::set::begin_edit;
use crate::audit;
use crate::auth::{Action, Actor};
use crate::clock;
use crate::database::Conn;
use crate::database::prompt::{self, PromptRow};
use crate::error::{ApiError, Result};
use crate::state::AppState;

/// Folders within one another that are looked into.
const DEPTH_MAX: usize = 16;
/// What other tools write, beside texts.
const ENDS: [&str; 4] = [".prompt", ".prompty", ".liquid", ".json"];

/// What an import did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    pub written: usize,
    /// They stood there already, word for word.
    pub unchanged: usize,
}

/// The files of a folder that may be prompts or belong to them, by their path within it.
///
/// # Errors
/// A file cannot be read, there is none, or there are more than an upload may have.
pub fn files_of(folder: &Path) -> Result<Files> {
    let mut found = Files::new();
    walk(folder, folder, 0, &mut found)?;
    if found.is_empty() {
        let detail = format!("no prompts in {}: it holds no file of a format that is read", folder.display());
        return Err(ApiError::invalid("empty", "folder", detail));
    }
    Ok(found)
}

/// Reads the prompts of a folder of texts.
///
/// # Errors
/// As [`files_of`], or a file that is none.
pub fn read_folder(folder: &Path) -> Result<Vec<Prompt>> {
    Ok(folder::read(&files_of(folder)?, &mut Vec::new())?.prompts)
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> ApiError {
    ApiError::invalid("unreadable", "folder", format!("{}: {error}", path.display()))
}

fn belongs(name: &str) -> bool {
    folder::is_text(name)
        || ENDS.iter().any(|end| name.ends_with(end))
        || [folder::MANIFEST, folder::LOCK].contains(&name)
}

fn walk(root: &Path, folder: &Path, depth: usize, found: &mut Files) -> Result<()> {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .and_then(|dir| dir.map(|e| e.map(|e| e.path())).collect())
        .map_err(|e| unreadable(folder, &e))?;
    entries.sort();
    for path in entries {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            if depth < DEPTH_MAX {
                walk(root, &path, depth + 1, found)?;
            }
        } else if belongs(name) {
            if found.len() == FILES_MAX {
                let detail = format!("{} holds more than {FILES_MAX} files of prompts", root.display());
                return Err(ApiError::TooLarge(detail));
            }
            let inner = path.strip_prefix(root).unwrap_or(&path);
            let inner = inner.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/");
            found.insert(inner, std::fs::read(&path).map_err(|e| unreadable(&path, &e))?);
        }
    }
    Ok(())
}

/// Writes prompts into a set's draft, all or none. Prompts of the set that are not among them stay.
///
/// # Errors
/// Not allowed, the set is not in EDITING, a prompt that stands twice, or too many or too large.
pub async fn import(state: &AppState, actor: &Actor, set: &SetAt, prompts: &[Prompt]) -> Result<Imported> {
    set.at.require(actor, Action::Edit)?;
    if prompts.len() > PROMPTS_MAX {
        return Err(ApiError::TooLarge(format!("a set has at most {PROMPTS_MAX} prompts; split it")));
    }
    let mut seen = BTreeSet::new();
    for prompt in prompts {
        short_enough(prompt)?;
        if !seen.insert(&prompt.id) {
            let detail = format!("prompt {} stands here twice", prompt.id);
            return Err(ApiError::invalid("duplicate", "prompts", detail));
        }
    }
    let mut tx = state.database.write().await?;
    begin_edit(&mut tx, actor, set).await?;
    let done = put(&mut tx, actor, set, prompts).await?;
    let detail = json!({ "written": done.written, "unchanged": done.unchanged });
    audit::record(&mut tx, actor, &set.at.organisation.id, "set.imported", &set.path(), detail).await?;
    tx.commit().await?;
    set.changed(state);
    Ok(done)
}

/// Writes those prompts that differ from what stands in the set, each with its revision.
pub(super) async fn put(conn: &mut Conn, actor: &Actor, set: &SetAt, prompts: &[Prompt]) -> Result<Imported> {
    let there: BTreeMap<String, PromptRow> = prompt::of_set(conn, &set.set.id)
        .await?
        .into_iter()
        .map(|row| (row.prompt_id.clone(), row))
        .collect();
    let now = clock::now();
    let mut rows = Vec::new();
    for prompt in prompts {
        let body = serde_json::to_string(prompt).map_err(ApiError::internal)?;
        let old = there.get(prompt.id.as_str());
        if old.is_some_and(|row| row.body == body) {
            continue;
        }
        rows.push(PromptRow {
            id: old.map_or_else(clock::new_id, |row| row.id.clone()),
            set_id: set.set.id.clone(),
            prompt_id: prompt.id.to_string(),
            body,
            revision: old.map_or(1, |row| row.revision + 1),
            created_at: old.map_or(now, |row| row.created_at),
            updated_at: now,
            updated_by: actor.name.clone(),
        });
    }
    prompt::put_all(conn, &rows).await?;
    small_enough(conn, set).await?;
    let revisions: Vec<_> = rows.iter().map(revision_of).collect();
    prompt::add_revisions(conn, &revisions).await?;
    Ok(Imported { written: rows.len(), unchanged: prompts.len() - rows.len() })
}
