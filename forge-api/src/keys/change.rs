//! Rotation and revocation, and what agents are told of them.
//!
//! A key that is rotated signs no more, and what it signed goes on counting: its private half is
//! gone. A key that is revoked never signed anything: what is live of it is signed again by the next
//! one, with a higher serial. Agents follow by trust lists ([`schemas::envelope::TrustList`]), running
//! or asleep; nobody touches them.

use std::collections::BTreeSet;

use publisher::keys::{Key, Kind};
use publisher::sign;
use schemas::envelope::{Envelope, TrustList};
use schemas::{Micros, Slug};
use serde_json::json;

use super::{active, publishing_name, root_name};
use crate::audit;
use crate::auth::{Action, Actor, Entry};
use crate::author::{ProjectAt, SetAt};
use crate::clock;
use crate::database::publication::{self, PublicationFull};
use crate::database::signing::{self, SigningKey, TrustListRow};
use crate::database::{Conn, Tx, project};
use crate::error::{ApiError, Result, within};
use crate::publish;
use crate::state::AppState;

/// Longest reason of a revocation, in characters.
const REASON_MAX: usize = 500;
/// Links of a chain of trust lists: agents read 64.
const LINKS_MAX: usize = 60;
/// Bytes of a chain of trust lists: agents read 64 KiB.
const CHAIN_MAX: usize = 60 * 1024;

/// What a rotation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    pub old: String,
    pub new: String,
}

/// What a revocation did.
#[derive(Debug, Clone)]
pub struct Revoked {
    /// The key that signs now.
    pub new: String,
    /// What was live of the revoked key, as it was signed again.
    pub signed_again: Vec<PublicationFull>,
}

/// The publishing keys of a project, or the roots, oldest first.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn list(state: &AppState, actor: &Actor, at: Option<&ProjectAt>) -> Result<Vec<SigningKey>> {
    let mut conn = state.database.read().await?;
    match at {
        Some(at) => {
            at.require(actor, Action::ManageProjects)?;
            Ok(signing::of_project(&mut conn, &at.project.id).await?)
        }
        None => {
            must_be_console(actor)?;
            Ok(signing::roots(&mut conn).await?)
        }
    }
}

/// Roots belong to the installation, not to an organisation.
fn must_be_console(actor: &Actor) -> Result<()> {
    match actor.entry {
        Entry::Console => Ok(()),
        _ => Err(ApiError::Forbidden("the root is changed on FORGE's own machine, with `forge keys`".into())),
    }
}

/// Gives a project a new publishing key. Running and sleeping agents follow by themselves.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn rotate_publishing(state: &AppState, actor: &Actor, at: &ProjectAt) -> Result<Rotated> {
    at.require(actor, Action::ManageProjects)?;
    let mut tx = state.database.write().await?;
    project::lock(&mut tx, &at.project.id).await?;
    let done = replace_publishing(state, &mut tx, actor, at).await?;
    tx.commit().await?;
    Ok(done)
}

async fn replace_publishing(state: &AppState, tx: &mut Tx, actor: &Actor, at: &ProjectAt) -> Result<Rotated> {
    let old = state.keys.project(tx, &at.project.id).await?.publishing.public().to_owned();
    let (new, now) = (Key::generate(Kind::Account), clock::now());
    state.keys.replace(tx, &publishing_name(&at.project.id), &new, now).await?;
    signing::retire(tx, &old, now).await?;
    signing::add(tx, &active("publishing", Some(&at.project.id), new.public())).await?;
    let done = Rotated { old, new: new.public().to_owned() };
    let detail = json!({ "old": done.old, "new": done.new });
    audit::record(tx, actor, &at.organisation.id, "key.rotated", &at.path(), detail).await?;
    Ok(done)
}

/// Gives the installation a new root: the old one signs that the new one follows it, for every
/// project, and is gone.
///
/// # Errors
/// Not the console, or the database refuses.
pub async fn rotate_root(state: &AppState, actor: &Actor) -> Result<Rotated> {
    must_be_console(actor)?;
    let mut tx = state.database.write().await?;
    let done = replace_root(state, &mut tx, actor).await?;
    tx.commit().await?;
    Ok(done)
}

