//! What a call takes of memory: nothing to find a prompt, nothing to render it into a buffer of one's own.

use std::hint::black_box;

use anyhow::Result;
use hostile::allocations::{self, Counting};
use live_agent::{LiveAgent, vars};
use schemas::prompt::Prompt;
use serde_json::json;
use tests::nats::TestBroker;
use tests::stage::builder;
use tests::until::{secs, until};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CALLS: usize = 1_000;

fn prompts(test: &TestBroker, set: &str) -> Result<schemas::bundle::Bundle> {
    let mut bundle = test.bundle(set, "1.2.0", &[("plain", "Hello"), ("mail/reply", "Dear reader")]);
    let template = "Hello {{ name }}, you have {{ n }} letters{% if n == 5 %} at last{% endif %}.";
    let greeting: Prompt = serde_json::from_value(json!({
        "id": "greeting",
        "content": { "type": "text", "template": template },
        "parameters": [
            { "name": "name", "type": "string", "required": true, "max_length": 40 },
            { "name": "n", "type": "integer", "default": 2 },
        ],
    }))?;
    bundle.prompts.push(greeting);
    bundle.prompts.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(bundle)
}

/// Allocations of many calls of each, after the first.
fn cost(agent: &LiveAgent, ids: &[&str]) -> Vec<(String, u64)> {
    let (some, all) = (vars! { name: "Ada" }, vars! { name: "Grace", n: 5 });
    let mut out = String::with_capacity(4096);
    let mut costs = Vec::new();
    for id in ids {
        let find = || agent.with(black_box(id), |prompt| black_box(prompt.id().as_str().len())).is_ok();
        assert!(find(), "{id}");
        costs.push((format!("find {id}"), allocations::count(|| assert!((0..CALLS).all(|_| find())))));
    }
    let found: Vec<&&str> = ids.iter().filter(|id| id.ends_with("greeting")).collect();
    assert!(!found.is_empty());
    for id in found {
        for values in [&some, &all] {
            let mut render = || {
                out.clear();
                agent.prompt_to(black_box(id), values, &mut out).is_ok()
            };
            assert!(render(), "{id}");
            costs
                .push((format!("render {id}"), allocations::count(|| assert!((0..CALLS).all(|_| render())))));
        }
    }
    assert_eq!(out, "Hello Grace, you have 5 letters at last.");
    costs
}

#[tokio::test]
async fn finding_takes_no_memory_and_rendering_into_a_buffer_neither() -> Result<()> {
    assert!(allocations::count(|| drop(black_box(vec![1]))) > 0, "the allocator counts");
    let test = TestBroker::start().await?;
    let agent = builder(&test, "frugal")?.memory_only().start().await?;
    test.publish(prompts(&test, "chat")?).await?;
    let serves = async |sets: usize| {
        let serves = async || (agent.list().len() == 3 * sets).then_some(());
        until("the prompts are served", secs(60), serves).await;
    };
    serves(1).await;
    let one = cost(&agent, &["greeting", "mail/reply", "@chat/greeting", "@acme/chat/mail/reply"]);
    test.publish(prompts(&test, "mail")?).await?;
    serves(2).await;
    let two = cost(&agent, &["@chat/greeting", "@mail/mail/reply", "@acme/mail/greeting"]);
    let some: Vec<_> = one.into_iter().chain(two).filter(|(_, count)| *count > 0).collect();
    assert!(some.is_empty(), "these take memory: {some:?}");
    Ok(())
}
