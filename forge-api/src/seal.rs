//! Secrets at rest: private keys lie encrypted in the database, under a master key that does not.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::{Zeroize as _, Zeroizing};

const NONCE: usize = 24;
/// First byte of everything sealed: the format.
const FORMAT: u8 = 1;

/// Why a secret could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("the master key is not 32 bytes in standard base64: make one with `openssl rand -base64 32`")]
    Key,
    #[error("the master key file {path} cannot be read or made")]
    File {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("{0} cannot be opened with this master key: is it the one that this database was made with?")]
    Open(String),
    #[error("{0} cannot be sealed")]
    Seal(String),
}

/// The master key.
#[derive(Clone)]
pub struct Sealer(XChaCha20Poly1305);

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(<secret>)")
    }
}

impl Sealer {
    /// Takes a key written as standard base64.
    ///
    /// # Errors
    /// [`SealError::Key`].
    pub fn from_base64(text: &str) -> Result<Self, SealError> {
        let bytes =
            Zeroizing::new(data_encoding::BASE64.decode(text.trim().as_bytes()).map_err(|_| SealError::Key)?);
        XChaCha20Poly1305::new_from_slice(&bytes).map(Self).map_err(|_| SealError::Key)
    }

    /// Reads the key from a file, or makes key and file (mode 0600) where there is none.
    ///
    /// # Errors
    /// The file cannot be read or made, or holds no key.
    pub fn from_file(path: &Path, make: bool) -> Result<Self, SealError> {
        let failed = |source| SealError::File { path: path.display().to_string(), source };
        match fs::read_to_string(path) {
            Ok(text) => return Self::from_base64(&Zeroizing::new(text)),
            Err(e) if e.kind() == io::ErrorKind::NotFound && make => {}
            Err(e) => return Err(failed(e)),
        }
        let mut key: [u8; 32] = rand::random();
        let text = Zeroizing::new(data_encoding::BASE64.encode(&key));
        key.zeroize();
        // Written aside and linked into place, so that of two first starts one wins and none reads half.
        let aside = path.with_extension(format!("new-{}", std::process::id()));
        let made = write_private(&aside, text.as_bytes()).and_then(|()| fs::hard_link(&aside, path));
        let _ = fs::remove_file(&aside);
        match made {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(failed(e)),
            _ => Self::from_base64(&Zeroizing::new(fs::read_to_string(path).map_err(failed)?)),
        }
    }

    /// Encrypts `secret`; it can only be opened again under the same `name`.
    ///
    /// # Errors
    /// [`SealError::Seal`].
    pub fn seal(&self, name: &str, secret: &[u8]) -> Result<Vec<u8>, SealError> {
        let nonce: [u8; NONCE] = rand::random();
        let sealed = self
            .0
            .encrypt(&XNonce::from(nonce), Payload { msg: secret, aad: name.as_bytes() })
            .map_err(|_| SealError::Seal(name.into()))?;
        Ok([&[FORMAT][..], &nonce, &sealed].concat())
    }

    /// Decrypts what [`Sealer::seal`] made.
    ///
    /// # Errors
    /// [`SealError::Open`] for another key, another name or changed bytes.
    pub fn open(&self, name: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let failed = || SealError::Open(name.into());
        let (format, rest) = sealed.split_first().ok_or_else(failed)?;
        let (nonce, text) = rest.split_at_checked(NONCE).ok_or_else(failed)?;
        if *format != FORMAT {
            return Err(failed());
        }
        let nonce: [u8; NONCE] = nonce.try_into().map_err(|_| failed())?;
        self.0
            .decrypt(&XNonce::from(nonce), Payload { msg: text, aad: name.as_bytes() })
            .map(Zeroizing::new)
            .map_err(|_| failed())
    }
}

/// Writes a file that only its owner can read.
///
/// # Errors
/// As the file system has it.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_only_under_its_name_and_key() {
        let sealer = Sealer::from_base64(&data_encoding::BASE64.encode(&[7; 32])).unwrap();
        let other = Sealer::from_base64(&data_encoding::BASE64.encode(&[8; 32])).unwrap();
        let sealed = sealer.seal("root", b"a seed").unwrap();
        assert!(!sealed.windows(6).any(|w| w == b"a seed"));
        assert_eq!(&**sealer.open("root", &sealed).unwrap(), b"a seed");
        assert!(sealer.open("operator", &sealed).is_err());
        assert!(other.open("root", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1;
            assert!(sealer.open("root", &flipped).is_err(), "byte {at}");
        }
    }

    #[test]
    fn the_key_file_is_made_once_and_private() {
        let dir = std::env::temp_dir().join(crate::clock::new_id());
        fs::create_dir(&dir).unwrap();
        let path = dir.join("master.key");
        let sealed = Sealer::from_file(&path, true).unwrap().seal("x", b"y").unwrap();
        assert!(Sealer::from_file(&path, true).unwrap().open("x", &sealed).is_ok());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert!(Sealer::from_file(&dir.join("none"), false).is_err());
        fs::remove_dir_all(&dir).unwrap();
    }
}
