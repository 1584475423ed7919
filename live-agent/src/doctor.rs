//! Looks at everything that an agent needs, in the order in which it needs it, and says what to do.
//!
//! `reach` looks for names, ports and certificates, `broker` at what the broker lets this credential do,
//! `forge` at FORGE and its clock, `disk` at the cache. Nothing is changed but that FORGE hears of the agent
//! whose cache it is, where none runs; and nothing secret is ever in what is found.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemas::connect::Connection;
use serde::Serialize;

use crate::agent::Core;
use crate::config::options::{Given, read};
use crate::config::{self, CachePlace, Config, Credential, check_encryption};
use crate::control::{self, ControlError, Question};
use crate::live::LocalStatus;
use crate::{LiveAgent, VERSION, clock};

mod broker;
mod disk;
mod forge;
mod reach;

/// A credential that ends within so many days is worth a word.
const ENDS_SOON: i64 = 14;
const DAY: i64 = 86_400_000_000;

/// `1 day`, `2 days`.
fn days(count: i64) -> String {
    format!("{count} {}", if count == 1 { "day" } else { "days" })
}

/// What became of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Ok,
    /// It could not be looked at, since something before it is wrong.
    Skipped,
    Warning,
    Failed,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    pub name: &'static str,
    pub verdict: Verdict,
    pub found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Ok, found: found.into(), advice: None }
    }

    fn skipped(name: &'static str, because: &str) -> Self {
        Self { name, verdict: Verdict::Skipped, found: format!("not looked at: {because}"), advice: None }
    }

    fn warning(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Warning, found: found.into(), advice: Some(advice.into()) }
    }

    fn failed(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Failed, found: found.into(), advice: Some(advice.into()) }
    }
}

/// What happens while it looks.
#[derive(Debug, Clone, Copy)]
pub enum Step<'c> {
    /// Something is waited for, at most so long.
    Waits {
        what: &'static str,
        most: Duration,
    },
    Found(&'c Check),
}

/// What was found on the way, and who hears of it at once.
struct Examination<'a> {
    checks: Vec<Check>,
    tell: &'a mut (dyn FnMut(Step<'_>) + Send),
}

impl Examination<'_> {
    fn note(&mut self, check: Check) {
        (self.tell)(Step::Found(&check));
        self.checks.push(check);
    }

    fn wait(&mut self, what: &'static str, most: Duration) {
        (self.tell)(Step::Waits { what, most });
    }

    fn skip(&mut self, names: &[&'static str], because: &str) {
        for name in names {
            self.note(Check::skipped(name, because));
        }
    }
}

