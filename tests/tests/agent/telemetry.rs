//! Use is counted by prompt and version and reaches FORGE whole; spans reach a collector, and never with
//! a value.

use std::cell::RefCell;
use std::time::Duration;

use anyhow::{Context as _, Result};
use live_agent::control::{self, Question};
use live_agent::{Call, vars};
use schemas::status::{AgentStatus, PromptUsage};
use serde_json::Value;
use tests::forge::free_port;
use tests::nats::TestBroker;
use tests::stage::{PATIENCE, builder, heard, publish, serves, statuses};
use tests::tools;
use tests::until::until;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::mpsc;

/// One prompt `hello` with a parameter `name`.
async fn publish_named(test: &TestBroker, version: &str, text: &str) -> Result<()> {
    let mut bundle = test.bundle("chat", version, &[("hello", text)]);
    let name = serde_json::json!({ "name": "name", "type": "string", "required": true });
    bundle.prompts[0].parameters = vec![serde_json::from_value(name)?];
    test.publish(bundle).await?;
    Ok(())
}

fn of<'s>(status: &'s AgentStatus, version: &str, prompt: &str) -> Option<&'s PromptUsage> {
    status.usage.iter().find(|one| one.version.to_string() == version && one.prompt == prompt)
}

#[tokio::test]
async fn use_is_told_by_prompt_and_version_also_of_one_that_was_replaced() -> Result<()> {
    let test = TestBroker::start().await?;
    let mut statuses = statuses(&test).await?;
    publish_named(&test, "1.0.0", "Hello {{ name }}").await?;
    let agent = builder(&test, "counting")?.memory_only().start().await?;
    serves(&agent, 1).await;
    for _ in 0..5 {
        agent.prompt("hello", &vars! { name: "Ada" })?;
    }
    assert!(agent.prompt("hello", &vars! { nome: "Ada" }).is_err());
    assert!(agent.prompt("none", &vars! {}).is_err(), "of no prompt, so of no use");
    // Used and replaced between two statuses: nothing of it may be lost.
    publish_named(&test, "2.0.0", "Dear {{ name }}").await?;
    serves(&agent, 2).await;
    agent.prompt("hello", &vars! { name: "Ada" })?;
    let call = Call::new().tokens(700, 30).latency(Duration::from_millis(250)).cost_micros(42);
    agent.report("hello", &call)?;
    agent.report("hello", &Call::new().failed())?;
    assert!(agent.report("none", &call).is_err());

    // What does not change any more is told a few times, and not necessarily with the last of the other.
    let told = RefCell::new(None);
    let both = |s: &AgentStatus| {
        if let Some(one) = of(s, "1.0.0", "hello") {
            *told.borrow_mut() = Some(one.clone());
        }
        told.borrow().is_some() && of(s, "2.0.0", "hello").is_some_and(|one| one.calls == 2)
    };
    let status = heard(&mut statuses, both).await?;
    let old = told.into_inner().context("the old version is told of")?;
    assert_eq!((old.renders, old.errors, old.calls), (6, 1, 0));
    assert!(old.render_p99_ns >= old.render_p50_ns && old.render_p50_ns > 0, "{old:?}");
    let new = of(&status, "2.0.0", "hello").context("the new version is told of")?;
    assert_eq!((new.renders, new.errors, new.call_errors), (1, 0, 1));
    assert_eq!((new.input_tokens, new.output_tokens, new.cost_micros), (700, 30, 42));
    assert_eq!(new.latency_us, 250_000);
    assert_eq!((status.counters.renders, status.counters.render_errors), (8, 2));
    agent.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_version_that_is_published_again_is_counted_on_where_it_stood() -> Result<()> {
    let test = TestBroker::start().await?;
    let mut statuses = statuses(&test).await?;
    let agent = builder(&test, "back")?.memory_only().start().await?;
    let mut told = async |version: &'static str, renders: u64| {
        let is = |s: &AgentStatus| of(s, version, "hello").is_some_and(|one| one.renders == renders);
        heard(&mut statuses, is).await
    };
    let render = |many: usize| (0..many).try_for_each(|_| agent.prompt("hello", vars! {}).map(drop));
    publish(&test, "1.0.0", "one").await?;
    serves(&agent, 1).await;
    render(100)?;
    agent.report("hello", &Call::new().tokens(70, 0))?;
    publish(&test, "2.0.0", "two").await?;
    serves(&agent, 2).await;
    told("1.0.0", 100).await?;
    render(3)?;
    told("2.0.0", 3).await?;
    // Back to the first: FORGE takes what is below a hundred for something late.
    publish(&test, "1.0.0", "one").await?;
    serves(&agent, 3).await;
    render(1)?;
    told("1.0.0", 101).await?;
    // The same once more, as after its key was revoked.
    publish(&test, "1.0.0", "one").await?;
    serves(&agent, 4).await;
    render(1)?;
    let status = told("1.0.0", 102).await?;
    let calls = of(&status, "1.0.0", "hello").map(|one| (one.calls, one.input_tokens));
    assert_eq!((calls, status.counters.renders), (Some((1, 70)), 105));
    agent.stop().await;
    Ok(())
}

