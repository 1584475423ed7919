//! Signatures: the root's certificate of a publishing key, and a publication's attestation.

use nkeys::KeyPair;
use schemas::canonical::Digest;
use schemas::envelope::{
    self, Attestation, Enrolment, Envelope, Heartbeat, KeyCertificate, TrustError, TrustList,
};
use schemas::{Micros, Slug};

use crate::keys::{Key, ProjectKeys};

fn pair(key: &Key) -> Result<KeyPair, TrustError> {
    key.pair().map_err(|e| TrustError::Malformed { what: "signing key", why: e.to_string() })
}

/// The root's certificate of a project's publishing key. The same input gives the same bytes:
/// Ed25519 signatures are deterministic.
///
/// # Errors
/// [`TrustError`] where the key cannot sign.
pub fn certify(
    root: &Key,
    keys: &ProjectKeys,
    organisation: &Slug,
    project: &Slug,
    issued: Micros,
    expires: Option<Micros>,
) -> Result<Envelope, TrustError> {
    let certificate = KeyCertificate {
        key: keys.publishing.public().to_owned(),
        organisation: organisation.clone(),
        project: project.clone(),
        issued,
        expires,
    };
    envelope::certify(&pair(root)?, certificate)
}

/// The attestation of a publication of the body with `digest`.
///
/// # Errors
/// [`TrustError`] where the key cannot sign.
pub fn attest(keys: &ProjectKeys, digest: Digest, attestation: Attestation) -> Result<Envelope, TrustError> {
    envelope::attest(&pair(&keys.publishing)?, digest, attestation)
}

/// A trust list, signed by the root that agents know and, where it is another, by the next one.
///
/// # Errors
/// [`TrustError`] where a key cannot sign.
pub fn list(roots: &[&Key], list: TrustList) -> Result<Envelope, TrustError> {
    let pairs = roots.iter().map(|root| pair(root)).collect::<Result<Vec<_>, _>>()?;
    envelope::list(&pairs.iter().collect::<Vec<_>>(), list)
}

/// FORGE's signature under its answer, with `digest`, to an enrolment.
///
/// # Errors
/// [`TrustError`] where the key cannot sign.
pub fn enrol(keys: &ProjectKeys, digest: Digest, enrolment: Enrolment) -> Result<Envelope, TrustError> {
    envelope::enrol(&pair(&keys.publishing)?, digest, enrolment)
}

/// A signed heartbeat.
///
/// # Errors
/// [`TrustError`] where the key cannot sign.
pub fn beat(keys: &ProjectKeys, heartbeat: Heartbeat) -> Result<Envelope, TrustError> {
    envelope::beat(&pair(&keys.publishing)?, heartbeat)
}
