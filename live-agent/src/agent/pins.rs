//! Pins: which versions of a set this agent takes up.
//!
//! A pin is a promise about what is taken up, not about what is served: of the versions that fit, the one with the
//! highest serial is served; what does not fit is verified and waits, on disk too. Where nothing fits yet, what was
//! served goes on being served, and an agent that never had anything of the set serves nothing of it. Pinned to what
//! came before the newest, the agent goes back to it: by its owner's explicit will, and never below a check of
//! [`verify`]. How far the set came is not forgotten, so that nothing but the newest follows when the pin goes.

use schemas::status::{Mode, PendingState, RefusalCode};
use schemas::{Slug, Version};
use semver::VersionReq;

use super::{About, Core, Held, Outcome, SetState, State, held};
use crate::clock;
use crate::config::Pins;
use crate::store::record::Kept;
use crate::store::{Store, StoreError, Write};
use crate::verify::{self, Checked, Message, Taken};

/// Whether a version is among those of a pin. `*` takes all; by the rules of semantic versions, all others take a
/// pre-release only where they name one of the same version.
pub(crate) fn fits(versions: &VersionReq, version: &Version) -> bool {
    versions.comparators.is_empty() || versions.matches(version)
}

impl State {
    /// The pin of a set: one that was set at the agent counts before one of the configuration.
    pub(crate) fn pin<'p>(&'p self, configured: &'p Pins, set: &Slug) -> Option<&'p VersionReq> {
        self.pins.get(set).or_else(|| configured.get(set))
    }

    /// What the thaw would take up of a set although something newer waits, which does not fit its pin.
    pub(crate) fn fitting<'s>(
        &self,
        configured: &Pins,
        set: &Slug,
        one: &'s SetState,
    ) -> Option<&'s (Held, Kept)> {
        let versions = self.pin(configured, set)?;
        let fits = |held: &Held| fits(versions, &held.applied.version);
        let newest = one.held.as_ref().is_some_and(|(held, _)| fits(held));
        one.fitting.as_ref().filter(|(held, _)| !newest && fits(held))
    }

    /// Whether something waits of a set of which nothing is served, in ACCEPTING: only a pin keeps it back.
    pub(crate) fn is_pinned_out(&self) -> bool {
        let kept_back = |one: &SetState| one.active.is_none() && one.held.is_some();
        self.mode == Mode::Accepting && self.sets.values().any(kept_back)
    }
}

impl Core {
    /// The pins that hold.
    pub(crate) fn pins(&self) -> Pins {
        let mut pins = self.config.pins.clone();
        pins.extend(self.state().pins.clone());
        pins
    }

    /// Whether a version of a set may be taken up.
    pub(crate) fn fits(&self, set: &Slug, version: &Version) -> bool {
        self.state().pin(&self.config.pins, set).is_none_or(|versions| fits(versions, version))
    }

    /// Whether everything is held back: the agent is FROZEN, or only looks.
    pub(crate) fn holds(&self, state: &State) -> bool {
        self.config.looks || state.mode == Mode::Frozen
    }

    /// Why a version that is verified would wait; none: it is taken up. `once` does not mind FROZEN.
    pub(crate) fn waits(&self, set: &Slug, version: &Version, once: bool) -> Option<PendingState> {
        if !self.fits(set, version) {
            return Some(PendingState::Pinned);
        }
        (!once && self.holds(&self.state())).then_some(PendingState::Verified)
    }

    /// Pins a set, or with none ends what was pinned at the agent; on disk first. Blocks.
    ///
    /// # Errors
    /// The disk did not take it: it holds until the process ends.
    pub(crate) fn set_pin(&self, set: &Slug, versions: Option<VersionReq>) -> Result<(), StoreError> {
        let mut store = self.store();
        let pins = {
            let mut state = self.state();
            match &versions {
                Some(versions) => state.pins.insert(set.clone(), versions.clone()),
                None => state.pins.remove(set),
            };
            state.sets.entry(set.clone()).or_default();
            state.pins.clone()
        };
        let beside = store.keep_pins(&pins);
        let saved = self.commit(&mut store, &[Write::State(&self.saved(None))]);
        store.sync();
        let versions = versions.as_ref().map(ToString::to_string);
        tracing::info!(prompt_set = %set, pin = versions, "the pin is set");
        self.settle_pin(&mut store, set);
        store.sync();
        self.state().cache = store.describe();
        self.tell.notify_one();
        if !store.writes() && !self.memory_only() {
            return Err(StoreError::Disk(store.describe()));
        }
        saved.and(beside)
    }

