//! Whether a server that should speak TLS does not: the one thing that a failed handshake does not tell.

use std::time::Duration;

use async_nats::ServerAddr;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::TcpStream;

const ANSWER: Duration = Duration::from_secs(2);
/// The greeting of a server is shorter, in bytes.
const GREETING_MAX: u64 = 16 * 1024;

/// The first of these servers whose greeting offers no TLS.
pub(super) async fn first(servers: &[ServerAddr]) -> Option<String> {
    for server in servers.iter().filter(|s| s.tls_required()) {
        let address = format!("{}:{}", server.host(), server.port());
        if matches!(tokio::time::timeout(ANSWER, offers_tls(&address)).await, Ok(Ok(false))) {
            return Some(address);
        }
    }
    None
}

async fn offers_tls(address: &str) -> std::io::Result<bool> {
    let stream = TcpStream::connect(address).await?;
    let mut greeting = String::new();
    BufReader::new(stream.take(GREETING_MAX)).read_line(&mut greeting).await?;
    let invalid = || std::io::Error::from(std::io::ErrorKind::InvalidData);
    let info = greeting.strip_prefix("INFO ").ok_or_else(invalid)?;
    let info: serde_json::Value = serde_json::from_str(info).map_err(|_| invalid())?;
    Ok(["tls_required", "tls_available"].iter().any(|key| info[key] == true))
}
