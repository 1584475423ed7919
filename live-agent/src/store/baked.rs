//! Bundles baked into an image: a file with what an agent had, to start from where no cache is.
//!
//! The file is the line `anvil-baked 1`, then for each bundle its length (8 bytes, little endian)
//! and the record as the store keeps it. What is in it is verified like everything else.

use std::io::{self, Write};
use std::path::Path;

use super::record::{self, Kept};

const FIRST_LINE: &[u8] = b"anvil-baked 1\n";
const KEY: &str = "baked";

/// Why a file is no file of baked bundles.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BakedError {
    #[error("the baked bundles cannot be read")]
    Io(#[source] io::Error),
    #[error("the file holds no baked bundles, or is damaged; write it again with \"live bundle pull\"")]
    Damaged,
}

pub(crate) fn read(path: &Path) -> Result<Vec<Kept>, BakedError> {
    let bytes = std::fs::read(path).map_err(BakedError::Io)?;
    let mut rest = bytes.strip_prefix(FIRST_LINE).ok_or(BakedError::Damaged)?;
    let mut out = Vec::new();
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<8>().ok_or(BakedError::Damaged)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| BakedError::Damaged)?;
        let (one, after) = after.split_at_checked(length).ok_or(BakedError::Damaged)?;
        let content = record::unseal(KEY, one).map_err(|_| BakedError::Damaged)?;
        out.push(Kept::from_bytes(content).map_err(|_| BakedError::Damaged)?);
        rest = after;
    }
    Ok(out)
}

pub(crate) fn write(path: &Path, kept: &[Kept]) -> io::Result<()> {
    let mut bytes = FIRST_LINE.to_vec();
    for one in kept {
        let sealed = record::seal(KEY, &one.to_bytes());
        bytes.extend_from_slice(&(sealed.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&sealed);
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile_in(folder, path)?;
    file.1.write_all(&bytes)?;
    file.1.sync_all()?;
    std::fs::rename(&file.0, path)
}

fn tempfile_in(folder: &Path, path: &Path) -> io::Result<(std::path::PathBuf, std::fs::File)> {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let temporary = folder.join(format!(".{name}.{}", std::process::id()));
    let file = std::fs::File::create(&temporary)?;
    Ok((temporary, file))
}