#[tokio::test]
async fn use_is_counted_while_nobody_can_be_told_and_told_afterwards() -> Result<()> {
    let mut test = TestBroker::start().await?;
    publish(&test, "1.0.0", "Hello").await?;
    let agent = builder(&test, "offline")?.memory_only().start().await?;
    serves(&agent, 1).await;
    agent.wait_current(PATIENCE).await?;
    test.server.stop().await;
    for _ in 0..1000 {
        agent.prompt("hello", &vars! {})?;
    }
    test.server.restart().await?;
    let mut statuses = statuses(&test).await?;
    let status = heard(&mut statuses, |s| of(s, "1.0.0", "hello").is_some()).await?;
    assert_eq!(of(&status, "1.0.0", "hello").map(|one| one.renders), Some(1000));
    agent.stop().await;
    Ok(())
}

#[tokio::test]
async fn an_agent_that_may_not_tell_of_use_tells_nothing() -> Result<()> {
    let test = TestBroker::start().await?;
    let mut statuses = statuses(&test).await?;
    publish(&test, "1.0.0", "Hello").await?;
    let agent = builder(&test, "discreet")?.memory_only().usage(false).start().await?;
    serves(&agent, 1).await;
    agent.prompt("hello", &vars! {})?;
    publish(&test, "2.0.0", "Hello").await?;
    serves(&agent, 2).await;
    let status = heard(&mut statuses, |s| s.counters.renders == 1).await?;
    assert_eq!((status.usage, agent.status().usage), (vec![], vec![]));
    assert_eq!(agent.status().counters.renders, 1, "the sums are kept");
    agent.stop().await;
    Ok(())
}

/// A collector that takes what it is given, and shows the bodies.
async fn collector(address: &str) -> Result<(String, mpsc::UnboundedReceiver<String>)> {
    let listener = TcpListener::bind(address).await?;
    let at = format!("http://{}", listener.local_addr()?);
    let (send, receive) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let send = send.clone();
            tokio::spawn(async move {
                let mut got = Vec::new();
                let mut chunk = [0; 8192];
                while let Ok(count @ 1..) = stream.read(&mut chunk).await {
                    got.extend_from_slice(&chunk[..count]);
                    let text = String::from_utf8_lossy(&got).into_owned();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let length = head.lines().find_map(|line| {
                        line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok()
                    });
                    if length.is_none_or(|length: usize| body.len() < length) {
                        continue;
                    }
                    assert!(head.starts_with("POST /v1/traces "), "{head}");
                    let _ = send.send(body.to_owned());
                    let answer =
                        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
                    let _ = stream.write_all(answer.as_bytes()).await;
                    got.clear();
                }
            });
        }
    });
    Ok((at, receive))
}

