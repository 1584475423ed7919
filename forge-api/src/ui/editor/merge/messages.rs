//! A text, or the messages of a chat, that two changed at once, made one.

use std::collections::HashMap;

use super::super::typed::{PLACEHOLDER, Part, Typed, What};
use super::{Clash, Three, three};
use crate::compare::merge::merge;

/// Most pairs of messages that are held against each other.
const PAIRS_MAX: usize = 1_000_000;

/// What both made of the text or the messages. Where one made a chat of a text, or the other way round, the content
/// is one thing.
pub(super) fn content(of: Three<'_>, clashes: &mut Vec<Clash>) -> (What, Vec<Part>) {
    let Three { base, mine, theirs } = of;
    if base.what != mine.what || base.what != theirs.what {
        return whole(of, "text and messages", clashes);
    }
    if base.what == What::Chat {
        return chat(of, clashes);
    }
    let merged = text(base.text(), mine.text(), theirs.text(), "text", clashes);
    (mine.what, vec![Part { role: "text".into(), text: merged }])
}

/// The content of one of the two, as it is.
fn whole(of: Three<'_>, what: &str, clashes: &mut Vec<Clash>) -> (What, Vec<Part>) {
    let content = |typed: &Typed| (typed.what, typed.parts.clone());
    let (base, mine, theirs) = (content(of.base), content(of.mine), content(of.theirs));
    let (kept, clash) = three(&base, &mine, &theirs);
    if clash {
        clashes.push(Clash::of(what, all(&theirs.1), all(&mine.1)));
    }
    kept.clone()
}

/// Lines of both; between marks, where both changed the same ones.
fn text(base: &str, mine: &str, theirs: &str, what: &str, clashes: &mut Vec<Clash>) -> String {
    let merged = merge(base, mine, theirs);
    if merged.conflicts > 0 {
        clashes.push(Clash::in_text(what, merged.conflicts));
    }
    merged.text
}

fn chat(of: Three<'_>, clashes: &mut Vec<Clash>) -> (What, Vec<Part>) {
    let [base, mine, theirs] = [of.base, of.mine, of.theirs].map(|typed| typed.parts.as_slice());
    let (Some(mine), Some(theirs)) = (Side::of(base, mine), Side::of(base, theirs)) else {
        return whole(of, "messages", clashes);
    };
    let mut parts = Vec::new();
    for at in 0..=base.len() {
        both_new(&mut parts, mine.new_at(at), theirs.new_at(at), clashes);
        let Some(began) = base.get(at) else { break };
        match (mine.became(at), theirs.became(at)) {
            (Some(mine), Some(theirs)) => {
                let merged = entry(began, mine, theirs, parts.len() + 1, clashes);
                parts.push(merged);
            }
            // They removed it; what I changed in it stays.
            (Some(mine), None) if mine != began => {
                let what = format!("message {}", parts.len() + 1);
                clashes.push(Clash::of(what, "removed", shown(mine)));
                parts.push(mine.clone());
            }
            (None, Some(theirs)) if theirs != began => {
                let what = format!("message {} as it was before", at + 1);
                clashes.push(Clash::of(what, shown(theirs), "removed"));
            }
            _ => {}
        }
    }
    (What::Chat, parts)
}

/// Messages that either put at one place.
fn both_new(parts: &mut Vec<Part>, mine: &[&Part], theirs: &[&Part], clashes: &mut Vec<Clash>) {
    let more: Vec<&Part> = theirs.iter().copied().filter(|part| !mine.contains(part)).collect();
    if !mine.is_empty() && !more.is_empty() {
        let list = |parts: &[&Part]| parts.iter().map(|part| shown(part)).collect::<Vec<_>>().join("\n");
        let what = format!("new message {}", parts.len() + 1);
        let kept = "both are kept, yours first";
        clashes.push(Clash { kept, ..Clash::of(what, list(theirs), list(mine)) });
    }
    parts.extend(mine.iter().copied().chain(more).cloned());
}

