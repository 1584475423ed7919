//! What an agent is told: where to connect, as whom, and where to keep its cache.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use schemas::connect::{self, Connection};
use schemas::contract::{CONTRACT_MAX, Contract};
use schemas::envelope::{AgeAction, MaxAge};
use schemas::status::Mode;
use schemas::{Scope, Slug};

use crate::store::StoreError;
use crate::store::baked::{self, BakedError};
use crate::store::record::Kept;

mod connection;
mod credential;
pub mod options;
mod policy;

pub(crate) use connection::check_encryption;
pub use connection::read_connection;
pub use credential::AskCredentials;
use credential::Secret;
pub(crate) use credential::{Asked, Credential};
use options::{Given, read};
pub use policy::{Pins, Preset, StartPolicy};

/// What a start waits where its policy says no time, and the oldest that it takes.
const START_WAIT: Duration = Duration::from_secs(30);
const START_AGE: Duration = Duration::from_secs(86_400);
/// Characters of a service's name that FORGE stores.
const SERVICE_MAX: usize = 200;

/// A configuration that cannot be used. Each names the key that is wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    #[error("{key} is not set: {how}")]
    Missing { key: &'static str, how: &'static str },
    #[error("{key}: {path} cannot be read")]
    Unreadable {
        key: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{key}: {why}")]
    Invalid { key: &'static str, why: String },
    #[error("cache_dir: {0}")]
    Cache(#[source] StoreError),
    #[error("baked_bundle: {0}")]
    Baked(#[source] BakedError),
}

/// Where an agent keeps what it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CachePlace {
    /// A folder of its own, made if need be.
    Disk(PathBuf),
    /// Nothing outlives the process.
    Memory,
}

/// How the agent gets in: where, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) connection: Connection,
    pub(crate) credential: Credential,
    /// Whether a server beyond this machine may go without TLS.
    pub(crate) allow_plain: bool,
}

impl Entry {
    /// Whether it lets in the same user for the same time, at the same place.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let who = |entry: &Self| {
            let credential = &entry.credential;
            (credential.user.clone(), credential.expires, credential.environment.clone())
        };
        self.connection == other.connection && who(self) == who(other)
    }
}

/// Where the parts of an [`Entry`] can change while the agent runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    pub(crate) connection: Option<PathBuf>,
    pub(crate) credentials: Option<CredentialSource>,
}

/// Where a credential is got from.
#[derive(Debug, Clone)]
pub(crate) enum CredentialSource {
    File(PathBuf),
    Asked(Asked),
}

impl CredentialSource {
    /// The text as it is now. May block.
    pub(crate) fn read(&self) -> Result<String, ConfigError> {
        match self {
            Self::File(path) => read_text("credentials", path),
            Self::Asked(asked) => {
                (asked.0)().map_err(|e| ConfigError::Invalid { key: "credentials", why: e.to_string() })
            }
        }
    }
}

/// Everything an agent needs to start.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) connection: Connection,
    pub(crate) credential: Credential,
    pub(crate) allow_plain: bool,
    pub(crate) sources: Sources,
    pub(crate) cache: CachePlace,
    pub(crate) name: Option<Slug>,
    pub(crate) service: String,
    pub(crate) mode_default: Mode,
    pub(crate) baked: Vec<Kept>,
    pub(crate) remote_mode: bool,
    pub(crate) pins: Pins,
    pub(crate) start_policy: StartPolicy,
    pub(crate) max_age: Option<MaxAge>,
    pub(crate) overrides: Option<PathBuf>,
    pub(crate) contracts: Vec<Contract>,
    pub(crate) usage: bool,
    /// It takes up nothing, writes nothing, and FORGE does not hear of it.
    pub(crate) looks: bool,
}

impl Config {
    /// How the agent gets in at its start.
    pub(crate) fn entry(&self) -> Entry {
        Entry {
            connection: self.connection.clone(),
            credential: self.credential.clone(),
            allow_plain: self.allow_plain,
        }
    }

    /// Whether there is a FORGE to follow.
    pub(crate) fn follows(&self) -> bool {
        !self.connection.servers.is_empty()
    }

