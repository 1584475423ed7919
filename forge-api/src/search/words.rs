//! How a text becomes words to find it by. Both databases get these words and split nothing themselves, so that both
//! find the same.
//!
//! A word is a run of letters and digits, in small letters and without accents: `École_2` gives `ecole` and `2`.
//! Scripts without spaces (Chinese, Japanese) give each sign, and each two that follow each other.

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// Longest word, in signs; the rest of a longer one is not looked at.
const WORD_MAX: usize = 40;
/// Most different words of one entry.
const WORDS_MAX: usize = 4000;
/// Most words of one search; more find nothing less.
const ASKED_MAX: usize = 12;
/// Shortest word whose beginning is enough.
const PREFIX_MIN: usize = 2;
/// Before a whole name; before a tag; between the words of either. No text holds them: they are no letters.
const WHOLE: char = '\u{e000}';
const TAG: char = '\u{e001}';
const GAP: char = '\u{e002}';

/// A word that is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    pub text: String,
    /// Whether words that begin with it count too.
    pub prefix: bool,
}

/// Small letters, without accents, in the form that Unicode calls compatible.
#[must_use]
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let mut out = String::with_capacity(text.len());
    for c in text.nfkd().filter(|c| !matches!(c, '\u{300}'..='\u{36f}')).flat_map(char::to_lowercase) {
        match c {
            'ß' => out.push_str("ss"),
            'ς' => out.push('σ'),
            '\u{300}'..='\u{36f}' => {}
            c => out.push(c),
        }
    }
    out
}

/// Whether it is part of a word.
#[must_use]
pub fn is_word(c: char) -> bool {
    c.is_alphanumeric() || is_combining_mark(c)
}

