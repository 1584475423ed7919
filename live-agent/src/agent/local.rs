//! Local overrides: looked at, laid over what is published, and told of.

use std::sync::PoisonError;
use std::time::Duration;

use super::{Change, Core};

/// How often the folder is looked at.
pub(crate) const LOOK: Duration = Duration::from_millis(300);

impl Core {
    /// Takes up what changed in the folder of overrides. Each set in which something did is told of as a
    /// change from what is published to the same.
    ///
    /// Blocks on the disk: call it where blocking is allowed.
    pub(crate) fn look_at_overrides(&self) {
        let Some(folder) = &self.folder else { return };
        let found = folder.lock().unwrap_or_else(PoisonError::into_inner).look();
        let Some(found) = found else { return };
        let changed = self.cache.lay_over(found);
        let table = self.cache.load();
        let names = table.overrides();
        tracing::info!(overrides = names.len(), overrides.changed = changed.len(), "local overrides");
        for set in changed {
            let served = table.sets().iter().find(|one| one.set == set);
            if let Some(to) = served.map(|one| one.applied.clone()) {
                // Nobody listening is fine.
                let _ = self.changes.send(Change { set, serial: to.serial, from: Some(to.clone()), to });
            }
        }
        self.tell.notify_one();
    }
}
