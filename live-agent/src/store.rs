//! The disk cache: the exact signed bytes of each set, so that an agent starts and serves with
//! everything else down.
//!
//! ```text
//! <cache dir>/
//!   writer.lock       held by the one agent that writes; others read
//!   frozen            present while the agent is FROZEN, beside the record in the database: who set
//!                     it so, and how far FORGE's orders were dealt with
//!   pins              the pins that were set at the agent, beside the record in the database
//!   store/data.mdb    LMDB: state, identity, latest/<set>, previous/<set>, pending/<set>,
//!                     fitting/<set>
//!   damaged-<time>/   what was found damaged, set aside
//! ```
//!
//! LMDB maps the file only while one commit is written, and only after [`pages`] has checked it.
//! All reading goes through [`pages`]. A commit is made without waiting for the disk; [`Store::sync`]
//! follows at once, and no commit is made before the last one is on disk. After a loss of power in
//! between, the state before is whole and is what is loaded.
//!
//! A store that cannot be written is no reason to stop: the agent goes on from memory, says so in
//! its status, and what was not saved is tried again with the next commit. One that is lost under a running agent,
//! damaged, cut off or removed, is found out by the next commit, and the agent writes all that it has again.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use nkeys::KeyPair;
use schemas::status::Mode;
use schemas::{Micros, Scope, Slug};

use crate::config::Pins;

pub(crate) mod baked;
mod beside;
mod heal;
pub(crate) mod pages;
pub(crate) mod record;
mod takeover;
#[cfg(test)]
mod tests;
mod write;

use pages::{PagesError, Snapshot, Which};
use record::{Kept, Orders, RecordError, State};
use write::{WriteError, write};

const STATE: &str = "state";
const IDENTITY: &str = "identity";
const LATEST: &str = "latest/";
const PREVIOUS: &str = "previous/";
const PENDING: &str = "pending/";
const FITTING: &str = "fitting/";
/// How often a reader tries again that met a writer.
const READ_ATTEMPTS: usize = 20;
/// What is found damaged so many times more, and the same each time, is damaged.
const SAME_DAMAGE: usize = 3;

/// Why the store could not be opened or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    #[error("the cache belongs to {found}, not to {expected}: choose another cache_dir")]
    OtherScope { expected: Scope, found: Scope },
    #[error("the cache was written by a newer version (format {0}): update this program")]
    Format(u32),
    #[error("the disk does not take it: {0}")]
    Disk(String),
}

/// Everything that was found on disk and is whole.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) state: Option<State>,
    pub(crate) identity: Option<KeyPair>,
    pub(crate) latest: Vec<Kept>,
    pub(crate) previous: Vec<Kept>,
    pub(crate) pending: Vec<Kept>,
    pub(crate) fitting: Vec<Kept>,
    /// What was damaged, for the log and the status.
    pub(crate) damage: Option<String>,
    pub(crate) frozen_marker: bool,
    /// What the marker says beside being there.
    pub(crate) frozen_orders: Option<Orders>,
    /// The pins as they stand beside the database.
    pub(crate) pins_file: Option<Pins>,
}

/// Where an agent keeps what it was given.
pub(crate) struct Store {
    place: Place,
    /// Records that are not on disk: none removes. Empty where all is well.
    unsaved: BTreeMap<String, Option<Vec<u8>>>,
    trouble: Option<String>,
    unsynced: bool,
    /// Something of this agent is in the file.
    written: bool,
    /// A damaged store is being replaced.
    healing: bool,
    /// One was, and nobody asked for it yet.
    lost: bool,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What is unsaved may be the identity's seed.
        let unsaved: Vec<&String> = self.unsaved.keys().collect();
        f.debug_struct("Store").field("place", &self.place).field("unsaved", &unsaved).finish_non_exhaustive()
    }
}

#[derive(Debug)]
enum Place {
    Memory,
    /// Another process writes here; this one read from it at its start, and writes when that one ends.
    Reader {
        dir: PathBuf,
    },
    Writer {
        dir: PathBuf,
        _lock: Lock,
    },
}

