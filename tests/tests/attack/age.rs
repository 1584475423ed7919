//! FORGE's word kept away for longer than the project allows: serve, warn or refuse, as the project has
//! it; and files that anybody checks with nothing else at hand.

use anyhow::Result;
use reqwest::Method;
use schemas::envelope::{AgeAction, Heartbeat, MaxAge};
use serde_json::{Value, json};
use tests::forge::live::Live;
use tests::forge::{Database, Forge, ORGANISATION};
use tests::nats::{TestBroker, now};
use tests::stage::{PATIENCE, hello, on_disk, publish, serves};
use tests::until::{secs, until};

#[tokio::test]
async fn content_that_nobody_confirms_is_served_or_refused_as_the_project_has_it() -> Result<()> {
    let test = TestBroker::start().await?;
    let cache = test.directory().join("cache");
    let agent = on_disk(&test, "aged", &cache)?.start().await?;
    let published = publish(&test, "1.0.0", "good").await?;
    serves(&agent, 1).await;
    let beat = async |action, seconds| {
        let word = Heartbeat {
            scope: test.scope("dev"),
            issued: now(),
            period_ms: 60_000,
            heads: vec![tests::stage::head(&published)],
            trust: 0,
            max_age: Some(MaxAge { seconds, action }),
            orders: Vec::new(),
        };
        test.beat_by(&test.project_keys, &test.certificate, None, word).await
    };
    for (action, refuses) in [(AgeAction::Serve, false), (AgeAction::Warn, false), (AgeAction::Refuse, true)]
    {
        until("the rule is known, and what was just confirmed is served", PATIENCE, async || {
            beat(action, 1).await.ok()?;
            let rule = agent.status().max_age?;
            (rule.action == action && hello(&agent) == "good").then_some(())
        })
        .await;
        if action != AgeAction::Serve {
            until("it is too old", PATIENCE, async || agent.status().too_old.then_some(())).await;
        }
        if refuses {
            until("calls are refused", PATIENCE, async || {
                hello(&agent).contains("was not confirmed").then_some(())
            })
            .await;
        } else {
            tokio::time::sleep(secs(2)).await;
            assert_eq!(hello(&agent), "good");
        }
    }
    // The rule and the age outlive the process: a restart is no way around it.
    agent.stop().await;
    let agent = on_disk(&test, "aged", &cache)?.start().await?;
    assert!(hello(&agent).contains("was not confirmed"), "{}", hello(&agent));
    until("a word ends it", PATIENCE, async || {
        beat(AgeAction::Refuse, 60).await.ok()?;
        (hello(&agent) == "good").then_some(())
    })
    .await;
    Ok(())
}

tests::on_both!(
    a_project_s_rule_for_old_content_reaches_its_agents,
    a_bundle_is_checked_offline_by_forge_and_live_and_a_changed_one_is_refused,
);

async fn a_project_s_rule_for_old_content_reaches_its_agents(database: Database) -> Result<()> {
    let mut forge = Forge::start(database).await?;
    let owner = forge.owner().await?;
    owner.create_project(ORGANISATION).await?;
    let credential = owner.credential("prod", "checkout").await?;
    let live = Live::start(forge.directory(), &credential, "checkout-1", "welcome.message")?;
    owner.release("1.0.0", "Hello {{ name }}").await?;
    live.prints("Hello Ada", secs(60)).await;
    let path = format!("{}/max-age", owner.project());
    let put = async |body: Value| owner.send(Method::PUT, &path, &[], Some(&body)).await;
    put(json!({"seconds": 1, "action": "refuse"})).await?.problem(422, "invalid")?;
    put(json!({"seconds": 3600, "action": "refuse"})).await?.ok()?;
    let rule = async || -> Option<Value> {
        let said = live.command(&["--json", "status"]).output().await.ok()?;
        let status: Value = serde_json::from_slice(&said.stdout).ok()?;
        Some(status["max_age"].clone())
    };
    until("the agent knows the rule", secs(60), async || {
        rule().await.filter(|rule| *rule == json!({"seconds": 3600, "action": "refuse"}))
    })
    .await;
    // FORGE that says nothing for two seconds makes it stale, until its next word.
    until("the metrics say that it is well", secs(60), async || {
        let metrics = live.command(&["status", "--metrics"]).output().await.ok()?;
        let metrics = String::from_utf8(metrics.stdout).ok()?;
        (metrics.contains("live_stale 0") && metrics.contains("live_too_old 0")).then_some(())
    })
    .await;
    owner.send(Method::DELETE, &path, &[], None).await?.ok()?;
    until("the rule is over", secs(60), async || rule().await.filter(Value::is_null)).await;
    Ok(())
}

async fn a_bundle_is_checked_offline_by_forge_and_live_and_a_changed_one_is_refused(
    database: Database,
) -> Result<()> {
    let mut forge = Forge::start(database).await?;
    let owner = forge.owner().await?;
    owner.create_project(ORGANISATION).await?;
    let credential = owner.credential("prod", "checkout").await?;
    let live = Live::start(forge.directory(), &credential, "checkout-1", "welcome.message")?;
    owner.release("1.0.0", "Hello {{ name }}").await?;
    live.prints("Hello Ada", secs(60)).await;
    let set = format!("{}/chat", owner.path());
    let file = forge.directory().join("chat.bundle.json").display().to_string();
    forge.place.run(&["bundle", &set, "--out", &file]).await?;
    let baked = forge.directory().join("baked").display().to_string();
    assert!(live.command(&["bake", &baked]).output().await?.status.success());
    forge.process.stop().await?;

    let root = credential.connection["roots"][0].as_str().unwrap_or_default().to_owned();
    let said = forge.place.run(&["verify", &file, "--root", &root]).await?;
    for part in [&root, "acme/support/prod, serial 1", "written by Owner", "every link holds"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    for file in [&file, &baked] {
        let said = live.command(&["verify", file]).output().await?;
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(said.status.success() && text.contains("every link holds"), "{said:?}");
    }
    let stranger = nkeys::KeyPair::new_operator().public_key();
    let refused = forge.place.run(&["verify", &file, "--root", &stranger]).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("not trusted here")));
    let refused = forge.place.run(&["verify", &file, "--root", &root, "--scope", "acme/support/dev"]).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("speaks of acme/support/prod")));
    // Another body under the same signatures.
    let mut altered: Value = serde_json::from_str(&std::fs::read_to_string(&file)?)?;
    altered["body"] = json!("e30=");
    std::fs::write(&file, altered.to_string())?;
    let said = live.command(&["verify", &file]).output().await?;
    assert!(!said.status.success());
    assert!(String::from_utf8_lossy(&said.stderr).contains("the attestation says"), "{said:?}");
    Ok(())
}
