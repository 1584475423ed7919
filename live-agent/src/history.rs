//! What the stream still has of each set: read by direct get, verified, and taken up by nobody.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_nats::{Client, Message};
use schemas::canonical::Digest;
use schemas::envelope::Attestation;
use schemas::status::Refusal;
use schemas::{Micros, Slug, Version};
use serde::{Deserialize, Serialize};

use crate::agent::Core;
use crate::clock;
use crate::follow::past::Walk;
use crate::verify::{self, Taken};

/// Entries of one set, the newest that there are; a stream keeps as many.
const MOST_OF_A_SET: usize = 50;

/// One publication that the stream still has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HistoryEntry {
    pub set: Slug,
    pub version: Version,
    pub serial: u64,
    pub digest: Digest,
    /// Where it stands in the stream.
    pub sequence: u64,
    /// As the message names it; where it is not verified, nobody signed for this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publication: Option<String>,
    /// When it was published, and by whose hands it went; only where it is verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued: Option<Micros>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publisher: Option<String>,
    /// Why this agent would not serve it; none: it is verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// It is served here.
    pub active: bool,
}

impl HistoryEntry {
    /// Whether every check of a bundle holds, but that of its serial.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.refusal.is_none()
    }
}

/// Reads what there is of a set, or of all.
pub(crate) async fn read(
    core: &Arc<Core>,
    client: Client,
    set: Option<&Slug>,
) -> Result<Vec<HistoryEntry>, String> {
    let mut walk = Walk::new(client, core.trust.scope().clone(), set);
    let mut all: BTreeMap<Slug, Vec<HistoryEntry>> = BTreeMap::new();
    loop {
        let batch = walk.next().await?;
        if batch.is_empty() {
            break;
        }
        let core = Arc::clone(core);
        let entries = tokio::task::spawn_blocking(move || {
            batch.iter().filter_map(|message| entry(&core, message)).collect::<Vec<_>>()
        });
        for entry in entries.await.map_err(|_| "reading it failed")? {
            let of_set = all.entry(entry.set.clone()).or_default();
            of_set.push(entry);
            if of_set.len() > MOST_OF_A_SET {
                of_set.remove(0);
            }
        }
    }
    Ok(all.into_values().flatten().collect())
}

/// What a message says of itself; none: not even of which set it is.
fn entry(core: &Core, message: &Message) -> Option<HistoryEntry> {
    let message = match verify::read(core.trust.scope(), message) {
        Ok(message) => message,
        Err(unreadable) => {
            tracing::debug!(reason = %unreadable.refusal.message, "a message of the stream is no bundle");
            return None;
        }
    };
    let (attestation, refusal): (Option<Attestation>, _) =
        match verify::check(&core.trust, &message, Taken::Wire, clock::now()) {
            Ok(checked) => (Some(checked.attestation), None),
            Err(refusal) => (None, Some(refusal)),
        };
    let active = {
        let state = core.state();
        let active = state.sets.get(&message.set).and_then(|one| one.active.as_ref());
        active.is_some_and(|a| (a.applied.serial, a.applied.digest) == (message.serial, message.digest))
    };
    let signed = attestation.as_ref();
    Some(HistoryEntry {
        publication: signed.map(|a| a.publication.clone()).or(message.publication),
        issued: signed.map(|a| a.issued),
        author: signed.map(|a| a.author.clone()),
        approver: signed.and_then(|a| a.approver.clone()),
        publisher: signed.map(|a| a.publisher.clone()),
        set: message.set,
        version: message.version,
        serial: message.serial,
        digest: message.digest,
        sequence: message.sequence,
        active: active && refusal.is_none(),
        refusal,
    })
}
