//! An agent that says what a test has it say: over a real connection, with a credential and an identity of its own.

use anyhow::{Context as _, Result};
use async_nats::client::RequestErrorKind;
use async_nats::{Client, ConnectOptions};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nats_config::subject;
use nkeys::KeyPair;
use schemas::contract::Contract;
use schemas::status::{AgentStatus, EnrolAnswer, EnrolRequest, Mode, PromptUsage, SCHEMA_VERSION};
use schemas::{Micros, Scope, Slug};

use super::api::Credential;
use crate::nats::{connect, now};
use crate::until::{secs, until};

/// An agent by hand.
#[derive(Debug)]
pub struct Raw {
    client: Client,
    scope: Scope,
    name: Slug,
    service: String,
    identity: KeyPair,
}

impl Raw {
    /// Connects as an agent of this name and service.
    pub async fn connect(credential: &Credential, name: &str, service: &str) -> Result<Self> {
        let server = credential.connection["servers"][0].as_str().context("a server")?;
        let options = || {
            let options = ConnectOptions::with_credentials(&credential.creds)?.name(format!("live {name}"));
            Ok::<_, anyhow::Error>(options.custom_inbox_prefix(subject::inbox(&credential.public_key)))
        };
        Ok(Self {
            client: connect(server, options).await?,
            scope: serde_json::from_value(credential.connection["scope"].clone())?,
            name: Slug::new(name)?,
            service: service.into(),
            identity: KeyPair::new_user(),
        })
    }

    /// Enrols, announcing these contracts.
    pub async fn enrol(&self, contracts: &[Contract]) -> Result<EnrolAnswer> {
        let mut request = EnrolRequest {
            schema_version: SCHEMA_VERSION,
            agent: self.name.clone(),
            scope: self.scope.clone(),
            identity: self.identity.public_key(),
            host: "host".into(),
            service: self.service.clone(),
            agent_version: "0.1.0".into(),
            mode: Mode::Accepting,
            at: now(),
            contracts: contracts.to_vec(),
            signature: String::new(),
        };
        request.signature = STANDARD.encode(self.identity.sign(&request.signed_bytes())?);
        let subject = subject::enrol(&self.scope, &self.name);
        let question = serde_json::to_vec(&request)?;
        // Whom nobody hears asks again, as every agent does: FORGE may be just coming back to the broker.
        let answer = until("FORGE hears an agent that enrols", secs(60), async || {
            match self.client.request(subject.clone(), question.clone().into()).await {
                Err(error) if error.kind() == RequestErrorKind::NoResponders => None,
                answered => Some(answered),
            }
        })
        .await?;
        Ok(serde_json::from_slice(&answer.payload)?)
    }

    /// Tells its status: since when it lives, and what it used since.
    pub async fn tell(&self, started_at: Micros, usage: &[PromptUsage]) -> Result<()> {
        let mut status = self.status(started_at);
        status.usage = usage.to_vec();
        self.send(&status).await
    }

    /// Tells that it is stale, and why.
    pub async fn tell_stale(&self, reason: &str) -> Result<()> {
        let mut status = self.status(1);
        (status.stale, status.stale_reason) = (true, Some(reason.into()));
        self.send(&status).await
    }

    fn status(&self, started_at: Micros) -> AgentStatus {
        let mut status = AgentStatus::new(self.name.clone(), self.identity.public_key(), self.scope.clone());
        status.host = "host".into();
        status.service = self.service.clone();
        status.agent_version = "0.1.0".into();
        (status.at, status.started_at) = (now(), started_at);
        status
    }

    async fn send(&self, status: &AgentStatus) -> Result<()> {
        let subject = subject::status(&self.scope, &self.name);
        self.client.publish(subject, serde_json::to_vec(status)?.into()).await?;
        self.client.flush().await?;
        Ok(())
    }
}
