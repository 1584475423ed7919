//! What all readers keep to: sizes that are looked at before anything is read, and lines that are counted once.

use schemas::template::{BLOCKS_MAX, SOURCE_MAX, TAGS_MAX};

use super::Why;

/// Most remarks on one template that are told one by one.
const REMARKS_MAX: usize = 100;

/// Nothing is read of a template that could not be used afterwards.
///
/// # Errors
/// It is longer than a template may be.
pub(crate) fn fits(source: &str) -> Result<(), Why> {
    if source.len() <= SOURCE_MAX {
        return Ok(());
    }
    let why =
        format!("has {} bytes; at most {SOURCE_MAX} are allowed: move parts into partials", source.len());
    Err(Why::new(1, "the template", why))
}

/// One block deeper than `depth`.
///
/// # Errors
/// That is deeper than blocks may be nested.
pub(crate) fn deeper(depth: usize, line: usize, what: &str) -> Result<usize, Why> {
    if depth < BLOCKS_MAX {
        return Ok(depth + 1);
    }
    Err(Why::new(line, what, format!("blocks are nested more than {BLOCKS_MAX} deep: use partials")))
}

/// One tag more than `tags`.
///
/// # Errors
/// These are more than a template may have.
pub(crate) fn another(tags: usize, line: usize, what: &str) -> Result<usize, Why> {
    if tags < TAGS_MAX {
        return Ok(tags + 1);
    }
    Err(Why::new(line, what, format!("the template has more than {TAGS_MAX} tags: split it into partials")))
}

/// The first remarks on a template, and how many more there are: nobody reads thousands of them.
pub(crate) fn some(mut remarks: Vec<Why>) -> Vec<Why> {
    let left = remarks.split_off(remarks.len().min(REMARKS_MAX));
    if let Some(first) = left.first() {
        let why = format!("from here on there are {} more places to look at in this template", left.len());
        remarks.push(Why::new(first.line, first.what.as_str(), why));
    }
    remarks
}

/// Where the next tag begins: at a brace with one of `seconds` behind it.
pub(crate) fn opening(text: &str, seconds: &[u8]) -> Option<usize> {
    text.as_bytes().windows(2).position(|pair| matches!(pair, [b'{', second] if seconds.contains(second)))
}

/// Counts lines while a source is read: each place that is asked for is behind the one before.
pub(crate) struct Lines<'s> {
    source: &'s str,
    at: usize,
    line: usize,
}

impl<'s> Lines<'s> {
    pub(crate) fn new(source: &'s str) -> Self {
        Self { source, at: 0, line: 1 }
    }

    /// The line of a byte, from 1.
    pub(crate) fn of(&mut self, at: usize) -> usize {
        let passed = self.source.as_bytes().get(self.at..at).unwrap_or_default();
        self.line += passed.iter().map(|byte| usize::from(*byte == b'\n')).sum::<usize>();
        self.at = self.at.max(at);
        self.line
    }
}

/// The line of one byte, from 1: for what is said once of a source.
pub(crate) fn line_of(source: &str, at: usize) -> usize {
    Lines::new(source).of(at)
}
