//! Where settings come from: flag, environment, the profile's file, default; in this order.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::FalseyValueParser;
use live_agent::config::{self, Builder};
use live_agent::{ConfigError, LiveAgent};
use serde::Deserialize;
use tracing_subscriber::EnvFilter;

use crate::Failure;

/// Options of every command. Each has a name in the environment.
#[derive(Debug, Args, Clone)]
pub(crate) struct Options {
    /// Which of several connections to use
    #[arg(long, global = true, env = "LIVE_PROFILE", default_value = "default")]
    profile: String,
    /// Where profiles are kept [default: anvil-live below the user's configuration]
    #[arg(long, global = true, env = "LIVE_CONFIG_DIR")]
    config_dir: Option<PathBuf>,
    /// The .connect.json file [default: the profile's]
    #[arg(long, global = true, env = "LIVE_CONNECTION")]
    connection: Option<PathBuf>,
    /// The .creds file [default: the profile's]
    #[arg(long, global = true, env = "LIVE_CREDENTIALS")]
    credentials: Option<PathBuf>,
    /// The folder of the disk cache [default: one per scope below the user's cache]
    #[arg(long, global = true, env = "LIVE_CACHE_DIR")]
    cache_dir: Option<PathBuf>,
    /// The agent's name [default: the host's name and a part of the identity]
    #[arg(long, global = true, env = "LIVE_NAME")]
    name: Option<String>,
    /// The service that the agent lives in
    #[arg(long, global = true, env = "LIVE_SERVICE")]
    service: Option<String>,
    /// The mode of a first start: accepting or frozen [default: accepting]
    #[arg(long, global = true, env = "LIVE_MODE")]
    mode_default: Option<String>,
    /// A file that "live bake" wrote, to start from where there is no cache
    #[arg(long, global = true, env = "LIVE_BAKED")]
    baked: Option<PathBuf>,
    /// Lets a broker beyond this machine go without TLS
    #[arg(long, global = true, env = "LIVE_ALLOW_PLAIN", value_parser = FalseyValueParser::new())]
    allow_plain: bool,
    /// What to log, as tracing filters have it
    #[arg(long, global = true, env = "LIVE_LOG")]
    pub(crate) log: Option<String>,
    /// Writes JSON, one value a line
    #[arg(long, global = true, env = "LIVE_JSON", value_parser = FalseyValueParser::new())]
    pub(crate) json: bool,
}

/// The profile's file, `<profile>.json`: what is in it counts where neither flag nor environment say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    connection: Option<PathBuf>,
    credentials: Option<PathBuf>,
    cache_dir: Option<PathBuf>,
    name: Option<String>,
    service: Option<String>,
    mode: Option<String>,
    baked: Option<PathBuf>,
    allow_plain: Option<bool>,
}

/// All settings, with every source looked at.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) profile: String,
    pub(crate) config_dir: PathBuf,
    pub(crate) connection: PathBuf,
    pub(crate) credentials: PathBuf,
    pub(crate) json: bool,
    cache_dir: Option<PathBuf>,
    name: Option<String>,
    service: Option<String>,
    mode: Option<String>,
    baked: Option<PathBuf>,
    allow_plain: bool,
}

impl Options {
    pub(crate) fn resolve(self) -> Result<Settings, Failure> {
        let config_dir = match self.config_dir {
            Some(dir) => dir,
            None => default_config_dir()?,
        };
        if self.profile.is_empty() || self.profile.contains(['/', '\\']) || self.profile.starts_with('.') {
            return Err(Failure::Configuration("profile: write a plain name, such as \"default\"".into()));
        }
        let file = read_profile(&config_dir.join(format!("{}.json", self.profile)))?;
        let of_profile = |ending: &str| config_dir.join(format!("{}.{ending}", self.profile));
        Ok(Settings {
            connection: self.connection.or(file.connection).unwrap_or_else(|| of_profile("connect.json")),
            credentials: self.credentials.or(file.credentials).unwrap_or_else(|| of_profile("creds")),
            cache_dir: self.cache_dir.or(file.cache_dir),
            name: self.name.or(file.name),
            service: self.service.or(file.service),
            mode: self.mode_default.or(file.mode),
            baked: self.baked.or(file.baked),
            allow_plain: self.allow_plain || file.allow_plain.unwrap_or_default(),
            json: self.json,
            profile: self.profile,
            config_dir,
        })
    }
}

impl Settings {
    /// An agent with these settings, without connection and credential.
    pub(crate) fn unconnected(&self) -> Result<Builder, ConfigError> {
        let mut builder = LiveAgent::builder().allow_plain(self.allow_plain);
        if let Some(dir) = &self.cache_dir {
            builder = builder.cache_dir(dir);
        }
        if let Some(name) = &self.name {
            builder = builder.name(name);
        }
        if let Some(service) = &self.service {
            builder = builder.service(service);
        }
        if let Some(mode) = &self.mode {
            builder = builder.mode_default(config::parse_mode(mode)?);
        }
        match &self.baked {
            Some(file) => builder.baked_bundle(file),
            None => Ok(builder),
        }
    }

    pub(crate) fn builder(&self) -> Result<Builder, Failure> {
        if !self.connection.exists() {
            let path = self.connection.display();
            let why =
                format!("connection: there is no {path}; run \"live connect\" first, or give --connection");
            return Err(Failure::Configuration(why));
        }
        let builder = self.unconnected()?;
        Ok(builder.connection_file(&self.connection).credentials_file(&self.credentials))
    }

    /// The folder of the cache, which is also where a running agent listens.
    pub(crate) fn cache(&self) -> Result<PathBuf, Failure> {
        match &self.cache_dir {
            Some(dir) => Ok(dir.clone()),
            None => {
                self.builder()?;
                Ok(config::default_cache(&config::read_connection(&self.connection)?)?)
            }
        }
    }
}

fn read_profile(path: &Path) -> Result<Profile, Failure> {
    match std::fs::read_to_string(path) {
        Ok(text) => serde_json::from_str(&text)
            .map_err(|error| Failure::Configuration(format!("{}: {error}", path.display()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Profile::default()),
        Err(error) => Err(Failure::Configuration(format!("{}: {error}", path.display()))),
    }
}

fn default_config_dir() -> Result<PathBuf, Failure> {
    std::env::var_os("XDG_CONFIG_HOME")
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".config")))
        .map(|base| base.join("anvil-live"))
        .ok_or_else(|| {
            Failure::Configuration("config_dir: there is no home folder; give --config-dir".into())
        })
}

/// Logs go to standard error, so that standard output is only what was asked for.
pub(crate) fn log(filter: &str, json: bool) -> Result<(), Failure> {
    let filter =
        EnvFilter::try_new(filter).map_err(|error| Failure::Configuration(format!("log: {error}")))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    if json {
        builder.json().init();
    } else {
        builder.with_target(false).init();
    }
    Ok(())
}
