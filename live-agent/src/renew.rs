//! Watches where the agent's credential and its connection come from, and takes up what changes.
//!
//! Two credentials are valid at once while one replaces the other: the new one is written over the
//! old one's file, the agent moves to it, and then the old one is revoked. What is half written, bad
//! or refused by the broker is logged and left; the credential in use stays. Of a changed connection
//! servers and TLS are taken up; the roots that it names count at the next start.
//!
//! A host that is asked may make another credential at each question. So what it gives is taken up when it gave
//! the same twice, or when the one in use is refused or two thirds of its time are over.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use schemas::canonical::Digest;
use schemas::{Micros, Scope};
use tokio::time::Instant;

use crate::clock;
use crate::config::{self, ConfigError, Credential, CredentialSource, Entry, Sources};
use crate::switch::Switch;

/// How often a file is looked at: its size and its time, and only what changed is read.
const LOOK: Duration = Duration::from_secs(1);
/// How often a callback is asked.
const ASK: Duration = Duration::from_secs(5);
/// What the broker did not take is tried again after this. The connection does not change more often either.
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
    text: Option<Digest>,
}

impl Seen {
    /// The same, with the files to be read again.
    fn again(self) -> Self {
        Self { text: self.text, ..Self::default() }
    }
}

/// Whether two thirds of the time are over that a credential had when it was taken up.
fn is_due(expires: Option<Micros>, since: Micros, now: Micros) -> bool {
    expires.is_some_and(|at| now >= since.saturating_add(at.saturating_sub(since) / 3 * 2))
}

/// Watches for as long as the agent lives.
pub(crate) async fn run(sources: &Sources, scope: &Scope, switch: &Switch) {
    let asked = matches!(sources.credentials, Some(CredentialSource::Asked(_)));
    let period = if asked { ASK } else { LOOK };
    let sources = Arc::new(sources.clone());
    let mut seen = Seen::default();
    // What was taken up or refused last, and when something was taken up.
    let mut dealt: Option<Digest> = None;
    let (mut since, mut changed): (Micros, Option<Instant>) = (clock::now(), None);
    let mut again: Option<Instant> = None;
    let mut wait = Duration::ZERO;
    loop {
        // The first look is at what the agent started with.
        tokio::time::sleep(std::mem::replace(&mut wait, period)).await;
        if again.is_some_and(|at| at <= Instant::now()) {
            (again, dealt, seen) = (None, None, seen.again());
        }
        let (sources, entry, before) = (Arc::clone(&sources), switch.entry(), seen.clone());
        let expires = entry.credential.expires;
        let look = tokio::task::spawn_blocking(move || look(&sources, entry, before));
        let Ok((now, found)) = look.await else { continue };
        let fresh = now.text != seen.text;
        seen = now;
        let done = match found {
            Ok(None) => continue,
            Ok(Some(wanted)) => {
                let refused = switch.session().link.borrow().refused.is_some();
                let steady = !asked || !fresh || refused || is_due(expires, since, clock::now());
                if dealt == seen.text || !steady || (asked && again.is_some()) {
                    continue;
                }
                // Somebody who writes a file to free a refused agent does not wait.
                let at_once = refused && !asked;
                if !at_once && changed.is_some_and(|at| at.elapsed() < AGAIN) {
                    seen = seen.again();
                    continue;
                }
                dealt = seen.text;
                if wanted.connection.scope == *scope {
                    let done = switch.change(wanted).await.map_err(|error| error.to_string());
                    match &done {
                        Ok(()) => (since, changed) = (clock::now(), Some(Instant::now())),
                        Err(_) => again = Some(Instant::now() + AGAIN),
                    }
                    done
                } else {
                    Err(format!("the connection is for {} now", wanted.connection.scope))
                }
            }
            Err(error) if fresh => Err(error.to_string()),
            Err(_) => continue,
        };
        if let Err(why) = done {
            tracing::warn!(reason = %why, "a changed credential or connection is not taken up; the one in use stays");
        }
    }
}

/// What the sources say now, where that is another way in than `entry`. What could not be read is read again at the
/// next look: who may read a file changes nothing of its stamp.
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
            // Another text for the same user and time lets nobody in who is not in already.
            let same = asked && wanted.is_like(&entry);
            (now, Ok((!same && wanted != entry).then_some(wanted)))
        }
        Err(error) => {
            now.text = Some(Digest::of(error.to_string().as_bytes()));
            (now.again(), Err(error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Micros = 1_000_000;

    #[test]
    fn a_credential_is_due_when_two_thirds_of_its_time_are_over() {
        let due = |expires: Option<Micros>, now: Micros| is_due(expires, 100 * SECOND, now * SECOND);
        assert!(!due(Some(400 * SECOND), 299) && due(Some(400 * SECOND), 300));
        assert!(due(Some(90 * SECOND), 100), "it had ended before");
        assert!(!due(None, i64::from(u32::MAX)), "it never ends");
    }
}
