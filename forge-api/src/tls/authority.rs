//! FORGE's own certificate authority, for an installation that has no other.

use std::fmt;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData as _, date_time_ymd,
};
use sha2::{Digest as _, Sha256};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use zeroize::Zeroizing;

use super::{AUTHORITY_FILE, CERTIFICATE, KEY};
use crate::clock;
use crate::database::Database;
use crate::database::key::{self, SealedKey};
use crate::error::{ApiError, Result};
use crate::seal::{Sealer, write_private};

/// Under this name the database keeps the authority, its key sealed.
const NAME: &str = "tls/authority";
const NAMES: &str = "tls/names";
const AUTHORITY_DAYS: i64 = 3650;
/// Browsers take no certificate that is valid for longer than 398 days.
const CERTIFICATE_DAYS: i64 = 397;
/// A certificate with fewer days left is made anew.
const RENEW_DAYS: i64 = 97;
const DAY: i64 = 86_400_000_000;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    #[error("a certificate could not be made")]
    Make(#[from] rcgen::Error),
    #[error("{path} cannot be written")]
    Write {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

/// The authority: a certificate that others trust, and its key.
pub struct Authority {
    certificate: String,
    key: KeyPair,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("fingerprint", &self.fingerprint()).finish_non_exhaustive()
    }
}

impl Authority {
    /// Reads the authority from the database, or makes it; of two processes that do so at once, the
    /// first one's stays.
    pub(super) async fn open(database: &Database, sealer: &Sealer) -> Result<Self> {
        let mut tx = database.write().await?;
        let mut found = key::with_prefix(&mut tx, NAME).await?;
        if found.is_empty() {
            let made = Self::make().map_err(ApiError::internal)?;
            let text = Zeroizing::new(made.key.serialize_pem());
            let row = SealedKey {
                name: NAME.into(),
                public_key: made.certificate,
                sealed: sealer.seal(NAME, text.as_bytes()).map_err(ApiError::internal)?,
                created_at: clock::now(),
            };
            key::add(&mut tx, &row).await?;
            found = key::with_prefix(&mut tx, NAME).await?;
        }
        tx.commit().await?;
        let row = found.into_iter().next().ok_or(ApiError::NotFound("authority"))?;
        let text = sealer.open(NAME, &row.sealed).map_err(ApiError::internal)?;
        let key = KeyPair::from_pem(&String::from_utf8_lossy(&text)).map_err(ApiError::internal)?;
        Ok(Self { certificate: row.public_key, key })
    }

    fn make() -> std::result::Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        let certificate = params(AUTHORITY_DAYS)?.self_signed(&key)?.pem();
        Ok(Self { certificate, key })
    }

    /// The certificate that others are to trust, as PEM.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// SHA-256 of the certificate, as browsers and `openssl x509 -fingerprint` show it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let der = CertificateDer::from_pem_slice(self.certificate.as_bytes());
        let digest = der.map(|der| Sha256::digest(&der)).unwrap_or_default();
        digest.iter().map(|b| format!("{b:02X}")).collect::<Vec<_>>().join(":")
    }

    /// Writes a certificate for these names into the data directory, unless the one that is there is
    /// for them, signed by this authority, valid for long enough, and for the key beside it.
    pub(super) fn issue(&self, data: &Path, names: &[String]) -> std::result::Result<(), AuthorityError> {
        let listed = names.join("\n");
        let says = |file: &str, text: &str| std::fs::read_to_string(data.join(file)).is_ok_and(|t| t == text);
        let read = |file: &str| std::fs::read_to_string(data.join(file)).map(Zeroizing::new);
        let lasts = match (read(CERTIFICATE), read(KEY)) {
            (Ok(certificate), Ok(key)) => lasts(&certificate, &key),
            _ => false,
        };
        if lasts && says(NAMES, &listed) && says(AUTHORITY_FILE, &self.certificate) {
            return Ok(());
        }
        self.write(data, names, CERTIFICATE_DAYS)?;
        tracing::info!(tls.names = ?names, tls.days = CERTIFICATE_DAYS, "made a certificate of the own authority");
        Ok(())
    }

    /// Writes a new certificate, its key, and what both are for.
    fn write(&self, data: &Path, names: &[String], days: i64) -> std::result::Result<(), AuthorityError> {
        let listed = names.join("\n");
        let mut wanted = CertificateParams::new(names.to_vec())?;
        wanted.distinguished_name = DistinguishedName::new();
        wanted.distinguished_name.push(DnType::CommonName, "Anvil FORGE");
        wanted.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        wanted.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        wanted.use_authority_key_identifier_extension = true;
        valid_for(&mut wanted, days);
        let key = KeyPair::generate()?;
        let certificate = wanted.signed_by(&key, &Issuer::new(params(AUTHORITY_DAYS)?, &self.key))?;
        let text = Zeroizing::new(key.serialize_pem());
        // The names come last: what is cut off is done again.
        for (file, bytes) in [
            (NAMES, &[][..]),
            (AUTHORITY_FILE, self.certificate.as_bytes()),
            (KEY, text.as_bytes()),
            (CERTIFICATE, certificate.pem().as_bytes()),
            (NAMES, listed.as_bytes()),
        ] {
            write(&data.join(file), bytes)?;
        }
        Ok(())
    }
}

