//! How far a set came: nothing below it is taken up.
//!
//! It is kept by the keys that signed. When one is revoked, what it said was never said, and what the others said
//! stands: neither does a thief's far serial lock the agent, nor does a revocation open it to what is long over.

use serde::{Deserialize, Serialize};

/// Signers that are remembered for one set; of more, those that came least far are forgotten.
const SIGNERS_MAX: usize = 32;

/// The highest serial that one pair of keys signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Floor {
    pub(crate) serial: u64,
    /// The publishing key, and the root that certified it.
    pub(crate) key: String,
    pub(crate) root: String,
}

/// The highest serial of each signer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Floors(Vec<Floor>);

impl Floors {
    /// Remembers a serial. Gives whether its signer never came so far.
    pub(crate) fn raise(&mut self, serial: u64, key: &str, root: &str) -> bool {
        if let Some(known) = self.0.iter_mut().find(|floor| floor.key == key && floor.root == root) {
            let rises = known.serial < serial;
            known.serial = known.serial.max(serial);
            return rises;
        }
        self.0.push(Floor { serial, key: key.to_owned(), root: root.to_owned() });
        self.0.sort_by_key(|floor| std::cmp::Reverse(floor.serial));
        self.0.truncate(SIGNERS_MAX);
        true
    }

    /// Remembers all that another one did.
    pub(crate) fn join(&mut self, other: &Self) {
        for floor in &other.0 {
            self.raise(floor.serial, &floor.key, &floor.root);
        }
    }

    /// Forgets what the keys signed for which `gone` holds. Gives whether there was anything.
    pub(crate) fn forget(&mut self, gone: impl Fn(&str) -> bool) -> bool {
        let before = self.0.len();
        self.0.retain(|floor| !gone(&floor.key) && !gone(&floor.root));
        self.0.len() != before
    }

    /// The highest of all.
    pub(crate) fn serial(&self) -> Option<u64> {
        self.0.iter().map(|floor| floor.serial).max()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_revoked_key_said_goes_and_what_the_others_said_stays() {
        let mut floors = Floors::default();
        assert!(floors.raise(40, "old", "root") && floors.raise(50, "stolen", "root"));
        assert!(!floors.raise(7, "old", "root"));
        assert!(floors.raise(u64::MAX, "thief's", "stolen root"));
        assert_eq!(floors.serial(), Some(u64::MAX));
        assert!(floors.forget(|key| key == "stolen root"));
        assert_eq!(floors.serial(), Some(50));
        assert!(floors.forget(|key| key == "stolen"));
        assert_eq!(floors.serial(), Some(40), "and nothing below that comes back");
        assert!(!floors.forget(|key| key == "stolen"));
    }

    #[test]
    fn a_host_of_signers_costs_nothing() {
        let mut floors = Floors::default();
        for n in 0..1000 {
            floors.raise(n, &n.to_string(), "root");
        }
        assert_eq!((floors.0.len(), floors.serial()), (SIGNERS_MAX, Some(999)));
    }
}
