//! Configuration: flag > environment > file > default. Every option stands once, in [`OPTIONS`],
//! from which the flags, `forge config --table` and the check of the documentation are made.

mod people;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use nats_config::tls;

pub use people::{Oidc, Security, Smtp};

use crate::database::Address;
use crate::seal::{SealError, Sealer};

/// One option.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Name of the flag, and of the line in the file.
    pub key: &'static str,
    pub variable: &'static str,
    /// What it is when nobody says anything; empty: unset.
    pub default: &'static str,
    pub help: &'static str,
}

const fn setting(
    key: &'static str,
    variable: &'static str,
    default: &'static str,
    help: &'static str,
) -> Setting {
    Setting { key, variable, default, help }
}

impl Setting {
    /// Whether it is true or false: the flag alone then says true.
    #[must_use]
    pub fn is_switch(&self) -> bool {
        self.default == "false"
    }
}

/// Every option of `forge`.
pub const OPTIONS: &[Setting] = &[
    setting("config", "FORGE_CONFIG", "", "file with lines `key = value`, keys as the flags"),
    setting(
        "listen",
        "FORGE_LISTEN",
        "127.0.0.1:7450",
        "address and port to serve on; port 0 takes a free one",
    ),
    setting(
        "public-url",
        "FORGE_PUBLIC_URL",
        "",
        "address under which people reach FORGE; default: the address served on",
    ),
    setting(
        "tls",
        "FORGE_TLS",
        "off",
        "auto: serve https with a certificate of FORGE's own authority; off: http, unless tls-cert is given",
    ),
    setting(
        "tls-cert",
        "FORGE_TLS_CERT",
        "",
        "certificate chain (PEM) to serve https with; read again when it changes",
    ),
    setting("tls-key", "FORGE_TLS_KEY", "", "private key (PEM) of tls-cert"),
    setting(
        "tls-names",
        "FORGE_TLS_NAMES",
        "",
        "more names and addresses for certificates of FORGE's own authority, separated by commas",
    ),
    setting(
        "allow-plain-http",
        "FORGE_ALLOW_PLAIN_HTTP",
        "false",
        "serve http beyond this machine: only behind a proxy that speaks https",
    ),
    setting(
        "data-dir",
        "FORGE_DATA_DIR",
        "data",
        "folder of the SQLite file, the master key and the embedded broker",
    ),
    setting(
        "database-url",
        "FORGE_DATABASE_URL",
        "",
        "sqlite://<file> or postgres://…; default: forge.db in the data directory",
    ),
    setting(
        "database-password-file",
        "FORGE_DATABASE_PASSWORD_FILE",
        "",
        "file with the password for postgres",
    ),
    setting("master-key", "FORGE_MASTER_KEY", "", "key that seals private keys: 32 bytes in base64"),
    setting(
        "master-key-file",
        "FORGE_MASTER_KEY_FILE",
        "",
        "file with the master key; default: master.key in the data directory, made at the first start",
    ),
    setting(
        "nats-url",
        "FORGE_NATS_URL",
        "",
        "addresses of an external broker, separated by commas; default: an embedded one",
    ),
    setting(
        "agent-nats-url",
        "FORGE_AGENT_NATS_URL",
        "",
        "addresses that agents get to connect to; default: those of FORGE",
    ),
    setting(
        "nats-listen",
        "FORGE_NATS_LISTEN",
        "",
        "address and port of the embedded broker, port 0 for one that FORGE chooses; default: the loopback interface",
    ),
    setting(
        "nats-tls",
        "FORGE_NATS_TLS",
        "off",
        "auto: the embedded broker speaks TLS with a certificate of FORGE's own authority",
    ),
    setting(
        "nats-tls-cert",
        "FORGE_NATS_TLS_CERT",
        "",
        "certificate chain (PEM) for the embedded broker instead",
    ),
    setting("nats-tls-key", "FORGE_NATS_TLS_KEY", "", "private key (PEM) of nats-tls-cert"),
    setting(
        "nats-ca",
        "FORGE_NATS_CA",
        "",
        "authority (PEM) that signs the broker's certificate, for FORGE and agents; default: those of the system",
    ),
    setting(
        "nats-pins",
        "FORGE_NATS_PINS",
        "",
        "keys that the broker's certificate may bear, sha256/<base64>, separated by commas; default: any",
    ),
    setting(
        "allow-plain-nats",
        "FORGE_ALLOW_PLAIN_NATS",
        "false",
        "let a broker beyond this machine go without TLS; each agent has to allow it too",
    ),
    setting(
        "nats-server",
        "FORGE_NATS_SERVER",
        "",
        "nats-server to embed; default: from the PATH, or installed into the tools directory",
    ),
    setting("nats-replicas", "FORGE_NATS_REPLICAS", "1", "copies of each stream; 3 in a cluster"),
    setting(
        "tools-dir",
        "FORGE_TOOLS_DIR",
        ".tools",
        "folder into which nats-server is installed where there is none",
    ),
    setting(
        "heartbeat-ms",
        "FORGE_HEARTBEAT_MS",
        "10000",
        "time between two signed heartbeats, in milliseconds",
    ),
    setting("status-ms", "FORGE_STATUS_MS", "12000", "how often an agent sends its status, in milliseconds"),
    setting(
        "max-agents",
        "FORGE_MAX_AGENTS",
        "10000",
        "agents that one environment lists; a new one takes the place of one not heard for a day, or is not listed",
    ),
    setting(
        "session-hours",
        "FORGE_SESSION_HOURS",
        "336",
        "a browser's session ends after so many hours of silence",
    ),
    setting(
        "session-max-days",
        "FORGE_SESSION_MAX_DAYS",
        "30",
        "a browser's session ends after so many days, however much it is used",
    ),
    setting(
        "sign-in-per-minute",
        "FORGE_SIGN_IN_PER_MINUTE",
        "20",
        "attempts to sign in, per address and minute; a quarter of it per account; per account from unknown browsers as many an hour",
    ),
    setting(
        "requests-per-second",
        "FORGE_REQUESTS_PER_SECOND",
        "100",
        "requests per user, per token and per address and second, in bursts of four times as many; all who share an address have four times as much",
    ),
    setting(
        "organisations",
        "FORGE_ORGANISATIONS",
        "owners",
        "who makes organisations, besides the console: owners (of one already), anyone, or console (nobody else)",
    ),
    people::OPTIONS[0],
    people::OPTIONS[1],
    people::OPTIONS[2],
    people::OPTIONS[3],
    people::OPTIONS[4],
    people::OPTIONS[5],
    people::OPTIONS[6],
    people::OPTIONS[7],
    people::OPTIONS[8],
    people::OPTIONS[9],
    setting(
        "models-file",
        "FORGE_MODELS_FILE",
        "",
        "file (TOML) that names the model endpoints of the playground; default: prompts are rendered, and not run",
    ),
    setting(
        "trusted-proxies",
        "FORGE_TRUSTED_PROXIES",
        "",
        "addresses or networks of reverse proxies, separated by commas: from them X-Forwarded-For is believed",
    ),
    setting(
        "webhook-private-addresses",
        "FORGE_WEBHOOK_PRIVATE_ADDRESSES",
        "false",
        "let webhooks go to private addresses, this machine's too, and over http",
    ),
    setting(
        "webhook-retry-ms",
        "FORGE_WEBHOOK_RETRY_MS",
        "5000",
        "pause before a webhook is tried again, in milliseconds; each further one is four times as long, up to 4 hours",
    ),
    setting(
        "log",
        "FORGE_LOG",
        "info,async_nats=warn",
        "what is logged: error, warn, info, debug, or a filter by module",
    ),
    setting("log-format", "FORGE_LOG_FORMAT", "text", "text or json"),
];

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

