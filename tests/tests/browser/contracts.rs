//! Whom a version would break, and its use, as people see it.

use anyhow::Result;
use schemas::contract::Contract;
use schemas::status::{EnrolAnswer, PromptUsage};
use serde_json::json;
use tests::forge::api::Api;
use tests::forge::raw::Raw;
use tests::until::{secs, until};
use tokio::task::JoinSet;

use super::session::Session;

/// Agents in dev: two of `checkout` that call what no version has, and one without a service; and what they used.
/// They are there, and say so every second, until what is given is dropped.
pub(crate) async fn programs(owner: &Api) -> Result<JoinSet<()>> {
    let credential = owner.credential("dev", "programs").await?;
    let contract: Contract = serde_json::from_value(json!({
        "set": "chat", "version": "1.0.0",
        "prompts": [
            { "id": "farewell.message", "parameters": [{ "name": "name", "type": "string", "required": true }] },
            { "id": "welcome.message", "parameters": [
                { "name": "name", "type": "string", "required": true },
                { "name": "tone", "type": "enum", "values": ["warm", "plain"] },
            ] },
        ],
    }))?;
    let used = |renders: u64| {
        serde_json::from_value::<Vec<PromptUsage>>(json!([{
            "set": "chat", "version": "1.1.0", "prompt": "welcome.message", "renders": renders, "errors": renders / 90,
            "render_p50_ns": 1800, "render_p99_ns": 9100, "calls": renders / 4, "call_errors": renders / 400,
            "input_tokens": renders * 210, "output_tokens": renders * 60, "latency_us": renders * 230_000,
            "cost_micros": renders * 310,
        }]))
    };
    let mut agents = JoinSet::new();
    for (name, service, renders) in
        [("till-1", "checkout", 48_212), ("till-2", "checkout", 900), ("kiosk", "", 17)]
    {
        let agent = Raw::connect(&credential, name, service).await?;
        let answer = agent.enrol(std::slice::from_ref(&contract)).await?;
        assert!(matches!(answer, EnrolAnswer::Enrolled { .. }), "{answer:?}");
        let used = used(renders)?;
        agents.spawn(async move {
            let mut ticks = tokio::time::interval(secs(1));
            loop {
                ticks.tick().await;
                // Of one life the same numbers count once.
                let _ = agent.tell(1, &used).await;
            }
        });
    }
    let path = format!("{}/usage?set=chat", owner.project());
    until("their use is counted", secs(60), async || {
        let found = owner.get(&path).await.ok()?.ok().ok()?;
        // A real agent beside them may have rendered too.
        (found["items"][0]["renders"].as_u64()? >= 49_129).then_some(())
    })
    .await;
    Ok(agents)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_breaks_services_is_published_by_ticking_each_of_them() -> Result<()> {
    let mut session = Session::start().await?;
    let owner = session.forge.owner().await?;
    owner.create_project("acme").await?;
    owner.release("1.1.0", "Hello {{ name }}!\n").await?;
    let _connected = programs(&owner).await?;
    session.sign_in().await?;
    let browser = &session.browser;
    session.open("/acme/support/chat/-/publish?version=1.1.0&environment=prod").await?;
    browser.wait_text("#will", "prod").await;
    assert!(!browser.has("#broken").await, "nobody in prod would refuse it");
    session.open("/acme/support/chat/-/publish?version=1.1.0&environment=dev").await?;
    browser.wait_text("#broken", "2 services would refuse 1.1.0").await;
    let said = browser.wait_text("#broken", "checkout will refuse this version and keep what it has").await;
    assert!(said.contains("farewell.message it is gone"), "{said}");
    assert!(said.contains("welcome.message the parameter tone is gone"), "{said}");
    assert!(said.contains("till-1, till-2") && said.contains("Built for 1.0.0"), "{said}");

    // Without all of them FORGE refuses, and what was ticked stays ticked.
    let button = "form[method=post][action$='/-/publish'] button";
    browser.click("input[value=checkout]").await;
    browser.click(button).await;
    browser.wait_text(".callout", "Not published: it breaks what services were built for").await;
    browser
        .holds("it is still ticked", "return document.querySelector('input[value=checkout]').checked")
        .await;
    let nothing = owner.get(&format!("{}/publications", owner.project())).await?.ok()?;
    assert_eq!(nothing["items"].as_array().map(Vec::len), Some(1), "{nothing}");

    browser.click("input[value='agents without a service']").await;
    browser.click(button).await;
    browser.wait_url("/-/publications/2").await;
    let named = browser.wait_text("main", "Published although it breaks").await;
    assert!(named.contains("checkout") && named.contains("agents without a service"), "{named}");

    session.open("/acme/support/chat/-/usage").await?;
    let usage = browser.wait_text("main", "Built for").await;
    for part in ["49,129", "1.1.0", "welcome.message", "agents without a service", "till-1, till-2", "$15.22"]
    {
        assert!(usage.contains(part), "{part} in {usage}");
    }
    Ok(())
}
