//! A cache that is lost under a running agent, damaged, cut off or removed, is written again out of memory: with
//! nobody to ask, the next start has what this one has.

use bytes::Bytes;
use schemas::Slug;
use schemas::status::Mode;

use super::Core;
use crate::store::record::Kept;
use crate::store::{Store, StoreError, Write};

impl Core {
    /// As [`Store::commit`]. Where the store turns out to be lost, everything that is here goes to disk again.
    pub(crate) fn commit(&self, store: &mut Store, writes: &[Write<'_>]) -> Result<(), StoreError> {
        let done = store.commit(writes);
        if store.take_lost() { self.write_again(store, writes) } else { done }
    }

    /// What of a bundle that is taken up is remembered for that: its bytes, and not what they were cut out of.
    pub(super) fn remembered(&self, kept: &Kept) -> Option<Kept> {
        if self.memory_only() {
            return None;
        }
        let mut kept = kept.clone();
        kept.message.wire = Bytes::copy_from_slice(&kept.message.wire);
        Some(kept)
    }

    /// Writes all but what `written` says, which is newer and on disk.
    fn write_again(&self, store: &mut Store, written: &[Write<'_>]) -> Result<(), StoreError> {
        struct Of {
            set: Slug,
            active: Option<Kept>,
            held: Option<Kept>,
            fitting: Option<Kept>,
        }
        let (all, identity, frozen, pins): (Vec<Of>, _, _, _) = {
            let state = self.state();
            let of = state.sets.iter().map(|(set, one)| Of {
                set: set.clone(),
                active: one.kept.clone(),
                held: one.held.as_ref().map(|(_, kept)| kept.clone()),
                fitting: one.fitting.as_ref().map(|(_, kept)| kept.clone()),
            });
            let frozen = (state.mode == Mode::Frozen).then(|| state.orders.known.clone());
            (of.collect(), state.heir_of.clone(), frozen, state.pins.clone())
        };
        let latest = |set: &Slug| {
            written.iter().any(|w| matches!(w, Write::Latest(k) | Write::Back(k) if k.message.set == *set))
        };
        let waits = |set: &Slug| {
            written.iter().any(|w| match w {
                Write::Latest(kept) | Write::Pending(kept) => kept.message.set == *set,
                Write::DropPending(of) => *of == set,
                _ => false,
            })
        };
        let fits = |set: &Slug| {
            written.iter().any(|w| match w {
                Write::Latest(kept) | Write::Fitting(kept) => kept.message.set == *set,
                Write::DropFitting(of) => *of == set,
                _ => false,
            })
        };
        let mut writes = vec![Write::Identity(identity.as_ref().unwrap_or(&self.identity))];
        for one in &all {
            writes.extend(one.active.iter().filter(|_| !latest(&one.set)).map(Write::Again));
            writes.extend(one.held.iter().filter(|_| !waits(&one.set)).map(Write::Pending));
            writes.extend(one.fitting.iter().filter(|_| !fits(&one.set)).map(Write::Fitting));
        }
        let now = self.saved(None);
        let state = written.iter().rev().find_map(|w| match w {
            Write::State(state) => Some(*state),
            _ => None,
        });
        writes.push(Write::State(state.unwrap_or(&now)));
        let done = store.commit(&writes);
        let beside = store.mark_frozen(frozen.as_ref()).and(store.keep_pins(&pins));
        tracing::warn!(
            cache.sets = all.len(),
            saved = done.is_ok(),
            "the cache was lost and is written again"
        );
        done.and(beside)
    }
}