    /// That of an agent that serves a folder and follows nobody.
    pub(crate) fn of_folder(folder: PathBuf) -> Result<Self, ConfigError> {
        let scope = Scope::new("local", "local", "dev")
            .map_err(|error| ConfigError::Invalid { key: "overrides", why: error.to_string() })?;
        Ok(Self {
            connection: Connection {
                schema_version: connect::SCHEMA_VERSION,
                servers: Vec::new(),
                scope,
                roots: Vec::new(),
                forge_url: None,
                tls: None,
            },
            credential: Credential::none(),
            allow_plain: false,
            sources: Sources::default(),
            cache: CachePlace::Memory,
            name: None,
            service: String::new(),
            mode_default: Mode::default(),
            baked: Vec::new(),
            remote_mode: false,
            pins: Pins::default(),
            start_policy: StartPolicy::default(),
            max_age: None,
            overrides: Some(check_overrides(folder)?),
            contracts: Vec::new(),
            usage: false,
            looks: false,
        })
    }
}

/// Gathers the configuration of an agent; made by [`crate::LiveAgent::builder`].
///
/// `connection` and `credentials` are needed; everything else has a default.
#[derive(Debug, Default, Clone)]
pub struct Builder {
    connection: Option<Source<Connection>>,
    credentials: Option<Source<Secret>>,
    credentials_callback: Option<Asked>,
    allow_plain: Option<bool>,
    cache: Option<CachePlace>,
    name: Option<String>,
    service: Option<String>,
    mode: Option<Mode>,
    baked: Vec<PathBuf>,
    preset: Option<Preset>,
    remote_mode: Option<bool>,
    pins: Pins,
    start_policy: Option<StartPolicy>,
    /// Within: none by name.
    max_age: Option<Option<MaxAge>>,
    overrides: Option<PathBuf>,
    allow_overrides: Option<bool>,
    contracts: Vec<Contract>,
    usage: Option<bool>,
    looks: bool,
    /// What environment and file say: it counts where nothing was given above.
    given: Given,
}

#[derive(Debug, Clone)]
enum Source<T> {
    File(PathBuf),
    Given(T),
}

