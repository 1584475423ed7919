//! Whether the servers of a connect file can be found and spoken to: names, ports, certificates.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::ServerAddr;
use async_nats::rustls::ClientConnection;
use async_nats::rustls::pki_types::ServerName;
use nats_config::tls;
use schemas::connect::{Connection, Tls};

use super::{Check, DAY, ENDS_SOON, Examination};
use crate::clock;

const PATIENCE: Duration = Duration::from_secs(3);
/// The greeting of a server is shorter, in bytes.
const GREETING_MAX: u64 = 16 * 1024;

/// One server, as far as it is known.
struct Server {
    address: ServerAddr,
    found: Vec<SocketAddr>,
    open: Option<SocketAddr>,
}

pub(super) async fn examine(connection: &Connection, allow_plain: bool, all: &mut Examination<'_>) {
    let addresses = connection.servers.iter().filter_map(|server| tls::address(server, allow_plain).ok());
    let mut servers: Vec<Server> =
        addresses.map(|address| Server { address, found: Vec::new(), open: None }).collect();
    all.note(names(&mut servers).await);
    if servers.iter().all(|server| server.found.is_empty()) {
        return all.skip(&["ports", "TLS"], "no server has an address");
    }
    all.note(ports(&mut servers).await);
    if servers.iter().all(|server| server.open.is_none()) {
        return all.skip(&["TLS"], "no server answers");
    }
    let trust = connection.tls.clone().unwrap_or_default();
    all.note(certificates(&servers, &trust).await);
}

/// Failed where nothing is left, a warning where something is.
fn summed(name: &'static str, good: &[String], bad: &[String], advice: &str) -> Check {
    match (good, bad) {
        (good, []) => Check::ok(name, good.join(", ")),
        ([], bad) => Check::failed(name, bad.join("; "), advice),
        (good, bad) => Check::warning(name, format!("{}; but {}", good.join(", "), bad.join("; ")), advice),
    }
}

async fn names(servers: &mut [Server]) -> Check {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for server in servers {
        let host = server.address.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let lookup = tokio::net::lookup_host((host.as_str(), server.address.port()));
        match tokio::time::timeout(PATIENCE, lookup).await {
            Ok(Ok(found)) => server.found = found.collect(),
            Ok(Err(error)) => bad.push(format!("{host}: {error}")),
            Err(_) => bad.push(format!("{host}: the name server does not answer")),
        }
        if let Some(first) = server.found.first() {
            good.push(format!("{host} is {}", first.ip()));
        }
    }
    let advice =
        "see that this machine's name server knows the host, or name another server in the connect file";
    summed("names", &good, &bad, advice)
}

async fn ports(servers: &mut [Server]) -> Check {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for server in servers.iter_mut().filter(|server| !server.found.is_empty()) {
        let mut why = String::new();
        for address in &server.found {
            match tokio::time::timeout(PATIENCE, tokio::net::TcpStream::connect(address)).await {
                Ok(Ok(_)) => {
                    server.open = Some(*address);
                    break;
                }
                Ok(Err(error)) => why = error.to_string(),
                Err(_) => why = "no answer: a firewall may be in between".into(),
            }
        }
        match server.open {
            Some(address) => good.push(format!("{address} is open")),
            None => bad.push(format!("{}:{}: {why}", server.address.host(), server.address.port())),
        }
    }
    summed("ports", &good, &bad, "see that the broker runs, and that a firewall lets this machine through")
}

async fn certificates(servers: &[Server], trust: &Tls) -> Check {
    let (mut good, mut bad, mut soon) = (Vec::new(), Vec::new(), Vec::new());
    for server in servers.iter().filter(|server| server.address.tls_required()) {
        let Some(address) = server.open else { continue };
        let (host, trust) = (server.address.host().to_owned(), trust.clone());
        let shaken = tokio::task::spawn_blocking(move || handshake(&host, address, &trust)).await;
        match shaken.unwrap_or_else(|error| Err(error.to_string())) {
            Ok(days) if days <= ENDS_SOON => {
                soon.push(format!("the certificate of {address} ends in {}", super::days(days)))
            }
            Ok(days) => {
                good.push(format!("{address} is believed, its certificate ends in {}", super::days(days)));
            }
            Err(why) => bad.push(format!("{address}: {why}")),
        }
    }
    const NAME: &str = "TLS";
    if good.is_empty() && bad.is_empty() && soon.is_empty() {
        let beyond = servers.iter().any(|server| !tls::is_loopback(server.address.host()));
        return if beyond {
            let found = "the broker is beyond this machine, and nothing is encrypted";
            Check::warning(NAME, found, "have the broker speak TLS, connect to tls://…, and drop allow_plain")
        } else {
            Check::ok(NAME, "none, and none is needed on this machine")
        };
    }
    if bad.is_empty() && !soon.is_empty() {
        return Check::warning(NAME, soon.join("; "), "whoever runs the broker has to renew it");
    }
    let advice = "take a new connect string from FORGE, which carries the broker's authority; and see this machine's clock";
    summed(NAME, &good, &bad, advice)
}

/// Shakes hands as the agent does; gives the days until the certificate ends.
fn handshake(host: &str, address: SocketAddr, trust: &Tls) -> Result<i64, String> {
    let text = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(text)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(text)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(text)?;
    let mut greeting = Vec::new();
    // The server says no more before the handshake: nothing of that is read here.
    let mut line = BufReader::new((&stream).take(GREETING_MAX));
    line.read_until(b'\n', &mut greeting).map_err(|_| "it does not greet: it is no NATS server")?;
    let greeting = String::from_utf8_lossy(&greeting);
    let info = greeting.strip_prefix("INFO ").ok_or("it does not greet as a NATS server does")?;
    let info: serde_json::Value =
        serde_json::from_str(info.trim()).map_err(|_| "its greeting is no NATS server's")?;
    if !["tls_required", "tls_available"].iter().any(|key| info[*key] == true) {
        return Err("it does not speak TLS, which the connection asks for".into());
    }
    let refused = Arc::new(Mutex::new(None));
    let note = Arc::clone(&refused);
    let note: tls::Refused =
        Arc::new(move |why| *note.lock().unwrap_or_else(PoisonError::into_inner) = Some(why));
    let config = tls::client_config(trust, note).map_err(|error| error.to_string())?;
    let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(bare).map_err(|error| error.to_string())?;
    let mut tls = ClientConnection::new(Arc::new(config), name).map_err(|error| error.to_string())?;
    while tls.is_handshaking() {
        if let Err(error) = tls.complete_io(&mut stream) {
            let why = refused.lock().unwrap_or_else(PoisonError::into_inner).take();
            return Err(why.unwrap_or_else(|| format!("the handshake failed: {error}")));
        }
    }
    let shown = tls.peer_certificates().and_then(|all| all.first()).ok_or("it shows no certificate")?;
    let (_, shown) = x509_parser::parse_x509_certificate(shown).map_err(|error| error.to_string())?;
    let ends = shown.validity().not_after.timestamp().saturating_mul(1_000_000);
    Ok((ends - clock::now()).div_euclid(DAY))
}
