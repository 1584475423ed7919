//! The private keys of this installation and of each project: sealed in the database, open in
//! memory only.

use std::collections::HashMap;
use std::str::FromStr as _;
use std::sync::{Arc, PoisonError, RwLock};

use publisher::keys::{KeyName, KeyRing, ProjectKeyName, ProjectKeys};
use publisher::sign;
use schemas::Slug;
use schemas::canonical::Digest;
use schemas::envelope::Attestation;
use zeroize::Zeroizing;

use crate::author::ProjectAt;
use crate::clock;
use crate::database::key::{self, SealedKey};
use crate::database::{Conn, Database};
use crate::error::{ApiError, Result};
use crate::seal::Sealer;

const INSTALLATION: &str = "installation/";

fn project_prefix(project_id: &str) -> String {
    format!("project/{project_id}/")
}

/// The keys, opened.
#[derive(Debug, Clone)]
pub struct Keys {
    sealer: Sealer,
    ring: Arc<KeyRing>,
    projects: Arc<RwLock<HashMap<String, Arc<ProjectKeys>>>>,
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
        tx.commit().await?;
        let named = found.iter().filter_map(|(n, seed)| Some((KeyName::from_str(n).ok()?, seed.as_str())));
        let ring = KeyRing::from_seeds(named).map_err(ApiError::internal)?;
        Ok(Self { sealer, ring: Arc::new(ring), projects: Arc::default() })
    }

    /// The keys of the installation.
    #[must_use]
    pub fn ring(&self) -> &Arc<KeyRing> {
        &self.ring
    }

    /// Makes the keys of a new project, within the transaction that makes the project.
    pub(crate) async fn make_project(&self, conn: &mut Conn, project_id: &str) -> Result<()> {
        for (name, seed) in ProjectKeys::generate().seeds() {
            add(conn, &self.sealer, &format!("{}{name}", project_prefix(project_id)), &seed).await?;
        }
        Ok(())
    }

    /// The keys of a project.
    pub(crate) async fn project(&self, conn: &mut Conn, project_id: &str) -> Result<Arc<ProjectKeys>> {
        if let Some(keys) = self.projects.read().unwrap_or_else(PoisonError::into_inner).get(project_id) {
            return Ok(Arc::clone(keys));
        }
        let found = open_all(conn, &self.sealer, &project_prefix(project_id)).await?;
        let named =
            found.iter().filter_map(|(n, seed)| Some((ProjectKeyName::from_str(n).ok()?, seed.as_str())));
        let keys = Arc::new(ProjectKeys::from_seeds(named).map_err(ApiError::internal)?);
        let mut known = self.projects.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(project_id.to_owned(), Arc::clone(&keys));
        Ok(keys)
    }

    /// Signs a publication: the lines of the headers `Forge-Key` and `Forge-Attestation`.
    pub(crate) async fn sign(
        &self,
        conn: &mut Conn,
        at: &ProjectAt,
        digest: Digest,
        attestation: Attestation,
    ) -> Result<(String, String)> {
        let keys = self.project(conn, &at.project.id).await?;
        let certificate = self.certificate(&keys, at)?;
        let attestation = sign::attest(&keys, digest, attestation).map_err(ApiError::internal)?;
        Ok((certificate, attestation.to_line()))
    }

    /// The root's certificate of a project's publishing key. It is dated by the project, so that it
    /// is always the same one.
    pub(crate) fn certificate(&self, keys: &ProjectKeys, at: &ProjectAt) -> Result<String> {
        let organisation = Slug::new(&at.organisation.slug)?;
        let project = Slug::new(&at.project.slug)?;
        let issued = at.project.created_at;
        let made = sign::certify(&self.ring, keys, &organisation, &project, issued, None);
        Ok(made.map_err(ApiError::internal)?.to_line())
    }
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
