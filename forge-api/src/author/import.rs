//! A folder of prompts as a set.
//!
//! | in the folder | becomes |
//! |---|---|
//! | `<name>/system.md` | prompt `<name>`, one text |
//! | `<name>/system.md` and a `<name>/user.md` with text | prompt `<name>`, a chat of two messages |
//! | `<path>.md`, `.txt`, `.tera` elsewhere | prompt `<path>`, one text (`README` and licences are left out) |
//! | `<path>.prompt.json` | the prompt that it holds |
//!
//! A variable that a text uses becomes a required parameter of type string. A text with braces that
//! are no template is taken as plain text.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use schemas::PromptId;
use schemas::bundle::PROMPTS_MAX;
use schemas::parameter::{Kind, Parameter};
use schemas::prompt::{Content, Engine, Message, Prompt, Role};
use schemas::template;
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
const DEPTH_MAX: usize = 8;
const TEXTS: [&str; 3] = ["md", "txt", "tera"];
const LEFT_OUT: [&str; 4] = ["readme", "license", "licence", "changelog"];

/// What an import did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    pub written: usize,
    /// They stood there already, word for word.
    pub unchanged: usize,
}

/// Reads the prompts of a folder.
///
/// # Errors
/// A file cannot be read, a name is no prompt id, or a prompt file holds none.
pub fn read_folder(folder: &Path) -> Result<Vec<Prompt>> {
    let mut found = BTreeMap::new();
    walk(folder, folder, 0, &mut found)?;
    if found.is_empty() {
        let detail =
            format!("no prompts in {}: it holds no .md, .txt, .tera or .prompt.json", folder.display());
        return Err(ApiError::invalid("empty", "folder", detail));
    }
    Ok(found.into_values().collect())
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> ApiError {
    ApiError::invalid("unreadable", "folder", format!("{}: {error}", path.display()))
}

fn walk(root: &Path, folder: &Path, depth: usize, found: &mut BTreeMap<PromptId, Prompt>) -> Result<()> {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .and_then(|dir| dir.map(|e| e.map(|e| e.path())).collect())
        .map_err(|e| unreadable(folder, &e))?;
    entries.sort();
    let read = |path: &Path| std::fs::read_to_string(path).map_err(|e| unreadable(path, &e));
    let system = folder.join("system.md");
    if folder != root && system.is_file() {
        let user = folder.join("user.md");
        let user = if user.is_file() { read(&user)? } else { String::new() };
        let id = id_of(root, folder)?;
        found.insert(id.clone(), prompt_of(id, read(&system)?, user));
        return Ok(());
    }
    for path in entries {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            if depth < DEPTH_MAX {
                walk(root, &path, depth + 1, found)?;
            }
        } else if name.ends_with(".prompt.json") {
            let prompt: Prompt = serde_json::from_str(&read(&path)?).map_err(|e| unreadable(&path, &e))?;
            found.insert(prompt.id.clone(), prompt);
        } else if path.extension().and_then(|e| e.to_str()).is_some_and(|e| TEXTS.contains(&e)) {
            let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default().to_lowercase();
            if !LEFT_OUT.contains(&stem.as_str()) {
                let id = id_of(root, &path.with_extension(""))?;
                found.insert(id.clone(), prompt_of(id, read(&path)?, String::new()));
            }
        }
    }
    Ok(())
}

fn id_of(root: &Path, path: &Path) -> Result<PromptId> {
    let relative = path.strip_prefix(root).unwrap_or(path);
    let parts: Vec<_> = relative.iter().map(|p| p.to_string_lossy()).collect();
    Ok(PromptId::new(&parts.join("/"))?)
}

fn prompt_of(id: PromptId, system: String, user: String) -> Prompt {
    let mut prompt = Prompt::text(id, system);
    if !user.trim().is_empty() {
        let Content::Text { template } = &mut prompt.content else { return prompt };
        let system = Message::Message { role: Role::System, template: std::mem::take(template) };
        let user = Message::Message { role: Role::User, template: user };
        prompt.content = Content::Chat { messages: vec![system, user] };
    }
    let variables: std::result::Result<Vec<Vec<String>>, _> =
        prompt.templates().map(template::extract).collect();
    for name in variables.unwrap_or_default().concat() {
        if prompt.parameters.iter().all(|p| p.name != name) {
            prompt.parameters.push(Parameter {
                name,
                kind: Kind::String { min_length: None, max_length: None },
                required: true,
                default: None,
                description: String::new(),
                example: None,
            });
        }
    }
    if template::check(&prompt, &[]).iter().any(|e| !e.is_warning()) {
        prompt.parameters.clear();
        prompt.engine = Engine::Plain;
    }
    prompt
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
