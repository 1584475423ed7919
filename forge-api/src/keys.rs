//! The private keys of this installation and of each project: sealed in the database, open in
//! memory only. [`change`] rotates and revokes them.
//!
//! Another process may change a key at any time, so that whoever signs compares first.

pub mod change;

use std::collections::HashMap;
use std::str::FromStr as _;
use std::sync::{Arc, PoisonError, RwLock};

use publisher::keys::{Key, KeyName, KeyRing, ProjectKeyName, ProjectKeys};
use publisher::sign;
use schemas::canonical::Digest;
use schemas::envelope::{Attestation, Envelope};
use schemas::{Micros, Slug};
use zeroize::Zeroizing;

use crate::author::ProjectAt;
use crate::clock;
use crate::database::key::{self, SealedKey};
use crate::database::signing::{self, SigningKey, TrustListRow};
use crate::database::{Conn, Database};
use crate::error::{ApiError, Result};
use crate::seal::Sealer;

const INSTALLATION: &str = "installation/";

fn project_prefix(project_id: &str) -> String {
    format!("project/{project_id}/")
}

fn root_name() -> String {
    format!("{INSTALLATION}{}", KeyName::Root)
}

fn publishing_name(project_id: &str) -> String {
    format!("{}{}", project_prefix(project_id), ProjectKeyName::Publishing)
}

/// The keys, opened.
#[derive(Debug, Clone)]
pub struct Keys {
    sealer: Sealer,
    ring: Arc<RwLock<Arc<KeyRing>>>,
    projects: Arc<RwLock<HashMap<String, Arc<Opened>>>>,
}

#[derive(Debug)]
struct Opened {
    keys: Arc<ProjectKeys>,
    /// When the publishing key was made: its certificate is dated so, and so is always the same.
    dated: Micros,
}

/// Who signs for a project at this moment, and what goes along.
#[derive(Debug, Clone)]
pub(crate) struct Signer {
    pub(crate) keys: Arc<ProjectKeys>,
    /// The line of header `Forge-Key`.
    pub(crate) certificate: String,
    /// The line of header `Forge-Trust`, once a key was changed.
    pub(crate) trust: Option<String>,
    pub(crate) trust_version: u64,
}

impl Keys {
    /// Opens the keys of the installation, or makes them at the first start.
    ///
    /// # Errors
    /// The database refuses, or the keys were sealed under another master key.
    pub async fn open(database: &Database, sealer: Sealer) -> Result<Self> {
        let mut tx = database.write().await?;
        let mut found = open_all(&mut tx, &sealer, INSTALLATION).await?;
        if found.is_empty() {
            for (name, seed) in KeyRing::generate().seeds() {
                add(&mut tx, &sealer, &format!("{INSTALLATION}{name}"), &seed).await?;
            }
            // Read back: of two processes that start at once, the first one's keys stay.
            found = open_all(&mut tx, &sealer, INSTALLATION).await?;
        }
        let ring = ring_of(&found)?;
        signing::add(&mut tx, &active("root", None, ring.root.public())).await?;
        tx.commit().await?;
        Ok(Self { sealer, ring: Arc::new(RwLock::new(Arc::new(ring))), projects: Arc::default() })
    }

    /// Encrypts what waits in the database under a name, such as the text of a mail.
    pub(crate) fn seal(&self, name: &str, secret: &[u8]) -> Result<Vec<u8>> {
        self.sealer.seal(name, secret).map_err(ApiError::internal)
    }

    /// Decrypts what [`Keys::seal`] made.
    pub(crate) fn unseal(&self, name: &str, sealed: &[u8]) -> Result<zeroize::Zeroizing<Vec<u8>>> {
        self.sealer.open(name, sealed).map_err(ApiError::internal)
    }

    /// The keys of the installation.
    #[must_use]
    pub fn ring(&self) -> Arc<KeyRing> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Seals and opens what else is a secret.
    pub(crate) fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    /// Makes the keys of a new project, within the transaction that makes the project.
    pub(crate) async fn make_project(&self, conn: &mut Conn, project_id: &str) -> Result<()> {
        let keys = ProjectKeys::generate();
        for (name, seed) in keys.seeds() {
            add(conn, &self.sealer, &format!("{}{name}", project_prefix(project_id)), &seed).await?;
        }
        signing::add(conn, &active("publishing", Some(project_id), keys.publishing.public())).await?;
        Ok(())
    }

    /// The keys of a project.
    pub(crate) async fn project(&self, conn: &mut Conn, project_id: &str) -> Result<Arc<ProjectKeys>> {
        Ok(Arc::clone(&self.opened(conn, project_id).await?.keys))
    }

