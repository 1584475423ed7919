//! Two texts side by side: by lines, with the changed words marked, and what is the same folded.

use std::time::Duration;

use serde::Serialize;
use similar::{ChangeTag, DiffOp, DiffTag, TextDiff};

/// Unchanged lines shown around a change.
const AROUND: usize = 3;
/// A page must come even where two long texts have nothing in common.
const PATIENCE: Duration = Duration::from_millis(200);

/// One text before and after.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Diff {
    pub title: String,
    pub note: Option<&'static str>,
    pub note_state: &'static str,
    pub plus: usize,
    pub minus: usize,
    pub rows: Vec<Row>,
    /// What changed besides the text, in words.
    pub facts: Vec<String>,
}

/// One line on both sides, or a fold.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Row {
    pub fold: Option<String>,
    pub same: bool,
    pub old_number: Option<usize>,
    pub new_number: Option<usize>,
    pub old: Vec<Segment>,
    pub new: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Segment {
    pub text: String,
    pub changed: bool,
}

impl Diff {
    /// Compares two texts line by line.
    pub(crate) fn of(title: impl Into<String>, old: &str, new: &str) -> Self {
        let lines = TextDiff::configure().timeout(PATIENCE).diff_lines(old, new);
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
        }
        diff
    }

    pub(crate) fn is_empty(&self) -> bool {
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
                same,
                old_number: before.map(|_| o + 1),
                new_number: after.map(|_| n + 1),
                old: old_segments,
                new: new_segments,
            });
        }
    }
}

fn whole(text: Option<&str>, changed: bool) -> Vec<Segment> {
    text.filter(|t| !t.is_empty()).map(|t| Segment { text: t.to_owned(), changed }).into_iter().collect()
}

fn words(old: &str, new: &str) -> (Vec<Segment>, Vec<Segment>) {
    let diff = TextDiff::configure().timeout(PATIENCE).diff_words(old, new);
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
    fn the_same_text_has_no_rows() {
        assert!(Diff::of("a", "one\n", "one\n").is_empty());
    }
}
