//! Keys that were stolen, and how trust moves on without them.

use anyhow::{Context as _, Result};
use publisher::ProjectKeys;
use publisher::keys::{Key, Kind};
use schemas::status::RefusalCode;
use serde_json::Value;
use tests::forge::live::Live;
use tests::forge::{Database, Forge};
use tests::nats::TestBroker;
use tests::stage::{PATIENCE, builder, headers, hello, on_disk, publish, refusal, serves, smuggle};
use tests::until::{secs, until};

/// A thief's publication that outruns every serial that FORGE will ever reach: the largest number but
/// one that canonical JSON holds.
const FAR: u64 = (1 << 53) - 2;

fn chain(links: &[schemas::envelope::Envelope]) -> Result<String> {
    Ok(serde_json::to_string(links)?)
}

#[tokio::test]
async fn a_thief_who_fast_forwards_the_serial_is_overcome_by_revoking_the_key() -> Result<()> {
    let test = TestBroker::start().await?;
    let cache = test.directory().join("cache");
    let awake = builder(&test, "awake")?.memory_only().start().await?;
    let asleep = on_disk(&test, "asleep", &cache)?.start().await?;
    publish(&test, "1.0.0", "good").await?;
    let evil = test.outgoing("dev", test.bundle("chat", "6.6.6", &[("hello", "evil")]), FAR)?;
    test.broker.send(&evil).await?;
    for agent in [&awake, &asleep] {
        serves(agent, FAR).await;
        assert_eq!(hello(agent), "evil", "the key was good until it is revoked");
    }
    asleep.stop().await;

    let next = ProjectKeys { publishing: Key::generate(Kind::Account), ..test.project_keys.clone() };
    let root = test.keys.root.public();
    let list = test.trust_list(1, &[&test.keys.root], &[root], &[test.project_keys.publishing.public()])?;
    let bundle = test.bundle("chat", "1.0.1", &[("hello", "good again")]);
    let mut recovery = test.outgoing_by(&next, &test.certify(&next)?, "dev", bundle, 2)?;
    recovery.trust = Some(chain(&[list])?);
    smuggle(&test, &recovery, headers(&recovery), &recovery.wire).await?;
    serves(&awake, 2).await;
    assert_eq!((hello(&awake).as_str(), awake.status().trust), ("good again", 1));

    // Who slept through it all learns it from the stream alone: no FORGE is there.
    let asleep = on_disk(&test, "asleep", &cache)?.start().await?;
    serves(&asleep, 2).await;
    assert_eq!(hello(&asleep), "good again");

    // The thief goes on, above everything.
    let mut more = test.outgoing("dev", test.bundle("chat", "6.6.7", &[("hello", "evil")]), FAR + 1)?;
    for trust in [None, recovery.trust.clone()] {
        more.trust = trust;
        smuggle(&test, &more, headers(&more), &more.wire).await?;
        for agent in [&awake, &asleep] {
            until("it is refused", PATIENCE, async || {
                (refusal(&agent.status(), "chat") == Some(RefusalCode::Revoked)).then_some(())
            })
            .await;
            assert_eq!(hello(agent), "good again");
        }
    }
    // What was learned outlives the process.
    asleep.stop().await;
    let asleep = on_disk(&test, "asleep", &cache)?.start().await?;
    assert_eq!((hello(&asleep).as_str(), asleep.status().trust), ("good again", 1));
    Ok(())
}

#[tokio::test]
async fn a_revoked_key_is_refused_even_where_its_certificate_was_good_a_moment_ago() -> Result<()> {
    let stage = crate::bundle::Stage::with_one_good().await?;
    let test = &stage.test;
    let next = ProjectKeys { publishing: Key::generate(Kind::Account), ..test.project_keys.clone() };
    let root = test.keys.root.public();
    let list = test.trust_list(1, &[&test.keys.root], &[root], &[test.project_keys.publishing.public()])?;
    let word = schemas::envelope::Heartbeat {
        scope: test.scope("dev"),
        issued: tests::nats::now(),
        period_ms: 60_000,
        heads: Vec::new(),
        trust: 1,
        max_age: None,
        orders: Vec::new(),
    };
    test.beat_by(&next, &test.certify(&next)?, Some(&chain(&[list])?), word).await?;
    until("the agent follows", PATIENCE, async || (stage.agent.status().trust == 1).then_some(())).await;
    assert!(stage.agent.status().sets[0].revoked, "what is served was signed by it, and the status says so");
    let outgoing = stage.next(2)?;
    smuggle(test, &outgoing, headers(&outgoing), &outgoing.wire).await?;
    stage.refused(RefusalCode::Revoked).await;
    Ok(())
}