async fn replace_root(state: &AppState, tx: &mut Tx, actor: &Actor) -> Result<Rotated> {
    let projects = project::all(tx).await?;
    for (_, project) in &projects {
        // In one order for everybody; and whoever signs sees the root of now.
        project::lock(tx, &project.id).await?;
        state.keys.project(tx, &project.id).await?;
    }
    let ring = state.keys.ring();
    let (new, now) = (Key::generate(Kind::Operator), clock::now());
    state.keys.replace(tx, &root_name(), &new, now).await?;
    signing::retire(tx, ring.root.public(), now).await?;
    signing::add(tx, &active("root", None, new.public())).await?;
    for (organisation, project) in projects {
        let at = ProjectAt { organisation, project };
        tell_agents(tx, &at, &[&ring.root, &new], true).await?;
        let detail = json!({ "old": ring.root.public(), "new": new.public() });
        audit::record(tx, actor, &at.organisation.id, "root.rotated", &at.path(), detail).await?;
    }
    Ok(Rotated { old: ring.root.public().to_owned(), new: new.public().to_owned() })
}

/// Revokes a publishing key or a root. One that is in use is rotated first; what is live of it is
/// signed again. With a project, a publishing key that this database does not know is revoked too: one
/// that a stolen root certified, or that is younger than the backup which this database comes from.
///
/// # Errors
/// Not allowed, no such key, or revoked already.
pub async fn revoke(
    state: &AppState,
    actor: &Actor,
    public_key: &str,
    of: Option<&ProjectAt>,
    reason: &str,
) -> Result<Revoked> {
    let reason = within("reason", "a reason", reason, REASON_MAX)?;
    let mut tx = state.database.write().await?;
    let key = match (signing::find(&mut tx, public_key).await?, of) {
        (Some(key), _) => key,
        (None, Some(at)) => learn(&mut tx, actor, at, public_key).await?,
        (None, None) => return Err(ApiError::NotFound("key")),
    };
    if key.state == "revoked" {
        return Err(ApiError::conflict("revoked", "this key is revoked already"));
    }
    let (new, told) = match &key.project_id {
        Some(id) => {
            let (organisation, project) =
                project::by_id(&mut tx, id).await?.ok_or(ApiError::NotFound("project"))?;
            let at = ProjectAt { organisation, project };
            at.require(actor, Action::ManageProjects)?;
            project::lock(&mut tx, &at.project.id).await?;
            if key.state == "active" {
                replace_publishing(state, &mut tx, actor, &at).await?;
            }
            let new = state.keys.project(&mut tx, &at.project.id).await?.publishing.public().to_owned();
            (new, vec![at])
        }
        None => {
            must_be_console(actor)?;
            let new = match key.state.as_str() {
                "active" => replace_root(state, &mut tx, actor).await?.new,
                _ => state.keys.ring().root.public().to_owned(),
            };
            let all = project::all(&mut tx).await?;
            let told: Vec<_> =
                all.into_iter().map(|(organisation, project)| ProjectAt { organisation, project }).collect();
            for at in &told {
                project::lock(&mut tx, &at.project.id).await?;
                state.keys.project(&mut tx, &at.project.id).await?;
            }
            (new, told)
        }
    };
    signing::revoke(&mut tx, public_key, &reason, clock::now()).await?;
    let root = state.keys.ring();
    for at in &told {
        tell_agents(&mut tx, at, &[&root.root], key.kind == "root").await?;
        let detail = json!({ "key": public_key, "kind": key.kind, "reason": reason });
        audit::record(&mut tx, actor, &at.organisation.id, "key.revoked", &at.path(), detail).await?;
    }
    tx.commit().await?;
    let mut signed_again = Vec::new();
    for at in &told {
        signed_again.extend(sign_again(state, actor, at, true).await?);
    }
    Ok(Revoked { new, signed_again })
}

/// Takes up a publishing key that is not ours, to be revoked.
async fn learn(tx: &mut Tx, actor: &Actor, at: &ProjectAt, public_key: &str) -> Result<SigningKey> {
    at.require(actor, Action::ManageProjects)?;
    if !public_key.starts_with('A') || nkeys::KeyPair::from_public_key(public_key).is_err() {
        let detail = "this is no publishing key: A and 55 more letters and digits, as a certificate names it";
        return Err(ApiError::invalid("invalid", "key", detail));
    }
    let row =
        SigningKey { state: "retired".into(), ..active("publishing", Some(&at.project.id), public_key) };
    signing::add(tx, &row).await?;
    Ok(row)
}

