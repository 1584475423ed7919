//! The fifth step of the line: a version is sent to an environment.
//!
//! Publication, serial and outbox row are written in one transaction, with the signed attestation:
//! from then on the database alone says what has to be in the stream, byte for byte. Sending is the
//! relay's ([`crate::relay`]).

mod foresee;
mod retry;
mod view;

pub use foresee::{Foreseen, Will, foresee};
pub use retry::retry;
pub use view::{
    AgentAnswer, Answer, PublicationView, current_bundle, find, find_by_id, list, list_of_set, live,
    overridden as overridden_by,
};

use schemas::canonical::Digest;
use schemas::envelope::Attestation;
use serde_json::json;

use crate::audit;
use crate::auth::{Action, Actor};
use crate::author::{self, ProjectAt, SetAt};
use crate::clock;
use crate::contract::{self, Broken, Content};
use crate::database::outbox;
use crate::database::project::{self, Environment};
pub use crate::database::publication::Only;
use crate::database::publication::{self, Publication, PublicationFull};
use crate::database::version::{self, Version};
use crate::database::{Conn, DatabaseError, Tx, prompt_set};
use crate::error::{ApiError, Result, within};
use crate::events::Kind;
use crate::lock;
use crate::rule;
use crate::serial::SERIAL_MAX;
use crate::state::AppState;

/// The word that stands for the draft where a version is asked for.
pub const DRAFT: &str = "draft";

/// Longest comment of a publication, in characters.
const COMMENT_MAX: usize = 2000;
/// Names of one override that its records hold.
const AUDITED: usize = 100;

/// Another serial is live than the caller saw.
const MISMATCH: &str = "serial_mismatch";

/// What is to be published where.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub environment: &'a str,
    /// A version, or [`DRAFT`] for a snapshot of the draft where the environment takes one.
    pub version: &'a str,
    /// The serial that is live as the caller saw it (0: none yet), if the caller cares.
    pub expected_serial: Option<i64>,
    pub comment: &'a str,
    /// Services that the version may break, each by its name; see [`crate::contract`].
    pub accept_broken: &'a [String],
}

/// What goes into one publication.
struct Writing<'a> {
    set: &'a SetAt,
    environment: &'a Environment,
    version: &'a Version,
    request: Request<'a>,
    /// Whom it breaks; all of them were named.
    broken: &'a [Broken],
    /// Who approved it, before or after it was locked.
    approver: Option<String>,
}

/// Publishes a version, or an older one again (a rollback), with the next serial.
///
/// # Errors
/// Not allowed; the environment's rule does not let it through; not locked where only LOCKED is taken; another serial is live than the caller saw;
/// too large; it breaks what agents were built for, and not all of them are named. Nothing is changed then.
pub async fn publish(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    request: Request<'_>,
) -> Result<PublicationFull> {
    set.at.require(actor, Action::Publish)?;
    let environment = author::find_environment(state, actor, &set.at, request.environment).await?;
    let snapshot = if request.version == DRAFT {
        Some(prepare_snapshot(state, actor, set, &environment).await?)
    } else {
        None
    };
    let broken = broken(state, set, &environment, request, snapshot.as_ref().map(|(draft, _)| draft)).await?;
    let mut tx = state.database.write().await?;
    author::set::refuse_archived(&mut tx, set).await?;
    let version = match snapshot {
        Some((body, digest)) => store_snapshot(&mut tx, actor, set, body, &digest).await?,
        None => locked_version(&mut tx, set, &environment, request.version).await?,
    };
    let approved = rule::allow(&mut tx, actor, set, &environment, &version).await?;
    let approver = version.approver.clone().or_else(|| (!approved.is_empty()).then(|| approved.join(", ")));
    let writing =
        Writing { set, environment: &environment, version: &version, request, broken: &broken, approver };
    let row = write(state, &mut tx, actor, writing).await?;
    let full = publication::by_id(&mut tx, &row.id).await?.ok_or(ApiError::NotFound("publication"))?;
    tx.commit().await?;
    state.relay.ring();
    tell(state, &set.at, &full);
    set.changed(state);
    Ok(full)
}

