//! Contracts: whom a version would break is known before it is published, and nobody is broken who is not named.

use anyhow::{Context as _, Result};
use live_agent::LiveAgent;
use schemas::contract::Contract;
use schemas::status::EnrolAnswer;
use serde_json::{Value, json};
use tests::forge::api::{Answer, Api};
use tests::forge::raw::Raw;
use tests::forge::{Database, Forge, ORGANISATION, Place};
use tests::until::{secs, until};

use crate::{enrol, let_in};

tests::on_both!(
    a_version_that_breaks_a_service_is_published_only_by_who_names_it,
    what_a_real_agent_was_built_for_is_announced_when_it_enrols,
    contracts_that_are_too_large_are_refused_and_an_agent_announces_only_its_newest,
);

/// What agents without a service go by.
const NO_SERVICE: &str = "agents without a service";

/// A FORGE to which an agent counts as connected for half an hour after a word: those here say one and no more.
async fn patient(database: Database) -> Result<Forge> {
    let mut place = Place::new(database)?;
    place.set("FORGE_STATUS_MS", "600000");
    Forge::begin(place).await
}

/// What a program was built for that calls `welcome.message` with these parameters.
fn built_for(version: &str, parameters: &Value) -> Result<Contract> {
    let prompt = json!({ "id": "welcome.message", "parameters": parameters });
    Ok(serde_json::from_value(json!({ "set": "chat", "version": version, "prompts": [prompt] }))?)
}

fn name() -> Value {
    json!([{ "name": "name", "type": "string", "required": true }])
}

async fn enrolled(agent: &Raw, contracts: &[Contract]) {
    let answer = enrol(agent, contracts).await;
    assert!(matches!(answer, EnrolAnswer::Enrolled { .. }), "{answer:?}");
}

/// A project whose version 1.0.0 is live in prod, and whose version 2.0.0 has not got the prompt any more.
async fn project(owner: &Api) -> Result<()> {
    owner.create_project(ORGANISATION).await?;
    owner.release("1.0.0", "Hello {{ name }}").await?;
    owner.reopen().await?;
    owner.write("other.message", "Hi {{ name }}").await?;
    let path = format!("{}/prompts/welcome.message", owner.set());
    let revision = owner.get(&path).await?.ok()?["revision"].as_i64().context("a revision")?;
    let quoted = format!("\"{revision}\"");
    owner.send(reqwest::Method::DELETE, &path, &[("if-match", &quoted)], None).await?.ok()?;
    owner.lock("2.0.0").await?;
    Ok(())
}

async fn publish(owner: &Api, version: &str, environment: &str, accept: &[&str]) -> Result<Answer> {
    let request =
        json!({ "set": "chat", "version": version, "environment": environment, "accept_broken": accept });
    owner.post(&format!("{}/publications", owner.project()), &request).await
}

async fn breaks(owner: &Api, environment: &str, version: &str) -> Result<Value> {
    let path = format!("{}/environments/{environment}/breaks?set=chat&version={version}", owner.project());
    Ok(owner.get(&path).await?.ok()?["broken"].clone())
}