/// Whether a certificate (PEM) is valid by now and for long enough, and for this key. The file's own dates say
/// nothing: a copy of an old one is new, and one from a backup is old.
fn lasts(certificate: &str, key: &str) -> bool {
    let (Ok(der), Ok(key)) = (CertificateDer::from_pem_slice(certificate.as_bytes()), KeyPair::from_pem(key))
    else {
        return false;
    };
    let Ok((_, read)) = x509_parser::parse_x509_certificate(&der) else { return false };
    let (from, until) = (read.validity().not_before.timestamp(), read.validity().not_after.timestamp());
    let now = clock::now() / 1_000_000;
    from <= now
        && until - now > RENEW_DAYS * DAY / 1_000_000
        && read.public_key().raw == key.subject_public_key_info()
}

/// Writes a file that only its owner can read, whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> std::result::Result<(), AuthorityError> {
    let aside = path.with_extension(format!("new-{}", std::process::id()));
    let failed = |source| AuthorityError::Write { path: path.to_path_buf(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let _ = std::fs::remove_file(&aside);
    write_private(&aside, bytes).and_then(|()| std::fs::rename(&aside, path)).map_err(failed)
}

/// The authority as the issuer of certificates: its name is always the same.
fn params(days: i64) -> std::result::Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Anvil FORGE authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid_for(&mut params, days);
    Ok(params)
}

/// Valid from yesterday, so that a clock that is behind takes it too.
fn valid_for(params: &mut CertificateParams, days: i64) {
    let day = |at: i64| {
        let text = clock::rfc3339(at);
        let mut parts = text.split(['-', 'T']).map(|part| part.parse::<u16>().unwrap_or(1));
        let mut next = || parts.next().unwrap_or(1);
        let (year, month, day) = (next(), next(), next());
        date_time_ymd(i32::from(year), u8::try_from(month).unwrap_or(1), u8::try_from(day).unwrap_or(1))
    };
    params.not_before = day(clock::now() - DAY);
    params.not_after = day(clock::now() + (days - 1) * DAY);
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    fn data() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn shown(data: &Path) -> String {
        std::fs::read_to_string(data.join(CERTIFICATE)).unwrap()
    }

    fn names() -> Vec<String> {
        vec!["forge.example".into()]
    }

    #[test]
    fn a_certificate_is_as_old_as_it_says_whatever_the_date_of_its_file() {
        let (authority, data) = (Authority::make().unwrap(), data());
        authority.issue(data.path(), &names()).unwrap();
        let first = shown(data.path());
        let file = std::fs::File::options().write(true).open(data.path().join(CERTIFICATE)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(400 * 86_400)).unwrap();
        authority.issue(data.path(), &names()).unwrap();
        assert_eq!(shown(data.path()), first, "an old file with a young certificate");
        // One that ends soon, copied a moment ago.
        for (days, stays) in [(RENEW_DAYS - 1, false), (RENEW_DAYS + 3, true), (-1, false)] {
            authority.write(data.path(), &names(), days).unwrap();
            let ends = shown(data.path());
            authority.issue(data.path(), &names()).unwrap();
            assert_eq!(shown(data.path()) == ends, stays, "{days} days left");
        }
    }

    #[test]
    fn a_certificate_without_its_key_or_of_other_names_is_made_anew() {
        let (authority, data) = (Authority::make().unwrap(), data());
        authority.issue(data.path(), &names()).unwrap();
        let first = shown(data.path());
        let other = KeyPair::generate().unwrap().serialize_pem();
        std::fs::write(data.path().join(KEY), other).unwrap();
        authority.issue(data.path(), &names()).unwrap();
        let second = shown(data.path());
        assert_ne!(second, first, "another key lay beside it");
        authority.issue(data.path(), &names()).unwrap();
        assert_eq!(shown(data.path()), second);
        authority.issue(data.path(), &["other.example".to_owned()]).unwrap();
        assert_ne!(shown(data.path()), second);
    }
}
