//! How much one credential may ask of the broker: the limits of the scoped key's template, on a real server.

use anyhow::Result;
use nats_config::account::{PAYLOAD_MAX, SUBSCRIPTIONS_MAX};
use nats_config::subject;
use publisher::{Role, credentials};
use schemas::Slug;
use tests::nats::TestBroker;

use super::raw::Raw;

#[tokio::test]
async fn a_credential_sends_no_more_than_a_status() -> Result<()> {
    let test = TestBroker::start().await?;
    let status = subject::status(&test.scope("dev"), &Slug::new("one")?);
    let most = usize::try_from(PAYLOAD_MAX)?;
    for role in [Role::Agent, Role::Inspect] {
        let credential = credentials::mint(&test.project_keys, role, &test.scope("dev"), "one", None)?;
        let mut raw = Raw::connect(&test.server.url(), Some(&credential)).await?;
        raw.publish(&status, None, &vec![b'x'; most]).await;
        assert!(!raw.settle().await?.closed, "{role:?}: the largest status closed the connection");
        raw.publish(&status, None, &vec![b'x'; most + 1]).await;
        assert!(raw.settle().await?.closed, "{role:?}: a larger message was taken");
    }
    Ok(())
}

#[tokio::test]
async fn a_credential_subscribes_no_more_than_a_leaf_node_needs() -> Result<()> {
    let test = TestBroker::start().await?;
    let most = usize::try_from(SUBSCRIPTIONS_MAX)?;
    for role in [Role::Agent, Role::Inspect] {
        let credential = credentials::mint(&test.project_keys, role, &test.scope("dev"), "one", None)?;
        let mut raw = Raw::connect(&test.server.url(), Some(&credential)).await?;
        let inbox = subject::inbox(&credential.public_key);
        for n in 0..most {
            raw.send(format!("SUB {inbox}.{n} {n}\r\n").as_bytes()).await;
        }
        let heard = raw.settle().await?;
        assert!(!heard.closed && heard.errors.is_empty(), "{role:?}: {heard:?}");
        raw.send(format!("SUB {inbox}.more {most}\r\n").as_bytes()).await;
        let heard = raw.settle().await?;
        let refused = heard.errors.iter().any(|e| e.to_lowercase().contains("maximum subscriptions"));
        assert!(refused, "{role:?}: {heard:?}");
    }
    Ok(())
}
