//! What the agents say, as one stream of events.

use async_nats::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::stream::{self, BoxStream, StreamExt as _};
use nats_config::stream::STATUS_MAX;
use nats_config::{header, subject, system};
use nkeys::KeyPair;
use schemas::canonical::Digest;
use schemas::envelope::Enrolment;
use schemas::status::{AgentStatus, EnrolAnswer, EnrolRequest, SCHEMA_VERSION};
use schemas::{Scope, Slug};
use serde::Deserialize;

use crate::keys::ProjectKeys;
use crate::provision::{Broker, BrokerError};
use crate::sign;

/// Of any number of FORGE processes, one answers an enrolment.
const ENROLMENT_GROUP: &str = "forge";

/// Something that an agent did.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "events are taken one at a time and never kept")]
pub enum FleetEvent {
    /// Its status, which is also its acknowledgement, and how many bytes it had. Scope and name are those of the
    /// subject.
    Status(Box<AgentStatus>, usize),
    /// It wants to enrol; its identity signed the request. Answer it.
    Enrol(EnrolRequest, Responder),
    /// A credential connected to the broker.
    Connected(Presence),
    /// A credential's connection ended.
    Disconnected(Presence),
}

/// A connection to the broker, as the broker tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// Public key of the account.
    pub account: String,
    /// Public key of the user: the credential.
    pub user: String,
    /// The name that the client gave itself.
    pub name: String,
    /// Address of the client.
    pub address: String,
    /// The server, and the connection's number there.
    pub server: String,
    pub client: u64,
}

/// Answers one enrolment.
#[derive(Debug)]
pub struct Responder {
    client: async_nats::Client,
    reply: async_nats::Subject,
}

/// What FORGE signs an answer with, and what it says under it.
#[derive(Debug)]
pub struct Signed<'a> {
    pub keys: &'a ProjectKeys,
    /// The line of header `Forge-Key`.
    pub certificate: &'a str,
    /// The line of header `Forge-Trust`, if the project has one.
    pub trust: Option<&'a str>,
    pub enrolment: Enrolment,
}

impl Responder {
    /// Sends the answer; one that is not signed is a refusal that no agent acts upon.
    ///
    /// # Errors
    /// [`BrokerError::Unreachable`]; the agent asks again.
    pub async fn answer(self, answer: &EnrolAnswer, signed: Option<Signed<'_>>) -> Result<(), BrokerError> {
        let doing = "answering an enrolment";
        let body = serde_json::to_vec(answer).map_err(|source| BrokerError::Answer { doing, source })?;
        let mut headers = HeaderMap::new();
        if let Some(Signed { keys, certificate, trust, enrolment }) = signed {
            let refused = |reason: String| BrokerError::Refused { doing, code: 0, reason };
            let line = sign::enrol(keys, Digest::of(&body), enrolment).map_err(|e| refused(e.to_string()))?;
            let mut put = |name: &'static str, text: &str| {
                let value = text.parse::<async_nats::HeaderValue>();
                value.map(|value| headers.insert(name, value)).map_err(|e| refused(e.to_string()))
            };
            put(header::KEY, certificate)?;
            put(header::ATTESTATION, &line.to_line())?;
            if let Some(trust) = trust {
                put(header::TRUST, trust)?;
            }
        }
        self.client
            .publish_with_headers(self.reply, headers, body.into())
            .await
            .map_err(|e| BrokerError::Unreachable { doing, source: Some(e.into()) })
    }
}

/// Why a message of an agent was not believed.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    #[error("it has {found} bytes, at most {STATUS_MAX} are read")]
    TooLarge { found: usize },
    #[error("it is not JSON of its schema")]
    Json(#[source] serde_json::Error),
    #[error("it has schema version {found}; this program reads up to {SCHEMA_VERSION}: update FORGE")]
    SchemaVersion { found: u32 },
    #[error("it came as {subject} and speaks for {scope}/{agent}")]
    Impostor { subject: String, scope: Scope, agent: Slug },
    #[error("it has no reply subject")]
    NoReply,
    #[error("its identity did not sign it")]
    Signature,
}

impl Broker {
    /// Everything that agents say from now on, over all reconnects. Messages that cannot be
    /// believed are logged and left out.
    ///
    /// # Errors
    /// [`BrokerError::Unreachable`] where the connection was closed for good.
    pub async fn fleet(&self) -> Result<BoxStream<'static, FleetEvent>, BrokerError> {
        let failed = |e: async_nats::SubscribeError| BrokerError::Unreachable {
            doing: "listening to agents",
            source: Some(e.into()),
        };
        let (forge, system) = (&self.inner.forge, &self.inner.system);
        let statuses = forge.subscribe(subject::ALL_STATUS).await.map_err(failed)?;
        let enrolments =
            forge.queue_subscribe(subject::ALL_ENROL, ENROLMENT_GROUP.into()).await.map_err(failed)?;
        let connects = system.subscribe(system::ALL_CONNECT).await.map_err(failed)?;
        let disconnects = system.subscribe(system::ALL_DISCONNECT).await.map_err(failed)?;