/// One message that is there on both sides, as the one with `number`.
fn entry(began: &Part, mine: &Part, theirs: &Part, number: usize, clashes: &mut Vec<Clash>) -> Part {
    let (role, clash) = three(began.role.as_str(), mine.role.as_str(), theirs.role.as_str());
    if clash {
        clashes.push(Clash::of(
            format!("role of message {number}"),
            theirs.role.as_str(),
            mine.role.as_str(),
        ));
    }
    let what = format!("message {number}");
    let is_name = [began, mine, theirs].iter().any(|part| part.role == PLACEHOLDER);
    let text = if is_name {
        // The name of the caller's messages: no marks fit into it.
        let (name, clash) = three(began.text.as_str(), mine.text.as_str(), theirs.text.as_str());
        if clash {
            clashes.push(Clash::of(what, shown(theirs), shown(mine)));
        }
        name.to_owned()
    } else {
        text(&began.text, &mine.text, &theirs.text, &what, clashes)
    };
    Part { role: role.to_owned(), text }
}

fn shown(part: &Part) -> String {
    format!("{}: {}", part.role, part.text)
}

fn all(parts: &[Part]) -> String {
    parts.iter().map(shown).collect::<Vec<_>>().join("\n")
}

/// What one of the two made of the messages.
struct Side<'a> {
    /// By the number of a message of the base, what it became; none where it was removed.
    became: Vec<Option<&'a Part>>,
    /// By the number of a message of the base, what is new before it; at the end, what is new behind all.
    new: Vec<Vec<&'a Part>>,
}

impl<'a> Side<'a> {
    /// None where there are too many messages to say.
    fn of(base: &[Part], parts: &'a [Part]) -> Option<Self> {
        let pairs: HashMap<usize, usize> = pairs(base, parts)?.into_iter().collect();
        let mut side = Self { became: vec![None; base.len()], new: vec![Vec::new(); base.len() + 1] };
        let mut place = 0;
        for (i, part) in parts.iter().enumerate() {
            if let Some(at) = pairs.get(&i) {
                if let Some(slot) = side.became.get_mut(*at) {
                    *slot = Some(part);
                }
                place = at + 1;
            } else if let Some(new) = side.new.get_mut(place) {
                new.push(part);
            }
        }
        Some(side)
    }

    fn became(&self, at: usize) -> Option<&'a Part> {
        self.became.get(at).copied().flatten()
    }

    fn new_at(&self, at: usize) -> &[&'a Part] {
        self.new.get(at).map(Vec::as_slice).unwrap_or_default()
    }
}

/// How much speaks for two messages being one and the same; nothing for 0.
fn alike(one: &Part, other: &Part) -> u32 {
    match (one.role == other.role, one.text == other.text) {
        (true, true) => 4,
        (false, true) if !one.text.trim().is_empty() => 2,
        (true, false) => 1,
        _ => 0,
    }
}

/// Which messages of `parts` are which of `base`, in the order of both: each the number in `parts`, and that in
/// `base`. Of all ways the one for which most speaks.
fn pairs(base: &[Part], parts: &[Part]) -> Option<Vec<(usize, usize)>> {
    if base.len().saturating_mul(parts.len()) > PAIRS_MAX {
        return None;
    }
    let width = parts.len() + 1;
    let mut best = vec![0_u32; (base.len() + 1) * width];
    let at = |best: &[u32], i: usize, j: usize| best.get(i * width + j).copied().unwrap_or(0);
    for (i, one) in base.iter().enumerate().rev() {
        for (j, other) in parts.iter().enumerate().rev() {
            let skip = at(&best, i + 1, j).max(at(&best, i, j + 1));
            let take = match alike(one, other) {
                0 => 0,
                much => much + at(&best, i + 1, j + 1),
            };
            if let Some(cell) = best.get_mut(i * width + j) {
                *cell = skip.max(take);
            }
        }
    }
    let (mut found, mut i, mut j) = (Vec::new(), 0, 0);
    while let (Some(one), Some(other)) = (base.get(i), parts.get(j)) {
        let (much, here) = (alike(one, other), at(&best, i, j));
        if much > 0 && here == much + at(&best, i + 1, j + 1) {
            found.push((j, i));
            (i, j) = (i + 1, j + 1);
        } else if here == at(&best, i + 1, j) {
            i += 1;
        } else {
            j += 1;
        }
    }
    Some(found)
}
