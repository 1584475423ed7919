//! Two texts that came from one, made into one again, line by line. Where both changed the same
//! place, both stand there between marks.

use similar::TextMerge;

use super::diff::ended;

/// Opens a place that both changed: mine stands below.
const OPEN: &str = "<<<<<<< yours";
/// Closes it: theirs stands above.
const CLOSE: &str = ">>>>>>> theirs";

/// One text of two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    pub text: String,
    /// Places where both changed the same.
    pub conflicts: usize,
}

/// Merges what two made of `base`. A last line without a line end is the same line when others follow it.
#[must_use]
pub fn merge(base: &str, mine: &str, theirs: &str) -> Merged {
    let [b, m, t] = [base, mine, theirs].map(ended);
    let mut merged = TextMerge::from_lines(&*b, &*m, &*t);
    merged.labels("before", "yours", "theirs");
    let mut text = merged.to_string();
    let [base, mine, theirs] = [base, mine, theirs].map(|text| text.ends_with('\n'));
    let is_ended = if mine == base { theirs } else { mine };
    // A mark is a line of its own, whatever is written behind it.
    if !is_ended && text.lines().next_back() != Some(CLOSE) {
        let kept = text.strip_suffix('\n').map(|rest| rest.strip_suffix('\r').unwrap_or(rest).len());
        text.truncate(kept.unwrap_or(text.len()));
    }
    Merged { conflicts: merged.conflict_count(), text }
}

/// The places of a text that nobody decided on, exactly as [`merge`] marks them: the number of the line, from 1, and
/// the line.
pub fn marks(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut is_open = false;
    text.lines().enumerate().filter_map(move |(i, line)| {
        // The end of a place that was told at its beginning is not told again.
        let told = line == OPEN || (line == CLOSE && !is_open);
        if line == OPEN || line == CLOSE {
            is_open = line == OPEN;
        }
        told.then_some((i + 1, line))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "one\ntwo\nthree\nfour\nfive\n";

    #[test]
    fn changes_in_different_places_are_both_kept() {
        let mine = BASE.replace("two", "TWO");
        let theirs = BASE.replace("four\n", "4\nfour and a half\n");
        let merged = merge(BASE, &mine, &theirs);
        assert_eq!(
            (merged.conflicts, merged.text.as_str()),
            (0, "one\nTWO\nthree\n4\nfour and a half\nfive\n")
        );
        assert_eq!(merge(BASE, &mine, &mine).text, mine);
        assert_eq!(merge(BASE, BASE, &theirs).text, theirs);
    }

    #[test]
    fn where_both_changed_the_same_place_both_stand_there() {
        let merged = merge(BASE, &BASE.replace("three", "mine"), &BASE.replace("three", "other"));
        assert_eq!(merged.conflicts, 1);
        for part in ["<<<<<<< yours\nmine\n", "=======\nother\n>>>>>>> theirs\n"] {
            assert!(merged.text.contains(part), "{}", merged.text);
        }
    }

    #[test]
    fn the_end_of_the_last_line_is_nobodys_change_of_that_line() {
        let base = "one\ntwo\nthree";
        let both = merge(base, "ONE\ntwo\nthree", "one\ntwo\nthree\nfour");
        assert_eq!((both.conflicts, both.text.as_str()), (0, "ONE\ntwo\nthree\nfour"));
        let both = merge(base, "ONE\ntwo\nthree\n", "one\ntwo\nthree\nfour");
        assert_eq!((both.conflicts, both.text.as_str()), (0, "ONE\ntwo\nthree\nfour\n"));
        let both = merge("one\r\ntwo", "one\r\ntwo\r\nthree", "one\r\ntwo");
        assert_eq!((both.conflicts, both.text.as_str()), (0, "one\r\ntwo\r\nthree"));
        for same in [base, "one\n", "", "one\r\ntwo"] {
            assert_eq!(merge(same, same, same), Merged { text: same.to_owned(), conflicts: 0 });
        }
    }

    #[test]
    fn marks_are_found_as_the_merge_writes_them_and_no_others() {
        let merged = merge(BASE, &BASE.replace("three", "mine"), &BASE.replace("three", "other"));
        assert_eq!(marks(&merged.text).collect::<Vec<_>>(), [(3, "<<<<<<< yours")]);
        assert_eq!(marks("a\r\n>>>>>>> theirs").collect::<Vec<_>>(), [(2, ">>>>>>> theirs")]);
        let both = merge("x", "mine", "other").text.repeat(2);
        assert_eq!(marks(&both).map(|(line, _)| line).collect::<Vec<_>>(), [1, 6]);
        for text in
            [BASE, "=======\n", "<<<<<<< HEAD\n>>>>>>> main\n", "say <<<<<<< yours\n", " >>>>>>> theirs"]
        {
            assert_eq!(marks(text).count(), 0, "{text}");
        }
    }
}
