//! An upload as files. Whatever is not as it should be refuses the whole of it.

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _, Write as _};

use schemas::bundle::PROMPTS_MAX;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use crate::found::{Refusal, Result};

mod sack;
mod tar;

use sack::Sack;

/// Most files of one upload: as many prompts and partials as a set has, and the two files that `forge pull` writes too.
pub const FILES_MAX: usize = 2 * PROMPTS_MAX + 2;
/// Largest upload, in bytes.
pub const UPLOAD_MAX: usize = 16 * 1024 * 1024;
/// Largest file within an archive, in bytes, unpacked.
pub const FILE_MAX: u64 = 16 * 1024 * 1024;
/// All files of an archive together, in bytes, unpacked.
pub const TOTAL_MAX: u64 = 128 * 1024 * 1024;
/// An archive that unpacks to more than so many times its size holds no prompts.
pub const RATIO_MAX: u64 = 200;
/// Deepest folder.
pub const DEPTH_MAX: usize = 16;
/// Longest path, in bytes.
pub const PATH_MAX: usize = 512;
/// Below this no ratio is looked at: a few repeated letters are no attack.
const RATIO_FROM: u64 = 1024 * 1024;

/// Files by their path, `/` between its parts.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Whether these are the bytes of a zip archive.
#[must_use]
pub fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06")
}

/// Reads an upload: the files of a zip or tar archive, or the one file that it is.
///
/// # Errors
/// Too many or too large, a path that leaves the archive, a link, two files of one name, an archive that
/// unpacks to far more than it is, or one that is damaged.
pub fn unpack(name: &str, bytes: &[u8]) -> Result<Files> {
    if bytes.is_empty() {
        return Err(Refusal::new("empty", "the file is empty"));
    }
    if bytes.len() > UPLOAD_MAX {
        return Err(too_large(format!("the file has {} bytes; at most {UPLOAD_MAX} are read", bytes.len())));
    }
    if is_zip(bytes) {
        return unzip(bytes);
    }
    if tar::is_gzip(bytes) {
        return tar::untar_gzip(bytes);
    }
    if tar::is_tar(bytes) {
        return tar::untar(bytes);
    }
    let name = name.rsplit(['/', '\\']).next().filter(|n| !n.is_empty()).unwrap_or("file");
    Ok(Files::from([(sack::path(name)?, bytes.to_vec())]))
}

fn too_large(detail: impl Into<String>) -> Refusal {
    Refusal::new("too_large", detail)
}

fn damaged(why: impl std::fmt::Display) -> Refusal {
    Refusal::new("damaged", format!("the zip archive cannot be read: {why}"))
}

/// How many entries the archive says that it has: two of one name count as two here.
fn entries(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(4).rposition(|w| w == b"PK\x05\x06")?;
    let count: [u8; 2] = bytes.get(end + 10..end + 12)?.try_into().ok()?;
    Some(usize::from(u16::from_le_bytes(count)))
}

fn unzip(bytes: &[u8]) -> Result<Files> {
    let counted = entries(bytes).ok_or_else(|| damaged("its end is missing"))?;
    if counted > FILES_MAX {
        return Err(too_large(format!("the archive has {counted} entries; at most {FILES_MAX} are read")));
    }
    let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(damaged)?;
    if zip.len() > FILES_MAX {
        return Err(too_large(format!(
            "the archive has {} entries; at most {FILES_MAX} are read",
            zip.len()
        )));
    }
    if zip.len() != counted {
        return Err(Refusal::new("duplicate", "two entries of the archive have the same name"));
    }
    let mut sack = Sack::new(sack::bound(bytes.len()));
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).map_err(damaged)?;
        let name = std::str::from_utf8(entry.name_raw())
            .map_err(|_| Refusal::new("bad_path", "the name of a file in the archive is not UTF-8"))?
            .to_owned();
        if entry.encrypted() {
            return Err(Refusal::new(
                "wrong_type",
                format!("{name} is encrypted; pack it without a password"),
            ));
        }
        // Regular file, folder, or nothing said.
        if entry.is_symlink()
            || entry.unix_mode().is_some_and(|m| !matches!(m & 0o170_000, 0 | 0o100_000 | 0o040_000))
        {
            return Err(sack::no_file(&name));
        }
        let path = sack.path(&name)?;
        if entry.is_dir() || name.ends_with('/') {
            continue;
        }
        let mut content = Vec::new();
        entry.by_ref().take(FILE_MAX + 1).read_to_end(&mut content).map_err(damaged)?;
        sack.put(path, content)?;
    }
    sack.files()
}

/// Packs files into a zip archive: the same files give the same bytes.
///
/// # Errors
/// More or larger files than such an archive holds.
pub fn pack(files: &Files) -> Result<Vec<u8>> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (path, content) in files {
        zip.start_file(path.as_str(), options).map_err(damaged)?;
        zip.write_all(content).map_err(damaged)?;
    }
    Ok(zip.finish().map_err(damaged)?.into_inner())
}

/// A file as text.
pub(crate) fn text<'f>(path: &str, bytes: &'f [u8]) -> Result<&'f str> {
    let text = std::str::from_utf8(bytes).map_err(|e| {
        Refusal::new("not_utf8", format!("{path} is not UTF-8 text (byte {})", e.valid_up_to()))
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.contains('\0') {
        return Err(Refusal::new("wrong_type", format!("{path} holds NUL characters; it is no text")));
    }
    Ok(text)
}
