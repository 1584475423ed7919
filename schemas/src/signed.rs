//! A signed bundle as one file: body and signatures together, to be checked by anybody, offline.
//!
//! JSON with base64 inside, so that any standard tool gets at the parts: `attestation` is a DSSE
//! envelope over the digest of the decoded `body`, `certificate` one by which a root vouches for the
//! key of the first.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Micros;
use crate::bundle::{self, Bundle, BundleError, Encoding};
use crate::envelope::{Attestation, Envelope, Predicate as _, Statement, Trust, TrustError, Verified};
use crate::names::Scope;

/// `format` of a [`SignedBundle`].
pub const FORMAT: &str = "anvil-signed-bundle/1";

/// A publication as a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignedBundle {
    /// [`FORMAT`].
    pub format: String,
    /// The root's certificate of the publishing key (header `Forge-Key`).
    pub certificate: Envelope,
    /// Who published these bytes where (header `Forge-Attestation`).
    pub attestation: Envelope,
    /// The trust lists from the first root to the one of the certificate (header `Forge-Trust`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trust: Vec<Envelope>,
    /// Standard base64 of the canonical body, not compressed.
    pub body: String,
}

/// Why a file is not believed.
#[derive(Debug, thiserror::Error)]
pub enum SignedError {
    #[error("this is no signed bundle: {0}")]
    Malformed(String),
    #[error(transparent)]
    Bundle(#[from] BundleError),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("the bundle speaks of {found}, the attestation of {signed}")]
    Content { found: String, signed: String },
}

/// A file whose every link held.
#[derive(Debug, Clone)]
pub struct Checked {
    pub verified: Verified,
    pub bundle: Bundle,
    /// When the root certified the publishing key.
    pub certified: Micros,
    /// Version of the trust list that holds; 0: none.
    pub trust: u64,
}

fn malformed(error: impl std::fmt::Display) -> SignedError {
    SignedError::Malformed(error.to_string())
}

impl SignedBundle {
    /// Puts a publication together from the lines of its headers and its body as it travels.
    ///
    /// # Errors
    /// A line that is no envelope, or a body that cannot be decoded.
    pub fn new(
        certificate: &str,
        attestation: &str,
        trust: Option<&str>,
        wire: &[u8],
        encoding: Encoding,
    ) -> Result<Self, SignedError> {
        let body = bundle::decode(wire, encoding)?;
        Ok(Self {
            format: FORMAT.into(),
            certificate: serde_json::from_str(certificate).map_err(malformed)?,
            attestation: serde_json::from_str(attestation).map_err(malformed)?,
            trust: trust.map(serde_json::from_str).transpose().map_err(malformed)?.unwrap_or_default(),
            body: STANDARD.encode(&body),
        })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`SignedError::Malformed`].
    pub fn from_json(text: &str) -> Result<Self, SignedError> {
        let found: Self = serde_json::from_str(text).map_err(malformed)?;
        if found.format == FORMAT {
            return Ok(found);
        }
        Err(SignedError::Malformed(format!("format {:?} is not {FORMAT:?}", found.format)))
    }

    /// The scope that the file says it was published to: unverified.
    ///
    /// # Errors
    /// [`SignedError::Malformed`].
    pub fn claimed_scope(&self) -> Result<Scope, SignedError> {
        let payload = STANDARD.decode(&self.attestation.payload).map_err(malformed)?;
        let statement: Statement<Attestation> =
            serde_json::from_slice(&payload).map_err(|e| malformed(format!("{}: {e}", Attestation::WHAT)))?;
        Ok(statement.predicate.scope)
    }

    /// Checks every link from `roots` to the content, for `scope`, as of `now`.
    ///
    /// # Errors
    /// The first link that does not hold.
    pub fn verify(&self, roots: Vec<String>, scope: Scope, now: Micros) -> Result<Checked, SignedError> {
        let body = STANDARD.decode(&self.body).map_err(malformed)?;
        let trust = Trust::new(roots, scope);
        if !self.trust.is_empty() {
            trust.advance(&serde_json::to_string(&self.trust).map_err(malformed)?)?;
        }
        let certificate = self.certificate.to_line();
        let certified = trust.publishing_key(&certificate, now)?.certificate.issued;
        let verified = trust.verify(&certificate, &self.attestation.to_line(), &body, now)?;
        let bundle = Bundle::from_body(&body)?;
        let signed = &verified.attestation;
        let same = bundle.organisation == signed.scope.organisation
            && bundle.project == signed.scope.project
            && bundle.set == signed.set
            && bundle.version == signed.version;
        if !same {
            return Err(SignedError::Content {
                found: format!(
                    "{}/{}/{}@{}",
                    bundle.organisation, bundle.project, bundle.set, bundle.version
                ),
                signed: format!("{}/{}@{}", signed.scope, signed.set, signed.version),
            });
        }
        Ok(Checked { verified, bundle, certified, trust: trust.version() })
    }
}

impl std::fmt::Display for Checked {
    /// The chain, a link a line, for people.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Verified { attestation, digest, key, root } = &self.verified;
        let prompts = self.bundle.prompts.len();
        let approver = attestation.approver.as_deref().unwrap_or("nobody");
        if self.trust > 0 {
            writeln!(f, "trust list       version {}", self.trust)?;
        }
        writeln!(f, "root key         {root}")?;
        writeln!(f, "publishing key   {key}, certified by the root")?;
        writeln!(
            f,
            "publication      {} of {}@{} to {}, serial {}",
            attestation.publication,
            attestation.set,
            attestation.version,
            attestation.scope,
            attestation.serial
        )?;
        writeln!(
            f,
            "people           written by {}, approved by {approver}, published by {}",
            attestation.author, attestation.publisher
        )?;
        writeln!(
            f,
            "content          {digest}, {} bytes, {prompts} prompt{}",
            attestation.size,
            if prompts == 1 { "" } else { "s" }
        )?;
        write!(f, "every link holds")
    }
}
