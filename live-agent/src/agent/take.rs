//! How a bundle is taken up, as one: verify all, compile all, one commit, one swap, then tell.

use schemas::status::{Mode, RefusalCode};

use super::{About, Change, Core, Outcome, active_set, held};
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
        let outcome = self.take_turn(&mut store, read, floor);
        if let Some(floor) = floor {
            self.state().floor = floor;
        }
        self.state().cache = store.describe();
        match outcome {
            Outcome::Active => {
                self.tell.notify_one();
                self.acknowledge.notify_one();
            }
            Outcome::Held | Outcome::Refused => self.tell.notify_one(),
            Outcome::Same | Outcome::Passed => {}
        }
        // After the swap and the status: readers and FORGE need not wait for the disk.
        store.sync();
        outcome
    }

    pub(crate) fn take_turn(&self, store: &mut Store, read: Read, floor: Option<u64>) -> Outcome {
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
            Standing::Older if self.passed(&message) => return Outcome::Passed,
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
        if self.state().mode == Mode::Frozen {
            self.hold(store, &checked, kept, floor);
            return Outcome::Held;
        }
        self.activate(store, checked, &kept, floor);
        Outcome::Active
    }

    pub(super) fn activate(&self, store: &mut Store, checked: Checked, kept: &Kept, floor: Option<u64>) {
        let saved = self.saved(floor);
        // A disk that does not take it is no reason not to serve: the status says so.
        let _ = store.commit(&[Write::Latest(kept), Write::State(&saved)]);
        let set = kept.message.set.clone();
        let held = held(&checked, kept);
        let to = held.applied.clone();
        self.cache.put(vec![active_set(&set, checked, &held)]);
        let from = {
            let mut state = self.state();
            let one = state.sets.entry(set.clone()).or_default();
            one.held = None;
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

    pub(super) fn hold(&self, store: &mut Store, checked: &Checked, kept: Kept, floor: Option<u64>) {
        let saved = self.saved(floor);
        let _ = store.commit(&[Write::Pending(&kept), Write::State(&saved)]);
        let held = held(checked, &kept);
        tracing::info!(
            prompt_set = %kept.message.set, bundle.serial = kept.message.serial,
            "a bundle is verified and waits: the agent is FROZEN"
        );
        let mut state = self.state();
        let one = state.sets.entry(kept.message.set.clone()).or_default();
        one.refused = None;
        one.behind_since = None;
        one.taken.raise(held.applied.serial, &held.key, &held.root);
        one.held = Some((held, kept));
    }
}
