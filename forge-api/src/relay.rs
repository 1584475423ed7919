//! Sends what stands in the outbox. Any number of FORGE processes may do so at once.
//!
//! A row is claimed by a lease, sent with the publication's id as message id, and deleted in the
//! transaction that marks the publication as sent. Killed at any point, the next relay does the same
//! again, and the broker (or what it stored) tells that the message is there already. Within one
//! environment and set, serials go out in order.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use publisher::publish::{Head, Outgoing, PublishError, Sent};
use schemas::Micros;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::auth::Actor;
use crate::author::{ProjectAt, SetAt};
use crate::broker::BrokerLink;
use crate::clock;
use crate::database::outbox::{self, Waiting};
use crate::database::publication::{self, PublicationFull};
use crate::database::{Conn, project, version};
use crate::error::{ApiError, Result, chain};
use crate::publish;
use crate::serial::{self, Evidence, Learned};
use crate::state::AppState;
use crate::webhook::emit;

/// How long a claim lasts, in microseconds: what a process that died in the middle of it holds up.
const LEASE: Micros = 10 * 1_000_000;
/// While a message is being sent, its claim is renewed this often.
const RENEW_EVERY: Duration = Duration::from_secs(3);
/// Waits between attempts double from the first to the last.
const BACKOFF_FIRST: Duration = Duration::from_millis(250);
const BACKOFF_LAST: Duration = Duration::from_secs(30);
/// Without a ring, the outbox is looked at this often: another process may have died.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Rows of one look.
const BATCH: i64 = 200;

/// Wakes the relay.
#[derive(Debug, Clone, Default)]
pub struct Bell {
    notify: Arc<Notify>,
    back: Arc<std::sync::atomic::AtomicBool>,
}

impl Bell {
    /// Something was put into the outbox.
    pub fn ring(&self) {
        self.notify.notify_one();
    }

    /// The broker is back: everything that waits is due at once.
    pub fn broker_is_back(&self) {
        self.back.store(true, std::sync::atomic::Ordering::Release);
        self.notify.notify_one();
    }

    fn was_away(&self) -> bool {
        self.back.swap(false, std::sync::atomic::Ordering::AcqRel)
    }
}

