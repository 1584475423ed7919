//! Configuration: flag > environment > file > default. Every option stands once, in [`OPTIONS`].

mod options;
mod people;
mod values;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use nats_config::tls;

pub use options::{OPTIONS, Setting, table};
pub use people::{Oidc, Security, Smtp};
use values::{Values, bad, read_file};

use crate::database::Address;
use crate::seal::{SealError, Sealer};

/// Why the configuration cannot be used. The process then ends with exit code 64.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{key}: {detail} (flag --{key} or variable {variable})")]
    Value { key: &'static str, variable: &'static str, detail: String },
    #[error("config: line {line} of {path} is no `key = value` with a known key")]
    Line { path: String, line: usize },
    #[error("config: {path} cannot be read")]
    File {
        path: String,
        #[source]
        source: std::io::Error,
    },
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// What `forge` runs with.
#[derive(Debug, Clone)]
pub struct Config {
    pub listen: SocketAddr,
    pub public_url: Option<String>,
    pub data_dir: PathBuf,
    pub database: Address,
    pub master_key: MasterKey,
    /// Empty: embedded.
    pub nats_url: Vec<String>,
    pub agent_nats_url: Vec<String>,
    /// How pages and API are served.
    pub tls: Tls,
    pub tls_names: Vec<String>,
    pub allow_plain_http: bool,
    /// Of the embedded broker.
    pub nats_listen: Option<SocketAddr>,
    pub nats_tls: Tls,
    pub nats_ca: Option<PathBuf>,
    pub nats_pins: Vec<String>,
    pub allow_plain_nats: bool,
    pub nats_server: Option<PathBuf>,
    pub nats_replicas: usize,
    pub tools_dir: PathBuf,
    pub heartbeat: Duration,
    pub status: Duration,
    pub max_agents: u32,
    pub session: Duration,
    pub session_max: Duration,
    pub sign_in_per_minute: u32,
    pub requests_per_second: u32,
    pub organisations: Founders,
    /// Whether each new person gets an organisation of their own.
    pub personal_organisations: bool,
    /// None: no mail is sent.
    pub smtp: Option<Smtp>,
    /// None: people sign in by password or link.
    pub oidc: Option<Oidc>,
    /// Whose word about the client's address is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// What the playground runs prompts with; empty: nothing.
    pub models: models::Endpoints,
    pub webhook_private_addresses: bool,
    pub webhook_retry: Duration,
    pub log: String,
    pub log_format: LogFormat,
}

/// Who makes organisations, besides the console and the set-up link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Founders {
    /// Whoever owns one already.
    Owners,
    /// Whoever is signed in.
    Anyone,
    /// Nobody.
    Console,
}

/// Whether a server speaks TLS, and with which certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    Off,
    /// One of FORGE's own authority.
    Auto,
    /// PEM files.
    Files {
        certificate: PathBuf,
        key: PathBuf,
    },
}

/// Where the master key comes from.
#[derive(Clone)]
pub enum MasterKey {
    Value(zeroize::Zeroizing<String>),
    File {
        path: PathBuf,
        /// Whether one is made where there is none.
        make: bool,
    },
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Value(_) => f.write_str("<secret>"),
            Self::File { path, .. } => path.fmt(f),
        }
    }
}

impl MasterKey {
    /// Reads the key, or makes it.
    ///
    /// # Errors
    /// As [`Sealer::from_file`].
    pub fn open(&self) -> Result<Sealer, SealError> {
        match self {
            Self::Value(text) => Sealer::from_base64(text),
            Self::File { path, make } => Sealer::from_file(path, *make),
        }
    }
}

