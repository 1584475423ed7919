//! Comments and literals that nothing breaks out of.

/// Most lines of a description that are taken, and most characters of each.
const LINES_MAX: usize = 40;
const LINE_MAX: usize = 300;

/// A literal in double quotes that JSON, TypeScript and Python read alike.
pub(super) fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if is_hidden(c) => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A JSON document that shows all of itself: what does not show stands in strings only.
pub(super) fn shown(document: &str) -> String {
    let mut out = String::with_capacity(document.len());
    for c in document.chars() {
        match c {
            c if is_hidden(c) && c != '\n' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// The lines of a description, without what does not show: no line is empty, ends a line or turns the
/// direction of what follows it.
pub(super) fn lines(text: &str) -> Vec<String> {
    let line = |line: &str| {
        let shown: String = line.chars().map(|c| if is_hidden(c) { ' ' } else { c }).collect();
        let words: Vec<&str> = shown.split_whitespace().collect();
        words.join(" ").chars().take(LINE_MAX).collect::<String>()
    };
    text.split(['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}'])
        .map(line)
        .filter(|line| !line.is_empty())
        .take(LINES_MAX)
        .collect()
}

/// Controls, and what turns or hides text; all of them have four digits.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_reads_back_and_shows_all_of_itself() {
        for text in ["", "a\"b\\c\n\r\t\0", "\u{202e}\u{2028}\u{feff}", "😀 ü \u{7f}\u{9f}", "*/ ''' \"\"\""]
        {
            let written = literal(text);
            assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
            assert!(!written.chars().any(is_hidden), "{written:?}");
            let document = shown(&serde_json::to_string(text).unwrap());
            assert_eq!(serde_json::from_str::<String>(&document).unwrap(), text);
            assert!(!document.chars().any(is_hidden), "{document:?}");
        }
    }

    #[test]
    fn a_description_is_lines_that_are_only_text() {
        let found = lines("one\r\n\n    indented\ttwice\u{2028}three\u{202e}four\0");
        assert_eq!(found, ["one", "indented twice", "three four"]);
    }
}
