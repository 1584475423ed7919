//! The tokens that open the TCP port: lines of a file that only its owner can read.
//!
//! Two may stand in it, so that one can take the other's place while callers move. The file is read
//! again on reload.

use std::fmt;
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemas::canonical::Digest;

/// Fewer characters can be guessed.
const LENGTH_MIN: usize = 24;
const LENGTH_MAX: usize = 512;
/// The old one and the new one.
const TOKENS_MAX: usize = 2;

/// Why a file of tokens is not used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("token_file: {path} cannot be read or made")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("token_file: others can read {path}: chmod 600 {path}")]
    Open { path: PathBuf },
    #[error(
        "token_file: {path} holds {found} tokens; write one or two lines of {LENGTH_MIN} characters or more"
    )]
    Content { path: PathBuf, found: usize },
}

/// The tokens that count now. They are kept as digests and compared as such, so that how long a
/// comparison takes says nothing about the token.
#[derive(Clone)]
pub struct Tokens {
    digests: Arc<ArcSwap<Vec<Digest>>>,
    file: Option<PathBuf>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Tokens {
    /// Tokens of the host's own.
    #[must_use]
    pub fn of(tokens: &[&str]) -> Self {
        Self { digests: Arc::new(ArcSwap::from_pointee(digests(tokens.iter().copied()))), file: None }
    }

    /// Those of a file; where there is none, one is made, with a token that nobody has seen. Tells whether
    /// it was made.
    ///
    /// # Errors
    /// The file cannot be read or made, others can read it, or no token is in it.
    pub fn from_file(path: impl Into<PathBuf>) -> Result<(Self, bool), TokenError> {
        let path = path.into();
        let made = make(&path).map_err(|source| TokenError::Io { path: path.clone(), source })?;
        let tokens = Self { digests: Arc::default(), file: Some(path) };
        tokens.reload()?;
        Ok((tokens, made))
    }

    /// Reads the file again.
    ///
    /// # Errors
    /// As [`Tokens::from_file`]; those of before go on to count.
    pub fn reload(&self) -> Result<(), TokenError> {
        if let Some(path) = &self.file {
            self.digests.store(Arc::new(read(path)?));
        }
        Ok(())
    }

    /// Whether it is one of them.
    #[must_use]
    pub fn has(&self, token: &[u8]) -> bool {
        let sent = Digest::of(token);
        // Every one is looked at.
        self.digests.load().iter().fold(false, |found, own| found | (*own == sent))
    }
}

fn digests<'t>(tokens: impl Iterator<Item = &'t str>) -> Vec<Digest> {
    tokens.map(|token| Digest::of(token.as_bytes())).collect()
}

/// 256 random bits as text.
pub(super) fn random() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// Makes the file where there is none.
fn make(path: &Path) -> io::Result<bool> {
    let opened = std::fs::File::options().write(true).create_new(true).mode(0o600).open(path);
    match opened {
        Ok(mut file) => {
            file.write_all(format!("{}\n", random()).as_bytes())?;
            file.sync_all()?;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

fn read(path: &Path) -> Result<Vec<Digest>, TokenError> {
    let failed = |source| TokenError::Io { path: path.into(), source };
    // Of the file that was opened, not of what the path leads to a moment later.
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let meta = file.metadata().map_err(failed)?;
    if !meta.is_file() || meta.mode() & 0o077 != 0 {
        return Err(TokenError::Open { path: path.into() });
    }
    let text = io::read_to_string(&mut io::Read::take(&mut file, 8 * 1024)).map_err(failed)?;
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let good = |line: &&str| {
        (LENGTH_MIN..=LENGTH_MAX).contains(&line.len()) && line.bytes().all(|byte| byte.is_ascii_graphic())
    };
    if lines.is_empty() || lines.len() > TOKENS_MAX || !lines.iter().all(good) {
        return Err(TokenError::Content { path: path.into(), found: lines.len() });
    }
    Ok(digests(lines.into_iter()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_made_for_its_owner_alone_and_two_tokens_may_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let (tokens, made) = Tokens::from_file(&path).unwrap();
        assert!(made);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let first = std::fs::read_to_string(&path).unwrap();
        assert!(tokens.has(first.trim().as_bytes()) && !tokens.has(b"") && !tokens.has(b"x"));
        assert!(!Tokens::from_file(&path).unwrap().1, "it is kept");

        let second = "the-second-token-of-this-file";
        std::fs::write(&path, format!("{first}\n{second}\n")).unwrap();
        assert!(!tokens.has(second.as_bytes()));
        tokens.reload().unwrap();
        assert!(tokens.has(second.as_bytes()) && tokens.has(first.trim().as_bytes()));

        // What cannot be used changes nothing.
        for bad in ["", "short", "with a blank in the middle of it", "a\nb\nc"] {
            std::fs::write(&path, bad).unwrap();
            assert!(matches!(tokens.reload(), Err(TokenError::Content { .. })), "{bad}");
        }
        std::fs::write(&path, second).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(tokens.reload(), Err(TokenError::Open { .. })));
        assert!(tokens.has(first.trim().as_bytes()));
        assert!(!format!("{tokens:?}").contains(second));
    }
}
