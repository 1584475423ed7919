//! Use of all prompts that were served since the start: what a status tells of it, and the sums.
//!
//! Counts only grow, and a status tells them whole, so that one that gets lost loses nothing, and an
//! agent that is offline for a week needs no more room than one that is not. A version that is served no
//! longer is forgotten once its last counts were told often enough to have arrived.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use schemas::status::{Counters, PromptUsage, USAGE_MAX};

use super::histogram::{BUCKETS, percentile};
use super::tally::Tally;

/// How often the last counts of what is served no longer are told.
const TOLD_ENOUGH: u32 = 3;
/// Most prompts of past versions that are remembered; beyond, the oldest are only in the sums.
const PAST_MAX: usize = 2_000;

#[derive(Debug, Default)]
pub(crate) struct Usage {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// In the order in which they were first seen.
    entries: Vec<Entry>,
    /// Grows with every status.
    round: u64,
    /// Sums of what was forgotten.
    renders: u64,
    errors: u64,
}

#[derive(Debug)]
struct Entry {
    tally: Arc<Tally>,
    /// What was told last, and how often.
    told: u64,
    times: u32,
    /// The status that told it last.
    round: u64,
    active: bool,
}

impl Usage {
    /// Takes note of what is served now, and of what was before: `active` are the tallies of all prompts
    /// that are served, `before` those that are no longer.
    pub(crate) fn note<'t>(
        &self,
        active: impl Iterator<Item = &'t Arc<Tally>>,
        before: impl Iterator<Item = &'t Arc<Tally>>,
    ) {
        self.known().note(active, before);
    }

    /// What the next status tells: what was used since it was told, that which waits longest first.
    pub(crate) fn tell(&self) -> Vec<PromptUsage> {
        let mut known = self.known();
        known.round += 1;
        let round = known.round;
        let news = |entry: &Entry| {
            !entry.tally.local && (entry.tally.uses() != entry.told || entry.times < TOLD_ENOUGH)
        };
        let mut next: Vec<&mut Entry> = known.entries.iter_mut().filter(|entry| news(entry)).collect();
        next.sort_by_key(|entry| entry.round);
        next.truncate(USAGE_MAX);
        let mut out = Vec::with_capacity(next.len());
        for entry in next {
            let uses = entry.tally.uses();
            entry.times = if uses == entry.told { entry.times + 1 } else { 1 };
            entry.told = uses;
            entry.round = round;
            out.push(entry.tally.usage());
        }
        known.forget();
        out
    }

    /// What was used most, for those who ask at the agent; nothing is marked as told.
    pub(crate) fn most_used(&self) -> Vec<PromptUsage> {
        let known = self.known();
        let mut all: Vec<&Entry> = known.entries.iter().collect();
        all.sort_by_key(|entry| std::cmp::Reverse(entry.tally.uses()));
        all.iter().take(USAGE_MAX).map(|entry| entry.tally.usage()).collect()
    }

    /// The sums over all prompts.
    pub(crate) fn counters(&self) -> Counters {
        let known = self.known();
        let mut times = [0; BUCKETS];
        let mut all = Counters::default();
        (all.renders, all.render_errors) = (known.renders, known.errors);
        for entry in &known.entries {
            all.renders += entry.tally.renders();
            all.render_errors += entry.tally.errors();
            entry.tally.add_times(&mut times);
        }
        all.render_p50_ns = percentile(&times, 50);
        all.render_p99_ns = percentile(&times, 99);
        all
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn note<'t>(
        &mut self,
        active: impl Iterator<Item = &'t Arc<Tally>>,
        before: impl Iterator<Item = &'t Arc<Tally>>,
    ) {
        for entry in &mut self.entries {
            entry.active = false;
        }
        let mut have: hashbrown::HashMap<*const Tally, usize> =
            self.entries.iter().enumerate().map(|(at, entry)| (Arc::as_ptr(&entry.tally), at)).collect();
        let all = before.map(|tally| (tally, false)).chain(active.map(|tally| (tally, true)));
        for (tally, active) in all.filter(|(tally, _)| tally.uses() > 0) {
            let at = *have.entry(Arc::as_ptr(tally)).or_insert(self.entries.len());
            if at == self.entries.len() {
                let tally = Arc::clone(tally);
                self.entries.push(Entry { tally, told: 0, times: 0, round: 0, active });
            }
            if let Some(entry) = self.entries.get_mut(at) {
                entry.active |= active;
            }
        }
        self.forget();
    }

    /// Lets go of past versions that were told, and of the oldest where there are too many.
    fn forget(&mut self) {
        let past = self.entries.iter().filter(|entry| !entry.active).count();
        let mut over = past.saturating_sub(PAST_MAX);
        let (mut renders, mut errors) = (0, 0);
        self.entries.retain(|entry| {
            // Somebody who still holds it may still count.
            let told = (entry.tally.local || entry.times >= TOLD_ENOUGH && entry.tally.uses() == entry.told)
                && Arc::strong_count(&entry.tally) == 1;
            if entry.active || !(told || over > 0) {
                return true;
            }
            over -= usize::from(!told);
            renders += entry.tally.renders();
            errors += entry.tally.errors();
            false
        });
        self.renders += renders;
        self.errors += errors;
    }
}

#[cfg(test)]
mod tests {
    use schemas::Version;

    use super::*;

    fn tally(version: u64, prompt: &str, renders: u64) -> Arc<Tally> {
        let tally = Tally::new("s".parse().unwrap(), Version::new(version, 0, 0), prompt, false);
        for _ in 0..renders {
            let _ = tally.measure(|| Ok::<(), ()>(()));
        }
        Arc::new(tally)
    }

    fn told(usage: &Usage) -> Vec<(u64, String, u64)> {
        usage.tell().into_iter().map(|one| (one.version.major, one.prompt, one.renders)).collect()
    }

    #[test]
    fn what_was_used_is_told_until_it_must_have_arrived_and_then_only_when_it_changes() {
        let usage = Usage::default();
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
    fn a_past_version_is_told_to_the_end_and_stays_in_the_sums() {
        let usage = Usage::default();
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
        assert_eq!(usage.known().entries.len(), 1, "the past version is forgotten");
        assert_eq!(usage.counters().renders, 7);
    }

    #[test]
    fn all_take_turns_where_a_status_cannot_hold_them() {
        let usage = Usage::default();
        let many: Vec<Arc<Tally>> = (0..USAGE_MAX * 2 + 10).map(|n| tally(1, &format!("p{n}"), 1)).collect();
        let mut seen = hashbrown::HashSet::new();
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
        let usage = Usage::default();
        let active = tally(9, "now", 1);
        for version in 0..PAST_MAX as u64 + 200 {
            let old = tally(version, "a", 1);
            usage.note([&active].into_iter(), [&old].into_iter());
        }
        assert!(usage.known().entries.len() <= PAST_MAX + 1);
        assert_eq!(usage.counters().renders, PAST_MAX as u64 + 201);
    }
}
