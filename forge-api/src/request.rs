//! One HTTP request to a FORGE: to our own server, for `forge health` and `forge demo --check`, or to one
//! elsewhere, for `forge push`, `pull` and `diff`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nats_config::tls;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

const DEADLINE: Duration = Duration::from_secs(30);
const ANSWER_MAX: u64 = 64 * 1024 * 1024;

#[derive(Debug, Clone, Copy)]
pub enum Method {
    Get,
    Post,
    Put,
}

/// A request.
#[derive(Debug)]
pub struct Request {
    head: String,
    body: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Why nothing came back.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    #[error("no answer from {0}")]
    Io(SocketAddr, #[source] std::io::Error),
    #[error("no answer from {0} in time")]
    Late(SocketAddr),
    #[error("what answers at {0} does not speak HTTP")]
    NoHttp(SocketAddr),
    #[error("{0:?} is no address of a FORGE: write for example https://forge.example.org")]
    Url(String),
    #[error("no address is known of {0}")]
    Unknown(String, #[source] std::io::Error),
    #[error("no certificate can be checked")]
    Trust(#[source] tls::TlsError),
}

impl Request {
    #[must_use]
    pub fn new(method: Method, path: &str) -> Self {
        let method = match method {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
        };
        Self { head: format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n"), body: Vec::new() }
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.head.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    #[must_use]
    pub fn json(mut self, body: &Value) -> Self {
        self.body = body.to_string().into_bytes();
        self.header("content-type", "application/json")
    }

    /// With these bytes as its body.
    #[must_use]
    pub fn bytes(mut self, body: Vec<u8>, kind: &str) -> Self {
        self.body = body;
        self.header("content-type", kind)
    }

    /// Sends it to the server of an address such as `https://forge.example.org`: over TLS where the address
    /// says so, to who shows a certificate of `ca` (PEM), or of an authority that the system trusts.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn send_to(self, url: &str, ca: Option<String>) -> Result<Answer, RequestError> {
        let bad = || RequestError::Url(url.to_owned());
        let (scheme, rest) = url.trim_end_matches('/').split_once("://").ok_or_else(bad)?;
        let is_secure = match scheme {
            "https" => true,
            "http" => false,
            _ => return Err(bad()),
        };
        if rest.is_empty() || rest.contains(['/', '@', '?', '#', ' ']) {
            return Err(bad());
        }
        let has_port = rest.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let port = if is_secure { 443 } else { 80 };
        let host = if has_port { rest.to_owned() } else { format!("{rest}:{port}") };
        let name = host.rsplit_once(':').map_or(rest, |(name, _)| name).trim_matches(['[', ']']).to_owned();
        let unknown = |e| RequestError::Unknown(name.clone(), e);
        let mut found = tokio::net::lookup_host(&host).await.map_err(unknown)?;
        let address = found.next().ok_or_else(|| unknown(std::io::ErrorKind::NotFound.into()))?;
        if !is_secure {
            return self.exchange(address, rest, async || TcpStream::connect(address).await).await;
        }
        let trust = schemas::connect::Tls { ca, pins: Vec::new() };
        let config = tls::client_config(&trust, Arc::new(|_| ())).map_err(RequestError::Trust)?;
        let connect = async || {
            let stream = TcpStream::connect(address).await?;
            let name = ServerName::try_from(name.clone()).map_err(std::io::Error::other)?;
            TlsConnector::from(Arc::new(config)).connect(name, stream).await
        };
        self.exchange(address, rest, connect).await
    }

    /// Sends it and reads the answer.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn send(self, address: SocketAddr) -> Result<Answer, RequestError> {
        self.exchange(address, &address.to_string(), async || TcpStream::connect(address).await).await
    }

    /// As [`Request::send`], to a server that shows exactly this certificate (PEM file).
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn send_over_tls(
        self,
        address: SocketAddr,
        certificate: PathBuf,
    ) -> Result<Answer, RequestError> {
        let connect = async || {
            let config = tls::exactly(certificate.clone()).map_err(std::io::Error::other)?;
            let stream = TcpStream::connect(address).await?;
            let name = ServerName::IpAddress(address.ip().into());
            TlsConnector::from(Arc::new(config)).connect(name, stream).await
        };
        self.exchange(address, &address.to_string(), connect).await
    }

    async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
        self,
        address: SocketAddr,
        host: &str,
        connect: impl AsyncFnOnce() -> std::io::Result<S>,
    ) -> Result<Answer, RequestError> {
        let exchange = async {
            let mut stream = connect().await?;
            let head = format!("{}host: {host}\r\ncontent-length: {}\r\n\r\n", self.head, self.body.len());
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&self.body).await?;
            stream.flush().await?;
            let mut bytes = Vec::new();
            stream.take(ANSWER_MAX).read_to_end(&mut bytes).await?;
            Ok(bytes)
        };
        let bytes = tokio::time::timeout(DEADLINE, exchange)
            .await
            .map_err(|_| RequestError::Late(address))?
            .map_err(|e| RequestError::Io(address, e))?;
        Answer::read(&bytes).ok_or(RequestError::NoHttp(address))
    }
}

impl Answer {
    fn read(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
        let head = std::str::from_utf8(bytes.get(..end)?).ok()?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines
            .filter_map(|l| l.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut answer = Self { status, headers, body: bytes.get(end + 4..)?.to_vec() };
        if answer.header("transfer-encoding").is_some_and(|t| t.eq_ignore_ascii_case("chunked")) {
            answer.body = unchunked(&answer.body)?;
        }
        Some(answer)
    }

    /// A header of the answer.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The body as text, for messages.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).chars().take(2000).collect()
    }
}

fn unchunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    loop {
        let end = rest.windows(2).position(|w| w == b"\r\n")?;
        let size = std::str::from_utf8(rest.get(..end)?).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(out);
        }
        let start = end + 2;
        out.extend_from_slice(rest.get(start..start + size)?);
        rest = rest.get(start + size + 2..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_whole_or_in_chunks() {
        let plain = Answer::read(b"HTTP/1.1 200 OK\r\nETag: \"3\"\r\n\r\nhello").unwrap();
        assert_eq!(
            (plain.status, plain.header("etag"), plain.body.as_slice()),
            (200, Some("\"3\""), &b"hello"[..])
        );
        let chunked =
            b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n";
        assert_eq!(Answer::read(chunked).unwrap().body, b"hello");
        assert!(Answer::read(b"SSH-2.0").is_none());
    }
}