/// Publishes once more what `head` was, with the next serial and the keys of now. Gives none where it is the newest
/// of its set no longer: then something newer was published, and nothing is to be done.
///
/// # Errors
/// The database refuses.
pub(crate) async fn again(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    head: &PublicationFull,
    comment: &str,
) -> Result<Option<PublicationFull>> {
    let mut tx = state.database.write().await?;
    let request = Request {
        environment: &head.environment.slug,
        version: &head.version.version,
        expected_serial: Some(head.publication.serial),
        comment,
        accept_broken: &[],
    };
    // It is what they have: nobody new is broken.
    let approver = head.version.approver.clone();
    let writing = Writing {
        set,
        environment: &head.environment,
        version: &head.version,
        request,
        broken: &[],
        approver,
    };
    let row = match write(state, &mut tx, actor, writing).await {
        Err(ApiError::Conflict { code: MISMATCH, .. }) => return Ok(None),
        written => written?,
    };
    let full = publication::by_id(&mut tx, &row.id).await?.ok_or(ApiError::NotFound("publication"))?;
    tx.commit().await?;
    state.relay.ring();
    tell(state, &set.at, &full);
    set.changed(state);
    Ok(Some(full))
}

pub(crate) fn tell(state: &AppState, at: &ProjectAt, full: &PublicationFull) {
    let kind = Kind::Publication { id: full.publication.id.clone(), number: full.publication.number };
    state.events.tell(&at.organisation.id, &at.project.id, kind);
}

/// Whom the publication breaks, if all of them are named; an agent refuses by itself what comes between.
async fn broken(
    state: &AppState,
    set: &SetAt,
    environment: &Environment,
    request: Request<'_>,
    draft: Option<&author::Draft>,
) -> Result<Vec<Broken>> {
    let broken = match draft {
        Some(draft) => contract::broken_by(state, set, environment, Content::Draft(draft)).await?,
        None => {
            let version = {
                let mut conn = state.database.read().await?;
                locked_version(&mut conn, set, environment, request.version).await?
            };
            contract::broken_by(state, set, environment, Content::Version(&version)).await?
        }
    }
    .broken;
    contract::allow(request.version, &environment.slug, &broken, request.accept_broken)?;
    Ok(broken)
}

fn not_locked(detail: String) -> ApiError {
    ApiError::conflict("not_locked", detail)
}

async fn locked_version(
    conn: &mut Conn,
    set: &SetAt,
    environment: &Environment,
    text: &str,
) -> Result<Version> {
    let number = lock::parse_version(text)?;
    let found = version::find(conn, &set.set.id, &number.to_string()).await?.ok_or_else(|| {
        not_locked(format!(
            "there is no locked version {number} of {}; lock the set as {number} first",
            set.set.slug
        ))
    })?;
    if found.kind != "locked" && !environment.takes_drafts {
        return Err(not_locked(format!(
            "{number} is a snapshot of a draft; {} takes only locked versions: lock the set first",
            environment.slug
        )));
    }
    Ok(found)
}

/// Builds a snapshot's content outside of the transaction; gives it with the digest of the draft.
async fn prepare_snapshot(
    state: &AppState,
    actor: &Actor,
    set: &SetAt,
    environment: &Environment,
) -> Result<(author::Draft, Digest)> {
    if !environment.takes_drafts {
        return Err(not_locked(format!(
            "the set is {}; {} takes only locked versions: lock the set first",
            set.set.state.to_uppercase(),
            environment.slug
        )));
    }
    let draft = author::draft(state, actor, set).await?;
    // Faults of the templates show here, before anything is written.
    lock::build(set, &draft, &semver::Version::new(0, 0, 0)).await?;
    let digest = draft.digest;
    Ok((draft, digest))
}

async fn store_snapshot(
    conn: &mut Conn,
    actor: &Actor,
    set: &SetAt,
    draft: author::Draft,
    seen: &Digest,
) -> Result<Version> {
    let count = prompt_set::next_snapshot(conn, &set.set.id).await?;
    let now = author::prompt::load(conn, set).await?;
    if now.digest != *seen {
        return Err(ApiError::conflict(
            "draft_changed",
            "the draft changed while it was being published; try again",
        ));
    }
    let mut number = lock::suggest(&version::of_set(conn, &set.set.id).await?);
    number.pre = semver::Prerelease::new(&format!("dev.{count}")).map_err(ApiError::internal)?;
    let body = lock::build(set, &draft, &number).await?;
    let made = lock::store(conn, actor, set, &number, "snapshot", &body, "", None).await?;
    author::dependency::record(conn, &made.id, &draft.requirements).await?;
    Ok(made)
}

