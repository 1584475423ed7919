//! One request over one connection.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::endpoint::{Endpoint, Kind};
use crate::error::ModelError;
use crate::wire::ANTHROPIC_VERSION;

/// The connection, closed when it is dropped.
#[derive(Debug)]
pub(crate) struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Whom a client believes: the authorities of the system, or those in a PEM file.
pub(crate) fn client(ca: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(path) => {
            let unusable = |e: &dyn std::fmt::Display| format!("ca {}: {e}", path.display());
            for certificate in CertificateDer::pem_file_iter(path).map_err(|e| unusable(&e))? {
                let certificate = certificate.map_err(|e| unusable(&e))?;
                roots.add(certificate).map_err(|e| unusable(&e))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("TLS: {e}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Connects and sends; gives the head of the answer. No redirect is followed: the key goes to this address only.
pub(crate) async fn send(
    endpoint: &Endpoint,
    body: Vec<u8>,
    connect: Duration,
    first_byte: Duration,
) -> Result<(Response<Incoming>, Driver), ModelError> {
    let unreachable = |why: String| ModelError::Unreachable { endpoint: endpoint.name.clone(), why };
    let late = |wait: Duration| ModelError::Late { endpoint: endpoint.name.clone(), seconds: wait.as_secs() };
    let request = request(endpoint, body).map_err(|e| unreachable(e.to_string()))?;
    let opened = timeout(connect, open(endpoint)).await.map_err(|_| late(connect))?;
    let (mut sender, driver) = opened.map_err(|e| unreachable(e.to_string()))?;
    let answer = timeout(first_byte, sender.send_request(request)).await.map_err(|_| late(first_byte))?;
    answer.map(|response| (response, driver)).map_err(|e| unreachable(e.to_string()))
}

async fn open(endpoint: &Endpoint) -> io::Result<(http1::SendRequest<Full<Bytes>>, Driver)> {
    let host = endpoint.uri.host().unwrap_or_default();
    let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = endpoint.uri.port_u16().unwrap_or(if endpoint.tls.is_some() { 443 } else { 80 });
    let stream = TcpStream::connect((name.as_str(), port)).await?;
    stream.set_nodelay(true)?;
    match &endpoint.tls {
        None => handshake(stream).await,
        Some(config) => {
            let name = ServerName::try_from(name).map_err(io::Error::other)?;
            handshake(TlsConnector::from(Arc::clone(config)).connect(name, stream).await?).await
        }
    }
}

async fn handshake<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
) -> io::Result<(http1::SendRequest<Full<Bytes>>, Driver)> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // What goes wrong on it is told to who reads the answer.
    let task = tokio::spawn(async move { drop(connection.await) });
    Ok((sender, Driver(task)))
}

fn request(endpoint: &Endpoint, body: Vec<u8>) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    let path = endpoint.uri.path_and_query().map_or("/", |p| p.as_str());
    let host = endpoint.uri.authority().map_or("", |a| a.as_str());
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let mut request = Request::post(path)
        .header(HOST, host)
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "text/event-stream")
        .header(USER_AGENT, concat!("anvil-forge/", env!("CARGO_PKG_VERSION")));
    let (name, before) = match endpoint.kind {
        Kind::OpenAi => (AUTHORIZATION, "Bearer "),
        Kind::Anthropic => {
            let version = HeaderName::from_static("anthropic-version");
            request = request.header(version, HeaderValue::from_static(ANTHROPIC_VERSION));
            (HeaderName::from_static("x-api-key"), "")
        }
    };
    if let Some(key) = endpoint.key.as_ref().and_then(|key| key.header(before)) {
        request = request.header(name, key);
    }
    request.body(Full::new(Bytes::from(body)))
}