impl Config {
    /// Puts the configuration together.
    ///
    /// # Errors
    /// [`ConfigError`], naming the key.
    pub fn load(
        flags: &dyn Fn(&str) -> Option<String>,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut values = Values { flags, environment, file: BTreeMap::new() };
        if let Some(path) = values.text("config")? {
            values.file = read_file(&path)?;
        }
        let data_dir = values.path("data-dir")?.unwrap_or_else(|| "data".into());
        let log_format = match values.text("log-format")?.as_deref() {
            Some("json") => LogFormat::Json,
            Some("text") | None => LogFormat::Text,
            Some(other) => {
                return Err(bad(values.find("log-format")?.0, format!("{other:?} is neither text nor json")));
            }
        };
        let nats_replicas = values.parsed("nats-replicas")?;
        if ![1, 3, 5].contains(&nats_replicas) {
            return Err(bad(values.find("nats-replicas")?.0, "1, 3 or 5".into()));
        }
        let hours: u64 = values.parsed("session-hours")?;
        let days: u64 = values.parsed("session-max-days")?;
        let nats_url = values.list("nats-url")?;
        let agent_nats_url = values.list("agent-nats-url")?;
        let nats_listen = values.text("nats-listen")?.map(|_| values.parsed("nats-listen")).transpose()?;
        let nats_tls = values.tls("nats-tls", "nats-tls-cert", "nats-tls-key")?;
        let allow_plain_nats = values.parsed("allow-plain-nats")?;
        for (key, addresses) in [("nats-url", &nats_url), ("agent-nats-url", &agent_nats_url)] {
            for address in addresses {
                tls::address(address, allow_plain_nats)
                    .map_err(|e| bad(values.setting(key), format!("{e} (allow-plain-nats)")))?;
            }
        }
        let exposed = nats_listen.is_some_and(|a: SocketAddr| !a.ip().is_loopback());
        if exposed && nats_tls == Tls::Off && !allow_plain_nats {
            let why = "beyond this machine the broker needs TLS: say nats-tls=auto, or give nats-tls-cert and nats-tls-key; or allow-plain-nats by name";
            return Err(bad(values.setting("nats-listen"), why.into()));
        }
        if !nats_url.is_empty() && (nats_tls != Tls::Off || nats_listen.is_some()) {
            let why = "this is of the embedded broker, and nats-url names an external one";
            return Err(bad(values.setting("nats-tls"), why.into()));
        }
        Ok(Self {
            tls: values.tls("tls", "tls-cert", "tls-key")?,
            tls_names: values.list("tls-names")?,
            allow_plain_http: values.parsed("allow-plain-http")?,
            nats_listen,
            nats_tls,
            nats_ca: values.path("nats-ca")?,
            nats_pins: values.list("nats-pins")?,
            allow_plain_nats,
            listen: values.parsed("listen")?,
            public_url: public_url(&values)?,
            database: database(&values, &data_dir)?,
            master_key: master_key(&values, &data_dir)?,
            data_dir,
            nats_url,
            agent_nats_url,
            nats_server: values.path("nats-server")?,
            nats_replicas,
            tools_dir: values.path("tools-dir")?.unwrap_or_else(|| ".tools".into()),
            heartbeat: values.millis("heartbeat-ms", 100)?,
            status: values.millis("status-ms", 100)?,
            max_agents: values.parsed::<std::num::NonZeroU32>("max-agents")?.get(),
            session: Duration::from_secs(hours.clamp(1, 24 * 365) * 3600),
            session_max: Duration::from_secs(days.clamp(1, 365) * 24 * 3600),
            organisations: founders(&values)?,
            personal_organisations: values.parsed("personal-organisations")?,
            smtp: people::smtp(&values)?,
            oidc: people::oidc(&values)?,
            trusted_proxies: trusted_proxies(&values)?,
            models: model_endpoints(&values, environment)?,
            webhook_private_addresses: values.parsed("webhook-private-addresses")?,
            webhook_retry: values.millis("webhook-retry-ms", 10)?,
            sign_in_per_minute: values.parsed::<std::num::NonZeroU32>("sign-in-per-minute")?.get(),
            requests_per_second: values.parsed::<std::num::NonZeroU32>("requests-per-second")?.get(),
            log: values.text("log")?.unwrap_or_else(|| "info".into()),
            log_format,
        })
    }
}

impl Config {
    /// Refuses to serve in the open beyond this machine.
    ///
    /// # Errors
    /// [`ConfigError`], naming the option `listen`.
    pub fn check_listen(&self) -> Result<(), ConfigError> {
        if self.listen.ip().is_loopback() || self.tls != Tls::Off || self.allow_plain_http {
            return Ok(());
        }
        Err(ConfigError::Value {
            key: "listen",
            variable: "FORGE_LISTEN",
            detail: format!(
                "beyond this machine {} needs TLS: say tls=auto, or give tls-cert and tls-key; behind a \
                 proxy that speaks https, allow-plain-http",
                self.listen
            ),
        })
    }

