//! Two texts that came from one, made into one again, line by line. Where both changed the same
//! place, both stand there between marks.

use similar::TextMerge;

/// One text of two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    pub text: String,
    /// Places where both changed the same.
    pub conflicts: usize,
}

/// Merges what two made of `base`.
#[must_use]
pub fn merge(base: &str, mine: &str, theirs: &str) -> Merged {
    let mut merged = TextMerge::from_lines(base, mine, theirs);
    merged.labels("before", "yours", "theirs");
    Merged { conflicts: merged.conflict_count(), text: merged.to_string() }
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
}