/// Whether it is written without spaces between words.
fn is_dense(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// The runs of a folded text, each with whether it is dense.
fn runs(folded: &str) -> impl Iterator<Item = (&str, bool)> {
    let dense = |run: &str| run.chars().next().is_some_and(is_dense);
    folded.split(|c| !is_word(c)).filter(|w| !w.is_empty()).flat_map(move |word| {
        let mut rest = word;
        std::iter::from_fn(move || {
            let first = dense(rest);
            let end = rest.char_indices().find(|(_, c)| is_dense(*c) != first && !is_combining_mark(*c));
            let (run, after) = rest.split_at(end.map_or(rest.len(), |(at, _)| at));
            rest = after;
            (!run.is_empty()).then_some((run, first))
        })
    })
}

fn cut(word: &str, longest: usize) -> &str {
    word.char_indices().nth(longest).map_or(word, |(at, _)| &word[..at])
}

/// The signs of a dense run, and each two that follow each other.
fn dense(run: &str) -> (Vec<String>, Vec<String>) {
    let signs: Vec<char> = run.chars().filter(|c| !is_combining_mark(*c)).collect();
    (signs.iter().map(char::to_string).collect(), signs.windows(2).map(|two| two.iter().collect()).collect())
}

/// The words of what is to be found.
#[derive(Debug, Default, Clone)]
pub struct Words(BTreeSet<String>);

impl Words {
    /// Takes up the words of a text, as long as there is room.
    pub fn add(&mut self, text: &str) {
        for (run, is_dense) in runs(&fold(text)) {
            if self.0.len() >= WORDS_MAX {
                return;
            }
            if is_dense {
                let (signs, pairs) = dense(run);
                self.0.extend(signs.into_iter().chain(pairs).take(WORDS_MAX));
            } else {
                self.0.insert(cut(run, WORD_MAX).to_owned());
            }
        }
    }

    /// Takes up a name, to be found by its words and as a whole.
    pub fn add_name(&mut self, name: &str) {
        self.add(name);
        self.0.extend(whole(name));
    }

    /// Takes up a tag, to be found by its words and asked for as a whole.
    pub fn add_tag(&mut self, text: &str) {
        self.add(text);
        self.0.extend(tag(text));
    }

    /// Takes up all of others.
    pub fn add_all(&mut self, other: &Self) {
        self.0.extend(other.0.iter().cloned());
    }

    /// All of them, with spaces between.
    #[must_use]
    pub fn joined(&self) -> String {
        self.0.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
    }
}

/// The words of a search, each once.
#[must_use]
pub fn asked(text: &str) -> Vec<Word> {
    let mut out: Vec<Word> = Vec::new();
    let mut push = |word: Word| {
        if out.len() < ASKED_MAX && !out.contains(&word) {
            out.push(word);
        }
    };
    let folded = fold(cut(text, 1000));
    for (run, is_dense) in runs(&folded) {
        if is_dense {
            let (signs, pairs) = dense(run);
            let parts = if pairs.is_empty() { signs } else { pairs };
            parts.into_iter().for_each(|text| push(Word { text, prefix: false }));
        } else {
            let text = cut(run, WORD_MAX).to_owned();
            let prefix = text.chars().count() >= PREFIX_MIN;
            push(Word { text, prefix });
        }
    }
    out
}

fn marked(mark: char, text: &str) -> Option<String> {
    let folded = fold(text);
    let parts: Vec<&str> = folded.split(|c| !is_word(c)).filter(|w| !w.is_empty()).collect();
    let joined = parts.join(&GAP.to_string());
    (!joined.is_empty()).then(|| format!("{mark}{}", cut(&joined, 200)))
}

/// A whole name as one word: `welcome.message` and `Welcome Message` are the same.
#[must_use]
pub fn whole(name: &str) -> Option<String> {
    marked(WHOLE, name)
}

/// A whole tag as one word.
#[must_use]
pub fn tag(text: &str) -> Option<String> {
    marked(TAG, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> String {
        let mut words = Words::default();
        words.add(text);
        words.joined()
    }

    #[test]
    fn letters_of_every_script_are_folded_and_signs_only_divide() {
        assert_eq!(of("Welcome_message-2.GREETING/de"), "2 de greeting message welcome");
        assert_eq!(of("ÉCOLE ecole Straße STRASSE ΣΊΣΥΦΟΣ σίσυφος"), "ecole strasse σισυφοσ");
        assert_eq!(of("{{ name | upper }} % _ ' \" \\ *"), "name upper");
        assert_eq!(of("  … — "), "");
        assert_eq!(of("\u{e000}faked"), "faked", "no text can hold a mark");
    }

    #[test]
    fn dense_scripts_are_found_by_each_part() {
        assert_eq!(of("你好世界"), "世 世界 你 你好 好 好世 界");
        let found = asked("好世界");
        assert_eq!(found.iter().map(|w| w.text.as_str()).collect::<Vec<_>>(), ["好世", "世界"]);
        assert_eq!(asked("界")[0], Word { text: "界".into(), prefix: false });
        assert_eq!(of("gpt4你"), "gpt4 你");
    }

    #[test]
    fn what_is_asked_for_is_bounded_and_each_word_stands_once() {
        assert_eq!(asked("wel WEL wél").len(), 1);
        assert_eq!(asked(&"abc ".repeat(5)).len(), 1);
        let many: String = (0..50).map(|n| format!("w{n} ")).collect();
        assert_eq!(asked(&many).len(), ASKED_MAX);
        assert!(!asked("a")[0].prefix && asked("ab")[0].prefix);
        let long = asked(&"x".repeat(900));
        assert_eq!(long[0].text.len(), WORD_MAX);
    }

    #[test]
    fn a_whole_name_is_one_word_however_it_is_written() {
        assert_eq!(whole("welcome.message"), whole(" Welcome Message "));
        assert_ne!(whole("welcome.message"), whole("welcome"));
        assert_ne!(whole("a"), tag("a"));
        assert_eq!(whole("…"), None);
        assert!(!whole("a.b").unwrap().contains(' '));
    }
}
