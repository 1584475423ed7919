//! Secrets at rest: private keys lie encrypted in the database, under a master key that does not.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::{Zeroize as _, Zeroizing};

/// How the tag of a [`MacKey`] begins: the format.
const MAC: &str = "hmac-sha256:";
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
pub struct Sealer {
    cipher: XChaCha20Poly1305,
    /// Keys for other uses are derived from it.
    root: MacKey,
}

/// A key of HMAC-SHA256, one for each use.
#[derive(Clone)]
pub struct MacKey(Hmac<Sha256>);

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(<secret>)")
    }
}

impl MacKey {
    fn new(key: &[u8]) -> Result<Self, SealError> {
        Hmac::new_from_slice(key).map(Self).map_err(|_| SealError::Key)
    }

    fn tag(&self, message: &[u8]) -> [u8; 32] {
        self.0.clone().chain_update(message).finalize().into_bytes().into()
    }

    /// The tag of a message, as `hmac-sha256:` and 64 hexadecimal digits.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> String {
        format!("{MAC}{}", data_encoding::HEXLOWER.encode(&self.tag(message)))
    }

    /// Whether [`MacKey::sign`] made this tag of this message. Takes a time that tells nothing.
    #[must_use]
    pub fn verify(&self, message: &[u8], tag: &str) -> bool {
        let tag = tag.strip_prefix(MAC).and_then(|t| data_encoding::HEXLOWER.decode(t.as_bytes()).ok());
        tag.is_some_and(|tag| self.0.clone().chain_update(message).verify_slice(&tag).is_ok())
    }
}

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
        let cipher = XChaCha20Poly1305::new_from_slice(&bytes).map_err(|_| SealError::Key)?;
        Ok(Self { cipher, root: MacKey::new(&bytes)? })
    }

    /// A key for one use: nothing can be learnt from it about the master key, or another use's.
    ///
    /// # Errors
    /// Never in practice: the length fits.
    pub fn derive(&self, use_: &str) -> Result<MacKey, SealError> {
        let key = Zeroizing::new(self.root.tag(format!("anvil/{use_}").as_bytes()));
        MacKey::new(&*key)
    }

    /// Reads the key from a file, or makes key and file (mode 0600) where there is none.
    ///
    /// # Errors
    /// The file cannot be read or made, or holds no key.
    pub fn from_file(path: &Path, make: bool) -> Result<Self, SealError> {
        let failed = |source| SealError::File { path: path.display().to_string(), source };
        match fs::read_to_string(path) {
            Ok(text) => {
                warn_if_others_read(path);
                return Self::from_base64(&Zeroizing::new(text));
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound && make => {}
            Err(e) => return Err(failed(e)),
        }
        let mut key: [u8; 32] = rand::random();
        let text = Zeroizing::new(data_encoding::BASE64.encode(&key));
        key.zeroize();
        // Written aside and linked into place, so that of two first starts one wins and none reads half. Each has a file
        // of its own: in two containers on one directory both may be process 1.
        let aside = path.with_extension(format!("new-{:016x}", rand::random::<u64>()));
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
            .cipher
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
        self.cipher
            .decrypt(&XNonce::from(nonce), Payload { msg: text, aad: name.as_bytes() })
            .map(Zeroizing::new)
            .map_err(|_| failed())
    }
}

/// A mounted secret cannot always have another mode, so that this is no refusal.
fn warn_if_others_read(path: &Path) {
    if others_read(path) {
        tracing::error!(
            file.path = %path.display(),
            "everybody on this machine can read the master key, and with it every key of this installation: give the file mode 0600"
        );
    }
}

#[cfg(unix)]
fn others_read(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn others_read(_: &Path) -> bool {
    false
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
    #[cfg(unix)]
    {
        // One that was there already keeps its mode otherwise.
        use std::os::unix::fs::PermissionsExt as _;
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
    }
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
    fn each_use_has_a_key_of_its_own() {
        let sealer = Sealer::from_base64(&data_encoding::BASE64.encode(&[7; 32])).unwrap();
        let (one, two) = (sealer.derive("audit").unwrap(), sealer.derive("device").unwrap());
        let tag = one.sign(b"an entry");
        assert!(tag.starts_with("hmac-sha256:") && tag.len() == 12 + 64, "{tag}");
        assert!(one.verify(b"an entry", &tag));
        assert!(!two.verify(b"an entry", &tag) && !one.verify(b"another", &tag));
        assert!(!one.verify(b"an entry", "") && !one.verify(b"an entry", &tag[..70]));
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
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&path), 0o600);
            assert!(!others_read(&path));
            // What others could read is theirs no longer once it is written.
            let open = dir.join("open");
            fs::write(&open, "x").unwrap();
            fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
            assert!(others_read(&open));
            write_private(&open, b"y").unwrap();
            assert_eq!(mode(&open), 0o600);
        }
        assert!(Sealer::from_file(&dir.join("none"), false).is_err());
        fs::remove_dir_all(&dir).unwrap();
    }
}
