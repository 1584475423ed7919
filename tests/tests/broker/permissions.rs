//! What a credential may do, and that it can do nothing else.

use anyhow::{Context as _, Result};
use async_nats::{Client, ConnectOptions, Event};
use futures::StreamExt as _;
use nats_config::{subject, system};
use publisher::jwt::{self, Claims};
use publisher::keys::{Key, Kind};
use publisher::{MintedCredential, Project, ProjectKeys, Role, credentials};
use schemas::{Scope, Slug};
use serde_json::json;
use tests::nats::{TestBroker, connect};
use tests::until::{millis, secs, until, within};
use tokio::sync::mpsc;

/// A client that also tells what the server complains about.
async fn listening(
    test: &TestBroker,
    credential: &MintedCredential,
) -> Result<(Client, mpsc::UnboundedReceiver<String>)> {
    let (sender, complaints) = mpsc::unbounded_channel();
    let options = || {
        let sender = sender.clone();
        let options = ConnectOptions::with_credentials(&credential.creds)?
            .custom_inbox_prefix(subject::inbox(&credential.public_key))
            .request_timeout(Some(secs(15)))
            .event_callback(move |event| {
                if let Event::ServerError(error) = event {
                    let _ = sender.send(error.to_string().to_lowercase());
                }
                async {}
            });
        Ok::<_, anyhow::Error>(options)
    };
    Ok((connect(&test.server.url(), options).await?, complaints))
}

async fn complaint(complaints: &mut mpsc::UnboundedReceiver<String>, of: &str) {
    let mut heard = Vec::new();
    let denied = within(secs(60), async || {
        heard.extend(complaints.try_recv().ok());
        let denies =
            |said: &&String| said.contains("permissions violation") && said.contains(&of.to_lowercase());
        heard.iter().find(denies).map(|_| ())
    })
    .await;
    assert!(denied.is_some(), "the server does not deny {of}; it said {heard:?}");
}

/// A second project on the same broker, with an environment `dev`.
async fn other_project(test: &TestBroker) -> Result<(ProjectKeys, Scope)> {
    let keys = ProjectKeys::generate();
    let scope = Scope::new("rival", "shop", "dev")?;
    let project = Project {
        organisation: scope.organisation.clone(),
        project: scope.project.clone(),
        environments: vec![scope.environment.clone()],
        revocations: Vec::new(),
    };
    test.broker.ensure_project(&project, &keys).await?;
    test.broker.ensure_environment(&scope).await?;
    Ok((keys, scope))
}

fn query_nothing() -> String {
    r#"{"last_by_subj":"nothing"}"#.to_owned()
}

