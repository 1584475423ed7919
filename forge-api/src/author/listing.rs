//! The prompts of a set as a list: what each of them is, without its text.

use schemas::Micros;
use schemas::prompt::{Content, Prompt};

use super::SetAt;
use crate::auth::{Action, Actor};
use crate::database::archive::{self, ArchivedRow};
use crate::database::prompt::{self, PromptRow};
use crate::database::{Conn, DatabaseError};
use crate::error::Result;
use crate::search::words;
use crate::state::AppState;

/// Prompts whose bodies are read at once.
const STEP: usize = 100;

/// Which prompts of a set; nothing: all of its draft.
#[derive(Debug, Clone, Default)]
pub struct OnlyPrompts {
    /// Every word of it stands somewhere in the name, whatever the case of its letters: as the filter beside the
    /// editor has it. `support/` leaves those of a folder.
    pub q: Option<String>,
    /// A whole tag, as the search compares them.
    pub tag: Option<String>,
    /// What is archived, instead of what stands in the draft.
    pub archived: bool,
}

/// What a prompt is, without its text.
#[derive(Debug, Clone)]
pub struct PromptSummary {
    /// Names it in the archive.
    pub row_id: String,
    pub name: String,
    /// `text` or `chat`.
    pub kind: &'static str,
    pub description: String,
    pub tags: Vec<String>,
    pub revision: i64,
    /// Of an archived one: when, and by whom, it was archived.
    pub updated_at: Micros,
    pub updated_by: String,
    pub archived: bool,
}

impl PromptSummary {
    /// Tells it from all others of a list; lists are ordered by it.
    #[must_use]
    pub fn key(&self) -> String {
        key(&self.name, &self.row_id)
    }

    fn of_draft(row: PromptRow) -> Result<Self> {
        let prompt = read(&row.prompt_id, &row.body)?;
        let (row_id, name) = (row.id, row.prompt_id);
        let base = Self::of(prompt, row_id, name, row.revision);
        Ok(Self { updated_at: row.updated_at, updated_by: row.updated_by, ..base })
    }

    fn of_archive(row: ArchivedRow) -> Result<Self> {
        let prompt = read(&row.name, &row.body)?;
        let base = Self::of(prompt, row.id, row.name, row.revision);
        Ok(Self { updated_at: row.archived_at, updated_by: row.archived_by, archived: true, ..base })
    }

    fn of(prompt: Prompt, row_id: String, name: String, revision: i64) -> Self {
        Self {
            row_id,
            name,
            kind: match prompt.content {
                Content::Text { .. } => "text",
                Content::Chat { .. } => "chat",
            },
            description: prompt.description,
            tags: prompt.tags,
            revision,
            updated_at: 0,
            updated_by: String::new(),
            archived: false,
        }
    }
}

fn read(name: &str, body: &str) -> Result<Prompt> {
    let read = serde_json::from_str(body);
    Ok(read.map_err(|e| DatabaseError::Damaged(format!("prompt {name}: {e}")))?)
}

/// By name, and several of one name in the archive by the age of their rows: a space comes before every character that
/// a name may hold.
fn key(name: &str, row_id: &str) -> String {
    format!("{name} {row_id}")
}

/// At most `limit` prompts of a set with a key above `after`, by name. Of all others only the names are read.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn list_prompts(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    only: &OnlyPrompts,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<PromptSummary>> {
    set.at.require(actor, Action::View)?;
    let asked = only.tag.as_deref().map(str::trim).filter(|text| !text.is_empty());
    let tag = asked.and_then(words::tag);
    if asked.is_some() && tag.is_none() {
        return Ok(Vec::new());
    }
    let limit = usize::try_from(limit).unwrap_or_default();
    let mut conn = state.database.read().await?;
    let named = match only.archived {
        true => archive::prompts_of_set(&mut conn, &set.set.id).await?,
        false => prompt::names_of_set(&mut conn, &set.set.id).await?,
    };
    let mut keys: Vec<(String, String)> = named
        .into_iter()
        .filter(|(name, _)| holds(only.q.as_deref().unwrap_or_default(), name))
        .map(|(name, id)| (key(&name, &id), id))
        .filter(|(key, _)| after.is_none_or(|after| key.as_str() > after))
        .collect();
    keys.sort_unstable();
    // A tag may leave out most of them: then there is no reading just as many as are wanted.
    let step = if tag.is_some() { STEP } else { limit.clamp(1, STEP) };
    let mut found = Vec::new();
    for some in keys.chunks(step) {
        if found.len() >= limit {
            break;
        }
        let ids: Vec<&str> = some.iter().map(|(_, id)| id.as_str()).collect();
        let mut rows = summaries(&mut conn, only.archived, &ids).await?;
        if let Some(tag) = &tag {
            rows.retain(|row| row.tags.iter().any(|text| words::tag(text).as_ref() == Some(tag)));
        }
        rows.sort_by_cached_key(PromptSummary::key);
        found.extend(rows);
    }
    found.truncate(limit);
    Ok(found)
}

async fn summaries(conn: &mut Conn, archived: bool, ids: &[&str]) -> Result<Vec<PromptSummary>> {
    if archived {
        return archive::by_ids(conn, ids).await?.into_iter().map(PromptSummary::of_archive).collect();
    }
    prompt::by_ids(conn, ids).await?.into_iter().map(PromptSummary::of_draft).collect()
}

/// Whether every word stands somewhere in a name.
fn holds(words: &str, name: &str) -> bool {
    let (words, name) = (words.to_lowercase(), name.to_lowercase());
    words.split_whitespace().all(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_stands_somewhere_in_the_name() {
        for (words, found) in [
            ("", true),
            ("  ", true),
            ("WEL", true),
            ("mail/", true),
            ("message mail", true),
            ("mail x", false),
        ] {
            assert_eq!(holds(words, "mail/Welcome.message"), found, "{words:?}");
        }
    }

    #[test]
    fn keys_sort_as_names_do() {
        let names = ["a", "a-b", "a.b", "a/b", "a0", "a_b", "ab"];
        let keys = names.map(|name| key(name, "0198"));
        assert!(names.is_sorted() && keys.is_sorted(), "{keys:?}");
    }
}
