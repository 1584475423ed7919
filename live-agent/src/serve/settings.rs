//! How a sidecar is served, and what the settings say of it.

use std::net::SocketAddr;
use std::time::Duration;

use super::Bounds;
use super::listen::SocketPlace;
use super::token::Tokens;
use crate::config::ConfigError;
use crate::config::options::{Given, read};

/// Where it listens if nothing else is said.
const LISTEN: &str = "127.0.0.1:7460";

/// How a sidecar is served.
#[derive(Debug, Clone)]
pub struct Settings {
    /// TCP addresses.
    pub listen: Vec<SocketAddr>,
    pub socket: Option<SocketPlace>,
    /// Who may come in over TCP; none: everybody on this machine.
    pub tokens: Option<Tokens>,
    /// Whether an address may be one that other machines reach.
    pub allow_remote: bool,
    /// Names that it may be called by, besides those of loopback.
    pub hosts: Vec<String>,
    pub bounds: Bounds,
    /// How long the head of a request may take, a connection be silent between two, and a caller take nothing
    /// of its answer.
    pub head_time: Duration,
    /// Connections at once by each address, and by the Unix socket; more wait until one ends.
    pub connections: usize,
    /// Threads that serve.
    pub workers: usize,
    /// How long new connections are still taken once it is told to end.
    pub drain_delay: Duration,
    /// How long what runs then may still take.
    pub drain_time: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            socket: None,
            tokens: None,
            allow_remote: false,
            hosts: Vec::new(),
            bounds: Bounds::default(),
            head_time: Duration::from_secs(30),
            connections: 512,
            workers: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            drain_delay: Duration::from_secs(1),
            drain_time: Duration::from_secs(20),
        }
    }
}

impl Settings {
    /// What the part `[serve]` says, with its defaults. Where nothing is said of where to listen, on
    /// `127.0.0.1:7460`. The tokens are not read.
    ///
    /// # Errors
    /// A value that is none of its setting.
    pub fn of(given: &Given) -> Result<Self, ConfigError> {
        let own = Self::default();
        let number = |key, other| Ok::<_, ConfigError>(said(given, key, read::number)?.unwrap_or(other));
        let count = |key, other: usize| {
            let many = said(given, key, read::number)?;
            Ok::<_, ConfigError>(many.map_or(other, |many| usize::try_from(many).unwrap_or(usize::MAX)))
        };
        let time = |key, other: Duration| {
            let ms = u64::try_from(other.as_millis()).unwrap_or(u64::MAX);
            Ok::<_, ConfigError>(Duration::from_millis(number(key, ms)?))
        };
        let socket = match given.path("socket") {
            None => None,
            Some(path) => Some(SocketPlace {
                path,
                mode: said(given, "socket_mode", read::mode)?.unwrap_or(0o600),
                group: given.text("socket_group"),
            }),
        };
        let mut listen = said(given, "listen", read::addresses)?.unwrap_or_default();
        if listen.is_empty() && socket.is_none() {
            listen = said_by_default(LISTEN)?;
        }
        Ok(Self {
            listen,
            socket,
            tokens: None,
            allow_remote: said(given, "allow_remote", read::switch)?.unwrap_or_default(),
            hosts: given
                .text("allow_host")
                .map(|all| read::words(&all).map(str::to_owned).collect())
                .unwrap_or_default(),
            bounds: Bounds {
                body: count("body_max", own.bounds.body)?,
                body_time: time("body_time_ms", own.bounds.body_time)?,
                readers: count("event_readers", own.bounds.readers)?,
            },
            head_time: time("head_time_ms", own.head_time)?,
            connections: count("connections", own.connections)?,
            workers: count("workers", own.workers)?,
            drain_delay: time("drain_delay_ms", own.drain_delay)?,
            drain_time: time("drain_time_ms", own.drain_time)?,
        })
    }
}

fn said<T>(
    given: &Given,
    key: &'static str,
    understood: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, ConfigError> {
    Ok(given.parsed(key, understood)?)
}

fn said_by_default(text: &str) -> Result<Vec<SocketAddr>, ConfigError> {
    read::addresses(text).map_err(|why| ConfigError::Invalid { key: "listen", why })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::options::{OPTIONS, Place};

    fn of(said: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let lookup = |name: &str| said.iter().find(|(key, _)| *key == name).map(|(_, text)| (*text).into());
        Settings::of(&Given::environment(lookup))
    }

    #[test]
    fn the_defaults_of_the_table_are_those_that_hold() {
        let own = of(&[]).unwrap();
        for setting in OPTIONS.iter().filter(|s| s.place == Place::Serve && !s.default.is_empty()) {
            let said = of(&[(setting.variable, setting.default)]).unwrap();
            let same = format!("{said:?}") == format!("{own:?}");
            assert!(same, "{} = {}: {said:?}", setting.key, setting.default);
        }
        assert_eq!(own.listen, ["127.0.0.1:7460".parse().unwrap()]);
    }

    #[test]
    fn every_setting_of_the_sidecar_changes_something() {
        let own = format!("{:?}", of(&[("LIVE_SOCKET", "/x")]).unwrap());
        for setting in OPTIONS.iter().filter(|s| s.place == Place::Serve) {
            let other = match setting.key {
                // Those of the token are read by the program, which has the profile.
                "token_file" | "no_token" => continue,
                "listen" => "127.0.0.1:1,[::1]:2",
                "socket" => "/y",
                "socket_mode" => "0660",
                "socket_group" => "web",
                "allow_remote" => "true",
                "allow_host" => "a.internal, b.internal",
                _ => "7",
            };
            let socket = ("LIVE_SOCKET", if setting.key == "socket" { other } else { "/x" });
            let said = of(&[socket, (setting.variable, other)]).unwrap();
            assert_ne!(format!("{said:?}"), own, "{}", setting.key);
        }
        let said = of(&[("LIVE_ALLOW_HOST", "a.internal, b.internal")]).unwrap();
        assert_eq!(said.hosts, ["a.internal", "b.internal"]);
        let wrong = of(&[("LIVE_LISTEN", "localhost:1")]).unwrap_err().to_string();
        assert!(wrong.starts_with("listen: ") && wrong.contains("LIVE_LISTEN"), "{wrong}");
    }
}
