//! What every test of the agent needs: an agent of a test broker, and FORGE's side of the talk.

use std::path::Path;
use std::time::Duration;

use crate::nats::{Published, TestBroker};
use crate::until::{secs, until};
use anyhow::{Context as _, Result};
use async_nats::HeaderMap;
use futures::StreamExt as _;
use live_agent::{Builder, LiveAgent};
use nats_config::{header, subject};
use publisher::Outgoing;
use schemas::envelope::{Head, ModeOrder, OrderTarget};
use schemas::status::{AgentStatus, Applied, Mode, RefusalCode, SetStatus};

pub const PATIENCE: Duration = secs(20);

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
