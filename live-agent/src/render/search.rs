//! Finding a prompt by what one remembers of it.

use schemas::Slug;
use schemas::prompt::Prompt;

use super::{Listed, listed};
use crate::agent::Core;

/// Most characters and words of a question that are looked at.
const QUESTION_MAX: usize = 200;
const WORDS_MAX: usize = 8;

impl Core {
    /// What has every word of `question`, best first: by an id that starts with it, by an id, by
    /// address, description, tags and parameters, by the text; then by set and id. No word finds everything.
    pub(crate) fn search(&self, question: &str) -> Vec<Listed> {
        let question: String = question.chars().take(QUESTION_MAX).collect::<String>().to_lowercase();
        let words: Vec<&str> = question.split_whitespace().take(WORDS_MAX).collect();
        let table = self.cache.load();
        let mut found: Vec<(u32, Listed)> = Vec::new();
        for set in table.sets() {
            for prompt in set.prompts() {
                if let Some(rank) = rank(&set.set, prompt.prompt(), &words) {
                    found.push((rank, listed(set, prompt.prompt())));
                }
            }
        }
        found.sort_by(|(a, one), (b, other)| (a, &one.set, &one.id).cmp(&(b, &other.set, &other.id)));
        found.into_iter().map(|(_, one)| one).collect()
    }
}

/// How far a prompt is from the words, 0 being nearest; none where it lacks one.
fn rank(set: &Slug, prompt: &Prompt, words: &[&str]) -> Option<u32> {
    let address = format!("@{set}/{}", prompt.id.as_str().to_lowercase());
    words.iter().map(|word| rank_of_word(prompt, &address, word)).sum()
}

fn rank_of_word(prompt: &Prompt, address: &str, word: &str) -> Option<u32> {
    let id = address.split_once('/').map_or(address, |(_, id)| id);
    let has = |text: &str| text.to_lowercase().contains(word);
    if id.starts_with(word) {
        Some(0)
    } else if id.contains(word) {
        Some(1)
    } else if address.contains(word)
        || has(&prompt.description)
        || prompt.tags.iter().any(|tag| has(tag))
        || prompt.parameters.iter().any(|parameter| has(&parameter.name) || has(&parameter.description))
    {
        Some(2)
    } else {
        prompt.templates().any(has).then_some(3)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_nearer_a_word_is_to_the_id_the_better_and_every_word_counts() {
        let prompt: Prompt = serde_json::from_value(json!({
            "id": "mail/Reply.formal",
            "description": "Answers a complaint",
            "content": { "type": "text", "template": "Sehr geehrte {{ whom }}, ÄRGERLICH" },
            "parameters": [{ "name": "whom", "type": "string", "description": "the customer" }],
            "tags": ["support"],
        }))
        .unwrap();
        for (words, expected) in [
            (vec!["mail/r"], Some(0)),
            (vec!["reply"], Some(1)),
            (vec!["@letters"], Some(2)),
            (vec!["@letters/mail/rep"], Some(2)),
            (vec!["complaint"], Some(2)),
            (vec!["support"], Some(2)),
            (vec!["customer"], Some(2)),
            (vec!["geehrte"], Some(3)),
            (vec!["ärgerlich"], Some(3)),
            (vec!["mail", "geehrte"], Some(3)),
            (vec!["mail", "nowhere"], None),
            (vec![], Some(0)),
        ] {
            assert_eq!(rank(&"letters".parse().unwrap(), &prompt, &words), expected, "{words:?}");
        }
    }
}
