//! The disk cache: the exact signed bytes of each set, so that an agent starts and serves with
//! everything else down.
//!
//! ```text
//! <cache dir>/
//!   writer.lock       held by the one agent that writes; others read
//!   frozen            present while the agent is FROZEN, beside the record in the database: who set
//!                     it so, and how far FORGE's orders were dealt with
//!   pins              the pins that were set at the agent, beside the record in the database
//!   store/data.mdb    LMDB: state, identity, latest/<set>, previous/<set>, pending/<set>
//!   damaged-<time>/   what was found damaged, set aside
//! ```
//!
//! LMDB maps the file only while one commit is written, and only after [`pages`] has checked it.
//! All reading goes through [`pages`]. A commit is made without waiting for the disk; [`Store::sync`]
//! follows at once, and no commit is made before the last one is on disk. After a loss of power in
//! between, the state before is whole and is what is loaded.
//!
//! A store that cannot be written is no reason to stop: the agent goes on from memory, says so in
//! its status, and what was not saved is tried again with the next commit.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use heed::types::{Bytes as Raw, Str};
use heed::{CommitOrAbort, EnvFlags, EnvOpenOptions};
use nkeys::KeyPair;
use schemas::status::Mode;
use schemas::{Micros, Scope, Slug};

use crate::clock;
use crate::config::Pins;

pub(crate) mod baked;
pub(crate) mod pages;
pub(crate) mod record;
#[cfg(test)]
mod tests;

use pages::{PagesError, Snapshot, Which};
use record::{Kept, Orders, RecordError, State};

const STATE: &str = "state";
const IDENTITY: &str = "identity";
const LATEST: &str = "latest/";
const PREVIOUS: &str = "previous/";
const PENDING: &str = "pending/";
const FROZEN: &str = "frozen";
const PINS: &str = "pins";
/// Address space, not memory: it is taken only while a commit is written.
const MAP_SIZE: usize = 1 << 30;
const MAP_SIZE_MAX: usize = 1 << 36;
/// How many damaged stores are kept for a person to look at.
const QUARANTINE_KEPT: usize = 3;
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
    /// What was damaged, for the log and the status.
    pub(crate) damage: Option<String>,
    pub(crate) frozen_marker: bool,
    /// What the marker says beside being there.
    pub(crate) frozen_orders: Option<Orders>,
    /// The pins as they stand beside the database.
    pub(crate) pins_file: Option<Pins>,
}

impl Loaded {
    /// Adds what stands beside the database.
    fn beside(&mut self, dir: &Path) {
        self.frozen_marker = dir.join(FROZEN).exists();
        self.frozen_orders = read_json(&dir.join(FROZEN));
        self.pins_file = read_json(&dir.join(PINS));
    }
}

/// Where an agent keeps what it was given.
pub(crate) struct Store {
    place: Place,
    /// Records that are not on disk: none removes. Empty where all is well.
    unsaved: BTreeMap<String, Option<Vec<u8>>>,
    trouble: Option<String>,
    unsynced: bool,
    /// A damaged store is being replaced.
    healing: bool,
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
        _lock: File,
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
}