    /// Takes up what the pin of a set asks for, as far as it is here. The rest is looked for in the stream.
    fn settle_pin(&self, store: &mut Store, set: &Slug) {
        let holds = self.holds(&self.state());
        if !holds {
            self.take_up_waiting(store, false);
            if self.misses(set) {
                for kept in store.kept(set) {
                    if self.take_past(store, kept.message, false) == Outcome::Active {
                        break;
                    }
                }
            }
        }
        let mut state = self.state();
        let pinned = state.pin(&self.config.pins, set).is_some();
        let Some(one) = state.sets.get_mut(set) else { return };
        one.search = pinned;
        // The newest may not wait here: an agent without a disk does not keep what it served.
        let came = one.heads.serial().max(one.taken.serial());
        one.wanted |= !pinned && came > one.newest().map(|newest| newest.applied.serial);
    }

    /// Whether what waits of a set fits its pin.
    pub(crate) fn held_fits(&self, set: &Slug) -> bool {
        let state = self.state();
        let held = state.sets.get(set).and_then(|one| one.held.as_ref());
        let versions = state.pin(&self.config.pins, set);
        held.is_none_or(|(held, _)| versions.is_none_or(|v| fits(v, &held.applied.version)))
    }

    /// Whether nothing is served that fits the pin of a set.
    fn misses(&self, set: &Slug) -> bool {
        let state = self.state();
        let Some(versions) = state.pin(&self.config.pins, set) else { return false };
        let active = state.sets.get(set).and_then(|one| one.active.as_ref());
        !active.is_some_and(|active| fits(versions, &active.applied.version))
    }

    /// Marks the pinned sets of which something that fits may stand in the stream before the newest: those of which
    /// nothing that fits is served; where messages were passed over, those whose newest does not fit.
    pub(crate) fn seek(&self, passed_over: bool) {
        let pins = self.pins();
        let mut state = self.state();
        for (set, versions) in &pins {
            let one = state.sets.entry(set.clone()).or_default();
            let looked_at = if passed_over { one.newest() } else { one.active.as_ref() };
            one.search |= !looked_at.is_some_and(|held| fits(versions, &held.applied.version));
        }
    }

    /// The sets to look through the stream for. In FROZEN none, but `once`.
    pub(crate) fn sought(&self, once: bool) -> Vec<Slug> {
        let state = self.state();
        let sets = state.sets.iter().filter(|(_, one)| one.search);
        sets.filter(|_| once || !self.holds(&state)).map(|(set, _)| set.clone()).collect()
    }

    /// What to look for of a set; none: what is served is the newest and fits.
    pub(crate) fn sought_of(&self, set: &Slug, once: bool) -> Option<VersionReq> {
        let state = self.state();
        if self.holds(&state) && !once {
            return None;
        }
        let versions = state.pin(&self.config.pins, set)?;
        let one = state.sets.get(set)?;
        let came = one.heads.serial().max(one.taken.serial());
        let newest = one.newest().filter(|newest| Some(newest.applied.serial) >= came);
        // What waits and fits is taken up without a search.
        let found = newest.is_some_and(|newest| fits(versions, &newest.applied.version));
        (!found).then(|| versions.clone())
    }

    /// The stream was looked through for a set.
    pub(crate) fn searched(&self, set: &Slug) {
        if let Some(one) = self.state().sets.get_mut(set) {
            one.search = false;
        }
        if self.misses(set) {
            tracing::warn!(prompt_set = %set, "no version that fits the pin can be had yet");
        }
    }

