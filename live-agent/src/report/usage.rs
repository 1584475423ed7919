//! Use of all prompts that were served since the start: what a status tells of it, and the sums.
//!
//! Counts only grow, and a status tells them whole, so that one that gets lost loses nothing, and an
//! agent that is offline for a week needs no more room than one that is not. FORGE adds what is above the
//! highest that it heard: so of a version that comes back is counted on where it stood. For that, what is
//! served no longer is remembered, as sums alone.

use std::cmp::Reverse;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hashbrown::{HashMap, HashSet};
use schemas::status::{Counters, PromptUsage, USAGE_MAX};
use schemas::{Slug, Version};

use super::histogram::{BUCKETS, percentile};
use super::tally::Tally;
use crate::clock::Moment;

/// How often counts are told that do not change.
const TOLD_ENOUGH: u32 = 3;
/// After this they are told once more: FORGE may have had no room for them.
const AGAIN: Duration = Duration::from_secs(3600);
/// Most versions, and prompts of them, that are remembered once they are served no longer; beyond, the oldest are
/// only in the sums. FORGE counts as many prompts of one start.
const PAST_VERSIONS: usize = 64;
const PAST_PROMPTS: usize = 2_000;

#[derive(Debug)]
pub(crate) struct Usage {
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    /// Whether anybody is told of single prompts. If not, there are only the sums.
    by_prompt: bool,
    /// In the order in which they were first seen.
    entries: Vec<Entry>,
    /// Grows with every status.
    round: u64,
    /// Grows with everything that is served no longer.
    left: u64,
    /// How often FORGE had come back when the last status was written.
    returns: u64,
    /// Sums of what was forgotten.
    renders: u64,
    errors: u64,
    /// Times of what is served no longer.
    times: [u64; BUCKETS],
}

#[derive(Debug)]
struct Entry {
    counted: Counted,
    /// What was told last, how often and when.
    told: u64,
    times: u32,
    at: Option<Moment>,
    /// The status that told it last.
    round: u64,
    active: bool,
}

#[derive(Debug)]
enum Counted {
    /// Served, or still held by a reader.
    Now(Arc<Tally>),
    /// Served no longer, and when it left.
    Past(Box<PromptUsage>, u64),
}

impl Usage {
    /// Without `by_prompt` only sums are kept.
    pub(crate) fn new(by_prompt: bool) -> Self {
        let known = Known {
            by_prompt,
            entries: Vec::new(),
            round: 0,
            left: 0,
            returns: 0,
            renders: 0,
            errors: 0,
            times: [0; BUCKETS],
        };
        Self { known: Mutex::new(known) }
    }

