//! Tar archives, plain and gzipped: what `tar` and the tools of repositories write (ustar, GNU, pax). Only files and
//! folders; whatever else stands in one refuses the whole of it.

use std::io::Read as _;

use flate2::read::MultiGzDecoder;

use super::sack::{Sack, bomb, bound, no_file};
use super::{FILE_MAX, FILES_MAX, Files, PATH_MAX, too_large};
use crate::found::{Refusal, Result};

/// Everything stands in blocks of so many bytes.
const BLOCK: usize = 512;
/// Most bytes of what a header says besides: a long name, and a few facts more.
const MORE_MAX: usize = 16 * 1024;

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

/// What headers before one say about it.
#[derive(Default)]
struct More {
    path: Option<String>,
    size: Option<u64>,
}

fn read(bytes: &[u8], bound: u64) -> Result<Files> {
    let (mut sack, mut rest, mut more) = (Sack::new(bound), bytes, More::default());
    loop {
        let header = rest.get(..BLOCK).ok_or_else(|| damaged("its end is missing"))?;
        rest = rest.get(BLOCK..).unwrap_or_default();
        if header.iter().all(|byte| *byte == 0) {
            return sack.files();
        }
        checked(header)?;
        let kind = header.get(156).copied().unwrap_or_default();
        let size = match more.size {
            // What pax says is about the file, and not about another header.
            Some(size) if !matches!(kind, b'L' | b'x' | b'g') => size,
            _ => number(field(header, 124, 136))?,
        };
        let content = take(&mut rest, size)?;
        match kind {
            b'L' => more.path = Some(text(more_of(content)?)?),
            b'x' => pax(more_of(content)?, &mut more)?,
            // What is said of all files are times and comments.
            b'g' => {}
            b'0' | 0 | b'7' | b'5' => {
                let More { path, .. } = std::mem::take(&mut more);
                let name = match path {
                    Some(path) => path,
                    None => name_of(header)?,
                };
                // The folder that was packed itself.
                if matches!(name.as_str(), "." | "./") && kind == b'5' {
                    continue;
                }
                let path = sack.path(&name)?;
                if kind != b'5' && !name.ends_with('/') {
                    sack.put(path, content.to_vec())?;
                }
            }
            _ => return Err(no_file(&name_of(header)?)),
        }
    }
}

/// The content that follows a header, and the padding behind it.
fn take<'b>(rest: &mut &'b [u8], size: u64) -> Result<&'b [u8]> {
    if size > FILE_MAX {
        return Err(too_large(format!("a file of the archive has more than {FILE_MAX} bytes")));
    }
    let size = usize::try_from(size).map_err(damaged)?;
    let content = rest.get(..size).ok_or_else(|| damaged("a file is cut off"))?;
    *rest = rest.get(size.next_multiple_of(BLOCK)..).ok_or_else(|| damaged("its end is missing"))?;
    Ok(content)
}

fn field(header: &[u8], from: usize, to: usize) -> &[u8] {
    let field = header.get(from..to).unwrap_or_default();
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A number in octal digits.
fn number(field: &[u8]) -> Result<u64> {
    let bad = || damaged("a number in it is none");
    let digits = std::str::from_utf8(field).map_err(|_| bad())?.trim();
    u64::from_str_radix(digits, 8).map_err(|_| bad())
}

/// Refuses a header whose sum is another one.
fn checked(header: &[u8]) -> Result<()> {
    let sum: u64 = header
        .iter()
        .enumerate()
        .map(|(at, byte)| if (148..156).contains(&at) { u64::from(b' ') } else { u64::from(*byte) })
        .sum();
    if is_tar(header) && number(field(header, 148, 156))? == sum {
        Ok(())
    } else {
        Err(damaged("the sum of a header is wrong"))
    }
}

fn text(bytes: &[u8]) -> Result<String> {
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    let text = std::str::from_utf8(bytes);
    let text =
        text.map_err(|_| Refusal::new("bad_path", "the name of a file in the archive is not UTF-8"))?;
    Ok(text.to_owned())
}

/// The name in a header: of ustar with what comes before it, of GNU alone.
fn name_of(header: &[u8]) -> Result<String> {
    let name = text(field(header, 0, 100))?;
    let is_posix = header.get(262) == Some(&0);
    match text(field(header, 345, 500))?.as_str() {
        "" => Ok(name),
        before if is_posix => Ok(format!("{before}/{name}")),
        _ => Ok(name),
    }
}

fn more_of(content: &[u8]) -> Result<&[u8]> {
    if content.len() > MORE_MAX {
        return Err(Refusal::new(
            "bad_path",
            format!("a path in the archive has more than {PATH_MAX} bytes"),
        ));
    }
    Ok(content)
}

/// Reads records of pax, `<length> <key>=<value>` and the end of a line each.
fn pax(mut records: &[u8], more: &mut More) -> Result<()> {
    let bad = || damaged("a header of pax is none");
    while !records.is_empty() {
        let space = records.iter().position(|byte| *byte == b' ').ok_or_else(bad)?;
        let length = std::str::from_utf8(records.get(..space).unwrap_or_default()).map_err(|_| bad())?;
        let length: usize = length.parse().map_err(|_| bad())?;
        let record = records.get(space + 1..length).and_then(|r| r.strip_suffix(b"\n")).ok_or_else(bad)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(bad)?;
        let (key, value) =
            (record.get(..equals).unwrap_or_default(), record.get(equals + 1..).unwrap_or_default());
        match key {
            b"path" => more.path = Some(text(value)?),
            b"size" => {
                let digits = std::str::from_utf8(value).map_err(|_| bad())?;
                more.size = Some(digits.parse().map_err(|_| bad())?);
            }
            key if key.starts_with(b"GNU.sparse") => {
                return Err(Refusal::new("wrong_type", "a file of the archive has holes; pack it as it is"));
            }
            _ => {}
        }
        records = records.get(length..).ok_or_else(bad)?;
    }
    Ok(())
}
