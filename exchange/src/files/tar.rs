//! Tar archives, plain and gzipped: what `tar` and the tools of repositories write (ustar, GNU, pax). Only files and
//! folders; whatever else stands in one refuses the whole of it.

use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use tar::{Archive, Entry, EntryType};

use super::sack::{Sack, bomb, bound, no_file};
use super::{FILE_MAX, FILES_MAX, Files, too_large};
use crate::found::{Refusal, Result};

/// Everything stands in blocks of so many bytes.
const BLOCK: usize = 512;

/// Whether these are the bytes of a tar archive.
pub(super) fn is_tar(bytes: &[u8]) -> bool {
    bytes.get(257..262) == Some(b"ustar")
}

/// Whether these are gzipped bytes.
pub(super) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

fn damaged(why: impl std::fmt::Display) -> Refusal {
    Refusal::new("damaged", format!("the tar archive cannot be read: {why}"))
}

/// Reads a gzipped tar archive.
pub(super) fn untar_gzip(bytes: &[u8]) -> Result<Files> {
    // A header and a padded block for each entry come on top of what is in the files.
    let most = bound(bytes.len()) + (FILES_MAX * 2 * BLOCK) as u64;
    let mut unpacked = Vec::new();
    let mut reader = MultiGzDecoder::new(bytes).take(most + 1);
    reader.read_to_end(&mut unpacked).map_err(|e| damaged(format!("its compression is damaged: {e}")))?;
    if unpacked.len() as u64 > most {
        return Err(bomb());
    }
    if !is_tar(&unpacked) {
        let detail = "a gzipped file is read where it holds a tar archive; send other files as they are";
        return Err(Refusal::new("wrong_type", detail));
    }
    read(&unpacked, bound(bytes.len()))
}

/// Reads a tar archive.
pub(super) fn untar(bytes: &[u8]) -> Result<Files> {
    read(bytes, bound(bytes.len()))
}

fn read(bytes: &[u8], bound: u64) -> Result<Files> {
    let (mut sack, mut end) = (Sack::new(bound), 0);
    let mut archive = Archive::new(bytes);
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        end = entry.raw_file_position() + entry.size().next_multiple_of(BLOCK as u64);
        with_no_holes(&mut entry)?;
        let kind = entry.header().entry_type();
        // What is said of all files are times and comments.
        if kind == EntryType::XGlobalHeader {
            continue;
        }
        let name = name(&entry)?;
        if !matches!(kind, EntryType::Regular | EntryType::Continuous | EntryType::Directory) {
            return Err(no_file(&name));
        }
        // The folder that was packed itself.
        if matches!(name.as_str(), "." | "./") && kind == EntryType::Directory {
            continue;
        }
        let path = sack.path(&name)?;
        if kind != EntryType::Directory && !name.ends_with('/') {
            sack.put(path, content(&mut entry)?)?;
        }
    }
    // A block of zeros ends an archive; one that was cut off between two files has none.
    let zeros = usize::try_from(end).ok().and_then(|end| bytes.get(end..end + BLOCK));
    if !zeros.is_some_and(|block| block.iter().all(|byte| *byte == 0)) {
        return Err(damaged("its end is missing"));
    }
    sack.files()
}

/// Refuses a file of which only parts are there, and what pax says of it where that cannot be read.
fn with_no_holes(entry: &mut Entry<'_, &[u8]>) -> Result<()> {
    for record in entry.pax_extensions().map_err(damaged)?.into_iter().flatten() {
        let record = record.map_err(damaged)?;
        let is_size = record.key_bytes() == b"size";
        if record.key_bytes().starts_with(b"GNU.sparse") {
            return Err(Refusal::new("wrong_type", "a file of the archive has holes; pack it as it is"));
        }
        if is_size && !record.value().is_ok_and(|value| value.parse::<u64>().is_ok()) {
            return Err(damaged("the size of a file is no number"));
        }
    }
    Ok(())
}

fn name(entry: &Entry<'_, &[u8]>) -> Result<String> {
    let name = String::from_utf8(entry.path_bytes().into_owned());
    name.map_err(|_| Refusal::new("bad_path", "the name of a file in the archive is not UTF-8"))
}

fn content(entry: &mut Entry<'_, &[u8]>) -> Result<Vec<u8>> {
    let size = entry.size();
    if size > FILE_MAX {
        return Err(too_large(format!("a file of the archive has more than {FILE_MAX} bytes")));
    }
    let mut content = Vec::new();
    entry.read_to_end(&mut content).map_err(damaged)?;
    if content.len() as u64 == size { Ok(content) } else { Err(damaged("a file is cut off")) }
}