    /// Takes note of what is served now, and of what was before: `active` are the tallies of all prompts
    /// that are served, `before` those that are no longer.
    pub(crate) fn note<'t>(
        &self,
        active: impl Iterator<Item = &'t Arc<Tally>>,
        before: impl Iterator<Item = &'t Arc<Tally>>,
    ) {
        self.known().note(active, before);
    }

    /// What was counted of a version before, by prompt: its tallies go on where they stood.
    pub(crate) fn former(&self, set: &Slug, version: &Version) -> HashMap<Box<str>, Arc<Tally>> {
        let mut known = self.known();
        let of_it = known.entries.iter_mut().filter(|entry| entry.is_of(set, version));
        of_it.map(Entry::revive).map(|tally| (tally.prompt.clone(), tally)).collect()
    }

    /// What the next status tells: what was used since it was told, that which waits longest first. `returns` says
    /// how often FORGE came back; with each time, all is told again.
    pub(crate) fn tell(&self, returns: u64, here: Moment) -> Vec<PromptUsage> {
        let mut known = self.known();
        if !known.by_prompt {
            return Vec::new();
        }
        known.round += 1;
        let round = known.round;
        if std::mem::replace(&mut known.returns, returns) != returns {
            known.entries.iter_mut().for_each(|entry| entry.times = 0);
        }
        let mut next: Vec<&mut Entry> = known.entries.iter_mut().filter(|entry| entry.is_due(here)).collect();
        next.sort_by_key(|entry| entry.round);
        next.truncate(USAGE_MAX);
        let mut out = Vec::with_capacity(next.len());
        for entry in next {
            let uses = entry.uses();
            entry.times = if uses == entry.told { entry.times.saturating_add(1) } else { 1 };
            entry.told = uses;
            entry.at = Some(here);
            entry.round = round;
            out.push(entry.usage());
        }
        out
    }

    /// What was used most, for those who ask at the agent; nothing is marked as told.
    pub(crate) fn most_used(&self) -> Vec<PromptUsage> {
        let known = self.known();
        if !known.by_prompt {
            return Vec::new();
        }
        let mut all: Vec<&Entry> = known.entries.iter().collect();
        all.sort_by_cached_key(|entry| Reverse(entry.uses()));
        all.iter().take(USAGE_MAX).map(|entry| entry.usage()).collect()
    }

    /// The sums over all prompts.
    pub(crate) fn counters(&self) -> Counters {
        let known = self.known();
        let (mut all, mut times) = (Counters::default(), known.times);
        (all.renders, all.render_errors) = (known.renders, known.errors);
        for entry in &known.entries {
            match &entry.counted {
                Counted::Now(tally) => {
                    all.renders += tally.renders();
                    all.render_errors += tally.errors();
                    tally.add_times(&mut times);
                }
                Counted::Past(sums, _) => {
                    all.renders += sums.renders;
                    all.render_errors += sums.errors;
                }
            }
        }
        all.render_p50_ns = percentile(&times, 50);
        all.render_p99_ns = percentile(&times, 99);
        all
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn is_local(&self) -> bool {
        matches!(&self.counted, Counted::Now(tally) if tally.local)
    }

    fn is_of(&self, set: &Slug, version: &Version) -> bool {
        match &self.counted {
            Counted::Now(tally) => tally.is_of(set, version),
            Counted::Past(sums, _) => sums.set == *set && sums.version == *version,
        }
    }

    fn is_due(&self, here: Moment) -> bool {
        let again = self.at.is_some_and(|at| here - at >= AGAIN);
        !self.is_local() && (self.uses() != self.told || self.times < TOLD_ENOUGH || again)
    }

    /// Something that changes with every use.
    fn uses(&self) -> u64 {
        match &self.counted {
            Counted::Now(tally) => tally.uses(),
            Counted::Past(sums, _) => sums.renders.wrapping_add(sums.calls),
        }
    }

    fn usage(&self) -> PromptUsage {
        match &self.counted {
            Counted::Now(tally) => tally.usage(),
            Counted::Past(sums, _) => (**sums).clone(),
        }
    }

    /// What counts on.
    fn revive(&mut self) -> Arc<Tally> {
        let tally = match &self.counted {
            Counted::Now(tally) => return Arc::clone(tally),
            Counted::Past(sums, _) => Arc::new(Tally::from_sums(sums)),
        };
        self.counted = Counted::Now(Arc::clone(&tally));
        tally
    }
}