#[tokio::test]
async fn a_collector_gets_a_span_of_each_render_and_never_a_value() -> Result<()> {
    let test = TestBroker::start().await?;
    publish_named(&test, "1.4.0", "Hello {{ name }}").await?;
    let (at, mut bodies) = collector("127.0.0.1:0").await?;
    let (credentials, connection) = test.write_credential("spans")?;
    let live = |arguments: &[&str]| {
        let mut command = Command::new(tools::binary("live"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", test.directory())
            .env("LIVE_CONNECTION", &connection)
            .env("LIVE_CREDENTIALS", &credentials)
            .env("LIVE_CACHE_DIR", test.directory().join("cache"))
            .env("LIVE_SERVICE", "checkout")
            .env("LIVE_OTLP_ENDPOINT", &at)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .kill_on_drop(true);
        command
    };
    let _agent = live(&["run"]).spawn()?;
    until("it can be asked", PATIENCE, async || {
        control::ask(&test.directory().join("cache"), &Question::Status).await.ok()
    })
    .await;
    let value = "a-value-that-nobody-may-see";
    let name = format!("name={value}");
    let text = until("the running agent renders", PATIENCE, async || {
        let output = live(&["prompt", "hello", "--var", &name]).output().await.ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    })
    .await;
    assert_eq!(text.trim(), format!("Hello {value}"));
    let wrong = live(&["prompt", "hello", "--var", &format!("nome={value}")]).output().await?;
    assert!(!wrong.status.success());
    let mut spans = Vec::new();
    let mut seen = String::new();
    while spans.len() < 2 {
        let body = tokio::time::timeout(PATIENCE, bodies.recv()).await?.context("the collector ended")?;
        seen.push_str(&body);
        spans.extend(spans_of(&serde_json::from_str(&body)?));
    }
    assert!(!seen.contains(value), "{seen}");
    assert!(seen.contains("checkout"), "the service is named: {seen}");
    let attribute = |span: &Value, key: &str| {
        let all = span["attributes"].as_array()?;
        all.iter().find(|one| one["key"] == key)?["value"]["stringValue"].as_str().map(str::to_owned)
    };
    for span in &spans {
        assert_eq!(span["name"], "render");
        assert_eq!(attribute(span, "prompt.set").as_deref(), Some("chat"));
        assert_eq!(attribute(span, "prompt.id").as_deref(), Some("hello"));
        assert_eq!(attribute(span, "prompt.version").as_deref(), Some("1.4.0"));
    }
    let failed: Vec<bool> = spans.iter().map(|span| span["status"]["code"] == 2).collect();
    assert!(failed.contains(&true) && failed.contains(&false), "{seen}");
    Ok(())
}

#[tokio::test]
async fn a_collector_that_is_away_is_told_of_once_and_so_is_its_return() -> Result<()> {
    let test = TestBroker::start().await?;
    publish(&test, "1.0.0", "Hello").await?;
    let (credentials, connection) = test.write_credential("away")?;
    // A port where nobody listens for now.
    let address = format!("127.0.0.1:{}", free_port()?);
    let live = |arguments: &[&str]| {
        let mut command = Command::new(tools::binary("live"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", test.directory())
            .env("LIVE_CONNECTION", &connection)
            .env("LIVE_CREDENTIALS", &credentials)
            .env("LIVE_CACHE_DIR", test.directory().join("cache"))
            .env("LIVE_OTLP_ENDPOINT", format!("http://{address}"))
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped())
            .kill_on_drop(true);
        command
    };
    let mut agent = live(&["run"]).spawn()?;
    let mut log = BufReader::new(agent.stderr.take().context("no stderr")?).lines();
    let mut said = async |what: &str| -> Result<String> {
        let wanted = async {
            while let Some(line) = log.next_line().await? {
                if line.contains(what) {
                    return Ok(line);
                }
                anyhow::ensure!(!line.contains("the collector takes no spans"), "again: {line}");
            }
            anyhow::bail!("it ended")
        };
        // Spans are rendered until it is said.
        let renders = async {
            loop {
                let _ = live(&["prompt", "hello"]).status().await;
            }
        };
        tokio::select! {
            line = tokio::time::timeout(PATIENCE, wanted) => line?,
            () = renders => anyhow::bail!("never"),
        }
    };
    said("the collector takes no spans").await?;
    let (_at, mut bodies) = collector(&address).await?;
    let back = said("the collector takes spans again").await?;
    assert!(back.contains("spans.lost=") && !back.contains("spans.lost=0"), "{back}");
    assert!(bodies.recv().await.is_some());
    Ok(())
}

fn spans_of(body: &Value) -> Vec<Value> {
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    list(body, "resourceSpans")
        .iter()
        .flat_map(|one| list(one, "scopeSpans"))
        .flat_map(|one| list(&one, "spans"))
        .collect()
}
