//! The credential that lets an agent in, and that nobody may see.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nats_config::account::ENVIRONMENT_TAG;
use nkeys::KeyPair;
use schemas::Micros;
use serde::Deserialize;

use super::ConfigError;

/// Text that nobody may see; its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(pub(super) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// A credential: the whole `.creds` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credential {
    text: Secret,
    /// Public key of the user.
    pub(crate) user: String,
    /// When the broker stops taking it.
    pub(crate) expires: Option<Micros>,
    /// The environment that it was made for, as it says itself.
    pub(crate) environment: Option<String>,
}

impl Credential {
    /// That of an agent that connects to nobody.
    pub(crate) fn none() -> Self {
        Self { text: Secret(String::new()), user: String::new(), expires: None, environment: None }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text.0
    }

    /// Reads the text of a `.creds` file; one that is cut off is noticed.
    ///
    /// # Errors
    /// What is wrong with it, never with any of the text.
    pub(crate) fn read(text: String) -> Result<Self, ConfigError> {
        #[derive(Deserialize)]
        struct Claims {
            sub: String,
            #[serde(default)]
            exp: Option<i64>,
            #[serde(default)]
            nats: User,
        }
        #[derive(Default, Deserialize)]
        struct User {
            #[serde(default)]
            tags: Vec<String>,
        }
        let invalid = |why: &str| ConfigError::Invalid { key: "credentials", why: why.into() };
        let seed = text.lines().map(str::trim).find(|line| line.starts_with("SU"));
        let seed = seed.and_then(|seed| KeyPair::from_seed(seed).ok());
        let user = seed.map(|key| key.public_key()).ok_or_else(|| {
            invalid("there is no user seed in the .creds file, or not all of it; get it again from FORGE")
        })?;
        let token = text.lines().map(str::trim).find(|line| line.split('.').count() == 3);
        let claims: Claims = token
            .and_then(|token| URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok())
            .and_then(|json| serde_json::from_slice(&json).ok())
            .ok_or_else(|| invalid("there is no token in the .creds file; get it again from FORGE"))?;
        if claims.sub != user {
            return Err(invalid("token and seed of the .creds file do not belong together"));
        }
        let expires = claims.exp.map(|at| at.saturating_mul(1_000_000));
        let tag =
            claims.nats.tags.iter().find_map(|tag| tag.strip_prefix(ENVIRONMENT_TAG)?.strip_prefix(':'));
        let environment = tag.map(str::to_owned);
        Ok(Self { user, expires, environment, text: Secret(text) })
    }
}

/// Gives the text of a `.creds` file whenever it is asked.
pub type AskCredentials = dyn Fn() -> Result<String, Box<dyn std::error::Error + Send + Sync>> + Send + Sync;

/// Asks the host for its credential.
#[derive(Clone)]
pub(crate) struct Asked(pub(super) Arc<AskCredentials>);

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<callback>")
    }
}
