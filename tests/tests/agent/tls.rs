//! Brokers that are not who they should be, by real handshakes: refused, named, and served on.

use std::path::Path;

use anyhow::Result;
use live_agent::LiveAgent;
use nats_config::tls::pin_of;
use schemas::connect::{Connection, Tls};
use tests::certificate::TestAuthority;
use tests::nats::TestBroker;
use tests::until::{secs, until, within};

use tests::stage::{PATIENCE, hello, publish, serves};

const HERE: &[&str] = &["localhost", "127.0.0.1"];

/// A broker with a certificate of `authority` for these names; FORGE itself believes it by its pin alone
/// where the name does not fit.
async fn broker(authority: &TestAuthority, folder: &Path) -> Result<TestBroker> {
    let tls = authority.sign(folder, "server", HERE, false)?;
    TestBroker::with_tls(tls, Tls { ca: Some(authority.pem.clone()), pins: Vec::new() }).await
}

fn trusting(mut connection: Connection, ca: &str, pins: &[&str]) -> Connection {
    let pins = pins.iter().map(|pin| (*pin).to_owned()).collect();
    connection.tls = Some(Tls { ca: Some(ca.to_owned()), pins });
    connection
}

async fn start(test: &TestBroker, connection: Connection, cache: &Path) -> Result<LiveAgent> {
    let (minted, _) = test.mint("tls")?;
    Ok(LiveAgent::builder()
        .connection(connection)
        .credentials(minted.creds.as_str())
        .cache_dir(cache)
        .name("tls")
        .start()
        .await?)
}

/// The agent says why, connects to nobody, and serves what is on its disk.
async fn refuses(test: &TestBroker, connection: Connection, cache: &Path, why: &str) -> Result<()> {
    let agent = start(test, connection, cache).await?;
    assert_eq!(hello(&agent), "on disk", "{why}");
    let refused = until(&format!("it says {why:?}"), PATIENCE, async || {
        agent.local_status().refused.filter(|said| said.contains(why))
    })
    .await;
    let connected = within(secs(1), async || agent.local_status().connected.then_some(())).await;
    assert!(connected.is_none(), "it connected although {refused}");
    assert_eq!(hello(&agent), "on disk", "{why}");
    let error = agent.wait_current(secs(20)).await.expect_err(why).to_string();
    assert!(error.contains(why), "{error}");
    agent.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_of_another_authority_name_or_key_or_with_an_expired_certificate_or_none_is_refused()
-> Result<()> {
    let folder = tempfile::tempdir()?;
    let (ours, theirs) = (TestAuthority::new("authority")?, TestAuthority::new("authority")?);
    let test = broker(&ours, folder.path()).await?;
    let url = test.server.url();
    assert!(url.starts_with("tls://"), "{url}");
    let cache = folder.path().join("cache");
    publish(&test, "1.0.0", "on disk").await?;

    // As it should be: by the authority, and by authority and pin.
    let pin = pin_of(&std::fs::read_to_string(folder.path().join("server.pem"))?)?;
    for pins in [&[][..], &[pin.as_str()]] {
        let agent = start(&test, trusting(test.connection("dev"), &ours.pem, pins), &cache).await?;
        serves(&agent, 1).await;
        assert!(agent.wait_current(PATIENCE).await.is_ok());
        agent.stop().await;
    }

    refuses(&test, trusting(test.connection("dev"), &theirs.pem, &[]), &cache, "not trusted").await?;
    let other = pin_of(&theirs.pem)?;
    let pinned = trusting(test.connection("dev"), &ours.pem, &[&other]);
    refuses(&test, pinned, &cache, "not a pinned one").await?;
    // What the system trusts does not know our authority.
    refuses(&test, test.connection("dev"), &cache, "not trusted").await?;

    // A broker of the same authority that is somebody else, one whose certificate has ended, and one that
    // speaks no TLS at all.
    let plain = TestBroker::start().await?;
    let mut to_plain = trusting(test.connection("dev"), &ours.pem, &[]);
    to_plain.servers = vec![plain.server.url().replace("nats://", "tls://")];
    refuses(&test, to_plain, &cache, "does not speak TLS").await?;
    for (file, names, expired, why) in
        [("other", &["broker.example"][..], false, "not for 127.0.0.1"), ("old", HERE, true, "has expired")]
    {
        let shown = ours.sign(folder.path(), file, names, expired)?;
        let impostor = TestBroker::unbelieved(shown, &folder.path().join(why)).await?;
        let mut connection = trusting(test.connection("dev"), &ours.pem, &[]);
        connection.servers = vec![impostor.url()];
        refuses(&test, connection, &cache, why).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_address_in_the_open_is_refused_before_anything_is_sent() -> Result<()> {
    let test = TestBroker::start().await?;
    let (minted, mut connection) = test.mint("plain")?;
    connection.servers = vec!["nats://192.0.2.1:4222".into()];
    let builder = || {
        LiveAgent::builder().connection(connection.clone()).credentials(minted.creds.as_str()).memory_only()
    };
    let error = builder().start().await.expect_err("plain").to_string();
    for part in ["connection", "nats://192.0.2.1:4222", "tls://", "LIVE_ALLOW_PLAIN"] {
        assert!(error.contains(part), "{error}");
    }
    let agent = builder().allow_plain(true).start().await?;
    agent.stop().await;
    let allowed = builder().or_from(|key| (key == "LIVE_ALLOW_PLAIN").then(|| "1".into()))?.start().await?;
    allowed.stop().await;
    Ok(())
}
