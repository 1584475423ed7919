//! Serves pages over TLS: a certificate that can change while the server runs, and a listener that
//! shakes hands.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::server::TlsStream;
use tokio_util::task::AbortOnDropHandle;

use super::renew;
use crate::server::connection::{Accept, Connections, Place};
use crate::state::AppState;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);
/// How often a certificate of the own authority is looked at.
const RENEW: Duration = Duration::from_secs(3600);
/// A caller that does not shake hands is let go.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Handshakes at once.
const HANDSHAKES: usize = 512;
const SHAKEN: usize = 64;

/// Why certificate and key cannot be served with.
#[derive(Debug, thiserror::Error)]
pub enum TlsSetupError {
    #[error("{path} holds no certificate (PEM) that can be read: {why}")]
    Certificate { path: PathBuf, why: String },
    #[error("{path} holds no private key (PEM) that can be read: {why}")]
    Key { path: PathBuf, why: String },
    #[error("certificate {certificate} and key {key} do not belong together: {why}")]
    Pair { certificate: PathBuf, key: PathBuf, why: String },
}

/// The certificate in use.
struct Current(RwLock<Arc<CertifiedKey>>);

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Current(<certificate>)")
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Certificate and key to serve with, read again when they change.
#[derive(Debug)]
pub struct Served {
    certificate: PathBuf,
    key: PathBuf,
    current: Arc<Current>,
    /// Where they are of the own authority: who makes them anew.
    renewed: Option<AppState>,
}

type Stamps = [Option<SystemTime>; 2];

impl Served {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// [`TlsSetupError`].
    pub fn read(
        certificate: PathBuf,
        key: PathBuf,
        renewed: Option<AppState>,
    ) -> Result<Self, TlsSetupError> {
        let current = Arc::new(Current(RwLock::new(Arc::new(load(&certificate, &key)?))));
        Ok(Self { certificate, key, current, renewed })
    }

    fn stamps(&self) -> Stamps {
        [&self.certificate, &self.key].map(|file| std::fs::metadata(file).and_then(|m| m.modified()).ok())
    }

    /// Reads the files again when they change, and when the process is told to (SIGHUP); never ends. What
    /// cannot be used is logged, and the one in use stays.
    pub async fn keep_current(&self) {
        let mut seen = self.stamps();
        let mut told = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).ok();
        let mut looks = tokio::time::interval(LOOK);
        let mut renewals = tokio::time::interval(RENEW);
        loop {
            tokio::select! {
                _ = looks.tick() => if self.stamps() == seen {
                    continue;
                },
                () = hangup(&mut told) => {}
                _ = renewals.tick() => {
                    if let Some(state) = self.renewed.clone() {
                        let _ = tokio::task::spawn_blocking(move || renew(&state)).await;
                    }
                    continue;
                }
            }
            seen = self.stamps();
            match load(&self.certificate, &self.key) {
                Ok(loaded) => {
                    *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded);
                    tracing::info!(tls.certificate = %self.certificate.display(), "the certificate was read again");
                }
                Err(error) => {
                    tracing::error!(error = %error, "the certificate is not taken up; the one in use stays");
                }
            }
        }
    }
}

async fn hangup(signal: &mut Option<tokio::signal::unix::Signal>) {
    let told = match signal {
        Some(signal) => signal.recv().await,
        None => None,
    };
    if told.is_none() {
        std::future::pending::<()>().await;
    }
}

fn load(certificate: &Path, key: &Path) -> Result<CertifiedKey, TlsSetupError> {
    let unreadable = |why: &dyn fmt::Display| TlsSetupError::Certificate {
        path: certificate.into(),
        why: why.to_string(),
    };
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect).map_err(|e| unreadable(&e))?;
    if chain.is_empty() {
        return Err(unreadable(&"there is none in it"));
    }
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|e| TlsSetupError::Key { path: key.into(), why: e.to_string() })?;
    CertifiedKey::from_der(chain, private, &ring::default_provider()).map_err(|e| TlsSetupError::Pair {
        certificate: certificate.into(),
        key: key.into(),
        why: e.to_string(),
    })
}

/// Takes connections that have shaken hands. Each handshake runs beside the others, so that a slow
/// caller holds up nobody.
#[derive(Debug)]
pub struct TlsListener {
    shaken: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr, Place)>,
    _accepting: AbortOnDropHandle<()>,
}

impl TlsListener {
    /// Begins to take connections. TLS 1.2 and newer.
    ///
    /// # Errors
    /// No version of TLS can be had.
    pub fn new(listener: TcpListener, served: &Served, connections: Connections) -> std::io::Result<Self> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(std::io::Error::other)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&served.current) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let (send, shaken) = mpsc::channel(SHAKEN);
        let accepting =
            tokio::spawn(accept(listener, connections, TlsAcceptor::from(Arc::new(config)), send));
        Ok(Self { shaken, _accepting: AbortOnDropHandle::new(accepting) })
    }
}

async fn accept(
    listener: TcpListener,
    connections: Connections,
    acceptor: TlsAcceptor,
    shaken: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr, Place)>,
) {
    let room = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let (stream, from, place) = connections.accept(&listener).await;
        let (acceptor, shaken) = (acceptor.clone(), shaken.clone());
        tokio::spawn(async move {
            let _permit = permit;
            match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => {
                    let _ = shaken.send((stream, from, place)).await;
                }
                Ok(Err(error)) => tracing::debug!(error = %error, client.address = %from, "no handshake"),
                Err(_) => tracing::debug!(client.address = %from, "no handshake in time"),
            }
        });
    }
}

impl Accept for TlsListener {
    type Io = TlsStream<TcpStream>;

    async fn accept(&mut self) -> (Self::Io, SocketAddr, Place) {
        match self.shaken.recv().await {
            Some(accepted) => accepted,
            // Only when the task that accepts has gone, with the server.
            None => std::future::pending().await,
        }
    }
}
