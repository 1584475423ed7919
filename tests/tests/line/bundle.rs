//! `current_bundle`: the same bytes over HTTP as in the stream.

use anyhow::{Context as _, Result};
use reqwest::Method;
use schemas::canonical::Digest;
use serde_json::json;
use tests::forge::stream::Reader;
use tests::forge::{Database, Forge, ORGANISATION};
use tests::until::{secs, until};

tests::on_both!(
    the_current_bundle_has_the_bytes_of_the_stream,
    a_large_bundle_travels_packed_to_who_takes_that
);

const QUERY: &str = "current_bundle?environment=prod&set=chat";

async fn the_current_bundle_has_the_bytes_of_the_stream(database: Database) -> Result<()> {
    let mut forge = Forge::start(database).await?;
    let owner = forge.owner().await?;
    owner.create_project(ORGANISATION).await?;
    let path = format!("{}/{QUERY}", owner.project());
    owner.get(&path).await?.problem(404, "not_found")?;

    let publication = owner.release("1.0.0", "Hello {{ name }}").await?;
    let reader = Reader::connect(&owner.credential("prod", "reader").await?).await?;
    let stored = until("the bundle is in the stream", secs(60), async || reader.last().await.ok()).await;
    let found = owner.get(&path).await?;
    assert!(found.status.is_success(), "{found:?}");
    let header =
        |name: &str| found.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    assert_eq!(found.bytes, stored.wire, "the same bytes as in the stream");
    assert_eq!(Digest::of(&found.bytes).to_string(), stored.digest);
    assert_eq!(header("etag"), format!("\"{}\"", stored.digest));
    assert_eq!(header("forge-attestation"), stored.attestation);
    assert_eq!(header("forge-serial"), "1");
    assert_eq!(publication["digest"], stored.digest.as_str());

    let modified = header("last-modified");
    for condition in [("if-none-match", header("etag")), ("if-modified-since", modified)] {
        let again = owner.send(Method::GET, &path, &[(condition.0, &condition.1)], None).await?;
        assert_eq!(again.status.as_u16(), 304, "{condition:?}");
        assert!(again.bytes.is_empty(), "an answer of 304 has no body");
    }
    owner.release("1.1.0", "Good day, {{ name }}").await?;
    let again = owner.send(Method::GET, &path, &[("if-none-match", &header("etag"))], None).await?;
    assert_eq!(again.status.as_u16(), 200, "what is live changed");
    assert_ne!(again.headers.get("etag"), found.headers.get("etag"));
    Ok(())
}

async fn a_large_bundle_travels_packed_to_who_takes_that(database: Database) -> Result<()> {
    let mut forge = Forge::start(database).await?;
    let owner = forge.owner().await?;
    owner.create_project(ORGANISATION).await?;
    let text = "Use only what the documents say, {{ name }}. ".repeat(300);
    for number in 0..8 {
        owner.write(&format!("long.{number}"), &text).await?;
    }
    let digest = owner.lock("1.0.0").await?;
    owner.publish("1.0.0", "prod").await?;
    let reader = Reader::connect(&owner.credential("prod", "reader").await?).await?;
    let stored = until("the bundle is in the stream", secs(60), async || reader.last().await.ok()).await;
    assert!(stored.zstd, "more than 64 KiB travel packed");

    let path = format!("{}/{QUERY}", owner.project());
    let plain = owner.get(&path).await?;
    assert_eq!(Digest::of(&plain.bytes).to_string(), digest);
    let packed = owner.send(Method::GET, &path, &[("accept-encoding", "zstd")], None).await?;
    assert_eq!(packed.headers.get("content-encoding").and_then(|v| v.to_str().ok()), Some("zstd"));
    assert_eq!(packed.bytes, stored.wire, "the same bytes as in the stream");
    let body: serde_json::Value = serde_json::from_slice(&plain.bytes).context("a bundle")?;
    assert_eq!(body["version"], json!("1.0.0"));
    Ok(())
}