fn last_of(scope: &Scope, set: &str) -> String {
    let set = Slug::new(set).expect("a slug");
    format!(r#"{{"last_by_subj":"{}"}}"#, subject::bundle(scope, &set))
}

#[tokio::test]
async fn an_agent_replays_by_batch_direct_get_reads_on_by_sequence_and_uses_its_durable() -> Result<()> {
    let test = TestBroker::start().await?;
    let scope = test.scope("dev");
    let (credential, _) = test.mint("one")?;
    let (client, mut complaints) = listening(&test, &credential).await?;
    for (set, version) in [("chat", "1.0.0"), ("mail", "1.0.0"), ("chat", "1.1.0")] {
        test.publish(test.bundle(set, version, &[("a", version)])).await?;
    }

    // Replay: the latest of each set, then the end.
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await?;
    let query = format!(r#"{{"multi_last":["{}"],"batch":1000}}"#, subject::bundles_below(&scope));
    client.publish_with_reply(subject::direct_get(&scope), inbox, query.into()).await?;
    let mut sequences = Vec::new();
    loop {
        let answer = tokio::time::timeout(secs(60), answers.next()).await?.context("an answer")?;
        if answer.status.map(u16::from) == Some(204) {
            break;
        }
        let headers = answer.headers.context("headers")?;
        sequences.push(headers.get("Nats-Sequence").context("a sequence")?.as_str().to_owned());
    }
    assert_eq!(sequences, ["2", "3"]);

    // Reading on from a sequence, to the end.
    let ask = |seq: u64| format!(r#"{{"seq":{seq},"next_by_subj":"{}"}}"#, subject::bundles_below(&scope));
    let third = client.request(subject::direct_get(&scope), ask(3).into()).await?;
    assert!(!third.payload.is_empty());
    let end = client.request(subject::direct_get(&scope), ask(4).into()).await?;
    assert_eq!(end.status.map(u16::from), Some(404));

    // The durable: pulled and acknowledged through the imported services.
    let agent = Slug::new("agent-1")?;
    let consumer = test.broker.ensure_consumer(&scope, &agent).await?.context("a consumer")?;
    let jetstream = async_nats::jetstream::ContextBuilder::new()
        .api_prefix(subject::JETSTREAM_PREFIX)
        .build(client.clone());
    let stream = jetstream.get_stream_no_info(subject::stream(&scope)).await?;
    let pull: async_nats::jetstream::consumer::PullConsumer =
        stream.get_consumer(&consumer).await.map_err(|e| anyhow::anyhow!("{e}"))?;
    let mut batch = pull.fetch().max_messages(4).expires(secs(20)).messages().await?;
    let mut got = 0;
    while let Some(message) = batch.next().await {
        message.map_err(|e| anyhow::anyhow!("{e}"))?.ack().await.map_err(|e| anyhow::anyhow!("{e}"))?;
        got += 1;
    }
    assert_eq!(got, 2, "the last of each set");
    let name = subject::stream(&scope);
    let forge = test.broker.jetstream().get_stream(&name).await?;
    until("the ledger shows it", secs(60), async || {
        let info = forge.consumer_info(&consumer).await.ok()?;
        (info.ack_floor.stream_sequence == 3 && info.num_ack_pending == 0).then_some(())
    })
    .await;
    assert!(complaints.try_recv().is_err(), "the server denied an agent what it may do");
    Ok(())
}

#[tokio::test]
async fn a_credential_may_publish_nothing_outside_its_list() -> Result<()> {
    let test = TestBroker::start().await?;
    let (_, rival) = other_project(&test).await?;
    let set = Slug::new("chat")?;
    let (dev, prod) = (test.scope("dev"), test.scope("prod"));
    let stream = subject::stream(&dev);
    let (credential, _) = test.mint("one")?;
    let (client, mut complaints) = listening(&test, &credential).await?;
    let agent = Slug::new("agent-1")?;
    let denied = [
        // Bundles and announcements are FORGE's alone, in whichever environment.
        subject::bundle(&dev, &set),
        subject::bundle(&prod, &set),
        subject::heartbeat(&dev),
        format!("{}.ctl.bundle.chat", subject::prefix(&dev)),
        // Another environment and another project.
        subject::direct_get(&prod),
        format!("{}.{}", subject::direct_get(&prod), subject::bundle(&prod, &set)),
        subject::status(&prod, &agent),
        subject::enrol(&prod, &agent),
        subject::direct_get(&rival),
        subject::status(&rival, &agent),
        format!("{}.CONSUMER.MSG.NEXT.{}.x", subject::JETSTREAM_PREFIX, subject::stream(&prod)),
        format!("{}.{}.x.1.1.1.1.1", system::ACK_PREFIX, subject::stream(&prod)),
        // Looking at the stream, changing it, and other people's consumers.
        format!("{}.STREAM.INFO.{stream}", subject::JETSTREAM_PREFIX),
        format!("{}.STREAM.NAMES", subject::JETSTREAM_PREFIX),
        format!("{}.STREAM.PURGE.{stream}", subject::JETSTREAM_PREFIX),
        format!("{}.STREAM.DELETE.{stream}", subject::JETSTREAM_PREFIX),
        format!("{}.CONSUMER.LIST.{stream}", subject::JETSTREAM_PREFIX),
        format!("{}.CONSUMER.CREATE.{stream}", subject::JETSTREAM_PREFIX),
        format!("{}.CONSUMER.DELETE.{stream}.x", subject::JETSTREAM_PREFIX),
        format!("{}.CONSUMER.PAUSE.{stream}.x", subject::JETSTREAM_PREFIX),
        system::stream_info(&stream),
        system::direct_get(&stream),
        system::consumer_pause(&stream, "x"),
        // The system account, and everybody's inbox.
        system::CLAIMS_UPDATE.to_owned(),
        "_INBOX.somebody".to_owned(),
        "anything".to_owned(),
    ];
    for subject in denied {
        client.publish(subject.clone(), "x".into()).await?;
        complaint(&mut complaints, &subject).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_credential_may_listen_to_nothing_outside_its_list() -> Result<()> {
    let test = TestBroker::start().await?;
    let (_, rival) = other_project(&test).await?;
    let (credential, _) = test.mint("one")?;
    let (other, _) = test.mint("two")?;
    let (client, mut complaints) = listening(&test, &credential).await?;
    let denied = [
        ">".to_owned(),
        "_INBOX.>".to_owned(),
        format!("{}.>", subject::inbox(&other.public_key)),
        subject::control(&test.scope("prod")),
        subject::control(&rival),
        subject::any_status(&test.scope("dev")),
        subject::bundles(&test.scope("dev")),
        subject::ALL_CONTROL.to_owned(),
        system::ALL_CONNECT.to_owned(),
    ];
    for subject in denied {
        let _subscription = client.subscribe(subject.clone()).await?;
        client.flush().await?;
        complaint(&mut complaints, &subject).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_reply_subject_cannot_write_into_another_projects_stream() -> Result<()> {
    let test = TestBroker::start().await?;
    let (rival_keys, rival) = other_project(&test).await?;
    let set = Slug::new("chat")?;
    test.publish(test.bundle("chat", "1.0.0", &[("a", "one")])).await?;
    let (credential, _) = test.mint("one")?;
    let (client, _complaints) = listening(&test, &credential).await?;
    // A listener in each place where the injected message could come out.
    let spy = credentials::mint(&rival_keys, Role::Agent, &rival, "spy", None)?;
    let rival_client = test.client(&spy).await?;
    let mut heard = rival_client.subscribe(subject::control(&rival)).await?;
    let ready = rival_client.request(subject::direct_get(&rival), query_nothing().into()).await?;
    assert!(ready.payload.is_empty());
    let operator = test.operator().await?;
    let mut in_forge = operator.subscribe("forge.rival.>").await?;
    operator.request(system::stream_info(&subject::stream(&rival)), "".into()).await?;

    let query = last_of(&test.scope("dev"), "chat");
    let consumer = test.broker.ensure_consumer(&test.scope("dev"), &Slug::new("agent-1")?).await?;
    let next = format!(
        "{}.CONSUMER.MSG.NEXT.{}.{}",
        subject::JETSTREAM_PREFIX,
        subject::stream(&test.scope("dev")),
        consumer.context("a consumer")?
    );
    for target in [
        subject::bundle(&rival, &set),
        format!("{}.ctl.bundle.chat", subject::prefix(&rival)),
        subject::status(&rival, &Slug::new("agent-1")?),
        subject::bundle(&test.scope("prod"), &set),
    ] {
        let get = subject::direct_get(&test.scope("dev"));
        client.publish_with_reply(get, target.clone(), query.clone().into()).await?;
        client.publish_with_reply(next.clone(), target.clone(), r#"{"batch":1}"#.into()).await?;
    }
    // A request of our own that comes after them has been answered: they have been dealt with.
    let answer = client.request(subject::direct_get(&test.scope("dev")), query.into()).await?;
    assert!(!answer.payload.is_empty());
    assert_eq!(test.broker.last(&rival, &set).await?, None, "written into another project's stream");
    assert_eq!(test.broker.last(&test.scope("prod"), &set).await?, None, "written into another environment");
    let nothing = within(millis(300), async || heard.next().await).await;
    assert!(nothing.is_none(), "another project's agents heard {nothing:?}");
    let nothing = within(millis(100), async || in_forge.next().await).await;
    assert!(nothing.is_none(), "the account of FORGE heard {nothing:?}");
    Ok(())
}

#[tokio::test]
async fn an_environment_named_with_wildcards_cannot_be_minted_for() {
    for bad in ["*", ">", "dev.*", "{{tag(env)}}", ""] {
        assert!(Scope::new("acme", "support", bad).is_err(), "{bad}");
    }
}

#[tokio::test]
async fn an_inspect_credential_looks_and_cannot_speak() -> Result<()> {
    let test = TestBroker::start().await?;
    let scope = test.scope("dev");
    test.publish(test.bundle("chat", "1.0.0", &[("a", "one")])).await?;
    test.broker.ensure_consumer(&scope, &Slug::new("agent-1")?).await?;
    let credential = credentials::mint(&test.project_keys, Role::Inspect, &scope, "eve", None)?;
    let (client, mut complaints) = listening(&test, &credential).await?;
    let stream = subject::stream(&scope);
    for (question, expected) in [
        (format!("STREAM.INFO.{stream}"), "acme/support/dev"),
        (format!("CONSUMER.LIST.{stream}"), "agent-1"),
        (format!("CONSUMER.NAMES.{stream}"), "agent-1"),
        (format!("CONSUMER.INFO.{stream}.agent-1"), "agent-1"),
    ] {
        let answer = client.request(format!("{}.{question}", subject::JETSTREAM_PREFIX), "".into()).await?;
        let text = String::from_utf8_lossy(&answer.payload).into_owned();
        assert!(text.contains(expected) && !text.contains("\"error\""), "{question}: {text}");
    }
    let agent = Slug::new("agent-1")?;
    for denied in [
        subject::status(&scope, &agent),
        subject::enrol(&scope, &agent),
        format!("{}.CONSUMER.MSG.NEXT.{stream}.agent-1", subject::JETSTREAM_PREFIX),
        format!("{}.STREAM.INFO.{}", subject::JETSTREAM_PREFIX, subject::stream(&test.scope("prod"))),
    ] {
        client.publish(denied.clone(), "x".into()).await?;
        complaint(&mut complaints, &denied).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_user_signed_by_the_account_itself_may_do_nothing() -> Result<()> {
    // Nobody makes such users; if one comes out of somewhere, the account's default holds it.
    let test = TestBroker::start().await?;
    let (account, user) = (&test.project_keys.account, Key::generate(Kind::User));
    let claims = Claims {
        jti: String::new(),
        iat: tests::nats::now() / 1_000_000,
        exp: None,
        iss: account.public().to_owned(),
        name: "stray".into(),
        sub: user.public().to_owned(),
        nats: json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1, "pub": {}, "sub": {}}),
    };
    let creds = jwt::credentials_file(&jwt::mint(account, claims)?, &user);
    let stray = MintedCredential { public_key: user.public().to_owned(), creds, issued: 0, expires: None };
    let (client, mut complaints) = listening(&test, &stray).await?;
    let subject = subject::direct_get(&test.scope("dev"));
    client.publish(subject.clone(), "x".into()).await?;
    complaint(&mut complaints, &subject).await;
    Ok(())
}
