//! Whom a client of the broker believes to be the broker, and what may go unencrypted.
//!
//! FORGE and agents connect by the same rules: an address beyond this machine needs `tls://` unless
//! somebody allowed otherwise by name; the certificate must be signed by the given authority, or by
//! one that the system trusts; and it must bear a pinned key where there are pins.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use async_nats::rustls::client::WebPkiServerVerifier;
use async_nats::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use async_nats::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use async_nats::rustls::pki_types::pem::PemObject as _;
use async_nats::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use async_nats::rustls::server::ParsedCertificate;
use async_nats::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use async_nats::{ConnectOptions, ServerAddr};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemas::connect::Tls;
use sha2::{Digest as _, Sha256};

/// How a pin begins.
const PIN: &str = "sha256/";

/// Why a client cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{server} cannot be used as the address of a broker: {why}")]
    Address { server: String, why: String },
    #[error("{server} is not encrypted and not on this machine: write tls://…, or allow it by name")]
    Plain { server: String },
    #[error("there is no certificate (PEM) of an authority in what was given as one")]
    Authority,
    #[error("{0:?} is no pin: write {PIN} and the base64 of the key's SHA-256")]
    Pin(String),
    #[error("what was given as a certificate is none")]
    Certificate,
    #[error("no certificate can be checked: {0}")]
    Checking(String),
}

/// Told why a server's certificate was not believed.
pub type Refused = Arc<dyn Fn(String) + Send + Sync>;

/// Sets up a client for these servers.
///
/// # Errors
/// [`TlsError`]: an address that cannot be used, or is not encrypted although it has to be; or
/// nothing to hold a certificate against.
pub fn secure(
    options: ConnectOptions,
    servers: &[String],
    trust: &Tls,
    allow_plain: bool,
    refused: Refused,
) -> Result<(ConnectOptions, Vec<ServerAddr>), TlsError> {
    let addresses = servers.iter().map(|s| address(s, allow_plain)).collect::<Result<Vec<_>, _>>()?;
    let encrypted = addresses.iter().filter(|a| a.tls_required()).count();
    let mut options = options;
    if encrypted > 0 {
        options = options.tls_client_config(client_config(trust, refused)?);
    }
    if encrypted == addresses.len() {
        options = options.require_tls(true);
    }
    if !allow_plain {
        // A server tells of others before it has shown who it is.
        options = options.ignore_discovered_servers();
    }
    Ok((options, addresses))
}

/// Reads the address of a server, and refuses one that is exposed unless that is allowed.
///
/// # Errors
/// [`TlsError::Address`] and [`TlsError::Plain`].
pub fn address(server: &str, allow_plain: bool) -> Result<ServerAddr, TlsError> {
    let found: ServerAddr = server
        .parse()
        .map_err(|e: std::io::Error| TlsError::Address { server: server.to_owned(), why: e.to_string() })?;
    if !allow_plain && !found.tls_required() && !is_loopback(found.host()) {
        return Err(TlsError::Plain { server: server.to_owned() });
    }
    Ok(found)
}

/// Whether a host is this machine, however the network is set up.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The pin of the first certificate in a PEM file.
///
/// # Errors
/// [`TlsError::Certificate`].
pub fn pin_of(pem: &str) -> Result<String, TlsError> {
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| TlsError::Certificate)?;
    let key = key_digest(&certificate).map_err(|_| TlsError::Certificate)?;
    Ok(format!("{PIN}{}", STANDARD.encode(key)))
}

fn read_pin(text: &str) -> Result<[u8; 32], TlsError> {
    let bytes = text.strip_prefix(PIN).and_then(|rest| STANDARD.decode(rest).ok());
    bytes.and_then(|b| b.try_into().ok()).ok_or_else(|| TlsError::Pin(text.to_owned()))
}

fn key_digest(certificate: &CertificateDer<'_>) -> Result<[u8; 32], Error> {
    let parsed = ParsedCertificate::try_from(certificate)?;
    Ok(Sha256::digest(parsed.subject_public_key_info().as_ref()).into())
}

