//! TLS: certificates of FORGE's own authority or given ones, for the pages and the embedded broker,
//! and what FORGE and agents hold the broker's certificate against.
//!
//! Pages and embedded broker share one certificate of the own authority. It lies, with its key, in
//! `tls/` of the data directory, and is made anew well before it ends. The authority's key lies sealed
//! in the database.

mod authority;
mod serve;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use nats_config::conf::{Exposure, ServerTls};
use nats_config::tls::{self, TlsError};
use publisher::Trust;

pub use authority::{Authority, AuthorityError};
pub use serve::{Served, TlsListener, TlsSetupError};

use crate::config::{Config, Tls};
use crate::database::Database;
use crate::error::{ApiError, Result};
use crate::seal::Sealer;
use crate::state::AppState;

/// The authority's certificate, below the data directory.
pub const AUTHORITY_FILE: &str = "tls/ca.pem";
const CERTIFICATE: &str = "tls/server.pem";
const KEY: &str = "tls/server.key";

/// The authority, where one is needed, and what was seen of the broker's certificate.
#[derive(Debug)]
pub struct TlsFiles {
    authority: Option<Authority>,
    /// When the broker's certificate and key were written, at the last look.
    broker_seen: Mutex<Option<[Option<SystemTime>; 2]>>,
}

impl TlsFiles {
    /// Opens the authority, or makes it, where an option asks for one.
    ///
    /// # Errors
    /// The database refuses, or the authority cannot be made or read.
    pub async fn open(config: &Config, database: &Database, sealer: &Sealer) -> Result<Self> {
        let needed = config.tls == Tls::Auto || config.nats_tls == Tls::Auto;
        let authority = if needed { Some(Authority::open(database, sealer).await?) } else { None };
        Ok(Self { authority, broker_seen: Mutex::default() })
    }

    /// FORGE's own authority, where it is in use.
    #[must_use]
    pub fn authority(&self) -> Option<&Authority> {
        self.authority.as_ref()
    }

    /// What agents hold the broker's certificate against: goes into their connection.
    ///
    /// # Errors
    /// The file of the option `nats-ca` cannot be read.
    pub fn for_agents(&self, config: &Config) -> Result<Option<schemas::connect::Tls>> {
        let ca = match (&config.nats_ca, &self.authority) {
            (Some(path), _) => Some(read_authority(path)?),
            (None, Some(own)) if config.nats_tls == Tls::Auto => Some(own.certificate().to_owned()),
            _ => None,
        };
        let pins = config.nats_pins.clone();
        Ok((ca.is_some() || !pins.is_empty()).then_some(schemas::connect::Tls { ca, pins }))
    }

    /// What FORGE itself believes to be its broker.
    ///
    /// # Errors
    /// As [`TlsFiles::for_agents`].
    pub fn for_forge(&self, config: &Config) -> Result<Trust> {
        Ok(Trust {
            tls: self.for_agents(config)?.unwrap_or_default(),
            allow_plain: config.allow_plain_nats,
            own: match &config.nats_tls {
                Tls::Off => None,
                other => certificate_file(config, other),
            },
        })
    }

    /// Who can reach the embedded broker, and with which certificate; one of the own authority is made
    /// where it is time.
    ///
    /// # Errors
    /// The certificate cannot be made.
    pub fn embedded_broker(&self, state: &AppState) -> Result<Exposure> {
        let config = &state.config;
        let tls = self.files(state, &config.nats_tls)?;
        // The server runs in a folder of its own.
        let whole = |path: PathBuf| path.canonicalize().unwrap_or(path);
        Ok(Exposure {
            host: config.nats_listen.map(|a| a.ip()),
            port: config.nats_listen.map(|a| a.port()).filter(|port| *port != 0),
            tls: tls.map(|(certificate, key)| ServerTls { certificate: whole(certificate), key: whole(key) }),
        })
    }

