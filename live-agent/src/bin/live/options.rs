//! Where settings come from: flag, environment, the profile's file, preset, default; in this order. The
//! flags are made from the table of the library.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint};
use live_agent::config::options::{self, Fault, Given, Kind, OPTIONS, Origin, Place, Setting};
use live_agent::config::{self, Builder, CachePlace};
use live_agent::{ConfigError, LiveAgent};

use crate::exit::Failure;

const HEADING: &str = "Settings (see docs/CONFIGURATION.md)";

/// What the flags say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options(Given);

impl clap::Args for Options {
    fn augment_args(command: Command) -> Command {
        of_all().fold(command, |command, setting| {
            command.arg(argument(setting).global(true).help_heading(HEADING).hide_short_help(true))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Options {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(said(matches, of_all())))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The settings that every command takes as flags.
fn of_all() -> impl Iterator<Item = &'static Setting> {
    OPTIONS.iter().filter(|setting| setting.place != Place::Serve)
}

/// What the flags of these settings say.
pub(crate) fn said(matches: &ArgMatches, settings: impl Iterator<Item = &'static Setting>) -> Given {
    let mut given = Given::default();
    for setting in settings {
        let texts: Vec<&str> =
            matches.get_many::<String>(setting.flag).unwrap_or_default().map(String::as_str).collect();
        if !texts.is_empty() {
            given.put(setting, texts.join(","), Origin::Flag(setting.flag));
        }
    }
    given
}

/// A setting as a flag.
pub(crate) fn argument(setting: &'static Setting) -> Arg {
    let default = match setting.default_words() {
        "" => String::new(),
        words => format!(" [default: {}]", words.replace('`', "")),
    };
    let what = setting.what.replace('`', "");
    let words = match setting.kind {
        Kind::OneOf(words) => format!(" ({})", words.join(", ")),
        Kind::Words | Kind::Addresses => "; may be given again".to_owned(),
        _ => String::new(),
    };
    let argument = Arg::new(setting.flag)
        .long(setting.flag)
        .help(format!("{what}{words}{default} [env: {}]", setting.variable));
    match setting.kind {
        Kind::Switch => argument
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_name("true|false"),
        Kind::OneOf(_) => argument.value_name("WORD"),
        Kind::Path => argument
            .value_name(if setting.key.ends_with("dir") { "DIR" } else { "FILE" })
            .value_hint(ValueHint::AnyPath),
        Kind::Duration | Kind::Bound => argument.value_name("TIME"),
        Kind::Pins => argument.value_name("SET=VERSIONS"),
        Kind::Text => argument.value_name("TEXT"),
        Kind::Number | Kind::Part => argument.value_name("NUMBER"),
        Kind::Mode => argument.value_name("MODE"),
        Kind::Words => argument.value_name("NAME").action(ArgAction::Append),
        Kind::Addresses => argument.value_name("ADDRESS").action(ArgAction::Append),
    }
}

/// Every source looked at, and all that is wrong with them.
#[derive(Debug, Clone)]
pub(crate) struct Gathered {
    pub(crate) settings: Settings,
    /// The file that was read, if there is one.
    pub(crate) file: Option<PathBuf>,
    pub(crate) faults: Vec<Fault>,
}

/// All settings, with every source looked at.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) profile: String,
    pub(crate) config_dir: PathBuf,
    pub(crate) json: bool,
    /// With the profile's files where nobody named others.
    pub(crate) given: Given,
    pub(crate) connection: PathBuf,
    pub(crate) credentials: PathBuf,
}

impl Options {
    /// Whether flag or environment ask for JSON, for what needs no other settings.
    pub(crate) fn json(&self) -> bool {
        let mut given = self.0.clone();
        given.or(Given::environment(|variable| std::env::var(variable).ok()));
        on(&given, "json")
    }

    /// Looks at every source, as far as each can be used. `own` is what the flags of the command itself say.
    pub(crate) fn gather(self, own: Given) -> Result<Gathered, Failure> {
        let mut given = self.0;
        given.or(own);
        given.or(Given::environment(|variable| std::env::var(variable).ok()));
        let text = |given: &Given, key: &str| given.get(key).map(|found| found.text.clone());
        let config_dir = match text(&given, "config_dir") {
            Some(dir) => PathBuf::from(dir),
            None => default_config_dir()?,
        };
        let profile = text(&given, "profile").unwrap_or_else(|| "default".into());
        if profile.is_empty() || profile.contains(['/', '\\']) || profile.starts_with('.') {
            return Err(Failure::Configuration("profile: write a plain name, such as \"default\"".into()));
        }
        let mut faults = Vec::new();
        let named = text(&given, "config").map(PathBuf::from);
        let of_profile = |ending: &str| config_dir.join(format!("{profile}.{ending}"));
        let file = named.or_else(|| Some(of_profile("toml")).filter(|path| path.exists()));
        if let Some(path) = &file {
            match options::read_file(path) {
                Ok(read) => given.or(read),
                Err(wrong) => faults.extend(wrong),
            }
        }
        for (key, ending) in [("connection", "connect.json"), ("credentials", "creds")] {
            if let Some(setting) = options::find(key) {
                given.put(setting, of_profile(ending).to_string_lossy(), Origin::Default);
            }
        }
        faults.extend(given.faults());
        let path = |key: &str| text(&given, key).map(PathBuf::from).unwrap_or_default();
        let settings = Settings {
            connection: path("connection"),
            credentials: path("credentials"),
            json: on(&given, "json"),
            given,
            profile,
            config_dir,
        };
        Ok(Gathered { settings, file, faults })
    }
}

/// Whether a switch is on.
fn on(given: &Given, key: &str) -> bool {
    let said = options::find(key).map(|setting| given.effective(setting).text.to_ascii_lowercase());
    said.is_some_and(|said| ["1", "true", "yes", "on"].contains(&said.as_str()))
}

impl Gathered {
    /// The settings, if nothing is wrong with them.
    pub(crate) fn good(self) -> Result<Settings, Failure> {
        if self.faults.is_empty() {
            return Ok(self.settings);
        }
        let all: Vec<String> = self.faults.iter().map(ToString::to_string).collect();
        Err(Failure::Configuration(all.join("\nlive: ")))
    }
}

impl Settings {
    pub(crate) fn on(&self, key: &str) -> bool {
        on(&self.given, key)
    }

    pub(crate) fn text(&self, key: &str) -> Option<String> {
        self.given.get(key).map(|found| found.text.clone())
    }

    /// An agent with these settings; the profile's files stand in where `connect` has none yet.
    pub(crate) fn unconnected(&self) -> Result<Builder, ConfigError> {
        LiveAgent::builder().or_given(self.given.clone())
    }

    pub(crate) fn builder(&self) -> Result<Builder, Failure> {
        if !self.connection.exists() {
            let path = self.connection.display();
            let why =
                format!("connection: there is no {path}; run \"live connect\" first, or give --connection");
            return Err(Failure::Configuration(why));
        }
        Ok(self.unconnected()?)
    }

    /// The folder of the cache, which is also where a running agent listens; none: nothing is kept.
    pub(crate) fn cache_place(&self) -> Result<CachePlace, Failure> {
        if self.on("memory_only") {
            return Ok(CachePlace::Memory);
        }
        match self.text("cache_dir") {
            Some(dir) => Ok(CachePlace::Disk(dir.into())),
            None => {
                self.builder()?;
                Ok(CachePlace::Disk(config::default_cache(&config::read_connection(&self.connection)?)?))
            }
        }
    }

    /// The folder of the cache.
    pub(crate) fn cache(&self) -> Result<PathBuf, Failure> {
        match self.cache_place()? {
            CachePlace::Disk(dir) => Ok(dir),
            _ => {
                Err(Failure::Configuration("memory_only: there is no cache to read; give --cache-dir".into()))
            }
        }
    }

    /// Where the profile keeps its settings.
    pub(crate) fn own_file(&self) -> PathBuf {
        match self.text("config") {
            Some(path) => path.into(),
            None => self.config_dir.join(format!("{}.toml", self.profile)),
        }
    }

    /// Where `connect` keeps what it was given.
    pub(crate) fn kept(&self, ending: &str) -> PathBuf {
        self.config_dir.join(format!("{}.{ending}", self.profile))
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

/// Whether people look at it, and like colours.
pub(crate) fn coloured(stream: &impl IsTerminal) -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    stream.is_terminal() && !set("NO_COLOR") && !dumb
}

/// Writes a file whole or not at all, with these rights.
pub(crate) fn write_whole(path: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;

    use anyhow::Context as _;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let temporary = path.with_file_name(format!(".{name}.new-{}", std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut file =
            std::fs::File::options().write(true).create(true).truncate(true).mode(mode).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    let written = write();
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written.with_context(|| format!("writing {}", path.display()))
}
