//! Several agents of one host share a cache folder: one writes it, the others read it once and bear names of
//! their own. When the writer ends, another one takes over.

use schemas::status::Mode;

use super::Core;
use crate::store::{self, Write};

impl Core {
    /// Whether another agent writes the cache of this one, as far as is known.
    pub(crate) fn reads_along(&self) -> bool {
        self.store().reads_along()
    }

    /// Writes the cache from now on, where the agent that wrote it has ended. Name and identity stay what they
    /// are; the identity on disk waits for the next that starts there. The mode on disk becomes this agent's, but
    /// a FROZEN there stays: nobody thaws what somebody froze.
    ///
    /// Blocks on the disk: call it where blocking is allowed.
    pub(crate) fn take_over(&self) {
        let mut store = self.store();
        let Some(left) = store.take_over(self.trust.scope()) else { return };
        let mut pins = store::pins(&left);
        if let Some(saved) = &left.state {
            self.learn(saved.trust.as_deref());
            let mut state = self.state();
            for (set, floors) in &saved.floors {
                let one = state.sets.entry(set.clone()).or_default();
                one.heads.join(&floors.heads);
                one.taken.join(&floors.taken);
            }
        }
        // What was pinned there stays pinned; what is pinned here counts before it.
        let orders = {
            let mut state = self.state();
            pins.extend(std::mem::take(&mut state.pins));
            state.pins.clone_from(&pins);
            (state.mode == Mode::Frozen).then(|| state.orders.known.clone())
        };
        let _ = store.keep_pins(&pins);
        if orders.is_some()
            && let Err(error) = store.mark_frozen(orders.as_ref())
        {
            tracing::warn!(error = %error, "the mode FROZEN could not be marked on disk");
        }
        let _ = store.commit(&[Write::State(&self.saved(None))]);
        store.sync();
        self.state().cache = store.describe();
        tracing::info!("the agent that wrote the cache has ended; this one writes it now");
        self.took_over.notify_one();
        self.tell.notify_one();
    }
}
