//! What every test of the agent needs: an agent of a test broker, and FORGE's side of the talk.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::nats::{Published, TestBroker};
use crate::until::{secs, until};
use anyhow::{Context as _, Result};
use async_nats::HeaderMap;
use futures::StreamExt as _;
use live_agent::{Builder, LiveAgent};
use nats_config::{header, subject};
use publisher::{FleetEvent, Outgoing};
use schemas::envelope::{Head, ModeOrder, OrderTarget};
use schemas::status::{AgentStatus, Applied, Mode, RefusalCode, SetStatus};

pub const PATIENCE: Duration = secs(60);

/// An agent of `dev` with a credential of its own, not started.
pub fn builder(test: &TestBroker, name: &str) -> Result<Builder> {
    let (minted, connection) = test.mint(name)?;
    Ok(LiveAgent::builder().connection(connection).credentials(minted.creds.as_str()).name(name))
}

/// The same with a disk cache.
pub fn on_disk(test: &TestBroker, name: &str, dir: &Path) -> Result<Builder> {
    Ok(builder(test, name)?.cache_dir(dir))
}

/// One text prompt `hello` in set `chat`.
pub async fn publish(test: &TestBroker, version: &str, text: &str) -> Result<Published> {
    test.publish(test.bundle("chat", version, &[("hello", text)])).await
}

pub fn head(published: &Published) -> Head {
    Head { set: published.outgoing.set.clone(), serial: published.serial, digest: published.digest }
}

/// FORGE's order to all agents of the environment; its number makes it newer than others.
pub fn order(number: u64, mode: Mode) -> ModeOrder {
    order_to(number, OrderTarget::Environment, mode)
}

/// FORGE's order to some.
pub fn order_to(number: u64, target: OrderTarget, mode: Mode) -> ModeOrder {
    ModeOrder { number, target, mode, by: "ada@acme.test".into(), reason: "a release".into() }
}

pub fn of_set<'s>(status: &'s AgentStatus, set: &str) -> Option<&'s SetStatus> {
    status.sets.iter().find(|one| one.set.as_str() == set)
}

pub fn active(status: &AgentStatus, set: &str) -> Option<Applied> {
    of_set(status, set)?.active.clone()
}

pub fn refusal(status: &AgentStatus, set: &str) -> Option<RefusalCode> {
    Some(of_set(status, set)?.pending.as_ref()?.reason.as_ref()?.code)
}

/// Waits until the agent serves this serial of `chat`.
pub async fn serves(agent: &LiveAgent, serial: u64) -> Applied {
    until(&format!("serial {serial} is active"), PATIENCE, async || {
        active(&agent.status(), "chat").filter(|a| a.serial == serial)
    })
    .await
}

/// What the agent makes of the prompt `hello`.
pub fn hello(agent: &LiveAgent) -> String {
    agent.prompt("hello", &live_agent::vars! {}).unwrap_or_else(|error| format!("({error})"))
}

/// Every status that FORGE hears.
pub async fn statuses(test: &TestBroker) -> Result<impl futures::Stream<Item = AgentStatus> + Unpin> {
    let client = test.operator().await?;
    let heard = TestBroker::overhear(&client, subject::ALL_STATUS.to_owned()).await?;
    Ok(Box::pin(heard.filter_map(move |message| {
        let _alive = &client;
        let status = serde_json::from_slice(&message.payload).ok();
        async move { status }
    })))
}

/// The next status that `wanted` holds for.
pub async fn heard(
    statuses: &mut (impl futures::Stream<Item = AgentStatus> + Unpin),
    wanted: impl Fn(&AgentStatus) -> bool,
) -> Result<AgentStatus> {
    let next = async {
        while let Some(status) = statuses.next().await {
            if wanted(&status) {
                return Ok(status);
            }
        }
        anyhow::bail!("the statuses ended")
    };
    tokio::time::timeout(PATIENCE, next).await.context("no such status was heard")?
}

/// FORGE's answers to enrolments: its word names the heads that it was given last.
#[derive(Debug)]
pub struct Answering {
    heads: Arc<Mutex<Option<Vec<Head>>>>,
    enrolled: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Answering {
    /// Answers from now on; with no heads, hears and says nothing.
    pub async fn start(test: &TestBroker, heads: Option<Vec<Head>>) -> Result<Self> {
        // An agent that asks before the broker knows of this is told that nobody is there.
        let (registrar, mut fleet) = (test.registrar(), test.listening().await?);
        let (heads, enrolled) = (Arc::new(Mutex::new(heads)), Arc::new(AtomicUsize::new(0)));
        let (said, count) = (Arc::clone(&heads), Arc::clone(&enrolled));
        let task = tokio::spawn(async move {
            while let Some(event) = fleet.next().await {
                let FleetEvent::Enrol(request, responder) = event else { continue };
                count.fetch_add(1, Ordering::Relaxed);
                let heads = said.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if let Some(heads) = heads {
                    let _ = registrar.answer(&request, responder, secs(1), heads).await;
                }
            }
        });
        Ok(Self { heads, enrolled, task })
    }

    /// What it answers from now on.
    pub fn says(&self, heads: Option<Vec<Head>>) {
        *self.heads.lock().unwrap_or_else(PoisonError::into_inner) = heads;
    }

    /// How often an agent asked.
    #[must_use]
    pub fn enrolled(&self) -> usize {
        self.enrolled.load(Ordering::Relaxed)
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The headers that FORGE would send with this.
pub fn headers(outgoing: &Outgoing) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::SET, outgoing.set.as_str());
    headers.insert(header::VERSION, outgoing.version.to_string().as_str());
    headers.insert(header::SERIAL, outgoing.serial.to_string().as_str());
    headers.insert(header::DIGEST, outgoing.digest.to_string().as_str());
    headers.insert(header::KEY, outgoing.certificate.as_str());
    headers.insert(header::ATTESTATION, outgoing.attestation.as_str());
    if let Some(trust) = &outgoing.trust {
        headers.insert(header::TRUST, trust.as_str());
    }
    headers.insert(header::CONTENT_ENCODING, outgoing.encoding.as_str());
    headers.insert(header::MESSAGE_ID, outgoing.publication.as_str());
    headers
}

/// Puts a message into the stream as somebody would who owns the broker, with nothing checked.
pub async fn smuggle(test: &TestBroker, outgoing: &Outgoing, headers: HeaderMap, body: &[u8]) -> Result<u64> {
    let client = test.operator().await?;
    let context = async_nats::jetstream::new(client);
    let subject = subject::bundle(&outgoing.scope, &outgoing.set);
    let sent = context.publish_with_headers(subject, headers, body.to_vec().into()).await?;
    Ok(sent.await?.sequence)
}
