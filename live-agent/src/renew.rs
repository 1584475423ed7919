//! Watches where the agent's credential and its connection come from, and takes up what changes.
//!
//! Two credentials are valid at once while one replaces the other: the new one is written over the
//! old one's file, the agent moves to it, and then the old one is revoked. What is half written, bad
//! or refused by the broker is logged and left; the credential in use stays. Of a changed connection
//! servers and TLS are taken up; the roots that it names count at the next start.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use schemas::Scope;
use schemas::canonical::Digest;
use tokio::time::Instant;

use crate::config::{self, ConfigError, Credential, CredentialSource, Entry, Sources};
use crate::switch::Switch;

/// How often a file is looked at: its size and its time, and only what changed is read.
const LOOK: Duration = Duration::from_secs(1);
/// How often a callback is asked.
const ASK: Duration = Duration::from_secs(5);
/// What the broker did not take is tried again after this.
const AGAIN: Duration = Duration::from_secs(30);

/// What a file is told apart by without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    changed: Option<SystemTime>,
    length: u64,
    inode: u64,
}

pub(crate) fn stamp(path: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt as _;
    let found = std::fs::metadata(path).ok()?;
    Some(Stamp { changed: found.modified().ok(), length: found.len(), inode: found.ino() })
}

/// What was seen last.
#[derive(Debug, Clone, Default)]
struct Seen {
    connection: Option<Stamp>,
    credentials: Option<Stamp>,
    /// Of the text that was dealt with last.
    text: Option<Digest>,
}

/// Watches for as long as the agent lives.
pub(crate) async fn run(sources: &Sources, scope: &Scope, switch: &Switch) {
    let period = match &sources.credentials {
        Some(CredentialSource::Asked(_)) => ASK,
        _ => LOOK,
    };
    let sources = Arc::new(sources.clone());
    let mut seen = Seen::default();
    let mut again: Option<Instant> = None;
    let mut wait = Duration::ZERO;
    loop {
        // The first look is at what the agent started with.
        tokio::time::sleep(std::mem::replace(&mut wait, period)).await;
        if again.is_some_and(|at| at <= Instant::now()) {
            (again, seen) = (None, Seen::default());
        }
        let (sources, entry, before) = (Arc::clone(&sources), switch.entry(), seen.clone());
        let look = tokio::task::spawn_blocking(move || look(&sources, entry, before));
        let Ok((now, found)) = look.await else { continue };
        let fresh = now.text != seen.text;
        seen = now;
        let wanted = match found {
            Ok(None) => continue,
            Ok(Some(wanted)) if wanted.connection.scope == *scope => Ok(wanted),
            Ok(Some(wanted)) => Err(format!("the connection is for {} now", wanted.connection.scope)),
            Err(error) => Err(error.to_string()),
        };
        let done = match wanted {
            Ok(wanted) => switch.change(wanted).await.map_err(|error| {
                again = Some(Instant::now() + AGAIN);
                error.to_string()
            }),
            Err(why) => Err(why),
        };
        if let Err(why) = done
            && fresh
        {
            tracing::warn!(reason = %why, "a changed credential or connection is not taken up; the one in use stays");
        }
    }
}

/// What the sources say now, where that differs from what was seen and from `entry`.
fn look(sources: &Sources, entry: Entry, before: Seen) -> (Seen, Result<Option<Entry>, ConfigError>) {
    let file = match &sources.credentials {
        Some(CredentialSource::File(path)) => stamp(path),
        _ => None,
    };
    let connection = sources.connection.as_deref().and_then(stamp);
    let asked = matches!(sources.credentials, Some(CredentialSource::Asked(_)));
    if !asked && (connection, file) == (before.connection, before.credentials) {
        return (before, Ok(None));
    }
    let mut now = Seen { connection, credentials: file, text: None };
    let read = || -> Result<(Entry, Digest), ConfigError> {
        let mut wanted = entry.clone();
        let mut all = Vec::new();
        if let Some(path) = &sources.connection {
            let found = config::read_connection(path)?;
            all.extend(serde_json::to_vec(&found).unwrap_or_default());
            config::check_encryption(&found, entry.allow_plain)?;
            // The roots are those of the start.
            wanted.connection.servers = found.servers;
            wanted.connection.tls = found.tls;
            wanted.connection.scope = found.scope;
        }
        if let Some(source) = &sources.credentials {
            let text = source.read()?;
            all.extend_from_slice(text.as_bytes());
            wanted.credential = Credential::read(text)?;
        }
        Ok((wanted, Digest::of(&all)))
    };
    match read() {
        Ok((wanted, digest)) => {
            now.text = Some(digest);
            let same = before.text == now.text || wanted == entry;
            (now, Ok((!same).then_some(wanted)))
        }
        Err(error) => {
            now.text = Some(Digest::of(error.to_string().as_bytes()));
            (now, Err(error))
        }
    }
}
