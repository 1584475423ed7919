//! Serials never go back, not even those of a database that was restored from a backup.
//!
//! A restored database does not know what was published after the backup. Others do: the stream, and
//! every agent. What they show is believed where this FORGE itself signed it, and from then on the next
//! serial is above it. With the stream wiped and every agent asleep nobody can tell: then whoever
//! restores says so ([`restored`]).

use schemas::envelope::{Attestation, Trust};
use schemas::{Scope, Slug};
use serde_json::json;

use crate::audit;
use crate::auth::Actor;
use crate::author::ProjectAt;
use crate::clock;
use crate::database::project::Environment;
use crate::database::prompt_set::PromptSet;
use crate::database::{Conn, publication, signing};
use crate::error::{ApiError, Result};
use crate::state::AppState;

/// The greatest serial: the last whole number that canonical JSON holds exactly.
pub(crate) const SERIAL_MAX: i64 = (1 << 53) - 1;
/// No serial is learned that is more than so many above the last one that was given out.
const LEAP_MAX: i64 = 1_000_000;

/// Something that bears a serial, and what was signed of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Evidence<'a> {
    pub(crate) scope: &'a Scope,
    pub(crate) set: &'a Slug,
    /// As in header `Forge-Key`.
    pub(crate) certificate: &'a str,
    /// As in header `Forge-Attestation`.
    pub(crate) attestation: &'a str,
}

/// What was made of some evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Learned {
    /// The serial is raised to this.
    Raised(i64),
    /// A key of ours signed it, and it says nothing new. The publication that it is of.
    Nothing { publication: String, serial: u64 },
    /// A stranger's, a revoked key's, or of something else.
    Unbelieved,
    /// A key of ours signed it, and it is too far above what was given out to be of ours: nothing was learned.
    TooFar { serial: u64, key: String },
}

/// Raises the serial of a set above what `evidence` shows, if a key of ours signed it.
///
/// A leap of more than [`LEAP_MAX`] is not made: with a stolen key one leap could use up all serials that there
/// are, and the revocation of the key would not bring them back.
pub(crate) async fn learn(
    state: &AppState,
    at: &ProjectAt,
    environment: &Environment,
    set: &PromptSet,
    evidence: Evidence<'_>,
) -> Result<Learned> {
    let mut conn = state.database.read().await?;
    let Some((found, key)) = believed(&mut conn, at, evidence).await? else { return Ok(Learned::Unbelieved) };
    let last = publication::last_serial(&mut conn, &environment.id, &set.id).await?;
    drop(conn);
    let nothing = Learned::Nothing { publication: found.publication, serial: found.serial };
    let serial = match i64::try_from(found.serial) {
        Ok(serial) if serial <= last => return Ok(nothing),
        Ok(serial) if serial <= SERIAL_MAX && serial - last <= LEAP_MAX => serial,
        _ => return Ok(Learned::TooFar { serial: found.serial, key }),
    };
    let mut tx = state.database.write().await?;
    if !publication::raise_serial(&mut tx, &environment.id, &set.id, serial).await? {
        return Ok(nothing);
    }
    let subject = format!("{}/{} in {}", at.path(), set.slug, environment.slug);
    let detail = json!({ "serial": serial, "why": "it was published, and this database does not know it" });
    audit::record(&mut tx, &Actor::console(), &at.organisation.id, "serial.raised", &subject, detail).await?;
    tx.commit().await?;
    tracing::warn!(
        stream.scope = %evidence.scope, prompt_set = %set.slug, publication.serial = serial,
        "this database is older than what was published: was it restored? its serials go on above that"
    );
    Ok(Learned::Raised(serial))
}

/// Says that a serial was not learned because it is too far ([`Learned::TooFar`]), in log and audit log.
pub(crate) async fn refuse(
    state: &AppState,
    at: &ProjectAt,
    environment: &Environment,
    set: &PromptSet,
    serial: u64,
    key: &str,
) -> Result<()> {
    tracing::error!(
        project.path = %at.path(), environment.slug = %environment.slug, prompt_set = %set.slug,
        publication.serial = serial, signing.key = key,
        "a serial far above all that were given out is signed by a key of ours: was the key stolen? revoke it with `forge keys revoke`"
    );
    let mut tx = state.database.write().await?;
    let subject = format!("{}/{} in {}", at.path(), set.slug, environment.slug);
    // As text: it may be more than a number of JSON holds.
    let detail = json!({ "serial": serial.to_string(), "key": key });
    audit::record(&mut tx, &Actor::console(), &at.organisation.id, "serial.refused", &subject, detail)
        .await?;
    tx.commit().await?;
    Ok(())
}

/// What one of our keys signed, and the key; none where it is a stranger's or a revoked key's.
async fn believed(
    conn: &mut Conn,
    at: &ProjectAt,
    evidence: Evidence<'_>,
) -> Result<Option<(Attestation, String)>> {
    let roots = signing::roots(conn).await?.into_iter().filter(|key| key.state != "revoked");
    let trust = Trust::new(roots.map(|key| key.public_key).collect(), evidence.scope.clone());
    let keys = signing::of_project(conn, &at.project.id).await?;
    let revoked = |public: &str| keys.iter().any(|k| k.public_key == public && k.state == "revoked");
    match trust.verify_attestation(evidence.certificate, evidence.attestation, clock::now()) {
        Ok((found, key)) if found.set == *evidence.set && !revoked(&key) => Ok(Some((found, key))),
        Ok(_) => Ok(None),
        Err(error) => {
            tracing::warn!(stream.scope = %evidence.scope, prompt_set = %evidence.set, error = %error, "what is said of a serial is not believed");
            Ok(None)
        }
    }
}

/// Raises every serial by `skip`: what an operator does after restoring a backup while neither the
/// stream nor an agent can tell what was published since. Gives how many there are.
///
/// # Errors
/// The database refuses, or `skip` is not from 1 to a million.
pub async fn restored(state: &AppState, skip: i64) -> Result<usize> {
    if !(1..=1_000_000).contains(&skip) {
        return Err(ApiError::invalid("invalid", "skip", "from 1 to 1000000"));
    }
    let mut tx = state.database.write().await?;
    let raised = publication::raise_all(&mut tx, skip).await?;
    for organisation in crate::database::organisation::all(&mut tx).await? {
        let detail = json!({ "by": skip });
        let actor = Actor::console();
        audit::record(&mut tx, &actor, &organisation.id, "serial.restored", &organisation.slug, detail)
            .await?;
    }
    tx.commit().await?;
    Ok(raised)
}
