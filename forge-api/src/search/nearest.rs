//! The word that was perhaps meant, where nothing was found.

use super::words::{self, Word};
use super::{Asked, thing, wanted};
use crate::auth::Actor;
use crate::database::search::{Tier, Wanted, candidates};
use crate::error::Result;
use crate::state::AppState;

/// Shortest beginning that says enough.
const BEGINNING_MIN: usize = 3;
/// How many letters may be wrong at the end.
const CUT_MAX: usize = 5;
/// Words that are tried.
const TRIED: usize = 4;

/// What was asked, with the first word that stands nowhere replaced by one that does; none where there is none like it.
///
/// # Errors
/// As [`super::search()`].
pub async fn nearest(state: &AppState, actor: &Actor, asked: &Asked<'_>) -> Result<Option<String>> {
    let Some(wanted) = wanted(state, actor, asked).await? else { return Ok(None) };
    let mut conn = state.database.read().await?;
    for word in wanted.words.iter().filter(|w| w.prefix).take(TRIED) {
        let alone =
            |text: String| Wanted { words: vec![Word { text, prefix: true }], whole: None, ..wanted.clone() };
        if !candidates(&mut conn, &alone(word.text.clone()), Tier::Names, i64::MAX, 1).await?.is_empty()
            || !candidates(&mut conn, &alone(word.text.clone()), Tier::Words, i64::MAX, 1).await?.is_empty()
        {
            continue;
        }
        let letters: Vec<char> = word.text.chars().collect();
        for length in (BEGINNING_MIN..letters.len()).rev().take(CUT_MAX) {
            let beginning: String = letters.iter().take(length).collect();
            let mut found = Vec::new();
            for tier in [Tier::Names, Tier::Words] {
                if found.is_empty() {
                    found = candidates(&mut conn, &alone(beginning.clone()), tier, i64::MAX, 1).await?;
                }
            }
            let rows: Vec<(&str, &str)> =
                found.iter().map(|e| (e.kind.as_str(), e.row_id.as_str())).collect();
            for thing in thing::load(&mut conn, actor, &rows, true).await? {
                let texts = [&thing.id, &thing.name, &thing.description, &thing.text];
                let near = texts.into_iter().find_map(|t| word_of(t, &beginning));
                let near = near.or_else(|| thing.tags.iter().find_map(|t| word_of(t, &beginning)));
                if let Some(near) = near {
                    return Ok(Some(replaced(asked.q, &word.text, &near)));
                }
            }
        }
    }
    Ok(None)
}

/// The first word of a text that begins so, in small letters.
fn word_of(text: &str, beginning: &str) -> Option<String> {
    text.split(|c| !words::is_word(c)).map(words::fold).find(|w| w.starts_with(beginning))
}

fn replaced(q: &str, word: &str, by: &str) -> String {
    let parts = q.split_whitespace().map(|part| {
        let is_it = words::asked(part).iter().any(|w| w.text == word);
        if is_it { by } else { part }
    });
    parts.collect::<Vec<_>>().join(" ")
}
