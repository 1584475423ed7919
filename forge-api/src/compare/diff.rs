//! Two texts side by side: by lines, with the changed words marked, and what is the same folded.

use std::borrow::Cow;
use std::time::Duration;

use serde::Serialize;
use similar::{Algorithm, ChangeTag, DiffOp, DiffTag, TextDiff, TextDiffConfig, capture_diff_slices};

/// Unchanged lines shown around a change.
const AROUND: usize = 3;
/// A page must come even where two long texts have nothing in common.
const PATIENCE: Duration = Duration::from_millis(200);
/// Texts that have no more bytes together are compared to the end: it takes no time worth a word, and what is shown of
/// them does not depend on what else the machine does.
const SHORT: usize = 4096;

/// One text before and after.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Diff {
    pub title: String,
    pub note: Option<&'static str>,
    pub note_state: &'static str,
    pub plus: usize,
    pub minus: usize,
    pub rows: Vec<Row>,
    /// What changed besides the text, in words.
    pub facts: Vec<String>,
    /// One column instead of two.
    pub inline: bool,
}

/// One line on both sides, a fold, or the head of a chat's message.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Row {
    pub fold: Option<String>,
    pub head: Option<String>,
    pub same: bool,
    pub old_number: Option<usize>,
    pub new_number: Option<usize>,
    pub old: Vec<Segment>,
    pub new: Vec<Segment>,
}

/// Some words of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Segment {
    pub text: String,
    pub changed: bool,
}

impl Diff {
    /// Compares two texts line by line. Whether the last one ends in a line end is said only where nothing else differs.
    #[must_use]
    pub fn of(title: impl Into<String>, old: &str, new: &str) -> Self {
        let (old_ended, new_ended) = (ended(old), ended(new));
        let lines = within_bounds(old, new).diff_lines(&*old_ended, &*new_ended);
        let mut diff = Self { title: title.into(), ..Self::default() };
        let mut at = 0;
        for group in lines.grouped_ops(AROUND) {
            let from = group.first().map_or(at, |op| op.old_range().start);
            diff.fold(from.saturating_sub(at));
            at = group.last().map_or(at, |op| op.old_range().end);
            for op in &group {
                diff.push(&lines, op);
            }
        }
        if !diff.rows.is_empty() {
            diff.fold(lines.old_len().saturating_sub(at));
        } else if old != new {
            let head = match new.ends_with('\n') {
                true => "only the end differs: the last line has a line end now",
                false => "only the end differs: the last line has no line end any more",
            };
            diff.rows.push(Row { head: Some(head.to_owned()), ..Row::default() });
            diff.fold(lines.old_len());
        }
        diff
    }

