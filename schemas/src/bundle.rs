//! The bundle: the wire form of one version of one prompt set.
//!
//! The body is canonical JSON and holds nothing but the version's own content: no environment, no
//! serial, no time. The same version therefore has the same digest in `dev` and in `prod`. Who
//! published it where, and as which serial, stands in the attestation ([`crate::envelope`]).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::canonical::{self, Digest};
use crate::names::{PromptId, Slug};
use crate::prompt::{Partial, Prompt};

/// The version of the bundle format that this crate writes.
pub const SCHEMA_VERSION: u32 = 1;
/// Bodies up to this size travel as they are, so that `nats stream view` shows them.
pub const PLAIN_MAX: usize = 64 * 1024;
/// Largest body after decompression, in bytes.
pub const BODY_MAX: usize = 64 * 1024 * 1024;
/// Largest message on the wire, headers included, in bytes.
pub const WIRE_MAX: usize = 8 * 1024 * 1024;
/// Most prompts in one set.
pub const PROMPTS_MAX: usize = 10_000;
/// zstd level. On the 225 real prompts 6 saves 8 % over 3, and takes twice the time.
pub const ZSTD_LEVEL: i32 = 3;

/// One version of one prompt set, complete: no other set is needed to render it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bundle {
    pub schema_version: u32,
    pub organisation: Slug,
    pub project: Slug,
    pub set: Slug,
    #[schemars(with = "String")]
    pub version: semver::Version,
    /// Sorted by id.
    pub prompts: Vec<Prompt>,
    /// Sorted by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partials: Vec<Partial>,
    /// The lock: what was resolved and embedded when the version was made. Sorted by set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<Dependency>,
}

/// A set that this version took partials from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Dependency {
    pub set: Slug,
    /// The range that was asked for.
    pub requirement: String,
    #[schemars(with = "String")]
    pub version: semver::Version,
    pub digest: Digest,
}

/// Why bytes are no bundle, or content cannot become one.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    #[error("the bundle has schema version {found}; this program reads up to {SCHEMA_VERSION}: update it")]
    SchemaVersion { found: u32 },
    #[error("the bundle is not valid JSON of its schema")]
    Json(#[source] serde_json::Error),
    #[error("the bundle cannot be written as canonical JSON")]
    Canonical(#[source] canonical::CanonicalError),
    #[error("prompt {0} stands twice in the set")]
    DuplicatePrompt(PromptId),
    #[error("partial {0} stands twice in the set")]
    DuplicatePartial(PromptId),
    #[error("the set has {found} prompts; at most {PROMPTS_MAX} fit into one bundle: split the set")]
    TooManyPrompts { found: usize },
    #[error("the bundle has {found} bytes; at most {limit} are allowed: split the set")]
    TooLarge { found: usize, limit: usize },
    #[error("the bundle's compression {0:?} is unknown")]
    Encoding(String),
    #[error("the bundle's compressed bytes are damaged")]
    Compression(#[source] std::io::Error),
}

/// How a body travels (header `Content-Encoding`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Identity,
    Zstd,
}

impl Encoding {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Zstd => "zstd",
        }
    }

    /// Reads a header; none means identity.
    ///
    /// # Errors
    /// [`BundleError::Encoding`] for one that is not known.
    pub fn from_header(header: Option<&str>) -> Result<Self, BundleError> {
        match header {
            None | Some("" | "identity") => Ok(Self::Identity),
            Some("zstd") => Ok(Self::Zstd),
            Some(other) => Err(BundleError::Encoding(other.chars().take(40).collect())),
        }
    }
}