impl Builder {
    /// The `.connect.json` file that `live connect` wrote, or that FORGE handed out.
    #[must_use]
    pub fn connection_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.connection = Some(Source::File(path.into()));
        self
    }

    /// A connection that is at hand already.
    #[must_use]
    pub fn connection(mut self, connection: Connection) -> Self {
        self.connection = Some(Source::Given(connection));
        self
    }

    /// The `.creds` file. It is watched: one with another credential is taken up while the agent runs.
    #[must_use]
    pub fn credentials_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.credentials = Some(Source::File(path.into()));
        self
    }

    /// The text of a `.creds` file, for hosts that get their secrets otherwise. A running agent is
    /// given another one by [`crate::LiveAgent::set_credentials`].
    #[must_use]
    pub fn credentials(mut self, text: impl Into<String>) -> Self {
        self.credentials = Some(Source::Given(Secret(text.into())));
        self
    }

    /// Asks for the text of a `.creds` file at the start and every few seconds from then on, for hosts
    /// whose secrets change: another credential is taken up while the agent runs, once it was given twice. One that is
    /// made anew at each question is taken up when the one in use is refused, or two thirds of its time are over. May
    /// block.
    #[must_use]
    pub fn credentials_callback(
        mut self,
        ask: impl Fn() -> Result<String, Box<dyn std::error::Error + Send + Sync>> + Send + Sync + 'static,
    ) -> Self {
        self.credentials_callback = Some(Asked(Arc::new(ask)));
        self
    }

    /// Whether a broker beyond this machine may be spoken to without TLS. It may not by default.
    #[must_use]
    pub fn allow_plain(mut self, allow: bool) -> Self {
        self.allow_plain = Some(allow);
        self
    }

    /// The folder of the disk cache; by default one of its own per scope below the user's cache.
    #[must_use]
    pub fn cache_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.cache = Some(CachePlace::Disk(path.into()));
        self
    }

    /// Keeps nothing on disk: the agent starts empty and its identity is new each time.
    #[must_use]
    pub fn memory_only(mut self) -> Self {
        self.cache = Some(CachePlace::Memory);
        self
    }

    /// The agent's name, a slug; by default the host's name and a part of the identity.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The service that the agent lives in: what people see, and what orders to a service go by. 200 characters at most.
    #[must_use]
    pub fn service(mut self, service: impl Into<String>) -> Self {
        self.service = Some(service.into());
        self
    }

    /// The mode of a first start. Later starts keep the mode that was set last.
    #[must_use]
    pub fn mode_default(mut self, mode: Mode) -> Self {
        self.mode = Some(mode);
        self
    }

    /// A file that `live bundle` wrote: what to serve where there is no cache yet.
    ///
    /// # Errors
    /// The file cannot be read or is damaged.
    pub fn baked_bundle(mut self, path: impl Into<PathBuf>) -> Result<Self, ConfigError> {
        let path = path.into();
        baked::read(&path).map_err(ConfigError::Baked)?;
        self.baked.push(path);
        Ok(self)
    }

    /// Settings that go together; each one that is given by itself counts before its preset.
    #[must_use]
    pub fn preset(mut self, preset: Preset) -> Self {
        self.preset = Some(preset);
        self
    }

    /// Whether FORGE may set this agent's mode. It may by default, but with [`Preset::Prod`].
    #[must_use]
    pub fn remote_mode(mut self, allow: bool) -> Self {
        self.remote_mode = Some(allow);
        self
    }

    /// Takes up only those versions of a set that fit `versions`. Pins set at the agent later count
    /// before it.
    #[must_use]
    pub fn pin(mut self, set: Slug, versions: semver::VersionReq) -> Self {
        self.pins.insert(set, versions);
        self
    }

    /// What [`Builder::start`] waits for; by default it serves what is there and waits for nothing.
    #[must_use]
    pub fn start_policy(mut self, policy: StartPolicy) -> Self {
        self.start_policy = Some(policy);
        self
    }

    /// This agent's own rule for content that was not confirmed for long. At any age the strictest action
    /// holds of this rule and the project's, `refuse` before `warn` before `serve`: with `warn` after an hour
    /// here and `refuse` after a day there, it warns after an hour and refuses after a day. It holds also where
    /// FORGE never said anything: then the age counts from the start. At least a second.
    #[must_use]
    pub fn max_age(mut self, age: Duration, action: AgeAction) -> Self {
        self.max_age = Some(Some(MaxAge { seconds: age.as_secs(), action }));
        self
    }

    /// No rule of this agent's own, whatever its preset says.
    #[must_use]
    pub fn no_max_age(mut self) -> Self {
        self.max_age = Some(None);
        self
    }

    /// A folder of prompts that are served instead of what FORGE published, for development. It is
    /// watched. Refused in prod, unless [`Builder::allow_overrides`] says otherwise.
    ///
    /// `hello.md`, `.txt` or `.tera` is the text of the prompt `hello`, `mail/reply.md` that of `mail/reply`,
    /// `@chat/hello.md` that of `hello` in the set `chat` alone; `hello.json` is a whole prompt.
    #[must_use]
    pub fn overrides(mut self, folder: impl Into<PathBuf>) -> Self {
        self.overrides = Some(folder.into());
        self
    }

    /// Whether overrides are taken with [`Preset::Prod`], or in an environment that is called `prod`.
    #[must_use]
    pub fn allow_overrides(mut self, allow: bool) -> Self {
        self.allow_overrides = Some(allow);
        self
    }

    /// What the host was built for, as `live codegen` wrote it: a bundle that breaks it is refused, and
    /// FORGE says so before it is published. May be given for each set; all together have at most
    /// [`CONTRACT_MAX`] bytes.
    ///
    /// A bundle that comes is refused also where nothing is served yet. Of those on disk and in the image
    /// the newest is served that breaks nothing; where all break something, the one that would be served
    /// without a contract: calls that it does not break work, the status says what is broken, and
    /// [`crate::Health::ready`] is false.
    #[must_use]
    pub fn contract(mut self, contract: Contract) -> Self {
        self.contracts.push(contract);
        self
    }

    /// Whether the use of each prompt is told to FORGE and stands in [`crate::LiveAgent::status`]. It is by
    /// default; without, only the sums over all prompts are kept and told.
    #[must_use]
    pub fn usage(mut self, tell: bool) -> Self {
        self.usage = Some(tell);
        self
    }

    /// An agent that only looks, for `live sync --check` and the like where none runs: it serves what is on
    /// disk, holds back whatever is newer, writes nothing, waits for no start policy, and FORGE does not hear
    /// of it.
    #[doc(hidden)]
    #[must_use]
    pub fn only_looking(mut self) -> Self {
        self.looks = true;
        self
    }

    /// Begins with what a file says (see [`options`]); what is given afterwards counts before it. For the
    /// order of the program `live` write `LiveAgent::builder().or_from_env()?.or_from_file(path)?`.
    ///
    /// # Errors
    /// The file cannot be read, or something in it is wrong: the first such thing.
    #[cfg(feature = "config-file")]
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        Self::default().or_from_file(path)
    }

    /// Takes what is not given yet from a file (TOML).
    ///
    /// # Errors
    /// As [`Builder::from_file`].
    #[cfg(feature = "config-file")]
    pub fn or_from_file(self, path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        match options::read_file(path.as_ref()) {
            Ok(given) => self.or_given(given),
            Err(faults) => Err(first(faults)),
        }
    }

    /// Takes what is not given yet from the variables of [`options::OPTIONS`], as `lookup` knows them; then
    /// from the file that `LIVE_CONFIG` names, if it does.
    ///
    /// # Errors
    /// A value that is none of its setting, naming key and variable; or a file that is wrong.
    pub fn or_from(self, lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let given = Given::environment(lookup);
        let file = given.path("config");
        let this = self.or_given(given)?;
        match file {
            None => Ok(this),
            #[cfg(feature = "config-file")]
            Some(file) => this.or_from_file(file),
            #[cfg(not(feature = "config-file"))]
            Some(_) => Err(ConfigError::Invalid {
                key: "config",
                why: "this program was built without the feature config-file: unset LIVE_CONFIG".into(),
            }),
        }
    }

    /// As [`Builder::or_from`], from the environment of the process.
    ///
    /// # Errors
    /// As there.
    pub fn or_from_env(self) -> Result<Self, ConfigError> {
        self.or_from(|key| std::env::var(key).ok())
    }

    /// Takes what is not given yet from values that were gathered elsewhere.
    ///
    /// # Errors
    /// A value that is none of its setting.
    pub fn or_given(mut self, given: Given) -> Result<Self, ConfigError> {
        // What only the program has is not looked at: a host may call something else so.
        let mut given = given.of_agent();
        let faults = given.faults();
        if !faults.is_empty() {
            return Err(first(faults));
        }
        if self.credentials_callback.is_some() {
            given.remove("credentials");
        }
        self.given.or(given);
        Ok(self)
    }

    /// Whether all of it can be used: reads connection, credential and baked bundles, and starts nothing.
    ///
    /// # Errors
    /// What is wrong, naming the key.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.clone().build().map(drop)
    }

    /// Everything that keeps an agent from starting, at once; nothing where all is well.
    #[must_use]
    pub fn check_all(&self) -> Vec<ConfigError> {
        let filled = match self.clone().filled() {
            Ok(filled) => filled,
            Err(error) => return vec![error],
        };
        let allow_plain = filled.allow_plain.unwrap_or_default();
        let connection = filled.own_connection();
        let checks = [
            connection.and_then(|connection| check_encryption(&connection, allow_plain)).err(),
            filled.own_credential(&filled.sources()).err(),
            filled.own_name().err(),
            filled.own_service().err(),
            filled.own_baked().err(),
        ];
        checks.into_iter().flatten().collect()
    }

    fn sources(&self) -> Sources {
        let connection = match &self.connection {
            Some(Source::File(path)) => Some(path.clone()),
            _ => None,
        };
        let credentials = match (&self.credentials, &self.credentials_callback) {
            (_, Some(asked)) => Some(CredentialSource::Asked(asked.clone())),
            (Some(Source::File(path)), None) => Some(CredentialSource::File(path.clone())),
            _ => None,
        };
        Sources { connection, credentials }
    }

    fn own_connection(&self) -> Result<Connection, ConfigError> {
        match &self.connection {
            Some(Source::Given(connection)) => connection::check(connection.clone()),
            Some(Source::File(path)) => read_connection(path),
            None => Err(ConfigError::Missing {
                key: "connection",
                how: "give the .connect.json file that \"live connect\" writes",
            }),
        }
    }

    fn own_credential(&self, sources: &Sources) -> Result<Credential, ConfigError> {
        let text = match (&sources.credentials, &self.credentials) {
            (Some(source), _) => source.read()?,
            (None, Some(Source::Given(text))) => text.0.clone(),
            (None, _) => {
                return Err(ConfigError::Missing {
                    key: "credentials",
                    how: "give the .creds file that \"live connect\" writes",
                });
            }
        };
        Credential::read(text)
    }

    fn own_name(&self) -> Result<Option<Slug>, ConfigError> {
        let name = self.name.as_ref().map(|name| name.parse::<Slug>()).transpose();
        name.map_err(|e| ConfigError::Invalid { key: "name", why: e.to_string() })
    }

    /// As FORGE stores it: an agent that goes by another name than FORGE knows hears no order to its service.
    fn own_service(&self) -> Result<String, ConfigError> {
        let service = self.service.clone().unwrap_or_default();
        let why = match service.chars().count() {
            n if n > SERVICE_MAX => {
                format!("it has {n} characters, and FORGE stores {SERVICE_MAX}: write less")
            }
            _ if service.chars().any(char::is_control) => {
                "it holds control characters: write it without".into()
            }
            _ => return Ok(service),
        };
        Err(ConfigError::Invalid { key: "service", why })
    }

    fn own_baked(&self) -> Result<Vec<Kept>, ConfigError> {
        let mut kept = Vec::new();
        for path in &self.baked {
            kept.extend(baked::read(path).map_err(ConfigError::Baked)?);
        }
        Ok(kept)
    }

    /// Puts what environment and file say in the place of what was not given.
    fn filled(mut self) -> Result<Self, ConfigError> {
        let given = std::mem::take(&mut self.given);
        self.connection = self.connection.or_else(|| given.path("connection").map(Source::File));
        if self.credentials_callback.is_none() {
            self.credentials = self.credentials.or_else(|| given.path("credentials").map(Source::File));
        }
        let memory = given.parsed("memory_only", read::switch)?.unwrap_or_default();
        self.cache = self.cache.or_else(|| match memory {
            true => Some(CachePlace::Memory),
            false => given.path("cache_dir").map(CachePlace::Disk),
        });
        self.name = self.name.or_else(|| given.text("name"));
        self.service = self.service.or_else(|| given.text("service"));
        if self.baked.is_empty() {
            self.baked.extend(given.path("baked"));
        }
        let switch = |key| given.parsed(key, read::switch);
        self.allow_plain = self.allow_plain.or(switch("allow_plain")?);
        self.remote_mode = self.remote_mode.or(switch("remote_mode")?);
        self.allow_overrides = self.allow_overrides.or(switch("allow_overrides")?);
        self.usage = self.usage.or(switch("usage")?);
        self.mode = match self.mode {
            Some(mode) => Some(mode),
            None => given.text("mode").map(|mode| parse_mode(&mode)).transpose()?,
        };
        self.preset = self.preset.or_else(|| given.preset());
        for (set, versions) in given.parsed("pins", read::pins)?.unwrap_or_default() {
            self.pins.entry(set).or_insert(versions);
        }
        self.overrides = self.overrides.or_else(|| given.path("overrides"));
        if self.start_policy.is_none() {
            let wait = given.parsed("start_wait", read::duration)?.unwrap_or(START_WAIT);
            let age = given.parsed("start_age", read::duration)?.unwrap_or(START_AGE);
            self.start_policy = given.text("start").map(|start| StartPolicy::of(&start, age, wait));
        }
        if self.max_age.is_none() {
            self.max_age = age_rule(&given, self.preset)?;
        }
        Ok(self)
    }

    /// Reads the files and checks all of it.
    pub(crate) fn build(self) -> Result<Config, ConfigError> {
        self.filled()?.gathered()
    }

    fn gathered(self) -> Result<Config, ConfigError> {
        let sources = self.sources();
        let connection = self.own_connection()?;
        let credential = self.own_credential(&sources)?;
        let allow_plain = self.allow_plain.unwrap_or_default();
        check_encryption(&connection, allow_plain)?;
        let name = self.own_name()?;
        let service = self.own_service()?;
        let kept = self.own_baked()?;
        if self.max_age.flatten().is_some_and(|rule| rule.seconds == 0) {
            let why = "give at least a second: FORGE's word is always older than nothing".into();
            return Err(ConfigError::Invalid { key: "max_age", why });
        }
        check_contracts(&self.contracts)?;
        let allow_overrides = self.allow_overrides.unwrap_or_default();
        let overrides = self.overrides.map(check_overrides).transpose()?;
        let prod = is_prod(self.preset, &connection.scope);
        if let (Some(what), true, false) = (prod, overrides.is_some(), allow_overrides) {
            let why = format!(
                "they are refused with {what}: FORGE's prompts are served there; allow_overrides allows them"
            );
            return Err(ConfigError::Invalid { key: "overrides", why });
        }
        let cache = match self.cache {
            Some(cache) => cache,
            None => CachePlace::Disk(default_cache(&connection)?),
        };
        Ok(Config {
            connection,
            credential,
            allow_plain,
            sources,
            cache,
            name,
            service,
            mode_default: self.mode.unwrap_or_default(),
            baked: kept,
            remote_mode: self.remote_mode.unwrap_or(self.preset != Some(Preset::Prod)),
            max_age: self.max_age.unwrap_or_else(|| self.preset.and_then(Preset::max_age)),
            pins: self.pins,
            start_policy: self.start_policy.unwrap_or_default(),
            overrides,
            contracts: self.contracts,
            usage: self.usage.unwrap_or(true),
            looks: self.looks,
        })
    }
}