    /// Whether an installation was begun here: what a command that only works on one asks first, so that it makes none.
    ///
    /// # Errors
    /// [`ConfigError`], naming the option `data-dir`, where the database or the master key that it would make is not
    /// there.
    pub fn check_begun(&self) -> Result<(), ConfigError> {
        let database = match &self.database {
            Address::Sqlite(path) => path.exists(),
            Address::Postgres(_) => true,
        };
        let key = match &self.master_key {
            MasterKey::File { path, make: true } => path.exists(),
            MasterKey::File { .. } | MasterKey::Value(_) => true,
        };
        if database && key {
            return Ok(());
        }
        let what = if database { "master key" } else { "installation" };
        let detail = format!("no {what} in {}; give the folder of one", self.data_dir.display());
        Err(ConfigError::Value { key: "data-dir", variable: "FORGE_DATA_DIR", detail })
    }

    /// `http` or `https`, as served.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.tls == Tls::Off { "http" } else { "https" }
    }
}

fn founders(values: &Values<'_>) -> Result<Founders, ConfigError> {
    match values.text("organisations")?.as_deref() {
        Some("owners") | None => Ok(Founders::Owners),
        Some("anyone") => Ok(Founders::Anyone),
        Some("console") => Ok(Founders::Console),
        Some(other) => {
            let detail = format!("{other:?} is neither owners nor anyone nor console");
            Err(bad(values.setting("organisations"), detail))
        }
    }
}

/// Networks, or single addresses.
fn model_endpoints(
    values: &Values<'_>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<models::Endpoints, ConfigError> {
    let Some(path) = values.path("models-file")? else { return Ok(models::Endpoints::default()) };
    models::Endpoints::read(&path, environment).map_err(|e| bad(values.setting("models-file"), e.to_string()))
}

fn trusted_proxies(values: &Values<'_>) -> Result<Vec<IpNet>, ConfigError> {
    let network = |text: &String| {
        let address = text.parse::<IpAddr>().map(IpNet::from);
        address.or_else(|_| text.parse::<IpNet>()).map(|net| net.trunc()).map_err(|_| {
            let setting = values.find("trusted-proxies").map(|(setting, _)| setting);
            setting.map_or_else(|e| e, |s| bad(s, format!("{text:?} is neither an address nor a network")))
        })
    };
    values.list("trusted-proxies")?.iter().map(network).collect()
}

fn public_url(values: &Values<'_>) -> Result<Option<String>, ConfigError> {
    let Some(url) = values.text("public-url")? else { return Ok(None) };
    if !(url.starts_with("http://") || url.starts_with("https://")) {
        return Err(bad(values.find("public-url")?.0, "it starts with http:// or https://".into()));
    }
    Ok(Some(url.trim_end_matches('/').to_owned()))
}

fn database(values: &Values<'_>, data_dir: &Path) -> Result<Address, ConfigError> {
    let (setting, url) = values.find("database-url")?;
    let Some(url) = url else { return Ok(Address::Sqlite(data_dir.join("forge.db"))) };
    let address = Address::parse(&url).map_err(|e| bad(setting, e.to_string()))?;
    let Some(path) = values.path("database-password-file")? else { return Ok(address) };
    let setting = values.find("database-password-file")?.0;
    let password =
        std::fs::read_to_string(&path).map_err(|e| bad(setting, format!("{}: {e}", path.display())))?;
    match address {
        Address::Postgres(url) => Ok(Address::Postgres(with_password(&url, password.trim()))),
        Address::Sqlite(_) => Err(bad(setting, "SQLite takes no password".into())),
    }
}

/// `postgres://user@host/name` with the password put in.
fn with_password(url: &str, password: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (user, host) = rest.split_once('@').unwrap_or(("postgres", rest));
    let user = user.split(':').next().unwrap_or(user);
    let escaped: String = password
        .bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect();
    format!("{scheme}://{user}:{escaped}@{host}")
}