    /// Compares two chats message by message, each a role and a text. Lines are counted through all
    /// messages, so that a line has one number in its prompt.
    #[must_use]
    pub fn of_chat(title: impl Into<String>, old: &[(String, String)], new: &[(String, String)]) -> Self {
        let mut chat = Self { title: title.into(), ..Self::default() };
        let (mut old_lines, mut new_lines) = (0, 0);
        let height =
            |part: Option<&(String, String)>| part.map_or(0, |(_, text)| text.lines().count().max(1));
        for op in capture_diff_slices(Algorithm::Myers, old, new) {
            let (before, after) = (op.old_range(), op.new_range());
            for i in 0..before.len().max(after.len()) {
                let at = |parts: &'_ [(String, String)], range: &std::ops::Range<usize>| {
                    Some(range.start + i).filter(|n| *n < range.end && *n < parts.len())
                };
                let (o, n) = (at(old, &before), at(new, &after));
                let (o_part, n_part) = (o.and_then(|o| old.get(o)), n.and_then(|n| new.get(n)));
                if op.tag() == DiffTag::Equal {
                    let what = n_part.map_or("", |(role, _)| role.as_str());
                    chat.rows.push(Row {
                        fold: Some(format!("message {} ({what}) unchanged", n.unwrap_or_default() + 1)),
                        ..Row::default()
                    });
                } else {
                    chat.message((o, o_part), (n, n_part), old_lines, new_lines);
                }
                old_lines += height(o_part);
                new_lines += height(n_part);
            }
        }
        if chat.rows.iter().all(|row| row.fold.is_some()) {
            chat.rows.clear();
        }
        chat
    }

    fn message(
        &mut self,
        (o, old): (Option<usize>, Option<&(String, String)>),
        (n, new): (Option<usize>, Option<&(String, String)>),
        old_lines: usize,
        new_lines: usize,
    ) {
        let name = |at: Option<usize>, part: Option<&(String, String)>| {
            Some(format!("message {} ({})", at? + 1, part?.0))
        };
        let head = match (name(o, old), name(n, new)) {
            (Some(old), Some(new)) if old == new => new,
            (Some(old), Some(new)) => format!("{old}, now {new}"),
            (Some(old), None) => format!("{old} removed"),
            (None, Some(new)) => format!("{new} new"),
            (None, None) => return,
        };
        let text = |part: Option<&(String, String)>| part.map_or("", |(_, text)| text.as_str()).to_owned();
        let diff = Self::of("", &text(old), &text(new));
        self.rows.push(Row { head: Some(head), ..Row::default() });
        self.plus += diff.plus;
        self.minus += diff.minus;
        self.rows.extend(diff.rows.into_iter().map(|row| Row {
            old_number: row.old_number.map(|line| line + old_lines),
            new_number: row.new_number.map(|line| line + new_lines),
            ..row
        }));
    }

    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.facts.is_empty()
    }

    fn fold(&mut self, lines: usize) {
        if lines > 0 {
            let what = if lines == 1 { "line" } else { "lines" };
            self.rows.push(Row { fold: Some(format!("{lines} unchanged {what}")), ..Row::default() });
        }
    }

    fn push<'t>(&mut self, lines: &TextDiff<'t, 't, str>, op: &DiffOp) {
        let line = |slice: Option<&str>| slice.unwrap_or_default().trim_end_matches(['\n', '\r']).to_owned();
        let (old, new) = (op.old_range(), op.new_range());
        let rows = old.len().max(new.len());
        for i in 0..rows {
            let (o, n) = (old.start + i, new.start + i);
            let before = (o < old.end).then(|| line(lines.old_slice(o)));
            let after = (n < new.end).then(|| line(lines.new_slice(n)));
            let same = op.tag() == DiffTag::Equal;
            if !same {
                self.minus += usize::from(before.is_some());
                self.plus += usize::from(after.is_some());
            }
            let (old_segments, new_segments) = match (&before, &after) {
                (Some(before), Some(after)) if !same => words(before, after),
                _ => (whole(before.as_deref(), !same), whole(after.as_deref(), !same)),
            };
            self.rows.push(Row {
                fold: None,
                head: None,
                same,
                old_number: before.map(|_| o + 1),
                new_number: after.map(|_| n + 1),
                old: old_segments,
                new: new_segments,
            });
        }
    }
}

/// How two texts are compared: for so long, and no longer.
fn within_bounds(old: &str, new: &str) -> TextDiffConfig {
    let mut config = TextDiff::configure();
    if old.len() + new.len() > SHORT {
        config.timeout(PATIENCE);
    }
    config
}

/// A text whose last line ends as the others do, so that it is the same line when more follow.
pub(super) fn ended(text: &str) -> Cow<'_, str> {
    if text.is_empty() || text.ends_with('\n') {
        return Cow::Borrowed(text);
    }
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    Cow::Owned(format!("{text}{end}"))
}

fn whole(text: Option<&str>, changed: bool) -> Vec<Segment> {
    text.filter(|t| !t.is_empty()).map(|t| Segment { text: t.to_owned(), changed }).into_iter().collect()
}

fn words(old: &str, new: &str) -> (Vec<Segment>, Vec<Segment>) {
    let diff = within_bounds(old, new).diff_words(old, new);
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for change in diff.iter_all_changes() {
        let changed = change.tag() != ChangeTag::Equal;
        if change.tag() != ChangeTag::Insert {
            join(&mut before, change.value(), changed);
        }
        if change.tag() != ChangeTag::Delete {
            join(&mut after, change.value(), changed);
        }
    }
    (before, after)
}

