//! One request to the provider: to its own address, bounded in time and size, and no redirect is followed.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// A provider may take so long.
const PATIENCE: Duration = Duration::from_secs(15);
/// Largest answer that is read, in bytes.
const ANSWER_MAX: usize = 1024 * 1024;

/// Whom a client believes: the authorities of the system.
static TRUSTED: LazyLock<Result<Arc<ClientConfig>, String>> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
});

/// Sends a request whose address is whole; gives status and body.
pub(super) async fn send(request: Request<Full<Bytes>>) -> Result<(u16, Bytes), Error> {
    tokio::time::timeout(PATIENCE, exchange(request)).await.map_err(|_| "no answer in time")?
}

async fn exchange(mut request: Request<Full<Bytes>>) -> Result<(u16, Bytes), Error> {
    let address = request.uri().clone();
    let host = address.host().ok_or("the address has no host")?;
    let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let is_tls = address.scheme_str() == Some("https");
    let port = address.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let authority = match address.port_u16() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    request.headers_mut().insert(HOST, authority.parse()?);
    *request.uri_mut() =
        address.path_and_query().map_or_else(|| "/".parse::<Uri>(), |p| p.as_str().parse())?;
    let stream = TcpStream::connect((name.as_str(), port)).await?;
    if !is_tls {
        return over(stream, request).await;
    }
    let config = TRUSTED.as_ref().map_err(Clone::clone)?;
    let server = ServerName::try_from(name)?;
    over(TlsConnector::from(Arc::clone(config)).connect(server, stream).await?, request).await
}

async fn over<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> Result<(u16, Bytes), Error> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // What goes wrong on it is told to who reads the answer.
    let driver = tokio::spawn(async move { drop(connection.await) });
    let answer = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await?.to_bytes();
        Ok::<_, Error>((status, body))
    };
    let done = answer.await;
    driver.abort();
    done
}
