//! Several agents of one host share a cache folder: one writes it, the others read it once and bear names of
//! their own. When the writer ends, another one takes over.

use schemas::status::Mode;

use super::Core;
use crate::store::{self, Write};

impl Core {
    /// Writes the cache from now on, where the agent that wrote it has ended. Name and identity stay what they
    /// are; the identity on disk waits for the next that starts there. The mode on disk becomes this agent's, but
    /// a FROZEN there becomes the mode of this one: nobody thaws what somebody froze. It goes on with what it serves,
    /// and on disk nothing takes the place of what was frozen there.
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
        let before = store::orders(&left);
        let orders = {
            let mut state = self.state();
            // What was pinned there stays pinned; what is pinned here counts before it.
            pins.extend(std::mem::take(&mut state.pins));
            state.pins.clone_from(&pins);
            state.orders.known.join(&before);
            if store::mode(&left) == Some(Mode::Frozen) && state.mode != Mode::Frozen {
                tracing::warn!("the cache that is taken over is FROZEN, and so is this agent from now on");
                (state.mode, state.orders.known.by) = (Mode::Frozen, before.by);
            }
            state.heir_of = left.identity;
            (state.mode == Mode::Frozen).then(|| state.orders.known.clone())
        };
        let _ = store.keep_pins(&pins);
        if orders.is_some()
            && let Err(error) = store.mark_frozen(orders.as_ref())
        {
            tracing::warn!(error = %error, "the mode FROZEN could not be marked on disk");
        }
        let _ = self.commit(&mut store, &[Write::State(&self.saved(None))]);
        store.sync();
        self.state().cache = store.describe();
        drop(store);
        tracing::info!("the agent that wrote the cache has ended; this one writes it now");
        self.took_over.notify_one();
        self.tell.notify_one();
    }
}
