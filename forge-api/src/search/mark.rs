//! Which parts of a text were looked for. Parts, never markup: whoever shows them escapes them.

use std::ops::Range;

use super::words::{Word, fold, is_word};

/// Most bytes of a text that are looked through.
const LOOKED: usize = 64 * 1024;
/// Characters shown before what was found, and in all.
const BEFORE: usize = 60;
const SHOWN: usize = 220;

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub text: String,
    /// Whether it was looked for.
    pub hit: bool,
}

fn floor(text: &str, mut at: usize) -> usize {
    at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Where the words stand in a text, from left to right, none within another.
fn hits(text: &str, words: &[Word]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        match (is_word(c), start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                start = None;
                within(text, from..at, words, &mut found);
            }
            _ => {}
        }
    }
    found
}

fn within(text: &str, run: Range<usize>, words: &[Word], found: &mut Vec<Range<usize>>) {
    let folded = fold(&text[run.clone()]);
    let fits = |w: &Word| if w.prefix { folded.starts_with(&w.text) } else { folded == w.text };
    if words.iter().any(fits) {
        found.push(run);
        return;
    }
    // Within a run of a script without spaces.
    for (at, _) in text[run.clone()].char_indices().map(|(at, c)| (run.start + at, c)) {
        let rest = &text[at..run.end];
        let here = |w: &&Word| !w.prefix && !w.text.is_ascii() && rest.starts_with(&w.text);
        let Some(word) = words.iter().find(here) else { continue };
        let end = at + word.text.len();
        match found.last_mut().filter(|last| last.end >= at) {
            Some(last) => last.end = last.end.max(end),
            None => found.push(at..end),
        }
    }
}

fn parts(text: &str, shown: Range<usize>, hits: &[Range<usize>]) -> Vec<Part> {
    let mut out = Vec::new();
    let mut at = shown.start;
    for hit in hits.iter().filter(|h| h.start >= shown.start && h.end <= shown.end) {
        if hit.start > at {
            out.push(Part { text: text[at..hit.start].to_owned(), hit: false });
        }
        out.push(Part { text: text[hit.clone()].to_owned(), hit: true });
        at = hit.end;
    }
    if at < shown.end {
        out.push(Part { text: text[at..shown.end].to_owned(), hit: false });
    }
    out
}

/// A whole text in parts.
#[must_use]
pub fn mark(text: &str, words: &[Word]) -> Vec<Part> {
    parts(text, 0..text.len(), &hits(text, words))
}

/// What stands around the first word that was looked for, on one line; none where no word is in the text.
#[must_use]
pub fn excerpt(text: &str, words: &[Word]) -> Option<Vec<Part>> {
    let text = &text[..floor(text, LOOKED)];
    let first = hits(text, words).into_iter().next()?;
    let from = text[..first.start].char_indices().rev().take(BEFORE).last().map_or(first.start, |(at, _)| at);
    let from = match text[from..first.start].find(char::is_whitespace) {
        Some(space) if from > 0 => from + space,
        _ => from,
    };
    Some(line(text, from, words))
}

/// The beginning of a text, on one line.
#[must_use]
pub fn beginning(text: &str) -> Vec<Part> {
    line(&text[..floor(text, LOOKED)], 0, &[])
}

fn line(text: &str, from: usize, words: &[Word]) -> Vec<Part> {
    let rest = &text[from..];
    let cut = rest.char_indices().nth(SHOWN).map_or(rest.len(), |(at, _)| at);
    let mut line = rest[..cut].split_whitespace().collect::<Vec<_>>().join(" ");
    if from > 0 {
        line.insert_str(0, "… ");
    }
    if cut < rest.len() {
        line.push('…');
    }
    mark(&line, words)
}

#[cfg(test)]
mod tests {
    use super::super::words::asked;
    use super::*;

    fn shown(parts: &[Part]) -> String {
        parts.iter().map(|p| if p.hit { format!("[{}]", p.text) } else { p.text.clone() }).collect()
    }

    #[test]
    fn words_are_marked_as_they_are_written_in_the_text() {
        assert_eq!(shown(&mark("Welcome_message", &asked("wel mes"))), "[Welcome]_[message]");
        assert_eq!(shown(&mark("Die École <b>", &asked("ECOLE b"))), "Die [École] <[b]>");
        assert_eq!(shown(&mark("abc", &asked("bc"))), "abc");
        assert_eq!(shown(&mark("你好世界", &asked("好世界"))), "你[好世界]");
        assert!(mark("", &asked("a")).is_empty());
    }

    #[test]
    fn an_excerpt_stands_around_the_first_word_on_one_line() {
        let text = format!("{}\n\tneedle here {}", "hay ".repeat(100), "hay ".repeat(100));
        let found = shown(&excerpt(&text, &asked("needle")).unwrap());
        assert!(
            found.starts_with("… hay") && found.contains("hay [needle] here hay") && found.ends_with('…'),
            "{found}"
        );
        assert!(found.chars().count() < SHOWN + 8, "{found}");
        assert_eq!(excerpt(&text, &asked("nothing")), None);
        assert_eq!(shown(&excerpt("needle", &asked("needle")).unwrap()), "[needle]");
        assert_eq!(shown(&beginning("a\n b")), "a b");
    }
}