async fn a_version_that_breaks_a_service_is_published_only_by_who_names_it(database: Database) -> Result<()> {
    let mut forge = patient(database).await?;
    let owner = forge.owner().await?;
    project(&owner).await?;
    let credential = owner.credential("prod", "everybody").await?;
    let agent = |agent: &'static str, service: &'static str| let_in(&credential, agent, service);
    let old = built_for("1.0.0", &name())?;
    let mut connected = Vec::new();
    for (name, service) in [("till-1", "checkout"), ("till-2", "checkout"), ("kiosk-1", ""), ("kiosk-2", "")]
    {
        let one = agent(name, service).await;
        enrolled(&one, std::slice::from_ref(&old)).await;
        connected.push(one);
    }
    // One that calls nothing of it, and one that says nothing.
    let other: Contract = serde_json::from_value(
        json!({ "set": "chat", "version": "1.0.0", "prompts": [{ "id": "other.message", "parameters": name() }] }),
    )?;
    enrolled(&agent("mailer-1", "mailer").await, &[other]).await;
    enrolled(&agent("silent-1", "silent").await, &[]).await;

    let broken = breaks(&owner, "prod", "2.0.0").await?;
    let gone = json!([{ "prompt": "welcome.message", "what": "it is gone" }]);
    assert_eq!(
        broken,
        json!([
            { "name": NO_SERVICE, "connected": 2, "away": 0, "contracts": [
                { "built_for": "1.0.0", "agents": ["kiosk-1", "kiosk-2"], "away": [], "breaks": gone },
            ] },
            { "name": "checkout", "connected": 2, "away": 0, "contracts": [
                { "built_for": "1.0.0", "agents": ["till-1", "till-2"], "away": [], "breaks": gone },
            ] },
        ])
    );
    // The draft is the same; dev has no such agents; the version that is live breaks nobody but who calls what it lacks.
    assert_eq!(breaks(&owner, "prod", "draft").await?, broken);
    assert_eq!(breaks(&owner, "dev", "2.0.0").await?, json!([]));
    assert_eq!(breaks(&owner, "prod", "1.0.0").await?[0]["name"], "mailer");

    // Refused, with the list, and so for who names only one of them.
    let refused = publish(&owner, "2.0.0", "prod", &[]).await?.problem(409, "breaks_contract")?;
    assert_eq!(refused["broken"], broken);
    publish(&owner, "2.0.0", "prod", &["checkout", "kiosk-1"]).await?.problem(409, "breaks_contract")?;
    publish(&owner, "draft", "dev", &[]).await?.ok()?;

    let made = publish(&owner, "2.0.0", "prod", &["checkout", NO_SERVICE]).await?.ok()?;
    let record = json!([
        { "name": NO_SERVICE, "agents": 2, "prompts": ["welcome.message"] },
        { "name": "checkout", "agents": 2, "prompts": ["welcome.message"] },
    ]);
    assert_eq!(made["overridden"], record);
    let number = made["number"].as_i64().context("a number")?;
    assert_eq!(owner.publication(number).await?["overridden"], record);
    let log = owner.get(&format!("/api/v1/organisations/{ORGANISATION}/audit")).await?.ok()?;
    let entry = log["items"].as_array().into_iter().flatten().find(|e| e["action"] == "contract.overridden");
    let entry = entry.context("an entry of the audit log")?;
    assert_eq!(entry["subject"], "acme/support/chat@2.0.0 to prod", "{entry}");
    assert_eq!(entry["actor"], "Owner", "{entry}");
    assert!(entry["detail"].to_string().contains(NO_SERVICE), "{entry}");

    // The way back goes through the same check.
    publish(&owner, "1.0.0", "prod", &[]).await?.problem(409, "breaks_contract")?;
    let back = publish(&owner, "1.0.0", "prod", &["mailer"]).await?.ok()?;
    assert_eq!((&back["rollback"], &back["overridden"][0]["name"]), (&json!(true), &json!("mailer")));

    // The tills are replaced by one that calls nothing of it: nobody is asked about those that are gone.
    assert_eq!(breaks(&owner, "prod", "2.0.0").await?.as_array().map(Vec::len), Some(2));
    let new = agent("till-3", "checkout").await;
    enrolled(&new, &[]).await;
    connected.drain(..2);
    until("only the kiosks are asked about", secs(60), async || {
        let broken = breaks(&owner, "prod", "2.0.0").await.ok()?;
        (broken.as_array()?.len() == 1 && broken[0]["name"] == NO_SERVICE).then_some(())
    })
    .await;
    Ok(())
}

async fn what_a_real_agent_was_built_for_is_announced_when_it_enrols(database: Database) -> Result<()> {
    let mut forge = Forge::start(database).await?;
    let owner = forge.owner().await?;
    project(&owner).await?;
    let credential = owner.credential("prod", "checkout").await?;
    let agent = LiveAgent::builder()
        .connection(serde_json::from_value::<schemas::connect::Connection>(credential.connection.clone())?)
        .credentials(credential.creds.as_str())
        .name("checkout-1")
        .service("checkout")
        .memory_only()
        .contract(built_for("1.0.0", &name())?)
        .start()
        .await?;
    let path = format!("{}/contracts", owner.set());
    let known = until("FORGE knows what it was built for", secs(60), async || {
        let known = owner.get(&path).await.ok()?.ok().ok()?["items"].clone();
        known[0].is_object().then_some(known)
    })
    .await;
    let expected = json!([{ "environment": "prod", "name": "checkout", "built_for": "1.0.0", "agents": ["checkout-1"] }]);
    assert_eq!(known, expected);
    publish(&owner, "2.0.0", "prod", &[]).await?.problem(409, "breaks_contract")?;
    agent.stop().await;
    Ok(())
}

async fn contracts_that_are_too_large_are_refused_and_an_agent_announces_only_its_newest(
    database: Database,
) -> Result<()> {
    let mut forge = Forge::start(database).await?;
    let owner = forge.owner().await?;
    project(&owner).await?;
    let credential = owner.credential("prod", "checkout").await?;
    let agent = let_in(&credential, "till-1", "checkout").await;
    let mut large = built_for("1.0.0", &name())?;
    large.prompts[0].id = "x".repeat(schemas::contract::CONTRACT_MAX);
    let answer = enrol(&agent, &[large]).await;
    assert!(
        matches!(&answer, EnrolAnswer::Refused { code, .. } if code == "contract_too_large"),
        "{answer:?}"
    );
    // An agent that was built anew calls it with one value more, and then for nothing of it.
    enrolled(&agent, &[built_for("1.0.0", &name())?]).await;
    assert_eq!(breaks(&owner, "prod", "2.0.0").await?.as_array().map(Vec::len), Some(1));
    let newer =
        json!([{ "name": "name", "type": "string", "required": true }, { "name": "tone", "type": "string" }]);
    enrolled(&agent, &[built_for("1.1.0", &newer)?]).await;
    let broken = breaks(&owner, "prod", "1.0.0").await?;
    assert_eq!(broken[0]["contracts"][0]["built_for"], "1.1.0", "{broken}");
    assert_eq!(broken[0]["contracts"][0]["breaks"][0]["what"], "the parameter tone is gone", "{broken}");
    enrolled(&agent, &[]).await;
    assert_eq!(breaks(&owner, "prod", "2.0.0").await?, json!([]));
    Ok(())
}