/// Looks at everything. `given` are the settings, with the paths of connection and credential; `wrong` is what is
/// wrong with the settings themselves. `tell` hears each check as it is made.
pub async fn examine(given: &Given, wrong: &[String], tell: &mut (dyn FnMut(Step<'_>) + Send)) -> Vec<Check> {
    let mut all = Examination { checks: Vec::new(), tell };
    all.note(configuration(wrong));
    let allow_plain = given.parsed("allow_plain", read::switch).ok().flatten().unwrap_or_default();
    let connection = given.path("connection").ok_or("there is none".to_owned());
    let connection = connection.and_then(|path| connect_file(&path, allow_plain));
    let connection = match connection {
        Ok((connection, check)) => {
            all.note(check);
            Some(connection)
        }
        Err(found) => {
            let advice = "run \"live connect\" with a new connect string, or give --connection";
            all.note(Check::failed("connect file", found, advice));
            None
        }
    };
    let credential = given.path("credentials").and_then(|path| {
        let (check, credential) = credential(&path, connection.as_ref());
        all.note(check);
        credential
    });
    let agent = match place(given, connection.as_ref()) {
        Some(CachePlace::Disk(dir)) => running(&dir).await,
        _ => Ok(None),
    };
    match &connection {
        None => all.skip(&["names", "ports", "TLS"], "there is no connect file"),
        Some(connection) => reach::examine(connection, allow_plain, &mut all).await,
    }
    let config = LiveAgent::builder().or_given(given.clone()).and_then(config::Builder::build);
    let mut broker_version = None;
    const OF_BROKER: &[&str] = &["broker", "permissions", "FORGE", "clock"];
    match (config, &credential) {
        (Ok(config), Some(_)) => {
            broker_version =
                broker::examine(&config, agent.as_ref().ok().is_some_and(Option::is_some), &mut all).await;
        }
        _ => all.skip(OF_BROKER, "something above is wrong"),
    }
    match place(given, connection.as_ref()) {
        Some(CachePlace::Disk(dir)) => disk::examine(&dir, connection.as_ref(), &agent, &mut all),
        Some(CachePlace::Memory) => {
            all.note(Check::ok("disk", "memory_only: nothing is kept, each start is the first one"));
        }
        None => all.note(Check::skipped("disk", "without a connect file there is no folder")),
    }
    all.note(versions(broker_version));
    all.note(health(agent));
    all.checks
}

fn configuration(wrong: &[String]) -> Check {
    match wrong {
        [] => Check::ok("configuration", "every setting is one"),
        wrong => {
            Check::failed("configuration", wrong.join("; "), "\"live config check\" says where each was said")
        }
    }
}

fn connect_file(path: &Path, allow_plain: bool) -> Result<(Connection, Check), String> {
    let connection = config::read_connection(path).map_err(chain)?;
    check_encryption(&connection, allow_plain).map_err(chain)?;
    let roots: Vec<&str> = connection.roots.iter().map(|root| root.get(..12).unwrap_or(root)).collect();
    let found = format!("{}, roots {}", connection.scope, roots.join("…, ") + "…");
    Ok((connection, Check::ok("connect file", found)))
}

/// An error with everything below it.
fn chain(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn credential(path: &Path, connection: Option<&Connection>) -> (Check, Option<Credential>) {
    const NAME: &str = "credential";
    const ANOTHER: &str = "make another credential in FORGE, and run \"live connect\" with it";
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            return (Check::failed(NAME, format!("{}: {error}", path.display()), ANOTHER), None);
        }
    };
    let credential = match Credential::read(text) {
        Ok(credential) => credential,
        Err(error) => return (Check::failed(NAME, chain(error), ANOTHER), None),
    };
    let ours = connection.map(|connection| connection.scope.environment.as_str());
    if let (Some(made_for), Some(ours)) = (credential.environment.as_deref(), ours)
        && made_for != ours
    {
        let found = format!("it was made for {made_for}, the connect file is of {ours}");
        // The broker has the last word: it is asked all the same.
        return (Check::failed(NAME, found, "take both from the same connect string"), Some(credential));
    }
    let left = credential.expires.map(|at| at - clock::now());
    if let Some(ended @ ..0) = left {
        let found = format!("it ended {} ago", days(-ended / DAY));
        return (Check::failed(NAME, found, ANOTHER), Some(credential));
    }
    let left = left.map(|left| left / DAY);
    let check = match left {
        Some(left @ 0..=ENDS_SOON) => Check::warning(NAME, format!("it ends in {}", days(left)), ANOTHER),
        _ => match mode_of(path) {
            Some(mode) if mode & 0o077 != 0 => {
                let found = format!("others may read {} (mode {mode:03o})", path.display());
                Check::warning(NAME, found, format!("chmod 600 {}", path.display()))
            }
            _ => {
                let ends = left.map_or("never".into(), |left| format!("in {}", days(left)));
                Check::ok(NAME, format!("{}…, ends {ends}", credential.user.get(..12).unwrap_or_default()))
            }
        },
    };
    (check, Some(credential))
}

fn mode_of(path: &Path) -> Option<u32> {
    std::fs::metadata(path).ok().map(|found| found.permissions().mode() & 0o777)
}

fn place(given: &Given, connection: Option<&Connection>) -> Option<CachePlace> {
    if given.parsed("memory_only", read::switch) == Ok(Some(true)) {
        return Some(CachePlace::Memory);
    }
    let dir: Option<PathBuf> = given.path("cache_dir");
    dir.or_else(|| config::default_cache(connection?).ok()).map(CachePlace::Disk)
}

/// The status of the agent that runs with this cache.
async fn running(dir: &Path) -> Result<Option<LocalStatus>, String> {
    match control::ask(dir, &Question::Status).await {
        Ok(answer) => serde_json::from_value(answer)
            .map(Some)
            .map_err(|_| "it answers what this program does not read".to_owned()),
        Err(ControlError::NoAgent) => Ok(None),
        Err(error) => Err(chain(error)),
    }
}

fn versions(broker: Option<String>) -> Check {
    let broker = broker.map_or_else(String::new, |version| format!(", broker {version}"));
    let (cache, bundle) = (crate::store::record::FORMAT, schemas::bundle::SCHEMA_VERSION);
    Check::ok("versions", format!("live {VERSION}, cache format {cache}, bundle format {bundle}{broker}"))
}

fn health(agent: Result<Option<LocalStatus>, String>) -> Check {
    const NAME: &str = "agent";
    let local = match agent {
        Ok(None) => return Check::ok(NAME, "none runs with this cache"),
        Err(why) => {
            return Check::failed(NAME, why, "stop it and start it again, both of this version");
        }
        Ok(Some(local)) => local,
    };
    let status = &local.status;
    let found = format!("{} runs, {}", status.agent, status.mode.as_str());
    if let Some(why) = &local.refused {
        return Check::failed(
            NAME,
            format!("{found}, refused: {why}"),
            "give it a new credential: it takes it up",
        );
    }
    if let Some(why) = status.stale_reason.as_ref().filter(|_| status.stale) {
        let advice = "it serves what it has; see FORGE and broker above";
        return Check::warning(NAME, format!("{found}, STALE: {why}"), advice);
    }
    if status.cache != "disk" {
        return Check::warning(NAME, format!("{found}, cache {}", status.cache), "see disk above");
    }
    Check::ok(NAME, format!("{found}, current"))
}

/// Whether there is an identity on disk that FORGE may know.
fn has_identity(config: &Config) -> bool {
    let CachePlace::Disk(dir) = &config.cache else { return false };
    crate::store::look(dir, &config.connection.scope).is_ok_and(|loaded| loaded.identity.is_some())
}

/// The agent of this cache, without its life.
fn look(config: Config) -> Result<Core, String> {
    Core::open(config, crate::agent::Access::Look).map_err(chain)
}
