//! ACCEPTING or FROZEN: decided here, stored here. The broker's pause is only a shadow of it.
//!
//! A FROZEN agent verifies and keeps what comes, and serves what it served. It stays so over every
//! restart, until somebody sets it to ACCEPTING; then it takes up what it kept.

use schemas::status::Mode;

use crate::agent::{Core, Outcome};
use crate::store::record::Kept;
use crate::store::{Store, StoreError, Write};

impl Core {
    /// Sets the mode, on disk first. Thawing takes up what was kept back.
    ///
    /// # Errors
    /// The disk did not take it: the mode holds until the process ends.
    pub(crate) fn set_mode(&self, mode: Mode) -> Result<(), StoreError> {
        let mut store = self.store();
        let frozen = mode == Mode::Frozen;
        // FROZEN is marked before and unmarked after: in between, an agent comes up frozen.
        let marked = if frozen { store.mark_frozen(true) } else { Ok(()) };
        self.state().mode = mode;
        let saved = store.commit(&[Write::State(&self.saved(None))]);
        store.sync();
        let marked = if frozen { marked } else { store.mark_frozen(false) };
        tracing::info!(agent.mode = mode.as_str(), "the mode is set");
        if !frozen {
            self.thaw(&mut store);
        }
        self.state().cache = store.describe();
        self.tell.notify_one();
        if !store.writes() && !self.memory_only() {
            return Err(StoreError::Disk(store.describe()));
        }
        saved.and(marked)
    }

    fn thaw(&self, store: &mut Store) {
        let waiting: Vec<Kept> = {
            let mut state = self.state();
            state.sets.values_mut().filter_map(|one| one.held.take()).map(|(_, kept)| kept).collect()
        };
        for kept in waiting {
            if self.take_turn(store, Ok(kept.message.clone()), None) == Outcome::Refused {
                let _ = store.commit(&[Write::DropPending(&kept.message.set)]);
            }
            self.acknowledge.notify_one();
        }
        store.sync();
    }
}