/// The agent's own rule, as its two halves say it; none where neither does. The half that is not said is
/// the preset's.
fn age_rule(given: &Given, preset: Option<Preset>) -> Result<Option<Option<MaxAge>>, ConfigError> {
    let bound = given.parsed("max_age", read::bound)?;
    let action = given.parsed("max_age_action", read::age_action)?;
    if bound.is_none() && action.is_none() {
        return Ok(None);
    }
    let of_preset = preset.and_then(Preset::max_age);
    let seconds = match bound {
        Some(bound) => bound.map(|bound| bound.as_secs()),
        None => of_preset.map(|rule| rule.seconds),
    };
    let action = action.or(of_preset.map(|rule| rule.action)).unwrap_or(AgeAction::Warn);
    Ok(Some(seconds.map(|seconds| MaxAge { seconds, action })))
}

/// The first of several faults, and how many more there are.
fn first(faults: Vec<options::Fault>) -> ConfigError {
    let more = faults.len().saturating_sub(1);
    let Some(fault) = faults.into_iter().next() else {
        return ConfigError::Invalid { key: "config", why: "it cannot be read".into() };
    };
    match (ConfigError::from(fault), more) {
        (ConfigError::Invalid { key, why }, 1..) => ConfigError::Invalid {
            key,
            why: format!("{why}; and {more} more: \"live config check\" says all"),
        },
        (error, _) => error,
    }
}

