//! Ids of prompts from names that other tools allow.

use std::collections::BTreeSet;

use schemas::PromptId;
use schemas::names::PROMPT_ID_MAX;

use crate::found::{Note, Refusal, Result};

/// The nearest prompt id to a name, said in the report where it is another one.
pub(crate) fn id(name: &str, place: &str, notes: &mut Vec<Note>) -> Result<PromptId> {
    if let Ok(id) = PromptId::new(name) {
        return Ok(id);
    }
    let parts: Vec<String> = name.split('/').map(part).filter(|p| !p.is_empty()).collect();
    let mut nearest = parts.join("/");
    nearest.truncate(PROMPT_ID_MAX);
    let nearest = nearest.trim_end_matches(['.', '-', '_', '/']);
    let id = PromptId::new(nearest).map_err(|_| {
        Refusal::new("bad_name", format!("{place}: {name:?} has no letters or digits to make a prompt id of"))
    })?;
    notes.push(Note::new(place, name, format!("is no prompt id here; it is called {id}")));
    Ok(id)
}

fn part(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        let keep = c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let c = if keep { c } else { '-' };
        if matches!(c, '-' | '.') && (out.is_empty() || out.ends_with(['-', '.'])) {
            continue;
        }
        if c == '_' && out.is_empty() {
            continue;
        }
        out.push(c);
    }
    out.trim_end_matches(['-', '.']).to_owned()
}

/// Refuses two of one id.
pub(crate) fn unique<'i>(what: &str, ids: impl Iterator<Item = &'i PromptId>) -> Result<()> {
    let mut seen = BTreeSet::new();
    for id in ids {
        if !seen.insert(id) {
            let detail = format!("two {what}s would be called {id}; rename one in the file");
            return Err(Refusal::new("duplicate", detail));
        }
    }
    Ok(())
}

/// A path without its last extensions.
pub(crate) fn stem<'p>(path: &'p str, extensions: &[&str]) -> &'p str {
    extensions.iter().find_map(|e| path.strip_suffix(e)).unwrap_or(path)
}
