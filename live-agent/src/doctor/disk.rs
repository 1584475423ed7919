//! Whether the cache can be kept: its folder, room on the disk, what is in it, and who writes it.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::sys::statvfs::statvfs;
use schemas::connect::Connection;

use super::{Check, Examination, chain};
use crate::live::LocalStatus;
use crate::store;

/// Less than this is soon nothing, in bytes.
const LITTLE: u64 = 64 * 1024 * 1024;

pub(super) fn examine(
    dir: &Path,
    connection: Option<&Connection>,
    agent: &Result<Option<LocalStatus>, String>,
    all: &mut Examination<'_>,
) {
    all.note(folder(dir));
    all.note(match connection {
        None => Check::skipped("cache", "there is no connect file"),
        Some(connection) => content(dir, connection, agent),
    });
}

/// The folder, or the nearest above it that there is.
fn folder(dir: &Path) -> Check {
    const NAME: &str = "disk";
    let advice = "name a folder with --cache-dir that this user may write, or say --memory-only: the agent then \
                  works from memory, and starts empty";
    let there = dir.ancestors().find(|one| one.exists()).unwrap_or(dir);
    let probe = there.join(format!(".live-doctor-{}", std::process::id()));
    let written = std::fs::write(&probe, "probe");
    let _ = std::fs::remove_file(&probe);
    if let Err(error) = written {
        return Check::failed(NAME, format!("{} cannot be written: {error}", there.display()), advice);
    }
    let free = statvfs(there).map(|found| found.blocks_available().saturating_mul(found.fragment_size()));
    let made = if there == dir { "can be written" } else { "is made at the first start" };
    match free {
        Ok(free) if free < LITTLE => {
            let found = format!("{} has {} MB left", there.display(), free / 1_000_000);
            Check::warning(NAME, found, "make room: the agent goes on from memory when there is none")
        }
        Ok(free) => Check::ok(NAME, format!("{} {made}, {} MB left", dir.display(), free / 1_000_000)),
        Err(_) => Check::ok(NAME, format!("{} {made}", dir.display())),
    }
}

fn content(dir: &Path, connection: &Connection, agent: &Result<Option<LocalStatus>, String>) -> Check {
    const NAME: &str = "cache";
    let loaded = match store::look(dir, &connection.scope) {
        Ok(loaded) => loaded,
        Err(error) => {
            return Check::failed(
                NAME,
                chain(error),
                "name another folder with --cache-dir, or update this program",
            );
        }
    };
    if let Some(damage) = loaded.damage {
        let advice = "the next start sets it aside, keeps what is whole, and fetches the rest; see the disk";
        return Check::warning(NAME, format!("damaged: {damage}"), advice);
    }
    let writer = match (writer(&dir.join("writer.lock")), agent) {
        (Some(pid), _) => format!("process {pid} writes it"),
        (None, Ok(Some(_))) => "a running agent has it".into(),
        (None, _) => "nobody writes it now".into(),
    };
    let sets = loaded.latest.len();
    Check::ok(NAME, format!("{sets} set{}, whole; {writer}", if sets == 1 { "" } else { "s" }))
}

/// The process that holds the writer's lock, where the system tells. The lock itself is not tried: an agent
/// that starts just then would find it taken.
fn writer(lock: &Path) -> Option<u32> {
    let inode = std::fs::metadata(lock).ok()?.ino().to_string();
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip_while(|word| *word != "FLOCK").skip(3);
        let pid = words.next()?;
        let file = words.next()?;
        (file.rsplit(':').next() == Some(inode.as_str())).then(|| pid.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_that_holds_a_lock_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("writer.lock");
        let file = std::fs::File::create(&path).unwrap();
        if Path::new("/proc/locks").exists() {
            assert_eq!(writer(&path), None);
            file.try_lock().unwrap();
            assert_eq!(writer(&path), Some(std::process::id()));
        }
    }
}