/// What says that an agent is in production.
fn is_prod(preset: Option<Preset>, scope: &Scope) -> Option<String> {
    if preset == Some(Preset::Prod) {
        return Some("the preset prod".into());
    }
    let environment = scope.environment.as_str();
    matches!(environment, "prod" | "production").then(|| format!("the environment {environment}"))
}

fn check_overrides(folder: PathBuf) -> Result<PathBuf, ConfigError> {
    match std::fs::read_dir(&folder) {
        Ok(_) => Ok(folder),
        Err(source) => Err(ConfigError::Unreadable { key: "overrides", path: folder, source }),
    }
}

/// They travel in one request.
fn check_contracts(contracts: &[Contract]) -> Result<(), ConfigError> {
    let size = serde_json::to_vec(contracts).map_or(usize::MAX, |json| json.len());
    if contracts.is_empty() || size <= CONTRACT_MAX {
        return Ok(());
    }
    let why = format!(
        "the contracts have {size} bytes, and {CONTRACT_MAX} are taken: leave out prompts that are not called"
    );
    Err(ConfigError::Invalid { key: "contract", why })
}

/// Reads a mode as people write it.
///
/// # Errors
/// It is neither `accepting` nor `frozen`.
pub fn parse_mode(text: &str) -> Result<Mode, ConfigError> {
    match text.to_ascii_lowercase().as_str() {
        "accepting" => Ok(Mode::Accepting),
        "frozen" => Ok(Mode::Frozen),
        _ => Err(ConfigError::Invalid { key: "mode", why: "write accepting or frozen".into() }),
    }
}

fn read_text(key: &'static str, path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { key, path: path.into(), source })
}

/// `$XDG_CACHE_HOME/anvil-live/<organisation>.<project>.<environment>`, or below `~/.cache`.
pub fn default_cache(connection: &Connection) -> Result<PathBuf, ConfigError> {
    let scope = &connection.scope;
    let folder = format!("{}.{}.{}", scope.organisation, scope.project, scope.environment);
    let base = std::env::var_os("XDG_CACHE_HOME")
        .filter(|v| !v.is_empty())
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
        .ok_or(ConfigError::Missing { key: "cache_dir", how: "there is no home folder to put it into" })?;
    Ok(base.join("anvil-live").join(folder))
}

#[cfg(test)]
pub(crate) mod tests;