    async fn opened(&self, conn: &mut Conn, project_id: &str) -> Result<Arc<Opened>> {
        let names = [root_name(), publishing_name(project_id)];
        let now = key::public_keys(conn, &names).await?;
        let public = |name: &str| now.iter().find(|(n, _, _)| n == name);
        if let Some((_, root, _)) = public(&names[0])
            && root != self.ring().root.public()
        {
            let ring = Arc::new(ring_of(&open_all(conn, &self.sealer, INSTALLATION).await?)?);
            *self.ring.write().unwrap_or_else(PoisonError::into_inner) = ring;
        }
        let (_, publishing, dated) = public(&names[1]).ok_or(ApiError::NotFound("key of the project"))?;
        let known = self.projects.read().unwrap_or_else(PoisonError::into_inner).get(project_id).cloned();
        if let Some(opened) = known.filter(|opened| opened.keys.publishing.public() == publishing) {
            return Ok(opened);
        }
        let found = open_all(conn, &self.sealer, &project_prefix(project_id)).await?;
        let named =
            found.iter().filter_map(|(n, seed)| Some((ProjectKeyName::from_str(n).ok()?, seed.as_str())));
        let keys = Arc::new(ProjectKeys::from_seeds(named).map_err(ApiError::internal)?);
        let opened = Arc::new(Opened { keys, dated: *dated });
        let mut known = self.projects.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(project_id.to_owned(), Arc::clone(&opened));
        Ok(opened)
    }

    /// Puts another key into the place of the one of this name.
    async fn replace(&self, conn: &mut Conn, name: &str, new: &Key, now: Micros) -> Result<()> {
        let sealed = self.sealer.seal(name, new.seed().as_bytes()).map_err(ApiError::internal)?;
        let row =
            SealedKey { name: name.to_owned(), public_key: new.public().to_owned(), sealed, created_at: now };
        Ok(key::replace(conn, &row).await?)
    }

    /// Who signs for a project now.
    pub(crate) async fn signer(&self, conn: &mut Conn, at: &ProjectAt) -> Result<Signer> {
        let opened = self.opened(conn, &at.project.id).await?;
        let organisation = Slug::new(&at.organisation.slug)?;
        let project = Slug::new(&at.project.slug)?;
        let root = self.ring();
        let certificate =
            sign::certify(&root.root, &opened.keys, &organisation, &project, opened.dated, None);
        let lists = signing::trust_lists(conn, &at.project.id).await?;
        let newest = lists.last().map_or(0, |list| list.version);
        Ok(Signer {
            keys: Arc::clone(&opened.keys),
            certificate: certificate.map_err(ApiError::internal)?.to_line(),
            trust: chain(&lists)?,
            trust_version: u64::try_from(newest).map_err(ApiError::internal)?,
        })
    }
}

impl Signer {
    /// Signs a publication: the line of the header `Forge-Attestation`.
    pub(crate) fn attest(&self, digest: Digest, attestation: Attestation) -> Result<String> {
        Ok(sign::attest(&self.keys, digest, attestation).map_err(ApiError::internal)?.to_line())
    }
}

/// The chain that an agent follows from any root that it may know: every list that changed the
/// roots, and the newest.
fn chain(lists: &[TrustListRow]) -> Result<Option<String>> {
    let Some(newest) = lists.last() else { return Ok(None) };
    let links = lists.iter().filter(|list| list.link || list.version == newest.version);
    let links: Vec<Envelope> = links
        .map(|list| serde_json::from_str(&list.line))
        .collect::<std::result::Result<_, _>>()
        .map_err(ApiError::internal)?;
    Ok(Some(serde_json::to_string(&links).map_err(ApiError::internal)?))
}

fn active(kind: &str, project_id: Option<&str>, public_key: &str) -> SigningKey {
    SigningKey {
        public_key: public_key.to_owned(),
        kind: kind.to_owned(),
        project_id: project_id.map(str::to_owned),
        state: "active".into(),
        created_at: clock::now(),
        retired_at: None,
        revoked_at: None,
        reason: None,
    }
}

fn ring_of(found: &[(String, Zeroizing<String>)]) -> Result<KeyRing> {
    let named = found.iter().filter_map(|(n, seed)| Some((KeyName::from_str(n).ok()?, seed.as_str())));
    KeyRing::from_seeds(named).map_err(ApiError::internal)
}

async fn open_all(
    conn: &mut Conn,
    sealer: &Sealer,
    prefix: &str,
) -> Result<Vec<(String, Zeroizing<String>)>> {
    let mut out = Vec::new();
    for row in key::with_prefix(conn, prefix).await? {
        let seed = sealer.open(&row.name, &row.sealed).map_err(ApiError::internal)?;
        let seed = Zeroizing::new(String::from_utf8_lossy(&seed).into_owned());
        out.push((row.name[prefix.len()..].to_owned(), seed));
    }
    Ok(out)
}

async fn add(conn: &mut Conn, sealer: &Sealer, name: &str, seed: &str) -> Result<()> {
    let pair = nkeys::KeyPair::from_seed(seed).map_err(ApiError::internal)?;
    let row = SealedKey {
        name: name.to_owned(),
        public_key: pair.public_key(),
        sealed: sealer.seal(name, seed.as_bytes()).map_err(ApiError::internal)?,
        created_at: clock::now(),
    };
    Ok(key::add(conn, &row).await?)
}