/// Writes a project's next trust list, from what the keys are now. One that changes the roots (`link`) names the roots
/// that are trusted or revoked and no other keys, since agents need it for ever; the revoked publishing keys stand in
/// a second one after it.
///
/// # Errors
/// Agents would not read the chain any more; the database refuses.
async fn tell_agents(conn: &mut Conn, at: &ProjectAt, by: &[&Key], link: bool) -> Result<()> {
    let keys = signing::of_project(conn, &at.project.id).await?;
    let roots = signing::roots(conn).await?;
    let mut lists = signing::trust_lists(conn, &at.project.id).await?;
    let revoked = |keys: &[SigningKey]| -> Vec<String> {
        keys.iter().filter(|key| key.state == "revoked").map(|key| key.public_key.clone()).collect()
    };
    let (revoked_roots, revoked_keys) = (revoked(&roots), revoked(&keys));
    if link {
        add_list(conn, at, &roots, revoked_roots.clone(), by, true, &mut lists).await?;
    }
    if !link || !revoked_keys.is_empty() {
        // The newest root is enough: who reads this has followed the link.
        let by = by.last().map(std::slice::from_ref).unwrap_or_default();
        let all = [revoked_roots, revoked_keys].concat();
        add_list(conn, at, &roots, all, by, false, &mut lists).await?;
    }
    let links = lists.iter().filter(|list| list.link).count() + 1;
    let bytes = super::chain(&lists)?.map_or(0, |chain| chain.len());
    if links > LINKS_MAX || bytes > CHAIN_MAX {
        return Err(ApiError::conflict(
            "chain_full",
            format!(
                "the trust lists of {} would have {links} links and {bytes} bytes; agents read {LINKS_MAX} and {CHAIN_MAX}: begin again with a new project, or a new installation",
                at.path()
            ),
        ));
    }
    Ok(())
}

async fn add_list(
    conn: &mut Conn,
    at: &ProjectAt,
    roots: &[SigningKey],
    revoked: Vec<String>,
    by: &[&Key],
    link: bool,
    lists: &mut Vec<TrustListRow>,
) -> Result<()> {
    let now: Micros = clock::now();
    // A database that was restored from a backup does not know its last versions; the clock is above them.
    let version =
        lists.last().map_or(0, |list| list.version).saturating_add(1).max(now.div_euclid(1_000_000));
    // The one that signs stands first.
    let trusted = roots.iter().rev().filter(|key| key.state != "revoked");
    let list = TrustList {
        organisation: Slug::new(&at.organisation.slug)?,
        project: Slug::new(&at.project.slug)?,
        version: u64::try_from(version).map_err(ApiError::internal)?,
        issued: now,
        roots: trusted.map(|key| key.public_key.clone()).collect(),
        revoked,
    };
    let line = sign::list(by, list).map_err(ApiError::internal)?.to_line();
    let row = TrustListRow { project_id: at.project.id.clone(), version, line, link, created_at: now };
    signing::add_trust_list(conn, &row).await?;
    lists.push(row);
    Ok(())
}

/// Publishes anew what is live and bears a revoked key: the same version, a higher serial, a good
/// key. It can be done at any time, and does nothing where there is nothing to do. With `stuck` also what
/// could not be sent, because something with a higher serial stood in the stream: a thief's, perhaps.
///
/// # Errors
/// The database refuses.
pub(crate) async fn sign_again(
    state: &AppState,
    actor: &Actor,
    at: &ProjectAt,
    stuck: bool,
) -> Result<Vec<PublicationFull>> {
    let (heads, revoked) = {
        let mut conn = state.database.read().await?;
        let keys = signing::of_project(&mut conn, &at.project.id).await?;
        let roots = signing::roots(&mut conn).await?;
        let revoked: BTreeSet<String> = keys
            .into_iter()
            .chain(roots)
            .filter(|key| key.state == "revoked")
            .map(|key| key.public_key)
            .collect();
        if revoked.is_empty() {
            return Ok(Vec::new());
        }
        (publication::heads_of_project(&mut conn, &at.project.id).await?, revoked)
    };
    let mut done = Vec::new();
    for head in heads {
        let signers = signers_of(&head.publication.certificate)?
            .chain(signers_of(&head.publication.attestation)?)
            .find(|key| revoked.contains(key));
        let comment = match signers {
            Some(key) => format!("signed again: key {key} was revoked"),
            None if stuck && head.publication.state == "superseded" => {
                "published again: a key was revoked, and something stood above it in the stream".to_owned()
            }
            None => continue,
        };
        let set = SetAt { at: at.clone(), set: head.set.clone() };
        done.extend(publish::again(state, actor, &set, &head, &comment).await?);
    }
    Ok(done)
}

fn signers_of(line: &str) -> Result<impl Iterator<Item = String>> {
    let envelope: Envelope = serde_json::from_str(line).map_err(ApiError::internal)?;
    Ok(envelope.signatures.into_iter().map(|signature| signature.keyid))
}
