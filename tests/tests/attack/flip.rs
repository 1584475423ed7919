//! One bit, anywhere: in the message on its way, and in what lies on disk.

use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use nats_config::subject;
use tests::nats::TestBroker;
use tests::stage::{PATIENCE, headers, hello, on_disk, publish, refusal, serves};
use tests::until::until;

use crate::bundle::Stage;

/// A bundle of four kilobytes.
const TEXT: usize = 3_850;

#[tokio::test]
async fn every_position_of_a_bundle_and_its_attestation_flipped_on_the_way_is_refused() -> Result<()> {
    let stage = Stage::with_one_good().await?;
    let test = &stage.test;
    let text = "evil ".repeat(TEXT / 5);
    let outgoing = test.outgoing("dev", test.bundle("chat", "1.1.0", &[("hello", &text)]), 2)?;
    let body = outgoing.wire.len();
    assert!((3_900..4_400).contains(&body), "a bundle of 4 KB, not of {body}");
    let mut changes = stage.agent.subscribe();
    let client = test.operator().await?;
    let mut context = async_nats::jetstream::new(client);
    context.set_timeout(PATIENCE * 3);
    let subject = subject::bundle(&outgoing.scope, &outgoing.set);
    let positions = body + outgoing.attestation.len();
    let mut sequence = 0;
    for chunk in (0..positions).collect::<Vec<_>>().chunks(40) {
        let sent = chunk.iter().map(|&at| {
            let (mut altered, mut wire) = (outgoing.clone(), outgoing.wire.to_vec());
            match at.checked_sub(body) {
                None => wire[at] ^= 1 << (at % 8),
                Some(at) => {
                    let mut line = std::mem::take(&mut altered.attestation).into_bytes();
                    // A letter becomes another one, a brace no brace; it stays a header.
                    line[at] ^= 1;
                    altered.attestation = String::from_utf8_lossy(&line).into_owned();
                }
            }
            let (context, subject, headers) = (context.clone(), subject.clone(), headers(&altered));
            async move {
                let mut headers = headers;
                headers.insert(nats_config::header::MESSAGE_ID, format!("flipped-{at}").as_str());
                let ack = context.publish_with_headers(subject, headers, wire.into()).await?;
                anyhow::Ok(ack.await?.sequence)
            }
        });
        sequence = try_join_all(sent).await?.into_iter().max().context("a sequence")?;
        // So that the broker does not drop the oldest before the agent saw it.
        until("all of them were looked at", PATIENCE * 3, async || {
            (stage.agent.status().floor >= sequence).then_some(())
        })
        .await;
        assert_eq!(hello(&stage.agent), "good");
    }
    assert!(sequence as usize > positions, "{positions} positions, the last is {sequence}");
    assert!(refusal(&stage.agent.status(), "chat").is_some(), "it says so");
    assert!(changes.try_recv().is_err(), "nothing of it was ever taken up");
    // Unharmed, the same is taken up.
    let ack = context.publish_with_headers(subject, headers(&outgoing), outgoing.wire.clone()).await?;
    ack.await?;
    serves(&stage.agent, 2).await;
    assert_eq!(hello(&stage.agent), text);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_position_of_a_bundle_and_its_attestation_flipped_on_disk_is_noticed() -> Result<()> {
    let test = TestBroker::start().await?;
    let cache = test.directory().join("cache");
    let agent = on_disk(&test, "disk", &cache)?.start().await?;
    publish(&test, "1.0.0", "good").await?;
    serves(&agent, 1).await;
    let text = "newer ".repeat(TEXT / 6);
    let newer = publish(&test, "1.1.0", &text).await?;
    serves(&agent, 2).await;
    agent.stop().await;

    let file = cache.join("store/data.mdb");
    let whole = std::fs::read(&file)?;
    // The record of the newest: from its head to the end of its body.
    let body = find(&whole, &newer.outgoing.wire).context("the body lies on disk as it came")?;
    let head = whole[..body].windows(4).rposition(|w| w == b"AVR1").context("its record")?;
    let end = body + newer.outgoing.wire.len();
    assert!(end - head > 5_000, "attestation and body");
    let folder = test.directory().to_owned();
    let (builder, whole) = (on_disk(&test, "disk", &cache)?, std::sync::Arc::new(whole));
    let halves = (0..2).map(|half| {
        let (builder, whole, folder) = (builder.clone(), whole.clone(), folder.clone());
        tokio::task::spawn_blocking(move || -> Result<usize> {
            let dir = folder.join(format!("copy-{half}"));
            std::fs::create_dir_all(dir.join("store"))?;
            let mut served = 0;
            for at in (head..end).skip(half).step_by(2) {
                let mut altered = whole.to_vec();
                altered[at] ^= 1 << (at % 8);
                std::fs::write(dir.join("store/data.mdb"), &altered)?;
                let offline = builder.clone().cache_dir(&dir).read_offline()?;
                match offline.prompt("hello", &live_agent::vars! {}) {
                    Ok(found) => {
                        anyhow::ensure!(found == "good", "position {at}: {found:.40}");
                        served += 1;
                    }
                    Err(live_agent::PromptError::Empty { .. }) => {}
                    Err(other) => anyhow::bail!("position {at}: {other}"),
                }
            }
            Ok(served)
        })
    });
    let mut served = 0;
    for half in halves {
        served += half.await??;
    }
    // Whatever of it is damaged, the one before is there.
    assert!(served * 10 > (end - head) * 9, "the one before was served in {served} of {}", end - head);
    Ok(())
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
