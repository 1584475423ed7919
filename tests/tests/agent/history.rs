//! What the stream still has is shown, verified, and taken up by nobody.

use anyhow::Result;
use schemas::Slug;
use schemas::status::RefusalCode;
use tests::nats::TestBroker;
use tests::stage::{PATIENCE, builder, headers, hello, publish, serves, smuggle};

#[tokio::test]
async fn the_history_names_every_publication_its_people_and_which_is_served() -> Result<()> {
    let test = TestBroker::start().await?;
    for minor in 0..20 {
        publish(&test, &format!("1.{minor}.0"), &minor.to_string()).await?;
    }
    test.publish(test.bundle("mail", "3.0.0", &[("reply", "Dear reader")])).await?;
    let agent = builder(&test, "historian")?.memory_only().start().await?;
    agent.wait_current(PATIENCE).await?;
    let chat = Slug::new("chat")?;
    agent.pin(chat.clone(), "=1.7.0".parse()?).await?;
    assert_eq!(hello(&agent), "7");
    // Somebody who owns the broker puts a body there that was never signed.
    let mut forged = test.outgoing("dev", test.bundle("chat", "1.99.0", &[("hello", "evil")]), 99)?;
    forged.publication = "forged".into();
    let (_, other) = (
        forged.wire.clone(),
        test.outgoing("dev", test.bundle("chat", "1.99.0", &[("hello", "other")]), 99)?.wire,
    );
    smuggle(&test, &forged, headers(&forged), &other).await?;

    let all = agent.history(None).await?;
    let of_chat = agent.history(Some(&chat)).await?;
    assert_eq!((all.len(), of_chat.len()), (22, 21));
    assert_eq!(all.iter().filter(|one| one.set == chat).cloned().collect::<Vec<_>>(), of_chat);
    let seventh = &of_chat[7];
    assert_eq!((seventh.serial, seventh.version.to_string(), seventh.active), (8, "1.7.0".into(), true));
    assert_eq!(of_chat.iter().filter(|one| one.active).count(), 1);
    assert!(seventh.is_verified() && seventh.issued.is_some() && seventh.publication.is_some());
    assert_eq!(seventh.author.as_deref(), Some("author@acme.test"));
    assert_eq!(seventh.publisher.as_deref(), Some("publisher@acme.test"));
    let last = &of_chat[20];
    assert_eq!((last.serial, last.author.as_deref()), (99, None), "nobody signed for it");
    assert_eq!(last.refusal.as_ref().map(|refusal| refusal.code), Some(RefusalCode::DigestMismatch));
    assert_eq!(hello(&agent), "7", "reading changes nothing");
    Ok(())
}

#[tokio::test]
async fn the_history_of_a_set_is_as_long_as_the_stream_keeps_it() -> Result<()> {
    let test = TestBroker::start().await?;
    for minor in 0..60 {
        publish(&test, &format!("1.{minor}.0"), &minor.to_string()).await?;
    }
    let agent = builder(&test, "historian")?.memory_only().start().await?;
    serves(&agent, 60).await;
    let serials: Vec<u64> = agent.history(None).await?.iter().map(|one| one.serial).collect();
    assert_eq!(serials, (11..=60).collect::<Vec<u64>>());
    Ok(())
}

#[tokio::test]
async fn without_the_broker_there_is_no_history_and_it_says_so() -> Result<()> {
    let mut test = TestBroker::start().await?;
    let agent = builder(&test, "alone")?.memory_only().start().await?;
    agent.wait_current(PATIENCE).await?;
    test.server.stop().await;
    tests::until::until("it is gone", PATIENCE, async || (!agent.local_status().connected).then_some(()))
        .await;
    let error = agent.history(None).await.unwrap_err().to_string();
    assert!(error.contains("nobody answers at"), "{error}");
    Ok(())
}
