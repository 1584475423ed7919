//! How many tokens a text has.
//!
//! Vocabularies are part of the program: nothing is fetched, and counting takes time in proportion to the
//! text, whatever the text is. Of models that publish no tokenizer the number is an approximation, and says so.

use serde::Deserialize;

use crate::endpoint::Model;

/// A vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Of gpt-4o and everything of `OpenAI` since.
    O200k,
    /// Of gpt-4 and gpt-3.5.
    Cl100k,
}

/// How many tokens, and by what they were counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    pub tokens: u64,
    pub family: Family,
    /// Whether the family is the model's own.
    pub exact: bool,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 2] = [Self::O200k, Self::Cl100k];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::O200k => "o200k",
            Self::Cl100k => "cl100k",
        }
    }

    /// Tokens of a text, without what a provider puts around a message.
    #[must_use]
    pub fn count(self, text: &str) -> u64 {
        let tokenizer = match self {
            Self::O200k => bpe_openai::o200k_base(),
            Self::Cl100k => bpe_openai::cl100k_base(),
        };
        u64::try_from(tokenizer.count(text)).unwrap_or(u64::MAX)
    }

    /// The family of a model by its name, and whether it is known to be its own.
    #[must_use]
    pub fn of_model(name: &str) -> (Self, bool) {
        let name = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
        let begins = |beginnings: &[&str]| beginnings.iter().any(|b| name.starts_with(b));
        if begins(&["gpt-4o", "gpt-4.1", "gpt-4.5", "gpt-5", "gpt-oss", "chatgpt-4o", "o1", "o3", "o4"]) {
            (Self::O200k, true)
        } else if begins(&["gpt-4", "gpt-3.5", "text-embedding-3", "text-embedding-ada"]) {
            (Self::Cl100k, true)
        } else {
            (Self::O200k, false)
        }
    }
}

/// Counts a text for a model of that name; of none, by the newest vocabulary.
#[must_use]
pub fn estimate(model: &str, text: &str) -> Estimate {
    let (family, exact) = Family::of_model(model);
    Estimate { tokens: family.count(text), family, exact }
}

/// Counts a text for a model of an endpoint.
#[must_use]
pub fn of(model: &Model, text: &str) -> Estimate {
    match model.tokenizer {
        Some(family) => Estimate { tokens: family.count(text), family, exact: true },
        None => estimate(&model.id, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_the_tokens_that_their_family_says() {
        // As the providers' own libraries count them.
        assert_eq!(Family::Cl100k.count("tiktoken is great!"), 6);
        assert_eq!(Family::O200k.count("tiktoken is great!"), 6);
        assert_eq!(Family::Cl100k.count("お誕生日おめでとう"), 9);
        assert_eq!(Family::O200k.count("お誕生日おめでとう"), 8);
        assert_eq!(Family::O200k.count(""), 0);
    }

    #[test]
    fn a_model_is_of_a_family_or_said_to_be_guessed() {
        assert_eq!(Family::of_model("gpt-4o-mini"), (Family::O200k, true));
        assert_eq!(Family::of_model("openai/gpt-4-turbo"), (Family::Cl100k, true));
        assert_eq!(Family::of_model("claude-sonnet-4-5"), (Family::O200k, false));
        assert_eq!(Family::of_model(""), (Family::O200k, false));
    }

    #[test]
    fn a_hostile_text_is_counted_as_fast_as_any() {
        let began = std::time::Instant::now();
        assert!(Family::O200k.count(&"a".repeat(1_000_000)) > 1000);
        assert!(began.elapsed().as_secs() < 120, "{:?}", began.elapsed());
    }
}
