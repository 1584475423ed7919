//! The bundle as it is sent: body, digest and the form it travels in.

use bytes::Bytes;
use schemas::bundle::{self, Bundle, BundleError, Encoding};
use schemas::canonical::Digest;

/// A version, ready to be stored and sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The canonical body: what is signed.
    pub body: Bytes,
    pub digest: Digest,
    /// The body as it travels.
    pub wire: Bytes,
    pub encoding: Encoding,
}

/// Builds the bytes of a version. The same content gives the same bytes.
///
/// # Errors
/// [`BundleError`]: duplicates, too many prompts, or too large.
pub fn build(content: Bundle) -> Result<Built, BundleError> {
    from_body(content.into_body()?)
}

/// Brings a stored body into its form on the wire.
///
/// # Errors
/// [`BundleError::TooLarge`].
pub fn from_body(body: impl Into<Bytes>) -> Result<Built, BundleError> {
    let body = body.into();
    let digest = Digest::of(&body);
    let (wire, encoding) = bundle::encode(&body)?;
    let wire = if encoding == Encoding::Identity { body.clone() } else { wire.into() };
    Ok(Built { body, digest, wire, encoding })
}
