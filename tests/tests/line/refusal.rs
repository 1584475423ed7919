//! What bad input gets: a clear problem each, and nothing changed.

use anyhow::Result;
use reqwest::Method;
use serde_json::{Value, json};
use tests::forge::api::Api;
use tests::forge::live::Live;
use tests::forge::{Database, Forge, ORGANISATION};
use tests::until::secs;

tests::on_both!(
    a_template_error_is_told_with_its_line_column_and_text,
    a_wrong_parameter_is_told_by_name_in_the_preview_and_in_the_agent,
    what_cannot_be_published_is_refused_and_changes_nothing,
    a_bad_slug_is_refused_with_one_that_works,
    a_bundle_over_the_limit_is_refused_before_anything_is_written,
);

async fn prepared(database: Database) -> Result<(Forge, Api)> {
    let mut forge = Forge::start(database).await?;
    let owner = forge.owner().await?;
    owner.create_project(ORGANISATION).await?;
    Ok((forge, owner))
}

/// Everything that a refusal must leave as it was.
async fn state(owner: &Api) -> Result<(Value, Value, Value)> {
    let set = owner.get(&owner.set()).await?.ok()?;
    let versions = owner.get(&format!("{}/versions", owner.set())).await?.ok()?;
    let publications = owner.get(&format!("{}/publications", owner.project())).await?.ok()?;
    // Whether a publication is sent yet is the relay's, not the caller's.
    let publications =
        publications["items"].as_array().map(|all| all.iter().map(|p| p["id"].clone()).collect());
    Ok((set, versions, publications.unwrap_or_default()))
}

async fn a_template_error_is_told_with_its_line_column_and_text(database: Database) -> Result<()> {
    let (_forge, owner) = prepared(database).await?;
    owner.write("welcome.message", "Dear {{ name }},\nyour {% if name %}order\nis here.").await?;
    owner.write("other", "Dear {{ name }},\nhello {{ name | mony }}").await?;
    let before = state(&owner).await?;
    let problem = owner.post(&format!("{}/lock", owner.set()), &json!({"version": "1.0.0"})).await?;
    let problem = problem.problem(422, "template_invalid")?;
    let errors = problem["errors"].as_array().cloned().unwrap_or_default();
    let unknown = errors.iter().find(|e| e["prompt"] == "other").expect("an error of prompt other");
    assert_eq!((unknown["line"].as_u64(), unknown["column"].as_u64()), (Some(2), Some(17)), "{problem}");
    assert_eq!(unknown["source_line"], "hello {{ name | mony }}", "{problem}");
    assert!(unknown["message"].as_str().unwrap_or_default().contains("mony"), "{problem}");
    assert!(errors.iter().any(|e| e["prompt"] == "welcome.message"), "{problem}");
    assert_eq!(state(&owner).await?, before, "nothing changed");
    Ok(())
}

async fn a_wrong_parameter_is_told_by_name_in_the_preview_and_in_the_agent(database: Database) -> Result<()> {
    let (forge, owner) = prepared(database).await?;
    let prompt = json!({
        "id": "order", "content": {"type": "text", "template": "{{ count }} for {{ name }}"},
        "parameters": [
            {"name": "name", "type": "string", "required": true},
            {"name": "count", "type": "integer", "required": true, "maximum": 9},
        ],
    });
    let preview = async |values: Value| {
        owner.post(&format!("{}/preview", owner.set()), &json!({"prompt": prompt, "values": values})).await
    };
    let fine = preview(json!({"name": "Ada", "count": 3})).await?.ok()?;
    assert_eq!(fine["text"], "3 for Ada");
    let told = async |values: Value, parameter: &str| -> Result<String> {
        let problem = preview(values).await?.problem(422, "parameters_invalid")?;
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        let found = errors.iter().find(|e| e["parameter"] == parameter);
        assert!(found.is_some(), "no error of {parameter}: {problem}");
        let text = problem.to_string();
        assert!(text.contains("order"), "the prompt is named: {text}");
        assert!(!text.contains("secret-value"), "no value is told: {text}");
        Ok(found.map(Value::to_string).unwrap_or_default())
    };
    let missing = told(json!({"count": 3}), "name").await?;
    assert!(missing.contains("string"), "what is expected: {missing}");
    told(json!({"name": "Ada", "count": 3, "colour": "secret-value"}), "colour").await?;
    let mistyped = told(json!({"name": "Ada", "count": "secret-value"}), "count").await?;
    assert!(mistyped.contains("integer") && mistyped.contains("string"), "expected and got: {mistyped}");
    told(json!({"name": "Ada", "count": 10}), "count").await?;

    // The agent says the same.
    let path = format!("{}/prompts/order", owner.set());
    owner.send(Method::PUT, &path, &[("if-match", "\"0\"")], Some(&prompt)).await?.ok()?;
    owner.lock("1.0.0").await?;
    owner.publish("1.0.0", "prod").await?;
    let live =
        Live::start(forge.directory(), &owner.credential("prod", "checkout").await?, "checkout-1", "order")?;
    tests::until::until("the agent complains", secs(60), async || {
        live.events()
            .iter()
            .any(|event| event["message"].as_str().is_some_and(|m| m.contains("count")))
            .then_some(())
    })
    .await;
    let asked = live
        .command(&["prompt", "order", "--var", "name=Ada", "--var", "count=secret-value"])
        .output()
        .await?;
    assert!(!asked.status.success());
    let said = String::from_utf8_lossy(&asked.stderr).into_owned();
    for part in ["order", "count", "integer", "string"] {
        assert!(said.contains(part), "the agent names {part}: {said}");
    }
    assert!(!said.contains("secret-value"), "no value is told: {said}");
    Ok(())
}

