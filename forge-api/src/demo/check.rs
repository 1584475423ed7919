//! `forge demo --check`: what a person would do in the browser, done through the API.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::Progress;
use super::agent::LiveProcess;
use super::stage::Stage;
use crate::auth::{Role, Scopes};
use crate::request::{Method, Request};
use crate::run::Running;
use crate::session;

const DEADLINE: Duration = Duration::from_secs(30);
const SET: &str = "/api/v1/projects/demo:fabric/sets/welcome";
const PROMPT: &str = "/api/v1/projects/demo:fabric/sets/welcome/prompts/welcome.message";
const PUBLICATIONS: &str = "/api/v1/projects/demo:fabric/publications";

struct Client<'a> {
    running: &'a Running,
    token: String,
}

impl Client<'_> {
    async fn call(
        &self,
        method: Method,
        path: &str,
        revision: Option<&str>,
        body: Option<Value>,
    ) -> anyhow::Result<(Value, Option<String>)> {
        let mut request = Request::new(method, path).bearer(&self.token);
        if let Some(revision) = revision {
            request = request.header("if-match", revision);
        }
        if let Some(body) = &body {
            request = request.json(body);
        }
        let answer =
            request.send(self.running.address).await.with_context(|| format!("asking for {path}"))?;
        if !(200..300).contains(&answer.status) {
            bail!("{path} answered {}: {}", answer.status, answer.text());
        }
        let value = if answer.body.is_empty() { Value::Null } else { serde_json::from_slice(&answer.body)? };
        Ok((value, answer.header("etag").map(str::to_owned)))
    }
}

pub(super) async fn check(
    running: &Running,
    stage: &Stage,
    agent: &mut LiveProcess,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let state = &running.state;
    let (token, _) = session::create_token(
        state,
        &stage.owner,
        &stage.at.organisation.id,
        session::NewToken {
            name: "demo check",
            role: Role::Owner,
            scopes: Scopes::ALL,
            expires_at: Some(session::end_after(1)),
            projects: None,
        },
    )
    .await?;
    let client = Client { running, token };

    client.call(Method::Post, &format!("{SET}/reopen"), None, None).await?;
    let (mut found, revision) = client.call(Method::Get, PROMPT, None, None).await?;
    let marker = format!("Good to see you again at {}", crate::clock::rfc3339(crate::clock::now()));
    found["prompt"]["content"]["template"] = json!(format!("{marker}, {{{{ name }}}}."));
    client.call(Method::Put, PROMPT, revision.as_deref(), Some(found["prompt"].clone())).await?;
    client.call(Method::Post, &format!("{SET}/lock"), None, Some(json!({ "version": "1.0.1" }))).await?;
    progress.done("through the API: reopened, edited, locked as 1.0.1");

    let started = Instant::now();
    let publish =
        json!({ "set": "welcome", "environment": "prod", "version": "1.0.1", "expected_serial": 1 });
    let (made, _) = client.call(Method::Post, PUBLICATIONS, None, Some(publish)).await?;
    let text = agent.printed(|text| text.contains(&marker), DEADLINE).await?;
    let printed = started.elapsed();
    if text != format!("{marker}, Ada.") {
        bail!("the agent printed {text:?}");
    }
    let measured = stage.active("welcome", DEADLINE).await?;
    progress.done(&format!(
        "published 1.0.1: the agent printed the new text {} ms after the request; active after {measured:.1} ms",
        printed.as_millis()
    ));

    let (detail, _) =
        client.call(Method::Get, &format!("{PUBLICATIONS}/{}", made["number"]), None, None).await?;
    if detail["state"] != "sent" || detail["active"] != 1 || detail["refused"] != 0 {
        bail!("publication {} is {detail}", made["number"]);
    }
    let back = json!({ "set": "welcome", "environment": "prod", "version": "1.0.0" });
    let (made, _) = client.call(Method::Post, PUBLICATIONS, None, Some(back)).await?;
    if made["rollback"] != true || made["serial"] != 3 {
        bail!("rolling back made {made}");
    }
    stage.active("welcome", DEADLINE).await?;
    progress.done("rolled back to 1.0.0 as serial 3: the agent followed");
    println!("  the demo works");
    Ok(())
}
