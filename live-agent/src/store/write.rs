//! Writes one commit: the only place where LMDB is let near its file.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use heed::types::{Bytes as Raw, Str};
use heed::{CommitOrAbort, EnvFlags, EnvOpenOptions};
use schemas::Slug;

use super::pages::{PagesError, Snapshot, Which};
use super::{LATEST, PREVIOUS, data_file, record, store_dir};

/// Address space, not memory: it is taken only while a commit is written.
const MAP_SIZE: usize = 1 << 30;
const MAP_SIZE_MAX: usize = 1 << 36;

#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
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

/// Checks the file, then commits `records`, moving the latest of `demoted` to previous. Where something was `written`
/// there is a file.
pub(super) fn write(
    dir: &Path,
    records: &BTreeMap<String, Option<Vec<u8>>>,
    demoted: &[Slug],
    written: bool,
) -> Result<(), WriteError> {
    let checked = Snapshot::open(&data_file(dir), Which::Newest).and_then(|snapshot| match snapshot {
        Some(snapshot) => snapshot.check().map(|_| true),
        None => Ok(false),
    });
    match checked {
        Ok(there) if there || !written => {}
        Ok(_) => return Err(WriteError::Damaged("the data file is gone or empty".into())),
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
