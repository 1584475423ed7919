//! The turn: whoever holds the store may change what the agent has, and may wait for a disk meanwhile.
//!
//! A volume that hangs keeps the turn for as long as it hangs. So nobody on a thread of the host's runtime waits for
//! it: what the tasks ask of the store is mirrored when a turn ends, and what has to be written is written aside, by
//! one thread at a time.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};

use super::Core;
use crate::config::CachePlace;
use crate::store::{Store, Write};

/// What the store was like when the last turn ended.
#[derive(Debug, Default)]
pub(super) struct Seen {
    writes: AtomicBool,
    reads_along: AtomicBool,
    behind: AtomicBool,
    /// Something is being written aside.
    busy: AtomicBool,
}

impl Seen {
    pub(super) fn of(store: &Store) -> Self {
        let seen = Self::default();
        seen.note(store);
        seen
    }

    fn note(&self, store: &Store) {
        self.writes.store(store.writes(), Ordering::Relaxed);
        self.reads_along.store(store.reads_along(), Ordering::Relaxed);
        self.behind.store(store.behind(), Ordering::Relaxed);
    }
}

/// The store, for as long as a turn takes.
pub(crate) struct Turn<'c> {
    store: MutexGuard<'c, Store>,
    seen: &'c Seen,
}

impl Deref for Turn<'_> {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

impl DerefMut for Turn<'_> {
    fn deref_mut(&mut self) -> &mut Store {
        &mut self.store
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.seen.note(&self.store);
    }
}

/// Says when it is dropped that nothing is written aside any more.
struct Aside(Arc<Core>);

impl Drop for Aside {
    fn drop(&mut self) {
        self.0.seen.busy.store(false, Ordering::Release);
    }
}

impl Core {
    /// Takes the turn. Blocks for as long as another one has it: call it where blocking is allowed.
    pub(crate) fn store(&self) -> Turn<'_> {
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        Turn { store, seen: &self.seen }
    }

    /// Whether this agent writes its cache.
    pub(crate) fn writes(&self) -> bool {
        self.seen.writes.load(Ordering::Relaxed)
    }

    /// Whether another agent writes the cache of this one, as far as is known.
    pub(crate) fn reads_along(&self) -> bool {
        self.seen.reads_along.load(Ordering::Relaxed)
    }

    /// Whether something waits for a disk that did not take it.
    pub(crate) fn unsaved(&self) -> bool {
        self.seen.behind.load(Ordering::Relaxed)
    }

    /// Whether taking a bundle up never waits for a disk.
    pub(crate) fn memory_only(&self) -> bool {
        self.config.cache == CachePlace::Memory
    }

    /// Does `work` where blocking is allowed. Gives whether it does: while an earlier one still waits for the disk,
    /// another thread would only wait with it.
    pub(crate) fn aside(self: &Arc<Self>, work: impl FnOnce(&Self) + Send + 'static) -> bool {
        if self.seen.busy.swap(true, Ordering::Acquire) {
            return false;
        }
        let done = Aside(Arc::clone(self));
        tokio::task::spawn_blocking(move || work(&done.0));
        true
    }

    /// Saves what a commit did not, and the time of the last contact. Blocks.
    pub(crate) fn save(&self) {
        let mut store = self.store();
        let _ = self.commit(&mut store, &[Write::State(&self.saved(None))]);
        store.sync();
        self.state().cache = store.describe();
    }

    /// Saves what is not saved and lets the cache go, so that another agent may write it. Blocks.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.save();
        *self.store() = Store::memory();
    }
}
