//! What is in a stream, read with an agent's credential: by direct get, as an agent does.

use std::time::Duration;

use anyhow::{Context as _, Result};
use async_nats::{Client, ConnectOptions, StatusCode};
use nats_config::{header, subject};
use schemas::Scope;
use serde_json::json;

use super::api::Credential;

/// A message of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub sequence: u64,
    pub publication: String,
    pub serial: u64,
    pub digest: String,
    pub attestation: String,
    /// As it travels.
    pub wire: Vec<u8>,
    pub zstd: bool,
}

/// A reader of the stream of a credential's scope.
#[derive(Debug)]
pub struct Reader {
    client: Client,
    scope: Scope,
}

impl Reader {
    pub async fn connect(credential: &Credential) -> Result<Self> {
        let scope = serde_json::from_value(credential.connection["scope"].clone()).context("a scope")?;
        let server = credential.connection["servers"][0].as_str().context("a server")?;
        let client = ConnectOptions::with_credentials(&credential.creds)?
            .custom_inbox_prefix(subject::inbox(&credential.public_key))
            .request_timeout(Some(Duration::from_secs(15)))
            .retry_on_initial_connect()
            .connect(server)
            .await?;
        Ok(Self { client, scope })
    }

    /// Every bundle in the stream, in order.
    pub async fn all(&self) -> Result<Vec<Stored>> {
        let mut found = Vec::new();
        let mut next = 1;
        while let Some(message) = self.after(next).await? {
            next = message.sequence + 1;
            found.push(message);
        }
        Ok(found)
    }

    /// The newest bundle.
    pub async fn last(&self) -> Result<Stored> {
        self.all().await?.pop().context("the stream is empty")
    }

    async fn after(&self, sequence: u64) -> Result<Option<Stored>> {
        let query = json!({"seq": sequence, "next_by_subj": subject::bundles_below(&self.scope)});
        let answer = self.client.request(subject::direct_get(&self.scope), query.to_string().into()).await?;
        if answer.status == Some(StatusCode::NOT_FOUND) {
            return Ok(None);
        }
        let headers = answer.headers.as_ref().context("a stored message has headers")?;
        let text = |name: &str| headers.get(name).map(|v| v.as_str().to_owned()).unwrap_or_default();
        Ok(Some(Stored {
            sequence: text(header::SEQUENCE).parse().context("a sequence")?,
            publication: text(header::MESSAGE_ID),
            serial: text(header::SERIAL).parse().context("a serial")?,
            digest: text(header::DIGEST),
            attestation: text(header::ATTESTATION),
            wire: answer.payload.to_vec(),
            zstd: text(header::CONTENT_ENCODING) == "zstd",
        }))
    }
}