/// The values of all options, before they are understood.
struct Values<'a> {
    flags: &'a dyn Fn(&str) -> Option<String>,
    environment: &'a dyn Fn(&str) -> Option<String>,
    file: BTreeMap<String, String>,
}

impl Values<'_> {
    fn find(&self, key: &'static str) -> Result<(Setting, Option<String>), ConfigError> {
        let setting = *OPTIONS.iter().find(|o| o.key == key).ok_or(ConfigError::Value {
            key,
            variable: "",
            detail: "no such option".into(),
        })?;
        let value = (self.flags)(key)
            .or_else(|| (self.environment)(setting.variable))
            .or_else(|| self.file.get(key).cloned())
            .or_else(|| Some(setting.default.to_owned()))
            .filter(|v| !v.is_empty());
        Ok((setting, value))
    }

    /// The option of a key that is one.
    fn setting(&self, key: &'static str) -> Setting {
        self.find(key).map_or(Setting { key, variable: "", default: "", help: "" }, |(setting, _)| setting)
    }

    fn text(&self, key: &'static str) -> Result<Option<String>, ConfigError> {
        Ok(self.find(key)?.1)
    }

    fn path(&self, key: &'static str) -> Result<Option<PathBuf>, ConfigError> {
        Ok(self.text(key)?.map(PathBuf::from))
    }

    fn list(&self, key: &'static str) -> Result<Vec<String>, ConfigError> {
        let text = self.text(key)?.unwrap_or_default();
        Ok(text.split(',').map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()).collect())
    }

    fn parsed<T>(&self, key: &'static str) -> Result<T, ConfigError>
    where
        T: std::str::FromStr<Err: std::fmt::Display>,
    {
        let (setting, value) = self.find(key)?;
        let text = value.unwrap_or_default();
        text.parse().map_err(|e: T::Err| bad(setting, format!("{text:?} cannot be used: {e}")))
    }

    /// What the options `key`, `certificate` and `private` say of one server.
    fn tls(
        &self,
        key: &'static str,
        certificate: &'static str,
        private: &'static str,
    ) -> Result<Tls, ConfigError> {
        let auto = match self.text(key)?.as_deref() {
            Some("auto") => true,
            Some("off") | None => false,
            Some(other) => {
                return Err(bad(self.find(key)?.0, format!("{other:?} is neither auto nor off")));
            }
        };
        match (self.path(certificate)?, self.path(private)?) {
            (None, None) if auto => Ok(Tls::Auto),
            (None, None) => Ok(Tls::Off),
            (Some(_), Some(_)) if auto => {
                Err(bad(self.find(key)?.0, format!("either auto, or {certificate} and {private}")))
            }
            (Some(certificate), Some(key)) => Ok(Tls::Files { certificate, key }),
            (Some(_), None) => Err(bad(self.find(private)?.0, format!("{certificate} needs its key"))),
            (None, Some(_)) => {
                Err(bad(self.find(certificate)?.0, format!("{private} needs its certificate")))
            }
        }
    }

    fn millis(&self, key: &'static str, least: u64) -> Result<Duration, ConfigError> {
        let value: u64 = self.parsed(key)?;
        if value < least {
            return Err(bad(self.find(key)?.0, format!("at least {least}")));
        }
        Ok(Duration::from_millis(value))
    }
}

fn bad(setting: Setting, detail: String) -> ConfigError {
    ConfigError::Value { key: setting.key, variable: setting.variable, detail }
}

fn read_file(path: &str) -> Result<BTreeMap<String, String>, ConfigError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| ConfigError::File { path: path.into(), source })?;
    let mut out = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = || ConfigError::Line { path: path.into(), line: index + 1 };
        let (key, value) = line.split_once('=').ok_or_else(wrong)?;
        let (key, value) = (key.trim(), value.trim().trim_matches('"'));
        if !OPTIONS.iter().any(|o| o.key == key) {
            return Err(wrong());
        }
        out.insert(key.to_owned(), value.to_owned());
    }
    Ok(out)
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

/// [`OPTIONS`] as the table of the documentation.
#[must_use]
pub fn table() -> String {
    let mut out = String::from("| flag | variable | default | what |\n|---|---|---|---|\n");
    for o in OPTIONS {
        let default = if o.default.is_empty() { String::new() } else { format!("`{}`", o.default) };
        out.push_str(&format!("| `--{}` | `{}` | {default} | {} |\n", o.key, o.variable, o.help));
    }
    out
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
