//! A damaged store is set aside, and what of it is whole goes into a new one.

use std::fs;
use std::path::{Path, PathBuf};

use schemas::Slug;

use super::pages::Which;
use super::{LoadError, Loaded, STATE, Store, StoreError, Write, load, record, restrict, store_dir};
use crate::clock;

/// How many damaged stores are kept for a person to look at.
const QUARANTINE_KEPT: usize = 3;

impl Store {
    /// Sets a store aside that was found damaged while writing, and begins anew with what of it is whole and
    /// with what was to be written.
    pub(super) fn heal(&mut self, dir: &Path, what: &str) -> Result<(), StoreError> {
        let whole = match load(dir, Which::Newest) {
            Ok(loaded) => Some(loaded),
            Err(LoadError::Damaged { whole, .. }) => load(dir, Which::Before).ok().or(Some(*whole)),
            Err(LoadError::Io(_) | LoadError::Format(_)) => None,
        };
        quarantine(dir, what);
        (self.lost, self.written) = (true, false);
        let mut waiting = std::mem::take(&mut self.unsaved);
        // Some of it may be lost: everything has to be looked at again.
        if let Some(Some(sealed)) = waiting.get_mut(STATE)
            && let Ok(state) = record::unseal(STATE, sealed).and_then(record::State::from_bytes)
        {
            *sealed = record::seal(STATE, &state.without_floor().to_bytes());
        }
        self.healing = true;
        if let Some(whole) = whole {
            self.restore(&whole);
        }
        self.unsaved.extend(waiting);
        let done = self.commit(&[]);
        self.healing = false;
        done
    }

    /// Writes what could be saved out of a damaged store into the new one.
    pub(super) fn restore(&mut self, saved: &Loaded) {
        let mut writes: Vec<Write<'_>> = saved.previous.iter().map(Write::Latest).collect();
        let sets: Vec<&Slug> = saved.latest.iter().map(|k| &k.message.set).collect();
        writes.retain(|w| matches!(w, Write::Latest(k) if sets.contains(&&k.message.set)));
        if !writes.is_empty() && self.commit(&writes).is_err() {
            return;
        }
        let mut writes: Vec<Write<'_>> = saved.latest.iter().map(Write::Latest).collect();
        writes.extend(saved.identity.iter().map(Write::Identity));
        // Without its floor: what was lost has to be fetched again.
        let state = saved.state.as_ref().map(|s| s.without_floor());
        writes.extend(state.iter().map(Write::State));
        if self.commit(&writes).is_ok() {
            let waiting = saved.pending.iter().map(Write::Pending);
            let writes: Vec<Write<'_>> = waiting.chain(saved.fitting.iter().map(Write::Fitting)).collect();
            let _ = if writes.is_empty() { Ok(()) } else { self.commit(&writes) };
        }
    }
}

/// Renames a damaged store away, or removes it where even that fails.
pub(super) fn quarantine(dir: &Path, what: &str) {
    let aside = dir.join(format!("damaged-{}", clock::now()));
    let moved = fs::rename(store_dir(dir), &aside).or_else(|_| fs::remove_dir_all(store_dir(dir)));
    let made = fs::create_dir_all(store_dir(dir)).and_then(|()| restrict(dir));
    tracing::error!(
        cache.dir = %dir.display(), cache.quarantine = %aside.display(), damage = what,
        moved = moved.is_ok(), made = made.is_ok(), "the cache was damaged and is set aside"
    );
    let mut old: Vec<PathBuf> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("damaged-"))
        .map(|entry| entry.path())
        .collect();
    old.sort();
    for path in old.iter().rev().skip(QUARANTINE_KEPT) {
        let _ = fs::remove_dir_all(path);
    }
}