impl Known {
    fn note<'t>(
        &mut self,
        active: impl Iterator<Item = &'t Arc<Tally>>,
        before: impl Iterator<Item = &'t Arc<Tally>>,
    ) {
        let mut have: HashMap<*const Tally, usize> = HashMap::with_capacity(self.entries.len());
        for (at, entry) in self.entries.iter_mut().enumerate() {
            entry.active = false;
            if let Counted::Now(tally) = &entry.counted {
                have.insert(Arc::as_ptr(tally), at);
            }
        }
        let all = before.map(|tally| (tally, false)).chain(active.map(|tally| (tally, true)));
        for (tally, active) in all.filter(|(tally, _)| tally.uses() > 0) {
            let at = *have.entry(Arc::as_ptr(tally)).or_insert(self.entries.len());
            if at == self.entries.len() {
                let counted = Counted::Now(Arc::clone(tally));
                self.entries.push(Entry { counted, told: 0, times: 0, at: None, round: 0, active });
            }
            if let Some(entry) = self.entries.get_mut(at) {
                entry.active |= active;
            }
        }
        if self.settle() {
            self.make_room();
        }
    }

    /// Keeps only the sums of what is served no longer. Gives whether there was any.
    fn settle(&mut self) -> bool {
        let before = self.left;
        self.entries.retain_mut(|entry| {
            let Counted::Now(tally) = &mut entry.counted else { return true };
            // Somebody who still holds it may still count.
            if entry.active || Arc::get_mut(tally).is_none() {
                return true;
            }
            tally.add_times(&mut self.times);
            if tally.local || !self.by_prompt {
                self.renders += tally.renders();
                self.errors += tally.errors();
                return false;
            }
            self.left += 1;
            entry.counted = Counted::Past(Box::new(tally.usage()), self.left);
            true
        });
        self.left > before
    }

    /// Lets go of the oldest past versions where there are too many.
    fn make_room(&mut self) {
        let Some(gone) = self.too_old() else { return };
        self.entries.retain(|entry| match &entry.counted {
            Counted::Past(sums, left) if *left <= gone => {
                self.renders += sums.renders;
                self.errors += sums.errors;
                false
            }
            _ => true,
        });
    }

    /// The last to leave of what there is no room for.
    fn too_old(&self) -> Option<u64> {
        let mut past: Vec<(u64, &PromptUsage)> = Vec::new();
        for entry in &self.entries {
            if let Counted::Past(sums, left) = &entry.counted {
                past.push((*left, sums));
            }
        }
        past.sort_unstable_by_key(|(left, _)| Reverse(*left));
        let mut versions = HashSet::new();
        let fits = past.iter().take(PAST_PROMPTS).take_while(|(_, sums)| {
            versions.insert((&sums.set, &sums.version));
            versions.len() <= PAST_VERSIONS
        });
        let fits = fits.count();
        past.get(fits).map(|(left, _)| *left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Moment = Moment::at(Duration::from_secs(1_000_000));

    fn used(tally: &Tally, renders: u64) {
        for _ in 0..renders {
            let _ = tally.measure(|| Ok::<(), ()>(()));
        }
    }

    fn tally(version: u64, prompt: &str, renders: u64) -> Arc<Tally> {
        let tally = Tally::new("s".parse().unwrap(), Version::new(version, 0, 0), prompt, false);
        used(&tally, renders);
        Arc::new(tally)
    }

    fn told_at(usage: &Usage, returns: u64, here: Moment) -> Vec<(u64, String, u64)> {
        let told = usage.tell(returns, here).into_iter();
        told.map(|one| (one.version.major, one.prompt, one.renders)).collect()
    }

    fn told(usage: &Usage) -> Vec<(u64, String, u64)> {
        told_at(usage, 1, NOON)
    }

    /// The tally of a prompt as the table of what is served gets it.
    fn back(usage: &Usage, version: u64, prompt: &str) -> Arc<Tally> {
        let former = usage.former(&"s".parse().unwrap(), &Version::new(version, 0, 0)).remove(prompt);
        former.unwrap_or_else(|| tally(version, prompt, 0))
    }

    #[test]
    fn what_was_used_is_told_until_it_must_have_arrived_and_then_only_when_it_changes() {
        let usage = Usage::new(true);
        let (a, b) = (tally(1, "a", 2), tally(1, "b", 0));
        for _ in 0..3 {
            usage.note([&a, &b].into_iter(), [].into_iter());
            assert_eq!(told(&usage), [(1, "a".into(), 2)]);
        }
        usage.note([&a, &b].into_iter(), [].into_iter());
        assert_eq!(told(&usage), []);
        let _ = b.measure(|| Err::<(), ()>(()));
        usage.note([&a, &b].into_iter(), [].into_iter());
        assert_eq!(told(&usage), [(1, "b".into(), 1)]);
        assert_eq!((usage.counters().renders, usage.counters().render_errors), (3, 1));
    }

    #[test]
    fn what_was_told_while_forge_was_away_is_told_again_and_all_of_it_once_an_hour() {
        let usage = Usage::new(true);
        let (old, new) = (tally(1, "a", 4), tally(2, "a", 2));
        usage.note([&new].into_iter(), [&old].into_iter());
        drop(old);
        let both = [(1, "a".into(), 4), (2, "a".into(), 2)];
        for _ in 0..3 {
            usage.note([&new].into_iter(), [].into_iter());
            assert_eq!(told_at(&usage, 1, NOON), both);
        }
        assert_eq!(told_at(&usage, 1, NOON), []);
        for _ in 0..3 {
            assert_eq!(told_at(&usage, 2, NOON), both, "FORGE is heard again");
        }
        assert_eq!(told_at(&usage, 2, NOON + AGAIN / 2), []);
        assert_eq!(told_at(&usage, 2, NOON + AGAIN), both);
        assert_eq!(told_at(&usage, 2, NOON + AGAIN), []);
        assert_eq!(told_at(&usage, 2, NOON + AGAIN * 2), both);
    }

    #[test]
    fn a_past_version_is_told_to_the_end_and_stays_in_the_sums() {
        let usage = Usage::new(true);
        let (old, new) = (tally(1, "a", 5), tally(2, "a", 1));
        // It was used and replaced between two statuses.
        usage.note([&new].into_iter(), [&old].into_iter());
        // A reader that began before the swap ends after it.
        let _ = old.measure(|| Ok::<(), ()>(()));
        drop(old);
        for _ in 0..3 {
            usage.note([&new].into_iter(), [].into_iter());
            assert_eq!(told(&usage), [(1, "a".into(), 6), (2, "a".into(), 1)]);
        }
        usage.note([&new].into_iter(), [].into_iter());
        assert_eq!(told(&usage), []);
        assert_eq!(usage.counters().renders, 7);
        assert!(usage.counters().render_p99_ns > 0, "its times count on");
    }

    #[test]
    fn a_version_that_comes_back_is_counted_on_where_it_stood() {
        let usage = Usage::new(true);
        let one = tally(1, "a", 1000);
        one.called(&super::super::tally::Call::new().tokens(70, 0).failed());
        usage.note([&one].into_iter(), [].into_iter());
        let two = back(&usage, 2, "a");
        used(&two, 3);
        usage.note([&two].into_iter(), [&one].into_iter());
        drop(one);
        for _ in 0..TOLD_ENOUGH {
            usage.note([&two].into_iter(), [].into_iter());
            let _ = told(&usage);
        }
        let one = back(&usage, 1, "a");
        usage.note([&one].into_iter(), [&two].into_iter());
        assert_eq!(usage.counters().renders, 1003, "nothing is counted twice");
        used(&one, 1);
        usage.note([&one].into_iter(), [&two].into_iter());
        assert_eq!(told(&usage), [(1, "a".into(), 1001)]);
        let sums = one.usage();
        assert_eq!((sums.calls, sums.call_errors, sums.input_tokens), (1, 1, 70));
        assert_eq!(usage.counters().renders, 1004);
        // Published once more before anybody was told.
        let again = back(&usage, 1, "a");
        assert!(Arc::ptr_eq(&again, &one));
    }

    #[test]
    fn all_take_turns_where_a_status_cannot_hold_them() {
        let usage = Usage::new(true);
        let many: Vec<Arc<Tally>> = (0..USAGE_MAX * 2 + 10).map(|n| tally(1, &format!("p{n}"), 1)).collect();
        let mut seen = HashSet::new();
        for _ in 0..3 {
            usage.note(many.iter(), [].into_iter());
            let told = told(&usage);
            assert!(told.len() <= USAGE_MAX);
            seen.extend(told.into_iter().map(|(_, prompt, _)| prompt));
        }
        assert_eq!(seen.len(), many.len());
    }

    #[test]
    fn past_versions_take_no_more_room_however_many_there_were() {
        let usage = Usage::new(true);
        let active = tally(0, "now", 1);
        let replaced = |version, prompts| {
            let old: Vec<_> = (0..prompts).map(|n| tally(version, &format!("p{n}"), 1)).collect();
            usage.note([&active].into_iter(), old.iter());
            drop(old);
            usage.note([&active].into_iter(), [].into_iter());
            usage.known().entries.len() - 1
        };
        for version in 1..=PAST_VERSIONS as u64 {
            assert_eq!(replaced(version, 2), 2 * usize::try_from(version).unwrap());
        }
        assert_eq!(replaced(1000, 2), 2 * PAST_VERSIONS, "the oldest is forgotten");
        assert_eq!((back(&usage, 1, "p0").uses(), back(&usage, 2, "p0").uses()), (0, 1));
        assert_eq!(replaced(1001, PAST_PROMPTS + 500), PAST_PROMPTS);
        let renders = 2 * (PAST_VERSIONS as u64 + 1) + PAST_PROMPTS as u64 + 500 + 1;
        assert_eq!(usage.counters().renders, renders);
    }

    #[test]
    fn where_nobody_is_told_nothing_but_the_sums_is_kept() {
        let usage = Usage::new(false);
        let (old, new) = (tally(1, "a", 100), tally(2, "a", 1));
        usage.note([&new].into_iter(), [&old].into_iter());
        drop(old);
        usage.note([&new].into_iter(), [].into_iter());
        assert_eq!((told(&usage), usage.most_used()), (vec![], vec![]));
        assert_eq!(usage.known().entries.len(), 1, "nothing of the past");
        assert!(back(&usage, 1, "a").uses() == 0);
        let counters = usage.counters();
        assert!(counters.renders == 101 && counters.render_p50_ns > 0, "{counters:?}");
    }
}