fn join(segments: &mut Vec<Segment>, text: &str, changed: bool) {
    match segments.last_mut() {
        Some(last) if last.changed == changed => last.text.push_str(text),
        _ => segments.push(Segment { text: text.to_owned(), changed }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_words_are_marked_and_unchanged_lines_folded() {
        let old: String = (1..=20).map(|n| format!("line {n}\n")).collect();
        let new = old.replace("line 10\n", "line ten\n");
        let diff = Diff::of("a", &old, &new);
        assert_eq!((diff.plus, diff.minus), (1, 1));
        assert_eq!(diff.rows.first().and_then(|r| r.fold.as_deref()), Some("6 unchanged lines"));
        assert_eq!(diff.rows.last().and_then(|r| r.fold.as_deref()), Some("7 unchanged lines"));
        let row = diff.rows.iter().find(|r| r.fold.is_none() && !r.same).unwrap();
        assert_eq!((row.old_number, row.new_number), (Some(10), Some(10)));
        assert_eq!(
            row.new,
            [Segment { text: "line ".into(), changed: false }, Segment { text: "ten".into(), changed: true }]
        );
    }

    #[test]
    fn a_new_text_has_only_a_right_side() {
        let diff = Diff::of("a", "", "one\ntwo");
        assert_eq!((diff.plus, diff.minus), (2, 0));
        assert!(diff.rows.iter().all(|r| r.old_number.is_none() && r.old.is_empty()));
    }

    #[test]
    fn a_chat_is_compared_message_by_message() {
        let part = |role: &str, text: &str| (role.to_owned(), text.to_owned());
        let old = [part("system", "You are\nbrief."), part("user", "{{ question }}")];
        let new =
            [part("system", "You are\nbrief."), part("assistant", "Yes?"), part("user", "{{ question }}!")];
        let diff = Diff::of_chat("a", &old, &new);
        let heads: Vec<&str> = diff.rows.iter().filter_map(|r| r.head.as_deref()).collect();
        assert_eq!(
            heads,
            ["message 2 (user), now message 2 (assistant)", "message 3 (user) new"],
            "{diff:?}"
        );
        assert_eq!(diff.rows[0].fold.as_deref(), Some("message 1 (system) unchanged"));
        // Lines go on through the messages.
        assert_eq!(diff.rows.iter().filter_map(|r| r.new_number).collect::<Vec<_>>(), [3, 4]);
        assert!(Diff::of_chat("a", &old, &old).is_empty());
    }

    #[test]
    fn a_line_appended_to_a_text_without_a_last_line_end_is_one_line_more() {
        for (old, new) in [("one\ntwo", "one\ntwo\nthree"), ("one\r\ntwo", "one\r\ntwo\r\nthree")] {
            let diff = Diff::of("a", old, new);
            assert_eq!((diff.plus, diff.minus), (1, 0), "{diff:?}");
            let changed: Vec<_> =
                diff.rows.iter().filter(|row| !row.same).map(|row| row.new_number).collect();
            assert_eq!(changed, [Some(3)]);
        }
    }

    #[test]
    fn a_line_end_alone_is_said_in_words() {
        for (old, new, said) in
            [("one", "one\n", "has a line end now"), ("one\n", "one", "no line end any more")]
        {
            let diff = Diff::of("a", old, new);
            assert_eq!((diff.plus, diff.minus), (0, 0));
            let heads: Vec<&str> = diff.rows.iter().filter_map(|row| row.head.as_deref()).collect();
            assert!(matches!(heads.as_slice(), [head] if head.ends_with(said)), "{diff:?}");
            let part = |text: &str| [("user".to_owned(), text.to_owned())];
            assert!(!Diff::of_chat("a", &part(old), &part(new)).is_empty());
        }
    }

    #[test]
    fn the_same_text_has_no_rows() {
        assert!(Diff::of("a", "one\n", "one\n").is_empty());
    }
}