/// Sends until `stop`.
pub async fn run(state: AppState, stop: CancellationToken) {
    let owner = clock::new_id();
    if let Err(error) = take_over(&state).await {
        tracing::warn!(error = %chain(&error), "claims of a process that died were not taken over yet");
    }
    loop {
        let wait = match round(&state, &owner).await {
            Ok(Some(next)) => next.min(LOOK_EVERY),
            Ok(None) => LOOK_EVERY,
            Err(error) => {
                tracing::warn!(error = %chain(&error), "the outbox cannot be read; trying again");
                LOOK_EVERY
            }
        };
        tokio::select! {
            () = state.relay.notify.notified() => {}
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Nobody else relays for a database of our own: what is claimed was claimed by one that died.
async fn take_over(state: &AppState) -> Result<()> {
    if !state.database.is_shared() {
        let mut tx = state.database.write().await?;
        outbox::release_all(&mut tx).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Goes through the outbox once; gives when the next row is due, if one waits.
async fn round(state: &AppState, owner: &str) -> Result<Option<Duration>> {
    if state.relay.was_away() {
        let mut tx = state.database.write().await?;
        outbox::due_now(&mut tx, clock::now()).await?;
        tx.commit().await?;
    }
    let rows = {
        let mut conn = state.database.read().await?;
        outbox::waiting(&mut conn, BATCH).await?
    };
    if rows.is_empty() || !state.broker.is_connected() {
        return Ok(None);
    }
    // A row that waits holds back the later ones of its environment and set.
    let mut held: HashSet<(String, String)> = HashSet::new();
    let mut next: Option<Micros> = None;
    for row in rows {
        let line = (row.environment_id.clone(), row.set_id.clone());
        if held.contains(&line) {
            continue;
        }
        let now = clock::now();
        let due = row.not_before.max(row.lease_until);
        if due > now {
            next = Some(next.map_or(due, |n| n.min(due)));
            held.insert(line);
            continue;
        }
        if let Step::Hold(at) = step(state, owner, &row).await? {
            next = Some(next.map_or(at, |n| n.min(at)));
            held.insert(line);
        }
    }
    let now = clock::now();
    Ok(next.map(|at| Duration::from_micros(u64::try_from((at - now).max(1000)).unwrap_or(1000))))
}

enum Step {
    Done,
    /// Not yet: look again then.
    Hold(Micros),
}

async fn step(state: &AppState, owner: &str, row: &Waiting) -> Result<Step> {
    let now = clock::now();
    let mut tx = state.database.write().await?;
    if !outbox::claim(&mut tx, &row.publication_id, owner, now, now + LEASE).await? {
        return Ok(Step::Hold(now + LEASE));
    }
    tx.commit().await?;
    let (at, full, mut outgoing) = {
        let mut conn = state.database.read().await?;
        load(&mut conn, &row.publication_id).await?
    };
    let mut sent = send_held(state, owner, row, &outgoing).await;
    if let Err(PublishError::Superseded(head)) = &sent {
        let head = head.clone();
        let stands = stands(state, &at, &full, &head).await?;
        if stands != Stands::Nothing {
            superseded(state, &at, &full, &head, stands).await?;
            publish::tell(state, &at, &full);
            return Ok(Step::Done);
        }
        outgoing.over = Some(head.sequence);
        tracing::warn!(
            publication.id = %full.publication.id, publication.serial = full.publication.serial,
            stream.sequence = head.sequence, stream.serial = head.serial,
            "what stands in the stream is signed by no key that counts; this publication goes over it"
        );
        sent = send_held(state, owner, row, &outgoing).await;
        // Another one came meanwhile: it is looked at anew.
        if let Err(PublishError::Superseded(next)) = &sent {
            sent = Err(PublishError::Conflict { expected: head.sequence, found: next.sequence });
        }
    }
    finish(state, &at, &full, row, sent).await
}

/// Sends, and holds on to the row meanwhile.
async fn send_held(
    state: &AppState,
    owner: &str,
    row: &Waiting,
    outgoing: &Outgoing,
) -> Result<Sent, PublishError> {
    let mut sending = std::pin::pin!(send(&state.broker, outgoing));
    loop {
        tokio::select! {
            sent = &mut sending => return sent,
            () = tokio::time::sleep(RENEW_EVERY) => renew(state, owner, row).await,
        }
    }
}

/// What the last message of a set is to us.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stands {
    /// A publication of this database.
    Ours,
    /// A key of ours signed it, and this database does not know it: it was restored from a backup. Its serials go on
    /// above that.
    Newer,
    /// A key of ours signed it, and its serial is none that we gave out, nor one that we can go on from.
    TooFar { serial: u64, key: String },
    /// No key that counts signed it.
    Nothing,
}

/// Looks at the last message of the set of a publication; what its headers say is believed only as it was signed.
pub(crate) async fn stands(
    state: &AppState,
    at: &ProjectAt,
    full: &PublicationFull,
    head: &Head,
) -> Result<Stands> {
    let known = {
        let mut conn = state.database.read().await?;
        publication::by_id(&mut conn, &head.publication).await?
    };
    if let Some(known) = known
        && (&known.environment.id, &known.set.id) == (&full.environment.id, &full.set.id)
        && known.publication.attestation == head.attestation
        && u64::try_from(known.publication.serial) == Ok(head.serial)
    {
        return Ok(Stands::Ours);
    }
    let scope = at.scope(&full.environment)?;
    let evidence = Evidence {
        scope: &scope,
        set: &schemas::Slug::new(&full.set.slug)?,
        certificate: &head.certificate,
        attestation: &head.attestation,
    };
    Ok(match serial::learn(state, at, &full.environment, &full.set, evidence).await? {
        Learned::Raised(serial) if u64::try_from(serial) == Ok(head.serial) => Stands::Newer,
        Learned::Nothing { publication, serial }
            if (&publication, serial) == (&head.publication, head.serial) =>
        {
            Stands::Newer
        }
        Learned::TooFar { serial, key } if serial == head.serial => Stands::TooFar { serial, key },
        _ => Stands::Nothing,
    })
}

/// Holds on to a row that is being sent. Losing it is no harm: who takes it finds the message there.
async fn renew(state: &AppState, owner: &str, row: &Waiting) {
    let renewed = async {
        let mut tx = state.database.write().await?;
        outbox::renew(&mut tx, &row.publication_id, owner, clock::now() + LEASE).await?;
        tx.commit().await
    };
    if let Err(error) = renewed.await {
        tracing::warn!(publication.id = %row.publication_id, error = %chain(&error), "a claim was not renewed");
    }
}

async fn send(link: &BrokerLink, outgoing: &Outgoing) -> Result<Sent, PublishError> {
    let unreachable = || {
        PublishError::Unreachable(publisher::BrokerError::Unreachable { doing: "publishing", source: None })
    };
    let broker = link.get().ok_or_else(unreachable)?;
    match broker.send(outgoing).await {
        Err(PublishError::NoStream { .. }) => {
            broker.ensure_environment(&outgoing.scope).await.map_err(PublishError::Unreachable)?;
            broker.send(outgoing).await
        }
        other => other,
    }
}

/// Everything of a publication that goes on the wire, as the database has it.
pub(crate) async fn load(conn: &mut Conn, id: &str) -> Result<(ProjectAt, PublicationFull, Outgoing)> {
    let full = publication::by_id(conn, id).await?.ok_or(ApiError::NotFound("publication"))?;
    let (organisation, project) =
        project::by_id(conn, &full.publication.project_id).await?.ok_or(ApiError::NotFound("project"))?;
    let at = ProjectAt { organisation, project };
    let body = version::body(conn, &full.version.id).await?.ok_or(ApiError::NotFound("version"))?;
    let outgoing = outgoing(&at, &full, body)?;
    Ok((at, full, outgoing))
}

pub(crate) fn outgoing(at: &ProjectAt, full: &PublicationFull, body: Vec<u8>) -> Result<Outgoing> {
    let built = publisher::bundle::from_body(body)?;
    Ok(Outgoing {
        scope: at.scope(&full.environment)?,
        set: schemas::Slug::new(&full.set.slug)?,
        publication: full.publication.id.clone(),
        version: crate::lock::parse_version(&full.version.version)?,
        serial: u64::try_from(full.publication.serial).map_err(ApiError::internal)?,
        digest: built.digest,
        wire: built.wire,
        encoding: built.encoding,
        certificate: full.publication.certificate.clone(),
        attestation: full.publication.attestation.clone(),
        trust: full.publication.trust.clone(),
        expected_last_subject_sequence: None,
        over: None,
    })
}

async fn finish(
    state: &AppState,
    at: &ProjectAt,
    full: &PublicationFull,
    row: &Waiting,
    sent: Result<Sent, PublishError>,
) -> Result<Step> {
    let (now, id) = (clock::now(), &full.publication.id);
    let mut tx = state.database.write().await?;
    let step = match sent {
        Ok(sent) => {
            let sequence = i64::try_from(sent.sequence).unwrap_or(i64::MAX);
            publication::mark_sent(&mut tx, id, sequence, now).await?;
            // Another process whose claim this was, too, has told of it.
            if outbox::delete(&mut tx, id).await? {
                emit::sent(&mut tx, at, full).await?;
            }
            tracing::info!(
                publication.id = %id, publication.serial = full.publication.serial,
                stream.sequence = sent.sequence, stream.duplicate = sent.duplicate,
                after_ms = (now - full.publication.created_at) / 1000, "publication sent"
            );
            Step::Done
        }
        Err(error) if error.is_temporary() || matches!(error, PublishError::Conflict { .. }) => {
            let wait = backoff(row.attempts);
            let text = chain(&error);
            // With the row gone somebody else has sent it meanwhile, and it does not wait.
            if outbox::retry(&mut tx, id, now + wait, &text).await? {
                publication::mark(&mut tx, id, "waiting", Some(&text)).await?;
            }
            tracing::warn!(publication.id = %id, error = %text, retry_in_ms = wait / 1000, "publication waits");
            Step::Hold(now + wait)
        }
        Err(error) => {
            let text = chain(&error);
            publication::mark(&mut tx, id, "failed", Some(&text)).await?;
            outbox::delete(&mut tx, id).await?;
            tracing::error!(publication.id = %id, error = %text, "publication failed");
            Step::Done
        }
    };
    tx.commit().await?;
    publish::tell(state, at, full);
    Ok(step)
}

/// The stream has something newer. Where this database does not know it, it was restored from a
/// backup: what was to be published goes out once more, above that, if it is the newest of its set.
async fn superseded(
    state: &AppState,
    at: &ProjectAt,
    full: &PublicationFull,
    head: &Head,
    stands: Stands,
) -> Result<()> {
    let text = match &stands {
        Stands::TooFar { serial, key } => format!(
            "serial {serial} is in the stream, far above all that were given out, signed by key {key}: revoke that key with `forge keys revoke`, and this is published again"
        ),
        _ => chain(&PublishError::Superseded(Box::new(head.clone()))),
    };
    let mut tx = state.database.write().await?;
    publication::mark(&mut tx, &full.publication.id, "superseded", Some(&text)).await?;
    outbox::delete(&mut tx, &full.publication.id).await?;
    tx.commit().await?;
    match stands {
        Stands::Ours | Stands::Nothing => Ok(()),
        Stands::TooFar { serial, key } => {
            serial::refuse(state, at, &full.environment, &full.set, serial, &key).await
        }
        Stands::Newer => {
            let set = SetAt { at: at.clone(), set: full.set.clone() };
            let comment = format!(
                "published again: serial {} was in the stream already; the database is older than it",
                head.serial
            );
            let actor = Actor { name: full.publication.published_by.clone(), ..Actor::console() };
            publish::again(state, &actor, &set, full, &comment).await?;
            Ok(())
        }
    }
}

/// The wait after so many attempts, in microseconds: doubling, with full jitter over its upper half.
fn backoff(attempts: i64) -> Micros {
    let doubled = BACKOFF_FIRST.saturating_mul(1 << attempts.clamp(0, 10)).min(BACKOFF_LAST);
    let half = Micros::try_from(doubled.as_micros() / 2).unwrap_or(Micros::MAX);
    half + rand::random_range(0..=half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_end_at_half_a_minute() {
        for attempts in 0..40 {
            let wait = backoff(attempts);
            assert!((125_000..=30_000_000).contains(&wait), "{attempts}: {wait}");
        }
        assert!(backoff(0) <= 250_000 && backoff(30) >= 15_000_000);
    }
}