/// What `trust` says, for a client. TLS 1.2 and newer.
///
/// # Errors
/// [`TlsError`]: nothing to hold a certificate against, or a pin that is none.
pub fn client_config(trust: &Tls, refused: Refused) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    match &trust.ca {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                let certificate = certificate.map_err(|_| TlsError::Authority)?;
                roots.add(certificate).map_err(|_| TlsError::Authority)?;
            }
            if roots.is_empty() {
                return Err(TlsError::Authority);
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let pins = trust.pins.iter().map(|pin| read_pin(pin)).collect::<Result<_, _>>()?;
    let provider = Arc::new(ring::default_provider());
    let checking = |error: &dyn fmt::Display| TlsError::Checking(error.to_string());
    let inner = WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(&provider))
        .build()
        .map_err(|e| checking(&e))?;
    let verifier = Verifier { inner, provider: Arc::clone(&provider), pins, refused };
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| checking(&e))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

/// For a client of one's own server: believes exactly the first certificate of a PEM file, whatever
/// its name and its signer, and reads the file anew for each connection.
///
/// # Errors
/// [`TlsError::Checking`].
pub fn exactly(certificate: PathBuf) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    Ok(ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| TlsError::Checking(e.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Exactly { certificate, provider }))
        .with_no_client_auth())
}

/// Believes one certificate.
#[derive(Debug)]
struct Exactly {
    certificate: PathBuf,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Exactly {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match CertificateDer::from_pem_file(&self.certificate) {
            Ok(own) if own == *end_entity => Ok(ServerCertVerified::assertion()),
            _ => Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Checks as every client does; then the pins; and says why not.
struct Verifier {
    inner: Arc<WebPkiServerVerifier>,
    provider: Arc<CryptoProvider>,
    pins: Vec<[u8; 32]>,
    refused: Refused,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("pins", &self.pins.len()).finish_non_exhaustive()
    }
}

impl Verifier {
    /// Why the certificate does not bear a pinned key, if it does not.
    fn unpinned(&self, certificate: &CertificateDer<'_>) -> Option<String> {
        if self.pins.is_empty() {
            return None;
        }
        match key_digest(certificate) {
            Ok(key) if self.pins.contains(&key) => None,
            Ok(key) => Some(format!("its key is not a pinned one: it is {PIN}{}", STANDARD.encode(key))),
            Err(error) => Some(format!("it cannot be read: {error}")),
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let checked =
            self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let (why, error) = match checked {
            Ok(checked) => match self.unpinned(end_entity) {
                None => return Ok(checked),
                Some(why) => {
                    (why, Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
                }
            },
            Err(error) => (explain(&error, server_name), error),
        };
        (self.refused)(format!("the broker's certificate is refused: {why}"));
        Err(error)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn explain(error: &Error, name: &ServerName<'_>) -> String {
    match error {
        Error::InvalidCertificate(why) => match why {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired".into(),
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "it is not valid yet".into()
            }
            // An impostor may bear the name of the right one.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "it is signed by an authority that is not trusted here".into()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                format!("it is not for {}", name.to_str())
            }
            other => other.to_string(),
        },
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_may_be_spoken_to_in_the_open() {
        for fine in
            ["nats://127.0.0.1:4222", "nats://localhost:1", "nats://[::1]:2", "tls://broker.example:1"]
        {
            assert!(address(fine, false).is_ok(), "{fine}");
        }
        for exposed in
            ["nats://10.0.0.1:4222", "nats://broker.example", "broker.example:4222", "nats://0.0.0.0:1"]
        {
            assert!(matches!(address(exposed, false), Err(TlsError::Plain { .. })), "{exposed}");
            assert!(address(exposed, true).is_ok(), "{exposed}");
        }
        assert!(matches!(address("nats://:::", true), Err(TlsError::Address { .. })));
    }

    #[test]
    fn a_pin_or_an_authority_that_is_none_is_refused() {
        let nobody: Refused = Arc::new(|_| {});
        for pin in ["", "sha256/", "sha256/AAAA", "md5/AAAA"] {
            let trust = Tls { ca: None, pins: vec![pin.into()] };
            assert!(matches!(client_config(&trust, nobody.clone()), Err(TlsError::Pin(_))), "{pin}");
        }
        let trust = Tls { ca: Some("no certificate".into()), pins: Vec::new() };
        assert!(matches!(client_config(&trust, nobody), Err(TlsError::Authority)));
    }
}