    /// Takes a message up that stands before the newest, if that is the newest which fits the pin of its set.
    pub(crate) fn take_past(&self, store: &mut Store, message: Message, once: bool) -> Outcome {
        if !self.wanted_in_past(&message, once) {
            return Outcome::Passed;
        }
        self.learn(message.trust.as_deref());
        let checked = match verify::check(&self.trust, &message, Taken::Wire, clock::now()) {
            Ok(checked) => checked,
            Err(refusal) => {
                self.note_refusal(About::of(&message), refusal);
                return Outcome::Refused;
            }
        };
        let newest = self.state().sets.get(&message.set).and_then(SetState::newest).cloned();
        match newest.map(|newest| (newest.applied.serial, newest.applied.digest)) {
            Some((serial, digest)) if serial == message.serial && digest != message.digest => {
                let what = format!("serial {serial} was seen before with other content");
                self.note_refusal(About::of(&message), verify::refusal(RefusalCode::SerialConflict, what));
                Outcome::Refused
            }
            Some((serial, _)) if serial > message.serial => {
                self.bring_back(store, checked, Kept { message, activated_at: clock::now() });
                Outcome::Active
            }
            _ => {
                let kept = Kept { message, activated_at: clock::now() };
                self.activate(store, checked, &kept, None);
                Outcome::Active
            }
        }
    }

    fn wanted_in_past(&self, message: &Message, once: bool) -> bool {
        let state = self.state();
        let Some(versions) = state.pin(&self.config.pins, &message.set) else { return false };
        if !fits(versions, &message.version) || (self.holds(&state) && !once) {
            return false;
        }
        let Some(one) = state.sets.get(&message.set) else { return true };
        let held = one.held.as_ref().map(|(held, _)| held);
        let have = [held, one.active.as_ref()].into_iter().flatten();
        let mut better = have.filter(|have| !self.is_void(have) && fits(versions, &have.applied.version));
        !better.any(|have| have.applied.serial >= message.serial)
    }

    /// Serves what came before the newest. What is newest waits.
    fn bring_back(&self, store: &mut Store, checked: Checked, kept: Kept) {
        let set = &kept.message.set;
        let (former, waiting, fitting) = {
            let state = self.state();
            let one = state.sets.get(set);
            let former = one.and_then(|one| one.active.clone().zip(one.kept.clone()));
            let fitting = one.and_then(|one| one.fitting.as_ref()).map(|(held, _)| held.applied.serial);
            (former, one.and_then(|one| one.held.clone()), fitting)
        };
        let waiting = waiting.or(former);
        let saved = self.saved(None);
        let mut writes = vec![Write::Back(&kept), Write::State(&saved)];
        writes.extend(waiting.iter().map(|(_, kept)| Write::Pending(kept)));
        if fitting <= Some(kept.message.serial) {
            writes.push(Write::DropFitting(set));
        }
        let _ = self.commit(store, &writes);
        drop(writes);
        let new = held(&checked, &kept);
        self.swap(checked, &kept, new, waiting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_takes_what_semantic_versions_say_and_a_star_takes_all() {
        let fits = |pin: &str, version: &str| fits(&pin.parse().unwrap(), &version.parse().unwrap());
        for (pin, version) in [
            ("^2", "2.1.0"),
            ("=2.1.0-gpt4", "2.1.0-gpt4"),
            ("=2.1.0", "2.1.0+build.7"),
            ("~1.2", "1.2.9"),
            ("*", "1.0.0"),
            ("*", "3.0.0-rc.1"),
            (">=1.4, <2", "1.9.0"),
        ] {
            assert!(fits(pin, version), "{pin} {version}");
        }
        for (pin, version) in [
            ("^2", "2.1.0-gpt4"),
            ("^2", "3.0.0"),
            ("=2.1.0-gpt4", "2.1.0"),
            ("=2.1.0-gpt4", "2.1.0-gpt5"),
            ("~1.2", "1.3.0"),
        ] {
            assert!(!fits(pin, version), "{pin} {version}");
        }
    }
}
