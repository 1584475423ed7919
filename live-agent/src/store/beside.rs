//! What stands beside the database, each in a file of its own: the promises that outlive its loss.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::record::Orders;
use super::{Loaded, Place, Store, StoreError};
use crate::config::Pins;

const FROZEN: &str = "frozen";
const PINS: &str = "pins";

impl Loaded {
    /// Adds what stands beside the database.
    pub(super) fn beside(&mut self, dir: &Path) {
        self.frozen_marker = dir.join(FROZEN).exists();
        self.frozen_orders = read_json(&dir.join(FROZEN));
        self.pins_file = read_json(&dir.join(PINS));
    }
}

impl Store {
    /// Writes or removes the marker that a frozen agent stays frozen, whatever befalls the database.
    ///
    /// # Errors
    /// The disk did not take it.
    pub(crate) fn mark_frozen(&mut self, frozen: Option<&Orders>) -> Result<(), StoreError> {
        self.put_beside(FROZEN, frozen)
    }

    /// Keeps the pins beside the database too: a promise outlives its loss.
    ///
    /// # Errors
    /// The disk did not take it.
    pub(crate) fn keep_pins(&mut self, pins: &Pins) -> Result<(), StoreError> {
        self.put_beside(PINS, Some(pins).filter(|pins| !pins.is_empty()))
    }

    fn put_beside<T: serde::Serialize>(&self, name: &str, content: Option<&T>) -> Result<(), StoreError> {
        let Place::Writer { dir, .. } = &self.place else { return Ok(()) };
        let path = dir.join(name);
        let done = match content {
            Some(content) => replace(&path, &serde_json::to_vec(content).unwrap_or_default()),
            None => match fs::remove_file(&path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
                _ => Ok(()),
            },
        };
        done.map_err(|e| StoreError::Disk(e.to_string()))
    }
}

/// Puts a file in the place of another one, whole or not at all.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}