impl Bundle {
    /// Sorts the parts and writes the canonical body. Same content, same bytes.
    ///
    /// # Errors
    /// A duplicate id, too many prompts, or a body above [`BODY_MAX`].
    pub fn into_body(mut self) -> Result<Vec<u8>, BundleError> {
        if self.prompts.len() > PROMPTS_MAX {
            return Err(BundleError::TooManyPrompts { found: self.prompts.len() });
        }
        self.prompts.sort_by(|a, b| a.id.cmp(&b.id));
        self.partials.sort_by(|a, b| a.name.cmp(&b.name));
        self.dependencies.sort_by(|a, b| a.set.cmp(&b.set));
        self.check_unique()?;
        let body = canonical::to_canonical(&self).map_err(BundleError::Canonical)?;
        within(body.len(), BODY_MAX)?;
        Ok(body)
    }

    /// Reads a body. Unknown fields are ignored, so that a newer FORGE can add some.
    ///
    /// # Errors
    /// Not JSON of the schema, a newer schema version, duplicates, or above the limits.
    pub fn from_body(body: &[u8]) -> Result<Self, BundleError> {
        within(body.len(), BODY_MAX)?;
        #[derive(Deserialize)]
        struct Head {
            schema_version: u32,
        }
        let head: Head = serde_json::from_slice(body).map_err(BundleError::Json)?;
        if head.schema_version == 0 || head.schema_version > SCHEMA_VERSION {
            return Err(BundleError::SchemaVersion { found: head.schema_version });
        }
        let bundle: Self = serde_json::from_slice(body).map_err(BundleError::Json)?;
        if bundle.prompts.len() > PROMPTS_MAX {
            return Err(BundleError::TooManyPrompts { found: bundle.prompts.len() });
        }
        bundle.check_unique()?;
        Ok(bundle)
    }

    fn check_unique(&self) -> Result<(), BundleError> {
        let mut ids = hashbrown::HashSet::with_capacity(self.prompts.len());
        if let Some(twice) = self.prompts.iter().find(|p| !ids.insert(&p.id)) {
            return Err(BundleError::DuplicatePrompt(twice.id.clone()));
        }
        let mut names = hashbrown::HashSet::with_capacity(self.partials.len());
        match self.partials.iter().find(|p| !names.insert(&p.name)) {
            Some(twice) => Err(BundleError::DuplicatePartial(twice.name.clone())),
            None => Ok(()),
        }
    }
}

/// Brings a body into the form it travels in: plain up to [`PLAIN_MAX`], zstd above.
///
/// # Errors
/// [`BundleError::TooLarge`] where it does not fit on the wire even so.
pub fn encode(body: &[u8]) -> Result<(Vec<u8>, Encoding), BundleError> {
    within(body.len(), BODY_MAX)?;
    if body.len() <= PLAIN_MAX {
        return Ok((body.to_vec(), Encoding::Identity));
    }
    let packed = zstd::bulk::compress(body, ZSTD_LEVEL).map_err(BundleError::Compression)?;
    // Headers (attestation and key certificate) take a few KiB of the message.
    within(packed.len(), WIRE_MAX - PLAIN_MAX)?;
    Ok((packed, Encoding::Zstd))
}

/// Takes a body out of the form it travelled in; never makes more than [`BODY_MAX`] bytes.
///
/// # Errors
/// Damaged or oversized input.
pub fn decode(wire: &[u8], encoding: Encoding) -> Result<Vec<u8>, BundleError> {
    match encoding {
        Encoding::Identity => {
            within(wire.len(), BODY_MAX)?;
            Ok(wire.to_vec())
        }
        Encoding::Zstd => {
            use std::io::Read as _;
            let mut body = Vec::new();
            let reader = zstd::stream::read::Decoder::new(wire).map_err(BundleError::Compression)?;
            let mut reader = reader.take(BODY_MAX as u64 + 1);
            reader.read_to_end(&mut body).map_err(BundleError::Compression)?;
            within(body.len(), BODY_MAX)?;
            Ok(body)
        }
    }
}

fn within(found: usize, limit: usize) -> Result<(), BundleError> {
    if found > limit { Err(BundleError::TooLarge { found, limit }) } else { Ok(()) }
}