async fn what_cannot_be_published_is_refused_and_changes_nothing(database: Database) -> Result<()> {
    let (_forge, owner) = prepared(database).await?;
    owner.write("welcome.message", "Hello {{ name }}").await?;
    let path = format!("{}/publications", owner.project());
    let publish = async |more: Value| {
        let mut request = json!({"set": "chat", "environment": "prod"});
        if let (Some(request), Some(more)) = (request.as_object_mut(), more.as_object()) {
            request.extend(more.clone());
        }
        owner.post(&path, &request).await
    };
    let before = state(&owner).await?;
    publish(json!({"version": "1.0.0"})).await?.problem(409, "not_locked")?;
    publish(json!({"version": "draft"})).await?.problem(409, "not_locked")?;
    assert_eq!(state(&owner).await?, before, "nothing changed");

    owner.lock("1.0.0").await?;
    owner.publish("1.0.0", "prod").await?;
    let before = state(&owner).await?;
    // Somebody who looked at the page before that still thinks that nothing is live.
    let problem =
        publish(json!({"version": "1.0.0", "expected_serial": 0})).await?.problem(409, "serial_mismatch")?;
    assert!(
        problem["detail"].as_str().unwrap_or_default().contains('1'),
        "the serial that is live: {problem}"
    );
    assert_eq!(state(&owner).await?, before, "nothing changed");

    owner.reopen().await?;
    owner.write("welcome.message", "Good day, {{ name }}").await?;
    let before = state(&owner).await?;
    let lock = format!("{}/lock", owner.set());
    owner.post(&lock, &json!({"version": "1.0.0"})).await?.problem(409, "version_exists")?;
    owner.post(&lock, &json!({"version": "one"})).await?.problem(422, "bad_version")?;
    assert_eq!(state(&owner).await?, before, "nothing changed");
    Ok(())
}

async fn a_bad_slug_is_refused_with_one_that_works(database: Database) -> Result<()> {
    let (_forge, owner) = prepared(database).await?;
    let sets = format!("{}/sets", owner.project());
    let before = owner.get(&sets).await?.ok()?;
    for bad in ["Customer Support", "a.b", "*", "-a", "", "{{tag(env)}}"] {
        let problem =
            owner.post(&sets, &json!({"slug": bad, "name": "x"})).await?.problem(422, "bad_name")?;
        assert!(problem["detail"].as_str().is_some_and(|d| !d.is_empty()), "{problem}");
    }
    owner.post(&sets, &json!({"slug": "chat", "name": "again"})).await?.problem(409, "name_taken")?;
    assert_eq!(owner.get(&sets).await?.ok()?, before, "nothing changed");
    Ok(())
}

async fn a_bundle_over_the_limit_is_refused_before_anything_is_written(database: Database) -> Result<()> {
    let (_forge, owner) = prepared(database).await?;
    // Text that does not pack: what counts is what travels.
    let mut seed = 7_u64;
    let mut noise = || {
        let letter = |_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'0' + u8::try_from((seed >> 40) % 75).unwrap_or(0))
        };
        (0..400_000).map(letter).collect::<String>()
    };
    for number in 0..30 {
        let prompt = json!({
            "id": format!("large.{number}"), "engine": "plain",
            "content": {"type": "text", "template": "small"}, "metadata": {"noise": noise()},
        });
        let path = format!("{}/prompts/large.{number}", owner.set());
        owner.send(Method::PUT, &path, &[("if-match", "\"0\"")], Some(&prompt)).await?.ok()?;
    }
    let before = state(&owner).await?;
    owner
        .post(&format!("{}/lock", owner.set()), &json!({"version": "1.0.0"}))
        .await?
        .problem(413, "too_large")?;
    assert_eq!(state(&owner).await?, before, "nothing changed");
    Ok(())
}
