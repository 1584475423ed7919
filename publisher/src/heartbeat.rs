//! FORGE's signed word to the agents of a scope on what the newest serial of each set is.

use async_nats::HeaderMap;
use nats_config::{header, subject};
use schemas::envelope::{Heartbeat, TrustError};

use crate::keys::ProjectKeys;
use crate::provision::{Broker, BrokerError};
use crate::sign;

/// Why a heartbeat was not sent.
#[derive(Debug, thiserror::Error)]
pub enum HeartbeatError {
    #[error("the heartbeat cannot be signed")]
    Sign(#[from] TrustError),
    #[error("the key certificate or the trust lists do not fit into a header")]
    Certificate,
    #[error("the heartbeat was not sent")]
    Send(#[from] BrokerError),
}

impl Broker {
    /// Signs a heartbeat and sends it to the agents of its scope. `certificate` is the line of the
    /// publishing key's certificate, which goes along as `Forge-Key`; `trust` the chain of trust lists,
    /// as `Forge-Trust`.
    ///
    /// # Errors
    /// [`HeartbeatError`]; a heartbeat that was not sent is not sent later.
    pub async fn beat(
        &self,
        keys: &ProjectKeys,
        certificate: &str,
        trust: Option<&str>,
        heartbeat: Heartbeat,
    ) -> Result<(), HeartbeatError> {
        self.must_be_connected("sending a heartbeat")?;
        let subject = subject::heartbeat(&heartbeat.scope);
        let line = sign::beat(keys, heartbeat)?.to_line();
        let value =
            |text: &str| text.parse::<async_nats::HeaderValue>().map_err(|_| HeartbeatError::Certificate);
        let mut headers = HeaderMap::new();
        headers.insert(header::KEY, value(certificate)?);
        if let Some(trust) = trust {
            headers.insert(header::TRUST, value(trust)?);
        }
        self.inner
            .forge
            .publish_with_headers(subject, headers, line.into())
            .await
            .map_err(|e| BrokerError::Unreachable { doing: "sending a heartbeat", source: Some(e.into()) })?;
        Ok(())
    }
}
