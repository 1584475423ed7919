//! What an agent serves at its start, of what is on disk and baked in.

use std::collections::BTreeMap;

use schemas::Slug;
use schemas::status::Mode;

use super::{About, Core, Held, active_set, held};
use crate::store::record::Kept;
use crate::store::{Loaded, Write};
use crate::verify::{self, Checked, Standing, Taken};

/// Where a version was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Latest,
    Previous,
    Baked,
}

/// What makes one version better than another; the first that differs decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// The contracts of the host's code.
    kept_contracts: bool,
    fits_pin: bool,
    keys_count: bool,
    serial: u64,
}

/// The best that was found of a set so far.
struct Found {
    place: Place,
    kept: Kept,
    checked: Checked,
    held: Held,
    rank: Rank,
    /// Whether it takes the place of the latest on disk.
    instead: bool,
}

impl Core {
    /// Serves what is on disk, verified anew; of a set whose latest does not hold, the one before. What
    /// bears a revoked key comes last, whatever its serial, and after that what breaks the contracts of the
    /// host's code. A FROZEN agent goes on with its latest. Of a pinned set nothing but what fits takes the
    /// place of the latest, and that goes on where nothing does.
    pub(super) fn bring_up(&self, loaded: Loaded) {
        let in_place = |place| move |kept| (place, kept);
        let baked = self.config.baked.iter().cloned().map(in_place(Place::Baked));
        let kept = loaded.latest.into_iter().map(in_place(Place::Latest));
        let kept = kept.chain(loaded.previous.into_iter().map(in_place(Place::Previous)));
        let all: Vec<(Place, Kept)> = kept.chain(baked).collect();
        for (_, kept) in &all {
            self.learn(kept.message.trust.as_deref());
        }
        let (best, mut waiting) = self.best_of(all);
        self.serve_first(best);
        waiting.extend(loaded.pending);
        for kept in waiting {
            if self.standing(&kept.message) != Standing::Older {
                let _ = self.take(Ok(kept.message), None);
            }
        }
        for kept in loaded.fitting {
            self.wait_fitting(kept);
        }
        self.seek(false);
    }

    /// What waited for the thaw alone goes on waiting behind what is newer, or is taken up.
    fn wait_fitting(&self, kept: Kept) {
        if self.state().mode == Mode::Accepting {
            let _ = self.take(Ok(kept.message), None);
            return;
        }
        match self.check(&kept.message, Taken::Kept, kept.activated_at) {
            Ok(checked) => {
                let fitting = held(&checked, &kept);
                let mut state = self.state();
                let one = state.sets.entry(kept.message.set.clone()).or_default();
                let serial = |held: Option<&Held>| held.map(|held| held.applied.serial);
                let between = serial(one.active.as_ref()) < Some(fitting.applied.serial)
                    && serial(one.newest()) > Some(fitting.applied.serial);
                one.fitting = between.then_some((fitting, kept));
            }
            Err(refusal) => self.note_refusal(About::of(&kept.message), refusal),
        }
    }

    /// The best of each set, and what waits behind a pin.
    fn best_of(&self, all: Vec<(Place, Kept)>) -> (BTreeMap<Slug, Found>, Vec<Kept>) {
        let frozen = self.state().mode == Mode::Frozen;
        let mut best: BTreeMap<Slug, Found> = BTreeMap::new();
        let mut waiting = Vec::new();
        for (place, kept) in all {
            let set = kept.message.set.clone();
            let had = best.get(&set).map(|found| found.rank);
            if frozen && had.is_some_and(|had| had.kept_contracts) {
                continue;
            }
            let fits = self.fits(&set, &kept.message.version);
            if !fits && place != Place::Latest {
                // An image's; what is previous was newest once, and waits on disk if it still is.
                waiting.extend((place == Place::Baked).then_some(kept));
                continue;
            }
            // Nothing is better than one that holds, but one that holds and is newer.
            let (serial, kept_contracts, keys_count) = (kept.message.serial, true, true);
            if had.is_some_and(|had| had >= Rank { kept_contracts, fits_pin: fits, keys_count, serial }) {
                continue;
            }
            let taken = if place == Place::Baked { Taken::Baked } else { Taken::Kept };
            match verify::check(&self.trust, &kept.message, taken, kept.activated_at) {
                Ok(checked) => {
                    let held = held(&checked, &kept);
                    let breaks = self.breaks(&checked);
                    let rank = Rank {
                        kept_contracts: breaks.is_none(),
                        fits_pin: fits,
                        keys_count: !self.is_void(&held),
                        serial: held.applied.serial,
                    };
                    // Of several, the newest is told of.
                    let newest = had.is_none_or(|had| rank.serial > had.serial);
                    if let Some(refusal) = breaks.filter(|_| newest) {
                        self.note_refusal(About::of(&kept.message), refusal);
                    }
                    if had.is_none_or(|had| rank > had) {
                        let less = best.remove(&set);
                        // A pin is set, or gone. Before one that does not hold, the older is only for now.
                        let moved = less
                            .as_ref()
                            .is_some_and(|less| !less.rank.fits_pin || less.rank.serial < rank.serial);
                        let instead = place == Place::Baked || moved;
                        best.insert(set, Found { place, kept, checked, held, rank, instead });
                        // What is newer and does not fit waits from now on.
                        waiting.extend(less.filter(|less| !less.rank.fits_pin).map(|less| less.kept));
                    }
                }
                Err(refusal) => self.note_refusal(About::of(&kept.message), refusal),
            }
        }
        (best, waiting)
    }

    fn serve_first(&self, best: BTreeMap<Slug, Found>) {
        let mut serve = Vec::with_capacity(best.len());
        let mut brought = Vec::new();
        for (set, found) in best {
            let mut state = self.state();
            let one = state.sets.entry(set.clone()).or_default();
            one.taken.raise(found.held.applied.serial, &found.held.key, &found.held.root);
            serve.push(active_set(&set, found.checked, &found.held));
            one.active = Some(found.held);
            one.kept = self.remembered(&found.kept);
            // An older image must not take back what this one brought; nor the next start what a pin moved.
            if found.instead {
                one.search = found.place == Place::Previous;
                brought.push(found.kept);
            }
        }
        self.cache.put(serve);
        if !brought.is_empty() {
            let writes: Vec<Write<'_>> = brought.iter().map(Write::Latest).collect();
            let _ = self.commit(&mut self.store(), &writes);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::agent::{Access, Core, Floors};
    use crate::config::Builder;
    use crate::config::tests::good;
    use crate::store::record::{SavedFloors, State};
    use crate::store::{Store, Write};

    #[test]
    fn where_a_set_is_known_and_nothing_of_it_is_here_everything_is_asked_for_again() {
        let dir = tempfile::tempdir().unwrap();
        let (connection, creds) = good();
        let floor = |known: Option<&str>| {
            let scope = connection.scope.clone();
            let mut saved = State::new(scope.clone(), Default::default(), 9, None);
            if let Some(set) = known {
                let mut taken = Floors::default();
                taken.raise(3, "key", "root");
                saved.floors.insert(set.parse().unwrap(), SavedFloors { taken, ..SavedFloors::default() });
            }
            let (mut store, _) = Store::open(dir.path(), &scope).unwrap();
            store.commit(&[Write::State(&saved)]).unwrap();
            drop(store);
            let builder = Builder::default().connection(connection.clone()).credentials(creds.clone());
            let core = Core::open(builder.cache_dir(dir.path()).build().unwrap(), Access::Agent).unwrap();
            core.state().floor
        };
        assert_eq!((floor(None), floor(Some("chat"))), (9, 0));
    }
}