/// One change of the store; a list of them is committed whole or not at all.
#[derive(Debug)]
pub(crate) enum Write<'a> {
    State(&'a State),
    Identity(&'a KeyPair),
    /// Becomes the latest of its set; what was latest becomes previous; nothing is pending.
    Latest(&'a Kept),
    /// The same, and what is pending stays so.
    Back(&'a Kept),
    Pending(&'a Kept),
    DropPending(&'a Slug),
    /// Waits for the thaw alone, while what is pending waits for its pin too.
    Fitting(&'a Kept),
    DropFitting(&'a Slug),
    /// Is the latest of its set, as it was before the store was lost; nothing else changes.
    Again(&'a Kept),
}

impl Store {
    /// A store that keeps nothing.
    pub(crate) fn memory() -> Self {
        Self {
            place: Place::Memory,
            unsaved: BTreeMap::new(),
            trouble: None,
            unsynced: false,
            written: false,
            healing: false,
            lost: false,
        }
    }

    /// Opens the store in `dir` and reads what is whole. Damage is set aside; a folder that cannot
    /// be written gives a store in memory that says why.
    ///
    /// # Errors
    /// The cache belongs to another scope, or was written by a newer version.
    pub(crate) fn open(dir: &Path, scope: &Scope) -> Result<(Self, Loaded), StoreError> {
        match lock(dir) {
            Ok(Some(lock)) => {
                let place = Place::Writer { dir: dir.into(), _lock: lock };
                let mut store = Self { place, ..Self::memory() };
                let loaded = store.load_as_writer(dir)?;
                check_scope(&loaded, scope)?;
                Ok((store, loaded))
            }
            Ok(None) => {
                let loaded = read(dir)?;
                check_scope(&loaded, scope)?;
                Ok((Self { place: Place::Reader { dir: dir.into() }, ..Self::memory() }, loaded))
            }
            Err(error) => {
                let loaded = read(dir)?;
                check_scope(&loaded, scope)?;
                let trouble = Some(format!("{} cannot be written: {error}", dir.display()));
                Ok((Self { trouble, ..Self::memory() }, loaded))
            }
        }
    }

    /// As a status says it: `disk`, or `memory` and why.
    pub(crate) fn describe(&self) -> String {
        match (&self.place, &self.trouble) {
            (Place::Writer { .. }, None) => "disk".into(),
            (_, Some(trouble)) => format!("memory: {trouble}"),
            (Place::Reader { .. }, None) => "memory: another agent writes this cache; read from it".into(),
            (Place::Memory, None) => "memory".into(),
        }
    }

    pub(crate) fn writes(&self) -> bool {
        matches!(self.place, Place::Writer { .. })
    }

    /// Whether another process writes here, or did so until lately.
    pub(crate) fn reads_along(&self) -> bool {
        matches!(self.place, Place::Reader { .. })
    }

    /// Whether something waits to be saved, or the disk did not do what it should.
    pub(crate) fn behind(&self) -> bool {
        self.writes() && (!self.unsaved.is_empty() || self.trouble.is_some())
    }

    /// Whether the store was lost since this was asked last: what is on disk now is what was whole of the old one, and
    /// what was written since.
    pub(crate) fn take_lost(&mut self) -> bool {
        std::mem::take(&mut self.lost)
    }

    /// Commits `writes` as one. What cannot be saved is kept and goes with the next commit.
    ///
    /// # Errors
    /// The disk did not take it; [`Store::describe`] says so from now on.
    pub(crate) fn commit(&mut self, writes: &[Write<'_>]) -> Result<(), StoreError> {
        let dir = match &self.place {
            Place::Memory => return Ok(()),
            Place::Reader { .. } => {
                // Kept for the day on which the writer ends. The identity there is the writer's.
                let own = |one: &Write<'_>| !matches!(one, Write::Identity(_) | Write::State(_));
                self.gather(writes.iter().filter(|one| own(one)));
                return Ok(());
            }
            Place::Writer { dir, .. } => dir.clone(),
        };
        self.sync();
        let demoted = self.gather(writes.iter());
        match write(&dir, &self.unsaved, &demoted, self.written) {
            Ok(()) => {
                self.unsaved.clear();
                (self.unsynced, self.written) = (true, true);
                if self.trouble.take().is_some() {
                    tracing::info!(cache.dir = %dir.display(), "the disk takes the cache again");
                }
                Ok(())
            }
            Err(WriteError::Damaged(what)) if !self.healing => self.heal(&dir, &what),
            Err(error) => self.fail(error.to_string()),
        }
    }

    fn fail(&mut self, why: String) -> Result<(), StoreError> {
        tracing::warn!(error = %why, "the disk does not take the cache; going on from memory");
        self.trouble = Some(why.clone());
        Err(StoreError::Disk(why))
    }

    /// Puts `writes` among what is unsaved; gives the sets whose latest becomes previous.
    fn gather<'w>(&mut self, writes: impl Iterator<Item = &'w Write<'w>> + Clone) -> Vec<Slug> {
        let mut demoted = Vec::new();
        let mut put = |key: String, content: Vec<u8>| {
            let sealed = record::seal(&key, &content);
            self.unsaved.insert(key, Some(sealed));
        };
        for one in writes.clone() {
            match one {
                Write::State(state) => put(STATE.into(), state.to_bytes()),
                Write::Identity(key) => {
                    if let Ok(seed) = key.seed() {
                        put(IDENTITY.into(), seed.into_bytes());
                    }
                }
                Write::Latest(kept) | Write::Back(kept) => {
                    put(format!("{LATEST}{}", kept.message.set), kept.to_bytes());
                    demoted.push(kept.message.set.clone());
                }
                Write::Again(kept) => put(format!("{LATEST}{}", kept.message.set), kept.to_bytes()),
                Write::Pending(kept) => put(format!("{PENDING}{}", kept.message.set), kept.to_bytes()),
                Write::Fitting(kept) => put(format!("{FITTING}{}", kept.message.set), kept.to_bytes()),
                Write::DropPending(_) | Write::DropFitting(_) => {}
            }
        }
        for one in writes {
            let (gone, set): (&[&str], &Slug) = match one {
                Write::Latest(kept) => (&[PENDING, FITTING], &kept.message.set),
                Write::DropPending(set) => (&[PENDING], *set),
                Write::DropFitting(set) => (&[FITTING], *set),
                _ => continue,
            };
            self.unsaved.extend(gone.iter().map(|kind| (format!("{kind}{set}"), None)));
        }
        demoted
    }

    /// Waits until the last commit is on the disk itself.
    pub(crate) fn sync(&mut self) {
        let Place::Writer { dir, .. } = &self.place else { return };
        if std::mem::take(&mut self.unsynced) {
            let done = File::open(data_file(dir)).and_then(|file| file.sync_data());
            if let Err(error) = done {
                self.trouble = Some(error.to_string());
            }
        }
    }

    /// The latest and the previous of a set, as far as they can be had.
    pub(crate) fn kept(&self, set: &Slug) -> Vec<Kept> {
        let Place::Writer { dir, .. } = &self.place else { return Vec::new() };
        let loaded = match load(dir, Which::Newest) {
            Ok(loaded) => loaded,
            Err(LoadError::Damaged { whole, .. }) => *whole,
            Err(LoadError::Io(_) | LoadError::Format(_)) => Loaded::default(),
        };
        let mut kept: Vec<Kept> = loaded.latest.into_iter().chain(loaded.previous).collect();
        // What the disk did not take yet is newer than what is on it.
        let key = format!("{LATEST}{set}");
        if let Some(Some(sealed)) = self.unsaved.get(&key)
            && let Ok(one) = record::unseal(&key, sealed).and_then(Kept::from_bytes)
        {
            kept.push(one);
        }
        kept.retain(|one| one.message.set == *set);
        kept.sort_by_key(|one| std::cmp::Reverse(one.message.serial));
        kept.dedup_by_key(|one| one.message.serial);
        kept
    }

    fn load_as_writer(&mut self, dir: &Path) -> Result<Loaded, StoreError> {
        let (mut loaded, damage) = match load(dir, Which::Newest) {
            Ok(loaded) => (loaded, None),
            Err(LoadError::Format(found)) => return Err(StoreError::Format(found)),
            Err(LoadError::Io(why)) => {
                self.trouble = Some(why);
                (Loaded::default(), None)
            }
            Err(LoadError::Damaged { what, whole }) => {
                let before = load(dir, Which::Before).ok();
                (before.unwrap_or(*whole), Some(what))
            }
        };
        loaded.beside(dir);
        if let Some(what) = damage {
            heal::quarantine(dir, &what);
            self.restore(&loaded);
            loaded.damage = Some(what);
        } else {
            self.written = loaded.state.is_some();
        }
        Ok(loaded)
    }
}

/// Reads a store that another process may be writing.
///
/// # Errors
/// It was written by a newer version.
pub(crate) fn read(dir: &Path) -> Result<Loaded, StoreError> {
    let (mut last, mut same) = (None, 0);
    for _ in 0..READ_ATTEMPTS {
        match load(dir, Which::Newest) {
            Ok(mut loaded) => {
                loaded.beside(dir);
                return Ok(loaded);
            }
            Err(LoadError::Format(found)) => return Err(StoreError::Format(found)),
            Err(error) => {
                // A writer's doing looks different the next time; damage does not.
                same = if error.is_like(last.as_ref()) { same + 1 } else { 0 };
                last = Some(error);
                if same == SAME_DAMAGE {
                    break;
                }
            }
        }
    }
    let mut loaded = match last {
        Some(LoadError::Damaged { what, whole }) => {
            Loaded { damage: Some(what), ..load(dir, Which::Before).unwrap_or(*whole) }
        }
        Some(LoadError::Io(why)) => Loaded { damage: Some(why), ..Loaded::default() },
        _ => Loaded::default(),
    };
    loaded.beside(dir);
    Ok(loaded)
}

/// As [`read`], for one scope.
///
/// # Errors
/// It belongs to another scope, or was written by a newer version.
pub(crate) fn look(dir: &Path, scope: &Scope) -> Result<Loaded, StoreError> {
    let loaded = read(dir)?;
    check_scope(&loaded, scope)?;
    Ok(loaded)
}

fn check_scope(loaded: &Loaded, scope: &Scope) -> Result<(), StoreError> {
    match &loaded.state {
        Some(state) if state.scope != *scope => {
            Err(StoreError::OtherScope { expected: scope.clone(), found: state.scope.clone() })
        }
        _ => Ok(()),
    }
}

/// The writer's lock. It is given back by name: a program that this process is just starting has every file of it until
/// it runs, and a lock that is only closed would be held for as long.
#[derive(Debug)]
struct Lock {
    file: File,
    /// The process that took it.
    holder: u32,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A fork of the host has a copy of this, and nothing to give back.
        if self.holder == std::process::id() {
            // What cannot be unlocked goes with the file.
            let _ = self.file.unlock();
        }
    }
}

/// Takes the writer's lock; none where another process has it.
fn lock(dir: &Path) -> io::Result<Option<Lock>> {
    fs::create_dir_all(store_dir(dir))?;
    restrict(dir)?;
    let file = File::options().create(true).truncate(false).write(true).open(dir.join("writer.lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock { file, holder: std::process::id() })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Only its owner may look into the cache: it holds the agent's identity.
fn restrict(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(store_dir(dir), fs::Permissions::from_mode(0o700))
}

fn store_dir(dir: &Path) -> PathBuf {
    dir.join("store")
}

fn data_file(dir: &Path) -> PathBuf {
    store_dir(dir).join("data.mdb")
}

enum LoadError {
    Io(String),
    Format(u32),
    /// With whatever of it is whole.
    Damaged {
        what: String,
        whole: Box<Loaded>,
    },
}

impl LoadError {
    fn is_like(&self, other: Option<&Self>) -> bool {
        match (self, other) {
            (Self::Damaged { what, .. }, Some(Self::Damaged { what: other, .. })) => what == other,
            _ => false,
        }
    }
}

impl From<PagesError> for LoadError {
    fn from(error: PagesError) -> Self {
        match error {
            PagesError::Io(source) if source.kind() != io::ErrorKind::UnexpectedEof => {
                Self::Io(source.to_string())
            }
            other => Self::Damaged { what: other.to_string(), whole: Box::default() },
        }
    }
}

fn load(dir: &Path, which: Which) -> Result<Loaded, LoadError> {
    let Some(snapshot) = Snapshot::open(&data_file(dir), which)? else { return Ok(Loaded::default()) };
    let mut loaded = Loaded::default();
    let mut damage = None;
    for slot in snapshot.check()? {
        let bytes = snapshot.read(&slot)?;
        match take(&mut loaded, &slot.key, &bytes) {
            Ok(()) => {}
            Err(RecordError::Format(found)) => return Err(LoadError::Format(found)),
            Err(RecordError::Damaged) => {
                damage = Some(format!("record {} is damaged", String::from_utf8_lossy(&slot.key)));
            }
        }
    }
    if which == Which::Newest && !snapshot.still_newest() {
        return Err(PagesError::Changed.into());
    }
    match damage {
        None => Ok(loaded),
        Some(what) => Err(LoadError::Damaged { what, whole: Box::new(loaded) }),
    }
}

fn take(loaded: &mut Loaded, key: &[u8], bytes: &[u8]) -> Result<(), RecordError> {
    let key = std::str::from_utf8(key).map_err(|_| RecordError::Damaged)?;
    let content = record::unseal(key, bytes)?;
    if key == STATE {
        loaded.state = Some(State::from_bytes(content)?);
    } else if key == IDENTITY {
        let seed = std::str::from_utf8(content).map_err(|_| RecordError::Damaged)?;
        loaded.identity = Some(KeyPair::from_seed(seed).map_err(|_| RecordError::Damaged)?);
    } else if key.starts_with(LATEST) {
        loaded.latest.push(Kept::from_bytes(content)?);
    } else if key.starts_with(PREVIOUS) {
        loaded.previous.push(Kept::from_bytes(content)?);
    } else if key.starts_with(PENDING) {
        loaded.pending.push(Kept::from_bytes(content)?);
    } else if key.starts_with(FITTING) {
        loaded.fitting.push(Kept::from_bytes(content)?);
    }
    Ok(())
}

/// How old a cache is: the time of the last contact that it knows of.
pub(crate) fn contact(loaded: &Loaded) -> Option<Micros> {
    loaded.state.as_ref().and_then(|s| s.contact)
}

/// The mode that was stored, if any was.
pub(crate) fn mode(loaded: &Loaded) -> Option<Mode> {
    if loaded.frozen_marker { Some(Mode::Frozen) } else { loaded.state.as_ref().map(|s| s.mode) }
}

/// Who set it, and how far FORGE's orders were dealt with. The marker is written before the database.
pub(crate) fn orders(loaded: &Loaded) -> Orders {
    let saved = loaded.state.as_ref().map(|s| s.orders.clone());
    loaded.frozen_orders.clone().or(saved).unwrap_or_default()
}

/// The pins that were set at the agent. What stands beside a damaged database is newer than what is left
/// of that.
pub(crate) fn pins(loaded: &Loaded) -> Pins {
    match &loaded.state {
        Some(state) if loaded.damage.is_none() => state.pins.clone(),
        _ => loaded.pins_file.clone().unwrap_or_default(),
    }
}
