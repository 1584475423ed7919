//! A reader takes the place of the writer that has ended, with what it took up itself meanwhile.
//!
//! What the other one promised holds: in a cache that is FROZEN nothing becomes the latest of its set, and what waits
//! there goes on waiting. What came here since waits beside it.

use std::collections::BTreeMap;

use schemas::Scope;
use schemas::status::Mode;

use super::record::{self, Kept};
use super::{FITTING, LATEST, Loaded, PENDING, Place, Store, check_scope, lock, mode};

/// Records by their keys; none removes.
type Records = BTreeMap<String, Option<Vec<u8>>>;

impl Store {
    /// Takes the place of the writer where that has ended, and gives what it left. What this agent took up
    /// meanwhile and the other one did not waits for the next commit.
    pub(crate) fn take_over(&mut self, scope: &Scope) -> Option<Loaded> {
        let Place::Reader { dir } = &self.place else { return None };
        let dir = dir.clone();
        let lock = lock(&dir).ok().flatten()?;
        let mut writer = Self { place: Place::Writer { dir: dir.clone(), _lock: lock }, ..Self::memory() };
        // Whoever wrote there for another scope, or is newer than this program, keeps it.
        let loaded = writer.load_as_writer(&dir).ok()?;
        check_scope(&loaded, scope).ok()?;
        writer.unsaved.extend(inherit(std::mem::take(&mut self.unsaved), &loaded));
        *self = writer;
        Some(loaded)
    }
}

/// What of `mine` goes to a disk on which `left` is.
fn inherit(mine: Records, left: &Loaded) -> Records {
    let frozen = mode(left) == Some(Mode::Frozen);
    let serial = |of: &[Kept], set: &str| {
        of.iter().filter(|kept| kept.message.set.as_str() == set).map(|kept| kept.message.serial).max()
    };
    let mut out = Records::new();
    for (key, sealed) in &mine {
        let (Some(sealed), Some((kind, set))) = (sealed, key.split_once('/')) else { continue };
        let Ok(content) = record::unseal(key, sealed) else { continue };
        let Ok(kept) = Kept::from_bytes(content) else { continue };
        let (latest, pending) = (serial(&left.latest, set), serial(&left.pending, set));
        let ours = Some(kept.message.serial);
        // The keys grow with the alphabet: what is the latest here has its say before what waits.
        match format!("{kind}/").as_str() {
            LATEST if ours > latest && !frozen => {
                out.insert(key.clone(), Some(sealed.clone()));
                if ours >= pending {
                    out.insert(format!("{PENDING}{set}"), None);
                    out.insert(format!("{FITTING}{set}"), None);
                }
            }
            LATEST if ours > latest && ours > pending => {
                let waits = format!("{PENDING}{set}");
                let sealed = record::seal(&waits, content);
                out.insert(waits, Some(sealed));
            }
            PENDING if ours > latest.max(pending) => {
                out.insert(key.clone(), Some(sealed.clone()));
            }
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::record::State;
    use super::super::tests::{kept, scope};
    use super::*;

    fn records(of: &[(&str, Option<&Kept>)]) -> Records {
        let one = |(kind, kept): &(&str, Option<&Kept>)| {
            let key = format!("{kind}{}", kept.map_or("chat", |kept| kept.message.set.as_str()));
            let sealed = kept.map(|kept| record::seal(&key, &kept.to_bytes()));
            (key, sealed)
        };
        of.iter().map(one).collect()
    }

    fn left(mode: Mode, latest: u64, pending: Option<u64>) -> Loaded {
        Loaded {
            state: Some(State::new(scope(), mode, 9, None)),
            latest: vec![kept("chat", latest, 10)],
            pending: pending.map(|serial| kept("chat", serial, 10)).into_iter().collect(),
            ..Loaded::default()
        }
    }

    #[test]
    fn what_is_newer_here_is_taken_over_and_nothing_becomes_the_latest_of_a_frozen_cache() {
        let (five, six) = (kept("chat", 5, 10), kept("chat", 6, 10));
        let mine = || records(&[(LATEST, Some(&five)), (PENDING, None)]);
        let gone = |records: &Records| {
            [PENDING, FITTING].iter().all(|kind| records.get(&format!("{kind}chat")) == Some(&None))
        };
        let taken = inherit(mine(), &left(Mode::Accepting, 4, None));
        assert!(taken.contains_key("latest/chat") && gone(&taken));
        // FROZEN at 4, and 5 waits there already.
        assert_eq!(inherit(mine(), &left(Mode::Frozen, 4, Some(5))), Records::new());
        let taken = inherit(mine(), &left(Mode::Frozen, 4, None));
        assert_eq!(taken, records(&[(PENDING, Some(&five))]), "it waits there too");
        // What waits there behind a pin, and is newer, goes on waiting.
        let taken = inherit(mine(), &left(Mode::Accepting, 4, Some(7)));
        assert_eq!(taken.keys().collect::<Vec<_>>(), ["latest/chat"]);
        assert_eq!(inherit(mine(), &left(Mode::Accepting, 5, Some(7))), Records::new());
        let waits = records(&[(LATEST, Some(&five)), (PENDING, Some(&six))]);
        assert_eq!(inherit(waits.clone(), &left(Mode::Accepting, 4, None)), {
            let mut all = waits.clone();
            all.insert("fitting/chat".into(), None);
            all
        });
        assert_eq!(inherit(waits, &left(Mode::Frozen, 4, Some(5))), records(&[(PENDING, Some(&six))]));
    }

    #[test]
    fn a_marker_alone_is_frozen_too() {
        let five = kept("chat", 5, 10);
        let left = Loaded { frozen_marker: true, ..left(Mode::Accepting, 4, Some(5)) };
        assert_eq!(inherit(records(&[(LATEST, Some(&five))]), &left), Records::new());
    }
}
