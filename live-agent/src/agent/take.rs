//! How a bundle is taken up, as one: verify all, compile all, one commit, one swap, then tell.

use schemas::Slug;
use schemas::status::{PendingState, RefusalCode};

use super::{About, Change, Core, Held, Outcome, active_set, fits, held};
use crate::clock;
use crate::store::record::Kept;
use crate::store::{Store, Write};
use crate::verify::{self, Checked, Read, Standing, Taken};

impl Core {
    /// Takes a message up, as one: verify all, compile all, one commit, one swap. `floor` is the
    /// sequence up to which everything is seen once this message is dealt with.
    ///
    /// Blocks on the disk: call it where blocking is allowed.
    pub(crate) fn take(&self, read: Read, floor: Option<u64>) -> Outcome {
        let mut store = self.store();
        self.obey_first(&mut store);
        let outcome = self.take_turn(&mut store, read, floor, false);
        if let Some(floor) = floor {
            self.state().floor = floor;
        }
        self.tell_of(&mut store, outcome);
        outcome
    }

    /// As [`Core::take`], for what stands in the stream before the newest. `once` does not mind FROZEN.
    pub(crate) fn take_found(&self, read: Read, once: bool) -> Outcome {
        let Ok(message) = read else { return Outcome::Refused };
        let mut store = self.store();
        self.obey_first(&mut store);
        let outcome = self.take_past(&mut store, message, once);
        self.tell_of(&mut store, outcome);
        outcome
    }

    fn tell_of(&self, store: &mut Store, outcome: Outcome) {
        self.state().cache = store.describe();
        match outcome {
            Outcome::Active => {
                self.state().confirm();
                self.tell.notify_one();
                self.acknowledge.notify_one();
            }
            Outcome::Held => {
                self.state().confirm();
                self.tell.notify_one();
            }
            Outcome::Refused => self.tell.notify_one(),
            Outcome::Same | Outcome::Passed => {}
        }
        // After the swap and the status: readers and FORGE need not wait for the disk.
        store.sync();
    }

    /// As [`Core::take`], by whoever has the turn. `once` does not mind FROZEN.
    pub(crate) fn take_turn(&self, store: &mut Store, read: Read, floor: Option<u64>, once: bool) -> Outcome {
        let message = match read {
            Ok(message) => message,
            Err(unreadable) => {
                let about = About {
                    set: unreadable.set,
                    serial: unreadable.serial,
                    publication: unreadable.publication,
                };
                self.note_refusal(about, unreadable.refusal);
                return Outcome::Refused;
            }
        };
        let (set, serial) = (message.set.clone(), message.serial);
        self.learn(message.trust.as_deref());
        match self.standing(&message) {
            Standing::Newer => {}
            Standing::BelowFloor(floor) => {
                let what = format!("serial {serial} is older than serial {floor}, which FORGE signed before");
                self.note_refusal(About::of(&message), verify::refusal(RefusalCode::OldSerial, what));
                return Outcome::Refused;
            }
            Standing::Same => {
                self.settle(&set, serial);
                return Outcome::Same;
            }
            // Under a pin, one before the newest may be the one that counts.
            Standing::Older if self.passed(&message) => return self.take_past(store, message, once),
            Standing::Older | Standing::Conflict => {
                // Whether it is signed or not: it is not taken up.
                let refusal = self.stale_serial(&message);
                self.note_refusal(About::of(&message), refusal);
                return Outcome::Refused;
            }
        }
        let checked = match self.check(&message, Taken::Wire, clock::now()) {
            Ok(checked) => checked,
            Err(refusal) => {
                self.note_refusal(About::of(&message), refusal);
                return Outcome::Refused;
            }
        };
        let kept = Kept { message, activated_at: clock::now() };
        if let Some(why) = self.waits(&kept.message.set, &kept.message.version, once) {
            self.hold(store, &checked, kept, floor, why);
            return Outcome::Held;
        }
        self.activate(store, checked, &kept, floor);
        Outcome::Active
    }

    pub(super) fn activate(&self, store: &mut Store, checked: Checked, kept: &Kept, floor: Option<u64>) {
        let saved = self.saved(floor);
        // A disk that does not take it is no reason not to serve: the status says so.
        let _ = self.commit(store, &[Write::Latest(kept), Write::State(&saved)]);
        let new = held(&checked, kept);
        self.swap(checked, kept, new, None);
    }

    /// Serves what is on disk already, and tells. `waits` is what is newer and waits.
    pub(super) fn swap(&self, checked: Checked, kept: &Kept, held: Held, waits: Option<(Held, Kept)>) {
        let set = kept.message.set.clone();
        let to = held.applied.clone();
        let remembered = self.remembered(kept);
        self.cache.put(vec![active_set(&set, checked, &held)]);
        let from = {
            let mut state = self.state();
            let one = state.sets.entry(set.clone()).or_default();
            one.held = waits;
            one.fitting.take_if(|(fitting, _)| fitting.applied.serial <= to.serial);
            one.kept = remembered;
            one.refused = None;
            one.tried = None;
            if one.heads.serial().is_none_or(|head| head <= to.serial) {
                one.behind_since = None;
            }
            one.taken.raise(to.serial, &held.key, &held.root);
            one.active.replace(held).map(|had| had.applied)
        };
        tracing::info!(
            prompt_set = %set, bundle.serial = to.serial, bundle.version = %to.version,
            bundle.digest = %to.digest, publication.id = %to.publication, "a bundle is active"
        );
        // Nobody listening is fine.
        let _ = self.changes.send(Change { set, serial: to.serial, from, to });
    }

    fn hold(&self, store: &mut Store, checked: &Checked, kept: Kept, floor: Option<u64>, why: PendingState) {
        let saved = self.saved(floor);
        let fitting = self.goes_on_fitting(&kept.message.set, why);
        let beside = match &fitting {
            Some((_, fitting)) => Write::Fitting(fitting),
            None => Write::DropFitting(&kept.message.set),
        };
        let _ = self.commit(store, &[Write::Pending(&kept), beside, Write::State(&saved)]);
        let held = held(checked, &kept);
        tracing::info!(
            prompt_set = %kept.message.set, bundle.serial = kept.message.serial,
            bundle.version = %kept.message.version, reason = ?why, "a bundle is verified and waits"
        );
        let mut state = self.state();
        let one = state.sets.entry(kept.message.set.clone()).or_default();
        one.refused = None;
        one.behind_since = None;
        one.taken.raise(held.applied.serial, &held.key, &held.root);
        one.held = Some((held, kept));
        one.fitting = fitting;
    }

    /// What waits of a set and fits its pin, beside something newer that waits. Where the newest fits, that counts.
    fn goes_on_fitting(&self, set: &Slug, newest: PendingState) -> Option<(Held, Kept)> {
        if newest != PendingState::Pinned {
            return None;
        }
        let state = self.state();
        let (versions, one) = (state.pin(&self.config.pins, set), state.sets.get(set)?);
        let mut waiting = [&one.held, &one.fitting].into_iter().flatten();
        let found = waiting.find(|(held, _)| versions.is_some_and(|v| fits(v, &held.applied.version)));
        found.cloned()
    }
}