    /// Whether the embedded broker's certificate or key is another one than at the last look.
    pub fn broker_certificate_changed(&self, state: &AppState) -> bool {
        let (certificate, key) = match self.files(state, &state.config.nats_tls) {
            Ok(Some(files)) => files,
            Ok(None) => return false,
            Err(error) => {
                tracing::warn!(error = %error, "the certificate could not be made anew");
                return false;
            }
        };
        let now = [certificate, key].map(|file| std::fs::metadata(file).and_then(|m| m.modified()).ok());
        let mut seen = self.broker_seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.replace(now).is_some_and(|before| before != now)
    }

    /// The files that a server is to show, made where they have to be.
    fn files(&self, state: &AppState, tls: &Tls) -> Result<Option<(PathBuf, PathBuf)>> {
        match tls {
            Tls::Off => Ok(None),
            Tls::Files { certificate, key } => Ok(Some((certificate.clone(), key.clone()))),
            Tls::Auto => {
                let Some(authority) = &self.authority else { return Ok(None) };
                let names = names(&state.config, &state.public_url);
                authority.issue(&state.config.data_dir, &names).map_err(ApiError::internal)?;
                let below = |name: &str| state.config.data_dir.join(name);
                Ok(Some((below(CERTIFICATE), below(KEY))))
            }
        }
    }
}

/// What pages and API are served with, if it is not plain.
///
/// # Errors
/// Certificate or key cannot be read, or do not belong together.
pub fn for_pages(state: &AppState) -> anyhow::Result<Option<Served>> {
    match state.tls.files(state, &state.config.tls)? {
        None => Ok(None),
        Some((certificate, key)) => {
            let renewed = (state.config.tls == Tls::Auto).then(|| state.clone());
            Ok(Some(Served::read(certificate, key, renewed)?))
        }
    }
}

/// Makes the certificate of the own authority anew where it is time.
fn renew(state: &AppState) {
    if let Err(error) = state.tls.files(state, &Tls::Auto) {
        tracing::warn!(error = %error, "the certificate could not be made anew");
    }
}

/// The certificate that a FORGE with this configuration serves pages with.
#[must_use]
pub fn served_certificate(config: &Config) -> Option<PathBuf> {
    certificate_file(config, &config.tls)
}

fn certificate_file(config: &Config, tls: &Tls) -> Option<PathBuf> {
    match tls {
        Tls::Off => None,
        Tls::Auto => Some(config.data_dir.join(CERTIFICATE)),
        Tls::Files { certificate, .. } => Some(certificate.clone()),
    }
}

fn read_authority(path: &Path) -> Result<String> {
    let unusable = |why: String| {
        ApiError::Unavailable(format!("the broker's authority {} cannot be used: {why}", path.display()))
    };
    let text = std::fs::read_to_string(path).map_err(|e| unusable(e.to_string()))?;
    tls::pin_of(&text).map_err(|e: TlsError| unusable(e.to_string()))?;
    Ok(text)
}

/// Every name under which FORGE or its broker may be reached.
fn names(config: &Config, public_url: &str) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    names.extend(nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()));
    names.extend(host_of(public_url));
    names.extend(config.agent_nats_url.iter().filter_map(|url| host_of(url)));
    let listens = [Some(config.listen), config.nats_listen].into_iter().flatten();
    names.extend(listens.map(|a| a.ip()).filter(|ip| !ip.is_unspecified()).map(|ip| ip.to_string()));
    names.extend(config.tls_names.iter().cloned());
    names.sort();
    names.dedup();
    names
}

/// The host of `scheme://host:port/path`.
fn host_of(url: &str) -> Option<String> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next()?,
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    };
    (!host.is_empty()).then(|| host.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_an_address_is_found() {
        for (url, host) in [
            ("https://forge.example:7450/x", Some("forge.example")),
            ("tls://[::1]:4222", Some("::1")),
            ("forge.example", Some("forge.example")),
            ("https://", None),
        ] {
            assert_eq!(host_of(url).as_deref(), host, "{url}");
        }
    }
}