impl Store {
    /// A store that keeps nothing.
    pub(crate) fn memory() -> Self {
        Self {
            place: Place::Memory,
            unsaved: BTreeMap::new(),
            trouble: None,
            unsynced: false,
            healing: false,
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

    /// Whether something waits to be saved.
    pub(crate) fn behind(&self) -> bool {
        !self.unsaved.is_empty() && self.writes()
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
        match write(&dir, &self.unsaved, &demoted) {
            Ok(()) => {
                self.unsaved.clear();
                self.unsynced = true;
                if self.trouble.take().is_some() {
                    tracing::info!(cache.dir = %dir.display(), "the disk takes the cache again");
                }
                Ok(())
            }
            Err(WriteError::Damaged(what)) if !self.healing => self.heal(&dir, &what),
            Err(error) => self.fail(error.to_string()),
        }
    }

    /// Sets a store aside that was found damaged while writing, and begins anew with what of it is whole and
    /// with what was to be written.
    fn heal(&mut self, dir: &Path, what: &str) -> Result<(), StoreError> {
        let whole = match load(dir, Which::Newest) {
            Ok(loaded) => Some(loaded),
            Err(LoadError::Damaged { whole, .. }) => load(dir, Which::Before).ok().or(Some(*whole)),
            Err(LoadError::Io(_) | LoadError::Format(_)) => None,
        };
        quarantine(dir, what);
        let mut waiting = std::mem::take(&mut self.unsaved);
        // Some of it may be lost: everything has to be looked at again.
        if let Some(Some(sealed)) = waiting.get_mut(STATE)
            && let Ok(state) = record::unseal(STATE, sealed).and_then(record::State::from_bytes)
        {
            *sealed = record::seal(STATE, &state.without_floor().to_bytes());
        }
        self.healing = true;
        if let Some(whole) = whole {
            self.restore(&whole);
        }
        self.unsaved.extend(waiting);
        let done = self.commit(&[]);
        self.healing = false;
        done
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
                Write::Pending(kept) => put(format!("{PENDING}{}", kept.message.set), kept.to_bytes()),
                Write::DropPending(_) => {}
            }
        }
        for one in writes {
            let set = match one {
                Write::Latest(kept) => &kept.message.set,
                Write::DropPending(set) => *set,
                _ => continue,
            };
            self.unsaved.insert(format!("{PENDING}{set}"), None);
        }
        demoted
    }

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
        let mine = std::mem::take(&mut self.unsaved);
        let newer = |key: &str, sealed: &[u8]| {
            let Some(set) = key.strip_prefix(LATEST) else { return true };
            let ours = record::unseal(key, sealed).and_then(Kept::from_bytes);
            let theirs = loaded.latest.iter().find(|kept| kept.message.set.as_str() == set);
            ours.is_ok_and(|ours| theirs.is_none_or(|theirs| theirs.message.serial < ours.message.serial))
        };
        writer.unsaved.extend(
            mine.into_iter().filter(|(key, value)| value.as_ref().is_none_or(|sealed| newer(key, sealed))),
        );
        *self = writer;
        Some(loaded)
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
            quarantine(dir, &what);
            self.restore(&loaded);
            loaded.damage = Some(what);
        }
        Ok(loaded)
    }

    /// Writes what could be saved out of a damaged store into the new one.
    fn restore(&mut self, saved: &Loaded) {
        let mut writes: Vec<Write<'_>> = saved.previous.iter().map(Write::Latest).collect();
        let sets: Vec<&Slug> = saved.latest.iter().map(|k| &k.message.set).collect();
        writes.retain(|w| matches!(w, Write::Latest(k) if sets.contains(&&k.message.set)));
        if !writes.is_empty() && self.commit(&writes).is_err() {
            return;
        }
        let mut writes: Vec<Write<'_>> = saved.latest.iter().map(Write::Latest).collect();
        writes.extend(saved.identity.iter().map(Write::Identity));
        // Without its floor: what was lost has to be fetched again.
        let state = saved.state.as_ref().map(|s| s.without_floor());
        writes.extend(state.iter().map(Write::State));
        if self.commit(&writes).is_ok() && !saved.pending.is_empty() {
            let writes: Vec<Write<'_>> = saved.pending.iter().map(Write::Pending).collect();
            let _ = self.commit(&writes);
        }
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

/// Takes the writer's lock; none where another process has it.
fn lock(dir: &Path) -> io::Result<Option<File>> {
    fs::create_dir_all(store_dir(dir))?;
    restrict(dir)?;
    let file = File::options().create(true).truncate(false).write(true).open(dir.join("writer.lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
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
    }
    Ok(())
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

/// Renames a damaged store away, or removes it where even that fails.
fn quarantine(dir: &Path, what: &str) {
    let aside = dir.join(format!("damaged-{}", clock::now()));
    let moved = fs::rename(store_dir(dir), &aside).or_else(|_| fs::remove_dir_all(store_dir(dir)));
    let made = fs::create_dir_all(store_dir(dir)).and_then(|()| restrict(dir));
    tracing::error!(
        cache.dir = %dir.display(), cache.quarantine = %aside.display(), damage = what,
        moved = moved.is_ok(), made = made.is_ok(), "the cache was damaged and is set aside"
    );
    let mut old: Vec<PathBuf> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("damaged-"))
        .map(|entry| entry.path())
        .collect();
    old.sort();
    for path in old.iter().rev().skip(QUARANTINE_KEPT) {
        let _ = fs::remove_dir_all(path);
    }
}

#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("{0}")]
    Damaged(String),
    #[error("{0}")]
    Disk(String),
    #[error("the cache has no room left")]
    Full,
}

impl From<heed::Error> for WriteError {
    fn from(error: heed::Error) -> Self {
        match error {
            heed::Error::Mdb(heed::MdbError::MapFull) => Self::Full,
            heed::Error::Mdb(heed::MdbError::Corrupted | heed::MdbError::Invalid) => {
                Self::Damaged(error.to_string())
            }
            other => Self::Disk(other.to_string()),
        }
    }
}

/// Checks the file, then commits `records`, moving the latest of `demoted` to previous.
fn write(
    dir: &Path,
    records: &BTreeMap<String, Option<Vec<u8>>>,
    demoted: &[Slug],
) -> Result<(), WriteError> {
    let checked = Snapshot::open(&data_file(dir), Which::Newest).and_then(|snapshot| match snapshot {
        Some(snapshot) => snapshot.check().map(|_| ()),
        None => Ok(()),
    });
    match checked {
        Ok(()) => {}
        Err(PagesError::Io(source)) if source.kind() != io::ErrorKind::UnexpectedEof => {
            return Err(WriteError::Disk(source.to_string()));
        }
        Err(damage) => return Err(WriteError::Damaged(damage.to_string())),
    }
    let mut map_size = MAP_SIZE;
    loop {
        match commit(&store_dir(dir), map_size, records, demoted) {
            Err(WriteError::Full) if map_size < MAP_SIZE_MAX => map_size *= 2,
            other => return other,
        }
    }
}

fn commit(
    dir: &Path,
    map_size: usize,
    records: &BTreeMap<String, Option<Vec<u8>>>,
    demoted: &[Slug],
) -> Result<(), WriteError> {
    let mut options = EnvOpenOptions::new();
    options.map_size(map_size);
    // SAFETY: the writer's lock makes this the only process that maps the file, and `Store` is used
    // by one thread at a time, so LMDB's own lock file is not needed (NO_LOCK). Nothing else writes
    // the file, and it was checked just now, so that LMDB follows no damaged offset. NO_SYNC: see
    // the module's text; `Store::sync` follows before the next commit.
    #[allow(unsafe_code)]
    let env = unsafe {
        options.flags(EnvFlags::NO_LOCK | EnvFlags::NO_SYNC);
        options.open(dir)?
    };
    let database = env
        .create_databases_and_commit(env.write_txn()?, |opener, txn| {
            opener.create_database::<Str, Raw>(txn, None).map(CommitOrAbort::<_, ()>::Commit)
        })?
        .commit()
        .ok_or(WriteError::Full)?;
    let mut txn = env.write_txn()?;
    for set in demoted {
        let (latest, previous) = (format!("{LATEST}{set}"), format!("{PREVIOUS}{set}"));
        let old = database.get(&txn, &latest)?.map(<[u8]>::to_vec);
        let content = old.as_deref().and_then(|old| record::unseal(&latest, old).ok());
        if let Some(content) = content {
            database.put(&mut txn, &previous, &record::seal(&previous, content))?;
        }
    }
    for (key, value) in records {
        match value {
            Some(value) => database.put(&mut txn, key, value)?,
            None => {
                database.delete(&mut txn, key)?;
            }
        }
    }
    txn.commit()?;
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
