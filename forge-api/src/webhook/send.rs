//! One request to somebody else's server, as a program that serves others may send it.
//!
//! The address is written by a user of FORGE, and FORGE stands in a network that the user does not: it is looked up
//! once, what it leads to is held against what is public, and the connection is made to that very address. Redirects
//! are not followed. Only https, except where the operator lets webhooks go to private addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::http::uri::Scheme;
use hyper::http::{HeaderValue, Request, Uri, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

/// Longest address.
const URL_MAX: usize = 2000;
/// From looking the address up to the end of the answer.
pub(crate) const DEADLINE: Duration = Duration::from_secs(15);
/// So much of an answer is read, in bytes.
const ANSWER_MAX: usize = 64 * 1024;
/// And so much of it is kept, in characters.
const KEPT: usize = 500;

/// Where something is sent.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    uri: Uri,
    host: String,
    port: u16,
    tls: bool,
    private: bool,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// How it begins.
    pub(crate) text: String,
}

/// The host of an address, which may be shown where the whole must not.
pub(crate) fn host_of(url: &str) -> String {
    url.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default()
}

impl Target {
    /// Reads an address; `private` lets it be one of a private network, and http.
    ///
    /// # Errors
    /// Why it cannot be one, and what could.
    pub(crate) fn parse(url: &str, private: bool) -> Result<Self, String> {
        if url.len() > URL_MAX {
            return Err(format!("an address has at most {URL_MAX} characters"));
        }
        let uri: Uri =
            url.parse().map_err(|_| "write an address such as https://example.org/hook".to_owned())?;
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP && private => false,
            _ => return Err("webhooks go over https: write https://…".into()),
        };
        let Some(authority) = uri.authority() else { return Err("the address names no host".into()) };
        if authority.as_str().contains('@') {
            return Err(
                "the address holds a name or a password: leave it out, the signature says who sends".into()
            );
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if let Ok(ip) = host.parse::<IpAddr>()
            && !private
            && !is_public(ip)
        {
            return Err(refusal(&host));
        }
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Self { host, port, tls, private, uri })
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// An address that may be connected to.
    async fn resolve(&self) -> Result<SocketAddr, String> {
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let mut found = found.map_err(|e| format!("{} was not found: {e}", self.host))?;
        let first = found.find(|address| self.private || is_public(address.ip()));
        first.ok_or_else(|| refusal(&self.host))
    }

    /// Posts a body with these headers.
    ///
    /// # Errors
    /// Why nothing came back, in a sentence.
    pub(crate) async fn post(
        &self,
        tls: Arc<ClientConfig>,
        headers: &[(&'static str, String)],
        body: String,
    ) -> Result<Answer, String> {
        let sending = async {
            let stream = TcpStream::connect(self.resolve().await?).await;
            let stream = stream.map_err(|e| format!("{} cannot be connected to: {e}", self.host))?;
            if !self.tls {
                return self.exchange(stream, headers, body).await;
            }
            let name = ServerName::try_from(self.host.clone()).map_err(|e| e.to_string())?;
            let stream = TlsConnector::from(tls).connect(name, stream).await;
            self.exchange(stream.map_err(|e| format!("no TLS with {}: {e}", self.host))?, headers, body).await
        };
        match tokio::time::timeout(DEADLINE, sending).await {
            Ok(done) => done,
            Err(_) => Err(format!("no answer within {} s", DEADLINE.as_secs())),
        }
    }

    async fn exchange<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        stream: S,
        headers: &[(&'static str, String)],
        body: String,
    ) -> Result<Answer, String> {
        let broken = |e: hyper::Error| format!("the connection to {} broke: {e}", self.host);
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let driving = tokio::spawn(connection);
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let host = self.uri.authority().map_or("", |authority| authority.as_str());
        let mut request = Request::post(path).header(header::HOST, host);
        for (name, value) in headers {
            request = request.header(*name, HeaderValue::from_str(value).map_err(|e| e.to_string())?);
        }
        let request = request.body(Full::new(Bytes::from(body))).map_err(|e| e.to_string())?;
        let answered = sender.send_request(request).await.map_err(broken);
        let answer = match answered {
            Ok(answer) => {
                let status = answer.status().as_u16();
                // A status is an answer, however the rest of it goes on.
                let read = Limited::new(answer.into_body(), ANSWER_MAX).collect().await;
                let bytes = read.map(|body| body.to_bytes()).unwrap_or_default();
                let text =
                    String::from_utf8_lossy(&bytes).chars().filter(|c| *c != '\0').take(KEPT).collect();
                Ok(Answer { status, text })
            }
            Err(why) => Err(why),
        };
        driving.abort();
        answer
    }
}

fn refusal(host: &str) -> String {
    format!(
        "{host} is no address of the public network; the operator may allow it (--webhook-private-addresses)"
    )
}

/// Whether an address is one of the public network, not of this machine, its neighbours or anything special.
pub(crate) fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => is_public_v4(ip),
            None => is_public_v6(ip),
        },
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation()
        || ip.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19));
    !special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, ..] = ip.segments();
    // Only global unicast; within it, what carries another network's address inside is none.
    let global = a & 0xe000 == 0x2000;
    let special = a == 0x2002 || (a == 0x2001 && (b < 0x0200 || b == 0x0db8)) || (a == 0x3fff && b < 0x1000);
    global && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_public_network_is_public() {
        for public in ["93.184.216.34", "8.8.8.8", "2606:2800:220:1::1", "::ffff:8.8.8.8", "100.128.0.1"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for private in [
            "127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "2002:7f00:1::",
            "2001::1",
            "64:ff9b::7f00:1",
            "2001:db8::1",
            "ff02::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
    }

    #[test]
    fn odd_addresses_are_refused_when_they_are_written() {
        for bad in [
            "",
            "example.org",
            "/hook",
            "ftp://example.org",
            "http://example.org/",
            "https://",
            "https://user:word@example.org/",
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://10.1.2.3:8443/x",
            "https://[::ffff:10.0.0.1]/",
            "javascript:alert(1)",
            "https://example.org/\u{0}",
            &format!("https://example.org/{}", "a".repeat(URL_MAX)),
        ] {
            assert!(Target::parse(bad, false).is_err(), "{bad}");
        }
        assert!(Target::parse("https://hooks.example.org/a?b=c", false).is_ok());
        let local = Target::parse("http://127.0.0.1:8080/x", true).unwrap();
        assert_eq!((local.host(), local.port, local.tls), ("127.0.0.1", 8080, false));
    }

    #[tokio::test]
    async fn a_name_that_leads_to_this_machine_is_refused_when_it_is_looked_up() {
        let target = Target::parse("https://localhost/", false).unwrap();
        let why = target.resolve().await.unwrap_err();
        assert!(why.contains("no address of the public network"), "{why}");
    }
}
