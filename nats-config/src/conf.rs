//! The server's configuration files.
//!
//! The files a person would use stand in `conf/` and are built in here; the configuration of the
//! private server and the operator file are written from keys.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// Largest message on the wire in bytes: a bundle of 8 MiB and a little for its headers.
pub const MAX_PAYLOAD: u64 = 8 * 1024 * 1024 + 512 * 1024;
/// What a connection may have waiting, in bytes, before the server cuts it off: stalled agents
/// would otherwise eat its memory.
pub const MAX_PENDING: u64 = 16 * 1024 * 1024;
/// How long one write to a client may take.
pub const WRITE_DEADLINE: &str = "3s";

/// One server with TLS.
pub const SERVER: &str = include_str!("../conf/server.conf");
/// One of three servers of a cluster.
pub const CLUSTER: &str = include_str!("../conf/cluster.conf");
/// A leaf node near the agents.
pub const LEAF: &str = include_str!("../conf/leaf.conf");
/// The server of `compose.yaml`.
pub const COMPOSE: &str = include_str!("../conf/compose.conf");
/// What all of them share; they include it by its name.
pub const COMMON: &str = include_str!("../conf/common.conf");
/// Every file with its name, as `forge nats-config` writes them.
pub const FILES: [(&str, &str); 5] = [
    ("common.conf", COMMON),
    ("server.conf", SERVER),
    ("cluster.conf", CLUSTER),
    ("leaf.conf", LEAF),
    ("compose.conf", COMPOSE),
];
/// Name of the file that [`Operator`] is written to, as the others include it.
pub const OPERATOR_FILE: &str = "operator.conf";

/// Log of the private server, within its directory.
pub const LOG_FILE: &str = "nats-server.log";
/// Streams of the private server, within its directory.
pub const STREAMS: &str = "jetstream";
/// Account JWTs of the private server, within its directory.
pub const ACCOUNTS: &str = "accounts";

/// The operator's trust: who may make accounts, and the system account to start with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// The operator's JWT.
    pub operator: String,
    /// Public key of the system account.
    pub system_account: String,
    /// JWT of the system account.
    pub system_jwt: String,
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Written by `forge nats-config`. Nothing in it is secret.")?;
        writeln!(f, "operator: {}", quoted(&self.operator))?;
        writeln!(f, "system_account: {}", self.system_account)?;
        writeln!(f, "resolver_preload: {{\n  {}: {}\n}}", self.system_account, quoted(&self.system_jwt))
    }
}

/// Who can reach a private server, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exposure {
    /// The address to listen on; the loopback interface where none is given.
    pub host: Option<IpAddr>,
    /// The port; where none is given, one that stays the same over restarts.
    pub port: Option<u16>,
    /// With this every client needs TLS.
    pub tls: Option<ServerTls>,
}

impl Exposure {
    /// The address to listen on.
    #[must_use]
    pub fn host(&self) -> IpAddr {
        self.host.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }
}

/// What a server shows to its clients: PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTls {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// The configuration of FORGE's private server.
#[derive(Debug, Clone)]
pub struct Embedded<'a> {
    pub name: &'a str,
    pub port: u16,
    pub exposure: &'a Exposure,
    /// Holds `jetstream/` and `accounts/`.
    pub directory: &'a Path,
    pub operator: &'a Operator,
}

impl fmt::Display for Embedded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let below = |name: &str| quoted(&self.directory.join(name).to_string_lossy());
        writeln!(f, "# Written by forge at each start; changes are lost.")?;
        writeln!(f, "server_name: {}", quoted(self.name))?;
        writeln!(f, "listen: \"{}\"", SocketAddr::new(self.exposure.host(), self.port))?;
        if let Some(tls) = &self.exposure.tls {
            let (certificate, key) = (tls.certificate.to_string_lossy(), tls.key.to_string_lossy());
            writeln!(
                f,
                "tls: {{ cert_file: {}, key_file: {}, min_version: \"1.2\" }}",
                quoted(&certificate),
                quoted(&key)
            )?;
        }
        writeln!(f, "max_payload: {MAX_PAYLOAD}")?;
        writeln!(f, "max_pending: {MAX_PENDING}")?;
        writeln!(f, "write_deadline: \"{WRITE_DEADLINE}\"")?;
        writeln!(f, "max_connections: 65536")?;
        writeln!(f, "log_file: {}", below(LOG_FILE))?;
        writeln!(f, "logfile_size_limit: 16777216\nlogfile_max_num: 4")?;
        writeln!(f, "jetstream: {{ store_dir: {} }}", below(STREAMS))?;
        writeln!(f, "resolver: {{ type: full, dir: {}, allow_delete: true }}", below(ACCOUNTS))?;
        write!(f, "{}", self.operator)
    }
}

/// A string of a configuration file.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_and_the_private_server_have_the_same_bounds() {
        assert!(COMMON.contains(&format!("max_payload: {MAX_PAYLOAD}\n")));
        assert!(COMMON.contains(&format!("max_pending: {MAX_PENDING}\n")));
        assert!(COMMON.contains(&format!("write_deadline: \"{WRITE_DEADLINE}\"\n")));
        assert!(MAX_PAYLOAD > crate::stream::MESSAGE_MAX.unsigned_abs().into());
    }

    #[test]
    fn a_path_with_quotes_stays_one_string() {
        assert_eq!(quoted(r#"/data/"a\b""#), r#""/data/\"a\\b\"""#);
    }
}