        let client = forge.clone();
        let events: [BoxStream<'static, (String, Result<FleetEvent, FleetError>)>; 4] = [
            statuses.map(|m| (m.subject.to_string(), status(&m.subject, &m.payload))).boxed(),
            enrolments.map(move |m| (m.subject.to_string(), enrolment(&client, m))).boxed(),
            connects.map(|m| (m.subject.to_string(), presence(&m.payload, FleetEvent::Connected))).boxed(),
            disconnects
                .map(|m| (m.subject.to_string(), presence(&m.payload, FleetEvent::Disconnected)))
                .boxed(),
        ];
        let believed = stream::select_all(events).filter_map(|(subject, event)| async move {
            event
                .inspect_err(|error| {
                    let reason = std::error::Error::source(error).map(ToString::to_string);
                    tracing::warn!(message.subject = %subject, error = %error, reason, "ignored a message");
                })
                .ok()
        });
        Ok(believed.boxed())
    }
}

fn check_sender(
    subject: &str,
    parsed: Option<(Scope, Slug)>,
    scope: &Scope,
    agent: &Slug,
    schema_version: u32,
) -> Result<(), FleetError> {
    if schema_version == 0 || schema_version > SCHEMA_VERSION {
        return Err(FleetError::SchemaVersion { found: schema_version });
    }
    match parsed {
        Some((s, a)) if s == *scope && a == *agent => Ok(()),
        _ => Err(FleetError::Impostor {
            subject: subject.to_owned(),
            scope: scope.clone(),
            agent: agent.clone(),
        }),
    }
}

fn within(payload: &[u8]) -> Result<(), FleetError> {
    match i32::try_from(payload.len()) {
        Ok(found) if found <= STATUS_MAX => Ok(()),
        _ => Err(FleetError::TooLarge { found: payload.len() }),
    }
}

fn status(subject: &str, payload: &[u8]) -> Result<FleetEvent, FleetError> {
    within(payload)?;
    let status: AgentStatus = serde_json::from_slice(payload).map_err(FleetError::Json)?;
    let parsed = subject::parse_status(subject);
    check_sender(subject, parsed, &status.scope, &status.agent, status.schema_version)?;
    Ok(FleetEvent::Status(Box::new(status), payload.len()))
}

fn enrolment(client: &async_nats::Client, message: async_nats::Message) -> Result<FleetEvent, FleetError> {
    within(&message.payload)?;
    let request: EnrolRequest = serde_json::from_slice(&message.payload).map_err(FleetError::Json)?;
    let parsed = subject::parse_enrol(&message.subject);
    check_sender(&message.subject, parsed, &request.scope, &request.agent, request.schema_version)?;
    if !is_signed(&request) {
        return Err(FleetError::Signature);
    }
    let reply = message.reply.ok_or(FleetError::NoReply)?;
    Ok(FleetEvent::Enrol(request, Responder { client: client.clone(), reply }))
}

fn is_signed(request: &EnrolRequest) -> bool {
    let Ok(signature) = STANDARD.decode(&request.signature) else { return false };
    KeyPair::from_public_key(&request.identity)
        .is_ok_and(|key| key.verify(&request.signed_bytes(), &signature).is_ok())
}

fn presence(payload: &[u8], event: fn(Presence) -> FleetEvent) -> Result<FleetEvent, FleetError> {
    #[derive(Deserialize)]
    struct Advisory {
        server: Server,
        client: Client,
    }
    #[derive(Deserialize)]
    struct Server {
        id: String,
    }
    #[derive(Deserialize)]
    struct Client {
        #[serde(default)]
        acc: String,
        #[serde(default)]
        user: String,
        #[serde(default)]
        nkey: String,
        #[serde(default)]
        name: String,
        #[serde(default)]
        host: String,
        #[serde(default)]
        id: u64,
    }
    let Advisory { server, client } = serde_json::from_slice(payload).map_err(FleetError::Json)?;
    Ok(event(Presence {
        account: client.acc,
        user: if client.user.is_empty() { client.nkey } else { client.user },
        name: client.name,
        address: client.host,
        server: server.id,
        client: client.id,
    }))
}