#[tokio::test]
async fn a_trust_list_that_is_withheld_makes_agents_stale() -> Result<()> {
    let stage = crate::bundle::Stage::with_one_good().await?;
    let test = &stage.test;
    // A word that comes late is another reason, and a passing one.
    until("it is stale for that", PATIENCE, async || {
        let word = schemas::envelope::Heartbeat {
            scope: test.scope("dev"),
            issued: tests::nats::now(),
            period_ms: 1_000,
            heads: Vec::new(),
            trust: 3,
            max_age: None,
            orders: Vec::new(),
        };
        test.beat_by(&test.project_keys, &test.certificate, None, word).await.ok()?;
        let status = stage.agent.status();
        let why = status.stale_reason.filter(|why| why == "trust list 3 is announced and does not come");
        why.filter(|_| status.stale)
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn a_forged_trust_list_is_not_followed() -> Result<()> {
    let stage = crate::bundle::Stage::with_one_good().await?;
    let test = &stage.test;
    let thief = Key::generate(Kind::Operator);
    let list = test.trust_list(7, &[&thief], &[thief.public()], &[test.project_keys.publishing.public()])?;
    let keys = ProjectKeys::generate();
    let certificate =
        publisher::sign::certify(&thief, &keys, &test.project.organisation, &test.project.project, 0, None)?;
    let bundle = test.bundle("chat", "6.6.6", &[("hello", "evil")]);
    let mut outgoing = test.outgoing_by(&keys, &certificate.to_line(), "dev", bundle, 2)?;
    outgoing.trust = Some(chain(&[list])?);
    smuggle(test, &outgoing, headers(&outgoing), &outgoing.wire).await?;
    stage.refused(RefusalCode::Untrusted).await;
    assert_eq!(stage.agent.status().trust, 0);
    stage.recovers(3).await
}

tests::on_both!(
    a_rotated_publishing_key_reaches_running_and_sleeping_agents_by_itself,
    a_rotated_root_reaches_running_and_sleeping_agents_by_itself,
    a_revoked_key_is_replaced_in_all_that_is_live,
);

struct Fleet {
    forge: Forge,
    owner: tests::forge::api::Api,
    running: Live,
    sleeping: Live,
}

/// Two agents that serve 1.0.0, of which one then sleeps.
async fn fleet(database: Database) -> Result<Fleet> {
    let mut forge = Forge::start(database).await?;
    let owner = forge.owner().await?;
    owner.create_project(tests::forge::ORGANISATION).await?;
    let credential = owner.credential("prod", "checkout").await?;
    let running = Live::start(forge.directory(), &credential, "running", "welcome.message")?;
    let mut sleeping = Live::start(forge.directory(), &credential, "sleeping", "welcome.message")?;
    owner.release("1.0.0", "Hello {{ name }}").await?;
    running.prints("Hello Ada", secs(60)).await;
    sleeping.prints("Hello Ada", secs(60)).await;
    sleeping.kill9().await;
    Ok(Fleet { forge, owner, running, sleeping })
}

impl Fleet {
    /// Publishes something and sees it everywhere, on an agent with a new credential too.
    async fn all_print(&mut self, version: &str, text: &str) -> Result<()> {
        self.owner.release(version, &format!("{text} {{{{ name }}}}")).await?;
        let wanted = format!("{text} Ada");
        self.running.prints(&wanted, secs(60)).await;
        self.sleeping.start_again()?;
        self.sleeping.prints(&wanted, secs(60)).await;
        let credential = self.owner.credential("prod", version).await?;
        let young =
            Live::start(self.forge.directory(), &credential, &version.replace('.', "-"), "welcome.message")?;
        young.prints(&wanted, secs(60)).await;
        self.sleeping.kill9().await;
        Ok(())
    }

    async fn keys(&self, arguments: &[&str]) -> Result<String> {
        self.forge.place.run(&[&["keys"], arguments].concat()).await
    }

    /// What the agents of the project last said, by name.
    async fn status(&self, agent: &str) -> Result<Value> {
        let all = self.owner.get(&format!("{}/agents", self.owner.project())).await?.ok()?;
        let found = all["items"].as_array().and_then(|all| all.iter().find(|a| a["name"] == agent).cloned());
        Ok(found.context("the agent")?["status"].clone())
    }
}

async fn a_rotated_publishing_key_reaches_running_and_sleeping_agents_by_itself(
    database: Database,
) -> Result<()> {
    let mut fleet = fleet(database).await?;
    let path = fleet.owner.path();
    for (version, text) in [("1.1.0", "Second"), ("1.2.0", "Third")] {
        let said = fleet.keys(&["rotate", "--project", &path]).await?;
        assert!(said.contains("signs no more"), "{said}");
        fleet.all_print(version, text).await?;
    }
    let listed = fleet.keys(&["list", "--project", &path]).await?;
    let states: Vec<_> = listed.lines().filter_map(|l| l.split_whitespace().nth(1)).collect();
    assert_eq!(states, ["retired", "retired", "active"], "{listed}");
    Ok(())
}

async fn a_rotated_root_reaches_running_and_sleeping_agents_by_itself(database: Database) -> Result<()> {
    let mut fleet = fleet(database).await?;
    let first =
        fleet.keys(&["list"]).await?.split_whitespace().next().map(str::to_owned).context("a root")?;
    // Twice, so that who sleeps has two steps to follow.
    fleet.keys(&["rotate", "--root"]).await?;
    let rotated = tests::nats::now() / 1_000_000;
    fleet.keys(&["rotate", "--root"]).await?;
    fleet.all_print("1.1.0", "Second").await?;
    let followed = until("the agent follows", secs(60), async || {
        let status = fleet.status("running").await.ok()?;
        status["trust"].as_i64().filter(|version| *version >= rotated)
    })
    .await;
    // The first one is given up altogether.
    let said = fleet.keys(&["revoke", &first, "--reason", "a laptop was lost"]).await?;
    assert!(said.contains("is revoked"), "{said}");
    fleet.all_print("1.2.0", "Third").await?;
    until("the agent follows", secs(60), async || {
        let status = fleet.status("running").await.ok()?;
        status["trust"].as_i64().filter(|version| *version > followed)
    })
    .await;
    Ok(())
}

async fn a_revoked_key_is_replaced_in_all_that_is_live(database: Database) -> Result<()> {
    let mut fleet = fleet(database).await?;
    let path = fleet.owner.path();
    let key = fleet.keys(&["list", "--project", &path]).await?;
    let key = key.split_whitespace().next().context("a key")?.to_owned();
    let revoked = tests::nats::now() / 1_000_000;
    let said = fleet.keys(&["revoke", &key, "--reason", "it was seen in a log"]).await?;
    assert!(said.contains("signed again: chat@1.0.0 in prod, serial 2"), "{said}");
    let status = until("the agent serves what was signed again", secs(60), async || {
        let status = fleet.status("running").await.ok()?;
        (status["sets"][0]["active"]["serial"] == 2).then_some(status)
    })
    .await;
    assert_eq!(status["sets"][0]["revoked"], false, "{status}");
    assert_eq!(status["sets"][0]["active"]["version"], "1.0.0", "{status}");
    // A restored database would number its next list so too, above all that it ever made.
    assert!(status["trust"].as_i64().is_some_and(|version| version >= revoked), "{status}");
    let again = fleet.keys(&["revoke", &key, "--reason", "once more"]).await;
    assert!(again.is_err_and(|error| error.to_string().contains("revoked already")));
    // One that this FORGE never had: a stolen root certified it, or it is younger than a backup.
    let (strange, before) = (Key::generate(Kind::Account), tests::nats::now() / 1_000_000);
    assert!(fleet.keys(&["revoke", strange.public(), "--reason", "whose is it?"]).await.is_err());
    let more = ["--project", &path, "--reason", "the root was stolen"];
    let said = fleet.keys(&[&["revoke", strange.public()], &more[..]].concat()).await?;
    assert!(said.contains("is revoked"), "{said}");
    let listed = fleet.keys(&["list", "--project", &path]).await?;
    assert!(listed.lines().any(|l| l.starts_with(strange.public()) && l.contains("revoked")), "{listed}");
    until("the agent follows", secs(60), async || {
        let status = fleet.status("running").await.ok()?;
        status["trust"].as_i64().filter(|version| *version >= before)
    })
    .await;
    fleet.all_print("1.1.0", "Second").await
}
