//! The durable consumer of each agent: the ledger of what it has consumed, and the shadow of its
//! mode.
//!
//! An agent decides and stores its mode itself. A consumer's pause is a deadline and ends by
//! itself, so FORGE sets it far away and renews it.

use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::stream::ConsumerErrorKind;
use jiff::Timestamp;
use nats_config::{stream, subject, system};
use schemas::{Scope, Slug};
use serde::Deserialize;
use serde_json::json;

use crate::provision::{Broker, BrokerError};
use crate::publish::ApiFailure;

/// How far away the deadline of a pause is set; renew it well before.
pub const PAUSE: Duration = Duration::from_secs(24 * 3600);
/// A waiting pull wakes when a pause ends, not when it is taken away: resuming sets its end here.
const RESUME: Duration = Duration::from_millis(20);
/// A pause whose end has passed when the broker hears of it wakes nobody: then it is set to end after twice the time,
/// so often. The last is some 5 s, for a broker whose clock is as much ahead.
const RESUMES: usize = 9;

#[derive(Debug, Deserialize)]
struct Answer {
    error: Option<ApiFailure>,
    #[serde(default)]
    state: StreamState,
    /// Of a pause: whether it has not ended yet.
    #[serde(default)]
    paused: bool,
}

#[derive(Debug, Default, Deserialize)]
struct StreamState {
    #[serde(default)]
    consumer_count: usize,
}

impl Broker {
    /// The durable consumer of an agent, made where it is missing. None where the stream has as
    /// many as it takes: the agent then reconciles alone.
    ///
    /// # Errors
    /// [`BrokerError`].
    pub async fn ensure_consumer(&self, scope: &Scope, agent: &Slug) -> Result<Option<String>, BrokerError> {
        let doing = "making a durable consumer";
        let name = subject::stream(scope);
        let info = system::consumer_info(&name, agent.as_str());
        if self.api(doing, info, String::new()).await?.error.is_none() {
            return Ok(Some(agent.to_string()));
        }
        let answer = self.api(doing, system::stream_info(&name), String::new()).await?;
        if let Some(error) = answer.error {
            return Err(BrokerError::Stream { stream: name, reason: error.description });
        }
        if answer.state.consumer_count >= self.inner.limits.durables {
            return Ok(None);
        }
        let config = stream::durable(scope, agent);
        let context = &self.inner.jetstream;
        match context.create_consumer_on_stream(config, name.clone()).await {
            Ok(_) => Ok(Some(agent.to_string())),
            Err(error) => match error.kind() {
                ConsumerErrorKind::JetStream(e) if e.error_code() == ErrorCode::MAXIMUM_CONSUMERS_LIMIT => {
                    Ok(None)
                }
                ConsumerErrorKind::JetStream(e) => {
                    Err(BrokerError::Stream { stream: name, reason: e.to_string() })
                }
                _ => Err(BrokerError::Unreachable { doing, source: Some(error.into()) }),
            },
        }
    }

    /// Pauses an agent's consumer until [`PAUSE`] from now; again to renew it. An agent without a
    /// consumer needs no pause.
    ///
    /// # Errors
    /// [`BrokerError`].
    pub async fn pause(&self, scope: &Scope, agent: &Slug) -> Result<(), BrokerError> {
        self.pause_for(scope, agent, PAUSE).await.map(drop)
    }

    /// Lets an agent's consumer go on, within some 20 ms where the broker hears of it as soon.
    ///
    /// # Errors
    /// [`BrokerError`].
    pub async fn resume(&self, scope: &Scope, agent: &Slug) -> Result<(), BrokerError> {
        let mut time = RESUME;
        for _ in 0..RESUMES {
            if self.pause_for(scope, agent, time).await? {
                break;
            }
            time *= 2;
        }
        Ok(())
    }

    /// Gives whether the broker knew of it before its end; nothing is paused where there is no consumer, for which
    /// that is as good.
    async fn pause_for(&self, scope: &Scope, agent: &Slug, time: Duration) -> Result<bool, BrokerError> {
        let doing = "pausing a consumer";
        let until = Timestamp::now().saturating_add(time).unwrap_or(Timestamp::MAX);
        let subject = system::consumer_pause(&subject::stream(scope), agent.as_str());
        let request = json!({ "pause_until": until.to_string() }).to_string();
        let answer = self.api(doing, subject, request).await?;
        match answer.error {
            None => Ok(answer.paused),
            Some(error) if error.code == 404 => Ok(true),
            Some(error) => {
                Err(BrokerError::Refused { doing, code: error.err_code, reason: error.description })
            }
        }
    }

    async fn api(&self, doing: &'static str, subject: String, body: String) -> Result<Answer, BrokerError> {
        self.must_be_connected(doing)?;
        let request = async_nats::Request::new().payload(body.into());
        let answer = self.ask(subject, request).await.map_err(|error| error.into_error(doing))?;
        let answer: Answer = serde_json::from_slice(&answer.payload)
            .map_err(|source| BrokerError::Answer { doing, source })?;
        match answer.error {
            // No leader yet, or the store is not ready.
            Some(error) if error.code == 503 => {
                Err(BrokerError::Unreachable { doing, source: Some(error.description.into()) })
            }
            _ => Ok(answer),
        }
    }
}