/// Writes publication, serial and outbox row.
async fn write(state: &AppState, conn: &mut Tx, actor: &Actor, writing: Writing<'_>) -> Result<Publication> {
    let Writing { set, environment, version, request, broken, approver } = writing;
    let comment = within("comment", "a comment", request.comment, COMMENT_MAX)?;
    // The order of these three locks is the same for everybody: set and environment, project, audit.
    let (serial, head) = publication::next_serial(conn, &environment.id, &set.set.id).await?;
    if serial > SERIAL_MAX {
        return Err(ApiError::conflict(
            "serials_used_up",
            "this set has no serials left in this environment",
        ));
    }
    let replaced = match head {
        Some(id) => publication::by_id(conn, &id).await?,
        None => None,
    };
    // Not the one before: serials are skipped after a restore.
    let live = replaced.as_ref().map_or(0, |old| old.publication.serial);
    if let Some(expected) = request.expected_serial
        && expected != live
    {
        return Err(ApiError::Conflict {
            code: MISMATCH,
            detail: format!(
                "serial {live} is live in {}, not {expected}: somebody published meanwhile; look again",
                environment.slug
            ),
            more: json!({ "expected_serial": expected, "serial": live }),
        });
    }
    let number = project::next_publication(conn, &set.at.project.id).await?;
    let now = clock::now();
    let id = clock::new_id();
    let digest: Digest =
        version.digest.parse().map_err(|_| DatabaseError::Damaged("digest of a version".into()))?;
    let parsed = lock::parse_version(&version.version)?;
    let rollback = replaced.as_ref().is_some_and(|old| old.version.created_at > version.created_at);
    let attestation = Attestation {
        publication: id.clone(),
        scope: set.at.scope(environment)?,
        set: set.slug()?,
        version: parsed,
        serial: u64::try_from(serial).map_err(ApiError::internal)?,
        size: u64::try_from(version.size).map_err(ApiError::internal)?,
        issued: now,
        expires: None,
        previous: replaced.as_ref().and_then(|old| old.version.digest.parse().ok()),
        author: version.author.clone(),
        approver,
        publisher: actor.name.clone(),
    };
    let signer = state.keys.signer(conn, &set.at).await?;
    let attestation = signer.attest(digest, attestation)?;
    let row = Publication {
        id,
        project_id: set.at.project.id.clone(),
        environment_id: environment.id.clone(),
        set_id: set.set.id.clone(),
        version_id: version.id.clone(),
        number,
        serial,
        rollback,
        certificate: signer.certificate,
        attestation,
        trust: signer.trust,
        state: "waiting".into(),
        error: None,
        stream_sequence: None,
        comment,
        published_by: actor.name.clone(),
        created_at: now,
        sent_at: None,
        overridden: overridden(broken)?,
    };
    publication::insert(conn, &row).await?;
    publication::set_head(conn, &environment.id, &set.set.id, &row.id).await?;
    outbox::insert(conn, &row.id, now).await?;
    let subject = format!("{}@{} to {}", set.path(), version.version, environment.slug);
    let detail = json!({
        "publication": number, "serial": serial, "digest": version.digest, "rollback": rollback,
    });
    let chain = &set.at.organisation.id;
    audit::record(conn, actor, chain, "version.published", &subject, detail).await?;
    if !broken.is_empty() {
        let names: Vec<&str> = broken.iter().map(|one| one.name.as_str()).collect();
        let detail = json!({
            "publication": number,
            "services": names.get(..names.len().min(AUDITED)).unwrap_or_default(),
            "count": names.len(),
            "agents": broken.iter().map(Broken::agents).sum::<usize>(),
        });
        audit::record(conn, actor, chain, "contract.overridden", &subject, detail).await?;
    }
    Ok(row)
}

/// Whom a publication breaks, as its row keeps it.
fn overridden(broken: &[Broken]) -> Result<Option<String>> {
    if broken.is_empty() {
        return Ok(None);
    }
    let kept: Vec<_> = broken.iter().take(AUDITED).map(Broken::overridden).collect();
    serde_json::to_string(&kept).map(Some).map_err(ApiError::internal)
}
