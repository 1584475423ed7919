//! Certificates for tests: authorities, and what they sign.

use std::path::{Path, PathBuf};

use anyhow::Result;
use nats_config::conf::ServerTls;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

/// An authority that exists for one test.
#[derive(Debug)]
pub struct TestAuthority {
    /// Its certificate (PEM).
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl TestAuthority {
    /// A new one; two of one name are two.
    pub fn new(name: &str) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { pem, issuer: Issuer::new(params, key) })
    }

    /// Writes a certificate for these names and its key into `directory`, as `<file>.pem` and
    /// `<file>.key`. One that has expired did so in 2020.
    pub fn sign(&self, directory: &Path, file: &str, names: &[&str], expired: bool) -> Result<ServerTls> {
        let mut params = CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>())?;
        if expired {
            params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        }
        let key = KeyPair::generate()?;
        let signed = params.signed_by(&key, &self.issuer)?;
        let path = |ending: &str| -> PathBuf { directory.join(format!("{file}.{ending}")) };
        std::fs::write(path("pem"), signed.pem())?;
        std::fs::write(path("key"), key.serialize_pem())?;
        Ok(ServerTls { certificate: path("pem"), key: path("key") })
    }
}