fn master_key(values: &Values<'_>, data_dir: &Path) -> Result<MasterKey, ConfigError> {
    if let (setting, Some(text)) = values.find("master-key")? {
        let text = zeroize::Zeroizing::new(text);
        Sealer::from_base64(&text).map_err(|e| bad(setting, e.to_string()))?;
        return Ok(MasterKey::Value(text));
    }
    Ok(match values.path("master-key-file")? {
        Some(path) => MasterKey::File { path, make: false },
        None => MasterKey::File { path: data_dir.join("master.key"), make: true },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(flags: &[(&str, &str)], environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let find = |list: &[(&str, &str)], key: &str| {
            list.iter().find(|(k, _)| *k == key).map(|(_, v)| (*v).to_owned())
        };
        Config::load(&|key| find(flags, key), &|key| find(environment, key))
    }

    #[test]
    fn a_flag_wins_over_a_variable_and_that_over_the_default() {
        assert_eq!(load(&[], &[]).unwrap().listen.port(), 7450);
        let environment = [("FORGE_LISTEN", "127.0.0.1:1")];
        assert_eq!(load(&[], &environment).unwrap().listen.port(), 1);
        assert_eq!(load(&[("listen", "127.0.0.1:2")], &environment).unwrap().listen.port(), 2);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (key, value) in [
            ("listen", "nowhere"),
            ("log-format", "xml"),
            ("public-url", "forge.example"),
            ("database-url", "mysql://x"),
            ("heartbeat-ms", "0"),
            ("nats-replicas", "2"),
            ("sign-in-per-minute", "0"),
            ("organisations", "everybody"),
            ("trusted-proxies", "10.0.0.0/8, proxy.example"),
            ("master-key", "short"),
        ] {
            let error = load(&[(key, value)], &[]).unwrap_err().to_string();
            assert!(error.starts_with(key) && error.contains("FORGE_"), "{error}");
        }
    }

    #[test]
    fn nothing_is_said_in_the_open_beyond_this_machine_unless_asked_for_by_name() {
        let serves = |flags: &[(&str, &str)]| load(flags, &[]).and_then(|c| c.check_listen());
        let everywhere = ("listen", "0.0.0.0:7450");
        assert!(serves(&[everywhere]).unwrap_err().to_string().starts_with("listen"));
        assert!(serves(&[("listen", "[::]:7450")]).is_err());
        assert!(serves(&[("listen", "[::1]:7450")]).is_ok());
        assert!(serves(&[everywhere, ("tls", "auto")]).is_ok());
        assert!(serves(&[everywhere, ("tls-cert", "a"), ("tls-key", "b")]).is_ok());
        assert!(serves(&[everywhere, ("allow-plain-http", "true")]).is_ok());
        for bad in [
            &[("nats-url", "nats://broker.example:4222")][..],
            &[("agent-nats-url", "nats://broker.example:4222")],
            &[("nats-listen", "0.0.0.0:4222")],
            &[("nats-url", "tls://broker.example:4222"), ("nats-tls", "auto")],
            &[("nats-tls", "perhaps")],
            &[("tls", "auto"), ("tls-cert", "a"), ("tls-key", "b")],
            &[("tls-cert", "a")],
            &[("allow-plain-nats", "perhaps")],
        ] {
            assert!(load(bad, &[]).is_err(), "{bad:?}");
        }
        for good in [
            &[("nats-url", "tls://broker.example:4222")][..],
            &[("nats-url", "nats://broker.example:4222"), ("allow-plain-nats", "true")],
            &[("nats-listen", "0.0.0.0:4222"), ("nats-tls", "auto")],
        ] {
            assert!(load(good, &[]).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn a_file_is_read_and_a_wrong_line_is_named() {
        let path = std::env::temp_dir().join(crate::clock::new_id());
        let text = path.to_string_lossy().into_owned();
        std::fs::write(&path, "# ours\nlisten = \"127.0.0.1:3\"\n").unwrap();
        assert_eq!(load(&[("config", &text)], &[]).unwrap().listen.port(), 3);
        std::fs::write(&path, "listen = 127.0.0.1:3\nlisen = 1\n").unwrap();
        assert!(matches!(load(&[("config", &text)], &[]), Err(ConfigError::Line { line: 2, .. })));
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_password_never_shows() {
        assert_eq!(with_password("postgres://forge@db/anvil", "p@ss"), "postgres://forge:p%40ss@db/anvil");
        let config = load(&[("database-url", "postgres://u:secret@h/d")], &[]).unwrap();
        assert!(!format!("{config:?}").contains("secret"));
    }
}
